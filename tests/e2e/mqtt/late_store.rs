//! A database that comes after the gateway.

use std::time::Duration;

use harness::{TestGateway, now_s, postgres::Postgres, report, until};
use serde_json::{Value, json};
use tools::wire::{Report, Revision};

use super::published::{PHONE, city, subscriber};

/// One that does not report before the database is back, and one that sends what it had kept.
const SILENT: &str = "13800000002";
const KEPT_SOME: &str = "13800000003";
const AWAY: Duration = Duration::from_secs(3);

async fn send(gateway: &TestGateway, phone: &str, reports: &[Report]) {
    let mut terminal = gateway.terminal(phone, Revision::V2013).await;
    for portion in reports.chunks(20) {
        let serial = terminal.send_batch(false, portion).await.unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    }
}

/// What is said to be missing.
async fn missing(gateway: &TestGateway) -> String {
    gateway.json("/readyz").await["degraded"].to_string()
}

/// Phones and times of the newest positions, as the map has them.
async fn newest(gateway: &TestGateway) -> Vec<(Value, Value)> {
    let items = gateway.items("/api/v1/positions/latest").await;
    let newest = items
        .iter()
        .map(|item| (item["phone"].clone(), item["fixed_at"].clone()));
    newest.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_has_is_shown_once_it_is_there() {
    let Some(mut server) = Postgres::start() else {
        return;
    };
    let (gateway, _folder) = city(&[("store.url", &server.database())]).await;
    let start = now_s() - 400;
    // Into the fence, where it stays: a case is open.
    let into: Vec<_> = (0..100_u32)
        .map(|second| {
            let north = 37.8640 + f64::from(second.min(60)) * 0.0001;
            let mut fix = report(north, 112.54, start + i64::from(second));
            fix.heading_deg = 0;
            fix
        })
        .collect();
    send(&gateway, PHONE, &into).await;
    send(&gateway, SILENT, &[report(37.86, 112.54, start)]).await;
    send(&gateway, KEPT_SOME, &[report(37.86, 112.54, start)]).await;
    gateway.drained().await;
    until("the case is open", async || {
        gateway.items("/api/v1/cases").await.first().cloned()
    })
    .await;

    server.crash();
    let gateway = gateway.restart().await;
    let said = missing(&gateway).await;
    assert!(
        said.contains("live map: ") && said.contains("open cases: "),
        "{said}"
    );
    let later = report(37.87, 112.54, start + 200);
    send(&gateway, PHONE, &[later]).await;
    send(&gateway, KEPT_SOME, &[report(37.86, 112.541, start - 100)]).await;
    let at = |second: i64| {
        json!(gateway::clock::rfc3339(
            geofence::units::Timestamp::from_seconds(start + second)
        ))
    };
    assert_eq!(
        newest(&gateway).await,
        [(json!(PHONE), at(200)), (json!(KEPT_SOME), at(-100))]
    );
    tokio::time::sleep(AWAY).await;
    server.restart();
    until("everything is loaded", async || {
        (missing(&gateway).await == "[]").then_some(())
    })
    .await;
    let expected = [
        (json!(PHONE), at(200)),
        (json!(SILENT), at(0)),
        (json!(KEPT_SOME), at(0)),
    ];
    assert_eq!(newest(&gateway).await, expected);
    let mut newcomer = subscriber(&gateway, "all", "gridtrace/cases/#").await;
    let message = newcomer.message().await;
    let case: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!((message.retain, &case["kind"]), (true, &json!("keep_out")));
    gateway.drained().await;
    gateway.stop().await;
}
