//! Moving cases: what a request does by the table of [`super::moves`], or why it may not.

mod check;
mod effect;
mod findings;
mod joining;
mod merging;
mod notices;
mod request;
mod tasks;

use serde::{Deserialize, Serialize};

use self::check::check;
pub use self::{
    check::allowed_moves,
    findings::{Joined, may_join},
    joining::{are_joined, join},
    merging::{merge, split},
    request::{Actor, MoveRequest, Refusal},
};
use super::{
    Case, Stage,
    clock::ClockKind,
    moves::{Move, Role, Rule},
    policy::Desk,
};
use crate::units::Timestamp;

/// The name of what acts by itself.
pub const SYSTEM: &str = "gridtrace";
/// The name under which the checks act.
pub const TELEMETRY: &str = "telemetry";

/// A line of a case's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseChange {
    /// When, by the clock of the log.
    pub at: Timestamp,
    /// The version of the case that it made.
    pub version: u32,
    /// What was done.
    pub name: Move,
    /// The stage before; `None` at the opening.
    pub from: Option<Stage>,
    /// The stage after.
    pub to: Stage,
    /// Who: `telemetry` for what the checks did, `gridtrace` for what policy and clocks did.
    pub actor: String,
    /// In which part.
    pub role: Role,
    /// Why.
    pub remark: String,
    /// What else it says, in words: `department: …`, `clock: handling`.
    pub detail: String,
    /// The key of the request, where it had one.
    pub key: Option<String>,
}

/// A case with the lines that its present change adds. All lines of one change have one version.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// As it is now.
    pub case: Case,
    /// What was done.
    pub lines: Vec<CaseChange>,
    /// The lines of this edit count as one version: whether it has been counted.
    counted: bool,
}

impl Edit {
    /// Of a case that is there.
    #[must_use]
    pub const fn of(case: Case) -> Self {
        Self {
            case,
            lines: Vec::new(),
            counted: false,
        }
    }

    /// Of a case that begins: with its first line, its clocks, what policy says of it, and the
    /// stages that it reaches by itself.
    #[must_use]
    pub fn begin(mut case: Case, by: &Actor, remark: &str, at: Timestamp, desk: &Desk) -> Self {
        let policy = desk.policy.of(case.kind());
        if case.category.is_empty() {
            case.category.clone_from(&policy.category);
        }
        if case.source == super::Source::Telemetry {
            case.severity = policy.severity;
        }
        let grid = case.unit_grid.clone();
        if case.handler.is_empty() {
            case.handler = desk.policy.jurisdiction(grid.as_deref(), policy.level);
        }
        if case.department.is_none() {
            let department = desk
                .policy
                .department(case.kind(), &grid.unwrap_or_default());
            case.department = department.map(str::to_owned);
        }
        for kind in [ClockKind::Filing, ClockKind::Total] {
            let clock = desk.clock(&case, kind, at);
            case.clocks.push(clock);
        }
        let line = CaseChange {
            at,
            version: case.version,
            name: Move::Open,
            from: None,
            to: case.stage,
            actor: by.name.clone(),
            role: by.role,
            remark: remark.to_owned(),
            detail: String::new(),
            key: None,
        };
        let mut edit = Self {
            case,
            lines: vec![line],
            counted: true,
        };
        let request = MoveRequest::new(Move::Open, by.clone(), remark);
        edit.follow_tasks(&request, at, desk);
        edit.advance(at, desk);
        edit
    }

    /// Something is to be written.
    #[must_use]
    pub const fn is_changed(&self) -> bool {
        self.counted
    }

    /// Makes a move that concerns this case alone.
    ///
    /// # Errors
    /// Why it may not be made; nothing is changed then.
    pub fn make(
        &mut self,
        request: &MoveRequest,
        at: Timestamp,
        desk: &Desk,
    ) -> Result<(), Refusal> {
        let rule = check(&self.case, request, at, desk)?;
        let detail = effect::apply(&mut self.case, rule, request, at, desk);
        self.tell(rule, request, at, detail);
        self.follow_tasks(request, at, desk);
        if request.task.is_some() {
            self.advance(at, desk);
        }
        Ok(())
    }

    /// Counts the change and writes its line. The stage has not been changed yet.
    fn tell(&mut self, rule: &Rule, request: &MoveRequest, at: Timestamp, detail: String) {
        let case = &mut self.case;
        if !self.counted {
            case.version = case.version.saturating_add(1);
            self.counted = true;
        }
        let (from, to) = (case.stage, rule.leads_to(case.stage));
        let is_notice = matches!(
            rule.name,
            Move::Note | Move::Warn | Move::Overdue | Move::Amend
        );
        if !is_notice {
            case.moved = case.version;
        }
        case.stage = to;
        case.changed_at = at;
        case.is_touched |= request.by.role != Role::System;
        if to.is_final() && !from.is_final() {
            case.ended_at = Some(at);
            case.ended_by = Some(request.by.role);
        } else if !to.is_final() {
            case.ended_at = None;
            case.ended_by = None;
            case.is_forced = false;
        }
        self.lines.push(CaseChange {
            at,
            version: case.version,
            name: rule.name,
            from: Some(from),
            to,
            actor: request.by.name.clone(),
            role: request.by.role,
            remark: request.remark.clone(),
            detail,
            key: request.key.clone(),
        });
    }
}
