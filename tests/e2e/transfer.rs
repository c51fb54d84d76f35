//! From the embedded store to a database, in one command.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use harness::{TestGateway, now_s, postgres::Postgres, process::binary, report, until};
use serde_json::{Value, json};
use storage::{
    embedded::EmbeddedStore,
    store::{Cursor, PositionBatch, PositionRow, Store as _},
    timescale::{Options, TimescaleStore},
};
use tools::wire::{Revision, message_id};

const PHONE: &str = "13800000001";

fn gridtrace(arguments: &[&str]) -> Output {
    Command::new(binary("gridtrace"))
        .args(arguments)
        .output()
        .unwrap()
}

fn move_to(data_dir: &Path, url: &str, more: &[&str]) -> (bool, String) {
    let data_dir = data_dir.to_str().unwrap();
    let arguments = [&["move", "--data-dir", data_dir, "--to", url], more].concat();
    let output = gridtrace(&arguments);
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// Positions and quarantine as CSV.
fn export(source: &[&str]) -> String {
    let output = gridtrace(&[&["export", "positions", "--out", "-"], source].concat());
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A gateway with a fence around 37.87 N, 112.55 E that nobody may enter.
fn settings(folder: &Path) -> Vec<(String, String)> {
    let square = json!([[
        [112.5475, 37.868],
        [112.5525, 37.868],
        [112.5525, 37.872],
        [112.5475, 37.872],
        [112.5475, 37.868]
    ]]);
    let fences = json!({"type": "FeatureCollection", "features": [{
        "type": "Feature",
        "properties": {"id": "K1", "name": "school", "kind": "keep_out"},
        "geometry": {"type": "Polygon", "coordinates": square},
    }]});
    let vehicles = "vehicle,phone,plate,work_kind,fleet,name,speed_limit_kmh\n\
                    V1,13800000001,晋AR0001,refuse_truck,F1,one,60\n";
    harness::catalog(folder, &fences.to_string(), vehicles)
}

async fn everything(gateway: &TestGateway) -> Vec<Value> {
    let mut all = Vec::new();
    for list in ["positions", "positions/latest", "quarantine", "cases"] {
        all.push(gateway.json(&format!("/api/v1/{list}")).await);
    }
    // Who is connected is no matter of a store.
    for item in all[1]["items"].as_array_mut().unwrap() {
        for of_the_link in ["online", "state"] {
            item.as_object_mut().unwrap().remove(of_the_link);
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_goes_on_in_the_database_where_it_stood_in_the_embedded_store() {
    for server in [Postgres::start(), Postgres::start_with_timescale(&[])]
        .into_iter()
        .flatten()
    {
        let url = server.database();
        let city = tempfile::tempdir().unwrap();
        let mut settings = settings(city.path());
        let gateway = TestGateway::start_in(tempfile::tempdir().unwrap(), settings.clone()).await;
        let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
        let start = now_s() - 400;
        // Into the fence, where it stays: a case is open when the store is moved.
        for second in 0..100_u32 {
            let north = 37.8640 + f64::from(second.min(60)) * 0.0001;
            let mut fix = report(north, 112.55, start + i64::from(second));
            fix.heading_deg = 0;
            let serial = terminal.send_location(&fix).await.unwrap();
            assert_eq!(terminal.response(serial).await.unwrap().result, 0);
        }
        for day in [400, 500] {
            let old = report(37.87, 112.55, now_s() - day * 86_400).body();
            let serial = terminal
                .send(message_id::LOCATION_REPORT, &old)
                .await
                .unwrap();
            terminal.response(serial).await.unwrap();
        }
        gateway.drained().await;
        let case = until("the case is open", async || {
            let cases = gateway.items("/api/v1/cases").await;
            cases.first().cloned()
        });
        assert!(case.await["ended_at"].is_null());

        let (ok, said) = move_to(gateway.data_dir(), &url, &[]);
        assert!(!ok && said.contains("a gateway is running"), "{said}");
        let before = everything(&gateway).await;
        drop(terminal);
        let folder = gateway.stop().await;
        let (ok, said) = move_to(folder.path(), &url, &[]);
        assert!(ok, "{said}");
        for words in [
            "100 positions of",
            "1 latest positions",
            "2 reports in quarantine",
            "1 cases with 1 changes",
            "3 cursors",
        ] {
            assert!(said.contains(words), "{said}");
        }
        let (ok, again) = move_to(folder.path(), &url, &[]);
        assert!(!ok && again.contains("is not empty"), "{again}");
        let (ok, again) = move_to(folder.path(), &url, &["--resume"]);
        assert!(ok && again.contains("it is there already"), "{again}");
        assert_eq!(
            export(&["--store", &url]),
            export(&["--data-dir", folder.path().to_str().unwrap()])
        );

        settings.push(("store.url".into(), url.clone()));
        let gateway = TestGateway::start_in(folder, settings).await;
        until("the store is asked", async || {
            let books = gateway.metrics().await;
            // Newest positions are asked for behind the start.
            let newest = gateway.json("/api/v1/positions/latest").await;
            let is_loaded = newest["items"] != json!([]);
            (is_loaded && books.lag() == Some(0)).then_some(())
        })
        .await;
        for (after, before) in everything(&gateway).await.iter().zip(&before) {
            assert_eq!(after, before);
        }
        // It leaves the fence: the case that was open ends, and is no second one.
        let mut terminal = gateway.terminal(PHONE, Revision::V2013).await;
        for second in 0..80_u32 {
            let north = 37.8700 + f64::from(second) * 0.0001;
            let mut fix = report(north, 112.55, start + 100 + i64::from(second));
            fix.heading_deg = 0;
            let serial = terminal.send_location(&fix).await.unwrap();
            assert_eq!(terminal.response(serial).await.unwrap().result, 0);
        }
        let books = gateway.drained().await;
        let stored = |result| {
            books.value(&format!(
                "gridtrace_positions_stored_total{{result=\"{result}\"}}"
            ))
        };
        assert_eq!((stored("inserted"), stored("duplicate")), (80, 0));
        let case = until("the case has ended", async || {
            let cases = gateway.items("/api/v1/cases").await;
            assert_eq!(cases.len(), 1, "{cases:#?}");
            (!cases[0]["ended_at"].is_null()).then(|| cases[0].clone())
        });
        assert_eq!(case.await["id"], before[3]["items"][0]["id"]);
        // A gateway has written to it: nothing may be moved over that.
        let folder = gateway.stop().await;
        let (ok, said) = move_to(folder.path(), &url, &["--resume"]);
        assert!(
            !ok && said.contains("a gateway has written to it"),
            "{said}"
        );
    }
}

/// Rows of several days, as a gateway would have written them.
async fn fill(data_dir: &Path, rows: u32) {
    std::fs::create_dir_all(data_dir.join("log")).unwrap();
    let store = EmbeddedStore::open(&data_dir.join("store")).unwrap();
    let template = json!({"position": {
        "terminal": PHONE, "fixed_at": 0, "received_at": 0, "log_offset": 0, "digest": 0,
        "latitude": 37_870_000, "longitude": 112_550_000, "altitude_m": null, "speed_dkmh": 0,
        "heading_deg": 0, "alarm_flags": 0, "status_flags": 0, "odometer_dkm": null,
        "satellites": null, "is_positioned": true, "is_backlog": false,
    }, "unit_grid": null});
    let template: PositionRow = serde_json::from_value(template).unwrap();
    let start = now_s() - 5 * 86_400;
    for (offset, first) in (1..).zip((0..rows).step_by(20_000)) {
        let positions = (first..rows.min(first + 20_000)).map(|number| {
            let mut row = template.clone();
            row.position.terminal = (13_800_000_000_u64 + u64::from(number % 50))
                .to_string()
                .parse()
                .unwrap();
            row.position.fixed_at =
                geofence::units::Timestamp::from_seconds(start + i64::from(number));
            row.position.digest = number.wrapping_mul(2_654_435_761);
            row
        });
        let cursor = Cursor {
            log: uuid::Uuid::from_u128(5),
            consumer: "store".into(),
            offset,
        };
        let batch = PositionBatch {
            cursor,
            positions: positions.collect(),
            quarantined: vec![],
        };
        store.write_positions(&batch).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_is_killed_goes_on_and_loses_nothing() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let url = server.database();
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 200_000).await;
    let data_dir = folder.path().to_str().unwrap();
    let mut child = Command::new(binary("gridtrace"))
        .args(["move", "--data-dir", data_dir, "--to", &url])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let is_there = "SELECT to_regclass('gridtrace.positions') IS NOT NULL";
    let begun = "SELECT count(*) > 0 FROM gridtrace.positions";
    until("the move has begun", async || {
        let begun = server.execute(&url, is_there) == "t" && server.execute(&url, begun) == "t";
        begun.then_some(())
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
    let count = "SELECT count(*) FROM gridtrace.positions";
    let broken_off: u32 = server.execute(&url, count).parse().unwrap();
    assert!(broken_off < 200_000, "it was over before it was killed");
    let (ok, said) = move_to(folder.path(), &url, &[]);
    assert!(!ok && said.contains("--resume"), "{said}");
    let (ok, said) = move_to(folder.path(), &url, &["--resume"]);
    assert!(ok && said.contains("200000 positions of"), "{said}");
    assert_eq!(server.execute(&url, count), "200000");
    assert_eq!(
        export(&["--store", &url]),
        export(&["--data-dir", data_dir])
    );
    let cursors = "SELECT consumer, record_offset FROM gridtrace.cursors";
    assert_eq!(server.execute(&url, cursors), "store|10");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_with_something_in_it_and_a_directory_without_are_refused() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let url = server.database();
    let folder = tempfile::tempdir().unwrap();
    let (ok, said) = move_to(folder.path(), &url, &[]);
    assert!(!ok && said.contains("no log"), "{said}");
    // Another city's gateway has written to the database.
    let other = TimescaleStore::connect(&url, Options::default())
        .await
        .unwrap();
    let cursor = Cursor {
        log: uuid::Uuid::from_u128(6),
        consumer: "store".into(),
        offset: 1,
    };
    let batch = PositionBatch {
        cursor,
        positions: vec![],
        quarantined: vec![],
    };
    other.write_positions(&batch).await.unwrap();
    fill(folder.path(), 10).await;
    for more in [&[][..], &["--resume"]] {
        let (ok, said) = move_to(folder.path(), &url, more);
        assert!(!ok, "{said}");
    }
    let rows = "SELECT count(*) FROM gridtrace.positions";
    assert_eq!(server.execute(&url, rows), "0");
    // A database that is away.
    let away = "postgres://gridtrace@127.0.0.1:1/none";
    let (ok, said) = move_to(folder.path(), away, &[]);
    assert!(!ok && said.contains("not available"), "{said}");
}
