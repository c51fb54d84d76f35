//! Unit grids (单元网格): codes that are administrative paths, areas that tile the city.

use std::collections::HashMap;

use geo::{Area, BooleanOps};
use rstar::{
    AABB, RTree,
    primitives::{GeomWithData, Rectangle},
};
use serde_json::Value;

use super::{
    features::{Feature, Notes, Vertex, features},
    mistake::{Place, Problem},
};
use crate::geometry::{Plane, Point, Shape, outlines_cross};

/// Widths of the parts of a code, in digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeLayout {
    /// County-level area (GB/T 2260).
    pub county: usize,
    /// Street.
    pub street: usize,
    /// Community.
    pub community: usize,
    /// Grid.
    pub grid: usize,
}

impl CodeLayout {
    /// 15 digits: 6, 3, 3, 3.
    pub const FIFTEEN: Self = Self {
        county: 6,
        street: 3,
        community: 3,
        grid: 3,
    };
    /// 14 digits: 6, 3, 3, 2.
    pub const FOURTEEN: Self = Self {
        grid: 2,
        ..Self::FIFTEEN
    };

    /// Digits of a whole code.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.county + self.street + self.community + self.grid
    }
}

/// A unit grid.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitGrid {
    /// The administrative path; every prefix of it is a jurisdiction.
    pub code: String,
    /// For people; may be empty.
    pub name: String,
    /// What it covers, on the plane of the catalog.
    pub shape: Shape,
}

/// A unit grid before there is a plane.
pub(super) struct Draft {
    place: Place,
    code: String,
    name: String,
    pub(super) rings: Vec<Vec<Vertex>>,
}

pub(super) fn read(
    root: &Value,
    layouts: &[CodeLayout],
    counties: &[String],
    notes: &mut Notes<'_>,
) -> Vec<Draft> {
    let mut seen = HashMap::new();
    let mut drafts = Vec::new();
    for feature in features(root, "code", notes) {
        feature.only(&["code", "name"], notes);
        let code = feature.text("code", notes);
        if !code.is_empty() {
            check_code(&code, layouts, counties, &feature, notes);
            notes.unique(&mut seen, "code", &code, &feature.place);
        }
        let name = match feature.properties.get("name") {
            Some(_) => feature.text("name", notes),
            None => String::new(),
        };
        let (kind, coordinates) = feature.geometry();
        if kind != "Polygon" {
            let (found, expected) = (kind.to_owned(), "Polygon");
            notes.add(&feature.place, Problem::Geometry { found, expected });
            continue;
        }
        if let Some(rings) = feature.rings(coordinates, notes) {
            drafts.push(Draft {
                place: feature.place,
                code,
                name,
                rings,
            });
        }
    }
    drafts
}

fn check_code(
    code: &str,
    layouts: &[CodeLayout],
    counties: &[String],
    feature: &Feature<'_>,
    notes: &mut Notes<'_>,
) {
    let mut note = |why: String| {
        notes.add(
            &feature.place,
            Problem::Code {
                code: code.to_owned(),
                why,
            },
        );
    };
    let is_digits = code.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits || !layouts.iter().any(|layout| layout.width() == code.len()) {
        let widths: Vec<String> = layouts
            .iter()
            .map(|layout| layout.width().to_string())
            .collect();
        note(format!("must have {} digits", widths.join(" or ")));
    } else if !counties.is_empty() && !counties.iter().any(|county| code.starts_with(county)) {
        note(format!(
            "does not begin with a county of the city: {}",
            counties.join(", ")
        ));
    }
}

/// Lays the drafts on the plane, and names every two that cover the same ground.
pub(super) fn lay(drafts: Vec<Draft>, plane: &Plane, notes: &mut Notes<'_>) -> Vec<UnitGrid> {
    let mut laid: Vec<(Place, Vec<Vec<Point>>, UnitGrid)> = Vec::with_capacity(drafts.len());
    for draft in drafts {
        if let Some(rings) = super::rings_on(plane, &draft.rings, &draft.place, notes)
            && let Some(shape) = Shape::polygon(&rings)
        {
            laid.push((
                draft.place,
                rings,
                UnitGrid {
                    code: draft.code,
                    name: draft.name,
                    shape,
                },
            ));
        }
    }
    find_overlaps(&laid, notes);
    laid.into_iter().map(|(_, _, grid)| grid).collect()
}

/// Shares of ground that come from rounding vertices to millionths of a degree are no overlap.
const OVERLAP_SHARE_MIN: f64 = 0.005;
/// A point is on the ground of another grid when it lies so deep in it, in millimetres.
const DEPTH_MIN_MM: f64 = 300.0;

fn find_overlaps(laid: &[(Place, Vec<Vec<Point>>, UnitGrid)], notes: &mut Notes<'_>) {
    let boxes = laid.iter().enumerate().map(|(index, (_, _, grid))| {
        let bounds = grid.shape.bounds();
        let corner = |p: Point| [f64::from(p.x), f64::from(p.y)];
        GeomWithData::new(
            Rectangle::from_corners(corner(bounds.low), corner(bounds.high)),
            index,
        )
    });
    let tree: RTree<GeomWithData<Rectangle<[f64; 2]>, usize>> = RTree::bulk_load(boxes.collect());
    for (index, (place, rings, grid)) in laid.iter().enumerate() {
        let bounds = grid.shape.bounds();
        let corner = |p: Point| [f64::from(p.x), f64::from(p.y)];
        let envelope = AABB::from_corners(corner(bounds.low), corner(bounds.high));
        let mut others: Vec<usize> = tree
            .locate_in_envelope_intersecting(&envelope)
            .map(|entry| entry.data)
            .filter(|other| *other < index)
            .collect();
        others.sort_unstable();
        for (_, other_rings, other) in others.into_iter().filter_map(|other| laid.get(other)) {
            if !may_overlap(rings, grid, other_rings, other) {
                continue;
            }
            let (a, b) = (as_geo(rings), as_geo(other_rings));
            let square_millimeters = a.intersection(&b).unsigned_area();
            let smaller = a.unsigned_area().min(b.unsigned_area());
            if square_millimeters > OVERLAP_SHARE_MIN * smaller {
                let square_meters = square_millimeters / 1e6;
                notes.add(
                    place,
                    Problem::Overlap {
                        other: other.code.clone(),
                        square_meters,
                    },
                );
            }
        }
    }
}

/// A cheap question before the areas are measured: sides that cross, or a point of one deep inside
/// the other.
fn may_overlap(a: &[Vec<Point>], grid: &UnitGrid, b: &[Vec<Point>], other: &UnitGrid) -> bool {
    let (Some(outline), Some(other_outline)) = (a.first(), b.first()) else {
        return false;
    };
    let is_deep = |point: &Point, shape: &Shape| shape.signed_distance_mm(*point) > DEPTH_MIN_MM;
    outlines_cross(outline, other_outline)
        || samples(outline)
            .any(|point| is_deep(&point, &grid.shape) && is_deep(&point, &other.shape))
        || samples(other_outline)
            .any(|point| is_deep(&point, &grid.shape) && is_deep(&point, &other.shape))
        || outline.iter().any(|point| is_deep(point, &other.shape))
        || other_outline
            .iter()
            .any(|point| is_deep(point, &grid.shape))
}

/// Points that lie inside a ring for the most part: of two equal grids no side is deep in the
/// other, but these are.
fn samples(ring: &[Point]) -> impl Iterator<Item = Point> {
    let middle = |a: Point, b: Point| Point {
        x: a.x.midpoint(b.x),
        y: a.y.midpoint(b.y),
    };
    ring.iter()
        .zip(ring.iter().cycle().skip(1))
        .zip(ring.iter().cycle().skip(2))
        .map(move |((a, b), c)| middle(middle(*a, *b), *c))
}

pub(super) fn as_geo(rings: &[Vec<Point>]) -> geo::Polygon<f64> {
    let line = |ring: &Vec<Point>| {
        ring.iter()
            .map(|p| (f64::from(p.x), f64::from(p.y)))
            .collect::<geo::LineString<f64>>()
    };
    geo::Polygon::new(
        rings
            .first()
            .map_or_else(|| geo::LineString::new(Vec::new()), line),
        rings.iter().skip(1).map(line).collect(),
    )
}
