//! Cases under topics of an outer broker, as a receiver of deliveries: under their key, in order, once
//! for who knows the keys, whatever breaks on the way.

use std::collections::{BTreeMap, BTreeSet};

use harness::{
    TestGateway, now_s,
    proxy::{Proxy, Way},
    report, until,
};
use serde_json::Value;
use tools::{
    receive::{Secret, sign},
    wire::Revision,
};

use super::outer::{Heard, broker, tls_front};
use crate::{authority::Shown, deliveries::fences};

const SECRET: &str = "a-key-of-enough-characters";
const PHONES: [&str; 2] = ["13800000001", "13800000002"];

async fn city(url: &str, more: &str) -> (TestGateway, tempfile::TempDir) {
    let receivers = format!(
        "[{{name = \"city\", url = \"{url}\", secret = \"{SECRET}\", timeout = \"3s\", \
         retry_first = \"50ms\", retry_last = \"300ms\", breaker_first = \"50ms\", \
         breaker_last = \"300ms\", allow_private = true, \
         topic = \"city/cases/{{county}}/{{street}}/{{community}}/{{case}}\", \
         violations_topic = \"city/violations/{{county}}/{{violation}}\"{more}}}]"
    );
    let folder = tempfile::tempdir().unwrap();
    let mut vehicles = "vehicle,phone,plate,work_kind,fleet,name,speed_limit_kmh\n".to_owned();
    for number in 1..=9 {
        vehicles += &format!("V{number},1380000000{number},晋AR000{number},refuse_truck,F1,,60\n");
    }
    let mut settings = harness::catalog(folder.path(), &fences(), &vehicles);
    settings.push(("delivery.receivers".into(), receivers));
    let settings: Vec<_> = settings
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    (TestGateway::start(&settings).await, folder)
}

/// Drives north through the fence at 36 km/h, a fix a second.
async fn pass(gateway: &TestGateway, phone: &str, start: i64) {
    let mut terminal = gateway.terminal(phone, Revision::V2013).await;
    let mut last = 0;
    for second in 0..90_i32 {
        let north = 37.866 + f64::from(second) * 10.0 / 111_200.0;
        let mut fix = report(north, 112.55, start + i64::from(second));
        fix.heading_deg = 0;
        last = terminal.send_location(&fix).await.unwrap();
    }
    while terminal.response(last).await.unwrap().result != 0 {}
}

/// Attempts that found no broker, or no acknowledgement.
async fn failures(gateway: &TestGateway) -> u64 {
    let books = gateway.metrics().await;
    let of = |outcome: &str| {
        let name = "gridtrace_delivery_attempts_total";
        books.value(&format!(
            "{name}{{receiver=\"city\",outcome=\"{outcome}\"}}"
        ))
    };
    of("connect") + of("timeout")
}

async fn settled(gateway: &TestGateway) {
    gateway.drained().await;
    until("all is delivered", async || {
        let told = gateway.items("/api/v1/deliveries").await;
        let is_done = |one: &Value| one["state"] != "pending";
        (!told.is_empty() && told.iter().all(is_done)).then_some(())
    })
    .await;
}

/// Bodies of a kind in the order of their coming, each key once. The signatures are looked at, and
/// that a key always says the same.
fn bodies(heard: &Heard, kind: &str) -> Vec<Value> {
    let secret = Secret::new(SECRET).unwrap();
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut bodies = Vec::new();
    for (topic, message) in heard.lock().unwrap().iter() {
        if !topic.starts_with(&format!("city/{kind}/")) {
            continue;
        }
        let text = |name: &str| message[name].as_str().unwrap().to_owned();
        let (id, body) = (text("webhook-id"), text("body"));
        let seconds = text("webhook-timestamp").parse().unwrap();
        let signature = sign(&secret, &id, seconds, body.as_bytes());
        assert_eq!(text("webhook-signature"), signature);
        let parsed: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(parsed["id"], id);
        match known.insert(id, body.clone()) {
            Some(before) => assert_eq!(before, body, "one key for two things"),
            None => bodies.push(parsed),
        }
    }
    bodies
}

#[tokio::test(flavor = "multi_thread")]
async fn each_case_reaches_a_topic_once_by_its_key_and_in_order() {
    let (address, heard) = broker().await;
    // It has a runtime of its own.
    let proxy = tokio::task::block_in_place(|| Proxy::start(address));
    proxy.set(Way::Cut);
    let (gateway, _folder) = city(&format!("mqtt://{}", proxy.address()), "").await;
    let start = now_s() - 4_000;
    // Away at first. Then it takes what comes and its acknowledgements are lost, then it is silent, then
    // its connections break: with cases that change all the while.
    let ways = [
        Way::Cut,
        Way::Open,
        Way::Deaf,
        Way::Open,
        Way::Silent,
        Way::Open,
        Way::Cut,
    ];
    for (round, way) in (0_i64..).zip(ways) {
        let before = failures(&gateway).await;
        proxy.set(way);
        // A case that is new: of one that changes, what waits may be superseded.
        let new = format!("1380000000{}", round + 3);
        for phone in [new.as_str(), PHONES[0], PHONES[1]] {
            pass(&gateway, phone, start + round * 500).await;
        }
        if way == Way::Open {
            settled(&gateway).await;
            continue;
        }
        until("it was tried in vain", async || {
            (failures(&gateway).await > before).then_some(())
        })
        .await;
    }
    proxy.set(Way::Open);
    settled(&gateway).await;
    let cases = gateway.items("/api/v1/cases?limit=100").await;
    assert!(cases.len() >= 2, "{cases:#?}");
    let events = bodies(&heard, "cases");
    for case in &cases {
        let id = case["id"].as_str().unwrap();
        let own: Vec<_> = events.iter().filter(|e| e["case"]["id"] == id).collect();
        let sequences: Vec<_> = own.iter().map(|e| e["sequence"].as_u64()).collect();
        assert!(sequences.is_sorted(), "{sequences:?}");
        let newest = &own.last().unwrap()["case"];
        assert_eq!(newest["stage"], case["stage"]);
        assert_eq!(newest["version"], case["version"]);
    }
    let came = heard.lock().unwrap().len();
    let different = events.len() + bodies(&heard, "violations").len();
    assert!(came > different, "nothing came twice: nothing was at stake");
    // Each delivery is there, and nothing else.
    let told = gateway.items("/api/v1/deliveries?limit=1000").await;
    let delivered: BTreeSet<_> = told
        .iter()
        .filter(|one| one["state"] == "delivered")
        .map(|one| one["id"].as_str().unwrap())
        .collect();
    let keys: BTreeSet<_> = events.iter().map(|e| e["id"].as_str().unwrap()).collect();
    assert!(delivered.is_subset(&keys), "{delivered:?} {keys:?}");
    let known: BTreeSet<_> = told.iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert!(keys.is_subset(&known), "{keys:?} {known:?}");
    assert!(told.iter().all(|one| one["status"].is_null()), "{told:?}");
    // Of each case its violations.
    let violations = bodies(&heard, "violations");
    let found: BTreeSet<_> = violations
        .iter()
        .map(|v| v["violation"].as_str().unwrap())
        .collect();
    assert!(found.len() >= cases.len(), "{violations:#?}");
    assert!(violations.iter().any(|v| v["state"] == "ended"));
    gateway.stop().await;
    tokio::task::block_in_place(|| drop(proxy));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_without_the_right_certificate_gets_no_case() {
    let (address, heard) = broker().await;
    let shown = Shown::new();
    let ca = &shown.ca;
    for (signed, said) in &shown.pairs {
        heard.lock().unwrap().clear();
        let front = tls_front(address, signed).await;
        let url = format!("mqtts://localhost:{}", front.port());
        // What is to arrive may take its time.
        let max_age = said.map_or("1h", |_| "1s");
        let more = format!(", ca = \"{ca}\", max_age = \"{max_age}\"");
        let (gateway, _folder) = city(&url, &more).await;
        pass(&gateway, PHONES[0], now_s() - 200).await;
        settled(&gateway).await;
        let told = gateway.items("/api/v1/deliveries").await;
        match said {
            None => {
                assert!(
                    told.iter().any(|one| one["state"] == "delivered"),
                    "{told:?}"
                );
                assert!(!bodies(&heard, "cases").is_empty());
            }
            Some(said) => {
                let text = told[0]["said"].as_str().unwrap();
                assert!(text.contains(said), "{text}");
                assert!(heard.lock().unwrap().is_empty());
                let books = gateway.metrics().await;
                let name = "gridtrace_delivery_attempts_total{receiver=\"city\",outcome=\"tls\"}";
                assert!(books.value(name) > 0);
            }
        }
        gateway.stop().await;
    }
}
