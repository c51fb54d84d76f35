//! Two cases of one, and one of two, as people ask for it.

use super::{CaseChange, Edit, MoveRequest, Refusal, check::check, effect};
use crate::{
    case::{
        Case,
        moves::{Move, Need},
        policy::Desk,
    },
    units::Timestamp,
};

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
