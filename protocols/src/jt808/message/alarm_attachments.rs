//! 0x9208 order to upload the attachments of an alarm (报警附件上传指令): platform -> terminal, answered
//! by 0x0001, and
//! 0x1210 attachments of an alarm (报警附件信息消息): terminal -> server of attachments, answered by
//! 0x8001.
//!
//! T/JSATL 12 and T/GDRTA 002. Widths are those of the former, and of the latter where two stand;
//! which of them a body has, its length says.
//!
//! | 0x9208 | field        | wire               | values                                         |
//! |--------|--------------|--------------------|------------------------------------------------|
//! |      0 | server       | BYTE k, STRING     | address or name of the server of attachments   |
//! |  1 + k | TCP port     | WORD               | 0 none                                         |
//! |  3 + k | UDP port     | WORD               | 0 none                                         |
//! |  5 + k | label        | 16 or 40           | as below                                       |
//! |      . | alarm number | BYTE\[32\]         | the platform's, unique                         |
//! |      . | reserved     | BYTE\[16\]         |                                                |
//!
//! | 0x1210 | field        | wire               | values                                         |
//! |--------|--------------|--------------------|------------------------------------------------|
//! |      0 | terminal id  | BYTE\[7\] or \[30\] |                                               |
//! |      . | label        | 16 or 40           | as below                                       |
//! |      . | alarm number | BYTE\[32\]         | as in the order                                |
//! |      . | info type    | BYTE               | 0 new, 1 again after a break                   |
//! |      . | files        | BYTE n, n times: BYTE k, STRING, DWORD | name and size in bytes     |
//!
//! | label   | field       | wire                | values                        |
//! |---------|-------------|---------------------|-------------------------------|
//! |  0      | terminal id | BYTE\[7\] or \[30\] | filled with 0x00 behind       |
//! |  7, 30  | time        | BCD\[6\]            | YYMMDDhhmmss at GMT+8         |
//! | 13, 36  | sequence    | BYTE                | within the same second        |
//! | 14, 37  | attachments | BYTE                | number                        |
//! | 15, 38  | reserved    | BYTE\[1\] or \[2\]  |                               |

use bytes::Bytes;

use super::{
    Body,
    field::{self, BcdTime, Counted, Field, List, Raw, Rest, Text, Width, layout},
    json::{self, JsonError, JsonProblem, Object},
    location_report::active_safety::{AlarmLabel, LabelForm},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, Padding, Reader, Writer},
};

/// Send the attachments of an alarm there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachmentsRequest {
    /// Address or name of the server.
    pub server: Text<Counted<u8>>,
    /// Its TCP port; 0 none.
    pub tcp_port: u16,
    /// Its UDP port; 0 none.
    pub udp_port: u16,
    /// Which alarm, as its item said.
    pub label: AlarmLabel<Bytes>,
    /// The platform's number of the alarm. Terminals put it into file names, between `_`.
    pub alarm_number: Text<Width<32>>,
    /// Reserved.
    pub reserved: Raw<16>,
    /// Bytes beyond the layout.
    pub rest: Rest,
}

/// The files that an alarm has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlarmAttachments {
    /// Id of the terminal, padding included.
    pub terminal_id: Bytes,
    /// Which alarm.
    pub label: AlarmLabel<Bytes>,
    /// The platform's number of the alarm.
    pub alarm_number: Text<Width<32>>,
    /// 0 new, 1 again after a break.
    pub info_type: u8,
    /// Files that will follow.
    pub files: List<u8, AttachmentEntry>,
}

layout! {
    /// A file of an alarm.
    pub struct AttachmentEntry {
        /// Its name. A terminal chooses it: it is no path.
        pub file_name: Text<Counted<u8>>,
        /// Its size, in bytes.
        pub file_bytes as "file_size": u32,
    }
}

/// Bytes of 0x9208 behind a label.
const BEHIND_LABEL: usize = 32 + 16;

impl Body for AttachmentsRequest {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        let server = Field::read(r, "server", revision)?;
        let tcp_port = r.word("tcp_port")?;
        let udp_port = r.word("udp_port")?;
        let form = if r.remaining() >= LabelForm::Gdrta002.bytes() + BEHIND_LABEL {
            LabelForm::Gdrta002
        } else {
            LabelForm::Jsatl12
        };
        Ok(Self {
            server,
            tcp_port,
            udp_port,
            label: AlarmLabel::decode(r, form)?,
            alarm_number: Field::read(r, "alarm_number", revision)?,
            reserved: Field::read(r, "reserved", revision)?,
            rest: Field::read(r, "rest", revision)?,
        })
    }

    fn encode(&self, w: &mut Writer, revision: Revision) -> Result<(), EncodeError> {
        self.server.write(w, "server", revision)?;
        w.word(self.tcp_port);
        w.word(self.udp_port);
        self.label.encode(w)?;
        self.alarm_number.write(w, "alarm_number", revision)?;
        w.bytes(&self.reserved.0);
        w.bytes(&self.rest.0);
        Ok(())
    }

    fn to_json(&self, object: &mut Object) {
        self.server.put(object, "server_ip");
        json::put(object, "tcp_port", self.tcp_port);
        json::put(object, "udp_port", self.udp_port);
        self.label.put(object);
        self.alarm_number.put(object, "alarm_no");
        self.reserved.put(object, "reserved");
        self.rest.put(object, "rest");
    }

    /// `udp_port` and what is reserved are zeros where they are not given.
    fn from_json(object: &mut Object) -> Result<Self, JsonError> {
        let reserved = json::take_hex(object, "reserved")?.unwrap_or_else(|| vec![0; 16].into());
        let reserved = reserved.as_ref().try_into().map_err(|_| {
            JsonError::new("reserved_hex", JsonProblem::Expected("16 bytes in hex"))
        })?;
        let udp_port = object.remove("udp_port").unwrap_or_else(|| 0.into());
        Ok(Self {
            server: Field::take(object, "server_ip")?,
            tcp_port: Field::take(object, "tcp_port")?,
            udp_port: Field::from_value(udp_port, "udp_port")?,
            label: AlarmLabel::take(object)?,
            alarm_number: Field::take(object, "alarm_no")?,
            reserved: Raw(reserved),
            rest: Field::take(object, "rest")?,
        })
    }
}

impl AlarmAttachments {
    fn decode_as(r: &mut Reader, form: LabelForm, revision: Revision) -> Result<Self, DecodeError> {
        Ok(Self {
            terminal_id: r.bytes("terminal_id", form.terminal_id_bytes())?,
            label: AlarmLabel::decode(r, form)?,
            alarm_number: Field::read(r, "alarm_number", revision)?,
            info_type: r.byte("info_type")?,
            files: Field::read(r, "files", revision)?,
        })
    }
}

impl Body for AlarmAttachments {
    /// The form whose files end with the body.
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        let start = r.clone();
        for form in [LabelForm::Jsatl12, LabelForm::Gdrta002] {
            *r = start.clone();
            let decoded = Self::decode_as(r, form, revision);
            if let Ok(body) = decoded
                && r.remaining() == 0
            {
                return Ok(body);
            }
        }
        Err(start.no_layout("label"))
    }

    fn encode(&self, w: &mut Writer, revision: Revision) -> Result<(), EncodeError> {
        let id_bytes = self.label.form.terminal_id_bytes();
        w.padded(
            "terminal_id",
            &self.terminal_id,
            id_bytes,
            Padding::ZerosAfter,
        )?;
        self.label.encode(w)?;
        self.alarm_number.write(w, "alarm_number", revision)?;
        w.byte(self.info_type);
        self.files.write(w, "files", revision)
    }

    fn to_json(&self, object: &mut Object) {
        field::put_text(object, "terminal_id", &self.terminal_id);
        self.label.put(object);
        self.alarm_number.put(object, "alarm_no");
        json::put(object, "info_type", self.info_type);
        self.files.put(object, "files");
    }

    fn from_json(_: &mut Object) -> Result<Self, JsonError> {
        Err(JsonError::uplink_only())
    }
}

impl AlarmLabel<&[u8]> {
    /// The same, to be kept.
    #[must_use]
    pub fn to_owned(self) -> AlarmLabel<Bytes> {
        AlarmLabel {
            form: self.form,
            terminal_id: Bytes::copy_from_slice(self.terminal_id),
            time: self.time,
            sequence: self.sequence,
            attachments: self.attachments,
            reserved: Bytes::copy_from_slice(self.reserved),
        }
    }
}

impl AlarmLabel<Bytes> {
    fn decode(r: &mut Reader, form: LabelForm) -> Result<Self, DecodeError> {
        Ok(Self {
            form,
            terminal_id: r.bytes("alarm_terminal_id", form.terminal_id_bytes())?,
            time: r.time("alarm_time")?,
            sequence: r.byte("alarm_sequence")?,
            attachments: r.byte("attachments")?,
            reserved: r.bytes("alarm_reserved", form.reserved_bytes())?,
        })
    }

    fn encode(&self, w: &mut Writer) -> Result<(), EncodeError> {
        let (form, id) = (self.form, &self.terminal_id);
        w.padded(
            "alarm_terminal_id",
            id,
            form.terminal_id_bytes(),
            Padding::ZerosAfter,
        )?;
        w.bytes(&self.time.0);
        w.byte(self.sequence);
        w.byte(self.attachments);
        let reserved_bytes = form.reserved_bytes();
        w.padded(
            "alarm_reserved",
            &self.reserved,
            reserved_bytes,
            Padding::ZerosAfter,
        )
    }

    /// The reserved bytes choose the form: one of T/JSATL 12, two of T/GDRTA 002. Without them, a
    /// terminal id of more than 7 bytes is of the latter.
    fn take(object: &mut Object) -> Result<Self, JsonError> {
        let terminal_id = field::take_text(object, "alarm_terminal_id")?;
        let reserved = json::take_hex(object, "alarm_reserved")?;
        let reserved_bytes = match &reserved {
            Some(reserved) => reserved.len(),
            None if terminal_id.len() > LabelForm::Jsatl12.terminal_id_bytes() => 2,
            None => 1,
        };
        let form = [LabelForm::Jsatl12, LabelForm::Gdrta002]
            .into_iter()
            .find(|form| form.reserved_bytes() == reserved_bytes)
            .ok_or_else(|| {
                let problem = JsonProblem::Expected("one byte or two in hex");
                JsonError::new("alarm_reserved_hex", problem)
            })?;
        Ok(Self {
            form,
            terminal_id,
            time: BcdTime::take(object, "alarm_time")?.0,
            sequence: Field::take(object, "alarm_seq")?,
            attachments: Field::take(object, "attachment_count")?,
            reserved: reserved.unwrap_or_default(),
        })
    }
}

impl<B: AsRef<[u8]>> AlarmLabel<B> {
    /// Adds its fields to an object.
    pub(super) fn put(&self, object: &mut Object) {
        field::put_text(object, "alarm_terminal_id", self.terminal_id.as_ref());
        BcdTime(self.time).put(object, "alarm_time");
        json::put(object, "alarm_seq", self.sequence);
        json::put(object, "attachment_count", self.attachments);
        json::put_hex(object, "alarm_reserved", self.reserved.as_ref());
    }
}

#[cfg(test)]
mod arbitrary {
    use super::{super::arbitrary::*, *};

    impl Arbitrary for AlarmLabel<Bytes> {
        fn arbitrary(c: &mut Choices, revision: Revision) -> Self {
            let form = match c.below(2) {
                0 => LabelForm::Jsatl12,
                _ => LabelForm::Gdrta002,
            };
            Self {
                form,
                terminal_id: c.bytes(form.terminal_id_bytes()),
                time: c.any(revision),
                sequence: c.byte(),
                attachments: c.byte(),
                reserved: c.bytes(form.reserved_bytes()),
            }
        }
    }

    impl Arbitrary for AttachmentsRequest {
        fn arbitrary(c: &mut Choices, revision: Revision) -> Self {
            Self {
                server: c.any(revision),
                tcp_port: c.any(revision),
                udp_port: c.any(revision),
                label: c.any(revision),
                alarm_number: c.any(revision),
                reserved: c.any(revision),
                rest: c.any(revision),
            }
        }
    }

    impl Arbitrary for AlarmAttachments {
        fn arbitrary(c: &mut Choices, revision: Revision) -> Self {
            let label: AlarmLabel<Bytes> = c.any(revision);
            let id_bytes = label.form.terminal_id_bytes();
            let mut id = label.terminal_id.to_vec();
            // Where the shorter form counts its files, an id of 30 bytes is filled with zeros:
            // no body is both.
            id.iter_mut().skip(20).for_each(|byte| *byte = 0);
            Self {
                terminal_id: c.bytes(id_bytes),
                label: AlarmLabel {
                    terminal_id: id.into(),
                    ..label
                },
                alarm_number: c.any(revision),
                info_type: c.byte(),
                files: c.any(revision),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        hex,
        jt808::message::{Message, MessageId},
    };

    const NUMBER: &str = "6131000000000000000000000000000000000000000000000000000000000000";
    const SHORT_LABEL: &str = "37363534333231 240715083015 01 03 00";
    const LONG_LABEL: &str = "373635343332310000000000000000000000000000000000000000000000
                              240715083015 01 03 0000";

    fn shown(id: MessageId, text: &str) -> Value {
        let body = hex::bytes(text);
        let message = Message::decode(id, body.clone(), Revision::V2013).unwrap();
        assert_eq!(message.encode(Revision::V2013), Ok(body));
        message.to_json().into()
    }

    #[test]
    fn an_order_has_either_label() {
        for (label, reserved) in [(SHORT_LABEL, "00"), (LONG_LABEL, "0000")] {
            let text = ["03 612E62 1388 0000", label, NUMBER, &"00".repeat(16)].concat();
            let fields = json!({
                "server_ip": "a.b", "tcp_port": 5000, "udp_port": 0,
                "alarm_terminal_id": "7654321", "alarm_time_bcd": "240715083015", "alarm_seq": 1,
                "attachment_count": 3, "alarm_reserved_hex": reserved, "alarm_no": "a1",
                "reserved_hex": "00000000000000000000000000000000",
            });
            let id = MessageId::ATTACHMENTS_REQUEST;
            assert_eq!(shown(id, &text), fields);
            let Value::Object(object) = fields else {
                unreachable!()
            };
            let message = Message::from_json(id, object).unwrap();
            assert_eq!(message.encode(Revision::V2013), Ok(hex::bytes(&text)));
            let body = hex::bytes(&text);
            for length in 0..12 + 60 {
                let error = Message::decode(id, body.slice(..length), Revision::V2013);
                assert_eq!(error.map_err(|e| e.reason()), Err("truncated"), "{length}");
            }
        }
    }

    #[test]
    fn what_is_reserved_need_not_be_said() {
        let Value::Object(mut object) = json!({
            "server_ip": "a.b", "tcp_port": 5000, "alarm_terminal_id": "7654321",
            "alarm_time_bcd": "240715083015", "alarm_seq": 1, "attachment_count": 3,
            "alarm_no": "a1",
        }) else {
            unreachable!()
        };
        let id = MessageId::ATTACHMENTS_REQUEST;
        let message = Message::from_json(id, object.clone()).unwrap();
        let text = ["03 612E62 1388 0000", SHORT_LABEL, NUMBER, &"00".repeat(16)].concat();
        assert_eq!(message.encode(Revision::V2013), Ok(hex::bytes(&text)));
        object.insert("alarm_reserved_hex".to_owned(), "000000".into());
        let error = Message::from_json(id, object).unwrap_err();
        assert_eq!(
            error.to_string(),
            "alarm_reserved_hex: must be one byte or two in hex"
        );
    }

    #[test]
    fn the_files_of_an_alarm_end_with_the_body() {
        let files = "00 02 01 61 00000010 02 6263 00000020";
        for (terminal_id, label, reserved) in [
            ("37363534333231".to_owned(), SHORT_LABEL, "00"),
            (
                format!("37363534333231{}", "00".repeat(23)),
                LONG_LABEL,
                "0000",
            ),
        ] {
            let text = [&terminal_id, label, NUMBER, files].concat();
            assert_eq!(
                shown(MessageId::ALARM_ATTACHMENTS, &text),
                json!({
                    "terminal_id": "7654321", "alarm_terminal_id": "7654321",
                    "alarm_time_bcd": "240715083015", "alarm_seq": 1, "attachment_count": 3,
                    "alarm_reserved_hex": reserved, "alarm_no": "a1", "info_type": 0, "count": 2,
                    "files": [
                        { "file_name": "a", "file_size": 16 },
                        { "file_name": "bc", "file_size": 32 },
                    ],
                })
            );
            // The longer form up to there is a whole one of the shorter, without a file.
            let body = hex::bytes(&text);
            for length in (0..body.len()).filter(|length| *length != 57) {
                let cut = body.slice(..length);
                let error = Message::decode(MessageId::ALARM_ATTACHMENTS, cut, Revision::V2013);
                assert_eq!(error.map_err(|e| e.reason()), Err("no_layout"), "{length}");
            }
        }
    }
}
