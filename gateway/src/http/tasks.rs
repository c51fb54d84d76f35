//! `/api/v1/tasks`: what inspectors are to look at, and their answers.
//!
//! Who answers says so himself, as with moves of cases: until there are users, HTTP is for those on
//! this machine.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State, rejection::JsonRejection},
    http::StatusCode,
};
use geofence::{
    case::{
        Case,
        task::{Task, TaskAnswer, TaskId, TaskKind},
    },
    units::Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Problem,
    api::{Page, Shared, decode_cursor, encode_cursor, limit},
    cases::{MoveRefused, refused},
};
use crate::{
    Gateway,
    clock::{self, rfc3339},
    inspectors::{Outcome, TaskCursor, answer, inspector_named, tasks},
    outlets::follower::Workplace,
};

/// Cases that are looked at for one page; the cursor goes on behind them.
const READ_MAX: usize = 5_000;

pub(super) fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(take))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Parameters {
    /// By the id in the catalog; empty for those that wait for anybody.
    inspector: Option<String>,
    /// `verification` or `check`.
    kind: Option<String>,
    /// `open`, the default; `answered`; `lapsed`; `all`.
    state: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// A task as its readers see it, with its case or within it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TaskLine {
    id: String,
    number: u32,
    kind: &'static str,
    state: &'static str,
    inspector: Option<String>,
    phone: Option<String>,
    opened_at: String,
    /// When its clock ends; not told while that stands still.
    due_at: Option<String>,
    /// It waits for longer than that, or was answered only then.
    overdue: bool,
    ended_at: Option<String>,
    answer: Option<&'static str>,
    answered_by: Option<String>,
}

impl TaskLine {
    pub(super) fn new(case: &Case, task: &Task, now: Timestamp) -> Self {
        let id = TaskId {
            case: case.id,
            number: task.number,
        };
        Self {
            id: id.to_string(),
            number: task.number,
            kind: task.kind.as_str(),
            state: task.state(),
            inspector: task.inspector.clone(),
            phone: task.terminal.map(|terminal| terminal.to_string()),
            opened_at: rfc3339(task.opened_at),
            due_at: case.task_due_at(task).map(rfc3339),
            overdue: case.is_task_late(task, now),
            ended_at: task.ended_at.map(rfc3339),
            answer: task.answer.map(TaskAnswer::as_str),
            answered_by: task.answered_by.clone(),
        }
    }
}

/// A task, and what it is about.
#[derive(Debug, Serialize, ToSchema)]
struct TaskView {
    #[serde(flatten)]
    task: TaskLine,
    case: String,
    case_number: String,
    case_version: u32,
    stage: &'static str,
    category: String,
    severity: &'static str,
    description: String,
    unit_grid: Option<String>,
    lat: Option<f64>,
    lon: Option<f64>,
    media: Vec<String>,
}

impl TaskView {
    fn new(case: &Case, task: &Task, now: Timestamp) -> Self {
        Self {
            task: TaskLine::new(case, task, now),
            case: case.id.to_string(),
            case_number: case.number(),
            case_version: case.version,
            stage: case.stage.as_str(),
            category: case.category.clone(),
            severity: case.severity.as_str(),
            description: case.description.clone(),
            unit_grid: case.unit_grid.clone(),
            lat: case.place.map(|place| place.latitude.degrees()),
            lon: case.place.map(|place| place.longitude.degrees()),
            media: case.media.clone(),
        }
    }
}

/// Tasks of inspectors.
#[utoipa::path(
    get,
    path = "/tasks",
    tag = "tasks",
    params(Parameters),
    responses(
        (status = 200, body = Page<TaskView>),
        (status = 503, description = "The store is away."),
    ),
)]
async fn list(
    State(gateway): Shared,
    Query(parameters): Query<Parameters>,
) -> Result<Json<Page<TaskView>>, Problem> {
    let state = parameters.state.as_deref().unwrap_or("open");
    if !["open", "answered", "lapsed", "all"].contains(&state) {
        let detail = "state: one of open, answered, lapsed, all";
        return Err(Problem::bad_request(detail));
    }
    let read = |word: &str| {
        TaskKind::from_word(word).ok_or_else(|| Problem::bad_request("kind: verification or check"))
    };
    let kind = parameters.kind.as_deref().map(read).transpose()?;
    let inspector = parameters.inspector.as_deref();
    let is_wanted = |task: &Task| {
        kind.is_none_or(|kind| kind == task.kind)
            && inspector.is_none_or(|id| task.inspector.as_deref().unwrap_or_default() == id)
            && (state == "all" || state == task.state())
    };
    let from = decode_cursor::<TaskCursor>(parameters.cursor.as_deref())?;
    let bounds = (limit(parameters.limit)? as usize, READ_MAX);
    let place = Workplace::of(&gateway);
    let page = tasks(&place, state == "open", is_wanted, from, bounds).await?;
    let now = clock::now();
    let views = page.tasks.iter().filter_map(|(case, number)| {
        let task = case.tasks.iter().find(|task| task.number == *number)?;
        Some(TaskView::new(case, task, now))
    });
    Ok(Json(Page {
        items: views.collect(),
        next: page.next.and_then(|next| encode_cursor(&next)),
    }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AnswerBody {
    /// By the id in the catalog.
    inspector: String,
    /// `pass`, `fail` or `unclear`.
    answer: String,
    #[serde(default)]
    remark: String,
}

/// What an answer did.
#[derive(Debug, Serialize, ToSchema)]
struct AnswerMade {
    task: TaskView,
    /// The task had been answered; what was said then stays.
    repeated: bool,
}

/// An inspector answers a task.
#[utoipa::path(
    post,
    path = "/tasks/{id}/answer",
    tag = "tasks",
    params(("id" = String, Path)),
    request_body = AnswerBody,
    responses(
        (status = 200, body = AnswerMade),
        (status = 403, description = "The task is another inspector's.", body = MoveRefused, content_type = "application/problem+json"),
        (status = 404, description = "No such task."),
        (status = 409, description = "The case does not take it; with the allowed moves.", body = MoveRefused, content_type = "application/problem+json"),
        (status = 422, description = "The catalog has no such inspector, or the move lacks something.", body = MoveRefused, content_type = "application/problem+json"),
        (status = 503, description = "The store is away."),
    ),
)]
async fn take(
    State(gateway): Shared,
    Path(id): Path<String>,
    body: Result<Json<AnswerBody>, JsonRejection>,
) -> Result<Json<AnswerMade>, Problem> {
    let Json(body) = body?;
    let no_task = || Problem::not_found("no such task");
    let id: TaskId = id.parse().map_err(|_| no_task())?;
    let said = TaskAnswer::from_word(&body.answer)
        .ok_or_else(|| Problem::bad_request("answer: one of pass, fail, unclear"))?;
    let max = gateway.config.cases.text_bytes_max;
    if body.remark.len() as u64 > max || body.remark.contains('\0') {
        let detail = format!("remark: at most {max} bytes, without U+0000");
        return Err(Problem::bad_request(detail));
    }
    let in_force = gateway.catalog.in_force();
    let inspector = inspector_named(&in_force.snapshot, &body.inspector).ok_or_else(|| {
        let detail = "inspector: the catalog has none of this id";
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    })?;
    let place = Workplace::of(&gateway);
    let (case, repeated) = match answer(&place, id, inspector, said, &body.remark).await? {
        Outcome::Done(case) => (case, false),
        Outcome::Repeated(case) => (case, true),
        Outcome::Refused(refusal, case) => return Err(refused(&gateway, &refusal, &case)),
        Outcome::Foreign => {
            let detail = "the task is another inspector's";
            return Err(Problem::new(StatusCode::FORBIDDEN, detail));
        }
        Outcome::Unknown => return Err(no_task()),
    };
    let task = case.tasks.iter().find(|task| task.number == id.number);
    let task = task.ok_or_else(no_task)?;
    Ok(Json(AnswerMade {
        task: TaskView::new(&case, task, clock::now()),
        repeated,
    }))
}
