//! 0x8800 response to multimedia data (多媒体数据上传应答): platform -> terminal, answered by the
//! packets that it asks for.
//!
//! | 2011 | 2013, 2019 | field           | wire  | notes                                      |
//! |------|------------|-----------------|-------|--------------------------------------------|
//! |    0 |            | answered serial | WORD  | of the 0x0801                              |
//! |    2 |          0 | media id        | DWORD |                                            |
//! |    6 |          4 | count           | BYTE  | up to 125                                  |
//! |    7 |          5 | packet numbers  | WORD each | from 1                                 |
//!
//! Since 2013, count and numbers are not there when every packet came: a count of 0 makes terminals
//! fail. It is kept where it stands. The form of 2011 is told by its length.

use super::{
    Body,
    field::{Field as _, List, Rest, take_optional},
    json::{self, JsonError, Object},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, Reader, Writer},
};

/// Multimedia data has arrived, whole or with packets missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultimediaDataResponse {
    /// Serial number of the message that is answered, in the form of 2011 only.
    pub answered_serial: Option<u16>,
    /// Number of the item in the terminal.
    pub media_id: u32,
    /// Numbers of the packets that are sent again; `None` when all came.
    pub missing: Option<List<u8, u16>>,
    /// Bytes beyond the layout.
    pub rest: Rest,
}

impl MultimediaDataResponse {
    /// The most packets that one message asks for.
    pub const MISSING_MAX: usize = 125;

    /// Every packet came.
    #[must_use]
    pub fn complete(media_id: u32) -> Self {
        Self {
            answered_serial: None,
            media_id,
            missing: None,
            rest: Rest::default(),
        }
    }

    /// These packets did not come.
    #[must_use]
    pub fn incomplete(media_id: u32, missing: Vec<u16>) -> Self {
        Self {
            missing: Some(List::new(missing)),
            ..Self::complete(media_id)
        }
    }
}

/// Whether count and numbers fill what stands behind `before`.
fn is_list(body: &[u8], before: usize) -> bool {
    match body.get(before..) {
        Some([count, numbers @ ..]) => numbers.len() == 2 * usize::from(*count),
        _ => false,
    }
}

impl Body for MultimediaDataResponse {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        let body = r.peek();
        let is_2011 = !is_list(body, 4) && is_list(body, 6);
        let answered_serial = is_2011.then(|| r.word("answered_serial")).transpose()?;
        let media_id = r.dword("media_id")?;
        let missing = (r.remaining() > 0).then(|| List::read(r, "missing", revision));
        Ok(Self {
            answered_serial,
            media_id,
            missing: missing.transpose()?,
            rest: Rest(r.rest()),
        })
    }

    fn encode(&self, w: &mut Writer, revision: Revision) -> Result<(), EncodeError> {
        if let Some(answered_serial) = self.answered_serial {
            w.word(answered_serial);
        }
        w.dword(self.media_id);
        match &self.missing {
            Some(missing) => missing.write(w, "missing", revision)?,
            // The form of 2011 has the count always.
            None if self.answered_serial.is_some() => w.byte(0),
            None => {}
        }
        self.rest.write(w, "rest", revision)
    }

    fn to_json(&self, object: &mut Object) {
        if let Some(answered_serial) = self.answered_serial {
            json::put(object, "reply_serial", answered_serial);
        }
        json::put(object, "media_id", self.media_id);
        if let Some(missing) = &self.missing {
            missing.put(object, "ids");
        }
        self.rest.put(object, "rest");
    }

    fn from_json(object: &mut Object) -> Result<Self, JsonError> {
        Ok(Self {
            answered_serial: take_optional(object, "reply_serial")?,
            media_id: u32::take(object, "media_id")?,
            missing: take_optional(object, "ids")?,
            rest: Rest::take(object, "rest")?,
        })
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for MultimediaDataResponse {
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        let has_serial = c.below(2) == 0;
        let missing: Option<List<u8, u16>> =
            (has_serial || c.below(2) == 0).then(|| c.any(revision));
        // What is beyond a whole one would be a list.
        let rest = if missing.is_some() && !has_serial {
            c.any(revision)
        } else {
            Rest::default()
        };
        let response = Self {
            answered_serial: has_serial.then(|| c.any(revision)),
            media_id: c.any(revision),
            missing,
            rest,
        };
        super::arbitrary::as_read(&response, revision)
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

    const ID: MessageId = MessageId::MULTIMEDIA_DATA_RESPONSE;

    fn decode(text: &str) -> MultimediaDataResponse {
        let body = hex::bytes(text);
        let message = Message::decode(ID, body.clone(), Revision::V2013).unwrap();
        assert_eq!(message.encode(Revision::V2013), Ok(body));
        match message {
            Message::MultimediaDataResponse(response) => response,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_form_is_told_by_its_length() {
        assert_eq!(decode("0000000B"), MultimediaDataResponse::complete(11));
        assert_eq!(
            decode("0000000B 00"),
            MultimediaDataResponse::incomplete(11, vec![])
        );
        assert_eq!(
            decode("0000000B 02 0102 0304"),
            MultimediaDataResponse::incomplete(11, vec![0x0102, 0x0304])
        );
        let of_2011 = MultimediaDataResponse {
            answered_serial: Some(5),
            ..MultimediaDataResponse::incomplete(11, vec![3])
        };
        assert_eq!(decode("0005 0000000B 01 0003"), of_2011);
        assert_eq!(decode("0000000B 01 0003 FF").rest.0, hex::bytes("FF"));
    }

    #[test]
    fn a_cut_list_is_truncated() {
        for text in ["", "000000", "0000000B 02 0102 03"] {
            let decoded = Message::decode(ID, hex::bytes(text), Revision::V2013);
            assert_eq!(decoded.unwrap_err().reason(), "truncated", "{text}");
        }
    }

    #[test]
    fn without_ids_everything_came() {
        let Some(object) = json!({ "media_id": 11 }).as_object().cloned() else {
            panic!("no object")
        };
        let message = Message::from_json(ID, object).unwrap();
        assert_eq!(message.encode(Revision::V2019), Ok(hex::bytes("0000000B")));
    }
}
