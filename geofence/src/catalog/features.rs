//! Reading GeoJSON: every mistake is noted with its place, and reading goes on.
//!
//! Positions are `[longitude, latitude]` in degrees of WGS-84 (RFC 7946, 3.1.1). They are checked
//! for finiteness, range and number here, before any geometry is built on them.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::mistake::{CatalogMistake, Place, Problem};
use crate::units::{Latitude, Longitude};

/// A vertex on the earth.
pub(super) type Vertex = (Latitude, Longitude);

/// Vertices of one feature, all rings together.
pub(super) const VERTICES_MAX: usize = 5_000;

/// The mistakes of one text.
pub(super) struct Notes<'a> {
    pub(super) file: &'a str,
    pub(super) mistakes: &'a mut Vec<CatalogMistake>,
}

impl Notes<'_> {
    pub(super) fn add(&mut self, place: &Place, problem: Problem) {
        self.mistakes.push(CatalogMistake {
            file: self.file.to_owned(),
            place: place.clone(),
            problem,
        });
    }

    /// Notes a value that was seen before in this text.
    pub(super) fn unique(
        &mut self,
        seen: &mut HashMap<String, Place>,
        what: &'static str,
        value: &str,
        place: &Place,
    ) {
        if let Some(first) = seen.get(value) {
            let first = first.clone();
            self.add(
                place,
                Problem::Duplicate {
                    what,
                    value: value.to_owned(),
                    first,
                },
            );
        } else {
            seen.insert(value.to_owned(), place.clone());
        }
    }
}

/// A feature as it stands in the text.
pub(super) struct Feature<'a> {
    pub(super) place: Place,
    pub(super) properties: &'a Map<String, Value>,
    pub(super) geometry: &'a Value,
}

impl Feature<'_> {
    /// A text that must be there and not be empty.
    pub(super) fn text(&self, key: &'static str, notes: &mut Notes<'_>) -> String {
        match self.properties.get(key) {
            None => notes.add(&self.place, Problem::Missing(key)),
            Some(Value::String(text)) if !text.trim().is_empty() => return text.clone(),
            Some(other) => self.wrong(key, other, "a text", notes),
        }
        String::new()
    }

    /// A number in a range, where it is given.
    pub(super) fn number(
        &self,
        key: &'static str,
        range: std::ops::RangeInclusive<f64>,
        notes: &mut Notes<'_>,
    ) -> Option<f64> {
        let value = self.properties.get(key)?;
        let number = value.as_f64().filter(|number| range.contains(number));
        if number.is_none() {
            let expected = format!("a number from {} to {}", range.start(), range.end());
            self.wrong(key, value, &expected, notes);
        }
        number
    }

    pub(super) fn wrong(&self, key: &str, value: &Value, expected: &str, notes: &mut Notes<'_>) {
        let problem = Problem::Value {
            key: key.to_owned(),
            value: shortened(value),
            expected: expected.to_owned(),
        };
        notes.add(&self.place, problem);
    }

    /// Notes every key that is not among the known ones.
    pub(super) fn only(&self, known: &[&str], notes: &mut Notes<'_>) {
        unknown_keys(self.properties, known, &self.place, notes);
    }

    /// The type of the geometry and its coordinates.
    pub(super) fn geometry(&self) -> (&str, &Value) {
        let kind = self
            .geometry
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or("none");
        (
            kind,
            self.geometry.get("coordinates").unwrap_or(&Value::Null),
        )
    }

    /// Closed rings of positions, returned without the closing vertex.
    pub(super) fn rings(&self, value: &Value, notes: &mut Notes<'_>) -> Option<Vec<Vec<Vertex>>> {
        let Some(rings) = value.as_array().filter(|rings| !rings.is_empty()) else {
            self.wrong("coordinates", value, "an array of rings", notes);
            return None;
        };
        let count = rings.iter().filter_map(Value::as_array).map(Vec::len).sum();
        if count > VERTICES_MAX {
            let limit = VERTICES_MAX;
            notes.add(&self.place, Problem::TooManyVertices { count, limit });
            return None;
        }
        let mut is_good = true;
        let mut read = Vec::with_capacity(rings.len());
        for (number, ring) in rings.iter().enumerate() {
            let Some(mut vertices) = self.line(ring, number, notes) else {
                is_good = false;
                continue;
            };
            if vertices.len() < 2 || vertices.first() != vertices.last() {
                notes.add(&self.place, Problem::Unclosed(number));
                is_good = false;
            }
            vertices.pop();
            read.push(vertices);
        }
        is_good.then_some(read)
    }

    /// Positions one after the other; neighbours that are the same place are one.
    pub(super) fn line(
        &self,
        value: &Value,
        ring: usize,
        notes: &mut Notes<'_>,
    ) -> Option<Vec<Vertex>> {
        let Some(positions) = value.as_array() else {
            self.wrong("coordinates", value, "an array of positions", notes);
            return None;
        };
        if positions.len() > VERTICES_MAX {
            let (count, limit) = (positions.len(), VERTICES_MAX);
            notes.add(&self.place, Problem::TooManyVertices { count, limit });
            return None;
        }
        let mut vertices = Vec::with_capacity(positions.len());
        let mut is_good = true;
        for (vertex, value) in positions.iter().enumerate() {
            match position(value) {
                Ok(position) => vertices.push(position),
                Err(why) => {
                    is_good = false;
                    let value = shortened(value);
                    notes.add(
                        &self.place,
                        Problem::Position {
                            ring,
                            vertex,
                            value,
                            why,
                        },
                    );
                }
            }
        }
        vertices.dedup();
        is_good.then_some(vertices)
    }
}

pub(super) fn unknown_keys(
    object: &Map<String, Value>,
    known: &[&str],
    place: &Place,
    notes: &mut Notes<'_>,
) {
    for key in object.keys().filter(|key| !known.contains(&key.as_str())) {
        notes.add(
            place,
            Problem::UnknownKey {
                key: key.clone(),
                known: known.join(", "),
            },
        );
    }
}

/// The features of a collection; `id` names the property that people know them by.
pub(super) fn features<'a>(root: &'a Value, id: &str, notes: &mut Notes<'_>) -> Vec<Feature<'a>> {
    let is_collection = root.get("type").and_then(Value::as_str) == Some("FeatureCollection");
    let Some(members) = root
        .get("features")
        .and_then(Value::as_array)
        .filter(|_| is_collection)
    else {
        notes.add(&Place::Whole, Problem::NotACollection);
        return Vec::new();
    };
    let mut features = Vec::with_capacity(members.len());
    for (index, member) in members.iter().enumerate() {
        let is_feature = member.get("type").and_then(Value::as_str) == Some("Feature");
        let properties = member.get("properties").and_then(Value::as_object);
        let Some(properties) = properties.filter(|_| is_feature) else {
            notes.add(&Place::Feature { index, id: None }, Problem::NotAFeature);
            continue;
        };
        let id = properties
            .get(id)
            .and_then(Value::as_str)
            .map(str::to_owned);
        features.push(Feature {
            place: Place::Feature { index, id },
            properties,
            geometry: member.get("geometry").unwrap_or(&Value::Null),
        });
    }
    features
}

/// One position. What comes behind longitude and latitude (an altitude) is passed over.
pub(super) fn position(value: &Value) -> Result<Vertex, &'static str> {
    let numbers = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let [first, second, ..] = numbers else {
        return Err("is not [longitude, latitude]");
    };
    let (Some(lon), Some(lat)) = (first.as_f64(), second.as_f64()) else {
        return Err("is not a pair of numbers");
    };
    if !lon.is_finite() || !lat.is_finite() {
        return Err("is not finite");
    }
    match (Latitude::from_degrees(lat), Longitude::from_degrees(lon)) {
        (Some(lat), Some(lon)) => Ok((lat, lon)),
        (None, _) if lon.abs() <= 90.0 && lat.abs() <= 180.0 => {
            Err("looks like [latitude, longitude]; the order is [longitude, latitude]")
        }
        _ => Err("is outside the earth"),
    }
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 {
        text
    } else {
        text.chars().take(57).chain("...".chars()).collect()
    }
}
