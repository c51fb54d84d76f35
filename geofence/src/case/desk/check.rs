//! Which moves are possible, and by which row of the table a request may be made.

use super::{MoveRequest, Refusal, effect, request::Actor, tasks};
use crate::{
    case::{
        Case, Interval,
        moves::{Deferral, Move, Need, RULES, Role, Rule},
        policy::{Desk, is_jurisdiction},
    },
    units::Timestamp,
};

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
pub(super) fn check(
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
            let theirs = |interval: &Interval| request.violations.contains(&interval.violation.id);
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
