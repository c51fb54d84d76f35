//! `/api/v1/cases`: lists, one case with its history and clocks, moves, and cases by hand.
//!
//! Who acts says so himself, in which part and for which jurisdiction: until there are users, HTTP
//! is for those on this machine. In the part of the system nobody can act.

mod evidence;
mod request;
mod view;

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State, rejection::JsonRejection},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use geofence::{
    case::{
        Case, Source, Stage,
        desk::{Refusal, allowed_moves},
        moves::RULES,
    },
    identity::CaseId,
    units::Timestamp,
    violation::ViolationKind,
};
use serde::Deserialize;
use storage::store::{CaseOrder, CaseQuery, CaseSearch, Moved};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) use self::evidence::pages;
pub(super) use self::view::MoveRefused;
use self::{
    request::{CaseBody, MoveBody},
    view::{CaseDetail, MoveMade, RuleRow},
};
use super::{
    Problem,
    api::{Page, Shared, decode_cursor, limit, moment, terminal},
    openapi::words,
    view::CaseView,
};
use crate::{Gateway, case_desk, clock};

/// Bytes of what is looked for.
const SEARCH_BYTES_MAX: usize = 200;

pub(super) fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .routes(routes!(cases, open))
        .routes(routes!(case))
        .routes(routes!(make))
        .routes(routes!(table))
        .merge(evidence::routes())
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CaseParameters {
    /// Where they stand.
    #[param(schema_with = words::stage, required = false)]
    stage: Option<String>,
    /// What a check found.
    #[param(schema_with = words::kind, required = false)]
    kind: Option<String>,
    terminal: Option<String>,
    /// Cases that lie or are handled there.
    jurisdiction: Option<String>,
    /// Whose list it is: nothing outside of it is shown.
    scope: Option<String>,
    /// Who brought them.
    #[param(schema_with = words::source, required = false)]
    source: Option<String>,
    /// A code of the table of categories.
    category: Option<String>,
    /// The responsible department.
    department: Option<String>,
    /// The number of a case or its beginning, the number that a receiver has given, a plate, a name
    /// or a phone number of a vehicle, or a part of a description or of a rule's name.
    search: Option<String>,
    /// Only those with a clock that has run out.
    overdue: Option<bool>,
    from: Option<String>,
    to: Option<String>,
    /// By when they were opened or changed, the newest first, or by when they are due, the soonest
    /// first.
    #[param(schema_with = words::case_order, required = false)]
    sort: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

fn word<T>(
    name: &str,
    text: Option<&str>,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, Problem> {
    let read =
        |text| read(text).ok_or_else(|| Problem::bad_request(format!("{name}: no such {name}")));
    text.map(read).transpose()
}

/// Cases.
#[utoipa::path(
    get,
    path = "/cases",
    tag = "cases",
    params(CaseParameters),
    responses(
        (status = 200, body = Page<CaseView>),
        (status = 403, description = "The jurisdiction lies outside of the scope."),
        (status = 503, description = "The store is away."),
    ),
)]
async fn cases(
    State(gateway): Shared,
    Query(parameters): Query<CaseParameters>,
) -> Result<Json<Page<CaseView>>, Problem> {
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let order = |word: &str| match word {
        "opened" => Some(CaseOrder::Opened),
        "changed" => Some(CaseOrder::Changed),
        "due" => Some(CaseOrder::Due),
        _ => None,
    };
    let happened = match (
        moment("from", parameters.from.as_deref())?,
        moment("to", parameters.to.as_deref())?,
    ) {
        (None, None) => None,
        (from, to) => Some((
            from.unwrap_or(Timestamp(0)),
            to.unwrap_or_else(|| clock::now().plus_millis(86_400_000)),
        )),
    };
    let query = CaseQuery {
        stage: word("stage", parameters.stage.as_deref(), Stage::from_word)?,
        kind: word("kind", parameters.kind.as_deref(), ViolationKind::from_word)?,
        terminal: parameters.terminal.as_deref().map(terminal).transpose()?,
        jurisdictions: within(
            text(&parameters.scope),
            parameters.jurisdiction.filter(|place| !place.is_empty()),
        )?
        .into_iter()
        .collect(),
        source: word("source", parameters.source.as_deref(), Source::from_word)?,
        category: text(&parameters.category),
        department: text(&parameters.department),
        search: parameters
            .search
            .as_deref()
            .map(|text| search(text, &gateway))
            .transpose()?
            .flatten(),
        overdue_at: parameters.overdue.unwrap_or(false).then(clock::now),
        happened,
        order: word("sort", parameters.sort.as_deref(), order)?.unwrap_or_default(),
        after: decode_cursor::<(Timestamp, CaseId)>(parameters.cursor.as_deref())?,
        limit: limit(parameters.limit)?,
    };
    let found = gateway.store.cases(&query).await?;
    let key = |case: &Case| query.key(case);
    let view = |case: Case| CaseView::new(&case, &gateway.catalog);
    Ok(Json(Page::of(found, query.limit, key, view)))
}

/// What is looked for, with the terminals of the vehicles whose plate or name has it.
fn search(text: &str, gateway: &Gateway) -> Result<Option<CaseSearch>, Problem> {
    if text.len() > SEARCH_BYTES_MAX {
        let detail = format!("search: at most {SEARCH_BYTES_MAX} bytes");
        return Err(Problem::bad_request(detail));
    }
    let wanted = text.trim().to_lowercase();
    let terminals = gateway.catalog.with(|snapshot| {
        let vehicles = snapshot.vehicles().iter();
        let meant = vehicles.filter(|vehicle| {
            let mut names = [&vehicle.plate, &vehicle.name].into_iter();
            names.any(|name| name.to_lowercase().contains(&wanted))
        });
        meant.map(|vehicle| vehicle.terminal).collect()
    });
    Ok(CaseSearch::new(text, terminals))
}

/// What is asked for within what may be seen.
fn within(scope: Option<String>, asked: Option<String>) -> Result<Option<String>, Problem> {
    match (scope, asked) {
        (Some(scope), Some(asked)) if asked.starts_with(&scope) => Ok(Some(asked)),
        (Some(scope), Some(asked)) if scope.starts_with(&asked) => Ok(Some(scope)),
        (Some(_), Some(_)) => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "jurisdiction: it lies outside of the scope",
        )),
        (scope, asked) => Ok(scope.or(asked)),
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ScopeParameters {
    /// Whose view it is: a case outside of it is not shown.
    scope: Option<String>,
}

/// One case whole.
#[utoipa::path(
    get,
    path = "/cases/{id}",
    tag = "cases",
    params(("id" = String, Path), ScopeParameters),
    responses(
        (status = 200, body = CaseDetail),
        (status = 404, description = "No such case."),
        (status = 503, description = "The store is away."),
    ),
)]
async fn case(
    State(gateway): Shared,
    Path(id): Path<CaseId>,
    Query(parameters): Query<ScopeParameters>,
) -> Result<Json<CaseDetail>, Problem> {
    let scope = parameters.scope.unwrap_or_default();
    let found = gateway.store.case(id).await?;
    let case = found.filter(|case| case.concerns(&scope));
    let case = case.ok_or_else(|| Problem::not_found("no such case"))?;
    Ok(Json(detail(&gateway, &case).await?))
}

async fn detail(gateway: &Gateway, case: &Case) -> Result<CaseDetail, Problem> {
    let history = gateway.store.case_history(case.id).await?;
    let desk = gateway.cases.desk(&gateway.catalog.in_force());
    let now = clock::now();
    Ok(CaseDetail::new(case, history, &desk, now, &gateway.catalog))
}

/// Opens a case by hand. Under a key that was used before, the case of then.
#[utoipa::path(
    post,
    path = "/cases",
    tag = "cases",
    request_body = CaseBody,
    responses(
        (status = 200, description = "The case that the key has already.", body = CaseDetail),
        (status = 201, description = "A new case.", body = CaseDetail),
        (status = 403, description = "The place lies outside of the scope."),
        (status = 409, description = "The role does not open cases."),
        (status = 422, description = "The category is not in the table."),
        (status = 503, description = "The store is away."),
    ),
)]
async fn open(
    State(gateway): Shared,
    body: Result<Json<CaseBody>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(body) = body?;
    let opening = body.opening(&gateway)?;
    let (written, is_new) = gateway.store.open_case(&opening).await?;
    if is_new {
        let source = written.case.source.as_str();
        gateway
            .metrics
            .count("cases_opened_total", "kind", source, 1);
        case_desk::tell(&gateway.metrics, std::slice::from_ref(&written));
    }
    let view = detail(&gateway, &written.case).await?;
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(view)).into_response())
}

/// Moves a case.
#[utoipa::path(
    post,
    path = "/cases/{id}/moves",
    tag = "cases",
    params(("id" = String, Path)),
    request_body = MoveBody,
    responses(
        (status = 200, body = MoveMade),
        (status = 403, description = "It lies outside of the scope; with the allowed moves.", body = MoveRefused, content_type = "application/problem+json"),
        (status = 404, description = "No such case."),
        (status = 409, description = "The table forbids it, or the case has changed; with the allowed moves.", body = MoveRefused, content_type = "application/problem+json"),
        (status = 422, description = "The move lacks something; with the allowed moves.", body = MoveRefused, content_type = "application/problem+json"),
        (status = 503, description = "The store is away."),
    ),
)]
async fn make(
    State(gateway): Shared,
    Path(id): Path<CaseId>,
    body: Result<Json<MoveBody>, JsonRejection>,
) -> Result<Json<MoveMade>, Problem> {
    let Json(body) = body?;
    let order = body.order(id, &gateway)?;
    match gateway.store.move_case(&order).await? {
        Moved::Done(written) => {
            case_desk::tell(&gateway.metrics, &written);
            let cases: Vec<Case> = written.into_iter().map(|written| written.case).collect();
            gateway.live.publish_cases(&cases);
            let mut cases = cases.into_iter();
            let Some(case) = cases.next() else {
                return Err(Problem::not_found("no such case"));
            };
            let others = cases.map(|case| CaseView::new(&case, &gateway.catalog));
            Ok(Json(MoveMade {
                case: detail(&gateway, &case).await?,
                others: others.collect(),
                repeated: false,
            }))
        }
        Moved::Repeated(case) => Ok(Json(MoveMade {
            case: detail(&gateway, &case).await?,
            others: Vec::new(),
            repeated: true,
        })),
        Moved::Refused(refusal, case) => Err(refused(&gateway, &refusal, &case)),
        Moved::Unknown => Err(Problem::not_found("no such case")),
    }
}

/// With what may be done instead.
pub(super) fn refused(gateway: &Gateway, refusal: &Refusal, case: &Case) -> Problem {
    let (status, reason) = match refusal {
        Refusal::NotFrom(..) => (StatusCode::CONFLICT, "stage"),
        Refusal::Deferral(..) => (StatusCode::CONFLICT, "deferral"),
        Refusal::Role(..) => (StatusCode::CONFLICT, "role"),
        Refusal::Task(_) => (StatusCode::CONFLICT, "task"),
        Refusal::Stale { .. } => (StatusCode::CONFLICT, "stale"),
        Refusal::Scope(_) => (StatusCode::FORBIDDEN, "scope"),
        Refusal::Needs(..) | Refusal::Category(_) => (StatusCode::UNPROCESSABLE_ENTITY, "needs"),
    };
    gateway
        .metrics
        .count("case_moves_refused_total", "reason", reason, 1);
    let allowed: Vec<_> = allowed_moves(case, None)
        .into_iter()
        .map(RuleRow::of)
        .collect();
    Problem::new(status, refusal.to_string())
        .with("stage", &case.stage)
        .with("version", &case.version)
        .with("allowed_moves", &allowed)
}

/// The table of moves.
#[utoipa::path(
    get,
    path = "/case-moves",
    tag = "cases",
    responses(
        (status = 200, body = Page<RuleRow>),
    ),
)]
async fn table() -> Json<Page<RuleRow>> {
    Json(Page {
        items: RULES.iter().map(RuleRow::of).collect(),
        next: None,
    })
}
