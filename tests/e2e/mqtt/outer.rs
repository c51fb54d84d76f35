//! A broker that is not ours (rumqttd), and TLS in front of it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use harness::{ports, until};
use rumqttd::{
    ConnectionSettings, Notification, Router, RouterConfig, Server, ServerSettings,
    local::LinkBuilder, protocol::v4::V4,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

pub(super) use crate::authority::tls_front;

/// What came: topic and body, in the order of coming.
pub(super) type Heard = Arc<Mutex<Vec<(String, Value)>>>;

/// A broker, and what was published to it.
pub(super) async fn broker() -> (SocketAddr, Heard) {
    let listen = ports::own();
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
        TcpStream::connect(listen).await.ok()
    })
    .await;
    (gentle_front(listen).await, heard)
}

/// An address before the broker's where no connection ends between its CONNECT and the answer to it.
/// rumqttd 0.20 keeps what it has noted of such a one for its will, trips over that when the same client
/// comes again, and serves nobody from then on.
async fn gentle_front(broker: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            tokio::spawn(hand_on(near, broker));
        }
    });
    address
}

/// Ends when one of both does, but the far one not before it has answered for the first time.
async fn hand_on(near: TcpStream, broker: SocketAddr) {
    let far = TcpStream::connect(broker).await.unwrap();
    let (mut from_near, mut to_near) = near.into_split();
    let (mut from_far, mut to_far) = far.into_split();
    let (answered, is_answered) = oneshot::channel();
    let there = async {
        drop(tokio::io::copy(&mut from_near, &mut to_far).await);
        // An error: the broker has ended it.
        drop(is_answered.await);
    };
    let back = async {
        let mut connack = [0; 4];
        if from_far.read_exact(&mut connack).await.is_ok() {
            answered.send(()).unwrap();
            drop(to_near.write_all(&connack).await);
            drop(tokio::io::copy(&mut from_far, &mut to_near).await);
        }
    };
    tokio::select! {
        () = there => {}
        () = back => {}
    }
}
