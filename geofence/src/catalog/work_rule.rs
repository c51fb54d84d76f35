//! Rules of work: what is asked of vehicles and inspectors wherever they are, and what the signals
//! of their terminals mean.

mod read;
#[cfg(test)]
mod tests;

pub(super) use self::read::read;

use std::{cmp::Reverse, collections::HashMap};

use super::{
    Catalog,
    fence::{AppliesTo, Fence},
    schedule::Schedule,
    vehicle::{Vehicle, WorkKind},
    weight::{map_bytes, sum},
};
use crate::{
    checks::{Parameters, WorkParameters},
    violation::Rule,
};

/// A rule of work. Of several of one kind that concern a vehicle and hold, the one that names it
/// goes before one of its fleet, then of its work kind, then of everybody; among equals the first
/// in the text. Only speed limits hold side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkRule {
    /// Its id in the catalog.
    pub id: String,
    /// For people.
    pub name: String,
    /// The version that its editor counts; 1 where the text has none.
    pub version: u32,
    /// Whom it concerns.
    pub applies_to: AppliesTo,
    /// When it holds.
    pub schedule: Schedule,
    /// What it asks for.
    pub demand: Demand,
    /// Of all that it asks for: another value means that the rule was edited.
    pub fingerprint: u64,
}

/// What a rule of work asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Demand {
    /// Do not stand for long outside the sites.
    LongStop(StopDemand),
    /// Do not stand for long with the ignition on, outside the sites.
    Idling(StopDemand),
    /// Do not work faster than the job allows.
    WorkSpeed(WorkSpeed),
    /// Do not unload outside the sites.
    Unloading(UnloadingDemand),
    /// Do not exceed a speed, wherever.
    SpeedLimit {
        /// km/h.
        limit_kmh: f64,
        /// Among speed limits the highest priority holds, then the lowest limit.
        priority: i32,
        /// The thresholds that hold for it.
        parameters: Parameters,
    },
    /// Which alarms of terminals are violations.
    TerminalAlarms(Box<AlarmPolicy>),
    /// Which bits of a report mean which work.
    WorkSignals(Vec<WorkSignal>),
}

impl Demand {
    /// The words of all kinds.
    pub const WORDS: [&'static str; 7] = [
        "long_stop",
        "idling",
        "work_speed",
        "unloading",
        "speed_limit",
        "terminal_alarms",
        "work_signals",
    ];

    /// The word in texts.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::LongStop(_) => "long_stop",
            Self::Idling(_) => "idling",
            Self::WorkSpeed(_) => "work_speed",
            Self::Unloading(_) => "unloading",
            Self::SpeedLimit { .. } => "speed_limit",
            Self::TerminalAlarms(_) => "terminal_alarms",
            Self::WorkSignals(_) => "work_signals",
        }
    }
}

/// How long a stop may be, and where it may be longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopDemand {
    /// Observed for so long; `None` is the default of the work kind.
    pub stop_ms: Option<i64>,
    /// Where stops are as long as they like.
    pub sites: AllowedSites,
}

impl StopDemand {
    /// Observed for so long a stop of this vehicle is a violation.
    #[must_use]
    pub fn stop_ms(&self, vehicle: Option<&Vehicle>) -> i64 {
        let is_inspector = vehicle.is_some_and(|v| v.work_kind == WorkKind::Inspector);
        self.stop_ms.unwrap_or(if is_inspector {
            WorkParameters::STOP_INSPECTOR_MS
        } else {
            WorkParameters::STOP_MS
        })
    }
}

/// The band of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkSpeed {
    /// km/h; `None` is the default of the work kind.
    pub limit_kmh: Option<f64>,
    /// What it means that the terminal says nothing of work.
    pub unknown: UnknownWork,
    /// The thresholds that hold for it.
    pub parameters: Parameters,
}

/// What it means that a terminal says nothing of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownWork {
    /// It does not work: nothing is judged.
    #[default]
    Idle,
    /// It works while it is on one of its routes.
    OnRoute,
    /// It works, always.
    Working,
}

/// Where unloading is allowed, and how long it lasts elsewhere before it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnloadingDemand {
    /// Observed for so long.
    pub dwell_ms: i64,
    /// Where it is allowed.
    pub sites: AllowedSites,
}

impl Default for UnloadingDemand {
    fn default() -> Self {
        Self {
            dwell_ms: WorkParameters::UNLOADING_MS,
            sites: AllowedSites::All,
        }
    }
}

/// The sites where something is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedSites {
    /// Every site that concerns the vehicle.
    All,
    /// Those with these ids.
    Only(Vec<String>),
}

impl AllowedSites {
    /// Whether it is allowed in this fence, if that is a site.
    #[must_use]
    pub fn include(&self, fence: &Fence) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.contains(&fence.id),
        }
    }
}

/// Which alarm bits are violations, and for how long they must be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlarmPolicy {
    /// By bit: observed for so long, milliseconds; `None` is never.
    pub after_ms: [Option<i64>; 32],
}

impl AlarmPolicy {
    /// What holds where no rule says otherwise: the emergency button at once, lost power after a
    /// minute, nothing else.
    pub const DEFAULT: Self = {
        let mut after_ms = [None; 32];
        after_ms[0] = Some(WorkParameters::EMERGENCY_MS);
        after_ms[8] = Some(WorkParameters::POWER_LOST_MS);
        Self { after_ms }
    };

    /// Nothing is a violation.
    pub(crate) const OFF: Self = Self {
        after_ms: [None; 32],
    };

    /// For how long a bit must be set; `None` where it is no violation.
    #[must_use]
    pub fn after_ms(&self, bit: u8) -> Option<i64> {
        self.after_ms.get(usize::from(bit)).copied().flatten()
    }
}

/// A machine of a vehicle that says of itself whether it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Machine {
    /// Sweeps: the brush is down and turns.
    Brush,
    /// Flushes or sprinkles: the pump runs.
    Pump,
    /// Power take-off, which drives either.
    Pto,
    /// Unloads: the body is tipped or the container lifted.
    Lift,
    /// Unloads: the bucket or the ejector.
    Bucket,
    /// Collects: bins are lifted to fill the vehicle.
    BinLift,
    /// No machine but the load, in two bits of which the lower one is named: 0 empty, 1 half, 3 full
    /// (as status bits 8 and 9 of JT/T 808).
    Load,
}

impl Machine {
    /// Every machine.
    pub const ALL: [Self; 7] = [
        Self::Brush,
        Self::Pump,
        Self::Pto,
        Self::Lift,
        Self::Bucket,
        Self::BinLift,
        Self::Load,
    ];

    /// The word in texts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Brush => "brush",
            Self::Pump => "pump",
            Self::Pto => "pto",
            Self::Lift => "lift",
            Self::Bucket => "bucket",
            Self::BinLift => "bin_lift",
            Self::Load => "load",
        }
    }

    /// Cleans.
    #[must_use]
    pub const fn is_cleaning(self) -> bool {
        matches!(self, Self::Brush | Self::Pump | Self::Pto)
    }

    /// Unloads.
    #[must_use]
    pub const fn is_unloading(self) -> bool {
        matches!(self, Self::Lift | Self::Bucket)
    }

    /// Collects.
    #[must_use]
    pub const fn is_collecting(self) -> bool {
        matches!(self, Self::BinLift)
    }
}

/// Where in a report a bit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignalSource {
    /// The status flags of the report, which are always there; 32 bits.
    Status,
    /// Item 0x25, extended vehicle signals; 32 bits.
    VehicleSignals,
    /// Item 0x2A, inputs and outputs; 16 bits.
    Io,
    /// The maker's item that the gateway is configured to keep; 32 bits.
    Vendor,
}

impl SignalSource {
    /// Every source.
    pub const ALL: [Self; 4] = [Self::Status, Self::VehicleSignals, Self::Io, Self::Vendor];

    /// The word in texts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::VehicleSignals => "vehicle_signals",
            Self::Io => "io",
            Self::Vendor => "vendor",
        }
    }

    /// How many bits it has.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::Io => 16,
            _ => 32,
        }
    }
}

/// What one bit means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkSignal {
    /// Whose state it is.
    pub machine: Machine,
    /// Where the bit stands.
    pub source: SignalSource,
    /// Which one; 0 is the least.
    pub bit: u8,
    /// The machine runs when the bit is 0.
    pub is_inverted: bool,
}

/// All rules of work of a catalog.
#[derive(Clone, Debug)]
pub(super) struct WorkRules {
    rules: Vec<WorkRule>,
    by_fingerprint: HashMap<u64, u32>,
    text: Option<String>,
    default_alarms: u64,
}

impl WorkRules {
    /// `source` is the text that they were read from.
    pub(super) fn new(rules: Vec<WorkRule>, source: Option<&(String, String)>) -> Self {
        Self {
            default_alarms: default_alarms(&rules),
            by_fingerprint: rules.iter().map(|rule| rule.fingerprint).zip(0..).collect(),
            rules,
            text: source.map(|(_, text)| text.clone()),
        }
    }

    /// About how many bytes of the memory they take beside their own size.
    pub(super) fn heap_bytes(&self) -> usize {
        sum(&self.rules, WorkRule::heap_bytes)
            + map_bytes::<(u64, u32)>(self.rules.len())
            + self.text.as_ref().map_or(0, String::len)
    }

    /// Those that concern a vehicle, or a terminal without one: the nearest first.
    pub(super) fn nearest(&self, vehicle: Option<&Vehicle>) -> Vec<u32> {
        let concerns = |rule: &WorkRule| match vehicle {
            Some(vehicle) => rule.applies_to.includes(vehicle),
            None => rule.applies_to.is_everybody(),
        };
        let all = (0_u32..).zip(&self.rules);
        let mut own: Vec<(u32, &WorkRule)> = all.filter(|(_, rule)| concerns(rule)).collect();
        // The order of the text stays among equals.
        own.sort_by_key(|(_, rule)| Reverse(rule.nearness(vehicle)));
        own.into_iter().map(|(index, _)| index).collect()
    }
}

impl Default for WorkRules {
    fn default() -> Self {
        Self::new(Vec::new(), None)
    }
}

fn default_alarms(rules: &[WorkRule]) -> u64 {
    let own = rules
        .iter()
        .filter(|rule| matches!(rule.demand, Demand::TerminalAlarms(_)));
    let bytes: Vec<u8> = own
        .flat_map(|rule| rule.fingerprint.to_le_bytes())
        .collect();
    super::hash(&[b"default alarms", &*bytes].concat())
}

impl Catalog {
    /// All rules of work, in the order of their text.
    #[must_use]
    pub fn work_rules(&self) -> &[WorkRule] {
        &self.work.rules
    }

    /// The rules of work as JSON, as they were read.
    #[must_use]
    pub fn work_rules_json(&self) -> String {
        let text = self.work.text.clone();
        text.unwrap_or_else(|| "{\"rules\":[]}".to_owned())
    }

    pub(crate) fn work_rule(&self, index: u32) -> Option<&WorkRule> {
        self.work.rules.get(index as usize)
    }

    /// The fingerprint of what holds for vehicles without a rule `terminal_alarms`: another one with
    /// every edit of these rules, since nobody knows then for whom it held before.
    pub(crate) fn default_alarms(&self) -> u64 {
        self.work.default_alarms
    }

    /// The index of the rule with this fingerprint: the same rule, not edited since.
    pub(crate) fn work_rule_of(&self, fingerprint: u64) -> Option<u32> {
        self.work.by_fingerprint.get(&fingerprint).copied()
    }
}

impl WorkRule {
    /// It, as the rule of a violation.
    #[must_use]
    pub fn as_rule(&self) -> Rule {
        Rule {
            id: self.id.clone(),
            version: self.version,
            name: self.name.clone(),
        }
    }

    /// How nearly it means a vehicle; larger goes before.
    fn nearness(&self, vehicle: Option<&Vehicle>) -> u8 {
        let Some(vehicle) = vehicle else { return 0 };
        let applies_to = &self.applies_to;
        if applies_to.vehicles.contains(&vehicle.id) {
            3
        } else if applies_to.fleets.contains(&vehicle.fleet) {
            2
        } else {
            u8::from(applies_to.work_kinds.contains(&vehicle.work_kind))
        }
    }
}
