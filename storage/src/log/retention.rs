//! Old segments are removed when all registered consumers are past them.
//!
//! A consumer's cursor is in its own store, written in the transaction that makes its work
//! durable (`Store::cursor`): two files that a crash can tear apart would say less. What is known
//! here is a copy, for as long as the process lives, and every consumer brings it when it starts.
//! While none is registered nothing is removed; a consumer that will come must be registered
//! before another one gets on.

use super::{LogFailure, Shared, segment};

impl Shared {
    /// All records before this number are done with; `None` while nobody is registered.
    pub(super) fn keep_from(&self) -> Option<u64> {
        self.consumers.lock().values().min().copied()
    }

    /// Removes the segments that nobody needs; see [`Log::retain`](super::Log::retain).
    ///
    /// One at a time, oldest first, each followed by a sync of the directory: after a crash the
    /// ones that are left are without a gap, whichever removals the disk has kept.
    pub(super) fn retain(&self) -> Result<u64, LogFailure> {
        let _one_at_a_time = self.retention.lock();
        let Some(keep_from) = self.keep_from() else {
            return Ok(0);
        };
        let mut removed = 0;
        loop {
            let oldest = self.segments.lock().oldest_before(keep_from);
            let Some(oldest) = oldest.filter(|_| self.failure.get().is_none()) else {
                break;
            };
            let path = segment::path(&self.directory, oldest.first);
            if let Err(cause) = self.files.remove(&path) {
                return Err(LogFailure {
                    action: "remove",
                    path,
                    cause,
                });
            }
            self.segments.lock().forget(oldest);
            removed += 1;
            if let Err(cause) = self.files.sync_directory(&self.directory) {
                let path = self.directory.clone();
                let kind = cause.kind();
                self.poison(LogFailure {
                    action: "sync",
                    path: path.clone(),
                    cause,
                });
                return Err(LogFailure {
                    action: "sync",
                    path,
                    cause: kind.into(),
                });
            }
        }
        Ok(removed)
    }
}
