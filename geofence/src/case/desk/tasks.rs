//! Which stages wait for an inspector, and what becomes of his task when a case moves.

use super::{Actor, Case, Desk, Edit, Move, MoveRequest, Refusal, SYSTEM, Stage, Timestamp};
use crate::case::task::{TaskAnswer, TaskKind, inspector_of};

impl Desk {
    /// What an inspector has to look at before the case goes on.
    #[must_use]
    pub fn task_of(&self, case: &Case) -> Option<TaskKind> {
        let policy = self.policy.of(case.kind());
        match case.stage {
            Stage::Collected if policy.verifies.contains(&case.source) => {
                Some(TaskKind::Verification)
            }
            Stage::Handled if policy.checks => Some(TaskKind::Check),
            _ => None,
        }
    }
}

/// An answer is to a task that still waits.
pub(super) fn waits(case: &Case, request: &MoveRequest) -> Result<(), Refusal> {
    match request.task {
        Some(answered) if case.open_task().map(|task| task.number) != Some(answered.number) => {
            Err(Refusal::Task(answered.number))
        }
        _ => Ok(()),
    }
}

impl Edit {
    /// Ends the task that a move answers or makes needless, and begins the one that the stage asks
    /// for. What an inspector could not tell waits in the queue for anybody.
    pub(super) fn follow_tasks(&mut self, request: &MoveRequest, at: Timestamp, desk: &Desk) {
        let wanted = desk.task_of(&self.case);
        let open = self.case.open_task().map(|task| task.kind);
        let answer = request.task.map(|answered| answered.answer);
        if open.is_some() && (answer.is_some() || open != wanted) {
            self.case.end_task(&request.by.name, answer, at);
        }
        let Some(kind) = wanted.filter(|_| self.case.open_task().is_none()) else {
            return;
        };
        let catalog = desk.catalog.as_deref();
        let asked = catalog.filter(|_| answer != Some(TaskAnswer::Unclear));
        let inspector = asked.and_then(|catalog| inspector_of(catalog, &self.case, at));
        self.case.begin_task(kind, inspector, at);
    }

    /// Goes as far as policy says, unless somebody has to look first.
    pub(super) fn advance(&mut self, at: Timestamp, desk: &Desk) {
        let target = desk.policy.of(self.case.kind()).automatic_to;
        for name in [Move::Accept, Move::File, Move::Dispatch] {
            let Some(next) = super::Rule::of(name, self.case.stage) else {
                continue;
            };
            if next.leads_to(self.case.stage) > target || self.case.open_task().is_some() {
                break;
            }
            let request = MoveRequest::new(name, Actor::system(SYSTEM), "by policy");
            // Where no department is known a person dispatches.
            if self.make(&request, at, desk).is_err() {
                break;
            }
        }
    }
}
