//! Terminals over MQTT beside as many over TCP, each with a message in ten seconds: how long they
//! wait for an acknowledgement, and whether anything is lost. Then the rate of those over MQTT is
//! doubled until they wait too long or something is not acknowledged.
//!
//! `cargo bench -p benchmarks --bench mqtt [terminals]`: 5,000 of each kind unless another number is
//! given. `cargo build --release --bins` first.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{
    error::Error,
    net::SocketAddr,
    path::Path,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use benchmarks::servers::{cpu_s_of, is_measuring, own_cpu_s};
use harness::process::Process;
use tools::{
    load::{self, LoadConfig, LoadReport, MqttLoad, raise_file_limit},
    mqtt::PayloadKind,
};

const LEVEL: (&str, &str) = ("GRIDTRACE__TELEMETRY__LEVEL", "error");
/// Seconds between two messages of a terminal.
const INTERVAL_S: f64 = 10.0;
/// What a terminal may wait for its acknowledgement (p99).
const WAIT_MS_MAX: f64 = 100.0;
/// At the end of a step, for what is not stored.
const PATIENCE: Duration = Duration::from_secs(120);
/// Of the terminals over TCP; the others follow far behind.
const FIRST_PHONE: u64 = 13_700_000_000;
const FIRST_MQTT_PHONE: u64 = 13_800_000_000;

/// One gateway and what was sent to it.
struct Bench {
    gateway: Process,
    tcp: SocketAddr,
    mqtt: SocketAddr,
    terminals: usize,
    warm_up: Duration,
    duration: Duration,
    first_position: u32,
}

/// What a step has shown.
struct Step {
    is_whole: bool,
    p99_ms: f64,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let asked = std::env::args().find_map(|argument| argument.parse().ok());
    let second = Duration::from_secs(1);
    let (terminals, warm_up, duration, rates_max) = if is_measuring() {
        (asked.unwrap_or(5_000), 5 * second, 20 * second, 10)
    } else {
        (50, second / 2, second, 1)
    };
    raise_file_limit(24_000)?;
    // Beside the binaries: on a disk, which a folder for temporary files may not be.
    let here = std::env::current_exe()?;
    let folder = tempfile::tempdir_in(here.parent().unwrap_or_else(|| Path::new(".")))?;
    let mqtt = ["--mqtt", "127.0.0.1:0"];
    let gateway = Process::start_with("serve", folder.path(), &mqtt, &[LEVEL]);
    let mut bench = Bench {
        tcp: gateway.tcp.parse()?,
        mqtt: gateway.mqtt(),
        gateway,
        terminals,
        warm_up,
        duration,
        first_position: 0,
    };
    #[expect(clippy::cast_precision_loss, reason = "a count of terminals")]
    let asked_rate = terminals as f64 / INTERVAL_S;
    println!(
        "{terminals} terminals over MQTT and {terminals} over TCP, {asked_rate} messages/s each"
    );
    let mut is_whole = true;
    for payload in [PayloadKind::Json, PayloadKind::Jt808] {
        let step = bench.step(payload, asked_rate, asked_rate)?;
        is_whole &= step.is_whole && (step.p99_ms < WAIT_MS_MAX || !is_measuring());
    }
    println!("the same with more over MQTT, as JSON");
    let mut rate = asked_rate;
    for _ in 0..rates_max {
        rate *= 2.0;
        let step = bench.step(PayloadKind::Json, rate, asked_rate)?;
        if !step.is_whole || step.p99_ms >= WAIT_MS_MAX {
            println!("  good at {:.0}/s, breaks at {rate:.0}/s", rate / 2.0);
            break;
        }
    }
    Ok(if is_whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Bench {
    /// Both kinds at once, at these rates: messages a second.
    fn step(
        &mut self,
        payload: PayloadKind,
        mqtt_rate: f64,
        tcp_rate: f64,
    ) -> Result<Step, Box<dyn Error>> {
        let tcp = LoadConfig {
            connections: self.terminals,
            in_flight: 8,
            rate: Some(tcp_rate),
            warm_up: self.warm_up,
            duration: self.duration,
            drain: Duration::from_secs(10),
            log_in_limit: Duration::from_secs(180),
            first_phone: FIRST_PHONE,
            first_position: self.first_position,
            ..LoadConfig::new(self.tcp)
        };
        let mqtt = LoadConfig {
            rate: Some(mqtt_rate),
            first_phone: FIRST_MQTT_PHONE,
            mqtt: Some(MqttLoad {
                target: self.mqtt,
                payload,
            }),
            ..tcp.clone()
        };
        let stored_before = self.stored();
        let process = self.gateway.id().to_string();
        let cpu_before_s = cpu_s_of(&process)? + own_cpu_s()?;
        let began = Instant::now();
        let other = thread::spawn(move || load::run(&tcp));
        let over_mqtt = load::run(&mqtt)?;
        let over_tcp = other.join().map_err(|_| "the load over TCP has failed")??;
        let cpu_s = cpu_s_of(&process)? + own_cpu_s()? - cpu_before_s;
        let cores = cpu_s / began.elapsed().as_secs_f64();
        say("mqtt", mqtt_rate, &over_mqtt);
        say("tcp", tcp_rate, &over_tcp);
        let acknowledged = over_mqtt.acknowledged + over_tcp.acknowledged;
        let stored = self.drained()? - stored_before;
        println!(
            "  {acknowledged} acknowledged, {stored} stored; gateway and load took {cores:.2} cores, \
             log-in included"
        );
        self.first_position += u32::try_from(over_mqtt.sent.max(over_tcp.sent))?;
        Ok(Step {
            is_whole: is_whole(&over_mqtt) && is_whole(&over_tcp) && stored == acknowledged,
            p99_ms: over_mqtt.latency.p99_ms.max(over_tcp.latency.p99_ms),
        })
    }

    fn stored(&self) -> u64 {
        let books = self.gateway.books();
        books.value("gridtrace_positions_stored_total{result=\"inserted\"}")
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

const fn is_whole(report: &LoadReport) -> bool {
    report.closed == 0
        && report.refused == 0
        && report.unanswered == 0
        && report.sent == report.acknowledged
}

fn say(what: &str, rate: f64, report: &LoadReport) {
    let latency = &report.latency;
    let lost = if is_whole(report) {
        String::new()
    } else {
        format!(
            "   {} refused, {} unanswered, {} connections ended",
            report.refused, report.unanswered, report.closed
        )
    };
    println!(
        "  {what:<5} asked {rate:>7.0}/s   {:>7.0}/s   p50 {:>7.2} ms   p99 {:>7.2} ms   max {:>8.2} ms{lost}",
        report.acknowledged_per_s, latency.p50_ms, latency.p99_ms, latency.max_ms
    );
}
