//! Rows a second into each store, beside bare inserts and bare COPY of the same rows in the same
//! run: without latest positions and cursor, and into the table with its indexes or one without.
//!
//! `cargo bench -p benchmarks --bench store_write [rows [batch size]...]`. PostgreSQL is measured where it is
//! installed, with `fsync` on; TimescaleDB where its library is there.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, or panics"
)]

use std::{
    sync::OnceLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use benchmarks::{
    copies::{Copier, Target},
    servers::{self, is_measuring},
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

#[tokio::main]
async fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse().ok());
    let rows: u32 = numbers
        .next()
        .unwrap_or_else(|| if is_measuring() { 300_000 } else { 3_000 });
    let mut sizes: Vec<usize> = numbers.filter_map(|size| size.try_into().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![1_000, 10_000, 50_000];
    }
    println!("{rows} rows of {TERMINALS} terminals for each figure; a second write is a resend");
    for size in sizes {
        let batches = batches(rows, size);
        println!("\nbatches of {size}");
        sqlite_baseline(&batches);
        let directory = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(directory.path()).unwrap();
        measure("embedded", &store, &batches).await;
        for (name, server) in servers() {
            server_figures(name, &server, &batches).await;
        }
    }
    println!();
    for (name, server) in servers() {
        latest_figures(name, &server).await;
    }
}

fn servers() -> Vec<(&'static str, Postgres)> {
    let plain = Postgres::start_with(&[]).map(|server| ("PostgreSQL", server));
    let timescale = Postgres::start_with_timescale(&["fsync=on"]);
    let timescale = timescale.map(|server| ("TimescaleDB", server));
    plain.into_iter().chain(timescale).collect()
}

/// Who writes, into a database of its own. The databases are alike, and all write in turns, batch
/// by batch: whatever else the machine does meanwhile meets all of them.
struct Contender {
    name: String,
    url: String,
    way: Way,
    /// Its rows come so late that each may have been sent before.
    is_suspect: bool,
    spent: Duration,
}

enum Way {
    Store(Box<TimescaleStore>),
    Bare(Copier),
}

impl Contender {
    async fn store(server: &Postgres, name: &str, copied_rows_min: usize) -> Self {
        let options = Options {
            copied_rows_min,
            ..Options::default()
        };
        let url = server.database();
        let store = TimescaleStore::connect(&url, options).await.unwrap();
        Self {
            name: name.into(),
            url,
            way: Way::Store(Box::new(store)),
            is_suspect: false,
            spent: Duration::ZERO,
        }
    }

    /// A store that is given suspect rows only.
    async fn suspicious(server: &Postgres, name: &str) -> Self {
        Self {
            is_suspect: true,
            ..Self::store(server, name, 0).await
        }
    }

    /// Into tables that a store has made, with the partitions of all days.
    async fn bare(server: &Postgres, target: Target, batches: &[PositionBatch]) -> Self {
        let url = server.database();
        let store = TimescaleStore::connect(&url, Options::default())
            .await
            .unwrap();
        for batch in batches {
            let mut one = batch.clone();
            one.positions.truncate(1);
            store.write_positions(&one).await.unwrap();
        }
        Self {
            name: target.to_string(),
            way: Way::Bare(Copier::connect(&url, target).await.unwrap()),
            url,
            is_suspect: false,
            spent: Duration::ZERO,
        }
    }

    /// Gives the number of new rows.
    async fn write(&mut self, batch: &PositionBatch) -> u64 {
        let late;
        let batch = match self.is_suspect {
            true => {
                late = two_days_late(batch);
                &late
            }
            false => batch,
        };
        let started = Instant::now();
        let written = match &mut self.way {
            Way::Store(store) => store.write_positions(batch).await.unwrap().inserted,
            Way::Bare(copier) => {
                copier.copy(&batch.positions).await.unwrap();
                batch.positions.len() as u64
            }
        };
        self.spent += started.elapsed();
        written
    }

    /// CPU that the server's processes for this one have used.
    async fn server_cpu(&self) -> Duration {
        let (client, connection) = tokio_postgres::connect(&self.url, tokio_postgres::NoTls)
            .await
            .unwrap();
        let connection = tokio::spawn(connection);
        let pids = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
                    AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
        let pids = client.query(pids, &[]).await.unwrap();
        let seconds = pids.iter().map(|row| {
            let pid: i32 = row.get(0);
            servers::cpu_s_of(&pid.to_string()).unwrap_or(0.0)
        });
        let seconds = seconds.sum();
        drop(client);
        connection.await.unwrap().unwrap();
        Duration::from_secs_f64(seconds)
    }
}

async fn server_figures(name: &str, server: &Postgres, batches: &[PositionBatch]) {
    let mut contenders = vec![
        Contender::store(server, "arrays", usize::MAX).await,
        Contender::store(server, "copied", 0).await,
        Contender::suspicious(server, "staged").await,
        Contender::bare(server, Target::Positions, batches).await,
        Contender::bare(server, Target::Unique, batches).await,
        Contender::bare(server, Target::Staging, batches).await,
    ];
    for batch in batches {
        for contender in &mut contenders {
            contender.write(batch).await;
        }
        contenders.rotate_left(1);
    }
    contenders.sort_by(|a, b| a.name.cmp(&b.name));
    for contender in &contenders {
        let cpu = contender.server_cpu().await;
        report(
            &format!("{name}, {}", contender.name),
            batches,
            contender.spent,
            Some(cpu),
        );
    }
    let bare: Vec<(String, Duration)> = contenders
        .iter()
        .filter(|contender| matches!(contender.way, Way::Bare(_)))
        .map(|contender| (contender.name.clone(), contender.spent))
        .collect();
    let beside = |ours: &str, spent: Duration| {
        for (bare, bare_spent) in &bare {
            let ratio = bare_spent.as_secs_f64() / spent.as_secs_f64();
            println!("{name:12} {ours} beside {bare}: {ratio:.2}");
        }
    };
    for contender in &contenders {
        if matches!(contender.way, Way::Store(_)) {
            beside(&contender.name, contender.spent);
        }
    }
    for contender in &mut contenders {
        if matches!(contender.way, Way::Bare(_)) {
            continue;
        }
        contender.spent = Duration::ZERO;
        for batch in batches {
            let written = contender.write(batch).await;
            assert_eq!(written, 0);
        }
        let ours = format!("{}, resent", contender.name);
        report(&format!("{name}, {ours}"), batches, contender.spent, None);
        beside(&ours, contender.spent);
    }
}

/// The same, received so late that each may have been sent before. All of it goes by way of the
/// staging table.
fn two_days_late(batch: &PositionBatch) -> PositionBatch {
    let mut late = batch.clone();
    for row in &mut late.positions {
        let p = &mut row.position;
        p.received_at = p.fixed_at.plus_millis(2 * 86_400_000);
    }
    late
}

/// The newest positions of all, beside a bare SELECT of the same rows that nobody decodes.
async fn latest_figures(name: &str, server: &Postgres) {
    const TERMINALS: u32 = 10_000;
    let contender = Contender::store(server, "latest", 0).await;
    let Way::Store(store) = &contender.way else {
        return;
    };
    let mut batch = batches(1, 1).remove(0);
    batch.positions = (0..TERMINALS).map(|n| row(n, TERMINALS)).collect();
    store.write_positions(&batch).await.unwrap();
    let (client, connection) = tokio_postgres::connect(&contender.url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client.batch_execute("ANALYZE").await.unwrap();
    let select = client.prepare("SELECT * FROM gridtrace.latest");
    let select = select.await.unwrap();
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..21 {
        let started = Instant::now();
        let rows = store.latest_positions(None, TERMINALS).await.unwrap();
        ours.push(started.elapsed());
        let started = Instant::now();
        let all = client.query(&select, &[]).await.unwrap();
        bare.push(started.elapsed());
        assert_eq!(rows.len(), all.len());
    }
    for (what, mut times) in [("read", ours), ("bare SELECT", bare)] {
        times.sort_unstable();
        println!(
            "{name:12} {TERMINALS} latest positions, {what}: least {:.1?}, median {:.1?}",
            times[0], times[10]
        );
    }
}

/// Rows in the order of their arrival: every terminal every ten seconds.
fn batches(rows: u32, size: usize) -> Vec<PositionBatch> {
    let rows: Vec<_> = (0..rows).map(|number| row(number, TERMINALS)).collect();
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

/// Of these days: older rows would be compressed while they are written.
fn row(number: u32, terminals: u32) -> PositionRow {
    static START: OnceLock<i64> = OnceLock::new();
    let start = *START.get_or_init(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        i64::try_from(now.as_secs() / 86_400 * 86_400_000).unwrap()
    });
    let terminal = 13_800_000_000_u64 + u64::from(number % terminals);
    let terminal: TerminalId = terminal.to_string().parse().unwrap();
    let fixed_at = Timestamp(start + i64::from(number / terminals) * 10_000);
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

/// Writes all batches, and again, as if all were resent.
async fn measure(name: &str, store: &dyn Store, batches: &[PositionBatch]) {
    for pass in ["first", "again"] {
        let started = Instant::now();
        for batch in batches {
            store.write_positions(batch).await.unwrap();
        }
        report(&format!("{name}, {pass}"), batches, started.elapsed(), None);
    }
}

fn report(name: &str, batches: &[PositionBatch], elapsed: Duration, server_cpu: Option<Duration>) {
    let rows: usize = batches.iter().map(|batch| batch.positions.len()).sum();
    let seconds = elapsed.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
    let (rows, batches) = (rows as f64, batches.len() as f64);
    let (rate, pause) = (rows / seconds, seconds * 1e3 / batches);
    print!("{name:36} {rate:9.0} rows/s, {pause:6.1} ms a batch");
    if let Some(cpu) = server_cpu {
        print!(
            ", {:4.2} µs CPU of the server a row",
            cpu.as_secs_f64() * 1e6 / rows
        );
    }
    println!();
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
            None,
        );
    }
}
