//! A drawing of the case in metres: what the rule is about, the track, the fixes that decided, a scale
//! and north. It needs no tiles, so that paper shows it for ever.

use geofence::{language::Language, position::Position};
use maud::{Markup, html};
use serde_json::Value;

use super::{Pack, words::Words as _};
use crate::Gateway;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 430.0;
/// So much around what must be seen, at least; metres.
const MARGIN_M: f64 = 60.0;
/// A fence or track may widen the view so many times, and is cut where it is larger.
const WIDEN_MAX: f64 = 4.0;
const WIDEN_FROM_M: f64 = 400.0;
/// More numbers than this cover each other.
const LABELS_MAX: usize = 40;
const METRES_PER_DEGREE: f64 = 111_320.0;

/// Longitude and latitude in degrees, as GeoJSON has them.
type Place = (f64, f64);

/// West, south, east, north; metres from the middle.
#[derive(Clone, Copy, Debug, PartialEq)]
struct View {
    west: f64,
    south: f64,
    east: f64,
    north: f64,
}

impl View {
    fn of(points: impl Iterator<Item = (f64, f64)>) -> Option<Self> {
        points.fold(None, |view: Option<Self>, (x, y)| {
            let view = view.unwrap_or(Self {
                west: x,
                south: y,
                east: x,
                north: y,
            });
            Some(Self {
                west: view.west.min(x),
                south: view.south.min(y),
                east: view.east.max(x),
                north: view.north.max(y),
            })
        })
    }

    const fn union(self, other: Self) -> Self {
        Self {
            west: self.west.min(other.west),
            south: self.south.min(other.south),
            east: self.east.max(other.east),
            north: self.north.max(other.north),
        }
    }

    fn span(self) -> f64 {
        (self.east - self.west).max(self.north - self.south)
    }

    fn grown(self, by: f64) -> Self {
        Self {
            west: self.west - by,
            south: self.south - by,
            east: self.east + by,
            north: self.north + by,
        }
    }

    /// With this too, unless it would make all else too small.
    fn widened(self, other: Option<Self>) -> Self {
        let Some(other) = other else { return self };
        let both = self.union(other);
        if both.span() <= (self.span() * WIDEN_MAX).max(WIDEN_FROM_M) {
            both
        } else {
            self
        }
    }
}

/// Metres from a middle: true to a thousandth within some 50 km.
#[derive(Clone, Copy, Debug)]
struct Middle {
    place: Place,
    east_m: f64,
}

impl Middle {
    fn new(place: Place) -> Self {
        Self {
            place,
            east_m: METRES_PER_DEGREE * place.1.to_radians().cos(),
        }
    }

    fn metres(self, (lon, lat): Place) -> (f64, f64) {
        (
            (lon - self.place.0) * self.east_m,
            (lat - self.place.1) * METRES_PER_DEGREE,
        )
    }
}

/// Where metres are on the paper.
#[derive(Clone, Copy, Debug)]
struct Paper {
    middle: Middle,
    view: View,
    per_metre: f64,
}

impl Paper {
    fn new(middle: Middle, view: View) -> Self {
        let across = WIDTH / (view.east - view.west);
        let up = HEIGHT / (view.north - view.south);
        Self {
            middle,
            view,
            per_metre: across.min(up),
        }
    }

    fn at(self, place: Place) -> (f64, f64) {
        let (x, y) = self.middle.metres(place);
        let middle_x = f64::midpoint(self.view.west, self.view.east);
        let middle_y = f64::midpoint(self.view.south, self.view.north);
        (
            (x - middle_x).mul_add(self.per_metre, WIDTH / 2.0),
            (middle_y - y).mul_add(self.per_metre, HEIGHT / 2.0),
        )
    }

    fn path(self, places: &[Place], is_closed: bool) -> String {
        let mut path = String::new();
        for (index, place) in places.iter().enumerate() {
            let (x, y) = self.at(*place);
            let letter = if index == 0 { 'M' } else { 'L' };
            path.push_str(&format!("{letter}{x:.1} {y:.1} "));
        }
        if is_closed {
            path.push('Z');
        }
        path
    }
}

fn place_of(value: &Value) -> Option<Place> {
    let pair = value.as_array()?;
    Some((pair.first()?.as_f64()?, pair.get(1)?.as_f64()?))
}

fn line_of(value: &Value) -> Vec<Place> {
    let all = value.as_array().into_iter().flatten();
    all.filter_map(place_of).collect()
}

/// The lines or rings of a geometry.
fn lines_of(geometry: &Value) -> Vec<Vec<Place>> {
    let coordinates = geometry.get("coordinates").unwrap_or(&Value::Null);
    let parts = || coordinates.as_array().into_iter().flatten();
    match geometry.get("type").and_then(Value::as_str) {
        Some("Point") => place_of(coordinates)
            .map(|one| vec![one])
            .into_iter()
            .collect(),
        Some("LineString") => vec![line_of(coordinates)],
        Some("MultiLineString" | "Polygon") => parts().map(line_of).collect(),
        Some("MultiPolygon") => parts()
            .flat_map(|polygon| polygon.as_array().into_iter().flatten().map(line_of))
            .collect(),
        _ => Vec::new(),
    }
}

fn degrees(position: &Position) -> Place {
    (position.longitude.degrees(), position.latitude.degrees())
}

/// Everything that is drawn, in degrees.
struct Scene {
    shapes: Vec<Value>,
    grids: Vec<Value>,
    lines: Vec<Vec<Place>>,
    fixes: Vec<Place>,
    stretches: Vec<[Place; 2]>,
    place: Option<Place>,
}

impl Scene {
    fn of(pack: &Pack, gateway: &Gateway) -> Self {
        let case = &pack.case;
        let evidence = || case.intervals.iter().map(|one| &one.violation.evidence);
        let fixes = evidence().flat_map(|evidence| &evidence.fixes);
        let stretches = evidence().flat_map(|evidence| &evidence.stretches);
        let lines = pack.track.lines(gateway).into_iter();
        let rules = pack.rules.iter();
        Self {
            shapes: rules
                .clone()
                .flat_map(|rule| rule.features.clone())
                .collect(),
            grids: rules.flat_map(|rule| rule.unit_grids.clone()).collect(),
            lines: lines
                .map(|line| line.into_iter().map(degrees).collect())
                .collect(),
            fixes: fixes
                .map(|fix| (fix.longitude.degrees(), fix.latitude.degrees()))
                .collect(),
            stretches: stretches
                .map(|one| [one.from, one.to].map(|(lat, lon)| (lon.degrees(), lat.degrees())))
                .collect(),
            place: case
                .place
                .map(|place| (place.longitude.degrees(), place.latitude.degrees())),
        }
    }

    /// What must be seen, else what there is.
    fn paper(&self) -> Option<Paper> {
        let grids = self.grids.iter().flat_map(places);
        let must = self.fixes.iter().chain(&self.place).copied();
        let must = must
            .chain(self.stretches.iter().flatten().copied())
            .chain(grids);
        let must: Vec<Place> = must.collect();
        let shapes: Vec<Place> = self.shapes.iter().flat_map(places).collect();
        let middle = Middle::new(*must.first().or_else(|| shapes.first())?);
        let view = |places: &[Place]| View::of(places.iter().map(|place| middle.metres(*place)));
        let radius = self
            .shapes
            .iter()
            .map(|shape| number(shape, "radius_m"))
            .fold(0.0, f64::max);
        let around = view(&shapes).map(|view| view.grown(radius));
        let base = view(&must).or(around)?;
        let base = base.grown(MARGIN_M.max(base.span() * 0.15));
        let track: Vec<Place> = self.lines.iter().flatten().copied().collect();
        let all = base.widened(around.map(|view| view.grown(MARGIN_M / 2.0)));
        Some(Paper::new(middle, all.widened(view(&track))))
    }
}

fn places(feature: &Value) -> Vec<Place> {
    let geometry = feature.get("geometry").unwrap_or(&Value::Null);
    lines_of(geometry).into_iter().flatten().collect()
}

fn number(feature: &Value, name: &str) -> f64 {
    let property = feature.get("properties").and_then(|all| all.get(name));
    property.and_then(Value::as_f64).unwrap_or(0.0)
}

/// `None` where there is no place at all.
pub(super) fn drawing(pack: &Pack, gateway: &Gateway, language: Language) -> Option<Markup> {
    let scene = Scene::of(pack, gateway);
    let paper = scene.paper()?;
    let text = |key| language.text(key).into_owned();
    Some(html! {
        svg.map viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(text("map"))
            xmlns="http://www.w3.org/2000/svg" {
            rect.ground width=(WIDTH) height=(HEIGHT) {}
            @for grid in &scene.grids { (shape(paper, grid, "grid")) }
            @for feature in &scene.shapes { (shape(paper, feature, "shape")) }
            @for line in &scene.lines { path.track d=(paper.path(line, false)) {} }
            @for stretch in &scene.stretches { path.missed d=(paper.path(stretch, false)) {} }
            @if let Some(place) = scene.place { (cross(paper.at(place))) }
            (numbered(paper, &scene.fixes))
            (scale(paper.per_metre))
            (north(&text("north")))
        }
        ul.legend {
            @if !scene.shapes.is_empty() { (entry("shape", &text("legend_shape"))) }
            @if !scene.lines.is_empty() { (entry("track", &text("legend_track"))) }
            @if !scene.fixes.is_empty() { (entry("fix", &text("legend_fix"))) }
            @if !scene.stretches.is_empty() { (entry("missed", &text("legend_missed"))) }
            @if !scene.grids.is_empty() { (entry("grid", &text("legend_grid"))) }
            @if scene.place.is_some() { (entry("place", &text("legend_place"))) }
        }
    })
}

fn entry(class: &str, text: &str) -> Markup {
    html! {
        li {
            svg viewBox="0 0 30 14" aria-hidden="true" {
                @match class {
                    "fix" => { circle.fix cx="15" cy="7" r="5" {} }
                    "place" => { (cross((15.0, 7.0))) }
                    "shape" | "grid" => { rect class=(class) x="3" y="2" width="24" height="10" {} }
                    _ => { path class=(class) d="M2 7 L28 7" {} }
                }
            }
            (text)
        }
    }
}

/// A polygon, a circle, or a line as wide as it is on the ground; with the points of a route.
fn shape(paper: Paper, feature: &Value, class: &str) -> Markup {
    let geometry = feature.get("geometry").unwrap_or(&Value::Null);
    let kind = geometry
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let lines = lines_of(geometry);
    let points = feature
        .pointer("/properties/points")
        .and_then(Value::as_array);
    let points = points.into_iter().flatten();
    let points: Vec<_> = points
        .filter_map(|point| place_of(point.get("at")?))
        .map(|place| paper.at(place))
        .collect();
    let width = number(feature, "width_m") * paper.per_metre;
    html! {
        @match kind {
            "Point" => {
                @for place in lines.iter().flatten() {
                    @let (x, y) = paper.at(*place);
                    @let radius = (number(feature, "radius_m") * paper.per_metre).max(3.0);
                    circle class=(class) cx=(one(x)) cy=(one(y)) r=(one(radius)) {}
                }
            }
            "LineString" | "MultiLineString" => {
                @for line in &lines {
                    @if width > 2.0 {
                        path.corridor d=(paper.path(line, false)) stroke-width=(one(width)) {}
                    }
                    path.route d=(paper.path(line, false)) {}
                }
            }
            _ => {
                @let rings: String = lines.iter().map(|ring| paper.path(ring, true)).collect();
                path class=(class) d=(rings) fill-rule="evenodd" {}
            }
        }
        @for (x, y) in points { circle.point cx=(one(x)) cy=(one(y)) r="4" {} }
    }
}

fn numbered(paper: Paper, fixes: &[Place]) -> Markup {
    let way = paper.path(fixes, false);
    html! {
        @if fixes.len() > 1 { path.way d=(way) {} }
        @for (index, place) in fixes.iter().enumerate() {
            @let (x, y) = paper.at(*place);
            circle.fix cx=(one(x)) cy=(one(y)) r="4" {}
            @if index < LABELS_MAX {
                text.label x=(one(x + 6.0)) y=(one(y - 5.0)) { (index + 1) }
            }
        }
    }
}

fn cross((x, y): (f64, f64)) -> Markup {
    let (west, east, top, bottom) = (x - 6.0, x + 6.0, y - 6.0, y + 6.0);
    let path = format!(
        "M{west:.1} {top:.1} L{east:.1} {bottom:.1} M{west:.1} {bottom:.1} L{east:.1} {top:.1}"
    );
    html! { path.place d=(path) {} }
}

/// 1, 2 or 5 times a power of ten, about a quarter of the width at most.
fn round_length(metres_max: f64) -> f64 {
    let power = 10_f64.powf(metres_max.max(1.0).log10().floor());
    let steps = [5.0, 2.0, 1.0].map(|step| step * power);
    steps
        .into_iter()
        .find(|length| *length <= metres_max)
        .unwrap_or(power)
}

fn scale(per_metre: f64) -> Markup {
    let length = round_length(WIDTH / 4.0 / per_metre);
    let width = length * per_metre;
    let label = if length >= 1_000.0 {
        format!("{:.0} km", length / 1_000.0)
    } else {
        format!("{length:.0} m")
    };
    let (left, base) = (16.0, HEIGHT - 16.0);
    let right = left + width;
    let path = format!(
        "M{left} {:.1} V{base} H{right:.1} V{:.1}",
        base - 7.0,
        base - 7.0
    );
    html! {
        rect.plate x="8" y=(one(base - 26.0)) width=(one(width + 16.0)) height="34" {}
        path.scale d=(path) {}
        text.scale-label x=(left) y=(one(base - 11.0)) { (label) }
    }
}

fn north(letter: &str) -> Markup {
    let x = WIDTH - 26.0;
    let path = format!("M{x} 12 L{:.1} 44 L{x} 36 L{:.1} 44 Z", x + 9.0, x - 9.0);
    html! {
        rect.plate x=(one(x - 16.0)) y="6" width="32" height="58" {}
        path.north d=(path) {}
        text.north-label x=(x) y="59" text-anchor="middle" { (letter) }
    }
}

/// With one digit behind the point.
fn one(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_has_a_round_length() {
        for (most, length) in [
            (1.5, 1.0),
            (99.0, 50.0),
            (100.0, 100.0),
            (260.0, 200.0),
            (5_000.0, 5_000.0),
        ] {
            assert!((round_length(most) - length).abs() < 1e-6, "{most}");
        }
    }

    #[test]
    fn a_degree_is_drawn_as_long_as_it_is_and_north_is_up() {
        let middle = Middle::new((112.55, 37.87));
        let view = View {
            west: -200.0,
            south: -100.0,
            east: 200.0,
            north: 100.0,
        };
        let paper = Paper::new(middle, view);
        let (x, y) = paper.at((112.55, 37.87));
        assert!((x - WIDTH / 2.0).abs() < 1e-9 && (y - HEIGHT / 2.0).abs() < 1e-9);
        let (_, up) = paper.at((112.55, 37.87 + 100.0 / METRES_PER_DEGREE));
        assert!((y - up - 100.0 * paper.per_metre).abs() < 1e-6);
        let (right, _) = paper.at((112.551, 37.87));
        assert!((87.0..89.0).contains(&((right - x) / paper.per_metre)));
    }

    #[test]
    fn what_is_far_larger_does_not_make_the_fixes_small() {
        let near = View {
            west: 0.0,
            south: 0.0,
            east: 200.0,
            north: 200.0,
        };
        assert_eq!(near.widened(Some(near.grown(300.0))), near.grown(300.0));
        assert_eq!(near.widened(Some(near.grown(5_000.0))), near);
    }
}
