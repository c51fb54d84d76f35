//! Time limits of cases, in natural time, working hours and working days.
//!
//! All three are one thing: a set of periods in which a clock runs. Natural time always runs (also
//! called urgent hours); working hours are the periods of a work day; working days are whole work
//! days at local time, so that "one working day" from Friday 15:00 on ends on Monday at 15:00.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::words;
use crate::{
    catalog::{Calendar, DAY_MINUTES, MINUTE_MS, local_day, local_moment},
    units::Timestamp,
};

/// No limit reaches further: a calendar without work days has no end.
const DAYS_MAX: i64 = 4_000;

/// Which time is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeUnit {
    /// Runs always.
    Natural,
    /// Runs in the working periods of work days.
    WorkHours,
    /// Runs on work days.
    WorkDays,
}

/// How long something may take: `4 work hours`, `1 work day`, `90 minutes`, `2 days`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Limit {
    /// Minutes of that time.
    pub minutes: u32,
    /// Which time.
    pub unit: TimeUnit,
}

/// A text that is no limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a limit such as \"4 work hours\", \"1 work day\", \"90 minutes\", \"2 days\""
)]
pub struct NotALimit(String);

impl Limit {
    /// Milliseconds of that time.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.minutes as i64 * MINUTE_MS
    }
}

impl FromStr for Limit {
    type Err = NotALimit;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NotALimit(text.to_owned());
        let (amount, unit) = text.trim().split_once(' ').ok_or_else(wrong)?;
        let (minutes, unit) = match unit.trim() {
            "minute" | "minutes" => (1, TimeUnit::Natural),
            "hour" | "hours" => (60, TimeUnit::Natural),
            "day" | "days" => (1_440, TimeUnit::Natural),
            "work minute" | "work minutes" => (1, TimeUnit::WorkHours),
            "work hour" | "work hours" => (60, TimeUnit::WorkHours),
            "work day minute" | "work day minutes" => (1, TimeUnit::WorkDays),
            "work day" | "work days" => (1_440, TimeUnit::WorkDays),
            _ => return Err(wrong()),
        };
        let amount: u32 = amount.parse().map_err(|_| wrong())?;
        let minutes = amount.checked_mul(minutes).filter(|minutes| *minutes > 0);
        // Ten years.
        let minutes = minutes.filter(|minutes| *minutes <= 5_256_000);
        Ok(Self {
            minutes: minutes.ok_or_else(wrong)?,
            unit,
        })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (amount, word) = match self.unit {
            TimeUnit::WorkDays if self.minutes.is_multiple_of(1_440) => {
                (self.minutes / 1_440, "work day")
            }
            TimeUnit::WorkDays => (self.minutes, "work day minute"),
            TimeUnit::WorkHours if self.minutes.is_multiple_of(60) => {
                (self.minutes / 60, "work hour")
            }
            TimeUnit::WorkHours => (self.minutes, "work minute"),
            TimeUnit::Natural if self.minutes.is_multiple_of(1_440) => {
                (self.minutes / 1_440, "day")
            }
            TimeUnit::Natural if self.minutes.is_multiple_of(60) => (self.minutes / 60, "hour"),
            TimeUnit::Natural => (self.minutes, "minute"),
        };
        let plural = if amount == 1 { "" } else { "s" };
        write!(f, "{amount} {word}{plural}")
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// When people work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkTime {
    /// Holidays and make-up days.
    pub calendar: Calendar,
    /// The working periods of a work day in minutes since midnight at local time: in order, none
    /// of them empty, none into another. Without any, the whole day.
    pub periods: Vec<(i64, i64)>,
}

impl WorkTime {
    /// The periods of a day in which a clock runs.
    fn periods_of(&self, unit: TimeUnit, day: i64) -> Vec<(Timestamp, Timestamp)> {
        let whole = vec![(0, DAY_MINUTES)];
        let periods = match unit {
            TimeUnit::Natural => whole,
            _ if !self.calendar.is_workday(day) => return Vec::new(),
            TimeUnit::WorkHours if !self.periods.is_empty() => self.periods.clone(),
            TimeUnit::WorkHours | TimeUnit::WorkDays => whole,
        };
        let moment = |minute: i64| local_moment(day.saturating_mul(DAY_MINUTES) + minute);
        periods
            .into_iter()
            .map(|(from, to)| (moment(from), moment(to)))
            .collect()
    }

    /// Milliseconds of that time between two moments; 0 when `to` is not after `from`. What lies
    /// further than eleven years after `from` does not count.
    #[must_use]
    pub fn measure(&self, unit: TimeUnit, from: Timestamp, to: Timestamp) -> i64 {
        if unit == TimeUnit::Natural {
            return to.millis_since(from).max(0);
        }
        let first = local_day(from);
        let last = local_day(to).min(first.saturating_add(DAYS_MAX));
        let periods = (first..=last).flat_map(|day| self.periods_of(unit, day));
        periods
            .map(|(begin, end)| end.min(to).millis_since(begin.max(from)).max(0))
            .sum()
    }

    /// The first moment at which so many milliseconds have passed since `from`; `None` when that
    /// is further away than eleven years.
    #[must_use]
    pub fn reach(&self, unit: TimeUnit, from: Timestamp, millis: i64) -> Option<Timestamp> {
        if millis <= 0 {
            return Some(from);
        }
        if unit == TimeUnit::Natural {
            return Some(from.plus_millis(millis));
        }
        let first = local_day(from);
        let mut missing = millis;
        for day in first..=first.saturating_add(DAYS_MAX) {
            for (begin, end) in self.periods_of(unit, day) {
                let begin = begin.max(from);
                let there = end.millis_since(begin).max(0);
                if there >= missing {
                    return Some(begin.plus_millis(missing));
                }
                missing -= there;
            }
        }
        None
    }
}

/// Which of a case's clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockKind {
    /// From opening to filing.
    Filing,
    /// From filing to dispatch.
    Dispatch,
    /// From dispatch to the department's report.
    Handling,
    /// From that to the inspector's answer.
    Checking,
    /// From that to closing.
    Closing,
    /// From opening to the end.
    Total,
}

words!(ClockKind, "clock", [
    Filing => "filing",
    Dispatch => "dispatch",
    Handling => "handling",
    Checking => "checking",
    Closing => "closing",
    Total => "total",
]);

/// One clock of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    /// Which one. A stage that is entered again begins another one.
    pub kind: ClockKind,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it may run; without one it only measures.
    pub limit: Option<Limit>,
    /// Since when it runs; `None` while it stands still or when it has stopped.
    pub running_since: Option<Timestamp>,
    /// Milliseconds of its time that passed before `running_since`.
    pub used_ms: i64,
    /// When it stopped for good.
    pub stopped_at: Option<Timestamp>,
    /// When the limit is reached, while it runs.
    pub due_at: Option<Timestamp>,
    /// When a warning is due, while it runs and none was given.
    pub warn_at: Option<Timestamp>,
    /// The limit was exceeded: that was said, or was so when it stopped.
    pub is_overdue: bool,
}

impl Clock {
    /// Begins to run.
    #[must_use]
    pub fn start(
        kind: ClockKind,
        limit: Option<Limit>,
        at: Timestamp,
        warning_percent: u8,
        time: &WorkTime,
    ) -> Self {
        let mut clock = Self {
            kind,
            started_at: at,
            limit,
            running_since: None,
            used_ms: 0,
            stopped_at: None,
            due_at: None,
            warn_at: None,
            is_overdue: false,
        };
        clock.run(at, warning_percent, time);
        clock
    }

    /// It runs from now on.
    fn run(&mut self, at: Timestamp, warning_percent: u8, time: &WorkTime) {
        self.running_since = Some(at);
        let Some(limit) = self.limit else { return };
        let left = limit.millis().saturating_sub(self.used_ms);
        self.due_at = time.reach(limit.unit, at, left);
        let share = limit.millis().saturating_mul(warning_percent.into()) / 100;
        let is_open = !self.is_overdue && share > self.used_ms;
        let warn = is_open.then(|| share.saturating_sub(self.used_ms));
        self.warn_at = warn.and_then(|left| time.reach(limit.unit, at, left));
    }

    /// It has not stopped for good.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.stopped_at.is_none()
    }

    /// Milliseconds of its time that have passed.
    #[must_use]
    pub fn used(&self, at: Timestamp, time: &WorkTime) -> i64 {
        let unit = self.limit.map_or(TimeUnit::Natural, |limit| limit.unit);
        let running = self
            .running_since
            .map_or(0, |since| time.measure(unit, since, at));
        self.used_ms.saturating_add(running)
    }

    /// Milliseconds of its time that are left, negative when overdue; `None` without a limit.
    #[must_use]
    pub fn remaining(&self, at: Timestamp, time: &WorkTime) -> Option<i64> {
        let limit = self.limit?;
        Some(limit.millis().saturating_sub(self.used(at, time)))
    }

    /// The limit is exceeded, whether that was said or not.
    #[must_use]
    pub fn is_late(&self, at: Timestamp) -> bool {
        self.is_overdue || self.due_at.is_some_and(|due| at > due)
    }

    /// It stands still: nothing is due.
    pub fn suspend(&mut self, at: Timestamp, time: &WorkTime) {
        self.used_ms = self.used(at, time);
        self.running_since = None;
        self.due_at = None;
        // Whether a warning is to come is found out from the share when it runs again.
        self.warn_at = None;
    }

    /// It runs again.
    pub fn resume(&mut self, at: Timestamp, warning_percent: u8, time: &WorkTime) {
        if self.is_open() && self.running_since.is_none() {
            self.run(at, warning_percent, time);
        }
    }

    /// It stops for good.
    pub fn stop(&mut self, at: Timestamp, time: &WorkTime) {
        let due = self.due_at;
        self.suspend(at, time);
        self.stopped_at = Some(at);
        self.is_overdue |= due.is_some_and(|due| at > due);
        self.due_at = due;
    }

    /// More time, in the unit of the limit; a clock without a limit stays without one.
    pub fn extend(&mut self, minutes: u32, at: Timestamp, warning_percent: u8, time: &WorkTime) {
        let Some(limit) = &mut self.limit else { return };
        limit.minutes = limit.minutes.saturating_add(minutes);
        let is_running = self.running_since.is_some();
        self.suspend(at, time);
        self.is_overdue = self.is_overdue && self.remaining(at, time).is_some_and(|left| left < 0);
        if is_running {
            self.run(at, warning_percent, time);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalog::DayKind;

    /// Monday 2026-01-05 at local time.
    const MONDAY: i64 = 20_458;

    fn at(day: i64, hour: i64, minute: i64) -> Timestamp {
        local_moment((MONDAY + day) * DAY_MINUTES + hour * 60 + minute)
    }

    /// Wednesday is a holiday, Saturday a make-up day.
    fn time() -> WorkTime {
        WorkTime {
            calendar: Calendar::of([
                (MONDAY + 2, DayKind::Holiday),
                (MONDAY + 5, DayKind::Workday),
            ]),
            periods: vec![(8 * 60, 12 * 60), (14 * 60, 18 * 60)],
        }
    }

    fn due(limit: &str, from: Timestamp) -> Timestamp {
        let limit: Limit = limit.parse().unwrap();
        time().reach(limit.unit, from, limit.millis()).unwrap()
    }

    #[test]
    fn limits_are_read_and_written_alike() {
        for text in [
            "4 work hours",
            "1 work day",
            "90 minutes",
            "2 days",
            "1 hour",
            "2940 work day minutes",
        ] {
            assert_eq!(text.parse::<Limit>().unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "4",
            "0 days",
            "work hours",
            "-1 days",
            "4 weeks",
            "9999999 days",
        ] {
            assert!(wrong.parse::<Limit>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn working_time_leaves_out_nights_pauses_and_holidays() {
        assert_eq!(due("4 work hours", at(0, 11, 0)), at(0, 17, 0));
        // The end of a period, not the beginning of the next one.
        assert_eq!(due("1 work hour", at(0, 11, 0)), at(0, 12, 0));
        assert_eq!(due("2 work hours", at(1, 17, 0)), at(3, 9, 0));
        assert_eq!(due("8 work hours", at(4, 20, 0)), at(5, 18, 0));
        assert_eq!(due("1 work day", at(1, 15, 0)), at(3, 15, 0));
        assert_eq!(due("1 work day", at(6, 15, 0)), at(8, 0, 0));
        assert_eq!(due("1 day", at(6, 15, 0)), at(7, 15, 0));
    }

    #[test]
    fn a_calendar_without_work_days_has_no_end() {
        let days = (0..5_000).map(|day| (MONDAY + day, DayKind::Holiday));
        let never = WorkTime {
            calendar: Calendar::of(days),
            periods: vec![],
        };
        assert_eq!(never.reach(TimeUnit::WorkDays, at(0, 0, 0), 1), None);
    }

    #[test]
    fn a_clock_that_stands_still_is_due_later() {
        let time = time();
        let limit = Some("4 work hours".parse().unwrap());
        let mut clock = Clock::start(ClockKind::Handling, limit, at(0, 8, 0), 75, &time);
        assert_eq!(clock.due_at, Some(at(0, 12, 0)));
        assert_eq!(clock.warn_at, Some(at(0, 11, 0)));
        clock.suspend(at(0, 9, 0), &time);
        assert_eq!((clock.due_at, clock.warn_at), (None, None));
        assert!(!clock.is_late(at(9, 0, 0)));
        clock.resume(at(3, 8, 0), 75, &time);
        assert_eq!(clock.due_at, Some(at(3, 11, 0)));
        assert_eq!(clock.warn_at, Some(at(3, 10, 0)));
        assert_eq!(clock.remaining(at(3, 12, 0), &time), Some(-3_600_000));
        clock.extend(120, at(3, 9, 0), 75, &time);
        assert_eq!(clock.due_at, Some(at(3, 15, 0)));
        clock.stop(at(3, 10, 0), &time);
        assert_eq!(clock.used(at(30, 0, 0), &time), 3 * 3_600_000);
        assert!(!clock.is_open() && !clock.is_late(at(3, 10, 0)));
    }

    fn unit() -> impl Strategy<Value = TimeUnit> {
        prop_oneof![
            Just(TimeUnit::Natural),
            Just(TimeUnit::WorkHours),
            Just(TimeUnit::WorkDays)
        ]
    }

    /// Whether a clock runs in a minute, looked up without any arithmetic of periods.
    fn runs(unit: TimeUnit, time: &WorkTime, minute: i64) -> bool {
        let (day, of_day) = (
            minute.div_euclid(DAY_MINUTES),
            minute.rem_euclid(DAY_MINUTES),
        );
        let works = time.calendar.is_workday(day);
        let in_period = time
            .periods
            .iter()
            .any(|(from, to)| (*from..*to).contains(&of_day));
        match unit {
            TimeUnit::Natural => true,
            TimeUnit::WorkDays => works,
            TimeUnit::WorkHours => works && (in_period || time.periods.is_empty()),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn time_passes_as_minutes_counted_one_by_one(
            unit in unit(),
            from in 0_i64..10 * DAY_MINUTES,
            length in 0_i64..8 * DAY_MINUTES,
            special in prop::collection::vec((0_i64..20, any::<bool>()), 0..6),
            cuts in prop::collection::btree_set(0_i64..=DAY_MINUTES, 0..5),
        ) {
            let kind = |work| if work { DayKind::Workday } else { DayKind::Holiday };
            let calendar = Calendar::of(special.into_iter().map(|(day, work)| (MONDAY + day, kind(work))));
            let cuts: Vec<i64> = cuts.into_iter().collect();
            let periods = cuts.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
            let time = WorkTime { calendar, periods };
            let first = MONDAY * DAY_MINUTES + from;
            let counted = (first..first + length).filter(|minute| runs(unit, &time, *minute)).count();
            let counted = i64::try_from(counted).unwrap() * MINUTE_MS;
            let (begin, end) = (local_moment(first), local_moment(first + length));
            prop_assert_eq!(time.measure(unit, begin, end), counted);
            // The first moment at which so much has passed.
            if let Some(reached) = time.reach(unit, begin, counted) {
                prop_assert!(reached <= end);
                prop_assert_eq!(time.measure(unit, begin, reached), counted);
                if counted > 0 {
                    let before = reached.plus_millis(-1);
                    prop_assert!(time.measure(unit, begin, before) < counted);
                }
            }
        }
    }
}
