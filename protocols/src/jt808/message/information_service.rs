//! 0x8304 information service (信息服务): platform -> terminal, answered by 0x0001.
//!
//! | 2011 | since 2013 | field            | wire | notes                                    |
//! |------|------------|------------------|------|------------------------------------------|
//! |    0 |          0 | type             | BYTE | kind of information                      |
//! |    1 |          - | total length     | WORD | of the text in all packets               |
//! |    3 |          1 | length           | WORD | of the text here                         |
//! |    5 |          3 | text             | GBK  |                                          |
//!
//! Nobody is known to send the layout of 2011. It is read where the other does not fit the body and
//! it fits to the byte.

use super::{
    Body,
    field::{Counted, Field, Rest, Text, take_optional},
    json::{JsonError, Object},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, Reader, Writer},
};

/// Information that the driver asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InformationService {
    /// Which kind.
    pub information_type: u8,
    /// In the layout of 2011, bytes of the text in all packets; `None` in the layout since 2013.
    pub total: Option<u16>,
    /// The information.
    pub text: Text<Counted<u16>>,
    /// Bytes beyond the layout.
    pub rest: Rest,
}

/// Whether a body behind its type has two lengths, of which the second fits to the byte.
fn is_form_2011(lengths: &[u8], revision: Revision) -> bool {
    let word = |offset: usize| {
        let bytes = lengths.get(offset..)?.first_chunk().copied()?;
        Some(usize::from(u16::from_be_bytes(bytes)))
    };
    let len = lengths.len();
    let (first, second) = (word(0), word(2));
    revision != Revision::V2019
        && first.is_some_and(|length| length + 2 != len)
        && second.is_some_and(|length| length + 4 == len)
        && second <= first
}

impl Body for InformationService {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        let information_type = r.byte("information_type")?;
        let total = is_form_2011(r.peek(), revision).then(|| r.word("total"));
        Ok(Self {
            information_type,
            total: total.transpose()?,
            text: Field::read(r, "text", revision)?,
            rest: Rest(r.rest()),
        })
    }

    fn encode(&self, w: &mut Writer, revision: Revision) -> Result<(), EncodeError> {
        w.byte(self.information_type);
        if let Some(total) = self.total {
            w.word(total);
        }
        self.text.write(w, "text", revision)?;
        w.bytes(&self.rest.0);
        Ok(())
    }

    fn to_json(&self, object: &mut Object) {
        self.information_type.put(object, "info_type");
        if let Some(total) = self.total {
            total.put(object, "total");
        }
        self.text.put(object, "text");
        self.rest.put(object, "rest");
    }

    fn from_json(object: &mut Object) -> Result<Self, JsonError> {
        Ok(Self {
            information_type: Field::take(object, "info_type")?,
            total: take_optional(object, "total")?,
            text: Field::take(object, "text")?,
            rest: Field::take(object, "rest")?,
        })
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for InformationService {
    // The layout since 2013 without a rest: all others may be read as another one.
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        Self {
            information_type: c.byte(),
            total: None,
            text: c.any(revision),
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
            MessageId,
            arbitrary::{check, check_truncated},
        },
    };

    const ID: MessageId = MessageId::INFORMATION_SERVICE;

    #[test]
    fn information_has_a_kind_and_a_length() {
        let json = json!({ "info_type": 1, "text": "测试..." });
        let body = "01 0007 B2E2CAD42E2E2E";
        check(ID, Revision::V2013, body, &json);
        check_truncated(ID, Revision::V2019, body, hex::bytes(body).len());
        let json = json!({ "info_type": 3, "text": "NY", "trailing_hex": "00" });
        check(ID, Revision::V2013, "03 0002 4E59 00", &json);
    }

    #[test]
    fn the_total_of_2011_is_read_where_the_other_layout_does_not_fit() {
        let json = json!({ "info_type": 3, "total": 300, "text": "NY" });
        check(ID, Revision::V2013, "03 012C 0002 4E59", &json);
    }
}
