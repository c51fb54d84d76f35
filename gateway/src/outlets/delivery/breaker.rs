//! A receiver that fails again and again is left alone for a while, then one request finds out
//! whether it is back. Deliveries do not age faster for it: none is tried meanwhile.

use std::time::Duration;

use geofence::units::Timestamp;

use crate::config::Receiver;

/// Whether a receiver is asked at all.
#[derive(Clone, Debug)]
pub struct Breaker {
    failures_max: u32,
    first: Duration,
    last: Duration,
    failures: u32,
    pause: Duration,
    open_until: Option<Timestamp>,
}

/// What a breaker lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// All.
    Closed,
    /// One request, to find out.
    HalfOpen,
    /// Nothing until then.
    Open(Timestamp),
}

impl Passage {
    /// The word that readers see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open(_) => "open",
        }
    }
}

impl Breaker {
    /// Closed.
    #[must_use]
    pub const fn new(receiver: &Receiver) -> Self {
        Self {
            failures_max: receiver.breaker_failures,
            first: receiver.breaker_first,
            last: receiver.breaker_last,
            failures: 0,
            pause: receiver.breaker_first,
            open_until: None,
        }
    }

    /// What it lets through now.
    #[must_use]
    pub fn passage(&self, now: Timestamp) -> Passage {
        match self.open_until {
            None => Passage::Closed,
            Some(until) if now < until => Passage::Open(until),
            Some(_) => Passage::HalfOpen,
        }
    }

    /// The receiver did its work, whatever it said of this delivery.
    pub const fn succeeded(&mut self) {
        self.failures = 0;
        self.pause = self.first;
        self.open_until = None;
    }

    /// It did not. Requests that were under way when it opened do not open it again.
    pub fn failed(&mut self, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        match self.passage(now) {
            Passage::Open(_) => {}
            Passage::Closed if self.failures < self.failures_max => {}
            Passage::Closed | Passage::HalfOpen => {
                self.open_until = Some(now.after(self.pause));
                self.pause = self.pause.saturating_mul(2).min(self.last).max(self.first);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker {
            failures_max: 3,
            first: Duration::from_secs(5),
            last: Duration::from_secs(15),
            failures: 0,
            pause: Duration::from_secs(5),
            open_until: None,
        }
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_for_longer_each_time() {
        let mut breaker = breaker();
        let at = |seconds: i64| Timestamp(seconds * 1_000);
        breaker.failed(at(0));
        breaker.failed(at(0));
        breaker.succeeded();
        breaker.failed(at(1));
        breaker.failed(at(1));
        assert_eq!(breaker.passage(at(1)), Passage::Closed);
        breaker.failed(at(1));
        assert_eq!(breaker.passage(at(1)), Passage::Open(at(6)));
        breaker.failed(at(2));
        assert_eq!(breaker.passage(at(5)), Passage::Open(at(6)));
        for (failed, until) in [(6, 16), (16, 31), (31, 46)] {
            assert_eq!(breaker.passage(at(failed)), Passage::HalfOpen);
            breaker.failed(at(failed));
            assert_eq!(breaker.passage(at(failed)), Passage::Open(at(until)));
        }
        assert_eq!(breaker.passage(at(46)), Passage::HalfOpen);
        breaker.succeeded();
        assert_eq!(breaker.passage(at(46)), Passage::Closed);
        for _ in 0..3 {
            breaker.failed(at(50));
        }
        assert_eq!(breaker.passage(at(50)), Passage::Open(at(55)));
    }
}
