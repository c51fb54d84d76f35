//! The terminal phone number (终端手机号) and the key that it names a terminal by.

use std::fmt;

use super::HeaderForm;

/// The phone number of a terminal as it stands in the header: any bytes, often a device number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum TerminalPhone {
    /// 6 bytes: 2011 and 2013.
    Short([u8; 6]),
    /// 10 bytes: 2019.
    Long([u8; 10]),
}

impl TerminalPhone {
    /// The number that a key stands for, in headers of this form; `None` where it is too long for
    /// them, or no key.
    #[must_use]
    pub fn from_key(key: &str, form: HeaderForm) -> Option<Self> {
        let digits = key.bytes().map(|digit| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        });
        let digits: Vec<u8> = digits.collect::<Option<_>>()?;
        let fill = |bytes: &mut [u8]| -> Option<()> {
            let padding = (bytes.len() * 2).checked_sub(digits.len())?;
            let nibbles = std::iter::repeat_n(0, padding).chain(digits.iter().copied());
            for (at, nibble) in nibbles.enumerate() {
                let byte = bytes.get_mut(at / 2)?;
                *byte = *byte << 4 | nibble;
            }
            Some(())
        };
        match form {
            HeaderForm::Form2013 => {
                let mut bytes = [0; 6];
                fill(&mut bytes).map(|()| Self::Short(bytes))
            }
            HeaderForm::Form2019 => {
                let mut bytes = [0; 10];
                fill(&mut bytes).map(|()| Self::Long(bytes))
            }
        }
    }

    /// The bytes on the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes) => bytes,
            Self::Long(bytes) => bytes,
        }
    }

    /// The form of the headers that this number stands in.
    #[must_use]
    pub const fn form(&self) -> HeaderForm {
        match self {
            Self::Short(_) => HeaderForm::Form2013,
            Self::Long(_) => HeaderForm::Form2019,
        }
    }

    /// What names the terminal in every revision: the digits without the zeros in front, as
    /// lower-case hex where they are not decimal. `None` when all are zero: terminals that nobody
    /// configured share that number.
    #[must_use]
    pub fn key(&self) -> Option<PhoneKey> {
        let mut digits = [0; PhoneKey::LENGTH_MAX];
        let mut length = 0_u8;
        let nibbles = self
            .as_bytes()
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 0x0F]);
        for (slot, nibble) in digits
            .iter_mut()
            .zip(nibbles.skip_while(|nibble| *nibble == 0))
        {
            *slot = if nibble < 10 {
                b'0' + nibble
            } else {
                b'a' + nibble - 10
            };
            length += 1;
        }
        (length > 0).then_some(PhoneKey { digits, length })
    }
}

impl fmt::Display for TerminalPhone {
    /// All digits, zeros in front included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TerminalPhone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TerminalPhone({self})")
    }
}

/// A phone number without zeros in front: 1 to 20 characters of `[0-9a-f]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PhoneKey {
    digits: [u8; Self::LENGTH_MAX],
    length: u8,
}

impl PhoneKey {
    /// The longest key, in characters.
    pub const LENGTH_MAX: usize = 20;

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let digits = self
            .digits
            .get(..usize::from(self.length))
            .unwrap_or_default();
        std::str::from_utf8(digits).unwrap_or_default()
    }
}

impl fmt::Display for PhoneKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for PhoneKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PhoneKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_same_in_every_revision() {
        let short = TerminalPhone::Short([0x01, 0x38, 0x00, 0x13, 0x80, 0x00]);
        let long = TerminalPhone::Long([0, 0, 0, 0, 0x01, 0x38, 0x00, 0x13, 0x80, 0x00]);
        assert_eq!(short.key().unwrap().as_str(), "13800138000");
        assert_eq!(short.key(), long.key());
        assert_eq!(long.to_string(), "00000000013800138000");
    }

    #[test]
    fn a_number_that_is_not_decimal_is_hex_and_zeros_are_no_key() {
        let imei = TerminalPhone::Short([0x4E, 0xB6, 0xFB, 0x4A, 0xF2, 0xC1]);
        assert_eq!(imei.key().unwrap().as_str(), "4eb6fb4af2c1");
        assert_eq!(TerminalPhone::Short([0; 6]).key(), None);
        assert_eq!(
            TerminalPhone::Long([0xFF; 10]).key().unwrap().as_str(),
            "f".repeat(20)
        );
    }

    #[test]
    fn a_key_gives_the_number_that_it_came_from() {
        for form in [HeaderForm::Form2013, HeaderForm::Form2019] {
            for key in ["1", "13800138000", "1a2b"] {
                let phone = TerminalPhone::from_key(key, form).unwrap();
                assert_eq!((phone.form(), phone.key().unwrap().as_str()), (form, key));
            }
            assert_eq!(TerminalPhone::from_key("12 4", form), None);
        }
        let long = "1234567890123";
        assert_eq!(TerminalPhone::from_key(long, HeaderForm::Form2013), None);
        assert!(TerminalPhone::from_key(long, HeaderForm::Form2019).is_some());
    }
}
