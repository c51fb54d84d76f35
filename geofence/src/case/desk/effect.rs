//! What moves do to a case beyond its stage.

use super::{Case, Desk, Move, MoveRequest, Rule, Timestamp};
use crate::{
    case::{Interval, clock::ClockKind, moves::Clocks},
    identity::{CaseId, ViolationId},
};

/// The department that a dispatch goes to: the one that is named, that of the table for the
/// jurisdiction that is named, or the one that the case has.
pub(super) fn department(case: &Case, request: &MoveRequest, desk: &Desk) -> Option<String> {
    let named = request.department.as_ref().map(|name| name.trim());
    let named = named.filter(|name| !name.is_empty()).map(str::to_owned);
    let of_table = || {
        let jurisdiction = request.jurisdiction.as_deref()?;
        let place = case.unit_grid.as_deref().unwrap_or(jurisdiction);
        let found = desk.policy.department(case.kind(), place)?;
        Some(found.to_owned())
    };
    named.or_else(of_table).or_else(|| case.department.clone())
}

/// Changes everything but stage and version; gives what the history says of it.
pub(super) fn apply(
    case: &mut Case,
    rule: &Rule,
    request: &MoveRequest,
    at: Timestamp,
    desk: &Desk,
) -> String {
    let mut details: Vec<String> = Vec::new();
    if let Some(code) = &request.category
        && *code != case.category
    {
        details.push(format!("category: {code}"));
        case.category.clone_from(code);
    }
    if let Some(severity) = request.severity
        && severity != case.severity
    {
        details.push(format!("severity: {}", severity.as_str()));
        case.severity = severity;
    }
    match rule.name {
        Move::Dispatch => {
            case.department = department(case, request, desk);
            details.extend(
                case.department
                    .iter()
                    .map(|name| format!("department: {name}")),
            );
        }
        Move::VerifyFail => case.rework = case.rework.saturating_add(1),
        Move::Extend => {
            case.extensions = case.extensions.saturating_add(1);
            let minutes = request.minutes.unwrap_or_default();
            details.push(format!("minutes: {minutes}"));
        }
        Move::Defer => {
            case.deferred_until = request.until;
            case.deferrals = case.deferrals.saturating_add(1);
        }
        Move::ForceClose => case.is_forced = true,
        Move::Reopen | Move::FindAgain => case.merged_into = None,
        _ => {}
    }
    if matches!(rule.name, Move::Dispatch | Move::HandOver)
        && let Some(jurisdiction) = &request.jurisdiction
        && *jurisdiction != case.handler
    {
        let name = |prefix: &str| {
            if prefix.is_empty() {
                "city".to_owned()
            } else {
                prefix.to_owned()
            }
        };
        let (from, to) = (name(&case.handler), name(jurisdiction));
        details.push(format!("handler: {from} -> {to}"));
        case.handler.clone_from(jurisdiction);
    }
    // A deferral ends with whatever may be done in it and is not of it.
    if !matches!(rule.name, Move::Defer | Move::Extend)
        && (rule.name == Move::Resume || rule.to.is_some())
    {
        case.deferred_until = None;
    }
    move_clocks(case, rule.clocks, request, at, desk);
    details.join("; ")
}

fn move_clocks(case: &mut Case, clocks: Clocks, request: &MoveRequest, at: Timestamp, desk: &Desk) {
    let percent = desk.warning_percent();
    let time = &desk.time;
    let begin: &[ClockKind] = match &clocks {
        Clocks::Next(_, next) => std::slice::from_ref(next),
        Clocks::Begin(kinds) => kinds,
        _ => &[],
    };
    for clock in case.clocks.iter_mut().filter(|clock| clock.is_open()) {
        let is_running = clock.running_since.is_some();
        match &clocks {
            Clocks::Next(over, _) if over.contains(&clock.kind) => clock.stop(at, time),
            Clocks::Stop | Clocks::Begin(_) => clock.stop(at, time),
            Clocks::Suspend if is_running => clock.suspend(at, time),
            Clocks::Resume => clock.resume(at, percent, time),
            Clocks::Extend => {
                let minutes = request.minutes.unwrap_or_default();
                clock.extend(minutes, at, percent, time);
            }
            _ => {}
        }
    }
    for kind in begin {
        let clock = desk.clock(case, *kind, at);
        case.clocks.push(clock);
    }
}

/// Takes over the intervals of another case.
pub(super) fn absorb(into: &mut Case, from: &Case) {
    let is_there = |interval: &Interval| {
        let id = interval.violation.id;
        into.intervals.iter().any(|own| own.violation.id == id)
    };
    let new: Vec<_> = from
        .intervals
        .iter()
        .filter(|i| !is_there(i))
        .cloned()
        .collect();
    into.intervals.extend(new);
    into.media.extend(from.media.iter().cloned());
    into.occurred_at = into.occurred_at.min(from.occurred_at);
}

/// Takes intervals out; the case that begins with them is otherwise as this one.
pub(super) fn split(case: &mut Case, violations: &[ViolationId], at: Timestamp) -> Case {
    let taken = |interval: &Interval| violations.contains(&interval.violation.id);
    let (theirs, own): (Vec<_>, Vec<_>) = std::mem::take(&mut case.intervals)
        .into_iter()
        .partition(taken);
    let name = format!("split {}", case.version);
    let mut other = Case {
        id: CaseId(uuid::Uuid::new_v5(&case.id.0, name.as_bytes())),
        opened_at: at,
        changed_at: at,
        version: 1,
        moved: 1,
        intervals: theirs,
        split_from: Some(case.id),
        tasks: Vec::new(),
        // What joins later joins the case that was there first.
        group: None,
        ..case.clone()
    };
    case.intervals = own;
    for one in [case, &mut other] {
        place(one);
    }
    other
}

/// Time, place and unit grid follow the violation that speaks for the case.
pub(super) fn place(case: &mut Case) {
    let Some(violation) = case.violation() else {
        return;
    };
    let place = crate::case::Place {
        latitude: violation.latitude,
        longitude: violation.longitude,
    };
    let (grid, terminal) = (violation.unit_grid.clone(), violation.terminal);
    case.occurred_at = case.span().0;
    case.place = Some(place);
    case.unit_grid = grid;
    case.terminal = Some(terminal);
}
