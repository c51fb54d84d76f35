//! Routes under any order of arrival, in any batches, across restarts; and over a noisy day.

use std::collections::BTreeMap;

use super::*;

mod explain;

/// The corners of the round, metres east and north.
pub(super) const ROUND: [(f64, f64); 4] = [(0.0, 0.0), (300.0, 0.0), (300.0, 200.0), (0.0, 200.0)];

pub(super) fn route(id: &str, properties: &str, line: &[(f64, f64)]) -> String {
    let line: Vec<String> = line.iter().map(|(x, y)| lon_lat(*x, *y)).collect();
    format!(
        r#"{{"type":"Feature","properties":{{"id":"{id}","applies_to":{{"vehicles":["V1"]}},
            {properties}}},"geometry":{{"type":"LineString","coordinates":[{}]}}}}"#,
        line.join(",")
    )
}

/// A keep-out zone on the way, a depot beside it, and two routes: a round with points, whose two
/// windows end within the track, and a street that it meets.
pub(super) fn works() -> Catalog {
    works_with(r#""coverage_grace_s":60"#)
}

pub(super) fn works_with(extra: &str) -> Catalog {
    let point = |id: &str, x, y, more: &str| {
        format!(
            r#"{{"id":"{id}","at":{},"stay_s":10{more}}}"#,
            lon_lat(x, y)
        )
    };
    let points = [
        point("a", 100.0, 5.0, ""),
        point("b", 300.0, 50.0, ""),
        point("c", 200.0, 200.0, r#","mandatory":false"#),
        point("d", 50.0, 195.0, ""),
    ];
    let round = format!(
        r#""windows":[{{"from":"09:02","to":"09:07"}},{{"from":"09:08","to":"09:13"}}],
           "side":"both","points":[{}],"point_grace_s":30,"deviation_s":10,"deviation_m":30,
           "speed_limit_kmh":18,{extra}"#,
        points.join(",")
    );
    let street = r#""windows":[{"from":"09:01","to":"09:14"}],"passes":2,"direction":"forward",
        "coverage_grace_s":120,"good_percent":60,"fail_percent":40"#;
    let collection = |features: &[String]| {
        format!(
            r#"{{"type":"FeatureCollection","features":[{}]}}"#,
            features.join(",")
        )
    };
    let fences = [
        circle("zone", r#""kind":"keep_out","dwell_s":5"#, 150.0, 0.0, 40.0),
        circle("depot", r#""kind":"site""#, -60.0, 60.0, 40.0),
    ];
    let routes = [
        route("round", &round, &ROUND),
        route("street", street, &[(0.0, 0.0), (300.0, 0.0)]),
    ];
    let vehicles = "vehicle,phone,plate,work_kind,fleet,name,speed_limit_kmh\n\
                    V1,13800000001,A1,sweeper,F1,,60\n";
    let rules = r#"{"rules":[{"id":"any","kind":"work_speed","speed_kmh":100},
        {"id":"bits","kind":"work_signals","signals":[
            {"machine":"brush","source":"vehicle_signals","bit":15},
            {"machine":"bin_lift","source":"vehicle_signals","bit":3}]}]}"#;
    let sources = CatalogSources {
        fences: Some(("fences".to_owned(), collection(&fences))),
        routes: Some(("routes".to_owned(), collection(&routes))),
        vehicles: Some(("vehicles".to_owned(), vehicles.to_owned())),
        work_rules: Some(("rules".to_owned(), rules.to_owned())),
        ..CatalogSources::default()
    };
    Catalog::load(&sources).unwrap()
}

/// A sweeper that goes round, at times stands, strays, rests with its ignition off, or is not heard.
pub(super) fn sweeping(seed: u64, seconds: usize) -> Vec<Position> {
    let mut random = Random(seed);
    let mut truth = Vec::with_capacity(seconds + 300);
    let mut is_heard = Vec::new();
    let mut is_on = Vec::new();
    let mut at = ROUND[0];
    let mut next = 1;
    // The collection points, in any order.
    let points = [(100.0, 5.0), (300.0, 50.0), (200.0, 200.0), (50.0, 195.0)];
    let mut is_at_point = false;
    while truth.len() < seconds {
        if is_at_point || random.unit() < 0.3 {
            let rest = 15 + random.below(40);
            truth.extend(std::iter::repeat_n((at.0, at.1, 0.0), rest));
            is_on.resize(truth.len(), random.unit() < 0.7);
        }
        is_at_point = random.unit() < 0.4;
        let to = if is_at_point {
            points[random.below(points.len())]
        } else if random.unit() < 0.2 {
            (random.unit() * 400.0 - 100.0, random.unit() * 300.0 - 50.0)
        } else {
            next += 1;
            ROUND[next % ROUND.len()]
        };
        let mps = 1.5 + random.unit() * 6.0;
        let steps = (f64::hypot(to.0 - at.0, to.1 - at.1) / mps).ceil().max(1.0);
        for step in 0..steps as usize {
            let share = step as f64 / steps;
            let between = |a: f64, b: f64| a + (b - a) * share;
            truth.push((between(at.0, to.0), between(at.1, to.1), mps));
        }
        is_on.resize(truth.len(), true);
        at = to;
        is_heard.resize(truth.len(), random.unit() < 0.85);
    }
    is_heard.resize(truth.len(), true);
    let fixes = received(&mut random, &truth, 4.0);
    let mut kept: Vec<Position> = Vec::new();
    for (index, mut fix) in fixes.into_iter().enumerate() {
        if !is_heard[index] {
            continue;
        }
        let (from, to) = (truth[index], truth[(index + 1).min(truth.len() - 1)]);
        let heading = (to.0 - from.0).atan2(to.1 - from.1).to_degrees();
        fix.heading_deg = heading.rem_euclid(360.0) as u16;
        fix.status_flags = if is_on[index] { 3 } else { 2 };
        // Brush and lift go on and off, and at times nobody tells.
        fix.inputs.vehicle_signals = match index / 97 % 6 {
            0 => None,
            1..=3 => Some(1 << 15),
            4 => Some(1 << 15 | 1 << 3),
            _ => Some(0),
        };
        kept.push(fix);
    }
    kept
}

/// So that the properties below are about something.
#[test]
fn the_tracks_of_these_tests_violate_every_rule_of_a_route() {
    let works = works();
    let mut kinds = BTreeMap::new();
    for seed in 0..30 {
        let (evaluator, _) = judged(&works, &sweeping(seed, 1_000));
        for violation in evaluator.violations(&terminal()) {
            *kinds.entry(violation.kind).or_insert(0) += 1;
        }
    }
    for kind in [
        ViolationKind::RouteDeviation,
        ViolationKind::WrongOrder,
        ViolationKind::MissedPoint,
        ViolationKind::Coverage,
        ViolationKind::KeepOut,
    ] {
        assert!(
            kinds.get(&kind).is_some_and(|count| *count >= 3),
            "{kinds:?}"
        );
    }
}

fn end() -> Timestamp {
    Timestamp(START_MS + 40 * 3_600_000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn handing_a_vehicle_on_its_route_over_changes_nothing(
        seed in 0..1_000_u64,
        order in proptest::collection::vec(any::<u64>(), 1..20),
        is_in_order: bool,
        moves in proptest::collection::vec(0..1_000_usize, 1..4),
    ) {
        let works = works();
        let track = sweeping(seed, 1_000);
        let positions = if is_in_order { track } else { arrived(track, &order, &[3, 5]) };
        handover::same_books(&works, &positions, &moves)?;
    }

    #[test]
    fn any_order_of_arrival_gives_the_same_verdicts(
        seed in 0..1_000_u64,
        order in proptest::collection::vec(any::<u64>(), 1..50),
        duplicates in proptest::collection::vec(any::<usize>(), 0..20),
        cut in 1..400_usize,
    ) {
        let works = works();
        let track = sweeping(seed, 1_000);
        let (expected, _) = judged(&works, &track);
        let shuffled = arrived(track, &order, &duplicates);
        let mut evaluator = Evaluator::new(EvaluatorOptions::default());
        let mut findings = Vec::new();
        for batch in shuffled.chunks(cut) {
            findings.extend(evaluator.observe_batch(&works, batch));
        }
        findings.extend(evaluator.tick(&works, end()));
        prop_assert_eq!(differences(&evaluator, &expected), [] as [String; 0]);
        prop_assert_eq!(told(findings)?, known(&evaluator));
    }

    /// A backlog: a stretch of fixes comes when verdicts have been given.
    #[test]
    fn a_backlog_gives_the_same_verdicts(
        seed in 0..1_000_u64,
        from in 0..900_i64,
        length in 1..600_i64,
        delay in 1..3_000_i64,
        ticks in 0..20_i64,
    ) {
        let works = works();
        let track = sweeping(seed, 1_000);
        let (expected, _) = judged(&works, &track);
        let mut positions = track;
        for position in &mut positions {
            let second = (position.fixed_at.0 - START_MS) / 1_000;
            if (from..from + length).contains(&second) {
                position.received_at = Timestamp(START_MS + (from + length + delay) * 1_000);
            }
        }
        positions.sort_by_key(|position| position.received_at);
        let mut evaluator = Evaluator::new(EvaluatorOptions::default());
        let mut findings = Vec::new();
        let mut ticked = START_MS;
        for position in &positions {
            // Time passes between fixes as well: windows end by the clock.
            for tick in 1..=ticks {
                let at = ticked + (position.received_at.0 - ticked) * tick / (ticks + 1);
                findings.extend(evaluator.tick(&works, Timestamp(at)));
            }
            ticked = position.received_at.0;
            findings.extend(evaluator.observe_batch(&works, std::slice::from_ref(position)));
        }
        findings.extend(evaluator.tick(&works, end()));
        prop_assert_eq!(differences(&evaluator, &expected), [] as [String; 0]);
        prop_assert_eq!(told(findings)?, known(&evaluator));
    }

    #[test]
    fn batches_of_a_route_change_nothing(
        seed in 0..1_000_u64,
        order in proptest::collection::vec(any::<u64>(), 1..20),
        cut in 1..300_usize,
    ) {
        let works = works();
        let shuffled = arrived(sweeping(seed, 900), &order, &[]);
        let (_, expected) = judged(&works, &shuffled);
        let mut evaluator = Evaluator::new(EvaluatorOptions::default());
        let mut findings = Vec::new();
        for batch in shuffled.chunks(cut) {
            findings.extend(evaluator.observe_batch(&works, batch));
            findings.extend(evaluator.tick(&works, batch[batch.len() - 1].received_at));
        }
        findings.extend(evaluator.tick(&works, end()));
        prop_assert_eq!(findings, expected);
    }

    #[test]
    fn a_restart_on_a_route_changes_nothing(
        seed in 0..1_000_u64,
        order in proptest::collection::vec(any::<u64>(), 1..20),
        is_in_order: bool,
        restarts in proptest::collection::vec(1..1_000_usize, 1..4),
    ) {
        let works = works();
        let track = sweeping(seed, 1_000);
        let positions = if is_in_order { track } else { arrived(track, &order, &[3, 5]) };
        let (undisturbed, expected) = judged(&works, &positions);
        // At the end as well: what is due by the clock only is found after a restart too.
        let restarts = [restarts, vec![positions.len() - 1]].concat();
        let (evaluator, findings) = restarted(&works, &positions, &restarts, 150, end());
        prop_assert_eq!(findings, expected);
        prop_assert_eq!(evaluator.violations(&terminal()), undisturbed.violations(&terminal()));
    }

    #[test]
    fn damaged_snapshots_of_routes_never_panic(
        cut in 0..3_000_usize,
        flips in proptest::collection::vec(any::<(usize, u8)>(), 1..4),
    ) {
        let works = works();
        let mut evaluator = Evaluator::new(EvaluatorOptions::default());
        evaluator.observe_batch(&works, &sweeping(1, 400));
        for (_, mut bytes) in evaluator.take_dirty_snapshots() {
            for (place, flip) in &flips {
                let index = place % bytes.len();
                bytes[index] ^= flip;
            }
            bytes.truncate(cut.max(1));
            _ = Evaluator::new(EvaluatorOptions::default()).restore(&bytes);
        }
    }
}

/// What one evaluation has found and the other has not, without ids.
pub(super) fn differences(a: &Evaluator, b: &Evaluator) -> Vec<String> {
    let (a, b) = (stripped(a), stripped(b));
    let only = |name: &str, a: &[Violation], b: &[Violation]| -> Vec<String> {
        let only = a.iter().filter(|v| !b.contains(v));
        only.map(|v| format!("{name}: {v:?}")).collect()
    };
    [only("found", &a, &b), only("expected", &b, &a)].concat()
}

/// What is known of violations that are over, by id; of those that go on the onset.
pub(super) fn known(evaluator: &Evaluator) -> BTreeMap<crate::identity::ViolationId, String> {
    let all = evaluator.violations(&terminal()).into_iter();
    all.map(|v| (v.id, summary(&v))).collect()
}

fn summary(v: &Violation) -> String {
    match v.ended_at {
        Some(_) => format!("{v:?}"),
        None => format!("{} {:?}", v.kind.as_str(), v.started_at),
    }
}

/// What findings add up to.
pub(super) fn told(
    findings: Vec<Finding>,
) -> Result<BTreeMap<crate::identity::ViolationId, String>, TestCaseError> {
    let mut told = BTreeMap::new();
    for finding in findings {
        match finding {
            Finding::Opened(v) => prop_assert!(told.insert(v.id, summary(&v)).is_none()),
            Finding::Updated(v) => prop_assert!(told.insert(v.id, summary(&v)).is_some()),
            Finding::Withdrawn(id, _) => prop_assert!(told.remove(&id).is_some()),
        }
    }
    Ok(told)
}

#[test]
fn a_snapshot_from_before_routes_goes_on_where_it_was() {
    let text = include_str!("../../../../fixtures/geofence/snapshot-1.txt");
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    for bytes in formats::written(text).values() {
        assert_eq!(bytes[0], 1);
        evaluator.restore(bytes).unwrap();
    }
    let town = town();
    let mut before = stand(0, 140, (400.0, 400.0));
    before.extend(drive(140, (-200.0, 0.0), (0.0, 0.0), 36.0));
    before.extend(stand(160, 40, (0.0, 0.0)));
    before[0].log_offset = 1;
    let mut after = drive(200, (0.0, 0.0), (-400.0, 0.0), 36.0);
    // A late fix, so that the checkpoint of the chunk is read as well.
    after.push(Position {
        received_at: Timestamp(START_MS + 300_000),
        digest: 7,
        ..stand(100, 1, (400.0, 401.0))[0].clone()
    });
    evaluator.observe_batch(&town, &after);
    evaluator.tick(&town, end());
    let (expected, _) = judged(&town, &[before, after].concat());
    assert_eq!(
        evaluator.violations(&terminal()),
        expected.violations(&terminal())
    );
    assert_eq!(evaluator.take_counts().rerun, 1);
    assert!(evaluator.violations(&terminal())[0].ended_at.is_some());
}

/// Twenty a second, hours after they were taken; and each as it was taken.
#[test]
fn a_backlog_that_comes_in_order_is_told_like_what_comes_at_once() {
    let works = works();
    let late = START_MS + 10 * 3_600_000;
    for seed in 0..5 {
        let told = |received_at: &dyn Fn(i64, Timestamp) -> Timestamp| {
            let mut evaluator = Evaluator::new(EvaluatorOptions::default());
            let mut findings = Vec::new();
            for (index, fix) in (0..).zip(sweeping(seed, 1_000)) {
                let received_at = received_at(index, fix.fixed_at);
                let fix = Position { received_at, ..fix };
                findings.extend(evaluator.observe_batch(&works, &[fix]));
                findings.extend(evaluator.tick(&works, received_at));
            }
            findings.extend(evaluator.tick(&works, Timestamp(late + 30 * 3_600_000)));
            let is_withdrawn = |f: &&Finding| matches!(f, Finding::Withdrawn(..));
            let is_opened = |f: &&Finding| matches!(f, Finding::Opened(_));
            (
                findings.iter().filter(is_opened).count(),
                findings.iter().filter(is_withdrawn).count(),
            )
        };
        let backlog = told(&|index, _| Timestamp(late + index / 20 * 1_000));
        // A point that is visited behind its window was missed for a while: both times.
        assert_eq!(backlog, told(&|_, fixed_at| fixed_at), "seed {seed}");
    }
}

/// One route, and a sweeper that may drive it.
fn with_street(properties: &str, line: &[(f64, f64)]) -> Catalog {
    let text = format!(
        r#"{{"type":"FeatureCollection","features":[{}]}}"#,
        route("street", properties, line)
    );
    let vehicles = "vehicle,phone,plate,work_kind,fleet,name,speed_limit_kmh\n\
                    V1,13800000001,A1,sweeper,F1,,\n";
    let sources = CatalogSources {
        routes: Some(("routes".to_owned(), text)),
        vehicles: Some(("vehicles".to_owned(), vehicles.to_owned())),
        ..CatalogSources::default()
    };
    Catalog::load(&sources).unwrap()
}

/// A street of 3 km, and fixes every 30 s at these places of it.
fn every_half_minute(places: &[(f64, f64)]) -> Vec<Violation> {
    let line = [(0.0, 0.0), (3_000.0, 0.0)];
    let properties = r#""windows":[{"from":"09:00","to":"10:00"}],"checks":["deviation"]"#;
    let catalog = with_street(properties, &line);
    let fixes = (0..).zip(places);
    let fixes = fixes.map(|(index, (x, y))| position(index * 30_000, *x, *y, 36.0));
    let fixes: Vec<Position> = fixes.collect();
    stripped(&judged(&catalog, &fixes).0)
}

#[test]
fn who_leaves_between_rare_fixes_is_at_the_end_only_if_he_can_have_been_there() {
    let away = [(900.0, 100.0), (1_200.0, 100.0), (1_500.0, 100.0)];
    // 300 m from the beginning, 30 s later 600 m away from it: he did not turn back to it first.
    let mut places = vec![(0.0, 0.0), (300.0, 0.0), (600.0, 100.0)];
    places.extend(away);
    let found = every_half_minute(&places);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].started_at, Timestamp(START_MS + 30_000));
    // 200 m before the end, 30 s later 150 m from it: he may have ended there, and gone on.
    let mut places = vec![(2_200.0, 0.0), (2_500.0, 0.0), (2_800.0, 0.0)];
    places.extend([(2_900.0, -110.0), (2_800.0, -300.0), (2_700.0, -600.0)]);
    assert_eq!(every_half_minute(&places), []);
}

#[test]
fn who_crosses_the_route_between_rare_fixes_was_on_it() {
    // To and fro over the street: off it at each fix, and for less than 30 s at a time.
    let mut places = vec![(900.0, 0.0), (1_200.0, 0.0)];
    places.extend([(1_300.0, 80.0), (1_400.0, -80.0), (1_500.0, 80.0)]);
    places.extend([(1_600.0, 0.0), (1_900.0, 0.0)]);
    assert_eq!(every_half_minute(&places), []);
    // Who stays on the other side has left it there; the way before the crossing counts for nothing.
    let mut places = vec![(900.0, 0.0), (1_200.0, 0.0), (1_300.0, 80.0)];
    places.extend([(1_400.0, -80.0), (1_500.0, -90.0), (1_600.0, 0.0)]);
    let found = every_half_minute(&places);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].started_at, Timestamp(START_MS + 90_000));
    assert_eq!(found[0].evidence.measured["left_at_m"].round(), 1_350.0);
    // What is open goes on: on the route for less than 10 s ends nothing.
    let mut places = vec![(900.0, 0.0), (1_200.0, 0.0), (1_300.0, 80.0)];
    places.extend([(1_400.0, 80.0), (1_500.0, -80.0), (1_600.0, -80.0)]);
    places.extend([(1_700.0, 0.0), (2_000.0, 0.0)]);
    let found = every_half_minute(&places);
    assert_eq!(found.len(), 1, "{found:#?}");
    let ended = Timestamp(START_MS + 180_000);
    assert_eq!(found[0].ended_at, Some(ended));
}

/// A point that is passed on the way to where the vehicle parks, its ignition off; its last report tells
/// this speed.
fn missed_when_the_last_report_says(speed_kmh: f64) -> usize {
    let properties = format!(
        r#""windows":[{{"days":["mon"],"from":"09:00","to":"09:10"}}],"checks":["points"],
           "points":[{{"id":"a","at":{}}}]"#,
        lon_lat(300.0, 5.0)
    );
    let catalog = with_street(&properties, &[(0.0, 0.0), (600.0, 0.0)]);
    let mut fixes = drive(0, (0.0, 0.0), (600.0, 0.0), 36.0);
    fixes.extend((60..600).step_by(30).map(|second| Position {
        status_flags: 2,
        ..position(second * 1_000, 600.0, 0.0, 0.0)
    }));
    fixes.last_mut().unwrap().speed_dkmh = (speed_kmh * 10.0) as u16;
    let (evaluator, _) = judged(&catalog, &fixes);
    evaluator.violations(&terminal()).len()
}

#[test]
fn the_noise_of_a_speed_does_not_make_a_parked_vehicle_drive_unseen() {
    assert_eq!(missed_when_the_last_report_says(0.0), 1);
    assert_eq!(missed_when_the_last_report_says(3.2), 1);
    // Pushed or towed, nobody knows where to.
    assert_eq!(missed_when_the_last_report_says(12.0), 0);
}

/// Late fixes from behind checkpoints that were dropped for their bytes, with restarts between them.
#[test]
fn thinned_checkpoints_change_nothing() {
    let works = works();
    for seed in 0..3 {
        let track = sweeping(seed, 6_000);
        let is_late = |index: usize| [3, 17, 30].contains(&(index / 100));
        let (mut late, mut live) = (Vec::new(), Vec::new());
        for (index, position) in track.iter().enumerate() {
            if is_late(index) {
                late.push(position.clone());
            } else {
                live.push(position.clone());
            }
        }
        let after = live[live.len() - 1].received_at.plus_millis(60_000);
        late.reverse();
        for position in &mut late {
            position.received_at = after;
        }
        let (expected, _) = judged(&works, &track);
        let sizes = |evaluator: &Evaluator| {
            let chunks = evaluator.tracks[&terminal()].history.chunks.iter();
            let starts = chunks.clone().map(|chunk| chunk.start.len());
            let all =
                chunks.map(|chunk| size_of_val(chunk) + chunk.fixes.len() + chunk.start.len());
            let thinned = starts.clone().skip(1).filter(|bytes| *bytes == 0).count();
            (all.sum::<usize>(), starts.sum::<usize>(), thinned)
        };
        let (all, of_starts, _) = sizes(&expected);
        let options = EvaluatorOptions {
            history_bytes_max: all - of_starts / 2,
            ..EvaluatorOptions::default()
        };
        let mut stored = BTreeMap::new();
        let mut evaluator = Evaluator::new(options.clone());
        let mut findings = evaluator.observe_batch(&works, &live);
        for batch in late.chunks(70) {
            let (all, _, thinned) = sizes(&evaluator);
            assert!(all <= options.history_bytes_max + 2_000, "{all}");
            assert!(thinned >= 2, "{thinned}");
            stored.extend(evaluator.take_dirty_snapshots());
            stored.retain(|_, bytes| !bytes.is_empty());
            let counts = evaluator.take_counts();
            assert_eq!((counts.shed_by_count, counts.shed_by_bytes), (0, 0));
            evaluator = Evaluator::new(options.clone());
            for bytes in stored.values() {
                evaluator.restore(bytes).unwrap();
            }
            findings.extend(evaluator.observe_batch(&works, batch));
            findings.extend(evaluator.tick(&works, after.plus_millis(120_000)));
        }
        findings.extend(evaluator.tick(&works, end()));
        assert_eq!(differences(&evaluator, &expected), [] as [String; 0]);
        assert_eq!(told(findings).unwrap(), known(&evaluator));
    }
}
