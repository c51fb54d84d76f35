//! What proves a case: `/api/v1/cases/{id}/evidence`, the track around it as GeoJSON, and the page for
//! paper at `/cases/{id}/print`.
//!
//! A case carries its own evidence: fixes, thresholds and measures stay when the positions have gone.
//! What has gone since (positions, the version of a rule, media) is said, never left out in silence.

mod drawing;
mod print;
mod shape;
mod words;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use geofence::{
    case::{Case, desk::CaseChange, policy::Desk},
    identity::CaseId,
    language::Language,
    position::Position,
    units::Timestamp,
    violation::Violation,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use storage::media::{Media, MediaId, MediaQuery};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{
    shape::{RuleShape, ShapeState},
    words::Words as _,
};
use super::{ScopeParameters, view::CaseDetail};
use crate::{
    Gateway,
    clock::{self, rfc3339},
    http::{
        Problem,
        api::Shared,
        explain,
        media::{self, MediaView},
        tracks::{enter, in_background},
        view::FixView,
    },
    tracks::{Gaps, seconds},
};

/// Of this document: a change that breaks its readers raises it.
const FORMAT: u32 = 1;

pub(super) fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .routes(routes!(document))
        .routes(routes!(track))
}

/// For people and paper; not below `/api/v1`.
pub(in crate::http) fn pages() -> Router<Arc<Gateway>> {
    Router::new().route("/cases/{id}/print", get(page))
}

/// Everything, gathered once, whoever reads it.
struct Pack {
    case: Case,
    history: Vec<CaseChange>,
    desk: Arc<Desk>,
    made_at: Timestamp,
    rules: Vec<RuleShape>,
    /// Of the machinery that judges, or why it says nothing.
    explanation: Result<Value, &'static str>,
    media: Vec<Picture>,
    track: Track,
    gone: Vec<Gone>,
}

/// A medium of the case, or one that its terminal sent at the time.
struct Picture {
    is_named: bool,
    media: Media,
}

/// The stored positions around the case.
#[derive(Default)]
struct Track {
    from: Timestamp,
    to: Timestamp,
    positions: Vec<Position>,
    is_cut: bool,
}

/// What was there once.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Gone {
    what: &'static str,
    name: String,
    missing: usize,
    of: usize,
}

impl Pack {
    async fn gather(gateway: &Arc<Gateway>, id: CaseId, scope: &str) -> Result<Self, Problem> {
        let found = gateway.store.case(id).await?;
        let case = found.filter(|case| case.concerns(scope));
        let case = case.ok_or_else(|| Problem::not_found("no such case"))?;
        let history = gateway.store.case_history(id).await?;
        let mut gone = Vec::new();
        let track = Track::of(gateway, &case).await?;
        let lost = track.lost(&case);
        gone.extend(lost.clone());
        let (shared, asked) = (Arc::clone(gateway), case.clone());
        let rules = in_background(move || shape::of_case(&shared, &asked)).await??;
        for rule in &rules {
            if matches!(rule.state, ShapeState::Gone | ShapeState::OtherVersion) {
                gone.push(Gone {
                    what: "rule",
                    name: rule.id.clone(),
                    missing: 1,
                    of: 1,
                });
            }
        }
        let media = pictures(gateway, &case, &track, &mut gone).await?;
        let explanation = explanation(gateway, case.violation(), lost.is_some()).await?;
        Ok(Self {
            desk: gateway.cases.desk(&gateway.catalog.in_force()),
            made_at: clock::now(),
            case,
            history,
            rules,
            explanation,
            media,
            track,
            gone,
        })
    }
}

impl Track {
    async fn of(gateway: &Arc<Gateway>, case: &Case) -> Result<Self, Problem> {
        let config = &gateway.config.evidence;
        let (begin, end) = case.span();
        let (from, to) = (begin.before(config.margin), end.after(config.margin));
        let Some(terminal) = case.terminal else {
            return Ok(Self {
                from,
                to,
                ..Self::default()
            });
        };
        let _reader = enter(gateway)?;
        let most = config.positions_max as usize;
        let (positions, is_cut) = explain::positions(gateway, terminal, (from, to), most).await?;
        Ok(Self {
            from,
            to,
            positions,
            is_cut,
        })
    }

    /// Fixes of the evidence that are stored no longer. What was cut off is not gone.
    fn lost(&self, case: &Case) -> Option<Gone> {
        let oldest = self.positions.first().filter(|_| self.is_cut);
        let fixes = case
            .intervals
            .iter()
            .filter(|interval| Some(interval.violation.terminal) == case.terminal)
            .flat_map(|interval| &interval.violation.evidence.fixes);
        let asked: Vec<_> = fixes
            .filter(|fix| oldest.is_none_or(|oldest| fix.fixed_at > oldest.fixed_at))
            .collect();
        let is_stored = |at: Timestamp| {
            self.positions
                .binary_search_by_key(&at, |position| position.fixed_at)
                .is_ok()
        };
        let missing = asked.iter().filter(|fix| !is_stored(fix.fixed_at)).count();
        (missing > 0).then(|| Gone {
            what: "positions",
            name: String::new(),
            missing,
            of: asked.len(),
        })
    }

    /// The known ways, cut where nobody knows the way; times beside them.
    fn lines(&self, gateway: &Gateway) -> Vec<Vec<&Position>> {
        let mut gaps = Gaps::new(gateway.config.tracks.gap, None);
        let mut lines: Vec<Vec<&Position>> = vec![Vec::new()];
        for position in self.positions.iter().filter(|one| one.is_positioned) {
            if gaps.next(position.fixed_at).is_some() {
                lines.push(Vec::new());
            }
            if let Some(line) = lines.last_mut() {
                line.push(position);
            }
        }
        lines.retain(|line| !line.is_empty());
        lines
    }
}

/// The moment when it was sure, judged once more. Without the positions it would say that nothing was
/// heard, which is not true of the case.
async fn explanation(
    gateway: &Arc<Gateway>,
    violation: Option<&Violation>,
    is_lost: bool,
) -> Result<Result<Value, &'static str>, Problem> {
    let Some(violation) = violation else {
        return Ok(Err("reported"));
    };
    if is_lost {
        return Ok(Err("positions_gone"));
    }
    let rule = violation.rule.id.clone();
    let at = violation.confirmed_at;
    match explain::explained(gateway, violation.terminal, rule, at, None).await {
        Ok(Json(view)) => Ok(serde_json::to_value(&view).map_err(|_| "unreadable")),
        Err(problem) if problem.status == StatusCode::NOT_FOUND.as_u16() => Ok(Err("rule_gone")),
        Err(problem) => Err(problem),
    }
}

/// Those that the case names, and those that its terminal sent around it.
async fn pictures(
    gateway: &Gateway,
    case: &Case,
    track: &Track,
    gone: &mut Vec<Gone>,
) -> Result<Vec<Picture>, Problem> {
    let names = case.media.clone();
    let query = case.terminal.map(|terminal| MediaQuery {
        terminal: Some(terminal),
        alarm_number: None,
        from: Some(track.from),
        to: Some(track.to),
        before: None,
        limit: gateway.config.cases.media_max,
    });
    let read = move |store: &storage::media::MediaStore| {
        let mut named = Vec::new();
        for name in names {
            let media = match name.parse::<MediaId>() {
                Ok(id) => store.get(id)?,
                Err(_) => None,
            };
            named.push((name, media));
        }
        let near = query.map(|query| store.list(&query)).transpose()?;
        Ok((named, near.unwrap_or_default()))
    };
    let (named, near) = media::in_background(gateway, read).await?;
    let mut found: Vec<Picture> = Vec::new();
    for (name, media) in named {
        match media {
            Some(media) => found.push(Picture {
                is_named: true,
                media,
            }),
            None => gone.push(Gone {
                what: "media",
                name,
                missing: 1,
                of: 1,
            }),
        }
    }
    for media in near {
        if found.iter().all(|picture| picture.media.id != media.id) {
            found.push(Picture {
                is_named: false,
                media,
            });
        }
    }
    Ok(found)
}

#[derive(Debug, Serialize, ToSchema)]
struct Links {
    #[serde(rename = "self")]
    document: String,
    print: String,
    track: String,
    case: String,
}

impl Links {
    fn of(id: CaseId) -> Self {
        Self {
            document: format!("/api/v1/cases/{id}/evidence"),
            print: format!("/cases/{id}/print"),
            track: format!("/api/v1/cases/{id}/track.geojson"),
            case: format!("/api/v1/cases/{id}"),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct PictureView {
    /// The case names it; else its terminal sent it around that time.
    named: bool,
    #[serde(flatten)]
    media: MediaView,
}

#[derive(Debug, Serialize, ToSchema)]
struct TrackView {
    from: String,
    to: String,
    fixes: usize,
    #[serde(rename = "cut")]
    is_cut: bool,
}

#[derive(Debug, Serialize, ToSchema)]
struct PackView {
    format: u32,
    made_at: String,
    links: Links,
    case: CaseDetail,
    #[schema(value_type = Vec<Object>)]
    rules: Vec<RuleShape>,
    #[schema(value_type = Option<Object>)]
    explanation: Option<Value>,
    /// Why there is none.
    no_explanation: Option<&'static str>,
    media: Vec<PictureView>,
    track: TrackView,
    gone: Vec<Gone>,
}

/// The evidence of a case.
#[utoipa::path(
    get,
    path = "/cases/{id}/evidence",
    tag = "cases",
    params(("id" = String, Path), ScopeParameters),
    responses(
        (status = 200, body = PackView),
        (status = 404, description = "No such case."),
        (status = 503, description = "The store is away."),
    ),
)]
async fn document(
    State(gateway): Shared,
    Path(id): Path<CaseId>,
    Query(parameters): Query<ScopeParameters>,
) -> Result<Json<PackView>, Problem> {
    let scope = parameters.scope.unwrap_or_default();
    let pack = Pack::gather(&gateway, id, &scope).await?;
    let catalog = &gateway.catalog;
    let picture = |picture: Picture| PictureView {
        named: picture.is_named,
        media: MediaView::new(picture.media, catalog),
    };
    let no_explanation = pack.explanation.as_ref().err().copied();
    Ok(Json(PackView {
        format: FORMAT,
        made_at: rfc3339(pack.made_at),
        links: Links::of(id),
        case: CaseDetail::new(&pack.case, pack.history, &pack.desk, pack.made_at, catalog),
        rules: pack.rules,
        explanation: pack.explanation.ok(),
        no_explanation,
        media: pack.media.into_iter().map(picture).collect(),
        track: TrackView {
            from: rfc3339(pack.track.from),
            to: rfc3339(pack.track.to),
            fixes: pack.track.positions.len(),
            is_cut: pack.track.is_cut,
        },
        gone: pack.gone,
    }))
}

/// The track around the case, the fixes that decided, and what the rule is about: `part` tells them
/// apart.
#[utoipa::path(
    get,
    path = "/cases/{id}/track.geojson",
    tag = "cases",
    params(("id" = String, Path), ScopeParameters),
    responses(
        (status = 200, description = "The file.", body = Object, content_type = "application/geo+json"),
        (status = 404, description = "No such case."),
        (status = 503, description = "The store is away."),
    ),
)]
async fn track(
    State(gateway): Shared,
    Path(id): Path<CaseId>,
    Query(parameters): Query<ScopeParameters>,
) -> Result<Response, Problem> {
    let scope = parameters.scope.unwrap_or_default();
    let pack = Pack::gather(&gateway, id, &scope).await?;
    let shared = Arc::clone(&gateway);
    let work = move || geojson(&pack, &shared).to_string();
    let text = in_background(work).await?;
    let kind = HeaderValue::from_static("application/geo+json");
    let name = HeaderValue::from_str(&format!("attachment; filename=\"case-{id}.geojson\""));
    let name = name.unwrap_or_else(|_| HeaderValue::from_static("attachment"));
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, text).into_response())
}

fn geojson(pack: &Pack, gateway: &Gateway) -> Value {
    let mut features = Vec::new();
    let mut previous: Option<Timestamp> = None;
    for line in pack.track.lines(gateway) {
        let places = line
            .iter()
            .map(|p| [p.longitude.degrees(), p.latitude.degrees()]);
        let places: Vec<[f64; 2]> = places.collect();
        let times: Vec<String> = line.iter().map(|p| rfc3339(p.fixed_at)).collect();
        let first = line.first().map(|position| position.fixed_at);
        let gap = previous.zip(first);
        let gap_s = gap.map(|(last, first)| seconds(first.millis_since(last)));
        previous = line.last().map(|position| position.fixed_at);
        // A line has two ends.
        let geometry = match places.as_slice() {
            [only] => json!({"type": "Point", "coordinates": only}),
            all => json!({"type": "LineString", "coordinates": all}),
        };
        features.push(json!({
            "type": "Feature",
            "properties": {"part": "track", "coordTimes": times, "gap_s": gap_s},
            "geometry": geometry,
        }));
    }
    for interval in &pack.case.intervals {
        let violation = &interval.violation;
        for fix in &violation.evidence.fixes {
            let mut properties = json!(FixView::from(fix));
            if let Some(properties) = properties.as_object_mut() {
                properties.insert("part".to_owned(), json!("evidence"));
                properties.insert("violation".to_owned(), json!(violation.id.to_string()));
                properties.insert("stands".to_owned(), json!(interval.stands));
            }
            let place = [fix.longitude.degrees(), fix.latitude.degrees()];
            features.push(json!({
                "type": "Feature",
                "properties": properties,
                "geometry": {"type": "Point", "coordinates": place},
            }));
        }
    }
    for rule in &pack.rules {
        for feature in rule.features.iter().chain(&rule.unit_grids) {
            features.push(json!({
                "type": "Feature",
                "properties": {
                    "part": "rule", "rule": rule.id, "state": rule.state,
                    "of": feature.get("properties"),
                },
                "geometry": feature.get("geometry"),
            }));
        }
    }
    json!({
        "type": "FeatureCollection",
        "features": features,
        "from": rfc3339(pack.track.from),
        "to": rfc3339(pack.track.to),
        "cut": pack.track.is_cut,
        "gone": pack.gone,
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PageParameters {
    scope: Option<String>,
    lang: Option<String>,
}

async fn page(
    State(gateway): Shared,
    Path(id): Path<CaseId>,
    Query(parameters): Query<PageParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let accepted = headers.get(header::ACCEPT_LANGUAGE);
    let accepted = accepted.and_then(|value| value.to_str().ok());
    let language = match parameters.lang.as_deref() {
        Some(word) => {
            Language::from_word(word).ok_or_else(|| Problem::bad_request("lang: one of zh, en"))?
        }
        None => Language::accepted(accepted.unwrap_or_default()),
    };
    let scope = parameters.scope.unwrap_or_default();
    let pack = Pack::gather(&gateway, id, &scope).await?;
    let shared = Arc::clone(&gateway);
    let text = in_background(move || print::page(&pack, &shared, language).into_string()).await?;
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    let fresh = HeaderValue::from_static("no-cache");
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, fresh)];
    Ok((headers, text).into_response())
}
