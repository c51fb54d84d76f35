//! Shifts (班次): which days, from when to when, with which break; from CSV.

use std::collections::HashMap;

use super::{
    super::{
        features::Notes,
        schedule::{DAY_MINUTES, DAYS, MINUTE_MS, local, minutes},
    },
    Calendar, Timestamp,
    calendar::weekday,
    table::{self, Row},
};
use crate::{
    checks::{DutyChecks, DutyParameters},
    violation::ViolationKind,
};

/// Every seven days of the week.
const DAILY: u8 = 0x7F;

/// A shift.
#[derive(Clone, Debug, PartialEq)]
pub struct Shift {
    /// Its id in the catalog.
    pub id: String,
    /// For people.
    pub name: String,
    /// The version that its editor counts; 1 where the text has none.
    pub version: u32,
    days: Days,
    /// Minutes since midnight.
    from: i64,
    minutes: i64,
    /// When those on duty may be away for a while.
    pub rest: Option<Break>,
    /// What is checked; `None` is what is usual for the work.
    pub checks: Option<DutyChecks>,
    /// The thresholds of its checks.
    pub parameters: DutyParameters,
    pub(super) text: String,
}

/// The break of a shift: within these hours absence counts only behind a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Break {
    /// Minutes since midnight.
    from: i64,
    minutes: i64,
    /// Absence that is allowed within it.
    pub budget_ms: i64,
}

/// On which days a shift begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Days {
    /// Bit 0 is Monday; these hold whatever the calendar says.
    weekdays: u8,
    /// On work days of the calendar.
    is_on_workdays: bool,
    /// On all others.
    is_on_restdays: bool,
}

impl Shift {
    /// The hours of the shift that begins on a day (counted from 1970-01-01 at local time), where
    /// it does.
    #[must_use]
    pub fn on(&self, day: i64, calendar: &Calendar) -> Option<(Timestamp, Timestamp)> {
        let is_workday = calendar.is_workday(day);
        let holds = self.days.weekdays >> weekday(day) & 1 == 1
            || (self.days.is_on_workdays && is_workday)
            || (self.days.is_on_restdays && !is_workday);
        let from = day * DAY_MINUTES + self.from;
        holds.then(|| (local(from), local(from + self.minutes)))
    }

    /// The break of the shift that began at a moment, from its beginning to its end.
    #[must_use]
    pub fn break_of(&self, began: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let rest = self.rest?;
        // A break whose hour is before that of the shift is on the day after it began.
        let minutes = (rest.from - self.from).rem_euclid(DAY_MINUTES);
        let from = began.plus_millis(minutes * MINUTE_MS);
        Some((from, from.plus_millis(rest.minutes * MINUTE_MS)))
    }
}

const COLUMNS: [&str; 10] = [
    "shift",
    "name",
    "version",
    "days",
    "from",
    "to",
    "break_from",
    "break_to",
    "break_min",
    "checks",
];

pub(super) fn read(text: &str, notes: &mut Notes<'_>) -> Vec<Shift> {
    let columns: Vec<&'static str> = COLUMNS.into_iter().chain(DutyParameters::KEYS).collect();
    let mut seen = HashMap::new();
    let mut shifts = Vec::new();
    for row in table::rows(text, &columns, &["shift", "days", "from", "to"], notes) {
        let id = row.text("shift", notes);
        if !id.is_empty() {
            notes.unique(&mut seen, "shift", &id, &row.place);
        }
        let name = match row.field("name") {
            "" => id.clone(),
            name => name.to_owned(),
        };
        let version = row.number("version", 0.0..=1e9, notes);
        let days = days(&row, notes);
        let hours = span(&row, "from", "to", notes);
        let mut parameters = DutyParameters::default();
        parameters.read(|key, range| row.number(key, range, notes));
        let (rest, checks) = (rest(&row, hours, notes), checks(&row, notes));
        // A shift whose hours are wrong still has its name: others may refer to it.
        let (from, minutes) = hours.unwrap_or((0, 1));
        let without_name = columns.iter().copied().filter(|column| *column != "name");
        shifts.push(Shift {
            id,
            name,
            version: version.map_or(1, whole),
            days,
            from,
            minutes,
            rest,
            checks,
            parameters,
            text: row.joined(&without_name.collect::<Vec<_>>()),
        });
    }
    shifts
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range was checked"
)]
const fn whole(number: f64) -> u32 {
    number as u32
}

fn days(row: &Row, notes: &mut Notes<'_>) -> Days {
    let mut days = Days::default();
    let mut is_good = !row.field("days").is_empty();
    for word in row.field("days").split_whitespace() {
        match word {
            "daily" => days.weekdays = DAILY,
            "workdays" => days.is_on_workdays = true,
            "restdays" => days.is_on_restdays = true,
            _ => match DAYS.iter().position(|day| *day == word) {
                Some(bit) => days.weekdays |= 1 << bit,
                None => is_good = false,
            },
        }
    }
    if !is_good {
        let expected = format!("daily, workdays, restdays or some of {}", DAYS.join(" "));
        row.wrong("days", &expected, notes);
    }
    days
}

/// The beginning in minutes since midnight and the length in minutes.
fn span(
    row: &Row,
    from: &'static str,
    to: &'static str,
    notes: &mut Notes<'_>,
) -> Option<(i64, i64)> {
    let mut time = |key: &'static str| {
        let time = minutes(row.field(key));
        if time.is_none() {
            row.wrong(key, "HH:MM, 00:00 to 24:00", notes);
        }
        time
    };
    let (start, end) = (time(from), time(to));
    let (start, end) = (start?, end?);
    if start == end || start == DAY_MINUTES {
        row.wrong(
            to,
            "a time behind the beginning: 00:00 to 24:00 is the whole day",
            notes,
        );
        return None;
    }
    let minutes = end - start;
    // Not behind the beginning means on the next day.
    let over_midnight = if minutes > 0 { 0 } else { DAY_MINUTES };
    Some((start, minutes + over_midnight))
}

fn rest(row: &Row, hours: Option<(i64, i64)>, notes: &mut Notes<'_>) -> Option<Break> {
    let keys = ["break_from", "break_to", "break_min"];
    if keys.iter().all(|key| row.field(key).is_empty()) {
        return None;
    }
    for key in keys {
        if row.field(key).is_empty() {
            row.wrong(
                key,
                "there, as a break has break_from, break_to and break_min",
                notes,
            );
            return None;
        }
    }
    let (from, minutes) = span(row, "break_from", "break_to", notes)?;
    #[expect(clippy::cast_precision_loss, reason = "minutes of a day")]
    let longest = minutes as f64;
    let budget = row.number("break_min", 0.0..=longest, notes)?;
    let (began, length) = hours?;
    if (from - began).rem_euclid(DAY_MINUTES) + minutes > length {
        row.wrong("break_from", "within the hours of the shift", notes);
        return None;
    }
    Some(Break {
        from,
        minutes,
        budget_ms: crate::checks::millis(budget * 60.0),
    })
}

fn checks(row: &Row, notes: &mut Notes<'_>) -> Option<DutyChecks> {
    let text = row.field("checks");
    if text.is_empty() {
        return None;
    }
    if text == "none" {
        return Some(DutyChecks::NONE);
    }
    let mut checks = DutyChecks::NONE;
    for word in text.split_whitespace() {
        let kind = ViolationKind::from_word(word);
        if !kind.is_some_and(|kind| checks.add(kind)) {
            let known = DutyChecks::KINDS.map(ViolationKind::as_str).join(" ");
            row.wrong("checks", &format!("none or some of {known}"), notes);
            return None;
        }
    }
    Some(checks)
}
