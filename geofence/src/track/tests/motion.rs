//! Scenes of stops, work, unloading and alarms. East of the town's middle lies a depot, west of it a
//! street where nobody may stop for more than two minutes.

mod clock;
pub(super) mod order;

use super::*;

const DEPOT: (f64, f64) = (600.0, 0.0);
const STREET: (f64, f64) = (-600.0, 0.0);
/// A route along it, which V1 drives.
const ROUTE_NORTH: f64 = -500.0;
const ANYWHERE: (f64, f64) = (0.0, 300.0);

/// The town with these rules of work; its vehicle is a sweeper of fleet F1, its inspector walks.
fn works(rules: &str) -> Catalog {
    let fences = [
        circle("depot", r#""kind":"site""#, DEPOT.0, DEPOT.1, 100.0),
        circle(
            "street",
            r#""kind":"no_stop","dwell_s":120"#,
            STREET.0,
            STREET.1,
            80.0,
        ),
    ];
    let text = format!(
        r#"{{"type":"FeatureCollection","features":[{}]}}"#,
        fences.join(",")
    );
    let vehicles = "vehicle,phone,plate,work_kind,fleet,name,speed_limit_kmh\n\
                    V1,13800000001,A1,sweeper,F1,,60\nI1,13800000002,,inspector,F2,,\n";
    let sources = CatalogSources {
        fences: Some(("fences".to_owned(), text)),
        vehicles: Some(("vehicles".to_owned(), vehicles.to_owned())),
        routes: Some((
            "routes".to_owned(),
            format!(
                r#"{{"type":"FeatureCollection","features":[{{"type":"Feature","properties":{{
                    "id":"R","checks":["deviation"],"applies_to":{{"vehicles":["V1"]}}}},
                    "geometry":{{"type":"LineString","coordinates":[{},{}]}}}}]}}"#,
                lon_lat(-900.0, ROUTE_NORTH),
                lon_lat(900.0, ROUTE_NORTH)
            ),
        )),
        work_rules: Some(("rules".to_owned(), format!(r#"{{"rules":[{rules}]}}"#))),
        ..CatalogSources::default()
    };
    Catalog::load(&sources).unwrap()
}

const STOPS: &str = r#"{"id":"stops","kind":"long_stop"}"#;
const IDLING: &str = r#"{"id":"idle","kind":"idling","stop_s":300}"#;
const SIGNALS: &str = r#"{"id":"signals","kind":"work_signals","applies_to":{"work_kinds":["sweeper"]},
    "signals":[{"machine":"brush","source":"vehicle_signals","bit":15},
               {"machine":"lift","source":"io","bit":2}]}"#;

/// What is found: kind, rule, start, confirmation and end in seconds, worst value.
type Found = (String, f64, f64, Option<f64>, f64);

fn found(catalog: &Catalog, track: &[Position]) -> Vec<Found> {
    let (evaluator, _) = judged(catalog, track);
    let violations = evaluator.violations(&track[0].terminal);
    let found = violations.iter().map(|v| {
        (
            format!("{} {}", v.kind.as_str(), v.rule.id),
            seconds(v.started_at),
            seconds(v.confirmed_at),
            v.ended_at.map(seconds),
            v.worst,
        )
    });
    found.collect()
}

fn one(catalog: &Catalog, track: &[Position]) -> Found {
    let mut found = found(catalog, track);
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

fn near(is: f64, expected: f64, tolerance: f64) {
    assert!((is - expected).abs() <= tolerance, "{is}, not {expected}");
}

/// Comes from the south, stands, and leaves to the north.
fn visit(from_s: i64, at: (f64, f64), stand_s: i64) -> Vec<Position> {
    let south = (at.0, at.1 - 200.0);
    let arrival = from_s + 20;
    [
        drive(from_s, south, at, 36.0),
        stand(arrival, stand_s, at),
        drive(arrival + stand_s, at, (at.0, at.1 + 900.0), 36.0),
    ]
    .concat()
}

#[test]
fn a_stop_of_ten_minutes_is_a_violation_from_its_first_fix_to_its_last() {
    let (what, start, confirmed, end, worst) = one(&works(STOPS), &visit(0, ANYWHERE, 720));
    assert_eq!(what, "long_stop stops");
    near(start, 20.0, 1.0);
    near(confirmed, 620.0, 1.0);
    near(end.unwrap(), 740.0, 2.0);
    near(worst, 12.0, 0.1);
    assert_eq!(found(&works(STOPS), &visit(0, ANYWHERE, 590)), []);
}

#[test]
fn without_a_rule_nobody_stands_too_long_but_in_a_no_stop_street() {
    assert_eq!(found(&works(""), &visit(0, ANYWHERE, 3_600)), []);
    let (what, start, confirmed, ..) = one(&works(""), &visit(0, STREET, 150));
    assert_eq!(what, "long_stop street");
    near(start, 20.0, 1.0);
    near(confirmed, 140.0, 1.0);
    assert_eq!(found(&works(""), &visit(0, STREET, 110)), []);
}

#[test]
fn two_stops_near_to_each_other_are_one() {
    let creep = |pause_s: i64, east: f64| {
        let there = (ANYWHERE.0 + east, ANYWHERE.1);
        let meters = east / pause_s as f64 * 3.6;
        let second = 420 + pause_s;
        [
            drive(0, (0.0, 100.0), ANYWHERE, 36.0),
            stand(20, 400, ANYWHERE),
            drive(420, ANYWHERE, there, meters),
            stand(second, 300, there),
            drive(second + 300, there, (there.0 + 900.0, there.1), 36.0),
        ]
        .concat()
    };
    let (_, start, _, end, worst) = one(&works(STOPS), &creep(6, 40.0));
    near(start, 20.0, 1.0);
    near(end.unwrap(), 726.0, 3.0);
    near(worst, 700.0 / 60.0, 0.2);
    // Too far apart: two stops, each too short.
    assert_eq!(found(&works(STOPS), &creep(20, 80.0)), []);
}

#[test]
fn a_gap_in_a_stop_is_not_observed_and_does_not_end_it() {
    let track = |behind_s: i64| {
        [
            drive(0, (0.0, 100.0), ANYWHERE, 36.0),
            stand(20, 400, ANYWHERE),
            stand(7_200, behind_s, ANYWHERE),
            drive(7_200 + behind_s, ANYWHERE, (0.0, 1_500.0), 36.0),
        ]
        .concat()
    };
    assert_eq!(found(&works(STOPS), &track(180)), []);
    let (_, start, confirmed, end, worst) = one(&works(STOPS), &track(300));
    near(start, 20.0, 1.0);
    near(confirmed, 7_401.0, 2.0);
    near(end.unwrap(), 7_500.0, 2.0);
    near(worst, 700.0 / 60.0, 0.1);
}

#[test]
fn a_site_may_be_stood_in_and_at_its_edge_nobody_is_accused() {
    assert_eq!(found(&works(STOPS), &visit(0, DEPOT, 3_600)), []);
    let edge = (DEPOT.0 + 108.0, DEPOT.1);
    assert_eq!(found(&works(STOPS), &visit(0, edge, 3_600)), []);
    let outside = (DEPOT.0 + 150.0, DEPOT.1);
    assert_eq!(found(&works(STOPS), &visit(0, outside, 700)).len(), 1);
    let another = r#"{"id":"stops","kind":"long_stop","sites":[]}"#;
    assert_eq!(found(&works(another), &visit(0, DEPOT, 700)).len(), 1);
}

#[test]
fn a_stop_counts_from_where_the_hours_of_its_rule_begin_to_where_they_end() {
    // The scene begins at 09:00.
    let hours = r#"{"id":"stops","kind":"long_stop","windows":[{"from":"09:30","to":"10:00"}]}"#;
    let (_, start, confirmed, end, _) = one(&works(hours), &visit(0, ANYWHERE, 7_200));
    near(start, 1_800.0, 1.0);
    near(confirmed, 2_400.0, 1.0);
    near(end.unwrap(), 3_600.0, 1.0);
    assert_eq!(found(&works(hours), &visit(0, ANYWHERE, 2_300)), []);
}

#[test]
fn idling_counts_while_the_ignition_is_on() {
    let mut track = visit(0, ANYWHERE, 900);
    // Off from the beginning of the stop for eight minutes, then on for six and a half.
    for position in &mut track {
        if (20.0..500.0).contains(&seconds(position.fixed_at)) {
            position.status_flags = 2;
        }
    }
    let (what, start, confirmed, ..) = one(&works(IDLING), &track);
    assert_eq!(what, "idling idle");
    near(start, 500.0, 1.0);
    near(confirmed, 800.0, 1.0);
    let both = found(&works(&format!("{STOPS},{IDLING}")), &track);
    assert_eq!(both.len(), 2, "{both:#?}");
}

#[test]
fn inspectors_may_stand_for_half_an_hour() {
    let inspector = |minutes: i64| {
        let mut track = visit(0, ANYWHERE, minutes * 60);
        let own = track.iter_mut();
        own.for_each(|p| p.terminal = "13800000002".parse().unwrap());
        found(&works(STOPS), &track).len()
    };
    assert_eq!((inspector(29), inspector(31)), (0, 1));
}

#[test]
fn the_rule_that_names_the_vehicle_goes_before_that_of_everybody() {
    let own = r#"{"id":"own","kind":"long_stop","stop_s":1200,"applies_to":{"vehicles":["V1"]}}"#;
    let rules = works(&format!("{STOPS},{own}"));
    assert_eq!(found(&rules, &visit(0, ANYWHERE, 900)), []);
    assert_eq!(one(&rules, &visit(0, ANYWHERE, 1_300)).0, "long_stop own");
}

/// The reports of these seconds with an alarm bit.
fn with_alarm(
    mut track: Vec<Position>,
    bit: u32,
    seconds_set: std::ops::Range<i64>,
) -> Vec<Position> {
    for position in &mut track {
        if seconds_set.contains(&((position.fixed_at.0 - START_MS) / 1_000)) {
            position.alarm_flags |= 1 << bit;
        }
    }
    track
}

#[test]
fn the_emergency_button_is_heard_at_once_without_a_fix_and_without_a_vehicle() {
    let unknown: TerminalId = "13900000000".parse().unwrap();
    let mut track = with_alarm(stand(0, 60, ANYWHERE), 0, 30..31);
    for position in &mut track {
        position.terminal = unknown;
        if position.alarm_flags != 0 {
            position.is_positioned = false;
            position.latitude = Latitude::default();
            position.longitude = Longitude::default();
        }
    }
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    let opened = evaluator.observe_batch(&works(""), &track[..=30]);
    let [Finding::Opened(v)] = &*opened else {
        panic!("{opened:#?}")
    };
    assert_eq!(v.kind, ViolationKind::TerminalAlarm);
    assert_eq!(v.rule.id, "terminal_alarms/emergency");
    assert_eq!(v.started_at, v.confirmed_at);
    // Where it was last seen.
    assert_eq!(v.latitude, track[29].latitude);
    assert_eq!(v.longitude, track[29].longitude);
    // The terminal takes it back once it is answered: two reports without it end it.
    evaluator.observe_batch(&works(""), &track[31..32]);
    assert_eq!(evaluator.violations(&unknown)[0].ended_at, None);
    evaluator.observe_batch(&works(""), &track[32..33]);
    let ended = evaluator.violations(&unknown)[0].ended_at;
    assert_eq!(ended.map(seconds), Some(31.0));
}

#[test]
fn a_terminal_without_any_fix_can_call_for_help() {
    let mut track = with_alarm(stand(0, 3, ANYWHERE), 0, 0..3);
    for position in &mut track {
        position.satellites = Some(2);
    }
    let (what, start, ..) = one(&works(""), &track);
    assert_eq!(
        (what.as_str(), start),
        ("terminal_alarm terminal_alarms/emergency", 0.0)
    );
    let (mut evaluator, _) = judged(&works(""), &track);
    let skipped: u64 = evaluator
        .take_counts()
        .skipped()
        .map(|(_, count)| count)
        .sum();
    assert_eq!(skipped, 3, "heard, and counted as not judged");
}

#[test]
fn lost_power_counts_after_a_minute_and_a_single_report_without_it_is_no_end() {
    let short = with_alarm(stand(0, 200, ANYWHERE), 8, 10..69);
    assert_eq!(found(&works(""), &short), []);
    let mut long = with_alarm(stand(0, 200, ANYWHERE), 8, 10..110);
    long[40].alarm_flags = 0;
    let (what, start, confirmed, end, worst) = one(&works(""), &long);
    assert_eq!(what, "terminal_alarm terminal_alarms/power_lost");
    near(start, 10.0, 0.0);
    near(confirmed, 70.0, 1.0);
    near(end.unwrap(), 110.0, 0.0);
    near(worst, 100.0, 0.0);
}

#[test]
fn lost_power_counts_between_rare_reports_and_not_in_a_long_silence() {
    let reports = |apart_s: i64| {
        let reports = (0..2).map(|n| position(n * apart_s * 1_000, 0.0, 300.0, 0.0));
        with_alarm(reports.collect(), 8, 0..2 * apart_s)
    };
    assert_eq!(one(&works(""), &reports(300)).2, 300.0);
    assert_eq!(found(&works(""), &reports(3_600)), []);
}

#[test]
fn the_policy_says_which_bits_count() {
    let policy = r#"{"id":"p","name":"城管","kind":"terminal_alarms","alarms":{"0":"off","26":5}}"#;
    let track = with_alarm(with_alarm(stand(0, 60, ANYWHERE), 0, 10..20), 26, 30..50);
    let rules = works(policy);
    let (what, start, confirmed, ..) = one(&rules, &track);
    assert_eq!(
        (what.as_str(), start, confirmed),
        ("terminal_alarm p/stolen", 30.0, 35.0)
    );
    let (evaluator, _) = judged(&rules, &track);
    assert_eq!(
        evaluator.violations(&terminal())[0].rule.name,
        "城管: 车辆被盗 Vehicle stolen"
    );
    // Two alarms at a time are two violations.
    let both = with_alarm(with_alarm(stand(0, 60, ANYWHERE), 0, 10..20), 8, 10..80);
    assert_eq!(
        found(&works(""), &[both, stand(90, 60, ANYWHERE)].concat()).len(),
        1
    );
    let both = with_alarm(with_alarm(stand(0, 120, ANYWHERE), 0, 10..20), 8, 10..100);
    assert_eq!(found(&works(""), &both).len(), 2);
}

/// The positions with these bits of item 0x25 and 0x2A.
fn with_inputs(
    mut track: Vec<Position>,
    vehicle_signals: Option<u32>,
    io: Option<u16>,
) -> Vec<Position> {
    for position in &mut track {
        position.inputs.vehicle_signals = vehicle_signals;
        position.inputs.io = io;
    }
    track
}

const BRUSH: Option<u32> = Some(1 << 15);

#[test]
fn sweeping_faster_than_the_band_is_a_violation_until_it_is_kept_or_the_brush_is_lifted() {
    // Sweeps at 7, at 14 for a minute, at 7 again; a quiet end.
    let track = |quick_s: i64| {
        let quick = quick_s as f64 * 14.0 / 3.6;
        [
            drive(0, (-900.0, 300.0), (-800.0, 300.0), 7.0),
            drive(52, (-800.0, 300.0), (-800.0 + quick, 300.0), 14.0),
            drive(
                52 + quick_s,
                (-800.0 + quick, 300.0),
                (-600.0 + quick, 300.0),
                7.0,
            ),
        ]
        .concat()
    };
    let rules = works(SIGNALS);
    let (what, start, confirmed, end, worst) = one(&rules, &with_inputs(track(60), BRUSH, None));
    assert_eq!(what, "too_fast_to_clean signals");
    near(start, 52.0, 2.0);
    near(confirmed, 73.0, 2.0);
    near(end.unwrap(), 112.0, 3.0);
    near(worst, 14.0, 0.1);
    assert_eq!(found(&rules, &with_inputs(track(15), BRUSH, None)), []);
    // Brush up, or unknown: it only drives.
    assert_eq!(found(&rules, &with_inputs(track(60), Some(0), None)), []);
    assert_eq!(found(&rules, &track(60)), []);
    // Lifted in the middle of it.
    let mut lifted = with_inputs(track(60), BRUSH, None);
    for position in lifted.iter_mut().skip(90) {
        position.inputs.vehicle_signals = Some(0);
    }
    near(one(&rules, &lifted).3.unwrap(), 90.0, 1.0);
}

#[test]
fn a_bit_that_some_reports_leave_out_is_as_it_was() {
    let mut track = with_inputs(
        drive(0, (-900.0, 300.0), (-600.0, 300.0), 14.0),
        BRUSH,
        None,
    );
    for (index, position) in track.iter_mut().enumerate() {
        if index % 10 != 0 {
            position.inputs.vehicle_signals = None;
        }
    }
    assert_eq!(one(&works(SIGNALS), &track).0, "too_fast_to_clean signals");
}

#[test]
fn a_rule_may_set_the_band_and_take_unknown_for_work() {
    let band =
        r#"{"id":"band","kind":"work_speed","speed_kmh":12,"unknown":"working","dwell_s":5}"#;
    let track = drive(0, (-900.0, 300.0), (-700.0, 300.0), 14.0);
    let (what, start, confirmed, ..) = one(&works(band), &track);
    assert_eq!((what.as_str(), start), ("too_fast_to_clean band", 0.0));
    near(confirmed, 5.0, 1.0);
    let idle = works(&band.replace("working", "idle"));
    assert_eq!(found(&idle, &track), []);
    // On the route it works, elsewhere it does not.
    let on_route = works(&band.replace("working", "on_route"));
    assert_eq!(found(&on_route, &track), []);
    let along = drive(0, (-900.0, ROUTE_NORTH), (-600.0, ROUTE_NORTH), 14.0);
    assert_eq!(one(&on_route, &along).0, "too_fast_to_clean band");
    assert_eq!(found(&idle, &along), []);
}

#[test]
fn unloading_outside_every_site_is_a_violation_and_at_the_edge_of_one_it_is_none() {
    let tip = |at: (f64, f64), tip_s: usize| {
        let mut track = with_inputs(stand(0, 120, at), None, Some(0));
        let tipping = track.iter_mut().skip(30).take(tip_s);
        tipping.for_each(|position| position.inputs.io = Some(1 << 2));
        track
    };
    let rules = works(SIGNALS);
    let (what, start, confirmed, end, worst) = one(&rules, &tip(ANYWHERE, 40));
    assert_eq!(what, "unloading signals");
    assert_eq!(
        (start, confirmed, end, worst),
        (30.0, 40.0, Some(70.0), 39.0)
    );
    assert_eq!(found(&rules, &tip(ANYWHERE, 9)), []);
    assert_eq!(found(&rules, &tip(DEPOT, 40)), []);
    assert_eq!(found(&rules, &tip((DEPOT.0 + 103.0, 0.0), 40)), []);
    let only = format!(r#"{SIGNALS},{{"id":"tip","kind":"unloading","sites":[],"dwell_s":5}}"#);
    assert_eq!(one(&works(&only), &tip(DEPOT, 40)).0, "unloading tip");
    // A bit that is not sent says nothing.
    assert_eq!(found(&rules, &stand(0, 120, ANYWHERE)), []);
}

#[test]
fn a_speed_limit_of_a_work_kind_holds_beside_the_vehicles_own() {
    let limit = |priority: i32| {
        works(&format!(
            r#"{{"id":"sweepers","kind":"speed_limit","speed_limit_kmh":40,"priority":{priority},
                "applies_to":{{"work_kinds":["sweeper"]}}}},
               {{"id":"all","kind":"speed_limit","speed_limit_kmh":30,"priority":-1}}"#
        ))
    };
    let track = drive(0, (-900.0, 300.0), (900.0, 300.0), 50.0);
    let (what, ..) = one(&limit(0), &track);
    assert_eq!(what, "speeding sweepers");
    assert_eq!(
        one(&limit(-2), &drive(0, (-900.0, 300.0), (900.0, 300.0), 70.0)).0,
        "speeding vehicle:V1"
    );
    assert_eq!(
        found(&limit(0), &drive(0, (-900.0, 300.0), (900.0, 300.0), 43.0)),
        []
    );
}

#[test]
fn a_new_rule_does_not_judge_what_was_before_it() {
    let track = visit(0, ANYWHERE, 1_000);
    let (before, after) = (works(""), works(STOPS));
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    assert_eq!(evaluator.observe_batch(&before, &track[..500]), []);
    let opened = evaluator.observe_batch(&after, &track[500..]);
    // 480 s of the stop are from before the rule: not enough is left.
    assert_eq!(opened, []);
    let late = Position {
        digest: 7,
        received_at: Timestamp(START_MS + 2_000_000),
        ..track[100].clone()
    };
    evaluator.observe_batch(&after, &[late]);
    assert_eq!(evaluator.tick(&after, Timestamp(START_MS + 3_000_000)), []);
    assert_eq!(evaluator.take_counts().rerun, 1);
}

#[test]
fn what_an_edited_rule_has_found_stays_and_is_not_found_twice() {
    // Sweeps too fast, calls for help, unloads; then all rules are edited, and a late fix comes.
    let rules = |band: u32, bit: u32, after: u32, dwell: u32| {
        works(&format!(
            r#"{{"id":"bits","kind":"work_signals","signals":[
                {{"machine":"brush","source":"vehicle_signals","bit":{bit}}},
                {{"machine":"lift","source":"io","bit":2}}]}},
               {{"id":"band","kind":"work_speed","speed_kmh":{band}}},
               {{"id":"tip","kind":"unloading","dwell_s":{dwell}}},
               {{"id":"alarms","kind":"terminal_alarms","alarms":{{"0":{after}}}}}"#
        ))
    };
    let track = drive(0, (-900.0, 300.0), (-500.0, 300.0), 18.0);
    let track = with_alarm(with_inputs(track, BRUSH, Some(1 << 2)), 0, 10..30);
    let calm = drive(200, (-500.0, 300.0), (500.0, 300.0), 18.0);
    let late = Position {
        received_at: Timestamp(START_MS + 900_000),
        digest: 5,
        ..track[20].clone()
    };
    let before = rules(8, 15, 0, 10);
    for after in [
        rules(9, 15, 0, 10),
        rules(8, 14, 0, 10),
        rules(8, 15, 1, 10),
        rules(8, 15, 0, 11),
        works(SIGNALS),
        works(""),
    ] {
        let mut evaluator = Evaluator::new(EvaluatorOptions::default());
        evaluator.observe_batch(&before, &track);
        evaluator.observe_batch(&before, &calm[..20]);
        let known = stripped(&evaluator);
        assert_eq!(known.len(), 3, "{known:#?}");
        evaluator.observe_batch(&after, &calm[20..]);
        evaluator.observe_batch(&after, std::slice::from_ref(&late));
        evaluator.tick(&after, Timestamp(START_MS + 2_000_000));
        assert_eq!(evaluator.take_counts().rerun, 1);
        let ids = |all: &[Violation]| -> Vec<String> {
            all.iter()
                .map(|v| format!("{:?} {}", v.kind, v.rule.id))
                .collect()
        };
        assert_eq!(ids(&stripped(&evaluator)), ids(&known));
    }
}

#[test]
fn suspects_that_never_counted_are_counted() {
    let mut track = drive(0, (-900.0, 300.0), (0.0, 300.0), 36.0);
    let jump = position(40_500, 5_000.0, 300.0, 36.0);
    track.insert(41, jump);
    let (mut evaluator, _) = judged(&works(""), &track);
    let counts = evaluator.take_counts();
    assert_eq!(
        (counts.suspects_dropped, counts.evaluated),
        (1, track.len() as u64)
    );
}

#[test]
fn noise_neither_makes_nor_hides_long_stops_and_work_that_is_too_fast() {
    let catalog = works(&format!(
        r#"{{"id":"stops","kind":"long_stop","stop_s":120,"sites":[]}},{SIGNALS},
           {{"id":"band","kind":"work_speed","speed_kmh":25}}"#
    ));
    // Told, told rightly, true, found.
    let mut figures = [[0_u32; 4]; 2];
    for seed in 0..12 {
        let mut random = Random(seed + 500);
        let truth = wander(&mut random, 7_200);
        let track = with_inputs(received(&mut random, &truth, 6.0), BRUSH, None);
        let (evaluator, _) = judged(&catalog, &track);
        let violations = evaluator.violations(&terminal());
        let is_at_rest = |p: &(f64, f64, f64)| p.2 == 0.0;
        let is_fast = |kmh: f64| move |p: &(f64, f64, f64)| p.2 * 3.6 > kmh;
        // A little less than the rule asks may be told, a little more must be.
        let cases = [
            (
                ViolationKind::LongStop,
                intervals(truth.iter().map(is_at_rest), 110),
                intervals(truth.iter().map(is_at_rest), 130),
            ),
            (
                ViolationKind::TooFastToClean,
                intervals(truth.iter().map(is_fast(25.0)), 15),
                intervals(truth.iter().map(is_fast(28.0)), 26),
            ),
        ];
        for ((kind, may, must), figures) in cases.into_iter().zip(&mut figures) {
            let told: Vec<(f64, f64)> = violations
                .iter()
                .filter(|v| v.kind == kind)
                .map(|v| (seconds(v.started_at), v.ended_at.map_or(1e9, seconds)))
                .collect();
            let meets = |a: &(f64, f64), b: &(i64, i64)| a.0 <= b.1 as f64 && a.1 >= b.0 as f64;
            let right = |v: &&(f64, f64)| may.iter().any(|t| meets(v, t));
            let is_found = |t: &&(i64, i64)| told.iter().any(|v| meets(v, t));
            figures[0] += told.len() as u32;
            figures[1] += told.iter().filter(right).count() as u32;
            figures[2] += must.len() as u32;
            figures[3] += must.iter().filter(is_found).count() as u32;
        }
    }
    for [told, right, true_ones, found] in figures {
        let (precision, recall) = (
            f64::from(right) / f64::from(told),
            f64::from(found) / f64::from(true_ones),
        );
        assert!(true_ones > 50, "{figures:?}");
        assert!(precision >= 0.98 && recall >= 0.97, "{figures:?}");
    }
}
