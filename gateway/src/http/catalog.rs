//! `/api/v1/catalog`: what the city is made of, its versions, and changes of it.
//!
//! A change is a version of the catalog, checked whole before it is made, and in force at once or from
//! a time on. `If-Match` with the `ETag` of an answer keeps two people from changing the same version.

use std::sync::Arc;

use axum::{
    Json,
    extract::{DefaultBodyLimit, Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use storage::catalog::VersionInfo;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Problem,
    api::{Page, PageParameters, Shared, decode_cursor, limit, moment},
};
use crate::{
    Gateway,
    catalog::{Change, Edit, EditError, Form, Kind},
    clock,
};

const AUTHOR_BYTES_MAX: usize = 200;
const NOTE_BYTES_MAX: usize = 2_000;
const NO_RULES: &str = "{\"rules\":[]}";
const NO_FEATURES: &str = "{\"type\":\"FeatureCollection\",\"features\":[]}";

/// The paths below `/api/v1`; texts may have so many bytes.
pub fn routes(text_bytes_max: usize) -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .routes(routes!(catalog))
        .routes(routes!(versions))
        .routes(routes!(gaps))
        .routes(routes!(community_faults))
        .routes(routes!(cancel))
        .routes(routes!(text, put_text))
        .routes(routes!(put_thing, remove_thing))
        .layer(DefaultBodyLimit::max(text_bytes_max))
}

#[derive(Debug, Serialize, ToSchema)]
struct CatalogView {
    name: String,
    version: u64,
    /// West, south, east, north; degrees.
    bounds: Option<[f64; 4]>,
    unit_grids: usize,
    fences: usize,
    routes: usize,
    work_rules: usize,
    vehicles: usize,
    duty_areas: usize,
    assignments: usize,
}

/// The catalog in force, in numbers.
#[utoipa::path(
    get,
    path = "/catalog",
    tag = "catalog",
    responses(
        (status = 200, body = CatalogView),
    ),
)]
async fn catalog(State(gateway): Shared) -> Json<CatalogView> {
    let in_force = gateway.catalog.in_force();
    let snapshot = &in_force.snapshot;
    Json(CatalogView {
        name: gateway.catalog.name().to_owned(),
        version: in_force.number,
        bounds: snapshot.bounds_degrees(),
        unit_grids: snapshot.unit_grids().len(),
        fences: snapshot.fences().len(),
        routes: snapshot.routes().len(),
        work_rules: snapshot.work_rules().len(),
        vehicles: snapshot.vehicles().len(),
        duty_areas: snapshot.duties().areas().len(),
        assignments: snapshot.duties().assignments().len(),
    })
}

/// A hole between the unit grids.
#[derive(Debug, Serialize, ToSchema)]
struct GapView {
    beside: String,
    square_meters: f64,
    latitude: f64,
    longitude: f64,
}

/// The holes between the unit grids of the version in force, the largest first.
#[utoipa::path(
    get,
    path = "/catalog/gaps",
    tag = "catalog",
    responses(
        (status = 200, body = Page<GapView>),
    ),
)]
async fn gaps(State(gateway): Shared) -> Result<Json<Page<GapView>>, Problem> {
    let snapshot = Arc::clone(&gateway.catalog.in_force().snapshot);
    let found = tokio::task::spawn_blocking(move || snapshot.unit_grid_gaps()).await;
    let found = found
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let view = |gap: geofence::catalog::Gap| GapView {
        beside: gap.beside,
        square_meters: gap.square_meters.round(),
        latitude: gap.latitude,
        longitude: gap.longitude,
    };
    Ok(Json(Page {
        items: found.into_iter().map(view).collect(),
        next: None,
    }))
}

/// Something odd about the unit grids of a community.
#[derive(Debug, Serialize, ToSchema)]
struct CommunityFaultView {
    /// `apart`: some of its grids do not touch the others. `enclosed`: a grid of another one lies in its
    /// middle.
    kind: &'static str,
    /// County, street and community: how the codes of its grids begin.
    community: String,
    /// Of those apart the lowest code, or that of the other community.
    unit_grid: String,
    /// How many grids it is about.
    unit_grids: usize,
    latitude: f64,
    longitude: f64,
    sentence: String,
}

/// Communities whose unit grids do not lie together, of the version in force, by community.
#[utoipa::path(
    get,
    path = "/catalog/community-faults",
    tag = "catalog",
    responses(
        (status = 200, body = Page<CommunityFaultView>),
    ),
)]
async fn community_faults(
    State(gateway): Shared,
) -> Result<Json<Page<CommunityFaultView>>, Problem> {
    let snapshot = Arc::clone(&gateway.catalog.in_force().snapshot);
    let found = tokio::task::spawn_blocking(move || snapshot.community_faults()).await;
    let found = found
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let view = |fault: geofence::catalog::CommunityFault| CommunityFaultView {
        sentence: fault.to_string(),
        kind: fault.kind.as_str(),
        community: fault.community,
        unit_grid: fault.grid,
        unit_grids: fault.grids,
        latitude: fault.latitude,
        longitude: fault.longitude,
    };
    Ok(Json(Page {
        items: found.into_iter().map(view).collect(),
        next: None,
    }))
}

fn kind(path: &str) -> Result<&'static Kind, Problem> {
    Kind::of_path(path).ok_or_else(|| Problem::not_found("no such text of the catalog"))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TextParameters {
    /// The one in force where it is not given.
    version: Option<u64>,
}

/// A text as it was given, of the version in force or of any other.
#[utoipa::path(
    get,
    path = "/catalog/{kind}",
    tag = "catalog",
    params(("kind" = String, Path, description = "A text of the catalog, such as `fences`."), TextParameters),
    responses(
        (status = 200, description = "The text, with an `ETag`.", content((Object = "application/geo+json"), (Object = "application/json"), (String = "text/csv"))),
        (status = 404, description = "No such text."),
    ),
)]
async fn text(
    State(gateway): Shared,
    Path(path): Path<String>,
    Query(parameters): Query<TextParameters>,
) -> Result<Response, Problem> {
    let kind = kind(&path)?;
    let number = parameters
        .version
        .unwrap_or_else(|| gateway.catalog.in_force().number);
    let versions = gateway.catalog.versions();
    let text =
        versions.map(|versions| tokio::task::block_in_place(|| versions.text(number, kind.name)));
    let text = text.transpose()?.flatten().filter(|text| !text.is_empty());
    let (media_type, none) = match kind.form {
        Form::GeoJson => ("application/geo+json", NO_FEATURES),
        Form::Rules => ("application/json", NO_RULES),
        Form::Csv => ("text/csv; charset=utf-8", ""),
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::ETAG, etag(number)),
    ];
    let text = text.unwrap_or_else(|| none.to_owned());
    Ok((headers, text).into_response())
}

fn etag(number: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{number}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}

#[derive(Debug, Serialize, ToSchema)]
struct VersionView {
    number: u64,
    created_at: String,
    author: String,
    note: String,
    effective_from: String,
    in_force_at: Option<String>,
}

impl From<VersionInfo> for VersionView {
    fn from(version: VersionInfo) -> Self {
        Self {
            number: version.number,
            created_at: clock::rfc3339(version.created_at),
            author: version.author,
            note: version.note,
            effective_from: clock::rfc3339(version.effective_from),
            in_force_at: version.in_force_at.map(clock::rfc3339),
        }
    }
}

/// Versions of the catalog, the newest first.
#[utoipa::path(
    get,
    path = "/catalog/versions",
    tag = "catalog",
    params(PageParameters),
    responses(
        (status = 200, body = Page<VersionView>),
    ),
)]
async fn versions(
    State(gateway): Shared,
    Query(parameters): Query<PageParameters>,
) -> Result<Json<Page<VersionView>>, Problem> {
    let limit = limit(parameters.limit)?;
    let before = decode_cursor(parameters.cursor.as_deref())?;
    let found = match gateway.catalog.versions() {
        Some(versions) => tokio::task::block_in_place(|| versions.list(before, limit))?,
        None => Vec::new(),
    };
    let key = |version: &VersionInfo| version.number;
    Ok(Json(Page::of(found, limit, key, VersionView::from)))
}

/// Forgets a version that waits for its time.
#[utoipa::path(
    delete,
    path = "/catalog/versions/{number}",
    tag = "catalog",
    params(("number" = u64, Path, description = "Of a version.")),
    responses(
        (status = 204, description = "It is forgotten."),
        (status = 404, description = "No version of this number waits."),
    ),
)]
async fn cancel(State(gateway): Shared, Path(number): Path<u64>) -> Result<StatusCode, Problem> {
    let versions = gateway.catalog.versions();
    let cancelled =
        versions.map(|versions| tokio::task::block_in_place(|| versions.cancel(number)));
    if cancelled.transpose()? == Some(true) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("no version of this number waits"))
    }
}

/// What may stand behind the path of a change.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EditParameters {
    /// Who changes it.
    author: Option<String>,
    /// Why.
    note: Option<String>,
    /// From when on; at once where it is not given.
    #[param(format = DateTime)]
    effective_from: Option<String>,
    /// Check it, and change nothing.
    #[serde(default)]
    rehearsal: bool,
}

/// Changes a text of the catalog: a version.
#[utoipa::path(
    put,
    path = "/catalog/{kind}",
    tag = "catalog",
    params(("kind" = String, Path, description = "A text of the catalog, such as `fences`."), EditParameters, ("If-Match" = Option<String>, Header, description = "The `ETag` of what was seen.")),
    request_body(content = String, content_type = "text/plain", description = "GeoJSON, JSON or CSV, as the text is."),
    responses(
        (status = 200, description = "With its `ETag`; nothing is changed by a rehearsal.", body = EditedView),
        (status = 404, description = "No such text, or no such thing in it."),
        (status = 409, description = "A version waits already."),
        (status = 412, description = "Another version is in force than `If-Match` says."),
        (status = 422, description = "The catalog would have mistakes; with each of them."),
        (status = 503, description = "The log or the store takes nothing."),
    ),
)]
async fn put_text(
    State(gateway): Shared,
    Path(path): Path<String>,
    Query(parameters): Query<EditParameters>,
    headers: HeaderMap,
    text: String,
) -> Result<Response, Problem> {
    edit(&gateway, &path, Change::Text(text), parameters, &headers).await
}

/// Changes one thing of a text, or adds it: a version.
#[utoipa::path(
    put,
    path = "/catalog/{kind}/{id}",
    tag = "catalog",
    params(("kind" = String, Path, description = "A text of the catalog, such as `fences`."), ("id" = String, Path, description = "By what the text's things are known."), EditParameters, ("If-Match" = Option<String>, Header, description = "The `ETag` of what was seen.")),
    request_body = Object,
    responses(
        (status = 200, description = "With its `ETag`; nothing is changed by a rehearsal.", body = EditedView),
        (status = 404, description = "No such text, or no such thing in it."),
        (status = 409, description = "A version waits already."),
        (status = 412, description = "Another version is in force than `If-Match` says."),
        (status = 422, description = "The catalog would have mistakes; with each of them."),
        (status = 503, description = "The log or the store takes nothing."),
    ),
)]
async fn put_thing(
    State(gateway): Shared,
    Path((path, id)): Path<(String, String)>,
    Query(parameters): Query<EditParameters>,
    headers: HeaderMap,
    Json(thing): Json<Value>,
) -> Result<Response, Problem> {
    edit(
        &gateway,
        &path,
        Change::Put(id, thing),
        parameters,
        &headers,
    )
    .await
}

/// Takes one thing out of a text: a version.
#[utoipa::path(
    delete,
    path = "/catalog/{kind}/{id}",
    tag = "catalog",
    params(("kind" = String, Path, description = "A text of the catalog, such as `fences`."), ("id" = String, Path, description = "By what the text's things are known."), EditParameters, ("If-Match" = Option<String>, Header, description = "The `ETag` of what was seen.")),
    responses(
        (status = 200, description = "With its `ETag`; nothing is changed by a rehearsal.", body = EditedView),
        (status = 404, description = "No such text, or no such thing in it."),
        (status = 409, description = "A version waits already."),
        (status = 412, description = "Another version is in force than `If-Match` says."),
        (status = 422, description = "The catalog would have mistakes; with each of them."),
        (status = 503, description = "The log or the store takes nothing."),
    ),
)]
async fn remove_thing(
    State(gateway): Shared,
    Path((path, id)): Path<(String, String)>,
    Query(parameters): Query<EditParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    edit(&gateway, &path, Change::Remove(id), parameters, &headers).await
}

#[derive(Debug, Serialize, ToSchema)]
struct EditedView {
    version: Option<u64>,
    in_force: bool,
    /// Holes between unit grids, and communities whose grids do not lie together, where the grids were
    /// changed: the first ones, as sentences.
    warnings: Vec<String>,
    /// How many there are; of holes and of communities a thousand each at most.
    warnings_total: usize,
}

async fn edit(
    gateway: &Arc<Gateway>,
    path: &str,
    change: Change,
    parameters: EditParameters,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let edit = Edit {
        kind: kind(path)?,
        change,
        author: short("author", parameters.author, AUTHOR_BYTES_MAX)?,
        note: short("note", parameters.note, NOTE_BYTES_MAX)?,
        effective_from: moment("effective_from", parameters.effective_from.as_deref())?,
        seen: seen(headers)?,
        is_rehearsal: parameters.rehearsal,
    };
    let edited = edit.apply(gateway).await?;
    let view = Json(EditedView {
        version: edited.version,
        in_force: edited.is_in_force,
        warnings: edited.warnings.shown,
        warnings_total: edited.warnings.total,
    });
    Ok(match edited.version {
        Some(number) => ([(header::ETAG, etag(number))], view).into_response(),
        None => view.into_response(),
    })
}

fn short(name: &str, text: Option<String>, bytes_max: usize) -> Result<String, Problem> {
    let text = text.unwrap_or_default();
    if text.len() <= bytes_max && !text.contains(char::is_control) {
        Ok(text)
    } else {
        let what = format!("{name}: at most {bytes_max} bytes of one line");
        Err(Problem::bad_request(what))
    }
}

/// The version in `If-Match`.
fn seen(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    let number = value.to_str().ok().and_then(|text| {
        let quoted = text.trim().strip_prefix('"')?.strip_suffix('"')?;
        quoted.parse().ok()
    });
    match number {
        Some(number) => Ok(Some(number)),
        None => Err(Problem::bad_request("If-Match: not an ETag of this API")),
    }
}

impl From<EditError> for Problem {
    fn from(error: EditError) -> Self {
        use crate::catalog::TextError;
        let what = error.to_string();
        match error {
            EditError::Text(TextError::NotThere { .. }) => Self::not_found(what),
            EditError::Text(_) => Self::mistakes(what, Vec::new()),
            EditError::Mistakes(mistakes) => Self::mistakes(
                "the catalog would have mistakes",
                mistakes.iter().map(ToString::to_string).collect(),
            ),
            EditError::Conflict { .. } => Self::new(StatusCode::PRECONDITION_FAILED, what),
            EditError::Waiting { .. } => Self::new(StatusCode::CONFLICT, what),
            EditError::Versions(error) => error.into(),
            EditError::Log(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, what),
        }
    }
}
