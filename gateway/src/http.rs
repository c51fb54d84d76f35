//! Health, metrics, the API and the page. Errors are problem documents (RFC 9457).

pub mod api;
pub mod backtests;
mod callbacks;
mod cases;
pub mod catalog;
pub mod commands;
mod deliveries;
mod evaluation;
mod explain;
pub mod live;
pub mod media;
mod openapi;
pub mod page;
mod passwords;
mod tasks;
pub mod terminals;
mod tracks;
pub mod view;

use std::{future::Future, sync::Arc};

use axum::{
    Json, Router,
    extract::{Request, State, rejection::JsonRejection},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use storage::store::StoreError;
use tokio::net::TcpListener;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{Gateway, status::Readiness};

/// Only this origin, no inline script; the map draws in a worker of its own file.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; \
     connect-src 'self' ws: wss:; worker-src 'self'; style-src 'self'; script-src 'self'; \
     object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/// Longer texts of a refusal are left out.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// Serves until `stop` is done.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    gateway: Arc<Gateway>,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(gateway))
        .with_graceful_shutdown(stop)
        .await
}

fn router(gateway: Arc<Gateway>) -> Router {
    let (described, _) = described(gateway.config.catalog.text_bytes_max).split_for_parts();
    described
        .merge(page::routes())
        .merge(cases::pages())
        .fallback(async || Problem::not_found("no such path"))
        .layer(middleware::from_fn_with_state(Arc::clone(&gateway), guard))
        .with_state(gateway)
}

/// Everything but the page, with its description; texts of the catalog may have so many bytes.
fn described(text_bytes_max: usize) -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::with_openapi(openapi::frame())
        .routes(routes!(healthy))
        .routes(routes!(ready))
        .routes(routes!(metrics))
        .nest("/api/v1", api::routes(text_bytes_max))
}

/// Counts requests by route, refuses foreign hosts and origins, and sets the headers that protect
/// the page. A loopback listener is open to every page that the same browser shows (DNS rebinding,
/// cross-site WebSockets): only a local `Host`, and an `Origin` that equals it, may pass.
async fn guard(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<axum::extract::MatchedPath>()
        .map_or("other", |path| path.as_str())
        .to_owned();
    let mut response = if !is_from_here(&request) {
        Problem::new(StatusCode::FORBIDDEN, "this host or origin may not ask").into_response()
    } else if let Some(name) = openapi::unknown_parameter(&route, &request) {
        Problem::bad_request(format!("{name}: no such parameter")).into_response()
    } else {
        as_problem(next.run(request).await).await
    };
    let class = match response.status().as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    };
    gateway.metrics.count_request(&route, class);
    let headers = response.headers_mut();
    let policy = HeaderValue::from_static(CONTENT_SECURITY_POLICY);
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    response
}

/// What was refused before a handler saw it, such as a number that is none, as a problem document
/// like everything else.
async fn as_problem(response: Response) -> Response {
    let status = response.status();
    let is_text = match response.headers().get(header::CONTENT_TYPE) {
        Some(kind) => kind.as_bytes().starts_with(b"text/plain"),
        None => true,
    };
    if !is_text || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let text = axum::body::to_bytes(body, REFUSAL_BYTES_MAX).await;
    let text = text.unwrap_or_default();
    let detail = if text.is_empty() {
        status.canonical_reason().unwrap_or_default().into()
    } else {
        String::from_utf8_lossy(&text)
    };
    let problem = Problem::new(status, detail).into_response();
    // `Allow` stays.
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_TYPE);
    let (problem_parts, body) = problem.into_parts();
    parts.headers.extend(problem_parts.headers);
    Response::from_parts(parts, body)
}

fn is_from_here(request: &Request) -> bool {
    let text = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let Some(host) = text(header::HOST) else {
        return false;
    };
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|b| b.is_ascii_digit()) {
            name
        } else {
            host
        }
    });
    let is_local = matches!(name, "localhost" | "[::1]")
        || name
            .parse::<std::net::Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback());
    let same_origin = text(header::ORIGIN).is_none_or(|origin| {
        origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"))
            == Some(host)
    });
    is_local && same_origin
}

/// What is wrong, after RFC 9457.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    /// Each of many things that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mistakes: Vec<String>,
    /// Members beyond those of the RFC.
    #[serde(flatten)]
    #[schema(ignore)]
    more: serde_json::Map<String, serde_json::Value>,
}

impl Problem {
    /// With the status's own words as title.
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self {
            kind: "about:blank",
            title,
            status: status.as_u16(),
            detail: detail.into(),
            mistakes: Vec::new(),
            more: serde_json::Map::new(),
        }
    }

    /// 422: the request was understood, and what it asks for has mistakes.
    #[must_use]
    pub fn mistakes(detail: impl Into<String>, mistakes: Vec<String>) -> Self {
        Self {
            mistakes,
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
    }

    /// With one more member.
    #[must_use]
    pub fn with(mut self, name: &str, value: &impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.more.insert(name.to_owned(), value);
        }
        self
    }

    /// 404.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 400.
    #[must_use]
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

/// Says `ok` while the process answers at all.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operation",
    responses((status = 200, body = String)),
)]
async fn healthy() -> &'static str {
    "ok\n"
}

/// Ready means: terminals get their positions acknowledged.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operation",
    responses(
        (status = 200, description = "Ready.", body = Readiness),
        (status = 503, description = "Not ready.", body = Readiness),
    ),
)]
async fn ready(State(gateway): State<Arc<Gateway>>) -> Response {
    let readiness = gateway.readiness();
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(readiness)).into_response()
}

/// All metrics, as Prometheus reads them.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operation",
    responses((status = 200, body = String)),
)]
async fn metrics(State(gateway): State<Arc<Gateway>>) -> Response {
    gateway.refresh_gauges();
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], gateway.metrics.render()).into_response()
}
