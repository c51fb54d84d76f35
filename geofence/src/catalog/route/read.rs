//! Reading routes from GeoJSON.

use std::collections::HashMap;

use serde_json::Value;

use super::{
    super::{
        features::{Feature, Notes, VERTICES_MAX, Vertex, features, position},
        fence::{AppliesTo, audience, fingerprint, windows},
        mistake::{Place, Problem},
        schedule::{self, Schedule},
        vehicle::Vehicle,
    },
    plan::{CollectionPoint, ExemptSites, Route, RouteChecks, UnknownSweep},
    segments::{SegmentDraft, laid_segments, segments, strips},
    text::{Member, choice, members},
};
use crate::{
    checks::RouteParameters,
    geometry::{Plane, Point, RouteLine},
};

/// A route before there is a plane.
pub(in super::super) struct Draft {
    place: Place,
    route: Skeleton,
    lines: Vec<Vec<Vertex>>,
    segments: Vec<SegmentDraft>,
    points: Vec<PointDraft>,
}

impl Draft {
    pub(in super::super) fn vertices(&self) -> impl Iterator<Item = Vertex> {
        let lines = self.lines.iter().flatten().copied();
        lines.chain(self.points.iter().map(|point| point.at))
    }
}

struct Skeleton {
    id: String,
    name: String,
    version: u32,
    applies_to: AppliesTo,
    schedule: Schedule,
    checks: RouteChecks,
    exempt_sites: ExemptSites,
    unknown_work: UnknownSweep,
    parameters: RouteParameters,
    fingerprint: u64,
}

struct PointDraft {
    id: String,
    name: String,
    at: Vertex,
    radius_mm: f64,
    stay_ms: i64,
    is_mandatory: bool,
    hours: Option<(i64, i64)>,
}

const KNOWN: [&str; 16] = [
    "id",
    "name",
    "version",
    "applies_to",
    "windows",
    "side",
    "direction",
    "passes",
    "segments",
    "points",
    "in_order",
    "checks",
    "exempt_sites",
    "unknown_work",
    "speed_limit_kmh",
    "priority",
];
const UNKNOWN_WORK: [(&str, UnknownSweep); 3] = [
    ("counts", UnknownSweep::Counts),
    ("unobserved", UnknownSweep::Unobserved),
    ("idle", UnknownSweep::Idle),
];
const CHECKS: [&str; 3] = ["deviation", "points", "coverage"];
const POINTS_MAX: usize = 500;
/// A route has at least this length, and so has each of its segments, metres.
const LENGTH_MIN_M: f64 = 1.0;
/// The longest route, metres: its pieces of 5 m are kept for every vehicle on it.
const LENGTH_MAX_M: f64 = 200_000.0;
/// A collection point farther than this from the line is at the wrong place, metres.
const ASIDE_MAX_M: f64 = 200.0;
pub(in super::super) fn read(
    root: &Value,
    vehicles: Option<&[Vehicle]>,
    sites: Option<&[&str]>,
    notes: &mut Notes<'_>,
) -> Vec<Draft> {
    let known: Vec<&str> = KNOWN.into_iter().chain(RouteParameters::KEYS).collect();
    let mut seen = HashMap::new();
    let mut drafts = Vec::new();
    for feature in features(root, "id", notes) {
        feature.only(&known, notes);
        let id = feature.text("id", notes);
        if !id.is_empty() {
            notes.unique(&mut seen, "id", &id, &feature.place);
        }
        if id.contains('/') {
            // A collection point is known as route/point.
            let value = Value::String(id.clone());
            feature.wrong("id", &value, "an id without \"/\"", notes);
        }
        let name = match feature.properties.get("name") {
            Some(_) => feature.text("name", notes),
            None => id.clone(),
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range was checked"
        )]
        let version = feature
            .number("version", 0.0..=1e9, notes)
            .map_or(1, |number| number as u32);
        if !feature.properties.contains_key("applies_to") {
            notes.add(&feature.place, Problem::Missing("applies_to"));
        }
        let applies_to = audience(&feature, vehicles, notes);
        let schedule = windows(&feature, notes);
        if let Some((first, second)) = schedule.overlap() {
            let why = format!("it overlaps window {first}: a route is driven once in each");
            notes.add(&feature.place, Problem::Window { index: second, why });
        }
        let mut parameters = RouteParameters::default();
        let contradiction = parameters.read(|key, range| feature.number(key, range, notes));
        if let Some(fault) = contradiction {
            route_fault(&feature, fault, notes);
        }
        let points = points(&feature, &schedule, &parameters, notes);
        let checks = checks(&feature, !points.is_empty(), notes);
        let exempt_sites = exempt_sites(&feature, sites, notes);
        let unknown_work = feature.properties.get("unknown_work");
        let unknown_work = choice(unknown_work, &UNKNOWN_WORK, |value, expected| {
            feature.wrong("unknown_work", value, expected, notes);
        });
        let lines = lines(&feature, notes);
        let segments = segments(&feature, lines.as_ref().map(Vec::len), notes);
        let Some(lines) = lines else { continue };
        drafts.push(Draft {
            route: Skeleton {
                id,
                name,
                version,
                applies_to,
                schedule,
                checks,
                exempt_sites,
                unknown_work: unknown_work.unwrap_or_default(),
                parameters,
                // Fences have fingerprints of the same kind: none of them is that of a route.
                fingerprint: fingerprint(&feature) ^ u64::from_le_bytes(*b"a route."),
            },
            place: feature.place,
            lines,
            segments,
            points,
        });
    }
    drafts
}

pub(super) fn route_fault(feature: &Feature<'_>, fault: &str, notes: &mut Notes<'_>) {
    let problem = Problem::Route {
        what: "route".to_owned(),
        fault: fault.to_owned(),
    };
    notes.add(&feature.place, problem);
}

fn lines(feature: &Feature<'_>, notes: &mut Notes<'_>) -> Option<Vec<Vec<Vertex>>> {
    let (kind, coordinates) = feature.geometry();
    let members: Vec<&Value> = match kind {
        "LineString" => vec![coordinates],
        "MultiLineString" => match coordinates.as_array().filter(|lines| !lines.is_empty()) {
            Some(lines) => lines.iter().collect(),
            None => {
                feature.wrong("coordinates", coordinates, "an array of lines", notes);
                return None;
            }
        },
        other => {
            let problem = Problem::Geometry {
                found: other.to_owned(),
                expected: "LineString, MultiLineString with a line for each segment",
            };
            notes.add(&feature.place, problem);
            return None;
        }
    };
    let count = members
        .iter()
        .filter_map(|line| line.as_array())
        .map(Vec::len)
        .sum();
    if count > VERTICES_MAX {
        let limit = VERTICES_MAX;
        notes.add(&feature.place, Problem::TooManyVertices { count, limit });
        return None;
    }
    let read: Vec<Option<Vec<Vertex>>> = members
        .iter()
        .enumerate()
        .map(|(number, line)| feature.line(line, number, notes))
        .collect();
    read.into_iter().collect()
}

fn points(
    feature: &Feature<'_>,
    schedule: &Schedule,
    parameters: &RouteParameters,
    notes: &mut Notes<'_>,
) -> Vec<PointDraft> {
    let known = [
        "id",
        "name",
        "at",
        "from",
        "to",
        "mandatory",
        "radius_m",
        "stay_s",
    ];
    let Some(members) = members(feature, "points", &known, notes) else {
        return Vec::new();
    };
    if members.len() > POINTS_MAX {
        let fault = format!("{} collection points; at most {POINTS_MAX}", members.len());
        route_fault(feature, &fault, notes);
        return Vec::new();
    }
    let mut seen = HashMap::new();
    let mut points = Vec::with_capacity(members.len());
    for member in &members {
        let id = member.text("id", notes);
        match &id {
            Some(id) => notes.unique(&mut seen, "point", id, &feature.place),
            None if !member.object.contains_key("id") => member.fault("\"id\" is missing", notes),
            None => {}
        }
        let at = member.object.get("at").unwrap_or(&Value::Null);
        let at = position(at).map_err(|why| {
            member.fault(format!("\"at\": {at} {why}"), notes);
        });
        let radius = member.number("radius_m", 1.0..=500.0, notes);
        let stay = member.number("stay_s", 0.0..=86_400.0, notes);
        let hours = hours(member, schedule, notes);
        let is_mandatory = member.flag("mandatory", notes).unwrap_or(true);
        let name = member.text("name", notes);
        if let (Some(id), Ok(at)) = (id, at) {
            points.push(PointDraft {
                name: name.unwrap_or_else(|| id.clone()),
                id,
                at,
                radius_mm: radius.map_or(parameters.point_radius_mm, |m| m * 1e3),
                stay_ms: stay.map_or(parameters.point_stay_ms, crate::checks::millis),
                is_mandatory,
                hours,
            });
        }
    }
    points
}

/// From when to when a point is to be visited: within each window of the route.
fn hours(
    member: &Member<'_, '_>,
    schedule: &Schedule,
    notes: &mut Notes<'_>,
) -> Option<(i64, i64)> {
    const DAY: i64 = 24 * 60;
    let time = |key: &str, notes: &mut Notes<'_>| {
        let text = member.text(key, notes)?;
        let minutes = schedule::minutes(&text);
        if minutes.is_none() {
            member.wrong(key, &Value::String(text), "a time HH:MM", notes);
        }
        minutes
    };
    let has = |key: &str| member.object.contains_key(key);
    if !has("from") && !has("to") {
        return None;
    }
    if !has("from") || !has("to") {
        member.fault("\"from\" and \"to\" go together", notes);
        return None;
    }
    let (from, to) = (time("from", notes)?, time("to", notes)?);
    if from == to {
        member.fault("its window is empty", notes);
        return None;
    }
    let is_within = schedule.windows().all(|window| {
        let begin = (from - window.from).rem_euclid(DAY);
        begin + (to - from).rem_euclid(DAY) <= window.minutes
    });
    if !is_within {
        member.fault("its window is not within each window of the route", notes);
        return None;
    }
    Some((from, to))
}

fn checks(feature: &Feature<'_>, has_points: bool, notes: &mut Notes<'_>) -> RouteChecks {
    let in_order = feature.properties.get("in_order");
    if let Some(value) = in_order.filter(|value| !value.is_boolean()) {
        feature.wrong("in_order", value, "true or false", notes);
    }
    let order = has_points && in_order.and_then(Value::as_bool).unwrap_or(true);
    let Some(value) = feature.properties.get("checks") else {
        return RouteChecks {
            deviation: true,
            points: has_points,
            order,
            coverage: true,
        };
    };
    let expected = format!("an array of {}", CHECKS.join(", "));
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let is_known = |word: &Value| word.as_str().is_some_and(|word| CHECKS.contains(&word));
    if list.is_empty() || !list.iter().all(is_known) {
        feature.wrong("checks", value, &expected, notes);
    }
    let asks = |word: &str| list.iter().any(|value| value.as_str() == Some(word));
    if asks("points") && !has_points {
        route_fault(feature, "checks has \"points\", but there are none", notes);
    }
    RouteChecks {
        deviation: asks("deviation"),
        points: asks("points"),
        order: asks("points") && order,
        coverage: asks("coverage"),
    }
}

fn exempt_sites(
    feature: &Feature<'_>,
    sites: Option<&[&str]>,
    notes: &mut Notes<'_>,
) -> ExemptSites {
    let Some(value) = feature.properties.get("exempt_sites") else {
        return ExemptSites::All;
    };
    let ids: Option<Vec<String>> = value.as_array().and_then(|list| {
        list.iter()
            .map(|id| id.as_str().map(str::to_owned))
            .collect()
    });
    let Some(ids) = ids else {
        feature.wrong("exempt_sites", value, "an array of ids of sites", notes);
        return ExemptSites::All;
    };
    for id in &ids {
        if sites.is_some_and(|sites| !sites.contains(&id.as_str())) {
            let fault = format!("exempt_sites: there is no fence of kind site \"{id}\"");
            route_fault(feature, &fault, notes);
        }
    }
    ExemptSites::Only(ids)
}

/// Lays the drafts on the plane.
pub(in super::super) fn lay(
    drafts: Vec<Draft>,
    plane: &Plane,
    notes: &mut Notes<'_>,
) -> Vec<Route> {
    drafts
        .into_iter()
        .filter_map(|draft| lay_one(draft, plane, notes))
        .collect()
}

fn lay_one(draft: Draft, plane: &Plane, notes: &mut Notes<'_>) -> Option<Route> {
    let place = &draft.place;
    let lines: Option<Vec<Vec<Point>>> = draft
        .lines
        .iter()
        .map(|line| super::super::points_on(plane, line, place, notes))
        .collect();
    let lines = lines?;
    let line = measured(place, &lines, notes)?;
    let points: Vec<CollectionPoint> = draft
        .points
        .into_iter()
        .filter_map(|point| point.on(plane, place, notes))
        .collect();
    for (index, point) in points.iter().enumerate() {
        let aside_m = line.nearest(point.point).distance_mm / 1e3;
        if aside_m > ASIDE_MAX_M {
            let fault = format!(
                "it lies {aside_m:.0} m from the line of the route; at most {ASIDE_MAX_M:.0} m"
            );
            let what = format!("points[{index}]");
            notes.add(place, Problem::Route { what, fault });
        }
    }
    let segments = laid_segments(&draft.segments, &lines, &line);
    let legs = draft
        .lines
        .iter()
        .zip(&lines)
        .flat_map(|(vertices, points)| {
            let pairs = vertices.windows(2).zip(points.windows(2));
            pairs.filter_map(|pair| match pair {
                ([a, b], [from, to]) => (from != to).then_some((*a, *b)),
                _ => None,
            })
        });
    let leg_ends = legs.collect();
    let route = draft.route;
    Some(Route {
        id: route.id,
        name: route.name,
        version: route.version,
        applies_to: route.applies_to,
        schedule: route.schedule,
        strips: strips(&segments),
        segments,
        points,
        checks: route.checks,
        exempt_sites: route.exempt_sites,
        unknown_work: route.unknown_work,
        parameters: route.parameters,
        fingerprint: route.fingerprint,
        leg_ends,
        line,
    })
}

/// The line, when it and each of its segments has a length.
fn measured(place: &Place, lines: &[Vec<Point>], notes: &mut Notes<'_>) -> Option<RouteLine> {
    let mut fault = |what: String, fault: String| {
        notes.add(place, Problem::Route { what, fault });
    };
    let line = RouteLine::new(lines);
    let parts = line.as_ref().map(RouteLine::parts_mm).unwrap_or_default();
    let mut is_good = line.is_some();
    if line.is_none() {
        fault("route".to_owned(), "it has no length".to_owned());
    }
    for (index, (start_mm, end_mm)) in parts.iter().enumerate() {
        if end_mm - start_mm < LENGTH_MIN_M * 1e3 {
            is_good = false;
            let why = format!("it is shorter than {LENGTH_MIN_M} m");
            fault(format!("segments[{index}]"), why);
        }
    }
    let length_m = line.as_ref().map_or(0.0, RouteLine::length_mm) / 1e3;
    if length_m > LENGTH_MAX_M {
        is_good = false;
        let why = format!("it is {length_m:.0} m long; at most {LENGTH_MAX_M:.0} m");
        fault("route".to_owned(), why);
    }
    line.filter(|_| is_good)
}

impl PointDraft {
    fn on(self, plane: &Plane, place: &Place, notes: &mut Notes<'_>) -> Option<CollectionPoint> {
        let points = super::super::points_on(plane, &[self.at], place, notes)?;
        Some(CollectionPoint {
            point: points.first().copied()?,
            id: self.id,
            name: self.name,
            latitude: self.at.0,
            longitude: self.at.1,
            radius_mm: self.radius_mm,
            stay_ms: self.stay_ms,
            is_mandatory: self.is_mandatory,
            hours: self.hours,
        })
    }
}
