//! Bounds: what one client does harms no other.

use std::time::{Duration, Instant};

use harness::{PATIENCE, until};
use rumqttc::{QoS, mqttbytes::v4::SubscribeReasonCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Device, PHONE, connect_bytes, password, position, raw, rest, start, topic};

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_slowed_down_and_others_do_not_notice() {
    const SENT: u64 = 300;
    let gateway = start(&[
        ("mqtt.packets_per_second_max", "50"),
        ("mqtt.packets_burst_max", "20"),
    ])
    .await;
    let flood = Device::connect(&gateway, "13800138001").await;
    let mut other = Device::connect(&gateway, PHONE).await;
    let count = async || {
        gateway
            .metrics()
            .await
            .value("gridtrace_positions_recorded_total")
    };
    let begun = Instant::now();
    for number in 0..SENT {
        let topic = "gridtrace/terminals/13800138001/up/json";
        let number = i64::try_from(number).unwrap();
        flood
            .publish(topic, QoS::AtLeastOnce, position(number))
            .await;
    }
    other.send(&topic("up/json"), position(1)).await;
    // However long that took, also with a standstill in between, behind which the flood may go on with 20
    // at once and no more.
    assert!(count().await < SENT, "the other one had to wait for it");
    until("the flood is taken in its time", async || {
        (count().await == SENT + 1).then_some(())
    })
    .await;
    // 20 at once, then 50 a second.
    assert!(
        begun.elapsed() > Duration::from_millis(5_000),
        "{:?}",
        begun.elapsed()
    );
    assert!(
        gateway
            .metrics()
            .await
            .value("gridtrace_mqtt_throttled_total")
            > 100
    );
    gateway.drained().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_that_is_too_long_ends_its_connection_before_it_comes() {
    let gateway = start(&[("mqtt.packet_bytes_max", "2KiB")]).await;
    let code = password(&gateway.http(), PHONE).await;
    // A CONNECT of 5 KiB, of which nothing but the header is there.
    assert_eq!(
        rest(&mut raw(gateway.mqtt(), b"\x10\x80\x28").await).await,
        b""
    );
    for (version, goodbye) in [(4, &b""[..]), (5, b"\xE0\x02\x95\x00")] {
        let mut stream = raw(
            gateway.mqtt(),
            &connect_bytes(version, PHONE, PHONE, &code, 60),
        )
        .await;
        let mut connack = [0; 2];
        stream.read_exact(&mut connack).await.unwrap();
        let mut properties = vec![0; usize::from(connack[1])];
        stream.read_exact(&mut properties).await.unwrap();
        stream.write_all(b"\x30\x80\x20").await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(
            answer == goodbye || answer == b"\xE0\x01\x95"[..goodbye.len().min(3)],
            "{answer:02x?}"
        );
    }
    let closed = "gridtrace_connections_closed_total{reason=\"oversize\"}";
    gateway.counted(closed, 3).await;
    let garbage = raw(gateway.mqtt(), b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(rest(&mut garbage.await).await, b"");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_is_shown_out_after_one_and_a_half_times_his_keep_alive() {
    let closed = |reason| format!("gridtrace_connections_closed_total{{reason=\"{reason}\"}}");
    let gateway = start(&[("mqtt.connect_timeout", "1s")]).await;
    let begun = Instant::now();
    let mut nobody = raw(gateway.mqtt(), b"\x10").await;
    assert_eq!(rest(&mut nobody).await, b"");
    assert!(
        begun.elapsed() >= Duration::from_millis(900),
        "{:?}",
        begun.elapsed()
    );
    gateway.counted(&closed("not_authenticated"), 1).await;
    gateway.stop().await;
    let gateway = start(&[]).await;
    let code = password(&gateway.http(), PHONE).await;
    let begun = Instant::now();
    let mut silent = raw(gateway.mqtt(), &connect_bytes(5, PHONE, PHONE, &code, 2)).await;
    let answer = rest(&mut silent).await;
    assert!(
        begun.elapsed() >= Duration::from_millis(2_900),
        "{:?}",
        begun.elapsed()
    );
    assert!(
        answer
            .windows(3)
            .any(|bytes| bytes[0] == 0xE0 && bytes[2] == 0x8D),
        "{answer:02x?}"
    );
    gateway.counted(&closed("idle"), 1).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_and_connections_are_bounded() {
    let gateway = start(&[
        ("mqtt.filters_max", "2"),
        ("tcp.connections_per_address_max", "2"),
    ])
    .await;
    let mut device = Device::connect(&gateway, PHONE).await;
    let granted = SubscribeReasonCode::Success(QoS::AtMostOnce);
    for (leaf, expected) in [
        ("down/#", granted),
        ("errors", granted),
        ("down/json", SubscribeReasonCode::Failure),
        ("down/#", granted),
    ] {
        assert_eq!(
            device.subscribe(&topic(leaf), QoS::AtMostOnce).await,
            expected,
            "{leaf}"
        );
    }
    let _second = raw(gateway.mqtt(), b"").await;
    let mut third = raw(gateway.mqtt(), b"").await;
    assert_eq!(rest(&mut third).await, b"");
    let refused = gateway.metrics().await;
    assert_eq!(
        refused.value("gridtrace_connections_refused_total{reason=\"address_limit\"}"),
        1
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stop_acknowledges_what_was_taken_and_says_goodbye() {
    let gateway = start(&[]).await;
    let code = password(&gateway.http(), PHONE).await;
    let mut stream = raw(gateway.mqtt(), &connect_bytes(5, PHONE, PHONE, &code, 60)).await;
    let mut connack = [0; 2];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut connack))
        .await
        .unwrap()
        .unwrap();
    gateway.stop().await;
    let answer = rest(&mut stream).await;
    assert!(
        answer
            .windows(3)
            .any(|bytes| bytes[0] == 0xE0 && bytes[2] == 0x8B),
        "{answer:02x?}"
    );
}
