//! What a check found: one thing with a start, an end, a worst value and its evidence, never one
//! a fix.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    catalog::Kerb,
    identity::{TerminalId, ViolationId},
    units::{Latitude, Longitude, Timestamp},
};

/// Which check found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViolationKind {
    /// A fence that must not be left was left.
    StayIn,
    /// A fence that must not be entered was entered.
    KeepOut,
    /// Faster than the limit that holds at the place.
    Speeding,
    /// The corridor of a route was left.
    RouteDeviation,
    /// A collection point was passed over: a later one was visited before it.
    WrongOrder,
    /// A collection point was not visited in its window.
    MissedPoint,
    /// Too little of a route was swept in its window.
    Coverage,
    /// Standing for too long where that is not allowed.
    LongStop,
    /// Standing for too long with the ignition on.
    Idling,
    /// Working faster than the job allows.
    TooFastToClean,
    /// Unloading outside every site.
    Unloading,
    /// An alarm that the terminal itself raised.
    TerminalAlarm,
    /// Worked outside its hours.
    OutsideHours,
    /// Not in the duty area when the shift had begun.
    LateStart,
    /// Left the duty area for good before the shift ended.
    EarlyEnd,
    /// Outside the duty area on shift.
    OffPost,
    /// Too few unit grids of the duty area were visited on a shift.
    PatrolCoverage,
    /// Nothing was received on shift.
    Silence,
}

impl ViolationKind {
    /// Every kind, in the order of the definitions.
    pub const ALL: [Self; 18] = [
        Self::StayIn,
        Self::KeepOut,
        Self::Speeding,
        Self::RouteDeviation,
        Self::WrongOrder,
        Self::MissedPoint,
        Self::Coverage,
        Self::LongStop,
        Self::Idling,
        Self::TooFastToClean,
        Self::Unloading,
        Self::TerminalAlarm,
        Self::OutsideHours,
        Self::LateStart,
        Self::EarlyEnd,
        Self::OffPost,
        Self::PatrolCoverage,
        Self::Silence,
    ];

    /// The word that metrics, rows and JSON use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StayIn => "stay_in",
            Self::KeepOut => "keep_out",
            Self::Speeding => "speeding",
            Self::RouteDeviation => "route_deviation",
            Self::WrongOrder => "wrong_order",
            Self::MissedPoint => "missed_point",
            Self::Coverage => "coverage",
            Self::LongStop => "long_stop",
            Self::Idling => "idling",
            Self::TooFastToClean => "too_fast_to_clean",
            Self::Unloading => "unloading",
            Self::TerminalAlarm => "terminal_alarm",
            Self::OutsideHours => "outside_hours",
            Self::LateStart => "late_start",
            Self::EarlyEnd => "early_end",
            Self::OffPost => "off_post",
            Self::PatrolCoverage => "patrol_coverage",
            Self::Silence => "silence",
        }
    }

    /// The unit of the worst value.
    #[must_use]
    pub const fn worst_unit(self) -> &'static str {
        match self {
            Self::Speeding | Self::TooFastToClean => "km/h",
            Self::StayIn
            | Self::KeepOut
            | Self::RouteDeviation
            | Self::MissedPoint
            | Self::OutsideHours
            | Self::OffPost => "m",
            Self::WrongOrder => "points",
            Self::Coverage | Self::PatrolCoverage => "%",
            Self::LongStop | Self::Idling | Self::LateStart | Self::EarlyEnd | Self::Silence => {
                "min"
            }
            Self::Unloading | Self::TerminalAlarm => "s",
        }
    }

    /// The kind of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// What the rule was about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rule {
    /// The rule's id in the catalog: the fence's or route's id where that is the rule, `route/point`
    /// for a collection point, `shift/area` for a duty.
    pub id: String,
    /// The version of it that judged.
    pub version: u32,
    /// The name of fence, route, point or duty, for people.
    pub name: String,
}

/// One fix as evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvidenceFix {
    /// When.
    pub fixed_at: Timestamp,
    /// Where, WGS-84.
    pub latitude: Latitude,
    /// Where, WGS-84.
    pub longitude: Longitude,
    /// Tenths of km/h.
    pub speed_dkmh: u16,
    /// Degrees clockwise from north.
    pub heading_deg: u16,
    /// Metres to the fence's boundary, positive inside; from the line of a route; from a collection
    /// point. `None` where nothing was measured.
    pub distance_m: Option<f64>,
    /// The record that proves it.
    pub log_offset: u64,
}

/// Why it was a violation: enough to explain it to the driver.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The fixes that decided: those around the onset, the worst one, those around the end.
    /// Bounded.
    pub fixes: Vec<EvidenceFix>,
    /// The thresholds in force, by name with unit: `{"limit_kmh": 40.0, "dwell_s": 60.0}`.
    pub thresholds: BTreeMap<String, f64>,
    /// What was measured, by name with unit: `{"planned_m": 5200.0, "swept_m": 3100.0}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub measured: BTreeMap<String, f64>,
    /// What of a route was not swept, in its order; of too many the longest. Bounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stretches: Vec<Stretch>,
    /// The codes of unit grids that were not visited. Bounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unit_grids: Vec<String>,
}

/// Why a stretch of a route does not count as swept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StretchState {
    /// The vehicle was seen, and not there.
    Missed,
    /// It was there, faster than the work allows.
    TooFast,
    /// It was there, and its machines did not run.
    Idle,
    /// It may have been there while nothing was received: neither swept nor missed.
    Unobserved,
}

/// A stretch of a route that was not swept as often as planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stretch {
    /// The segment of the route, counted from 0.
    pub segment: u32,
    /// The kerb, where each is planned for itself.
    pub side: Option<Kerb>,
    /// Metres from the beginning of the route.
    pub from_m: f64,
    /// Metres from the beginning of the route.
    pub to_m: f64,
    /// How many passes lack.
    pub passes: u8,
    /// Why.
    pub state: StretchState,
    /// Where it begins, WGS-84: latitude, longitude.
    pub from: (Latitude, Longitude),
    /// Where it ends, WGS-84: latitude, longitude.
    pub to: (Latitude, Longitude),
}

/// A finding of a check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// Derived, see [`ViolationId`].
    pub id: ViolationId,
    /// Which check.
    pub kind: ViolationKind,
    /// Which rule, in which version.
    pub rule: Rule,
    /// Who.
    pub terminal: TerminalId,
    /// The vehicle of the catalog, where one is known.
    pub vehicle: Option<String>,
    /// The code of the unit grid at the onset, where there is one.
    pub unit_grid: Option<String>,
    /// Where it began, WGS-84.
    pub latitude: Latitude,
    /// Where it began, WGS-84.
    pub longitude: Longitude,
    /// The onset: dated back to the crossing, not to the confirmation.
    pub started_at: Timestamp,
    /// When it was sure.
    pub confirmed_at: Timestamp,
    /// The end, once it is sure.
    pub ended_at: Option<Timestamp>,
    /// The worst value, in the unit of [`ViolationKind::worst_unit`]: km/h for speeds, metres beyond
    /// the boundary for fences and from the line for routes, metres to a missed point at the
    /// nearest, later points that were visited first, swept share for coverage, minutes observed for
    /// stops, seconds for unloading and alarms; metres moved outside hours, metres from the duty area
    /// for off-post, visited share for patrol coverage, minutes for late starts, early ends and
    /// silence.
    pub worst: f64,
    /// Why.
    pub evidence: Evidence,
}

/// What a step of the evaluation changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Finding {
    /// A violation that was not there.
    Opened(Violation),
    /// The same id with more evidence, a worse value or an end.
    Updated(Violation),
    /// Late data disproved it.
    Withdrawn(ViolationId, Timestamp),
}
