//! Terminals over MQTT beside as many over TCP, each with a message in ten seconds, and users who
//! follow their jurisdictions: how long terminals wait for an acknowledgement, whether anything is
//! lost, what reaches the users and when. Then the rate over MQTT grows until terminals wait too
//! long or acknowledgements fall behind.
//!
//! `cargo bench -p benchmarks --bench mqtt -- [NAME=NUMBER...]`, where the names are those of
//! [`Options`]: `terminals=5000 subscribers=200 wide=50 interval_s=10 seconds=30 warm_up_s=5 factor=1.5
//! ramp_s=10 steps=16 both=0`. The binary is the one that `GRIDTRACE_BIN` names, else the one beside.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{
    collections::BTreeSet,
    error::Error,
    fs,
    net::SocketAddr,
    path::Path,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use benchmarks::{
    city::to_and_fro,
    servers::{cpu_s_of, is_measuring, number_of, own_cpu_s, resident_bytes_of},
    subscribers::{Heard, Subscribers, users},
};
use harness::{Books, process::Process};
use tools::{
    city::{CityOptions, demo_city},
    load::{FixTimes, Fleet, LoadConfig, LoadError, LoadReport, MqttLoad, Pace, raise_file_limit},
    mqtt::PayloadKind,
};

/// What a terminal may wait for its acknowledgement (p99).
const WAIT_MS_MAX: f64 = 100.0;
/// Of what was asked for, so much must be acknowledged in the time that is measured.
const SHARE_MIN: f64 = 0.98;
/// At the end of a step, for what is not stored.
const PATIENCE: Duration = Duration::from_secs(180);
/// Of the terminals over TCP; the others follow far behind.
const FIRST_PHONE: u64 = 13_700_000_000;
const FIRST_MQTT_PHONE: u64 = 13_800_000_000;
const PASSWORD: &str = "a long and random text";
const DROPS: [&str; 4] = ["coalesced", "mailbox", "link", "queue"];

/// What was asked for on the command line.
struct Options {
    /// Of each kind.
    terminals: u32,
    subscribers: usize,
    /// Of these, how many follow a whole district; the others follow a street.
    wide: usize,
    /// Between two messages of a terminal.
    interval_s: u32,
    /// Measured at the rate that the issue names.
    duration: Duration,
    warm_up: Duration,
    /// The rate grows by this factor from step to step.
    factor: f64,
    ramp: Duration,
    steps_max: u32,
    /// The rate over TCP grows as well.
    both: bool,
}

impl Options {
    fn read() -> Self {
        let number = |name, full: f64, small: f64| {
            let default = if is_measuring() { full } else { small };
            number_of(name).unwrap_or(default)
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float to integer cast saturates"
        )]
        let whole = |name, full, small| number(name, full, small) as u32;
        let seconds = |name, full, small| {
            Duration::from_secs_f64(number(name, full, small).clamp(0.1, 3_600.0))
        };
        Self {
            terminals: whole("terminals", 5_000.0, 50.0).max(1),
            subscribers: whole("subscribers", 200.0, 8.0) as usize,
            wide: whole("wide", 50.0, 4.0) as usize,
            interval_s: whole("interval_s", 10.0, 1.0).max(1),
            duration: seconds("seconds", 30.0, 1.0),
            warm_up: seconds("warm_up_s", 5.0, 0.5),
            factor: number("factor", 1.5, 2.0).max(1.05),
            ramp: seconds("ramp_s", 10.0, 1.0),
            steps_max: whole("steps", 16.0, 1.0),
            both: number("both", 0.0, 0.0) > 0.0,
        }
    }
}

/// One gateway, and everybody who is connected to it.
struct Bench {
    gateway: Process,
    options: Options,
    json: Fleet,
    frames: Fleet,
    tcp: Fleet,
    subscribers: Subscribers,
}

/// What a step has shown.
struct Step {
    /// Everything was acknowledged, in time.
    keeps_up: bool,
    /// What was acknowledged is stored once.
    is_stored: bool,
    acknowledged: u64,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::read();
    let files = u64::from(options.terminals) * 4 + options.subscribers as u64 * 2 + 2_000;
    raise_file_limit(files)?;
    // Beside the binaries: on a disk, which a folder for temporary files may not be.
    let here = std::env::current_exe()?;
    let folder = tempfile::tempdir_in(here.parent().unwrap_or_else(|| Path::new(".")))?;
    let rate = f64::from(options.terminals) / f64::from(options.interval_s);
    println!(
        "{} terminals over MQTT (half JSON, half frames) and as many over TCP, {rate:.0} messages/s each;\n\
         {} subscribers, {} of them of a whole district, the others of a street; quality 0 and 1 by turns",
        options.terminals, options.subscribers, options.wide
    );
    let mut bench = Bench::start(folder.path(), options)?;
    let step = bench.step(rate, rate, bench.options.duration, true)?;
    let is_good = step.keeps_up && step.is_stored;
    println!(
        "the rate over MQTT grows by steps of {:?}",
        bench.options.ramp
    );
    let (mut good, mut acknowledged) = (rate, 0);
    let stored_before = bench.stored();
    let mut broken = None;
    for _ in 0..bench.options.steps_max {
        let next = good * bench.options.factor;
        let tcp = if bench.options.both { next } else { rate };
        let step = bench.step(next, tcp, bench.options.ramp, false)?;
        acknowledged += step.acknowledged;
        if !step.keeps_up {
            broken = Some(next);
            break;
        }
        good = next;
    }
    match broken {
        Some(broken) => println!("good at {good:.0}/s over MQTT, breaks at {broken:.0}/s"),
        None => println!("good at {good:.0}/s over MQTT; not broken within the steps asked for"),
    }
    let began = Instant::now();
    let stored = bench.drained()? - stored_before;
    println!(
        "of the ramp {acknowledged} were acknowledged in time and {stored} are stored, {:.1} s after it",
        began.elapsed().as_secs_f64()
    );
    // An acknowledgement that came after its step was not counted, but its position is stored.
    let is_whole = stored == acknowledged || broken.is_some() && stored > acknowledged;
    Ok(
        if is_good && is_whole || !is_measuring() && step.is_stored && is_whole {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        },
    )
}

impl Bench {
    fn start(folder: &Path, options: Options) -> Result<Self, Box<dyn Error>> {
        let city = demo_city(1, &CityOptions::FULL);
        city.write_to(folder.join("catalog"))?;
        let streets: BTreeSet<_> = city
            .grid
            .iter()
            .filter_map(|one| one.code.get(..9))
            .collect();
        let streets: Vec<_> = streets.into_iter().map(str::to_owned).collect();
        let users = users(options.subscribers, options.wide, &streets);
        let password = folder.join("password");
        fs::write(&password, PASSWORD)?;
        let password = password.display();
        let tables: Vec<_> = users
            .iter()
            .map(|(user, scope)| {
                let name = &user.name;
                format!(
                    r#"{{name = "{name}", password_file = "{password}", jurisdictions = ["{scope}"]}}"#
                )
            })
            .collect();
        let tables = format!("[{}]", tables.join(","));
        let grids = folder
            .join("catalog/unit-grids.geojson")
            .display()
            .to_string();
        let settings = [
            ("GRIDTRACE__TELEMETRY__LEVEL", "error"),
            ("GRIDTRACE__MQTT__USERS", &tables),
            ("GRIDTRACE__CATALOG__UNIT_GRIDS", &grids),
        ];
        let data = folder.join("data");
        let gateway = Process::start_with("serve", &data, &["--mqtt", "127.0.0.1:0"], &settings);
        let began = Instant::now();
        let (tcp, json, frames) = log_in(&gateway, &options)?;
        let users = users.into_iter().map(|(user, _)| user).collect();
        let subscribers = Subscribers::connect(gateway.mqtt(), PASSWORD, users)?;
        println!(
            "all are connected after {:.1} s",
            began.elapsed().as_secs_f64()
        );
        Ok(Self {
            gateway,
            options,
            json,
            frames,
            tcp,
            subscribers,
        })
    }

    /// All at once, at these rates: messages a second.
    fn step(
        &mut self,
        mqtt_rate: f64,
        tcp_rate: f64,
        duration: Duration,
        is_drained: bool,
    ) -> Result<Step, Box<dyn Error>> {
        let pace = |rate| Pace {
            rate: Some(rate),
            warm_up: self.options.warm_up,
            duration,
        };
        // What the log-in of terminals has told the subscribers is of no interest.
        drop(self.subscribers.take());
        let before = self.gateway.books();
        let process = self.gateway.id().to_string();
        let (gateway_s, own_s) = (cpu_s_of(&process)?, own_cpu_s()?);
        let began = Instant::now();
        let (half, whole) = (pace(mqtt_rate / 2.0), pace(tcp_rate));
        let (json, frames, tcp) = thread::scope(|scope| {
            let json = scope.spawn(|| self.json.load(&half));
            let frames = scope.spawn(|| self.frames.load(&half));
            let tcp = self.tcp.load(&whole);
            (json.join(), frames.join(), tcp)
        });
        let lasted_s = began.elapsed().as_secs_f64();
        let gateway_cores = (cpu_s_of(&process)? - gateway_s) / lasted_s;
        let own_cores = (own_cpu_s()? - own_s) / lasted_s;
        let failed = "a load has failed";
        let reports = [
            ("MQTT, JSON", mqtt_rate / 2.0, json.map_err(|_| failed)??),
            (
                "MQTT, frames",
                mqtt_rate / 2.0,
                frames.map_err(|_| failed)??,
            ),
            ("TCP", tcp_rate, tcp?),
        ];
        let mut keeps_up = true;
        for (what, rate, report) in &reports {
            keeps_up &= say(what, *rate, report);
        }
        let (sent, acknowledged) = reports
            .iter()
            .fold((0, 0), |(sent, acknowledged), (.., one)| {
                (sent + one.sent, acknowledged + one.acknowledged)
            });
        // The last updates are gathered for `http.live_interval`.
        thread::sleep(Duration::from_millis(500));
        let heard = self.subscribers.take();
        say_heard(&heard, &before, &self.gateway.books());
        println!(
            "  gateway {gateway_cores:.2} cores, {} MiB; load and subscribers {own_cores:.2} cores",
            resident_bytes_of(&process)? >> 20
        );
        let mut is_stored = true;
        if is_drained {
            let stored = self.drained()? - before.sum_of_inserted();
            is_stored = stored == acknowledged;
            println!("  {sent} sent, {acknowledged} acknowledged, {stored} stored");
        }
        Ok(Step {
            keeps_up: keeps_up && heard.lost == 0,
            is_stored,
            acknowledged,
        })
    }

    fn stored(&self) -> u64 {
        self.gateway.books().sum_of_inserted()
    }

    /// Waits until all that was acknowledged is stored; gives how much that is.
    fn drained(&self) -> Result<u64, Box<dyn Error>> {
        let began = Instant::now();
        while self.gateway.books().sum("gridtrace_log_lag_records") > 0 {
            if began.elapsed() > PATIENCE {
                return Err("what was acknowledged is not stored".into());
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(self.stored())
    }
}

/// Terminals over TCP, over MQTT with JSON, and over MQTT with frames.
fn log_in(gateway: &Process, options: &Options) -> Result<(Fleet, Fleet, Fleet), Box<dyn Error>> {
    let tcp: SocketAddr = gateway.tcp.parse()?;
    let over_tcp = LoadConfig {
        connections: options.terminals as usize,
        in_flight: 8,
        drain: Duration::from_secs(10),
        log_in_limit: Duration::from_secs(180),
        first_phone: FIRST_PHONE,
        place: to_and_fro,
        fix_times: FixTimes::Clock,
        ..LoadConfig::new(tcp)
    };
    let target = gateway.mqtt();
    let half = options.terminals.div_ceil(2);
    let over_mqtt = |payload, connections: u32, first: u32| -> Result<Fleet, LoadError> {
        Fleet::connect(&LoadConfig {
            connections: connections.max(1) as usize,
            first_phone: FIRST_MQTT_PHONE + u64::from(first),
            mqtt: Some(MqttLoad { target, payload }),
            ..over_tcp.clone()
        })
    };
    let json = over_mqtt(PayloadKind::Json, half, 0)?;
    let frames = over_mqtt(PayloadKind::Jt808, options.terminals - half, half)?;
    Ok((Fleet::connect(&over_tcp)?, json, frames))
}

/// Whether everything was acknowledged, and soon enough.
fn say(what: &str, rate: f64, report: &LoadReport) -> bool {
    let latency = &report.latency;
    let is_whole = report.closed == 0
        && report.refused == 0
        && report.unanswered + report.unsent == 0
        && report.sent == report.acknowledged;
    let lost = if is_whole {
        String::new()
    } else {
        format!(
            "   {} refused, {} unanswered, {} unsent, {} connections ended",
            report.refused, report.unanswered, report.unsent, report.closed
        )
    };
    println!(
        "  {what:<13} asked {rate:>7.0}/s   {:>7.0}/s   p50 {:>7.2} ms   p99 {:>7.2} ms   max {:>8.2} ms   \
         (sent late: p99 {:.2} ms){lost}",
        report.acknowledged_per_s,
        latency.p50_ms,
        latency.p99_ms,
        latency.max_ms,
        report.lateness.p99_ms
    );
    is_whole && latency.p99_ms < WAIT_MS_MAX && report.acknowledged_per_s >= rate * SHARE_MIN
}

fn say_heard(heard: &Heard, before: &Books, after: &Books) {
    let latency = &heard.latency;
    println!(
        "  subscribers   {} positions, {} others, {} kept   p50 {:.0} ms   p99 {:.0} ms   max {:.0} ms \
         from the terminal's sending; {} connections ended",
        heard.positions,
        heard.others,
        heard.kept,
        latency.p50_ms,
        latency.p99_ms,
        latency.max_ms,
        heard.lost
    );
    let grown = |name: &str| after.value(name).saturating_sub(before.value(name));
    let dropped = DROPS.map(|reason| {
        let count = grown(&format!(
            "gridtrace_mqtt_dropped_total{{reason=\"{reason}\"}}"
        ));
        format!("{count} {reason}")
    });
    println!(
        "  fan-out       {} published; {}",
        grown("gridtrace_mqtt_published_total{kind=\"live\"}"),
        dropped.join(", ")
    );
}

/// What a store has counted.
trait Inserted {
    fn sum_of_inserted(&self) -> u64;
}

impl Inserted for Books {
    fn sum_of_inserted(&self) -> u64 {
        self.value("gridtrace_positions_stored_total{result=\"inserted\"}")
    }
}
