//! Why a rule has found something, and why not.

use gateway::clock;
use geofence::units::Timestamp;
use harness::{TestGateway, http_client::Method, now_s, report, until};
use serde_json::{Value, json};
use tools::wire::Revision;

const PHONE: &str = "13800000001";
const VEHICLES: &str = "vehicle,phone,work_kind\nV1,13800000001,sweeper\n";

/// Two keep-out circles of 200 m at one place: one for everybody, one for inspectors.
fn fences() -> String {
    let circle = |id: &str, more: Value| {
        let mut properties = json!({
            "id": id, "name": id, "kind": "keep_out", "radius_m": 200, "version": 3,
        });
        let more = more.as_object().unwrap().clone();
        properties.as_object_mut().unwrap().extend(more);
        json!({
            "type": "Feature",
            "properties": properties,
            "geometry": { "type": "Point", "coordinates": [112.55, 37.87] },
        })
    };
    let inspectors = json!({ "applies_to": { "work_kinds": ["inspector"] } });
    let both = [circle("school", json!({})), circle("post", inspectors)];
    json!({ "type": "FeatureCollection", "features": both }).to_string()
}

fn moment(seconds: i64) -> String {
    clock::rfc3339(Timestamp::from_seconds(seconds))
}

async fn ask(gateway: &TestGateway, query: &str) -> (u16, Value) {
    let path = format!("/api/v1/explain?{query}");
    gateway.ask(Method::GET, &path, None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_is_explained_and_so_is_what_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let files = harness::catalog(folder.path(), &fences(), VEHICLES);
    let settings: Vec<_> = files
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    let gateway = TestGateway::start(&settings).await;
    // From 550 m north to the middle at 40 km/h, and 40 s there; an hour ago.
    let start = now_s() - 3_600;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    for second in 0..95 {
        let to_go = f64::from(55 - second.min(55)) * 0.0001;
        let mut fix = report(37.87 + to_go, 112.55, start + i64::from(second));
        fix.speed_dkmh = if second < 55 { 400 } else { 0 };
        let serial = terminal.send_location(&fix).await.unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    }
    gateway.drained().await;
    let case = until("there is a case", async || {
        gateway.items("/api/v1/cases").await.pop()
    })
    .await;

    let path = format!("/api/v1/cases/{}/explain", case["id"].as_str().unwrap());
    let why = gateway.json(&path).await;
    let check = &why["checks"][0];
    assert_eq!(
        (&check["judged"], &check["stage"]),
        (&json!(true), &json!("open")),
        "{why}"
    );
    assert_eq!(check["violation"]["violation"], case["violation"], "{why}");
    assert_eq!(why["at"], case["confirmed_at"]);
    assert_eq!(
        (&why["rule"]["id"], &why["rule"]["version"]),
        (&json!("school"), &json!(3))
    );
    assert_eq!((&why["version"], &why["cut"]), (&json!(1), &json!(false)));
    assert_eq!(why["vehicle"], "V1");

    // Eleven seconds inside: not yet.
    let inside = start + 46;
    let query = format!("terminal={PHONE}&rule=school&at={}", moment(inside));
    let (status, why) = ask(&gateway, &query).await;
    assert_eq!(status, 200, "{why}");
    let check = &why["checks"][0];
    assert_eq!(
        (&check["stage"], &check["side"]),
        (&json!("pending"), &json!("inside")),
        "{why}"
    );
    let observed_s = check["observed_s"].as_f64().unwrap();
    assert!((8.0..14.0).contains(&observed_s), "{why}");
    assert_eq!(
        (&check["needed_s"], &check["violation"]),
        (&json!(20.0), &Value::Null)
    );
    assert_eq!(why["fixes"].as_array().unwrap().len(), 20);
    assert_eq!(why["fixes"][19]["fixed_at"], moment(inside));
    assert_eq!(why["heard"]["fixes"], 47);
    assert!(
        why["sentence"]
            .as_str()
            .unwrap()
            .starts_with("Observed inside"),
        "{why}"
    );

    let query = format!("terminal={PHONE}&rule=post&at={}", moment(inside));
    let (_, why) = ask(&gateway, &query).await;
    assert_eq!(why["checks"][0]["why_not"], "not_concerned", "{why}");

    // Now: nothing has been received for an hour. A version can be named.
    let (_, why) = ask(&gateway, &format!("terminal={PHONE}&rule=school&version=1")).await;
    assert_eq!(why["checks"][0]["why_not"], "unobserved", "{why}");

    for (query, expected) in [
        (format!("terminal={PHONE}&rule=castle"), 404),
        (format!("terminal={PHONE}&rule=school&version=99"), 404),
        (format!("terminal={PHONE}"), 400),
        ("rule=school".to_owned(), 400),
        ("terminal=nobody&rule=school".to_owned(), 400),
        (format!("terminal={PHONE}&rule=school&at=noon"), 400),
        (
            format!("terminal={PHONE}&rule=school&at={}", moment(now_s() + 600)),
            400,
        ),
        (format!("terminal={PHONE}&rule=school&when=now"), 400),
    ] {
        let (status, problem) = ask(&gateway, &query).await;
        assert_eq!(status, expected, "{query}: {problem}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_too_many_positions_the_newest_are_judged() {
    let folder = tempfile::tempdir().unwrap();
    let files = harness::catalog(folder.path(), &fences(), VEHICLES);
    let mut settings: Vec<_> = files
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    settings.push(("explain.positions_max", "1000"));
    let gateway = TestGateway::start(&settings).await;
    let start = now_s() - 3_600;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    for second in 0..1_010 {
        let serial = terminal
            .send_location(&report(37.87, 112.55, start + second))
            .await
            .unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    }
    gateway.drained().await;
    let query = format!("terminal={PHONE}&rule=school&at={}", moment(start + 1_009));
    let (_, why) = ask(&gateway, &query).await;
    assert_eq!(
        (&why["cut"], &why["heard"]["fixes"]),
        (&json!(true), &json!(1_000)),
        "{why}"
    );
    assert_eq!(why["heard"]["first_at"], moment(start + 10));
    assert_eq!(why["checks"][0]["stage"], "not_armed");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_message_is_told_whatever_it_was_and_until_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let settings = harness::catalog(folder.path(), &fences(), VEHICLES);
    let data = tempfile::tempdir().unwrap();
    let gateway = TestGateway::start_in(data, settings.clone()).await;
    let query = format!("terminal={PHONE}&rule=school");
    let (status, why) = ask(&gateway, &query).await;
    assert_eq!((status, &why["last_message_at"]), (200, &Value::Null));
    // A report whose time is an hour ago, then nothing but heartbeats.
    let begun = now_s();
    let fixed_at = begun - 3_600;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    let fix = report(37.9, 112.55, fixed_at);
    let serial = terminal.send_location(&fix).await.unwrap();
    assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    gateway.drained().await;
    let told = async |gateway: &TestGateway| {
        let (status, why) = ask(gateway, &query).await;
        assert_eq!(status, 200, "{why}");
        assert_eq!(why["heard"]["fixes"], 1, "{why}");
        let text = why["last_message_at"].as_str()?;
        Some(clock::parse_rfc3339(text).unwrap().millis())
    };
    let reported = told(&gateway).await.unwrap();
    assert!(reported >= begun * 1_000, "the receipt, not the fix");
    terminal.heartbeat().await.unwrap();
    let later = until("the heartbeat counts", async || {
        let beat = told(&gateway).await.unwrap();
        if beat <= reported {
            terminal.heartbeat().await.unwrap();
        }
        (beat > reported).then_some(beat)
    })
    .await;
    assert!(later <= (now_s() + 1) * 1_000);
    drop(terminal);
    let gateway = TestGateway::start_in(gateway.stop().await, settings).await;
    assert_eq!(told(&gateway).await, None);
    gateway.stop().await;
}
