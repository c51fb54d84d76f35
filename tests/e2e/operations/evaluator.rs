//! `gridtrace evaluator`: vehicles go from one gateway to another, and back.

use std::{collections::BTreeMap, path::Path};

use gateway::operations::evaluator::{ExportOptions, ImportOptions, export, import};
use harness::{TestGateway, configuration, postgres::Postgres, report};
use serde_json::{Value, json};
use storage::embedded::EmbeddedStore;
use tools::wire::Revision;

const PHONES: [&str; 3] = ["13800000001", "13800000002", "13800000003"];
const VEHICLES: &str = "vehicle,phone,work_kind\nV1,13800000001,sweeper\nV2,13800000002,sweeper\nV3,13800000003,sweeper\n";

/// Where a gateway has its data, and its database where it has one.
type At<'a> = (&'a Path, Option<&'a str>);

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
        self.gateway_in(tempfile::tempdir().unwrap(), None).await
    }

    async fn gateway_in(&self, data: tempfile::TempDir, database: Option<&str>) -> TestGateway {
        TestGateway::start_in(data, self.settings_at(database)).await
    }

    fn settings_at(&self, database: Option<&str>) -> Vec<(String, String)> {
        let url = database.map(|url| ("store.url".to_owned(), url.to_owned()));
        self.settings.iter().cloned().chain(url).collect()
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
        (data, database): At<'_>,
        phones: &[&str],
        others: bool,
        name: &str,
    ) -> Result<String, String> {
        let options = ExportOptions {
            terminals: phones.iter().map(|phone| phone.parse().unwrap()).collect(),
            others,
            out: self.folder.path().join(name),
        };
        let config = configuration(data, &self.settings_at(database));
        said(|out| export(&config, &options, out))
    }

    fn import(&self, (data, database): At<'_>, only: bool, name: &str) -> Result<String, String> {
        let options = ImportOptions {
            file: self.folder.path().join(name),
            only,
        };
        let config = configuration(data, &self.settings_at(database));
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
    two_gateways(&City::new(), [None; 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vehicles_of_two_databases_end_in_the_books_of_one() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let urls = [(); 3].map(|()| server.database());
    let [alone, first, second] = &urls;
    let urls = [alone, first, second].map(|url| Some(url.as_str()));
    two_gateways(&City::new(), urls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vehicles_of_two_gateways_on_one_database_keep_their_cases() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let (alone, both) = (server.database(), server.database());
    two_gateways(
        &City::new(),
        [&alone, &both, &both].map(|url| Some(url.as_str())),
    )
    .await;
}

/// The first gateway has all three vehicles and hands two of them to the second; what is known in the
/// end is what one gateway alone knows.
async fn two_gateways(city: &City, [alone, one, two]: [Option<&str>; 3]) {
    let alone = city.gateway_in(tempfile::tempdir().unwrap(), alone).await;
    for index in 0..PHONES.len() {
        city.drive(&alone, index, 0..200).await;
    }
    let expected = books(&alone).await;
    assert_eq!(expected.len(), PHONES.len(), "{expected:#?}");
    alone.stop().await;

    // Behind 62 s the first one's violation is open, the second's is pending, the third has just come.
    let first = city.gateway_in(tempfile::tempdir().unwrap(), one).await;
    for index in 0..PHONES.len() {
        city.drive(&first, index, 0..62).await;
    }
    let error = city
        .export((first.data_dir(), one), &PHONES[..1], false, "busy")
        .unwrap_err();
    assert!(error.contains("a gateway is running"), "{error}");
    let second = city.gateway_in(tempfile::tempdir().unwrap(), two).await;
    let (first, second) = (first.stop().await, second.stop().await);
    let (a, b) = ((first.path(), one), (second.path(), two));
    let error = city.export(a, &["13999999999"], false, "none").unwrap_err();
    assert!(
        error.contains("nothing is known here of 13999999999"),
        "{error}"
    );
    let told = city.export(a, &PHONES[..2], false, "two").unwrap();
    assert!(told.starts_with("2 vehicles as of record"), "{told}");
    // That of the first vehicle is open, and its case with it.
    let open = told.lines().find(|line| line.contains("goes on since"));
    let open = open.unwrap_or_else(|| panic!("{told}"));
    assert!(open.starts_with("keep_out of 13800000001 "), "{told}");
    let id = open.rsplit(' ').next().unwrap();
    assert_eq!(told.matches("goes on since").count(), 1, "{told}");
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
    let told = city.import(b, true, "two").unwrap();
    assert!(told.contains(&format!("goes on: case {id}")), "{told}");
    let error = city.import(b, false, "two").unwrap_err();
    assert!(error.contains("there is a track of terminal"), "{error}");

    let first = city.gateway_in(first, one).await;
    let second = city.gateway_in(second, two).await;
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
    // Each violation is one case; in another store there is the one of which nothing was heard any more.
    let cases = first.items("/api/v1/cases?limit=500").await;
    let goes_on = cases.iter().filter(|case| case["ended_at"].is_null());
    let goes_on: Vec<&Value> = goes_on.map(|case| &case["violation"]).collect();
    if one.is_some() && one == two {
        assert_eq!(
            (cases.len(), goes_on.len()),
            (PHONES.len(), 0),
            "{cases:#?}"
        );
    } else {
        assert_eq!(goes_on, [id], "{cases:#?}");
    }
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
    let (a, b) = ((first.path(), None), (second.path(), None));
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

/// What `export` of an elder format left: what was handed over is in the fixture, with a check of then.
fn exported(text: &str, crc32: u32) -> Vec<u8> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("handed_over "));
    let digits = line.unwrap().as_bytes().chunks(2);
    let bytes = digits.map(|pair| std::str::from_utf8(pair).unwrap());
    let bytes: Vec<u8> = bytes
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect();
    let header = json!({
        "format": "gridtrace evaluator", "version": 1,
        "log": "00000000-0000-0000-0000-000000000106", "cursor": 7, "vehicles": [PHONES[0]],
        "bytes": bytes.len(), "crc32": crc32,
    });
    [header.to_string().as_bytes(), b"\n", &bytes].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_elder_formats_are_taken_over_with_the_violations_that_go_on() {
    for (format, text, crc32) in [
        (
            4,
            include_str!("../../../fixtures/geofence/snapshot-4.txt"),
            0xAA4D_303B,
        ),
        (
            5,
            include_str!("../../../fixtures/geofence/snapshot-5.txt"),
            0xCD91_BED3,
        ),
    ] {
        let city = City::new();
        let gateway = city.gateway().await.stop().await;
        let at = (gateway.path(), None);
        if format == 4 {
            // As one that was stopped before its evaluator had said where it stands.
            let directory = gateway.path().join("store");
            std::fs::remove_dir_all(&directory).unwrap();
            EmbeddedStore::open(&directory).unwrap();
        }
        std::fs::write(city.folder.path().join("elder"), exported(text, crc32)).unwrap();
        let told = city.import(at, false, "elder").unwrap();
        assert!(told.starts_with("1 vehicles taken over"), "{told}");
        // It is in the store, and goes out again as this program writes it.
        let told = city.export(at, &PHONES[..1], false, "newer").unwrap();
        assert_eq!(
            told.matches("goes on since 2026-01-05T").count(),
            2,
            "{told}"
        );
        assert!(told.contains("keep_out of 13800000001"), "{told}");
        let newer = std::fs::read(city.folder.path().join("newer")).unwrap();
        let line = newer.iter().position(|byte| *byte == b'\n').unwrap();
        assert!(newer[line + 1] > format, "{format}");
    }
}
