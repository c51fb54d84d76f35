//! The work calendar: holidays (节假日) and make-up days (调休上班日), from CSV.

use std::collections::HashMap;

use super::{
    super::{features::Notes, schedule::EPOCH_WEEKDAY, weight::map_bytes},
    table,
};

/// What the calendar says of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayKind {
    /// Nobody works who works on work days only.
    Holiday,
    /// A work day, also on a Saturday or Sunday: a make-up day.
    Workday,
}

/// Days that differ from what their weekday says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calendar {
    days: HashMap<i64, DayKind>,
}

impl Calendar {
    /// Of days that are counted from 1970-01-01 at local time; of a day that is there twice the
    /// last word counts.
    #[must_use]
    pub fn of(days: impl IntoIterator<Item = (i64, DayKind)>) -> Self {
        Self {
            days: days.into_iter().collect(),
        }
    }

    /// About how many bytes of the memory it takes beside its own size.
    pub(super) fn heap_bytes(&self) -> usize {
        map_bytes::<(i64, DayKind)>(self.days.len())
    }

    /// Whether a day is a work day: Monday to Friday, less the holidays, with the make-up days.
    /// Days are counted from 1970-01-01 at local time.
    #[must_use]
    pub fn is_workday(&self, day: i64) -> bool {
        match self.days.get(&day) {
            Some(DayKind::Holiday) => false,
            Some(DayKind::Workday) => true,
            None => weekday(day) < 5,
        }
    }

    /// What the calendar says of a day; `None` where it says nothing.
    #[must_use]
    pub fn day(&self, day: i64) -> Option<DayKind> {
        self.days.get(&day).copied()
    }

    /// The days that it says something of, in no order.
    pub(super) fn special_days(&self) -> impl Iterator<Item = i64> {
        self.days.keys().copied()
    }
}

/// 0 is Monday.
pub(super) const fn weekday(day: i64) -> i64 {
    (day + EPOCH_WEEKDAY).rem_euclid(7)
}

/// Reads `date,kind,name`.
pub(super) fn read(text: &str, notes: &mut Notes<'_>) -> Calendar {
    let mut calendar = Calendar::default();
    let mut seen = HashMap::new();
    let columns = ["date", "kind", "name"];
    for row in table::rows(text, &columns, &["date", "kind"], notes) {
        let day = row.date("date", notes);
        let kind = match row.field("kind") {
            "holiday" => Some(DayKind::Holiday),
            "workday" => Some(DayKind::Workday),
            _ => {
                row.wrong("kind", "one of holiday, workday", notes);
                None
            }
        };
        if let (Some(day), Some(kind)) = (day, kind) {
            notes.unique(&mut seen, "date", row.field("date"), &row.place);
            calendar.days.insert(day, kind);
        }
    }
    calendar
}

/// The day of `YYYY-MM-DD`, counted from 1970-01-01; `None` where there is no such day.
#[must_use]
pub fn day_of(text: &str) -> Option<i64> {
    let digits = |part: &str, count: usize| {
        let is_number = part.len() == count && part.bytes().all(|b| b.is_ascii_digit());
        part.parse::<i64>().ok().filter(|_| is_number)
    };
    let mut parts = text.split('-');
    let year = digits(parts.next()?, 4)?;
    let month = digits(parts.next()?, 2)?;
    let day = digits(parts.next()?, 2)?;
    if parts.next().is_some() || !(1..=12).contains(&month) {
        return None;
    }
    let next = if month == 12 {
        first_of(year + 1, 1)
    } else {
        first_of(year, month + 1)
    };
    let first = first_of(year, month);
    (1..=next - first).contains(&day).then_some(first + day - 1)
}

/// Year, month and day of a day counted from 1970-01-01: the way back from [`day_of`].
#[must_use]
pub const fn date_of(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let leap_days = day_of_era / 1_460 + day_of_era / 146_096 - day_of_era / 36_524;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = (from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day_of_year - (153 * from_march + 2) / 5 + 1)
}

/// The first day of a month. Years begin in March here, so that the leap day is the last one.
const fn first_of(year: i64, month: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_the_date_that_leads_to_it() {
        // From 1970 to 2106, every leap year rule included.
        for day in 0..50_000 {
            let (year, month, date) = date_of(day);
            assert_eq!(day_of(&format!("{year}-{month:02}-{date:02}")), Some(day));
        }
    }

    #[test]
    fn a_date_is_a_day_of_the_calendar() {
        assert_eq!(day_of("1970-01-01"), Some(0));
        assert_eq!(day_of("2026-01-05"), Some(20_458));
        assert_eq!(
            day_of("2024-02-29").map(|day| day + 1),
            day_of("2024-03-01")
        );
        for wrong in [
            "2026-02-29",
            "2026-13-01",
            "2026-1-05",
            "2026-01-00",
            "today",
            "2026-01-05-",
        ] {
            assert_eq!(day_of(wrong), None, "{wrong}");
        }
    }
}
