//! MQTT in frames of WebSocket.

use std::{path::Path, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use harness::{PATIENCE, TestGateway, until};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest as _, error::Error},
};
use tools::wire::{Phone, Revision, frame, message_id};

use super::{
    PHONE, connect_bytes,
    paho::{self, python},
    password, position, published, raw, rest, start, topic,
};

const LISTEN: (&str, &str) = ("mqtt.websocket.listen", "127.0.0.1:0");

/// Packets of one client, in frames.
struct Framed(WebSocketStream<TcpStream>);

impl Framed {
    async fn open(gateway: &TestGateway) -> Self {
        let url = format!("ws://{}/mqtt", gateway.mqtt_ws());
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("Sec-WebSocket-Protocol", "mqtt".parse().unwrap());
        let stream = TcpStream::connect(gateway.mqtt_ws()).await.unwrap();
        let (stream, answer) = client_async(request, stream).await.unwrap();
        assert_eq!(answer.headers()["Sec-WebSocket-Protocol"], "mqtt");
        Self(stream)
    }

    async fn log_in(gateway: &TestGateway, version: u8) -> Self {
        let code = password(&gateway.http(), PHONE).await;
        let mut framed = Self::open(gateway).await;
        framed
            .send(&connect_bytes(version, PHONE, PHONE, &code, 60))
            .await;
        assert_eq!(framed.bytes(4).await[0], 0x20);
        framed
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0
            .send(Message::Binary(bytes.to_vec().into()))
            .await
            .unwrap();
    }

    async fn next(&mut self) -> Option<Result<Message, Error>> {
        tokio::time::timeout(PATIENCE, self.0.next())
            .await
            .expect("nothing came")
    }

    /// At least so many bytes, of as many frames as it takes.
    async fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < count {
            match self.next().await.expect("the end").unwrap() {
                Message::Binary(more) => bytes.extend_from_slice(&more),
                other => panic!("{other:?}"),
            }
        }
        bytes
    }

    /// The code with which the gateway closes; whatever comes before is passed over.
    async fn close_code(&mut self) -> u16 {
        loop {
            match self.next().await.expect("no code").unwrap() {
                Message::Close(frame) => return frame.unwrap().code.into(),
                _ => continue,
            }
        }
    }
}

/// A PUBLISH of quality 1, of version 3.1.1.
fn publish(id: u16, leaf: &str, payload: &[u8]) -> Vec<u8> {
    let body = [&super::text(&topic(leaf))[..], &id.to_be_bytes(), payload].concat();
    let mut packet = vec![0x32];
    let mut left = body.len();
    while left >= 128 {
        packet.push(u8::try_from(left % 128 + 128).unwrap());
        left /= 128;
    }
    packet.push(u8::try_from(left).unwrap());
    packet.extend(body);
    packet
}

async fn counted(gateway: &TestGateway, series: &str) {
    gateway.counted(series, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_may_span_frames_and_share_them_and_pings_are_answered() {
    let gateway = start(&[LISTEN]).await;
    let code = password(&gateway.http(), PHONE).await;
    let mut framed = Framed::open(&gateway).await;
    for byte in connect_bytes(4, PHONE, PHONE, &code, 60) {
        framed.send(&[byte]).await;
    }
    assert_eq!(framed.bytes(4).await, [0x20, 2, 0, 0]);
    let (first, second) = (
        publish(1, "up/json", position(1).as_bytes()),
        publish(2, "up/json", position(2).as_bytes()),
    );
    let third = publish(3, "up/json", position(3).as_bytes());
    let both = [&first[..], &second, &third[..20]].concat();
    framed.send(&both).await;
    framed.send(&[]).await;
    let mut acknowledged = framed.bytes(8).await;
    framed.send(&third[20..]).await;
    acknowledged.extend(framed.bytes(4).await);
    let expected: Vec<u8> = [1, 2, 3]
        .into_iter()
        .flat_map(|id| [0x40, 2, 0, id])
        .collect();
    assert_eq!(acknowledged, expected);
    framed
        .0
        .send(Message::Ping(b"there?".to_vec().into()))
        .await
        .unwrap();
    let pong = framed.next().await.unwrap().unwrap();
    assert_eq!(pong, Message::Pong(b"there?".to_vec().into()));
    let ready = gateway.json("/readyz").await;
    assert!(
        ready["listeners"].to_string().contains("mqtt_ws"),
        "{ready}"
    );
    let books = gateway.drained().await;
    assert_eq!(books.value("gridtrace_positions_recorded_total"), 3);
    framed.send(&[0xE0, 0]).await;
    assert_eq!(framed.close_code().await, 1000);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_and_messages_that_are_too_long_end_the_connection_with_their_code() {
    let gateway = start(&[LISTEN, ("mqtt.websocket.message_bytes_max", "32KiB")]).await;
    let mut framed = Framed::log_in(&gateway, 4).await;
    framed.0.send(Message::Text("{}".into())).await.unwrap();
    assert_eq!(framed.close_code().await, 1003);
    let refused = |reason| format!("gridtrace_mqtt_websocket_refused_total{{reason=\"{reason}\"}}");
    counted(&gateway, &refused("text")).await;
    // A frame of 32 KiB and a byte, of which nothing but the header is there.
    let mut framed = Framed::log_in(&gateway, 4).await;
    let header = [&[0x82, 0xFE][..], &32_769_u16.to_be_bytes(), &[0; 4]].concat();
    framed.0.get_mut().write_all(&header).await.unwrap();
    assert_eq!(framed.close_code().await, 1009);
    counted(&gateway, &refused("oversize")).await;
    // Many small ones that are one message.
    let mut framed = Framed::log_in(&gateway, 4).await;
    for number in 0..40 {
        let opcode = if number == 0 { 0x02 } else { 0x00 };
        let header = [&[opcode, 0xFE][..], &1_024_u16.to_be_bytes(), &[0; 4]].concat();
        let frame = [&header[..], &[0; 1_024]].concat();
        if framed.0.get_mut().write_all(&frame).await.is_err() {
            break;
        }
    }
    // Whoever still writes may hear of the end alone.
    while !matches!(
        framed.next().await,
        None | Some(Err(_) | Ok(Message::Close(_)))
    ) {}
    until("it is counted", async || {
        (gateway.metrics().await.value(&refused("oversize")) == 2).then_some(())
    })
    .await;
    // Who has shown no password has the room of a CONNECT.
    let mut framed = Framed::open(&gateway).await;
    let header = [&[0x82, 0xFE][..], &4_097_u16.to_be_bytes(), &[0; 4]].concat();
    framed.0.get_mut().write_all(&header).await.unwrap();
    assert_eq!(framed.close_code().await, 1009);
    // A packet that is too long is refused as everywhere, whatever the frames are.
    let mut framed = Framed::log_in(&gateway, 5).await;
    framed.send(b"\x30\x81\x80\x02").await;
    let goodbye = framed.bytes(3).await;
    assert!(
        goodbye.starts_with(&[0xE0]) && goodbye[2] == 0x95,
        "{goodbye:02x?}"
    );
    // Frames that are none, and pings without end.
    let mut framed = Framed::log_in(&gateway, 4).await;
    framed
        .0
        .get_mut()
        .write_all(&[0x82, 0x01, 0x00])
        .await
        .unwrap();
    assert_eq!(framed.close_code().await, 1002);
    counted(&gateway, &refused("malformed")).await;
    let mut framed = Framed::log_in(&gateway, 4).await;
    for _ in 0..200 {
        if framed
            .0
            .feed(Message::Ping(Vec::new().into()))
            .await
            .is_err()
        {
            break;
        }
    }
    drop(framed.0.flush().await);
    while !matches!(
        framed.next().await,
        None | Some(Err(_) | Ok(Message::Close(_)))
    ) {}
    counted(&gateway, &refused("flood")).await;
    gateway.stop().await;
}

/// Many that connect, and say nothing or begin and say no more.
async fn say_nothing(gateway: &TestGateway) -> Vec<TcpStream> {
    let mut silent = Vec::new();
    for number in 0..50 {
        let text = if number % 2 == 0 {
            ""
        } else {
            "GET /broker HTTP/1.1\r\n"
        };
        silent.push(raw(gateway.mqtt_ws(), text.as_bytes()).await);
    }
    silent
}

/// The first bytes of the answer to a request.
async fn begin_of_answer(gateway: &TestGateway, request: &str) -> [u8; 12] {
    let mut stream = raw(gateway.mqtt_ws(), request.as_bytes()).await;
    let mut answer = [0; 12];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut answer))
        .await
        .expect("somebody was in the way")
        .unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_none_is_refused_and_who_is_silent_is_in_nobodys_way() {
    let gateway = start(&[
        LISTEN,
        // Longer than anything is waited for: who would have to wait for the silent ones fails.
        ("mqtt.websocket.handshake_timeout", "60s"),
        ("mqtt.websocket.path", "/broker"),
        ("mqtt.websocket.origins", "https://city.example"),
    ])
    .await;
    let silent = say_nothing(&gateway).await;
    let lines = "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: \
                 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mqtt = "Sec-WebSocket-Protocol: mqtt\r\n";
    let long = format!("Cookie: {}\r\n", "x".repeat(9_000));
    for (path, more, status) in [
        ("/mqtt", mqtt.to_owned(), "404"),
        ("/broker", String::new(), "400"),
        (
            "/broker",
            format!("{mqtt}Origin: https://evil.example\r\n"),
            "403",
        ),
        ("/broker", format!("{mqtt}{long}"), "431"),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\n{lines}{more}\r\n");
        let answer = begin_of_answer(&gateway, &request).await;
        assert_eq!(answer, format!("HTTP/1.1 {status}").as_bytes(), "{path}");
    }
    let garbage = rest(&mut raw(gateway.mqtt_ws(), b"\x10\x0c\x00\x04MQTT\r\n\r\n").await).await;
    assert!(garbage.starts_with(b"HTTP/1.1 400 "), "{garbage:02x?}");
    let request =
        format!("GET /broker HTTP/1.1\r\n{lines}{mqtt}Origin: https://city.example\r\n\r\n");
    assert_eq!(&begin_of_answer(&gateway, &request).await, b"HTTP/1.1 101");
    let books = gateway.metrics().await;
    let count = |result| {
        let name = "gridtrace_mqtt_websocket_handshakes_total";
        books.value(&format!("{name}{{result=\"{result}\"}}"))
    };
    let found = [
        "ok",
        "timeout",
        "path",
        "subprotocol",
        "origin",
        "oversize",
        "malformed",
    ]
    .map(count);
    assert_eq!(found, [1, 0, 1, 1, 1, 1, 1]);
    drop(silent);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_ends_at_the_deadline_of_the_request() {
    let gateway = start(&[LISTEN, ("mqtt.websocket.handshake_timeout", "1s")]).await;
    let begun = std::time::Instant::now();
    for stream in &mut say_nothing(&gateway).await {
        assert_eq!(rest(stream).await, b"");
    }
    assert!(
        begun.elapsed() > Duration::from_millis(900),
        "{:?}",
        begun.elapsed()
    );
    let ended = "gridtrace_mqtt_websocket_handshakes_total{result=\"timeout\"}";
    gateway.counted(ended, 50).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_and_had_no_room_is_taken_when_there_is_room() {
    let gateway = start(&[LISTEN]).await;
    let mut framed = Framed::log_in(&gateway, 4).await;
    let filter = super::text(&topic("down/jt808"));
    let body = [&[0, 9][..], &filter, &[0]].concat();
    framed
        .send(&[&[0x82, u8::try_from(body.len()).unwrap()], &body[..]].concat())
        .await;
    assert_eq!(framed.bytes(5).await, [0x90, 3, 0, 9, 0]);
    // The answers take more room than there is, and the last packets came in the same message: when
    // all answers have left, nothing else happens that would have them taken.
    let phone = Phone::from_digits(PHONE, Revision::V2013).unwrap();
    let heartbeats: Vec<u8> = (0..2_000)
        .flat_map(|serial| frame(message_id::HEARTBEAT, &phone, serial, &[]).unwrap())
        .collect();
    let mut message = publish(1, "up/jt808", &heartbeats);
    for id in 2..=5 {
        message.extend(publish(id, "up/json", position(i64::from(id)).as_bytes()));
    }
    framed.send(&message).await;
    let mut came = Vec::new();
    while !came.ends_with(&[0x40, 2, 0, 5]) {
        came.extend(framed.bytes(1).await);
    }
    assert!(
        came.len() > 64 * 1024,
        "{} bytes had room at once",
        came.len()
    );
    gateway.drained().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_leaves_its_will_and_the_terminal_is_offline() {
    let gateway = start(&[LISTEN]).await;
    let code = password(&gateway.http(), PHONE).await;
    let will = r#"{"type":"event","event":"offline"}"#;
    let fields = [PHONE, &topic("up/json"), will, PHONE, &code]
        .map(super::text)
        .concat();
    let body = [&super::text("MQTT")[..], &[4, 0xCE, 0, 60], &fields].concat();
    let length = body.len();
    let header = [
        0x10,
        u8::try_from(length % 128 + 128).unwrap(),
        u8::try_from(length / 128).unwrap(),
    ];
    let mut framed = Framed::open(&gateway).await;
    framed.send(&[&header[..], &body].concat()).await;
    assert_eq!(framed.bytes(4).await, [0x20, 2, 0, 0]);
    assert_eq!(gateway.app_sessions(), 1);
    framed.0.get_mut().shutdown().await.unwrap();
    drop(framed);
    counted(&gateway, "gridtrace_mqtt_publishes_total{result=\"json\"}").await;
    until("it is offline", async || {
        (gateway.app_sessions() == 0).then_some(())
    })
    .await;
    counted(
        &gateway,
        "gridtrace_connections_closed_total{reason=\"peer\"}",
    )
    .await;
    gateway.stop().await;
}

/// Runs the script for clients of another language against one listener.
async fn speak(python: &Path, at: std::net::SocketAddr, ca: &str, code: &str) {
    let (host, port) = (at.ip().to_string(), at.port().to_string());
    let (phone, word) = (published::PHONE, published::PASSWORD);
    paho::run(
        python,
        "websocket.py",
        &[&host, &port, ca, phone, code, "west", word],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paho_publishes_and_follows_over_websocket_with_tls_and_without() {
    let Some(python) = python().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    std::fs::write(&certificate, own.cert.pem()).unwrap();
    std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    let certificate = certificate.to_str().unwrap();
    let (gateway, _folder) = published::city(&[
        LISTEN,
        ("mqtt.websocket.tls_listen", "127.0.0.1:0"),
        ("tls.certificate", certificate),
        ("tls.key", key.to_str().unwrap()),
        ("terminals.takeovers_per_minute_max", "100"),
    ])
    .await;
    let code = password(&gateway.http(), published::PHONE).await;
    speak(&python, gateway.mqtt_ws(), "", &code).await;
    speak(&python, gateway.mqtt_wss(), certificate, &code).await;
    let books = gateway.drained().await;
    // Two versions over each listener.
    assert_eq!(books.value("gridtrace_positions_recorded_total"), 4);
    let opened = |kind| format!("gridtrace_connections_opened_total{{transport=\"{kind}\"}}");
    assert_eq!(
        (
            books.value(&opened("mqtt_ws")),
            books.value(&opened("mqtt_wss"))
        ),
        (4, 4)
    );
    gateway.stop().await;
}
