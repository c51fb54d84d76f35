//! Text: GBK, in fields that are filled with NUL or spaces on either side.

use std::borrow::Cow;

use encoding_rs::GBK;

/// A field without its padding: 0x00 and 0x20 at both ends.
#[must_use]
pub fn trim(field: &[u8]) -> &[u8] {
    trim_with(field, |byte| matches!(byte, 0x00 | 0x20))
}

/// A field without the 0x00 at both ends.
#[must_use]
pub fn trim_nul(field: &[u8]) -> &[u8] {
    trim_with(field, |byte| byte == 0x00)
}

fn trim_with(field: &[u8], is_padding: impl Fn(u8) -> bool) -> &[u8] {
    let start = field
        .iter()
        .position(|byte| !is_padding(*byte))
        .unwrap_or(field.len());
    let end = field
        .iter()
        .rposition(|byte| !is_padding(*byte))
        .map_or(start, |last| last + 1);
    field.get(start..end).unwrap_or_default()
}

/// The text of a field, without padding; bytes that are no GBK become U+FFFD.
#[must_use]
pub fn decode(field: &[u8]) -> Cow<'_, str> {
    GBK.decode_without_bom_handling(trim(field)).0
}

/// The text of these bytes; `None` unless they are GBK and nothing else. Two bytes of GBK can be
/// UTF-8 as well, and then nobody knows what the sender meant.
#[must_use]
pub fn decode_strictly(bytes: &[u8]) -> Option<Cow<'_, str>> {
    if bytes.is_ascii() {
        return std::str::from_utf8(bytes).ok().map(Cow::Borrowed);
    }
    if std::str::from_utf8(bytes).is_ok() || !is_double_byte(bytes) {
        return None;
    }
    // The decoder reads the private rows as private characters, which say nothing, and the euro
    // sign of GB 18030, which GBK lacks.
    let is_foreign = |c: char| c == '€' || ('\u{E000}'..='\u{F8FF}').contains(&c);
    GBK.decode_without_bom_handling_and_without_replacement(bytes)
        .filter(|text| !text.contains(is_foreign))
}

/// ASCII, and pairs of a lead and a trail byte: the decoder also takes a lone 0x80 and the four
/// bytes of GB 18030, which are no GBK.
fn is_double_byte(mut bytes: &[u8]) -> bool {
    loop {
        bytes = match bytes {
            [] => return true,
            [0x00..=0x7F, rest @ ..] => rest,
            [0x81..=0xFE, 0x40..=0x7E | 0x80..=0xFE, rest @ ..] => rest,
            _ => return false,
        };
    }
}

/// The wire form of a text; `None` when a character is not in GBK.
#[must_use]
pub fn encode(text: &str) -> Option<Cow<'_, [u8]>> {
    let (bytes, _, has_unmappable) = GBK.encode(text);
    // The encoder writes the euro sign, which GBK lacks, as a lone 0x80.
    (!has_unmappable && is_double_byte(&bytes)).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_cut_at_both_ends_only() {
        assert_eq!(trim(b"\0\0 A 6\0 "), b"A 6");
        assert_eq!(trim(b" \0"), b"");
        assert_eq!(trim(b""), b"");
        assert_eq!(trim_nul(b"\0 A \0\0"), b" A ");
    }

    #[test]
    fn a_plate_is_gbk() {
        let plate = [0xD4, 0xC1, 0x42, 0x31, 0x32, 0x33, 0x34, 0x35, 0x00];
        assert_eq!(decode(&plate), "粤B12345");
        assert_eq!(encode("粤B12345").as_deref(), Some(&plate[..8]));
        assert_eq!(encode("🚛"), None);
    }

    #[test]
    fn bytes_that_are_no_gbk_are_replaced_or_refused() {
        assert_eq!(decode(&[0x41, 0xFF, 0xFF]), "A\u{FFFD}\u{FFFD}");
        assert_eq!(decode_strictly(&[0x41, 0xFF]), None);
        assert_eq!(decode_strictly(&[0x80]), None);
        assert_eq!(decode_strictly(&[0x81, 0x30, 0x81, 0x30]), None, "GB 18030");
        assert_eq!(decode_strictly("京".as_bytes()), None, "UTF-8");
        assert_eq!(decode_strictly(b"\x82\x32"), None);
        assert_eq!(decode_strictly(&[0xB2, 0xE2, 0x41]).as_deref(), Some("测A"));
        assert_eq!(decode_strictly(b"\t@").as_deref(), Some("\t@"));
    }

    #[test]
    fn every_character_goes_both_ways() {
        let mut count = 0;
        for pair in 0x8140..=0xFEFE_u16 {
            let bytes = pair.to_be_bytes();
            if let Some(text) = decode_strictly(&bytes) {
                // Two pairs are an ideographic space, so the bytes need not be the same.
                let again = encode(&text).unwrap();
                assert_eq!(decode_strictly(&again).as_ref(), Some(&text));
                count += 1;
            }
        }
        // GBK has 21 886 characters; 30 times 64 pairs are refused, since they are UTF-8 as well.
        assert!(count >= 21_886 - 30 * 64, "{count}");
        assert_eq!(encode("€"), None);
    }
}
