//! Fences: left, entered, driven through too fast, and parked beside.

use geofence::{catalog::Catalog, violation::ViolationKind};

use super::{Event, Family, Role, Scene, clock};
use crate::{
    receiver::Random,
    town::{circle, square, with_fences},
    way::{Way, distance},
};

const DUTY_HALF_M: f64 = 1_000.0;
const ZONE_RADIUS_M: f64 = 100.0;
const SLOW_RADIUS_M: f64 = 300.0;
/// 20 km/h and the margin of 5 km/h.
const SLOW_THRESHOLD_KMH: f64 = 25.0;
const SPAN_S: i64 = 3 * 3_600;

pub(super) fn families() -> Vec<Family> {
    let start_s = clock(9, 0);
    let slow = r#""kind":"speed_limit","speed_limit_kmh":20"#;
    vec![
        Family {
            kind: ViolationKind::StayIn,
            catalog: with_fences(&[square("duty", r#""kind":"stay_in""#, DUTY_HALF_M)]),
            runs: 20,
            start_s,
            scene: stay_in,
        },
        Family {
            kind: ViolationKind::KeepOut,
            catalog: with_fences(&[circle(
                "zone",
                r#""kind":"keep_out""#,
                (0.0, 0.0),
                ZONE_RADIUS_M,
            )]),
            runs: 20,
            start_s,
            scene: keep_out,
        },
        Family {
            kind: ViolationKind::Speeding,
            catalog: with_fences(&[circle("slow", slow, (0.0, 0.0), SLOW_RADIUS_M)]),
            runs: 8,
            start_s,
            scene: speeding,
        },
    ]
}

/// Goes so far beyond a boundary that is `ahead` away, stays beyond it for so long, and comes back
/// to where it was. `outwards` has length 1.
fn excursion(
    random: &mut Random,
    way: &mut Way,
    outwards: (f64, f64),
    (ahead, most): (f64, f64),
    seconds: i64,
) {
    let from = way.at;
    let mps = random.between(3.0, 12.0);
    let beyond = random.between(30.0, 150.0).min(0.4 * seconds as f64 * mps);
    let beyond = beyond.min(most);
    let meters = ahead + beyond;
    let to = (from.0 + outwards.0 * meters, from.1 + outwards.1 * meters);
    way.go(to, mps);
    way.stand(seconds - (2.0 * beyond / mps).round() as i64);
    way.go(from, mps);
}

fn rest(random: &mut Random, way: &mut Way, seconds: i64) {
    if random.chance(0.5) {
        way.stand(seconds);
    } else {
        way.park(seconds);
    }
}

fn stay_in(random: &mut Random, every_s: i64) -> Scene {
    let mut way = Way::begins((0.0, 0.0));
    while way.now() < SPAN_S {
        let along = random.between(-800.0, 800.0);
        let sign = if random.chance(0.5) { 1.0 } else { -1.0 };
        let is_east = random.chance(0.5);
        let place = |out: f64| {
            if is_east {
                (sign * out, along)
            } else {
                (along, sign * out)
            }
        };
        let mps = random.between(4.0, 12.0);
        way.go(place(900.0), mps);
        match Role::any(random) {
            Role::Innocent => {
                let beside = random.between(15.0, 40.0);
                way.go(place(DUTY_HALF_M - beside), mps);
                let seconds = random.seconds(300, 1_200);
                rest(random, &mut way, seconds);
            }
            role => {
                let seconds = role.seconds(random, 60, every_s);
                let outwards = if is_east { (sign, 0.0) } else { (0.0, sign) };
                excursion(random, &mut way, outwards, (100.0, 150.0), seconds);
            }
        }
        let inside = (random.between(-700.0, 700.0), random.between(-700.0, 700.0));
        way.go(inside, mps);
    }
    let beyond = way.spans(0, |second| {
        second.at.0.abs().max(second.at.1.abs()) > DUTY_HALF_M
    });
    Scene {
        truth: Event::lasting("duty", beyond, 60),
        way,
        swept: None,
    }
}

fn keep_out(random: &mut Random, every_s: i64) -> Scene {
    let mut way = Way::begins((300.0, 0.0));
    while way.now() < SPAN_S {
        let direction = random.away(1.0);
        let place = |meters: f64| (direction.0 * meters, direction.1 * meters);
        let mps = random.between(4.0, 12.0);
        // Around the zone, not through it.
        let (x, y) = way.at;
        let aside = (direction.0 - x / 300.0, direction.1 - y / 300.0);
        if aside.0.hypot(aside.1) > 1.6 {
            way.go((-y, x), mps);
        }
        way.go(place(300.0), mps);
        match Role::any(random) {
            Role::Innocent => {
                let beside = random.between(15.0, 40.0);
                way.go(place(ZONE_RADIUS_M + beside), mps);
                let seconds = random.seconds(300, 1_200);
                rest(random, &mut way, seconds);
                way.go(place(300.0), mps);
            }
            role => {
                let seconds = role.seconds(random, 20, every_s);
                let inwards = (-direction.0, -direction.1);
                excursion(random, &mut way, inwards, (200.0, 95.0), seconds);
            }
        }
        let seconds = random.seconds(30, 90);
        rest(random, &mut way, seconds);
    }
    let inside = way.spans(0, |second| distance(second.at, (0.0, 0.0)) < ZONE_RADIUS_M);
    Scene {
        truth: Event::lasting("zone", inside, 20),
        way,
        swept: None,
    }
}

/// To and fro through the slow zone, never out of it.
fn speeding(random: &mut Random, every_s: i64) -> Scene {
    let mut way = Way::begins((-250.0, 0.0));
    let mut side = 1.0;
    while way.now() < SPAN_S {
        let slow = random.between(10.0, 17.0) / 3.6;
        let mut ahead = 1.0;
        let (kmh, meters) = match Role::any(random) {
            Role::Violates => {
                let kmh = random.between(1.15, 1.8) * SLOW_THRESHOLD_KMH;
                let seconds = Role::Violates.seconds(random, 10, every_s);
                let meters = kmh / 3.6 * seconds as f64;
                // To the other end and back, as often as it takes.
                let mut left = meters;
                while every_s > 1 && left > 480.0 {
                    let to = if ahead > 0.0 { 230.0 } else { -250.0 };
                    way.go((side * to, 0.0), kmh / 3.6);
                    (left, ahead) = (left - 480.0, -ahead);
                }
                (kmh, left.min(480.0))
            }
            Role::Nearly if random.chance(0.5) => {
                (random.between(0.8, 0.9) * SLOW_THRESHOLD_KMH, 480.0)
            }
            Role::Nearly => {
                let kmh = random.between(1.15, 1.8) * SLOW_THRESHOLD_KMH;
                let seconds = Role::Nearly.seconds(random, 10, every_s);
                (kmh, kmh / 3.6 * seconds as f64)
            }
            Role::Innocent => {
                let seconds = random.seconds(60, 600);
                rest(random, &mut way, seconds);
                (12.0, 100.0)
            }
        };
        way.go((way.at.0 + side * ahead * meters, 0.0), kmh / 3.6);
        way.go((side * 250.0, 0.0), slow);
        side = -side;
        way.stand(15);
    }
    let fast = way.spans(5, |second| second.mps * 3.6 > SLOW_THRESHOLD_KMH);
    Scene {
        truth: Event::apart(Event::lasting("slow", fast, 10), (20.0, 5), every_s),
        way,
        swept: None,
    }
}

/// Fences that tell every crossing, and vehicles that are parked beside their boundaries for four
/// hours each: whatever is told is false.
pub(crate) fn parked(seeds: u64) -> (Catalog, Vec<Way>) {
    let catalog = with_fences(&[
        square("duty", r#""kind":"stay_in","dwell_s":0"#, DUTY_HALF_M),
        circle(
            "zone",
            r#""kind":"keep_out","dwell_s":0"#,
            (0.0, 0.0),
            ZONE_RADIUS_M,
        ),
    ]);
    let mut random = Random(seeds + 77);
    let way = |index: i32| {
        let beside = random.between(0.0, 30.0);
        let at = match index % 4 {
            0 => (ZONE_RADIUS_M + beside, 0.0),
            1 => (0.0, ZONE_RADIUS_M - beside),
            2 => (DUTY_HALF_M - beside, 300.0),
            _ => (300.0, DUTY_HALF_M + beside),
        };
        let mut way = Way::begins(at);
        way.stand(4 * 3_600);
        way
    };
    (catalog, (0..24).map(way).collect())
}
