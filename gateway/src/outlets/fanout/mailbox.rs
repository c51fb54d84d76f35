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
    newest: HashMap<Arc<str>, (Bytes, bool)>,
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
    pub fn put(&self, topic: &str, payload: Bytes, is_retained: bool) -> Put {
        let mut waiting = self.waiting.lock();
        if let Some(older) = waiting.newest.get_mut(topic) {
            *older = (payload, is_retained);
            return Put::Replaced;
        }
        if waiting.newest.len() >= self.topics_max {
            return Put::Full;
        }
        let topic: Arc<str> = Arc::from(topic);
        waiting.order.push_back(Arc::clone(&topic));
        waiting.newest.insert(topic, (payload, is_retained));
        Put::Waits
    }

    /// The message that waits for the longest time.
    pub fn take(&self) -> Option<Item> {
        let mut waiting = self.waiting.lock();
        let topic = waiting.order.pop_front()?;
        let Entry::Occupied(entry) = waiting.newest.entry(topic) else {
            return None;
        };
        let (topic, (payload, is_retained)) = entry.remove_entry();
        if waiting.order.is_empty() {
            // What a snapshot made large is given back.
            *waiting = Waiting::default();
        }
        Some(Item {
            topic,
            payload,
            is_retained,
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
            mailbox.put(topic, Bytes::from_static(text.as_bytes()), false)
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
}
