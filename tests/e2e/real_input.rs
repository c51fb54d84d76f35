//! The main job on input that no one here made: every frame of the corpus that a device sent,
//! through a real socket, into the store and out again.

use std::collections::{BTreeMap, BTreeSet};

use harness::{TestGateway, postgres::Postgres};
use serde_json::Value;
use tools::replay::{ReplayConfig, Summary, read_frames, replay_frames};

const CORPUS: &str = include_str!("../../fixtures/jt808/frames.jsonl");

fn device_frames() -> impl Iterator<Item = Value> {
    CORPUS
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|frame| frame["origin"] == "device")
}

/// What is compared of a position: phone, fix time, place, speed, heading, alarm and status bits.
type Row = (
    String,
    String,
    String,
    String,
    String,
    String,
    String,
    String,
);

fn expected_row(phone: &str, location: &Value) -> Row {
    let at = location["time"].as_str().map_or(String::new(), |time| {
        gateway::clock::rfc3339(gateway::clock::parse_rfc3339(time).unwrap())
    });
    let degrees = |name: &str| format!("{:.6}", location[name].as_f64().unwrap());
    (
        phone.trim_start_matches('0').to_owned(),
        at,
        degrees("lat"),
        degrees("lon"),
        format!("{:.1}", location["speed_kmh"].as_f64().unwrap()),
        // A heading of 360 is north.
        (location["direction_deg"].as_u64().unwrap() % 360).to_string(),
        location["alarm"].to_string(),
        location["status"].to_string(),
    )
}

/// Every valid location among the frames of devices.
fn expected() -> BTreeSet<Row> {
    let mut rows = BTreeSet::new();
    for frame in device_frames().filter(|frame| frame["valid"] == true) {
        let phone = frame["phone"].as_str().unwrap();
        if phone.bytes().all(|digit| digit == b'0') {
            // Nobody may report under the number zero: the gateway refuses these, on purpose.
            continue;
        }
        let expect = &frame["expect"];
        match frame["msg_id"].as_str().unwrap() {
            "0x0200" if expect["lat"].is_number() => _ = rows.insert(expected_row(phone, expect)),
            "0x0704" => {
                let locations = expect["locations"].as_array();
                rows.extend(
                    locations
                        .into_iter()
                        .flatten()
                        .map(|l| expected_row(phone, l)),
                );
            }
            _ => {}
        }
    }
    rows
}

async fn replay(gateway: &TestGateway) -> Summary {
    let config = ReplayConfig::new(gateway.tcp());
    let frames = read_frames(CORPUS.as_bytes(), Some("device"));
    replay_frames(&config, frames, |outcome| {
        assert!(outcome.is_as_expected, "{outcome:?}");
    })
    .await
    .unwrap()
}

/// All rows that an export writes, from the running gateway.
async fn exported(gateway: &TestGateway) -> BTreeSet<Row> {
    let out = gateway.data_dir().join("export.csv");
    drop(std::fs::remove_file(&out));
    let exported = tokio::process::Command::new(harness::process::binary("gridtrace"))
        .args(["export", "positions", "--http", &gateway.http(), "--out"])
        .arg(&out)
        .arg("--format")
        .arg("csv")
        .status()
        .await;
    assert!(exported.unwrap().success());
    let text = std::fs::read_to_string(out).unwrap();
    let columns: BTreeMap<&str, usize> = text
        .lines()
        .next()
        .unwrap()
        .split(',')
        .enumerate()
        .map(|(i, name)| (name, i))
        .collect();
    text.lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            let field = |name: &str| fields[columns[name]].to_owned();
            (
                field("phone"),
                field("event_time"),
                field("lat"),
                field("lon"),
                field("speed_kmh"),
                field("heading_deg"),
                field("alarm"),
                field("status"),
            )
        })
        .collect()
}

async fn every_valid_location_of_a_device_is_found(settings: &[(&str, &str)]) {
    let gateway = TestGateway::start(settings).await;
    let summary = replay(&gateway).await;
    assert_eq!(summary.unexpected, 0, "{summary:?}");
    let books = gateway.drained().await;
    let (expected, found) = (expected(), exported(&gateway).await);
    assert!(
        expected.len() >= 50,
        "the corpus has {} locations",
        expected.len()
    );
    let missing: Vec<_> = expected.difference(&found).collect();
    assert!(
        missing.is_empty(),
        "{} of {} are missing: {missing:#?}",
        missing.len(),
        expected.len()
    );
    let invented: Vec<_> = found.difference(&expected).collect();
    assert!(invented.is_empty(), "nobody sent {invented:#?}");
    let invalid = device_frames()
        .filter(|frame| frame["valid"] == false)
        .count();
    let rejected = books.sum("gridtrace_frames_rejected_total");
    assert!(
        rejected >= invalid as u64,
        "{rejected} rejected of {invalid} invalid frames"
    );
    gateway.stop().await;
}

/// Devices of the corpus reported years ago.
const DECADES: (&str, &str) = ("ingest.past_max", "18000days");
const FOR_EVER: (&str, &str) = ("store.positions_kept_for", "");

#[tokio::test(flavor = "multi_thread")]
async fn all_frames_of_devices_reach_the_embedded_store() {
    every_valid_location_of_a_device_is_found(&[DECADES, FOR_EVER]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_too_old_for_the_window_are_found_as_well() {
    every_valid_location_of_a_device_is_found(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_frames_of_devices_reach_postgresql() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let address = postgres.database();
    every_valid_location_of_a_device_is_found(&[DECADES, FOR_EVER, ("store.url", &address)]).await;
}
