//! Fences: where, what they ask for, of whom, and when.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{
    Extent,
    features::{Feature, Notes, Vertex, features, position, unknown_keys},
    mistake::{Place, Problem},
    schedule::Schedule,
    vehicle::{Vehicle, WorkKind},
};
use crate::{
    checks::Parameters,
    geometry::{Plane, Point, Shape},
};

/// What a fence asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FenceKind {
    /// Do not leave.
    StayIn,
    /// Do not enter.
    KeepOut,
    /// Do not exceed its limit inside.
    SpeedLimit,
    /// Do not stand inside for long.
    NoStop,
    /// A place with a name: transfer station, landfill, depot, collection point.
    Site,
}

impl FenceKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::StayIn,
        Self::KeepOut,
        Self::SpeedLimit,
        Self::NoStop,
        Self::Site,
    ];

    /// The word in texts and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StayIn => "stay_in",
            Self::KeepOut => "keep_out",
            Self::SpeedLimit => "speed_limit",
            Self::NoStop => "no_stop",
            Self::Site => "site",
        }
    }

    /// Membership is followed: of the others only the place of a stop counts.
    pub(crate) const fn is_followed(self) -> bool {
        matches!(self, Self::StayIn | Self::KeepOut | Self::SpeedLimit)
    }
}

/// Whom a fence concerns: everybody when all lists are empty, else whoever is in one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppliesTo {
    /// Vehicle ids.
    pub vehicles: Vec<String>,
    /// Fleet ids.
    pub fleets: Vec<String>,
    /// Kinds of work.
    pub work_kinds: Vec<WorkKind>,
}

impl AppliesTo {
    /// Whether it concerns everybody.
    #[must_use]
    pub const fn is_everybody(&self) -> bool {
        self.vehicles.is_empty() && self.fleets.is_empty() && self.work_kinds.is_empty()
    }

    /// Whether it concerns this vehicle.
    #[must_use]
    pub fn includes(&self, vehicle: &Vehicle) -> bool {
        self.is_everybody()
            || self.vehicles.contains(&vehicle.id)
            || self.fleets.contains(&vehicle.fleet)
            || self.work_kinds.contains(&vehicle.work_kind)
    }
}

/// A fence.
#[derive(Clone, Debug)]
pub struct Fence {
    /// Its id in the catalog.
    pub id: String,
    /// For people.
    pub name: String,
    /// What it asks for.
    pub kind: FenceKind,
    /// The version that its editor counts; 1 where the text has none.
    pub version: u32,
    /// Where, on the plane of the catalog.
    pub shape: Shape,
    /// Whom it concerns.
    pub applies_to: AppliesTo,
    /// When it holds.
    pub schedule: Schedule,
    /// km/h, for [`FenceKind::SpeedLimit`].
    pub speed_limit_kmh: Option<f64>,
    /// Among speed limits the highest priority holds, then the lowest limit.
    pub priority: i32,
    /// The thresholds that hold for it.
    pub parameters: Parameters,
    /// Of all that it asks for: another value means that the fence was edited.
    pub fingerprint: u64,
    /// Of all that its text says, the name too.
    pub(super) digest: u64,
    /// About its vertices.
    pub(super) extent: Option<Extent>,
}

/// A fence before there is a plane.
pub(super) struct Draft {
    place: Place,
    /// With an empty shape.
    pub(super) fence: Fence,
    outline: Outline,
}

enum Outline {
    Rings(Vec<Vec<Vertex>>),
    Circle(Vertex, f64),
    Corridor(Vec<Vertex>, f64),
}

impl Outline {
    fn vertices(&self) -> Vec<Vertex> {
        match self {
            Self::Rings(rings) => rings.iter().flatten().copied().collect(),
            Self::Circle(center, _) => vec![*center],
            Self::Corridor(line, _) => line.clone(),
        }
    }
}

const KNOWN: [&str; 10] = [
    "id",
    "name",
    "kind",
    "applies_to",
    "windows",
    "speed_limit_kmh",
    "priority",
    "version",
    "radius_m",
    "width_m",
];
/// Metres of a circle or of a corridor's width.
const SIZES: std::ops::RangeInclusive<f64> = 1.0..=50_000.0;

pub(super) fn read(
    root: &Value,
    vehicles: Option<&[Vehicle]>,
    notes: &mut Notes<'_>,
) -> Vec<Draft> {
    let known: Vec<&str> = KNOWN.into_iter().chain(Parameters::KEYS).collect();
    let mut seen = HashMap::new();
    let mut drafts = Vec::new();
    for feature in features(root, "id", notes) {
        feature.only(&known, notes);
        let id = feature.text("id", notes);
        if !id.is_empty() {
            notes.unique(&mut seen, "id", &id, &feature.place);
        }
        let name = match feature.properties.get("name") {
            Some(_) => feature.text("name", notes),
            None => id.clone(),
        };
        let kind = kind(&feature, notes);
        let speed_limit_kmh = feature.number("speed_limit_kmh", 1.0..=250.0, notes);
        let has_limit = feature.properties.contains_key("speed_limit_kmh");
        if kind == Some(FenceKind::SpeedLimit) && !has_limit {
            notes.add(&feature.place, Problem::Missing("speed_limit_kmh"));
        }
        let whole = |key, range, notes: &mut Notes<'_>| {
            let number = feature.number(key, range, notes);
            #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
            number.map(|number| number as i32)
        };
        let version = whole("version", 0.0..=1e9, notes).unwrap_or(1);
        let priority = whole("priority", -1e6..=1e6, notes).unwrap_or(0);
        let applies_to = audience(&feature, vehicles, notes);
        let schedule = windows(&feature, notes);
        let mut parameters = Parameters::default();
        parameters.read(|key, range| feature.number(key, range, notes), kind);
        let outline = outline(&feature, notes);
        if let (Some(kind), Some(outline)) = (kind, outline) {
            let fingerprint = fingerprint(&feature);
            let named = [&fingerprint.to_le_bytes(), name.as_bytes()].concat();
            let fence = Fence {
                digest: super::hash(&named),
                extent: super::bounds(outline.vertices().into_iter()),
                id,
                name,
                kind,
                version: version.unsigned_abs(),
                shape: Shape::Circle {
                    center: Point::default(),
                    radius: 0,
                },
                applies_to,
                schedule,
                speed_limit_kmh,
                priority,
                parameters,
                fingerprint,
            };
            drafts.push(Draft {
                place: feature.place,
                fence,
                outline,
            });
        }
    }
    drafts
}

fn kind(feature: &Feature<'_>, notes: &mut Notes<'_>) -> Option<FenceKind> {
    let word = feature.text("kind", notes);
    let kind = FenceKind::ALL
        .into_iter()
        .find(|kind| kind.as_str() == word);
    if kind.is_none() && !word.is_empty() {
        let expected = format!(
            "one of {}",
            FenceKind::ALL.map(FenceKind::as_str).join(", ")
        );
        feature.wrong("kind", &Value::String(word), &expected, notes);
    }
    kind
}

pub(super) fn audience(
    feature: &Feature<'_>,
    vehicles: Option<&[Vehicle]>,
    notes: &mut Notes<'_>,
) -> AppliesTo {
    let mut applies_to = AppliesTo::default();
    let Some(value) = feature.properties.get("applies_to") else {
        return applies_to;
    };
    let Some(object) = value.as_object() else {
        feature.wrong("applies_to", value, "an object", notes);
        return applies_to;
    };
    unknown_keys(
        object,
        &["vehicles", "fleets", "work_kinds"],
        &feature.place,
        notes,
    );
    applies_to.vehicles = words(feature, object, "vehicles", notes);
    applies_to.fleets = words(feature, object, "fleets", notes);
    for word in words(feature, object, "work_kinds", notes) {
        match WorkKind::from_word(&word) {
            Some(kind) => applies_to.work_kinds.push(kind),
            None => {
                let expected = format!("one of {}", WorkKind::words());
                feature.wrong(
                    "applies_to.work_kinds",
                    &Value::String(word),
                    &expected,
                    notes,
                );
            }
        }
    }
    // An audience that is written down but empty would suddenly be everybody.
    if applies_to.is_everybody() {
        feature.wrong(
            "applies_to",
            value,
            "an audience with somebody in it",
            notes,
        );
    }
    if let Some(vehicles) = vehicles {
        for name in &applies_to.vehicles {
            if !vehicles.iter().any(|vehicle| vehicle.id == *name) {
                let problem = Problem::Unresolved {
                    what: "vehicle",
                    name: name.clone(),
                };
                notes.add(&feature.place, problem);
            }
        }
        for name in &applies_to.fleets {
            if !vehicles.iter().any(|vehicle| vehicle.fleet == *name) {
                let problem = Problem::Unresolved {
                    what: "fleet",
                    name: name.clone(),
                };
                notes.add(&feature.place, problem);
            }
        }
    }
    applies_to
}

fn words(
    feature: &Feature<'_>,
    object: &Map<String, Value>,
    key: &str,
    notes: &mut Notes<'_>,
) -> Vec<String> {
    let Some(value) = object.get(key) else {
        return Vec::new();
    };
    let list: Option<Vec<String>> = value.as_array().and_then(|list| {
        list.iter()
            .map(|word| word.as_str().map(str::to_owned))
            .collect()
    });
    list.unwrap_or_else(|| {
        feature.wrong(
            &format!("applies_to.{key}"),
            value,
            "an array of texts",
            notes,
        );
        Vec::new()
    })
}

pub(super) fn windows(feature: &Feature<'_>, notes: &mut Notes<'_>) -> Schedule {
    let Some(value) = feature.properties.get("windows") else {
        return Schedule::default();
    };
    Schedule::read(value).unwrap_or_else(|mistakes| {
        for (index, why) in mistakes {
            notes.add(&feature.place, Problem::Window { index, why });
        }
        Schedule::default()
    })
}

fn outline(feature: &Feature<'_>, notes: &mut Notes<'_>) -> Option<Outline> {
    let (kind, coordinates) = feature.geometry();
    let mut size = |key: &'static str, geometry: &str| {
        let is_there = feature.properties.contains_key(key);
        if kind == geometry {
            if !is_there {
                notes.add(&feature.place, Problem::Missing(key));
            }
            return feature.number(key, SIZES, notes);
        }
        if is_there {
            let why = "belongs to circles (Point, radius_m) or corridors (LineString, width_m)";
            notes.add(&feature.place, Problem::Misplaced { key, why });
        }
        None
    };
    let (radius, width) = (size("radius_m", "Point"), size("width_m", "LineString"));
    match kind {
        "Polygon" => Some(Outline::Rings(feature.rings(coordinates, notes)?)),
        "Point" => match position(coordinates) {
            Ok(center) => Some(Outline::Circle(center, radius?)),
            Err(why) => {
                let value = coordinates.to_string();
                notes.add(
                    &feature.place,
                    Problem::Position {
                        ring: 0,
                        vertex: 0,
                        value,
                        why,
                    },
                );
                None
            }
        },
        "LineString" => {
            let line = feature.line(coordinates, 0, notes)?;
            if line.len() < 2 {
                let fault = "a line has two vertices that differ".to_owned();
                notes.add(&feature.place, Problem::Ring { ring: 0, fault });
                return None;
            }
            Some(Outline::Corridor(line, width?))
        }
        other => {
            let expected = "Polygon, Point with radius_m, LineString with width_m";
            notes.add(
                &feature.place,
                Problem::Geometry {
                    found: other.to_owned(),
                    expected,
                },
            );
            None
        }
    }
}

/// Of the text of the feature, without the name, which changes nothing.
pub(super) fn fingerprint(feature: &Feature<'_>) -> u64 {
    let mut properties = feature.properties.clone();
    properties.remove("name");
    let text = format!("{}{}", Value::Object(properties), feature.geometry);
    super::hash(text.as_bytes())
}

/// Lays the drafts on the plane.
pub(super) fn lay(drafts: Vec<Draft>, plane: &Plane, notes: &mut Notes<'_>) -> Vec<Fence> {
    let mut fences = Vec::with_capacity(drafts.len());
    for Draft {
        place,
        mut fence,
        outline,
    } in drafts
    {
        let points = |vertices: &[Vertex], notes: &mut Notes<'_>| {
            super::points_on(plane, vertices, &place, notes)
        };
        let shape = match &outline {
            Outline::Rings(rings) => super::rings_on(plane, rings, &place, notes)
                .and_then(|rings| Shape::polygon(&rings)),
            Outline::Circle(center, radius_m) => points(&[*center], notes)
                .and_then(|points| points.first().copied())
                .map(|center| Shape::Circle {
                    center,
                    radius: millimeters(*radius_m),
                }),
            Outline::Corridor(line, width_m) => points(line, notes).map(|line| Shape::Corridor {
                line,
                half_width: millimeters(*width_m / 2.0),
            }),
        };
        if let Some(shape) = shape {
            fence.shape = shape;
            fences.push(fence);
        }
    }
    fences
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "sizes were checked to be below 50 km"
)]
fn millimeters(meters: f64) -> i32 {
    (meters * 1_000.0).round() as i32
}
