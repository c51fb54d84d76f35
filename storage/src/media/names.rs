//! Names of files, which are ours alone, and names that peers give, which are only shown.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use geofence::units::Timestamp;
use time::{Date, Month};
use uuid::Uuid;

use super::MediaKind;
use crate::store::day_of;

/// Characters of a name that a peer gave; the rest is cut off.
const SHOWN_CHARS_MAX: usize = 100;

/// A file below the directory: `2026-11/25/UUID.jpg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileName {
    day: Date,
    id: Uuid,
    kind: MediaKind,
}

/// The text is no name that we give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no name of a media file")]
pub(super) struct NotAFileName;

impl FileName {
    /// A name that nobody has; `None` when the moment lies outside the years 2000 to 2099.
    pub(super) fn new(received_at: Timestamp, kind: MediaKind) -> Option<Self> {
        Some(Self {
            day: day_of(received_at)?,
            id: Uuid::new_v4(),
            kind,
        })
    }

    pub(super) fn path(&self, directory: &Path) -> PathBuf {
        directory.join(self.to_string())
    }

    pub(super) fn day_directory(&self, directory: &Path) -> PathBuf {
        let day = format!("{:02}", self.day.day());
        self.month_directory(directory).join(day)
    }

    pub(super) fn month_directory(&self, directory: &Path) -> PathBuf {
        let (year, month) = (self.day.year(), u8::from(self.day.month()));
        directory.join(format!("{year:04}-{month:02}"))
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.day.to_calendar_date();
        let (month, extension) = (u8::from(month), self.kind.extension());
        write!(f, "{year:04}-{month:02}/{day:02}/{}.{extension}", self.id)
    }
}

/// Takes only what [`Display`](fmt::Display) writes: a row that somebody changed leads nowhere else.
impl FromStr for FileName {
    type Err = NotAFileName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (month, rest) = text.split_once('/')?;
            let (day, file) = rest.split_once('/')?;
            let (year, month) = month.split_once('-')?;
            let (id, extension) = file.split_once('.')?;
            let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
            Some(Self {
                day: Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()?,
                id: id.parse().ok()?,
                kind: MediaKind::ALL
                    .into_iter()
                    .find(|kind| kind.extension() == extension)?,
            })
        };
        parse()
            .filter(|name| name.to_string() == text)
            .ok_or(NotAFileName)
    }
}

/// A name as it can be shown: control characters, and those that turn the direction of writing,
/// become U+FFFD, and a long one is cut.
pub(super) fn shown(name: &str) -> String {
    name.chars()
        .take(SHOWN_CHARS_MAX)
        .map(|c| match c {
            '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {
                '\u{FFFD}'
            }
            c if c.is_control() => '\u{FFFD}',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_reads_back_and_stays_below_its_directory() {
        let name = FileName::new(Timestamp(1_700_000_000_000), MediaKind::H264).unwrap();
        let text = name.to_string();
        assert!(text.starts_with("2023-11/14/"), "{text}");
        assert!(text.ends_with(".h264"), "{text}");
        assert_eq!(text.parse(), Ok(name));
        let root = Path::new("/m");
        assert_eq!(
            name.path(root).parent().unwrap(),
            name.day_directory(root).as_path()
        );
        assert_eq!(name.month_directory(root), Path::new("/m/2023-11"));
        assert_eq!(FileName::new(Timestamp(-1), MediaKind::Png), None);
    }

    #[test]
    fn no_other_text_is_a_file_name() {
        let id = "67e55044-10b1-426f-9247-bb680e5fe0c8";
        for wrong in [
            String::new(),
            "../../etc/passwd".to_owned(),
            format!("/2023-11/14/{id}.jpg"),
            format!("2023-11/14/../{id}.jpg"),
            format!("2023-11/14/{id}.exe"),
            format!("2023-11/14/{id}.jpg/x"),
            format!("2023-11/14/{}.jpg", id.to_uppercase()),
            format!("2023-11/31/{id}.jpg"),
            format!("2023-11/+4/{id}.jpg"),
            format!("2023-11/14/{id}.jpg\0"),
        ] {
            assert_eq!(wrong.parse::<FileName>(), Err(NotAFileName), "{wrong:?}");
        }
    }

    #[test]
    fn a_peers_name_is_shown_without_what_a_screen_obeys() {
        assert_eq!(shown("00_64_照片.jpg"), "00_64_照片.jpg");
        assert_eq!(
            shown("a\0b\nc\u{1b}[31m"),
            "a\u{FFFD}b\u{FFFD}c\u{FFFD}[31m"
        );
        assert_eq!(shown("gpj\u{202E}.exe"), "gpj\u{FFFD}.exe");
        assert_eq!(shown(&"长".repeat(200)).chars().count(), 100);
    }
}
