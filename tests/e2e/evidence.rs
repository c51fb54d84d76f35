//! What proves a case: the document, the track and the page for paper.

use geofence::units::Timestamp;
use harness::{
    TestGateway,
    http_client::{self, Method},
    now_s, report, until,
};
use serde_json::{Value, json};
use storage::store::Retention;
use tools::wire::Revision;

const PHONE: &str = "13800000001";
/// Names of the catalog come from files that people write.
const HOSTILE: &str = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>=cmd";
const VEHICLES: &str = "vehicle,phone,plate,work_kind\nV1,13800000001,\"A<i>1\",sweeper\n";

/// A keep-out circle of 200 m.
fn fences(version: u32) -> String {
    json!({
        "type": "FeatureCollection",
        "features": [{
            "type": "Feature",
            "properties": {
                "id": "school", "name": HOSTILE, "kind": "keep_out", "radius_m": 200,
                "version": version,
            },
            "geometry": { "type": "Point", "coordinates": [112.55, 37.87] },
        }],
    })
    .to_string()
}

async fn start(folder: &std::path::Path) -> TestGateway {
    let mut files = harness::catalog(folder, &fences(3), VEHICLES);
    files.push(("store.retain_interval".to_owned(), "100ms".to_owned()));
    let settings: Vec<_> = files
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    TestGateway::start(&settings).await
}

/// From 550 m north to the middle at 40 km/h, and 40 s there.
async fn violate(gateway: &TestGateway, start: i64) -> Value {
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    for second in 0..95 {
        let to_go = f64::from(55 - second.min(55)) * 0.0001;
        let mut fix = report(37.87 + to_go, 112.55, start + i64::from(second));
        fix.speed_dkmh = if second < 55 { 400 } else { 0 };
        let serial = terminal.send_location(&fix).await.unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    }
    gateway.drained().await;
    until("there is a case", async || {
        gateway.items("/api/v1/cases").await.pop()
    })
    .await
}

async fn text(gateway: &TestGateway, path: &str) -> String {
    let (status, body) = http_client::get(&gateway.http(), path).await.unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert_eq!(status, 200, "{path}: {text}");
    text
}

/// The features of the track that are of a part.
fn parts<'a>(track: &'a Value, part: &str) -> Vec<&'a Value> {
    let features = track["features"].as_array().unwrap().iter();
    features
        .filter(|feature| feature["properties"]["part"] == part)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_has_its_evidence_its_track_and_a_page_for_paper() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = start(folder.path()).await;
    let case = violate(&gateway, now_s() - 3_600).await;
    let id = case["id"].as_str().unwrap();
    let href = format!("/api/v1/cases/{id}/evidence");
    assert_eq!(case["evidence_href"], href);

    let pack = gateway.json(&href).await;
    assert_eq!(
        (&pack["format"], &pack["links"]["self"]),
        (&json!(1), &json!(href))
    );
    assert_eq!(pack["gone"], json!([]), "{pack:#}");
    let rule = &pack["rules"][0];
    assert_eq!(
        (&rule["id"], &rule["version"], &rule["state"]),
        (&json!("school"), &json!(3), &json!("as_judged"))
    );
    assert_eq!(rule["catalog_version"], 1);
    assert_eq!(rule["features"][0]["geometry"]["type"], "Point");
    let evidence = &pack["case"]["intervals"][0]["evidence"];
    assert!(!evidence["fixes"].as_array().unwrap().is_empty());
    assert!(evidence["thresholds"]["dwell_s"].is_number(), "{evidence}");
    assert!(pack["case"]["clocks"][0]["remaining_s"].is_number());
    assert!(!pack["case"]["history"].as_array().unwrap().is_empty());
    assert_eq!(pack["explanation"]["checks"][0]["stage"], "open");
    assert_eq!(
        (&pack["track"]["fixes"], &pack["track"]["cut"]),
        (&json!(95), &json!(false))
    );

    let track = gateway.json(pack["links"]["track"].as_str().unwrap()).await;
    let [line] = parts(&track, "track")[..] else {
        panic!("one line: {track:#}");
    };
    assert_eq!(
        line["geometry"]["coordinates"].as_array().unwrap().len(),
        95
    );
    assert_eq!(
        line["properties"]["coordTimes"].as_array().unwrap().len(),
        95
    );
    let fixes = evidence["fixes"].as_array().unwrap().len();
    assert_eq!(parts(&track, "evidence").len(), fixes);
    assert_eq!(parts(&track, "rule").len(), 1);

    let print = pack["links"]["print"].as_str().unwrap();
    let chinese = text(&gateway, print).await;
    let english = text(&gateway, &format!("{print}?lang=en")).await;
    for (page, words) in [
        (&chinese, ["案件证据", "判定阈值", "闯入禁区"]),
        (
            &english,
            ["Case evidence", "Thresholds", "Entered keep-out zone"],
        ),
    ] {
        for word in words {
            assert!(page.contains(word), "{word}");
        }
        assert!(page.contains("<svg") && page.contains("class=\"north\""));
        assert!(
            page.contains("<circle class=\"shape\""),
            "the fence is drawn"
        );
        assert!(
            page.matches("class=\"fix\"").count() > fixes,
            "and so are the fixes"
        );
    }
    // Why it was found is told in the language of the page.
    for (page, key, other) in [
        (&chinese, "sentence_zh", "sentence"),
        (&english, "sentence", "sentence_zh"),
    ] {
        let sentence = |key: &str| pack["explanation"][key].as_str().unwrap().to_owned();
        assert!(page.contains(&sentence(key)), "{}", sentence(key));
        assert!(!page.contains(&sentence(other)), "{}", sentence(other));
    }
    let told = pack["explanation"]["sentence_zh"].as_str().unwrap();
    assert!(told.starts_with("违规正在进行"), "{told}");
    let (status, _) = gateway
        .ask(Method::GET, &format!("{print}?lang=fr"), None)
        .await;
    assert_eq!(status, 400);
    let elsewhere = format!("{href}?scope=999999");
    assert_eq!(gateway.ask(Method::GET, &elsewhere, None).await.0, 404);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_people_or_terminals_say_becomes_markup() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = start(folder.path()).await;
    let case = violate(&gateway, now_s() - 3_600).await;
    let id = case["id"].as_str().unwrap();
    let path = format!("/api/v1/cases/{id}");
    let note = json!({
        "move": "note", "version": gateway.json(&path).await["version"], "role": "operator",
        "actor": HOSTILE, "remark": HOSTILE,
    });
    let (status, _) = gateway
        .ask(Method::POST, &format!("{path}/moves"), Some(&note))
        .await;
    assert_eq!(status, 200);
    let by_hand = json!({
        "actor": HOSTILE, "role": "operator", "description": HOSTILE, "remark": HOSTILE,
        "department": HOSTILE, "media": [HOSTILE],
    });
    let (status, reported) = gateway
        .ask(Method::POST, "/api/v1/cases", Some(&by_hand))
        .await;
    assert_eq!(status, 201);
    let reported = reported["id"].as_str().unwrap();

    // JSON gives what was said, as data.
    let pack = gateway.json(&format!("{path}/evidence")).await;
    let history = pack["case"]["history"].as_array().unwrap();
    assert!(history.iter().any(|line| line["remark"] == HOSTILE));
    let pack = gateway
        .json(&format!("/api/v1/cases/{reported}/evidence"))
        .await;
    assert_eq!(pack["gone"][0]["what"], "media", "{pack:#}");
    assert_eq!(pack["no_explanation"], "reported");

    for id in [id, reported] {
        for language in ["zh", "en"] {
            let page = text(&gateway, &format!("/cases/{id}/print?lang={language}")).await;
            let lower = page.to_lowercase();
            assert!(
                !lower.contains("<script") && !lower.contains("<img"),
                "{page}"
            );
            assert!(!lower.contains("a<i>1"), "{page}");
            assert!(
                page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
                "{page}"
            );
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_gone_since_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = start(folder.path()).await;
    // Long enough ago for its day to be over everywhere.
    let case = violate(&gateway, now_s() - 3 * 86_400).await;
    let id = case["id"].as_str().unwrap();
    let href = format!("/api/v1/cases/{id}/evidence");
    let before = gateway.json(&href).await;
    assert_eq!(before["gone"], json!([]));

    let store = &gateway.app().gateway().store;
    let until_then = Timestamp::from_seconds(now_s() - 86_400);
    let retention = Retention {
        positions_before: Some(until_then),
        quarantined_before: None,
    };
    assert!(store.retain(&retention).await.unwrap().days >= 1);
    let after = gateway.json(&href).await;
    let fixes = before["case"]["intervals"][0]["evidence"]["fixes"].clone();
    assert_eq!(
        after["case"]["intervals"][0]["evidence"]["fixes"], fixes,
        "the case keeps its own"
    );
    assert_eq!(after["gone"][0]["what"], "positions", "{after:#}");
    assert_eq!(after["gone"][0]["missing"], fixes.as_array().unwrap().len());
    assert_eq!(
        (&after["explanation"], &after["no_explanation"]),
        (&Value::Null, &json!("positions_gone"))
    );
    let page = text(&gateway, &format!("/cases/{id}/print?lang=en")).await;
    assert!(page.contains("No longer kept"), "{page}");
    assert!(
        page.contains("4 work hours") && page.contains("found"),
        "{page}"
    );
    // What the system says of itself is told in the language of the page.
    let chinese = text(&gateway, &format!("/cases/{id}/print?lang=zh")).await;
    assert!(
        chinese.contains("4 工作小时") && chinese.contains("自动发现"),
        "{chinese}"
    );
    for word in ["work hour", ">found<", "telemetry"] {
        assert!(!chinese.contains(word), "{word}: {chinese}");
    }
    assert!(
        page.contains("class=\"fix\""),
        "the fixes are drawn all the same"
    );
    gateway.stop().await;
}
