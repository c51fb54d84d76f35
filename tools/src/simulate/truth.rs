//! What really happened: the rules applied to the true path, without any treatment of noise.

use serde::Serialize;

use crate::{
    city::{City, FenceKind},
    plane::{Point, Shape},
};

/// Outside a duty area for so long is a violation, seconds.
pub const STAY_IN_S: f64 = 60.0;
/// Inside a keep-out zone for so long, seconds.
pub const KEEP_OUT_S: f64 = 20.0;
/// Too fast for so long, seconds.
pub const SPEEDING_S: f64 = 10.0;
/// At or below the limit for so long ends the speeding, seconds.
const SPEEDING_ENDS_S: f64 = 5.0;

/// Which rule was broken; the words are those of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BrokenRule {
    /// The duty area was left.
    StayIn,
    /// A keep-out zone was entered.
    KeepOut,
    /// Too fast for the place.
    Speeding,
    /// The corridor of the route was left.
    RouteDeviation,
    /// A collection point was passed over.
    WrongOrder,
    /// A collection point was not visited.
    MissedPoint,
    /// Too little of the route was swept.
    Coverage,
    /// Stood for too long.
    LongStop,
    /// Stood for too long with the engine on.
    Idling,
    /// Cleaned faster than the job allows.
    TooFastToClean,
    /// Unloaded outside every site.
    Unloading,
    /// The terminal raised an alarm.
    TerminalAlarm,
    /// Worked when no shift held.
    OutsideHours,
    /// Came too late to the duty area.
    LateStart,
    /// Left the duty area too early.
    EarlyEnd,
    /// Was away from the duty area on shift.
    OffPost,
    /// Visited too few unit grids on the shift.
    PatrolCoverage,
    /// The terminal said nothing on shift.
    Silence,
}

/// A rule of a fence: what a violator is told to break on the streets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FenceRule {
    /// Leave the duty area.
    StayIn,
    /// Enter a keep-out zone.
    KeepOut,
    /// Be too fast in a slow zone.
    Speeding,
}

impl FenceRule {
    /// What is broken then.
    #[must_use]
    pub const fn broken(self) -> BrokenRule {
        match self {
            Self::StayIn => BrokenRule::StayIn,
            Self::KeepOut => BrokenRule::KeepOut,
            Self::Speeding => BrokenRule::Speeding,
        }
    }
}

/// A violation that truly happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrueViolation {
    /// Its id in the catalog.
    pub vehicle: String,
    /// The terminal's phone number, without padding.
    pub phone: String,
    /// Which rule.
    pub kind: BrokenRule,
    /// Id of the rule as a case names it: the fence, route, `route/point`, `shift/area` or rule of
    /// work.
    pub rule: String,
    /// When it began, seconds since 1970 in UTC.
    pub start_s: f64,
    /// When it ended; `None` when it had not when the simulation did.
    pub end_s: Option<f64>,
}

/// Watches the true path of one vehicle.
#[derive(Clone, Debug)]
pub struct Judge {
    vehicle: String,
    phone: String,
    rules: Vec<Rule>,
    /// What the script of an actor does beside fences, and from when on it is sure.
    scripted: Option<(TrueViolation, f64)>,
    seen_s: f64,
}

#[derive(Clone, Debug)]
struct Rule {
    fence: String,
    kind: FenceRule,
    shape: Shape,
    bounds: (Point, f64),
    limit_mps: f64,
    threshold_mps: f64,
    /// Since when the rule is broken without a break.
    broken_since: Option<f64>,
    /// Since when it is kept again, while a violation is open.
    kept_since: Option<f64>,
    is_open: bool,
}

impl Judge {
    /// A judge for one vehicle of the city. Rules with weekly windows are left out: simulated
    /// vehicles never go near them.
    #[must_use]
    pub fn new(city: &City, vehicle: usize) -> Self {
        let scripted = scripted(city, vehicle);
        let Some(vehicle) = city.vehicle_list.get(vehicle) else {
            return Self {
                vehicle: String::new(),
                phone: String::new(),
                rules: Vec::new(),
                scripted: None,
                seen_s: f64::NEG_INFINITY,
            };
        };
        let fleet = city
            .fleets
            .get(vehicle.fleet)
            .map_or("", |fleet| fleet.id.as_str());
        let rules = city
            .fence_list
            .iter()
            .filter(|fence| fence.windows.is_empty())
            .filter(|fence| {
                fence
                    .applies_to
                    .includes(&vehicle.vehicle, fleet, vehicle.work_kind.as_str())
            })
            .filter_map(|fence| {
                let kind = match fence.kind {
                    FenceKind::StayIn => FenceRule::StayIn,
                    FenceKind::KeepOut => FenceRule::KeepOut,
                    FenceKind::SpeedLimit => FenceRule::Speeding,
                    FenceKind::Site => return None,
                };
                let limit_kmh = fence.speed_limit_kmh.unwrap_or(f64::INFINITY);
                Some(Rule {
                    fence: fence.id.clone(),
                    kind,
                    shape: fence.shape.clone(),
                    bounds: fence.shape.bounding_circle(),
                    limit_mps: limit_kmh / 3.6,
                    threshold_mps: (limit_kmh + (limit_kmh * 0.1).max(5.0)) / 3.6,
                    broken_since: None,
                    kept_since: None,
                    is_open: false,
                })
            })
            .collect();
        Self {
            vehicle: vehicle.vehicle.clone(),
            phone: vehicle.phone.clone(),
            rules,
            scripted,
            seen_s: f64::NEG_INFINITY,
        }
    }

    /// Sees where the vehicle truly is, at most every second, in order. Times are seconds since
    /// 1970. Gives the violations that ended.
    pub fn observe(&mut self, at_s: f64, point: Point, speed_mps: f64) -> Vec<TrueViolation> {
        let mut ended = Vec::new();
        self.seen_s = at_s;
        let is_over = |(told, sure_s): &mut (TrueViolation, f64)| {
            *sure_s <= at_s && told.end_s.is_some_and(|end_s| end_s <= at_s)
        };
        ended.extend(self.scripted.take_if(is_over).map(|(told, _)| told));
        for rule in &mut self.rules {
            if let Some((start_s, end_s)) = rule.observe(at_s, point, speed_mps) {
                ended.push(TrueViolation {
                    vehicle: self.vehicle.clone(),
                    phone: self.phone.clone(),
                    kind: rule.kind.broken(),
                    rule: rule.fence.clone(),
                    start_s,
                    end_s: Some(end_s),
                });
            }
        }
        ended
    }

    /// The violations that are going on.
    #[must_use]
    pub fn open(&self) -> Vec<TrueViolation> {
        let scripted = self.scripted.iter();
        let sure = scripted.filter(|(_, sure_s)| *sure_s <= self.seen_s);
        let scripted = sure.map(|(told, _)| TrueViolation {
            end_s: None,
            ..told.clone()
        });
        let of_fences = self
            .rules
            .iter()
            .filter(|rule| rule.is_open)
            .filter_map(|rule| {
                Some(TrueViolation {
                    vehicle: self.vehicle.clone(),
                    phone: self.phone.clone(),
                    kind: rule.kind.broken(),
                    rule: rule.fence.clone(),
                    start_s: rule.broken_since?,
                    end_s: None,
                })
            });
        scripted.chain(of_fences).collect()
    }
}

/// What the script of an actor says that it breaks, and from when on that is sure.
fn scripted(city: &City, vehicle: usize) -> Option<(TrueViolation, f64)> {
    let work = city.work.as_ref()?;
    let expected = work.acts.get(&vehicle)?.expected.as_ref()?;
    let who = city.vehicle_list.get(vehicle)?;
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit an f64")]
    let at_s = |second: i64| work.start_unix_s.saturating_add(second) as f64;
    let told = TrueViolation {
        vehicle: who.vehicle.clone(),
        phone: who.phone.clone(),
        kind: expected.kind,
        rule: expected.rule.clone(),
        start_s: at_s(expected.start_s),
        end_s: expected.end_s.map(at_s),
    };
    Some((told, at_s(expected.sure_s)))
}

impl Rule {
    /// The interval of a violation that just ended.
    fn observe(&mut self, at_s: f64, point: Point, speed_mps: f64) -> Option<(f64, f64)> {
        let is_far = point.distance(self.bounds.0) > self.bounds.1;
        let is_inside = !is_far && self.shape.signed_distance(point) > 0.0;
        let (is_broken, is_kept, opens_after_s, ends_after_s) = match self.kind {
            FenceRule::StayIn => (!is_inside, is_inside, STAY_IN_S, 0.0),
            FenceRule::KeepOut => (is_inside, !is_inside, KEEP_OUT_S, 0.0),
            FenceRule::Speeding => (
                is_inside && speed_mps > self.threshold_mps,
                !is_inside || speed_mps <= self.limit_mps,
                SPEEDING_S,
                SPEEDING_ENDS_S,
            ),
        };
        if !self.is_open {
            if !is_broken {
                self.broken_since = None;
                return None;
            }
            let since = *self.broken_since.get_or_insert(at_s);
            self.is_open = at_s - since >= opens_after_s;
            return None;
        }
        if !is_kept {
            self.kept_since = None;
            return None;
        }
        let kept_since = *self.kept_since.get_or_insert(at_s);
        if at_s - kept_since < ends_after_s {
            return None;
        }
        self.is_open = false;
        self.kept_since = None;
        Some((self.broken_since.take()?, kept_since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::city::{CityOptions, demo_city};

    #[test]
    fn a_visit_to_a_zone_is_a_violation_from_the_twentieth_second_on() {
        let city = demo_city(1, &CityOptions::SMALL);
        let zone = city
            .fence_list
            .iter()
            .find(|fence| fence.kind == FenceKind::KeepOut && fence.windows.is_empty())
            .unwrap();
        let (center, radius) = zone.shape.bounding_circle();
        let outside = Point::new(center.x + radius + 10.0, center.y);
        let mut judge = Judge::new(&city, 0);
        let mut ended = Vec::new();
        let mut see = |seconds: std::ops::Range<u32>, point| {
            for second in seconds {
                ended.extend(judge.observe(f64::from(second), point, 1.0));
            }
        };
        see(0..19, center);
        see(19..30, outside);
        see(30..51, center);
        see(51..60, outside);
        let of_zone: Vec<_> = ended.iter().filter(|v| v.rule == zone.id).collect();
        assert_eq!(of_zone.len(), 1);
        assert_eq!((of_zone[0].start_s, of_zone[0].end_s), (30.0, Some(51.0)));
    }
}
