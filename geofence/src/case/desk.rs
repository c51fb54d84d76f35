//! Moving cases: what a request does by the table of [`super::moves`], or why it may not.

mod effect;
mod findings;
mod joining;
mod tasks;

use serde::{Deserialize, Serialize};

pub use self::{
    findings::{Joined, may_join},
    joining::{are_joined, join},
};
use super::{
    Case, Severity, Stage,
    clock::ClockKind,
    moves::{Deferral, Move, Need, RULES, Role, Rule},
    policy::{Desk, is_jurisdiction},
    task::Answered,
};
use crate::{
    identity::{CaseId, ViolationId},
    units::Timestamp,
};

/// The name of what acts by itself.
pub const SYSTEM: &str = "gridtrace";
/// The name under which the checks act.
pub const TELEMETRY: &str = "telemetry";

/// Somebody who acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Who.
    pub name: String,
    /// In which part.
    pub role: Role,
    /// Code prefix of his jurisdiction; empty is the city.
    #[serde(default)]
    pub scope: String,
    /// Of which department, where that is known.
    #[serde(default)]
    pub department: Option<String>,
}

impl Actor {
    /// The gateway itself, under a name.
    #[must_use]
    pub fn system(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            role: Role::System,
            scope: String::new(),
            department: None,
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveRequest {
    /// Which move.
    pub name: Move,
    /// Who asks.
    pub by: Actor,
    /// The version of the case that he saw; `None` is whatever it is now.
    pub version: Option<u32>,
    /// Why, or what is to be known.
    #[serde(default)]
    pub remark: String,
    /// Tells a repetition of the same request from another one: what has been done under a key is
    /// not done again.
    #[serde(default)]
    pub key: Option<String>,
    /// To which department.
    #[serde(default)]
    pub department: Option<String>,
    /// To which jurisdiction.
    #[serde(default)]
    pub jurisdiction: Option<String>,
    /// Another category.
    #[serde(default)]
    pub category: Option<String>,
    /// Another severity.
    #[serde(default)]
    pub severity: Option<Severity>,
    /// Minutes more.
    #[serde(default)]
    pub minutes: Option<u32>,
    /// Put off until then.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// Into which case.
    #[serde(default)]
    pub into: Option<CaseId>,
    /// Which violations.
    #[serde(default)]
    pub violations: Vec<ViolationId>,
    /// It answers a task of the case.
    #[serde(default)]
    pub task: Option<Answered>,
}

impl MoveRequest {
    /// A move that says no more than its name, of whatever version.
    #[must_use]
    pub fn new(name: Move, by: Actor, remark: &str) -> Self {
        Self {
            name,
            by,
            version: None,
            remark: remark.to_owned(),
            key: None,
            department: None,
            jurisdiction: None,
            category: None,
            severity: None,
            minutes: None,
            until: None,
            into: None,
            violations: Vec::new(),
            task: None,
        }
    }
}

/// Why a move is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The table has no such move from there.
    #[error("{} is not possible from {}", .0.as_str(), .1.as_str())]
    NotFrom(Move, Stage),
    /// The case is put off, or is not.
    #[error("{} is not possible while the case {}", .0.as_str(), if *.1 { "is put off" } else { "is not put off" })]
    Deferral(Move, bool),
    /// Somebody else may.
    #[error("{} is not for {}", .0.as_str(), .1.as_str())]
    Role(Move, Role),
    /// Another jurisdiction handles it, or another department.
    #[error("the case is handled by {0}")]
    Scope(String),
    /// It has been moved since.
    #[error("the case has been moved since version {seen}: it is at version {version}")]
    Stale {
        /// The version that was seen.
        seen: u32,
        /// The version that it has.
        version: u32,
    },
    /// Something is missing, or is not what it should be.
    #[error("{name}: {1}", name = .0.as_str())]
    Needs(Need, &'static str),
    /// A text is not one that the table of categories has.
    #[error("category: {0:?} is not in the table")]
    Category(String),
    /// The task was answered, or the case went on without it.
    #[error("task {0} of the case is over")]
    Task(u32),
}

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

    /// What the clocks have to say by now, and the end of a deferral. Each thing is said once.
    pub fn tick(&mut self, at: Timestamp, desk: &Desk) {
        let by = || Actor::system(SYSTEM);
        if self.case.deferred_until.is_some_and(|until| until <= at) {
            let request = MoveRequest::new(Move::Resume, by(), "the time has come");
            // Only filed and dispatched cases are put off, so that it is in the table.
            drop(self.make(&request, at, desk));
        }
        for index in 0..self.case.clocks.len() {
            let Some(clock) = self.case.clocks.get_mut(index) else {
                continue;
            };
            if !clock.is_open() || self.case.stage.is_final() {
                continue;
            }
            let is_over = !clock.is_overdue && clock.due_at.is_some_and(|due| due <= at);
            let warns = clock.warn_at.is_some_and(|warn| warn <= at);
            let name = match (is_over, warns) {
                (true, _) => Move::Overdue,
                (false, true) => Move::Warn,
                (false, false) => continue,
            };
            clock.warn_at = None;
            clock.is_overdue |= is_over;
            let detail = format!(
                "{CLOCK}{}, limit: {}",
                clock.kind.as_str(),
                clock
                    .limit
                    .map(|limit| limit.to_string())
                    .unwrap_or_default()
            );
            if let Some(rule) = Rule::of(name, self.case.stage) {
                let request = MoveRequest::new(name, by(), "");
                self.tell(rule, &request, at, detail);
            }
        }
    }
}

/// The word before the kind of a clock in what a notice says.
const CLOCK: &str = "clock: ";

impl CaseChange {
    /// Which clock warned or ran out, of a notice.
    #[must_use]
    pub fn clock(&self) -> Option<ClockKind> {
        let is_notice = matches!(self.name, Move::Warn | Move::Overdue);
        let said = self.detail.strip_prefix(CLOCK).filter(|_| is_notice)?;
        ClockKind::from_word(said.split(',').next()?)
    }
}

impl Case {
    /// When its clocks or its deferral have something to say next.
    #[must_use]
    pub fn notice_at(&self) -> Option<Timestamp> {
        let clocks = self.clocks.iter().filter(|clock| clock.is_open());
        let notices = clocks.filter_map(|clock| {
            let due = clock.due_at.filter(|_| !clock.is_overdue);
            clock.warn_at.into_iter().chain(due).min()
        });
        notices.chain(self.deferred_until).min()
    }

    /// When the first of its running clocks is due.
    #[must_use]
    pub fn due_at(&self) -> Option<Timestamp> {
        let clocks = self.clocks.iter().filter(|clock| clock.is_open());
        clocks.filter_map(|clock| clock.due_at).min()
    }
}

/// The moves that the table allows now, of anybody or in one part.
#[must_use]
pub fn allowed_moves(case: &Case, role: Option<Role>) -> Vec<&'static Rule> {
    let is_deferred = case.deferred_until.is_some();
    let rules = RULES.iter().filter(|rule| {
        rule.is_for_people()
            && rule.from.contains(&case.stage)
            && role.is_none_or(|role| rule.by.contains(&role))
            && fits(rule.deferral, is_deferred)
            && (rule.name != Move::Split || case.intervals.len() > 1)
    });
    rules.collect()
}

fn fits(deferral: Deferral, is_deferred: bool) -> bool {
    match deferral {
        Deferral::Not => !is_deferred,
        Deferral::Only => is_deferred,
        Deferral::Any => true,
    }
}

/// The row of the table by which a request may be made.
fn check(
    case: &Case,
    request: &MoveRequest,
    at: Timestamp,
    desk: &Desk,
) -> Result<&'static Rule, Refusal> {
    let (name, by) = (request.name, &request.by);
    if let Some(seen) = request.version {
        let version = case.version;
        if seen < case.moved || seen > version {
            return Err(Refusal::Stale { seen, version });
        }
    }
    tasks::waits(case, request)?;
    let rule = Rule::of(name, case.stage).ok_or(Refusal::NotFrom(name, case.stage))?;
    let is_deferred = case.deferred_until.is_some();
    if !fits(rule.deferral, is_deferred) {
        return Err(Refusal::Deferral(name, is_deferred));
    }
    if !rule.by.contains(&by.role) {
        return Err(Refusal::Role(name, by.role));
    }
    if !case.handler.starts_with(&by.scope) && name != Move::Note {
        let handler = if case.handler.is_empty() {
            "the city"
        } else {
            &case.handler
        };
        return Err(Refusal::Scope(handler.to_owned()));
    }
    if by.role == Role::Department
        && let (Some(own), Some(its)) = (&by.department, &case.department)
        && own != its
    {
        return Err(Refusal::Scope(its.clone()));
    }
    if let Some(code) = &request.category {
        let table = desk.policy.categories();
        if !table.is_empty() && !table.contains_key(code) {
            return Err(Refusal::Category(code.clone()));
        }
    }
    for need in rule.needs {
        satisfied(*need, case, request, at, desk)?;
    }
    if let Some(jurisdiction) = &request.jurisdiction {
        reachable(case, by, jurisdiction)?;
    }
    Ok(rule)
}

fn satisfied(
    need: Need,
    case: &Case,
    request: &MoveRequest,
    at: Timestamp,
    desk: &Desk,
) -> Result<(), Refusal> {
    let (is_there, why) = match need {
        Need::Remark => (!request.remark.trim().is_empty(), "it needs words"),
        Need::Department => (
            effect::department(case, request, desk).is_some(),
            "none is named, and the table of departments has none for it",
        ),
        Need::Jurisdiction => (request.jurisdiction.is_some(), "it needs one"),
        Need::Minutes => (
            request
                .minutes
                .is_some_and(|minutes| (1..=525_600).contains(&minutes)),
            "it needs 1 to 525600",
        ),
        Need::Until => (
            request.until.is_some_and(|until| until > at),
            "it needs a moment that is to come",
        ),
        Need::Into => (
            request.into.is_some_and(|into| into != case.id),
            "it needs another case",
        ),
        Need::Violations => {
            let theirs =
                |interval: &super::Interval| request.violations.contains(&interval.violation.id);
            let taken = case.intervals.iter().filter(|i| theirs(i)).count();
            (
                taken > 0 && taken < case.intervals.len() && taken == request.violations.len(),
                "it needs some of the case's violations, each once, and not all",
            )
        }
    };
    if is_there {
        Ok(())
    } else {
        Err(Refusal::Needs(need, why))
    }
}

/// A jurisdiction within the actor's own, or one that the handler lies in.
fn reachable(case: &Case, by: &Actor, jurisdiction: &str) -> Result<(), Refusal> {
    let wrong = |why| Err(Refusal::Needs(Need::Jurisdiction, why));
    if !is_jurisdiction(jurisdiction) {
        return wrong("it is the beginning of a unit grid's code");
    }
    let is_below = jurisdiction.starts_with(&by.scope);
    let is_above = case.handler.starts_with(jurisdiction);
    if !is_below && !is_above {
        return wrong("it lies neither within one's own nor around the handler");
    }
    let lies_in = |grid: &String| grid.starts_with(jurisdiction);
    if !case.unit_grid.as_ref().is_none_or(lies_in) {
        return wrong("the case does not lie there");
    }
    Ok(())
}

/// What a merge changes: the case that goes, and the one that takes over.
///
/// # Errors
/// Why it may not be.
pub fn merge(
    from: Case,
    into: Case,
    request: &MoveRequest,
    at: Timestamp,
    desk: &Desk,
) -> Result<[Edit; 2], Refusal> {
    let absorb = MoveRequest {
        name: Move::Absorb,
        version: None,
        into: Some(from.id),
        ..request.clone()
    };
    if request.into != Some(into.id) {
        return Err(Refusal::Needs(Need::Into, "there is no such case"));
    }
    let (number, target) = (from.number(), into.number());
    let (mut from, mut into) = (Edit::of(from), Edit::of(into));
    let rule = check(&from.case, request, at, desk)?;
    let absorbs = check(&into.case, &absorb, at, desk)?;
    let merged = from.case.clone();
    effect::absorb(&mut into.case, &merged);
    into.tell(absorbs, &absorb, at, format!("from: {number}"));
    from.case.merged_into = Some(into.case.id);
    effect::apply(&mut from.case, rule, request, at, desk);
    from.tell(rule, request, at, format!("into: {target}"));
    from.follow_tasks(request, at, desk);
    Ok([from, into])
}

/// What a split changes: the case that remains, and the one that begins.
///
/// # Errors
/// Why it may not be.
pub fn split(
    case: Case,
    request: &MoveRequest,
    at: Timestamp,
    desk: &Desk,
) -> Result<[Edit; 2], Refusal> {
    let mut edit = Edit::of(case);
    let rule = check(&edit.case, request, at, desk)?;
    let other = effect::split(&mut edit.case, &request.violations, at);
    edit.tell(rule, request, at, format!("into: {}", other.number()));
    let line = CaseChange {
        at,
        version: other.version,
        name: Move::Open,
        from: None,
        to: other.stage,
        actor: request.by.name.clone(),
        role: request.by.role,
        remark: request.remark.clone(),
        detail: format!("split from: {}", edit.case.number()),
        key: None,
    };
    let other = Edit {
        case: other,
        lines: vec![line],
        counted: true,
    };
    Ok([edit, other])
}
