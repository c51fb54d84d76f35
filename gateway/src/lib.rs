//! Wiring: sockets, time, threads and HTTP live here and nowhere else. This is also the only
//! crate where wire types become domain types ([`ingest::normalise`]).
//!
//! The folders in the order of the data's way: [`listen`] → [`session`] → [`ingest`] → the log →
//! [`outlets`] (store writer, evaluator, live map) → [`http`].
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use gateway::{App, config::{Config, Raw}};
//!
//! let config = Config::from_raw(Raw::default()).map_err(|mistakes| mistakes[0].to_string())?;
//! let app = App::start(config).await?;
//! println!("terminals on {}, people on http://{}", app.tcp_address(), app.http_address());
//! app.stop().await;
//! # Ok(())
//! # }
//! ```

pub mod auth;
pub mod backtest;
pub mod case_desk;
mod case_pages;
pub mod catalog;
pub mod clock;
pub mod commands;
pub mod config;
pub mod demo;
pub mod evaluation;
pub mod export;
pub mod http;
pub mod http_client;
pub mod ingest;
pub mod inspectors;
pub mod listen;
pub mod media;
pub mod metrics;
pub mod operations;
pub mod outlets;
pub mod platform_key;
pub mod profiles;
pub mod rule_file;
pub mod session;
pub mod telemetry;
pub mod tracks;

mod app;
mod log_thread;
mod status;

use std::sync::{Arc, OnceLock, atomic::AtomicU32};

use dashmap::DashMap;
use protocols::jt808::reassembly::ReassemblyPool;
use storage::{log::Log, media::MediaStore, registry::Registry, store::Store};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use app::{App, StartError};
pub use status::Readiness;

use crate::{
    case_desk::CaseDesk,
    catalog::Catalog,
    commands::{CommandDesk, attachments::AttachmentRequests},
    config::Config,
    evaluation::Evaluations,
    ingest::RejectedFrames,
    inspectors::Photos,
    listen::Listeners,
    metrics::Metrics,
    outlets::{
        delivery::DeliveryDesk, fanout::Fanout, live_map::LiveMap, vendor_items::VendorItems,
    },
    session::directory::Directory,
    tracks::TrackReaders,
};

/// Exit code after a failed sync (EX_IOERR): what the disk holds is unknown, recovery runs at the
/// next start.
pub const EXIT_LOG_FAILED: u8 = 74;
/// Exit code for a log that is damaged (EX_DATAERR): no start mends that, a person must.
pub const EXIT_DAMAGED: u8 = 65;
/// Exit code for a log or a store that a newer version has written.
pub const EXIT_NEWER: u8 = 76;
/// Exit code for a configuration or catalog with mistakes (EX_CONFIG).
pub const EXIT_CONFIG: u8 = 78;
/// Exit code when the ordered stop ran out of time.
pub const EXIT_UNCLEAN: u8 = 75;

/// What all stages share.
pub struct Gateway {
    /// The validated configuration.
    pub config: Config,
    /// Every metric.
    pub metrics: Arc<Metrics>,
    /// The city.
    pub catalog: Arc<Catalog>,
    /// Catalogs that are tried on stored tracks.
    pub backtests: backtest::Jobs,
    /// Formulas of evaluations.
    pub evaluations: Evaluations,
    /// Terminals and sessions.
    pub directory: Directory,
    /// Where terminals and their events are kept.
    pub registry: Registry,
    /// What terminals are to do.
    pub commands: CommandDesk,
    /// Alarms whose files are to be asked for.
    pub attachments: AttachmentRequests,
    /// Pictures that inspectors took.
    pub photos: Photos,
    /// Pictures, sound, video and attachments.
    pub media: MediaStore,
    /// The durable log.
    pub log: Log,
    /// The store behind it.
    pub store: Arc<dyn Store>,
    /// What decides over cases.
    pub cases: Arc<CaseDesk>,
    /// Who hears of cases.
    pub delivery: DeliveryDesk,
    /// The newest positions.
    pub live: Arc<LiveMap>,
    /// What MQTT subscribers get of them.
    pub fanout: Arc<Fanout>,
    /// Users of MQTT, and who tries to be one.
    pub users: listen::Users,
    /// Files and simplified tracks that are being made.
    pub track_readers: TrackReaders,
    /// The newest items of the makers.
    pub vendor_items: VendorItems,
    /// The newest frames that were not taken.
    pub rejected: RejectedFrames,
    /// Consumers whose store does not answer, and what is not loaded from it yet, with the reason.
    pub store_is_away: DashMap<&'static str, String>,
    /// Where terminals come to.
    pub listeners: Listeners,
    /// What all connections share to join packets with.
    pub packets: Arc<ReassemblyPool>,
    /// The moment that monotonic times count from.
    pub started: Instant,
    /// Open connections of terminals.
    pub connections: AtomicU32,
    /// Open live streams.
    pub live_clients: AtomicU32,
    /// The ordered stop has begun.
    pub stop: CancellationToken,
    failed: CancellationToken,
    failure: OnceLock<(u8, String)>,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").finish_non_exhaustive()
    }
}

impl Gateway {
    /// Something failed that the process cannot go on without. Nothing is acknowledged any more.
    pub fn fail(&self, why: &str) {
        self.fail_with(EXIT_LOG_FAILED, why);
    }

    /// The same with another exit code.
    pub fn fail_with(&self, code: u8, why: &str) {
        if self.failure.set((code, why.to_owned())).is_ok() {
            tracing::error!(why, "the gateway cannot go on");
        }
        self.failed.cancel();
    }

    /// Why the gateway cannot go on.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(|(_, why)| why.as_str())
    }

    /// The exit code after a failure.
    #[must_use]
    pub fn failure_code(&self) -> u8 {
        self.failure
            .get()
            .map_or(EXIT_LOG_FAILED, |(code, _)| *code)
    }
}
