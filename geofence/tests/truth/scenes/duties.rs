//! Duty: away from the post, silent, at work outside all hours, late.

use geofence::violation::ViolationKind;

use super::{Event, Family, Role, Scene, clock};
use crate::{
    receiver::Random,
    town::with_shift,
    way::{Span, Way},
};

/// When ways before the shift begin, and when it begins, seconds of the way.
const BEGINS_S: i64 = 7 * 3_600 + 20 * 60;
const SHIFT_S: i64 = 40 * 60;
const RULE: &str = "A/R1";

pub(super) fn families() -> Vec<Family> {
    let family = |kind: ViolationKind, work_kind, runs, start_s, scene| Family {
        kind,
        catalog: with_shift(work_kind, kind.as_str()),
        runs,
        start_s,
        scene,
    };
    vec![
        family(
            ViolationKind::OffPost,
            "inspector",
            12,
            BEGINS_S,
            off_post as fn(&mut Random, i64) -> Scene,
        ),
        family(ViolationKind::Silence, "inspector", 8, BEGINS_S, silence),
        family(
            ViolationKind::OutsideHours,
            "sweeper",
            14,
            clock(17, 10),
            outside_hours,
        ),
        family(
            ViolationKind::LateStart,
            "inspector",
            100,
            BEGINS_S,
            late_start,
        ),
    ]
}

/// Farther than 30 m from the duty area.
fn is_outside(at: (f64, f64)) -> bool {
    let (east, north) = (
        (at.0 - 500.0).max(-at.0).max(0.0),
        (at.1.abs() - 50.0).max(0.0),
    );
    east.hypot(north) > 30.0
}

fn pace(random: &mut Random) -> f64 {
    if random.chance(0.5) {
        random.between(1.0, 1.5)
    } else {
        random.between(3.0, 5.0)
    }
}

fn off_post(random: &mut Random, every_s: i64) -> Scene {
    let mut way = Way::begins((250.0, 0.0));
    way.stand(SHIFT_S + 300);
    while way.now() < SHIFT_S + 8 * 3_600 {
        let mps = pace(random);
        way.go(
            (random.between(100.0, 480.0), random.between(-30.0, 30.0)),
            mps,
        );
        way.stand(random.seconds(120, 400));
        match Role::any(random) {
            // On the far kerb, where the margin still is the post.
            Role::Innocent => {
                way.go((random.between(505.0, 515.0), 0.0), mps);
                way.stand(random.seconds(600, 1_500));
            }
            role => {
                let seconds = role.seconds(random, 600, every_s);
                let beyond = random.between(30.0, 150.0).min(0.3 * seconds as f64 * mps);
                way.go((530.0 + beyond, 0.0), mps);
                way.stand(seconds - (2.0 * beyond / mps).round() as i64);
                way.go((450.0, 0.0), mps);
            }
        }
    }
    way.go((250.0, 0.0), 1.5);
    let outside = way.spans(60, |second| is_outside(second.at));
    Scene {
        truth: Event::lasting(RULE, outside, 600),
        way,
        swept: None,
    }
}

fn silence(random: &mut Random, every_s: i64) -> Scene {
    let mut way = Way::begins((250.0, 0.0));
    way.stand(SHIFT_S + 300);
    while way.now() < SHIFT_S + 8 * 3_600 {
        let mps = pace(random);
        way.go(
            (random.between(100.0, 480.0), random.between(-30.0, 30.0)),
            mps,
        );
        way.stand(5);
        match Role::any(random) {
            Role::Innocent => way.stand(random.seconds(600, 1_500)),
            role => {
                let seconds = role.seconds(random, 600, every_s);
                way.be_dark(seconds);
                way.stand(random.seconds(120, 400));
            }
        }
    }
    // Until the shift is over.
    way.stand(SHIFT_S + 9 * 3_600 + 300 - way.now());
    let dark = way.spans(0, |second| second.is_dark);
    Scene {
        truth: Event::lasting(RULE, dark, 600),
        way,
        swept: None,
    }
}

fn outside_hours(random: &mut Random, _every_s: i64) -> Scene {
    let mut way = Way::begins((0.0, 0.0));
    way.stand(300);
    let mut side = 1.0;
    while way.now() < 6 * 3_600 {
        let mps = random.between(3.0, 8.0);
        let meters = match Role::any(random) {
            Role::Violates => random.between(345.0, 2_000.0),
            Role::Nearly => random.between(60.0, 255.0),
            Role::Innocent => 0.0,
        };
        if meters > 0.0 {
            way.go((way.at.0 + side * meters, 0.0), mps);
        }
        side = if way.at.0 > 500.0 { -1.0 } else { 1.0 };
        let seconds = random.seconds(700, 1_500);
        if random.chance(0.5) {
            way.stand(seconds);
        } else {
            way.park(seconds);
        }
    }
    let trips = way.spans(600, |second| second.mps > 0.8);
    let event = |span: Span| {
        let is_broken = |second: &i64| {
            let so_far = Span {
                from: span.from,
                to: *second,
            };
            second - span.from >= 180 || way.meters(so_far) >= 300.0
        };
        let sure = (span.from..=span.to).find(is_broken)?;
        let event = Event::new("hours:V1", span, sure);
        Some(event.against(span.seconds(), sure - span.from))
    };
    Scene {
        truth: trips.into_iter().filter_map(event).collect(),
        way,
        swept: None,
    }
}

fn late_start(random: &mut Random, every_s: i64) -> Scene {
    let mut way = Way::begins((700.0, 0.0));
    let arrival_s = match Role::any(random) {
        Role::Violates => Role::Violates.seconds(random, 900, every_s),
        Role::Nearly => Role::Nearly.seconds(random, 900, every_s),
        Role::Innocent => -random.seconds(60, 1_200),
    };
    // Stands beyond the area, where the margin ends not far away.
    let from = random.between(560.0, 700.0);
    let mps = pace(random);
    way.go((from, 0.0), mps);
    let on_the_way = ((from - 530.0) / mps).round() as i64;
    way.stand(SHIFT_S + arrival_s - on_the_way - way.now());
    way.go((300.0, 0.0), mps);
    way.stand(SHIFT_S + 3_000 - way.now());
    let first = way.seconds.iter().position(|second| !is_outside(second.at));
    let span = Span {
        from: SHIFT_S,
        to: first.unwrap() as i64,
    };
    Scene {
        truth: Event::lasting(RULE, vec![span], 900),
        way,
        swept: None,
    }
}
