//! The case (案件): the administrative process that a violation opens, or a person.
//!
//! ```text
//!  collected ─▶ accepted ─▶ filed ─▶ dispatched ─▶ handled ─▶ verified ─▶ closed
//!      │            │         ◀──return──┘ ◀──fails──┘
//!      └─▶ declined ◀┘        any open case: withdrawn, or closed by force
//! ```
//!
//! [`moves`] is the one table of what may be done, by whom; [`desk`] does it; [`clock`] has the time
//! limits; [`policy`] says what a city wants of each kind of violation; [`task`] is what inspectors look at.

pub mod clock;
pub mod desk;
pub mod moves;
pub mod policy;
pub mod task;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use self::{clock::Clock, moves::Role, task::Task};
use crate::{
    catalog::{date_of, local_day},
    identity::{CaseId, TerminalId, ViolationId},
    units::{Latitude, Longitude, Timestamp},
    violation::{Violation, ViolationKind},
};

/// The digits of a case's number behind its date.
const SERIAL_MODULUS: u128 = 100_000_000_000;

macro_rules! words {
    ($type:ident, $what:literal, [$($variant:ident => $word:literal),+ $(,)?]) => {
        impl $type {
            /// Every one, in the order of the definitions.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word that metrics, rows and JSON use.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }

            #[doc = concat!("The ", $what, " of that word.")]
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == word)
            }
        }
    };
}
use words;

/// Where a case stands. The order is the order of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// 信息收集: known, nobody has looked at it.
    Collected,
    /// 受理: checked against the conditions.
    Accepted,
    /// 立案: a case in the books.
    Filed,
    /// Refused at filing.
    Declined,
    /// 派遣: a responsible unit has it.
    Dispatched,
    /// 处置: the responsible unit reports it done.
    Handled,
    /// 核查: an inspector has confirmed that.
    Verified,
    /// 结案.
    Closed,
    /// Taken back with a reason, by a person or because late data disproved it.
    Withdrawn,
}

impl Stage {
    /// Every stage.
    pub const ALL: [Self; 9] = [
        Self::Collected,
        Self::Accepted,
        Self::Filed,
        Self::Declined,
        Self::Dispatched,
        Self::Handled,
        Self::Verified,
        Self::Closed,
        Self::Withdrawn,
    ];

    /// The word that metrics, rows and JSON use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Collected => "collected",
            Self::Accepted => "accepted",
            Self::Filed => "filed",
            Self::Declined => "declined",
            Self::Dispatched => "dispatched",
            Self::Handled => "handled",
            Self::Verified => "verified",
            Self::Closed => "closed",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The stage of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == word)
    }

    /// The case is over. Only reopening leads out of it, or what a check finds again.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Declined | Self::Closed | Self::Withdrawn)
    }
}

/// Who brought it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A check of what terminals sent.
    #[default]
    Telemetry,
    /// An inspector (监督员).
    Inspector,
    /// The public: telephone, page, application.
    Citizen,
    /// By hand, whatever the occasion.
    Manual,
}

words!(Source, "source", [
    Telemetry => "telemetry",
    Inspector => "inspector",
    Citizen => "citizen",
    Manual => "manual",
]);

/// How urgent it is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// For the books.
    Low,
    /// The ordinary case.
    #[default]
    Normal,
    /// Before others.
    High,
    /// At once.
    Urgent,
}

words!(Severity, "severity", [
    Low => "low",
    Normal => "normal",
    High => "high",
    Urgent => "urgent",
]);

/// One violation of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// With its evidence.
    pub violation: Violation,
    /// It is not disproved.
    pub stands: bool,
}

/// Where it is, WGS-84.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Place {
    pub latitude: Latitude,
    pub longitude: Longitude,
}

/// A case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// Derived from the violation that opened it; of a case without one, from who brought it.
    pub id: CaseId,
    /// Where it stands.
    pub stage: Stage,
    /// When it was opened, by the clock of the log: the receipt of the record that decided.
    pub opened_at: Timestamp,
    /// When it last changed, by the same clock.
    pub changed_at: Timestamp,
    /// Counts its changes, from 1 on.
    #[serde(default = "first_version")]
    pub version: u32,
    /// The version that the last move made. Whoever has seen this one or a later one may move it:
    /// new evidence and the notices of clocks make nobody's view stale.
    #[serde(default = "first_version")]
    pub moved: u32,
    /// Who brought it.
    #[serde(default)]
    pub source: Source,
    /// Code of the city's table of categories; empty where nobody has said one.
    #[serde(default)]
    pub category: String,
    /// How urgent it is.
    #[serde(default)]
    pub severity: Severity,
    /// What it is about, in words; empty where the violation says it.
    #[serde(default)]
    pub description: String,
    /// When it happened: the beginning of the first interval, or what was reported.
    pub occurred_at: Timestamp,
    /// Where it happened.
    #[serde(default)]
    pub place: Option<Place>,
    /// The code of the unit grid there.
    #[serde(default)]
    pub unit_grid: Option<String>,
    /// Who or what it is about, or the inspector that reported it.
    #[serde(default)]
    pub terminal: Option<TerminalId>,
    /// Media that belong to it, by their ids.
    #[serde(default)]
    pub media: Vec<String>,
    /// Code prefix of the jurisdiction that handles it at present; empty is the city.
    #[serde(default)]
    pub handler: String,
    /// The department that it is dispatched to, or is to be by the city's table.
    #[serde(default)]
    pub department: Option<String>,
    /// What other violations have in common with those of this case when they belong to it.
    #[serde(default)]
    pub group: Option<String>,
    /// Its violations, in the order in which they joined; none where a person opened it.
    #[serde(default)]
    pub intervals: Vec<Interval>,
    /// Its clocks, in the order in which they began.
    #[serde(default)]
    pub clocks: Vec<Clock>,
    /// What inspectors were asked; at most one of them waits.
    #[serde(default)]
    pub tasks: Vec<Task>,
    /// How often a check sent it back.
    #[serde(default)]
    pub rework: u32,
    /// How often its time was extended.
    #[serde(default)]
    pub extensions: u32,
    /// Put off (缓办) until then: its clocks stand still.
    #[serde(default)]
    pub deferred_until: Option<Timestamp>,
    /// How often it was put off.
    #[serde(default)]
    pub deferrals: u32,
    /// A person has moved it or said something of it: later data does not merge it into another.
    #[serde(default = "unless_known")]
    pub is_touched: bool,
    /// Cases that later data showed to be one with it, and that were left as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<CaseId>,
    /// The case that took over its intervals.
    #[serde(default)]
    pub merged_into: Option<CaseId>,
    /// The case that it was split from.
    #[serde(default)]
    pub split_from: Option<CaseId>,
    /// When it ended, while it is over.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// Who ended it, while it is over: what a person has ended no later data opens.
    #[serde(default)]
    pub ended_by: Option<Role>,
    /// It was closed by force.
    #[serde(default)]
    pub is_forced: bool,
}

const fn first_version() -> u32 {
    1
}

/// Of a case from before this was kept nobody knows.
const fn unless_known() -> bool {
    true
}

impl Case {
    /// The case that a violation opens, where a city has said nothing about it.
    #[must_use]
    pub fn open(violation: Violation, at: Timestamp) -> Self {
        let mut case = Self::blank(Self::id_of(violation.id), Source::Telemetry, at);
        case.occurred_at = violation.started_at;
        case.place = Some(Place {
            latitude: violation.latitude,
            longitude: violation.longitude,
        });
        case.unit_grid.clone_from(&violation.unit_grid);
        case.terminal = Some(violation.terminal);
        case.intervals.push(Interval {
            violation,
            stands: true,
        });
        case
    }

    /// A case about nothing yet.
    #[must_use]
    pub const fn blank(id: CaseId, source: Source, at: Timestamp) -> Self {
        Self {
            id,
            stage: Stage::Collected,
            opened_at: at,
            changed_at: at,
            version: 1,
            moved: 1,
            source,
            category: String::new(),
            severity: Severity::Normal,
            description: String::new(),
            occurred_at: at,
            place: None,
            unit_grid: None,
            terminal: None,
            media: Vec::new(),
            handler: String::new(),
            department: None,
            group: None,
            intervals: Vec::new(),
            clocks: Vec::new(),
            tasks: Vec::new(),
            rework: 0,
            extensions: 0,
            deferred_until: None,
            deferrals: 0,
            is_touched: false,
            beside: Vec::new(),
            merged_into: None,
            split_from: None,
            ended_at: None,
            ended_by: None,
            is_forced: false,
        }
    }

    /// The id of the case of a violation that opens one.
    #[must_use]
    pub fn id_of(violation: ViolationId) -> CaseId {
        CaseId(uuid::Uuid::new_v5(&violation.0, b"case"))
    }

    /// The number for people: the date of its opening at local time and eleven digits of its id.
    /// Nothing has to count, so that a replay gives the same one; the id is what tells cases apart.
    #[must_use]
    pub fn number(&self) -> String {
        Self::number_of(self.opened_at, self.id)
    }

    /// The number of a case that was opened then.
    #[must_use]
    pub fn number_of(opened_at: Timestamp, id: CaseId) -> String {
        let (year, month, day) = date_of(local_day(opened_at));
        let serial = id.0.as_u128() % SERIAL_MODULUS;
        format!("{year:04}{month:02}{day:02}{serial:011}")
    }

    /// The violation that speaks for it: the first that stands, else the first.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        let standing = self.intervals.iter().find(|interval| interval.stands);
        let spoken = standing.or_else(|| self.intervals.first());
        spoken.map(|interval| &interval.violation)
    }

    /// The kind of its violations; none where a person opened it.
    #[must_use]
    pub fn kind(&self) -> Option<ViolationKind> {
        self.violation().map(|violation| violation.kind)
    }

    /// From the beginning of its first interval to the end of its last; an interval that goes on
    /// ends where it was confirmed.
    #[must_use]
    pub fn span(&self) -> (Timestamp, Timestamp) {
        let begins = self.intervals.iter().map(|i| i.violation.started_at);
        let ends = self.intervals.iter().map(|interval| {
            let violation = &interval.violation;
            violation.ended_at.unwrap_or(violation.confirmed_at)
        });
        (
            begins.min().unwrap_or(self.occurred_at),
            ends.max().unwrap_or(self.occurred_at),
        )
    }

    /// One of its clocks exceeded its limit.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.clocks.iter().any(|clock| clock.is_overdue)
    }

    /// Whether a jurisdiction has to do with it: it lies there, or is handled there.
    #[must_use]
    pub fn concerns(&self, jurisdiction: &str) -> bool {
        let lies_there = self
            .unit_grid
            .as_deref()
            .is_some_and(|grid| grid.starts_with(jurisdiction));
        jurisdiction.is_empty() || lies_there || self.handler.starts_with(jurisdiction)
    }
}
