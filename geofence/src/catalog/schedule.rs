//! When a fence holds: weekly windows at local time.

use serde_json::Value;

use crate::units::Timestamp;

/// Local time is GMT+8, the time zone of the whole country and of JT/T 808.
const LOCAL_OFFSET_MS: i64 = 8 * 3_600_000;
const MINUTE_MS: i64 = 60_000;
const DAY_MINUTES: i64 = 24 * 60;
/// 1970-01-01 was a Thursday, the day with number 3 when Monday is 0.
const EPOCH_WEEKDAY: i64 = 3;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

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

fn minutes(text: &str) -> Option<i64> {
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
    fn all_mistakes_of_all_windows_are_named() {
        let text = r#"[{"days": ["moon"], "from": "7:00", "to": "18:00"},
                       {"from": "08:00", "to": "08:00"}, {"from": "00:00", "to": "24:01", "x": 1}]"#;
        let mistakes = Schedule::read(&serde_json::from_str(text).unwrap()).unwrap_err();
        let windows: Vec<usize> = mistakes.iter().map(|(index, _)| *index).collect();
        assert_eq!(windows, [0, 0, 1, 2, 2]);
    }
}
