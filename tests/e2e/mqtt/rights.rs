//! Who is let in, and what he may do: everything else is refused, and counted.

use harness::until;
use rumqttc::{
    ConnectReturnCode, ConnectionError, LastWill, QoS,
    mqttbytes::v4::SubscribeReasonCode,
    v5::{
        self,
        mqttbytes::v5::{Packet, PubAckReason, SubscribeReasonCode as Reason},
    },
};

use super::{Device, PHONE, connect_bytes, options, password, position, raw, rest, start, topic};

fn refused_with(error: &ConnectionError) -> ConnectReturnCode {
    match error {
        ConnectionError::ConnectionRefused(code) => *code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_terminal_with_its_password_is_let_in() {
    let gateway = start(&[]).await;
    let at = gateway.mqtt();
    let code = password(&gateway.http(), PHONE).await;
    let mine = connect_bytes(4, PHONE, PHONE, &code, 60);
    let refused = |version, client: &str, user: &str, password: &str| {
        let bytes = connect_bytes(version, client, user, password, 60);
        async move { rest(&mut raw(at, &bytes).await).await }
    };
    let other = password(&gateway.http(), "13800138001").await;
    let cases = [
        (PHONE, PHONE, "wrong", 4, 0x86),
        (PHONE, PHONE, "", 4, 0x86),
        (PHONE, PHONE, &other, 4, 0x86),
        (PHONE, "13800138001", &code, 2, 0x85),
        ("", PHONE, &code, 2, 0x85),
        ("13800138000+", PHONE, &code, 2, 0x85),
        ("+", "+", &code, 4, 0x86),
        ("#", "#", &code, 4, 0x86),
        ("a/b", "a/b", &code, 4, 0x86),
        ("$SYS", "$SYS", &code, 4, 0x86),
        ("", "", "", 4, 0x86),
    ];
    for (client, user, password, of_3, of_5) in cases {
        let answer = refused(4, client, user, password).await;
        assert_eq!(answer, [0x20, 2, 0, of_3], "{client:?}, {user:?}");
        let answer = refused(5, client, user, password).await;
        assert_eq!(answer[..4], [0x20, 3, 0, of_5], "{client:?}, {user:?}");
    }
    // Nobody at all, and a version of before.
    let anonymous = b"\x10\x0D\x00\x04MQTT\x04\x02\x00\x3C\x00\x011";
    assert_eq!(rest(&mut raw(at, anonymous).await).await, [0x20, 2, 0, 4]);
    let elder = b"\x10\x0F\x00\x06MQIsdp\x03\x02\x00\x3C\x00\x011";
    assert_eq!(rest(&mut raw(at, elder).await).await, [0x20, 2, 0, 1]);
    let books = gateway.metrics().await;
    assert_eq!(books.sum("gridtrace_sessions_opened_total"), 0);
    // None of it has harmed the listener.
    let mut stream = raw(at, &[&mine[..], b"\xE0\x00"].concat()).await;
    assert_eq!(rest(&mut stream).await[..4], [0x20, 2, 0, 0]);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_topic_ends_a_connection_of_3_and_is_refused_to_one_of_5() {
    let gateway = start(&[]).await;
    let mut device = Device::connect(&gateway, PHONE).await;
    for filter in [
        "#",
        "+/#",
        "$SYS/#",
        "gridtrace/terminals/+/down/#",
        "$share/a/gridtrace/#",
    ] {
        let answer = device.subscribe(filter, QoS::AtMostOnce).await;
        assert_eq!(answer, SubscribeReasonCode::Failure, "{filter}");
    }
    let own = device.subscribe(&topic("down/#"), QoS::ExactlyOnce).await;
    assert_eq!(own, SubscribeReasonCode::Success(QoS::AtLeastOnce));
    let foreign = "gridtrace/terminals/13800138001/up/json";
    device.publish(foreign, QoS::AtLeastOnce, position(1)).await;
    device.ended().await;

    let code = password(&gateway.http(), PHONE).await;
    let at = gateway.mqtt();
    let mut options = v5::MqttOptions::new(PHONE, at.ip().to_string(), at.port());
    options.set_credentials(PHONE, &code);
    let (client, mut events) = v5::AsyncClient::new(options, 100);
    let publish = |topic: String, payload: String| {
        let client = client.clone();
        async move {
            let qos = v5::mqttbytes::QoS::AtLeastOnce;
            client.publish(topic, qos, false, payload).await.unwrap();
        }
    };
    publish(foreign.to_owned(), position(1)).await;
    publish(topic("up/json"), "nonsense".to_owned()).await;
    publish(topic("up/json"), position(2)).await;
    let filters = ["#".to_owned(), "$share/a/x".to_owned(), topic("errors")];
    for filter in filters {
        client
            .subscribe(filter, v5::mqttbytes::QoS::AtMostOnce)
            .await
            .unwrap();
    }
    let (mut acknowledged, mut granted) = (Vec::new(), Vec::new());
    while acknowledged.len() < 3 || granted.len() < 3 {
        let event = tokio::time::timeout(harness::PATIENCE, events.poll()).await;
        match event.unwrap() {
            Ok(v5::Event::Incoming(Packet::PubAck(answer))) => acknowledged.push(answer.reason),
            Ok(v5::Event::Incoming(Packet::SubAck(answer))) => granted.extend(answer.return_codes),
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    }
    let expected = [
        PubAckReason::NotAuthorized,
        PubAckReason::PayloadFormatInvalid,
        PubAckReason::Success,
    ];
    assert_eq!(acknowledged, expected);
    let none = Reason::Success(v5::mqttbytes::QoS::AtMostOnce);
    assert_eq!(
        granted,
        [
            Reason::NotAuthorized,
            Reason::SharedSubscriptionsNotSupported,
            none
        ]
    );
    let books = gateway.drained().await;
    assert_eq!(
        books.value("gridtrace_mqtt_publishes_total{result=\"not_allowed\"}"),
        2
    );
    assert_eq!(books.value("gridtrace_positions_recorded_total"), 1);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retained_and_exactly_once_and_wills_of_others_are_refused() {
    let gateway = start(&[]).await;
    let mut device = Device::connect(&gateway, PHONE).await;
    device
        .client
        .publish(topic("up/json"), QoS::AtLeastOnce, true, position(1))
        .await
        .unwrap();
    device.ended().await;
    let mut device = Device::connect(&gateway, PHONE).await;
    device
        .publish(&topic("up/json"), QoS::ExactlyOnce, position(1))
        .await;
    device.ended().await;
    let code = password(&gateway.http(), PHONE).await;
    for (will_topic, is_retained) in [
        ("gridtrace/terminals/13800138001/up/json".to_owned(), false),
        (topic("down/jt808"), false),
        (topic("up/json"), true),
    ] {
        let mut options = options(gateway.mqtt(), PHONE, &code);
        let will = LastWill::new(will_topic, "x", QoS::AtMostOnce, is_retained);
        options.set_last_will(will);
        let error = Device::with(options).ended().await;
        assert_eq!(refused_with(&error), ConnectReturnCode::NotAuthorized);
    }
    let books = gateway.drained().await;
    assert_eq!(books.value("gridtrace_positions_recorded_total"), 0);
    let count = |result: &str| {
        books.value(&format!(
            "gridtrace_mqtt_publishes_total{{result=\"{result}\"}}"
        ))
    };
    assert_eq!((count("retained"), count("qos2")), (1, 1));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_id_is_taken_over_with_the_password_alone() {
    let gateway = start(&[]).await;
    let mut first = Device::connect(&gateway, PHONE).await;
    let error = Device::with(options(gateway.mqtt(), PHONE, "guess"))
        .ended()
        .await;
    assert_eq!(refused_with(&error), ConnectReturnCode::BadUserNamePassword);
    first.send(&topic("up/json"), position(1)).await;
    let mut second = Device::connect(&gateway, PHONE).await;
    first.ended().await;
    second.send(&topic("up/json"), position(2)).await;
    until("the first is closed", async || {
        let books = gateway.metrics().await;
        let replaced = "gridtrace_connections_closed_total{reason=\"replaced\"}";
        (books.value(replaced) == 1).then_some(())
    })
    .await;
    // The same terminal over TCP is the same terminal.
    let mut over_tcp = gateway.connect(PHONE, tools::wire::Revision::V2019).await;
    let code = password(&gateway.http(), PHONE).await;
    over_tcp.authenticate(code.as_bytes()).await.unwrap();
    second.ended().await;
    gateway.drained().await;
    gateway.stop().await;
}
