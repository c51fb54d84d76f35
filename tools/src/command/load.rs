//! `gridtrace-tools load`.

use std::{fs, io::BufWriter, net::SocketAddr, path::PathBuf};

use anyhow::Context as _;
use clap::Args;
use humantime::Duration;
use tools::load::{self, Idle, LoadConfig, MqttLoad, raise_file_limit};

use super::{PayloadName, print_json};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The gateway's JT/T 808 port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6808")]
    target: SocketAddr,
    /// Report over MQTT to this port, instead; a terminal still registers at --target, which gives
    /// it its password.
    #[arg(long, value_name = "ADDR", conflicts_with = "anonymous")]
    mqtt: Option<SocketAddr>,
    /// What is published over MQTT.
    #[arg(long, value_enum, default_value_t, requires = "mqtt")]
    mqtt_payload: PayloadName,
    /// Terminals, each on a connection of its own.
    #[arg(long, default_value_t = 1_000)]
    connections: usize,
    /// Messages that a terminal has unanswered at a time, 1 to 1,000.
    #[arg(long, default_value_t = 1)]
    in_flight: usize,
    /// Reports in a message, 1 to 20: one is a 0x0200, more are a 0x0704.
    #[arg(long, default_value_t = 1)]
    batch: u32,
    /// Messages a second over all, at equal distances, whatever comes back [default: as many as
    /// are answered].
    #[arg(long)]
    rate: Option<f64>,
    /// How long to measure, or to hold idle connections.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    duration: Duration,
    /// How long to load before measuring.
    #[arg(long, value_name = "TIME", default_value = "1s")]
    warm_up: Duration,
    /// Phone number of the first terminal; the others have the numbers that follow.
    #[arg(long, default_value_t = 13_900_000_000, value_parser = clap::value_parser!(u64).range(1..=999_999_000_000))]
    first_phone: u64,
    /// Number of a terminal's first position: for a second run against the same store.
    #[arg(long, default_value_t = 0)]
    first_position: u32,
    /// Write what was acknowledged to this file: CSV with header `phone,event_time,lat,lon`.
    #[arg(long, value_name = "FILE")]
    acknowledged: Option<PathBuf>,
    /// Only hold the connections, authenticated and silent.
    #[arg(long, conflicts_with_all = ["rate", "in_flight", "warm_up", "acknowledged"])]
    idle: bool,
    /// With --idle: do not even register.
    #[arg(long, requires = "idle")]
    anonymous: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let files = u64::try_from(arguments.connections)?.saturating_add(64);
    let limit = raise_file_limit(files).context("cannot raise the limit of open files")?;
    if limit < files {
        tracing::warn!(
            limit,
            "there may not be as many open files as there are connections"
        );
    }
    let config = LoadConfig {
        mqtt: arguments.mqtt.map(|target| MqttLoad {
            target,
            payload: arguments.mqtt_payload.into(),
        }),
        connections: arguments.connections,
        in_flight: arguments.in_flight,
        batch: arguments.batch,
        rate: arguments.rate,
        warm_up: arguments.warm_up.into(),
        duration: arguments.duration.into(),
        first_phone: arguments.first_phone,
        first_position: arguments.first_position,
        keeps_acknowledged: arguments.acknowledged.is_some(),
        ..LoadConfig::new(arguments.target)
    };
    if arguments.idle {
        return hold(arguments, &config);
    }
    let report = load::run(&config)?;
    print_json(&report)?;
    eprintln!(
        "{:.0} acknowledged a second; p50 {:.2} ms, p99 {:.2} ms, slowest {:.2} ms; {} refused, \
         {} unanswered, {} connections ended",
        report.acknowledged_per_s,
        report.latency.p50_ms,
        report.latency.p99_ms,
        report.latency.max_ms,
        report.refused,
        report.unanswered,
        report.closed
    );
    if let Some(path) = &arguments.acknowledged {
        let file = fs::File::create(path).with_context(|| path.display().to_string())?;
        report
            .write_acknowledged(BufWriter::new(file))
            .context("cannot write the list")?;
    }
    Ok(report.closed == 0 && report.refused == 0)
}

fn hold(arguments: &Arguments, config: &LoadConfig) -> anyhow::Result<bool> {
    let mut idle = Idle::open(config, !arguments.anonymous)?;
    eprintln!("{} connections stand", config.connections);
    std::thread::sleep(arguments.duration.into());
    let alive = idle.alive()?;
    print_json(&serde_json::json!({ "connections": config.connections, "alive": alive }))?;
    Ok(alive == config.connections)
}
