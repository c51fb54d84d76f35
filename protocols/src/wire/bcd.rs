//! BCD digits, and the only way in which a time of the wire becomes UTC.

use std::fmt;

/// Seconds by which GMT+8 is ahead of UTC.
const GMT8_S: i64 = 8 * 3600;
const DAY_S: i64 = 86_400;

/// The decimal value of a byte of two BCD digits; `None` when a nibble is no digit.
#[must_use]
pub const fn two_digits(byte: u8) -> Option<u8> {
    let (high, low) = (byte >> 4, byte & 0x0F);
    if high > 9 || low > 9 {
        None
    } else {
        Some(high * 10 + low)
    }
}

/// BCD\[6\] `YYMMDDhhmmss` at GMT+8, years 2000 to 2099, as it came.
///
/// The digits are kept whatever they are: terminals without a clock send zeros or worse, and what
/// they report beside the time still counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Gmt8Time(pub [u8; 6]);

/// A moment of the calendar at GMT+8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CivilTime {
    /// 2000 to 2099.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

impl fmt::Display for CivilTime {
    /// ISO 8601 with the offset.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            year,
            month,
            day,
            hour,
            minute,
            second,
        } = self;
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+08:00"
        )
    }
}

impl fmt::Display for Gmt8Time {
    /// The twelve digits as they came, in lower-case hex where they are none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Gmt8Time {
    /// The wire form of a Unix time, in seconds; `None` outside 2000 to 2099.
    #[must_use]
    pub fn from_unix_seconds(seconds: i64) -> Option<Self> {
        let local = seconds.checked_add(GMT8_S)?;
        let (year, month, day) = civil_from_days(local.div_euclid(DAY_S))?;
        let second_of_day = local.rem_euclid(DAY_S);
        let digits = |value: i64| {
            let value = u8::try_from(value).ok().filter(|value| *value < 100)?;
            Some(((value / 10) << 4) | (value % 10))
        };
        Some(Self([
            digits(year - 2000)?,
            digits(month)?,
            digits(day)?,
            digits(second_of_day / 3600)?,
            digits(second_of_day / 60 % 60)?,
            digits(second_of_day % 60)?,
        ]))
    }

    /// The wire form of a moment as [`CivilTime`] writes it; `None` when it is none, or outside
    /// 2000 to 2099.
    #[must_use]
    pub fn from_iso(text: &str) -> Option<Self> {
        let local = text.strip_prefix("20")?.strip_suffix("+08:00")?;
        let mut parts = local.split(['-', 'T', ':']);
        let mut time = [0; 6];
        for part in &mut time {
            let digits = parts.next().filter(|digits| digits.len() == 2)?;
            *part = u8::from_str_radix(digits, 16).ok()?;
        }
        let time = Self(time);
        let is_same = time.civil().is_some_and(|civil| civil.to_string() == text);
        (parts.next().is_none() && is_same).then_some(time)
    }

    /// The moment of the calendar; `None` when the digits name none.
    #[must_use]
    pub fn civil(self) -> Option<CivilTime> {
        let [year, month, day, hour, minute, second] = self.0;
        let civil = CivilTime {
            year: 2000 + u16::from(two_digits(year)?),
            month: two_digits(month)?,
            day: two_digits(day)?,
            hour: two_digits(hour)?,
            minute: two_digits(minute)?,
            second: two_digits(second)?,
        };
        let is_real = (1..=12).contains(&civil.month)
            && (1..=days_in_month(civil.year, civil.month)).contains(&civil.day)
            && civil.hour < 24
            && civil.minute < 60
            && civil.second < 60;
        is_real.then_some(civil)
    }

    /// Seconds since 1970 in UTC; `None` when the digits name no moment.
    #[must_use]
    pub fn unix_seconds(self) -> Option<i64> {
        let civil = self.civil()?;
        let days = days_from_civil(civil.year.into(), civil.month.into(), civil.day.into());
        let second_of_day =
            i64::from(civil.hour) * 3600 + i64::from(civil.minute) * 60 + i64::from(civil.second);
        Some(days * DAY_S + second_of_day - GMT8_S)
    }
}

const fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) => 29, // 2000 is a leap year, and 2100 cannot be written
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01. Years begin in March here, so that the leap day is the last one.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day; `None` outside 2000 to 2099.
fn civil_from_days(days: i64) -> Option<(i64, i64, i64)> {
    let first = days_from_civil(2000, 1, 1);
    let year = 2000 + days.checked_sub(first)?.checked_mul(4)?.div_euclid(1461);
    if !(2000..2100).contains(&year) {
        return None;
    }
    let starts = |month: i64| days_from_civil(year, month, 1);
    let month = (1..=12).rev().find(|month| starts(*month) <= days)?;
    Some((year, month, days - starts(month) + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_time_is_eight_hours_ahead_of_utc() {
        // 2024-07-15 08:30:15 at GMT+8 is 00:30:15 in UTC.
        let time = Gmt8Time([0x24, 0x07, 0x15, 0x08, 0x30, 0x15]);
        assert_eq!(time.unix_seconds(), Some(1_721_003_415));
        assert_eq!(
            time.civil().unwrap().to_string(),
            "2024-07-15T08:30:15+08:00"
        );
        assert_eq!(time.to_string(), "240715083015");
    }

    #[test]
    fn the_ends_of_the_range_are_right() {
        let first = Gmt8Time([0x00, 0x01, 0x01, 0, 0, 0]);
        assert_eq!(first.unix_seconds(), Some(946_656_000));
        let last = Gmt8Time([0x99, 0x12, 0x31, 0x23, 0x59, 0x59]);
        assert_eq!(last.unix_seconds(), Some(4_102_415_999));
        assert_eq!(Gmt8Time::from_unix_seconds(946_655_999), None);
        assert_eq!(Gmt8Time::from_unix_seconds(4_102_416_000), None);
        assert_eq!(Gmt8Time::from_unix_seconds(i64::MAX), None);
        assert_eq!(Gmt8Time::from_unix_seconds(i64::MIN), None);
    }

    #[test]
    fn digits_that_name_no_moment_are_kept_and_are_no_time() {
        for digits in [
            [0, 0, 0, 0, 0, 0],
            [0x24, 0x13, 0x01, 0, 0, 0],
            [0x24, 0x00, 0x01, 0, 0, 0],
            [0x23, 0x02, 0x29, 0, 0, 0],
            [0x24, 0x04, 0x31, 0, 0, 0],
            [0x24, 0x01, 0x01, 0x24, 0, 0],
            [0x24, 0x01, 0x01, 0, 0x60, 0],
            [0x24, 0x01, 0x01, 0, 0, 0x60],
            [0x24, 0x01, 0x0A, 0, 0, 0],
            [0xFF; 6],
        ] {
            assert_eq!(Gmt8Time(digits).unix_seconds(), None, "{digits:02x?}");
            assert_eq!(Gmt8Time(digits).0, digits);
        }
        assert!(Gmt8Time([0x24, 0x02, 0x29, 0, 0, 0]).civil().is_some());
    }

    proptest! {
        #[test]
        fn every_second_of_the_century_comes_back(seconds in 946_656_000_i64..4_102_416_000) {
            let time = Gmt8Time::from_unix_seconds(seconds);
            prop_assert_eq!(time.and_then(Gmt8Time::unix_seconds), Some(seconds));
        }
    }
}
