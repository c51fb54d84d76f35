//! Work: long stops, and sweeping too fast.

use geofence::violation::ViolationKind;

use super::{Event, Family, Role, Scene, clock};
use crate::{
    receiver::Random,
    town::with_work,
    way::{Way, distance},
};

const DEPOT: (f64, f64) = (600.0, 0.0);
const SPAN_S: i64 = 4 * 3_600;
/// The band of sweepers, 8 km/h, and its margin of 1 km/h.
const BAND_KMH: f64 = 9.0;

pub(super) fn families() -> Vec<Family> {
    let start_s = clock(9, 0);
    let stops = r#"{"id":"stops","kind":"long_stop"}"#;
    let signals = r#"{"id":"signals","kind":"work_signals",
        "signals":[{"machine":"brush","source":"vehicle_signals","bit":15}]}"#;
    vec![
        Family {
            kind: ViolationKind::LongStop,
            catalog: with_work(stops, DEPOT),
            runs: 16,
            start_s,
            scene: long_stop,
        },
        Family {
            kind: ViolationKind::TooFastToClean,
            catalog: with_work(signals, DEPOT),
            runs: 8,
            start_s,
            scene: too_fast,
        },
    ]
}

fn stop(random: &mut Random, way: &mut Way, seconds: i64) {
    if random.chance(0.5) {
        way.stand(seconds);
    } else {
        way.park(seconds);
    }
}

fn long_stop(random: &mut Random, every_s: i64) -> Scene {
    let mut way = Way::begins((0.0, 0.0));
    while way.now() < SPAN_S {
        let role = Role::any(random);
        let to = if role == Role::Innocent {
            (
                DEPOT.0 + random.between(-40.0, 40.0),
                random.between(-40.0, 40.0),
            )
        } else {
            loop {
                let to = (random.between(-800.0, 800.0), random.between(-800.0, 800.0));
                if distance(to, DEPOT) > 140.0 && distance(to, way.at) > 150.0 {
                    break to;
                }
            }
        };
        way.go(to, random.between(4.0, 12.0));
        match role {
            Role::Innocent => {
                let seconds = random.seconds(900, 2_400);
                stop(random, &mut way, seconds);
            }
            // A queue: two stops that are not one.
            Role::Nearly if random.chance(0.3) => {
                way.stand(random.seconds(200, 500));
                let on = random.away(90.0);
                way.go((way.at.0 + on.0, way.at.1 + on.1), 4.0);
                way.stand(random.seconds(200, 500));
            }
            _ => {
                let seconds = role.seconds(random, 600, every_s);
                stop(random, &mut way, seconds);
            }
        }
    }
    way.go((0.0, 0.0), 8.0);
    let stops = way.spans(0, |second| {
        second.mps < 0.8 && distance(second.at, DEPOT) > 100.0
    });
    Scene {
        truth: Event::lasting("stops", stops, 600),
        way,
        swept: None,
    }
}

fn too_fast(random: &mut Random, every_s: i64) -> Scene {
    let mut way = Way::begins((-2_000.0, 300.0));
    way.is_working = true;
    let mut side = 1.0;
    while way.now() < SPAN_S {
        let slow = random.between(4.0, 7.0) / 3.6;
        let mut go = |kmh: f64, seconds: i64| {
            let meters = kmh / 3.6 * seconds as f64;
            if (way.at.0 + side * meters).abs() > 2_500.0 {
                side = -side;
            }
            way.go((way.at.0 + side * meters, 300.0), kmh / 3.6);
        };
        match Role::any(random) {
            Role::Violates => {
                let seconds = Role::Violates.seconds(random, 20, every_s);
                go(random.between(1.15, 1.8) * BAND_KMH, seconds);
            }
            Role::Nearly if random.chance(0.5) => {
                go(random.between(0.8, 0.9) * BAND_KMH, random.seconds(60, 120));
            }
            Role::Nearly => {
                let seconds = Role::Nearly.seconds(random, 20, every_s);
                go(random.between(1.15, 1.8) * BAND_KMH, seconds);
            }
            // Brush up: it only drives.
            Role::Innocent => {
                way.is_working = false;
                let side = if way.at.0 > 0.0 { -1.0 } else { 1.0 };
                let meters = random.between(200.0, 600.0);
                way.go((way.at.0 + side * meters, 300.0), random.between(5.0, 10.0));
                way.stand(10);
                way.is_working = true;
            }
        }
        way.go((way.at.0 + side * slow * 60.0, 300.0), slow);
    }
    let fast = way.spans(30, |second| {
        second.is_working && second.mps * 3.6 > BAND_KMH
    });
    Scene {
        truth: Event::apart(Event::lasting("signals", fast, 20), (8.0, 30), every_s),
        way,
        swept: None,
    }
}
