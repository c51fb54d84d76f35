//! What is too old goes: whole files of days, and reports in quarantine.

use geofence::units::Timestamp;
use rusqlite::params;

use super::{EmbeddedStore, day, writer::Writer};
use crate::{
    sqlite::failed,
    store::{Retained, Retention, StoreError},
};

const ACTION: &str = "remove what is too old";
/// Rows of one transaction: batches of positions get their turn in between.
const ROWS_AT_ONCE: u32 = 10_000;

impl EmbeddedStore {
    pub(super) async fn retain_since(&self, retention: Retention) -> Result<Retained, StoreError> {
        let mut retained = Retained::default();
        if let Some(moment) = retention.positions_before {
            retained.days = self
                .write(move |writer| remove_days(writer, moment))
                .await?;
        }
        if let Some(moment) = retention.quarantined_before {
            loop {
                let removed = self
                    .write(move |writer| remove_quarantined(writer, moment))
                    .await?;
                retained.quarantined += removed;
                if removed == 0 {
                    break;
                }
            }
        }
        Ok(retained)
    }
}

/// A reader of another process that has a file open goes on reading it; ours let go of theirs.
fn remove_days(writer: &mut Writer, moment: Timestamp) -> Result<u64, StoreError> {
    let unavailable = |cause: std::io::Error| StoreError::Unavailable {
        action: ACTION,
        cause: Box::new(cause),
    };
    let days = day::before(&writer.directory, moment).map_err(unavailable)?;
    for day in &days {
        writer.days.retain(|(open, _)| open != day);
        let closed = writer.readers.gate.write();
        writer.readers.forget(*day);
        day::remove(&writer.directory, *day).map_err(unavailable)?;
        drop(closed);
        tracing::info!(%day, "the positions of a day are removed");
    }
    Ok(days.len() as u64)
}

fn remove_quarantined(writer: &Writer, moment: Timestamp) -> Result<u64, StoreError> {
    let sql = "DELETE FROM quarantine WHERE number IN (SELECT number FROM quarantine \
               WHERE received_at < ? ORDER BY received_at LIMIT ?)";
    let removed = writer
        .main
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(params![moment.0, ROWS_AT_ONCE]))
        .map_err(failed(ACTION))?;
    Ok(removed as u64)
}
