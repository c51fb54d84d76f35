//! Rows in PostgreSQL's binary COPY format, written by hand. The client library's writer asks each
//! value for its form by way of [`ToSql`](tokio_postgres::types::ToSql), and hands over 4 KiB at a
//! time, each from one task to another.
//!
//! ```text
//! "PGCOPY\n\xff\r\n\0"  flags: i32 0  extension: i32 0
//!   row: i16 columns, then for each: i32 bytes, or -1 for NULL; the bytes, big-endian
//! i16 -1
//! ```

use std::pin::Pin;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::{CopyInSink, Statement, Transaction};

use super::{
    connection::Failure,
    rows::{Line, Moment, TYPES},
};
use crate::{background, case_changes::without_nul};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Sent when it is full. The next part is written while the server reads this one.
const PART_BYTES: usize = 64 * 1_024;

/// A COPY whose rows are all on their way.
pub(super) struct Copying(Pin<Box<CopyInSink<Bytes>>>);

impl Copying {
    /// Waits until the server has them; gives their number.
    pub(super) async fn finish(mut self) -> Result<u64, Failure> {
        Ok(self.0.as_mut().finish().await?)
    }
}

/// Begins a binary COPY and sends its rows. Until it is finished, nothing else can be sent that
/// does not wait for it.
pub(super) async fn copy(
    transaction: &Transaction<'_>,
    statement: &Statement,
    lines: &[Line<'_>],
) -> Result<Copying, Failure> {
    let sink = transaction.copy_in::<_, Bytes>(statement).await?;
    let mut sink = Box::pin(sink);
    let mut part = BytesMut::with_capacity(PART_BYTES + 1_024);
    part.put_slice(SIGNATURE);
    part.put_i32(0);
    part.put_i32(0);
    for line in lines {
        put_line(&mut part, line);
        if part.len() >= PART_BYTES {
            sink.as_mut().feed(part.split().freeze()).await?;
            part.reserve(PART_BYTES + 1_024);
        }
        background::give_way();
    }
    part.put_i16(-1);
    sink.as_mut().feed(part.freeze()).await?;
    Ok(Copying(sink))
}

/// A row, in the order of [`columns`](super::rows::columns) and of the types [`TYPES`].
fn put_line(out: &mut BytesMut, line: &Line<'_>) {
    const COLUMNS: i16 = 20;
    const { assert!(TYPES.len() == 20) }
    let p = &line.row.position;
    out.put_i16(COLUMNS);
    put_i32(out, Some(line.terminal));
    put_i64(out, Some(Moment(p.fixed_at).micros()));
    put_i64(out, Some(p.digest.into()));
    put_i64(out, Some(Moment(p.received_at).micros()));
    put_i64(out, Some(p.log_offset.cast_signed()));
    put_i32(out, Some(p.latitude.micro_degrees()));
    put_i32(out, Some(p.longitude.micro_degrees()));
    put_i16(out, p.altitude_m);
    put_i32(out, Some(p.speed_dkmh.into()));
    put_i32(out, Some(p.heading_deg.into()));
    put_i64(out, Some(p.alarm_flags.into()));
    put_i64(out, Some(p.status_flags.into()));
    put_i64(out, p.odometer_dkm.map(Into::into));
    put_i16(out, p.satellites.map(Into::into));
    put_bool(out, p.is_positioned);
    put_bool(out, p.is_backlog);
    put_text(out, line.row.unit_grid.as_deref());
    put_i64(out, p.inputs.vehicle_signals.map(Into::into));
    put_i32(out, p.inputs.io.map(Into::into));
    put_i64(out, p.inputs.vendor.map(Into::into));
}

const NULL: i32 = -1;

fn put_i16(out: &mut BytesMut, value: Option<i16>) {
    match value {
        Some(value) => {
            out.put_i32(2);
            out.put_i16(value);
        }
        None => out.put_i32(NULL),
    }
}

fn put_i32(out: &mut BytesMut, value: Option<i32>) {
    match value {
        Some(value) => {
            out.put_i32(4);
            out.put_i32(value);
        }
        None => out.put_i32(NULL),
    }
}

fn put_i64(out: &mut BytesMut, value: Option<i64>) {
    match value {
        Some(value) => {
            out.put_i32(8);
            out.put_i64(value);
        }
        None => out.put_i32(NULL),
    }
}

fn put_bool(out: &mut BytesMut, value: bool) {
    out.put_i32(1);
    out.put_u8(value.into());
}

fn put_text(out: &mut BytesMut, value: Option<&str>) {
    let Some(text) = value else {
        return out.put_i32(NULL);
    };
    if text.contains('\0') {
        return put_text(out, Some(&without_nul(text)));
    }
    // No message to the server can be as long: nothing that is longer gets so far.
    out.put_i32(i32::try_from(text.len()).unwrap_or(i32::MAX));
    out.put_slice(text.as_bytes());
}
