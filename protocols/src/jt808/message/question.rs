//! 0x8302 question (提问下发): platform -> terminal, answered by 0x0001 and, once the driver chose,
//! 0x0302 answer to a question (提问应答): terminal -> platform, answered by 0x8001.
//!
//! | offset | field     | wire                                                                |
//! |--------|-----------|---------------------------------------------------------------------|
//! |      0 | flags     | BYTE: bits 0 urgent, 3 read aloud, 4 show on the advertising screen |
//! |      1 | question  | length BYTE, then GBK                                               |
//! |     .. | answers   | each id BYTE, length WORD, GBK: to the end                          |
//!
//! | offset | field           | wire | notes        |
//! |--------|-----------------|------|--------------|
//! |      0 | answered serial | WORD | the question |
//! |      2 | answer id       | BYTE |              |

use serde_json::Value;

use super::{
    field::{Counted, Field, Rest, Text, layout, take_entries},
    json::{JsonError, Object},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, Reader, Writer},
};

layout! {
    /// A question for the driver.
    pub struct Question {
        /// How it is shown.
        pub flags as "flag": u8,
        /// The question.
        pub question: Text<Counted<u8>>,
        /// What the driver may choose.
        pub answers: Choices,
    }
}

layout! {
    /// One answer that the driver may choose.
    pub struct Choice {
        /// Its number, which 0x0302 quotes.
        pub id: u8,
        /// What it says.
        pub text: Text<Counted<u16>>,
    }
}

/// The answers, which end with the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices(pub Vec<Choice>);

impl Field for Choices {
    fn read(r: &mut Reader, name: &'static str, revision: Revision) -> Result<Self, DecodeError> {
        let mut choices = Vec::new();
        while r.remaining() > 0 {
            choices.push(Choice::read(r, name, revision)?);
        }
        Ok(Self(choices))
    }

    fn write(
        &self,
        w: &mut Writer,
        name: &'static str,
        revision: Revision,
    ) -> Result<(), EncodeError> {
        self.0
            .iter()
            .try_for_each(|choice| choice.write(w, name, revision))
    }

    fn to_value(&self) -> Value {
        self.0
            .iter()
            .map(Field::to_value)
            .collect::<Vec<_>>()
            .into()
    }

    fn from_value(value: Value, name: &str) -> Result<Self, JsonError> {
        let mut object = Object::new();
        object.insert(name.to_owned(), value);
        take_entries(&mut object, name).map(Self)
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for Choices {
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        Self(c.list(revision))
    }
}

layout! {
    /// What the driver chose.
    pub struct QuestionAnswer {
        /// Serial number of the question.
        pub answered_serial as "reply_serial": u16,
        /// The choice's number.
        pub answer_id: u8,
        /// Bytes beyond the layout.
        pub rest: Rest,
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

    const ID: MessageId = MessageId::QUESTION;

    #[test]
    fn a_question_has_the_answers_that_may_be_chosen() {
        let json = json!({
            "flag": 1,
            "question": "你是谁?",
            "answers": [{ "id": 1, "text": "张三" }, { "id": 2, "text": "" }],
        });
        let body = "01 07 C4E3CAC7CBAD3F  01 0004 D5C5C8FD  02 0000";
        check(ID, Revision::V2013, body, &json);
        check_truncated(ID, Revision::V2013, body, 9);
        let json = json!({ "flag": 0, "question": "", "answers": [] });
        check(ID, Revision::V2019, "00 00", &json);
    }

    #[test]
    fn an_answer_that_is_cut_off_is_truncated() {
        for tail in ["01", "01 00", "01 0004 D5C5C8"] {
            let body = hex::bytes(&format!("01 00 {tail}"));
            let error = Message::decode(ID, body, Revision::V2013).unwrap_err();
            assert_eq!(error.reason(), "truncated");
        }
    }

    #[test]
    fn a_mistake_in_an_answer_is_named() {
        let json = json!({ "flag": 0, "question": "?", "answers": [{ "id": 256, "text": "" }] });
        let error = json_error(ID, json);
        assert_eq!(error, "answers.id: must be a whole number from 0 to 255");
    }

    #[test]
    fn the_answer_quotes_the_question() {
        let json = json!({ "reply_serial": 123, "answer_id": 1 });
        let id = MessageId::QUESTION_ANSWER;
        check(id, Revision::V2013, "007B 01", &json);
        check_truncated(id, Revision::V2013, "007B 01", 3);
    }
}
