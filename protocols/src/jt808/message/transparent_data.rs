//! 0x8900 data for a device behind the terminal (数据下行透传): platform -> terminal, answered by
//! 0x0001. 0x0900 data from one (数据上行透传): terminal -> platform, answered by 0x8001.
//!
//! | 2011 | 2013, 2019 | field        | wire     | notes                                        |
//! |------|------------|--------------|----------|----------------------------------------------|
//! |    0 |          0 | type         | BYTE     | 0x00 GNSS module, 0x0B IC card, 0x41 and 0x42 serial ports, from 0xF0 the maker's |
//! |    1 |            | total length | DWORD    | of the data in all its packets               |
//! |    5 |            | length       | WORD     | of the data in this packet                   |
//! |    7 |          1 | data         | BYTE\[\] | to the end of the body                       |
//!
//! Any body of 2011 could be one of the later form, so only a terminal of that revision is read by
//! it, and only where the length is right. Types 0xF7 and 0xF8 are [`peripheral`].

pub mod peripheral;

use bytes::Bytes;

use self::peripheral::{PeripheralQuery, PeripheralReport};
use super::{
    Body,
    field::{Data, Field as _, ToEnd, take_optional, take_or},
    json::{self, JsonError, Object},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, Reader, Writer},
};

/// Data that the terminal only hands through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransparentData {
    /// Which device or port.
    pub data_type: u8,
    /// Length of the data in all packets, in bytes; in the form of 2011 only.
    pub bytes_total: Option<u32>,
    /// The data.
    pub data: Bytes,
}

/// Whether a body has the layout of 2011.
fn is_part(body: &[u8]) -> bool {
    match body {
        [_, _, _, _, _, high, low, data @ ..] => {
            data.len() == usize::from(u16::from_be_bytes([*high, *low]))
        }
        _ => false,
    }
}

impl TransparentData {
    /// Data for a device.
    #[must_use]
    pub const fn new(data_type: u8, data: Bytes) -> Self {
        Self {
            data_type,
            bytes_total: None,
            data,
        }
    }

    /// What the terminal says of its peripherals (T/JSATL 12); `None` for other data.
    #[must_use]
    pub fn peripheral_report(&self) -> Option<PeripheralReport> {
        PeripheralReport::of(self)
    }

    /// Which peripherals are asked about (T/JSATL 12); `None` for other data.
    #[must_use]
    pub fn peripheral_query(&self) -> Option<PeripheralQuery> {
        PeripheralQuery::of(self)
    }
}

impl Body for TransparentData {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        let is_part = revision == Revision::V2011 && is_part(r.peek());
        let data_type = r.byte("data_type")?;
        if !is_part {
            return Ok(Self::new(data_type, r.rest()));
        }
        let bytes_total = Some(r.dword("bytes_total")?);
        let length = r.word("data")?;
        Ok(Self {
            data_type,
            bytes_total,
            data: r.bytes("data", length.into())?,
        })
    }

    fn encode(&self, w: &mut Writer, _: Revision) -> Result<(), EncodeError> {
        w.byte(self.data_type);
        if let Some(bytes_total) = self.bytes_total {
            let bytes = self.data.len();
            let length = u16::try_from(bytes)
                .map_err(|_| EncodeError::too_long("data", bytes, u16::MAX.into()))?;
            w.dword(bytes_total);
            w.word(length);
        }
        w.bytes(&self.data);
        Ok(())
    }

    fn to_json(&self, object: &mut Object) {
        json::put(object, "transparent_type", self.data_type);
        if let Some(bytes_total) = self.bytes_total {
            json::put(object, "data_len", bytes_total);
        }
        json::put_hex(object, "data", &self.data);
    }

    fn from_json(object: &mut Object) -> Result<Self, JsonError> {
        Ok(Self {
            data_type: u8::take(object, "transparent_type")?,
            bytes_total: take_optional(object, "data_len")?,
            data: take_or(object, "data", Data::<ToEnd>::default())?.0,
        })
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for TransparentData {
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        let is_part = revision == Revision::V2011 && c.below(2) == 0;
        let data = Self {
            data_type: c.byte(),
            bytes_total: is_part.then(|| c.any(revision)),
            data: c.up_to(20),
        };
        super::arbitrary::as_read(&data, revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hex,
        jt808::message::{Message, MessageId},
    };

    #[test]
    fn data_is_handed_on_in_both_directions() {
        let body = hex::bytes("41 0102");
        let data = TransparentData::new(0x41, hex::bytes("0102"));
        for (id, message) in [
            (0x0900, Message::TransparentUplink(data.clone())),
            (0x8900, Message::TransparentDownlink(data.clone())),
        ] {
            for revision in [Revision::V2011, Revision::V2013, Revision::V2019] {
                let decoded = Message::decode(MessageId(id), body.clone(), revision);
                assert_eq!(decoded.as_ref(), Ok(&message));
                assert_eq!(message.encode(revision), Ok(body.clone()));
            }
            let empty = Message::decode(MessageId(id), Bytes::new(), Revision::V2013);
            assert_eq!(empty.unwrap_err().reason(), "truncated");
        }
    }

    #[test]
    fn only_a_terminal_of_2011_sends_lengths() {
        let body = hex::bytes("41 00000009 0002 0102");
        for (revision, expected) in [
            (
                Revision::V2011,
                TransparentData {
                    bytes_total: Some(9),
                    ..TransparentData::new(0x41, hex::bytes("0102"))
                },
            ),
            (Revision::V2013, TransparentData::new(0x41, body.slice(1..))),
        ] {
            let message = Message::decode(MessageId(0x0900), body.clone(), revision).unwrap();
            assert_eq!(message.encode(revision), Ok(body.clone()));
            assert_eq!(message, Message::TransparentUplink(expected));
        }
    }
}
