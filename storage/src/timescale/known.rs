//! What is known of the database, so that it need not be asked for with every batch.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicU32, Ordering},
};

use geofence::identity::TerminalId;
use parking_lot::Mutex;
use time::Date;

use super::{recent::Recent, rows::Line};

/// Resends come in storms: after a row in a batch that was taken for a new one and was there, the
/// next batches go by way of the temporary table. A copy that fails leaves dead rows behind, which
/// this bounds. So many batches at first, twice as many each time, at most [`STAGED_MAX`].
const STAGED_MIN: u32 = 4;
const STAGED_MAX: u32 = 64;
/// What is older when it comes was kept for a while and may have been sent before; its chunk may be
/// compressed as well.
const FRESH_MS: i64 = 24 * 3_600_000;

#[derive(Debug)]
pub(super) struct Known {
    pub(super) terminals: Mutex<HashMap<TerminalId, i32>>,
    pub(super) partitions: Mutex<HashSet<Date>>,
    recent: Recent,
    /// So many batches more may hold rows that are there already.
    staged_left: AtomicU32,
    /// So many it will be the next time.
    staged_next: AtomicU32,
}

impl Known {
    /// Remembers the identities of so many rows.
    pub(super) fn new(recent_rows: usize) -> Self {
        Self {
            terminals: Mutex::default(),
            partitions: Mutex::default(),
            recent: Recent::new(recent_rows),
            staged_left: AtomicU32::new(0),
            staged_next: AtomicU32::new(STAGED_MIN),
        }
    }

    /// The partition of a day was dropped.
    pub(super) fn forget_partition(&self, day: Date) {
        self.partitions.lock().remove(&day);
    }

    /// After any failure: the database may not be the one that it was.
    pub(super) fn forget(&self) {
        self.terminals.lock().clear();
        self.partitions.lock().clear();
    }

    /// Lines that are new as far as can be told here, and those that may be in the database. After
    /// a batch where that was wrong, all of them may.
    pub(super) fn divide<'a>(&self, lines: &[Line<'a>]) -> (Vec<Line<'a>>, Vec<Line<'a>>) {
        // Two batches at once may count one, or both: it is a guess anyway.
        let left = self.staged_left.load(Ordering::Relaxed);
        if left > 0 {
            self.staged_left.store(left - 1, Ordering::Relaxed);
            return (Vec::new(), lines.to_vec());
        }
        self.recent.divide(lines, |line| {
            let p = &line.row.position;
            p.received_at.millis_since(p.fixed_at) >= FRESH_MS
        })
    }

    /// These are in the database now, or on their way there.
    pub(super) fn written(&self, lines: &[Line<'_>]) {
        self.recent.remember(lines);
    }

    /// So many lines were taken for new ones, and were.
    pub(super) fn guessed_right(&self) {
        let next = self.staged_next.load(Ordering::Relaxed);
        self.staged_next
            .store((next - next / 8).max(STAGED_MIN), Ordering::Relaxed);
    }

    /// A line that was taken for a new one was not.
    pub(super) fn guessed_wrong(&self) {
        let next = self.staged_next.load(Ordering::Relaxed);
        self.staged_left.store(next, Ordering::Relaxed);
        self.staged_next
            .store((next * 2).min(STAGED_MAX), Ordering::Relaxed);
    }
}
