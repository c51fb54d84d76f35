//! The real process, killed at full load, again and again: nothing that was acknowledged is
//! missing afterwards, nothing is there twice.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on fails here"
)]

use std::{collections::HashMap, process::Command, time::Duration};

use harness::process::{Process, binary};
use tools::load::{self, LoadConfig, LoadReport};

const KILLS: u32 = 10;
const TERMINALS: usize = 100;
/// At full load what follows the log makes way: afterwards it has all of it to do.
const DRAIN: Duration = Duration::from_secs(180);

#[test]
fn ten_kills_at_full_load_lose_nothing_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged: HashMap<(String, i64, i32, i32), u64> = HashMap::new();
    let mut first_position = 0;
    for round in 0..KILLS {
        let gateway = Process::start("serve", folder.path(), &[]);
        let report = load_until_killed(gateway, first_position, round);
        assert!(
            report.acknowledged > 0,
            "round {round}: nothing was acknowledged"
        );
        first_position += u32::try_from(report.sent).unwrap();
        for p in report.acknowledged_positions() {
            *acknowledged
                .entry((p.phone, p.fixed_at, p.latitude, p.longitude))
                .or_default() += 1;
        }
    }
    let gateway = Process::start("serve", folder.path(), &[]);
    wait_until_drained(&gateway.http);
    assert!(gateway.terminate().success());
    let stored = export(folder.path());
    for (position, count) in &stored {
        assert_eq!(*count, 1, "{position:?} is stored {count} times");
    }
    let missing: Vec<_> = acknowledged
        .keys()
        .filter(|p| !stored.contains_key(*p))
        .collect();
    assert!(
        missing.is_empty(),
        "{} of {} are missing: {:?}",
        missing.len(),
        acknowledged.len(),
        missing[0]
    );
    println!(
        "{} acknowledged, {} stored, 0 missing, 0 twice",
        acknowledged.len(),
        stored.len()
    );
}

/// Full load on a thread; the process is killed in the midst of it.
fn load_until_killed(gateway: Process, first_position: u32, round: u32) -> LoadReport {
    let config = LoadConfig {
        connections: TERMINALS,
        in_flight: 8,
        warm_up: Duration::ZERO,
        duration: Duration::from_secs(20),
        drain: Duration::ZERO,
        first_position,
        keeps_acknowledged: true,
        ..LoadConfig::new(gateway.tcp.parse().unwrap())
    };
    let running = std::thread::spawn(move || load::run(&config).unwrap());
    // Another moment in each round: during start, early, in full swing.
    std::thread::sleep(Duration::from_millis(400 + u64::from(round) * 97));
    gateway.kill();
    running.join().unwrap()
}

fn wait_until_drained(http: &str) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(harness::until_within(
        DRAIN,
        "the backlog is stored",
        async || {
            let (_, body) = gateway::http_client::get(http, "/metrics").await.ok()?;
            let text = String::from_utf8_lossy(&body).into_owned();
            let mut lags = text
                .lines()
                .filter(|line| line.starts_with("gridtrace_log_lag_records{"));
            let is_known = text.contains("gridtrace_log_lag_records{");
            (is_known && lags.all(|line| line.ends_with(" 0"))).then_some(())
        },
    ));
}

/// Positions by phone, fix time and place, and how often each is there.
fn export(data_dir: &std::path::Path) -> HashMap<(String, i64, i32, i32), u64> {
    let out = data_dir.join("export.csv");
    let status = Command::new(binary("gridtrace"))
        .args(["export", "positions", "--format", "csv", "--data-dir"])
        .arg(data_dir)
        .arg("--out")
        .arg(&out)
        .status();
    assert!(status.unwrap().success());
    let text = std::fs::read_to_string(out).unwrap();
    let mut positions = HashMap::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let at = gateway::clock::parse_rfc3339(fields[1]).unwrap().millis() / 1_000;
        #[expect(clippy::cast_possible_truncation, reason = "degrees of the earth fit")]
        let micro = |text: &str| (text.parse::<f64>().unwrap() * 1e6).round() as i32;
        let key = (fields[0].to_owned(), at, micro(fields[2]), micro(fields[3]));
        *positions.entry(key).or_default() += 1;
    }
    positions
}
