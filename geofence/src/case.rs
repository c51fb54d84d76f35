//! The case (案件): the administrative process that a violation opens.

use serde::{Deserialize, Serialize};

use crate::{
    identity::{CaseId, ViolationId},
    units::Timestamp,
    violation::Violation,
};

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

    /// No move leads out of it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Declined | Self::Closed | Self::Withdrawn)
    }
}

/// A case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// Derived from the violation that opened it.
    pub id: CaseId,
    /// Where it stands.
    pub stage: Stage,
    /// When it was opened, by the clock of the log: the receipt of the record that decided.
    pub opened_at: Timestamp,
    /// When it last changed, by the same clock.
    pub changed_at: Timestamp,
    /// What it is about, with the evidence.
    pub violation: Violation,
}

impl Case {
    /// The case that a violation opens.
    #[must_use]
    pub fn open(violation: Violation, at: Timestamp) -> Self {
        Self {
            id: Self::id_of(violation.id),
            stage: Stage::Collected,
            opened_at: at,
            changed_at: at,
            violation,
        }
    }

    /// The id of the case of a violation.
    #[must_use]
    pub fn id_of(violation: ViolationId) -> CaseId {
        CaseId(uuid::Uuid::new_v5(&violation.0, b"case"))
    }
}
