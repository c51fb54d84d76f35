//! 0x8003 request of missing packets (补传分包请求): platform -> terminal, since 2013, and
//! 0x0005 the same from the terminal (终端补传分包请求): terminal -> platform, since 2019. The
//! answer to either is the packets, as they were sent before.
//!
//! | before 2019 | 2019 | field           | wire       | notes                                      |
//! |-------------|------|-----------------|------------|--------------------------------------------|
//! |           0 |    0 | original serial | WORD       | serial number of the first packet          |
//! |           2 |    2 | count           | BYTE, WORD | a BYTE before 2019                         |
//! |           3 |    4 | packet numbers  | WORD each  | from 1, rising                             |
//!
//! Senders are known that write the count of the other revision. Its width cannot be mistaken where
//! the body has no more bytes than it needs.

use super::{
    Body,
    field::{Field, List, Number, Rest},
    json::{JsonError, Object},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, Reader, Writer},
};

/// These packets of a message did not arrive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetransmissionRequest {
    /// Serial number of the message's first packet.
    pub original_serial: u16,
    /// Numbers of the packets that are missing, from 1.
    pub packets: Vec<u16>,
    /// Whether the count has the width of the other revision.
    pub has_foreign_count: bool,
    /// Bytes beyond the layout.
    pub rest: Rest,
}

impl RetransmissionRequest {
    /// A request by the layout of the revision that it is sent in.
    #[must_use]
    pub fn new(original_serial: u16, packets: Vec<u16>) -> Self {
        Self {
            original_serial,
            packets,
            ..Self::default()
        }
    }

    /// Whether the count is a WORD.
    fn is_wide(&self, revision: Revision) -> bool {
        (revision == Revision::V2019) != self.has_foreign_count
    }
}

/// Whether a count of this width and its packet numbers, one at least, are the whole of the bytes.
fn fits(after_serial: &[u8], is_wide: bool) -> bool {
    let (count, numbers) = match (after_serial, is_wide) {
        ([count, numbers @ ..], false) => (u16::from(*count), numbers),
        ([high, low, numbers @ ..], true) => (u16::from_be_bytes([*high, *low]), numbers),
        _ => return false,
    };
    count > 0 && numbers.len() == 2 * usize::from(count)
}

fn numbers<N: Number>(r: &mut Reader, revision: Revision) -> Result<Vec<u16>, DecodeError> {
    List::<N, u16>::read(r, "ids", revision).map(|list| list.0)
}

fn write_numbers<N: Number>(
    numbers: &[u16],
    w: &mut Writer,
    revision: Revision,
) -> Result<(), EncodeError> {
    List::<N, u16>::new(numbers.to_vec()).write(w, "ids", revision)
}

impl Body for RetransmissionRequest {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        let original_serial = r.word("original_serial")?;
        let is_own_wide = revision == Revision::V2019;
        let has_foreign_count = !fits(r.peek(), is_own_wide) && fits(r.peek(), !is_own_wide);
        let packets = if is_own_wide != has_foreign_count {
            numbers::<u16>(r, revision)?
        } else {
            numbers::<u8>(r, revision)?
        };
        Ok(Self {
            original_serial,
            packets,
            has_foreign_count,
            rest: Rest(r.rest()),
        })
    }

    fn encode(&self, w: &mut Writer, revision: Revision) -> Result<(), EncodeError> {
        w.word(self.original_serial);
        if self.is_wide(revision) {
            write_numbers::<u16>(&self.packets, w, revision)?;
        } else {
            write_numbers::<u8>(&self.packets, w, revision)?;
        }
        w.bytes(&self.rest.0);
        Ok(())
    }

    fn to_json(&self, object: &mut Object) {
        self.original_serial.put(object, "original_serial");
        List::<u16, u16>::new(self.packets.clone()).put(object, "ids");
        self.rest.put(object, "rest");
    }

    fn from_json(object: &mut Object) -> Result<Self, JsonError> {
        Ok(Self {
            original_serial: Field::take(object, "original_serial")?,
            packets: List::<u16, u16>::take(object, "ids")?.0,
            has_foreign_count: false,
            rest: Field::take(object, "rest")?,
        })
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for RetransmissionRequest {
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        let packets: Vec<u16> = c.list(revision);
        Self {
            original_serial: c.any(revision),
            has_foreign_count: c.below(2) == 1 && !packets.is_empty(),
            packets,
            rest: Rest::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        hex,
        jt808::message::{
            Message, MessageId,
            arbitrary::{check, check_truncated},
        },
    };

    #[test]
    fn the_count_is_a_byte_before_2019() {
        let json = json!({ "original_serial": 100, "count": 2, "ids": [2, 5] });
        for (id, revision, body) in [
            (0x8003, Revision::V2013, "0064 02 0002 0005"),
            (0x8003, Revision::V2019, "0064 0002 0002 0005"),
            (0x0005, Revision::V2019, "0064 0002 0002 0005"),
        ] {
            check(MessageId(id), revision, body, &json);
            check_truncated(MessageId(id), revision, body, hex::bytes(body).len());
        }
    }

    #[test]
    fn a_count_of_the_other_revision_is_told_by_the_length() {
        for (revision, body) in [
            (Revision::V2013, "0064 0002 0002 0005"),
            (Revision::V2019, "0064 02 0002 0005"),
        ] {
            let body = hex::bytes(body);
            let message = Message::decode(MessageId(0x0005), body.clone(), revision).unwrap();
            let request = RetransmissionRequest {
                has_foreign_count: true,
                ..RetransmissionRequest::new(100, vec![2, 5])
            };
            assert_eq!(
                message,
                Message::TerminalRetransmissionRequest(request.clone())
            );
            assert_eq!(message.encode(revision), Ok(body));
        }
    }

    #[test]
    fn a_byte_counts_no_more_than_255_packets() {
        let request = RetransmissionRequest::new(1, vec![7; 256]);
        let message = Message::PlatformRetransmissionRequest(request);
        assert!(message.encode(Revision::V2019).is_ok());
        let error = message.encode(Revision::V2013).unwrap_err();
        assert_eq!(error.reason(), "too_many");
    }
}
