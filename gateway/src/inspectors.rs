//! Inspectors: what they report becomes cases, their tasks reach them, and their answers move cases.
//!
//! ```text
//!  case enters a stage ─▶ task of the case ─▶ `messages`: 0x8302, or 0x8300 ─▶ terminal
//!                                                  0x0302, 0x0301, API ─▶ `answer` ─▶ move of the case
//!  0x0301, emergency (`outlets/reports.rs`), 0x0801 (`photos`) ─▶ `report` ─▶ collected case
//! ```
//!
//! A task is part of its case (`geofence/src/case/task.rs`). Its id is the key of the move that answers
//! it and of the command that carries it, so both are made once.

mod messages;
mod photos;

use std::collections::BTreeMap;

use geofence::{
    case::{
        Case, Place, Severity, Source, Stage,
        desk::{Actor, MoveRequest, Refusal},
        moves::Role,
        task::{Answered, TaskAnswer, TaskId, TaskKind},
    },
    catalog::{Catalog as Snapshot, Vehicle, WorkKind},
    identity::{CaseId, TerminalId},
    units::Timestamp,
};
use storage::store::{
    CaseOrder, CaseQuery, CaseWritten, MoveOrder, Moved, Opening, Store, StoreError,
};
use uuid::Uuid;

pub use self::{
    messages::run,
    photos::{PhotoInbox, Photos},
};
use crate::{
    case_desk, case_pages::CasePages, clock, metrics::Metrics, outlets::follower::Workplace,
};

/// Whatever an inspector reports, the id that follows from it is a case's.
const REPORTS: Uuid = Uuid::from_bytes(*b"gridtrace/report");
/// Cases that are read at once.
const PAGE: u32 = 500;
/// Overdue cases of a stage that are looked at to count overdue tasks.
const OVERDUE_MAX: usize = 5_000;
/// What commands and moves of a task are known by.
const KEY: &str = "task:";

/// The key of whatever is done for a task.
#[must_use]
pub fn key_of(task: TaskId) -> String {
    format!("{KEY}{task}")
}

/// The task of a key.
#[must_use]
pub fn task_of(key: &str) -> Option<TaskId> {
    key.strip_prefix(KEY)?.parse().ok()
}

/// The inspector who carries a terminal.
#[must_use]
pub fn inspector_with<'a>(catalog: &'a Snapshot, terminal: &TerminalId) -> Option<&'a Vehicle> {
    let vehicle = catalog.vehicle_of(terminal);
    vehicle.filter(|vehicle| vehicle.work_kind == WorkKind::Inspector)
}

/// The inspector of this id.
#[must_use]
pub fn inspector_named<'a>(catalog: &'a Snapshot, id: &str) -> Option<&'a Vehicle> {
    let mut inspectors = catalog.vehicles().iter();
    inspectors.find(|vehicle| vehicle.work_kind == WorkKind::Inspector && vehicle.id == id)
}

/// As whom an inspector acts.
#[must_use]
pub fn actor(inspector: &Vehicle) -> Actor {
    let name = if inspector.name.is_empty() {
        &inspector.id
    } else {
        &inspector.name
    };
    Actor {
        name: name.clone(),
        role: Role::Inspector,
        scope: String::new(),
        department: None,
    }
}

/// What became of an answer.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It moved the case.
    Done(Box<Case>),
    /// The task had been answered.
    Repeated(Box<Case>),
    /// The case went on meanwhile, or the move lacks something.
    Refused(Refusal, Box<Case>),
    /// The task is another inspector's.
    Foreign,
    /// There is no such task.
    Unknown,
}

impl Outcome {
    const fn word(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Repeated(_) => "repeated",
            Self::Refused(Refusal::Task(_) | Refusal::NotFrom(..), _) => "late",
            Self::Refused(..) => "refused",
            Self::Foreign => "foreign",
            Self::Unknown => "unknown",
        }
    }
}

/// An inspector answers a task: the case moves, once.
///
/// # Errors
/// When the store is not available.
pub async fn answer(
    place: &Workplace,
    id: TaskId,
    inspector: &Vehicle,
    said: TaskAnswer,
    remark: &str,
) -> Result<Outcome, StoreError> {
    let outcome = try_answer(place, id, inspector, said, remark).await?;
    count_answer(&place.metrics, outcome.word());
    Ok(outcome)
}

/// Counts an answer that moved nothing, or did.
pub fn count_answer(metrics: &Metrics, word: &'static str) {
    metrics.count("task_answers_total", "result", word, 1);
}

async fn try_answer(
    place: &Workplace,
    id: TaskId,
    inspector: &Vehicle,
    said: TaskAnswer,
    remark: &str,
) -> Result<Outcome, StoreError> {
    let case = place.store.case(id.case).await?;
    let task = case
        .as_ref()
        .and_then(|case| case.tasks.iter().find(|task| task.number == id.number));
    let Some(task) = task else {
        return Ok(Outcome::Unknown);
    };
    if task
        .inspector
        .as_ref()
        .is_some_and(|his| *his != inspector.id)
    {
        return Ok(Outcome::Foreign);
    }
    let request = MoveRequest {
        key: Some(key_of(id)),
        task: Some(Answered {
            number: id.number,
            answer: said,
        }),
        ..MoveRequest::new(task.kind.leads_to(said), actor(inspector), remark)
    };
    let order = MoveOrder {
        case: id.case,
        request,
        at: clock::now(),
        desk: place.cases.desk(&place.catalog.in_force()),
    };
    Ok(match place.store.move_case(&order).await? {
        Moved::Done(written) => {
            case_desk::tell(&place.metrics, &written);
            let cases: Vec<Case> = written.into_iter().map(|written| written.case).collect();
            place.live.publish_cases(&cases);
            let first = cases.into_iter().next();
            first.map_or(Outcome::Unknown, |case| Outcome::Done(Box::new(case)))
        }
        Moved::Repeated(case) => Outcome::Repeated(case),
        Moved::Refused(refusal, case) => Outcome::Refused(refusal, case),
        Moved::Unknown => Outcome::Unknown,
    })
}

/// Something that an inspector reports.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// Who.
    pub inspector: &'a Vehicle,
    /// `event`, `emergency` or `photo`.
    pub kind: &'static str,
    /// What tells it from the others of this inspector and kind: the same of the same report,
    /// however often it is read.
    pub name: String,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When it came.
    pub received_at: Timestamp,
    /// Where, if that is known.
    pub place: Option<Place>,
    /// What it says.
    pub description: String,
    /// Code of the category; empty for that of the policy.
    pub category: String,
    /// How urgent it is.
    pub severity: Severity,
    /// Pictures.
    pub media: Vec<String>,
}

/// Makes a collected case of a report, once.
///
/// # Errors
/// When the store is not available.
pub async fn report(place: &Workplace, said: Report<'_>) -> Result<(), StoreError> {
    let in_force = place.catalog.in_force();
    let desk = place.cases.desk(&in_force);
    let terminal = said.inspector.terminal;
    let name = format!("{}\n{terminal}\n{}", said.kind, said.name);
    let id = CaseId(Uuid::new_v5(&REPORTS, name.as_bytes()));
    let mut case = Case::blank(id, Source::Inspector, said.received_at);
    case.occurred_at = said.occurred_at;
    case.terminal = Some(terminal);
    case.place = said.place;
    case.unit_grid = said.place.and_then(|place| {
        let grid = in_force.snapshot.grid_at(place.latitude, place.longitude);
        grid.map(|grid| grid.code.clone())
    });
    case.description = said.description;
    case.severity = said.severity;
    if desk.policy.categories().contains_key(&said.category) {
        case.category = said.category;
    }
    case.media = said.media;
    let opening = Opening {
        case,
        by: actor(said.inspector),
        remark: format!("reported by terminal: {}", said.kind),
        desk,
    };
    let (written, is_new): (CaseWritten, bool) = place.store.open_case(&opening).await?;
    let word = if is_new { said.kind } else { "known" };
    count_report(&place.metrics, word);
    if is_new {
        let source = Source::Inspector.as_str();
        place.metrics.count("cases_opened_total", "kind", source, 1);
        case_desk::tell(&place.metrics, std::slice::from_ref(&written));
        place.live.publish_cases(&[written.case]);
    }
    Ok(())
}

/// Counts a report, or what became of it instead of a case.
pub fn count_report(metrics: &Metrics, word: &'static str) {
    metrics.count("inspector_reports_total", "result", word, 1);
}

/// How many tasks wait for longer than their clocks allow, by kind. Only cases of which a clock is
/// overdue are read, at most `OVERDUE_MAX` of each stage that waits for inspectors.
///
/// # Errors
/// When the store is not available.
pub async fn overdue(
    store: &dyn Store,
    at: Timestamp,
) -> Result<BTreeMap<TaskKind, u64>, StoreError> {
    let mut counts = BTreeMap::new();
    for stage in [Stage::Collected, Stage::Handled] {
        let query = CaseQuery {
            stage: Some(stage),
            overdue_at: Some(at),
            order: CaseOrder::Opened,
            limit: PAGE,
            ..CaseQuery::default()
        };
        let mut pages = CasePages::new(store, query);
        let mut read = 0;
        while read < OVERDUE_MAX
            && let Some(cases) = pages.next().await?
        {
            for case in &cases {
                let task = case.open_task();
                if let Some(task) = task.filter(|task| case.is_task_late(task, at)) {
                    *counts.entry(task.kind).or_default() += 1;
                }
            }
            read += cases.len();
        }
    }
    Ok(counts)
}

/// Where a reader of tasks goes on: in which list, behind which case.
pub type TaskCursor = (usize, Option<(Timestamp, CaseId)>);

/// A page of cases with tasks.
#[derive(Debug, Default)]
pub struct TaskPage {
    /// Each case with the number of the task.
    pub tasks: Vec<(Case, u32)>,
    /// Where to go on; none at the end.
    pub next: Option<TaskCursor>,
}

/// Reads tasks, those that wait or all, until there are `limit` or `read_max` cases were looked at.
///
/// # Errors
/// When the store is not available.
pub async fn tasks(
    place: &Workplace,
    only_open: bool,
    is_wanted: impl Fn(&geofence::case::task::Task) -> bool,
    from: Option<TaskCursor>,
    (limit, read_max): (usize, usize),
) -> Result<TaskPage, StoreError> {
    let desk = place.cases.desk(&place.catalog.in_force());
    let mut lists = vec![(None, None)];
    if only_open {
        // Only there somebody is waited for.
        let verified = desk.policy.verified_sources().into_iter();
        lists = vec![(Some(Stage::Handled), None)];
        lists.extend(verified.map(|source| (Some(Stage::Collected), Some(source))));
    }
    let (first, mut after) = from.unwrap_or_default();
    let mut page = TaskPage::default();
    let mut read = 0;
    for (index, (stage, source)) in lists.into_iter().enumerate().skip(first) {
        let query = CaseQuery {
            stage,
            source,
            order: CaseOrder::Opened,
            after: after.take(),
            limit: PAGE,
            ..CaseQuery::default()
        };
        let mut pages = CasePages::new(&*place.store, query.clone());
        while let Some(cases) = pages.next().await? {
            for case in cases {
                read += 1;
                for task in &case.tasks {
                    if (!only_open || task.ended_at.is_none()) && is_wanted(task) {
                        page.tasks.push((case.clone(), task.number));
                    }
                }
                if page.tasks.len() >= limit || read >= read_max {
                    page.next = Some((index, query.key(&case)));
                    return Ok(page);
                }
            }
        }
    }
    Ok(page)
}
