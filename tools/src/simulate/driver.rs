//! How a vehicle moves: along the streets, at the pace of its work, with stops; and, when its
//! script says so, where it must not.
//!
//! A rule-abiding vehicle uses only edges that are safe for its fleet, so it keeps all rules by
//! construction: at least [`crate::city::SAFETY_MARGIN_M`] inside its duty area and away from
//! keep-out zones, at most four fifths of the limit in and near slow zones.

mod errand;

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use super::truth::FenceRule;
use crate::{
    city::{BRUSH_BIT, City, Edge, Round, Vehicle, WorkKind},
    plane::Point,
    random::Random,
};

/// The longest step of the motion, seconds.
const STEP_S: f64 = 0.5;
/// Acceleration and braking, m/s².
const ACCELERATION: f64 = 1.0;
const BRAKING: f64 = 1.5;
/// Share of a limit that a rule-abiding driver uses.
const COMPLIANCE: f64 = 0.8;
/// Speed through a corner, m/s.
const CORNER_MPS: f64 = 4.0;
/// How much a violator exceeds a limit, m/s (18 km/h).
const EXCESS_MPS: f64 = 5.0;
/// How far an inspector goes from where he began, metres.
const BEAT_M: f64 = 400.0;

/// Where a vehicle truly is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Truth {
    /// On the city's plane.
    pub point: Point,
    /// m/s.
    pub speed_mps: f64,
    /// Clockwise from north, 0 to 360.
    pub heading_deg: f64,
    /// The engine runs.
    pub is_acc_on: bool,
    /// Metres driven since the start.
    pub driven_m: f64,
    /// Bits of item 0x25; `None` where the terminal does not send it.
    pub signals: Option<u32>,
    /// Alarm bits.
    pub alarms: u32,
    /// The terminal is switched off.
    pub is_dark: bool,
}

/// What a vehicle is told to break.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Script {
    /// The first rule; the others follow in turn.
    pub first: FenceRule,
    /// Seconds after the start.
    pub begins_s: f64,
}

/// One vehicle in motion.
#[derive(Clone, Debug)]
pub struct Driver {
    city: Arc<City>,
    fleet: usize,
    pace: Pace,
    random: Random,
    clock_s: f64,
    from: usize,
    to: usize,
    along_m: f64,
    path: VecDeque<usize>,
    speed_mps: f64,
    driven_m: f64,
    home: Point,
    /// Stands until then; the second value: with the engine on.
    halt: Option<(f64, bool)>,
    next_stop_s: f64,
    next_parking_s: f64,
    script: Option<Script>,
    errand: Option<Errand>,
    /// Its round, and the place in it of the crossing that is planned next.
    round: Option<(Round, usize)>,
    audience: (String, String, &'static str),
}

/// A trip that breaks a rule.
#[derive(Clone, Debug)]
struct Errand {
    rule: FenceRule,
    fence: usize,
    /// The edges of a slow zone that are driven too fast.
    reckless: HashSet<(usize, usize)>,
    stay_s: f64,
    is_returning: bool,
}

/// How a kind of work moves.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Speed at work, m/s, low and high.
    work: (f64, f64),
    /// Speed on an errand, m/s.
    transit: f64,
    /// Seconds between stops for work, and how long they last; none when `None`.
    stops: Option<((f64, f64), (f64, f64))>,
    /// This vehicle's own share of the speeds.
    share: f64,
}

impl Pace {
    fn of(kind: WorkKind, random: &mut Random) -> Self {
        let kmh = |value: f64| value / 3.6;
        let share = random.between(0.9, 1.0);
        let (work, transit, stops) = match kind {
            WorkKind::Sweeper => ((kmh(7.0), kmh(8.5)), kmh(30.0), None),
            WorkKind::Sprinkler => ((kmh(16.0), kmh(20.0)), kmh(35.0), None),
            WorkKind::RefuseTruck => (
                (kmh(32.0), kmh(40.0)),
                kmh(40.0),
                Some(((40.0, 120.0), (20.0, 60.0))),
            ),
            WorkKind::Inspector => (
                (kmh(4.0), kmh(5.0)),
                kmh(5.0),
                Some(((60.0, 300.0), (30.0, 120.0))),
            ),
        };
        Self {
            work,
            transit,
            stops,
            share,
        }
    }
}

impl Driver {
    /// A vehicle of the city at its place at the start. A vehicle with a script starts near what
    /// it will break first. `None` when the city has no such vehicle, or no street for it.
    #[must_use]
    pub fn new(city: Arc<City>, vehicle: usize, script: Option<Script>, seed: u64) -> Option<Self> {
        let mut random = Random::for_subject(seed, 1 + u64::try_from(vehicle).unwrap_or(0));
        let Vehicle {
            vehicle: id,
            fleet,
            work_kind,
            ..
        } = city.vehicle_list.get(vehicle)?.clone();
        let fleet_id = city.fleets.get(fleet)?.id.clone();
        let safe = city.network.safe_nodes(fleet);
        let mut from = *safe.get(random.index(safe.len()))?;
        let pace = Pace::of(work_kind, &mut random);
        let mut driver = Self {
            fleet,
            pace,
            clock_s: 0.0,
            from,
            to: from,
            along_m: 0.0,
            path: VecDeque::new(),
            speed_mps: 0.0,
            driven_m: 0.0,
            home: Point::default(),
            halt: None,
            next_stop_s: 0.0,
            next_parking_s: random.between(300.0, 2_400.0),
            script,
            errand: None,
            round: None,
            audience: (id, fleet_id, work_kind.as_str()),
            random,
            city: Arc::clone(&city),
        };
        if let Some(start) = script.and_then(|script| driver.start_for(script.first, &safe)) {
            from = start;
        }
        driver.from = from;
        driver.home = driver.node(from);
        driver.to = from;
        driver.schedule_stop();
        if let Some(script) = script {
            // Waits where it is, so that the way to the first errand is the planned one.
            driver.halt = Some((script.begins_s, true));
            return Some(driver);
        }
        let work = city.work.as_ref();
        if let Some(round) = work.and_then(|work| work.rounds.get(&vehicle)) {
            driver.from = *round.nodes.first()?;
            driver.round = Some((round.clone(), 1));
            from = driver.from;
        }
        driver.to = driver.next_crossing(from, from)?;
        driver.along_m = driver.random.unit() * 100.0;
        // A fleet that all starts driving at once is no fleet: some are parked for a while.
        if driver.random.chance(0.15) {
            driver.halt = Some((driver.random.between(30.0, 400.0), false));
        }
        Some(driver)
    }

    /// Moves on by `dt_s` seconds.
    pub fn advance(&mut self, dt_s: f64) {
        let mut left = dt_s;
        while left > 0.0 {
            let step = left.min(STEP_S);
            self.step(step);
            left -= step;
        }
    }

    /// Where the vehicle is now.
    #[must_use]
    pub fn truth(&self) -> Truth {
        let (a, b) = (self.node(self.from), self.node(self.to));
        let length = a.distance(b);
        let share = if length > 0.0 {
            (self.along_m / length).clamp(0.0, 1.0)
        } else {
            0.0
        };
        Truth {
            point: a.towards(b, share),
            speed_mps: self.speed_mps,
            heading_deg: a.bearing_deg(b),
            is_acc_on: self.halt.is_none_or(|(_, is_acc_on)| is_acc_on),
            driven_m: self.driven_m,
            signals: self
                .round
                .as_ref()
                .filter(|(round, _)| round.is_sweeping)
                .map(|_| u32::from(self.speed_mps > 0.0) << BRUSH_BIT),
            alarms: 0,
            is_dark: false,
        }
    }

    fn node(&self, node: usize) -> Point {
        self.city
            .network
            .nodes
            .get(node)
            .copied()
            .unwrap_or_default()
    }

    fn step(&mut self, dt_s: f64) {
        self.clock_s += dt_s;
        if let Some((until_s, _)) = self.halt
            && self.speed_mps <= 0.0
        {
            if self.clock_s < until_s {
                return;
            }
            self.halt = None;
        }
        self.begin_errand_when_due();
        self.begin_halt_when_due();
        self.plan_ahead();
        if self.from == self.to
            && let Some(next) = self.path.pop_front()
        {
            self.to = next;
        }
        let Some(edge) = self.city.network.edge(self.from, self.to).cloned() else {
            self.turn_back();
            return;
        };
        let left_m = (edge.length_m - self.along_m).max(0.0);
        let next = self.path.front().copied();
        let wanted = if self.halt.is_some() {
            0.0
        } else {
            self.speed_on(&edge)
        };
        // Braking in time: at the crossing no faster than the corner and the next edge allow.
        let at_node = next.map_or(0.0, |next| self.speed_at_crossing(next));
        let allowed = (at_node * at_node + 2.0 * BRAKING * left_m).sqrt().max(0.5);
        self.speed_mps = (self.speed_mps + ACCELERATION * dt_s)
            .min(wanted)
            .max(self.speed_mps - BRAKING * dt_s)
            .clamp(0.0, allowed);
        let moved = self.speed_mps * dt_s;
        self.driven_m += moved;
        self.along_m += moved;
        if self.along_m < edge.length_m {
            return;
        }
        match self.path.pop_front() {
            Some(next) => {
                self.along_m -= edge.length_m;
                self.from = self.to;
                self.to = next;
                self.empty_bins();
            }
            None => {
                self.along_m = edge.length_m;
                self.arrive();
            }
        }
    }

    /// The speed that this driver wants on an edge.
    fn speed_on(&self, edge: &Edge) -> f64 {
        let Some(errand) = &self.errand else {
            return self.compliant(edge, self.working_speed());
        };
        if errand.reckless.contains(&(edge.a, edge.b)) {
            let limit = edge.limit_kmh.unwrap_or(40.0) / 3.6;
            return limit + EXCESS_MPS;
        }
        self.compliant(edge, self.pace.transit * self.pace.share)
    }

    fn compliant(&self, edge: &Edge, wanted: f64) -> f64 {
        edge.limit_kmh
            .map_or(wanted, |limit| wanted.min(limit / 3.6 * COMPLIANCE))
    }

    /// Slowly varying between the bounds of the work.
    fn working_speed(&self) -> f64 {
        let (low, high) = self.pace.work;
        let phase = self.clock_s / 97.0 + self.home.x;
        (low + (high - low) * (0.5 + 0.5 * phase.sin())) * self.pace.share
    }

    fn speed_at_crossing(&self, next: usize) -> f64 {
        let (a, b, c) = (self.node(self.from), self.node(self.to), self.node(next));
        let turn = (b.bearing_deg(c) - a.bearing_deg(b) + 540.0).rem_euclid(360.0) - 180.0;
        let corner = match turn.abs() {
            turn if turn < 40.0 => f64::INFINITY,
            turn if turn < 140.0 => CORNER_MPS,
            _ => 1.0,
        };
        let edge = self.city.network.edge(self.to, next);
        corner.min(edge.map_or(0.0, |edge| self.speed_on(edge)))
    }

    /// Keeps the path long enough to look ahead.
    fn plan_ahead(&mut self) {
        if self.errand.is_some() || !self.path.is_empty() {
            return;
        }
        if let Some(next) = self.next_crossing(self.to, self.from) {
            self.path.push_back(next);
        }
    }

    /// The next one of the round, else any neighbour.
    fn next_crossing(&mut self, at: usize, came_from: usize) -> Option<usize> {
        let Some((round, next)) = &mut self.round else {
            return self.wander(at, came_from);
        };
        let node = round.nodes.get(*next).copied();
        *next = (*next + 1) % round.nodes.len().max(1);
        node
    }

    /// At a crossing where bins are emptied.
    fn empty_bins(&mut self) {
        let has_bins = |(round, _): &(Round, usize)| round.stops.contains(&self.from);
        if self.round.as_ref().is_some_and(has_bins) {
            let stay_s = self.random.between(30.0, 50.0);
            self.halt = Some((self.clock_s + stay_s, true));
        }
    }

    /// A safe neighbour of `at`, back to `came_from` only when there is no other.
    fn wander(&mut self, at: usize, came_from: usize) -> Option<usize> {
        let is_walking = self.audience.2 == WorkKind::Inspector.as_str();
        let choices: Vec<usize> = self
            .city
            .network
            .edges_at(at)
            .filter(|edge| edge.safe_for == Some(self.fleet))
            .map(|edge| edge.other(at))
            .filter(|next| *next != came_from)
            .filter(|next| !is_walking || self.node(*next).distance(self.home) < BEAT_M)
            .collect();
        let back = || {
            let edge = self.city.network.edge(at, came_from)?;
            (edge.safe_for == Some(self.fleet)).then_some(came_from)
        };
        choices
            .get(self.random.index(choices.len()))
            .copied()
            .or_else(back)
    }

    /// Nothing to drive on: cannot happen on a sound network; the vehicle stays where it is.
    fn turn_back(&mut self) {
        self.speed_mps = 0.0;
        self.halt = Some((self.clock_s + 60.0, false));
    }

    fn schedule_stop(&mut self) {
        self.next_stop_s = self.pace.stops.map_or(f64::INFINITY, |((low, high), _)| {
            self.clock_s + self.random.between(low, high)
        });
    }

    fn begin_halt_when_due(&mut self) {
        if self.halt.is_some() || self.errand.is_some() {
            return;
        }
        if self.clock_s >= self.next_parking_s {
            // A break: the engine is off, the receiver drifts.
            let until_s = self.clock_s + self.random.between(180.0, 540.0);
            self.halt = Some((until_s, false));
            self.next_parking_s = until_s + self.random.between(600.0, 2_400.0);
        } else if self.clock_s >= self.next_stop_s {
            let (low, high) = self.pace.stops.map_or((0.0, 0.0), |(_, length)| length);
            self.halt = Some((self.clock_s + self.random.between(low, high), true));
            self.schedule_stop();
        }
    }
}

#[cfg(test)]
mod tests;
