//! 0x0705 data of the CAN bus (CAN总线数据上传): terminal -> platform, answered by 0x8001. Since 2013.
//!
//! | offset | field  | wire     | notes                                                        |
//! |--------|--------|----------|--------------------------------------------------------------|
//! |      0 | count  | WORD     | frames                                                       |
//! |      2 | time   | BCD\[5\] | of the first frame: hhmmss and four digits of milliseconds   |
//! |      7 | frames | 12 bytes each | 2013 prints 8 as their offset                           |
//! | frame 0 | id    | DWORD    | 31 channel, 30 extended frame, 29 average over the interval, 0 to 28 CAN id |
//! | frame 4 | data  | BYTE\[8\] |                                                             |

use super::{
    Body,
    field::{Field as _, Raw, Rest, decode_entries},
    json::{self, JsonError, JsonProblem, Object},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, EncodeErrorKind, Reader, Writer},
};

/// What the terminal read from the CAN bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanData {
    /// Time of the first frame at GMT+8, in BCD: `hhmmss` and four digits of milliseconds.
    pub received_at: [u8; 5],
    /// The frames.
    pub frames: Vec<CanFrame>,
    /// Bytes behind the last frame.
    pub rest: Rest,
}

/// One frame of the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanFrame {
    /// CAN id, and the bits above it.
    pub id_word: u32,
    /// Payload.
    pub data: [u8; 8],
}

impl CanFrame {
    /// CAN id, 11 or 29 bits.
    #[must_use]
    pub const fn can_id(self) -> u32 {
        self.id_word & 0x1FFF_FFFF
    }

    /// Which bus: 0 or 1.
    #[must_use]
    pub const fn channel(self) -> u8 {
        self.bit(31)
    }

    /// Whether the id has 29 bits.
    #[must_use]
    pub const fn is_extended(self) -> bool {
        self.bit(30) == 1
    }

    /// Whether the payload is an average over the interval of collection.
    #[must_use]
    pub const fn is_average(self) -> bool {
        self.bit(29) == 1
    }

    const fn bit(self, bit: u32) -> u8 {
        if self.id_word >> bit & 1 == 1 { 1 } else { 0 }
    }
}

impl Body for CanFrame {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        Ok(Self {
            id_word: r.dword("id")?,
            data: Raw::read(r, "data", revision)?.0,
        })
    }

    fn encode(&self, w: &mut Writer, _: Revision) -> Result<(), EncodeError> {
        w.dword(self.id_word);
        w.bytes(&self.data);
        Ok(())
    }

    fn to_json(&self, object: &mut Object) {
        json::put(object, "can_id_raw", self.id_word);
        json::put(object, "channel", self.channel());
        json::put(object, "extended", self.bit(30));
        json::put(object, "averaged", self.bit(29));
        json::put(object, "can_id", self.can_id());
        json::put_hex(object, "data", &self.data);
    }

    fn from_json(_: &mut Object) -> Result<Self, JsonError> {
        Err(JsonError::new("frames", JsonProblem::UplinkOnly))
    }
}

impl Body for CanData {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        let count = r.word("count")?;
        Ok(Self {
            received_at: Raw::read(r, "received_at", revision)?.0,
            frames: decode_entries(r, "frames", count.into(), revision)?,
            rest: Rest(r.rest()),
        })
    }

    fn encode(&self, w: &mut Writer, revision: Revision) -> Result<(), EncodeError> {
        let kind = EncodeErrorKind::TooMany {
            count: self.frames.len(),
            count_max: u16::MAX.into(),
        };
        let error = EncodeError {
            field: "frames",
            kind,
        };
        w.word(u16::try_from(self.frames.len()).map_err(|_| error)?);
        w.bytes(&self.received_at);
        self.frames
            .iter()
            .try_for_each(|frame| Body::encode(frame, w, revision))?;
        self.rest.write(w, "rest", revision)
    }

    fn to_json(&self, object: &mut Object) {
        json::put(object, "count", self.frames.len());
        let time = json::to_hex(&self.received_at);
        json::put(object, "receive_time_bcd", time);
        let frames: Vec<_> = self.frames.iter().map(CanFrame::to_value).collect();
        json::put(object, "frames", frames);
        self.rest.put(object, "rest");
    }

    fn from_json(_: &mut Object) -> Result<Self, JsonError> {
        Err(JsonError::uplink_only())
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for CanFrame {
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        Self {
            id_word: c.any(revision),
            data: std::array::from_fn(|_| c.byte()),
        }
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for CanData {
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        Self {
            received_at: std::array::from_fn(|_| c.byte()),
            frames: c.list(revision),
            rest: c.any(revision),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hex,
        jt808::message::{Message, MessageId},
    };

    const BODY: &str = "0002 0830150250
                        98FEF100 0102030405060708
                        20000123 1112131415161718";

    #[test]
    fn frames_are_read_with_the_bits_above_their_ids() {
        let body = hex::bytes(BODY);
        let message = Message::decode(MessageId::CAN_DATA, body.clone(), Revision::V2013).unwrap();
        assert_eq!(message.encode(Revision::V2013), Ok(body));
        let Message::CanData(data) = message else {
            panic!("{message:?}")
        };
        assert_eq!(data.received_at, [0x08, 0x30, 0x15, 0x02, 0x50]);
        let [first, second] = data.frames[..] else {
            panic!("{data:?}")
        };
        assert_eq!((first.can_id(), first.channel()), (0x18FE_F100, 1));
        assert!(!first.is_extended() && !first.is_average());
        assert_eq!(first.data, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!((second.can_id(), second.channel()), (0x123, 0));
        assert!(!second.is_extended() && second.is_average());
    }

    #[test]
    fn bytes_beyond_the_count_are_kept_and_a_prefix_is_truncated() {
        let mut longer = hex::bytes(BODY).to_vec();
        longer.push(0xFF);
        let message =
            Message::decode(MessageId::CAN_DATA, longer.clone().into(), Revision::V2019).unwrap();
        assert_eq!(message.encode(Revision::V2019), Ok(longer.into()));
        let body = hex::bytes(BODY);
        for length in 0..body.len() {
            let cut = body.slice(..length);
            let decoded = Message::decode(MessageId::CAN_DATA, cut, Revision::V2013);
            assert_eq!(decoded.unwrap_err().reason(), "truncated", "{length}");
        }
    }
}
