//! The id of an item of a location report, as people write it: hex or decimal.

use std::fmt;

/// The id of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemId(pub u8);

impl ItemId {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        let id = hex.map_or_else(|| text.parse(), |hex| u8::from_str_radix(hex, 16));
        id.map(Self)
            .map_err(|_| format!("\"{text}\" is no item: 0x00 to 0xFF, or 0 to 255"))
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:02X}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_written_in_hex_or_decimal() {
        assert_eq!(ItemId::read("0xE5"), Ok(ItemId(0xE5)));
        assert_eq!(ItemId::read("229"), Ok(ItemId(0xE5)));
        assert!(ItemId::read("0x1E5").is_err() && ItemId::read("E5").is_err());
        assert_eq!(ItemId(5).to_string(), "0x05");
    }
}
