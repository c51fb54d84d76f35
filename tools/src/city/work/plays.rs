//! Plays: for each kind of violation one that breaks the rule and one that nearly does, with what
//! is true of it by its script.
//!
//! Times are seconds from the start of the city's day. Windows and shifts of the catalog are in
//! whole minutes, so that what needs one begins at `curtain_s`, the first full minute.

mod duties;

use serde_json::{Value, json};

use super::{
    texts::{Area, Shift, Texts, Timetable},
    way::{BRUSH_BIT, BUCKET_BIT, Circuit, Way},
};
use crate::{
    city::{Audience, Fence, FenceKind, WorkKind},
    plane::{Point, Shape},
    simulate::truth::BrokenRule,
};

/// What is true of a play, beyond what the fences of the city show by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Which kind of rule is broken.
    pub kind: BrokenRule,
    /// The id that the case names.
    pub rule: String,
    /// When it begins.
    pub start_s: i64,
    /// From when on it is a violation.
    pub sure_s: i64,
    /// When it ends; `None` where it does not in the play.
    pub end_s: Option<i64>,
}

/// A play that can be given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Play {
    pub(super) kind: BrokenRule,
    pub(super) work_kind: WorkKind,
    /// Else it nearly does.
    pub(super) violates: bool,
    act: fn(&mut Stage<'_>) -> (Way, Option<Expected>),
}

/// All plays, those that are soonest over first.
pub(super) fn plays() -> Vec<Play> {
    use BrokenRule as K;
    use WorkKind::{Inspector, RefuseTruck, Sprinkler, Sweeper};
    type Act = fn(&mut Stage<'_>) -> (Way, Option<Expected>);
    let pairs: [(BrokenRule, WorkKind, Act); 21] = [
        (K::TooFastToClean, Sweeper, too_fast_to_clean),
        (K::TerminalAlarm, RefuseTruck, emergency),
        (K::Speeding, Sprinkler, speeding),
        (K::Unloading, RefuseTruck, unloading),
        (K::RouteDeviation, RefuseTruck, route_deviation),
        (K::OffPost, Inspector, duties::off_post),
        (K::Silence, Inspector, duties::silence),
        (K::WrongOrder, RefuseTruck, wrong_order),
        (K::OutsideHours, Sprinkler, duties::outside_hours),
        (K::LongStop, RefuseTruck, long_stop),
        (K::Idling, Sprinkler, idling),
        (K::LateStart, Inspector, duties::late_start),
        (K::KeepOut, RefuseTruck, keep_out),
        (K::StayIn, Sprinkler, stay_in),
        (K::TerminalAlarm, Sprinkler, power_cut),
        (K::EarlyEnd, Inspector, duties::early_end),
        (K::MissedPoint, RefuseTruck, missed_point),
        (K::PatrolCoverage, Inspector, duties::patrol_coverage),
        (K::Coverage, Sweeper, coverage),
        (K::LateStart, Sweeper, duties::late_start),
        (K::EarlyEnd, RefuseTruck, duties::early_end),
    ];
    let both = |(kind, work_kind, act): (BrokenRule, WorkKind, Act)| {
        [true, false].map(|violates| Play {
            kind,
            work_kind,
            violates,
            act,
        })
    };
    pairs.into_iter().flat_map(both).collect()
}

impl Play {
    pub(super) fn give(&self, stage: &mut Stage<'_>) -> (Way, Option<Expected>) {
        (self.act)(stage)
    }
}

/// Where and when a play is given, and what of the catalog it needs.
pub(super) struct Stage<'a> {
    pub(super) vehicle: &'a str,
    pub(super) violates: bool,
    pub(super) circuit: &'a Circuit,
    /// The unit grids along the circuit, in the order in which they are met: the code, and where on
    /// the way one is farthest inside.
    pub(super) grids: &'a [(String, f64)],
    pub(super) time: Timetable,
    /// What the play adds to the catalog.
    pub(super) texts: Texts,
    pub(super) fences: Vec<Fence>,
}

impl Stage<'_> {
    fn either(&self, violation: i64, near: i64) -> i64 {
        if self.violates { violation } else { near }
    }

    fn begins(&self) -> Way {
        Way::begins(self.circuit.place(0.0, 0.0))
    }

    fn curtain_s(&self) -> i64 {
        self.time.curtain_s
    }

    /// What is true, where the play violates.
    fn told(
        &self,
        kind: BrokenRule,
        rule: String,
        (start_s, sure_s): (i64, i64),
        end_s: Option<i64>,
    ) -> Option<Expected> {
        self.violates.then_some(Expected {
            kind,
            rule,
            start_s,
            sure_s,
            end_s,
        })
    }

    /// A rule of work for this vehicle alone.
    fn rule(&mut self, kind: &str, name: &str, more: Value) -> String {
        let id = format!("{kind}-{}", self.vehicle);
        let mut rule = json!({
            "id": id,
            "name": name,
            "kind": kind,
            "applies_to": {"vehicles": [self.vehicle]},
        });
        super::texts::extend(&mut rule, more);
        self.texts.rules.push(rule);
        id
    }

    /// A route along the circuit, from the curtain on for so many minutes.
    fn route(&mut self, check: &str, minutes: i64, more: Value) -> String {
        let id = format!("route-{}", self.vehicle);
        let mut properties = json!({
            "id": id,
            "name": format!("{} 作业路线", self.vehicle),
            "applies_to": {"vehicles": [self.vehicle]},
            "checks": [check],
            "windows": [self.time.window(0, minutes)],
        });
        super::texts::extend(&mut properties, more);
        self.texts.route(properties, &self.circuit.0);
        id
    }

    /// A shift of this vehicle, minutes from the curtain, with one check; in a square about the
    /// circuit's beginning where no grids are given. Gives the id of its rule.
    fn shift(
        &mut self,
        check: &str,
        (from, to): (i64, i64),
        more: &str,
        grids: &[String],
    ) -> String {
        let (shift, area) = (
            format!("shift-{}", self.vehicle),
            format!("area-{}", self.vehicle),
        );
        let place = if grids.is_empty() {
            Area::Square(self.circuit.place(0.0, 0.0), POST_M)
        } else {
            Area::Grids(grids.to_vec())
        };
        self.texts
            .area(&area, &format!("{} 责任区", self.vehicle), &place);
        self.texts.shifts.push(Shift {
            id: shift.clone(),
            name: format!("{} 班次", self.vehicle),
            days: self.time.day(),
            from: self.time.clock(from),
            to: self.time.clock(to),
            checks: check.to_owned(),
            thresholds: more.to_owned(),
        });
        self.texts.assign(self.vehicle, &shift, &area);
        format!("{shift}/{area}")
    }

    fn zone(&mut self, kind: FenceKind, center: Point, radius_m: f64) {
        self.fences.push(Fence {
            id: format!("{}-{}", kind.as_str(), self.vehicle),
            name: match kind {
                FenceKind::StayIn => format!("{} 作业范围", self.vehicle),
                _ => format!("{} 禁入区", self.vehicle),
            },
            kind,
            applies_to: Audience {
                vehicles: vec![self.vehicle.to_owned()],
                ..Audience::default()
            },
            windows: Vec::new(),
            speed_limit_kmh: None,
            shape: Shape::Circle { center, radius_m },
        });
    }
}

/// Half of the side of the square of a post, metres; 30 m more still is the post.
const POST_M: f64 = 60.0;
/// An easy pace of vehicles, m/s.
const EASY_MPS: f64 = 8.0;

fn keep_out(stage: &mut Stage<'_>) -> (Way, Option<Expected>) {
    let center = stage.circuit.place(125.0, 85.0);
    stage.zone(FenceKind::KeepOut, center, 35.0);
    let mut way = stage.begins();
    way.stand(20);
    way.go(stage.circuit.place(125.0, 0.0), EASY_MPS);
    way.go(center, EASY_MPS);
    way.stand(stage.either(60, 3));
    way.go(stage.circuit.place(125.0, 0.0), EASY_MPS);
    (way, None)
}

fn stay_in(stage: &mut Stage<'_>) -> (Way, Option<Expected>) {
    let corners = &stage.circuit.0;
    #[expect(clippy::cast_precision_loss, reason = "some corners")]
    let count = corners.len().max(1) as f64;
    let sum = corners
        .iter()
        .fold(Point::default(), |a, b| Point::new(a.x + b.x, a.y + b.y));
    let center = Point::new(sum.x / count, sum.y / count);
    let start = stage.circuit.place(0.0, 0.0);
    let reach = |at: &Point| center.distance(*at);
    let radius_m = corners.iter().map(reach).fold(0.0, f64::max) + 40.0;
    stage.zone(FenceKind::StayIn, center, radius_m);
    let outside = center.towards(start, (radius_m + 80.0) / center.distance(start).max(1.0));
    let mut way = stage.begins();
    way.stand(20);
    way.go(outside, EASY_MPS);
    way.stand(stage.either(80, 12));
    way.go(start, EASY_MPS);
    (way, None)
}

fn speeding(stage: &mut Stage<'_>) -> (Way, Option<Expected>) {
    let rule = stage.rule("speed_limit", "车辆限速", json!({"speed_limit_kmh": 40}));
    let mut way = stage.begins();
    way.stand(15);
    let start_s = way.at_s();
    let kmh = if stage.violates { 60.0 } else { 43.0 };
    stage.circuit.drive(&mut way, 0.0, 600.0, kmh / 3.6);
    let end_s = way.at_s();
    stage.circuit.drive(&mut way, 600.0, 700.0, EASY_MPS);
    let told = stage.told(
        BrokenRule::Speeding,
        rule,
        (start_s, start_s + 10),
        Some(end_s),
    );
    (way, told)
}

fn too_fast_to_clean(stage: &mut Stage<'_>) -> (Way, Option<Expected>) {
    let rule = stage.rule("work_speed", "清扫作业限速", json!({"speed_kmh": 8}));
    let mut way = stage.begins();
    way.now.signals = Some(0);
    way.stand(10);
    way.now.signals = Some(1 << BRUSH_BIT);
    let start_s = way.at_s();
    let (kmh, meters) = if stage.violates {
        (20.0, 330.0)
    } else {
        (8.0, 200.0)
    };
    stage.circuit.drive(&mut way, 0.0, meters, kmh / 3.6);
    let end_s = way.at_s();
    way.now.signals = Some(0);
    way.stand(60);
    let told = stage.told(
        BrokenRule::TooFastToClean,
        rule,
        (start_s, start_s + 20),
        Some(end_s),
    );
    (way, told)
}

fn unloading(stage: &mut Stage<'_>) -> (Way, Option<Expected>) {
    let mut way = stage.begins();
    way.now.signals = Some(0);
    way.stand(10);
    stage.circuit.drive(&mut way, 0.0, 100.0, EASY_MPS);
    way.stand(5);
    let start_s = way.at_s();
    way.now.signals = Some(1 << BUCKET_BIT);
    way.stand(stage.either(40, 4));
    way.now.signals = Some(0);
    let end_s = way.at_s();
    way.stand(10);
    stage.circuit.drive(&mut way, 100.0, 200.0, EASY_MPS);
    let told = stage.told(
        BrokenRule::Unloading,
        super::texts::UNLOADING_RULE.to_owned(),
        (start_s, start_s + 10),
        Some(end_s),
    );
    (way, told)
}

/// The button for ten seconds; nearly: power that is gone for thirty.
fn emergency(stage: &mut Stage<'_>) -> (Way, Option<Expected>) {
    let (alarms, seconds) = if stage.violates {
        (1, 10)
    } else {
        (1 << 8, 30)
    };
    let rule = "terminal_alarms/emergency";
    alarm(stage, alarms, seconds, rule, 0)
}

fn power_cut(stage: &mut Stage<'_>) -> (Way, Option<Expected>) {
    let seconds = stage.either(100, 40);
    alarm(stage, 1 << 8, seconds, "terminal_alarms/power_lost", 60)
}

fn alarm(
    stage: &mut Stage<'_>,
    alarms: u32,
    seconds: i64,
    rule: &str,
    after_s: i64,
) -> (Way, Option<Expected>) {
    let mut way = stage.begins();
    way.stand(10);
    stage.circuit.drive(&mut way, 0.0, 120.0, EASY_MPS);
    let start_s = way.at_s();
    way.now.alarms = alarms;
    way.stand(seconds);
    way.now.alarms = 0;
    let end_s = way.at_s();
    way.stand(20);
    let told = stage.told(
        BrokenRule::TerminalAlarm,
        rule.to_owned(),
        (start_s, start_s + after_s),
        Some(end_s),
    );
    (way, told)
}

/// Off the line by 90 m for 80 m; nearly: by 55 m, and back at once.
fn route_deviation(stage: &mut Stage<'_>) -> (Way, Option<Expected>) {
    let rule = stage.route("deviation", 10, json!({}));
    let circuit = stage.circuit;
    let mut way = stage.begins();
    way.stand_until(stage.curtain_s() + 10);
    circuit.drive(&mut way, 0.0, 100.0, 6.0);
    let start_s = way.at_s() + 5;
    let (aside, along) = if stage.violates {
        (90.0, 180.0)
    } else {
        (55.0, 105.0)
    };
    way.go(circuit.place(100.0, aside), 5.0);
    way.go(circuit.place(along, aside), 5.0);
    way.go(circuit.place(along, 0.0), 5.0);
    let end_s = way.at_s() - 5;
    circuit.drive(&mut way, along, circuit.length(), EASY_MPS);
    let told = stage.told(
        BrokenRule::RouteDeviation,
        rule,
        (start_s, start_s + 30),
        Some(end_s),
    );
    (way, told)
}

/// Collection points at shares of the circuit.
const POINTS: [(&str, f64); 3] = [("p1", 0.2), ("p2", 0.5), ("p3", 0.8)];
/// The window of collection points, and their grace.
const POINTS_MIN: i64 = 5;

fn route_with_points(stage: &mut Stage<'_>, in_order: bool) -> String {
    let length = stage.circuit.length();
    let points: Vec<Value> = POINTS
        .iter()
        .map(|(id, share)| {
            let at = stage
                .texts
                .lon_lat(stage.circuit.place(length * share, 0.0));
            json!({"id": id, "name": format!("{id} 收集点"), "at": at})
        })
        .collect();
    let more = json!({"points": points, "in_order": in_order, "point_grace_s": 60});
    stage.route("points", POINTS_MIN, more)
}

/// The first, the third, the second; nearly: in order.
fn wrong_order(stage: &mut Stage<'_>) -> (Way, Option<Expected>) {
    let rule = route_with_points(stage, true);
    let length = stage.circuit.length();
    let order: &[f64] = if stage.violates {
        &[0.2, 0.8, 1.5]
    } else {
        &[0.2, 0.5, 0.8]
    };
    let mut way = stage.begins();
    way.stand_until(stage.curtain_s() + 5);
    let mut from = 0.0;
    let mut start_s = 0;
    for (index, share) in order.iter().enumerate() {
        stage.circuit.drive(&mut way, from, length * share, 12.0);
        if index == 1 {
            start_s = way.at_s() + 20;
        }
        way.stand(25);
        from = length * share;
    }
    let rule = format!("{rule}/p2");
    let end_s = way.at_s() - 5;
    let told = stage.told(
        BrokenRule::WrongOrder,
        rule,
        (start_s, start_s),
        Some(end_s),
    );
    (way, told)
}

/// Eight seconds at the second point; nearly: 26.
fn missed_point(stage: &mut Stage<'_>) -> (Way, Option<Expected>) {
    let rule = route_with_points(stage, false);
    let length = stage.circuit.length();
    let mut way = stage.begins();
    way.stand_until(stage.curtain_s() + 5);
    let mut from = 0.0;
    for (index, (_, share)) in POINTS.iter().enumerate() {
        stage
            .circuit
            .drive(&mut way, from, length * share, EASY_MPS);
        way.stand(if index == 1 { stage.either(8, 26) } else { 40 });
        from = length * share;
    }
    stage.circuit.drive(&mut way, from, length, EASY_MPS);
    let over_s = stage.curtain_s() + 60 * POINTS_MIN;
    let rule = format!("{rule}/p2");
    let told = stage.told(BrokenRule::MissedPoint, rule, (over_s, over_s + 60), None);
    (way, told)
}

/// Half of the way too fast to sweep; nearly: 7 %.
fn coverage(stage: &mut Stage<'_>) -> (Way, Option<Expected>) {
    let rule = stage.route("coverage", 6, json!({"coverage_grace_s": 60}));
    let length = stage.circuit.length();
    let swept = length * if stage.violates { 0.5 } else { 0.93 };
    let mut way = stage.begins();
    way.stand_until(stage.curtain_s() + 5);
    stage.circuit.drive(&mut way, 0.0, swept, 3.9);
    stage.circuit.drive(&mut way, swept, length, 12.0);
    let over_s = stage.curtain_s() + 6 * 60;
    let told = stage.told(
        BrokenRule::Coverage,
        rule,
        (over_s, over_s + 60),
        Some(over_s),
    );
    (way, told)
}

/// Rules of stops hold for so long, and so long the vehicle is busy.
const STOPS_MIN: i64 = 6;

fn long_stop(stage: &mut Stage<'_>) -> (Way, Option<Expected>) {
    let seconds = stage.either(200, 90);
    stop(
        stage,
        BrokenRule::LongStop,
        ("long_stop", "停留限时"),
        seconds,
        true,
    )
}

/// With the engine on; nearly: with the engine off.
fn idling(stage: &mut Stage<'_>) -> (Way, Option<Expected>) {
    let is_acc_on = stage.violates;
    stop(
        stage,
        BrokenRule::Idling,
        ("idling", "怠速限时"),
        200,
        is_acc_on,
    )
}

fn stop(
    stage: &mut Stage<'_>,
    kind: BrokenRule,
    (word, name): (&str, &str),
    seconds: i64,
    is_acc_on: bool,
) -> (Way, Option<Expected>) {
    let window = stage.time.window(0, STOPS_MIN);
    let rule = stage.rule(word, name, json!({"stop_s": 120, "windows": [window]}));
    let curtain_s = stage.curtain_s();
    let mut way = stage.begins();
    let mut along = 0.0;
    let mut drive_until = |way: &mut Way, second: i64| {
        while way.at_s() < second {
            stage.circuit.drive(way, along, along + 30.0, 6.0);
            along += 30.0;
        }
    };
    drive_until(&mut way, curtain_s + 10);
    let start_s = way.at_s();
    way.now.is_acc_on = is_acc_on;
    way.stand(seconds);
    way.now.is_acc_on = true;
    let end_s = way.at_s();
    drive_until(&mut way, curtain_s + 60 * STOPS_MIN + 10);
    let told = stage.told(kind, rule, (start_s, start_s + 120), Some(end_s));
    (way, told)
}
