//! 0x8100 registration response (终端注册应答): platform -> terminal, the answer to 0x0100.
//!
//! | offset | field           | wire   | values                                                   |
//! |--------|-----------------|--------|----------------------------------------------------------|
//! |      0 | answered serial | WORD   | serial number of the registration                        |
//! |      2 | result          | BYTE   | 0 done, 1 vehicle registered, 2 vehicle unknown, 3 terminal registered, 4 terminal unknown |
//! |      3 | auth code       | STRING | to the end of the body; with result 0 only               |

use bytes::Bytes;

use super::{
    Body,
    field::{Field, put_text, take_text},
    json::{self, JsonError, Object},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, Reader, Writer, text},
};

/// What became of a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationResponse {
    /// Serial number of the registration.
    pub answered_serial: u16,
    /// Result code.
    pub result: u8,
    /// The code for 0x0102, GBK. Terminals cannot read an empty one with result 0.
    pub auth_code: Bytes,
}

impl Body for RegistrationResponse {
    fn decode(r: &mut Reader, _revision: Revision) -> Result<Self, DecodeError> {
        Ok(Self {
            answered_serial: r.word("answered_serial")?,
            result: r.byte("result")?,
            auth_code: r.rest(),
        })
    }

    fn encode(&self, w: &mut Writer, _revision: Revision) -> Result<(), EncodeError> {
        w.word(self.answered_serial);
        w.byte(self.result);
        w.bytes(&self.auth_code);
        Ok(())
    }

    fn to_json(&self, object: &mut Object) {
        json::put(object, "reply_serial", self.answered_serial);
        json::put(object, "result", self.result);
        if !text::trim_nul(&self.auth_code).is_empty() {
            put_text(object, "auth_code", &self.auth_code);
        }
    }

    fn from_json(object: &mut Object) -> Result<Self, JsonError> {
        Ok(Self {
            answered_serial: Field::take(object, "reply_serial")?,
            result: Field::take(object, "result")?,
            auth_code: take_text(object, "auth_code").unwrap_or_default(),
        })
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for RegistrationResponse {
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        Self {
            answered_serial: c.any(revision),
            result: c.byte(),
            auth_code: c.up_to(20),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jt808::message::{Message, MessageId};

    #[test]
    fn a_success_has_a_code_and_a_refusal_has_none() {
        for (body, result, code) in [
            (&b"\x00\x2A\x00A1B2C3"[..], 0, &b"A1B2C3"[..]),
            (&b"\x00\x2A\x03"[..], 3, &b""[..]),
        ] {
            let body = Bytes::from_static(body);
            let message =
                Message::decode(MessageId(0x8100), body.clone(), Revision::V2013).unwrap();
            let auth_code = Bytes::from_static(code);
            let response = RegistrationResponse {
                answered_serial: 42,
                result,
                auth_code,
            };
            assert_eq!(message, Message::RegistrationResponse(response));
            assert_eq!(message.encode(Revision::V2013), Ok(body));
        }
    }

    #[test]
    fn a_prefix_is_truncated() {
        for length in 0..3 {
            let body = Bytes::from_static(&[0, 1, 0]).slice(..length);
            assert!(Message::decode(MessageId(0x8100), body, Revision::V2019).is_err());
        }
    }
}
