//! From a broken rule to one case with its evidence, once.

use harness::{TestGateway, now_s, report, until};
use serde_json::{Value, json};
use tools::{terminal::Terminal, wire::Revision};

const PHONE: &str = "13800000001";
const VEHICLES: &str = "vehicle,phone,plate,work_kind,fleet,name,speed_limit_kmh\n\
                        V1,13800000001,晋AR0001,refuse_truck,F1,one,60\n";
/// Metres of a thousandth of a degree of latitude.
const MILLIDEGREE_M: f64 = 111.2;

/// A square of about 450 m around 37.87 N, 112.55 E.
fn fences(kind: &str, more: Value) -> String {
    let (west, east, south, north) = (112.5475, 112.5525, 37.868, 37.872);
    let mut properties = json!({"id": "K1", "name": "school", "kind": kind});
    properties
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"type": "FeatureCollection", "features": [{
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": "Polygon", "coordinates":
            [[[west, south], [east, south], [east, north], [west, north], [west, south]]]},
    }]})
    .to_string()
}

async fn city(fences: &str) -> (TestGateway, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let settings = harness::catalog(folder.path(), fences, VEHICLES);
    let settings: Vec<_> = settings
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    (TestGateway::start(&settings).await, folder)
}

/// Drives north along 112.55 E, a fix a second, and gives the time of the last.
async fn drive(terminal: &mut Terminal, from_lat: f64, kmh: f64, seconds: u32, start: i64) -> i64 {
    let step = kmh / 3.6 / MILLIDEGREE_M / 1_000.0;
    let mut at = start;
    for second in 0..seconds {
        at = start + i64::from(second);
        let mut fix = report(from_lat + step * f64::from(second), 112.55, at);
        fix.heading_deg = 0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small speed"
        )]
        let speed = (kmh * 10.0) as u16;
        fix.speed_dkmh = speed;
        let serial = terminal.send_location(&fix).await.unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    }
    at
}

async fn cases_of(gateway: &TestGateway, count: usize) -> Vec<Value> {
    until("the cases are there", async || {
        let cases = gateway.items("/api/v1/cases").await;
        (cases.len() >= count).then_some(cases)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn entering_a_keep_out_fence_opens_one_case_with_its_evidence() {
    let (gateway, _folder) = city(&fences("keep_out", json!({}))).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    let start = now_s() - 200;
    // 890 m south of the fence, through it and out at the north.
    drive(&mut terminal, 37.860, 36.0, 180, start).await;
    gateway.drained().await;
    let cases = cases_of(&gateway, 1).await;
    assert_eq!(cases.len(), 1, "{cases:#?}");
    let case = &cases[0];
    assert_eq!(case["kind"], "keep_out");
    assert_eq!(case["stage"], "collected");
    assert_eq!(case["rule"]["id"], "K1");
    assert_eq!(case["subject"]["plate"], "晋AR0001");
    assert!(!case["ended_at"].is_null(), "it left again");
    let entered = gateway::clock::parse_rfc3339(case["started_at"].as_str().unwrap()).unwrap();
    let entered_s = entered.millis() / 1_000 - start;
    assert!(
        (84..=96).contains(&entered_s),
        "the crossing was after 89 s, not {entered_s} s"
    );
    let fixes = case["evidence"]["fixes"].as_array().unwrap();
    assert!(
        fixes
            .iter()
            .any(|fix| fix["distance_m"].as_f64().unwrap() > 0.0),
        "none is inside"
    );
    assert!(
        !case["evidence"]["thresholds"]
            .as_object()
            .unwrap()
            .is_empty()
    );
    let id = case["id"].as_str().unwrap();
    assert_eq!(gateway.json(&format!("/api/v1/cases/{id}")).await["id"], id);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_a_stay_in_fence_opens_a_case() {
    let (gateway, _folder) = city(&fences("stay_in", json!({}))).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2019).await;
    drive(&mut terminal, 37.870, 36.0, 150, now_s() - 160).await;
    gateway.drained().await;
    let cases = cases_of(&gateway, 1).await;
    assert_eq!(cases.len(), 1);
    assert_eq!(cases[0]["kind"], "stay_in");
    assert!(cases[0]["ended_at"].is_null(), "it is still outside");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn speeding_in_a_slow_zone_opens_a_case_and_the_vehicles_limit_outside_it_does_not() {
    let (gateway, _folder) = city(&fences("speed_limit", json!({"speed_limit_kmh": 30}))).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    drive(&mut terminal, 37.860, 50.0, 160, now_s() - 170).await;
    gateway.drained().await;
    let cases = cases_of(&gateway, 1).await;
    assert_eq!(cases.len(), 1, "{cases:#?}");
    assert_eq!(cases[0]["kind"], "speeding");
    assert_eq!(cases[0]["worst"], 50.0);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_and_a_resend_of_everything_open_no_second_case() {
    let (gateway, _folder) = city(&fences("keep_out", json!({}))).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    let start = now_s() - 300;
    drive(&mut terminal, 37.860, 36.0, 120, start).await;
    let before = cases_of(&gateway, 1).await;
    drop(terminal);
    let gateway = gateway.restart().await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    drive(&mut terminal, 37.860, 36.0, 180, start).await;
    gateway.drained().await;
    let after = gateway.items("/api/v1/cases").await;
    assert_eq!(after.len(), 1, "{after:#?}");
    assert_eq!(after[0]["id"], before[0]["id"]);
    assert!(
        !after[0]["ended_at"].is_null(),
        "the same case has its end now"
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_that_proves_a_violation_opens_its_case() {
    let (gateway, _folder) = city(&fences("keep_out", json!({}))).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    let start = now_s() - 1_200;
    // Before and after the passage live; the passage itself comes late, newest first.
    drive(&mut terminal, 37.860, 36.0, 60, start).await;
    drive(&mut terminal, 37.860 + 0.0162, 36.0, 60, start + 180).await;
    gateway.drained().await;
    assert_eq!(
        gateway.items("/api/v1/cases").await.len(),
        0,
        "a gap proves nothing"
    );
    let step = 10.0 / MILLIDEGREE_M / 1_000.0;
    let mut passage: Vec<_> = (60..180)
        .map(|second| {
            report(
                37.860 + step * f64::from(second),
                112.55,
                start + i64::from(second),
            )
        })
        .collect();
    passage.reverse();
    for part in passage.chunks(15) {
        let serial = terminal.send_batch(true, part).await.unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    }
    gateway.drained().await;
    let cases = cases_of(&gateway, 1).await;
    assert_eq!(cases.len(), 1);
    assert_eq!(cases[0]["kind"], "keep_out");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_a_route_opens_a_case_and_the_routes_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = json!({"type": "FeatureCollection", "features": []}).to_string();
    let mut settings = harness::catalog(folder.path(), &nowhere, VEHICLES);
    // Two hours about now, at local time.
    let now = (now_s() + 8 * 3_600).rem_euclid(86_400) / 60;
    let clock = |minutes: i64| {
        let minutes = (now + minutes).rem_euclid(1_440);
        format!("{:02}:{:02}", minutes / 60, minutes % 60)
    };
    // North to 37.866, then east; the vehicle goes on to the north.
    let routes = json!({"type": "FeatureCollection", "features": [{
        "type": "Feature",
        "properties": {"id": "R1", "name": "morning round", "applies_to": {"fleets": ["F1"]},
            "windows": [{"from": clock(-60), "to": clock(60)}]},
        "geometry": {"type": "LineString",
            "coordinates": [[112.55, 37.860], [112.55, 37.866], [112.56, 37.866]]},
    }]});
    let path = folder.path().join("routes.geojson");
    std::fs::write(&path, routes.to_string()).unwrap();
    settings.push(("catalog.routes".to_owned(), path.display().to_string()));
    let settings: Vec<_> = settings
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    let gateway = TestGateway::start(&settings).await;
    assert_eq!(gateway.json("/api/v1/catalog/routes").await, routes);
    assert_eq!(gateway.json("/api/v1/catalog").await["routes"], 1);
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    drive(&mut terminal, 37.860, 36.0, 120, now_s() - 130).await;
    gateway.drained().await;
    let cases = cases_of(&gateway, 1).await;
    assert_eq!(cases.len(), 1, "{cases:#?}");
    let case = &cases[0];
    assert_eq!(case["kind"], "route_deviation");
    assert_eq!(case["worst_unit"], "m");
    assert_eq!(case["rule"]["name"], "morning round");
    let left_at_m = case["evidence"]["measured"]["left_at_m"].as_f64().unwrap();
    assert!((660.0..=700.0).contains(&left_at_m), "{left_at_m}");
    let items = gateway.items("/api/v1/cases?kind=route_deviation").await;
    assert_eq!(items.len(), 1);
    gateway.stop().await;
}
