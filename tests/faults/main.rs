//! The real process under load, while what it stands on fails: nothing that was acknowledged is
//! missing afterwards, nothing is there twice.
//!
//! | variable | default | what |
//! |---|---|---|
//! | `GRIDTRACE_KILLS` | 10 | kills at full load |
//! | `GRIDTRACE_OUTAGE_SECONDS` | 20 | load around a database that crashes or is silent; half as long, around one that is slow |
//! | `GRIDTRACE_OUTAGE_RATE` | 1,000 | reports a second meanwhile |
//! | `GRIDTRACE_OUTAGE_ADDED_MS` | no limit | for the median of acknowledgements, over twice that of before |
//! | `GRIDTRACE_OUTAGE_P99_MS` | no limit | for the acknowledgements meanwhile |

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on fails here"
)]

mod full_disk;
mod kills;
mod outages;

use std::{
    collections::HashMap,
    path::Path,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use harness::{Books, http_client, process::binary};
use serde_json::Value;
use tools::load::{self, LoadConfig, LoadReport};

/// Seconds. At full load what follows the log makes way: afterwards it has all of it to do, and more
/// after more rounds (`GRIDTRACE_DRAIN_SECONDS`).
const DRAIN_S: u32 = 180;

/// Phone, fix time, latitude and longitude.
type Position = (String, i64, i32, i32);

/// Loads share the machine with what they measure: never two at once.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn setting(name: &str, default: u32) -> u32 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// What was acknowledged, over several loads.
#[derive(Default)]
struct Ledger {
    acknowledged: HashMap<Position, u64>,
    /// Positions that were sent: the number of the next load's first one.
    sent: u32,
}

impl Ledger {
    fn load(&self, tcp: &str) -> LoadConfig {
        LoadConfig {
            warm_up: Duration::ZERO,
            first_position: self.sent,
            keeps_acknowledged: true,
            ..LoadConfig::new(tcp.parse().unwrap())
        }
    }

    fn add(&mut self, report: &LoadReport) {
        self.sent += u32::try_from(report.sent).unwrap();
        for p in report.acknowledged_positions() {
            let position = (p.phone, p.fixed_at, p.latitude, p.longitude);
            *self.acknowledged.entry(position).or_default() += 1;
        }
    }

    /// All of it is stored, and everything that is stored is there once. `source` says where, as
    /// `gridtrace export` takes it.
    fn compare(&self, source: [&str; 2]) {
        let stored = export(source);
        for (position, count) in &stored {
            assert_eq!(*count, 1, "{position:?} is stored {count} times");
        }
        let missing: Vec<_> = self
            .acknowledged
            .keys()
            .filter(|p| !stored.contains_key(*p))
            .collect();
        assert!(
            missing.is_empty(),
            "{} of {} are missing: {:?}",
            missing.len(),
            self.acknowledged.len(),
            missing[0]
        );
        assert!(!stored.is_empty());
        println!(
            "{} acknowledged, {} stored, 0 missing, 0 twice",
            self.acknowledged.len(),
            stored.len()
        );
    }
}

/// A load on a thread of its own.
fn begin(config: LoadConfig) -> JoinHandle<LoadReport> {
    std::thread::spawn(move || load::run(&config).unwrap())
}

fn asked<T>(answer: impl Future<Output = anyhow::Result<T>>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(answer).ok()
}

fn books(http: &str) -> Books {
    asked(Books::scraped(http)).unwrap()
}

/// Whether it is ready, and everything that it says about that.
fn readiness(http: &str) -> (bool, Value) {
    let (status, body) = asked(http_client::get(http, "/readyz")).unwrap();
    (status == 200, serde_json::from_slice(&body).unwrap())
}

fn wait_until(what: &str, within: Duration, is_so: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !is_so() {
        assert!(started.elapsed() < within, "{what}: not within {within:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// All that is durable is stored and judged, and the store is there.
fn wait_until_drained(http: &str) {
    let within = Duration::from_secs(setting("GRIDTRACE_DRAIN_SECONDS", DRAIN_S).into());
    wait_until("the backlog is stored", within, || {
        asked(Books::scraped(http)).is_some_and(|books| books.lag() == Some(0))
    });
}

/// Positions by phone, fix time and place, and how often each is there.
fn export(source: [&str; 2]) -> HashMap<Position, u64> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("export.csv");
    let status = Command::new(binary("gridtrace"))
        .args(["export", "positions", "--format", "csv"])
        .args(source)
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

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
