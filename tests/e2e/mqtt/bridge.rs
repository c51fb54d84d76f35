//! Positions to an outer broker (rumqttd, behind a proxy) that is away, silent, dying and back.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use harness::{
    TestGateway, now_s,
    proxy::{Proxy, Way},
    report, until,
};
use tools::{terminal::Terminal, wire::Revision};

use super::outer::{Heard, broker, tls_front};
use crate::authority::Shown;

const PHONE: &str = "13800000001";

/// Sends so many more fixes, a second apart, and waits for each acknowledgement.
async fn send(terminal: &mut Terminal, sent: &mut i64, count: i64, start: i64) {
    for _ in 0..count {
        let serial = terminal
            .send_location(&report(37.87, 112.54, start + *sent))
            .await
            .unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
        *sent += 1;
    }
}

fn different(heard: &Heard) -> usize {
    let heard = heard.lock().unwrap();
    let ids: HashSet<_> = heard
        .iter()
        .map(|(_, body)| body["id"].to_string())
        .collect();
    ids.len()
}

async fn arrived(heard: &Heard, count: i64) {
    let count = usize::try_from(count).unwrap();
    until("all positions are there", async || {
        (different(heard) == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_position_reaches_an_outer_broker_that_comes_and_goes() {
    let (address, heard) = broker().await;
    // It has a runtime of its own.
    let proxy = tokio::task::block_in_place(|| Proxy::start(address));
    proxy.set(Way::Cut);
    let outer = proxy.address().to_string();
    let gateway = TestGateway::start(&[
        ("bridge.address", &outer),
        ("bridge.topic_prefix", "city"),
        ("bridge.inflight_max", "10"),
        ("bridge.ack_timeout", "1s"),
    ])
    .await;
    let (start, mut sent) = (now_s() - 5_000, 0);
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    // Away from the beginning.
    send(&mut terminal, &mut sent, 300, start).await;
    until("it was tried", async || {
        let failed = "gridtrace_bridge_connects_total{result=\"connect\"}";
        (gateway.metrics().await.value(failed) > 0).then_some(())
    })
    .await;
    let lag = "gridtrace_log_lag_records{consumer=\"bridge\"}";
    assert!(gateway.metrics().await.value(lag) >= 300);
    let (status, ready) = gateway
        .ask(harness::http_client::Method::GET, "/readyz", None)
        .await;
    assert_eq!(status, 200, "nobody waits for it: {ready}");
    // Back.
    proxy.set(Way::Open);
    arrived(&heard, sent).await;
    // It takes and says nothing, then its connections break, in the middle of a load.
    for way in [Way::Silent, Way::Cut, Way::Open, Way::Cut, Way::Open] {
        send(&mut terminal, &mut sent, 100, start).await;
        proxy.set(way);
        send(&mut terminal, &mut sent, 100, start).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    arrived(&heard, sent).await;
    // And the gateway ends while the broker is away.
    proxy.set(Way::Cut);
    send(&mut terminal, &mut sent, 100, start).await;
    drop(terminal);
    let gateway = gateway.restart().await;
    proxy.set(Way::Open);
    arrived(&heard, sent).await;
    gateway.drained().await;
    let heard = heard.lock().unwrap().clone();
    // In order: what is new is always the next one.
    let mut first: HashMap<String, usize> = HashMap::new();
    for (topic, body) in &heard {
        assert_eq!(*topic, format!("city/positions/none/none/none/{PHONE}"));
        let number = first.len();
        let place = *first.entry(body["id"].to_string()).or_insert(number);
        let fixed_at = gateway::clock::parse_rfc3339(body["fixed_at"].as_str().unwrap()).unwrap();
        let second = fixed_at.millis() / 1_000 - start;
        assert_eq!(usize::try_from(second).unwrap(), place, "out of order");
    }
    gateway.stop().await;
    tokio::task::block_in_place(|| drop(proxy));
}

/// Terminals come and go while the outer broker is away; then it hears of each, in order, and of the
/// end of sessions that a process did not live to see.
#[tokio::test(flavor = "multi_thread")]
async fn an_outer_broker_hears_who_came_and_went() {
    let (address, heard) = broker().await;
    let proxy = tokio::task::block_in_place(|| Proxy::start(address));
    proxy.set(Way::Cut);
    let outer = proxy.address().to_string();
    let gateway = TestGateway::start(&[
        ("bridge.address", &outer),
        ("bridge.topic_prefix", "city"),
        ("bridge.kinds", "online"),
        ("bridge.ack_timeout", "1s"),
    ])
    .await;
    for _ in 0..3 {
        let (start, mut sent) = (now_s() - 100, 0);
        let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
        send(&mut terminal, &mut sent, 1, start).await;
        drop(terminal);
        until("the session has ended", async || {
            (gateway.app_sessions() == 0).then_some(())
        })
        .await;
    }
    let gateway = gateway.restart().await;
    proxy.set(Way::Open);
    arrived(&heard, 6).await;
    let told = heard.lock().unwrap().clone();
    let mut online: Vec<_> = told
        .iter()
        .map(|(_, body)| body["online"] == true)
        .collect();
    online.dedup();
    assert_eq!(online, [true, false, true, false, true, false]);
    for (topic, body) in &told {
        assert_eq!(*topic, format!("city/online/none/none/none/{PHONE}"));
        assert_eq!(body["phone"], PHONE);
    }
    let books = gateway.metrics().await;
    assert_eq!(
        books.sum("gridtrace_bridge_records_total"),
        0,
        "no positions"
    );
    gateway.stop().await;
    tokio::task::block_in_place(|| drop(proxy));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_right_certificate_opens_the_way_to_an_outer_broker() {
    let (address, heard) = broker().await;
    let shown = Shown::new();
    for (signed, said) in &shown.pairs {
        heard.lock().unwrap().clear();
        let front = tls_front(address, signed).await;
        let outer = format!("localhost:{}", front.port());
        let gateway = TestGateway::start(&[
            ("bridge.address", &outer),
            ("bridge.topic_prefix", "city"),
            ("bridge.tls", "true"),
            ("bridge.ca", &shown.ca),
        ])
        .await;
        let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
        send(&mut terminal, &mut 0, 3, now_s() - 100).await;
        let connects = |result| format!("gridtrace_bridge_connects_total{{result=\"{result}\"}}");
        if said.is_none() {
            arrived(&heard, 3).await;
            assert_eq!(gateway.metrics().await.value(&connects("tls")), 0);
        } else {
            until("it is refused, and counted", async || {
                (gateway.metrics().await.value(&connects("tls")) > 1).then_some(())
            })
            .await;
            assert_eq!(different(&heard), 0);
            assert_eq!(gateway.metrics().await.value(&connects("ok")), 0);
        }
        drop(terminal);
        gateway.stop().await;
    }
}
