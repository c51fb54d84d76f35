//! Builds the stages in the order of the data's way, starts them, and stops them in order.

mod background;
mod start_error;

use std::{
    io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, OnceLock, atomic::AtomicU32},
    thread::JoinHandle,
};

use dashmap::DashMap;
use protocols::jt808::reassembly::ReassemblyPool;
use storage::{
    commands::Commands,
    embedded::EmbeddedStore,
    file_system::RealFileSystem,
    log::{Log, LogConfig},
    media::MediaStore,
    registry::Registry,
    store::Store,
    timescale::TimescaleStore,
};
use tokio::{net::TcpListener, task::JoinHandle as Task, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Gateway,
    auth::AuthKey,
    backtest,
    case_desk::{self, CaseDesk},
    catalog::{self, Catalog},
    commands::{
        self, CommandDesk, DeskInbox,
        attachments::{self, AlarmInbox, AttachmentRequests},
    },
    config::{Config, StoreChoice},
    evaluation::Evaluations,
    http,
    ingest::RejectedFrames,
    inspectors::{self, PhotoInbox, Photos},
    listen::{self, Kind, Sockets, Tls, TlsError, Users},
    log_thread,
    metrics::Metrics,
    outlets::{
        self, Consumer as _,
        bridge::{self, BridgeConsumer},
        delivery::DeliveryDesk,
        evaluator::EvaluatorConsumer,
        fanout::Fanout,
        live_map::LiveMap,
        reports::ReportsConsumer,
        runtime::OutletsRuntime,
        store_writer::StoreWriter,
        vendor_items::VendorItems,
    },
    platform_key::PlatformKey,
    profiles::TerminalProfiles,
    session::{directory::Directory, saver},
    tracks::TrackReaders,
};

pub use start_error::StartError;

/// A running gateway.
#[derive(Debug)]
pub struct App {
    gateway: Arc<Gateway>,
    http_address: SocketAddr,
    tls: Option<Arc<Tls>>,
    connections: TaskTracker,
    stop_listening: CancellationToken,
    stop_outlets: CancellationToken,
    stop_http: CancellationToken,
    accepting: Vec<Task<()>>,
    outlets: Vec<Task<()>>,
    outlets_runtime: OutletsRuntime,
    background: Vec<Task<()>>,
    http: Task<io::Result<()>>,
    log_thread: JoinHandle<()>,
}

impl App {
    /// Starts every stage. Nothing is started when anything is wrong.
    ///
    /// # Errors
    /// What is wrong.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new()?);
        let versions = config.data_dir.join("catalog.sqlite");
        if !versions.exists() {
            // So that nothing is left behind by a start that fails.
            Catalog::load(&config.catalog)?;
        }
        let profiles = TerminalProfiles::load(&config.profiles).map_err(StartError::Profiles)?;
        let cases = Arc::new(CaseDesk::load(&config.cases).map_err(StartError::Policy)?);
        let evaluations = Evaluations::load(&config.evaluation).map_err(StartError::Formulas)?;
        let sockets = Sockets::bind(&config)?;
        let listeners = sockets.listeners().map_err(no_address)?;
        let web = listen::listen_on(config.http.listen).map_err(|cause| StartError::Io {
            what: format!("listening for http on {}", config.http.listen),
            cause,
        })?;
        make_private_directory(&config.data_dir)?;
        let (log, writer, recovered) = Log::open(
            Arc::new(RealFileSystem),
            &config.data_dir.join("log"),
            log_config(&config),
        )?;
        tracing::info!(
            records = recovered.records,
            segments = recovered.segments,
            cut_bytes = recovered.cut_bytes,
            "the log is there"
        );
        let catalog = Arc::new(Catalog::open(&config.catalog, &versions)?);
        let registry = Registry::open(&config.data_dir.join("registry.sqlite"))?;
        registry.end_sessions(crate::clock::now())?;
        let key_path = config.data_dir.join("authentication.key");
        let key = AuthKey::load_or_create(&key_path).map_err(|cause| StartError::Io {
            what: key_path.display().to_string(),
            cause,
        })?;
        let store: Arc<dyn Store> = match &config.store {
            StoreChoice::Embedded => Arc::new(EmbeddedStore::open_with(
                &config.data_dir.join("store"),
                &config.store_rules.embedded,
            )?),
            StoreChoice::Postgres(url) => {
                let options = storage::timescale::Options {
                    rules: Some(config.store_rules.timescale),
                    ..storage::timescale::Options::default()
                };
                Arc::new(TimescaleStore::connect(url, options).await?)
            }
        };
        tracing::info!(store = store.description(), "store");
        let platform_key = config.terminals.rsa_key.as_deref();
        let platform_key = platform_key.map(PlatformKey::load).transpose()?;
        let directory = Directory::new(
            key,
            platform_key,
            config.terminals.clone(),
            Arc::clone(&catalog),
            profiles,
            Arc::clone(&metrics),
            registry.load()?,
        );
        let (commands, desk) = CommandDesk::new(
            Commands::open(
                &config.data_dir.join("commands.sqlite"),
                config.commands.limits.clone(),
            )?,
            Arc::clone(&metrics),
        );
        let delivery = DeliveryDesk::new(&config.delivery)?;
        let media = MediaStore::open(&config.data_dir.join("media"), config.media.limits.clone())?;
        let attachments_at = sockets.attachments().map_err(no_address)?;
        let (attachments, alarms) = AttachmentRequests::new(&config.attachments, attachments_at);
        let (photos, pictures) = Photos::new(&config.inspectors);
        let live = Arc::new(LiveMap::new(Arc::clone(&catalog), Arc::clone(&metrics)));
        let fanout = Fanout::start(&config.mqtt, Arc::clone(&metrics));
        let fanout = Arc::new(fanout.map_err(|cause| StartError::Io {
            what: "fan-out of MQTT".into(),
            cause,
        })?);
        live.attach(Arc::clone(&fanout));
        let gateway = Arc::new(Gateway {
            photos,
            live,
            evaluations,
            fanout,
            users: Users::new(&config),
            track_readers: TrackReaders::new(config.tracks.readers_max),
            backtests: backtest::Jobs::default(),
            delivery,
            vendor_items: VendorItems::default(),
            rejected: RejectedFrames::new(config.ingest.rejected_kept_max),
            store_is_away: DashMap::new(),
            listeners,
            packets: ReassemblyPool::new(config.packets.clone()),
            started: Instant::now(),
            connections: AtomicU32::new(0),
            live_clients: AtomicU32::new(0),
            stop: CancellationToken::new(),
            failed: CancellationToken::new(),
            failure: OnceLock::new(),
            metrics,
            catalog,
            directory,
            registry,
            commands,
            attachments,
            media,
            log,
            store,
            cases,
            config,
        });
        Self::run(gateway, sockets, web, writer, (desk, alarms, pictures))
    }

    fn run(
        gateway: Arc<Gateway>,
        sockets: Sockets,
        web: TcpListener,
        writer: storage::log::LogWriter,
        (desk, alarms, pictures): (DeskInbox, AlarmInbox, PhotoInbox),
    ) -> Result<Self, StartError> {
        let http_address = web.local_addr().map_err(no_address)?;
        for listener in gateway.listeners.status() {
            let (transport, address) = (listener.transport, listener.address);
            tracing::info!(transport, %address, "listening for terminals");
        }
        if let Some(address) = gateway.attachments.address() {
            tracing::info!(%address, "listening for attachments");
        }
        // Before anything can be removed: a consumer whose store is away still needs all of it.
        for consumer in [
            StoreWriter::NAME,
            EvaluatorConsumer::NAME,
            ReportsConsumer::NAME,
        ] {
            gateway
                .log
                .register_consumer(consumer, gateway.log.status().first);
        }
        let bridge = BridgeConsumer::new(&gateway.config.bridge, &gateway.config.data_dir);
        if bridge.is_some() {
            let first = gateway.log.status().first;
            gateway.log.register_consumer(BridgeConsumer::NAME, first);
        }
        let log_thread =
            log_thread::start(Arc::clone(&gateway), writer).map_err(|cause| StartError::Io {
                what: "thread of the log".into(),
                cause,
            })?;
        let (stop_listening, stop_outlets, stop_http): (
            CancellationToken,
            CancellationToken,
            CancellationToken,
        ) = Default::default();
        let connections = TaskTracker::new();
        let share = || Arc::clone(&gateway);
        let outlets_runtime = OutletsRuntime::start(gateway.config.is_bulk_idle);
        let outlets_runtime = outlets_runtime.map_err(|cause| StartError::Io {
            what: "threads of the outlets".into(),
            cause,
        })?;
        let (bulk, cases) = (outlets_runtime.bulk(), outlets_runtime.cases());
        let evaluator = EvaluatorConsumer::new(&gateway.config.evaluate);
        let reports = ReportsConsumer::new(
            gateway.config.inspectors.clone(),
            gateway.commands.file(),
            gateway.config.evaluate.snapshot_interval,
        );
        let mut outlets = vec![
            bulk.spawn(outlets::follow(share(), StoreWriter, stop_outlets.clone())),
            bulk.spawn(outlets::follow(share(), evaluator, stop_outlets.clone())),
            cases.spawn(outlets::follow(share(), reports, stop_outlets.clone())),
            bulk.spawn(outlets::retention::run(share(), stop_outlets.clone())),
            cases.spawn(case_desk::run(share(), stop_outlets.clone())),
            cases.spawn(outlets::delivery::run(share(), stop_outlets.clone())),
        ];
        if let Some(bridge) = bridge {
            let run = bridge::run(share(), bridge, stop_outlets.clone());
            outlets.push(bulk.spawn(run));
        }
        let online = bridge::online::run(share(), stop_outlets.clone());
        outlets.push(bulk.spawn(online));
        let background = vec![
            tokio::spawn(background::preload(share())),
            tokio::spawn(background::preload_cases(share())),
            tokio::spawn(background::publish(share())),
            tokio::spawn(background::tick(share())),
            tokio::spawn(background::upkeep(share())),
            tokio::spawn(catalog::run(share(), stop_outlets.clone())),
            tokio::spawn(saver::run(share(), stop_outlets.clone())),
            tokio::spawn(commands::run(share(), desk, stop_outlets.clone())),
            tokio::spawn(inspectors::run(share(), pictures, stop_outlets.clone())),
            tokio::spawn(attachments::run(share(), alarms, stop_outlets.clone())),
        ];
        let tls = sockets.tls();
        let mut accepting = sockets.serve(&gateway, &connections, &stop_listening);
        if let Some(tls) = &tls {
            let reload = listen::reload_on_hangup(share(), Arc::clone(tls), stop_listening.clone());
            accepting.push(tokio::spawn(reload));
        }
        let http_stop = stop_http.clone();
        let http = tokio::spawn(http::serve(share(), web, async move {
            http_stop.cancelled().await
        }));
        Ok(Self {
            gateway,
            http_address,
            tls,
            connections,
            stop_listening,
            stop_outlets,
            stop_http,
            accepting,
            outlets,
            outlets_runtime,
            background,
            http,
            log_thread,
        })
    }

    /// Where terminals connect over plain TCP.
    #[must_use]
    pub fn tcp_address(&self) -> SocketAddr {
        let address = self.gateway.listeners.address(Kind::Tcp);
        address.unwrap_or(self.gateway.config.tcp.listen)
    }

    /// Where terminals connect over TLS; none when it is off.
    #[must_use]
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.gateway.listeners.address(Kind::Tls)
    }

    /// Where terminals send datagrams to; none when UDP is off.
    #[must_use]
    pub fn udp_address(&self) -> Option<SocketAddr> {
        self.gateway.listeners.address(Kind::Udp)
    }

    /// Where MQTT clients connect; none when it is off.
    #[must_use]
    pub fn mqtt_address(&self) -> Option<SocketAddr> {
        self.gateway.listeners.address(Kind::Mqtt)
    }

    /// The same over TLS.
    #[must_use]
    pub fn mqtts_address(&self) -> Option<SocketAddr> {
        self.gateway.listeners.address(Kind::Mqtts)
    }

    /// Where MQTT clients connect over WebSocket; none when it is off.
    #[must_use]
    pub fn mqtt_ws_address(&self) -> Option<SocketAddr> {
        self.gateway.listeners.address(Kind::MqttWs)
    }

    /// The same over TLS.
    #[must_use]
    pub fn mqtt_wss_address(&self) -> Option<SocketAddr> {
        self.gateway.listeners.address(Kind::MqttWss)
    }

    /// Where terminals bring the files of alarms; none when that is off.
    #[must_use]
    pub fn attachments_address(&self) -> Option<SocketAddr> {
        self.gateway.attachments.address()
    }

    /// Reads the files of `[tls]` again, as SIGHUP does. Connections that are open stay.
    ///
    /// # Errors
    /// When one of them is no good: those of before stay.
    pub fn reload_certificates(&self) -> Result<(), TlsError> {
        match &self.tls {
            Some(tls) => listen::reload(&self.gateway, tls),
            None => Ok(()),
        }
    }

    /// Where people look.
    #[must_use]
    pub const fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    /// What the stages share.
    #[must_use]
    pub const fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Returns when the gateway cannot go on by itself.
    pub async fn failed(&self) {
        self.gateway.failed.cancelled().await;
    }

    /// The ordered stop: not ready → no new connections → nothing is read → what was read is
    /// durable and answered → sessions end → outlets finish and write their cursors → HTTP last.
    /// False when the time of `shutdown_timeout` was not enough.
    pub async fn stop(self) -> bool {
        let timeout = self.gateway.config.shutdown_timeout;
        let failed = self.gateway.failure().is_some();
        tokio::time::timeout(timeout, self.stop_in_order())
            .await
            .is_ok()
            && !failed
    }

    async fn stop_in_order(self) {
        tracing::info!("stopping");
        self.gateway.stop.cancel();
        self.stop_listening.cancel();
        for listener in self.accepting {
            join(listener).await;
        }
        self.gateway.directory.stop_connections();
        self.connections.close();
        self.connections.wait().await;
        self.gateway.log.close();
        let log_thread = self.log_thread;
        join(tokio::task::spawn_blocking(move || {
            if log_thread.join().is_err() {
                tracing::error!("the log's thread panicked");
            }
        }))
        .await;
        self.stop_outlets.cancel();
        for outlet in self.outlets {
            join(outlet).await;
        }
        drop(self.outlets_runtime);
        for task in self.background {
            join(task).await;
        }
        self.stop_http.cancel();
        join(self.http).await;
        tracing::info!("stopped");
    }
}

fn no_address(cause: io::Error) -> StartError {
    StartError::Io {
        what: "address".into(),
        cause,
    }
}

async fn join<T>(task: Task<T>) {
    if let Err(error) = task.await {
        tracing::error!(%error, "a stage ended badly");
    }
}

/// Only this user may read what terminals and keys are in it.
fn make_private_directory(path: &Path) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.map_err(|cause| StartError::Io {
        what: path.display().to_string(),
        cause,
    })
}

fn log_config(config: &Config) -> LogConfig {
    LogConfig {
        segment_bytes_max: config.log.segment_bytes_max,
        size_bytes_max: config.log.size_bytes_max,
        free_bytes_min: config.log.free_bytes_min,
        staged_bytes_max: config.log.staged_bytes_max,
        zero_ahead_bytes: config.log.zero_ahead_bytes,
        commit_interval: config.log.commit_interval,
        ..LogConfig::default()
    }
}
