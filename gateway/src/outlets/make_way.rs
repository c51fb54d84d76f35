//! The store writer makes way for the log where both share a disk.
//!
//! A transaction of the database brings its write-ahead log to the disk at its end, and a sync of
//! our log that comes meanwhile waits behind it: 200,000 positions are some 40 MB. So its batches
//! are as large as commits of the log let them be: halved after one was slow, and larger again
//! while none is. Without live load nothing is committed, nobody waits, and they are full.
//!
//! It bounds what one transaction brings to the disk, no more: where the database also has the
//! same two processors, these decide. Beside a drain into it 2,000 live reports a second had a 99th
//! percentile of 15 ms with full batches and 13 ms with these (4 ms without a drain), at 64,000 and
//! 68,000 positions a second; without `fsync` it was no less (`benches/drain.rs`).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Where a batch begins when nothing is known yet, in times of the least one.
const FIRST: usize = 4;

/// How long commits of the log took.
#[derive(Debug, Default)]
pub struct CommitTimes {
    /// Microseconds, and one more: 0 is none at all.
    slowest: AtomicU64,
}

impl CommitTimes {
    /// One took so long, writing and syncing.
    pub fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.slowest
            .fetch_max(micros.saturating_add(1), Ordering::Relaxed);
    }

    /// The slowest since this was asked last; `None` when there was none.
    pub fn take_slowest(&self) -> Option<Duration> {
        let slowest = self.slowest.swap(0, Ordering::Relaxed);
        slowest.checked_sub(1).map(Duration::from_micros)
    }
}

/// `store.slow_commit` and the sizes of batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MakeWayRules {
    /// A commit of the log that takes longer is slow. Default 5 ms.
    pub slow_commit: Duration,
    /// Payloads of a batch whatever happens, bytes. Default 64 KiB.
    pub batch_bytes_min: usize,
    /// And at most. Default 8 MiB.
    pub batch_bytes_max: usize,
}

impl Default for MakeWayRules {
    fn default() -> Self {
        Self {
            slow_commit: Duration::from_millis(5),
            batch_bytes_min: 64 * 1_024,
            batch_bytes_max: 8 * 1_024 * 1_024,
        }
    }
}

/// How large the next batch may be.
#[derive(Debug)]
pub struct MakeWay {
    rules: MakeWayRules,
    commits: Arc<CommitTimes>,
    bytes: usize,
}

impl MakeWay {
    /// Made for one follower: it is the only one to ask for the slowest commit.
    #[must_use]
    pub fn new(rules: MakeWayRules, commits: Arc<CommitTimes>) -> Self {
        let first = rules.batch_bytes_min.saturating_mul(FIRST);
        Self {
            bytes: first.clamp(rules.batch_bytes_min, rules.batch_bytes_max),
            rules,
            commits,
        }
    }

    /// Payloads that the next batch may have, bytes.
    #[must_use]
    pub const fn batch_bytes(&self) -> usize {
        self.bytes
    }

    /// A batch with so many bytes of payloads is done.
    pub fn batch_done(&mut self, bytes: usize) {
        let MakeWayRules {
            slow_commit,
            batch_bytes_min,
            batch_bytes_max,
        } = self.rules;
        let is_full = bytes >= self.bytes;
        self.bytes = match self.commits.take_slowest() {
            // What is slow beside a batch that is smaller than the least one is not its doing.
            Some(slowest) if slowest > slow_commit && bytes >= batch_bytes_min => {
                self.bytes.min(bytes) / 2
            }
            Some(slowest) if slowest > slow_commit => self.bytes,
            // A batch that was not full says nothing of a larger one.
            _ if !is_full => self.bytes,
            // A quarter more, so that it does not go up as steeply as down.
            Some(_) => self.bytes + self.bytes / 4,
            None => self.bytes.saturating_mul(2),
        }
        .clamp(batch_bytes_min, batch_bytes_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1_024;
    const QUICK: Duration = Duration::from_millis(2);
    const SLOW: Duration = Duration::from_millis(20);

    /// One, and how it is told of commits.
    fn make_way() -> (MakeWay, Arc<CommitTimes>) {
        let commits = Arc::new(CommitTimes::default());
        let make_way = MakeWay::new(MakeWayRules::default(), Arc::clone(&commits));
        (make_way, commits)
    }

    /// Full batches, with a commit beside each.
    fn batches(make_way: &mut MakeWay, commits: &CommitTimes, took: Duration, count: usize) {
        for _ in 0..count {
            commits.record(took);
            make_way.batch_done(make_way.batch_bytes());
        }
    }

    #[test]
    fn the_slowest_commit_since_the_last_question_counts() {
        let commits = CommitTimes::default();
        assert_eq!(commits.take_slowest(), None);
        for took in [Duration::ZERO, SLOW, QUICK] {
            commits.record(took);
        }
        assert_eq!(commits.take_slowest(), Some(SLOW));
        assert_eq!(commits.take_slowest(), None);
        commits.record(Duration::ZERO);
        assert_eq!(commits.take_slowest(), Some(Duration::ZERO));
    }

    #[test]
    fn batches_shrink_beside_slow_commits_and_grow_beside_quick_ones() {
        let (mut make_way, commits) = make_way();
        assert_eq!(make_way.batch_bytes(), 256 * KIB);
        batches(&mut make_way, &commits, SLOW, 1);
        assert_eq!(make_way.batch_bytes(), 128 * KIB);
        batches(&mut make_way, &commits, SLOW, 10);
        assert_eq!(make_way.batch_bytes(), 64 * KIB);
        batches(&mut make_way, &commits, QUICK, 1);
        assert_eq!(make_way.batch_bytes(), 80 * KIB);
        batches(&mut make_way, &commits, QUICK, 30);
        assert_eq!(make_way.batch_bytes(), 8 * KIB * KIB);
    }

    #[test]
    fn without_live_load_batches_are_soon_full() {
        let (mut make_way, _commits) = make_way();
        for _ in 0..5 {
            make_way.batch_done(make_way.batch_bytes());
        }
        assert_eq!(make_way.batch_bytes(), 8 * KIB * KIB);
    }

    #[test]
    fn what_is_slow_beside_a_small_batch_is_not_its_doing() {
        let (mut make_way, commits) = make_way();
        commits.record(SLOW);
        make_way.batch_done(10 * KIB);
        assert_eq!(make_way.batch_bytes(), 256 * KIB);
        // It says nothing of large ones either.
        commits.record(QUICK);
        make_way.batch_done(10 * KIB);
        assert_eq!(make_way.batch_bytes(), 256 * KIB);
        // Of one that was not full, the half of what it was.
        commits.record(SLOW);
        make_way.batch_done(200 * KIB);
        assert_eq!(make_way.batch_bytes(), 100 * KIB);
    }
}
