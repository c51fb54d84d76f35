//! Tasks (任务) of inspectors: a case that waits for somebody to look. Verification (核实) before it is
//! accepted, checking (核查) after it was handled. A task belongs to a case and changes with it, so it
//! can neither be lost nor answered twice.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    Case,
    clock::{Clock, ClockKind},
    moves::Move,
    words,
};
use crate::{
    catalog::{Catalog, Duty, Standing, Vehicle, WorkKind},
    geometry::Point,
    identity::{CaseId, TerminalId},
    units::Timestamp,
};

/// Ended tasks that a case keeps; its history has all of them.
const ENDED_MAX: usize = 20;
/// Whoever is off shift is only asked when he comes back within so many milliseconds: 7 days.
const BACK_WITHIN_MS: i64 = 7 * 86_400_000;

/// What is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// 核实: is it as somebody says?
    Verification,
    /// 核查: is it done?
    Check,
}

words!(TaskKind, "kind", [Verification => "verification", Check => "check"]);

/// What an inspector says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskAnswer {
    /// It is so; it is done.
    Pass,
    /// It is not.
    Fail,
    /// He cannot tell: somebody else has to.
    Unclear,
}

words!(TaskAnswer, "answer", [Pass => "pass", Fail => "fail", Unclear => "unclear"]);

impl TaskKind {
    /// The move that an answer makes.
    #[must_use]
    pub const fn leads_to(self, answer: TaskAnswer) -> Move {
        match (self, answer) {
            (Self::Verification, TaskAnswer::Pass) => Move::Accept,
            (Self::Verification, TaskAnswer::Fail) => Move::Decline,
            (Self::Check, TaskAnswer::Pass) => Move::VerifyPass,
            (Self::Check, TaskAnswer::Fail) => Move::VerifyFail,
            (_, TaskAnswer::Unclear) => Move::Note,
        }
    }

    /// The clock that runs while somebody is waited for.
    #[must_use]
    pub const fn clock(self) -> ClockKind {
        match self {
            Self::Verification => ClockKind::Filing,
            Self::Check => ClockKind::Checking,
        }
    }
}

/// A task: the case and the version of it that began the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// The case.
    pub case: CaseId,
    /// Which of its tasks.
    pub number: u32,
}

/// A text that is no id of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id of a task is that of a case, a hyphen and a number")]
pub struct NotATaskId;

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.case, self.number)
    }
}

impl FromStr for TaskId {
    type Err = NotATaskId;

    fn from_str(text: &str) -> Result<Self, NotATaskId> {
        let (case, number) = text.rsplit_once('-').ok_or(NotATaskId)?;
        Ok(Self {
            case: CaseId(case.parse().map_err(|_| NotATaskId)?),
            number: number.parse().map_err(|_| NotATaskId)?,
        })
    }
}

/// One task of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The version of the case that began it.
    pub number: u32,
    /// What is to be looked at.
    pub kind: TaskKind,
    /// Whose it is, by the id in the catalog; none while it waits in the queue for anybody.
    pub inspector: Option<String>,
    /// The terminal that he carried then.
    pub terminal: Option<TerminalId>,
    /// When it began.
    pub opened_at: Timestamp,
    /// When it was answered, or the case went on without it.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// What was said; none where nobody was asked any more.
    #[serde(default)]
    pub answer: Option<TaskAnswer>,
    /// By whom.
    #[serde(default)]
    pub answered_by: Option<String>,
}

impl Task {
    /// `open`, `answered`, or `lapsed` where the case went on without it.
    #[must_use]
    pub const fn state(&self) -> &'static str {
        match (self.ended_at, self.answer) {
            (None, _) => "open",
            (Some(_), Some(_)) => "answered",
            (Some(_), None) => "lapsed",
        }
    }
}

/// A move that answers a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// Which of the case's tasks.
    pub number: u32,
    /// What was said.
    pub answer: TaskAnswer,
}

impl Case {
    /// The task that waits for an answer.
    #[must_use]
    pub fn open_task(&self) -> Option<&Task> {
        self.tasks.iter().find(|task| task.ended_at.is_none())
    }

    /// The clock of a task: the one of its kind that had begun last when the task began.
    #[must_use]
    pub fn clock_of(&self, task: &Task) -> Option<&Clock> {
        let kind = task.kind.clock();
        let mut clocks = self.clocks.iter().rev();
        clocks.find(|clock| clock.kind == kind && clock.started_at <= task.opened_at)
    }

    /// When a task is due: when its clock ends. `None` while that stands still, or has no limit.
    #[must_use]
    pub fn task_due_at(&self, task: &Task) -> Option<Timestamp> {
        self.clock_of(task).and_then(|clock| clock.due_at)
    }

    /// A task waits for longer than its clock allows, or was answered only then.
    #[must_use]
    pub fn is_task_late(&self, task: &Task, at: Timestamp) -> bool {
        self.clock_of(task)
            .is_some_and(|clock| match task.ended_at {
                None => clock.is_late(at),
                Some(ended) => clock.due_at.is_some_and(|due| ended > due),
            })
    }

    /// Ends the task that waits, where there is one.
    pub(super) fn end_task(&mut self, by: &str, answer: Option<TaskAnswer>, at: Timestamp) {
        let open = self.tasks.iter_mut().find(|task| task.ended_at.is_none());
        if let Some(task) = open {
            task.ended_at = Some(at);
            task.answer = answer;
            task.answered_by = answer.map(|_| by.to_owned());
        }
    }

    /// Begins a task. The oldest ones go where there are too many.
    pub(super) fn begin_task(&mut self, kind: TaskKind, to: Option<&Vehicle>, at: Timestamp) {
        self.tasks.push(Task {
            number: self.version,
            kind,
            inspector: to.map(|inspector| inspector.id.clone()),
            terminal: to.map(|inspector| inspector.terminal),
            opened_at: at,
            ended_at: None,
            answer: None,
            answered_by: None,
        });
        let surplus = self.tasks.len().saturating_sub(ENDED_MAX + 1);
        self.tasks.drain(..surplus);
    }
}

/// Where a case lies: a point, or only a unit grid.
enum Spot {
    Point(Point),
    Grid(u32),
}

/// The inspector of the responsibility grid that a case lies in: who is on duty there, else who is
/// the next to be. None where there is nobody, or where the case has no place.
#[must_use]
pub fn inspector_of<'a>(catalog: &'a Catalog, case: &Case, at: Timestamp) -> Option<&'a Vehicle> {
    let point = case
        .place
        .and_then(|place| catalog.plane().point(place.latitude, place.longitude));
    let spot = match (point, case.unit_grid.as_deref()) {
        (Some(point), _) => Spot::Point(point),
        (None, Some(code)) => {
            let grids = (0..).zip(catalog.unit_grids());
            let mut named = grids.filter(|(_, grid)| grid.code == code);
            Spot::Grid(named.next()?.0)
        }
        (None, None) => return None,
    };
    let covers = |duty: &Duty<'_>| match (duty.area, &spot) {
        (None, _) => false,
        (Some(area), Spot::Grid(index)) => area.grids.contains(index),
        (Some(area), Spot::Point(point)) => {
            area.signed_distance_mm(*point, catalog.unit_grids()) >= 0.0
        }
    };
    let inspectors = catalog.vehicles().iter();
    let ranked = inspectors
        .filter(|vehicle| vehicle.work_kind == WorkKind::Inspector)
        .filter_map(|vehicle| {
            let from = match catalog.standing(&vehicle.terminal, at) {
                Standing::On(duty) if covers(&duty) => at,
                Standing::Off(Some(duty))
                    if covers(&duty) && duty.from.millis_since(at) <= BACK_WITHIN_MS =>
                {
                    duty.from
                }
                _ => return None,
            };
            Some((from, vehicle))
        });
    let first = ranked.min_by(|a, b| (a.0, &a.1.id).cmp(&(b.0, &b.1.id)));
    first.map(|(_, vehicle)| vehicle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_task_names_its_case_and_which_one() {
        let id = TaskId {
            case: CaseId(uuid::Uuid::from_u128(7)),
            number: 3,
        };
        assert_eq!(id.to_string(), "00000000-0000-0000-0000-000000000007-3");
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in ["", "7-3", "00000000-0000-0000-0000-000000000007", "x"] {
            assert_eq!(wrong.parse::<TaskId>(), Err(NotATaskId), "{wrong}");
        }
    }
}
