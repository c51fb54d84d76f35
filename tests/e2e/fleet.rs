//! A day of a simulated fleet over real sockets: for each kind of violation one actor breaks the
//! rule and one nearly does. What became a case is compared with what the simulator says is true.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use geofence::violation::ViolationKind;
use harness::{TestGateway, now_s, until_within};
use serde_json::Value;
use tools::{
    city::{City, CityOptions, plays_max, working_city},
    simulate::{Fleet, FleetConfig, TrueViolation},
};

/// The plays are over so long after the start of the day, with their windows and graces.
const DAY_S: i64 = 620;
/// The day goes by so many times faster than the clock.
const TIME_SCALE: f64 = 40.0;
/// A case may begin so far from the truth, seconds: hysteresis, a fix every two seconds, and what
/// a rule takes as the onset.
const ONSET_S: f64 = 45.0;

/// What a case is about: the terminal, the kind, the rule.
type Key = (String, String, String);

fn key_of(violation: &TrueViolation) -> Key {
    let kind = serde_json::to_value(violation.kind).unwrap();
    let kind = kind.as_str().unwrap().to_owned();
    (violation.phone.clone(), kind, violation.rule.clone())
}

async fn gateway_of(city: &City, folder: &std::path::Path) -> TestGateway {
    city.write_to(folder).unwrap();
    let settings = [
        ("catalog.unit_grids", "unit-grids.geojson"),
        ("catalog.fences", "fences.geojson"),
        ("catalog.vehicles", "vehicles.csv"),
        ("catalog.routes", "routes.geojson"),
        ("catalog.work_rules", "work-rules.json"),
        ("catalog.shifts", "shifts.csv"),
        (
            "catalog.responsibility_grids",
            "responsibility-grids.geojson",
        ),
        ("catalog.assignments", "assignments.csv"),
    ];
    let settings = settings.map(|(key, file)| (key, folder.join(file).display().to_string()));
    let settings: Vec<_> = settings.iter().map(|(k, v)| (*k, v.as_str())).collect();
    TestGateway::start(&settings).await
}

/// The cases that stand, all pages.
async fn cases_of(gateway: &TestGateway) -> BTreeMap<Key, Value> {
    let mut cases = BTreeMap::new();
    let mut path = "/api/v1/cases?limit=500".to_owned();
    loop {
        let page = gateway.json(&path).await;
        for case in page["items"].as_array().unwrap() {
            if case["stage"] == "withdrawn" {
                continue;
            }
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let phone = text(&case["subject"]["phone"]);
            let key = (phone, text(&case["kind"]), text(&case["rule"]["id"]));
            let twice = cases.insert(key, case.clone());
            assert!(twice.is_none(), "two cases of one thing: {case:#}");
        }
        match page["next"].as_str() {
            Some(next) => path = format!("/api/v1/cases?limit=500&cursor={next}"),
            None => return cases,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_violation_becomes_a_case_and_what_nearly_is_one_none() {
    let folder = tempfile::tempdir().unwrap();
    let actors = plays_max();
    let options = CityOptions {
        vehicles: 12 + u32::try_from(actors).unwrap(),
        ..CityOptions::SMALL
    };
    let began = now_s();
    // A full minute: the plays begin a minute behind it, and all are connected by then. Else that is
    // 15 to 74 s, of which the shortest are over in less than half a second.
    let start = (began - DAY_S).div_euclid(60) * 60;
    let city = Arc::new(working_city(7, &options, start, actors));
    let gateway = gateway_of(&city, folder.path()).await;
    let config = FleetConfig {
        interval_s: (2, 2),
        time_scale: TIME_SCALE,
        start_unix_s: Some(start),
        violators: 0.0,
        response_timeout: Duration::from_secs(30),
        drain: Duration::from_secs(20),
        ..FleetConfig::steady(gateway.tcp(), 7)
    };
    let fleet = Fleet::start(config, Arc::clone(&city));
    let work = city.work.as_ref().unwrap();
    assert_eq!(work.acts.len(), actors);

    // Until simulated time has caught up and every script is sure of its end.
    let patience = Duration::from_secs(90);
    let expected = work.acts.values().filter(|act| act.violates).count();
    until_within(patience, "the day is over", async || {
        (now_s() >= began + 16 && fleet.report().violations.len() >= expected - 4).then_some(())
    })
    .await;
    let report = fleet.stop().await;
    assert_eq!(report.unacknowledged, 0, "{report:?}");
    gateway.drained().await;

    let truth: BTreeMap<Key, &TrueViolation> =
        report.violations.iter().map(|v| (key_of(v), v)).collect();
    let true_kinds: BTreeSet<&str> = truth.keys().map(|(_, kind, _)| kind.as_str()).collect();
    let all_kinds: BTreeSet<&str> = ViolationKind::ALL
        .iter()
        .map(|kind| kind.as_str())
        .collect();
    assert_eq!(true_kinds, all_kinds, "a kind that nobody broke");

    let cases = cases_of(&gateway).await;
    let told: BTreeSet<&Key> = cases.keys().collect();
    let expected: BTreeSet<&Key> = truth.keys().collect();
    let missing: Vec<_> = expected.difference(&told).collect();
    let invented: Vec<_> = told.difference(&expected).map(|key| &cases[*key]).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "missing {missing:#?}, invented {invented:#?}"
    );
    for (key, case) in &cases {
        let began = gateway::clock::parse_rfc3339(case["started_at"].as_str().unwrap()).unwrap();
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970")]
        let off_s = began.millis() as f64 / 1e3 - truth[key].start_s;
        assert!(off_s.abs() <= ONSET_S, "{key:?} begins {off_s} s off");
    }
    gateway.stop().await;
}
