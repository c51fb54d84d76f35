//! What people look for cases by, in one field: a number, a vehicle, a word.

use std::iter;

use geofence::{case::Case, catalog::local_moment, identity::TerminalId, units::Timestamp};

/// The digits of a date in front of a case's number.
const DATE_DIGITS: usize = 8;
/// Of all digits of a case's number.
const NUMBER_DIGITS: usize = 19;
/// Fewer digits are in too many numbers.
const DIGITS_MIN: usize = 4;
const MINUTES_OF_DAY: i64 = 1_440;

/// Cases that have something to do with a text: whose number begins with it, with whose number at a
/// receiver it begins, whose terminal has it in its phone number, or that say it in their words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseSearch {
    given: String,
    text: String,
    terminals: Vec<TerminalId>,
}

/// Cases whose number begins with some digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Numbered {
    /// Opened from the first moment to before the second.
    pub(crate) opened: (Timestamp, Timestamp),
    /// Their whole number begins so; `None` where the days say all.
    pub(crate) prefix: Option<String>,
}

impl CaseSearch {
    /// What is looked for, as people write it, and the terminals that it is known to mean. `None`
    /// for a text that says nothing.
    #[must_use]
    pub fn new(text: &str, terminals: Vec<TerminalId>) -> Option<Self> {
        let given = text.replace('\0', "").trim().to_owned();
        let text = folded(&given);
        (!text.is_empty()).then_some(Self {
            given,
            text,
            terminals,
        })
    }

    /// As it was written: a database makes the letters of receivers' numbers small by rules of its
    /// own, which may end with ASCII.
    pub(crate) fn given(&self) -> &str {
        &self.given
    }

    /// In small letters.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Terminals that it means, by their phone numbers.
    pub(crate) fn terminals(&self) -> Vec<String> {
        self.terminals.iter().map(ToString::to_string).collect()
    }

    /// Digits that may be a part of a phone number.
    pub(crate) fn digits(&self) -> Option<&str> {
        let is_number = self.text.bytes().all(|b| b.is_ascii_digit());
        (is_number && self.text.len() >= DIGITS_MIN).then_some(self.text.as_str())
    }

    /// The cases whose number begins with it, where it can be one.
    pub(crate) fn numbered(&self) -> Option<Numbered> {
        let digits = self.digits().filter(|text| text.len() <= NUMBER_DIGITS)?;
        let (date, serial) = digits.split_at_checked(DATE_DIGITS).unwrap_or((digits, ""));
        // The first and the last date that begin so, of those that can be written.
        let filled = |with: &str| -> Option<i64> {
            let text: String = date.chars().chain(with.chars().skip(date.len())).collect();
            let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
            Some((number(0, 4)? * 100 + number(4, 6)?) * 100 + number(6, 8)?)
        };
        let (first, last) = (filled("00000000")?, filled("99999999")?);
        let opened = (begins(first), begins(last + 1));
        (opened.0 < opened.1).then(|| Numbered {
            opened,
            prefix: (!serial.is_empty()).then(|| digits.to_owned()),
        })
    }

    /// Whether it is one of them, by what the case itself says.
    pub(crate) fn selects(&self, case: &Case) -> bool {
        let is_terminal = |terminal: TerminalId| {
            let phone = terminal.to_string();
            self.terminals.contains(&terminal)
                || self.digits().is_some_and(|digits| phone.contains(digits))
        };
        let has_number = self.digits().is_some() && case.number().starts_with(&self.text);
        has_number
            || case.terminal.is_some_and(is_terminal)
            || searched_text(case).contains(&self.text)
    }
}

impl Numbered {
    /// Whether its number begins so.
    pub(crate) fn fits(&self, opened_at: Timestamp, id: geofence::identity::CaseId) -> bool {
        let number = Case::number_of(opened_at, id);
        self.prefix
            .as_ref()
            .is_none_or(|prefix| number.starts_with(prefix))
    }
}

/// The words of a case that can be looked for, in small letters: its description, the names of
/// the rules that were broken, and the ids of the vehicles.
pub(crate) fn searched_text(case: &Case) -> String {
    let violations = case.intervals.iter().map(|interval| &interval.violation);
    let words = violations.flat_map(|violation| {
        let vehicle = violation.vehicle.as_deref();
        iter::once(violation.rule.name.as_str()).chain(vehicle)
    });
    let mut lines: Vec<String> = Vec::new();
    for word in iter::once(case.description.as_str()).chain(words) {
        let line = folded(word);
        if !line.is_empty() && !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.join("\n")
}

fn folded(text: &str) -> String {
    text.replace('\0', "").to_lowercase()
}

/// A pattern of SQL's `LIKE`, with `\\` before what would mean something else.
pub(crate) fn pattern(before: &str, text: &str) -> String {
    let mut pattern = before.to_owned();
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

/// When the first day from this date on (`20261124`) begins at local time. A date that there is
/// none of is the next that there is.
fn begins(date: i64) -> Timestamp {
    let (year, month, day) = (date / 10_000, date / 100 % 100, date % 100);
    let (year, month, day) = match (month, day) {
        (0, _) => (year, 1, 1),
        (13.., _) => (year + 1, 1, 1),
        (12, 32..) => (year + 1, 1, 1),
        (_, 0) => (year, month, 1),
        (_, 32..) => (year, month + 1, 1),
        _ => (year, month, day),
    };
    local_moment(day_number(year, month, day) * MINUTES_OF_DAY)
}

/// Days since 1970-01-01 of a date of the Gregorian calendar; a 31st of a short month is the day
/// behind its last.
const fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use geofence::identity::CaseId;

    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn opened(text: &str) -> Option<(i64, i64)> {
        let numbered = CaseSearch::new(text, Vec::new())?.numbered()?;
        Some((numbered.opened.0.0, numbered.opened.1.0))
    }

    #[test]
    fn the_beginning_of_a_number_is_a_time_at_which_it_was_opened() {
        // 2026-11-24 00:00 at GMT+8.
        let day = 1_795_449_600_000;
        assert_eq!(opened("20261124"), Some((day, day + 24 * HOUR_MS)));
        assert_eq!(opened("2026112400001"), opened("20261124"));
        let month = day - 23 * 24 * HOUR_MS;
        assert_eq!(opened("202611"), Some((month, month + 30 * 24 * HOUR_MS)));
        assert_eq!(
            opened("2026112"),
            Some((day - 4 * 24 * HOUR_MS, day + 6 * 24 * HOUR_MS))
        );
        let year = opened("2026").unwrap();
        assert_eq!(year.1 - year.0, 365 * 24 * HOUR_MS);
        for none in ["202", "20261399", "case", "20261124000000000000", ""] {
            assert_eq!(opened(none), None, "{none}");
        }
    }

    #[test]
    fn the_rest_of_a_number_is_that_of_the_id() {
        let at = Timestamp(1_795_449_600_000);
        let id = CaseId(uuid::Uuid::from_u128(12_345));
        let fits = |text: &str| {
            let search = CaseSearch::new(text, Vec::new()).unwrap();
            search.numbered().unwrap().fits(at, id)
        };
        assert!(fits("2026112400000012345") && fits("20261124000000"));
        assert!(!fits("2026112400000012346") && !fits("202611241"));
    }

    #[test]
    fn what_means_something_to_the_database_is_a_character_like_others() {
        assert_eq!(pattern("%", "5%_\\"), "%5\\%\\_\\\\%");
        assert_eq!(pattern("", "晋a"), "晋a%");
    }
}
