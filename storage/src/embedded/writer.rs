//! The writer. Files of days first, `main.sqlite` with the cursor last: see [the parent](super).

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use time::Date;

use super::{Options, cases, day, reader::Readers, rows, snapshots::Last};
use crate::{
    background,
    case_changes::{Wanted, findings},
    sqlite::{self, failed, unsynced},
    store::{
        Cursor, FindingBatch, FindingsWritten, PositionBatch, PositionRow, PositionsWritten,
        StoreError, day_of, newest, refused,
    },
};

pub(crate) const MAIN: &[&str] = &[
    include_str!("../../migrations/embedded/main_0001.sql"),
    include_str!("../../migrations/embedded/main_0002_retention.sql"),
    include_str!("../../migrations/embedded/main_0003_inputs.sql"),
    include_str!("../../migrations/embedded/main_0004_cases.sql"),
    include_str!("../../migrations/embedded/main_0005_outbox.sql"),
    include_str!("../../migrations/embedded/main_0006_evaluation.sql"),
    include_str!("../../migrations/embedded/main_0007_search.sql"),
    include_str!("../../migrations/embedded/main_0008_repeats.sql"),
    include_str!("../../migrations/embedded/main_0009_snapshots.sql"),
];
/// The version of the file of a day since which its index is by ten seconds.
pub(super) const INDEXED_BY_TEN_SECONDS: u32 = 3;
pub(super) const DAY: &[&str] = &[
    include_str!("../../migrations/embedded/day_0001.sql"),
    include_str!("../../migrations/embedded/day_0002_inputs.sql"),
    include_str!("../../migrations/embedded/day_0003_index.sql"),
];

const WRITE_POSITIONS: &str = "write positions";

/// The connections that write.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) directory: PathBuf,
    pub(super) options: Options,
    pub(super) readers: Arc<Readers>,
    pub(super) main: Connection,
    /// Used last, last.
    pub(super) days: Vec<(Date, Connection)>,
}

impl Writer {
    pub(super) fn open(
        directory: &Path,
        options: &Options,
        readers: Arc<Readers>,
    ) -> Result<Self, StoreError> {
        let path = directory.join("main.sqlite");
        let main = sqlite::open(&path, MAIN, options.busy_timeout, options.write_ahead())?;
        Ok(Self {
            directory: directory.to_owned(),
            options: options.clone(),
            readers,
            main,
            days: Vec::new(),
        })
    }

    /// In turns, one for each transaction: cases do not wait for a whole batch of positions.
    pub(super) fn write_positions(
        shared: &Mutex<Self>,
        batch: &PositionBatch,
    ) -> Result<PositionsWritten, StoreError> {
        let commit_rows_max = shared.lock().options.commit_rows_max.max(1);
        let mut kept: Vec<(Date, &PositionRow)> = Vec::with_capacity(batch.positions.len());
        let mut quarantined = batch.quarantined.clone();
        for row in &batch.positions {
            match day_of(row.position.fixed_at) {
                Some(day) => kept.push((day, row)),
                None => quarantined.push(refused(row)),
            }
        }
        // In the order of the tables: neighbours then share pages.
        kept.sort_unstable_by_key(|(day, row)| {
            (
                *day,
                row.position.terminal,
                row.position.fixed_at,
                row.position.digest,
            )
        });
        let mut written = PositionsWritten::default();
        for of_day in kept.chunk_by(|a, b| a.0 == b.0) {
            let Some((day, _)) = of_day.first() else {
                continue;
            };
            let mut inserted = 0;
            for rows in of_day.chunks(commit_rows_max) {
                let mut writer = shared.lock();
                let day = writer.day(*day)?;
                inserted += if rows.len() == of_day.len() {
                    write_rows(day, rows)?
                } else {
                    unsynced(day, |day| write_rows(day, rows))?
                };
                // Who waits is next.
                MutexGuard::unlock_fair(writer);
            }
            // Rows that were there may be of a batch that broke off before it was synced.
            if of_day.len() > commit_rows_max || inserted < of_day.len() as u64 {
                seal(shared.lock().day(*day)?)?;
            }
            written.inserted += inserted;
        }
        let writer = &mut *shared.lock();
        let action = WRITE_POSITIONS;
        let transaction = immediate(&mut writer.main, action)?;
        {
            let mut upsert = transaction
                .prepare_cached(rows::UPSERT_LATEST)
                .map_err(failed(action))?;
            for row in newest(kept.iter().map(|(_, row)| *row)).into_values() {
                rows::write(&mut upsert, row).map_err(failed(action))?;
            }
            let mut insert = transaction
                .prepare_cached(rows::INSERT_QUARANTINED)
                .map_err(failed(action))?;
            for report in &quarantined {
                let count = rows::write_quarantined(&mut insert, report).map_err(failed(action))?;
                written.quarantined += count as u64;
            }
        }
        move_cursor(&transaction, &batch.cursor)?;
        transaction.commit().map_err(failed(action))?;
        let all = (batch.positions.len() + batch.quarantined.len()) as u64;
        written.duplicates = all - written.inserted - written.quarantined;
        writer.bound_wal();
        Ok(written)
    }

    /// The file of a day. Backlog touches many days, so that only the last few stay open.
    fn day(&mut self, day: Date) -> Result<&mut Connection, StoreError> {
        let entry = match self.days.iter().position(|(open, _)| *open == day) {
            Some(index) => self.days.remove(index),
            None => {
                let path = day::file(&self.directory, day);
                let Options { busy_timeout, .. } = self.options;
                let write_ahead = self.options.write_ahead();
                (day, sqlite::open(&path, DAY, busy_timeout, write_ahead)?)
            }
        };
        if self.days.len() >= self.options.open_days_max.max(1) {
            self.days.remove(0);
        }
        self.days.push(entry);
        let (_, connection) = self.days.last_mut().ok_or_else(|| StoreError::Unusable {
            action: "open the file of a day",
            reason: "it was not kept".into(),
        })?;
        Ok(connection)
    }

    /// Snapshots that are large together go ahead, in turns as well.
    pub(super) fn write_findings(
        shared: &Mutex<Self>,
        batch: &FindingBatch,
    ) -> Result<FindingsWritten, StoreError> {
        let action = "write cases";
        let snapshots = Last::behind_others(shared, &batch.snapshots)?;
        let writer = &mut *shared.lock();
        let transaction = immediate(&mut writer.main, action)?;
        let loaded = cases::wanted(&transaction, &Wanted::of(batch))?;
        let outcome = findings(batch, loaded);
        for change in &outcome.changes {
            cases::write(&transaction, change)?;
        }
        snapshots.put_in_force(&transaction)?;
        if batch.moves_cursor {
            move_cursor(&transaction, &batch.judged)?;
        }
        transaction.commit().map_err(failed(action))?;
        writer.bound_wal();
        Ok(outcome.into_written())
    }

    /// Does something to cases in one transaction.
    pub(super) fn with_cases<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let action = "write cases";
        let transaction = immediate(&mut self.main, action)?;
        let done = work(&transaction)?;
        transaction.commit().map_err(failed(action))?;
        Ok(done)
    }

    /// Empties write-ahead files that have grown: SQLite does it by itself only in a moment
    /// without readers, which may never come.
    fn bound_wal(&self) {
        let main = (self.directory.join("main.sqlite"), &self.main);
        let days = self
            .days
            .iter()
            .map(|(day, open)| (day::file(&self.directory, *day), open));
        for (path, connection) in days.chain([main]) {
            let mut wal = path.into_os_string();
            wal.push("-wal");
            let size = std::fs::metadata(&wal).map_or(0, |metadata| metadata.len());
            if size < self.options.wal_bytes_max {
                continue;
            }
            let _closed = self.readers.gate.write();
            // Readers of other processes may still be in the way: then the next batch tries again.
            let emptied = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
                row.get::<_, i64>(0)
            });
            if !matches!(emptied, Ok(0)) {
                tracing::warn!(file = ?wal, size, ?emptied, "a write-ahead file cannot be emptied");
            }
        }
    }
}

/// Writes rows of one day in one transaction; gives the number of new ones.
fn write_rows(day: &mut Connection, rows: &[(Date, &PositionRow)]) -> Result<u64, StoreError> {
    let transaction = immediate(day, WRITE_POSITIONS)?;
    let mut inserted = 0;
    {
        let mut insert = transaction
            .prepare_cached(rows::INSERT)
            .map_err(failed(WRITE_POSITIONS))?;
        for (_, row) in rows {
            background::give_way();
            inserted += rows::write(&mut insert, row).map_err(failed(WRITE_POSITIONS))? as u64;
        }
    }
    transaction.commit().map_err(failed(WRITE_POSITIONS))?;
    Ok(inserted)
}

/// Brings all transactions before it to the disk. It changes nothing, but writes: else it would not sync.
fn seal(day: &mut Connection) -> Result<(), StoreError> {
    let transaction = immediate(day, WRITE_POSITIONS)?;
    transaction
        .pragma_update(None, "user_version", DAY.len() as i64)
        .and_then(|()| transaction.commit())
        .map_err(failed(WRITE_POSITIONS))
}

/// Begins with the lock for writing, so that it is waited for here and not in the middle.
pub(super) fn immediate<'a>(
    connection: &'a mut Connection,
    action: &'static str,
) -> Result<Transaction<'a>, StoreError> {
    connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed(action))
}

pub(super) fn move_cursor(
    transaction: &Transaction<'_>,
    cursor: &Cursor,
) -> Result<(), StoreError> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)")
        .and_then(|mut statement| {
            let Cursor {
                log,
                consumer,
                offset,
            } = cursor;
            statement.execute(params![log.to_string(), consumer, offset.cast_signed()])
        })
        .map_err(failed("move a cursor"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_writes_though_nothing_changed_and_syncs() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("day.sqlite");
        let options = Options::default();
        let write_ahead = options.write_ahead();
        let mut day = sqlite::open(&path, DAY, options.busy_timeout, write_ahead).unwrap();
        let wal = || {
            let wal = path.with_extension("sqlite-wal");
            std::fs::metadata(wal).map_or(0, |metadata| metadata.len())
        };
        let empty = |day: &Connection| {
            day.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
                .unwrap();
        };
        let synchronous =
            |day: &Connection| day.query_row("PRAGMA synchronous", [], |row| row.get::<_, u32>(0));
        empty(&day);
        let written = unsynced(&mut day, |day| {
            assert_eq!(synchronous(day), Ok(1));
            write_rows(day, &[])
        });
        assert_eq!((written.unwrap(), wal()), (0, 0));
        // Commits after it are on the disk again, however it ended.
        assert_eq!(synchronous(&day), Ok(2));
        let refused: Result<(), StoreError> = unsynced(&mut day, |_| {
            Err(StoreError::Unusable {
                action: WRITE_POSITIONS,
                reason: "a test".into(),
            })
        });
        refused.unwrap_err();
        assert_eq!(synchronous(&day), Ok(2));
        seal(&mut day).unwrap();
        assert!(wal() > 0);
    }
}
