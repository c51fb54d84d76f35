//! Stored tracks for readers: gaps, simplified lines, files.
//!
//! Nothing here holds more than one page of rows, whatever the length of a track: pages come from
//! [`pages`], [`files`] writes them into a file as they come, and [`simplify`] thins them out as
//! they come.

pub mod files;
pub mod pages;
pub mod row;
pub mod simplify;

use std::{sync::Arc, time::Duration};

use geofence::units::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Finds the gaps of one terminal's track, fix by fix in the order of time.
///
/// A gap is a time in which nobody knows where the vehicle was: between two usable fixes, whatever
/// else was reported in between.
#[derive(Clone, Copy, Debug)]
pub struct Gaps {
    longer_than_ms: i64,
    last: Option<Timestamp>,
}

impl Gaps {
    /// Gaps longer than this; `last` is the usable fix before, where a page ended.
    #[must_use]
    pub fn new(longer_than: Duration, last: Option<Timestamp>) -> Self {
        Self {
            longer_than_ms: i64::try_from(longer_than.as_millis()).unwrap_or(i64::MAX),
            last,
        }
    }

    /// The next usable fix: how long the gap before it was, in milliseconds, if there was one.
    pub fn next(&mut self, fixed_at: Timestamp) -> Option<i64> {
        let pause = self
            .last
            .replace(fixed_at)
            .map(|last| fixed_at.millis_since(last));
        pause.filter(|pause| *pause > self.longer_than_ms)
    }

    /// The newest usable fix so far.
    #[must_use]
    pub const fn last(&self) -> Option<Timestamp> {
        self.last
    }
}

/// Milliseconds as seconds, for readers.
#[must_use]
pub fn seconds(millis: i64) -> f64 {
    // Exact below 2^53 ms; the longest range of fixes is a century.
    #[expect(clippy::cast_precision_loss, reason = "explained above")]
    let millis = millis as f64;
    millis / 1_000.0
}

/// How many files and simplified tracks may be made at one time.
#[derive(Clone, Debug)]
pub struct TrackReaders(Arc<Semaphore>);

impl TrackReaders {
    /// So many.
    #[must_use]
    pub fn new(most: u32) -> Self {
        Self(Arc::new(Semaphore::new(most as usize)))
    }

    /// A place, to be held until the work is done; `None` when all are taken.
    #[must_use]
    pub fn enter(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_longer_than_the_threshold_and_goes_over_the_end_of_a_page() {
        let at = Timestamp::from_seconds;
        let mut gaps = Gaps::new(Duration::from_secs(60), None);
        assert_eq!(gaps.next(at(1_000)), None, "what was before is not known");
        assert_eq!(gaps.next(at(1_060)), None);
        let mut next_page = Gaps::new(Duration::from_secs(60), gaps.last());
        assert_eq!(next_page.next(at(1_121)), Some(61_000));
        assert_eq!(next_page.next(at(1_121)), None);
    }
}
