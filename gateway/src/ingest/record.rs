//! What the log holds of a terminal: its frames as they came, with what is needed to read them
//! again.
//!
//! ```text
//! kind 1, frame:      version BYTE (1) | revision BYTE (11, 13, 19) | frame without delimiters,
//! kind 2, undecoded:  the same         | as received, escapes included
//! kind 3, tick:       nothing: its time of receipt is the content
//! ```

use bytes::Bytes;
use geofence::{identity::TerminalId, units::Timestamp};
use protocols::jt808::{Revision, frame::Frame, message::Message};
use storage::log::{Record, RecordKind};

use super::normalise::{Normalised, Window, normalise};
use crate::session::terminal_of;

/// A frame of an authenticated terminal.
pub const FRAME: RecordKind = RecordKind(1);
/// A frame of an authenticated terminal that could not be read: kept for a mended decoder.
pub const UNDECODED: RecordKind = RecordKind(2);
/// Time passed and nothing came.
pub const TICK: RecordKind = RecordKind(3);

const VERSION: u8 = 1;

/// What stands before the frame in a record.
#[must_use]
pub fn prefix(revision: Revision) -> [u8; 2] {
    let revision = match revision {
        Revision::V2011 => 11,
        Revision::V2013 => 13,
        Revision::V2019 => 19,
    };
    [VERSION, revision]
}

/// Why a record could not be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Written by a newer version.
    #[error("the record's format is of a newer version")]
    Version,
    /// The frame does not open.
    #[error("the recorded frame cannot be read")]
    Frame,
}

/// The reports in a record. Those that cannot be decoded were counted when they came.
///
/// # Errors
/// When the record was written by another version.
pub fn reports(record: &Record, window: &Window) -> Result<Vec<Normalised>, RecordError> {
    if record.kind != FRAME {
        return Ok(Vec::new());
    }
    let [VERSION, revision, ..] = record.payload[..] else {
        return Err(RecordError::Version);
    };
    let revision = match revision {
        11 => Revision::V2011,
        13 => Revision::V2013,
        19 => Revision::V2019,
        _ => return Err(RecordError::Version),
    };
    let frame = Frame::open(record.payload.slice(2..)).map_err(|_| RecordError::Frame)?;
    let terminal = terminal_of(&frame.header.phone).ok_or(RecordError::Frame)?;
    if frame.header.packet.is_some_and(|packet| packet.total > 1) {
        return Ok(Vec::new());
    }
    let received = Received {
        terminal,
        received_at: Timestamp(record.received_at),
        log_offset: record.offset,
    };
    let message = Message::decode(frame.header.message_id, frame.body.clone(), revision)
        .map_err(|_| RecordError::Frame)?;
    Ok(match message {
        Message::LocationReport(report) => {
            vec![normalise(&report, &frame.body, &received, false, window)]
        }
        Message::LocationBatch(batch) => batch
            .entries
            .iter()
            .filter_map(|entry| entry.as_ref().ok())
            .map(|entry| {
                normalise(
                    &entry.report,
                    &entry.body,
                    &received,
                    batch.is_backlog(),
                    window,
                )
            })
            .collect(),
        _ => Vec::new(),
    })
}

/// What the gateway knows of a frame beside its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Who sent it.
    pub terminal: TerminalId,
    /// When.
    pub received_at: Timestamp,
    /// The record it is.
    pub log_offset: u64,
}

/// A frame that could not be decoded, with the prefix of a record.
#[must_use]
pub fn undecoded(raw: &Bytes) -> [&[u8]; 2] {
    [&[VERSION, 13], raw]
}
