//! What a check found: one thing with a start, an end, a worst value and its evidence, never one
//! a fix.

use serde::{Deserialize, Serialize};

use crate::{
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
}

impl ViolationKind {
    /// Every kind, in the order of the definitions.
    pub const ALL: [Self; 3] = [Self::StayIn, Self::KeepOut, Self::Speeding];

    /// The word that metrics, rows and JSON use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StayIn => "stay_in",
            Self::KeepOut => "keep_out",
            Self::Speeding => "speeding",
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
    /// The rule's id in the catalog: the fence's id where the fence is the rule.
    pub id: String,
    /// The version of it that judged.
    pub version: u32,
    /// The fence's name, for people.
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
    /// Metres to the fence's boundary, positive inside; `None` where no boundary was measured.
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
    pub thresholds: std::collections::BTreeMap<String, f64>,
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
    /// The worst value: km/h for speeding, metres beyond the boundary for fences.
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
