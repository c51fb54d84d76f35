//! `/api/v1/media`: pictures, sound, video and attachments of terminals.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use storage::media::{Media, MediaError, MediaId, MediaKind, MediaQuery, MediaStore};
use tokio_util::io::ReaderStream;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Problem,
    api::{Page, Shared, decode_cursor, limit, moment, terminal},
    view::{Subject, hex},
};
use crate::{Gateway, catalog::Catalog, clock::rfc3339};

pub(super) fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(content))
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MediaView {
    #[schema(value_type = String)]
    id: MediaId,
    #[serde(flatten)]
    subject: Subject,
    /// When it was taken, or came where the terminal did not say.
    at: String,
    received_at: String,
    /// What the content is.
    content_type: &'static str,
    bytes: u64,
    sha256: String,
    complete: bool,
    source: &'static str,
    /// As the terminal numbers it.
    media_id: u32,
    media_type: u8,
    format: u8,
    event: u8,
    channel: u8,
    lon: Option<f64>,
    lat: Option<f64>,
    alarm_number: Option<String>,
    /// The terminal's name of the file.
    name: Option<String>,
    #[schema(value_type = Option<Object>)]
    label: Option<Box<RawValue>>,
    /// Where the content is.
    href: String,
}

impl MediaView {
    pub(super) fn new(media: Media, catalog: &Catalog) -> Self {
        let facts = media.facts;
        Self {
            href: format!("/api/v1/media/{}/content", media.id),
            id: media.id,
            subject: Subject::of(facts.terminal, catalog),
            at: rfc3339(media.at),
            received_at: rfc3339(facts.received_at),
            content_type: media.kind.content_type(),
            bytes: media.bytes,
            sha256: hex(&media.sha256),
            complete: facts.is_complete,
            source: facts.source.as_str(),
            media_id: facts.media_id,
            media_type: facts.media_type,
            format: facts.format,
            event: facts.event,
            channel: facts.channel,
            lon: facts.longitude.map(|longitude| longitude.degrees()),
            lat: facts.latitude.map(|latitude| latitude.degrees()),
            alarm_number: facts.alarm_number,
            name: facts.original_name,
            label: facts
                .label
                .and_then(|label| RawValue::from_string(label).ok()),
        }
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParameters {
    terminal: Option<String>,
    /// The number under which its files were asked for.
    alarm_number: Option<String>,
    from: Option<String>,
    to: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// Media of terminals, the newest first.
#[utoipa::path(
    get,
    path = "/media",
    tag = "media",
    params(ListParameters),
    responses(
        (status = 200, body = Page<MediaView>),
        (status = 503, description = "The store is away."),
    ),
)]
async fn list(
    State(gateway): Shared,
    Query(parameters): Query<ListParameters>,
) -> Result<Json<Page<MediaView>>, Problem> {
    let limit = limit(parameters.limit)?;
    let query = MediaQuery {
        terminal: parameters.terminal.as_deref().map(terminal).transpose()?,
        alarm_number: parameters.alarm_number,
        from: moment("from", parameters.from.as_deref())?,
        to: moment("to", parameters.to.as_deref())?,
        before: decode_cursor(parameters.cursor.as_deref())?,
        limit,
    };
    let rows = in_background(&gateway, move |store| store.list(&query)).await?;
    let key = |media: &Media| (media.at, media.number);
    let view = |media| MediaView::new(media, &gateway.catalog);
    Ok(Json(Page::of(rows, limit, key, view)))
}

/// One medium, without its content.
#[utoipa::path(
    get,
    path = "/media/{id}",
    tag = "media",
    params(("id" = String, Path)),
    responses(
        (status = 200, body = MediaView),
        (status = 404, description = "No such medium."),
    ),
)]
async fn one(State(gateway): Shared, Path(id): Path<String>) -> Result<Json<MediaView>, Problem> {
    let id = media_id(&id)?;
    let media = in_background(&gateway, move |store| store.get(id)).await?;
    let media = media.ok_or_else(none)?;
    Ok(Json(MediaView::new(media, &gateway.catalog)))
}

/// The bytes, with the type that they have by what they are, whatever the terminal said.
#[utoipa::path(
    get,
    path = "/media/{id}/content",
    tag = "media",
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "The content.", content((Vec<u8> = "image/*"), (Vec<u8> = "audio/*"), (Vec<u8> = "video/*"), (Vec<u8> = "application/octet-stream"))),
        (status = 404, description = "No such medium."),
    ),
)]
async fn content(State(gateway): Shared, Path(id): Path<String>) -> Result<Response, Problem> {
    let id = media_id(&id)?;
    let opened = in_background(&gateway, move |store| store.open_file(id)).await?;
    let (media, file) = opened.ok_or_else(none)?;
    let stream = ReaderStream::new(tokio::fs::File::from_std(file));
    let disposition = if is_shown(media.kind) {
        "inline"
    } else {
        "attachment"
    };
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static(media.kind.content_type()),
        ),
        (header::CONTENT_LENGTH, media.bytes.into()),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static(disposition),
        ),
    ];
    Ok((headers, Body::from_stream(stream)).into_response())
}

pub(super) async fn in_background<T: Send + 'static>(
    gateway: &Gateway,
    work: impl FnOnce(&MediaStore) -> Result<T, MediaError> + Send + 'static,
) -> Result<T, Problem> {
    let store = gateway.media.clone();
    let done = tokio::task::spawn_blocking(move || work(&store)).await;
    done.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?
        .map_err(|error| Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
}

/// Browsers show it, and nothing in it runs.
pub(super) const fn is_shown(kind: MediaKind) -> bool {
    use MediaKind::{Jpeg, Mp3, Mp4, Png, Wav};
    matches!(kind, Jpeg | Png | Wav | Mp3 | Mp4)
}

fn media_id(text: &str) -> Result<MediaId, Problem> {
    text.parse().map_err(|_| none())
}

fn none() -> Problem {
    Problem::not_found("no such medium")
}
