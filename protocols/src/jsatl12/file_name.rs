//! The names that terminals give to the files of an alarm.

use std::fmt;

use crate::wire::text;

/// Width of the field in a packet of data.
pub const FILE_NAME_BYTES: usize = 50;
/// Width of the alarm number (报警编号) in 0x9208.
const ALARM_NUMBER_BYTES_MAX: usize = 32;

/// The name of a file as its terminal wrote it, without padding. Any bytes: it tells the files of
/// a connection apart, and is no name for a file of ours. See [`parts`](Self::parts).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileName {
    /// Filled with 0x00 behind.
    bytes: [u8; FILE_NAME_BYTES],
    length: u8,
}

impl FileName {
    /// Without the 0x00 and 0x20 at both ends; `None` when more than 50 bytes are left, which no
    /// packet of data can name.
    #[must_use]
    pub fn new(field: &[u8]) -> Option<Self> {
        let name = text::trim(field);
        let mut bytes = [0; FILE_NAME_BYTES];
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        let length = u8::try_from(name.len()).ok()?;
        Some(Self { bytes, length })
    }

    /// The bytes of the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length.into()).unwrap_or_default()
    }

    /// What the name says, where it follows the grammar of T/JSATL 12:
    /// `<kind>_<channel>_<alarm code>_<serial>_<alarm number>.<extension>`.
    ///
    /// What comes out are numbers, words of ours, and an alarm number of letters, digits and
    /// hyphens: no separator, no dot, nothing that leads out of a directory.
    #[must_use]
    pub fn parts(&self) -> Option<FileNameParts<'_>> {
        let name = std::str::from_utf8(self.as_bytes()).ok()?;
        let (stem, extension) = name.split_once('.')?;
        let mut fields = stem.split('_');
        let parts = FileNameParts {
            kind: FileKind::read(fields.next()?)?,
            channel: decimal(fields.next()?, 3)?.try_into().ok()?,
            alarm: AlarmCode::read(fields.next()?)?,
            serial: decimal(fields.next()?, 5)?.try_into().ok()?,
            alarm_number: alarm_number(fields.next()?)?,
            extension: Extension::read(extension)?,
        };
        fields.next().is_none().then_some(parts)
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl fmt::Display for FileName {
    /// Printable ASCII, all else escaped: fit for a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().escape_ascii().fmt(f)
    }
}

/// A name that follows the grammar. Written with [`Display`](fmt::Display), it is one with the
/// same meaning, and safe as the last part of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileNameParts<'a> {
    /// What is in the file.
    pub kind: FileKind,
    /// 0 to 37: a channel of JT/T 1078. 0x64 ADAS, 0x65 DSM, 0x67 BSD are written with these
    /// digits: 64, 65, 67.
    pub channel: u8,
    /// What the alarm was.
    pub alarm: AlarmCode,
    /// Number of the file among those of its channel and kind.
    pub serial: u16,
    /// The number that 0x9208 gave to the alarm: 1 to 32 letters, digits and hyphens.
    pub alarm_number: &'a str,
    /// What stands behind the dot.
    pub extension: Extension,
}

impl fmt::Display for FileNameParts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            channel,
            alarm,
            serial,
            alarm_number,
            extension,
        } = self;
        let (kind, extension) = (kind.code(), extension.as_str());
        write!(
            f,
            "{kind:02}_{channel}_{alarm}_{serial}_{alarm_number}.{extension}"
        )
    }
}

/// What is in a file (文件类型).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// 0.
    Picture,
    /// 1.
    Audio,
    /// 2.
    Video,
    /// 3.
    Text,
    /// 4: other; in Guangdong the picture of a face.
    OtherOrFace,
    /// 5: other, in Guangdong.
    Other,
}

impl FileKind {
    /// The kind of a code of 0x1211, 0x1212 and of names; `None` above 5.
    #[must_use]
    pub const fn of(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Picture),
            1 => Some(Self::Audio),
            2 => Some(Self::Video),
            3 => Some(Self::Text),
            4 => Some(Self::OtherOrFace),
            5 => Some(Self::Other),
            _ => None,
        }
    }

    /// 0 to 5.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Picture => 0,
            Self::Audio => 1,
            Self::Video => 2,
            Self::Text => 3,
            Self::OtherOrFace => 4,
            Self::Other => 5,
        }
    }

    fn read(field: &str) -> Option<Self> {
        Self::of(decimal(field, 2)?.try_into().ok()?)
    }
}

/// The item of the location report that gave the alarm, and the type of the alarm in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AlarmCode {
    /// 0x64 to 0x67.
    pub item: u8,
    /// Type; `None` where the item has none (0x66, tyres).
    pub alarm_type: Option<u8>,
}

impl AlarmCode {
    /// Two or four hex digits.
    fn read(field: &str) -> Option<Self> {
        let hex = |digits: &str| u8::from_str_radix(digits, 16).ok();
        if !field.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let (item, alarm_type) = field.split_at_checked(2)?;
        let alarm_type = match alarm_type.len() {
            0 => None,
            2 => Some(hex(alarm_type)?),
            _ => return None,
        };
        Some(Self {
            item: hex(item)?,
            alarm_type,
        })
    }
}

impl fmt::Display for AlarmCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X}", self.item)?;
        self.alarm_type
            .map_or(Ok(()), |alarm_type| write!(f, "{alarm_type:02X}"))
    }
}

/// What a file calls its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Extension {
    /// `jpg`.
    Jpg,
    /// `png`.
    Png,
    /// `wav`.
    Wav,
    /// `h264`.
    H264,
    /// `mp4`.
    Mp4,
    /// `bin`: the vehicle's state.
    Bin,
    /// Another one of 1 to 8 letters and digits.
    Other,
}

impl Extension {
    /// The word for a name of a file; `other` for all that are not named here.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jpg => "jpg",
            Self::Png => "png",
            Self::Wav => "wav",
            Self::H264 => "h264",
            Self::Mp4 => "mp4",
            Self::Bin => "bin",
            Self::Other => "other",
        }
    }

    fn read(field: &str) -> Option<Self> {
        const KNOWN: &[Extension] = &[
            Extension::Jpg,
            Extension::Png,
            Extension::Wav,
            Extension::H264,
            Extension::Mp4,
            Extension::Bin,
        ];
        let is_word = (1..=8).contains(&field.len())
            && field.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let known = KNOWN
            .iter()
            .find(|known| field.eq_ignore_ascii_case(known.as_str()));
        is_word.then(|| known.copied().unwrap_or(Self::Other))
    }
}

/// Nothing but 1 to `digits_max` digits.
fn decimal(field: &str, digits_max: usize) -> Option<u32> {
    let is_number =
        (1..=digits_max).contains(&field.len()) && field.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| field.parse().ok()).flatten()
}

fn alarm_number(field: &str) -> Option<&str> {
    let is_safe = (1..=ALARM_NUMBER_BYTES_MAX).contains(&field.len())
        && field
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_safe.then_some(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_name_says_what_is_in_the_file_and_to_which_alarm_it_belongs() {
        let field = format!("00_64_6401_0_{NUMBER}.jpg\0\0");
        let name = FileName::new(field.as_bytes()).unwrap();
        let parts = name.parts().unwrap();
        let expected = FileNameParts {
            kind: FileKind::Picture,
            channel: 64,
            alarm: AlarmCode {
                item: 0x64,
                alarm_type: Some(1),
            },
            serial: 0,
            alarm_number: NUMBER,
            extension: Extension::Jpg,
        };
        assert_eq!(parts, expected);
        assert_eq!(parts.to_string(), name.to_string());

        let tyres = FileName::new(b"03_0_66_12_A-1.BIN   ").unwrap();
        let parts = tyres.parts().unwrap();
        assert_eq!((parts.kind, parts.serial), (FileKind::Text, 12));
        assert_eq!(parts.alarm.alarm_type, None);
        assert_eq!(parts.to_string(), "03_0_66_12_A-1.bin");
    }

    #[test]
    fn padding_of_both_kinds_is_no_part_of_a_name() {
        let name = |field: &[u8]| FileName::new(field).unwrap();
        assert_eq!(name(b"a.jpg\0\0\0"), name(b"a.jpg   "));
        assert_eq!(name(&[0; FILE_NAME_BYTES]).as_bytes(), b"");
        assert_eq!(name(&[b'a'; FILE_NAME_BYTES]).as_bytes().len(), 50);
        assert_eq!(FileName::new(&[b'a'; FILE_NAME_BYTES + 1]), None);
    }

    #[test]
    fn what_could_lead_out_of_a_directory_has_no_parts() {
        for text in [
            "",
            ".",
            "..",
            "../../etc/passwd",
            "00_64_6401_0_../../x.jpg",
            "00_64_6401_0_a/b.jpg",
            "00_64_6401_0_a\\b.jpg",
            "00_64_6401_0_a.b.jpg",
            "00_64_6401_0_a.jpg/..",
            "00_64_6401_0_a\0b.jpg",
            "00_64_6401_0_.jpg",
            "00_64_6401_0_a.",
            "00_64_6401_0_a",
            "00_64_6401_0_a.jpg.sh",
            "00_64_6401_0_a b.jpg",
            "00_64_6401_0_a_b.jpg",
            "00_64_6401_0_粤.jpg",
            "00_64_6401_0_a.粤",
            "00_64_6粤_0_a.jpg",
            "00_64_64011_0_a.jpg",
            "00_64_640_0_a.jpg",
            "00_64_+401_0_a.jpg",
            "00_+4_6401_0_a.jpg",
            "00_256_6401_0_a.jpg",
            "00_64_6401_65536_a.jpg",
            "06_64_6401_0_a.jpg",
            "/00_64_6401_0_a.jpg",
        ] {
            let name = FileName::new(text.as_bytes()).unwrap();
            assert_eq!(name.parts(), None, "{text}");
        }
        assert_eq!(
            FileName::new(b"00_64_6401_0_\xFF.jpg").unwrap().parts(),
            None
        );
    }

    #[test]
    fn a_name_in_a_log_is_printable_ascii() {
        let name = FileName::new(b"a\n\x1B[2J\xFF\"b").unwrap();
        assert_eq!(name.to_string(), r#"a\n\x1b[2J\xff\"b"#);
    }

    #[test]
    fn an_unknown_extension_is_not_taken_over() {
        let name = FileName::new(b"05_37_6501_3_7.php").unwrap();
        let parts = name.parts().unwrap();
        assert_eq!(parts.extension, Extension::Other);
        assert_eq!(parts.to_string(), "05_37_6501_3_7.other");
    }

    #[test]
    fn codes_of_kinds_come_back() {
        for code in 0..=u8::MAX {
            let back = FileKind::of(code).map(FileKind::code);
            assert_eq!(back, (code <= 5).then_some(code));
        }
    }
}
