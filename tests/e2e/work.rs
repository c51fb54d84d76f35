//! Rules of work, from the bits of a report to a case.

use gateway::clock;
use geofence::units::Timestamp;
use harness::{TestGateway, http_client::Method, now_s, report, until};
use serde_json::{Value, json};
use tools::wire::{Report, Revision};

const PHONE: &str = "13800000001";
const VEHICLES: &str = "vehicle,phone,plate,work_kind,fleet,name,speed_limit_kmh\n\
                        V1,13800000001,晋AR0001,sweeper,F1,one,60\n";
const NOWHERE: &str = r#"{"type":"FeatureCollection","features":[]}"#;

async fn start(rules: &Value, more: &[(&str, &str)]) -> (TestGateway, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = harness::catalog(folder.path(), NOWHERE, VEHICLES);
    let path = folder.path().join("work-rules.json");
    std::fs::write(&path, rules.to_string()).unwrap();
    settings.push(("catalog.work_rules".to_owned(), path.display().to_string()));
    let settings = settings.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    let settings: Vec<_> = settings.chain(more.iter().copied()).collect();
    (TestGateway::start(&settings).await, folder)
}

async fn case_of(gateway: &TestGateway) -> Value {
    until("the case is there", async || {
        let cases = gateway.items("/api/v1/cases").await;
        cases.first().cloned()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_emergency_button_opens_a_case_without_a_fix_and_without_a_clock() {
    let (gateway, _folder) = start(&json!({"rules": []}), &[]).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2019).await;
    let now = now_s();
    let seen = report(37.87, 112.55, now - 5);
    let calls = Report {
        alarms: 1,
        status: 0,
        fixed_at: now - 3,
        ..Report::default()
    };
    for fix in [&seen, &calls] {
        let serial = terminal.send_location(fix).await.unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    }
    let case = case_of(&gateway).await;
    assert_eq!(case["kind"], "terminal_alarm");
    assert_eq!(case["rule"]["id"], "terminal_alarms/emergency");
    assert_eq!(case["worst_unit"], "s");
    assert_eq!(
        (&case["lat"], &case["lon"]),
        (&json!(37.87), &json!(112.55))
    );
    gateway.drained().await;

    // A clock of long ago: kept apart, and heard all the same.
    let mut other = gateway.terminal("13800000002", Revision::V2013).await;
    let calls = Report {
        fixed_at: 1_168_646_400,
        ..calls
    };
    let serial = other.send_location(&calls).await.unwrap();
    assert_eq!(other.response(serial).await.unwrap().result, 0);
    let books = gateway.drained().await;
    assert_eq!(books.imbalance(), None);
    let cases = gateway.items("/api/v1/cases?kind=terminal_alarm").await;
    assert_eq!(cases.len(), 2, "{cases:#?}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweeper_whose_brush_turns_too_fast_by_a_makers_item_is_a_case() {
    let rules = json!({"rules": [
        {"id": "bits", "name": "brush", "kind": "work_signals", "applies_to": {"fleets": ["F1"]},
            "signals": [{"machine": "brush", "source": "vendor", "bit": 9}]},
    ]});
    let (gateway, _folder) = start(&rules, &[("ingest.signal_items", "0xE5")]).await;
    assert_eq!(gateway.json("/api/v1/catalog/work-rules").await, rules);
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    let start = now_s() - 60;
    for second in 0..40_i64 {
        // 18 km/h to the north.
        let north = f64::from(i32::try_from(second).unwrap()) * 5.0 / 111_195.0;
        let mut fix = report(37.87 + north, 112.55, start + second);
        fix.speed_dkmh = 180;
        fix.items.push((0xE5, vec![0x02, 0x00]));
        let serial = terminal.send_location(&fix).await.unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    }
    let case = case_of(&gateway).await;
    assert_eq!(case["kind"], "too_fast_to_clean");
    assert_eq!(case["rule"]["name"], "brush");
    assert_eq!(case["evidence"]["thresholds"]["limit_kmh"], 8.0);
    assert_eq!(case["worst"], 18.0);
    gateway.drained().await;

    // The store has the bits: a backtest finds the same, and nothing where they mean another thing.
    let other = json!({"rules": [{"id": "bits", "name": "brush", "kind": "work_signals",
        "applies_to": {"fleets": ["F1"]},
        "signals": [{"machine": "brush", "source": "vendor", "bit": 8}]}]});
    for (catalog, expected) in [
        (json!({}), 1),
        (json!({"work-rules": other.to_string()}), 0),
    ] {
        let from = clock::rfc3339(Timestamp::from_seconds(start - 60));
        let request = json!({"from": from, "catalog": catalog});
        let (status, job) = gateway
            .ask(Method::POST, "/api/v1/backtests", Some(&request))
            .await;
        assert_eq!(status, 202, "{job}");
        let path = format!("/api/v1/backtests/{}", job["id"]);
        let done = until("the backtest is over", async || {
            let job = gateway.json(&path).await;
            (job["state"] != "running").then_some(job)
        })
        .await;
        assert_eq!(done["positions"], 40, "{done}");
        let found = done["violations"].as_array().unwrap();
        let fast = |violation: &&Value| violation["kind"] == "too_fast_to_clean";
        assert_eq!(found.iter().filter(fast).count(), expected, "{done}");
    }
    gateway.stop().await;
}
