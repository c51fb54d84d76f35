//! The JSON form of the messages, which the API takes and the decoder prints.
//!
//! Names are those of `fixtures/jt808/README.md`, and units stand in them: `speed_kmh`, `lat` in
//! degrees. A text is a string; bytes that are not surely GBK text stand in hex under the name with
//! `_hex` behind, as bytes without a text always do. A time is ISO 8601 with its offset, or null
//! where its digits name no moment, with the digits under the name with `_bcd` behind; times of
//! downlinks, which may be patterns, are digits always.

use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::{Map, Value};

/// The fields of a body.
pub type Object = Map<String, Value>;

/// JSON that is no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct JsonError {
    /// The field, with those around it in front: `areas.lat`.
    pub field: String,
    /// What is wrong with it.
    pub problem: JsonProblem,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonProblem {
    /// It is not there.
    #[error("is missing")]
    Missing,
    /// The message has no such field.
    #[error("is no field of this message")]
    Unknown,
    /// It has another type or range.
    #[error("must be {0}")]
    Expected(&'static str),
    /// It has a character that is not in GBK.
    #[error("has a character that is not in GBK")]
    NotGbk,
    /// Only terminals send this message.
    #[error("is not sent by the platform")]
    UplinkOnly,
}

impl JsonError {
    /// An error of a field.
    #[must_use]
    pub fn new(field: &str, problem: JsonProblem) -> Self {
        Self {
            field: field.to_owned(),
            problem,
        }
    }

    /// The error of a message that is not read from JSON.
    #[must_use]
    pub fn uplink_only() -> Self {
        Self::new("msg_id", JsonProblem::UplinkOnly)
    }

    /// The same, inside of another field.
    #[must_use]
    pub fn inside(self, outer: &str) -> Self {
        Self {
            field: format!("{outer}.{}", self.field),
            ..self
        }
    }
}

/// Adds a field.
pub fn put(object: &mut Object, name: &str, value: impl Into<Value>) {
    object.insert(name.to_owned(), value.into());
}

/// Adds bytes, in hex under the name with `_hex` behind.
pub fn put_hex(object: &mut Object, name: &str, bytes: &[u8]) {
    object.insert(format!("{name}_hex"), to_hex(bytes).into());
}

/// Adds bytes after the last field of the layout, if there are any.
pub fn put_trailing(object: &mut Object, rest: &[u8]) {
    if !rest.is_empty() {
        put_hex(object, "trailing", rest);
    }
}

/// Takes a field.
///
/// # Errors
/// When it is not there.
pub fn take(object: &mut Object, name: &str) -> Result<Value, JsonError> {
    object
        .remove(name)
        .ok_or_else(|| JsonError::new(name, JsonProblem::Missing))
}

/// Takes bytes in hex from under the name with `_hex` behind; `None` when they are not there.
///
/// # Errors
/// When they are no hex.
pub fn take_hex(object: &mut Object, name: &str) -> Result<Option<Bytes>, JsonError> {
    let name = format!("{name}_hex");
    object
        .remove(&name)
        .map(|value| {
            let bytes = value.as_str().and_then(from_hex);
            bytes.ok_or_else(|| JsonError::new(&name, JsonProblem::Expected("bytes in hex")))
        })
        .transpose()
}

/// Lower-case hex.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
            // Writing to a string cannot fail.
            _ = write!(hex, "{byte:02x}");
            hex
        })
}

/// The bytes of hex digits, space between them skipped; `None` when they are none.
#[must_use]
pub fn from_hex(hex: &str) -> Option<Bytes> {
    let mut digits = hex
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .map(|c| c.to_digit(16));
    let mut bytes = Vec::with_capacity(hex.len() / 2);
    while let Some(high) = digits.next() {
        let byte = high? * 16 + digits.next()??;
        bytes.push(u8::try_from(byte).ok()?);
    }
    Some(Bytes::from(bytes))
}

/// A number of a JSON value.
///
/// # Errors
/// When it is none, or out of range.
pub fn integer<T: TryFrom<u64>>(
    value: &Value,
    name: &str,
    expected: &'static str,
) -> Result<T, JsonError> {
    value
        .as_u64()
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| JsonError::new(name, JsonProblem::Expected(expected)))
}

/// A word or double word as `0x` and hex digits.
///
/// # Errors
/// When it is none. A number is taken as well.
pub fn code<T: TryFrom<u64>>(
    value: &Value,
    name: &str,
    expected: &'static str,
) -> Result<T, JsonError> {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
    match digits {
        Some(digits) => u64::from_str_radix(digits, 16)
            .ok()
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| JsonError::new(name, JsonProblem::Expected(expected))),
        None => integer(value, name, expected),
    }
}

/// Degrees of a magnitude in 1e-6 degree and a hemisphere.
#[must_use]
pub fn degrees(magnitude: u32, is_negative: bool) -> f64 {
    let degrees = f64::from(magnitude) / 1e6;
    if is_negative && magnitude > 0 {
        -degrees
    } else {
        degrees
    }
}

/// Magnitude in 1e-6 degree, and whether it is south or west.
///
/// # Errors
/// When the value is no number within `limit` degrees.
pub fn micro_degrees(value: &Value, name: &str, limit: u32) -> Result<(u32, bool), JsonError> {
    let error = || JsonError::new(name, JsonProblem::Expected("degrees"));
    let degrees = value.as_f64().ok_or_else(error)?;
    let micro = (degrees.abs() * 1e6).round();
    // JSON numbers are finite.
    if micro > f64::from(limit) * 1e6 {
        return Err(error());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number between 0 and 180 million"
    )]
    let micro = micro as u32;
    Ok((micro, degrees < 0.0 && micro > 0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hex_goes_both_ways() {
        assert_eq!(to_hex(&[0x00, 0xAB]), "00ab");
        assert_eq!(from_hex("00 aB").as_deref(), Some(&[0x00, 0xAB][..]));
        assert_eq!(from_hex("0"), None);
        assert_eq!(from_hex("0g"), None);
    }

    #[test]
    fn degrees_go_both_ways() {
        for (micro, is_negative) in [
            (0, false),
            (1, true),
            (22_546_000, false),
            (57_602_956, true),
        ] {
            let degrees = Value::from(degrees(micro, is_negative));
            assert_eq!(micro_degrees(&degrees, "lat", 90), Ok((micro, is_negative)));
        }
        for bad in [json!(90.1), json!("1"), json!(null)] {
            assert!(micro_degrees(&bad, "lat", 90).is_err(), "{bad}");
        }
    }

    #[test]
    fn codes_are_hex_and_numbers_are_taken() {
        assert_eq!(code::<u16>(&json!("0x8103"), "id", "an id"), Ok(0x8103));
        assert_eq!(code::<u16>(&json!(3), "id", "an id"), Ok(3));
        let error = code::<u16>(&json!("0x18103"), "id", "an id").unwrap_err();
        assert_eq!(
            error.inside("params").to_string(),
            "params.id: must be an id"
        );
    }
}
