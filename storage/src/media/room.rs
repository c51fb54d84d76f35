//! Who gets room, who has to go, and how files go so that a crash leaves none behind.

use std::path::Path;

use geofence::{identity::TerminalId, units::Timestamp};
use rusqlite::TransactionBehavior;

use super::{
    Inner, MediaError, MediaRefusal, MediaTotals, Removed, Shared, files,
    index::{self, Doomed},
};
use crate::{sqlite::failed, store::StoreError};

/// Files take whole blocks.
pub(super) const BLOCK_BYTES: u64 = 4_096;
const DAY_MILLIS: i64 = 24 * 60 * 60 * 1_000;

/// What a file of this size takes of the disk.
pub(super) fn room_of(bytes: u64) -> u64 {
    bytes.max(1).next_multiple_of(BLOCK_BYTES)
}

/// The day of a moment (UTC), in days since 1970-01-01.
pub(super) const fn day_number(at: Timestamp) -> i64 {
    at.0.div_euclid(DAY_MILLIS)
}

impl Shared {
    /// Sets room aside for so many bytes more of one terminal, and removes what has to go for it.
    pub(super) fn reserve(
        &self,
        inner: &mut Inner,
        terminal: TerminalId,
        received_at: Timestamp,
        room: u64,
    ) -> Result<Removed, MediaError> {
        inner.settle_if_needed(&self.directory)?;
        self.check_limits(inner, terminal, received_at, room)?;
        let max = self.limits.stored_bytes_max;
        let mut removed = Removed::default();
        loop {
            let sum = inner.totals.bytes + inner.totals.reserved_bytes + room;
            if sum <= max {
                break;
            }
            let evicted = self.evict(inner, sum - max)?;
            if evicted.files == 0 {
                break;
            }
            removed += evicted;
        }
        removed += self.free_space(inner, room)?;
        let needed = self.needed(inner, room);
        let available = self.available()?;
        if available < needed {
            return Err(MediaRefusal::DiskFull { available }.into());
        }
        inner.totals.reserved_bytes += room;
        *inner.reserved.entry(terminal).or_default() += room;
        Ok(removed)
    }

    /// Whether so many bytes more of one terminal are within what no removal can change.
    pub(super) fn check_limits(
        &self,
        inner: &Inner,
        terminal: TerminalId,
        received_at: Timestamp,
        room: u64,
    ) -> Result<(), MediaError> {
        let max = self.limits.terminal_day_bytes_max;
        let day = day_number(received_at);
        let reserved = inner.reserved.get(&terminal).copied().unwrap_or_default();
        let used = index::used(&inner.connection, day, terminal.as_str())? + reserved;
        if used + room > max {
            return Err(MediaRefusal::TerminalQuota { used, max }.into());
        }
        let max = self.limits.stored_bytes_max;
        if inner.totals.reserved_bytes + room > max {
            return Err(MediaRefusal::StoreFull { max }.into());
        }
        Ok(())
    }

    /// Gives back what was set aside.
    pub(super) fn release(inner: &mut Inner, terminal: TerminalId, room: u64) {
        inner.totals.reserved_bytes = inner.totals.reserved_bytes.saturating_sub(room);
        if let Some(reserved) = inner.reserved.get_mut(&terminal) {
            *reserved = reserved.saturating_sub(room);
            if *reserved == 0 {
                inner.reserved.remove(&terminal);
            }
        }
    }

    /// Removes the oldest files until the file system has what is to be kept free, and so many
    /// bytes more. What is missing is counted once: the space of a removed file may come back
    /// late, and nothing more is to go for that.
    pub(super) fn free_space(&self, inner: &mut Inner, room: u64) -> Result<Removed, MediaError> {
        let missing = self.needed(inner, room).saturating_sub(self.available()?);
        let mut removed = Removed::default();
        while removed.bytes < missing {
            let evicted = self.evict(inner, missing - removed.bytes)?;
            if evicted.files == 0 {
                break;
            }
            removed += evicted;
        }
        Ok(removed)
    }

    /// What was set aside may not have been written yet, so it counts as if none of it was.
    const fn needed(&self, inner: &Inner, room: u64) -> u64 {
        self.limits
            .free_bytes_min
            .saturating_add(inner.totals.reserved_bytes)
            .saturating_add(room)
    }

    fn available(&self) -> Result<u64, MediaError> {
        (self.space.0)(&self.directory).map_err(files::failed("ask the space of", &self.directory))
    }

    fn evict(&self, inner: &mut Inner, bytes: u64) -> Result<Removed, MediaError> {
        let oldest = index::oldest(&inner.connection, bytes)?;
        let removed = inner.remove(&self.directory, &oldest)?;
        inner.totals.evicted += removed;
        Ok(removed)
    }
}

impl Inner {
    /// Removes files with their rows.
    pub(super) fn remove(
        &mut self,
        directory: &Path,
        doomed: &[Doomed],
    ) -> Result<Removed, MediaError> {
        if doomed.is_empty() {
            return Ok(Removed::default());
        }
        self.is_unsettled = true;
        self.write(|connection| index::delete(connection, doomed))?;
        let removed = Removed {
            files: doomed.len() as u64,
            bytes: doomed.iter().map(|one| one.room).sum(),
        };
        self.totals.files = self.totals.files.saturating_sub(removed.files);
        self.totals.bytes = self.totals.bytes.saturating_sub(removed.bytes);
        self.settle(directory)?;
        Ok(removed)
    }

    /// Before anything is written: what an error has left half-way is brought to its end.
    pub(super) fn settle_if_needed(&mut self, directory: &Path) -> Result<(), MediaError> {
        if self.is_unsettled {
            self.recover(directory)?;
        }
        Ok(())
    }

    /// Counts again, and removes the files of the journal.
    pub(super) fn recover(&mut self, directory: &Path) -> Result<(), MediaError> {
        let counted = index::totals(&self.connection)?;
        self.totals = MediaTotals {
            files: counted.files,
            bytes: counted.bytes,
            ..self.totals
        };
        self.settle(directory)
    }

    /// Removes the files of the journal. Nobody may be between its line and its row.
    pub(super) fn settle(&mut self, directory: &Path) -> Result<(), MediaError> {
        loop {
            let names = index::unsettled(&self.connection)?;
            if names.is_empty() {
                self.is_unsettled = false;
                return Ok(());
            }
            files::remove(directory, &names)?;
            self.write(|connection| {
                names
                    .iter()
                    .try_for_each(|name| index::strike_unsettled(connection, name))
            })?;
        }
    }

    /// One transaction; on disk when it returns.
    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&rusqlite::Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let action = "write the index of media";
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed(action))?;
        let result = work(&transaction)?;
        transaction.commit().map_err(failed(action))?;
        Ok(result)
    }
}
