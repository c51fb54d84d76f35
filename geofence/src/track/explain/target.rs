//! What an id means: which rule, which checks it has, and whom and when it concerns.

use super::{super::fix::Fix, Check, Question, Scene, Unjudged, WhyNot, duty, fence, route, work};
use crate::{
    catalog::{Catalog, Demand, Fence, Route, Schedule, Shift, WorkRule},
    checks::{RouteParameters, presence, speeding},
    units::Timestamp,
    violation::{Rule, Violation, ViolationKind},
};

/// So long before a window its first fixes are looked for.
const BEFORE_MS: i64 = 600_000;
/// No window or shift that is still judged began longer ago than this.
const LOOK_BACK_MS: i64 = 48 * 3_600_000;
/// The rule of alarms where the catalog has none.
const DEFAULT_ALARMS: &str = "terminal_alarms";

/// A rule of the catalog.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<'a> {
    Fence(u32, &'a Fence),
    /// A route; one of its collection points where that was asked for.
    Route(u32, &'a Route, Option<usize>),
    /// The speed limit of a segment of a route.
    Segment(u32, &'a Route, usize),
    Work(u32, &'a WorkRule),
    /// The policy of alarms that holds where no rule says it.
    DefaultAlarms,
    /// A shift, and the id of a duty area where that was asked for.
    Shift(&'a Shift, Option<&'a str>),
    /// The hours of a vehicle.
    Hours(&'a str),
    /// The speed that a vehicle never exceeds.
    OwnLimit(&'a str),
}

impl<'a> Target<'a> {
    pub(super) fn find(catalog: &'a Catalog, question: &Question<'a>) -> Option<Self> {
        let id = question.rule;
        if let Some((index, fence)) = (0..).zip(catalog.fences()).find(|(_, f)| f.id == id) {
            return Some(Self::Fence(index, fence));
        }
        let routes = || (0..).zip(catalog.routes());
        if let Some((index, route)) = routes().find(|(_, route)| route.id == id) {
            return Some(Self::Route(index, route, None));
        }
        for (index, route) in routes() {
            let point = id
                .strip_prefix(&*route.id)
                .and_then(|p| p.strip_prefix('/'));
            let place = point.and_then(|id| route.points.iter().position(|p| p.id == id));
            if place.is_some() {
                return Some(Self::Route(index, route, place));
            }
            let place = point.and_then(|id| id.strip_prefix("segment-")?.parse().ok());
            let segment = place.and_then(|place: usize| route.segments.get(place));
            if let Some(place) = place.filter(|_| segment.is_some()) {
                return Some(Self::Segment(index, route, place));
            }
        }
        let is_part = |rule: &str| {
            let rest = id.strip_prefix(rule);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let is_it = |rule: &WorkRule| {
            rule.id == id || matches!(rule.demand, Demand::TerminalAlarms(_)) && is_part(&rule.id)
        };
        let mut rules = (0..).zip(catalog.work_rules());
        if let Some((index, rule)) = rules.find(|(_, rule)| is_it(rule)) {
            return Some(Self::Work(index, rule));
        }
        if is_part(DEFAULT_ALARMS) {
            return Some(Self::DefaultAlarms);
        }
        let vehicle = |prefix| {
            let name = id.strip_prefix(prefix)?;
            let vehicle = catalog.vehicles().iter().find(|v| v.id == name)?;
            Some(&*vehicle.id)
        };
        if let Some(name) = vehicle("hours:") {
            return Some(Self::Hours(name));
        }
        if let Some(name) = vehicle("vehicle:") {
            return Some(Self::OwnLimit(name));
        }
        let duties = catalog.duties();
        if let Some(shift) = duties.shifts().iter().find(|shift| shift.id == id) {
            return Some(Self::Shift(shift, None));
        }
        duties.shifts().iter().find_map(|shift| {
            let area = id.strip_prefix(&*shift.id)?.strip_prefix('/')?;
            let area = duties.areas().iter().find(|known| known.id == area)?;
            Some(Self::Shift(shift, Some(&*area.id)))
        })
    }

    /// A violation is of the rule that was asked for by this id.
    pub(super) fn owns(&self, asked: &str, violation: &Violation) -> bool {
        let rest = violation.rule.id.strip_prefix(asked);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            && self.kinds().contains(&violation.kind)
    }

    /// The kinds of what it may find.
    fn kinds(&self) -> &'static [ViolationKind] {
        use ViolationKind as Kind;
        match self {
            Self::Fence(_, fence) => fence::kinds(fence),
            Self::Route(_, _, None) => &[
                Kind::RouteDeviation,
                Kind::WrongOrder,
                Kind::MissedPoint,
                Kind::Coverage,
            ],
            Self::Route(..) => &[Kind::WrongOrder, Kind::MissedPoint],
            Self::Segment(..) => &[Kind::Speeding],
            Self::Work(_, rule) => work::kinds(&rule.demand),
            Self::DefaultAlarms => &[Kind::TerminalAlarm],
            Self::Shift(..) => &[
                Kind::LateStart,
                Kind::EarlyEnd,
                Kind::OffPost,
                Kind::PatrolCoverage,
                Kind::Silence,
            ],
            Self::Hours(_) => &[Kind::OutsideHours],
            Self::OwnLimit(_) => &[Kind::Speeding],
        }
    }

    /// What it is, for JSON.
    pub(super) const fn form(&self) -> &'static str {
        match self {
            Self::Fence(..) => "fence",
            Self::Route(..) | Self::Segment(..) => "route",
            Self::Work(..) | Self::DefaultAlarms => "work_rule",
            Self::Shift(..) => "shift",
            Self::Hours(_) => "hours",
            Self::OwnLimit(_) => "vehicle",
        }
    }

    pub(super) fn rule(&self, scene: &Scene<'_>) -> Rule {
        let of = |id: String, version, name: &str| Rule {
            id,
            version,
            name: name.to_owned(),
        };
        match self {
            Self::Fence(_, fence) => presence::rule(fence),
            Self::Route(_, route, None) => crate::checks::route::rule(route),
            Self::Route(_, route, Some(place)) => {
                let point = route.points.get(*place);
                let (id, name) = point.map_or(("", ""), |p| (&*p.id, &*p.name));
                let id = format!("{}/{id}", route.id);
                of(id, route.version, &format!("{}: {name}", route.name))
            }
            Self::Segment(_, route, place) => speeding::segment_rule(route, *place),
            Self::Work(_, rule) => rule.as_rule(),
            Self::DefaultAlarms => of(DEFAULT_ALARMS.to_owned(), 1, ""),
            Self::Shift(shift, None) => of(shift.id.clone(), shift.version, &shift.name),
            Self::Shift(shift, Some(area)) => {
                let areas = scene.catalog.duties().areas();
                let name = areas.iter().find(|known| known.id == *area);
                let name = name.map_or(*area, |area| &area.name);
                let id = format!("{}/{area}", shift.id);
                of(id, shift.version, &format!("{} · {name}", shift.name))
            }
            Self::Hours(name) => of(format!("hours:{name}"), 1, name),
            Self::OwnLimit(name) => of(format!("vehicle:{name}"), 1, name),
        }
    }

    pub(super) fn checks(&self, scene: &Scene<'_>) -> Vec<Check> {
        match self {
            Self::Fence(index, fence) => fence::checks(scene, self, *index, fence),
            Self::Route(_, route, point) => route::checks(scene, self, route, *point),
            Self::Segment(_, route, place) => vec![fence::segment(scene, self, route, *place)],
            Self::Work(_, rule) => work::checks(scene, self, Some(rule)),
            Self::DefaultAlarms => work::checks(scene, self, None),
            Self::Shift(shift, area) => duty::of_shift(scene, self.kinds(), shift, *area),
            Self::Hours(name) => vec![duty::of_hours(scene, name)],
            Self::OwnLimit(name) => vec![fence::own_limit(scene, name)],
        }
    }

    /// The fences, routes and rules: since when they are in force.
    pub(super) fn since(&self, scene: &Scene<'_>) -> Option<Timestamp> {
        let fingerprint = match self {
            Self::Fence(_, fence) => fence.fingerprint,
            Self::Route(_, route, _) | Self::Segment(_, route, _) => route.fingerprint,
            Self::Work(_, rule) => rule.fingerprint,
            Self::DefaultAlarms => scene.catalog.default_alarms(),
            Self::Shift(..) => {
                let duty = duty::standing(scene)?;
                duty.assignment.fingerprint
            }
            Self::Hours(_) => {
                let vehicle = scene.vehicle?;
                scene.catalog.duties().roster_of(vehicle)?.fingerprint
            }
            Self::OwnLimit(_) => return None,
        };
        Some(Timestamp(scene.since(fingerprint)))
    }

    const fn schedule(&self) -> Option<&'a Schedule> {
        match self {
            Self::Fence(_, fence) => Some(&fence.schedule),
            Self::Route(_, route, _) | Self::Segment(_, route, _) => Some(&route.schedule),
            Self::Work(_, rule) => Some(&rule.schedule),
            _ => None,
        }
    }

    /// The window or shift of the moment.
    pub(super) fn window(&self, scene: &Scene<'_>) -> Option<(Timestamp, Timestamp)> {
        if let Self::Shift(shift, _) = self {
            let duty = duty::standing(scene).filter(|duty| duty.shift.id == shift.id)?;
            return Some((duty.from, duty.to));
        }
        self.schedule()?.window_at(scene.at)
    }

    /// The rule concerns the vehicle, or a terminal without one.
    fn is_concerned(&self, scene: &Scene<'_>) -> bool {
        let audience = scene.catalog.audience_of(scene.vehicle);
        let is_vehicle = |name: &str| scene.vehicle.is_some_and(|vehicle| vehicle.id == name);
        match self {
            Self::Fence(index, _) => audience.is_concerned(*index),
            Self::Route(index, ..) | Self::Segment(index, ..) => audience.routes().contains(index),
            Self::Work(index, _) => audience.rules().contains(index),
            Self::DefaultAlarms => true,
            Self::Shift(..) => scene.vehicle.is_some(),
            Self::Hours(name) | Self::OwnLimit(name) => is_vehicle(name),
        }
    }

    /// Why nothing of it is judged: what holds for every rule with an audience and windows.
    pub(super) fn why_not(&self, scene: &Scene<'_>) -> Option<WhyNot> {
        if !self.is_concerned(scene) {
            return Some(if scene.vehicle.is_none() {
                WhyNot::Unjudged(Unjudged::NoVehicle)
            } else {
                WhyNot::NotConcerned
            });
        }
        if self.since(scene).is_some_and(|since| since > scene.at) {
            return Some(WhyNot::Unjudged(Unjudged::TooNew));
        }
        let holds = self.schedule().is_none_or(|s| s.holds(scene.at));
        (!holds).then_some(WhyNot::OutsideHours)
    }

    pub(super) fn distance_m(&self, scene: &Scene<'_>, fix: &Fix) -> Option<f64> {
        let mm = match self {
            Self::Fence(_, fence) => fence.shape.signed_distance_mm(fix.point),
            Self::Route(_, route, point) => {
                let point = point.and_then(|place| route.points.get(place));
                point.map_or_else(
                    || route.line.nearest(fix.point).distance_mm,
                    |point| point.point.distance_mm(fix.point),
                )
            }
            Self::Segment(_, route, _) => route.line.nearest(fix.point).distance_mm,
            Self::Shift(_, area) => {
                let area = duty::area(scene, *area)?;
                area.signed_distance_mm(fix.point, scene.catalog.unit_grids())
            }
            _ => return None,
        };
        Some(mm / 1e3)
    }

    /// From when on fixes are needed.
    pub(super) fn needed_from(&self, catalog: &Catalog, question: &Question<'_>) -> Timestamp {
        let at = question.at;
        let first = at.plus_millis(-LOOK_BACK_MS);
        let from = match self {
            Self::Route(_, route, _) | Self::Segment(_, route, _) => {
                let windows = std::iter::successors(route.schedule.next_window(first), |window| {
                    route.schedule.next_window(window.0)
                });
                let begun = windows.take_while(|(from, _)| *from <= at);
                let is_judged = |to: Timestamp| to.plus_millis(RouteParameters::AMEND_MS) >= at;
                begun
                    .filter(|(_, to)| is_judged(*to))
                    .map(|(from, _)| from)
                    .last()
            }
            Self::Shift(..) => duty::judged_from(catalog, question, first),
            _ => None,
        };
        from.map_or(at, |from| from.plus_millis(-BEFORE_MS))
    }
}
