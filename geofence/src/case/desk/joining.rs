//! Cases that late data shows to be one.

use super::{
    Actor, Case, Desk, Edit, Move, MoveRequest, Rule, Stage, TELEMETRY, Timestamp, effect,
    findings::gap_ms,
};

const JOINED: &str = "joined by later data";
const LEFT: &str = "later data joins it with another case; a person has acted on the younger one";

/// Whether the violations of two cases of one group are one story by now: near enough in time for
/// an interval of the one to have become one of the other. Both must still be open to it, and what
/// they have must fit into one case.
///
/// Two that are no longer apart may have lost a violation for it: the one that goes on covers what
/// the other was about. So one of a pair need not stand.
#[must_use]
pub fn are_joined(elder: &Case, younger: &Case, desk: &Desk) -> bool {
    let is_open = |case: &Case| {
        case.stage <= Stage::Dispatched && case.stage != Stage::Declined && case.group.is_some()
    };
    let policy = desk.policy.of(elder.kind());
    let age = |case: &Case| (case.opened_at, case.occurred_at, case.id);
    age(elder) < age(younger)
        && is_open(elder)
        && is_open(younger)
        && elder.group == younger.group
        && elder.terminal == younger.terminal
        && elder.intervals.len() + younger.intervals.len() <= policy.intervals_max
        && elder.intervals.iter().any(|own| {
            let mut theirs = younger.intervals.iter();
            theirs.any(|other| {
                let within = match (own.stands, other.stands) {
                    (true, true) => policy.group_within_ms,
                    (false, false) => return false,
                    _ => 0,
                };
                gap_ms(&own.violation, &other.violation) <= within
            })
        })
}

/// Merges the younger of two such cases into the elder. One that a person has acted on stays, and
/// both say so, once. True when the younger one is merged.
pub fn join(elder: &mut Edit, younger: &mut Edit, at: Timestamp, desk: &Desk) -> bool {
    let (into, from) = (elder.case.number(), younger.case.number());
    let elder_id = elder.case.id;
    if younger.case.is_touched {
        for (edit, other, number) in [
            (&mut *elder, younger.case.id, &from),
            (younger, elder_id, &into),
        ] {
            if !edit.case.beside.contains(&other) {
                edit.case.beside.push(other);
                edit.amend(LEFT, format!("case: {number}"), at);
            }
        }
        return false;
    }
    let request = |name| MoveRequest::new(name, Actor::system(TELEMETRY), JOINED);
    let rows = (
        Rule::of(Move::Absorb, elder.case.stage),
        Rule::of(Move::Merge, younger.case.stage),
    );
    let (Some(absorbs), Some(merges)) = rows else {
        return false;
    };
    effect::absorb(&mut elder.case, &younger.case);
    effect::place(&mut elder.case);
    elder.tell(absorbs, &request(Move::Absorb), at, format!("from: {from}"));
    let merge = request(Move::Merge);
    younger.case.merged_into = Some(elder.case.id);
    effect::apply(&mut younger.case, merges, &merge, at, desk);
    younger.tell(merges, &merge, at, format!("into: {into}"));
    younger.follow_tasks(&merge, at, desk);
    true
}
