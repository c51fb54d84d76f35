//! `/api/v1/openapi.json`: the API described (OpenAPI 3.1). Handlers and the types of their bodies
//! describe themselves; what holds for all of them is added here, in one place.

mod complete;
pub(super) mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use axum::{
    extract::{Query, Request},
    http::{HeaderValue, header},
    response::IntoResponse,
};
use serde_json::Value;
use utoipa::{
    PartialSchema as _,
    openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, tag::TagBuilder},
};

use super::Problem;

const TITLE: &str = "gridtrace";
const DESCRIPTION: &str = "Terminals of a city's sanitation fleet, what they sent, what checks found in it, and the \
     cases that came of it. Lists are `items` with `next`: where it is not null, it goes back as `cursor` for \
     the next page. Moments are RFC 3339, UTC; coordinates are degrees, WGS-84; units are in the names. \
     Whatever is refused is a problem document (RFC 9457); a parameter that a path does not have is refused.";

/// Every tag, in the order of the way that data go.
const TAGS: &[(&str, &str)] = &[
    (
        "terminals",
        "Who has registered, who is online, who was refused and why.",
    ),
    (
        "positions",
        "Stored positions as lists, tracks and files; the newest ones.",
    ),
    (
        "media",
        "Pictures, sound, video and attachments of terminals.",
    ),
    (
        "commands",
        "What terminals are to do, and what became of it.",
    ),
    (
        "catalog",
        "What the city is made of, its versions, and changes of it.",
    ),
    (
        "cases",
        "Cases, their history and clocks, and moves of them.",
    ),
    (
        "tasks",
        "What inspectors are to look at, and their answers.",
    ),
    (
        "evaluation",
        "Figures, indicators and scores, and the cases behind them.",
    ),
    (
        "deliveries",
        "What receivers were told of cases, and moves that they ask for.",
    ),
    ("explain", "Why a rule has found something, or why not."),
    ("backtests", "What a draft of the catalog would have found."),
    ("live", "The stream of changes."),
    ("operation", "Health, metrics and this description."),
];

/// What stands around the routes.
pub(super) fn frame() -> OpenApi {
    let tags = TAGS.iter().map(|(name, what)| {
        let tag = TagBuilder::new().name(*name);
        tag.description(Some(*what)).build()
    });
    let info = InfoBuilder::new()
        .title(TITLE)
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION));
    let problem = ComponentsBuilder::new().schema(complete::PROBLEM, Problem::schema());
    OpenApiBuilder::new()
        .info(info.build())
        .tags(Some(tags))
        .components(Some(problem.build()))
        .build()
}

static DESCRIBED: LazyLock<Value> = LazyLock::new(|| {
    // The limit is of bodies, of which the description does not speak.
    let (_, api) = super::described(usize::MAX).split_for_parts();
    complete::completed(&api)
});

static TEXT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", *DESCRIBED));

/// This description.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operation",
    responses((status = 200, body = Object)),
)]
pub(super) async fn document() -> impl IntoResponse {
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], TEXT.as_str())
}

/// The parameters behind `?` of each method and path that is described.
static PARAMETERS: LazyLock<BTreeMap<(String, String), BTreeSet<String>>> = LazyLock::new(|| {
    let operations = complete::operations(&DESCRIBED);
    let known = operations.map(|(path, method, operation)| {
        let parameters = operation["parameters"].as_array();
        let parameters = parameters.into_iter().flatten();
        let names = parameters
            .filter(|parameter| parameter["in"] == "query")
            .filter_map(|parameter| parameter["name"].as_str())
            .map(str::to_owned);
        ((path.to_owned(), method.to_owned()), names.collect())
    });
    known.collect()
});

/// The first parameter of a request that its path does not have: whoever misspells a filter must
/// not get the unfiltered list.
pub(super) fn unknown_parameter(route: &str, request: &Request) -> Option<String> {
    if request.uri().query().is_none_or(str::is_empty) {
        return None;
    }
    let method = match request.method().as_str() {
        "HEAD" => "get".to_owned(),
        method => method.to_ascii_lowercase(),
    };
    let known = PARAMETERS.get(&(route.to_owned(), method))?;
    let Query(asked) = Query::<Vec<(String, String)>>::try_from_uri(request.uri()).ok()?;
    let mut names = asked.into_iter().map(|(name, _)| name);
    names.find(|name| !known.contains(name))
}

#[cfg(test)]
mod tests;
