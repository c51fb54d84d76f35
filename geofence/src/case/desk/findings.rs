//! What later findings do to a case.

use super::{
    Actor, Case, Desk, Edit, Move, MoveRequest, Role, Rule, Stage, TELEMETRY, Timestamp, effect,
};
use crate::{case::Interval, identity::ViolationId, violation::Violation};

const FOUND: &str = "found again";
const DISPROVED: &str = "disproved by later data";

/// How a violation came to a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// It was there.
    Known,
    /// It is one more interval.
    New,
}

/// Whether a violation of the same group may become an interval of a case: near enough in time, the
/// case not full, and neither reported as done nor ended by a person.
#[must_use]
pub fn may_join(case: &Case, violation: &Violation, desk: &Desk) -> bool {
    let policy = desk.policy.of(Some(violation.kind));
    let is_open = case.stage <= Stage::Dispatched && case.stage != Stage::Declined;
    let is_disproved = case.stage == Stage::Withdrawn
        && case.ended_by == Some(Role::System)
        && case.merged_into.is_none();
    let near =
        |interval: &Interval| gap_ms(&interval.violation, violation) <= policy.group_within_ms;
    (is_open || is_disproved)
        && case.intervals.len() < policy.intervals_max
        && case.intervals.iter().any(near)
}

/// The time between two violations; not more than 0 where they overlap.
pub(super) fn gap_ms(one: &Violation, other: &Violation) -> i64 {
    let end = |one: &Violation| one.ended_at.unwrap_or(one.confirmed_at);
    let before = one.started_at.millis_since(end(other));
    before.max(other.started_at.millis_since(end(one)))
}

impl Edit {
    /// A finding says that a violation is there, in this state. `is_opened` when it was not before.
    pub fn found(
        &mut self,
        violation: Violation,
        is_opened: bool,
        at: Timestamp,
        desk: &Desk,
    ) -> Joined {
        let id = violation.id;
        let intervals = &mut self.case.intervals;
        let known = intervals.iter_mut().find(|i| i.violation.id == id);
        let Some(interval) = known else {
            let detail = format!("violation: {id}");
            self.case.intervals.push(Interval {
                violation,
                stands: true,
            });
            effect::place(&mut self.case);
            self.amend("one more interval", detail, at);
            self.take_up(at, desk);
            return Joined::New;
        };
        let before = &interval.violation;
        let has_changed = *before != violation;
        let is_amended = before.started_at != violation.started_at
            || before.rule != violation.rule
            || (before.ended_at.is_some() && has_changed);
        let is_back = is_opened && !interval.stands;
        interval.violation = violation;
        interval.stands |= is_opened;
        if has_changed || is_back {
            effect::place(&mut self.case);
            self.touch(at);
        }
        if is_back && self.case.ended_by != Some(Role::System) {
            self.amend(FOUND, format!("violation: {id}"), at);
        } else if is_amended {
            self.amend("amended by later data", format!("violation: {id}"), at);
        }
        if is_back {
            self.take_up(at, desk);
        }
        Joined::Known
    }

    /// A finding says that a violation is not there.
    pub fn disproved(&mut self, id: ViolationId, at: Timestamp, desk: &Desk) {
        let intervals = &mut self.case.intervals;
        let known = intervals.iter_mut().find(|i| i.violation.id == id);
        let Some(interval) = known.filter(|interval| interval.stands) else {
            return;
        };
        interval.stands = false;
        let is_left = self.case.intervals.iter().any(|interval| interval.stands);
        let is_over = self.case.stage.is_final();
        effect::place(&mut self.case);
        if is_left || is_over {
            self.amend(DISPROVED, format!("violation: {id}"), at);
        } else {
            let by = Actor::system(TELEMETRY);
            let request = MoveRequest::new(Move::Withdraw, by, DISPROVED);
            // Every stage that is not final has this row.
            drop(self.make(&request, at, desk));
        }
    }

    /// A case that data had withdrawn stands again. What a person has ended stays ended.
    fn take_up(&mut self, at: Timestamp, desk: &Desk) {
        let is_disproved =
            self.case.stage == Stage::Withdrawn && self.case.ended_by == Some(Role::System);
        if is_disproved {
            let by = Actor::system(TELEMETRY);
            let request = MoveRequest::new(Move::FindAgain, by, FOUND);
            drop(self.make(&request, at, desk));
        }
    }

    /// A change that needs no words.
    fn touch(&mut self, at: Timestamp) {
        self.case.changed_at = at;
        if !self.counted {
            self.case.version = self.case.version.saturating_add(1);
            self.counted = true;
        }
    }

    pub(super) fn amend(&mut self, remark: &str, detail: String, at: Timestamp) {
        if let Some(rule) = Rule::of(Move::Amend, self.case.stage) {
            let by = Actor::system(TELEMETRY);
            let request = MoveRequest::new(Move::Amend, by, remark);
            self.tell(rule, &request, at, detail);
        }
    }
}
