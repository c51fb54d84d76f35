//! What terminals publish becomes what they would have sent over TCP.

use geofence::units::Timestamp;
use harness::{now_s, report, until};
use rumqttc::{LastWill, QoS, mqttbytes::v4::SubscribeReasonCode};
use tools::wire::{Incoming, Phone, Revision, frame, message_id};

use super::{Device, PHONE, options, password, position, start, topic};

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_is_acknowledged_is_a_row_and_a_resend_is_none() {
    let gateway = start(&[]).await;
    let mut device = Device::connect(&gateway, PHONE).await;
    let one = position(1);
    device.send(&topic("up/json"), one.clone()).await;
    let spaced = one.replace(',', " ,\n ");
    device.send(&topic("up/json"), spaced).await;
    device
        .publish(&topic("up/json"), QoS::AtMostOnce, position(2))
        .await;
    until("all are recorded", async || {
        let books = gateway.metrics().await;
        (books.value("gridtrace_positions_recorded_total") == 3).then_some(())
    })
    .await;
    let books = gateway.drained().await;
    let stored = |result: &str| {
        books.value(&format!(
            "gridtrace_positions_stored_total{{result=\"{result}\"}}"
        ))
    };
    assert_eq!((stored("inserted"), stored("duplicate")), (2, 1));
    let latest = gateway.items("/api/v1/positions/latest").await;
    assert_eq!(
        (&latest[0]["phone"], latest[0]["online"].as_bool()),
        (&PHONE.into(), Some(true))
    );
    assert_eq!(latest[0]["speed_kmh"], 36.0);
    let terminal = gateway.json(&format!("/api/v1/terminals/{PHONE}")).await;
    assert!(terminal.to_string().contains("\"mqtt\""), "{terminal}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_an_event_and_attributes_are_taken() {
    let gateway = start(&[]).await;
    let mut device = Device::connect(&gateway, PHONE).await;
    let at = |ago_s: i64| gateway::clock::rfc3339(Timestamp((now_s() - ago_s) * 1_000));
    let batch = format!(
        r#"{{"type":"batch","positions":[{{"time":"{}","lat":37.8,"lon":112.5}},{{"time":"{}","lat":37.9,"lon":112.5}}]}}"#,
        at(600),
        at(590)
    );
    device.send(&topic("up/json"), batch).await;
    let event = r#"{"type":"event","event":"emergency","lat":37.8,"lon":112.5}"#;
    device.send(&topic("up/json"), event).await;
    device
        .send(&topic("up/json"), r#"{"type":"attributes","model":"X1"}"#)
        .await;
    let books = gateway.drained().await;
    assert_eq!(
        books.value("gridtrace_mqtt_publishes_total{result=\"json\"}"),
        3
    );
    assert_eq!(
        books.value("gridtrace_positions_stored_total{result=\"inserted\"}"),
        3
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_go_the_way_of_those_over_tcp() {
    let gateway = start(&[]).await;
    let mut device = Device::connect(&gateway, PHONE).await;
    let granted = device.subscribe(&topic("down/#"), QoS::AtLeastOnce).await;
    assert_eq!(granted, SubscribeReasonCode::Success(QoS::AtLeastOnce));
    let phone = Phone::from_digits(PHONE, Revision::V2013).unwrap();
    let of = |serial, lat| {
        let body = report(lat, 112.55, now_s()).body();
        frame(message_id::LOCATION_REPORT, &phone, serial, &body).unwrap()
    };
    let two = [of(7, 37.87), of(8, 37.88)].concat();
    device
        .publish(&topic("up/jt808"), QoS::AtLeastOnce, two)
        .await;
    for serial in [7, 8] {
        let message = device.message().await;
        assert_eq!(message.topic, topic("down/jt808"));
        let payload = &message.payload[..];
        let answer = Incoming::parse(&payload[1..payload.len() - 1]).unwrap();
        let answer = answer.answer().unwrap();
        assert_eq!((answer.serial, answer.result), (serial, 0));
    }
    // What is no frame is counted, explained and harms nothing; and so is one of another terminal.
    device.subscribe(&topic("errors"), QoS::AtMostOnce).await;
    device
        .publish(&topic("up/jt808"), QoS::AtLeastOnce, "nonsense")
        .await;
    let error = device.message().await;
    assert_eq!(error.topic, topic("errors"));
    let other = Phone::from_digits("13800138001", Revision::V2013).unwrap();
    let body = report(37.0, 112.0, now_s()).body();
    let other = frame(message_id::LOCATION_REPORT, &other, 9, &body).unwrap();
    device
        .publish(&topic("up/jt808"), QoS::AtLeastOnce, other)
        .await;
    device.message().await;
    let books = gateway.drained().await;
    assert_eq!(
        books.value("gridtrace_positions_stored_total{result=\"inserted\"}"),
        2
    );
    let rejected = "gridtrace_frames_rejected_total{reason=\"other_terminal\"}";
    assert_eq!(books.value(rejected), 1);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_is_none_is_explained_and_the_session_lives() {
    let gateway = start(&[]).await;
    let mut device = Device::connect(&gateway, PHONE).await;
    device.subscribe(&topic("errors"), QoS::AtLeastOnce).await;
    for (payload, reason) in [
        (&b"{\"type\":\"position\""[..], "syntax"),
        (b"\xFF\xFE", "syntax"),
        (br#"{"type":"position","lat":1,"lon":2}"#, "schema"),
        (
            br#"{"type":"position","time":"2026-11-28T00:00:00Z","lat":91,"lon":2}"#,
            "range",
        ),
        (
            br#"{"type":"position","time":"tomorrow","lat":9,"lon":2}"#,
            "range",
        ),
    ] {
        device
            .publish(&topic("up/json"), QoS::AtLeastOnce, payload)
            .await;
        let error = device.message().await;
        assert_eq!(error.topic, topic("errors"));
        let error: serde_json::Value = serde_json::from_slice(&error.payload).unwrap();
        assert_eq!(
            (&error["reason"], &error["topic"]),
            (&reason.into(), &"up/json".into())
        );
    }
    device.send(&topic("up/json"), position(1)).await;
    let books = gateway.drained().await;
    let count = |result: &str| {
        books.value(&format!(
            "gridtrace_mqtt_publishes_total{{result=\"{result}\"}}"
        ))
    };
    assert_eq!((count("json"), count("syntax")), (1, 2));
    assert_eq!((count("schema"), count("range")), (1, 2));
    assert_eq!(gateway.items("/api/v1/rejected-frames").await.len(), 5);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_is_left_by_who_is_lost_and_not_by_who_says_goodbye() {
    let gateway = start(&[]).await;
    let code = password(&gateway.http(), PHONE).await;
    let with_will = || {
        let mut options = options(gateway.mqtt(), PHONE, &code);
        let will = r#"{"type":"event","event":"emergency"}"#;
        options.set_last_will(LastWill::new(
            topic("up/json"),
            will,
            QoS::AtLeastOnce,
            false,
        ));
        options
    };
    let recorded = async || {
        let books = gateway.metrics().await;
        books.value("gridtrace_positions_recorded_total")
    };
    let closed = async |count: u64| {
        until("the connection is closed", async || {
            let books = gateway.metrics().await;
            (books.sum("gridtrace_connections_closed_total") == count).then_some(())
        })
        .await;
    };
    let mut polite = Device::with(with_will());
    polite.accepted().await;
    polite.client.disconnect().await.unwrap();
    closed(1).await;
    assert_eq!(recorded().await, 0);
    let mut lost = Device::with(with_will());
    lost.accepted().await;
    drop(lost);
    // The client's task ends with the next event that nobody takes: a take-over.
    let mut newer = Device::with(with_will());
    newer.accepted().await;
    closed(2).await;
    assert_eq!(recorded().await, 1);
    let path = format!("/api/v1/terminals/{PHONE}/events");
    until("the events are written", async || {
        let events = gateway.items(&path).await;
        let has = |kind: &str| events.iter().any(|event| event["kind"] == kind);
        (has("online") && has("taken_over") && has("offline")).then_some(())
    })
    .await;
    gateway.drained().await;
    gateway.stop().await;
}
