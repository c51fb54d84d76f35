//! Every threshold of the checks of a route.

use std::ops::RangeInclusive;

use super::millis;

/// The thresholds of the checks of one route.
///
/// | property of a route | meaning | default |
/// |---|---|---|
/// | `width_m` | width of the corridor; it is never narrower than 3 deviations and 10 m to each hand | 50 |
/// | `deviation_s`, `deviation_m` | off the corridor for so long and so far before it is a deviation | 30, 100 |
/// | `deviation_long_s` | off for so long it is one however far | 90 |
/// | `return_s` | on the corridor for so long ends it | 10 |
/// | `point_radius_m`, `point_stay_s` | within this of a collection point for so long, hardly moving, is a visit; with 0 passing by is one | 25, 20 |
/// | `point_grace_s` | so long after its window a visit still counts | 600 |
/// | `sweep_reach_m` | what is farther from the line than this and one deviation is not swept | 12 |
/// | `speed_min_kmh`, `speed_max_kmh` | slower or faster is no work | 1.8, 15 |
/// | `sight_s` | between fixes farther apart than this nobody knows what happened | 30 |
/// | `good_percent`, `fail_percent` | swept share that is good, and below which it is a violation | 95, 85 |
/// | `coverage_grace_s` | coverage is judged so long after the window, for what comes late | 900 |
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RouteParameters {
    /// From the line to the edge of the corridor, millimetres.
    pub half_width_mm: f64,
    /// Off for so long, if also so far, is a deviation.
    pub deviation_ms: i64,
    /// Off for so far, if also so long; millimetres.
    pub deviation_mm: i64,
    /// Off for so long is a deviation however far.
    pub deviation_long_ms: i64,
    /// On the corridor for so long ends a deviation.
    pub return_ms: i64,
    /// About a collection point, millimetres.
    pub point_radius_mm: f64,
    /// At a collection point for so long.
    pub point_stay_ms: i64,
    /// Behind the window of a collection point.
    pub point_grace_ms: i64,
    /// From the line, millimetres.
    pub sweep_reach_mm: f64,
    /// km/h.
    pub speed_min_kmh: f64,
    /// km/h.
    pub speed_max_kmh: f64,
    /// Between fixes that are farther apart than this nobody knows what happened.
    pub sight_ms: i64,
    /// Percent of what is planned.
    pub good_percent: f64,
    /// Percent of what is planned.
    pub fail_percent: f64,
    /// Behind the window of the route.
    pub coverage_grace_ms: i64,
}

impl Default for RouteParameters {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl RouteParameters {
    /// The table of defaults.
    pub const DEFAULT: Self = Self {
        half_width_mm: 25_000.0,
        deviation_ms: 30_000,
        deviation_mm: 100_000,
        deviation_long_ms: 90_000,
        return_ms: 10_000,
        point_radius_mm: 25_000.0,
        point_stay_ms: 20_000,
        point_grace_ms: 600_000,
        sweep_reach_mm: 12_000.0,
        speed_min_kmh: 1.8,
        speed_max_kmh: 15.0,
        sight_ms: 30_000,
        good_percent: 95.0,
        fail_percent: 85.0,
        coverage_grace_ms: 900_000,
    };

    /// The properties by which a route overrides them.
    pub const KEYS: [&'static str; 15] = [
        "width_m",
        "deviation_s",
        "deviation_m",
        "deviation_long_s",
        "return_s",
        "point_radius_m",
        "point_stay_s",
        "point_grace_s",
        "sweep_reach_m",
        "speed_min_kmh",
        "speed_max_kmh",
        "sight_s",
        "good_percent",
        "fail_percent",
        "coverage_grace_s",
    ];

    /// On the route for so long, and for [`Self::ARMED_MM`], before leaving it is a deviation:
    /// whoever crosses a route is not on it.
    pub const ARMED_MS: i64 = 10_000;
    /// Along the route, millimetres.
    pub const ARMED_MM: i64 = 50_000;
    /// Whoever leaves the corridor so near to an end of the route has not left it, but ended.
    pub const END_MM: f64 = 50_000.0;
    /// The swept length is counted in pieces of this.
    pub const BIN_MM: f64 = 5_000.0;
    /// So far back on the line is a turn, and less is noise.
    pub const TURN_MM: i64 = 30_000;
    /// So far along the line shows the direction.
    pub const DIRECTION_MM: i64 = 10_000;
    /// Within so long behind its window a missed point can still be visited late.
    pub const AMEND_MS: i64 = 12 * 3_600_000;
    /// Windows that begin later than this behind the newest fix are not judged: nobody knows
    /// whether the terminal is still there.
    pub const SILENCE_MS: i64 = 24 * 3_600_000;
    /// Nothing is reached faster than this out of sight, metres a second, in the mean and as the crow
    /// flies.
    pub const UNSEEN_MPS: f64 = 20.0;
    /// What any vehicle may have reached out of sight, however slow it is seen to drive.
    pub const UNSEEN_LEAST_MPS: f64 = 10.0;
    /// Moving no faster than this is a stay at a point, metres a second.
    pub const STAY_MPS: f64 = 1.5;
    /// A vehicle that parked with its ignition off and is found within this has stood there,
    /// millimetres.
    pub const PARKED_MM: f64 = 100_000.0;

    /// Takes over what `number` has read, each value within its range; gives what contradicts.
    pub(crate) fn read(
        &mut self,
        mut number: impl FnMut(&'static str, RangeInclusive<f64>) -> Option<f64>,
    ) -> Option<&'static str> {
        let day = 0.0..=86_400.0;
        let mut time =
            |key, place: &mut i64| *place = number(key, day.clone()).map_or(*place, millis);
        time("deviation_s", &mut self.deviation_ms);
        time("deviation_long_s", &mut self.deviation_long_ms);
        time("return_s", &mut self.return_ms);
        time("point_stay_s", &mut self.point_stay_ms);
        time("point_grace_s", &mut self.point_grace_ms);
        time("coverage_grace_s", &mut self.coverage_grace_ms);
        self.sight_ms = number("sight_s", 1.0..=600.0).map_or(self.sight_ms, millis);
        let width = number("width_m", 2.0..=1_000.0);
        self.half_width_mm = width.map_or(self.half_width_mm, |m| m * 500.0);
        let far = number("deviation_m", 0.0..=10_000.0);
        // Metres become millimetres as seconds become milliseconds.
        self.deviation_mm = far.map_or(self.deviation_mm, millis);
        let mut value = |key, range, scale, place: &mut f64| {
            *place = number(key, range).map_or(*place, |value| value * scale);
        };
        let meters = 1.0..=500.0;
        value(
            "point_radius_m",
            meters.clone(),
            1e3,
            &mut self.point_radius_mm,
        );
        value("sweep_reach_m", meters, 1e3, &mut self.sweep_reach_mm);
        value("speed_min_kmh", 0.0..=100.0, 1.0, &mut self.speed_min_kmh);
        value("speed_max_kmh", 1.0..=250.0, 1.0, &mut self.speed_max_kmh);
        value("good_percent", 0.0..=100.0, 1.0, &mut self.good_percent);
        value("fail_percent", 0.0..=100.0, 1.0, &mut self.fail_percent);
        if self.speed_min_kmh >= self.speed_max_kmh {
            return Some("speed_min_kmh is not below speed_max_kmh");
        }
        (self.fail_percent > self.good_percent).then_some("fail_percent is above good_percent")
    }

    /// How fast a vehicle may have driven out of sight, metres a second, that is seen to drive as fast
    /// as this.
    #[must_use]
    pub fn unseen_mps(fastest_dkmh: u16) -> f64 {
        let mps = f64::from(fastest_dkmh) / 36.0;
        mps.clamp(Self::UNSEEN_LEAST_MPS, Self::UNSEEN_MPS)
    }

    /// From the line to the edge of the corridor for a fix of this deviation, millimetres.
    #[must_use]
    pub fn corridor_mm(&self, sigma_mm: f64) -> f64 {
        self.half_width_mm.max(3.0 * sigma_mm + 10_000.0)
    }
}
