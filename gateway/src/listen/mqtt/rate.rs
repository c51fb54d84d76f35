//! So many a second and no more, with bursts. One moment is all it keeps: when the next one would be
//! due if they came evenly.

use std::time::Duration;

use tokio::time::Instant;

/// The limit of one client.
#[derive(Debug)]
pub(super) struct Rate {
    interval: Duration,
    /// How far ahead of its time one may be.
    ahead_max: Duration,
    due: Instant,
}

impl Rate {
    pub(super) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self {
            interval,
            ahead_max: interval * burst.saturating_sub(1),
            due: now,
        }
    }

    /// One more.
    ///
    /// # Errors
    /// When it has to wait, and until when.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let due = self.due.max(now);
        if due - now > self.ahead_max {
            return Err(due - self.ahead_max);
        }
        self.due = due + self.interval;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_then_each_waits_for_its_turn() {
        let now = Instant::now();
        let mut rate = Rate::new(10, 3, now);
        for _ in 0..3 {
            assert_eq!(rate.take(now), Ok(()));
        }
        let next = now + Duration::from_millis(100);
        assert_eq!(rate.take(now), Err(next));
        assert_eq!(rate.take(next), Ok(()));
        assert!(rate.take(next).is_err());
        let later = now + Duration::from_secs(60);
        let taken = (0..9).filter(|_| rate.take(later).is_ok()).count();
        assert_eq!(taken, 3, "a pause earns no more than a burst");
    }
}
