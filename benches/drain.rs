//! What a backlog costs terminals: positions pile up in the log while the store is away, then they
//! are drained while live reports go on; beside the same live reports without a backlog, before and
//! after.
//!
//! `cargo bench -p benchmarks --bench drain [positions] [postgres] [name=value]...`: 500,000 unless
//! another number is given; into the embedded store, or into a PostgreSQL server of its own with
//! such settings. Settings of the gateway come as ever, `GRIDTRACE__STORE__BATCH_INTERVAL=1s`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{
    error::Error,
    path::Path,
    time::{Duration, Instant},
};

use benchmarks::servers::is_measuring;
use harness::{postgres::Postgres, process::Process};
use tools::load::{self, LoadConfig, LoadReport};

/// Nobody listens there.
const NO_STORE: &str = "postgres://nobody@127.0.0.1:1/none";
const LEVEL: (&str, &str) = ("GRIDTRACE__TELEMETRY__LEVEL", "error");
const PATIENCE: Duration = Duration::from_secs(1_800);

/// Live reports: messages a second, and how long.
struct Live {
    rate: f64,
    duration: Duration,
}

fn main() -> Result<(), Box<dyn Error>> {
    let asked = std::env::args().find_map(|argument| argument.parse().ok());
    let (positions, live) = if is_measuring() {
        let duration = Duration::from_secs(10);
        (
            asked.unwrap_or(500_000),
            Live {
                rate: 2_000.0,
                duration,
            },
        )
    } else {
        let duration = Duration::from_secs(1);
        (
            2_000,
            Live {
                rate: 100.0,
                duration,
            },
        )
    };
    // Beside the binaries: on a disk, which a folder for temporary files may not be.
    let here = std::env::current_exe()?;
    let folder = tempfile::tempdir_in(here.parent().unwrap_or_else(|| Path::new(".")))?;
    let mut first_position = 0;
    let server = match std::env::args().any(|argument| argument == "postgres") {
        true => {
            let mut settings = vec!["fsync=on".to_owned()];
            settings.extend(std::env::args().filter(|argument| argument.contains('=')));
            let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
            Some(
                Postgres::start_with_timescale(&settings)
                    .ok_or("PostgreSQL with TimescaleDB is not installed")?,
            )
        }
        false => None,
    };
    let store = server
        .as_ref()
        .map_or_else(|| "embedded".to_owned(), Postgres::database);
    let store = ["--store", &store];

    let gateway = Process::start_with("serve", folder.path(), &store, &[LEVEL]);
    let alone = live.run(&gateway, &mut first_position)?;
    say("without a backlog", &alone);
    drop(gateway);

    let gateway = Process::start_with("serve", folder.path(), &["--store", NO_STORE], &[LEVEL]);
    let piled_up = pile_up(&gateway, positions, &mut first_position)?;
    drop(gateway);

    let gateway = Process::start_with("serve", folder.path(), &store, &[LEVEL]);
    let began = Instant::now();
    let meanwhile = live.run(&gateway, &mut first_position)?;
    let left = lag(&gateway);
    say(&format!("with one ({left} records are left)"), &meanwhile);
    while lag(&gateway) > 0 {
        if began.elapsed() > PATIENCE {
            return Err("the backlog does not end".into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let seconds = began.elapsed().as_secs_f64();
    let stored = gateway.books().sum("gridtrace_positions_stored_total");
    #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
    let rate = stored as f64 / seconds;
    println!("  {piled_up} piled up; drained in {seconds:.1} s, {rate:.0} positions/s");

    let after = live.run(&gateway, &mut first_position)?;
    say("when it is done", &after);
    println!(
        "  p99 with / without a backlog {:.2}",
        meanwhile.latency.p99_ms / alone.latency.p99_ms.max(after.latency.p99_ms)
    );
    Ok(())
}

impl Live {
    fn run(&self, gateway: &Process, first: &mut u32) -> Result<LoadReport, Box<dyn Error>> {
        let report = load::run(&LoadConfig {
            connections: 500,
            in_flight: 4,
            rate: Some(self.rate),
            duration: self.duration,
            first_position: *first,
            ..LoadConfig::new(gateway.tcp.parse()?)
        })?;
        *first += u32::try_from(report.sent)?;
        Ok(report)
    }
}

/// Terminals send all that they have, in batches, until so many positions are durable.
fn pile_up(gateway: &Process, positions: u64, first: &mut u32) -> Result<u64, Box<dyn Error>> {
    let mut piled_up = 0;
    while piled_up < positions {
        let report = load::run(&LoadConfig {
            connections: 200,
            in_flight: 4,
            batch: 20,
            warm_up: Duration::ZERO,
            duration: Duration::from_millis(500),
            first_position: *first,
            ..LoadConfig::new(gateway.tcp.parse()?)
        })?;
        *first += u32::try_from(report.sent)?;
        piled_up += report.acknowledged;
    }
    Ok(piled_up)
}

fn lag(gateway: &Process) -> u64 {
    gateway.books().sum("gridtrace_log_lag_records")
}

fn say(when: &str, report: &LoadReport) {
    let LoadReport {
        acknowledged_per_s,
        latency,
        ..
    } = report;
    println!(
        "  {when:<40} {acknowledged_per_s:>7.0}/s   p50 {:>6.2} ms   p99 {:>6.2} ms   max {:>6.1} ms",
        latency.p50_ms, latency.p99_ms, latency.max_ms
    );
}
