//! From a fix to the case, and to the receiver's acknowledgement: terminals drive through a city with
//! fences, a report a second each; a known number of them enter a fence that nobody may enter. A
//! reference receiver of this process is told of the cases.
//!
//! `cargo bench -p benchmarks --bench cases -- [NAME=NUMBER...] [postgres]`: `terminals=5000
//! violators=500 seconds=60`. Into the embedded store, or into a PostgreSQL server of its own with
//! `fsync=on`. The binary is the one that `GRIDTRACE_BIN` names, else the one beside.
//!
//! Measured from the fix that decides: the first one not before the violation's `confirmed_at`, since
//! confirmation takes its time in the time of fixes. *Sent* is when it was due to be sent, *received*
//! what the gateway has written at the position. *Stored* is when another connection to the store sees
//! the case, looked for every 10 ms, and so never too early. *Acknowledged* is `finished_at` of the
//! delivery: when the gateway had the receiver's answer. All clocks are this machine's.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use benchmarks::{
    city::{STEP, micro_degrees, scattered, to_and_fro},
    servers::{cpu_s_of, is_measuring, number_of, own_cpu_s, resident_bytes_of},
};
use harness::{postgres::Postgres, process::Process};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tools::{
    city::{CityOptions, demo_city},
    load::{self, FixTimes, Histogram, LoadConfig, LoadReport, raise_file_limit},
    receive::{Faults, Options as ReceiverOptions, Receiver, Secret, Summary},
};

const SECRET: &str = "a-key-of-enough-characters";
const FIRST_PHONE: u64 = 13_600_000_000;
/// The store is looked into so often.
const LOOK: Duration = Duration::from_millis(10);
/// For what is under way at the end.
const PATIENCE: Duration = Duration::from_secs(180);
/// From case and receiver, p99.
const STORED_MS_MAX: f64 = 1_000.0;
const ACKNOWLEDGED_MS_MAX: f64 = 2_000.0;

/// The fence: a band from south to north through the city. Metres from the city's centre.
const BAND_ID: &str = "band";
const BAND_WEST_M: i32 = 6_000;
const BAND_WIDTH_M: i32 = 400;
/// A violator enters so many fixes after the beginning, and needs so many to be found out.
const BEFORE_FIXES: u32 = 5;
const AFTER_FIXES: u32 = 20;

/// Every so manieth terminal is a violator, and the fixes over which they enter.
static EVERY: AtomicU32 = AtomicU32::new(1);
static SPAN: AtomicU32 = AtomicU32::new(1);

fn is_violator(terminal: u32) -> bool {
    terminal.is_multiple_of(EVERY.load(Ordering::Relaxed))
}

/// Violators drive east into the band, the others to and fro.
fn place(terminal: u32, number: u32) -> (i32, i32) {
    if !is_violator(terminal) {
        return to_and_fro(terminal, number);
    }
    let enters = scattered(terminal, 7_919, SPAN.load(Ordering::Relaxed));
    let before = i32::try_from(BEFORE_FIXES).unwrap_or(0) + enters;
    let (latitude, west) = micro_degrees(BAND_WEST_M, scattered(terminal, 104_729, 13_000) - 6_500);
    let number = i32::try_from(number).unwrap_or(i32::MAX);
    (latitude, west + (number - before).saturating_mul(STEP))
}

struct Options {
    terminals: u32,
    violators: u32,
    seconds: u32,
    is_postgres: bool,
}

impl Options {
    fn read() -> Self {
        let (terminals, violators) = if is_measuring() {
            (5_000.0, 500.0)
        } else {
            (100.0, 20.0)
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float to integer cast saturates"
        )]
        let whole = |name, default| number_of(name).unwrap_or(default) as u32;
        let terminals = whole("terminals", terminals).max(1);
        Self {
            terminals,
            violators: whole("violators", violators).clamp(1, terminals),
            // With fix times that the gateway believes, and time enough to be found out.
            seconds: whole("seconds", if is_measuring() { 60.0 } else { 28.0 }).clamp(28, 3_600),
            is_postgres: std::env::args().any(|argument| argument == "postgres"),
        }
    }
}

/// When each case was first seen in the store, milliseconds since 1970.
type Seen = BTreeMap<String, u64>;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::read();
    EVERY.store(options.terminals / options.violators, Ordering::Relaxed);
    SPAN.store(
        options.seconds - BEFORE_FIXES - AFTER_FIXES,
        Ordering::Relaxed,
    );
    raise_file_limit(u64::from(options.terminals) * 2 + 2_000)?;
    // Beside the binaries: on a disk, which a folder for temporary files may not be.
    let here = std::env::current_exe()?;
    let folder = tempfile::tempdir_in(here.parent().unwrap_or_else(|| Path::new(".")))?;
    let server = match options.is_postgres {
        true => Some(Postgres::start_with(&["fsync=on"]).ok_or("PostgreSQL is not installed")?),
        false => None,
    };
    let database = server.as_ref().map(Postgres::database);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let receiver = Receiver::open(
        ReceiverOptions {
            secret: Secret::new(SECRET)?,
            file: Some(folder.path().join("receiver")),
            seed: 1,
            faults: Faults::default(),
            delay: Duration::ZERO,
            window: Duration::from_secs(60),
        },
        || {},
    )?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let url = format!("http://{}/in", listener.local_addr()?);
    runtime.spawn(receiver.clone().serve(listener));

    let gateway = start(folder.path(), &url, database.as_deref())?;
    let is_over = Arc::new(AtomicBool::new(false));
    let store = database.map_or_else(
        || Store::Embedded(folder.path().join("data/store/main.sqlite")),
        Store::Postgres,
    );
    let looker = {
        let is_over = Arc::clone(&is_over);
        thread::spawn(move || look(&store, &is_over).map_err(|error| error.to_string()))
    };
    let process = gateway.id().to_string();
    let (gateway_s, own_s, began) = (cpu_s_of(&process)?, own_cpu_s()?, Instant::now());
    let report = load::run(&LoadConfig {
        connections: options.terminals as usize,
        in_flight: 4,
        rate: Some(f64::from(options.terminals)),
        warm_up: Duration::ZERO,
        duration: Duration::from_secs(options.seconds.into()),
        drain: Duration::from_secs(10),
        log_in_limit: Duration::from_secs(180),
        first_phone: FIRST_PHONE,
        place,
        fix_times: FixTimes::Clock,
        keeps_acknowledged: true,
        ..LoadConfig::new(gateway.tcp.parse()?)
    })?;
    let lasted_s = began.elapsed().as_secs_f64();
    let gateway_cores = (cpu_s_of(&process)? - gateway_s) / lasted_s;
    let own_cores = (own_cpu_s()? - own_s) / lasted_s;
    say_load(&options, &report);
    println!(
        "  gateway {gateway_cores:.2} cores, {} MiB; load, receiver and looking {own_cores:.2} cores; log-in included",
        resident_bytes_of(&process)? >> 20
    );
    settle(&gateway)?;
    is_over.store(true, Ordering::Relaxed);
    let seen = looker.join().map_err(|_| "looking has failed")??;
    let is_good = judge(&options, &gateway, &report, &seen, &receiver.summary())?;
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The gateway with the city, its fences and the band, and one receiver.
fn start(folder: &Path, url: &str, database: Option<&str>) -> Result<Process, Box<dyn Error>> {
    let city = demo_city(1, &CityOptions::FULL);
    let catalog = folder.join("catalog");
    city.write_to(&catalog)?;
    let mut fences: Value = serde_json::from_str(&city.fences)?;
    let corner = |x_m, y_m| {
        let (latitude, longitude) = micro_degrees(x_m, y_m);
        json!([f64::from(longitude) / 1e6, f64::from(latitude) / 1e6])
    };
    let (west, east) = (BAND_WEST_M, BAND_WEST_M + BAND_WIDTH_M);
    let (south, north) = (-7_400, 7_400);
    let ring = [
        (west, south),
        (east, south),
        (east, north),
        (west, north),
        (west, south),
    ];
    let ring = ring.map(|(x_m, y_m)| corner(x_m, y_m));
    let band = json!({
        "type": "Feature",
        "properties": {"id": BAND_ID, "name": "band", "kind": "keep_out"},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    });
    let features = fences.get_mut("features").and_then(Value::as_array_mut);
    features.ok_or("a city without fences")?.push(band);
    std::fs::write(catalog.join("fences.geojson"), fences.to_string())?;
    let path = |name: &str| catalog.join(name).display().to_string();
    let receivers = format!(
        r#"[{{name = "city", url = "{url}", secret = "{SECRET}", number_field = "number", allow_private = true}}]"#
    );
    let settings = [
        ("GRIDTRACE__TELEMETRY__LEVEL", "error"),
        ("GRIDTRACE__DELIVERY__RECEIVERS", &receivers),
        (
            "GRIDTRACE__CATALOG__UNIT_GRIDS",
            &path("unit-grids.geojson"),
        ),
        ("GRIDTRACE__CATALOG__FENCES", &path("fences.geojson")),
    ];
    let store = ["--store", database.unwrap_or("embedded")];
    Ok(Process::start_with(
        "serve",
        &folder.join("data"),
        &store,
        &settings,
    ))
}

/// Where cases are looked for.
enum Store {
    Embedded(PathBuf),
    Postgres(String),
}

/// Looks for new cases until it is over.
fn look(store: &Store, is_over: &AtomicBool) -> Result<Seen, Box<dyn Error>> {
    match store {
        Store::Embedded(path) => {
            let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            connection.busy_timeout(Duration::from_secs(5))?;
            let mut count = connection.prepare("SELECT count(*) FROM cases")?;
            let mut ids = connection.prepare("SELECT id FROM cases")?;
            watch(
                is_over,
                || Ok(count.query_row([], |row| row.get(0))?),
                || {
                    let found = ids.query_map([], |row| row.get(0))?;
                    Ok(found.collect::<Result<_, _>>()?)
                },
            )
        }
        Store::Postgres(url) => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let (client, connection) =
                runtime.block_on(tokio_postgres::connect(url, tokio_postgres::NoTls))?;
            let connection = runtime.spawn(connection);
            let query = |sql| runtime.block_on(client.query(sql, &[]));
            let seen = watch(
                is_over,
                || {
                    let rows = query("SELECT count(*) FROM gridtrace.cases")?;
                    Ok(rows.first().map_or(0, |row| row.get(0)))
                },
                || {
                    let rows = query("SELECT id::text FROM gridtrace.cases")?;
                    Ok(rows.iter().map(|row| row.get(0)).collect())
                },
            );
            connection.abort();
            seen
        }
    }
}

fn watch(
    is_over: &AtomicBool,
    mut count: impl FnMut() -> Result<i64, Box<dyn Error>>,
    mut ids: impl FnMut() -> Result<Vec<String>, Box<dyn Error>>,
) -> Result<Seen, Box<dyn Error>> {
    let mut seen = Seen::new();
    let mut known = 0;
    loop {
        let is_last = is_over.load(Ordering::Relaxed);
        let there = count()?;
        if there != known {
            known = there;
            let found = ids()?;
            // Taken after the answer: the case was there before.
            let now = now_ms();
            for id in found {
                seen.entry(id).or_insert(now);
            }
        }
        if is_last {
            return Ok(seen);
        }
        thread::sleep(LOOK);
    }
}

/// Waits until everything is judged and delivered.
fn settle(gateway: &Process) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    let mut calm = 0;
    // What was judged last may still be planned.
    while calm < 10 {
        let receivers = gateway.json("/api/v1/receivers");
        let pending = receivers
            .pointer("/items/0/pending")
            .and_then(Value::as_u64);
        let lag = gateway.books().sum("gridtrace_log_lag_records");
        calm = if pending == Some(0) && lag == 0 {
            calm + 1
        } else {
            0
        };
        if began.elapsed() > PATIENCE {
            return Err(format!("not settled: {pending:?} deliveries, {lag} records").into());
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn say_load(options: &Options, report: &LoadReport) {
    let latency = &report.latency;
    println!(
        "{} terminals, {} violators, {} s, {}\n  {} sent, {} acknowledged, {:.0}/s   p50 {:.2} ms   p99 {:.2} ms   max {:.2} ms (sent late: p99 {:.2} ms)",
        options.terminals,
        violators(options),
        options.seconds,
        if options.is_postgres {
            "PostgreSQL"
        } else {
            "embedded store"
        },
        report.sent,
        report.acknowledged,
        report.acknowledged_per_s,
        latency.p50_ms,
        latency.p99_ms,
        latency.max_ms,
        report.lateness.p99_ms
    );
}

fn violators(options: &Options) -> usize {
    (0..options.terminals)
        .filter(|terminal| is_violator(*terminal))
        .count()
}

/// What is known of a violator's case.
struct Stage {
    name: &'static str,
    histogram: Histogram,
}

impl Stage {
    fn new(name: &'static str) -> Self {
        let histogram = Histogram::new();
        Self { name, histogram }
    }

    fn say(&self) -> f64 {
        let latency = self.histogram.latency();
        println!(
            "  {:<38} p50 {:>8.0} ms   p99 {:>8.0} ms   max {:>8.0} ms",
            self.name, latency.p50_ms, latency.p99_ms, latency.max_ms
        );
        latency.p99_ms
    }
}

/// Says the figures; whether all is there once and in time.
fn judge(
    options: &Options,
    gateway: &Process,
    report: &LoadReport,
    seen: &Seen,
    summary: &Summary,
) -> Result<bool, Box<dyn Error>> {
    let cases = gateway.all("/api/v1/cases?limit=1000");
    let mut acknowledged: HashMap<String, u64> = HashMap::new();
    for delivery in gateway.all("/api/v1/deliveries?state=delivered&limit=1000") {
        if text(&delivery, "event") == Some("opened")
            && let (Some(case), Some(at)) =
                (text(&delivery, "case"), moment(&delivery, "finished_at"))
        {
            acknowledged.insert(case.to_owned(), at);
        }
    }
    let mut sent: HashMap<String, Vec<(i64, u64)>> = HashMap::new();
    for position in report.acknowledged_positions() {
        let fixes = sent.entry(position.phone).or_default();
        fixes.push((position.fixed_at, position.sent_at_ms));
    }
    let mut stages = [
        Stage::new("sent -> stored"),
        Stage::new("received -> stored"),
        Stage::new("sent -> receiver's acknowledgement"),
        Stage::new("received -> receiver's acknowledgement"),
    ];
    let mut found = BTreeMap::<String, u32>::new();
    let mut others = 0_u32;
    for case in &cases {
        let phone = case.pointer("/subject/phone").and_then(Value::as_str);
        let number = phone.and_then(|phone| phone.parse::<u64>().ok());
        let terminal = number.and_then(|number| u32::try_from(number - FIRST_PHONE).ok());
        let rule = case.pointer("/rule/id").and_then(Value::as_str);
        let (Some(phone), true) = (
            phone,
            rule == Some(BAND_ID) && terminal.is_some_and(is_violator),
        ) else {
            others += 1;
            continue;
        };
        *found.entry(phone.to_owned()).or_default() += 1;
        let id = text(case, "id").unwrap_or_default();
        let sure = moment(case, "confirmed_at").ok_or("a case without a moment")?;
        let fixes = sent.get_mut(phone).ok_or("a case of nobody")?;
        fixes.sort_unstable();
        let decides = fixes
            .iter()
            .find(|(fixed_at, _)| u64::try_from(fixed_at * 1_000).is_ok_and(|at| at >= sure));
        let (fixed_at, sent_ms) = *decides.ok_or("a case that no fix decides")?;
        let received_ms = received(gateway, phone, fixed_at)?;
        for (stage, (from, to)) in stages.iter_mut().zip([
            (sent_ms, seen.get(id)),
            (received_ms, seen.get(id)),
            (sent_ms, acknowledged.get(id)),
            (received_ms, acknowledged.get(id)),
        ]) {
            if let Some(to) = to {
                stage.histogram.record(to.saturating_sub(from) * 1_000);
            }
        }
    }
    let expected = violators(options);
    let opened = summary.done.iter().filter(|entry| entry.event == "opened");
    let opened = opened.count();
    println!(
        "  {expected} violators expected, {} of them have a case, {} more than one; {others} cases of others\n  \
         {} cases stored, {} acknowledged; the receiver has {} (opened {opened} times, {} requests repeated, {} refused, {} out of order)",
        found.len(),
        found.values().filter(|count| **count > 1).count(),
        cases.len(),
        acknowledged.len(),
        summary.cases,
        summary.repeated,
        summary.refused,
        summary.out_of_order
    );
    let [sent_stored, _, sent_acknowledged, _] = stages.each_ref().map(Stage::say);
    let is_once = found.len() == expected
        && found.values().all(|count| *count == 1)
        && [acknowledged.len(), opened, seen.len()]
            .iter()
            .all(|count| *count == cases.len())
        && summary.cases == cases.len() as u64;
    let is_in_time = sent_stored < STORED_MS_MAX && sent_acknowledged < ACKNOWLEDGED_MS_MAX;
    println!(
        "  each once: {is_once}; stored within {STORED_MS_MAX:.0} ms and acknowledged within {ACKNOWLEDGED_MS_MAX:.0} ms (p99): {is_in_time}"
    );
    Ok(is_once && report.unanswered == 0 && (is_in_time || !is_measuring()))
}

/// When the gateway has received a position, as it has stored it.
fn received(gateway: &Process, phone: &str, fixed_at: i64) -> Result<u64, Box<dyn Error>> {
    let at = rfc3339(fixed_at);
    let path = format!(
        "/api/v1/positions?terminal={phone}&from={at}&to={}",
        rfc3339(fixed_at + 1)
    );
    let page = gateway.json(&path);
    let first = page
        .pointer("/items/0")
        .ok_or("the fix that decides is not stored")?;
    moment(first, "received_at").ok_or_else(|| "a position without a moment".into())
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

fn moment(value: &Value, key: &str) -> Option<u64> {
    harness::millis(text(value, key)?)
}

fn rfc3339(seconds: i64) -> String {
    tools::output::rfc3339(seconds)
}

fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since_epoch.unwrap_or_default().as_millis()).unwrap_or(0)
}
