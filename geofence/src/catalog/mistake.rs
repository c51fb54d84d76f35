//! What is wrong with the texts of a catalog, and where.

use std::fmt;

/// One mistake with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogMistake {
    /// The name of the text: its file.
    pub file: String,
    /// Where in it.
    pub place: Place,
    /// What is wrong.
    pub problem: Problem,
}

/// Where in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The text as a whole.
    Whole,
    /// A feature of a GeoJSON collection.
    Feature {
        /// Counted from 0, as in the array `features`.
        index: usize,
        /// Its id or code, where it has a readable one.
        id: Option<String>,
    },
    /// A rule of work.
    Rule {
        /// Counted from 0, as in the array `rules`.
        index: usize,
        /// Its id, where it has a readable one.
        id: Option<String>,
    },
    /// A line of a CSV text, counted from 1.
    Line(u64),
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Problem {
    /// The text is no JSON.
    #[error("no JSON: {0}")]
    NotJson(String),
    /// The JSON is no collection of features.
    #[error("no GeoJSON FeatureCollection with an array \"features\"")]
    NotACollection,
    /// A member of the collection is no feature with properties.
    #[error("no Feature with an object \"properties\"")]
    NotAFeature,
    /// The JSON has no rules.
    #[error("no object with an array \"rules\"")]
    NoRules,
    /// A member of the rules is no object.
    #[error("no object")]
    NotARule,
    /// A property that must be there.
    #[error("property \"{0}\" is missing")]
    Missing(&'static str),
    /// A key that no rule knows.
    #[error("unknown property \"{key}\"; known are {known}")]
    UnknownKey {
        /// The key.
        key: String,
        /// Those that there are.
        known: String,
    },
    /// A value that does not fit its property.
    #[error("property \"{key}\": {value} is not {expected}")]
    Value {
        /// The property.
        key: String,
        /// What stands there.
        value: String,
        /// What could stand there.
        expected: String,
    },
    /// A property that does not go with the kind or the geometry.
    #[error("property \"{key}\" {why}")]
    Misplaced {
        /// The property.
        key: &'static str,
        /// Why it cannot stand here.
        why: &'static str,
    },
    /// Two with the same id, code or phone.
    #[error("{what} \"{value}\" is there twice; first in {first}")]
    Duplicate {
        /// Id, code or phone.
        what: &'static str,
        /// The value.
        value: String,
        /// Where it was first.
        first: Place,
    },
    /// A code that does not follow the layout.
    #[error("code \"{code}\" {why}")]
    Code {
        /// The code.
        code: String,
        /// What it should be.
        why: String,
    },
    /// The geometry is of another type.
    #[error("geometry {found}; possible are {expected}")]
    Geometry {
        /// What stands there.
        found: String,
        /// What could stand there.
        expected: &'static str,
    },
    /// A position that is no pair of finite numbers within the earth.
    #[error("vertex {vertex} of ring {ring}: {value} {why}")]
    Position {
        /// Counted from 0.
        ring: usize,
        /// Counted from 0.
        vertex: usize,
        /// What stands there.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A ring that does not end where it began.
    #[error("ring {0} is not closed: its last vertex must be its first")]
    Unclosed(usize),
    /// More vertices than are judged.
    #[error("{count} vertices; at most {limit} are allowed")]
    TooManyVertices {
        /// How many there are.
        count: usize,
        /// How many may be.
        limit: usize,
    },
    /// Rings that make no polygon.
    #[error("ring {ring}: {fault}")]
    Ring {
        /// Counted from 0; 0 is the outline.
        ring: usize,
        /// What is wrong with it.
        fault: String,
    },
    /// Farther from the middle of the catalog than the plane reaches.
    #[error("lies more than 500 km from the middle of the catalog")]
    TooFar,
    /// Two unit grids that cover the same ground.
    #[error("overlaps \"{other}\" by {square_meters:.0} m²")]
    Overlap {
        /// The code of the other one.
        other: String,
        /// How much ground they share.
        square_meters: f64,
    },
    /// A time window that cannot be.
    #[error("window {index}: {why}")]
    Window {
        /// Counted from 0.
        index: usize,
        /// What is wrong with it.
        why: String,
    },
    /// Something of a route that cannot be driven.
    #[error("{what}: {fault}")]
    Route {
        /// The route as a whole, one of its segments or points.
        what: String,
        /// What is wrong with it.
        fault: String,
    },
    /// A name that stands for nothing in the catalog.
    #[error("applies_to: there is no {what} \"{name}\"")]
    Unresolved {
        /// Vehicle or fleet.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A name that stands for nothing in another text.
    #[error("property \"{key}\": there is no {what} \"{name}\"")]
    Unknown {
        /// The property.
        key: &'static str,
        /// What it should name.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Two duties of one vehicle that have a moment in common.
    #[error("\"{vehicle}\" works \"{shift}\" while it works \"{other}\" of {first}")]
    DoubleDuty {
        /// Who.
        vehicle: String,
        /// The shift of this place.
        shift: String,
        /// The other shift.
        other: String,
        /// The place of the other assignment.
        first: Place,
    },
    /// A line that cannot be read.
    #[error("{0}")]
    Csv(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("the whole text"),
            Self::Feature {
                index,
                id: Some(id),
            } => write!(f, "feature {index} \"{id}\""),
            Self::Feature { index, id: None } => write!(f, "feature {index}"),
            Self::Rule {
                index,
                id: Some(id),
            } => write!(f, "rule {index} \"{id}\""),
            Self::Rule { index, id: None } => write!(f, "rule {index}"),
            Self::Line(line) => write!(f, "line {line}"),
        }
    }
}

impl fmt::Display for CatalogMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Whole => write!(f, "{}: {}", self.file, self.problem),
            place => write!(f, "{}: {place}: {}", self.file, self.problem),
        }
    }
}
