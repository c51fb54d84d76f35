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

    /// One more has come. Gives the moment that the next one has to wait for, if it has to.
    pub(super) fn charge(&mut self, now: Instant) -> Option<Instant> {
        self.due = self.due.max(now) + self.interval;
        (self.due - now > self.ahead_max).then(|| self.due - self.ahead_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_then_each_waits_for_its_turn() {
        let now = Instant::now();
        let mut rate = Rate::new(10, 3, now);
        let until = |ms| Some(now + Duration::from_millis(ms));
        let first: Vec<_> = (0..3).map(|_| rate.charge(now)).collect();
        assert_eq!(first, [None, None, until(100)]);
        assert_eq!(rate.charge(now + Duration::from_millis(100)), until(200));
        assert_eq!(rate.charge(now + Duration::from_millis(250)), until(300));
        let later = now + Duration::from_secs(60);
        let free = (0..9).take_while(|_| rate.charge(later).is_none()).count();
        assert_eq!(free, 2, "a pause earns no more than a burst");
    }
}
