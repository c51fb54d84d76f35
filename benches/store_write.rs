//! Rows a second into each store, beside bare inserts and bare COPY of the same rows in the same
//! run: without identity, latest positions and cursor.
//!
//! `cargo bench -p benchmarks --bench store_write [rows]`. PostgreSQL is measured where it is
//! installed, with `fsync` on; TimescaleDB where its library is there.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, or panics"
)]

use std::time::{Duration, Instant};

use benchmarks::{
    copies::{self, Target},
    servers::is_measuring,
};
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
        .unwrap_or_else(|| if is_measuring() { 300_000 } else { 3_000 });
    println!("{rows} rows of {TERMINALS} terminals for each figure; a second write is a resend");
    for size in [1_000, 10_000, 50_000] {
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
    let mut figures = Vec::new();
    for (way, copied_rows_min) in [("arrays", usize::MAX), ("copied", 0)] {
        let options = Options {
            copied_rows_min,
            ..Options::default()
        };
        let url = server.database();
        let store = TimescaleStore::connect(&url, options).await.unwrap();
        let rate = measure(&format!("{name}, {way}"), &store, batches).await;
        figures.push((way, rate, url));
    }
    // Behind the store: its schema and partitions are there, and its caches warm.
    let (way, best, url) = figures
        .into_iter()
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap();
    for target in [Target::Staging, Target::Positions] {
        let rate = copy_baseline(name, &url, target, batches).await;
        println!("{name:28} {way} / {target}: {:.2}", best / rate);
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
            inputs: Default::default(),
            is_positioned: true,
            is_backlog: false,
        },
        unit_grid: Some("14010500100101".into()),
    }
}

/// Writes all batches, and again, as if all were resent; gives the first rate.
async fn measure(name: &str, store: &dyn Store, batches: &[PositionBatch]) -> f64 {
    let mut first = None;
    for pass in ["first", "again"] {
        let started = Instant::now();
        for batch in batches {
            store.write_positions(batch).await.unwrap();
        }
        let rate = report(&format!("{name}, {pass}"), batches, started.elapsed());
        first = first.or(Some(rate));
    }
    let started = Instant::now();
    let latest = store.latest_positions(None, TERMINALS).await.unwrap();
    let elapsed = started.elapsed();
    println!(
        "{:28} {} latest positions in {elapsed:.1?}",
        name,
        latest.len()
    );
    first.unwrap()
}

fn report(name: &str, batches: &[PositionBatch], elapsed: Duration) -> f64 {
    let rows: usize = batches.iter().map(|batch| batch.positions.len()).sum();
    let seconds = elapsed.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
    let (rate, pause) = (rows as f64 / seconds, seconds * 1e3 / batches.len() as f64);
    println!("{name:28} {rate:9.0} rows/s, {pause:6.1} ms a batch");
    rate
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
        report(
            &format!("bare SQLite, {synchronous}"),
            batches,
            started.elapsed(),
        );
    }
}

/// Bare COPY of the same rows; gives its rate.
async fn copy_baseline(name: &str, url: &str, target: Target, batches: &[PositionBatch]) -> f64 {
    let (mut client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let rows: Vec<_> = batches.iter().map(|batch| &batch.positions[..]).collect();
    let elapsed = copies::copy(&mut client, target, &rows).await.unwrap();
    let rate = report(&format!("{name}, {target}"), batches, elapsed);
    drop(client);
    connection.await.unwrap().unwrap();
    rate
}
