//! The catalog, changed while the gateway runs.

mod elder;

use harness::{
    PATIENCE, TestGateway,
    http_client::{self, Method},
    now_s,
    process::Process,
    report, until,
};
use serde_json::{Value, json};
use tools::{
    terminal::{Identity, Terminal},
    wire::Revision,
};

const PHONE: &str = "13800000001";
const VEHICLES: &str = "vehicle,phone\nV1,13800000001\n";
const NO_FENCES: &str = r#"{"type":"FeatureCollection","features":[]}"#;
/// North of the place where vehicles stand, and at it.
const ELSEWHERE: f64 = 37.95;
const HERE: f64 = 37.87;

async fn connect(process: &Process, phone: &str) -> Terminal {
    let identity = Identity::new(phone, Revision::V2013).unwrap();
    let address: std::net::SocketAddr = process.tcp.parse().unwrap();
    let mut terminal = Terminal::connect(address, identity, PATIENCE)
        .await
        .unwrap();
    terminal.log_in().await.unwrap();
    terminal
}

async fn books(process: &Process) -> harness::Books {
    harness::Books::scraped(&process.http).await.unwrap()
}

/// A keep-out circle of 200 m.
fn circle(id: &str, latitude: f64) -> Value {
    json!({
        "type": "Feature",
        "properties": { "id": id, "name": id, "kind": "keep_out", "radius_m": 200 },
        "geometry": { "type": "Point", "coordinates": [112.55, latitude] },
    })
}

async fn city(more: &[(&str, &str)]) -> (TestGateway, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let files = harness::catalog(folder.path(), NO_FENCES, VEHICLES);
    let files = files.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    let settings: Vec<_> = files.chain(more.iter().copied()).collect();
    (TestGateway::start(&settings).await, folder)
}

async fn put(gateway: &TestGateway, path: &str, thing: &Value) -> (u16, Value) {
    let path = format!("/api/v1/catalog/{path}");
    gateway.ask(Method::PUT, &path, Some(thing)).await
}

/// Stands at a place, a fix a second.
async fn stand(terminal: &mut Terminal, latitude: f64, from: i64, seconds: i64) {
    for second in 0..seconds {
        let fix = report(latitude, 112.55, from + second);
        let serial = terminal.send_location(&fix).await.unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    }
}

/// Drives along 112.55 E from 550 m north of a place to the place, a fix a second, and stays there;
/// gives the time of the last fix.
async fn arrive(terminal: &mut Terminal, latitude: f64, from: i64) -> i64 {
    for second in 0..85 {
        let to_go = f64::from(55 - second.min(55)) * 0.0001;
        let mut fix = report(latitude + to_go, 112.55, from + i64::from(second));
        fix.speed_dkmh = if second < 55 { 400 } else { 0 };
        let serial = terminal.send_location(&fix).await.unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    }
    from + 84
}

async fn fences(gateway: &TestGateway) -> Vec<String> {
    let root = gateway.json("/api/v1/catalog/fences").await;
    let features = root["features"].as_array().unwrap();
    let id = |feature: &Value| feature["properties"]["id"].as_str().unwrap().to_owned();
    features.iter().map(id).collect()
}

async fn version(gateway: &TestGateway) -> u64 {
    let catalog = gateway.json("/api/v1/catalog").await;
    catalog["version"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_fence_judges_what_comes_after_it_and_nothing_from_before() {
    let (gateway, _folder) = city(&[]).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    let start = now_s() - 300;
    let before = arrive(&mut terminal, HERE, start).await;
    let (status, made) = put(
        &gateway,
        "fences/K1?author=me&note=school",
        &circle("K1", HERE),
    )
    .await;
    assert_eq!((status, &made["in_force"]), (200, &json!(true)), "{made}");
    // Who is inside when the fence is drawn has not entered it, and neither has who was so before,
    // by what comes late.
    stand(&mut terminal, HERE, now_s(), 30).await;
    arrive(&mut terminal, HERE, start - 200).await;
    gateway.drained().await;
    assert_eq!(gateway.items("/api/v1/cases").await, [] as [Value; 0]);
    arrive(&mut terminal, HERE, now_s() + 60).await;
    let cases = until("the case is there", async || {
        let cases = gateway.items("/api/v1/cases").await;
        (!cases.is_empty()).then_some(cases)
    })
    .await;
    assert_eq!(cases.len(), 1, "{cases:#?}");
    assert_eq!(cases[0]["rule"]["id"], "K1", "{cases:#?}");
    let began = cases[0]["started_at"].as_str().unwrap();
    let began = gateway::clock::parse_rfc3339(began).unwrap().millis() / 1_000;
    assert!(began > before + 60, "{began} is before the fence");

    let gaps = gateway.items("/api/v1/catalog/gaps").await;
    assert!(gaps.is_empty(), "{gaps:?}");
    let versions = gateway.items("/api/v1/catalog/versions").await;
    assert_eq!(versions[0]["author"], "me");
    assert_eq!(versions[0]["note"], "school");
    assert_eq!(versions[0]["number"], made["version"]);
    let (status, _) = gateway
        .ask(Method::DELETE, "/api/v1/catalog/fences/K1", None)
        .await;
    assert_eq!(status, 200);
    assert_eq!(fences(&gateway).await, [] as [&str; 0]);
    gateway.drained().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_with_mistakes_changes_nothing_and_names_them_all() {
    let (gateway, _folder) = city(&[]).await;
    let before = version(&gateway).await;
    let mut wrong = circle("K1", 95.0);
    wrong["properties"]["kind"] = json!("keep-out");
    let (status, problem) = put(&gateway, "fences/K1", &wrong).await;
    assert_eq!(status, 422, "{problem}");
    assert!(
        problem["mistakes"].as_array().unwrap().len() >= 2,
        "{problem}"
    );
    let (status, problem) = put(&gateway, "fences/K2", &circle("K1", HERE)).await;
    assert_eq!(status, 422, "another id: {problem}");
    for (path, expected) in [("forts/K1", 404), ("fences/K1?effective_from=now", 400)] {
        let (status, problem) = put(&gateway, path, &circle("K1", HERE)).await;
        assert_eq!(status, expected, "{path}: {problem}");
    }
    let gone = gateway.ask(Method::DELETE, "/api/v1/catalog/fences/K1", None);
    assert_eq!(gone.await.0, 404);
    let (status, done) = put(&gateway, "fences/K1?rehearsal=true", &circle("K1", HERE)).await;
    assert_eq!(
        (status, done),
        (
            200,
            json!({ "version": null, "in_force": false, "warnings": [], "warnings_total": 0 })
        )
    );
    assert_eq!(version(&gateway).await, before);
    assert_eq!(fences(&gateway).await, [] as [&str; 0]);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_cannot_change_the_same_version() {
    let (gateway, _folder) = city(&[]).await;
    let seen = format!("\"{}\"", version(&gateway).await);
    let text = json!({ "type": "FeatureCollection", "features": [circle("K1", HERE)] }).to_string();
    let change = |seen: &str| {
        let (address, text, seen) = (gateway.http(), text.clone(), seen.to_owned());
        async move {
            let headers = [("if-match", seen.as_str())];
            let path = "/api/v1/catalog/fences";
            let asked = http_client::ask_with_text(&address, Method::PUT, path, &headers, text);
            asked.await.unwrap().0
        }
    };
    assert_eq!(change(&seen).await, 200);
    assert_eq!(change(&seen).await, 412);
    assert_eq!(change("*").await, 400);
    assert_eq!(fences(&gateway).await, ["K1"]);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_comes_into_force_when_its_time_has_come() {
    let (gateway, _folder) = city(&[]).await;
    let at = |seconds: i64| {
        let moment = geofence::units::Timestamp::from_seconds(now_s() + seconds);
        gateway::clock::rfc3339(moment)
    };
    let path = format!("fences/K1?effective_from={}", at(3_600));
    let (status, made) = put(&gateway, &path, &circle("K1", HERE)).await;
    assert_eq!((status, &made["in_force"]), (200, &json!(false)), "{made}");
    assert_eq!(fences(&gateway).await, [] as [&str; 0]);
    // What would be taken back by the one that waits is refused.
    let (status, problem) = put(&gateway, "fences/K2", &circle("K2", HERE)).await;
    assert_eq!(status, 409, "{problem}");
    let waiting = format!("/api/v1/catalog/versions/{}", made["version"]);
    assert_eq!(gateway.ask(Method::DELETE, &waiting, None).await.0, 204);
    let path = format!("fences/K1?effective_from={}", at(2));
    assert_eq!(put(&gateway, &path, &circle("K1", HERE)).await.0, 200);
    until("the version is in force", async || {
        (fences(&gateway).await == ["K1"]).then_some(())
    })
    .await;
    let path = format!("fences/K2?effective_from={}", at(3_600));
    let (_, made) = put(&gateway, &path, &circle("K2", HERE)).await;
    let number = &made["version"];
    let gateway = gateway.restart().await;
    assert_eq!(fences(&gateway).await, ["K1"]);
    let path = format!("/api/v1/catalog/versions/{number}");
    assert_eq!(gateway.ask(Method::DELETE, &path, None).await.0, 204);
    assert_eq!(gateway.ask(Method::DELETE, &path, None).await.0, 404);
    assert_eq!(
        put(&gateway, "fences/K3", &circle("K3", ELSEWHERE)).await.0,
        200
    );
    assert_eq!(fences(&gateway).await, ["K1", "K3"]);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_outlive_a_restart_and_a_changed_file_is_taken() {
    let (gateway, folder) = city(&[]).await;
    put(&gateway, "fences/K1", &circle("K1", HERE)).await;
    let row = json!({ "phone": "13800000002", "name": "two" });
    assert_eq!(put(&gateway, "vehicles/V2", &row).await.0, 200);
    let gateway = gateway.restart().await;
    assert_eq!(fences(&gateway).await, ["K1"]);
    let address = gateway.http();
    let (status, text) = http_client::get(&address, "/api/v1/catalog/vehicles")
        .await
        .unwrap();
    assert_eq!(status, 200);
    assert_eq!(
        text,
        "vehicle,phone,name\nV1,13800000001,\nV2,13800000002,two\n"
    );

    let file = folder.path().join("vehicles.csv");
    assert!(file.exists());
    std::fs::write(&file, "vehicle,phone\nV9,13800000009\n").unwrap();
    let gateway = gateway.restart().await;
    let catalog = gateway.json("/api/v1/catalog").await;
    assert_eq!(catalog["vehicles"], 1);
    assert_eq!(
        fences(&gateway).await,
        ["K1"],
        "the other file did not change"
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_judged_again_after_a_crash_is_judged_by_the_catalog_of_then() {
    let (folder, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let school =
        json!({ "type": "FeatureCollection", "features": [circle("K1", HERE)] }).to_string();
    let files = harness::catalog(files.path(), &school, VEHICLES);
    // No snapshot in between: all is judged again after the crash.
    let settings = [
        ("GRIDTRACE__EVALUATE__SNAPSHOT_INTERVAL", "1h"),
        ("GRIDTRACE__CATALOG__FENCES", files[0].1.as_str()),
        ("GRIDTRACE__CATALOG__VEHICLES", files[1].1.as_str()),
    ];
    let start = || Process::start_with("serve", folder.path(), &[], &settings);
    let cases = async |process: &Process| {
        let (status, body) = http_client::get(&process.http, "/api/v1/cases")
            .await
            .unwrap();
        assert_eq!(status, 200);
        let list: Value = serde_json::from_slice(&body).unwrap();
        list["items"].as_array().unwrap().clone()
    };
    let fence = "/api/v1/catalog/fences/K1";
    let process = start();
    until(
        "the first snapshot is written, which is due at once",
        async || {
            let books = books(&process).await;
            let is_told = books.value("gridtrace_log_durable_records_total") > 0;
            (is_told && books.lag() == Some(0)).then_some(())
        },
    )
    .await;
    let mut terminal = connect(&process, PHONE).await;
    // Before the fence is gone, also by the terminal's own clock.
    arrive(&mut terminal, HERE, now_s() - 100).await;
    let opened = until("the case is there", async || {
        let cases = cases(&process).await;
        (cases.len() == 1).then_some(cases)
    })
    .await;
    let gone = http_client::ask(&process.http, Method::DELETE, fence, None);
    assert_eq!(gone.await.unwrap().0, 200);
    process.kill();
    let process = start();
    // One more fix: once it is evaluated, all before it is.
    let mut other = connect(&process, "13800000002").await;
    stand(&mut other, ELSEWHERE, now_s(), 1).await;
    until("all is judged again", async || {
        let books = books(&process).await;
        let judged = books.value("gridtrace_positions_evaluated_total");
        (judged >= 86).then_some(())
    })
    .await;
    let again = cases(&process).await;
    assert_eq!(again.len(), 1, "{again:#?}");
    assert_eq!(again[0]["id"], opened[0]["id"]);
    assert_ne!(again[0]["stage"], "withdrawn");
    assert!(process.terminate().success());
}

/// Unit grids of 100 m, from north to south; `.` is none, and the others are of community 1 or 2.
fn grids(rows: &[&str]) -> Value {
    let mut features = Vec::new();
    for (row, line) in rows.iter().enumerate() {
        for (column, community) in line.chars().enumerate().filter(|(_, mark)| *mark != '.') {
            let edge = |number: usize| f64::from(u32::try_from(number).unwrap()) * 0.001;
            let (west, north) = (112.55 + edge(column), 37.87 - edge(row));
            let (east, south) = (west + 0.001, north - 0.001);
            let ring = json!([[
                [west, south],
                [east, south],
                [east, north],
                [west, north],
                [west, south]
            ]]);
            features.push(json!({
                "type": "Feature",
                "properties": { "code": format!("14010500100{community}{:03}", features.len() + 1) },
                "geometry": { "type": "Polygon", "coordinates": ring },
            }));
        }
    }
    json!({ "type": "FeatureCollection", "features": features })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_unit_grids_tells_what_is_odd_about_them() {
    let (gateway, _folder) = city(&[("catalog.warnings_max", "2")]).await;
    let (status, whole) = put(&gateway, "unit-grids", &grids(&["1122", "1122"])).await;
    assert_eq!((status, &whole["warnings"]), (200, &json!([])), "{whole}");
    assert_eq!(whole["warnings_total"], 0);
    // A hole; a grid of community 2 in the middle of 1, which lies apart from its own.
    let odd = grids(&["111111.22", "1.1121.22", "111111.22"]);
    let mut answers = Vec::new();
    for path in ["unit-grids?rehearsal=true", "unit-grids"] {
        let (status, odd) = put(&gateway, path, &odd).await;
        assert_eq!(status, 200, "{odd}");
        assert_eq!(odd["warnings_total"], 3, "{odd}");
        answers.push(odd["warnings"].clone());
    }
    assert_eq!(answers[0], answers[1]);
    let warnings = answers[1].as_array().unwrap();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0]
            .as_str()
            .unwrap()
            .contains("no unit grid covers"),
        "{warnings:?}"
    );
    let faults = gateway.items("/api/v1/catalog/community-faults").await;
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert_eq!(faults[0]["sentence"], warnings[1]);
    // Nobody asked about the grids.
    let (status, fence) = put(&gateway, "fences/K1", &circle("K1", HERE)).await;
    assert_eq!((status, &fence["warnings_total"]), (200, &json!(0)));
    gateway.stop().await;
}
