//! Items of a location report that a maker defines: where a number or a text stands in them.

use std::borrow::Cow;

use super::TextEncoding;
use crate::jt808::message::json;

/// Bytes of the widest number. With the greatest divisor, all sums fit 64 bits.
pub(super) const NUMBER_BYTES_MAX: usize = 6;
/// Digits of the longest number that is written as text.
const DIGITS_MAX: usize = 12;

/// What a maker's item says.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct VendorReading<'a> {
    /// The profile's name for it.
    pub name: &'a str,
    /// Place in a list of alike values, from 0; `None` where the value stands alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// The value, in `unit`.
    pub value: VendorValue<'a>,
    /// The profile's word for the unit; `None` where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<&'a str>,
}

/// The value of a maker's item.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum VendorValue<'a> {
    /// A number that is whole by its unit.
    Integer(i64),
    /// A number with decimals.
    Decimal(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes as hex digits.
    Hex(String),
}

/// How the bytes of a field are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Form {
    #[default]
    Unsigned,
    /// Two's complement.
    Signed,
    /// The highest bit is the sign.
    SignMagnitude,
    Text,
    /// Text, and no reading where a byte is no printable ASCII.
    Printable,
    /// A number in ASCII digits, perhaps with a sign and a decimal point.
    Decimal,
    /// BCD, as text.
    Digits,
    Hex,
}

impl Form {
    /// Whether bytes are a number as they stand.
    pub(super) const fn is_number(self) -> bool {
        matches!(self, Self::Unsigned | Self::Signed | Self::SignMagnitude)
    }
}

/// Holds where a number in the value is within bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) at: usize,
    pub(super) width: usize,
    pub(super) least: u64,
    pub(super) most: u64,
}

impl Condition {
    pub(super) fn holds(&self, value: &[u8]) -> bool {
        let field = self
            .at
            .checked_add(self.width)
            .and_then(|end| value.get(self.at..end));
        field
            .and_then(unsigned)
            .is_some_and(|number| (self.least..=self.most).contains(&number))
    }
}

/// One reading of an item.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    pub(super) id: u16,
    /// Id inside of the list that the item is.
    pub(super) part: Option<u16>,
    pub(super) name: String,
    pub(super) unit: Option<String>,
    /// Lengths that the whole value may have.
    pub(super) bytes_min: usize,
    pub(super) bytes_max: usize,
    /// Set where the value is a list of alike elements.
    pub(super) elements: Option<Elements>,
    /// Where the field begins, in the value or in each element.
    pub(super) at: usize,
    /// Its bytes; `None` up to the end.
    pub(super) width: Option<usize>,
    pub(super) form: Form,
    pub(super) scale: Scale,
    pub(super) bits: Option<Bits>,
    /// Numbers on the wire that say that there is no value.
    pub(super) none: Vec<u64>,
    /// Place of the field in a text whose fields stand between commas.
    pub(super) column: Option<usize>,
    /// Without it there is no reading.
    pub(super) condition: Option<Condition>,
}

/// Elements of a value: some bytes, then so many of this width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Elements {
    pub(super) after: usize,
    pub(super) every: usize,
}

/// From the number on the wire to the unit: `number / divide_by + add`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    pub(super) divide_by: u16,
    pub(super) add: i32,
}

/// Some bits of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bits {
    pub(super) first: u32,
    pub(super) count: u32,
    pub(super) inverted: bool,
}

impl Item {
    pub(super) const fn key(&self) -> (u16, Option<u16>) {
        (self.id, self.part)
    }

    /// The readings of a value; `place` is that of a repeated group that the value stands in.
    pub(super) fn readings<'a>(
        &'a self,
        place: Option<usize>,
        value: &'a [u8],
        encoding: TextEncoding,
    ) -> impl Iterator<Item = VendorReading<'a>> {
        let fits = (self.bytes_min..=self.bytes_max).contains(&value.len())
            && self
                .condition
                .is_none_or(|condition| condition.holds(value));
        let (elements, every) = match self.elements {
            _ if !fits => (&[][..], 1),
            None => (value, value.len().max(1)),
            Some(Elements { after, every }) => match value.get(after..) {
                Some(elements) if elements.len().is_multiple_of(every) => (elements, every),
                _ => (&[][..], 1),
            },
        };
        let is_list = self.elements.is_some();
        elements
            .chunks_exact(every)
            .enumerate()
            .filter_map(move |(index, element)| {
                Some(VendorReading {
                    name: &self.name,
                    index: if is_list { Some(index) } else { place },
                    value: self.read(element, encoding)?,
                    unit: self.unit.as_deref(),
                })
            })
    }

    fn read<'a>(&self, element: &'a [u8], encoding: TextEncoding) -> Option<VendorValue<'a>> {
        let end = self
            .width
            .map_or(Some(element.len()), |width| self.at.checked_add(width))?;
        let mut field = element.get(self.at..end)?;
        if let Some(column) = self.column {
            field = field.split(|byte| *byte == b',').nth(column)?;
        }
        match self.form {
            Form::Text => Some(VendorValue::Text(encoding.decode(field))),
            Form::Printable => {
                let is_printable = |byte: &u8| matches!(byte, b' '..=b'~');
                let is_text = !field.is_empty() && field.iter().all(is_printable);
                is_text.then(|| VendorValue::Text(encoding.decode(field)))
            }
            Form::Decimal => self.decimal(field),
            Form::Digits => Some(VendorValue::Text(json::to_hex(field).into())),
            Form::Hex => Some(VendorValue::Hex(json::to_hex(field))),
            Form::Unsigned | Form::Signed | Form::SignMagnitude => self.number(field),
        }
    }

    /// What people write as a number, as short as one is: nothing that only a computer calls one.
    fn decimal(&self, field: &[u8]) -> Option<VendorValue<'static>> {
        let text = str::from_utf8(field).ok()?.trim();
        let is_digit = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-');
        if text.len() > DIGITS_MAX || !text.chars().all(is_digit) {
            return None;
        }
        if let Ok(whole) = text.parse() {
            return Some(self.scale.of(whole));
        }
        let number: f64 = text.parse().ok()?;
        Some(VendorValue::Decimal(
            number / f64::from(self.scale.divide_by) + f64::from(self.scale.add),
        ))
    }

    fn number(&self, field: &[u8]) -> Option<VendorValue<'static>> {
        let wire = unsigned(field)?;
        if self.none.contains(&wire) {
            return None;
        }
        let wire = self.bits.map_or(wire, |bits| bits.of(wire));
        let wire = i64::try_from(wire).ok()?;
        // The number of values below the sign's bit; 0 for an empty field.
        let half = 1_i64.checked_shl(u32::try_from(field.len() * 8).ok()?)? / 2;
        let number = match self.form {
            Form::Signed if wire >= half => wire - 2 * half,
            Form::SignMagnitude if wire >= half => half - wire,
            _ => wire,
        };
        Some(self.scale.of(number))
    }
}

impl Scale {
    /// Divides once, and last: what is decimal on the wire stays the nearest number to it.
    fn of(self, number: i64) -> VendorValue<'static> {
        let divide_by = i64::from(self.divide_by);
        let sum = number + i64::from(self.add) * divide_by;
        if divide_by == 1 {
            return VendorValue::Integer(sum);
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "six bytes and an offset have 53 bits"
        )]
        let sum = sum as f64;
        VendorValue::Decimal(sum / f64::from(self.divide_by))
    }
}

impl Bits {
    fn of(self, wire: u64) -> u64 {
        let mask = (1 << self.count) - 1;
        let bits = (wire >> self.first) & mask;
        if self.inverted { bits ^ mask } else { bits }
    }
}

/// A big-endian number; `None` when it is too wide.
fn unsigned(field: &[u8]) -> Option<u64> {
    let number = |field: &[u8]| field.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
    (field.len() <= NUMBER_BYTES_MAX).then(|| number(field))
}
