//! Vehicles that nobody ever heard of.

use super::{super::routes::differences, *};

fn no_fix() -> (Catalog, Evaluator, Vec<Finding>) {
    let catalog = city("daily,08:00,17:00,,,,");
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    let mut findings = evaluator.tick(&catalog, at("07:00"));
    for hour in 8..19 {
        findings.extend(evaluator.tick(&catalog, at(&format!("{hour:02}:00"))));
    }
    (catalog, evaluator, findings)
}

fn at(time: &str) -> Timestamp {
    Timestamp(MIDNIGHT_MS + ms(time))
}

fn lines(evaluator: &Evaluator) -> Vec<String> {
    told(&evaluator.violations(&terminal()))
}

#[test]
fn who_was_never_heard_is_silent_on_shift_and_nothing_else() {
    let (catalog, evaluator, findings) = no_fix();
    assert_eq!(lines(&evaluator), ["silence: 08:00, 08:10, 17:00, 540 min"]);
    let violations = evaluator.violations(&terminal());
    let silence = &violations[0];
    assert!(silence.evidence.fixes.is_empty());
    assert!(silence.unit_grid.is_some(), "where he should be");
    assert_eq!(findings.len(), 2, "opened, and ended: {findings:#?}");
    // What asks where he is stays unknown.
    let unknown = evaluator.unjudged(&catalog, &terminal(), at("09:00"));
    let unknown = unknown
        .iter()
        .filter(|(_, why)| why.reason() == "never_heard");
    let kinds: Vec<&str> = unknown.map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(
        kinds,
        ["late_start", "early_end", "off_post", "patrol_coverage"]
    );
}

#[test]
fn silence_begins_when_somebody_listens() {
    let catalog = city("daily,08:00,17:00,,,,");
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    evaluator.tick(&catalog, at("10:00"));
    evaluator.tick(&catalog, at("10:09"));
    assert_eq!(lines(&evaluator), [] as [&str; 0]);
    evaluator.tick(&catalog, at("10:11"));
    assert_eq!(lines(&evaluator), ["silence: 10:00, 10:10, open, 10 min"]);
}

#[test]
fn the_first_fix_ends_the_silence_and_a_backlog_withdraws_it() {
    let (catalog, mut evaluator, _) = no_fix();
    let day = Day::begins("07:30", 250.0).stays("17:10").fixes;
    let received_at = at("19:00");
    let backlog = day.iter().map(|fix| Position {
        received_at,
        ..fix.clone()
    });
    let (early, late): (Vec<Position>, Vec<Position>) =
        backlog.partition(|fix| fix.fixed_at < at("12:00"));
    evaluator.observe_batch(&catalog, &late);
    evaluator.tick(&catalog, received_at.plus_millis(60_000));
    assert_eq!(
        lines(&evaluator)
            .iter()
            .filter(|line| line.starts_with("silence"))
            .count(),
        1
    );
    assert!(lines(&evaluator).contains(&"silence: 08:00, 08:10, 12:00, 240 min".to_owned()));
    let later = received_at.plus_millis(120_000);
    let early: Vec<Position> = early
        .into_iter()
        .map(|fix| Position {
            received_at: later,
            ..fix
        })
        .collect();
    evaluator.observe_batch(&catalog, &early);
    evaluator.tick(&catalog, later.plus_millis(600_000));
    // As if all had come in time.
    let mut expected = Evaluator::new(EvaluatorOptions::default());
    expected.observe_batch(&catalog, &day);
    expected.tick(&catalog, at("19:30"));
    assert_eq!(lines(&evaluator), lines(&expected));
}

#[test]
fn a_restart_forgets_nobody_who_is_awaited() {
    let catalog = city("daily,08:00,17:00,,,,");
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    evaluator.tick(&catalog, at("07:00"));
    let kept = evaluator.take_dirty_snapshots();
    let mut restarted = Evaluator::new(EvaluatorOptions::default());
    for bytes in kept.values() {
        restarted.restore(bytes).unwrap();
    }
    for evaluator in [&mut evaluator, &mut restarted] {
        evaluator.tick(&catalog, at("08:30"));
    }
    assert_eq!(lines(&restarted), ["silence: 08:00, 08:10, open, 10 min"]);
    assert_eq!(
        restarted.violations(&terminal()),
        evaluator.violations(&terminal())
    );
}

#[test]
fn whom_the_catalog_does_not_name_any_more_is_forgotten() {
    let (_, mut evaluator, _) = no_fix();
    evaluator.take_dirty_snapshots();
    assert_eq!(evaluator.tracks(), 1);
    evaluator.tick(&town(), at("19:01"));
    // A fix may still come from the time in which it was awaited.
    evaluator.tick(&town(), at("3 19:00"));
    assert_eq!(evaluator.tracks(), 1);
    evaluator.take_dirty_snapshots();
    evaluator.tick(&town(), at("3 19:02"));
    assert_eq!(evaluator.tracks(), 0);
    let kept = evaluator.take_dirty_snapshots();
    let removed = kept.iter().filter(|(_, bytes)| bytes.is_empty());
    assert_eq!(removed.count(), 2, "its head and what was found: {kept:?}");
}

#[test]
fn a_route_of_whom_nobody_heard_is_unobserved_and_not_violated() {
    let line = format!("[{},{}]", lon_lat(0.0, 0.0), lon_lat(3_000.0, 0.0));
    let route = format!(
        r#"{{"type":"FeatureCollection","features":[{{"type":"Feature","properties":{{"id":"R",
            "applies_to":{{"vehicles":["V1"]}},"points":[{{"id":"p","at":{}}}],
            "windows":[{{"from":"08:00","to":"08:05"}}]}},
            "geometry":{{"type":"LineString","coordinates":{line}}}}}]}}"#,
        lon_lat(1_000.0, 0.0)
    );
    let vehicles = "vehicle,phone\nV1,13800000001\n";
    let catalog = Catalog::load(&CatalogSources {
        vehicles: Some(("vehicles".to_owned(), vehicles.to_owned())),
        routes: Some(("routes".to_owned(), route)),
        ..CatalogSources::default()
    })
    .unwrap();
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    evaluator.tick(&catalog, at("07:00"));
    // More than could be swept in these five minutes: nothing is known all the same.
    evaluator.tick(&catalog, at("09:00"));
    assert_eq!(evaluator.violations(&terminal()), []);
    let progress = evaluator.route_progress(&catalog, &terminal());
    assert_eq!((progress.len(), progress[0].unobserved), (1, 1));
    let progress = &progress[0];
    assert!(progress.swept_m == 0.0 && progress.unobserved_m == progress.planned_m);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// The clock stands anywhere before the first fix comes, and the fixes come in any order.
    #[test]
    fn the_first_fix_may_come_at_any_time(
        listens in 0..600_i64,
        first in 0..600_i64,
        order in proptest::collection::vec(any::<u64>(), 1..30),
    ) {
        let catalog = city("daily,08:00,17:00,,,,");
        let begin = MIDNIGHT_MS + ms("07:00");
        let listens = Timestamp(begin + listens * 60_000);
        let end = at("23:50");
        let day = Day::begins("07:30", 250.0).stays("09:00").goes(700.0, 5.0).stays("16:00");
        let mut fixes = day.fixes;
        fixes.retain(|fix| fix.fixed_at.0 >= begin + first * 60_000);
        let mut results = Vec::new();
        for is_shuffled in [false, true] {
            let mut evaluator = Evaluator::new(EvaluatorOptions::default());
            evaluator.tick(&catalog, listens);
            let mut fixes = fixes.clone();
            if is_shuffled {
                let mut keys = order.iter().cycle();
                fixes.sort_by_cached_key(|_| keys.next().copied());
                for fix in &mut fixes {
                    fix.received_at = at("18:30");
                }
            }
            for fix in &mut fixes {
                fix.received_at = fix.received_at.max(listens);
            }
            evaluator.observe_batch(&catalog, &fixes);
            evaluator.tick(&catalog, end);
            results.push(evaluator);
        }
        prop_assert_eq!(differences(&results[1], &results[0]), [] as [String; 0]);
    }
}
