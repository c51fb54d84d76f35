//! The page, built into the binary.

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};

use crate::Gateway;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Path, type, content.
const FILES: &[(&str, &str, &[u8])] = &[
    ("/", HTML, include_bytes!("../../web/index.html")),
    ("/assets/map.js", SCRIPT, include_bytes!("../../web/map.js")),
    (
        "/assets/cases.js",
        SCRIPT,
        include_bytes!("../../web/cases.js"),
    ),
    (
        "/assets/city.js",
        SCRIPT,
        include_bytes!("../../web/city.js"),
    ),
    (
        "/assets/details.js",
        SCRIPT,
        include_bytes!("../../web/details.js"),
    ),
    (
        "/assets/explain.js",
        SCRIPT,
        include_bytes!("../../web/explain.js"),
    ),
    (
        "/assets/fleet.js",
        SCRIPT,
        include_bytes!("../../web/fleet.js"),
    ),
    (
        "/assets/live.js",
        SCRIPT,
        include_bytes!("../../web/live.js"),
    ),
    (
        "/assets/text.js",
        SCRIPT,
        include_bytes!("../../web/text.js"),
    ),
    ("/desk", HTML, include_bytes!("../../web/desk.html")),
    (
        "/assets/desk.css",
        CSS,
        include_bytes!("../../web/desk.css"),
    ),
    (
        "/assets/desk.js",
        SCRIPT,
        include_bytes!("../../web/desk.js"),
    ),
    (
        "/assets/desk-api.js",
        SCRIPT,
        include_bytes!("../../web/desk-api.js"),
    ),
    (
        "/assets/desk-case.js",
        SCRIPT,
        include_bytes!("../../web/desk-case.js"),
    ),
    (
        "/assets/desk-text.js",
        SCRIPT,
        include_bytes!("../../web/desk-text.js"),
    ),
    (
        "/assets/print.css",
        CSS,
        include_bytes!("../../web/print.css"),
    ),
    ("/assets/map.css", CSS, include_bytes!("../../web/map.css")),
    (
        "/assets/maplibre-gl.js",
        SCRIPT,
        include_bytes!("../../web/vendor/maplibre-gl/maplibre-gl-csp.js"),
    ),
    (
        "/assets/maplibre-gl-worker.js",
        SCRIPT,
        include_bytes!("../../web/vendor/maplibre-gl/maplibre-gl-csp-worker.js"),
    ),
    (
        "/assets/maplibre-gl.css",
        CSS,
        include_bytes!("../../web/vendor/maplibre-gl/maplibre-gl.css"),
    ),
    // Its licence asks to go wherever the binary goes.
    (
        "/assets/maplibre-gl-license.txt",
        PLAIN,
        include_bytes!("../../web/vendor/maplibre-gl/LICENSE.txt"),
    ),
];

/// One route a file.
pub fn routes() -> Router<Arc<Gateway>> {
    FILES
        .iter()
        .fold(Router::new(), |router, (path, kind, content)| {
            router.route(path, get(async move || file(kind, content)))
        })
}

fn file(kind: &'static str, content: &'static [u8]) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        // Another version of the binary brings other files under the same names.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, content).into_response()
}
