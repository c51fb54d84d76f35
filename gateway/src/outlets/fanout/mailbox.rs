//! What waits for one subscriber: the newest message of each topic, in the order in which the topics
//! got one.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;

/// A message for a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its topic.
    pub topic: Arc<str>,
    /// JSON, or empty: nothing is known under this topic any more.
    pub payload: Bytes,
    /// It is from before the subscription.
    pub is_retained: bool,
    /// It is kept for newcomers.
    pub is_kept: bool,
}

/// What comes into a mailbox.
#[derive(Clone, Debug)]
pub struct Letter {
    pub(super) payload: Bytes,
    pub(super) is_retained: bool,
    pub(super) is_kept: bool,
    /// Of a violation, which nothing replaces: it has room of its own.
    is_violation: bool,
}

impl Letter {
    pub(super) const fn kept(payload: Bytes, is_retained: bool) -> Self {
        Self {
            payload,
            is_retained,
            is_kept: true,
            is_violation: false,
        }
    }

    /// Something new: whether it is the last of its topic that is kept for newcomers, and whether it is a
    /// violation.
    #[must_use]
    pub const fn news(payload: Bytes, is_kept: bool, is_violation: bool) -> Self {
        Self {
            payload,
            is_retained: false,
            is_kept,
            is_violation,
        }
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It waits.
    Waits,
    /// It waits in the place of an older one, which is gone.
    Replaced,
    /// It is gone: too many topics wait.
    Full,
}

/// What waits. `benches/fanout.rs` fills it without the router.
#[derive(Debug)]
pub struct Mailbox {
    topics_max: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    order: VecDeque<Arc<str>>,
    newest: HashMap<Arc<str>, Letter>,
    /// Of these, topics of violations.
    violations: usize,
}

impl Mailbox {
    /// An empty one, for so many topics.
    #[must_use]
    pub fn new(topics_max: usize) -> Self {
        Self {
            topics_max,
            waiting: Mutex::default(),
        }
    }

    /// A message arrives.
    pub fn put(&self, topic: &str, letter: Letter) -> Put {
        let mut waiting = self.waiting.lock();
        if let Some(older) = waiting.newest.get_mut(topic) {
            *older = letter;
            return Put::Replaced;
        }
        // Each has its own room: positions push no violation out.
        let of_kind = if letter.is_violation {
            waiting.violations
        } else {
            waiting.newest.len() - waiting.violations
        };
        if of_kind >= self.topics_max {
            return Put::Full;
        }
        waiting.violations += usize::from(letter.is_violation);
        let topic: Arc<str> = Arc::from(topic);
        waiting.order.push_back(Arc::clone(&topic));
        waiting.newest.insert(topic, letter);
        Put::Waits
    }

    /// The message that waits for the longest time.
    pub fn take(&self) -> Option<Item> {
        let mut waiting = self.waiting.lock();
        let topic = waiting.order.pop_front()?;
        let Entry::Occupied(entry) = waiting.newest.entry(topic) else {
            return None;
        };
        let (topic, letter) = entry.remove_entry();
        waiting.violations -= usize::from(letter.is_violation);
        if waiting.order.is_empty() {
            // What a snapshot made large is given back.
            *waiting = Waiting::default();
        }
        Some(Item {
            topic,
            payload: letter.payload,
            is_retained: letter.is_retained,
            is_kept: letter.is_kept,
        })
    }

    /// Nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.lock().order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_a_topic_waits_in_the_place_of_the_first() {
        let mailbox = Mailbox::new(2);
        let put = |topic, text: &'static str| {
            let text = Bytes::from_static(text.as_bytes());
            mailbox.put(topic, Letter::news(text, true, false))
        };
        assert_eq!(put("a", "1"), Put::Waits);
        assert_eq!(put("b", "2"), Put::Waits);
        assert_eq!(put("a", "3"), Put::Replaced);
        assert_eq!(put("c", "4"), Put::Full);
        let taken: Vec<_> = std::iter::from_fn(|| mailbox.take())
            .map(|item| (item.topic.to_string(), item.payload))
            .collect();
        let expected =
            [("a", "3"), ("b", "2")].map(|(t, p)| (t.to_owned(), Bytes::from_static(p.as_bytes())));
        assert_eq!(taken, expected);
        assert!(mailbox.is_empty());
        assert_eq!(put("c", "5"), Put::Waits, "there is room again");
    }

    #[test]
    fn positions_push_no_violation_out_and_the_other_way_round() {
        let mailbox = Mailbox::new(2);
        let put = |topic: &str, is_violation| {
            mailbox.put(topic, Letter::news(Bytes::new(), false, is_violation))
        };
        let put = [
            put("p1", false),
            put("p2", false),
            put("p3", false),
            put("v1", true),
            put("v2", true),
            put("v3", true),
            put("v1", true),
        ];
        use Put::{Full, Replaced, Waits};
        assert_eq!(put, [Waits, Waits, Full, Waits, Waits, Full, Replaced]);
        let taken = std::iter::from_fn(|| mailbox.take()).count();
        assert_eq!(taken, 4);
    }
}
