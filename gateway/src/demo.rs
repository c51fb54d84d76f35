//! `gridtrace demo`: a synthetic city and a simulated fleet that speaks JT/T 808 over real
//! sockets. Everything behind the sockets is the gateway as it serves a city.

use std::{io, path::PathBuf, sync::Arc};

use clap::Args;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tools::{
    city::{City, CityOptions, plays_max, working_city},
    simulate::{self, FleetConfig, MqttFleet},
};

use crate::{
    App, clock,
    config::{Config, Mistake, Raw},
};

/// The demo's fleet.
#[derive(Clone, Debug, Args)]
pub struct FleetOptions {
    /// Trucks and inspectors.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub vehicles: u32,
    /// The same seed gives the same city and the same day.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Default for FleetOptions {
    fn default() -> Self {
        Self {
            vehicles: 200,
            seed: 1,
        }
    }
}

/// Why the demo cannot be prepared.
#[derive(Debug)]
pub enum PrepareError {
    /// The configuration has mistakes.
    Config(Vec<Mistake>),
    /// The city cannot be written.
    Io {
        /// Where.
        path: PathBuf,
        /// The cause.
        cause: io::Error,
    },
}

/// Makes the city, writes its catalog into the data directory, and points the configuration at it.
///
/// # Errors
/// When the configuration has mistakes or the catalog cannot be written.
pub fn prepare(mut raw: Raw, options: &FleetOptions) -> Result<(Config, Arc<City>), PrepareError> {
    raw.set_default("data_dir", "gridtrace-data/demo");
    raw.set_default("tcp.listen", "127.0.0.1:6808");
    raw.set_default("mqtt.listen", "127.0.0.1:1883");
    raw.set_default("catalog.name", "太原 Taiyuan (demo)");
    raw.set_default("telemetry.level", "warn");
    let mut config = Config::from_raw(raw).map_err(PrepareError::Config)?;
    let city_options = CityOptions {
        vehicles: options.vehicles,
        ..CityOptions::default()
    };
    // A fifth of a small fleet acts, and in a large one all that can.
    let actors = usize::try_from(options.vehicles / 5).unwrap_or(0);
    let now_s = clock::now().millis().div_euclid(1_000);
    let city = working_city(options.seed, &city_options, now_s, actors.min(plays_max()));
    let folder = config.data_dir.join("catalog");
    city.write_to(&folder).map_err(|cause| PrepareError::Io {
        path: folder.clone(),
        cause,
    })?;
    config.catalog.unit_grids = Some(folder.join("unit-grids.geojson"));
    config.catalog.fences = Some(folder.join("fences.geojson"));
    config.catalog.vehicles = Some(folder.join("vehicles.csv"));
    config.catalog.routes = Some(folder.join("routes.geojson"));
    config.catalog.work_rules = Some(folder.join("work-rules.json"));
    config.catalog.shifts = Some(folder.join("shifts.csv"));
    config.catalog.responsibility_grids = Some(folder.join("responsibility-grids.geojson"));
    config.catalog.assignments = Some(folder.join("assignments.csv"));
    Ok((config, Arc::new(city)))
}

/// A fleet that drives.
#[derive(Debug)]
pub struct Demo {
    fleet: JoinHandle<()>,
    stop: CancellationToken,
}

/// Lets the fleet drive against the running gateway.
#[must_use]
pub fn start(app: &App, city: Arc<City>, options: FleetOptions) -> Demo {
    let stop = CancellationToken::new();
    let until = stop.clone();
    let config = FleetConfig {
        // Every second inspector carries a handset that speaks MQTT, where it is served.
        mqtt: app.mqtt_address().map(|address| MqttFleet {
            share: 0.5,
            is_for_inspectors: true,
            ..MqttFleet::all(address)
        }),
        ..FleetConfig::demo(app.tcp_address(), options.seed)
    };
    let fleet = tokio::spawn(async move {
        simulate::run(config, city, async move { until.cancelled().await }).await;
    });
    Demo { fleet, stop }
}

impl Demo {
    /// Stops the fleet.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.fleet.await {
            tracing::warn!(%error, "the fleet ended badly");
        }
    }
}
