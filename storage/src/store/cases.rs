//! What is said to a store about cases, and what it answers.

use std::sync::Arc;

pub use geofence::case::desk::CaseChange;
use geofence::{
    case::{
        Case, Source, Stage,
        desk::{Actor, MoveRequest, Refusal},
        policy::Desk,
    },
    identity::{CaseId, TerminalId},
    units::Timestamp,
    violation::ViolationKind,
};
use uuid::Uuid;

use super::CaseSearch;
use crate::evaluation::CaseEvent;

/// By what cases are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CaseOrder {
    /// Those opened last come first.
    #[default]
    Opened,
    /// Those that changed last come first.
    Changed,
    /// Those due next come first; without a running clock that has a limit a case is not listed.
    Due,
}

/// Which cases to list.
#[derive(Clone, Debug, Default)]
pub struct CaseQuery {
    /// Only this stage.
    pub stage: Option<Stage>,
    /// Only this kind.
    pub kind: Option<ViolationKind>,
    /// Only of this terminal.
    pub terminal: Option<TerminalId>,
    /// Only cases whose unit grid or handler begins with one of these (jurisdictions); empty means
    /// all.
    pub jurisdictions: Vec<String>,
    /// Only from this source.
    pub source: Option<Source>,
    /// Only of this category.
    pub category: Option<String>,
    /// Only of this department.
    pub department: Option<String>,
    /// Only with a running clock that was due before this moment.
    pub overdue_at: Option<Timestamp>,
    /// Only what happened in this time, from the first (inclusive) to the second moment
    /// (exclusive).
    pub happened: Option<(Timestamp, Timestamp)>,
    /// Only what has to do with this.
    pub search: Option<CaseSearch>,
    /// In which order.
    pub order: CaseOrder,
    /// Continue behind this case: [`CaseQuery::key`] of the last one of the page before.
    pub after: Option<(Timestamp, CaseId)>,
    /// At most so many.
    pub limit: u32,
}

impl CaseQuery {
    /// What its order goes by; `None` for a case that has no place in it.
    #[must_use]
    pub fn key(&self, case: &Case) -> Option<(Timestamp, CaseId)> {
        let at = match self.order {
            CaseOrder::Opened => Some(case.opened_at),
            CaseOrder::Changed => Some(case.changed_at),
            CaseOrder::Due => case.due_at(),
        };
        at.map(|at| (at, case.id))
    }

    /// The earliest first, and not the latest.
    pub(crate) const fn is_ascending(&self) -> bool {
        matches!(self.order, CaseOrder::Due)
    }

    /// The column of [`CaseQuery::key`].
    pub(crate) const fn column(&self) -> &'static str {
        match self.order {
            CaseOrder::Opened => "opened_at",
            CaseOrder::Changed => "changed_at",
            CaseOrder::Due => "due_at",
        }
    }

    /// What a database finds by columns. `has_number` says whether a receiver has given the case a
    /// number that begins so.
    pub(crate) fn selects(&self, case: &Case, has_number: impl Fn(&str) -> bool) -> bool {
        let places = &self.jurisdictions;
        let is_behind = |after| {
            let key = self.key(case);
            key.is_some_and(|key| {
                if self.is_ascending() {
                    key > after
                } else {
                    key < after
                }
            })
        };
        let (from, to) = case.span();
        self.stage.is_none_or(|stage| stage == case.stage)
            && self.kind.is_none_or(|kind| case.kind() == Some(kind))
            && self.terminal.is_none_or(|t| case.terminal == Some(t))
            && (places.is_empty() || places.iter().any(|place| case.concerns(place)))
            && self.source.is_none_or(|source| source == case.source)
            && self.category.as_ref().is_none_or(|c| *c == case.category)
            && (self.department.is_none() || self.department == case.department)
            && self
                .overdue_at
                .is_none_or(|at| case.due_at().is_some_and(|due| due < at))
            && self
                .search
                .as_ref()
                .is_none_or(|search| search.selects(case) || has_number(search.text()))
            && self.happened.is_none_or(|(a, b)| from < b && to >= a)
            && self.key(case).is_some()
            && self.after.is_none_or(is_behind)
    }
}

/// A case that a person opens, or a machine for him.
#[derive(Clone, Debug)]
pub struct Opening {
    /// With everything that is known of it: from [`Case::blank`], or [`Case::open`]. A case of
    /// this id that is there stays as it is.
    pub case: Case,
    /// Who opens it.
    pub by: Actor,
    /// Why.
    pub remark: String,
    /// What policy and work time say.
    pub desk: Arc<Desk>,
}

/// A move that is asked for.
#[derive(Clone, Debug)]
pub struct MoveOrder {
    /// Of which case.
    pub case: CaseId,
    /// Which, by whom.
    pub request: MoveRequest,
    /// The time of it.
    pub at: Timestamp,
    /// What policy and work time say.
    pub desk: Arc<Desk>,
}

/// What became of a move.
#[derive(Clone, Debug, PartialEq)]
pub enum Moved {
    /// It is made, and on disk: the cases that it changed, the one that was asked for first.
    Done(Vec<CaseWritten>),
    /// It had been made under the same key: nothing is changed. The case as it is now.
    Repeated(Box<Case>),
    /// It may not be made. The case as it is now.
    Refused(Refusal, Box<Case>),
    /// There is no such case.
    Unknown,
}

/// A case that was written, with the lines that this added to its history.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseWritten {
    /// As it is stored.
    pub case: Case,
    /// What was done.
    pub lines: Vec<CaseChange>,
}

/// What became of a batch of findings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FindingsWritten {
    /// Cases that were not there before, as stored.
    pub opened: Vec<Case>,
    /// Cases that changed, as stored.
    pub changed: Vec<Case>,
    /// Violations that were found and, by policy, open no case.
    pub unopened: u64,
}

/// A case with all that the store knows of it, for a move to another store.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseRecord {
    /// The case.
    pub case: Case,
    /// The log whose findings changed it last, and how far that log was judged then.
    pub log: Uuid,
    /// The number of the first record of that log that had not been judged.
    pub judged: u64,
    /// What happened to it, oldest first.
    pub history: Vec<CaseChange>,
    /// What evaluations count of it.
    pub events: Vec<CaseEvent>,
}
