//! The tools speak MQTT too: what they say was acknowledged is there, and is what they sent.

use std::{collections::HashMap, sync::Arc, time::Duration};

use harness::{PATIENCE, TestGateway, now_s, until};
use tools::{
    city::{CityOptions, demo_city},
    line::MqttTarget,
    load::{self, LoadConfig, MqttLoad},
    mqtt::PayloadKind,
    output::rfc3339,
    replay::{
        Pace, ReplayConfig, TrackOptions, read_frames, read_track, replay_frames, replay_track,
    },
    simulate::{Fleet, FleetConfig, MqttFleet},
    wire::Revision,
};

use super::start;

const KINDS: [PayloadKind; 2] = [PayloadKind::Json, PayloadKind::Jt808];

fn inserted(books: &harness::Books) -> u64 {
    books.value("gridtrace_positions_stored_total{result=\"inserted\"}")
}

fn target_of(gateway: &TestGateway, payload: PayloadKind) -> MqttTarget {
    let address = gateway.mqtt().to_string();
    MqttTarget { address, payload }
}

/// Fix times and places of a terminal's stored positions.
async fn track(gateway: &TestGateway, phone: &str) -> Vec<(String, i64, i64)> {
    let path = format!(
        "/api/v1/terminals/{phone}/track?from=2020-01-01T00:00:00Z&to=2099-01-01T00:00:00Z&limit=1000"
    );
    let items = gateway.items(&path).await;
    #[expect(clippy::cast_possible_truncation, reason = "degrees of the earth fit")]
    let micro = |value: &serde_json::Value| (value.as_f64().unwrap() * 1e6).round() as i64;
    let of = |item: &serde_json::Value| {
        let time = item["fixed_at"].as_str().unwrap().to_owned();
        (time, micro(&item["lat"]), micro(&item["lon"]))
    };
    items.iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_is_acknowledged_and_stored_with_either_payload() {
    let gateway = start(&[]).await;
    let mut sent = 0;
    for (payload, first_phone) in KINDS.into_iter().zip([13_900_000_000, 13_900_001_000]) {
        for batch in [1, 5] {
            let config = LoadConfig {
                mqtt: Some(MqttLoad {
                    target: gateway.mqtt(),
                    payload,
                }),
                connections: 10,
                batch,
                rate: Some(100.0),
                warm_up: Duration::ZERO,
                duration: Duration::from_secs(1),
                drain: PATIENCE,
                first_phone: first_phone + u64::from(batch) * 100,
                keeps_acknowledged: true,
                ..LoadConfig::new(gateway.tcp())
            };
            let running = tokio::task::spawn_blocking(move || load::run(&config).unwrap());
            let report = running.await.unwrap();
            assert!(report.sent > 0, "{report:?}");
            assert_eq!(report.acknowledged, report.sent, "{payload:?}: {report:?}");
            assert_eq!((report.refused, report.closed), (0, 0));
            sent += report.sent;
            let books = gateway.drained().await;
            assert_eq!(inserted(&books), sent, "{payload:?}");
            let one = report.acknowledged_positions().next().unwrap();
            let place = (i64::from(one.latitude), i64::from(one.longitude));
            let stored = track(&gateway, &one.phone).await;
            assert!(
                stored.iter().any(|(_, lat, lon)| (*lat, *lon) == place),
                "{place:?} is not in {stored:?}"
            );
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_reports_over_mqtt_and_tcp_and_nothing_is_lost() {
    let gateway = start(&[("mqtt.packets_per_second_max", "10000")]).await;
    let city = demo_city(
        1,
        &CityOptions {
            vehicles: 12,
            ..CityOptions::SMALL
        },
    );
    let config = FleetConfig {
        mqtt: Some(MqttFleet {
            share: 0.75,
            ..MqttFleet::all(gateway.mqtt())
        }),
        time_scale: 60.0,
        // Both ways of being without a network, and what is stored meanwhile.
        outages_per_hour: 20.0,
        outage_s: (20.0, 60.0),
        log_outs_per_hour: 10.0,
        drain: PATIENCE,
        ..FleetConfig::steady(gateway.tcp(), 1)
    };
    let fleet = Fleet::start(config, Arc::new(city));
    let count = |of: &std::sync::atomic::AtomicU64| of.load(std::sync::atomic::Ordering::Relaxed);
    until("there was a backlog", async || {
        let counters = fleet.counters();
        let is_enough = count(&counters.backlog_positions) > 50 && count(&counters.fixes) > 2_000;
        is_enough.then_some(())
    })
    .await;
    let report = fleet.stop().await;
    assert!(report.mqtt_connects >= 9, "{report:?}");
    assert!(report.connects > report.mqtt_connects, "{report:?}");
    assert_eq!(
        (report.unacknowledged, report.rejected, report.dropped),
        (0, 0, 0),
        "{report:?}"
    );
    assert_eq!(report.acknowledged, report.fixes);
    let books = gateway.drained().await;
    assert_eq!(inserted(&books), report.fixes, "each fix is stored once");
    for result in ["json", "jt808"] {
        let name = format!("gridtrace_mqtt_publishes_total{{result=\"{result}\"}}");
        assert!(books.value(&name) > 0, "{result}");
    }
    gateway.stop().await;
}

/// Two vehicles, just now.
fn recorded() -> String {
    let at = |ago_s: i64| rfc3339(now_s() - ago_s);
    let (first, second) = (at(120), at(110));
    format!(
        "vehicle_id,timestamp,latitude,longitude,speed_kmh,bearing
a,{first},37.870001,112.550001,30,90
b,{first},-33.5,-70.600002,20,180
a,{second},37.870101,112.551001,31.5,91
"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_track_is_replayed_with_either_payload_and_the_same_is_stored() {
    let recorded = recorded();
    let mut stored: HashMap<&str, Vec<_>> = HashMap::new();
    for (payload, name) in [
        (None, "tcp"),
        (Some(PayloadKind::Json), "json"),
        (Some(PayloadKind::Jt808), "jt808"),
    ] {
        let gateway = start(&[]).await;
        let config = ReplayConfig {
            mqtt: payload.map(|payload| target_of(&gateway, payload)),
            ..ReplayConfig::new(gateway.tcp())
        };
        let options = TrackOptions {
            phone: "13900140000".to_owned(),
            revision: Revision::V2019,
            pace: Pace::Max,
            shift_to_now: false,
            in_flight: 4,
        };
        let fixes = read_track(recorded.as_bytes(), time::UtcOffset::UTC).unwrap();
        let mut outcomes = Vec::new();
        let summary = replay_track(&config, &options, &fixes, |told| {
            outcomes.push(told.outcome);
        });
        let summary = summary.await.unwrap();
        assert_eq!(
            (summary.sent, summary.answered, summary.unexpected),
            (3, 3, 0),
            "{name}: {outcomes:?}"
        );
        gateway.drained().await;
        let mut all = track(&gateway, "13900140000").await;
        all.extend(track(&gateway, "13900140001").await);
        stored.insert(name, all);
        gateway.stop().await;
    }
    assert_eq!(stored["tcp"].len(), 3);
    assert_eq!(stored["json"], stored["tcp"]);
    assert_eq!(stored["jt808"], stored["tcp"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_frames_are_replayed_as_payloads() {
    let gateway = start(&[]).await;
    let config = ReplayConfig {
        mqtt: Some(target_of(&gateway, PayloadKind::Jt808)),
        ..ReplayConfig::new(gateway.tcp())
    };
    // A heartbeat, the same with a wrong check code, a log-out, and a heartbeat again.
    let frames = "\
7e000200000138123456780001 32 7e
7e000200000138123456780001 33 7e
7e000300000138123456780002 30 7e
7e000200000138123456780003 30 7e
";
    let mut outcomes = Vec::new();
    let summary = replay_frames(&config, read_frames(frames.as_bytes(), None), |told| {
        outcomes.push(told.clone());
    });
    let summary = summary.await.unwrap();
    assert_eq!(
        (summary.sent, summary.answered, summary.no_answer),
        (4, 3, 1),
        "{outcomes:?}"
    );
    assert_eq!(summary.unexpected, 0, "{outcomes:?}");
    assert_eq!(summary.connections, 2);
    gateway.stop().await;
}
