//! Positions to an outer broker (rumqttd, behind a proxy) that is away, silent, dying and back.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use harness::{
    TestGateway, now_s,
    proxy::{Proxy, Way},
    report, until,
};
use rumqttd::{
    ConnectionSettings, Notification, Router, RouterConfig, Server, ServerSettings,
    local::LinkBuilder, protocol::v4::V4,
};
use serde_json::Value;
use tools::{terminal::Terminal, wire::Revision};

const PHONE: &str = "13800000001";

/// What came: topic and body, in the order of coming.
type Heard = Arc<Mutex<Vec<(String, Value)>>>;

/// A broker, and what was published to it.
async fn broker() -> (SocketAddr, Heard) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = free.local_addr().unwrap();
    drop(free);
    let router = Router::new(
        0,
        RouterConfig {
            max_connections: 100,
            max_outgoing_packet_count: 200,
            max_segment_size: 64 << 20,
            max_segment_count: 10,
            ..RouterConfig::default()
        },
    )
    .spawn();
    let settings = ServerSettings {
        name: "outer".to_owned(),
        listen,
        tls: None,
        next_connection_delay_ms: 1,
        connections: ConnectionSettings {
            connection_timeout_ms: 5_000,
            max_payload_size: 1 << 20,
            max_inflight_count: 200,
            auth: None,
            external_auth: None,
            dynamic_filters: false,
        },
    };
    let (mut sender, mut receiver, _) = LinkBuilder::new("reader", router.clone()).build().unwrap();
    sender.subscribe("city/#").unwrap();
    let heard = Heard::default();
    let told = Arc::clone(&heard);
    tokio::spawn(async move {
        // The link ends with its sender.
        let _sender = sender;
        loop {
            match receiver.next().await.unwrap() {
                Some(Notification::Forward(forward)) => {
                    let topic = String::from_utf8(forward.publish.topic.to_vec()).unwrap();
                    let body = serde_json::from_slice(&forward.publish.payload).unwrap();
                    told.lock().unwrap().push((topic, body));
                }
                Some(Notification::Unschedule) => receiver.wake().await.unwrap(),
                _ => {}
            }
        }
    });
    tokio::spawn(async move {
        let mut server = Server::new(settings, router, V4);
        server.start(rumqttd::LinkType::Remote).await.unwrap();
    });
    until("the broker listens", async || {
        tokio::net::TcpStream::connect(listen).await.ok()
    })
    .await;
    (listen, heard)
}

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
        let failed = "gridtrace_bridge_connects_total{result=\"failed\"}";
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
