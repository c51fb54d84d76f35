//! Routes: left, passed without stopping, swept in part.

use geofence::violation::ViolationKind;

use super::{Event, Family, Hidden, Role, Scene, Stop, clock, seen_s};
use crate::{
    receiver::Random,
    town::with_route,
    way::{Line, Span, Way, distance},
};

const BEGINS_S: i64 = 8 * 3_600 + 58 * 60;
/// The window of the routes, seconds of the way.
const WINDOW: Span = Span {
    from: 120,
    to: 3_720,
};
const POINTS: usize = 8;

fn long_line() -> Line {
    Line(vec![(-1_500.0, 0.0), (500.0, 0.0), (500.0, 1_500.0)])
}

/// To the right of the kerb.
fn points(line: &Line) -> Vec<(f64, f64)> {
    let place = |index: usize| line.place(along(line, index), 8.0);
    (0..POINTS).map(place).collect()
}

fn along(line: &Line, index: usize) -> f64 {
    line.length() * (index as f64 + 0.5) / POINTS as f64
}

pub(super) fn families() -> Vec<Family> {
    let start_s = clock(0, 0) + BEGINS_S;
    let long = long_line();
    vec![
        Family {
            kind: ViolationKind::RouteDeviation,
            catalog: with_route(&long, "deviation", &[]),
            runs: 40,
            start_s,
            scene: deviation,
        },
        Family {
            kind: ViolationKind::MissedPoint,
            catalog: with_route(&long, "points", &points(&long)),
            runs: 50,
            start_s,
            scene: missed,
        },
        Family {
            kind: ViolationKind::Coverage,
            catalog: with_route(&long, "coverage", &[]),
            runs: 100,
            start_s,
            scene: coverage,
        },
    ]
}

fn deviation(random: &mut Random, every_s: i64) -> Scene {
    let line = long_line();
    let mut way = Way::begins(line.place(0.0, 0.0));
    way.stand(130);
    let mut is_back = false;
    while way.now() < WINDOW.to - 1_200 {
        let mut behind = random.between(250.0, 400.0);
        while behind < line.length() - 400.0 && way.now() < WINDOW.to - 900 {
            let mps = random.between(5.0, 10.0);
            let place = |meters: f64, right: f64| {
                let meters = if is_back {
                    line.length() - meters
                } else {
                    meters
                };
                line.place(meters, right)
            };
            go_along(
                &mut way,
                &line,
                place(behind, random.between(-5.0, 5.0)),
                mps,
            );
            let to = |meters: f64, right: f64| place(behind + meters, right);
            behind += leave(random, &mut way, (mps, every_s), to);
            behind += random.between(250.0, 500.0);
        }
        let end = if is_back { 0.0 } else { line.length() };
        go_along(&mut way, &line, line.place(end, 0.0), 8.0);
        let seconds = random.seconds(20, 200);
        way.stand(seconds);
        is_back = !is_back;
    }
    way.park(600);
    let off = way.spans(0, |second| line.nearest(second.at).1 > 25.0);
    let event = |span: Span| {
        let is_broken = |second: &i64| {
            let seconds = second - span.from;
            let so_far = Span {
                from: span.from,
                to: *second,
            };
            seconds >= 90 || (seconds >= 30 && way.meters(so_far) >= 100.0)
        };
        let sure = (span.from..=span.to).find(is_broken)?;
        let dwell_s = if sure - span.from >= 90 { 90 } else { 30 };
        Some(Event::new("route", span, sure).against(span.seconds(), dwell_s))
    };
    let mut truth: Vec<Event> = off.iter().filter_map(|span| event(*span)).collect();
    // It stands until the window has begun.
    let mut before = WINDOW.from + 10;
    for event in &mut truth {
        let is_seen_on = rests(&off, before, event.span.from) >= seen_s(10, every_s);
        event.hidden = if every_s == 1 {
            None
        } else if !is_seen_on {
            Some(Hidden::Joined)
        } else if may_have_ended(&way, &line, event.span.from, every_s) {
            Some(Hidden::Ambiguous)
        } else {
            None
        };
        before = event.span.to;
    }
    Scene {
        truth,
        way,
        swept: None,
    }
}

/// The longest time on the route, seconds, from one second to another: what is shorter than 10 s in
/// whole intervals nobody sees, and two deviations are told as one.
fn rests(off: &[Span], from: i64, to: i64) -> i64 {
    let between = off
        .iter()
        .filter(|span| from <= span.from && span.from <= to);
    let (mut longest, mut on_since) = (0, from);
    for span in between {
        longest = longest.max(span.from - on_since);
        on_since = span.to;
    }
    longest
}

/// Between two reports, whenever they come, who left the route can have gone to an end of it first, at
/// the speed that he drives at: from 75 m before the end on nobody can have left it any more, and 50 m
/// about the end belong to it.
fn may_have_ended(way: &Way, line: &Line, left: i64, every_s: i64) -> bool {
    let place = |second: i64| way.seconds[second as usize].at;
    let reach = way.seconds[left as usize].mps * every_s as f64;
    (left..left + every_s).any(|first_off| {
        let (along, _) = line.nearest(place(first_off - every_s));
        let off = place(first_off);
        [0.0, line.length()].into_iter().any(|end| {
            let to_it = ((end - along).abs() - 75.0).max(0.0);
            let from_it = (distance(line.place(end, 0.0), off) - 50.0).max(0.0);
            to_it + from_it <= reach
        })
    })
}

/// Along the line, around its corner where one lies between.
fn go_along(way: &mut Way, line: &Line, to: (f64, f64), mps: f64) {
    let (from, until) = (line.nearest(way.at).0, line.nearest(to).0);
    let corner = 2_000.0;
    if (from - corner) * (until - corner) < 0.0 {
        way.go(line.place(corner, 0.0), mps);
    }
    way.go(to, mps);
}

/// Leaves the line, or keeps beside it; gives how far along it came back.
fn leave(
    random: &mut Random,
    way: &mut Way,
    (mps, every_s): (f64, i64),
    place: impl Fn(f64, f64) -> (f64, f64),
) -> f64 {
    match (Role::any(random), random.chance(0.5)) {
        // A street beside the route, for at least 100 m and 30 s.
        (Role::Violates, true) => {
            let away = random.between(60.0, 150.0);
            let longer = if every_s > 1 { every_s as f64 } else { 0.0 };
            let meters = mps * (random.between(35.0, 50.0) + longer);
            way.go(place(0.0, away), mps);
            way.go(place(meters, away), mps);
            way.go(place(meters, 0.0), mps);
            meters
        }
        // A stop there, for at least 90 s.
        (Role::Violates, false) => {
            way.go(place(0.0, random.between(60.0, 110.0)), mps);
            way.stand(random.seconds(104, 220));
            way.go(place(0.0, 0.0), mps);
            0.0
        }
        // Within 90 % of the corridor.
        (Role::Nearly, true) => {
            let meters = mps * random.between(20.0, 40.0);
            let beside = random.between(18.0, 22.5);
            way.go(place(10.0, beside), mps);
            way.go(place(10.0 + meters, beside), mps);
            way.go(place(20.0 + meters, 0.0), mps);
            20.0 + meters
        }
        // A stop of up to 85 % of 90 s, less than 100 m of way.
        (Role::Nearly, false) => {
            let away = random.between(40.0, 60.0);
            way.go(place(0.0, away), mps);
            way.stand(random.seconds(20, 62));
            way.go(place(0.0, 0.0), mps);
            0.0
        }
        (Role::Innocent, _) => {
            let seconds = random.seconds(60, 240);
            way.stand(seconds);
            0.0
        }
    }
}

fn missed(random: &mut Random, every_s: i64) -> Scene {
    let line = long_line();
    let mut way = Way::begins(line.place(0.0, 0.0));
    way.stand(130);
    let mut truth = Vec::new();
    for index in 0..POINTS {
        let mps = random.between(5.0, 10.0);
        let beside = along(&line, index) + random.between(-6.0, 6.0);
        go_along(
            &mut way,
            &line,
            line.place(beside, random.between(0.0, 4.0)),
            mps,
        );
        let role = Role::any(random);
        // Whoever stays for 20 s stays for long enough to be seen.
        let least = seen_s(20, every_s);
        let begun = way.now();
        match role {
            Role::Violates if random.chance(0.6) => {}
            Role::Violates => way.stand(random.seconds(7, 17)),
            Role::Nearly => way.stand(random.seconds(23, 30).max(least + 3)),
            Role::Innocent => way.stand(random.seconds(40, 300).max(least + 3)),
        }
        let stood_s = way.now() - begun;
        if role == Role::Violates {
            let over = Span {
                from: WINDOW.to,
                to: i64::MAX / 2_000,
            };
            let event = Event::new(&format!("route/p{index}"), over, WINDOW.to + 600);
            // A stop of less than 20 s that reports may show as one of 20 s is not seen to be too
            // short.
            let is_hidden = every_s > 1 && stood_s > 0 && stood_s + every_s >= 20;
            truth.push(Event {
                hidden: is_hidden.then_some(Hidden::Ambiguous),
                ..event
            });
        }
    }
    go_along(&mut way, &line, line.place(line.length(), 0.0), 8.0);
    way.park(WINDOW.to + 60 - way.now());
    let mps = way.seconds.iter().map(|second| second.mps);
    let mps = mps.fold(0.0, f64::max);
    // By the way itself: within 25 m, standing, for 20 s in all.
    for (index, at) in points(&line).into_iter().enumerate() {
        let is_there =
            |second: &&crate::way::Second| second.mps < 1.5 && distance(second.at, at) <= 25.0;
        let stay = way.seconds.iter().filter(is_there).count();
        let rule = format!("route/p{index}");
        let event = truth.iter_mut().find(|event| event.rule == rule);
        let is_missed = event.is_some();
        if let Some(event) = event {
            event.undone = Some(Stop {
                at,
                radius_m: 25.0,
                stay_s: 20,
                mps,
            });
        }
        assert_eq!(stay < 20, is_missed, "{rule}: {stay} s");
    }
    Scene {
        truth,
        way,
        swept: None,
    }
}

fn coverage(random: &mut Random, _every_s: i64) -> Scene {
    let line = long_line();
    let share = match Role::any(random) {
        Role::Violates => random.between(0.4, 0.82),
        Role::Nearly => random.between(0.88, 0.96),
        Role::Innocent => 1.0,
    };
    let mut way = Way::begins(line.place(0.0, 0.0));
    way.is_working = true;
    way.stand(130);
    let pieces = 2;
    let piece = line.length() / f64::from(pieces);
    for index in 0..pieces {
        let begin = piece * f64::from(index);
        let left_out = piece * (1.0 - share);
        let from = begin + random.between(0.1, 0.9) * (piece - left_out);
        let right = random.between(-3.0, 6.0);
        let kmh = random.between(5.0, 9.0);
        sweep(&mut way, &line, (begin, from), right, kmh);
        if share < 1.0 {
            match random.unit() {
                // Too fast to sweep.
                ..0.35 => {
                    let kmh = random.between(20.0, 35.0);
                    sweep(&mut way, &line, (from, from + left_out), right, kmh);
                }
                // With the brush up.
                ..0.65 => {
                    way.is_working = false;
                    sweep(&mut way, &line, (from, from + left_out), right, kmh);
                    way.is_working = true;
                }
                // By another street.
                _ => {
                    way.go(line.place(from, 60.0), 7.0);
                    sweep(&mut way, &line, (from, from + left_out), 60.0, 25.0);
                    way.go(line.place(from + left_out, right), 7.0);
                }
            }
        }
        sweep(
            &mut way,
            &line,
            (from + left_out, begin + piece),
            right,
            kmh,
        );
        if random.chance(0.5) {
            way.stand(random.seconds(10, 120));
        }
    }
    way.park(WINDOW.to + 60 - way.now());
    let swept = swept(&way, &line);
    let over = Span {
        from: WINDOW.to,
        to: WINDOW.to,
    };
    let event = Event::new("route", over, WINDOW.to + 900);
    Scene {
        truth: (swept < 0.85).then_some(event).into_iter().collect(),
        way,
        swept: Some(swept),
    }
}

/// Along the line, so far to the right of it, in steps of ten metres.
fn sweep(way: &mut Way, line: &Line, (from, to): (f64, f64), right: f64, kmh: f64) {
    let steps = ((to - from) / 10.0).ceil().max(1.0);
    for step in 0..=steps as i64 {
        let along = from + (to - from) * step as f64 / steps;
        way.go(line.place(along, right), kmh / 3.6);
    }
}

/// The share of pieces of 5 m whose middle was passed within 12 m at 1.8 to 15 km/h, the brush down.
fn swept(way: &Way, line: &Line) -> f64 {
    let count = (line.length() / 5.0).ceil() as usize;
    let mut is_swept = vec![false; count];
    for pair in way.seconds.windows(2) {
        let [(a, near), (b, _)] = [pair[0], pair[1]].map(|second| line.nearest(second.at));
        let is_work = (1.8..=15.0).contains(&(pair[1].mps * 3.6));
        if !is_work || !pair[1].is_working || near > 12.0 {
            continue;
        }
        let (first, last) = ((a / 5.0) as usize, (b / 5.0) as usize);
        let pieces = is_swept.iter_mut().enumerate();
        for (index, is_swept) in pieces.take(last + 1).skip(first) {
            let middle = index as f64 * 5.0 + 2.5;
            *is_swept |= a < middle && middle <= b;
        }
    }
    is_swept.iter().filter(|is| **is).count() as f64 / count as f64
}
