//! Duty areas (责任区): responsibility grids (责任网格), which join several unit grids, or polygons;
//! from GeoJSON.

use std::collections::HashMap;

use serde_json::Value;

use super::super::{
    features::{Feature, Notes, Vertex, features},
    fence::fingerprint,
    mistake::{Place, Problem},
    unit_grid::UnitGrid,
};
use crate::geometry::{Plane, Point, Shape};

/// Where somebody should be.
#[derive(Clone, Debug)]
pub struct DutyArea {
    /// Its id in the catalog.
    pub id: String,
    /// For people.
    pub name: String,
    /// Its unit grids, by their place in the catalog, in order; none where it is a polygon.
    pub grids: Vec<u32>,
    /// Where it is a polygon.
    pub shape: Option<Shape>,
    /// Of which unit grids, or which polygon, it is.
    pub(super) fingerprint: u64,
}

impl DutyArea {
    /// Millimetres to the nearest boundary, positive inside: of the polygon, or of the unit grid
    /// that is nearest. Sides between two of its grids are boundaries too, so that inside only the
    /// sign says something.
    #[must_use]
    pub fn signed_distance_mm(&self, point: Point, grids: &[UnitGrid]) -> f64 {
        if let Some(shape) = &self.shape {
            return shape.signed_distance_mm(point);
        }
        let shapes = self
            .grids
            .iter()
            .filter_map(|index| grids.get(*index as usize));
        shapes.fold(f64::NEG_INFINITY, |nearest, grid| {
            // Most grids are farther away than the nearest one by their boxes already.
            if nearest >= 0.0 || -box_distance_mm(&grid.shape, point) <= nearest {
                return nearest;
            }
            nearest.max(grid.shape.signed_distance_mm(point))
        })
    }
}

/// Millimetres from a point to the box of a shape; 0 inside.
fn box_distance_mm(shape: &Shape, point: Point) -> f64 {
    let bounds = shape.bounds();
    let outside = |value: i32, low: i32, high: i32| {
        let (value, low, high) = (f64::from(value), f64::from(low), f64::from(high));
        (low - value).max(value - high).max(0.0)
    };
    let x = outside(point.x, bounds.low.x, bounds.high.x);
    let y = outside(point.y, bounds.low.y, bounds.high.y);
    x.hypot(y)
}

/// An area before there is a plane.
pub(super) struct Draft {
    place: Place,
    pub(super) id: String,
    name: String,
    codes: Vec<String>,
    rings: Option<Vec<Vec<Vertex>>>,
    fingerprint: u64,
}

impl Draft {
    pub(super) fn vertices(&self) -> impl Iterator<Item = Vertex> {
        self.rings.iter().flatten().flatten().copied()
    }
}

pub(super) fn read(root: &Value, notes: &mut Notes<'_>) -> Vec<Draft> {
    let mut seen = HashMap::new();
    let mut drafts = Vec::new();
    for feature in features(root, "id", notes) {
        feature.only(&["id", "name", "unit_grids"], notes);
        let id = feature.text("id", notes);
        if !id.is_empty() {
            notes.unique(&mut seen, "id", &id, &feature.place);
        }
        let name = match feature.properties.get("name") {
            Some(_) => feature.text("name", notes),
            None => id.clone(),
        };
        let codes = codes(&feature, notes);
        let rings = rings(&feature, notes);
        drafts.push(Draft {
            id,
            name,
            codes,
            rings,
            fingerprint: fingerprint(&feature),
            place: feature.place,
        });
    }
    drafts
}

fn codes(feature: &Feature<'_>, notes: &mut Notes<'_>) -> Vec<String> {
    let Some(value) = feature.properties.get("unit_grids") else {
        return Vec::new();
    };
    let list: Option<Vec<String>> = value.as_array().and_then(|list| {
        list.iter()
            .map(|code| code.as_str().map(str::to_owned))
            .collect()
    });
    let list = list.filter(|list| !list.is_empty());
    list.unwrap_or_else(|| {
        let expected = "an array with codes of unit grids; \"140105001*\" is all that begin so";
        feature.wrong("unit_grids", value, expected, notes);
        Vec::new()
    })
}

fn rings(feature: &Feature<'_>, notes: &mut Notes<'_>) -> Option<Vec<Vec<Vertex>>> {
    let has_grids = feature.properties.contains_key("unit_grids");
    if feature.geometry.is_null() {
        if !has_grids {
            notes.add(&feature.place, Problem::Missing("unit_grids"));
        }
        return None;
    }
    if has_grids {
        let (key, why) = (
            "unit_grids",
            "belongs to areas without a geometry of their own",
        );
        notes.add(&feature.place, Problem::Misplaced { key, why });
        return None;
    }
    match feature.geometry() {
        ("Polygon", coordinates) => feature.rings(coordinates, notes),
        (other, _) => {
            let (found, expected) = (other.to_owned(), "null with unit_grids, Polygon");
            notes.add(&feature.place, Problem::Geometry { found, expected });
            None
        }
    }
}

/// Lays the drafts on the plane, and finds their unit grids where those are known. A draft with
/// mistakes stays, so that others may refer to it.
pub(super) fn lay(
    drafts: Vec<Draft>,
    grids: &[UnitGrid],
    is_known: bool,
    plane: &Plane,
    notes: &mut Notes<'_>,
) -> Vec<DutyArea> {
    let mut by_code: Vec<(&str, u32)> = grids
        .iter()
        .map(|grid| grid.code.as_str())
        .zip(0..)
        .collect();
    by_code.sort_unstable();
    let mut areas = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let mut found = Vec::new();
        for code in draft.codes.iter().filter(|_| is_known) {
            let count = found.len();
            find(code, &by_code, &mut found);
            if found.len() == count {
                super::unknown("unit_grids", "unit grid", code, &draft.place, notes);
            }
        }
        found.sort_unstable();
        found.dedup();
        let shape = draft.rings.as_ref().and_then(|rings| {
            let rings = super::super::rings_on(plane, rings, &draft.place, notes)?;
            Shape::polygon(&rings)
        });
        let own = found.iter().filter_map(|index| grids.get(*index as usize));
        let codes: Vec<&str> = own.map(|grid| grid.code.as_str()).collect();
        let fingerprint = draft.fingerprint ^ super::super::hash(codes.join("\n").as_bytes());
        areas.push(DutyArea {
            id: draft.id,
            name: draft.name,
            grids: found,
            shape,
            fingerprint,
        });
    }
    areas
}

/// The grids of a code, or of all codes that begin like `1401*`.
fn find(code: &str, by_code: &[(&str, u32)], found: &mut Vec<u32>) {
    let prefix = code.strip_suffix('*');
    let start = prefix.unwrap_or(code);
    let first = by_code.partition_point(|(other, _)| *other < start);
    let behind = by_code.get(first..).unwrap_or_default().iter();
    let is_meant = |other: &str| other == code || (prefix.is_some() && other.starts_with(start));
    found.extend(
        behind
            .take_while(|(other, _)| is_meant(other))
            .map(|(_, index)| *index),
    );
}
