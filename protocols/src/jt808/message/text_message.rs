//! 0x8300 text message (文本信息下发): platform -> terminal, answered by 0x0001.
//!
//! | before 2019 | 2019 | field | wire   | values                                                  |
//! |-------------|------|-------|--------|---------------------------------------------------------|
//! |           0 |    0 | flags | BYTE   | bits, below                                             |
//! |           - |    1 | type  | BYTE   | 1 notice, 2 service                                     |
//! |           1 |    2 | text  | STRING | GBK, at most 1024 bytes, to the end                     |
//!
//! | flag bit | before 2019                  | 2019                                         |
//! |----------|------------------------------|----------------------------------------------|
//! |        0 | urgent                       | bits 0 and 1: 1 service, 2 urgent, 3 notice  |
//! |        2 | show on the display          | likewise                                     |
//! |        3 | read aloud                   | likewise                                     |
//! |        4 | show on the advertising screen | reserved                                   |
//! |        5 | since 2013: 0 navigation, 1 fault codes of the CAN bus | likewise           |

use bytes::Bytes;

use super::{
    Body,
    field::{Field, put_text, take_optional, take_text},
    json::{JsonError, JsonProblem, Object},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, EncodeErrorKind, Reader, Writer},
};

/// A text for the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextMessage {
    /// How it is shown.
    pub flags: u8,
    /// 1 notice, 2 service; a field of 2019, where `None` is sent as a notice.
    pub text_type: Option<u8>,
    /// The text, GBK.
    pub text: Bytes,
}

impl TextMessage {
    /// The longest text that may be sent, in bytes of GBK.
    pub const TEXT_BYTES_MAX: usize = 1024;
    /// The type of a notice.
    pub const NOTICE: u8 = 1;
}

impl Body for TextMessage {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        let flags = r.byte("flags")?;
        let text_type = (revision == Revision::V2019).then(|| r.byte("text_type"));
        Ok(Self {
            flags,
            text_type: text_type.transpose()?,
            text: r.rest(),
        })
    }

    fn encode(&self, w: &mut Writer, revision: Revision) -> Result<(), EncodeError> {
        w.byte(self.flags);
        if revision == Revision::V2019 {
            w.byte(self.text_type.unwrap_or(Self::NOTICE));
        } else if self.text_type.is_some() {
            return Err(EncodeError {
                field: "text_type",
                kind: EncodeErrorKind::NoPlace,
            });
        }
        w.bytes(&self.text);
        Ok(())
    }

    fn to_json(&self, object: &mut Object) {
        self.flags.put(object, "flag");
        if let Some(text_type) = self.text_type {
            text_type.put(object, "text_type");
        }
        put_text(object, "text", &self.text);
    }

    fn from_json(object: &mut Object) -> Result<Self, JsonError> {
        let text = take_text(object, "text")?;
        if text.len() > Self::TEXT_BYTES_MAX {
            let problem = JsonProblem::Expected("at most 1024 bytes in GBK");
            return Err(JsonError::new("text", problem));
        }
        Ok(Self {
            flags: Field::take(object, "flag")?,
            text_type: take_optional(object, "text_type")?,
            text,
        })
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for TextMessage {
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        Self {
            flags: c.byte(),
            text_type: (revision == Revision::V2019).then(|| c.byte()),
            text: c.up_to(30),
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
            arbitrary::{check, check_truncated, json_error},
        },
    };

    const ID: MessageId = MessageId::TEXT_MESSAGE;

    #[test]
    fn a_text_is_gbk() {
        let json = json!({ "flag": 0x0C, "text": "请减速" });
        check(ID, Revision::V2013, "0C C7EBBCF5CBD9", &json);
        check_truncated(ID, Revision::V2011, "0C", 1);
    }

    #[test]
    fn a_type_stands_before_the_text_since_2019() {
        let json = json!({ "flag": 0x0E, "text_type": 1, "text": "请减速" });
        let message = check(ID, Revision::V2019, "0E 01 C7EBBCF5CBD9", &json);
        check_truncated(ID, Revision::V2019, "0E 01", 2);
        let error = message.encode(Revision::V2013).unwrap_err();
        assert_eq!(error.to_string(), "text_type has no place in this revision");
    }

    #[test]
    fn a_text_without_a_type_is_a_notice() {
        let json = json!({ "flag": 4, "text": "OK" });
        let message = Message::from_json(ID, json.as_object().unwrap().clone()).unwrap();
        assert_eq!(
            message.encode(Revision::V2019),
            Ok(hex::bytes("04 01 4F4B"))
        );
        assert_eq!(message.encode(Revision::V2013), Ok(hex::bytes("04 4F4B")));
    }

    #[test]
    fn a_text_that_is_too_long_is_not_sent() {
        let json = |count| json!({ "flag": 4, "text": "路".repeat(count) });
        let error = json_error(ID, json(513));
        assert_eq!(error, "text: must be at most 1024 bytes in GBK");
        let fits = json(512).as_object().unwrap().clone();
        assert!(Message::from_json(ID, fits).is_ok());
    }
}
