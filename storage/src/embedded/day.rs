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
const DAY_MILLIS: i64 = 86_400_000;

/// The file of a day.
pub(super) fn file(directory: &Path, day: Date) -> PathBuf {
    directory.join(format!("{PREFIX}{day}{SUFFIX}"))
}

/// Days that have a file and share a moment with a range, in order. `to` is exclusive.
pub(super) fn list(directory: &Path, from: Timestamp, to: Timestamp) -> io::Result<Vec<Date>> {
    let mut days = all(directory)?;
    days.retain(|day| {
        first(*day) < to.millis() && first(*day) > from.millis().saturating_sub(DAY_MILLIS)
    });
    Ok(days)
}

/// Days that have a file and end before a moment or with it, in order.
pub(super) fn before(directory: &Path, moment: Timestamp) -> io::Result<Vec<Date>> {
    let mut days = all(directory)?;
    days.retain(|day| first(*day) <= moment.millis().saturating_sub(DAY_MILLIS));
    Ok(days)
}

/// Removes the file of a day that no connection of this process has open. What SQLite keeps beside
/// it goes first: it must not find that beside another file of this name.
pub(super) fn remove(directory: &Path, day: Date) -> io::Result<()> {
    for companion in ["-wal", "-shm", ""] {
        let mut path = file(directory, day).into_os_string();
        path.push(companion);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The first millisecond of a day.
fn first(day: Date) -> i64 {
    day.midnight().assume_utc().unix_timestamp() * 1_000
}

/// Every day that has a file, in order.
fn all(directory: &Path) -> io::Result<Vec<Date>> {
    let mut days = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name();
        let day = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX));
        days.extend(day.and_then(|day| Date::parse(day, FORMAT).ok()));
    }
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

    #[test]
    fn only_days_that_are_over_by_a_moment_are_before_it() {
        let directory = tempfile::tempdir().unwrap();
        for day in ["2025-11-23", "2025-11-24", "2025-11-25"] {
            let name = format!("positions-{day}.sqlite");
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let days = |moment| before(directory.path(), moment).unwrap().len();
        assert_eq!(days(MIDNIGHT), 2);
        assert_eq!(days(MIDNIGHT.plus_millis(-1)), 1);
        assert_eq!(days(Timestamp(i64::MIN)), 0);
        assert_eq!(days(Timestamp(i64::MAX)), 3);
    }
}
