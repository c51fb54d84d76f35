//! What receivers were told of cases: `/deliveries`, `/receivers`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use geofence::{identity::CaseId, units::Timestamp};
use serde::{Deserialize, Serialize};
use storage::outbox::{Delivery, DeliveryQuery, DeliveryState, ReceiverNumber};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    Problem,
    api::{Page, Shared, decode_cursor, limit},
    openapi::words,
};
use crate::{Gateway, clock, clock::rfc3339};

pub(super) fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .routes(routes!(receivers))
        .routes(routes!(deliveries))
        .routes(routes!(delivery))
        .routes(routes!(resend))
        .routes(routes!(numbers))
}

/// A delivery. `id` is the idempotency key that the receiver saw.
#[derive(Debug, Serialize, ToSchema)]
struct DeliveryView {
    #[schema(value_type = String)]
    id: Uuid,
    receiver: String,
    #[schema(value_type = String)]
    case: CaseId,
    sequence: u64,
    event: &'static str,
    state: &'static str,
    since: String,
    attempts: u32,
    next_at: Option<String>,
    finished_at: Option<String>,
    status: Option<u16>,
    said: String,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        let is_pending = delivery.state == DeliveryState::Pending;
        Self {
            id: delivery.id,
            receiver: delivery.receiver,
            case: delivery.case,
            sequence: delivery.sequence,
            event: delivery.kind.as_str(),
            state: delivery.state.as_str(),
            since: rfc3339(delivery.since),
            attempts: delivery.attempts,
            next_at: is_pending.then(|| rfc3339(delivery.next_at)),
            finished_at: delivery.finished_at.map(rfc3339),
            status: delivery.status,
            said: delivery.said,
        }
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Parameters {
    /// Where they stand.
    #[param(schema_with = words::delivery_state, required = false)]
    state: Option<String>,
    /// The name of a receiver.
    receiver: Option<String>,
    /// The id of a case.
    #[param(value_type = Option<String>)]
    case: Option<CaseId>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// Deliveries.
#[utoipa::path(
    get,
    path = "/deliveries",
    tag = "deliveries",
    params(Parameters),
    responses(
        (status = 200, body = Page<DeliveryView>),
        (status = 503, description = "The store is away."),
    ),
)]
async fn deliveries(
    State(gateway): Shared,
    Query(parameters): Query<Parameters>,
) -> Result<Json<Page<DeliveryView>>, Problem> {
    let limit = limit(parameters.limit)?;
    let state = parameters
        .state
        .as_deref()
        .map(|word| {
            DeliveryState::from_word(word)
                .ok_or_else(|| Problem::bad_request("state: no such state"))
        })
        .transpose()?;
    let query = DeliveryQuery {
        state,
        receiver: parameters.receiver,
        case: parameters.case,
        after: decode_cursor::<(Timestamp, Uuid)>(parameters.cursor.as_deref())?,
        limit,
    };
    let found = gateway.store.deliveries(&query).await?;
    let key = |delivery: &Delivery| (delivery.since, delivery.id);
    Ok(Json(Page::of(found, limit, key, DeliveryView::from)))
}

/// One delivery.
#[utoipa::path(
    get,
    path = "/deliveries/{id}",
    tag = "deliveries",
    params(("id" = String, Path)),
    responses(
        (status = 200, body = DeliveryView),
        (status = 404, description = "No such delivery."),
        (status = 503, description = "The store is away."),
    ),
)]
async fn delivery(
    State(gateway): Shared,
    Path(id): Path<Uuid>,
) -> Result<Json<DeliveryView>, Problem> {
    let found = gateway.store.delivery(id).await?;
    found
        .map(|delivery| Json(delivery.into()))
        .ok_or_else(no_such_delivery)
}

fn no_such_delivery() -> Problem {
    Problem::not_found("no such delivery")
}

/// Sends a dead letter again, with its whole age before it.
#[utoipa::path(
    post,
    path = "/deliveries/{id}/resend",
    tag = "deliveries",
    params(("id" = String, Path)),
    responses(
        (status = 200, body = DeliveryView),
        (status = 404, description = "No such delivery."),
        (status = 409, description = "It is not dead, or its receiver is not configured any more."),
        (status = 503, description = "The store is away."),
    ),
)]
async fn resend(
    State(gateway): Shared,
    Path(id): Path<Uuid>,
) -> Result<Json<DeliveryView>, Problem> {
    let conflict = |detail: String| Problem::new(StatusCode::CONFLICT, detail);
    let found = gateway.store.delivery(id).await?;
    let found = found.ok_or_else(no_such_delivery)?;
    if gateway.config.delivery.receiver(&found.receiver).is_none() {
        let detail = format!("{} is not configured any more", found.receiver);
        return Err(conflict(detail));
    }
    if !gateway.store.resend(id, clock::now()).await? {
        let detail = format!(
            "only a dead delivery is sent again; it is {}",
            found.state.as_str()
        );
        return Err(conflict(detail));
    }
    let sent = gateway.store.delivery(id).await?;
    Ok(Json(sent.ok_or_else(no_such_delivery)?.into()))
}

/// A receiver. Those that are not configured any more have no URL.
#[derive(Debug, Serialize, ToSchema)]
struct ReceiverView {
    name: String,
    url: Option<String>,
    breaker: &'static str,
    pending: u64,
    dead: u64,
    oldest_since: Option<String>,
}

/// Receivers of cases, and what waits for each.
#[utoipa::path(
    get,
    path = "/receivers",
    tag = "deliveries",
    responses(
        (status = 200, body = Page<ReceiverView>),
        (status = 503, description = "The store is away."),
    ),
)]
async fn receivers(State(gateway): Shared) -> Result<Json<Page<ReceiverView>>, Problem> {
    let backlog = gateway.store.backlog().await?;
    let configured = &gateway.config.delivery;
    let mut names: Vec<&str> = configured
        .receivers
        .iter()
        .map(|r| r.name.as_str())
        .collect();
    let gone = backlog.iter().map(|one| one.receiver.as_str());
    names.extend(gone.filter(|name| configured.receiver(name).is_none()));
    let now = clock::now();
    let items = names.into_iter().map(|name| {
        let found = backlog.iter().find(|one| one.receiver == name);
        ReceiverView {
            name: name.to_owned(),
            url: configured.receiver(name).map(|one| one.url.to_string()),
            breaker: gateway.delivery.passage(name, now).as_str(),
            pending: found.map_or(0, |one| one.pending),
            dead: found.map_or(0, |one| one.dead),
            oldest_since: found.and_then(|one| one.oldest).map(rfc3339),
        }
    });
    Ok(Json(Page {
        items: items.collect(),
        next: None,
    }))
}

/// The number that a case has with a receiver.
#[derive(Debug, Serialize, ToSchema)]
struct NumberView {
    receiver: String,
    number: String,
    at: String,
}

/// The numbers that a case has with its receivers.
#[utoipa::path(
    get,
    path = "/cases/{id}/receivers",
    tag = "deliveries",
    params(("id" = String, Path)),
    responses(
        (status = 200, body = Page<NumberView>),
        (status = 503, description = "The store is away."),
    ),
)]
async fn numbers(
    State(gateway): Shared,
    Path(id): Path<CaseId>,
) -> Result<Json<Page<NumberView>>, Problem> {
    let numbers = gateway.store.receiver_numbers(id).await?;
    let view = |one: ReceiverNumber| NumberView {
        receiver: one.receiver,
        number: one.number,
        at: rfc3339(one.at),
    };
    Ok(Json(Page {
        items: numbers.into_iter().map(view).collect(),
        next: None,
    }))
}
