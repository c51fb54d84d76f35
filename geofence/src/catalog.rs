//! The city's side: unit grids, fences, routes and vehicles, as one immutable snapshot.
//!
//! A catalog is made whole from texts or not at all; every mistake of every text is named at once.
//! Whoever edits a city swaps the snapshot.
//!
//! # Formats
//! * Unit grids: GeoJSON features of type `Polygon` with `code` and `name`.
//! * Fences: GeoJSON features with `id`, `name`, `kind` (`stay_in`, `keep_out`, `speed_limit`,
//!   `no_stop`, `site`), `applies_to` (`vehicles`, `fleets`, `work_kinds`), `windows` (`days`, `from`, `to`),
//!   `speed_limit_kmh`, `priority`, `version`, and the thresholds of
//!   [`crate::checks::Parameters::KEYS`]. A polygon with holes is a `Polygon`, a circle a `Point`
//!   with `radius_m`, a corridor a `LineString` with `width_m`.
//! * Routes: GeoJSON features of type `LineString`, or `MultiLineString` with a line for each segment,
//!   with `id`, `name`, `version`, `applies_to` (always somebody), `windows`,
//!   `side` (`any`, `left`, `right`, `both`), `direction` (`any`, `forward`), `passes` (1 to 20),
//!   `segments` (an object for each line: `name`, `side`, `direction`, `passes`, where they differ),
//!   `points` (objects: `id`, `name`, `at` as longitude and latitude, `from` and `to` as `HH:MM`,
//!   `mandatory`, `radius_m`, `stay_s`), `in_order`, `checks` (`deviation`, `points`, `coverage`;
//!   all by default), `exempt_sites` (ids of fences; all sites by default), and the thresholds of
//!   [`crate::checks::RouteParameters::KEYS`].
//! * Rules of work: JSON, an object with an array `rules` of objects with `id`, `name`, `kind`, `version`,
//!   `applies_to`, `windows`, and by kind: `long_stop`, `idling` (`stop_s`, `sites`); `work_speed`
//!   (`speed_kmh`, `unknown`: `idle`, `on_route`, `working`); `unloading` (`dwell_s`, `sites`); `speed_limit`
//!   (`speed_limit_kmh`, `priority`); `terminal_alarms` (`alarms`: bit → seconds or `off`);
//!   `work_signals` (`signals`: objects with `machine`, `source`, `bit`, `inverted`). Thresholds are in
//!   [`crate::checks::WorkParameters`].
//! * Vehicles: CSV with the columns
//!   `vehicle,phone,plate,work_kind,fleet,name,speed_limit_kmh,crew`.
//! * Calendar, shifts, responsibility grids, assignments: see [`Duties`].

mod audience;
mod communities;
mod duty;
mod edited;
mod elder;
mod features;
mod fence;
mod fence_index;
mod gaps;
mod load;
mod mistake;
mod places;
mod route;
mod schedule;
mod sources;
mod texts;
mod unit_grid;
mod vehicle;
mod weight;
mod work_rule;

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

pub use self::duty::{date_of, day_of};
pub(crate) use self::schedule::{DAY_MINUTES, MINUTE_MS, minutes as minutes_of_day};
pub use self::schedule::{local as local_moment, local_day};
pub use self::{
    communities::{CommunityFault, CommunityFaultKind},
    duty::{
        Assignee, Assignment, Break, Calendar, DayKind, Duties, Duty, DutyArea, Roster, Shift,
        Standing,
    },
    fence::{AppliesTo, Fence, FenceKind},
    gaps::Gap,
    mistake::{CatalogMistake, Place, Problem},
    route::{CollectionPoint, ExemptSites, Kerb, Route, RouteChecks, Segment, Strip, UnknownSweep},
    schedule::Schedule,
    sources::CatalogSources,
    unit_grid::{CodeLayout, UnitGrid},
    vehicle::{Vehicle, WorkKind},
    work_rule::{
        AlarmPolicy, AllowedSites, Demand, Machine, SignalSource, StopDemand, UnknownWork,
        UnloadingDemand, WorkRule, WorkSignal, WorkSpeed,
    },
};

pub(crate) use self::audience::Audience;
use self::{
    features::{Notes, Vertex},
    fence_index::FenceIndex,
    texts::{Kind, Texts},
    work_rule::WorkRules,
};
use crate::{
    geometry::{Plane, Point, Raster, ring_faults, rings_faults},
    identity::TerminalId,
    units::{Latitude, Longitude},
};

/// South, west, north, east.
type Extent = (Latitude, Longitude, Latitude, Longitude);

/// A city at one moment. A clone shares everything with it.
#[derive(Clone, Debug)]
pub struct Catalog {
    version: u32,
    plane: Plane,
    bounds: Option<Extent>,
    grids: Arc<Grids>,
    fences: Arc<Vec<Arc<Fence>>>,
    fence_index: FenceIndex,
    by_fingerprint: Arc<HashMap<u64, u32>>,
    routes: Arc<Routes>,
    work: Arc<WorkRules>,
    vehicles: Arc<Vec<Vehicle>>,
    by_terminal: Arc<HashMap<TerminalId, u32>>,
    duties: Arc<Duties>,
    /// About the duty areas.
    duty_bounds: Option<Extent>,
    audiences: Arc<Vec<Audience>>,
    texts: Texts,
}

/// The unit grids, shared by versions that have the same.
#[derive(Debug)]
struct Grids {
    all: Vec<UnitGrid>,
    raster: Raster,
    bounds: Option<Extent>,
}

/// The routes, shared by versions that have the same.
#[derive(Debug, Default)]
struct Routes {
    all: Vec<Route>,
    by_fingerprint: HashMap<u64, u32>,
    bounds: Option<Extent>,
}

const EMPTY_COLLECTION: &str = "{\"type\":\"FeatureCollection\",\"features\":[]}";

impl Default for Catalog {
    /// A catalog without anything.
    fn default() -> Self {
        Self {
            version: 0,
            plane: Plane::without_city(),
            bounds: None,
            grids: Arc::new(Grids {
                all: Vec::new(),
                raster: Raster::build([].iter(), Raster::FINE),
                bounds: None,
            }),
            fences: Arc::default(),
            fence_index: FenceIndex::build(&[]),
            by_fingerprint: Arc::default(),
            routes: Arc::default(),
            work: Arc::default(),
            vehicles: Arc::default(),
            by_terminal: Arc::default(),
            duties: Arc::default(),
            duty_bounds: None,
            audiences: Arc::new(vec![Audience::default()]),
            texts: Texts::default(),
        }
    }
}

impl Catalog {
    /// A digest of the texts: another version means that something was edited.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// The same without its texts: what judges, and cannot be edited.
    #[must_use]
    pub(crate) fn without_texts(&self) -> Self {
        Self {
            texts: self.texts.digests(),
            ..self.clone()
        }
    }

    /// The plane that shapes lie on.
    #[must_use]
    pub const fn plane(&self) -> &Plane {
        &self.plane
    }

    /// West, south, east, north of everything in the catalog, in degrees; `None` without shapes.
    #[must_use]
    pub fn bounds_degrees(&self) -> Option<[f64; 4]> {
        self.bounds.map(|(south, west, north, east)| {
            [
                west.degrees(),
                south.degrees(),
                east.degrees(),
                north.degrees(),
            ]
        })
    }

    /// The unit grid of a place.
    #[must_use]
    pub fn grid_at(&self, latitude: Latitude, longitude: Longitude) -> Option<&UnitGrid> {
        let point = self.plane.point(latitude, longitude)?;
        self.grids.all.get(self.grids.raster.first(point)? as usize)
    }

    /// The unit grid of each place of a list; `None` where there is no place or no grid.
    pub fn grids_at(
        &self,
        places: impl IntoIterator<Item = Option<(Latitude, Longitude)>>,
    ) -> Vec<Option<&UnitGrid>> {
        // Beyond the reach of every plane, where no grid is.
        let nowhere = Point {
            x: i32::MAX,
            y: i32::MAX,
        };
        let place = |place: (Latitude, Longitude)| self.plane.point(place.0, place.1);
        let points = places
            .into_iter()
            .map(|at| at.and_then(place).unwrap_or(nowhere));
        let points: Vec<Point> = points.collect();
        let mut grids = vec![None; points.len()];
        self.grids.raster.first_of_each(&points, |index, id| {
            if let Some(grid) = grids.get_mut(index) {
                *grid = self.grids.all.get(id as usize);
            }
        });
        grids
    }

    /// The index of the unit grid at a point of the plane.
    #[must_use]
    pub fn grid_index_at(&self, point: Point) -> Option<u32> {
        self.grids.raster.first(point)
    }

    /// Gives the index of every fence at a point of the plane, whomever it concerns. One point at a time:
    /// where a position counts is known only when those before it were judged, since a vehicle that stands
    /// counts at the mean of its stop.
    pub fn fences_at(&self, point: Point, found: impl FnMut(u32)) {
        self.fence_index.for_each(point, found);
    }

    /// The vehicle that carries a terminal.
    #[must_use]
    pub fn vehicle_of(&self, terminal: &TerminalId) -> Option<&Vehicle> {
        self.vehicles.get(*self.by_terminal.get(terminal)? as usize)
    }

    /// All unit grids, in the order of their text.
    #[must_use]
    pub fn unit_grids(&self) -> &[UnitGrid] {
        &self.grids.all
    }

    /// All fences, in the order of their text.
    #[must_use]
    pub fn fences(&self) -> &[Arc<Fence>] {
        &self.fences
    }

    /// All routes, in the order of their text.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes.all
    }

    /// All vehicles, in the order of their text.
    #[must_use]
    pub fn vehicles(&self) -> &[Vehicle] {
        &self.vehicles
    }

    /// The unit grids as GeoJSON, as they were read.
    #[must_use]
    pub fn unit_grids_geojson(&self) -> &str {
        self.texts.get(Kind::UnitGrids).unwrap_or(EMPTY_COLLECTION)
    }

    /// The fences as GeoJSON, as they were read.
    #[must_use]
    pub fn fences_geojson(&self) -> &str {
        self.texts.get(Kind::Fences).unwrap_or(EMPTY_COLLECTION)
    }

    /// The routes as GeoJSON, as they were read.
    #[must_use]
    pub fn routes_geojson(&self) -> &str {
        self.texts.get(Kind::Routes).unwrap_or(EMPTY_COLLECTION)
    }

    pub(crate) fn route(&self, index: u32) -> Option<&Route> {
        self.routes.all.get(index as usize)
    }

    /// The index of the route with this fingerprint: the same route, not edited since.
    pub(crate) fn route_of(&self, fingerprint: u64) -> Option<u32> {
        self.routes.by_fingerprint.get(&fingerprint).copied()
    }

    pub(crate) fn fence(&self, index: u32) -> Option<&Fence> {
        self.fences.get(index as usize).map(|fence| &**fence)
    }

    /// The index of the fence with this fingerprint: the same fence, not edited since.
    pub(crate) fn fence_of(&self, fingerprint: u64) -> Option<u32> {
        self.by_fingerprint.get(&fingerprint).copied()
    }

    pub(crate) fn audience_of(&self, vehicle: Option<&Vehicle>) -> &Audience {
        self.audiences
            .get(vehicle.map_or(0, |vehicle| vehicle.audience))
            .unwrap_or(Audience::NOBODY)
    }
}

fn parse<'a>(
    source: Option<&'a (String, String)>,
    mistakes: &mut Vec<CatalogMistake>,
) -> Option<(&'a str, Value)> {
    let (file, text) = source?;
    match serde_json::from_str(text.trim_start_matches('\u{feff}')) {
        Ok(root) => Some((file, root)),
        Err(error) => {
            Notes { file, mistakes }.add(&Place::Whole, Problem::NotJson(error.to_string()));
            None
        }
    }
}

fn bounds(vertices: impl Iterator<Item = Vertex>) -> Option<Extent> {
    vertices.fold(None, |bounds, (lat, lon)| {
        let (south, west, north, east) = bounds.unwrap_or((lat, lon, lat, lon));
        Some((south.min(lat), west.min(lon), north.max(lat), east.max(lon)))
    })
}

/// About all of these.
fn union(extents: impl Iterator<Item = Extent>) -> Option<Extent> {
    let corners = |(south, west, north, east)| [(south, west), (north, east)];
    bounds(extents.flat_map(corners))
}

fn middle((south, west, north, east): Extent) -> Plane {
    let between = |a: i32, b: i32| a.midpoint(b);
    let latitude = between(south.micro_degrees(), north.micro_degrees());
    let longitude = between(west.micro_degrees(), east.micro_degrees());
    match (
        Latitude::from_micro_degrees(latitude),
        Longitude::from_micro_degrees(longitude),
    ) {
        (Some(latitude), Some(longitude)) => Plane::new(latitude, longitude),
        _ => Plane::without_city(),
    }
}

fn by_fingerprint(fences: &[Arc<Fence>]) -> HashMap<u64, u32> {
    fences
        .iter()
        .map(|fence| fence.fingerprint)
        .zip(0..)
        .collect()
}

/// The vertices on the plane; notes those that are too far away.
fn points_on(
    plane: &Plane,
    vertices: &[Vertex],
    place: &Place,
    notes: &mut Notes<'_>,
) -> Option<Vec<Point>> {
    let points: Option<Vec<Point>> = vertices
        .iter()
        .map(|(lat, lon)| plane.point(*lat, *lon))
        .collect();
    if points.is_none() {
        notes.add(place, Problem::TooFar);
    }
    points
}

/// The rings on the plane; notes what keeps them from being a polygon.
fn rings_on(
    plane: &Plane,
    rings: &[Vec<Vertex>],
    place: &Place,
    notes: &mut Notes<'_>,
) -> Option<Vec<Vec<Point>>> {
    let points: Option<Vec<Vec<Point>>> = rings
        .iter()
        .map(|ring| points_on(plane, ring, place, notes))
        .collect();
    let points = points?;
    let mut faults: Vec<_> = points
        .iter()
        .enumerate()
        .filter_map(|(number, ring)| Some((number, ring_faults(ring)?)))
        .collect();
    if faults.is_empty() {
        faults = rings_faults(&points);
    }
    for (ring, fault) in &faults {
        notes.add(
            place,
            Problem::Ring {
                ring: *ring,
                fault: fault.to_string(),
            },
        );
    }
    faults.is_empty().then_some(points)
}

/// FNV-1a: small, and the same for ever. Not for secrets.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests;
