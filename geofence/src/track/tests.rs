mod bounds;
mod duty;
mod edits;
mod explain;
mod formats;
mod handover;
mod motion;
mod routes;
mod speeds;

use proptest::prelude::*;

use super::*;
use crate::{
    catalog::CatalogSources,
    units::{Latitude, Longitude},
    violation::ViolationKind,
};

/// Metres east and north of 37.87 N, 112.55 E, as degrees.
fn degrees(east: f64, north: f64) -> (f64, f64) {
    (37.87 + north / 111_195.08, 112.55 + east / 87_776.9)
}

fn lon_lat(east: f64, north: f64) -> String {
    let (lat, lon) = degrees(east, north);
    format!("[{lon:.6},{lat:.6}]")
}

fn rectangle(id: &str, properties: &str, half_width: f64, half_height: f64) -> String {
    let corner = |x: f64, y: f64| lon_lat(x * half_width, y * half_height);
    let ring: Vec<String> = [
        (-1.0, -1.0),
        (1.0, -1.0),
        (1.0, 1.0),
        (-1.0, 1.0),
        (-1.0, -1.0),
    ]
    .map(|(x, y)| corner(x, y))
    .to_vec();
    format!(
        r#"{{"type":"Feature","properties":{{"id":"{id}",{properties}}},
            "geometry":{{"type":"Polygon","coordinates":[[{}]]}}}}"#,
        ring.join(",")
    )
}

fn circle(id: &str, properties: &str, east: f64, north: f64, radius: f64) -> String {
    format!(
        r#"{{"type":"Feature","properties":{{"id":"{id}","radius_m":{radius},{properties}}},
            "geometry":{{"type":"Point","coordinates":{}}}}}"#,
        lon_lat(east, north)
    )
}

fn catalog(features: &[String]) -> Catalog {
    let text = format!(
        r#"{{"type":"FeatureCollection","features":[{}]}}"#,
        features.join(",")
    );
    let vehicles = "vehicle,phone,plate,work_kind,fleet,name,speed_limit_kmh\n\
                    V1,13800000001,A1,sweeper,F1,,60\n";
    let sources = CatalogSources {
        fences: Some(("fences".to_owned(), text)),
        vehicles: Some(("vehicles".to_owned(), vehicles.to_owned())),
        ..CatalogSources::default()
    };
    Catalog::load(&sources).unwrap()
}

/// A duty area of 2 km by 2 km, a keep-out zone in its middle, a slow zone beside it.
fn town() -> Catalog {
    catalog(&[
        rectangle("duty", r#""kind":"stay_in""#, 1_000.0, 1_000.0),
        circle("zone", r#""kind":"keep_out""#, 0.0, 0.0, 100.0),
        circle(
            "slow",
            r#""kind":"speed_limit","speed_limit_kmh":20"#,
            500.0,
            0.0,
            200.0,
        ),
    ])
}

fn terminal() -> TerminalId {
    "13800000001".parse().unwrap()
}

/// Monday 2026-01-05 09:00 at local time.
const START_MS: i64 = 1_767_574_800_000;

fn position(at_ms: i64, east: f64, north: f64, speed_kmh: f64) -> Position {
    let (lat, lon) = degrees(east, north);
    let at = Timestamp(START_MS + at_ms);
    Position {
        terminal: terminal(),
        fixed_at: at,
        received_at: at,
        log_offset: (at_ms / 100).unsigned_abs(),
        digest: (at_ms % 4_000_000_000) as u32 ^ east.to_bits() as u32,
        latitude: Latitude::from_degrees(lat).unwrap(),
        longitude: Longitude::from_degrees(lon).unwrap(),
        altitude_m: Some(800),
        speed_dkmh: (speed_kmh * 10.0).round() as u16,
        heading_deg: 90,
        alarm_flags: 0,
        status_flags: 3,
        odometer_dkm: None,
        satellites: Some(12),
        inputs: Default::default(),
        is_positioned: true,
        is_backlog: false,
    }
}

/// A vehicle that goes along a line at a steady speed, a fix a second.
fn drive(from_s: i64, from: (f64, f64), to: (f64, f64), speed_kmh: f64) -> Vec<Position> {
    let meters = (to.0 - from.0).hypot(to.1 - from.1);
    let seconds = (meters / (speed_kmh / 3.6)).ceil() as i64;
    (0..seconds)
        .map(|s| {
            let share = s as f64 / seconds as f64;
            let at = |a: f64, b: f64| a + (b - a) * share;
            position(
                (from_s + s) * 1_000,
                at(from.0, to.0),
                at(from.1, to.1),
                speed_kmh,
            )
        })
        .collect()
}

fn stand(from_s: i64, seconds: i64, at: (f64, f64)) -> Vec<Position> {
    (from_s..from_s + seconds)
        .map(|s| position(s * 1_000, at.0, at.1, 0.0))
        .collect()
}

/// Judges positions one by one and starts anew, from what snapshots kept, behind those of these
/// numbers; a snapshot is taken there and behind every so many. Gives what was told, until `end`.
fn restarted(
    catalog: &Catalog,
    positions: &[Position],
    restarts: &[usize],
    snapshot_every: usize,
    end: Timestamp,
) -> (Evaluator, Vec<Finding>) {
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    let mut stored = std::collections::BTreeMap::new();
    let mut findings = Vec::new();
    for (index, position) in positions.iter().enumerate() {
        findings.extend(evaluator.observe_batch(catalog, std::slice::from_ref(position)));
        // Snapshots at other moments than restarts, the newest bytes of each key.
        if restarts.contains(&index) || index % snapshot_every == 0 {
            for (key, bytes) in evaluator.take_dirty_snapshots() {
                if bytes.is_empty() {
                    stored.remove(&key);
                } else {
                    stored.insert(key, bytes);
                }
            }
        }
        if restarts.contains(&index) {
            evaluator = Evaluator::new(EvaluatorOptions::default());
            for bytes in stored.values() {
                evaluator.restore(bytes).unwrap();
            }
        }
    }
    findings.extend(evaluator.tick(catalog, end));
    (evaluator, findings)
}

/// What is known in the end: all positions in this order, and the clock far beyond them.
fn judged(catalog: &Catalog, positions: &[Position]) -> (Evaluator, Vec<Finding>) {
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    let mut findings = evaluator.observe_batch(catalog, positions);
    findings.extend(evaluator.tick(catalog, Timestamp(START_MS + 40 * 3_600_000)));
    (evaluator, findings)
}

fn seconds(at: Timestamp) -> f64 {
    (at.0 - START_MS) as f64 / 1e3
}

#[test]
fn a_visit_to_a_keep_out_zone_is_one_violation_from_crossing_to_crossing() {
    // In at 36 km/h: 100 m away at second 10; 30 s inside; out the same way.
    let mut track = drive(0, (-200.0, 0.0), (0.0, 0.0), 36.0);
    track.extend(stand(20, 30, (0.0, 0.0)));
    track.extend(drive(50, (0.0, 0.0), (-400.0, 0.0), 36.0));
    let (evaluator, findings) = judged(&town(), &track);
    let violations = evaluator.violations(&terminal());
    assert_eq!(violations.len(), 1, "{violations:#?}");
    let v = &violations[0];
    assert_eq!(
        (v.kind, v.rule.id.as_str()),
        (ViolationKind::KeepOut, "zone")
    );
    assert!(
        (seconds(v.started_at) - 10.0).abs() <= 1.0,
        "{}",
        seconds(v.started_at)
    );
    assert!(
        (seconds(v.confirmed_at) - 30.0).abs() <= 2.0,
        "{}",
        seconds(v.confirmed_at)
    );
    assert!((seconds(v.ended_at.unwrap()) - 60.0).abs() <= 1.5);
    assert!((v.worst - 100.0).abs() < 2.0, "{}", v.worst);
    assert_eq!(v.vehicle.as_deref(), Some("V1"));
    assert_eq!(v.evidence.thresholds["dwell_s"], 20.0);
    assert!(v.evidence.fixes.len() >= 4 && v.evidence.fixes.len() <= 10);
    assert!(v.evidence.fixes.is_sorted_by_key(|fix| fix.fixed_at));
    assert!(matches!(findings[0], Finding::Opened(_)));
    assert!(matches!(findings.last(), Some(Finding::Updated(v)) if v.ended_at.is_some()));
}

#[test]
fn a_pass_of_ten_seconds_is_none() {
    let track = drive(0, (-300.0, 30.0), (300.0, 30.0), 70.0);
    let zone = circle("zone", r#""kind":"keep_out""#, 0.0, 0.0, 100.0);
    let (evaluator, _) = judged(&catalog(&[zone]), &track);
    assert!(
        evaluator
            .violations(&terminal())
            .iter()
            .all(|v| v.kind == ViolationKind::Speeding)
    );
}

#[test]
fn whoever_is_found_inside_at_the_first_fix_has_not_entered() {
    let (evaluator, findings) = judged(&town(), &stand(0, 300, (0.0, 0.0)));
    assert_eq!(findings, []);
    assert_eq!(evaluator.violations(&terminal()), []);
}

#[test]
fn leaving_the_duty_area_for_more_than_a_minute_is_a_violation_and_less_is_none() {
    for (outside_s, expected) in [(40, 0), (80, 1)] {
        let mut track = drive(0, (900.0, 900.0), (1_050.0, 900.0), 36.0);
        track.extend(stand(15, outside_s - 10, (1_050.0, 900.0)));
        track.extend(drive(5 + outside_s, (1_050.0, 900.0), (800.0, 900.0), 36.0));
        let (evaluator, _) = judged(&town(), &track);
        let violations = evaluator.violations(&terminal());
        assert_eq!(violations.len(), expected, "{outside_s} s: {violations:#?}");
        for v in violations {
            assert_eq!(v.kind, ViolationKind::StayIn);
            assert!((seconds(v.started_at) - 10.0).abs() <= 1.5);
            assert!((v.worst - 50.0).abs() < 3.0, "{}", v.worst);
            assert!(v.ended_at.is_some());
        }
    }
}

#[test]
fn a_gap_is_neither_inside_nor_outside() {
    // Seen 30 s outside, an hour of silence, seen 20 s outside, back: 50 s observed.
    let mut track = drive(0, (900.0, 900.0), (1_050.0, 900.0), 36.0);
    track.extend(stand(15, 25, (1_050.0, 900.0)));
    track.extend(stand(3_600, 20, (1_050.0, 900.0)));
    track.extend(drive(3_620, (1_050.0, 900.0), (800.0, 900.0), 36.0));
    let (evaluator, _) = judged(&town(), &track);
    assert_eq!(evaluator.violations(&terminal()), []);
}

#[test]
fn speeding_is_the_lowest_limit_that_holds_for_ten_seconds() {
    // 40 km/h through a zone of 20 km/h, where the vehicle's own limit is 60.
    let track = drive(0, (200.0, 0.0), (900.0, 0.0), 40.0);
    let (evaluator, _) = judged(&town(), &track);
    let violations = evaluator.violations(&terminal());
    assert_eq!(violations.len(), 1, "{violations:#?}");
    let v = &violations[0];
    assert_eq!(
        (v.kind, v.rule.id.as_str()),
        (ViolationKind::Speeding, "slow")
    );
    assert!((v.worst - 40.0).abs() < 1e-9);
    // In at 300 m, second 9; confirmed inside 3 s later.
    assert!(
        (9.0..=14.0).contains(&seconds(v.started_at)),
        "{}",
        seconds(v.started_at)
    );
    assert!(v.ended_at.is_some());
    assert_eq!(v.evidence.thresholds["threshold_kmh"], 25.0);

    let own = drive(0, (-900.0, 300.0), (900.0, 300.0), 80.0);
    let (evaluator, _) = judged(&town(), &own);
    let rules: Vec<String> = evaluator
        .violations(&terminal())
        .into_iter()
        .map(|v| v.rule.id)
        .collect();
    assert_eq!(rules, ["vehicle:V1"]);
}

#[test]
fn one_wrong_speed_is_no_speeding() {
    let mut track = drive(0, (400.0, 0.0), (600.0, 0.0), 18.0);
    for fix in track.iter_mut().step_by(3) {
        fix.speed_dkmh = 900;
    }
    let (evaluator, _) = judged(&town(), &track);
    assert_eq!(evaluator.violations(&terminal()), []);
}

#[test]
fn a_timer_opens_what_the_next_fix_would_and_a_contrary_fix_withdraws_nothing() {
    let mut track = drive(0, (-200.0, 0.0), (0.0, 0.0), 36.0);
    track.extend(stand(20, 3, (0.0, 0.0)));
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    let town = town();
    assert_eq!(evaluator.observe_batch(&town, &track), []);
    assert_eq!(
        evaluator.tick(&town, Timestamp(START_MS + 33_000)),
        [],
        "fixes may be on their way"
    );
    let fired = evaluator.tick(&town, Timestamp(START_MS + 36_000));
    assert!(matches!(&*fired, [Finding::Opened(v)] if v.confirmed_at.0 == v.started_at.0 + 20_000));
    let rest = stand(37, 5, (0.0, 0.0));
    assert_eq!(evaluator.observe_batch(&town, &rest), []);
}

#[test]
fn a_timer_fires_after_a_restart_without_another_fix() {
    let mut track = drive(0, (-200.0, 0.0), (0.0, 0.0), 36.0);
    track.extend(stand(20, 3, (0.0, 0.0)));
    let town = town();
    let mut before = Evaluator::new(EvaluatorOptions::default());
    before.observe_batch(&town, &track);
    let mut after = Evaluator::new(EvaluatorOptions::default());
    for bytes in before.take_dirty_snapshots().values() {
        after.restore(bytes).unwrap();
    }
    assert_eq!(after.tick(&town, Timestamp(START_MS + 33_000)), []);
    let fired = after.tick(&town, Timestamp(START_MS + 36_000));
    assert!(matches!(&*fired, [Finding::Opened(_)]), "{fired:?}");
    assert_eq!(before.tick(&town, Timestamp(START_MS + 36_000)), fired);
}

#[test]
fn a_backlog_that_disproves_a_violation_withdraws_it() {
    // Without the middle the vehicle seems to have stood in the zone.
    let mut whole = drive(0, (-200.0, 0.0), (0.0, 0.0), 36.0);
    let live = [stand(20, 8, (0.0, 0.0)), stand(100, 8, (0.0, 0.0))].concat();
    whole.extend(live.iter().cloned());
    let mut backlog = drive(28, (0.0, 0.0), (0.0, 300.0), 36.0);
    backlog.extend(drive(60, (0.0, 300.0), (0.0, 0.0), 36.0));
    let town = town();
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    let opened = evaluator.observe_batch(&town, &whole);
    let [Finding::Opened(violation)] = &*opened else {
        panic!("{opened:#?}")
    };
    for position in &mut backlog {
        position.received_at = Timestamp(START_MS + 110_000);
    }
    assert_eq!(evaluator.observe_batch(&town, &backlog), []);
    let settled = evaluator.tick(&town, Timestamp(START_MS + 112_000));
    let kinds: Vec<String> = settled
        .iter()
        .map(|f| match f {
            Finding::Withdrawn(id, _) => format!("withdrawn {}", *id == violation.id),
            Finding::Opened(v) | Finding::Updated(v) => format!("{:?}", seconds(v.started_at)),
        })
        .collect();
    // The same onset with less dwell: the first stay lasts 18 s inside, the second 18 s.
    let mut in_order = [whole, backlog].concat();
    in_order.sort_by_key(|p| p.fixed_at);
    in_order.iter_mut().for_each(|p| p.received_at = p.fixed_at);
    let (expected, _) = judged(&town, &in_order);
    assert_eq!(stripped(&evaluator), stripped(&expected), "{kinds:?}");
    assert_eq!(evaluator.take_counts().rerun, 1);
}

#[test]
fn a_changed_onset_keeps_the_id() {
    let track = [
        drive(0, (-200.0, 0.0), (0.0, 0.0), 36.0),
        stand(20, 60, (0.0, 0.0)),
        drive(80, (0.0, 0.0), (-300.0, 0.0), 36.0),
    ]
    .concat();
    // The fixes about the entry come late: at first the entry seems to be later.
    let (late, live): (Vec<_>, Vec<_>) = track
        .into_iter()
        .partition(|p| (9.0..25.0).contains(&seconds(p.fixed_at)));
    let town = town();
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    let findings = evaluator.observe_batch(&town, &live);
    let Some(Finding::Opened(first)) = findings.first() else {
        panic!("{findings:#?}")
    };
    let late: Vec<Position> = late
        .into_iter()
        .map(|p| Position {
            received_at: Timestamp(START_MS + 200_000),
            ..p
        })
        .collect();
    evaluator.observe_batch(&town, &late);
    let settled = evaluator.tick(&town, Timestamp(START_MS + 300_000));
    let [Finding::Updated(now)] = &*settled else {
        panic!("{settled:#?}")
    };
    assert_eq!(now.id, first.id);
    assert!(now.started_at < first.started_at);
}

#[test]
fn every_position_is_evaluated_or_skipped_with_a_reason() {
    let good = stand(0, 10, (0.0, 0.0));
    let mut all = [good.clone(), good.clone()].concat();
    all.push(Position {
        is_positioned: false,
        ..good[0].clone()
    });
    all.push(Position {
        satellites: Some(3),
        ..good[0].clone()
    });
    all.push(Position {
        fixed_at: Timestamp(START_MS - 73 * 3_600_000),
        ..good[0].clone()
    });
    let (mut evaluator, _) = judged(&town(), &all);
    let counts = evaluator.take_counts();
    assert_eq!(counts.evaluated, 10);
    let skipped: Vec<(&str, u64)> = counts.skipped().filter(|(_, count)| *count > 0).collect();
    assert_eq!(
        skipped,
        [
            ("not_positioned", 1),
            ("few_satellites", 1),
            ("duplicate", 10),
            ("late", 1)
        ]
    );
    assert_eq!(evaluator.take_counts(), Counts::default());
}

#[test]
fn a_new_fence_about_a_vehicle_is_presence_and_its_old_fixes_are_not_judged() {
    let before = catalog(&[rectangle("duty", r#""kind":"stay_in""#, 1_000.0, 1_000.0)]);
    let after = town();
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    let mut track = drive(0, (-200.0, 0.0), (0.0, 0.0), 36.0);
    track.extend(stand(20, 300, (0.0, 0.0)));
    let late = track.remove(100);
    assert_eq!(evaluator.observe_batch(&before, &track), []);
    let later = stand(320, 300, (0.0, 0.0));
    assert_eq!(evaluator.observe_batch(&after, &later), []);
    let late = Position {
        received_at: Timestamp(START_MS + 700_000),
        ..late
    };
    assert_eq!(evaluator.observe_batch(&after, &[late]), []);
    assert_eq!(evaluator.tick(&after, Timestamp(START_MS + 900_000)), []);
    // It leaves and comes back: that is an entry.
    let back = [
        drive(1_000, (0.0, 0.0), (-200.0, 0.0), 36.0),
        drive(1_020, (-200.0, 0.0), (0.0, 0.0), 36.0),
        stand(1_040, 60, (0.0, 0.0)),
    ]
    .concat();
    assert!(matches!(
        &*evaluator.observe_batch(&after, &back),
        [Finding::Opened(_), ..]
    ));
}

#[test]
fn an_edited_fence_ends_what_is_open_and_withdraws_nothing() {
    let track = [
        drive(0, (-200.0, 0.0), (0.0, 0.0), 36.0),
        stand(20, 60, (0.0, 0.0)),
    ]
    .concat();
    let town = town();
    let without = catalog(&[rectangle("duty", r#""kind":"stay_in""#, 1_000.0, 1_000.0)]);
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    let opened = evaluator.observe_batch(&town, &track);
    assert!(matches!(&*opened, [Finding::Opened(_)]));
    let next = evaluator.observe_batch(&without, &stand(80, 10, (0.0, 0.0)));
    assert!(
        matches!(&*next, [Finding::Updated(v)] if v.ended_at.is_some()),
        "{next:#?}"
    );
    let late = Position {
        digest: 1,
        received_at: Timestamp(START_MS + 95_000),
        ..track[5].clone()
    };
    assert_eq!(evaluator.observe_batch(&without, &[late]), []);
    assert_eq!(evaluator.tick(&without, Timestamp(START_MS + 900_000)), []);
    assert_eq!(evaluator.violations(&terminal()).len(), 1);
}

/// Violations without their ids: what is found does not depend on the order of arrival, by which
/// name it became known first may.
fn stripped(evaluator: &Evaluator) -> Vec<Violation> {
    let nil = crate::identity::ViolationId(uuid::Uuid::nil());
    let mut all: Vec<Violation> = evaluator
        .violations(&terminal())
        .into_iter()
        .map(|v| Violation { id: nil, ..v })
        .collect();
    all.sort_by(|a, b| (a.started_at, a.kind, &a.rule.id).cmp(&(b.started_at, b.kind, &b.rule.id)));
    all
}

/// A seeded generator (SplitMix64), so that noise repeats.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / 9_007_199_254_740_992.0
    }

    fn normal(&mut self) -> f64 {
        let (u, v) = (self.unit().max(1e-12), self.unit());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    fn below(&mut self, count: usize) -> usize {
        (self.unit() * count as f64) as usize
    }
}

/// Where a vehicle truly is, a second each, and how fast.
fn wander(random: &mut Random, seconds: usize) -> Vec<(f64, f64, f64)> {
    let mut truth = Vec::with_capacity(seconds + 200);
    let mut at = (700.0, 700.0);
    while truth.len() < seconds {
        if random.unit() < 0.35 {
            let rest = 20 + random.below(200);
            truth.extend(std::iter::repeat_n((at.0, at.1, 0.0), rest));
        }
        // Mostly within the duty area, at times beyond it, often through the zone in the middle.
        let reach = if random.unit() < 0.15 { 1_200.0 } else { 930.0 };
        let to = if random.unit() < 0.2 {
            ((random.unit() - 0.5) * 120.0, (random.unit() - 0.5) * 120.0)
        } else {
            (
                (random.unit() - 0.5) * 2.0 * reach,
                (random.unit() - 0.5) * 2.0 * reach,
            )
        };
        let mps = 2.0 + random.unit() * 10.0;
        let meters = f64::hypot(to.0 - at.0, to.1 - at.1);
        let steps = (meters / mps).ceil().max(1.0);
        for step in 0..steps as usize {
            let share = step as f64 / steps;
            truth.push((
                at.0 + (to.0 - at.0) * share,
                at.1 + (to.1 - at.1) * share,
                mps,
            ));
        }
        at = to;
    }
    truth
}

/// What a receiver makes of it: an error that wanders (what parked drift is), a little white
/// noise, jumps, uncertain speed.
fn received(random: &mut Random, truth: &[(f64, f64, f64)], sigma: f64) -> Vec<Position> {
    let mut slow = (random.normal() * sigma, random.normal() * sigma);
    let fresh = sigma * (1.0 - 0.97_f64 * 0.97).sqrt();
    (0_i64..)
        .zip(truth)
        .map(|(second, (east, north, mps))| {
            slow.0 = slow.0 * 0.97 + random.normal() * fresh;
            slow.1 = slow.1 * 0.97 + random.normal() * fresh;
            let (mut x, mut y) = (east + slow.0, north + slow.1);
            x += random.normal() * 0.3;
            y += random.normal() * 0.3;
            if random.unit() < 0.001 {
                let (angle, away) = (
                    random.unit() * std::f64::consts::TAU,
                    30.0 + random.unit() * 120.0,
                );
                (x, y) = (x + away * angle.cos(), y + away * angle.sin());
            }
            let kmh = (mps + random.normal() * 0.3).max(0.0) * 3.6;
            let satellites = if sigma > 4.5 { 6 } else { 10 };
            Position {
                satellites: Some(satellites),
                ..position(second * 1_000, x, y, kmh)
            }
        })
        .collect()
}

/// The intervals of a second each in which something is true for at least so long; breaks of
/// less than 20 s are none.
fn intervals(truth: impl Iterator<Item = bool>, least: i64) -> Vec<(i64, i64)> {
    let mut found: Vec<(i64, i64)> = Vec::new();
    for (second, _) in (0_i64..).zip(truth).filter(|(_, is)| *is) {
        match found.last_mut() {
            Some(last) if second - last.1 < 20 => last.1 = second,
            _ => found.push((second, second)),
        }
    }
    found.retain(|(from, to)| to - from >= least);
    found
}

#[test]
fn noise_makes_no_alarms_and_hides_no_violations() {
    let town = town();
    let (mut told, mut right, mut true_ones, mut found) = (0, 0, 0, 0);
    let mut onset_errors: Vec<f64> = Vec::new();
    for seed in 0..12 {
        let mut random = Random(seed);
        let truth = wander(&mut random, 7_200);
        let (evaluator, _) = judged(&town, &received(&mut random, &truth, 6.0));
        let violations = evaluator.violations(&terminal());
        let zone = |p: &(f64, f64, f64)| p.0.hypot(p.1) < 100.0;
        let beyond = |p: &(f64, f64, f64)| p.0.abs() > 1_000.0 || p.1.abs() > 1_000.0;
        let cases = [
            // The last three seconds of the rule's time may be noise at the boundary.
            (
                ViolationKind::KeepOut,
                intervals(truth.iter().map(zone), 17),
                20,
            ),
            (
                ViolationKind::StayIn,
                intervals(truth.iter().map(beyond), 57),
                60,
            ),
        ];
        for (kind, expected, dwell) in cases {
            let told_now: Vec<(f64, f64)> = violations
                .iter()
                .filter(|v| v.kind == kind)
                .map(|v| (seconds(v.started_at), v.ended_at.map_or(1e9, seconds)))
                .collect();
            let meets = |a: (f64, f64), b: &(i64, i64)| a.0 <= b.1 as f64 && a.1 >= b.0 as f64;
            told += told_now.len();
            right += told_now
                .iter()
                .filter(|v| expected.iter().any(|t| meets(**v, t)))
                .count();
            // A little more than the rule's time: shorter ones may be told or not.
            for t in expected.iter().filter(|(from, to)| to - from >= dwell + 6) {
                true_ones += 1;
                if let Some(v) = told_now.iter().find(|v| meets(**v, t)) {
                    found += 1;
                    onset_errors.push((v.0 - t.0 as f64).abs());
                }
            }
        }
    }
    onset_errors.sort_by(f64::total_cmp);
    let (precision, recall) = (
        f64::from(right as u32) / f64::from(told as u32),
        f64::from(found) / f64::from(true_ones),
    );
    let p95 = onset_errors[onset_errors.len() * 95 / 100];
    assert!(true_ones > 50, "{true_ones} true violations");
    let figures = format!(
        "precision {precision:.3} ({right} of {told}), recall {recall:.3} ({found} of \
         {true_ones}), onset p50 {:.1} s, p95 {p95:.1} s",
        onset_errors[onset_errors.len() / 2],
    );
    assert!(
        precision >= 0.98 && recall >= 0.97 && p95 <= 15.0,
        "{figures}"
    );
}

#[test]
fn a_vehicle_parked_beside_a_boundary_for_hours_opens_nothing() {
    let town = town();
    for (seed, at) in [
        (1, (0.0, 112.0)),
        (2, (-110.0, 0.0)),
        (3, (985.0, 500.0)),
        (4, (0.0, 988.0)),
    ] {
        let mut random = Random(seed);
        let truth = vec![(at.0, at.1, 0.0); 4 * 3_600];
        let (evaluator, findings) = judged(&town, &received(&mut random, &truth, 6.0));
        assert_eq!(findings, [], "parked at {at:?}");
        assert_eq!(evaluator.violations(&terminal()), []);
    }
}

/// A stretch of noisy driving, short enough for many runs.
fn noisy(seed: u64, seconds: usize) -> Vec<Position> {
    let mut random = Random(seed);
    let truth = wander(&mut random, seconds);
    received(&mut random, &truth, 5.0)
}

/// The positions in an order in which they might arrive, received one after the other.
fn arrived(mut positions: Vec<Position>, order: &[u64], duplicates: &[usize]) -> Vec<Position> {
    let again: Vec<Position> = duplicates
        .iter()
        .map(|index| positions[index % positions.len()].clone())
        .collect();
    positions.extend(again);
    let count = order.len().max(1);
    let mut keyed: Vec<(u64, usize, Position)> = positions
        .into_iter()
        .enumerate()
        .map(|(index, p)| {
            (
                order[index % count].wrapping_mul(index as u64 / 7 + 1) % 1_000,
                index,
                p,
            )
        })
        .collect();
    keyed.sort_by_key(|(key, index, _)| (*key, *index));
    let mut arrived: Vec<Position> = keyed.into_iter().map(|(_, _, p)| p).collect();
    for (second, position) in (0..).zip(&mut arrived) {
        position.received_at = Timestamp(START_MS + 4 * 3_600_000 + second * 300);
    }
    arrived
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_arrival_gives_the_same_end_result(
        seed in 0..1_000_u64,
        order in proptest::collection::vec(any::<u64>(), 1..50),
        duplicates in proptest::collection::vec(any::<usize>(), 0..20),
        cut in 1..400_usize,
    ) {
        let town = town();
        let track = noisy(seed, 1_000);
        let (expected, _) = judged(&town, &track);
        let shuffled = arrived(track, &order, &duplicates);
        let mut evaluator = Evaluator::new(EvaluatorOptions::default());
        let mut findings = Vec::new();
        for batch in shuffled.chunks(cut) {
            findings.extend(evaluator.observe_batch(&town, batch));
        }
        findings.extend(evaluator.tick(&town, Timestamp(START_MS + 40 * 3_600_000)));
        prop_assert_eq!(stripped(&evaluator), stripped(&expected));
        // What was told adds up to what is known.
        let mut told = std::collections::BTreeMap::new();
        for finding in findings {
            match finding {
                Finding::Opened(v) => prop_assert!(told.insert(v.id, v).is_none()),
                Finding::Updated(v) => prop_assert!(told.insert(v.id, v).is_some()),
                Finding::Withdrawn(id, _) => prop_assert!(told.remove(&id).is_some()),
            }
        }
        let known = evaluator.violations(&terminal());
        prop_assert_eq!(told.len(), known.len());
        for v in known {
            prop_assert_eq!(told.get(&v.id).map(|t| t.started_at), Some(v.started_at));
            if v.ended_at.is_some() {
                prop_assert_eq!(told.get(&v.id), Some(&v));
            }
        }
        let counts = evaluator.take_counts();
        let skipped: u64 = counts.skipped().map(|(_, count)| count).sum();
        prop_assert_eq!(counts.evaluated + skipped, shuffled.len() as u64);
    }

    #[test]
    fn batches_change_nothing(
        seed in 0..1_000_u64,
        order in proptest::collection::vec(any::<u64>(), 1..20),
        cut in 1..300_usize,
    ) {
        let town = town();
        let shuffled = arrived(noisy(seed, 900), &order, &[]);
        let (_, expected) = judged(&town, &shuffled);
        let mut evaluator = Evaluator::new(EvaluatorOptions::default());
        let mut findings = Vec::new();
        for batch in shuffled.chunks(cut) {
            findings.extend(evaluator.observe_batch(&town, batch));
            findings.extend(evaluator.tick(&town, batch[batch.len() - 1].received_at));
        }
        findings.extend(evaluator.tick(&town, Timestamp(START_MS + 40 * 3_600_000)));
        prop_assert_eq!(findings, expected);
    }

    #[test]
    fn a_restart_anywhere_changes_nothing(
        seed in 0..1_000_u64,
        order in proptest::collection::vec(any::<u64>(), 1..20),
        is_in_order: bool,
        restarts in proptest::collection::vec(1..1_000_usize, 1..4),
    ) {
        let town = town();
        let track = noisy(seed, 1_000);
        let positions = if is_in_order { track } else { arrived(track, &order, &[3, 5]) };
        let (undisturbed, expected) = judged(&town, &positions);
        let end = Timestamp(START_MS + 40 * 3_600_000);
        let (evaluator, findings) = restarted(&town, &positions, &restarts, 200, end);
        prop_assert_eq!(findings, expected);
        prop_assert_eq!(evaluator.violations(&terminal()), undisturbed.violations(&terminal()));
    }

    #[test]
    fn damaged_snapshots_are_refused_and_never_panic(
        cut in 0..2_000_usize,
        flip in any::<(usize, u8)>(),
    ) {
        let town = town();
        let mut evaluator = Evaluator::new(EvaluatorOptions::default());
        evaluator.observe_batch(&town, &noisy(1, 300));
        for (_, mut bytes) in evaluator.take_dirty_snapshots() {
            let index = flip.0 % bytes.len();
            bytes[index] ^= flip.1;
            bytes.truncate(cut.max(1));
            _ = Evaluator::new(EvaluatorOptions::default()).restore(&bytes);
        }
    }
}

#[test]
fn a_snapshot_of_a_long_track_writes_only_what_changed() {
    let town = town();
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    let day: Vec<Position> = (0..20_000)
        .map(|s| position(s * 1_000, 300.0 + (s % 600) as f64, 400.0, 20.0))
        .collect();
    evaluator.observe_batch(&town, &day);
    let first = evaluator.take_dirty_snapshots();
    let bytes: usize = first.values().map(Vec::len).sum();
    assert!(bytes < 20_000 * 20, "{bytes} bytes for 20,000 fixes");
    evaluator.observe_batch(&town, &stand(20_000, 5, (400.0, 400.0)));
    let next = evaluator.take_dirty_snapshots();
    let bytes: usize = next.values().map(Vec::len).sum();
    assert!(
        next.len() <= 4 && bytes < 8_000,
        "{} keys, {bytes} bytes",
        next.len()
    );
    assert!(evaluator.take_dirty_snapshots().is_empty());
    evaluator.mark_dirty(next.keys());
    assert_eq!(evaluator.take_dirty_snapshots(), next);
}
