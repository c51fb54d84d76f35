//! `gridtrace-tools simulate`.

use std::{path::PathBuf, str::FromStr, sync::Arc};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use humantime::Duration;
use tools::{
    city::{CityOptions, working_city},
    output::{ACKNOWLEDGED_HEADER, Output},
    simulate::{self, FleetConfig, MqttFleet, NoiseConfig},
};

use super::{PayloadName, block_on, print_json};

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CitySize {
    /// 3,000 unit grids, 6 km by 5 km.
    Small,
    /// 31,500 unit grids, 21 km by 15 km.
    Full,
}

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Address of the gateway's JT/T 808 port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6808")]
    target: String,
    /// Report over MQTT to this port; a terminal still registers at --target, which gives it its
    /// password.
    #[arg(long, value_name = "ADDR")]
    mqtt: Option<String>,
    /// What is published over MQTT [default: every second terminal json, the others jt808].
    #[arg(long, value_enum, requires = "mqtt")]
    mqtt_payload: Option<PayloadName>,
    /// Share of the terminals that report over MQTT, 0 to 1; the others do over TCP.
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = share, requires = "mqtt")]
    mqtt_share: f64,
    /// Trucks and inspectors, 1 to 100,000.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    vehicles: u32,
    /// Seconds between two fixes: one number, or a range from which each vehicle takes its own.
    #[arg(long, value_name = "S|S..S", default_value = "1..10")]
    interval: Range<u32>,
    /// Weights of the revisions 2011, 2013 and 2019.
    #[arg(long, value_name = "N,N,N", default_value = "1,6,3")]
    revisions: Weights,
    /// The same seed gives the same city, the same drives and the same errors.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Share of the vehicles that break rules, 0 to 1.
    #[arg(long, default_value_t = 0.05, value_parser = share)]
    violators: f64,
    /// So many of the vehicles act a play: for each kind of violation one breaks the rule and one
    /// nearly does. They need the routes, shifts and rules of work that `--city` writes.
    #[arg(long, value_name = "N", default_value_t = 0)]
    actors: usize,
    /// When the day of the fleet begins, seconds since 1970 in UTC [default: now, or as far back as
    /// the time scale can catch up]; windows and shifts of the city are laid about it.
    #[arg(long, value_name = "S")]
    start: Option<i64>,
    /// Deviation of the slow error of the receivers on each axis, metres.
    #[arg(long, value_name = "M", default_value_t = 3.0, value_parser = not_negative)]
    noise_sigma: f64,
    /// Deviation of the fast error on each axis, metres.
    #[arg(long, value_name = "M", default_value_t = 0.3, value_parser = not_negative)]
    noise_white: f64,
    /// Share of the fixes that jump away by 30 to 150 m.
    #[arg(long, value_name = "SHARE", default_value_t = 0.001, value_parser = share)]
    noise_spikes: f64,
    /// Dead zones a vehicle and hour; what was stored in them is uploaded later (0x0704 type 1).
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = not_negative)]
    outages_per_hour: f64,
    /// How long a dead zone lasts, seconds.
    #[arg(long, value_name = "S|S..S", default_value = "30..240")]
    outage: Range<f64>,
    /// Planned disconnects (0x0003) a vehicle and hour.
    #[arg(long, value_name = "N", default_value_t = 0.2, value_parser = not_negative)]
    log_outs_per_hour: f64,
    /// Share of the responses that get lost on their way.
    #[arg(long, value_name = "SHARE", default_value_t = 0.001, value_parser = share)]
    lost_responses: f64,
    /// When to stop, such as `90s` or `2h` [default: when told to].
    #[arg(long, value_name = "TIME")]
    duration: Option<Duration>,
    /// How many times faster than the clock simulated time runs. It begins in the past, and no
    /// fix is ahead of the clock.
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = time_scale)]
    time_scale: f64,
    /// How long to go on sending what is stored, at the end.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    drain: Duration,
    /// Write the violations that truly happen to this file, as JSON lines.
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Add the true path of every vehicle to the truth, second by second.
    #[arg(long, requires = "truth")]
    truth_path: bool,
    /// Write every acknowledged position to this file: CSV with header
    /// `phone,event_time,lat,lon`.
    #[arg(long, value_name = "FILE")]
    acknowledged: Option<PathBuf>,
    /// Write the catalog of the city into this folder: `unit-grids.geojson`, `fences.geojson`,
    /// `vehicles.csv`, `routes.geojson`, `work-rules.json`, `shifts.csv`,
    /// `responsibility-grids.geojson`, `assignments.csv`.
    #[arg(long, value_name = "DIR")]
    city: Option<PathBuf>,
    /// Write the catalog, and do not drive.
    #[arg(long, requires = "city")]
    city_only: bool,
    /// Size of the city.
    #[arg(long, value_enum, default_value_t = CitySize::Small)]
    city_size: CitySize,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let size = match arguments.city_size {
        CitySize::Small => CityOptions::SMALL,
        CitySize::Full => CityOptions::FULL,
    };
    let mut config = arguments.config()?;
    let start_unix_s = config.start_now();
    let city = working_city(
        arguments.seed,
        &CityOptions {
            vehicles: arguments.vehicles,
            ..size
        },
        start_unix_s,
        arguments.actors,
    );
    if let Some(dir) = &arguments.city {
        city.write_to(dir)
            .with_context(|| format!("cannot write to {}", dir.display()))?;
        if arguments.city_only {
            return Ok(true);
        }
    }
    let report = block_on(simulate::run(config, Arc::new(city), told_to_stop()))?;
    print_json(&report)?;
    eprintln!(
        "{} fixes, {} acknowledged, {} left; {} connections, {} attempts failed; {} violations",
        report.fixes,
        report.acknowledged,
        report.unacknowledged,
        report.connects,
        report.connect_failures,
        report.violations.len()
    );
    Ok(report.connects > 0 && report.output_failures == 0)
}

impl Arguments {
    fn config(&self) -> anyhow::Result<FleetConfig> {
        let create = |path: &Option<PathBuf>| {
            path.as_ref()
                .map(|path| {
                    Output::create(path)
                        .with_context(|| format!("cannot write to {}", path.display()))
                })
                .transpose()
        };
        let acknowledged = create(&self.acknowledged)?;
        if let Some(output) = &acknowledged {
            output.line(ACKNOWLEDGED_HEADER)?;
        }
        let mqtt = self.mqtt.as_ref().map(|address| MqttFleet {
            share: self.mqtt_share,
            payload: self.mqtt_payload.map(Into::into),
            ..MqttFleet::all(address)
        });
        Ok(FleetConfig {
            mqtt,
            interval_s: (self.interval.low, self.interval.high),
            revisions: self.revisions.0,
            violators: self.violators,
            noise: NoiseConfig {
                sigma_m: self.noise_sigma,
                white_m: self.noise_white,
                spike_share: self.noise_spikes,
                ..NoiseConfig::default()
            },
            outages_per_hour: self.outages_per_hour,
            outage_s: (self.outage.low, self.outage.high),
            log_outs_per_hour: self.log_outs_per_hour,
            lost_responses: self.lost_responses,
            time_scale: self.time_scale,
            start_unix_s: self.start,
            duration: self.duration.map(Into::into),
            drain: self.drain.into(),
            truth: create(&self.truth)?,
            truth_path: self.truth_path,
            acknowledged,
            ..FleetConfig::new(&self.target, self.seed)
        })
    }
}

async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => _ = signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminated => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// `LOW..HIGH`, or one number for both.
#[derive(Clone, Copy, Debug)]
struct Range<T> {
    low: T,
    high: T,
}

impl<T: FromStr + Copy + PartialOrd + Default> FromStr for Range<T> {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (low, high) = text.split_once("..").unwrap_or((text, text));
        let number = |text: &str| text.trim().parse::<T>().map_err(|_| "expected N or N..N");
        let range = Self {
            low: number(low)?,
            high: number(high)?,
        };
        if range.low > T::default() && range.low <= range.high {
            Ok(range)
        } else {
            Err("expected numbers above 0, the lower one first")
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Weights([u32; 3]);

impl FromStr for Weights {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let weights: Vec<u32> = text
            .split(',')
            .map(|weight| {
                weight
                    .trim()
                    .parse()
                    .map_err(|_| "expected three whole numbers")
            })
            .collect::<Result<_, _>>()?;
        match <[u32; 3]>::try_from(weights) {
            Ok(weights) if weights.iter().any(|weight| *weight > 0) => Ok(Self(weights)),
            Ok(_) => Err("one weight at least must be above 0"),
            Err(_) => Err("expected three whole numbers, for 2011,2013,2019"),
        }
    }
}

fn within(text: &str, low: f64, high: f64) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (low..=high).contains(&value) => Ok(value),
        _ => Err(format!("expected a number from {low} to {high}")),
    }
}

fn share(text: &str) -> Result<f64, String> {
    within(text, 0.0, 1.0)
}

fn not_negative(text: &str) -> Result<f64, String> {
    within(text, 0.0, 1e6)
}

fn time_scale(text: &str) -> Result<f64, String> {
    within(text, 1.0, 10_000.0)
}
