//! Where and when the terminals of a load are.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{
    LoadConfig,
    report_frame::{ALTITUDE_M, Fix},
};

/// Positions on one meridian, a millionth of a degree apart; then the next meridian.
const ON_A_MERIDIAN: u32 = 20_000;
/// Where the first position lies, millionths of a degree: in the synthetic city.
const ORIGIN: (i32, i32) = (37_860_000, 112_540_000);

/// Where a terminal's position of that number lies, `(latitude, longitude)` in millionths of a
/// degree. The first terminal is 0.
pub type Place = fn(terminal: u32, number: u32) -> (i32, i32);

/// Everybody at one corner: no two numbers have the same place.
#[must_use]
pub fn corner(_terminal: u32, number: u32) -> (i32, i32) {
    let step = |value: u32| i32::try_from(value).unwrap_or(0);
    (
        ORIGIN.0 + step(number % ON_A_MERIDIAN),
        ORIGIN.1 + step(number / ON_A_MERIDIAN),
    )
}

/// When terminals say that their fixes were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FixTimes {
    /// A second apart, however many a terminal sends in one: begun as long ago as a fix may be and
    /// still count as live, up to as far ahead as a gateway believes.
    Steady,
    /// When they were due to be sent: in seconds, and the milliseconds within ten of them as the
    /// altitude in metres, so that whoever gets a position knows when it was sent.
    Clock,
}

const BEHIND_S: u32 = 290;
const AHEAD_S: u32 = 590;
/// What the altitude tells is the remainder of this many milliseconds.
pub const ALTITUDE_MS: u64 = 10_000;

/// What a load's positions say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    place: Place,
    times: FixTimes,
    first_position: u32,
    /// When the load began, milliseconds since 1970.
    pub began_ms: u64,
}

impl Course {
    /// One that begins now.
    pub(super) fn new(config: &LoadConfig) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = since_epoch.unwrap_or_default().as_millis();
        Self {
            place: config.place,
            times: config.fix_times,
            first_position: config.first_position,
            began_ms: u64::try_from(millis).unwrap_or(u64::MAX),
        }
    }

    /// A terminal's fix of that number, due so many microseconds after the beginning.
    pub(super) fn fix(&self, terminal: u32, number: u32, due_us: u64) -> Fix {
        let due_ms = self.began_ms.saturating_add(due_us / 1_000);
        let seconds = |millis: u64| u32::try_from(millis / 1_000).unwrap_or(u32::MAX);
        let (at, altitude_m) = match self.times {
            FixTimes::Steady => {
                let taken = number.wrapping_sub(self.first_position);
                let first = seconds(self.began_ms).saturating_sub(BEHIND_S);
                let at = first.saturating_add(taken.min(BEHIND_S + AHEAD_S));
                (at, ALTITUDE_M)
            }
            FixTimes::Clock => {
                let altitude_m = u16::try_from(due_ms % ALTITUDE_MS).unwrap_or(ALTITUDE_M);
                (seconds(due_ms), altitude_m)
            }
        };
        Fix {
            at,
            place: (self.place)(terminal, number),
            altitude_m,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_positions_lie_at_the_same_place() {
        let places: std::collections::HashSet<_> = (0..100_000).map(|n| corner(0, n)).collect();
        assert_eq!(places.len(), 100_000);
    }

    #[test]
    fn a_fix_by_the_clock_tells_its_millisecond() {
        let course = Course {
            place: corner,
            times: FixTimes::Clock,
            first_position: 0,
            began_ms: 1_772_360_009_995,
        };
        let fix = course.fix(3, 7, 6_500);
        assert_eq!((fix.at, fix.altitude_m), (1_772_360_010, 1));
        assert_eq!(fix.place, corner(3, 7));
        let steady = Course {
            times: FixTimes::Steady,
            first_position: 5,
            ..course
        };
        let fix = steady.fix(3, 7, 6_500);
        assert_eq!((fix.at, fix.altitude_m), (1_772_360_009 - 288, ALTITUDE_M));
    }
}
