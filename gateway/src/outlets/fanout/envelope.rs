//! A message inside the router:
//!
//! ```text
//! | number QWORD | 1 if it is kept BYTE | length of the topic WORD | topic | payload … |
//! ```
//!
//! Numbers count up by one in each of the router's topics, so that a link sees what it lost.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::topic::{Kind, county};

const HEADER_BYTES: usize = 11;

/// A message on its way to the router.
#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) kind: Kind,
    /// Counts up by one with each batch that was to be queued.
    pub(super) batch: u64,
    topic: String,
    payload: Bytes,
    /// For newcomers; of an empty one: it was.
    is_kept: bool,
}

impl Envelope {
    pub(super) const fn new(kind: Kind, topic: String, payload: Bytes, is_kept: bool) -> Self {
        Self {
            kind,
            batch: 0,
            topic,
            payload,
            is_kept,
        }
    }

    /// Few, whatever is published.
    pub(super) fn router_topic(&self) -> String {
        format!("{}/{}", self.kind.as_str(), county(&self.topic))
    }

    pub(super) fn encode(&self, number: u64) -> Bytes {
        let length = HEADER_BYTES + self.topic.len() + self.payload.len();
        let mut bytes = BytesMut::with_capacity(length);
        bytes.put_u64(number);
        bytes.put_u8(self.is_kept.into());
        bytes.put_u16(u16::try_from(self.topic.len()).unwrap_or_default());
        bytes.put_slice(self.topic.as_bytes());
        bytes.put_slice(&self.payload);
        bytes.freeze()
    }
}

/// A message as a link gets it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) number: u64,
    pub(super) is_kept: bool,
    pub(super) topic: String,
    /// A part of what the router holds.
    pub(super) payload: Bytes,
}

impl Opened {
    /// None of what is not ours.
    pub(super) fn read(mut bytes: Bytes) -> Option<Self> {
        if bytes.len() < HEADER_BYTES {
            return None;
        }
        let number = bytes.get_u64();
        let is_kept = bytes.get_u8() == 1;
        let length = usize::from(bytes.get_u16());
        if bytes.len() < length {
            return None;
        }
        let topic = bytes.split_to(length);
        Some(Self {
            number,
            is_kept,
            topic: std::str::from_utf8(&topic).ok()?.to_owned(),
            payload: bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let topic = "gridtrace/live/140105/001/002/1/position".to_owned();
        let envelope = Envelope::new(Kind::Live, topic.clone(), Bytes::from_static(b"{}"), true);
        assert_eq!(envelope.router_topic(), "live/140105");
        let bytes = envelope.encode(7);
        let opened = Opened {
            number: 7,
            is_kept: true,
            topic,
            payload: Bytes::from_static(b"{}"),
        };
        assert_eq!(Opened::read(bytes.clone()), Some(opened));
        assert_eq!(Opened::read(bytes.slice(..20)), None);
        assert_eq!(Opened::read(Bytes::new()), None);
    }
}
