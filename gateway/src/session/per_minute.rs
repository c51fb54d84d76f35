//! So many a minute, and no more. Counts by whole minutes of the clock: what is allowed may come
//! twice around the turn of a minute, and in return nothing is kept longer than one.

use std::{collections::HashMap, hash::Hash};

use geofence::units::Timestamp;
use parking_lot::Mutex;

const MINUTE_MS: i64 = 60_000;
/// Keys that are counted in one minute. Who comes after them is not limited: many keys are many
/// peers, and a limit for each peer is of no use against those.
const KEYS_MAX: usize = 65_536;

/// A limit for each key.
#[derive(Debug)]
pub struct PerMinute<K> {
    max: u32,
    window: Mutex<Window<K>>,
}

#[derive(Debug)]
struct Window<K> {
    minute: i64,
    counts: HashMap<K, u32>,
}

impl<K: Eq + Hash> PerMinute<K> {
    /// At most so many for each key.
    #[must_use]
    pub fn new(max: u32) -> Self {
        let window = Window {
            minute: i64::MIN,
            counts: HashMap::new(),
        };
        Self {
            max,
            window: Mutex::new(window),
        }
    }

    /// Counts one more; false when that is one too many, which is not counted.
    pub fn take(&self, key: K, now: Timestamp) -> bool {
        let mut window = self.window.lock();
        window.turn(now);
        if window.counts.len() >= KEYS_MAX && !window.counts.contains_key(&key) {
            return true;
        }
        let count = window.counts.entry(key).or_insert(0);
        let has_room = *count < self.max;
        if has_room {
            *count += 1;
        }
        has_room
    }

    /// One more would be one too many.
    pub fn is_used_up(&self, key: &K, now: Timestamp) -> bool {
        let mut window = self.window.lock();
        window.turn(now);
        window
            .counts
            .get(key)
            .is_some_and(|count| *count >= self.max)
    }
}

impl<K> Window<K> {
    fn turn(&mut self, now: Timestamp) {
        let minute = now.millis().div_euclid(MINUTE_MS);
        if self.minute != minute {
            self.minute = minute;
            // A new map: what an attack made large is given back.
            self.counts = HashMap::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_limit_until_the_minute_is_over() {
        let limit = PerMinute::new(2);
        let now = Timestamp(MINUTE_MS * 7 + 1);
        assert!(limit.take("a", now));
        assert!(!limit.is_used_up(&"a", now));
        assert!(limit.take("a", now));
        assert!(limit.is_used_up(&"a", now));
        assert!(!limit.take("a", now));
        assert!(limit.take("b", now));
        let next = now.plus_millis(MINUTE_MS);
        assert!(!limit.is_used_up(&"a", next));
        assert!(limit.take("a", next));
    }

    #[test]
    fn the_keys_are_bounded() {
        let limit = PerMinute::new(1);
        for key in 0..=KEYS_MAX {
            assert!(limit.take(key, Timestamp(0)));
        }
        assert_eq!(limit.window.lock().counts.len(), KEYS_MAX);
        assert!(limit.take(KEYS_MAX, Timestamp(0)), "not counted");
        assert!(!limit.take(0, Timestamp(0)), "counted before");
    }
}
