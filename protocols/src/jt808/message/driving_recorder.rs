//! 0x8700 collect data of the driving recorder (行驶记录数据采集命令): platform -> terminal, answered
//! by 0x0700. 0x8701 parameters for it (行驶记录参数下传命令): platform -> terminal, answered by 0x0001.
//! 0x0700 its data (行驶记录数据上传): terminal -> platform.
//!
//! | message | offset | field           | wire   | notes                                       |
//! |---------|--------|-----------------|--------|---------------------------------------------|
//! | 0x8700, 0x8701 | 0 | command       | BYTE   | command word of GB/T 19056                  |
//! |         |      1 | data            | BYTE\[\] | a whole packet of GB/T 19056; 2011: none with 0x8700 |
//! | 0x0700  |      0 | answered serial | WORD   | of the 0x8700                               |
//! |         |      2 | command         | BYTE   |                                             |
//! |         |      3 | data            | BYTE\[\] | to the end                                |
//! | 0x0700, 2011 | 0 | command         | BYTE   |                                             |
//! |         |      1 | total length    | WORD   | of the data in all its packets              |
//! |         |      3 | length          | WORD   | of the data in this packet                  |
//! |         |      5 | data            | BYTE\[\] |                                           |
//!
//! Any body of 2011 could be one of the later form, so only a terminal of that revision is read by
//! it, and only where the length is right.

use bytes::Bytes;

use super::{
    Body,
    field::{Data, layout},
    json::{self, JsonError, Object},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, Reader, Writer},
};

layout! {
    /// A command to the recorder.
    pub struct RecorderCommand {
        /// Command word of GB/T 19056.
        pub command: u8,
        /// Packet of GB/T 19056.
        pub data: Data = Data::default(),
    }
}

/// What the recorder answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecorderData {
    /// What stands in front of the data, by revision.
    pub form: RecorderForm,
    /// Command word that is answered.
    pub command: u8,
    /// Packet of GB/T 19056.
    pub data: Bytes,
}

/// What stands in front of the data of the recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecorderForm {
    /// Since 2013.
    Answer {
        /// Serial number of the message that is answered.
        answered_serial: u16,
    },
    /// 2011.
    Part {
        /// Length of the data in all packets, in bytes.
        bytes_total: u16,
    },
}

/// Whether a body has the layout of 2011.
fn is_part(body: &[u8]) -> bool {
    match body {
        [_, _, _, high, low, data @ ..] => {
            data.len() == usize::from(u16::from_be_bytes([*high, *low]))
        }
        _ => false,
    }
}

impl Body for RecorderData {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        if revision == Revision::V2011 && is_part(r.peek()) {
            let command = r.byte("command")?;
            let bytes_total = r.word("bytes_total")?;
            let length = r.word("data")?;
            return Ok(Self {
                form: RecorderForm::Part { bytes_total },
                command,
                data: r.bytes("data", length.into())?,
            });
        }
        let answered_serial = r.word("answered_serial")?;
        Ok(Self {
            form: RecorderForm::Answer { answered_serial },
            command: r.byte("command")?,
            data: r.rest(),
        })
    }

    fn encode(&self, w: &mut Writer, _: Revision) -> Result<(), EncodeError> {
        match self.form {
            RecorderForm::Answer { answered_serial } => {
                w.word(answered_serial);
                w.byte(self.command);
            }
            RecorderForm::Part { bytes_total } => {
                let bytes = self.data.len();
                let length = u16::try_from(bytes)
                    .map_err(|_| EncodeError::too_long("data", bytes, u16::MAX.into()))?;
                w.byte(self.command);
                w.word(bytes_total);
                w.word(length);
            }
        }
        w.bytes(&self.data);
        Ok(())
    }

    fn to_json(&self, object: &mut Object) {
        match self.form {
            RecorderForm::Answer { answered_serial } => {
                json::put(object, "reply_serial", answered_serial);
            }
            RecorderForm::Part { bytes_total } => json::put(object, "data_len", bytes_total),
        }
        json::put(object, "command", self.command);
        json::put_hex(object, "data", &self.data);
    }

    fn from_json(_: &mut Object) -> Result<Self, JsonError> {
        Err(JsonError::uplink_only())
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for RecorderData {
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        let form = if revision == Revision::V2011 && c.below(2) == 0 {
            RecorderForm::Part {
                bytes_total: c.any(revision),
            }
        } else {
            RecorderForm::Answer {
                answered_serial: c.any(revision),
            }
        };
        let data = Self {
            form,
            command: c.byte(),
            data: c.up_to(20),
        };
        super::arbitrary::as_read(&data, revision)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        hex,
        jt808::message::{Message, MessageId},
    };

    fn decode(text: &str, revision: Revision) -> RecorderData {
        let body = hex::bytes(text);
        let message = Message::decode(MessageId(0x0700), body.clone(), revision).unwrap();
        assert_eq!(message.encode(revision), Ok(body));
        match message {
            Message::RecorderData(data) => data,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn data_answers_a_command() {
        let data = decode("0001 02 557A02", Revision::V2013);
        let answered_serial = 1;
        assert_eq!(data.form, RecorderForm::Answer { answered_serial });
        assert_eq!((data.command, &data.data[..]), (2, &b"Uz\x02"[..]));
    }

    #[test]
    fn only_a_terminal_of_2011_sends_lengths() {
        let text = "02 0006 0003 557A02";
        let data = decode(text, Revision::V2011);
        assert_eq!(data.form, RecorderForm::Part { bytes_total: 6 });
        assert_eq!((data.command, &data.data[..]), (2, &b"Uz\x02"[..]));
        let later = decode(text, Revision::V2013);
        assert!(matches!(later.form, RecorderForm::Answer { .. }));
        let other_length = decode("02 0006 0002 557A02", Revision::V2011);
        assert!(matches!(other_length.form, RecorderForm::Answer { .. }));
    }

    #[test]
    fn a_prefix_of_the_fixed_part_is_truncated() {
        for length in 0..3 {
            let body = hex::bytes("0001 02").slice(..length);
            for revision in [Revision::V2011, Revision::V2019] {
                let decoded = Message::decode(MessageId(0x0700), body.clone(), revision);
                assert_eq!(decoded.unwrap_err().reason(), "truncated");
            }
        }
    }

    #[test]
    fn a_command_needs_no_data() {
        let Some(object) = json!({ "command": 2 }).as_object().cloned() else {
            panic!("no object")
        };
        let message = Message::from_json(MessageId(0x8700), object).unwrap();
        assert_eq!(message.encode(Revision::V2011), Ok(hex::bytes("02")));
        let body = hex::bytes("82 AA55");
        let message = Message::decode(MessageId(0x8701), body.clone(), Revision::V2013).unwrap();
        assert_eq!(message.encode(Revision::V2013), Ok(body));
    }
}
