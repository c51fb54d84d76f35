//! The days that positions are kept by, and their files.

use std::{
    io,
    path::{Path, PathBuf},
};

use geofence::units::Timestamp;
use time::{Date, format_description::BorrowedFormatItem, macros::format_description};

const FORMAT: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");
const PREFIX: &str = "positions-";
const SUFFIX: &str = ".sqlite";

/// The file of a day.
pub(super) fn file(directory: &Path, day: Date) -> PathBuf {
    directory.join(format!("{PREFIX}{day}{SUFFIX}"))
}

/// Days that have a file and share a moment with a range, in order. `to` is exclusive.
pub(super) fn list(directory: &Path, from: Timestamp, to: Timestamp) -> io::Result<Vec<Date>> {
    let mut days = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name();
        let day = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX));
        days.extend(day.and_then(|day| Date::parse(day, FORMAT).ok()));
    }
    let first = |day: Date| day.midnight().assume_utc().unix_timestamp() * 1_000;
    days.retain(|day| {
        first(*day) < to.millis() && first(*day) > from.millis().saturating_sub(86_400_000)
    });
    days.sort_unstable();
    Ok(days)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::day_of;

    const MIDNIGHT: Timestamp = Timestamp(1_764_028_800_000); // 2025-11-25T00:00:00Z

    #[test]
    fn a_day_begins_at_midnight_in_utc() {
        let name = |moment| day_of(moment).map(|day| day.to_string());
        assert_eq!(name(MIDNIGHT).as_deref(), Some("2025-11-25"));
        assert_eq!(
            name(MIDNIGHT.plus_millis(-1)).as_deref(),
            Some("2025-11-24")
        );
        assert_eq!(name(Timestamp(i64::MAX)), None);
        assert_eq!(name(Timestamp(-1)), None);
    }

    #[test]
    fn only_days_that_share_a_moment_with_the_range_are_listed() {
        let directory = tempfile::tempdir().unwrap();
        for name in [
            "positions-2025-11-24.sqlite",
            "positions-2025-11-25.sqlite",
            "positions-2025-11-25.sqlite-wal",
            "positions-x.sqlite",
            "main.sqlite",
        ] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let days = |from, to| list(directory.path(), from, to).unwrap().len();
        assert_eq!(days(Timestamp(0), Timestamp(i64::MAX)), 2);
        assert_eq!(days(MIDNIGHT, MIDNIGHT.plus_millis(1)), 1);
        assert_eq!(days(MIDNIGHT.plus_millis(-1), MIDNIGHT), 1);
        assert_eq!(days(MIDNIGHT.plus_millis(-1), MIDNIGHT.plus_millis(1)), 2);
        assert_eq!(days(Timestamp(i64::MIN), Timestamp(i64::MIN)), 0);
    }
}
