//! `/api/v1/backtests`: what a draft of the catalog, or any version, would have found.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{DefaultBodyLimit, Path, State, rejection::JsonRejection},
    http::StatusCode,
};
use geofence::{catalog::Catalog as Snapshot, violation::ViolationKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Problem,
    api::{Page, Shared, moment, terminal},
    view::ViolationView,
};
use crate::{
    Gateway,
    backtest::{self, Found, Job, Period},
    catalog::{Draft, Form, Kind},
    clock,
};

/// The paths below `/api/v1`; drafts may have so many bytes.
pub fn routes(text_bytes_max: usize) -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .routes(routes!(list, begin))
        .routes(routes!(one, cancel))
        .layer(DefaultBodyLimit::max(text_bytes_max))
}

/// What is to be tried.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BacktestRequest)]
struct Request {
    #[schema(format = DateTime)]
    from: String,
    /// Now where it is not given.
    #[schema(format = DateTime)]
    to: Option<String>,
    /// All where none is named.
    #[serde(default)]
    terminals: Vec<String>,
    /// Begin from this version of the catalog; from the one in force without it.
    version: Option<u64>,
    /// Texts in place of those of the version, by their paths: `{"fences": {…}}`; JSON as an
    /// object or a text, CSV as a text.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, Value>)]
    catalog: BTreeMap<String, Value>,
}

/// Begins a backtest.
#[utoipa::path(
    post,
    path = "/backtests",
    tag = "backtests",
    request_body = Request,
    responses(
        (status = 202, description = "It runs.", body = JobView),
        (status = 404, description = "No such version of the catalog."),
        (status = 422, description = "The draft has mistakes; with each of them."),
        (status = 429, description = "As many run as `backtest.running_max` allows."),
    ),
)]
async fn begin(
    State(gateway): Shared,
    request: Result<Json<Request>, JsonRejection>,
) -> Result<(StatusCode, Json<JobView>), Problem> {
    let Json(request) = request?;
    let period = period(&gateway, &request)?;
    let draft = draft(&request)?;
    let shared = Arc::clone(&gateway);
    let loaded = tokio::task::spawn_blocking(move || draft.load(&shared.catalog)).await;
    let (version, snapshot) = loaded
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))??;
    let limits = &gateway.config.backtest;
    let job = Job {
        created_at: clock::now(),
        period,
        version,
        progress: Default::default(),
        stop: gateway.stop.child_token(),
        outcome: Default::default(),
    };
    let added = gateway
        .backtests
        .add(job, limits.running_max as usize, limits.kept_max as usize);
    let Some((id, job)) = added else {
        let what = "as many backtests run as backtest.running_max allows";
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, what));
    };
    let view = JobView::new(id, &job);
    tokio::spawn(run(Arc::clone(&gateway), job, snapshot));
    Ok((StatusCode::ACCEPTED, Json(view)))
}

async fn run(gateway: Arc<Gateway>, job: Arc<Job>, catalog: Snapshot) {
    let violations_max = gateway.config.backtest.violations_max as usize;
    let stop: &CancellationToken = &job.stop;
    let found = backtest::run(
        Arc::clone(&gateway.store),
        &catalog,
        &job.period,
        violations_max,
        &job.progress,
        stop,
    );
    let outcome = found.await.map_err(|error| error.to_string());
    let word = if outcome.is_ok() { "done" } else { "failed" };
    gateway.metrics.count("backtests_total", "result", word, 1);
    // Nobody else sets it.
    let _first = job.outcome.set(outcome);
}

fn period(gateway: &Gateway, request: &Request) -> Result<Period, Problem> {
    let from = moment("from", Some(&request.from))?;
    let to = moment("to", request.to.as_deref())?.unwrap_or_else(clock::now);
    let from = from.unwrap_or(to);
    let length_max = gateway.config.backtest.period_max;
    if from >= to || from.after(length_max) < to {
        let days = length_max.as_secs() / 86_400;
        let what = format!("from: before to, and at most {days} days (backtest.period_max)");
        return Err(Problem::bad_request(what));
    }
    let terminals = request.terminals.iter().map(|text| terminal(text));
    Ok(Period {
        from,
        to,
        terminals: terminals.collect::<Result<_, _>>()?,
    })
}

fn draft(request: &Request) -> Result<Draft, Problem> {
    let mut draft = Draft {
        version: request.version,
        ..Draft::default()
    };
    for (path, value) in &request.catalog {
        let kind = Kind::of_path(path)
            .ok_or_else(|| Problem::bad_request(format!("catalog.{path}: no such text")))?;
        let text = match (value, kind.form) {
            (Value::String(text), _) => text.clone(),
            (Value::Object(_), Form::GeoJson | Form::Rules) => value.to_string(),
            _ => {
                return Err(Problem::bad_request(format!(
                    "catalog.{path}: expected a text"
                )));
            }
        };
        draft.texts.insert(kind.name.to_owned(), text);
    }
    Ok(draft)
}

#[derive(Debug, Serialize, ToSchema)]
struct JobView {
    id: u64,
    state: &'static str,
    created_at: String,
    from: String,
    to: String,
    terminals: Vec<String>,
    version: u64,
    positions: u64,
    /// Share of the period, 0 to 1.
    progress: f64,
    error: Option<String>,
}

impl JobView {
    fn new(id: u64, job: &Job) -> Self {
        let (state, error) = match job.outcome.get() {
            None => ("running", None),
            Some(Ok(_)) => ("done", None),
            Some(Err(_)) if job.stop.is_cancelled() => ("cancelled", None),
            Some(Err(error)) => ("failed", Some(error.clone())),
        };
        let progress = if state == "done" {
            1.0
        } else {
            job.progress.share(&job.period)
        };
        Self {
            id,
            state,
            created_at: clock::rfc3339(job.created_at),
            from: clock::rfc3339(job.period.from),
            to: clock::rfc3339(job.period.to),
            terminals: job
                .period
                .terminals
                .iter()
                .map(ToString::to_string)
                .collect(),
            version: job.version,
            positions: job.progress.positions(),
            progress: (progress * 1_000.0).round() / 1_000.0,
            error,
        }
    }
}

/// A day's counts.
#[derive(Debug, Serialize, ToSchema)]
struct DayView {
    date: String,
    #[schema(value_type = BTreeMap<String, u64>)]
    by_kind: BTreeMap<&'static str, u64>,
}

/// What a backtest found.
#[derive(Debug, Serialize, ToSchema)]
pub struct FoundView {
    days: Vec<DayView>,
    violations: Vec<ViolationView>,
    /// Counted above, not listed: more than `backtest.violations_max`.
    not_listed: u64,
}

impl From<&Found> for FoundView {
    fn from(found: &Found) -> Self {
        let words = |kinds: &BTreeMap<ViolationKind, u64>| {
            let words = kinds.iter().map(|(kind, count)| (kind.as_str(), *count));
            words.collect()
        };
        let days = found.by_day.iter().map(|(day, kinds)| DayView {
            date: backtest::date(*day),
            by_kind: words(kinds),
        });
        Self {
            days: days.collect(),
            violations: found.violations.iter().map(ViolationView::from).collect(),
            not_listed: found.not_listed,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct WholeView {
    #[serde(flatten)]
    job: JobView,
    #[serde(flatten)]
    found: Option<FoundView>,
}

/// Backtests since the start.
#[utoipa::path(
    get,
    path = "/backtests",
    tag = "backtests",
    responses(
        (status = 200, body = Page<JobView>),
    ),
)]
async fn list(State(gateway): Shared) -> Json<Page<JobView>> {
    let jobs = gateway.backtests.list();
    let items = jobs
        .iter()
        .map(|(id, job)| JobView::new(*id, job))
        .collect();
    Json(Page { items, next: None })
}

fn job(gateway: &Gateway, id: u64) -> Result<Arc<Job>, Problem> {
    let job = gateway.backtests.get(id);
    job.ok_or_else(|| Problem::not_found("no such backtest; a start forgets them"))
}

/// One backtest, with what it found once it is done.
#[utoipa::path(
    get,
    path = "/backtests/{id}",
    tag = "backtests",
    params(("id" = u64, Path)),
    responses(
        (status = 200, body = WholeView),
        (status = 404, description = "No such backtest."),
    ),
)]
async fn one(State(gateway): Shared, Path(id): Path<u64>) -> Result<Json<WholeView>, Problem> {
    let job = job(&gateway, id)?;
    let found = job.outcome.get().and_then(|outcome| outcome.as_ref().ok());
    Ok(Json(WholeView {
        job: JobView::new(id, &job),
        found: found.map(FoundView::from),
    }))
}

/// Stops a backtest.
#[utoipa::path(
    delete,
    path = "/backtests/{id}",
    tag = "backtests",
    params(("id" = u64, Path)),
    responses(
        (status = 204, description = "It stops."),
        (status = 404, description = "No such backtest."),
    ),
)]
async fn cancel(State(gateway): Shared, Path(id): Path<u64>) -> Result<StatusCode, Problem> {
    job(&gateway, id)?.stop.cancel();
    Ok(StatusCode::NO_CONTENT)
}
