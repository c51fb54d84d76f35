//! One case as its readers see it, with what happened, what runs, and what may be done.

use geofence::{
    case::{
        Case, Interval,
        clock::Clock,
        desk::{CaseChange, allowed_moves},
        moves::{Move, Need, Role, Rule},
        policy::Desk,
    },
    units::Timestamp,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::{
    Problem,
    openapi::words,
    tasks::TaskLine,
    view::{CaseView, ViolationView},
};
use crate::{catalog::Catalog, clock::rfc3339};

/// A row of the table of moves.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RuleRow {
    #[serde(rename = "move")]
    #[schema(schema_with = words::case_move)]
    name: Move,
    what: &'static str,
    from: Vec<&'static str>,
    to: Option<&'static str>,
    #[schema(value_type = Vec<String>)]
    roles: &'static [Role],
    #[schema(value_type = Vec<String>)]
    needs: &'static [Need],
}

impl RuleRow {
    pub(super) fn of(rule: &Rule) -> Self {
        Self {
            name: rule.name,
            what: rule.what,
            from: rule.from.iter().map(|stage| stage.as_str()).collect(),
            to: rule.to.map(geofence::case::Stage::as_str),
            roles: rule.by,
            needs: rule.needs,
        }
    }
}

/// A line of the history.
#[derive(Debug, Serialize, ToSchema)]
struct LineView {
    at: String,
    version: u32,
    #[serde(rename = "move")]
    #[schema(schema_with = words::case_move)]
    name: Move,
    from: Option<&'static str>,
    to: &'static str,
    actor: String,
    #[schema(schema_with = words::role)]
    role: Role,
    remark: String,
    detail: String,
}

impl From<CaseChange> for LineView {
    fn from(line: CaseChange) -> Self {
        Self {
            at: rfc3339(line.at),
            version: line.version,
            name: line.name,
            from: line.from.map(geofence::case::Stage::as_str),
            to: line.to.as_str(),
            actor: line.actor,
            role: line.role,
            remark: line.remark,
            detail: line.detail,
        }
    }
}

/// A clock. Seconds are of its own time: working seconds for one that runs in working hours.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CaseClockView)]
struct ClockView {
    clock: &'static str,
    started_at: String,
    limit: Option<String>,
    running: bool,
    stopped_at: Option<String>,
    due_at: Option<String>,
    used_s: i64,
    remaining_s: Option<i64>,
    overdue: bool,
}

impl ClockView {
    fn new(clock: &Clock, desk: &Desk, now: Timestamp) -> Self {
        let seconds = |millis: i64| millis.div_euclid(1_000);
        Self {
            clock: clock.kind.as_str(),
            started_at: rfc3339(clock.started_at),
            limit: clock.limit.map(|limit| limit.to_string()),
            running: clock.running_since.is_some(),
            stopped_at: clock.stopped_at.map(rfc3339),
            due_at: clock.due_at.map(rfc3339),
            used_s: seconds(clock.used(now, &desk.time)),
            remaining_s: clock.remaining(now, &desk.time).map(seconds),
            overdue: if clock.is_open() {
                clock.is_late(now)
            } else {
                clock.is_overdue
            },
        }
    }
}

/// One violation of the case.
#[derive(Debug, Serialize, ToSchema)]
struct IntervalView {
    stands: bool,
    #[serde(flatten)]
    violation: ViolationView,
}

impl From<&Interval> for IntervalView {
    fn from(interval: &Interval) -> Self {
        Self {
            stands: interval.stands,
            violation: ViolationView::from(&interval.violation),
        }
    }
}

/// A case whole.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CaseDetail {
    #[serde(flatten)]
    case: CaseView,
    occurred_at: String,
    media: Vec<String>,
    tasks: Vec<TaskLine>,
    rework: u32,
    extensions: u32,
    deferrals: u32,
    deferred_until: Option<String>,
    ended_at: Option<String>,
    forced: bool,
    merged_into: Option<String>,
    split_from: Option<String>,
    intervals: Vec<IntervalView>,
    clocks: Vec<ClockView>,
    history: Vec<LineView>,
    allowed_moves: Vec<RuleRow>,
}

impl CaseDetail {
    pub(super) fn new(
        case: &Case,
        history: Vec<CaseChange>,
        desk: &Desk,
        now: Timestamp,
        catalog: &Catalog,
    ) -> Self {
        let (clocks, tasks) = (case.clocks.iter(), case.tasks.iter());
        Self {
            case: CaseView::new(case, catalog),
            occurred_at: rfc3339(case.occurred_at),
            media: case.media.clone(),
            tasks: tasks.map(|task| TaskLine::new(case, task, now)).collect(),
            rework: case.rework,
            extensions: case.extensions,
            deferrals: case.deferrals,
            deferred_until: case.deferred_until.map(rfc3339),
            ended_at: case.ended_at.map(rfc3339),
            forced: case.is_forced,
            merged_into: case.merged_into.map(|id| id.to_string()),
            split_from: case.split_from.map(|id| id.to_string()),
            intervals: case.intervals.iter().map(IntervalView::from).collect(),
            clocks: clocks
                .map(|clock| ClockView::new(clock, desk, now))
                .collect(),
            history: history.into_iter().map(LineView::from).collect(),
            allowed_moves: allowed_moves(case, None)
                .into_iter()
                .map(RuleRow::of)
                .collect(),
        }
    }
}

/// Why a move was not made: a problem document with what may be done instead.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct MoveRefused {
    #[serde(flatten)]
    problem: Problem,
    #[schema(schema_with = words::stage)]
    stage: &'static str,
    /// What the case has now.
    version: u32,
    allowed_moves: Vec<RuleRow>,
}

/// What a move did.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MoveMade {
    /// The case that was moved.
    pub(super) case: CaseDetail,
    /// The other case of a merge or a split.
    pub(super) others: Vec<CaseView>,
    /// It had been made before, under the same key.
    pub(super) repeated: bool,
}
