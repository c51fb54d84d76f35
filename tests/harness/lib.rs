//! What the suites share: a whole gateway in-process on ports of its own, terminals, the books.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails here"
)]

pub mod browser;
pub mod datagrams;
pub mod described;
pub mod http_client;
pub mod moments;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod tmpfs;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use gateway::{
    App,
    config::{Config, Raw},
};
use serde_json::Value;
use tempfile::TempDir;
use tools::{
    terminal::{Identity, Terminal},
    wire::{Report, Revision},
};

use crate::{datagrams::Datagrams, http_client::Method};

/// Every wait of a test ends here.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway with a data directory of its own.
#[derive(Debug)]
pub struct TestGateway {
    app: App,
    folder: TempDir,
    settings: Vec<(String, String)>,
}

impl TestGateway {
    /// Starts with these settings (`tcp.idle_timeout` = `1s`) over the defaults.
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        let settings = settings
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Self::start_in(tempfile::tempdir().unwrap(), settings).await
    }

    /// Starts on a data directory that is there, with these settings.
    pub async fn start_in(folder: TempDir, settings: Vec<(String, String)>) -> Self {
        let app = App::start(configuration(folder.path(), &settings))
            .await
            .unwrap();
        Self {
            app,
            folder,
            settings,
        }
    }

    /// Stops in order and starts again on the same data.
    pub async fn restart(self) -> Self {
        assert!(self.app.stop().await, "the stop was not clean");
        Self::start_in(self.folder, self.settings).await
    }

    /// Stops in order; the data directory is kept until the value is dropped.
    pub async fn stop(self) -> TempDir {
        assert!(self.app.stop().await, "the stop was not clean");
        self.folder
    }

    /// Where terminals connect.
    #[must_use]
    pub fn tcp(&self) -> SocketAddr {
        self.app.tcp_address()
    }

    /// Where terminals connect over TLS; the settings must name its address.
    #[must_use]
    pub fn tls(&self) -> SocketAddr {
        self.app.tls_address().unwrap()
    }

    /// Where datagrams go; the settings must name its address.
    #[must_use]
    pub fn udp(&self) -> SocketAddr {
        self.app.udp_address().unwrap()
    }

    /// Where MQTT clients connect; the settings must name its address.
    #[must_use]
    pub fn mqtt(&self) -> SocketAddr {
        self.app.mqtt_address().unwrap()
    }

    /// The same over TLS.
    #[must_use]
    pub fn mqtts(&self) -> SocketAddr {
        self.app.mqtts_address().unwrap()
    }

    /// Where MQTT clients connect over WebSocket; the settings must name its address.
    #[must_use]
    pub fn mqtt_ws(&self) -> SocketAddr {
        self.app.mqtt_ws_address().unwrap()
    }

    /// The same over TLS.
    #[must_use]
    pub fn mqtt_wss(&self) -> SocketAddr {
        self.app.mqtt_wss_address().unwrap()
    }

    /// Where files of alarms go; the settings must name its address.
    #[must_use]
    pub fn attachments(&self) -> SocketAddr {
        self.app.attachments_address().unwrap()
    }

    /// The gateway itself.
    #[must_use]
    pub const fn app(&self) -> &App {
        &self.app
    }

    /// Where people look.
    #[must_use]
    pub fn http(&self) -> String {
        self.app.http_address().to_string()
    }

    /// What runs.
    #[must_use]
    pub fn gateway(&self) -> &gateway::Gateway {
        self.app.gateway()
    }

    /// Sessions of terminals that are open.
    #[must_use]
    pub fn app_sessions(&self) -> usize {
        self.app.gateway().directory.sessions()
    }

    /// Where its data are.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.folder.path()
    }

    /// A terminal that has registered and authenticated.
    pub async fn terminal(&self, phone: &str, revision: Revision) -> Terminal {
        let mut terminal = self.connect(phone, revision).await;
        terminal.log_in().await.unwrap();
        terminal
    }

    /// A terminal that has said nothing yet.
    pub async fn connect(&self, phone: &str, revision: Revision) -> Terminal {
        let identity = Identity::new(phone, revision).unwrap();
        Terminal::connect(self.tcp(), identity, PATIENCE)
            .await
            .unwrap()
    }

    /// A terminal over UDP that has said nothing yet, from an address of its own.
    pub async fn connect_udp(&self, phone: &str, revision: Revision) -> Terminal<Datagrams> {
        let identity = Identity::new(phone, revision).unwrap();
        Terminal::over(Datagrams::to(self.udp()).await, identity, PATIENCE)
    }

    /// JSON of a path that must answer with 200.
    pub async fn json(&self, path: &str) -> Value {
        let (status, body) = http_client::get(&self.http(), path).await.unwrap();
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    /// Status and JSON of a request; `null` where there is no JSON.
    pub async fn ask(&self, method: Method, path: &str, document: Option<&Value>) -> (u16, Value) {
        let (status, body) = http_client::ask(&self.http(), method, path, document)
            .await
            .unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// The items of a list that must answer with 200.
    pub async fn items(&self, path: &str) -> Vec<Value> {
        self.json(path).await["items"].as_array().unwrap().clone()
    }

    /// All metrics as they are scraped.
    pub async fn metrics(&self) -> Books {
        Books::scraped(&self.http()).await.unwrap()
    }

    /// Waits until a metric is this, and gives all: what a peer sees first is counted a moment later.
    pub async fn counted(&self, name: &str, count: u64) -> Books {
        until(&format!("{name} is {count}"), async || {
            let books = self.metrics().await;
            (books.value(name) == count).then_some(books)
        })
        .await
    }

    /// Waits until every consumer has done all that is durable, and checks that the books balance
    /// (P7).
    ///
    /// # Panics
    /// When that does not come nearer within [`PATIENCE`].
    pub async fn drained(&self) -> Books {
        let is_drained = |books: &Books| books.lag() == Some(0) && books.imbalance().is_none();
        match done(async || self.metrics().await, is_drained).await {
            Ok(books) => books,
            Err(books) => panic!(
                "not drained: {:?}; {:?}",
                books.imbalance(),
                self.app.gateway().readiness()
            ),
        }
    }
}

/// Waits until a gateway has done something, by its books; gives them then. How long much takes says
/// nothing: the wait is in vain when consumers do nothing at all for [`PATIENCE`].
///
/// # Errors
/// The newest books, when it is in vain.
pub async fn done(
    books: impl AsyncFn() -> Books,
    is_done: impl Fn(&Books) -> bool,
) -> Result<Books, Books> {
    let (mut before, mut since) = (None, Instant::now());
    loop {
        let books = books().await;
        if is_done(&books) {
            return Ok(books);
        }
        let now = (books.lag(), books.imbalance());
        if before.as_ref() != Some(&now) {
            (before, since) = (Some(now), Instant::now());
        }
        if since.elapsed() > PATIENCE {
            return Err(books);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The configuration of a test: defaults, ports of its own, this directory, these settings.
#[must_use]
pub fn configuration(data_dir: &Path, settings: &[(String, String)]) -> Config {
    let mut raw = Raw::default();
    raw.add_flag("test", "data_dir", Some(data_dir.display().to_string()));
    raw.add_flag("test", "tcp.listen", Some("127.0.0.1:0".into()));
    raw.add_flag("test", "http.listen", Some("127.0.0.1:0".into()));
    raw.add_flag("test", "mqtt.listen", Some(String::new()));
    raw.add_flag("test", "log.free_bytes_min", Some("0B".into()));
    // Books are even only behind a snapshot.
    raw.add_flag("test", "evaluate.snapshot_interval", Some("1s".into()));
    // Tests run beside each other, and beside what builds and what they start.
    raw.add_flag("test", "bulk_priority", Some("low".into()));
    for (key, value) in settings {
        raw.add_flag("test", key, Some(value.clone()));
    }
    Config::from_raw(raw).unwrap()
}

/// Tries again and again until it gives something.
///
/// # Panics
/// When it gives nothing within [`PATIENCE`].
pub async fn until<T>(what: &str, attempt: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, attempt).await
}

/// As [`until`], with a patience of its own.
///
/// # Panics
/// When it gives nothing in time.
pub async fn until_within<T>(
    patience: Duration,
    what: &str,
    mut attempt: impl AsyncFnMut() -> Option<T>,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = attempt().await {
            return value;
        }
        assert!(
            started.elapsed() < patience,
            "{what}: not within {patience:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Now, in seconds since 1970.
#[must_use]
pub fn now_s() -> i64 {
    gateway::clock::now().millis() / 1_000
}

/// Milliseconds since 1970 of a moment in RFC 3339.
#[must_use]
pub fn millis(text: &str) -> Option<u64> {
    let moment = gateway::clock::parse_rfc3339(text)?;
    u64::try_from(moment.0).ok()
}

/// A report at a place (degrees, WGS-84) and a moment, at 36 km/h, with ignition on and ten
/// satellites.
#[must_use]
pub fn report(lat: f64, lon: f64, fixed_at: i64) -> Report {
    #[expect(clippy::cast_possible_truncation, reason = "degrees of the earth fit")]
    let micro = |degrees: f64| (degrees * 1e6).round() as i32;
    Report {
        status: Report::status_of(true),
        latitude: micro(lat),
        longitude: micro(lon),
        altitude_m: 780,
        speed_dkmh: 360,
        heading_deg: 90,
        fixed_at,
        items: vec![(0x01, 12_345_u32.to_be_bytes().to_vec()), (0x31, vec![10])],
        ..Report::default()
    }
}

/// What Prometheus sees: value by name with labels.
#[derive(Clone, Debug, Default)]
pub struct Books(BTreeMap<String, f64>);

impl Books {
    /// What a gateway tells at this address.
    ///
    /// # Errors
    /// When it does not answer.
    ///
    /// # Panics
    /// When it answers with something else.
    pub async fn scraped(address: &str) -> anyhow::Result<Self> {
        let (status, body) = http_client::get(address, "/metrics").await?;
        assert_eq!(status, 200);
        Ok(Self::parse(&String::from_utf8_lossy(&body)))
    }

    /// Reads what the exporter writes.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let values = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let (name, value) = line.rsplit_once(' ')?;
                Some((name.to_owned(), value.parse().ok()?))
            });
        Self(values.collect())
    }

    /// The value of a name with labels as exported: `gridtrace_responses_total{result="0"}`.
    #[must_use]
    pub fn value(&self, name: &str) -> u64 {
        self.0.get(name).copied().map_or(0, whole)
    }

    /// Records that consumers have not done yet, all consumers together; none before it is known.
    #[must_use]
    pub fn lag(&self) -> Option<u64> {
        let name = "gridtrace_log_lag_records";
        self.of(name).next().is_some().then(|| self.sum(name))
    }

    /// The sum over all labels of a name.
    #[must_use]
    pub fn sum(&self, name: &str) -> u64 {
        self.of(name).map(whole).sum()
    }

    fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = f64> + 'a {
        let is_it = move |key: &str| {
            key == name || key.strip_prefix(name).is_some_and(|r| r.starts_with('{'))
        };
        let found = self.0.iter().filter(move |(key, _)| is_it(key));
        found.map(|(_, value)| *value)
    }

    /// What does not add up, once everything is drained.
    #[must_use]
    pub fn imbalance(&self) -> Option<String> {
        let sum = |name: &str| self.sum(&format!("gridtrace_{name}"));
        let received = sum("frames_received_total");
        let taken = sum("frames_recorded_total")
            + sum("frames_handled_total")
            + sum("frames_rejected_total");
        let recorded = sum("positions_recorded_total");
        let stored = sum("positions_stored_total");
        let evaluated = sum("positions_evaluated_total") + sum("positions_skipped_total");
        let is_balanced = received == taken && recorded == stored && recorded == evaluated;
        (!is_balanced).then(|| {
            format!("frames {received} = {taken}; positions {recorded} = {stored} = {evaluated}")
        })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counters of a test"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

/// Writes a catalog into a folder and gives the settings that name its files.
#[must_use]
pub fn catalog(folder: &Path, fences: &str, vehicles: &str) -> Vec<(String, String)> {
    let write = |name: &str, text: &str| -> (String, PathBuf) {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        (format!("catalog.{}", name.split('.').next().unwrap()), path)
    };
    [
        write("fences.geojson", fences),
        write("vehicles.csv", vehicles),
    ]
    .into_iter()
    .map(|(key, path)| (key, path.display().to_string()))
    .collect()
}
