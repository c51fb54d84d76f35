//! `/api/v1/terminals`: who has registered, who is online, who was refused and why.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use geofence::identity::TerminalId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use storage::registry::events::TerminalEvent;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Problem,
    api::{
        LimitParameters, Page, PageParameters, Shared, decode_cursor, encode_cursor, limit,
        terminal,
    },
    view::Subject,
};
use crate::{
    Gateway,
    catalog::Catalog,
    clock::{self, rfc3339},
    ingest::zone,
    outlets::vendor_items::NewestItems,
    session::{
        directory::TerminalState,
        presence::ClockOffset,
        unknown::{Reached, Unknown},
    },
};

pub(super) fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(unknown))
        .routes(routes!(one))
        .routes(routes!(events))
        .routes(routes!(items))
        .routes(routes!(release))
}

/// A terminal's clock beside ours.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TerminalClockView)]
struct ClockView {
    /// Positive where the terminal's clock is behind.
    offset_s: i32,
    whole_hours: Option<i32>,
    suggestion: Option<String>,
}

impl ClockView {
    fn new(offset: ClockOffset, utc_offset_minutes: i16) -> Self {
        Self {
            offset_s: offset.seconds,
            whole_hours: offset.whole_hours,
            suggestion: offset.suggestion(utc_offset_minutes),
        }
    }
}

/// What a terminal said when it registered.
#[derive(Debug, Serialize, ToSchema)]
struct RegistrationView {
    revision: u16,
    manufacturer: String,
    model: String,
    terminal_id: String,
    plate: String,
    plate_color: u8,
    registered_at: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct TerminalView {
    #[serde(flatten)]
    subject: Subject,
    /// `connected`, `registered`, `authenticated`, `first_fix`; `null` for a vehicle of the catalog
    /// whose terminal never came.
    step: Option<&'static str>,
    online: bool,
    online_since: Option<String>,
    last_seen_at: Option<String>,
    address: Option<String>,
    transport: Option<&'static str>,
    clock: Option<ClockView>,
    /// The profile that was chosen for it.
    profile: Option<String>,
    registration: Option<RegistrationView>,
}

impl TerminalView {
    fn new(state: TerminalState, catalog: &Catalog) -> Self {
        let presence = state.owner.as_ref().map(|owner| &owner.presence);
        let seen = state.last_seen;
        let profile = state.profile.as_deref();
        let minutes = zone::utc_offset_minutes(profile);
        let reached = match (&presence, &seen) {
            (_, Some(seen)) if seen.has_fix => Some(Reached::FirstFix),
            (Some(_), _) => Some(Reached::Authenticated),
            _ => state.record.as_ref().map(|_| Reached::Registered),
        };
        Self {
            subject: Subject::of(state.terminal, catalog),
            step: reached.map(Reached::as_str),
            online: presence.is_some(),
            online_since: presence.map(|presence| rfc3339(presence.online_since)),
            last_seen_at: seen.map(|seen| rfc3339(seen.at)),
            address: seen.map(|seen| seen.address.to_canonical().to_string()),
            transport: presence.map(|presence| presence.transport),
            clock: seen
                .and_then(|seen| seen.clock_offset)
                .map(|offset| ClockView::new(offset, minutes)),
            profile: profile.map(|profile| profile.name().to_owned()),
            registration: state.record.map(|record| RegistrationView {
                revision: record.revision,
                manufacturer: record.manufacturer,
                model: record.model,
                terminal_id: record.terminal_id,
                plate: record.plate,
                plate_color: record.plate_color,
                registered_at: rfc3339(record.registered_at),
            }),
        }
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParameters {
    /// Only those with a session, or only those without.
    online: Option<bool>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// Every terminal that the registry, a session or the catalog has, by phone number.
#[utoipa::path(
    get,
    path = "/terminals",
    tag = "terminals",
    params(ListParameters),
    responses(
        (status = 200, body = Page<TerminalView>),
    ),
)]
async fn list(
    State(gateway): Shared,
    Query(parameters): Query<ListParameters>,
) -> Result<Json<Page<TerminalView>>, Problem> {
    let limit = limit(parameters.limit)? as usize;
    let after = decode_cursor(parameters.cursor.as_deref())?;
    let found = gateway.directory.terminals(after, parameters.online, limit);
    let next = found
        .last()
        .filter(|_| found.len() == limit)
        .and_then(|last| encode_cursor(&last.terminal));
    let view = |state| TerminalView::new(state, &gateway.catalog);
    Ok(Json(Page {
        items: found.into_iter().map(view).collect(),
        next,
    }))
}

/// The terminal, when the registry, a session or the catalog has it.
fn known(gateway: &Gateway, phone: &str) -> Result<TerminalId, Problem> {
    let terminal = terminal(phone)?;
    let directory = &gateway.directory;
    let is_known = directory.registration_of(terminal).is_some()
        || directory.is_online(terminal)
        || gateway.catalog.knows(terminal);
    if is_known {
        Ok(terminal)
    } else {
        Err(Problem::not_found("no such terminal"))
    }
}

/// One terminal.
#[utoipa::path(
    get,
    path = "/terminals/{phone}",
    tag = "terminals",
    params(("phone" = String, Path)),
    responses(
        (status = 200, body = TerminalView),
        (status = 404, description = "No such terminal."),
    ),
)]
async fn one(
    State(gateway): Shared,
    Path(phone): Path<String>,
) -> Result<Json<TerminalView>, Problem> {
    let state = gateway.directory.terminal(known(&gateway, &phone)?);
    Ok(Json(TerminalView::new(state, &gateway.catalog)))
}

/// What a terminal said in items of its maker.
#[derive(Debug, Serialize, ToSchema)]
struct ItemsView {
    /// The profile that they are read by.
    profile: String,
    /// `null` where no report has had any since the start.
    fixed_at: Option<String>,
    received_at: Option<String>,
    /// A name, a value and what is known of it.
    #[schema(value_type = Vec<Object>)]
    items: Vec<Value>,
}

/// Items of the maker, of the newest report that had any.
#[utoipa::path(
    get,
    path = "/terminals/{phone}/items",
    tag = "terminals",
    params(("phone" = String, Path)),
    responses(
        (status = 200, body = ItemsView),
        (status = 404, description = "No such terminal, or no profile was chosen for it."),
    ),
)]
async fn items(
    State(gateway): Shared,
    Path(phone): Path<String>,
) -> Result<Json<ItemsView>, Problem> {
    let terminal = known(&gateway, &phone)?;
    let Some(profile) = gateway.directory.profile_of(terminal) else {
        return Err(Problem::not_found("no profile was chosen for the terminal"));
    };
    let newest = gateway.vendor_items.of(terminal);
    let items = newest.iter().flat_map(NewestItems::readings);
    Ok(Json(ItemsView {
        profile: match &newest {
            Some(newest) => newest.profile().name().to_owned(),
            None => profile.name().to_owned(),
        },
        fixed_at: newest.as_ref().map(|newest| rfc3339(newest.fixed_at)),
        received_at: newest.as_ref().map(|newest| rfc3339(newest.received_at)),
        items: items
            .filter_map(|reading| serde_json::to_value(reading).ok())
            .collect(),
    }))
}

#[derive(Debug, Serialize, ToSchema)]
struct EventView {
    at: String,
    kind: &'static str,
    detail: String,
    address: Option<String>,
}

impl From<TerminalEvent> for EventView {
    fn from(event: TerminalEvent) -> Self {
        Self {
            at: rfc3339(event.at),
            kind: event.kind.as_str(),
            detail: event.detail.into_owned(),
            address: event.address.map(|address| address.to_string()),
        }
    }
}

/// What happened to a terminal, the newest first. Those of the last second may not be there yet.
#[utoipa::path(
    get,
    path = "/terminals/{phone}/events",
    tag = "terminals",
    params(("phone" = String, Path), PageParameters),
    responses(
        (status = 200, body = Page<EventView>),
        (status = 404, description = "No such terminal."),
    ),
)]
async fn events(
    State(gateway): Shared,
    Path(phone): Path<String>,
    Query(parameters): Query<PageParameters>,
) -> Result<Json<Page<EventView>>, Problem> {
    let limit = limit(parameters.limit)?;
    let before = decode_cursor(parameters.cursor.as_deref())?;
    let terminal = terminal(&phone)?;
    let reading = Arc::clone(&gateway);
    let read = move || reading.registry.events(terminal, before, limit);
    let rows = tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))??;
    if rows.is_empty() {
        // Events outlive a terminal that was released; without any it must be known.
        known(&gateway, &phone)?;
    }
    let view = |(_, event)| EventView::from(event);
    Ok(Json(Page::of(rows, limit, |(number, _)| *number, view)))
}

/// Lets another device register under the phone number.
#[utoipa::path(
    post,
    path = "/terminals/{phone}/release",
    tag = "terminals",
    params(("phone" = String, Path)),
    responses(
        (status = 204, description = "Another device may register."),
        (status = 404, description = "No such terminal."),
    ),
)]
async fn release(State(gateway): Shared, Path(phone): Path<String>) -> Result<StatusCode, Problem> {
    let terminal = terminal(&phone)?;
    if gateway.directory.release(terminal, clock::now()) {
        gateway.vendor_items.forget(terminal);
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("no such terminal has registered"))
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct UnknownView {
    #[serde(flatten)]
    subject: Subject,
    /// How far it has come.
    step: &'static str,
    /// What stopped it.
    reason: &'static str,
    advice: &'static str,
    refusals: u64,
    first_seen_at: String,
    last_seen_at: String,
    address: String,
    manufacturer: Option<String>,
    model: Option<String>,
    terminal_id: Option<String>,
    said_plate: Option<String>,
}

impl UnknownView {
    fn new(unknown: Unknown, catalog: &Catalog) -> Self {
        let said = unknown.said.unwrap_or_default();
        let word = |text: String| (!text.is_empty()).then_some(text);
        Self {
            subject: Subject::of(unknown.terminal, catalog),
            step: unknown.reached.as_str(),
            reason: unknown.reason,
            advice: unknown.advice,
            refusals: unknown.refusals,
            first_seen_at: rfc3339(unknown.first_seen),
            last_seen_at: rfc3339(unknown.last_seen),
            address: unknown.address.to_canonical().to_string(),
            manufacturer: word(said.manufacturer),
            model: word(said.model),
            terminal_id: word(said.terminal_id),
            said_plate: word(said.plate),
        }
    }
}

/// Who came and was not let in, the newest first.
#[utoipa::path(
    get,
    path = "/terminals/unknown",
    tag = "terminals",
    params(LimitParameters),
    responses(
        (status = 200, body = Page<UnknownView>),
    ),
)]
async fn unknown(
    State(gateway): Shared,
    Query(parameters): Query<LimitParameters>,
) -> Result<Json<Page<UnknownView>>, Problem> {
    let newest = gateway
        .directory
        .unknown()
        .newest(limit(parameters.limit)? as usize);
    let view = |unknown| UnknownView::new(unknown, &gateway.catalog);
    Ok(Json(Page {
        items: newest.into_iter().map(view).collect(),
        next: None,
    }))
}
