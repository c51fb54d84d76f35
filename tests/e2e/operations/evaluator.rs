//! `gridtrace evaluator`: vehicles go from one gateway to another, and back.

use std::{collections::BTreeMap, path::Path};

use gateway::operations::evaluator::{ExportOptions, ImportOptions, export, import};
use harness::{TestGateway, configuration, report};
use serde_json::{Value, json};
use tools::wire::Revision;

const PHONES: [&str; 3] = ["13800000001", "13800000002", "13800000003"];
const VEHICLES: &str = "vehicle,phone,work_kind\nV1,13800000001,sweeper\nV2,13800000002,sweeper\nV3,13800000003,sweeper\n";

/// What is told of violations: by terminal and onset, id, end and worst.
type Books = BTreeMap<(String, String), Value>;

struct City {
    folder: tempfile::TempDir,
    settings: Vec<(String, String)>,
    start_s: i64,
}

impl City {
    fn new() -> Self {
        let circle = json!({
            "type": "Feature",
            "properties": { "id": "school", "kind": "keep_out", "radius_m": 200 },
            "geometry": { "type": "Point", "coordinates": [112.55, 37.87] },
        });
        let fences = json!({ "type": "FeatureCollection", "features": [circle] }).to_string();
        let folder = tempfile::tempdir().unwrap();
        let settings = harness::catalog(folder.path(), &fences, VEHICLES);
        Self {
            folder,
            settings,
            start_s: harness::now_s() - 3_600,
        }
    }

    async fn gateway(&self) -> TestGateway {
        TestGateway::start_in(tempfile::tempdir().unwrap(), self.settings.clone()).await
    }

    /// From 550 m north to the middle and 40 s there, and north again: these seconds of it. Each vehicle
    /// is ten seconds behind the one before.
    async fn drive(&self, gateway: &TestGateway, index: usize, seconds: std::ops::Range<i32>) {
        let mut terminal = gateway.terminal(PHONES[index], Revision::V2013).await;
        let behind = i32::try_from(index * 10).unwrap();
        for second in seconds {
            let way = second - behind;
            let steps = if way < 95 {
                55 - way.clamp(0, 55)
            } else {
                way - 95
            };
            let north = f64::from(steps.min(55)) * 0.0001;
            let mut fix = report(37.87 + north, 112.55, self.start_s + i64::from(second));
            fix.speed_dkmh = if (55..95).contains(&way) { 0 } else { 400 };
            let serial = terminal.send_location(&fix).await.unwrap();
            assert_eq!(terminal.response(serial).await.unwrap().result, 0);
        }
        gateway.drained().await;
    }

    fn export(
        &self,
        data: &Path,
        phones: &[&str],
        others: bool,
        name: &str,
    ) -> Result<String, String> {
        let options = ExportOptions {
            terminals: phones.iter().map(|phone| phone.parse().unwrap()).collect(),
            others,
            out: self.folder.path().join(name),
        };
        let config = configuration(data, &self.settings);
        said(|out| export(&config, &options, out))
    }

    fn import(&self, data: &Path, only: bool, name: &str) -> Result<String, String> {
        let options = ImportOptions {
            file: self.folder.path().join(name),
            only,
        };
        let config = configuration(data, &self.settings);
        said(|out| import(&config, &options, out))
    }
}

/// On a thread of its own: commands bring their own runtime.
fn said<E: std::fmt::Display>(
    run: impl FnOnce(&mut Vec<u8>) -> Result<u8, E> + Send,
) -> Result<String, String> {
    std::thread::scope(|scope| {
        let run = move || {
            let mut out = Vec::new();
            run(&mut out).map_err(|error| format!("{error:#}"))?;
            Ok(String::from_utf8(out).unwrap())
        };
        scope.spawn(run).join().unwrap()
    })
}

/// The violations that have ended.
async fn books(gateway: &TestGateway) -> Books {
    let cases = gateway.items("/api/v1/cases?limit=500").await.into_iter();
    let ended = cases.filter(|case| !case["ended_at"].is_null());
    let told = ended.map(|case| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let key = (text(&case["subject"]["phone"]), text(&case["started_at"]));
        let told = json!([
            case["id"],
            case["violation"],
            case["ended_at"],
            case["worst"]
        ]);
        (key, told)
    });
    told.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn vehicles_of_two_gateways_end_in_the_books_of_one() {
    let city = City::new();
    let alone = city.gateway().await;
    for index in 0..PHONES.len() {
        city.drive(&alone, index, 0..200).await;
    }
    let expected = books(&alone).await;
    assert_eq!(expected.len(), PHONES.len(), "{expected:#?}");
    alone.stop().await;

    // Behind 62 s the first one's violation is open, the second's is pending, the third has just come.
    let first = city.gateway().await;
    for index in 0..PHONES.len() {
        city.drive(&first, index, 0..62).await;
    }
    let error = city
        .export(first.data_dir(), &PHONES[..1], false, "busy")
        .unwrap_err();
    assert!(error.contains("a gateway is running"), "{error}");
    let second = city.gateway().await;
    let (first, second) = (first.stop().await, second.stop().await);
    let (a, b) = (first.path(), second.path());
    let error = city.export(a, &["13999999999"], false, "none").unwrap_err();
    assert!(
        error.contains("nothing is known here of 13999999999"),
        "{error}"
    );
    let told = city.export(a, &PHONES[..2], false, "two").unwrap();
    assert!(told.starts_with("2 vehicles as of record"), "{told}");
    let error = city.export(a, &PHONES[2..], false, "two").unwrap_err();
    assert!(error.contains("is there already"), "{error}");
    // Whoever changes a byte of it is told.
    let file = city.folder.path().join("two");
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(city.folder.path().join("bad"), &bytes).unwrap();
    let error = city.import(b, false, "bad").unwrap_err();
    assert!(error.contains("cut off or altered"), "{error}");
    let error = city.import(b, false, "catalog").unwrap_err();
    assert!(error.contains("No such file"), "{error}");
    city.import(b, true, "two").unwrap();
    let error = city.import(b, false, "two").unwrap_err();
    assert!(error.contains("there is a track of terminal"), "{error}");

    let first = TestGateway::start_in(first, city.settings.clone()).await;
    let second = TestGateway::start_in(second, city.settings.clone()).await;
    city.drive(&second, 0, 62..200).await;
    city.drive(&second, 1, 62..200).await;
    city.drive(&first, 2, 62..200).await;
    // Who reports where nobody judges him is stored there, and counted.
    city.drive(&first, 0, 62..72).await;
    let skipped = r#"gridtrace_positions_skipped_total{reason="handed_over"}"#;
    assert_eq!(first.metrics().await.value(skipped), 10);
    let mut told = books(&second).await;
    told.extend(books(&first).await);
    assert_eq!(told, expected);
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vehicles_are_not_taken_over_where_clocks_do_not_fit() {
    let city = City::new();
    let (first, second) = (city.gateway().await, city.gateway().await);
    city.drive(&first, 0, 0..60).await;
    city.drive(&second, 1, 0..60).await;
    let (first, second) = (first.stop().await, second.stop().await);
    let (a, b) = (first.path(), second.path());
    city.export(a, &PHONES[..1], false, "one").unwrap();
    let error = city.import(b, false, "one").unwrap_err();
    assert!(error.contains("same record of the same log"), "{error}");
    // Back to where it came from it may go, for nothing has happened there since.
    let told = city.import(a, false, "one").unwrap();
    assert!(told.starts_with("1 vehicles taken over"), "{told}");
    let first = TestGateway::start_in(first, city.settings.clone()).await;
    city.drive(&first, 0, 60..200).await;
    assert_eq!(books(&first).await.len(), 1);
    first.stop().await;
}
