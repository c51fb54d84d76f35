//! What the others notice of one that floods, or does not read: how long they wait for their
//! acknowledgements is measured before and meanwhile.

use std::time::{Duration, Instant};

use harness::{TestGateway, until, until_within};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};
use tools::{
    mqtt::{self, Client, Message},
    wire::{Phone, Revision, frame, message_id},
};

use super::{PHONE, password, position, start, topic};

const OTHERS: usize = 4;
const SENT_BY_EACH: usize = 50;

/// Terminals that mind their own business.
struct Others(Vec<Client>);

impl Others {
    async fn connect(gateway: &TestGateway) -> Self {
        let mut others = Vec::new();
        for number in 0..OTHERS {
            let phone = format!("1390013900{number}");
            let code = password(&gateway.http(), &phone).await;
            let leaves = ["errors"];
            let limit = harness::PATIENCE;
            let client =
                Client::open(gateway.mqtt(), &phone, code.as_bytes(), &leaves, limit).await;
            others.push(client.unwrap());
        }
        Self(others)
    }

    /// What half of the reports wait, each sent when the one before is acknowledged. Of the slowest of
    /// them a machine that does other things as well says nothing.
    async fn wait(&mut self) -> Duration {
        let mut waits = Vec::new();
        for number in 0..SENT_BY_EACH {
            for other in &mut self.0 {
                let payload = position(i64::try_from(number).unwrap());
                let (sent, packet) = other.compose("up/json", payload.as_bytes());
                let begun = Instant::now();
                other.send(&packet).await.unwrap();
                let heard = tokio::time::timeout(harness::PATIENCE, other.receive()).await;
                assert_eq!(
                    heard.unwrap().unwrap(),
                    Message::Acknowledged {
                        id: sent,
                        reason: 0
                    }
                );
                waits.push(begun.elapsed());
            }
        }
        waits.sort();
        waits[waits.len() / 2]
    }
}

/// Whoever has to wait for one that floods, or does not read, waits for seconds.
fn assert_alike(before: Duration, meanwhile: Duration) {
    let bound = before * 10 + Duration::from_millis(250);
    assert!(
        meanwhile < bound,
        "{before:?} before, {meanwhile:?} meanwhile"
    );
}

/// A terminal whose bytes are written by hand; it has come in, and reads nothing from now on.
async fn intruder(gateway: &TestGateway, phone: &str, filters: &[String]) -> TcpStream {
    let code = password(&gateway.http(), phone).await;
    let socket = TcpSocket::new_v4().unwrap();
    // The less the system takes for it, the sooner the gateway notices.
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(gateway.mqtt()).await.unwrap();
    let mut hello = mqtt::connect(phone, code.as_bytes(), false);
    if !filters.is_empty() {
        hello.extend(mqtt::subscribe(1, filters));
    }
    stream.write_all(&hello).await.unwrap();
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).await.unwrap();
    assert_eq!((connack[0], connack[3]), (0x20, 0), "{connack:02x?}");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn others_wait_no_longer_while_some_flood() {
    // The others send as fast as they are answered, which must not count as a flood.
    let gateway = start(&[
        ("mqtt.packets_per_second_max", "500"),
        ("mqtt.packets_burst_max", "500"),
    ])
    .await;
    let mut others = Others::connect(&gateway).await;
    let before = others.wait().await;
    let mut floods = Vec::new();
    for number in 0..3 {
        let phone = format!("1370013700{number}");
        let mut stream = intruder(&gateway, &phone, &[]).await;
        floods.push(tokio::spawn(async move {
            let mut packets = Vec::new();
            for id in 1..=1_000 {
                let payload = position(i64::from(id));
                mqtt::publish(
                    &mqtt::topic(&phone, "up/json"),
                    id,
                    payload.as_bytes(),
                    &mut packets,
                );
            }
            let (mut reader, mut writer) = stream.split();
            let mut nowhere = tokio::io::sink();
            let read = tokio::io::copy(&mut reader, &mut nowhere);
            let write = async { while writer.write_all(&packets).await.is_ok() {} };
            tokio::select! {
                _ = read => {}
                () = write => {}
            }
        }));
    }
    until("the floods are held back", async || {
        let throttled = gateway
            .metrics()
            .await
            .value("gridtrace_mqtt_throttled_total");
        (throttled > 3).then_some(())
    })
    .await;
    let meanwhile = others.wait().await;
    assert!(
        floods.iter().all(|flood| !flood.is_finished()),
        "a flood has ended"
    );
    assert_alike(before, meanwhile);
    for flood in floods {
        flood.abort();
    }
    gateway.drained().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_read_is_shown_out_and_others_do_not_notice() {
    let gateway = start(&[("tcp.write_timeout", "2s")]).await;
    let mut others = Others::connect(&gateway).await;
    let before = others.wait().await;
    let mut stream = intruder(&gateway, PHONE, &[topic("down/jt808")]).await;
    // Each frame is answered; the answers take several times the room.
    let phone = Phone::from_digits(PHONE, Revision::V2013).unwrap();
    let heartbeats: Vec<u8> = (0..1_500)
        .flat_map(|serial| frame(message_id::HEARTBEAT, &phone, serial, &[]).unwrap())
        .collect();
    let slow = tokio::spawn(async move {
        let mut sent = 0_u64;
        for id in 1..u16::MAX {
            let mut packet = Vec::new();
            mqtt::publish(&topic("up/jt808"), id, &heartbeats, &mut packet);
            if stream.write_all(&packet).await.is_err() {
                break;
            }
            sent += 1;
        }
        sent
    });
    let meanwhile = others.wait().await;
    until_within(Duration::from_secs(60), "it is shown out", async || {
        let books = gateway.metrics().await;
        let name = "gridtrace_connections_closed_total{reason=\"write_timeout\"}";
        (books.value(name) == 1).then_some(())
    })
    .await;
    let sent = slow.await.unwrap();
    assert!(
        sent < 10_000,
        "{sent} payloads were taken from one that does not read"
    );
    assert_alike(before, meanwhile);
    assert_alike(before, others.wait().await);
    gateway.drained().await;
    gateway.stop().await;
}
