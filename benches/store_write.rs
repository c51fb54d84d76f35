//! Rows a second into each store, beside bare inserts of the same rows in the same run: without
//! identity, latest positions and cursor.
//!
//! `cargo bench -p benchmarks --bench store_write [rows]`. PostgreSQL is measured where it is
//! installed, with `fsync` on; TimescaleDB where its library is there.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, or panics"
)]

use std::time::Instant;

use futures_util::SinkExt as _;
use geofence::{
    identity::TerminalId,
    position::Position,
    units::{Latitude, Longitude, Timestamp},
};
use harness::postgres::Postgres;
use storage::{
    embedded::EmbeddedStore,
    store::{Cursor, PositionBatch, PositionRow, Store},
    timescale::{Options, TimescaleStore},
};
use uuid::Uuid;

const TERMINALS: u32 = 2_000;
const START: i64 = 1_764_028_800_000;

#[tokio::main]
async fn main() {
    let rows = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(300_000);
    println!("{rows} rows of {TERMINALS} terminals for each figure; a second write is a resend");
    for size in [1_000, 10_000] {
        let batches = batches(rows, size);
        println!("\nbatches of {size}");
        sqlite_baseline(&batches);
        let directory = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(directory.path()).unwrap();
        measure("embedded", &store, &batches).await;
        if let Some(server) = Postgres::start_with(&[]) {
            server_figures("PostgreSQL", &server, &batches).await;
        }
        if let Some(server) = Postgres::start_with_timescale(&["fsync=on"]) {
            server_figures("TimescaleDB", &server, &batches).await;
        }
    }
}

async fn server_figures(name: &str, server: &Postgres, batches: &[PositionBatch]) {
    copy_baseline(name, &server.database(), batches).await;
    for (way, copied_rows_min) in [("arrays", usize::MAX), ("copied", 0)] {
        let options = Options {
            copied_rows_min,
            ..Options::default()
        };
        let store = TimescaleStore::connect(&server.database(), options)
            .await
            .unwrap();
        measure(&format!("{name}, {way}"), &store, batches).await;
    }
}

/// Rows in the order of their arrival: every terminal every ten seconds.
fn batches(rows: u32, size: usize) -> Vec<PositionBatch> {
    let rows: Vec<_> = (0..rows).map(row).collect();
    let chunks = rows.chunks(size).zip(1..);
    chunks
        .map(|(rows, offset)| PositionBatch {
            cursor: Cursor {
                log: Uuid::nil(),
                consumer: "store".into(),
                offset,
            },
            positions: rows.to_vec(),
            quarantined: Vec::new(),
        })
        .collect()
}

fn row(number: u32) -> PositionRow {
    let terminal = 13_800_000_000_u64 + u64::from(number % TERMINALS);
    let terminal: TerminalId = terminal.to_string().parse().unwrap();
    let fixed_at = Timestamp(START + i64::from(number / TERMINALS) * 10_000);
    let place = i32::try_from(number.wrapping_mul(2_654_435_761) >> 12).unwrap();
    PositionRow {
        position: Position {
            terminal,
            fixed_at,
            received_at: fixed_at.plus_millis(700),
            log_offset: number.into(),
            digest: number.wrapping_mul(2_654_435_761),
            latitude: Latitude::from_micro_degrees(37_000_000 + place).unwrap(),
            longitude: Longitude::from_micro_degrees(112_000_000 + place).unwrap(),
            altitude_m: Some(780),
            speed_dkmh: 123,
            heading_deg: 90,
            alarm_flags: 0,
            status_flags: 3,
            odometer_dkm: Some(number),
            satellites: Some(11),
            is_positioned: true,
            is_backlog: false,
        },
        unit_grid: Some("14010500100101".into()),
    }
}

async fn measure(name: &str, store: &dyn Store, batches: &[PositionBatch]) {
    for pass in ["first", "again"] {
        let started = Instant::now();
        for batch in batches {
            store.write_positions(batch).await.unwrap();
        }
        report(&format!("{name}, {pass}"), batches, started);
    }
    let started = Instant::now();
    let latest = store.latest_positions(None, TERMINALS).await.unwrap();
    let elapsed = started.elapsed();
    println!(
        "{:28} {} latest positions in {elapsed:.1?}",
        name,
        latest.len()
    );
}

fn report(name: &str, batches: &[PositionBatch], started: Instant) {
    let rows: usize = batches.iter().map(|batch| batch.positions.len()).sum();
    let seconds = started.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
    let (rate, pause) = (rows as f64 / seconds, seconds * 1e3 / batches.len() as f64);
    println!("{name:28} {rate:9.0} rows/s, {pause:6.1} ms a batch");
}

/// Bare inserts into a table without any key, at the same two durabilities.
fn sqlite_baseline(batches: &[PositionBatch]) {
    for synchronous in ["NORMAL", "FULL"] {
        let directory = tempfile::tempdir().unwrap();
        let mut file = rusqlite::Connection::open(directory.path().join("bare.sqlite")).unwrap();
        let set = format!("PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}");
        file.execute_batch(&set).unwrap();
        file.execute_batch("CREATE TABLE bare (a, b, c, d, e, f, g, h, i, j)")
            .unwrap();
        let started = Instant::now();
        for batch in batches {
            let transaction = file.transaction().unwrap();
            let sql = "INSERT INTO bare VALUES (?,?,?,?,?,?,?,?,?,?)";
            let mut insert = transaction.prepare_cached(sql).unwrap();
            for row in &batch.positions {
                let p = &row.position;
                insert
                    .execute(rusqlite::params![
                        p.terminal.as_str(),
                        p.fixed_at.0,
                        p.digest,
                        p.received_at.0,
                        p.latitude.micro_degrees(),
                        p.longitude.micro_degrees(),
                        p.speed_dkmh,
                        p.heading_deg,
                        p.status_flags,
                        row.unit_grid
                    ])
                    .unwrap();
            }
            drop(insert);
            transaction.commit().unwrap();
        }
        report(&format!("bare SQLite, {synchronous}"), batches, started);
    }
}

/// Text COPY of the same rows, made beforehand, into a table without any key.
async fn copy_baseline(name: &str, url: &str, batches: &[PositionBatch]) {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let columns = "a bigint, b bigint, c bigint, d bigint, e int, f int, g int, h int, i bigint, \
                   j text";
    client
        .batch_execute(&format!("CREATE TABLE bare ({columns})"))
        .await
        .unwrap();
    let lines = |batch: &PositionBatch| {
        let line = |row: &PositionRow| {
            let p = &row.position;
            format!(
                "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n",
                p.terminal,
                p.fixed_at.0,
                p.digest,
                p.received_at.0,
                p.latitude.micro_degrees(),
                p.longitude.micro_degrees(),
                p.speed_dkmh,
                p.heading_deg,
                p.status_flags,
                row.unit_grid.as_deref().unwrap()
            )
        };
        bytes::Bytes::from(batch.positions.iter().map(line).collect::<String>())
    };
    let texts: Vec<_> = batches.iter().map(lines).collect();
    let started = Instant::now();
    for text in texts {
        let sink = client.copy_in("COPY bare FROM STDIN").await.unwrap();
        let mut sink = std::pin::pin!(sink);
        sink.send(text).await.unwrap();
        sink.finish().await.unwrap();
    }
    report(&format!("bare COPY, {name}"), batches, started);
    drop(client);
    connection.await.unwrap().unwrap();
}
