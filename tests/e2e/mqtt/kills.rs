//! kill -9 under load: what was acknowledged is stored.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use harness::{http_client, process::Process, until};
use rumqttc::{AsyncClient, Event, Packet, QoS};
use serde_json::Value;

use super::{options, password};

const CLIENTS: usize = 8;
const ROUNDS: usize = 3;

/// Publishes until the connection is lost. Gives the fix times (milliseconds) that were acknowledged.
async fn load(
    at: std::net::SocketAddr,
    phone: String,
    code: String,
    next: Arc<AtomicI64>,
    heard: Arc<AtomicUsize>,
) -> Vec<i64> {
    let mut options = options(at, &phone, &code);
    options.set_inflight(20);
    let (client, mut events) = AsyncClient::new(options, 100);
    let topic = format!("gridtrace/terminals/{phone}/up/json");
    let (mut sent, mut acknowledged) = (vec![0; 65_536], Vec::new());
    let (mut queued, mut under_way) = (std::collections::VecDeque::new(), 0);
    loop {
        while under_way < 20 {
            let at_ms = next.fetch_add(1, Ordering::Relaxed);
            let time = gateway::clock::rfc3339(geofence::units::Timestamp(at_ms));
            let payload =
                format!(r#"{{"type":"position","time":"{time}","lat":37.87,"lon":112.55}}"#);
            client
                .try_publish(&topic, QoS::AtLeastOnce, false, payload)
                .unwrap();
            queued.push_back(at_ms);
            under_way += 1;
        }
        match events.poll().await {
            Ok(Event::Outgoing(rumqttc::Outgoing::Publish(pid))) => {
                sent[usize::from(pid)] = queued.pop_front().unwrap();
            }
            Ok(Event::Incoming(Packet::PubAck(answer))) => {
                acknowledged.push(sent[usize::from(answer.pkid)]);
                heard.fetch_add(1, Ordering::Relaxed);
                under_way -= 1;
            }
            Ok(_) => {}
            Err(_) => return acknowledged,
        }
    }
}

async fn stored(http: &str, phone: &str) -> HashSet<i64> {
    let mut times = HashSet::new();
    let mut cursor = String::new();
    loop {
        let path = format!(
            "/api/v1/terminals/{phone}/track?from=2026-01-01T00:00:00Z&to=2099-01-01T00:00:00Z&limit=10000{cursor}"
        );
        let (status, body) = http_client::get(http, &path).await.unwrap();
        let page: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(status, 200, "{page}");
        for item in page["items"].as_array().unwrap() {
            let time = item["fixed_at"].as_str().unwrap();
            let at = gateway::clock::parse_rfc3339(time).unwrap().millis();
            assert!(times.insert(at), "{time} is stored twice");
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return times,
        }
    }
}

async fn mqtt_of(http: &str) -> std::net::SocketAddr {
    let (_, body) = http_client::get(http, "/readyz").await.unwrap();
    let ready: Value = serde_json::from_slice(&body).unwrap();
    let listeners = ready["listeners"].as_array().unwrap();
    let mqtt = listeners
        .iter()
        .find(|one| one["transport"] == "mqtt")
        .unwrap();
    mqtt["address"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        ("GRIDTRACE__MQTT__PACKETS_PER_SECOND_MAX", "100000"),
        ("GRIDTRACE__MQTT__PACKETS_BURST_MAX", "1000"),
    ];
    let start = || {
        Process::start_with(
            "serve",
            folder.path(),
            &["--mqtt", "127.0.0.1:0"],
            &settings,
        )
    };
    let next = Arc::new(AtomicI64::new((harness::now_s() - 3_600) * 1_000));
    let phones: Vec<_> = (0..CLIENTS).map(|n| format!("1380013900{n}")).collect();
    let mut acknowledged: Vec<HashSet<i64>> = vec![HashSet::new(); CLIENTS];
    for round in 0..ROUNDS {
        let gateway = start();
        let at = mqtt_of(&gateway.http).await;
        let heard = Arc::new(AtomicUsize::new(0));
        let mut clients = Vec::new();
        for phone in &phones {
            let code = password(&gateway.http, phone).await;
            clients.push(tokio::spawn(load(
                at,
                phone.clone(),
                code,
                Arc::clone(&next),
                Arc::clone(&heard),
            )));
        }
        // Another moment in each round, in the midst of acknowledgements.
        until("some are acknowledged", async || {
            (heard.load(Ordering::Relaxed) > 100).then_some(())
        })
        .await;
        tokio::time::sleep(Duration::from_millis(137 * round as u64)).await;
        gateway.kill();
        for (client, all) in clients.into_iter().zip(&mut acknowledged) {
            all.extend(client.await.unwrap());
        }
    }
    let gateway = start();
    let books = async || harness::Books::scraped(&gateway.http).await.unwrap();
    let is_stored = |books: &harness::Books| books.lag() == Some(0);
    harness::done(books, is_stored)
        .await
        .expect("not all is stored");
    for (phone, all) in phones.iter().zip(&acknowledged) {
        let stored = stored(&gateway.http, phone).await;
        let missing = all.difference(&stored).count();
        assert_eq!(missing, 0, "of {} of {phone}", all.len());
    }
    assert!(gateway.terminate().success());
}
