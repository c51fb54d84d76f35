//! When a fence holds: weekly windows at local time.

use serde_json::Value;

use crate::units::Timestamp;

/// Local time is GMT+8, the time zone of the whole country and of JT/T 808.
const LOCAL_OFFSET_MS: i64 = 8 * 3_600_000;
pub(crate) const MINUTE_MS: i64 = 60_000;
pub(crate) const DAY_MINUTES: i64 = 24 * 60;
/// 1970-01-01 was a Thursday, the day with number 3 when Monday is 0.
pub(super) const EPOCH_WEEKDAY: i64 = 3;

pub(super) const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Weekly windows; without any, always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    windows: Vec<Window>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    /// Bit 0 is Monday.
    days: u8,
    /// Minutes since midnight.
    from: i64,
    /// Minutes since midnight, exclusive; not after `from` means on the next day.
    to: i64,
}

impl Schedule {
    /// How many bytes of the memory it takes beside its own size.
    pub(super) const fn heap_bytes(&self) -> usize {
        self.windows.len() * size_of::<Window>()
    }

    /// Whether it holds at a moment.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        if self.windows.is_empty() {
            return true;
        }
        let minutes = at.0.saturating_add(LOCAL_OFFSET_MS).div_euclid(MINUTE_MS);
        let (day, minute) = (
            minutes.div_euclid(DAY_MINUTES),
            minutes.rem_euclid(DAY_MINUTES),
        );
        let weekday = |day: i64| (day + EPOCH_WEEKDAY).rem_euclid(7);
        let (today, yesterday) = (weekday(day), weekday(day - 1));
        self.windows.iter().any(|window| {
            let on = |weekday: i64| window.days >> weekday & 1 == 1;
            if window.from < window.to {
                on(today) && (window.from..window.to).contains(&minute)
            } else {
                (on(today) && minute >= window.from) || (on(yesterday) && minute < window.to)
            }
        })
    }

    /// The window that a moment lies in, from its beginning to its end (exclusive): of several the
    /// one that began first. Without windows, the day at local time.
    #[must_use]
    pub fn window_at(&self, at: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let day = local_day(at);
        let around = self.windows_of(day - 1).chain(self.windows_of(day));
        around.filter(|(from, to)| (*from..*to).contains(&at)).min()
    }

    /// The first window that begins after a moment.
    #[must_use]
    pub fn next_window(&self, after: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let day = local_day(after);
        // Each weekday is among eight days in a row, also when today's window has begun already.
        (day..day + 8)
            .flat_map(|day| self.windows_of(day))
            .filter(|(from, _)| *from > after)
            .min()
    }

    /// Two windows that have a moment in common, counted from 0.
    pub(super) fn overlap(&self) -> Option<(usize, usize)> {
        // A week, and the night before it; day 4 is a Monday.
        let days = 3..=11;
        let week: Vec<_> = days
            .flat_map(|day| {
                (0..)
                    .zip(&self.windows)
                    .filter_map(move |(index, w)| Some((w.on(day)?, index)))
            })
            .collect();
        week.iter().find_map(|((from, to), index)| {
            let other = week.iter().find(|((other_from, other_to), other)| {
                (other, other_from) > (index, from) && other_from < to && from < other_to
            })?;
            Some((*index, other.1))
        })
    }

    /// The windows without their days; without any, the whole day.
    pub(super) fn windows(&self) -> impl Iterator<Item = DayWindow> {
        let whole = self.windows.is_empty().then_some(DayWindow {
            from: 0,
            minutes: DAY_MINUTES,
        });
        let own = self.windows.iter().map(|window| DayWindow {
            from: window.from,
            minutes: window.minutes(),
        });
        own.chain(whole)
    }

    fn windows_of(&self, day: i64) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let whole = self
            .windows
            .is_empty()
            .then(|| (local(day * DAY_MINUTES), local((day + 1) * DAY_MINUTES)));
        let own = self.windows.iter().filter_map(move |window| window.on(day));
        own.chain(whole)
    }

    /// Reads `[{"days": ["mon", ...], "from": "HH:MM", "to": "HH:MM"}, ...]`. Without `days`, every
    /// day. Mistakes come with the number of the window.
    pub(super) fn read(value: &Value) -> Result<Self, Vec<(usize, String)>> {
        let Some(list) = value.as_array() else {
            return Err(vec![(0, "windows are an array of objects".to_owned())]);
        };
        let mut windows = Vec::with_capacity(list.len());
        let mut mistakes = Vec::new();
        for (index, value) in list.iter().enumerate() {
            match window(value) {
                Ok(window) => windows.push(window),
                Err(found) => mistakes.extend(found.into_iter().map(|why| (index, why))),
            }
        }
        if mistakes.is_empty() {
            Ok(Self { windows })
        } else {
            Err(mistakes)
        }
    }
}

/// A window without its days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DayWindow {
    /// Minutes since midnight.
    pub(super) from: i64,
    pub(super) minutes: i64,
}

impl Window {
    fn minutes(&self) -> i64 {
        let minutes = self.to - self.from;
        if minutes > 0 {
            minutes
        } else {
            minutes + DAY_MINUTES
        }
    }

    /// The window that begins on a day, where it is one of its days.
    fn on(&self, day: i64) -> Option<(Timestamp, Timestamp)> {
        let weekday = (day + EPOCH_WEEKDAY).rem_euclid(7);
        let from = day * DAY_MINUTES + self.from;
        (self.days >> weekday & 1 == 1).then(|| (local(from), local(from + self.minutes())))
    }
}

/// The number of the day at local time.
#[must_use]
pub fn local_day(at: Timestamp) -> i64 {
    at.0.saturating_add(LOCAL_OFFSET_MS)
        .div_euclid(MINUTE_MS * DAY_MINUTES)
}

/// A moment from minutes at local time.
#[must_use]
pub const fn local(minutes: i64) -> Timestamp {
    Timestamp(
        minutes
            .saturating_mul(MINUTE_MS)
            .saturating_sub(LOCAL_OFFSET_MS),
    )
}

fn window(value: &Value) -> Result<Window, Vec<String>> {
    let Some(object) = value.as_object() else {
        return Err(vec!["a window is an object with days, from, to".to_owned()]);
    };
    let mut mistakes: Vec<String> = object
        .keys()
        .filter(|key| !["days", "from", "to"].contains(&key.as_str()))
        .map(|key| format!("unknown key \"{key}\"; known are days, from, to"))
        .collect();
    let mut days = 0x7F;
    if let Some(list) = object.get("days") {
        days = 0;
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        for day in list {
            match DAYS.iter().position(|word| day.as_str() == Some(word)) {
                Some(bit) => days |= 1 << bit,
                None => mistakes.push(format!("{day} is not a day; days are {}", DAYS.join(", "))),
            }
        }
        if list.is_empty() {
            mistakes.push("days must be an array with a day".to_owned());
        }
    }
    let mut time = |key: &str| {
        let minutes = object.get(key).and_then(Value::as_str).and_then(minutes);
        if minutes.is_none() {
            mistakes.push(format!("\"{key}\" must be \"HH:MM\", 00:00 to 24:00"));
        }
        minutes.unwrap_or_default()
    };
    let (from, to) = (time("from"), time("to"));
    if mistakes.is_empty() && (from == to || from == DAY_MINUTES) {
        mistakes.push("it is empty: from 00:00 to 24:00 is the whole day".to_owned());
    }
    if mistakes.is_empty() {
        Ok(Window { days, from, to })
    } else {
        Err(mistakes)
    }
}

/// Minutes since midnight from `HH:MM`, 00:00 to 24:00.
pub(crate) fn minutes(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |part: &str| {
        let is_number = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_number {
            part.parse::<i64>().ok()
        } else {
            None
        }
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= DAY_MINUTES).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday 2026-01-05, at local time.
    fn at(day: i64, hour: i64, minute: i64) -> Timestamp {
        Timestamp(1_767_542_400_000 + (day * DAY_MINUTES + hour * 60 + minute) * MINUTE_MS)
    }

    fn schedule(text: &str) -> Schedule {
        Schedule::read(&serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn school_hours_hold_on_schooldays_only() {
        let school = schedule(r#"[{"days": ["mon", "fri"], "from": "07:00", "to": "18:00"}]"#);
        assert!(school.holds(at(0, 7, 0)) && school.holds(at(4, 17, 59)));
        assert!(!school.holds(at(0, 6, 59)) && !school.holds(at(0, 18, 0)));
        assert!(!school.holds(at(1, 12, 0)) && !school.holds(at(6, 12, 0)));
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_it_begins_on() {
        let night = schedule(r#"[{"days": ["sun"], "from": "22:00", "to": "05:00"}]"#);
        assert!(night.holds(at(-1, 23, 0)) && night.holds(at(0, 4, 59)));
        assert!(!night.holds(at(0, 5, 0)) && !night.holds(at(0, 23, 0)));
    }

    #[test]
    fn a_moment_lies_in_the_window_that_began_before_it() {
        let night = schedule(
            r#"[{"days": ["sun"], "from": "22:00", "to": "05:00"}, {"from": "06:00", "to": "10:00"}]"#,
        );
        let window = |day, hour| night.window_at(at(day, hour, 0));
        assert_eq!(window(0, 4), Some((at(-1, 22, 0), at(0, 5, 0))));
        assert_eq!(window(0, 5), None);
        assert_eq!(window(1, 9), Some((at(1, 6, 0), at(1, 10, 0))));
        let next = |day, hour| night.next_window(at(day, hour, 0)).map(|(from, _)| from);
        assert_eq!(
            next(0, 6),
            Some(at(1, 6, 0)),
            "the one that begins now has begun"
        );
        assert_eq!(next(6, 12), Some(at(6, 22, 0)));
        let sundays = schedule(r#"[{"days": ["sun"], "from": "22:00", "to": "05:00"}]"#);
        assert_eq!(
            sundays.next_window(at(6, 22, 0)).map(|(from, _)| from),
            Some(at(13, 22, 0))
        );
        let always = Schedule::default();
        assert_eq!(
            always.window_at(at(2, 13, 0)),
            Some((at(2, 0, 0), at(3, 0, 0)))
        );
    }

    #[test]
    fn windows_that_have_a_moment_in_common_are_found() {
        let both = |a: &str, b: &str| schedule(&format!("[{{{a}}},{{{b}}}]")).overlap();
        let morning = r#""from": "06:00", "to": "10:00""#;
        assert_eq!(both(morning, r#""from": "10:00", "to": "12:00""#), None);
        assert_eq!(
            both(morning, r#""from": "09:59", "to": "12:00""#),
            Some((0, 1))
        );
        let monday = r#""days": ["mon"], "from": "04:00", "to": "06:00""#;
        let night = r#""days": ["sun"], "from": "22:00", "to": "05:00""#;
        assert_eq!(both(monday, night), Some((0, 1)));
        assert_eq!(both(monday, &night.replace("sun", "sat")), None);
    }

    #[test]
    fn all_mistakes_of_all_windows_are_named() {
        let text = r#"[{"days": ["moon"], "from": "7:00", "to": "18:00"},
                       {"from": "08:00", "to": "08:00"}, {"from": "00:00", "to": "24:01", "x": 1}]"#;
        let mistakes = Schedule::read(&serde_json::from_str(text).unwrap()).unwrap_err();
        let windows: Vec<usize> = mistakes.iter().map(|(index, _)| *index).collect();
        assert_eq!(windows, [0, 0, 1, 2, 2]);
    }
}
