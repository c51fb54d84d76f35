//! What users read: live positions, coming and going, violations and cases of their jurisdictions.

use std::time::Duration;

use gateway::http::view::PositionView;
use harness::{PATIENCE, TestGateway, moments, now_s, report, until};
use rumqttc::{
    ConnectReturnCode, ConnectionError, LastWill, MqttOptions, QoS,
    mqttbytes::v4::{Publish, SubscribeReasonCode},
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tools::wire::Revision;

use super::{Device, connect_bytes, raw, rest, start, text};

pub(super) const PHONE: &str = "13800000001";
pub(super) const PASSWORD: &str = "a long and random text";
const WEST: &str = "gridtrace/live/140105/001/001";
const EAST: &str = "gridtrace/live/140106/001/001";
const VEHICLES: &str = "vehicle,phone,plate,work_kind,fleet,name,speed_limit_kmh\n\
                        V1,13800000001,晋AR0001,refuse_truck,F1,one,60\n";

/// The first vehicle, once it is on the live map.
async fn first_view(gateway: &TestGateway) -> PositionView {
    let live = &gateway.app().gateway().live;
    until("the vehicle is there", async || live.views(|_| true).pop()).await
}

/// Two grids side by side that meet at 112.55 E, of two counties.
fn grids() -> String {
    let grid = |code: &str, west: f64, east: f64| {
        json!({"type": "Feature", "properties": {"code": code}, "geometry": {"type": "Polygon",
            "coordinates": [[[west, 37.85], [east, 37.85], [east, 37.89], [west, 37.89], [west, 37.85]]]}})
    };
    let features = [
        grid("140105001001001", 112.53, 112.55),
        grid("140106001001001", 112.55, 112.57),
    ];
    json!({"type": "FeatureCollection", "features": features}).to_string()
}

fn fence() -> String {
    let (west, east, south, north) = (112.5375, 112.5425, 37.868, 37.872);
    json!({"type": "FeatureCollection", "features": [{"type": "Feature",
        "properties": {"id": "K1", "name": "school", "kind": "keep_out"},
        "geometry": {"type": "Polygon", "coordinates":
            [[[west, south], [east, south], [east, north], [west, north], [west, south]]]}}]})
    .to_string()
}

/// A city of two grids, with a user of the western one, one of everything, and one of nothing.
pub(super) async fn city(more: &[(&str, &str)]) -> (TestGateway, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let password = path("password", PASSWORD);
    let user = |name: &str, scope: &str| {
        format!(r#"{{name = "{name}", password_file = "{password}", jurisdictions = [{scope}]}}"#)
    };
    let users = [
        user("west", "\"140105\""),
        user("all", "\"*\""),
        user("none", ""),
    ];
    let users = format!("[{}]", users.join(", "));
    let (grids, fences) = (
        path("grids.geojson", &grids()),
        path("fences.geojson", &fence()),
    );
    let vehicles = path("vehicles.csv", VEHICLES);
    let mut settings = vec![
        ("mqtt.users", users.as_str()),
        ("catalog.unit_grids", &grids),
        ("catalog.fences", &fences),
        ("catalog.vehicles", &vehicles),
        ("http.live_interval", "50ms"),
    ];
    settings.extend(more);
    (start(&settings).await, folder)
}

fn user(gateway: &TestGateway, name: &str, client: &str) -> MqttOptions {
    let at = gateway.mqtt();
    let mut options = MqttOptions::new(client, at.ip().to_string(), at.port());
    options.set_credentials(name, PASSWORD);
    options.set_max_packet_size(1 << 20, 1 << 20);
    options
}

pub(super) async fn subscriber(gateway: &TestGateway, name: &str, filter: &str) -> Device {
    let mut device = Device::with(user(gateway, name, &format!("{name}-screen")));
    device.accepted().await;
    let granted = device.subscribe(filter, QoS::AtLeastOnce).await;
    assert_eq!(granted, SubscribeReasonCode::Success(QoS::AtLeastOnce));
    device
}

/// The next message of a topic; those of others are passed over.
async fn on(device: &mut Device, topic: &str) -> Publish {
    loop {
        let message = device.message().await;
        if message.topic == topic {
            return message;
        }
    }
}

fn body(message: &Publish) -> Value {
    serde_json::from_slice(&message.payload).unwrap()
}

/// Whatever came within a moment.
async fn within(device: &mut Device, moment: Duration) -> Vec<Publish> {
    let mut came = Vec::new();
    while let Ok(message) = tokio::time::timeout(moment, device.message()).await {
        came.push(message);
    }
    came
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vehicle_is_followed_within_a_jurisdiction_and_no_further() {
    let (gateway, _folder) = city(&[]).await;
    let mut west = subscriber(&gateway, "west", "gridtrace/live/140105/#").await;
    let mut all = subscriber(&gateway, "all", "gridtrace/live/#").await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    let mut at = now_s() - 300;
    let position = format!("{WEST}/{PHONE}/position");
    for device in [&mut west, &mut all] {
        // The router has a filter a moment after it was granted: until then the newest comes as what is
        // kept.
        let message = loop {
            at += 1;
            terminal
                .send_location(&report(37.87, 112.54, at))
                .await
                .unwrap();
            let message = on(device, &position).await;
            if !message.retain {
                break message;
            }
        };
        let body = body(&message);
        assert_eq!(body["unit_grid"], "140105001001001");
        assert_eq!(
            (&body["plate"], &body["online"]),
            (&json!("晋AR0001"), &json!(true))
        );
    }
    // A newcomer gets what is known, marked as such.
    let mut late = Device::with(user(&gateway, "west", "late"));
    late.accepted().await;
    late.subscribe("gridtrace/live/140105/001/+/+/position", QoS::AtMostOnce)
        .await;
    let message = late.message().await;
    assert_eq!(
        (message.topic.as_str(), message.retain),
        (position.as_str(), true)
    );
    // Into the other county: here it is gone, and where to is not said.
    terminal
        .send_location(&report(37.87, 112.56, at + 10))
        .await
        .unwrap();
    for leaf in ["position", "online"] {
        loop {
            let message = on(&mut west, &format!("{WEST}/{PHONE}/{leaf}")).await;
            if message.payload.is_empty() {
                break;
            }
        }
    }
    on(&mut all, &format!("{EAST}/{PHONE}/position")).await;
    drop(terminal);
    loop {
        let message = on(&mut all, &format!("{EAST}/{PHONE}/online")).await;
        if body(&message)["online"] == json!(false) {
            break;
        }
    }
    assert_eq!(within(&mut west, Duration::from_millis(300)).await, []);
    // Nor does a newcomer of the west find it, with a wide filter neither.
    let mut late = Device::with(user(&gateway, "west", "later"));
    late.accepted().await;
    let granted = late.subscribe("gridtrace/live/#", QoS::AtMostOnce).await;
    assert_eq!(
        granted,
        SubscribeReasonCode::Success(QoS::AtMostOnce),
        "narrowed, not refused"
    );
    assert_eq!(within(&mut late, Duration::from_millis(300)).await, []);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_and_its_violation_are_told_and_an_open_case_is_there_for_newcomers() {
    let (gateway, _folder) = city(&[]).await;
    let mut west = subscriber(&gateway, "west", "gridtrace/cases/140105/#").await;
    west.subscribe("gridtrace/violations/140105/#", QoS::AtMostOnce)
        .await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    let start = now_s() - 120;
    for second in 0..100 {
        let at = 37.864 + 0.000_09 * f64::from(second);
        let serial = terminal
            .send_location(&report(at, 112.54, start + i64::from(second)))
            .await
            .unwrap();
        terminal.response(serial).await.unwrap();
    }
    let (mut case, mut violation) = (None, None);
    while case.is_none() || violation.is_none() {
        let message = west.message().await;
        let body = body(&message);
        let place = if message.topic.starts_with("gridtrace/cases/140105/001/001/") {
            assert!(message.topic.ends_with(body["id"].as_str().unwrap()));
            &mut case
        } else {
            assert_eq!(
                message.topic,
                format!(
                    "gridtrace/violations/140105/001/001/{}",
                    body["violation"].as_str().unwrap()
                )
            );
            assert!(["ongoing", "ended"].contains(&body["state"].as_str().unwrap()));
            &mut violation
        };
        *place = Some((message.topic, body));
    }
    let (topic, case) = case.unwrap();
    assert_eq!(
        (&case["kind"], &case["stage"]),
        (&json!("keep_out"), &json!("collected"))
    );
    assert_eq!(case["violation"], violation.unwrap().1["violation"]);
    let mut late = subscriber(&gateway, "all", "gridtrace/cases/+/+/+/+").await;
    let message = late.message().await;
    assert_eq!(
        (message.topic.as_str(), message.retain),
        (topic.as_str(), true)
    );
    // Also after a restart: from the store.
    drop((west, late, terminal));
    gateway.drained().await;
    let gateway = gateway.restart().await;
    let mut late = subscriber(&gateway, "west", "gridtrace/cases/140105/#").await;
    assert_eq!(late.message().await.topic, topic);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_known_write_nothing_and_take_over_only_themselves() {
    let (gateway, _folder) = city(&[("terminals.wrong_codes_per_minute_max", "5")]).await;
    let at = gateway.mqtt();
    let connect = |user: &str, client: &str, password: &str| {
        let bytes = connect_bytes(4, client, user, password, 60);
        async move { raw(at, &bytes).await }
    };
    let mut own = connect("west", "a", PASSWORD).await;
    let mut answer = [0; 4];
    own.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [0x20, 2, 0, 0]);
    for (user, client, password, code) in [
        ("west", "a", "wrong", 4),
        ("west", "a", "", 4),
        ("West", "a", PASSWORD, 4),
        ("nobody", "a", PASSWORD, 4),
        ("west", "", PASSWORD, 2),
    ] {
        let said = rest(&mut connect(user, client, password).await).await;
        assert_eq!(said, [0x20, 2, 0, code], "{user} {client}");
    }
    // Another user with the same client id is another client; the same user takes over.
    let mut other = connect("all", "a", PASSWORD).await;
    other.read_exact(&mut answer).await.unwrap();
    own.write_all(&[0xC0, 0]).await.unwrap();
    let mut pong = [0; 2];
    own.read_exact(&mut pong).await.unwrap();
    assert_eq!(pong, [0xD0, 0], "it stays");
    let mut newer = connect("west", "a", PASSWORD).await;
    newer.read_exact(&mut answer).await.unwrap();
    assert_eq!(rest(&mut own).await, b"", "replaced");
    // Refused filters, in the order of asking.
    let mut west = Device::with(user(&gateway, "west", "b"));
    west.accepted().await;
    for filter in [
        "#",
        "+/#",
        "gridtrace/#",
        "gridtrace/+/140105/#",
        "gridtrace/live",
        "gridtrace/live/140106/#",
        "gridtrace/live/none/#",
        "gridtrace/cases/140106/+/+/+",
        "gridtrace/terminals/13800138000/down/#",
        "gridtrace/terminals/west/down/#",
        "$share/g/gridtrace/live/140105/#",
        "$SYS/#",
        "round",
        "live/140105",
    ] {
        let granted = west.subscribe(filter, QoS::AtMostOnce).await;
        assert_eq!(granted, SubscribeReasonCode::Failure, "{filter}");
    }
    // Who has no jurisdiction has no filter.
    let mut none = Device::with(user(&gateway, "none", "c"));
    none.accepted().await;
    let granted = none.subscribe("gridtrace/live/#", QoS::AtMostOnce).await;
    assert_eq!(granted, SubscribeReasonCode::Failure);
    // Nothing is written: not to others' topics, not by a will.
    west.publish(
        "gridtrace/live/140105/001/001/1/position",
        QoS::AtLeastOnce,
        "{}",
    )
    .await;
    west.ended().await;
    let mut options = user(&gateway, "west", "d");
    options.set_last_will(LastWill::new(
        "gridtrace/live/140105/001/001/1/position",
        "{}",
        QoS::AtMostOnce,
        false,
    ));
    let mut device = Device::with(options);
    match device.ended().await {
        ConnectionError::ConnectionRefused(code) => {
            assert_eq!(code, ConnectReturnCode::NotAuthorized)
        }
        other => panic!("{other:?}"),
    }
    // Too many wrong passwords: the right one is not read any more, in that minute.
    moments::early_in_the_minute().await;
    for _ in 0..10 {
        drop(rest(&mut connect("west", "e", "wrong").await).await);
    }
    let mut right = connect("west", "e", PASSWORD).await;
    right.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [0x20, 2, 0, 3]);
    let books = gateway.metrics().await;
    let refused = "gridtrace_mqtt_subscriptions_total{result=\"not_allowed\"}";
    assert!(books.value(refused) >= 14, "{}", books.value(refused));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_does_not_read_gets_the_newest_and_delays_nobody() {
    const ROUNDS: u64 = 400;
    const OF_ROUND: u64 = 100;
    let (gateway, _folder) = city(&[("tcp.write_timeout", "60s")]).await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    terminal
        .send_location(&report(37.87, 112.54, now_s()))
        .await
        .unwrap();
    let inside = gateway.app().gateway();
    let view = first_view(&gateway).await;
    let mut slow = raw(
        gateway.mqtt(),
        &connect_bytes(4, "slow", "west", PASSWORD, 60),
    )
    .await;
    let filter = text("gridtrace/live/140105/#");
    let body = [&[0, 1][..], &filter, &[0]].concat();
    let subscribe = [&[0x82, u8::try_from(body.len()).unwrap()], &body[..]].concat();
    slow.write_all(&subscribe).await.unwrap();
    let mut quick = subscriber(&gateway, "west", "gridtrace/live/140105/#").await;
    quick.message().await;
    for round in 0..ROUNDS {
        let mut views = Vec::new();
        for number in 0..OF_ROUND {
            let mut view = view.clone();
            view.subject.plate = Some(format!("#{}#", round * OF_ROUND + number));
            views.push(view);
        }
        inside.fanout.positions(&views);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let last = format!("#{}#", ROUNDS * OF_ROUND - 1);
    let is_last = |payload: &[u8]| String::from_utf8_lossy(payload).contains(&last);
    // Whoever waited for the slow one would wait for as long as it may take to read.
    while !is_last(&quick.message().await.payload) {}
    // The slow one reads again, and the last it gets is the newest there is.
    let mut came = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    while !is_last(came.get(came.len().saturating_sub(4_096)..).unwrap()) {
        let count = tokio::time::timeout(PATIENCE, slow.read(&mut buffer)).await;
        let count = count.expect("the newest did not come").unwrap();
        assert!(count > 0, "the connection is over");
        came.extend_from_slice(&buffer[..count]);
    }
    let messages = came
        .windows(8)
        .filter(|window| window == b"\"plate\":")
        .count() as u64;
    assert!(
        messages < ROUNDS * OF_ROUND,
        "all {messages} were kept for it"
    );
    let books = gateway.metrics().await;
    let coalesced = books.value("gridtrace_mqtt_dropped_total{reason=\"coalesced\"}");
    assert!(coalesced > 0);
    let full = "gridtrace_mqtt_dropped_total{reason=\"mailbox\"}";
    assert_eq!(books.value(full), 0);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_acknowledges_is_not_slowed_down_for_it() {
    const VEHICLES: usize = 300;
    let (gateway, _folder) = city(&[
        ("mqtt.packets_per_second_max", "5"),
        ("mqtt.packets_burst_max", "5"),
    ])
    .await;
    let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
    terminal
        .send_location(&report(37.87, 112.54, now_s()))
        .await
        .unwrap();
    let inside = gateway.app().gateway();
    let view = first_view(&gateway).await;
    let mut west = subscriber(&gateway, "west", "gridtrace/live/140105/+/+/+/position").await;
    west.message().await;
    let views: Vec<_> = (0..VEHICLES)
        .map(|number| {
            let mut view = view.clone();
            view.subject.phone = format!("1390000{number:04}");
            view
        })
        .collect();
    // Five a second would take a minute.
    inside.fanout.positions(&views);
    for _ in 0..VEHICLES {
        west.message().await;
    }
    let throttled = "gridtrace_mqtt_throttled_total";
    assert_eq!(gateway.metrics().await.value(throttled), 0);
    gateway.stop().await;
}
