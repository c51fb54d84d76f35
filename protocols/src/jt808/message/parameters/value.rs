//! The types of parameters, and their values in JSON.

use bytes::Bytes;
use serde_json::Value;

use super::structure::Structure;
use crate::{
    jt808::message::{
        field::{Field as _, Text, ToEnd},
        json::{JsonError, JsonProblem},
    },
    wire::text,
};

/// The width of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Word,
    /// 32 bits.
    Dword,
}

impl Width {
    /// The greatest number.
    #[must_use]
    pub const fn greatest(self) -> u32 {
        match self {
            Self::Byte => 0xFF,
            Self::Word => 0xFFFF,
            Self::Dword => u32::MAX,
        }
    }

    const fn expected(self) -> JsonProblem {
        JsonProblem::Expected(match self {
            Self::Byte => "a whole number from 0 to 255",
            Self::Word => "a whole number from 0 to 65535",
            Self::Dword => "a whole number from 0 to 4294967295",
        })
    }

    const fn expected_tenths(self) -> JsonProblem {
        JsonProblem::Expected(match self {
            Self::Byte => "a number from 0 to 25.5",
            Self::Word => "a number from 0 to 6553.5",
            Self::Dword => "a number from 0 to 429496729.5",
        })
    }

    fn write(self, number: u32) -> Bytes {
        let [.., high, low] = number.to_be_bytes();
        match self {
            Self::Byte => Bytes::copy_from_slice(&[low]),
            Self::Word => Bytes::copy_from_slice(&[high, low]),
            Self::Dword => Bytes::copy_from_slice(&number.to_be_bytes()),
        }
    }
}

/// The type of a parameter.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A whole number. It is read in any of the three widths, and written in this one.
    Number(Width),
    /// The same in tenths of the unit: a number with one decimal in JSON.
    Tenths(Width),
    /// STRING of GBK to the end of the value.
    Text,
    /// Several fields: an object in JSON.
    Structure(Structure),
}

impl Kind {
    /// Its JSON value; `None` for bytes that are not of this type.
    #[must_use]
    pub fn read(self, value: &Bytes) -> Option<Value> {
        match self {
            Self::Number(_) => number(value).map(Value::from),
            Self::Tenths(_) => number(value).map(|tenths| (f64::from(tenths) / 10.0).into()),
            Self::Text => text::decode_strictly(text::trim_nul(value)).map(Value::from),
            Self::Structure(structure) => structure.read(value),
        }
    }

    /// The bytes of a JSON value; `name` is for the error.
    ///
    /// # Errors
    /// When the value is not of this type.
    pub fn write(self, value: Value, name: &str) -> Result<Bytes, JsonError> {
        match self {
            Self::Number(width) => value
                .as_u64()
                .and_then(|number| u32::try_from(number).ok())
                .filter(|number| *number <= width.greatest())
                .map(|number| width.write(number))
                .ok_or_else(|| JsonError::new(name, width.expected())),
            Self::Tenths(width) => value
                .as_f64()
                .and_then(|number| tenths(number, width.greatest()))
                .map(|tenths| width.write(tenths))
                .ok_or_else(|| JsonError::new(name, width.expected_tenths())),
            Self::Text => Text::<ToEnd>::from_value(value, name).map(|text| text.0),
            Self::Structure(structure) => structure.write(value, name),
        }
    }

    /// The type in the standard's words.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Number(width) | Self::Tenths(width) => match width {
                Width::Byte => "BYTE",
                Width::Word => "WORD",
                Width::Dword => "DWORD",
            },
            Self::Text => "STRING",
            Self::Structure(_) => "BYTE[n]",
        }
    }
}

/// Makers send BYTE, WORD and DWORD for one another.
fn number(value: &[u8]) -> Option<u32> {
    match *value {
        [a] => Some(a.into()),
        [a, b] => Some(u16::from_be_bytes([a, b]).into()),
        [a, b, c, d] => Some(u32::from_be_bytes([a, b, c, d])),
        _ => None,
    }
}

fn tenths(number: f64, greatest: u32) -> Option<u32> {
    let tenths = (number * 10.0).round();
    if !(0.0..=f64::from(greatest)).contains(&tenths) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number from 0 to the greatest of 32 bits"
    )]
    let tenths = tenths as u32;
    Some(tenths)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_is_read_in_any_width_and_written_in_its_own() {
        let word = Kind::Number(Width::Word);
        for bytes in [&[7][..], &[0, 7], &[0, 0, 0, 7]] {
            assert_eq!(word.read(&Bytes::copy_from_slice(bytes)), Some(json!(7)));
        }
        for bytes in [&[][..], &[0, 0, 7], &[0; 5]] {
            assert_eq!(word.read(&Bytes::copy_from_slice(bytes)), None);
        }
        assert_eq!(word.write(json!(0x0107), "x").unwrap(), &[1, 7][..]);
        for (width, over) in [
            (Width::Byte, json!(0x100)),
            (Width::Word, json!(0x1_0000)),
            (Width::Dword, json!(0x1_0000_0000_u64)),
        ] {
            let number = Kind::Number(width);
            for bad in [over, json!(-1), json!(1.5), json!("1"), json!(null)] {
                assert!(number.write(bad, "x").is_err());
            }
            let greatest = number.write(width.greatest().into(), "x").unwrap();
            assert_eq!(number.read(&greatest), Some(width.greatest().into()));
        }
    }

    #[test]
    fn tenths_have_one_decimal() {
        let kind = Kind::Tenths(Width::Word);
        let bytes = kind.write(json!(12.3), "x").unwrap();
        assert_eq!(bytes, &[0, 123][..]);
        assert_eq!(kind.read(&bytes), Some(json!(12.3)));
        assert_eq!(kind.write(json!(12), "x").unwrap(), &[0, 120][..]);
        for bad in [json!(-0.1), json!(6553.6), json!("1")] {
            assert!(kind.write(bad, "x").is_err());
        }
    }

    #[test]
    fn a_text_is_gbk() {
        let bytes = Kind::Text.write(json!("中移动"), "x").unwrap();
        assert_eq!(bytes, &[0xD6, 0xD0, 0xD2, 0xC6, 0xB6, 0xAF][..]);
        assert_eq!(Kind::Text.read(&bytes), Some(json!("中移动")));
        let padded = Bytes::from_static(b"cmnet\0");
        assert_eq!(Kind::Text.read(&padded), Some(json!("cmnet")));
        let error = Kind::Text.write(json!("🚛"), "apn").unwrap_err();
        assert_eq!(error.problem, JsonProblem::NotGbk);
    }
}
