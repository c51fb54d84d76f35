//! The work of a day: who drives which route, who walks which grids, and a few who act a play.
//!
//! Most vehicles and inspectors get a round: a closed way of some streets that they drive or walk
//! all day, with a route or a duty area over it, so that they keep every rule by construction. The
//! last ones of the list act: for each kind of violation one breaks the rule by a script, and one
//! nearly does. Windows and shifts are laid about the start of the day, since a catalog names them
//! by the clock.

mod plays;
mod texts;
mod way;

use std::collections::{HashMap, HashSet};

use serde_json::json;

pub use self::{
    plays::Expected,
    way::{BRUSH_BIT, BUCKET_BIT, Second, Way},
};

use self::{
    plays::Stage,
    texts::{Area, Shift, Texts, Timetable},
    way::Circuit,
};
use super::{
    City, CityOptions, Edge, FenceKind, WorkKind, demo_city, fence, fleet, lattice_meters,
};
use crate::{
    plane::{Point, Shape},
    random::Random,
    simulate::truth::BrokenRule,
};

/// A way that is driven again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// Its crossings; behind the last comes the first.
    pub nodes: Vec<usize>,
    /// Crossings where bins are emptied.
    pub stops: HashSet<usize>,
    /// The brush turns while it moves.
    pub is_sweeping: bool,
}

/// What somebody does in a play.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    /// Second by second.
    pub way: Way,
    /// What it breaks beside fences; `None` for those that only nearly do.
    pub expected: Option<Expected>,
    /// The kind of rule that the play is about.
    pub kind: BrokenRule,
    /// Whether that is broken.
    pub violates: bool,
}

/// The work of some of the vehicles, by their index in [`City::vehicle_list`], and the catalog's
/// texts of it.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// Start of the day, seconds since 1970 in UTC.
    pub start_unix_s: i64,
    /// Rounds.
    pub rounds: HashMap<usize, Round>,
    /// Plays.
    pub acts: HashMap<usize, Act>,
    /// Routes, GeoJSON.
    pub routes: String,
    /// Rules of work, JSON.
    pub work_rules: String,
    /// Shifts, CSV.
    pub shifts: String,
    /// Duty areas, GeoJSON.
    pub responsibility_grids: String,
    /// Assignments, CSV.
    pub assignments: String,
}

impl Work {
    /// The texts with the names of their files.
    #[must_use]
    pub fn files(&self) -> [(&'static str, &str); 5] {
        [
            ("routes.geojson", &self.routes),
            ("work-rules.json", &self.work_rules),
            ("shifts.csv", &self.shifts),
            ("responsibility-grids.geojson", &self.responsibility_grids),
            ("assignments.csv", &self.assignments),
        ]
    }
}

/// All plays there are: so many actors a city has at most.
#[must_use]
pub fn plays_max() -> usize {
    plays::plays().len()
}

/// The city of this seed on a day that begins at `start_unix_s` (seconds since 1970 in UTC), with
/// its work. The last `actors` of its vehicles act, at most as many as there are plays.
#[must_use]
pub fn working_city(seed: u64, options: &CityOptions, start_unix_s: i64, actors: usize) -> City {
    let mut city = demo_city(seed, options);
    let time = Timetable::from(start_unix_s);
    let count = city.vehicle_list.len();
    let first_actor = count.saturating_sub(actors.min(plays_max()));
    let mut work = Work {
        start_unix_s,
        ..Work::default()
    };
    let mut texts = Texts::new(city.plane);
    for index in 0..first_actor {
        let mut random = Random::for_subject(seed ^ 0x0BEA_7000, number(index));
        let round = plan_round(&city, index, &time, &mut random, &mut texts);
        man(&city, index, round.as_ref(), &time, &mut texts);
        work.rounds.extend(round.map(|round| (index, round)));
    }
    for (index, play) in (first_actor..count).zip(plays::plays()) {
        let mut random = Random::for_subject(seed ^ 0x5CE7_E000, number(index));
        let Some(place) = city.vehicle_list.get_mut(index) else {
            continue;
        };
        // The actor's own fleet stays; its work is that of the play.
        *place = fleet::vehicle(number(index), place.fleet, play.work_kind);
        let (vehicle, fleet) = (place.vehicle.clone(), place.fleet);
        let staged = (0..STAGES).find_map(|_| {
            let nodes = circuit_of(&city, fleet, CIRCUIT_M, &mut random)?;
            let circuit = Circuit::of(&city.network, &nodes);
            let grids = grids_along(&city, &circuit, 40.0);
            let mut stage = Stage {
                vehicle: &vehicle,
                violates: play.violates,
                circuit: &circuit,
                grids: &grids,
                time,
                texts: Texts::new(city.plane),
                fences: Vec::new(),
            };
            let (way, expected) = play.give(&mut stage);
            let is_clear = way
                .seconds
                .iter()
                .all(|second| is_clear(&city, fleet, second.point));
            (is_clear && grids.len() >= 5).then_some((way, expected, stage.texts, stage.fences))
        });
        let Some((way, expected, own, fences)) = staged else {
            continue;
        };
        texts.append(own);
        city.fence_list.extend(fences);
        let (kind, violates) = (play.kind, play.violates);
        work.acts.insert(
            index,
            Act {
                way,
                expected,
                kind,
                violates,
            },
        );
    }
    work.routes = texts.routes();
    work.work_rules = texts.work_rules();
    work.shifts = texts.shifts();
    work.responsibility_grids = texts.areas();
    work.assignments = texts.assignments();
    city.fences = fence::geojson(&city.fence_list, &city.plane);
    city.vehicles = fleet::csv(&city.vehicle_list, &city.fleets);
    city.work = Some(work);
    city
}

/// So many circuits are looked at for a play.
const STAGES: usize = 200;
/// Lengths of the circuits of plays and of rounds, metres.
const CIRCUIT_M: (f64, f64) = (800.0, 1_200.0);
const ROUND_M: (f64, f64) = (700.0, 1_600.0);
/// Farther than this from what its script does not mean an actor stays, metres.
const CLEAR_M: f64 = 35.0;
/// Windows of the routes of rounds, hours.
const ROUND_H: i64 = 1;

/// A round, its route or duty area, and for inspectors a shift; `None` where the vehicle has none.
fn plan_round(
    city: &City,
    index: usize,
    time: &Timetable,
    random: &mut Random,
    texts: &mut Texts,
) -> Option<Round> {
    let vehicle = city.vehicle_list.get(index)?;
    // Half of the fast ones stay free: violators of fences are chosen among them.
    let is_free = (index / city.fleets.len().max(1)).is_multiple_of(2);
    let is_fast = matches!(
        vehicle.work_kind,
        WorkKind::RefuseTruck | WorkKind::Sprinkler
    );
    if is_fast && is_free {
        return None;
    }
    let nodes = circuit_of(city, vehicle.fleet, ROUND_M, random)?;
    let circuit = Circuit::of(&city.network, &nodes);
    let id = &vehicle.vehicle;
    let mut stops = HashSet::new();
    if vehicle.work_kind == WorkKind::Inspector {
        let grids = grids_along(city, &circuit, 20.0);
        let codes = grids.into_iter().map(|(code, _)| code).collect();
        let (shift, area) = (INSPECTORS_SHIFT, format!("area-{id}"));
        texts.area(
            &area,
            &format!("{} 责任网格", vehicle.name),
            &Area::Grids(codes),
        );
        if !texts.shifts.iter().any(|known| known.id == shift) {
            texts.shifts.push(Shift {
                id: shift.to_owned(),
                name: "巡查班".to_owned(),
                days: time.day(),
                from: time.clock(-10),
                to: time.clock(8 * 60),
                checks: "late_start early_end off_post patrol_coverage silence".to_owned(),
                thresholds: String::new(),
            });
        }
        texts.assign(id, shift, &area);
    } else {
        // One after the other all day, the first from the curtain on.
        let windows: Vec<_> = (0..24 / ROUND_H)
            .map(|hour| {
                let (from, to) = (hour * 60 * ROUND_H, (hour + 1) * 60 * ROUND_H);
                json!({"from": time.clock(from), "to": time.clock(to)})
            })
            .collect();
        let mut properties = json!({
            "id": format!("route-{id}"),
            "name": format!("{} 作业路线", vehicle.name),
            "applies_to": {"vehicles": [id]},
            "windows": windows,
        });
        let more = match vehicle.work_kind {
            WorkKind::RefuseTruck => {
                // Every other crossing.
                let at: Vec<usize> = nodes.iter().copied().skip(1).step_by(2).collect();
                let points: Vec<_> = at
                    .iter()
                    .enumerate()
                    .filter_map(|(number, node)| {
                        let at = texts.lon_lat(*city.network.nodes.get(*node)?);
                        Some(json!({"id": format!("p{}", number + 1), "at": at}))
                    })
                    .collect();
                stops.extend(at);
                // The first window begins somewhere on the round.
                json!({"checks": ["deviation", "points"], "points": points, "in_order": false})
            }
            WorkKind::Sprinkler => json!({"speed_max_kmh": 25}),
            WorkKind::Sweeper | WorkKind::Inspector => json!({}),
        };
        texts::extend(&mut properties, more);
        texts.route(properties, &circuit.0);
    }
    Some(Round {
        nodes,
        stops,
        is_sweeping: vehicle.work_kind == WorkKind::Sweeper,
    })
}

/// The crew of a vehicle: on shift all day, with the unit grids along its round as its duty area. Those
/// without a round have none: they are on shift wherever they drive.
fn man(city: &City, index: usize, round: Option<&Round>, time: &Timetable, texts: &mut Texts) {
    let Some(vehicle) = city.vehicle_list.get(index) else {
        return;
    };
    if vehicle.work_kind == WorkKind::Inspector {
        return;
    }
    if !texts.shifts.iter().any(|known| known.id == CREWS_SHIFT) {
        texts.shifts.push(Shift {
            id: CREWS_SHIFT.to_owned(),
            name: "作业班".to_owned(),
            days: "daily".to_owned(),
            from: time.clock(-10),
            to: time.clock(-11),
            checks: "late_start early_end outside_hours silence".to_owned(),
            thresholds: String::new(),
        });
    }
    let area = round.map(|round| {
        let circuit = Circuit::of(&city.network, &round.nodes);
        let grids = grids_along(city, &circuit, 20.0);
        let codes = grids.into_iter().map(|(code, _)| code).collect();
        let area = format!("area-{}", vehicle.vehicle);
        let name = format!("{} 作业区", vehicle.name);
        texts.area(&area, &name, &Area::Grids(codes));
        area
    });
    let area = area.unwrap_or_default();
    texts.assign(&vehicle.vehicle, CREWS_SHIFT, &area);
}

/// The shift of the crews of all vehicles that do not act.
const CREWS_SHIFT: &str = "shift-crews";
/// The shift of all inspectors that do not act.
const INSPECTORS_SHIFT: &str = "shift-inspectors";

/// A closed way over streets that are safe for a fleet and have no limit of their own.
fn circuit_of(
    city: &City,
    fleet: usize,
    (low_m, high_m): (f64, f64),
    random: &mut Random,
) -> Option<Vec<usize>> {
    let network = &city.network;
    let safe = network.safe_nodes(fleet);
    let is_good = |edge: &Edge| edge.safe_for == Some(fleet) && edge.limit_kmh.is_none();
    (0..40).find_map(|_| {
        let first = *safe.get(random.index(safe.len()))?;
        let streets: Vec<&Edge> = network
            .edges_at(first)
            .filter(|edge| is_good(edge))
            .collect();
        let street = *streets.get(random.index(streets.len()))?;
        let second = street.other(first);
        let is_this = |edge: &Edge| (edge.a, edge.b) == (street.a, street.b);
        let back = network.path(
            second,
            |node| node == first,
            |edge| is_good(edge) && !is_this(edge),
        )?;
        let mut nodes = vec![first, second];
        nodes.extend(back);
        nodes.pop();
        let circuit = Circuit::of(network, &nodes);
        (low_m..=high_m)
            .contains(&circuit.length())
            .then_some(nodes)
    })
}

/// Whether a place is far from every fence of the city that is not meant, and well inside the duty
/// area of the fleet.
fn is_clear(city: &City, fleet: usize, point: Point) -> bool {
    let duty_area = city.fleets.get(fleet).map(|fleet| fleet.duty_area);
    city.fence_list.iter().enumerate().all(|(index, fence)| {
        let is_own = Some(index) == duty_area;
        if fence.kind == FenceKind::StayIn && !is_own {
            return true;
        }
        if !is_own {
            let (center, radius_m) = fence.shape.bounding_circle();
            if point.distance(center) > radius_m + CLEAR_M {
                return true;
            }
        }
        let inside_m = fence.shape.signed_distance(point);
        if is_own {
            inside_m > CLEAR_M
        } else {
            inside_m < -CLEAR_M
        }
    })
}

/// The unit grids in which a circuit runs for at least so many metres, in the order in which it
/// first comes to them, with the place on it that is farthest inside; those that it only grazes
/// are left out.
fn grids_along(city: &City, circuit: &Circuit, length_m: f64) -> Vec<(String, f64)> {
    const STEP_M: f64 = 5.0;
    struct Met {
        grid: usize,
        meters: f64,
        deepest: (f64, f64),
    }
    let mut met: Vec<Met> = Vec::new();
    let mut along = 0.0;
    while along < circuit.length() {
        let point = circuit.place(along, 0.0);
        if let Some((grid, inside_m)) = grid_at(city, point) {
            match met.iter_mut().find(|met| met.grid == grid) {
                Some(met) => {
                    met.meters += STEP_M;
                    if inside_m > met.deepest.0 {
                        met.deepest = (inside_m, along);
                    }
                }
                None => met.push(Met {
                    grid,
                    meters: STEP_M,
                    deepest: (inside_m, along),
                }),
            }
        }
        along += STEP_M;
    }
    met.iter()
        .filter(|met| met.meters >= length_m && met.deepest.0 >= 12.0)
        .filter_map(|met| Some((city.grid.get(met.grid)?.code.clone(), met.deepest.1)))
        .collect()
}

/// The unit grid of a place, and metres to its boundary.
fn grid_at(city: &City, point: Point) -> Option<(usize, f64)> {
    let (columns, rows) = (city.size.columns, city.size.rows);
    let cell = |meters: f64, count: u32| {
        let cell = ((meters - lattice_meters(0, count)) / 100.0).floor();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a float to integer cast saturates"
        )]
        let cell = cell as i64;
        cell
    };
    let (column, row) = (cell(point.x, columns), cell(point.y, rows));
    // Corners lie off the lattice, so that it may be a neighbour.
    let around = (-1..=1).flat_map(|up| (-1..=1).map(move |right| (row + up, column + right)));
    around
        .filter(|(row, column)| {
            (0..i64::from(rows)).contains(row) && (0..i64::from(columns)).contains(column)
        })
        .find_map(|(row, column)| {
            let index = usize::try_from(row * i64::from(columns) + column).ok()?;
            let corners = city.grid.get(index)?.corners;
            let degrees = |micro: i32| f64::from(micro) / 1e6;
            let corner = |(lat, lon)| city.plane.point(degrees(lat), degrees(lon));
            let shape = Shape::Polygon(vec![corners.map(corner).to_vec()]);
            let inside_m = shape.signed_distance(point);
            (inside_m > 0.0).then_some((index, inside_m))
        })
}

fn number(index: usize) -> u64 {
    u64::try_from(index).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
