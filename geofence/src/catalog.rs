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

mod duty;
mod features;
mod fence;
mod mistake;
mod route;
mod schedule;
mod sources;
mod unit_grid;
mod vehicle;
mod work_rule;

use std::collections::HashMap;

use serde_json::Value;

pub use self::{
    duty::{
        Assignee, Assignment, Break, Calendar, DayKind, Duties, Duty, DutyArea, Roster, Shift,
        Standing,
    },
    fence::{AppliesTo, Fence, FenceKind},
    mistake::{CatalogMistake, Place, Problem},
    route::{CollectionPoint, ExemptSites, Kerb, Route, RouteChecks, Segment, Strip},
    schedule::Schedule,
    sources::CatalogSources,
    unit_grid::{CodeLayout, UnitGrid},
    vehicle::{Vehicle, WorkKind},
    work_rule::{
        AlarmPolicy, AllowedSites, Demand, Machine, SignalSource, StopDemand, UnknownWork,
        UnloadingDemand, WorkRule, WorkSignal, WorkSpeed,
    },
};

use self::{
    features::{Notes, Vertex},
    work_rule::WorkRules,
};
use crate::{
    geometry::{Plane, Point, Raster, ring_faults, rings_faults},
    identity::TerminalId,
    units::{Latitude, Longitude},
};

/// A city at one moment.
#[derive(Clone, Debug)]
pub struct Catalog {
    version: u32,
    plane: Plane,
    /// South, west, north, east.
    bounds: Option<(Latitude, Longitude, Latitude, Longitude)>,
    unit_grids: Vec<UnitGrid>,
    grid_raster: Raster,
    fences: Vec<Fence>,
    fence_raster: Raster,
    by_fingerprint: HashMap<u64, u32>,
    routes: Vec<Route>,
    route_by_fingerprint: HashMap<u64, u32>,
    work: WorkRules,
    vehicles: Vec<Vehicle>,
    by_terminal: HashMap<TerminalId, u32>,
    duties: Duties,
    audiences: Vec<Audience>,
    unit_grid_text: String,
    fence_text: String,
    route_text: String,
}

/// Which fences and routes concern the members of an audience.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Audience {
    /// One bit a fence.
    concerned: Vec<u64>,
    /// The stay-in fences among them.
    stay_in: Vec<u32>,
    /// The routes that its members drive.
    routes: Vec<u32>,
    /// The rules of work that concern them, the nearest first.
    rules: Vec<u32>,
}

impl Audience {
    pub(crate) fn is_concerned(&self, fence: u32) -> bool {
        let word = self
            .concerned
            .get(fence as usize / 64)
            .copied()
            .unwrap_or(0);
        word >> (fence % 64) & 1 == 1
    }

    pub(crate) fn stay_in(&self) -> &[u32] {
        &self.stay_in
    }

    pub(crate) fn routes(&self) -> &[u32] {
        &self.routes
    }

    pub(crate) fn rules(&self) -> &[u32] {
        &self.rules
    }
}

const EMPTY_COLLECTION: &str = "{\"type\":\"FeatureCollection\",\"features\":[]}";

impl Default for Catalog {
    /// A catalog without anything.
    fn default() -> Self {
        Self {
            version: 0,
            plane: Plane::without_city(),
            bounds: None,
            unit_grids: Vec::new(),
            grid_raster: Raster::build([].iter(), Raster::FINE),
            fences: Vec::new(),
            fence_raster: Raster::build([].iter(), Raster::COARSE),
            by_fingerprint: HashMap::new(),
            routes: Vec::new(),
            route_by_fingerprint: HashMap::new(),
            work: WorkRules::default(),
            vehicles: Vec::new(),
            by_terminal: HashMap::new(),
            duties: Duties::default(),
            audiences: vec![Audience::default()],
            unit_grid_text: EMPTY_COLLECTION.to_owned(),
            fence_text: EMPTY_COLLECTION.to_owned(),
            route_text: EMPTY_COLLECTION.to_owned(),
        }
    }
}

impl Catalog {
    /// Reads and checks the texts.
    ///
    /// # Errors
    /// Every mistake of every text, with its place.
    pub fn load(sources: &CatalogSources) -> Result<Self, Vec<CatalogMistake>> {
        let mut mistakes = Vec::new();
        let mut vehicles = sources.vehicles.as_ref().map(|(file, text)| {
            vehicle::read(
                text,
                &mut Notes {
                    file,
                    mistakes: &mut mistakes,
                },
            )
        });
        let grid_root = parse(sources.unit_grids.as_ref(), &mut mistakes);
        let fence_root = parse(sources.fences.as_ref(), &mut mistakes);
        let route_root = parse(sources.routes.as_ref(), &mut mistakes);
        let rule_root = parse(sources.work_rules.as_ref(), &mut mistakes);
        let mut grid_drafts = Vec::new();
        if let Some((file, root)) = &grid_root {
            let notes = &mut Notes {
                file,
                mistakes: &mut mistakes,
            };
            grid_drafts = unit_grid::read(root, &sources.code_layouts, &sources.counties, notes);
        }
        let mut fence_drafts = Vec::new();
        if let Some((file, root)) = &fence_root {
            let notes = &mut Notes {
                file,
                mistakes: &mut mistakes,
            };
            fence_drafts = fence::read(root, vehicles.as_deref(), notes);
        }
        let mut route_drafts = Vec::new();
        if let Some((file, root)) = &route_root {
            let notes = &mut Notes {
                file,
                mistakes: &mut mistakes,
            };
            let sites = fence::sites(&fence_drafts);
            // Fences that cannot be read have sites that nobody knows.
            let is_known = fence_root.is_some() || sources.fences.is_none();
            let sites = is_known.then_some(&*sites);
            route_drafts = route::read(root, vehicles.as_deref(), sites, notes);
        }
        let mut work_rules = Vec::new();
        if let Some((file, root)) = &rule_root {
            let notes = &mut Notes {
                file,
                mistakes: &mut mistakes,
            };
            let sites = fence::sites(&fence_drafts);
            let is_known = fence_root.is_some() || sources.fences.is_none();
            let sites = is_known.then_some(&*sites);
            work_rules = work_rule::read(root, vehicles.as_deref(), sites, notes);
        }
        let duty_draft = duty::read(sources, vehicles.as_deref(), &mut mistakes);
        let grid_vertices = grid_drafts
            .iter()
            .flat_map(|draft| draft.rings.iter().flatten().copied());
        let fence_vertices = fence_drafts
            .iter()
            .flat_map(|draft| draft.outline.vertices());
        let route_vertices = route_drafts.iter().flat_map(route::Draft::vertices);
        let vertices = grid_vertices.chain(fence_vertices).chain(route_vertices);
        let bounds = bounds(vertices.chain(duty_draft.vertices()));
        let plane = bounds.map_or_else(Plane::without_city, middle);
        let mut catalog = Self {
            plane,
            bounds,
            ..Self::default()
        };
        if let Some((file, _)) = &grid_root {
            let notes = &mut Notes {
                file,
                mistakes: &mut mistakes,
            };
            catalog.unit_grids = unit_grid::lay(grid_drafts, &plane, notes);
        }
        if let Some((file, _)) = &fence_root {
            let notes = &mut Notes {
                file,
                mistakes: &mut mistakes,
            };
            catalog.fences = fence::lay(fence_drafts, &plane, notes);
        }
        if let Some((file, _)) = &route_root {
            let notes = &mut Notes {
                file,
                mistakes: &mut mistakes,
            };
            catalog.routes = route::lay(route_drafts, &plane, notes);
        }
        let grids = &catalog.unit_grids;
        catalog.duties = duty::lay(duty_draft, grids, sources, &plane, &mut mistakes);
        if let (Some(vehicles), Some((file, _))) = (&mut vehicles, &sources.assignments) {
            mistakes.extend(catalog.duties.enrol(vehicles, file));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        catalog.vehicles = vehicles.unwrap_or_default();
        catalog.work = WorkRules::new(work_rules, sources.work_rules.as_ref());
        catalog.index(sources);
        Ok(catalog)
    }

    fn index(&mut self, sources: &CatalogSources) {
        self.grid_raster =
            Raster::build(self.unit_grids.iter().map(|grid| &grid.shape), Raster::FINE);
        self.fence_raster =
            Raster::build(self.fences.iter().map(|fence| &fence.shape), Raster::COARSE);
        self.by_fingerprint = self
            .fences
            .iter()
            .map(|fence| fence.fingerprint)
            .zip(0..)
            .collect();
        self.route_by_fingerprint = self
            .routes
            .iter()
            .map(|route| route.fingerprint)
            .zip(0..)
            .collect();
        let mut known: HashMap<Audience, usize> = HashMap::new();
        // The first audience is that of terminals without a vehicle.
        let mut nobody = audience(&self.fences, &[], AppliesTo::is_everybody);
        nobody.rules = self.work.nearest(None);
        self.audiences = vec![nobody];
        for vehicle in &mut self.vehicles {
            let mut audience = audience(&self.fences, &self.routes, |applies_to| {
                applies_to.includes(vehicle)
            });
            audience.rules = self.work.nearest(Some(vehicle));
            vehicle.audience = *known.entry(audience).or_insert_with_key(|audience| {
                self.audiences.push(audience.clone());
                self.audiences.len() - 1
            });
        }
        self.by_terminal = self
            .vehicles
            .iter()
            .map(|vehicle| vehicle.terminal)
            .zip(0..)
            .collect();
        let mut texts = Vec::new();
        let all = [
            &sources.unit_grids,
            &sources.fences,
            &sources.vehicles,
            &sources.routes,
            &sources.work_rules,
            &sources.calendar,
            &sources.shifts,
            &sources.responsibility_grids,
            &sources.assignments,
        ];
        for (_, text) in all.into_iter().flatten() {
            texts.extend_from_slice(text.as_bytes());
            texts.push(0);
        }
        let version = hash(&texts);
        self.version = u32::try_from((version ^ version >> 32) & u64::from(u32::MAX)).unwrap_or(0);
        let text = |source: &Option<(String, String)>| {
            source
                .as_ref()
                .map_or_else(|| EMPTY_COLLECTION.to_owned(), |(_, text)| text.clone())
        };
        self.unit_grid_text = text(&sources.unit_grids);
        self.fence_text = text(&sources.fences);
        self.route_text = text(&sources.routes);
    }

    /// A digest of the texts: another version means that something was edited.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
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
        self.unit_grids.get(self.grid_raster.first(point)? as usize)
    }

    /// The index of the unit grid at a point of the plane.
    #[must_use]
    pub fn grid_index_at(&self, point: Point) -> Option<u32> {
        self.grid_raster.first(point)
    }

    /// Gives the index of every fence at a point of the plane, whomever it concerns.
    pub fn fences_at(&self, point: Point, found: impl FnMut(u32)) {
        self.fence_raster.for_each(point, found);
    }

    /// The vehicle that carries a terminal.
    #[must_use]
    pub fn vehicle_of(&self, terminal: &TerminalId) -> Option<&Vehicle> {
        self.vehicles.get(*self.by_terminal.get(terminal)? as usize)
    }

    /// All unit grids, in the order of their text.
    #[must_use]
    pub fn unit_grids(&self) -> &[UnitGrid] {
        &self.unit_grids
    }

    /// All fences, in the order of their text.
    #[must_use]
    pub fn fences(&self) -> &[Fence] {
        &self.fences
    }

    /// All routes, in the order of their text.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// All vehicles, in the order of their text.
    #[must_use]
    pub fn vehicles(&self) -> &[Vehicle] {
        &self.vehicles
    }

    /// The unit grids as GeoJSON, as they were read.
    #[must_use]
    pub fn unit_grids_geojson(&self) -> String {
        self.unit_grid_text.clone()
    }

    /// The fences as GeoJSON, as they were read.
    #[must_use]
    pub fn fences_geojson(&self) -> String {
        self.fence_text.clone()
    }

    /// The routes as GeoJSON, as they were read.
    #[must_use]
    pub fn routes_geojson(&self) -> String {
        self.route_text.clone()
    }

    pub(crate) fn route(&self, index: u32) -> Option<&Route> {
        self.routes.get(index as usize)
    }

    /// The index of the route with this fingerprint: the same route, not edited since.
    pub(crate) fn route_of(&self, fingerprint: u64) -> Option<u32> {
        self.route_by_fingerprint.get(&fingerprint).copied()
    }

    pub(crate) fn fence(&self, index: u32) -> Option<&Fence> {
        self.fences.get(index as usize)
    }

    /// The index of the fence with this fingerprint: the same fence, not edited since.
    pub(crate) fn fence_of(&self, fingerprint: u64) -> Option<u32> {
        self.by_fingerprint.get(&fingerprint).copied()
    }

    pub(crate) fn audience_of(&self, vehicle: Option<&Vehicle>) -> &Audience {
        const NOBODY: &Audience = &Audience {
            concerned: Vec::new(),
            stay_in: Vec::new(),
            routes: Vec::new(),
            rules: Vec::new(),
        };
        self.audiences
            .get(vehicle.map_or(0, |vehicle| vehicle.audience))
            .unwrap_or(NOBODY)
    }
}

fn audience(fences: &[Fence], routes: &[Route], concerns: impl Fn(&AppliesTo) -> bool) -> Audience {
    let mut audience = Audience {
        concerned: vec![0; fences.len().div_ceil(64)],
        stay_in: Vec::new(),
        routes: Vec::new(),
        rules: Vec::new(),
    };
    let driven = (0..)
        .zip(routes)
        .filter(|(_, route)| concerns(&route.applies_to));
    audience.routes = driven.map(|(index, _)| index).collect();
    for (index, fence) in (0_u32..).zip(fences) {
        if !concerns(&fence.applies_to) {
            continue;
        }
        if let Some(word) = audience.concerned.get_mut(index as usize / 64) {
            *word |= 1 << (index % 64);
        }
        if fence.kind == FenceKind::StayIn {
            audience.stay_in.push(index);
        }
    }
    audience
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

fn bounds(
    vertices: impl Iterator<Item = Vertex>,
) -> Option<(Latitude, Longitude, Latitude, Longitude)> {
    vertices.fold(None, |bounds, (lat, lon)| {
        let (south, west, north, east) = bounds.unwrap_or((lat, lon, lat, lon));
        Some((south.min(lat), west.min(lon), north.max(lat), east.max(lon)))
    })
}

fn middle((south, west, north, east): (Latitude, Longitude, Latitude, Longitude)) -> Plane {
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
