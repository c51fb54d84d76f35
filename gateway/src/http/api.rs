//! `/api/v1`. Lists are `{"items": […], "next": cursor}`; a cursor is opaque and goes back as
//! `?cursor=`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use geofence::{identity::TerminalId, units::Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use storage::store::QuarantinedRow;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Problem, backtests, callbacks, cases, catalog, commands, deliveries, evaluation, explain, live,
    media, openapi, passwords, tasks, terminals, tracks,
    view::{QuarantineView, hex},
};
use crate::{Gateway, clock};

pub(super) const LIMIT_DEFAULT: u32 = 1_000;
pub(super) const LIMIT_MAX: u32 = 10_000;

/// Every path of the API; texts of the catalog may have so many bytes.
pub fn routes(text_bytes_max: usize) -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .merge(terminals::routes())
        .merge(commands::routes())
        .merge(passwords::routes())
        .merge(deliveries::routes())
        .merge(callbacks::routes())
        .merge(media::routes())
        .merge(catalog::routes(text_bytes_max))
        .merge(tracks::routes())
        .merge(explain::routes())
        .merge(cases::routes())
        .merge(evaluation::routes())
        .merge(tasks::routes())
        .merge(backtests::routes(text_bytes_max))
        .routes(routes!(quarantine))
        .routes(routes!(rejected_frames))
        .routes(routes!(live::stream))
        .routes(routes!(openapi::document))
}

pub(super) type Shared = State<Arc<Gateway>>;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// Where the next page begins; `null` where there is none.
    pub(super) next: Option<String>,
}

impl<T> Page<T> {
    /// What a store gave for a limit, each as readers see it. A full page may have another behind
    /// it, whose cursor is made from the last row by `key`.
    pub(super) fn of<R, K: Serialize>(
        rows: Vec<R>,
        limit: u32,
        key: impl FnOnce(&R) -> K,
        view: impl FnMut(R) -> T,
    ) -> Self {
        let is_full = rows.len() == limit as usize;
        let last = rows.last().filter(|_| is_full);
        let next = last.and_then(|row| encode_cursor(&key(row)));
        Self {
            items: rows.into_iter().map(view).collect(),
            next,
        }
    }
}

pub(super) fn encode_cursor(value: &impl Serialize) -> Option<String> {
    serde_json::to_vec(value)
        .ok()
        .map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

pub(super) fn decode_cursor<T: DeserializeOwned>(text: Option<&str>) -> Result<Option<T>, Problem> {
    let Some(text) = text else { return Ok(None) };
    URL_SAFE_NO_PAD
        .decode(text)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .map(Some)
        .ok_or_else(|| Problem::bad_request("cursor: not one that this API gave"))
}

pub(super) fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    let limit = asked.unwrap_or(LIMIT_DEFAULT);
    if (1..=LIMIT_MAX).contains(&limit) {
        Ok(limit)
    } else {
        Err(Problem::bad_request(format!("limit: 1 to {LIMIT_MAX}")))
    }
}

pub(super) fn moment(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    text.map(|text| {
        clock::parse_rfc3339(text).ok_or_else(|| {
            Problem::bad_request(format!(
                "{name}: expected RFC 3339, such as 2026-11-24T08:00:00Z"
            ))
        })
    })
    .transpose()
}

/// The phone number with or without padding zeros.
pub(super) fn terminal(text: &str) -> Result<TerminalId, Problem> {
    text.trim_start_matches('0')
        .to_ascii_lowercase()
        .parse()
        .map_err(|error| Problem::bad_request(format!("phone: {error}")))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageParameters {
    pub(super) cursor: Option<String>,
    pub(super) limit: Option<u32>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LimitParameters {
    pub(super) limit: Option<u32>,
}

/// Reports that were not believed, the newest first.
#[utoipa::path(
    get,
    path = "/quarantine",
    tag = "positions",
    params(PageParameters),
    responses(
        (status = 200, body = Page<QuarantineView>),
        (status = 503, description = "The store is away."),
    ),
)]
async fn quarantine(
    State(gateway): Shared,
    Query(parameters): Query<PageParameters>,
) -> Result<Json<Page<QuarantineView>>, Problem> {
    let limit = limit(parameters.limit)?;
    let before = decode_cursor(parameters.cursor.as_deref())?;
    let rows = gateway.store.quarantined(before, limit).await?;
    let key = |row: &QuarantinedRow| row.number;
    let view = |row: QuarantinedRow| QuarantineView::from(&row.report);
    Ok(Json(Page::of(rows, limit, key, view)))
}

#[derive(Debug, Serialize, ToSchema)]
struct RejectedView {
    reason: &'static str,
    received_at: String,
    phone: Option<String>,
    frame_hex: String,
}

/// The newest frames that were no frames, as they came; a start forgets them.
#[utoipa::path(
    get,
    path = "/rejected-frames",
    tag = "terminals",
    params(LimitParameters),
    responses(
        (status = 200, body = Page<RejectedView>),
    ),
)]
async fn rejected_frames(
    State(gateway): Shared,
    Query(parameters): Query<LimitParameters>,
) -> Result<Json<Page<RejectedView>>, Problem> {
    let items = gateway
        .rejected
        .newest(limit(parameters.limit)? as usize)
        .into_iter()
        .map(|rejected| RejectedView {
            reason: rejected.reason,
            received_at: clock::rfc3339(rejected.received_at),
            phone: rejected.terminal.map(|terminal| terminal.to_string()),
            frame_hex: hex(&rejected.frame),
        })
        .collect();
    Ok(Json(Page { items, next: None }))
}
