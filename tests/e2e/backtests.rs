//! Drafts of the catalog, tried on stored tracks.

use std::process::Command;

use gateway::clock;
use geofence::units::Timestamp;
use harness::{TestGateway, http_client::Method, now_s, process::binary, report, until};
use serde_json::{Value, json};
use tools::wire::Revision;

const PHONE: &str = "13800000001";

/// Two terminals that drive south along 112.55 E and stay at its end, of whom the second comes too
/// late for any period that ends now.
async fn driven() -> (TestGateway, i64) {
    let gateway = TestGateway::start(&[]).await;
    let start = now_s() - 3_600;
    for (phone, delay) in [(PHONE, 0), ("13800000002", 600)] {
        let mut terminal = gateway.terminal(phone, Revision::V2013).await;
        for second in 0..85 {
            let to_go = f64::from(55 - second.min(55)) * 0.0001;
            let mut fix = report(37.87 + to_go, 112.55, start + delay + i64::from(second));
            fix.speed_dkmh = if second < 55 { 400 } else { 0 };
            let serial = terminal.send_location(&fix).await.unwrap();
            assert_eq!(terminal.response(serial).await.unwrap().result, 0);
        }
    }
    gateway.drained().await;
    (gateway, start)
}

fn school() -> Value {
    json!({ "type": "FeatureCollection", "features": [{
        "type": "Feature",
        "properties": { "id": "K1", "name": "school", "kind": "keep_out", "radius_m": 200 },
        "geometry": { "type": "Point", "coordinates": [112.55, 37.87] },
    }]})
}

fn moment(seconds: i64) -> String {
    clock::rfc3339(Timestamp::from_seconds(seconds))
}

async fn begin(gateway: &TestGateway, request: &Value) -> (u16, Value) {
    gateway
        .ask(Method::POST, "/api/v1/backtests", Some(request))
        .await
}

async fn ended(gateway: &TestGateway, id: &Value) -> Value {
    let path = format!("/api/v1/backtests/{id}");
    until("the backtest is over", async || {
        let job = gateway.json(&path).await;
        (job["state"] != "running").then_some(job)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_says_what_it_would_have_found_and_no_case_changes() {
    let (gateway, start) = driven().await;
    let request = json!({ "from": moment(start - 60), "catalog": { "fences": school() } });
    let (status, job) = begin(&gateway, &request).await;
    assert_eq!(status, 202, "{job}");
    let done = ended(&gateway, &job["id"]).await;
    assert_eq!(done["state"], "done", "{done}");
    assert_eq!(
        (&done["positions"], &done["progress"]),
        (&json!(170), &json!(1.0))
    );
    let violations = done["violations"].as_array().unwrap();
    let phones: Vec<_> = violations
        .iter()
        .map(|v| v["phone"].as_str().unwrap())
        .collect();
    assert_eq!(phones, [PHONE, "13800000002"]);
    assert_eq!(violations[0]["rule"]["id"], "K1");
    let days: u64 = done["days"]
        .as_array()
        .unwrap()
        .iter()
        .map(|day| day["by_kind"]["keep_out"].as_u64().unwrap())
        .sum();
    assert_eq!(days, 2, "{done}");

    // One terminal, a shorter period; and the catalog that is in force, which has no fence.
    let one = json!({
        "from": moment(start - 60), "to": moment(start + 300), "terminals": [PHONE],
        "catalog": { "fences": school().to_string() },
    });
    let (_, job) = begin(&gateway, &one).await;
    let done = ended(&gateway, &job["id"]).await;
    assert_eq!(
        (
            &done["positions"],
            done["violations"].as_array().unwrap().len()
        ),
        (&json!(85), 1)
    );
    let (_, job) = begin(&gateway, &json!({ "from": moment(start - 60) })).await;
    let done = ended(&gateway, &job["id"]).await;
    assert_eq!(
        (&done["positions"], &done["violations"]),
        (&json!(170), &json!([]))
    );

    assert_eq!(gateway.items("/api/v1/cases").await, [] as [Value; 0]);
    let catalog = gateway.json("/api/v1/catalog").await;
    assert_eq!(catalog["fences"], 0);
    assert_eq!(gateway.items("/api/v1/backtests").await.len(), 3);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_wrongly_is_explained() {
    let gateway = TestGateway::start(&[]).await;
    let mut wrong = school();
    wrong["features"][0]["properties"]["kind"] = json!("keep-out");
    for (request, expected) in [
        (json!({}), 422),
        (json!({ "from": "yesterday" }), 400),
        (json!({ "from": moment(now_s() + 60) }), 400),
        (json!({ "from": moment(now_s() - 400 * 86_400) }), 400),
        (json!({ "from": moment(now_s() - 60), "version": 99 }), 404),
        (
            json!({ "from": moment(now_s() - 60), "catalog": { "forts": {} } }),
            400,
        ),
        (
            json!({ "from": moment(now_s() - 60), "catalog": { "vehicles": {} } }),
            400,
        ),
        (
            json!({ "from": moment(now_s() - 60), "catalog": { "fences": wrong } }),
            422,
        ),
    ] {
        let (status, problem) = begin(&gateway, &request).await;
        assert_eq!(status, expected, "{request}: {problem}");
    }
    let path = "/api/v1/backtests/9";
    assert_eq!(gateway.ask(Method::GET, path, None).await.0, 404);
    assert_eq!(gateway.items("/api/v1/backtests").await, [] as [Value; 0]);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_finds_the_same() {
    let (gateway, start) = driven().await;
    let file = gateway.data_dir().join("draft.geojson");
    std::fs::write(&file, school().to_string()).unwrap();
    let run = |more: &[&str]| {
        let output = Command::new(binary("gridtrace"))
            .args(["backtest", "--data-dir"])
            .arg(gateway.data_dir())
            .args(["--from", &moment(start - 60)])
            .arg("--text")
            .arg(format!("fences={}", file.display()))
            .args(more)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let lines = run(&[]);
    assert!(lines.starts_with("170 positions judged\n"), "{lines}");
    assert!(
        lines.contains("keep_out 2\n") || lines.matches("keep_out 1\n").count() == 2,
        "{lines}"
    );
    assert!(
        lines.contains(&format!("keep_out  {PHONE}  K1 school\n")),
        "{lines}"
    );
    let json: Value = serde_json::from_str(&run(&["--json", "--terminal", PHONE])).unwrap();
    assert_eq!(json["violations"].as_array().unwrap().len(), 1);
    gateway.stop().await;
}
