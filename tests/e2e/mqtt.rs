//! MQTT: terminals over real sockets with clients that are not ours.

mod bridge;
mod commands;
mod followers;
mod interoperability;
mod kills;
mod late_store;
mod limits;
mod neighbours;
mod outer;
mod paho;
mod published;
mod receivers;
mod rights;
mod tools;
mod uplink;
mod websocket;

use std::{net::SocketAddr, time::Duration};

use harness::{
    PATIENCE, TestGateway,
    http_client::{self, Method},
};
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, MqttOptions, Packet, QoS,
    mqttbytes::v4::{Publish, SubscribeReasonCode},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
};

const PHONE: &str = "13800138000";

/// A gateway that listens for MQTT, with more settings.
async fn start(more: &[(&str, &str)]) -> TestGateway {
    let mut settings = vec![("mqtt.listen", "127.0.0.1:0")];
    settings.extend(more);
    TestGateway::start(&settings).await
}

/// What a terminal shows in its CONNECT.
async fn password(http: &str, phone: &str) -> String {
    let path = format!("/api/v1/terminals/{phone}/password");
    let (status, body) = http_client::ask(http, Method::POST, &path, None)
        .await
        .unwrap();
    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
    let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
    answer["password"].as_str().unwrap().to_owned()
}

fn topic(leaf: &str) -> String {
    format!("gridtrace/terminals/{PHONE}/{leaf}")
}

/// A position as JSON; `number` makes it another one.
fn position(number: i64) -> String {
    let at = gateway::clock::rfc3339(geofence::units::Timestamp(harness::now_s() * 1_000));
    format!(
        r#"{{"type":"position","time":"{at}","lat":37.87,"lon":112.55,"speed_kmh":36,"acc":true,"odometer_km":{number}}}"#
    )
}

fn options(at: SocketAddr, phone: &str, password: &str) -> MqttOptions {
    let mut options = MqttOptions::new(phone, at.ip().to_string(), at.port());
    options.set_credentials(phone, password);
    options.set_keep_alive(Duration::from_secs(30));
    options
}

/// A client of version 3.1.1.
struct Device {
    client: AsyncClient,
    events: mpsc::Receiver<Result<Packet, ConnectionError>>,
}

impl Device {
    /// Connects; an error is the first event then.
    fn with(options: MqttOptions) -> Self {
        let (client, mut events) = AsyncClient::new(options, 10_000);
        let (sender, receiver) = mpsc::channel(100_000);
        tokio::spawn(async move {
            loop {
                let event = match events.poll().await {
                    Ok(Event::Incoming(packet)) => Ok(packet),
                    Ok(Event::Outgoing(_)) => continue,
                    Err(error) => Err(error),
                };
                let is_last = event.is_err();
                if sender.send(event).await.is_err() || is_last {
                    return;
                }
            }
        });
        Self {
            client,
            events: receiver,
        }
    }

    /// A terminal that was let in.
    async fn connect(gateway: &TestGateway, phone: &str) -> Self {
        let password = password(&gateway.http(), phone).await;
        let mut device = Self::with(options(gateway.mqtt(), phone, &password));
        device.accepted().await;
        device
    }

    async fn accepted(&mut self) {
        let first = self.next().await.unwrap();
        let Packet::ConnAck(answer) = first else {
            panic!("{first:?}");
        };
        assert_eq!(answer.code, ConnectReturnCode::Success);
    }

    async fn next(&mut self) -> Result<Packet, ConnectionError> {
        tokio::time::timeout(PATIENCE, self.events.recv())
            .await
            .expect("nothing came")
            .expect("the connection is over")
    }

    /// Waits until the connection is over.
    async fn ended(&mut self) -> ConnectionError {
        loop {
            if let Err(error) = self.next().await {
                return error;
            }
        }
    }

    async fn publish(&self, topic: &str, qos: QoS, payload: impl Into<Vec<u8>>) {
        self.client
            .publish(topic, qos, false, payload)
            .await
            .unwrap();
    }

    /// Publishes and waits for the acknowledgement.
    async fn send(&mut self, topic: &str, payload: impl Into<Vec<u8>>) {
        self.publish(topic, QoS::AtLeastOnce, payload).await;
        loop {
            if let Packet::PubAck(_) = self.next().await.unwrap() {
                return;
            }
        }
    }

    async fn subscribe(&mut self, filter: &str, qos: QoS) -> SubscribeReasonCode {
        self.client.subscribe(filter, qos).await.unwrap();
        loop {
            if let Packet::SubAck(answer) = self.next().await.unwrap() {
                return answer.return_codes[0];
            }
        }
    }

    async fn message(&mut self) -> Publish {
        loop {
            if let Packet::Publish(message) = self.next().await.unwrap() {
                return message;
            }
        }
    }
}

/// A field with its length.
fn text(value: &str) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap();
    [&length.to_be_bytes(), value.as_bytes()].concat()
}

/// CONNECT as bytes, of version 4 (3.1.1) or 5.
fn connect_bytes(version: u8, client: &str, user: &str, password: &str, keep_alive: u8) -> Vec<u8> {
    let properties: &[u8] = if version == 5 { &[0] } else { &[] };
    let body = [
        &text("MQTT")[..],
        &[version, 0xC2, 0, keep_alive],
        properties,
        &text(client),
        &text(user),
        &text(password),
    ]
    .concat();
    [&[0x10, u8::try_from(body.len()).unwrap()], &body[..]].concat()
}

/// A stream that has sent bytes.
async fn raw(at: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// What comes until the gateway closes.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes));
    // A reset is an end as well.
    drop(read.await.expect("the connection stays open"));
    bytes
}
