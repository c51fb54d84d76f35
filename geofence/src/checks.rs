//! The checks: small state machines in event time, each of which yields one violation with a
//! start, an end and a worst value.
//!
//! Membership is the base of all that fences ask for; `presence` judges stay-in and keep-out
//! fences on top of it, `speeding` the limits. `route` follows a vehicle on a route, for `deviation`,
//! `collection` (points passed over and missed) and `coverage`. `motion` joins what asks for neither:
//! `long_stop`, `too_fast` to clean, `unloading` with `load_drop`, and `terminal_alarm`, by rules of work, with `work`
//! telling what runs. `duty` follows a vehicle through its shifts, for `attendance`, `off_post`,
//! `patrol` and `silence`, and outside them for `outside_hours`. All thresholds stand in
//! [`Parameters`], [`RouteParameters`], [`WorkParameters`] and [`DutyParameters`].

pub(crate) mod attendance;
pub(crate) mod collection;
pub(crate) mod coverage;
pub(crate) mod deviation;
pub(crate) mod draft;
pub(crate) mod duty;
mod duty_parameters;
pub(crate) mod load_drop;
pub(crate) mod long_stop;
pub(crate) mod membership;
pub(crate) mod motion;
pub(crate) mod off_post;
pub(crate) mod outside_hours;
pub(crate) mod patrol;
pub(crate) mod presence;
pub(crate) mod route;
mod route_parameters;
pub(crate) mod silence;
pub(crate) mod speeding;
pub(crate) mod terminal_alarm;
pub(crate) mod too_fast;
pub(crate) mod unjudged;
pub(crate) mod unloading;
pub(crate) mod work;
mod work_parameters;

use std::ops::RangeInclusive;

pub use self::{
    duty_parameters::{DutyChecks, DutyParameters},
    route::RouteProgress,
    route_parameters::RouteParameters,
    unjudged::Unjudged,
    work_parameters::WorkParameters,
};

use crate::catalog::FenceKind;

/// Every threshold of the checks of one fence, or of a vehicle where no fence is concerned.
///
/// | property of a fence | meaning | default |
/// |---|---|---|
/// | `dwell_s` | sure for so long before a violation opens | stay-in 60, keep-out 20, speed 10, no-stop 600 |
/// | `close_s` | at or below the limit for so long before speeding ends | 5 |
/// | `confirm_s` | on the other side for so long, and on two fixes, before it counts | 3 |
/// | `hysteresis_min_m`, `hysteresis_max_m` | a side is sure farther from the boundary than one deviation of the fix, within these | 3, 20 |
/// | `margin_kmh`, `margin_percent` | tolerated above the limit, the larger of both | 5, 10 |
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// Sure for so long before a violation opens; `None` is the default of the check.
    pub dwell_ms: Option<i64>,
    /// At or below the limit for so long before speeding ends.
    pub close_ms: i64,
    /// On the other side for so long before it counts.
    pub confirm_ms: i64,
    /// The least distance from the boundary at which a side is sure, millimetres.
    pub hysteresis_min_mm: f64,
    /// The largest distance that is asked for, millimetres.
    pub hysteresis_max_mm: f64,
    /// Tolerated above the limit, km/h.
    pub margin_kmh: f64,
    /// Tolerated above the limit, share of it.
    pub margin_share: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Parameters {
    /// The table of defaults.
    pub const DEFAULT: Self = Self {
        dwell_ms: None,
        close_ms: 5_000,
        confirm_ms: 3_000,
        hysteresis_min_mm: 3_000.0,
        hysteresis_max_mm: 20_000.0,
        margin_kmh: 5.0,
        margin_share: 0.1,
    };

    /// The properties by which a fence overrides them.
    pub const KEYS: [&'static str; 7] = [
        "dwell_s",
        "close_s",
        "confirm_s",
        "hysteresis_min_m",
        "hysteresis_max_m",
        "margin_kmh",
        "margin_percent",
    ];

    /// Those of them that a rule of work about speed can override.
    pub const SPEED_KEYS: [&'static str; 4] =
        ["dwell_s", "close_s", "margin_kmh", "margin_percent"];

    /// Outside a stay-in fence for so long.
    pub const STAY_IN_MS: i64 = 60_000;
    /// Inside a keep-out fence for so long.
    pub const KEEP_OUT_MS: i64 = 20_000;
    /// Too fast for so long.
    pub const SPEEDING_MS: i64 = 10_000;
    /// A fix speaks for the time behind it, up to this, where nothing contradicts it.
    pub const HOLD_MS: i64 = 10_000;

    /// Takes over what `number` has read, each value within its range.
    pub(crate) fn read(
        &mut self,
        mut number: impl FnMut(&'static str, RangeInclusive<f64>) -> Option<f64>,
        kind: Option<FenceKind>,
    ) {
        let day = 0.0..=86_400.0;
        // Sites ask for nothing, so their dwell means nothing either; the range is checked anyway.
        let dwell = number("dwell_s", day.clone()).filter(|_| kind != Some(FenceKind::Site));
        self.dwell_ms = dwell.map(millis);
        self.close_ms = number("close_s", day.clone()).map_or(self.close_ms, millis);
        self.confirm_ms = number("confirm_s", day).map_or(self.confirm_ms, millis);
        let meters = 0.0..=500.0;
        let least = number("hysteresis_min_m", meters.clone());
        self.hysteresis_min_mm = least.map_or(self.hysteresis_min_mm, |m| m * 1e3);
        let most = number("hysteresis_max_m", meters);
        self.hysteresis_max_mm = most
            .map_or(self.hysteresis_max_mm, |m| m * 1e3)
            .max(self.hysteresis_min_mm);
        self.margin_kmh = number("margin_kmh", 0.0..=100.0).unwrap_or(self.margin_kmh);
        let share = number("margin_percent", 0.0..=100.0).map(|percent| percent / 100.0);
        self.margin_share = share.unwrap_or(self.margin_share);
    }

    /// The distance from the boundary, in millimetres, beyond which a fix of this deviation is
    /// surely on its side.
    #[must_use]
    pub fn hysteresis_mm(&self, sigma_mm: f64) -> f64 {
        sigma_mm
            .max(self.hysteresis_min_mm)
            .min(self.hysteresis_max_mm)
    }

    /// The speed above which a limit is broken, km/h.
    #[must_use]
    pub fn threshold_kmh(&self, limit_kmh: f64) -> f64 {
        limit_kmh + self.margin_kmh.max(self.margin_share * limit_kmh)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the range was checked to be within a day"
)]
pub(crate) fn millis(seconds: f64) -> i64 {
    (seconds * 1e3).round() as i64
}
