//! Snapshots: those of one moment are many megabytes together, and come into force at once.
//!
//! In one transaction they would be brought to the disk by one sync, and by another one into the database:
//! whoever syncs meanwhile, as the log does, waits for each. So they are written ahead, in transactions of a
//! bounded size that nobody reads; the last one, which the cursor moves in, puts them in force.

use std::collections::BTreeMap;

use parking_lot::{Mutex, MutexGuard};
use rusqlite::{Params, Transaction, params};

use super::writer::{Writer, immediate};
use crate::{
    sqlite::{failed, unsynced},
    store::StoreError,
};

const ACTION: &str = "write snapshots";

/// Its key and its bytes.
type Snapshot<'a> = (&'a str, &'a [u8]);

/// What goes into the transaction that puts snapshots in force.
#[derive(Debug, Default)]
pub(super) struct Last<'a> {
    part: Vec<Snapshot<'a>>,
    /// Keys that are to be gone.
    removed: Vec<&'a str>,
    /// Nothing was written ahead of it.
    is_first: bool,
}

impl<'a> Last<'a> {
    /// All of them, with nothing ahead. An empty one removes its key.
    pub(super) fn all(snapshots: &'a BTreeMap<String, Vec<u8>>) -> Self {
        let mut all = Self {
            is_first: true,
            ..Self::default()
        };
        for (key, bytes) in snapshots {
            if bytes.is_empty() {
                all.removed.push(key);
            } else {
                all.part.push((key, bytes));
            }
        }
        all
    }

    /// Writes all of them ahead but the last part. For one writer of snapshots at a time.
    pub(super) fn behind_others(
        shared: &Mutex<Writer>,
        snapshots: &'a BTreeMap<String, Vec<u8>>,
    ) -> Result<Self, StoreError> {
        let part_bytes = shared.lock().options.checkpoint_bytes;
        let all = Self::all(snapshots);
        let (mut rest, mut is_first) = (all.part.as_slice(), true);
        while let Some((part, behind)) = cut(rest, part_bytes) {
            let mut writer = shared.lock();
            unsynced(&mut writer.main, |main| {
                let transaction = immediate(main, ACTION)?;
                write(&transaction, part, is_first)?;
                let sql = "UPDATE snapshots_in_force SET is_ahead = 1";
                run(&transaction, sql, [])?;
                transaction.commit().map_err(failed(ACTION))
            })?;
            // Who waits is next.
            MutexGuard::unlock_fair(writer);
            (rest, is_first) = (behind, false);
        }
        Ok(Self {
            part: rest.to_vec(),
            removed: all.removed,
            is_first,
        })
    }

    pub(super) fn put_in_force(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        if self.part.is_empty() && self.removed.is_empty() {
            return Ok(());
        }
        write(transaction, &self.part, self.is_first)?;
        for key in &self.removed {
            let sql = "DELETE FROM snapshot_versions WHERE key = ?";
            run(transaction, sql, [key])?;
        }
        let sql = "UPDATE snapshots_in_force SET number = number + 1, is_ahead = 0";
        run(transaction, sql, [])
    }
}

/// The first part, of so many bytes or of one, and what is behind it; none where all are the last one.
fn cut<'s, 'a>(
    snapshots: &'s [Snapshot<'a>],
    bytes_max: u64,
) -> Option<(&'s [Snapshot<'a>], &'s [Snapshot<'a>])> {
    let mut bytes = 0;
    let exceeds = |(_, snapshot): &Snapshot<'_>| {
        bytes += snapshot.len() as u64;
        bytes > bytes_max
    };
    let count = snapshots.iter().position(exceeds)?.max(1);
    let cut = snapshots.split_at_checked(count);
    cut.filter(|(_, behind)| !behind.is_empty())
}

/// Writes snapshots with the number behind the one in force. The first of them find what an attempt that failed
/// has left.
fn write(
    transaction: &Transaction<'_>,
    snapshots: &[Snapshot<'_>],
    is_first: bool,
) -> Result<(), StoreError> {
    let sql = "SELECT number, is_ahead FROM snapshots_in_force";
    let found = transaction.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)));
    let (in_force, is_ahead): (i64, bool) = found.map_err(failed(ACTION))?;
    if is_first && is_ahead {
        let sql = "DELETE FROM snapshot_versions WHERE number > ?";
        run(transaction, sql, [in_force])?;
    }
    for (key, bytes) in snapshots {
        let sql = "DELETE FROM snapshot_versions WHERE key = ?1 AND number < \
                   (SELECT max(number) FROM snapshot_versions WHERE key = ?1 AND number <= ?2)";
        run(transaction, sql, params![key, in_force])?;
        let sql = "INSERT INTO snapshot_versions VALUES (?, ?, ?)";
        run(transaction, sql, params![key, in_force + 1, bytes])?;
    }
    Ok(())
}

fn run(transaction: &Transaction<'_>, sql: &str, params: impl Params) -> Result<(), StoreError> {
    let done = transaction
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(params));
    done.map(drop).map_err(failed(ACTION))
}
