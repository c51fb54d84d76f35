//! A city that is edited while its fleet drives: whatever comes late from before an edit is judged by
//! the catalog of its own time, so that any order of arrival ends in the same books.

use std::collections::BTreeMap;

use super::*;

/// What may be edited. Toggled a second time, it is as it was.
const ZONE_MOVED: u16 = 1;
const SLOW_DELETED: u16 = 1 << 1;
const NEW_FENCE: u16 = 1 << 2;
const ROUND_EDITED: u16 = 1 << 3;
const STREET_EDITED: u16 = 1 << 4;
const STOPS_EDITED: u16 = 1 << 5;
const BAND_DELETED: u16 = 1 << 6;
const SIGNALS_EDITED: u16 = 1 << 7;
const SHIFT_EDITED: u16 = 1 << 8;
const ASSIGNMENT_DELETED: u16 = 1 << 9;
const AREA_EDITED: u16 = 1 << 10;
const OWN_LIMIT_EDITED: u16 = 1 << 11;
/// A depot far away: everything lies on another plane.
const PLANE_MOVED: u16 = 1 << 12;
const EDITS: u16 = 13;

const FLEET: [&str; 3] = ["13800000001", "13800000002", "13800000003"];

/// A sweeper with routes, one with all rules of work, and an inspector on shift.
fn city(edits: u16) -> Catalog {
    let pick = |edit: u16, before: &'static str, after: &'static str| {
        if edits & edit == 0 { before } else { after }
    };
    let collection = |features: &[String]| {
        format!(
            r#"{{"type":"FeatureCollection","features":[{}]}}"#,
            features.join(",")
        )
    };
    let zone = if edits & ZONE_MOVED == 0 {
        (150.0, 0.0)
    } else {
        (300.0, 100.0)
    };
    let mut fences = vec![
        rectangle("duty", r#""kind":"stay_in""#, 500.0, 500.0),
        circle(
            "zone",
            r#""kind":"keep_out","dwell_s":5"#,
            zone.0,
            zone.1,
            40.0,
        ),
        circle("depot", r#""kind":"site""#, -60.0, 60.0, 40.0),
        circle("halt", r#""kind":"no_stop","dwell_s":30"#, 300.0, 0.0, 80.0),
    ];
    let slow = r#""kind":"speed_limit","speed_limit_kmh":20"#;
    if edits & SLOW_DELETED == 0 {
        fences.push(circle("slow", slow, 300.0, 0.0, 300.0));
    }
    if edits & NEW_FENCE != 0 {
        let new = r#""kind":"keep_out","dwell_s":10"#;
        fences.push(circle("new", new, 0.0, 100.0, 150.0));
    }
    if edits & PLANE_MOVED != 0 {
        fences.push(circle("far", r#""kind":"site""#, 9_000.0, 7_000.0, 100.0));
    }
    let point = |id: &str, x, y| {
        let at = lon_lat(x, y);
        format!(r#"{{"id":"{id}","at":{at},"stay_s":10}}"#)
    };
    let round = format!(
        r#""windows":[{{"from":"09:02","to":"09:07"}},{{"from":"09:08","to":"09:13"}}],"side":"both",
           "points":[{},{}],"point_grace_s":30,"deviation_s":10,"deviation_m":{},"speed_limit_kmh":18,
           "coverage_grace_s":60"#,
        point("a", 100.0, 5.0),
        point("b", 300.0, 50.0),
        pick(ROUND_EDITED, "30", "60")
    );
    let street = format!(
        r#""windows":[{{"from":"09:01","to":"{}"}}],"passes":2,"coverage_grace_s":120"#,
        pick(STREET_EDITED, "09:14", "09:10")
    );
    let routes = [
        routes::route("round", &round, &routes::ROUND),
        routes::route("street", &street, &[(0.0, 0.0), (300.0, 0.0)]),
    ];
    let band = r#"{"id":"band","kind":"work_speed","speed_kmh":15,"unknown":"working"},"#;
    let rules = format!(
        r#"{{"rules":[{{"id":"stops","kind":"long_stop","stop_s":{}}},{}
           {{"id":"idle","kind":"idling","stop_s":45}},
           {{"id":"bits","kind":"work_signals","signals":[
               {{"machine":"brush","source":"vehicle_signals","bit":{}}},
               {{"machine":"lift","source":"io","bit":2}}]}},
           {{"id":"tip","kind":"unloading","dwell_s":10}},
           {{"id":"alarms","kind":"terminal_alarms","alarms":{{"2":20,"26":5}}}}]}}"#,
        pick(STOPS_EDITED, "60", "40"),
        pick(BAND_DELETED, band, ""),
        pick(SIGNALS_EDITED, "15", "3"),
    );
    let vehicles = format!(
        "vehicle,phone,work_kind,speed_limit_kmh\nV1,{},sweeper,{}\nV2,{},sweeper,60\nI1,{},inspector,\n",
        FLEET[0],
        pick(OWN_LIMIT_EDITED, "60", "15"),
        FLEET[1],
        FLEET[2],
    );
    let shifts = format!(
        "shift,days,from,to,late_start_s,early_end_s,off_post_s,off_post_close_s,post_margin_m,\
         patrol_stay_s,patrol_grace_s,silence_s,hours_m,hours_motion_s,hours_close_s\n\
         A,daily,09:03,{},60,40,30,10,10,15,100,45,60,25,30\n\
         B,daily,09:11,09:17,60,40,30,10,10,15,100,45,60,25,30\n",
        pick(SHIFT_EDITED, "09:11", "09:10"),
    );
    let area = format!(
        r#"{{"type":"Feature","properties":{{"id":"R1","unit_grids":["140105001001001",
            "140105001001002"{}]}},"geometry":null}}"#,
        pick(AREA_EDITED, r#","140105001001003","140105001001004""#, "")
    );
    let assignments = format!(
        "vehicle,shift,duty_area,from,to\nI1,A,R1,,\n{}",
        pick(ASSIGNMENT_DELETED, "I1,B,R1,,\n", "")
    );
    let text = |file: &str, text: String| Some((file.to_owned(), text));
    let sources = CatalogSources {
        unit_grids: text("grids", collection(&[duty::grids()])),
        fences: text("fences", collection(&fences)),
        routes: text("routes", collection(&routes)),
        work_rules: text("rules", rules),
        vehicles: text("vehicles", vehicles),
        shifts: text("shifts", shifts),
        responsibility_grids: text("areas", collection(&[area])),
        assignments: text("assignments", assignments),
        ..CatalogSources::default()
    };
    Catalog::load(&sources).unwrap()
}

fn fleet(seed: u64) -> Vec<Position> {
    let tracks = [
        routes::sweeping(seed, 1_000),
        motion::order::busy(seed, 1_100),
        duty::orders::walking(seed),
    ];
    let own = FLEET.iter().zip(tracks).flat_map(|(phone, track)| {
        let terminal: TerminalId = phone.parse().unwrap();
        track
            .into_iter()
            .map(move |fix| Position { terminal, ..fix })
    });
    let mut all: Vec<Position> = own.collect();
    all.sort_by_key(|position| (position.fixed_at, position.terminal));
    all
}

/// A record of the log: positions, or word of a catalog.
enum Record<'a> {
    Position(Position),
    Catalog(&'a Catalog),
}

/// The records in the order in which they arrive.
fn log<'a>(positions: Vec<Position>, cities: &'a [(i64, Catalog)]) -> Vec<(i64, Record<'a>)> {
    let positions = positions
        .into_iter()
        .map(|position| (position.received_at.0, Record::Position(position)));
    let edits = cities.iter().map(|(at, city)| (*at, Record::Catalog(city)));
    let mut log: Vec<_> = positions.chain(edits).collect();
    log.sort_by_key(|(at, _)| *at);
    log
}

/// Each with the moment from which on it is in force.
fn cities(edits: &[(i64, u16)]) -> Vec<(i64, Catalog)> {
    let mut moments: Vec<(i64, u16)> = edits.to_vec();
    moments.sort_unstable();
    let mut state = 0;
    let mut cities = vec![(START_MS - 3_600_000, city(0))];
    for (at_ms, edit) in moments {
        state ^= 1 << (edit % EDITS);
        cities.push((START_MS + at_ms, city(state)));
    }
    cities
}

fn end() -> Timestamp {
    Timestamp(START_MS + 10 * 3_600_000)
}

/// Judges a log, and starts anew from its snapshots behind these records.
fn run(log: &[(i64, Record<'_>)], restarts: &[usize]) -> (Evaluator, Vec<Finding>) {
    let (mut evaluator, mut findings) = (Evaluator::new(EvaluatorOptions::default()), Vec::new());
    let mut stored = BTreeMap::new();
    let mut known: Vec<&Catalog> = Vec::new();
    for (index, (at, record)) in log.iter().enumerate() {
        let positions = match record {
            Record::Position(position) => std::slice::from_ref(position),
            Record::Catalog(city) => {
                known.push(city);
                &[]
            }
        };
        let city = known.last().unwrap();
        findings.extend(evaluator.observe_batch(city, positions));
        findings.extend(evaluator.tick(city, Timestamp(*at)));
        if restarts.contains(&index) {
            stored.extend(evaluator.take_dirty_snapshots());
            evaluator = Evaluator::new(EvaluatorOptions::default());
            for bytes in stored.values() {
                evaluator.restore(bytes).unwrap();
            }
            for missing in evaluator.missing_catalogs() {
                let mut known = known.iter();
                let it = known.find(|city| city.version() == missing.version);
                assert!(evaluator.supply(missing.since, it.unwrap()));
            }
        }
    }
    findings.extend(evaluator.tick(known.last().unwrap(), end()));
    assert_eq!(evaluator.take_lost_catalogs(), LostCatalogs::default());
    (evaluator, findings)
}

/// What is known of the whole fleet, without ids.
fn books(evaluator: &Evaluator) -> Vec<String> {
    let nil = crate::identity::ViolationId(uuid::Uuid::nil());
    let all = FLEET.iter().flat_map(|phone| {
        let own = evaluator.violations(&phone.parse().unwrap()).into_iter();
        own.map(|v| Violation { id: nil, ..v })
    });
    let mut all: Vec<String> = all.map(|v| format!("{v:?}")).collect();
    all.sort();
    all
}

fn differences(a: &Evaluator, b: &Evaluator) -> Vec<String> {
    let (a, b) = (books(a), books(b));
    let only = |name: &str, a: &[String], b: &[String]| -> Vec<String> {
        let only = a.iter().filter(|line| !b.contains(line));
        only.map(|line| format!("{name}: {line}")).collect()
    };
    [only("found", &a, &b), only("expected", &b, &a)].concat()
}

/// What one has told and the other has not. Vehicles that are woken at one moment are so in another order
/// behind a restart.
fn only(a: &[Finding], b: &[Finding]) -> Vec<String> {
    let mut lines: Vec<String> = a.iter().map(|finding| format!("{finding:?}")).collect();
    for finding in b {
        let line = format!("{finding:?}");
        if let Some(place) = lines.iter().position(|own| *own == line) {
            lines.swap_remove(place);
        }
    }
    lines
}

/// Delays: a stretch that comes behind everything else, single fixes, and some of them twice.
fn delayed(
    mut positions: Vec<Position>,
    seed: u64,
    (from, length, delay): (i64, i64, i64),
) -> Vec<Position> {
    let mut random = Random(seed);
    let mut again = Vec::new();
    for position in &mut positions {
        let second = (position.fixed_at.0 - START_MS) / 1_000;
        let late_s = if (from..from + length).contains(&second) {
            from + length + delay - second + random.below(30) as i64
        } else if random.unit() < 0.05 {
            random.below(900) as i64
        } else {
            0
        };
        position.received_at = position.fixed_at.plus_millis(late_s * 1_000);
        if random.unit() < 0.05 {
            let more_ms = random.below(600_000) as i64;
            let received_at = position.received_at.plus_millis(more_ms);
            again.push(Position {
                received_at,
                ..position.clone()
            });
        }
    }
    positions.extend(again);
    positions
}

/// So that the properties below are about something.
#[test]
fn edits_change_what_is_found_and_every_kind_is_found() {
    let mut kinds = BTreeMap::new();
    let mut rules = BTreeMap::new();
    for seed in 0..6 {
        let still = cities(&[]);
        let (before, _) = run(&log(fleet(seed), &still), &[]);
        for edit in 0..EDITS {
            let edited = cities(&[(400_000, edit)]);
            let (after, _) = run(&log(fleet(seed), &edited), &[]);
            *rules.entry(edit).or_insert(0) += differences(&before, &after).len();
        }
        for phone in FLEET {
            for violation in before.violations(&phone.parse().unwrap()) {
                *kinds.entry(violation.kind).or_insert(0) += 1;
            }
        }
    }
    assert!(kinds.len() >= 15, "{kinds:?}");
    let idle: Vec<_> = rules.iter().filter(|(_, count)| **count == 0).collect();
    assert!(idle.is_empty(), "{idle:?}");
}

/// A visit to the zone of [`town`] from this second on: 20 s of way, a minute inside, and away.
fn visit(from_s: i64) -> Vec<Position> {
    [
        drive(from_s, (-200.0, 0.0), (0.0, 0.0), 36.0),
        stand(from_s + 20, 60, (0.0, 0.0)),
        drive(from_s + 80, (0.0, 0.0), (-200.0, 0.0), 36.0),
    ]
    .concat()
}

fn late(positions: Vec<Position>, received_s: i64) -> Vec<Position> {
    let received_at = Timestamp(START_MS + received_s * 1_000);
    let positions = positions.into_iter();
    positions
        .map(|position| Position {
            received_at,
            ..position
        })
        .collect()
}

fn at(second: i64) -> Timestamp {
    Timestamp(START_MS + second * 1_000)
}

/// Seconds of onset and end.
fn spans(evaluator: &Evaluator) -> Vec<(f64, Option<f64>)> {
    let violations = evaluator.violations(&terminal());
    let span = |v: &Violation| (seconds(v.started_at), v.ended_at.map(seconds));
    violations.iter().map(span).collect()
}

/// Without the zone of [`town`]; the more slow zones, the later the version.
fn without_zone(version: usize) -> Catalog {
    let slow = r#""kind":"speed_limit","speed_limit_kmh":20"#;
    let mut features = vec![rectangle("duty", r#""kind":"stay_in""#, 1_000.0, 1_000.0)];
    features.extend((0..version).map(|n| circle(&format!("s{n}"), slow, 900.0, 900.0, 10.0)));
    catalog(&features)
}

#[test]
fn a_fence_judges_its_own_time_and_no_other_whenever_the_fixes_come() {
    let (with, without) = (town(), without_zone(0));
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    // There is none until 1,000 s, then there is one until 2,000 s.
    for (second, city) in [(0, &without), (1_000, &with), (2_000, &without)] {
        assert_eq!(evaluator.tick(city, at(second)), []);
    }
    // The vehicle drives on behind the edits, then its backlog comes: newest first.
    evaluator.observe_batch(&without, &stand(2_100, 60, (500.0, 500.0)));
    for second in [2_020, 1_500, 500] {
        let received_s = 6_000 - second;
        evaluator.observe_batch(&without, &late(visit(second), received_s));
    }
    evaluator.tick(&without, at(9_000));
    let found = spans(&evaluator);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!((1_505.0..1_515.0).contains(&found[0].0), "{found:?}");
    assert!(
        found[0]
            .1
            .is_some_and(|end| (1_585.0..1_600.0).contains(&end))
    );
}

#[test]
fn who_was_judged_past_an_edit_by_a_clock_that_is_ahead_is_judged_again() {
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    let ahead: Vec<Position> = visit(300)
        .into_iter()
        .map(|position| Position {
            received_at: position.fixed_at.plus_millis(-200_000),
            ..position
        })
        .collect();
    let (town, without) = (town(), without_zone(0));
    evaluator.observe_batch(&town, &ahead);
    assert_eq!(evaluator.violations(&terminal()).len(), 1);
    // Deleted at 250 s, and by its own clock the vehicle has come behind that.
    let gone = evaluator.tick(&without, at(250));
    assert_eq!(gone, []);
    let gone = evaluator.tick(&without, at(280));
    assert!(matches!(&*gone, [Finding::Withdrawn(..)]), "{gone:#?}");
    assert_eq!(evaluator.take_counts().rerun, 1);
}

#[test]
fn an_edit_that_changes_no_rule_is_in_the_next_snapshot() {
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    evaluator.tick(&city(0), at(0));
    evaluator.take_dirty_snapshots();
    // Of a vehicle only the speed that it may never exceed is another.
    let edited = city(OWN_LIMIT_EDITED);
    evaluator.tick(&edited, at(10));
    let kept = evaluator.take_dirty_snapshots();
    let mut restarted = Evaluator::new(EvaluatorOptions::default());
    restarted.restore(&kept["clock"]).unwrap();
    let elder = ElderCatalog {
        since: i64::MIN,
        version: city(0).version(),
    };
    assert_eq!(restarted.missing_catalogs()[0], elder);
    evaluator.tick(&edited, at(11));
    assert_eq!(evaluator.take_dirty_snapshots().len(), 0);
}

#[test]
fn elder_catalogs_beyond_the_bound_judge_nothing_and_are_counted() {
    let mut evaluator = Evaluator::new(EvaluatorOptions {
        elder_catalogs_max: 2,
        ..EvaluatorOptions::default()
    });
    let town = town();
    evaluator.observe_batch(&town, &visit(0));
    let known = spans(&evaluator);
    assert_eq!(known.len(), 1);
    let mut counted = 0;
    for version in 0..4_usize {
        let since = 1_000 + 1_000 * i64::try_from(version).unwrap();
        evaluator.tick(&without_zone(version), at(since));
        counted += evaluator.take_lost_catalogs().too_many;
    }
    assert_eq!((counted, evaluator.catalogs_since().count()), (2, 3));
    // From the time of the first one: what was found stays, and nothing is found any more.
    let newest = without_zone(3);
    evaluator.observe_batch(&newest, &late(visit(500), 5_000));
    // By a rule that was never edited it is.
    let away = [
        drive(700, (900.0, 0.0), (1_200.0, 0.0), 36.0),
        stand(730, 100, (1_200.0, 0.0)),
        drive(830, (1_200.0, 0.0), (900.0, 0.0), 36.0),
    ];
    evaluator.observe_batch(&newest, &late(away.concat(), 5_000));
    let again = Position {
        digest: 9,
        ..stand(40, 1, (0.0, 0.0)).remove(0)
    };
    evaluator.observe_batch(&newest, &late(vec![again], 5_001));
    evaluator.tick(&newest, at(9_000));
    assert_eq!(evaluator.take_counts().rerun, 1);
    let found = evaluator.violations(&terminal());
    let kinds: Vec<ViolationKind> = found.iter().map(|v| v.kind).collect();
    assert_eq!(kinds, [ViolationKind::KeepOut, ViolationKind::StayIn]);
    assert_eq!(spans(&evaluator)[0], known[0]);
}

#[test]
fn elder_catalogs_are_given_up_with_the_horizon_and_not_counted() {
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    let day_s = 86_400;
    for (version, day) in [(0, 0), (1, 1), (2, 2), (3, 9)] {
        evaluator.tick(&without_zone(version), at(day * day_s));
    }
    // Of the second day's catalog the time ended more than twice three days ago.
    let since: Vec<i64> = evaluator.catalogs_since().collect();
    assert_eq!(since, [at(2 * day_s).0, at(9 * day_s).0]);
    assert_eq!(evaluator.take_lost_catalogs(), LostCatalogs::default());
}

#[test]
fn a_restart_that_is_followed_by_an_edit_still_knows_what_was_in_force() {
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    let (town, without) = (town(), without_zone(0));
    evaluator.observe_batch(&town, &stand(0, 60, (500.0, 500.0)));
    let kept = evaluator.take_dirty_snapshots();
    let mut restarted = Evaluator::new(EvaluatorOptions::default());
    for bytes in kept.values() {
        restarted.restore(bytes).unwrap();
    }
    assert!(restarted.supply(i64::MIN, &town));
    restarted.tick(&without, at(1_000));
    restarted.observe_batch(&without, &late(visit(500), 2_000));
    restarted.tick(&without, at(9_000));
    assert_eq!(spans(&restarted).len(), 1);
}

/// From one evaluator to a new one, which finds the elder catalogs or does not.
#[test]
fn who_was_handed_over_is_judged_by_elder_catalogs_too() {
    let (town, without) = (town(), without_zone(0));
    for is_found in [true, false] {
        let mut evaluator = Evaluator::new(EvaluatorOptions::default());
        evaluator.observe_batch(&town, &stand(0, 60, (500.0, 500.0)));
        evaluator.observe_batch(&without, &stand(1_000, 60, (500.0, 500.0)));
        let bytes = evaluator.hand_over(&[terminal()], 7);
        let mut other = Evaluator::new(EvaluatorOptions::default());
        assert_eq!(other.take_over(&bytes), Ok(7));
        let missing = other.missing_catalogs();
        let elder = ElderCatalog {
            since: i64::MIN,
            version: town.version(),
        };
        assert_eq!(missing[0], elder);
        let newest = (at(1_000).0, without.version());
        assert_eq!((missing[1].since, missing[1].version), newest);
        assert!(!other.supply(elder.since, &without), "it is another one");
        if is_found {
            assert!(other.supply(elder.since, &town));
        }
        other.observe_batch(&without, &late(visit(500), 2_000));
        other.tick(&without, at(9_000));
        assert_eq!(spans(&other).len(), usize::from(is_found));
        assert_eq!(other.catalogs_since().count(), 1 + usize::from(is_found));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_delay_around_edits_ends_in_the_same_books(
        seed in 0..1_000_u64,
        edits in proptest::collection::vec((0..1_400_000_i64, 0..EDITS), 1..6),
        backlog in (0..1_300_i64, 1..900_i64, 0..2_000_i64),
        restarts in proptest::collection::vec(0..4_000_usize, 0..3),
    ) {
        let cities = cities(&edits);
        let (expected, _) = run(&log(fleet(seed), &cities), &[]);
        let late = log(delayed(fleet(seed), seed, backlog), &cities);
        let (evaluator, findings) = run(&late, &[]);
        prop_assert_eq!(differences(&evaluator, &expected), [] as [String; 0]);
        // And a restart anywhere tells the same.
        let (restarted, again) = run(&late, &restarts);
        prop_assert_eq!(only(&again, &findings), [] as [String; 0]);
        prop_assert_eq!(only(&findings, &again), [] as [String; 0]);
        prop_assert_eq!(books(&restarted), books(&evaluator));
    }
}
