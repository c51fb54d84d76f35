//! A broker that is not ours (rumqttd), and TLS in front of it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use harness::until;
use rumqttd::{
    ConnectionSettings, Notification, Router, RouterConfig, Server, ServerSettings,
    local::LinkBuilder, protocol::v4::V4,
};
use serde_json::Value;

pub(super) use crate::authority::tls_front;

/// What came: topic and body, in the order of coming.
pub(super) type Heard = Arc<Mutex<Vec<(String, Value)>>>;

/// A broker, and what was published to it.
pub(super) async fn broker() -> (SocketAddr, Heard) {
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
