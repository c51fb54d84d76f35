//! From fixes as they come to fixes that checks may trust: suspects are held, a parked vehicle
//! stands still, gaps are found.
//!
//! What cannot be a fix does not come so far: times of the future and of long ago and places outside
//! the earth are quarantined when they are received; without a fix, at 0/0, encrypted or with fewer
//! than four satellites a report is heard for its alarms alone.
//!
//! The suspect filter compares a fix with the accepted one before it. Faster than 35 m/s (12 m/s
//! for inspectors) within a minute is an impossible jump; behind a minute every place is possible.
//!
//! ```text
//!              impossible jump
//!  accepted ───────────────────▶ suspect ── the next is possible from the accepted one ──▶ accepted; suspects dropped
//!                                  │    ── the next is possible from neither ──▶ suspect; the old ones dropped
//!                                  └─── two more agree with it ──▶ accepted, all three, behind a jump
//! ```
//!
//! Across a jump no time is observed and nothing is crossed. Suspects that were dropped are counted;
//! they stay in the track, where a late fix may still agree with them.

use super::fix::Fix;
use crate::{
    geometry::Plane,
    units::{Latitude, Longitude},
};

/// Beyond this, fixes are too far apart in time to call their distance impossible.
const JUMP_MS_MAX: i64 = 60_000;
/// Metres a second.
const VEHICLE_MPS_MAX: f64 = 35.0;
const INSPECTOR_MPS_MAX: f64 = 12.0;
/// So many suspects that agree with each other are no error: the vehicle is there.
const SUSPECTS_AGREE: usize = 2;

/// Still for so long is a stop.
const STOP_MS: i64 = 5_000;
const ANCHOR_FIXES_MAX: i64 = 120;
/// Farther than this from the anchor, or three deviations, is no drift.
const DRIFT_M: f64 = 25.0;

/// A gap is longer than this, and than four times the reporting period.
const GAP_MS: i64 = 120_000;
/// No period makes longer gaps than this.
const GAP_MS_MAX: i64 = 20 * 60_000;

/// The state of the input stage of one vehicle.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Input {
    /// The newest accepted fix, where the terminal said that it was.
    pub(crate) accepted: Option<Fix>,
    /// Fixes that were impossibly far from it, in order; they agree with each other.
    pub(crate) suspects: [Option<Fix>; SUSPECTS_AGREE],
    /// The newest speeds, tenths of km/h.
    pub(crate) speeds: [u16; 3],
    /// The newest intervals between accepted fixes, milliseconds, at most [`GAP_MS_MAX`].
    pub(crate) intervals: [i64; 3],
    pub(crate) stop: Stop,
    /// Suspects that never counted, since this was last asked. Not part of snapshots.
    pub(crate) dropped: u64,
}

/// Where a vehicle stands still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stop {
    /// Since when it has been slow.
    pub(crate) since: Option<i64>,
    pub(crate) is_stopped: bool,
    /// Millionths of a degree, summed over `count` fixes.
    pub(crate) latitude_sum: i64,
    pub(crate) longitude_sum: i64,
    pub(crate) count: i64,
    /// Fixes in a row that moved.
    pub(crate) moving: u8,
}

/// A fix that passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed {
    /// At the place that counts: the anchor of a stop.
    pub(crate) fix: Fix,
    /// Milliseconds since the accepted fix before; `None` where a gap or a jump lies between.
    pub(crate) connected_ms: Option<i64>,
    /// How the vehicle moves, with this fix.
    pub(crate) stop: Stop,
}

impl Input {
    /// Takes a fix; gives those that count now, in order: none while it is suspect.
    pub(crate) fn take(
        &mut self,
        fix: Fix,
        plane: &Plane,
        is_inspector: bool,
        mut pass: impl FnMut(&mut Self, Passed),
    ) {
        let mps_max = if is_inspector {
            INSPECTOR_MPS_MAX
        } else {
            VEHICLE_MPS_MAX
        };
        let is_possible = |from: &Fix| {
            let elapsed_ms = fix.at - from.at;
            elapsed_ms > JUMP_MS_MAX || {
                let place = |fix: &Fix| (fix.latitude, fix.longitude);
                let meters = plane.distance_m(place(from), place(&fix));
                // Two fixes of one second, or of one moment, differ by noise at least.
                #[expect(clippy::cast_precision_loss, reason = "a minute at most")]
                let seconds = (elapsed_ms as f64 / 1e3).max(1.0);
                meters <= mps_max * seconds
            }
        };
        if self.accepted.as_ref().is_none_or(is_possible) {
            let suspects = std::mem::take(&mut self.suspects);
            self.dropped += suspects.iter().flatten().count() as u64;
            let passed = self.accept(fix, plane, false);
            pass(self, passed);
            return;
        }
        let agrees = self
            .suspects
            .iter()
            .flatten()
            .next_back()
            .is_some_and(is_possible);
        if !agrees {
            let suspects = std::mem::replace(&mut self.suspects, [Some(fix), None]);
            self.dropped += suspects.iter().flatten().count() as u64;
            return;
        }
        if let Some(place) = self.suspects.iter_mut().find(|place| place.is_none()) {
            *place = Some(fix);
            return;
        }
        // They agree among themselves: the vehicle is where they say.
        for (index, suspect) in std::mem::take(&mut self.suspects)
            .into_iter()
            .flatten()
            .enumerate()
        {
            let passed = self.accept(suspect, plane, index == 0);
            pass(self, passed);
        }
        let passed = self.accept(fix, plane, false);
        pass(self, passed);
    }

    fn accept(&mut self, fix: Fix, plane: &Plane, is_jump: bool) -> Passed {
        let connected_ms = self
            .accepted
            .map(|before| fix.at - before.at)
            .filter(|elapsed_ms| *elapsed_ms <= self.gap_ms() && !is_jump);
        if let Some(before) = self.accepted {
            let [a, b, _] = self.intervals;
            self.intervals = [(fix.at - before.at).min(GAP_MS_MAX), a, b];
        }
        let [a, b, _] = self.speeds;
        self.speeds = if self.accepted.is_none() || connected_ms.is_none() {
            // Speeds from before a gap say nothing about now.
            [fix.speed_dkmh; 3]
        } else {
            [fix.speed_dkmh, a, b]
        };
        let counted = self.stop.anchor(fix, plane, is_jump);
        self.accepted = Some(fix);
        Passed {
            fix: counted,
            connected_ms,
            stop: self.stop,
        }
    }

    /// How many suspects never counted, since this was last asked.
    pub(crate) const fn take_dropped(&mut self) -> u64 {
        std::mem::replace(&mut self.dropped, 0)
    }

    /// The median of the last three speeds, km/h.
    pub(crate) fn median_kmh(&self) -> f64 {
        f64::from(median(self.speeds)) / 10.0
    }

    /// A time without fixes that is longer than this is a gap.
    pub(crate) fn gap_ms(&self) -> i64 {
        (4 * median(self.intervals)).clamp(GAP_MS, GAP_MS_MAX)
    }
}

impl Stop {
    /// Follows the motion; gives the fix at the place that counts.
    fn anchor(&mut self, fix: Fix, plane: &Plane, is_jump: bool) -> Fix {
        let is_still = fix.is_still() || (!fix.is_acc_on && !fix.is_moving());
        if self.is_stopped && !is_jump {
            self.moving = if fix.is_moving() { self.moving + 1 } else { 0 };
            let drift_m = self.mean().map_or(f64::INFINITY, |mean| {
                plane.distance_m(mean, (fix.latitude, fix.longitude))
            });
            if self.moving < 2 && drift_m <= (3.0 * fix.sigma_mm() / 1e3).max(DRIFT_M) {
                if self.moving == 0 {
                    self.add(&fix);
                }
                return self.anchored(fix, plane);
            }
            *self = Self::default();
        } else if is_jump {
            *self = Self::default();
        }
        if !is_still {
            *self = Self::default();
            return fix;
        }
        let since = *self.since.get_or_insert(fix.at);
        self.add(&fix);
        if fix.at - since < STOP_MS {
            return fix;
        }
        self.is_stopped = true;
        self.anchored(fix, plane)
    }

    fn add(&mut self, fix: &Fix) {
        if self.count >= ANCHOR_FIXES_MAX {
            // The weight of the past is bounded, so that the anchor can still follow.
            self.latitude_sum -= self.latitude_sum / self.count;
            self.longitude_sum -= self.longitude_sum / self.count;
            self.count -= 1;
        }
        self.latitude_sum += i64::from(fix.latitude.micro_degrees());
        self.longitude_sum += i64::from(fix.longitude.micro_degrees());
        self.count += 1;
    }

    fn mean(&self) -> Option<(Latitude, Longitude)> {
        if self.count == 0 {
            return None;
        }
        let mean = |sum: i64| i32::try_from(sum / self.count).ok();
        Some((
            Latitude::from_micro_degrees(mean(self.latitude_sum)?)?,
            Longitude::from_micro_degrees(mean(self.longitude_sum)?)?,
        ))
    }

    fn anchored(&self, mut fix: Fix, plane: &Plane) -> Fix {
        if let Some((latitude, longitude)) = self.mean() {
            fix.latitude = latitude;
            fix.longitude = longitude;
        }
        fix.on(plane)
    }
}

fn median<T: Ord + Copy>([a, b, c]: [T; 3]) -> T {
    a.min(b).max(a.max(b).min(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fix(at_s: i64, east_m: f64, speed_dkmh: u16) -> Fix {
        Fix {
            at: at_s * 1_000,
            latitude: Latitude::from_degrees(35.0).unwrap(),
            longitude: Longitude::from_degrees(105.0 + east_m / 91_087.0).unwrap(),
            speed_dkmh,
            satellites: Some(10),
            is_acc_on: true,
            ..Fix::default()
        }
    }

    /// Seconds of the fixes that passed, with the metres east at which they count, and whether
    /// something connects them with the fix before.
    fn run(fixes: &[Fix]) -> Vec<(i64, f64, bool)> {
        let plane = Plane::without_city();
        let mut input = Input::default();
        let mut passed = Vec::new();
        for fix in fixes {
            input.take(fix.on(&plane), &plane, false, |_, p| {
                passed.push((
                    p.fix.at / 1_000,
                    f64::from(p.fix.point.x) / 1e3,
                    p.connected_ms.is_some(),
                ));
            });
        }
        passed
    }

    #[test]
    fn a_single_jump_never_counts() {
        let passed = run(&[
            fix(0, 0.0, 300),
            fix(1, 8.0, 300),
            fix(2, 150.0, 300),
            fix(3, 25.0, 300),
        ]);
        let seconds: Vec<i64> = passed.iter().map(|(second, ..)| *second).collect();
        assert_eq!(seconds, [0, 1, 3]);
    }

    #[test]
    fn three_suspects_that_agree_are_where_the_vehicle_is() {
        let mut fixes = vec![fix(0, 0.0, 300)];
        fixes.extend((1..5).map(|s| fix(s, 900.0 + s as f64 * 8.0, 300)));
        let passed = run(&fixes);
        let seconds: Vec<(i64, bool)> = passed.iter().map(|(s, _, is)| (*s, *is)).collect();
        assert_eq!(
            seconds,
            [(0, false), (1, false), (2, true), (3, true), (4, true)]
        );
    }

    #[test]
    fn a_parked_vehicle_counts_at_the_mean_of_its_stop() {
        let fixes: Vec<Fix> = (0..60)
            .map(|s| fix(s, if s % 2 == 0 { 6.0 } else { -6.0 }, 0))
            .collect();
        let passed = run(&fixes);
        assert!(
            passed[20..].iter().all(|(_, east, _)| east.abs() < 1.0),
            "{passed:?}"
        );
    }

    #[test]
    fn a_vehicle_that_drives_away_counts_where_it_is_again() {
        let mut fixes: Vec<Fix> = (0..30).map(|s| fix(s, 0.0, 0)).collect();
        fixes.extend((30..40).map(|s| fix(s, (s - 29) as f64 * 5.0, 180)));
        let passed = run(&fixes);
        assert!((passed[39].1 - 50.0).abs() < 0.5);
        assert!(passed[30].1.abs() < 0.5, "one moving fix may be noise");
    }
}
