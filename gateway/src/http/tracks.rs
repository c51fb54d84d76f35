//! `/api/v1/positions` and `/api/v1/terminals/{phone}/track`: stored positions as lists, as
//! simplified tracks and as files; the newest ones from the live map.

mod file;

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use geofence::{
    identity::TerminalId,
    units::{Latitude, Longitude, Timestamp},
};
use serde::{Deserialize, Serialize};
use storage::store::{MapBox, PositionQuery, PositionRow};
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Problem,
    api::{Page, Shared, decode_cursor, encode_cursor, limit, moment, terminal},
    view::{PositionView, TrackPoint},
};
use crate::{
    Gateway, clock,
    tracks::{
        Gaps, seconds,
        simplify::{Point, Simplifier, Summary},
    },
};

const RANGE_DEFAULT_MS: i64 = 24 * 3_600_000;
const GAP_MAX: Duration = Duration::from_secs(30 * 86_400);

pub(super) fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .routes(routes!(positions))
        .routes(routes!(latest))
        .routes(routes!(track))
        .merge(file::routes())
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LatestParameters {
    #[serde(rename = "box")]
    within: Option<String>,
    jurisdiction: Option<String>,
}

/// The newest position of every vehicle: the live map's view, so that it agrees with the stream and needs no store.
#[utoipa::path(
    get,
    path = "/positions/latest",
    tag = "positions",
    params(LatestParameters),
    responses(
        (status = 200, body = Page<PositionView>),
    ),
)]
async fn latest(
    State(gateway): Shared,
    Query(parameters): Query<LatestParameters>,
) -> Result<Json<Page<PositionView>>, Problem> {
    let within = map_box(parameters.within.as_deref())?;
    let jurisdiction = parameters.jurisdiction.unwrap_or_default();
    let mut items = gateway.live.views(|position| {
        within.is_none_or(|within| within.contains(position.latitude, position.longitude))
    });
    // A vehicle outside all unit grids is in nobody's jurisdiction.
    items.retain(|view| {
        let code = view.reading.unit_grid.as_deref().unwrap_or_default();
        code.starts_with(&jurisdiction)
    });
    Ok(Json(Page { items, next: None }))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PositionParameters {
    from: Option<String>,
    to: Option<String>,
    terminal: Option<String>,
    #[serde(rename = "box")]
    within: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// Stored positions, in the order of their fixes.
#[utoipa::path(
    get,
    path = "/positions",
    tag = "positions",
    params(PositionParameters),
    responses(
        (status = 200, body = Page<TrackPoint>),
        (status = 503, description = "The store is away."),
    ),
)]
async fn positions(
    State(gateway): Shared,
    Query(parameters): Query<PositionParameters>,
) -> Result<Json<Page<TrackPoint>>, Problem> {
    let (from, to) = (parameters.from.as_deref(), parameters.to.as_deref());
    let query = PositionQuery {
        terminal: parameters.terminal.as_deref().map(terminal).transpose()?,
        within: map_box(parameters.within.as_deref())?,
        after: decode_cursor(parameters.cursor.as_deref())?,
        limit: limit(parameters.limit)?,
        ..range(&gateway, from, to)?
    };
    let rows = gateway.store.positions(&query).await?;
    Ok(Json(Page::of(
        rows,
        query.limit,
        PositionRow::key,
        TrackPoint::from,
    )))
}

/// The row that the next page continues behind; `None` where there is no next page.
fn last_of_full_page<'a>(
    rows: &'a [PositionRow],
    query: &PositionQuery,
) -> Option<&'a PositionRow> {
    rows.last().filter(|_| rows.len() == query.limit as usize)
}

/// All positions of a range that begins a day ago unless another moment is named.
fn range(
    gateway: &Gateway,
    from: Option<&str>,
    to: Option<&str>,
) -> Result<PositionQuery, Problem> {
    let now = clock::now();
    let future = gateway.config.ingest.future_max;
    let query = PositionQuery {
        terminal: None,
        from: moment("from", from)?.unwrap_or_else(|| now.plus_millis(-RANGE_DEFAULT_MS)),
        to: moment("to", to)?.unwrap_or_else(|| now.after(future).plus_millis(1)),
        within: None,
        after: None,
        limit: gateway.config.tracks.page_rows,
    };
    if query.from > query.to {
        return Err(Problem::bad_request("from: later than to"));
    }
    Ok(query)
}

/// `west,south,east,north` in degrees.
fn map_box(text: Option<&str>) -> Result<Option<MapBox>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let wrong = |what: &str| Problem::bad_request(format!("box: {what}"));
    let numbers: Result<Vec<f64>, _> = text.split(',').map(|part| part.trim().parse()).collect();
    let [west, south, east, north] = numbers.as_deref().unwrap_or_default() else {
        return Err(wrong("expected west,south,east,north in degrees"));
    };
    let latitude = |degrees| {
        Latitude::from_degrees(degrees).ok_or_else(|| wrong("a latitude is -90 to 90 degrees"))
    };
    let longitude = |degrees| {
        Longitude::from_degrees(degrees).ok_or_else(|| wrong("a longitude is -180 to 180 degrees"))
    };
    let within = MapBox {
        west: longitude(*west)?,
        south: latitude(*south)?,
        east: longitude(*east)?,
        north: latitude(*north)?,
    };
    if within.south > within.north {
        return Err(wrong("south is north of north"));
    }
    if within.west > within.east {
        return Err(wrong(
            "west is east of east; a box over the 180th meridian is asked for in two parts",
        ));
    }
    Ok(Some(within))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TrackParameters {
    from: Option<String>,
    to: Option<String>,
    /// Silence that is a gap, such as `5m`; `tracks.gap` where it is not given.
    gap: Option<String>,
    /// So many points at most: those that carry the shape, the stops and the gaps.
    simplify: Option<u32>,
    cursor: Option<String>,
    limit: Option<u32>,
}

impl TrackParameters {
    fn gap(&self, gateway: &Gateway) -> Result<Duration, Problem> {
        let Some(text) = &self.gap else {
            return Ok(gateway.config.tracks.gap);
        };
        humantime::parse_duration(text)
            .ok()
            .filter(|gap| (Duration::from_secs(1)..=GAP_MAX).contains(gap))
            .ok_or_else(|| Problem::bad_request("gap: 1s to 30days, such as 5m"))
    }

    fn query(&self, gateway: &Gateway, phone: &str) -> Result<PositionQuery, Problem> {
        Ok(PositionQuery {
            terminal: Some(terminal(phone)?),
            ..range(gateway, self.from.as_deref(), self.to.as_deref())?
        })
    }

    /// For answers that are one piece.
    fn refuse_pages(&self, what: &str) -> Result<(), Problem> {
        if self.cursor.is_some() || self.limit.is_some() {
            return Err(Problem::bad_request(format!(
                "{what} has no pages: no limit, no cursor"
            )));
        }
        Ok(())
    }
}

/// A point of a track.
#[derive(Debug, Serialize, ToSchema)]
struct TrackItem {
    #[serde(flatten)]
    point: TrackPoint,
    /// How long the gap before it was: nobody knows the way from the usable fix before.
    gap_s: Option<f64>,
}

/// Where a page of a track continues, and the usable fix that its first gap counts from.
type TrackCursor = ((Timestamp, TerminalId, u32), Option<Timestamp>);

/// The track of a vehicle, its gaps marked, in pages or simplified.
#[utoipa::path(
    get,
    path = "/terminals/{phone}/track",
    tag = "positions",
    params(("phone" = String, Path), TrackParameters),
    responses(
        (status = 200, description = "A page of the track; with `simplify` the whole track, simplified.", body = TrackAnswer),
        (status = 503, description = "The store is away, or as many as `tracks.readers_max` are being read."),
    ),
)]
async fn track(
    State(gateway): Shared,
    Path(phone): Path<String>,
    Query(parameters): Query<TrackParameters>,
) -> Result<Json<TrackAnswer>, Problem> {
    let gap = parameters.gap(&gateway)?;
    let mut query = parameters.query(&gateway, &phone)?;
    if let Some(points_max) = parameters.simplify {
        parameters.refuse_pages("a simplified track")?;
        let track = simplified(&gateway, query, gap, points_max).await?;
        return Ok(Json(TrackAnswer::Simplified(track)));
    }
    let cursor: Option<TrackCursor> = decode_cursor(parameters.cursor.as_deref())?;
    query.after = cursor.map(|(after, _)| after);
    query.limit = limit(parameters.limit)?;
    let rows = gateway.store.positions(&query).await?;
    let mut gaps = Gaps::new(gap, cursor.and_then(|(_, last)| last));
    let marked: Vec<_> = rows
        .iter()
        .map(|row| {
            let position = &row.position;
            let gap_ms = (position.is_positioned).then(|| gaps.next(position.fixed_at));
            gap_ms.flatten().map(seconds)
        })
        .collect();
    let next =
        last_of_full_page(&rows, &query).and_then(|row| encode_cursor(&(row.key(), gaps.last())));
    let items = rows
        .into_iter()
        .zip(marked)
        .map(|(row, gap_s)| TrackItem {
            point: row.into(),
            gap_s,
        })
        .collect();
    Ok(Json(TrackAnswer::Page(Page { items, next })))
}

/// What a track is asked for as.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum TrackAnswer {
    Page(Page<TrackItem>),
    Simplified(SimplifiedTrack),
}

/// A track for a map.
#[derive(Debug, Serialize, ToSchema)]
struct SimplifiedTrack {
    items: Vec<SimplifiedPoint>,
    simplified: SimplifiedView,
}

/// A point that stayed.
#[derive(Debug, Serialize, ToSchema)]
struct SimplifiedPoint {
    fixed_at: String,
    lat: f64,
    lon: f64,
    speed_kmh: f64,
    heading_deg: u16,
    backlog: bool,
    gap_s: Option<f64>,
    /// It begins a stop of such a length.
    stop_s: Option<f64>,
}

impl From<&Point> for SimplifiedPoint {
    fn from(point: &Point) -> Self {
        let position = &point.position;
        Self {
            fixed_at: clock::rfc3339(position.fixed_at),
            lat: position.latitude.degrees(),
            lon: position.longitude.degrees(),
            speed_kmh: f64::from(position.speed_dkmh) / 10.0,
            heading_deg: position.heading_deg,
            backlog: position.is_backlog,
            gap_s: point.gap_ms.map(seconds),
            stop_s: point.stop_ms.map(seconds),
        }
    }
}

/// What the points stand for.
#[derive(Debug, Serialize, ToSchema)]
struct SimplifiedView {
    fixes: u64,
    unpositioned: u64,
    tolerance_m: f64,
    /// Only gaps longer than this are open: more than was asked for where there are too many.
    gap_s: f64,
    stop_s: f64,
}

impl From<Summary> for SimplifiedView {
    fn from(summary: Summary) -> Self {
        Self {
            fixes: summary.fixes,
            unpositioned: summary.unpositioned,
            tolerance_m: (summary.tolerance_m * 100.0).ceil() / 100.0,
            gap_s: seconds(summary.gap_ms),
            stop_s: seconds(summary.stop_ms),
        }
    }
}

async fn simplified(
    gateway: &Gateway,
    mut query: PositionQuery,
    gap: Duration,
    points_max: u32,
) -> Result<SimplifiedTrack, Problem> {
    let config = &gateway.config.tracks;
    let most = config.simplified_points_max;
    if !(2..=most).contains(&points_max) {
        return Err(Problem::bad_request(format!("simplify: 2 to {most}")));
    }
    let _place = enter(gateway)?;
    let mut simplifier = Simplifier::new(points_max, gap, config.stop_after);
    loop {
        let rows = gateway.store.positions(&query).await?;
        let last = last_of_full_page(&rows, &query).map(PositionRow::key);
        // Away from the threads that sockets need.
        simplifier = in_background(move || {
            let positions = rows.into_iter().map(|row| row.position);
            positions.for_each(|position| simplifier.push(position));
            simplifier
        })
        .await?;
        query.after = last;
        if last.is_none() {
            break;
        }
    }
    let (points, summary) = in_background(move || simplifier.finish()).await?;
    Ok(SimplifiedTrack {
        items: points.iter().map(SimplifiedPoint::from).collect(),
        simplified: summary.into(),
    })
}

pub(super) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

pub(super) fn enter(gateway: &Gateway) -> Result<OwnedSemaphorePermit, Problem> {
    gateway.track_readers.enter().ok_or_else(|| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "as many tracks as tracks.readers_max are being read; ask again later",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_has_four_edges_in_order_within_the_earth() {
        let within = map_box(Some("112.5, 37.8,112.6,37.9"))
            .ok()
            .flatten()
            .unwrap();
        assert_eq!(within.west, Longitude::from_degrees(112.5).unwrap());
        assert_eq!(within.north, Latitude::from_degrees(37.9).unwrap());
        assert!(map_box(Some("-180,-90,180,90")).is_ok());
        assert!(map_box(Some("1,2,1,2")).is_ok(), "a point");
        assert_eq!(map_box(None).ok().flatten(), None);
        for wrong in [
            "",
            "1,2,3",
            "1,2,3,4,5",
            "a,b,c,d",
            "NaN,2,3,4",
            "1,2,inf,4",
            "-180.1,2,3,4",
            "1,-90.1,3,4",
            "3,2,1,4",
            "1,4,3,2",
        ] {
            assert!(map_box(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
