//! Text in another encoding than the standard's: in fields, and in the JSON form of messages.

use std::borrow::Cow;

use serde_json::Value;

use crate::{
    jt808::message::json::{self, Object},
    wire::text,
};

/// Behind the name of a field whose bytes are no text.
const HEX: &str = "_hex";

/// How text is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextEncoding {
    /// `gbk`: as the standard has it.
    #[default]
    Gbk,
    /// `utf-8`.
    #[serde(rename = "utf-8")]
    Utf8,
}

impl TextEncoding {
    /// The text of a field, without padding; what is none in the encoding becomes U+FFFD.
    #[must_use]
    pub fn decode(self, field: &[u8]) -> Cow<'_, str> {
        match self {
            Self::Gbk => text::decode(field),
            Self::Utf8 => String::from_utf8_lossy(text::trim(field)),
        }
    }

    /// Texts of a message's JSON form that stand there in hex, because they are surely no GBK,
    /// become what they are in this encoding.
    pub fn read(self, fields: &mut Object) {
        if self == Self::Utf8 {
            change(fields, &of_hex);
        }
    }

    /// Texts of a message's JSON form that is to be sent become the bytes that they are in this
    /// encoding, in hex, where GBK would have others.
    pub fn write(self, fields: &mut Object) {
        if self == Self::Utf8 {
            change(fields, &to_hex);
        }
    }
}

/// Gives fields new names and values, where the function does.
fn change(fields: &mut Object, by: &impl Fn(&str, &Value) -> Option<(String, String)>) {
    let changes: Vec<_> = fields
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), by(name, value)?)))
        .collect();
    for (old, (name, value)) in changes {
        fields.remove(&old);
        fields.insert(name, value.into());
    }
    fields
        .values_mut()
        .for_each(|value| change_inside(value, by));
}

fn change_inside(value: &mut Value, by: &impl Fn(&str, &Value) -> Option<(String, String)>) {
    match value {
        Value::Object(fields) => change(fields, by),
        Value::Array(values) => values.iter_mut().for_each(|value| change_inside(value, by)),
        _ => {}
    }
}

/// A text of ASCII would stand there as one: such bytes are data.
fn of_hex(name: &str, value: &Value) -> Option<(String, String)> {
    let name = name.strip_suffix(HEX)?;
    let bytes = json::from_hex(value.as_str()?)?;
    let text = str::from_utf8(text::trim_nul(&bytes)).ok()?;
    let is_text = !text.is_ascii() && !text.contains(char::is_control);
    is_text.then(|| (name.to_owned(), text.to_owned()))
}

fn to_hex(name: &str, value: &Value) -> Option<(String, String)> {
    let text = value.as_str().filter(|text| !text.is_ascii())?;
    Some((format!("{name}{HEX}"), json::to_hex(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: &Value) -> Object {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn texts_of_a_message_are_read_in_their_encoding() {
        let sent = object(&json!({
            "parameters": [{ "id": "0x00000083", "value_hex": "e6998b4130303030310000" }],
            "name_hex": "e78e8b",
            "data_hex": "414243",
            "picture_hex": "ffd8ffe0",
            "plate": "A1",
        }));
        let mut fields = sent.clone();
        TextEncoding::Gbk.read(&mut fields);
        assert_eq!(fields, sent);
        TextEncoding::Utf8.read(&mut fields);
        let expected = json!({
            "parameters": [{ "id": "0x00000083", "value": "晋A00001" }],
            "name": "王",
            "data_hex": "414243",
            "picture_hex": "ffd8ffe0",
            "plate": "A1",
        });
        assert_eq!(Value::Object(fields), expected);
    }

    #[test]
    fn texts_of_a_message_are_written_in_their_encoding() {
        let asked =
            object(&json!({ "flag": 1, "text": "王", "ascii": "A", "list": [{ "n": "王" }] }));
        let mut fields = asked.clone();
        TextEncoding::Gbk.write(&mut fields);
        assert_eq!(fields, asked);
        TextEncoding::Utf8.write(&mut fields);
        let expected = json!({
            "flag": 1, "text_hex": "e78e8b", "ascii": "A", "list": [{ "n_hex": "e78e8b" }],
        });
        assert_eq!(Value::Object(fields), expected);
    }
}
