//! Positions to an outer MQTT broker: store-and-forward from the log. The broker may be away for as
//! long as the log reaches back; nothing else waits for it.
//!
//! The cursor lies in a file of its own and moves only after the broker has acknowledged every message
//! of a batch. So each position arrives at least once, and in the order of the log: what was on its way
//! when a connection broke comes again from the beginning of its batch. The `id` of a message tells a
//! repetition: it is made of the log, the record and the place in it.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rumqttc::{
    AsyncClient, ConnectionError, Event, MqttOptions, Packet, QoS, TlsConfiguration, Transport,
};
use serde::Serialize;
use storage::store::{PositionRow, StoreError};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio_util::sync::CancellationToken;

use super::{
    Batch, Consumer, RETRY_FIRST, RETRY_LAST,
    fanout::topic,
    follower::{Follower, Step, StepError, Workplace},
    jittered, store_writer,
};
use crate::{EXIT_LOG_FAILED, Gateway, config::Bridge, http::view::TrackPoint};

/// Packets of ours and of the broker are far shorter.
const PACKET_BYTES_MAX: usize = 256 * 1024;
/// Events that wait to be heard.
const EVENTS_MAX: usize = 1_024;

/// See the module.
#[derive(Debug)]
pub struct BridgeConsumer {
    config: Bridge,
    cursor: PathBuf,
    link: Option<Link>,
}

/// A position as it is passed on.
#[derive(Serialize)]
struct Message<'a> {
    id: String,
    #[serde(flatten)]
    point: &'a TrackPoint,
}

/// Why the broker has not taken something.
#[derive(Debug, thiserror::Error)]
enum BridgeError {
    #[error("{0}")]
    Connection(#[from] Box<ConnectionError>),
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    #[error("{0}")]
    Certificates(String),
    #[error("no acknowledgement in time")]
    Silent,
    #[error("the connection is over")]
    Over,
}

impl From<BridgeError> for StoreError {
    fn from(error: BridgeError) -> Self {
        Self::Unavailable {
            action: "publish to the outer broker",
            cause: Box::new(error),
        }
    }
}

#[derive(Debug)]
enum Heard {
    Connected,
    Acknowledged,
    Failed(Box<ConnectionError>),
}

/// One connection to the broker. Dropping it ends it.
#[derive(Debug)]
struct Link {
    client: AsyncClient,
    heard: mpsc::Receiver<Heard>,
    task: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl BridgeConsumer {
    /// One that has not begun; none where there is no outer broker.
    #[must_use]
    pub fn new(config: &Bridge, data_dir: &Path) -> Option<Self> {
        config.address.as_ref()?;
        Some(Self {
            config: config.clone(),
            cursor: data_dir.join("bridge.cursor"),
            link: None,
        })
    }

    async fn publish(&mut self, place: &Workplace, batch: &Batch) -> Result<u64, BridgeError> {
        let messages = self.messages(place, batch);
        let mut link = match self.link.take() {
            Some(link) => link,
            None => {
                let connected = Link::connect(&self.config).await;
                let result = if connected.is_ok() { "ok" } else { "failed" };
                place
                    .metrics
                    .count("bridge_connects_total", "result", result, 1);
                connected?
            }
        };
        place.metrics.gauge("bridge_is_connected", &[], 1.0);
        let count = messages.len() as u64;
        link.publish(messages, self.config.ack_timeout).await?;
        // Kept only where everything went well: what a broken one still holds must not come later.
        self.link = Some(link);
        Ok(count)
    }

    fn messages(&self, place: &Workplace, batch: &Batch) -> Vec<(String, Vec<u8>)> {
        let (rows, _) = store_writer::rows(place, batch);
        let log = place.log.id().to_string();
        let mut number = (u64::MAX, 0_u32);
        let messages = rows.positions.into_iter().map(|row| {
            let offset = row.position.log_offset;
            number = match number {
                (last, count) if last == offset => (offset, count + 1),
                _ => (offset, 0),
            };
            self.message(&log, number, row)
        });
        messages.collect()
    }

    fn message(
        &self,
        log: &str,
        (offset, place): (u64, u32),
        row: PositionRow,
    ) -> (String, Vec<u8>) {
        let area = topic::area(row.unit_grid.as_deref());
        let phone = row.position.terminal;
        let topic = format!("{}/positions/{area}/{phone}", self.config.topic_prefix);
        let point = TrackPoint::from(row);
        let message = Message {
            id: format!("{log}-{offset}-{place}"),
            point: &point,
        };
        (topic, serde_json::to_vec(&message).unwrap_or_default())
    }

    fn read_cursor(&self, log: &str) -> io::Result<Option<u64>> {
        let text = match fs::read_to_string(&self.cursor) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // That of another log says nothing about this one.
        let own = text.trim().split_once(' ');
        let own = own.filter(|(id, _)| *id == log);
        Ok(own.and_then(|(_, offset)| offset.parse().ok()))
    }

    fn write_cursor(&self, log: &str, offset: u64) -> Result<(), BridgeError> {
        let failed = |error| BridgeError::File(self.cursor.clone(), error);
        let temporary = self.cursor.with_extension("new");
        let write = || -> io::Result<()> {
            let mut file = File::create(&temporary)?;
            writeln!(file, "{log} {offset}")?;
            file.sync_all()?;
            fs::rename(&temporary, &self.cursor)
        };
        tokio::task::block_in_place(write).map_err(failed)
    }
}

impl Link {
    async fn connect(config: &Bridge) -> Result<Self, BridgeError> {
        let Some((host, port)) = &config.address else {
            return Err(BridgeError::Over);
        };
        let mut options = MqttOptions::new(&config.client_id, host, *port);
        options
            .set_keep_alive(config.keep_alive)
            .set_inflight(u16::try_from(config.inflight_max).unwrap_or(u16::MAX))
            .set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX)
            .set_clean_session(true);
        if !config.user.is_empty() {
            options.set_credentials(&config.user, &config.password);
        }
        if let (true, Some(ca)) = (config.tls, &config.ca) {
            let tls = TlsConfiguration::Rustls(Arc::new(trusting(ca)?));
            options.set_transport(Transport::Tls(tls));
        }
        let (client, mut events) = AsyncClient::new(options, config.inflight_max as usize);
        let (sender, heard) = mpsc::channel(EVENTS_MAX);
        // A task of its own: the keep-alive goes on while there is nothing to publish.
        let task = tokio::spawn(async move {
            loop {
                let heard = match events.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => Heard::Connected,
                    Ok(Event::Incoming(Packet::PubAck(_))) => Heard::Acknowledged,
                    Ok(_) => continue,
                    Err(error) => Heard::Failed(Box::new(error)),
                };
                let is_last = matches!(heard, Heard::Failed(_));
                if sender.send(heard).await.is_err() || is_last {
                    return;
                }
            }
        });
        let mut link = Self {
            client,
            heard,
            task,
        };
        match link.hear(config.ack_timeout).await? {
            Heard::Connected => Ok(link),
            _ => Err(BridgeError::Over),
        }
    }

    async fn hear(&mut self, patience: Duration) -> Result<Heard, BridgeError> {
        match timeout(patience, self.heard.recv()).await {
            Err(_) => Err(BridgeError::Silent),
            Ok(None) => Err(BridgeError::Over),
            Ok(Some(Heard::Failed(error))) => Err(error.into()),
            Ok(Some(heard)) => Ok(heard),
        }
    }

    /// Returns once all are acknowledged.
    async fn publish(
        &mut self,
        messages: Vec<(String, Vec<u8>)>,
        patience: Duration,
    ) -> Result<(), BridgeError> {
        let client = self.client.clone();
        let count = messages.len();
        let sending = async {
            for (topic, payload) in messages {
                let sent = client
                    .publish(topic, QoS::AtLeastOnce, false, payload)
                    .await;
                sent.map_err(|_| BridgeError::Over)?;
            }
            Ok(())
        };
        let hearing = async {
            let mut acknowledged = 0;
            while acknowledged < count {
                if matches!(self.hear(patience).await?, Heard::Acknowledged) {
                    acknowledged += 1;
                }
            }
            Ok(())
        };
        tokio::try_join!(sending, hearing).map(drop)
    }
}

fn trusting(ca: &Path) -> Result<ClientConfig, BridgeError> {
    let mut roots = RootCertStore::empty();
    let pem = fs::read(ca).map_err(|error| BridgeError::File(ca.to_owned(), error))?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate =
            certificate.map_err(|error| BridgeError::Certificates(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| BridgeError::Certificates(error.to_string()))?;
    }
    if roots.is_empty() {
        let what = format!("{}: no certificate in it", ca.display());
        return Err(BridgeError::Certificates(what));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| BridgeError::Certificates(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[async_trait::async_trait]
impl Consumer for BridgeConsumer {
    const NAME: &'static str = "bridge";
    const RECORDS_MAX: usize = 1_000;
    const RECORDS_MIN: usize = Self::RECORDS_MAX;

    fn linger(_: &Gateway) -> Duration {
        Duration::from_millis(50)
    }

    /// Without a cursor it begins with the oldest record that is there.
    async fn start(&mut self, place: &Workplace) -> Result<Option<u64>, StoreError> {
        let failed = |error| BridgeError::File(self.cursor.clone(), error);
        Ok(self
            .read_cursor(&place.log.id().to_string())
            .map_err(failed)?)
    }

    async fn rewind(&mut self, place: &Workplace, end: u64) -> Result<(), StoreError> {
        Ok(self.write_cursor(&place.log.id().to_string(), end)?)
    }

    async fn apply(&mut self, place: &Workplace, batch: &Batch) -> Result<Option<u64>, StoreError> {
        let first = batch.records.first().map_or(batch.next, |r| r.offset);
        let behind = place.log.status().durable.saturating_sub(first);
        let metrics = &place.metrics;
        if behind > u64::from(self.config.records_behind_max) {
            let passed = batch.next.saturating_sub(first);
            metrics.count("bridge_records_total", "result", "passed_over", passed);
        } else {
            let sent = self.publish(place, batch).await?;
            metrics.count("bridge_messages_total", "result", "acknowledged", sent);
            let count = batch.records.len() as u64;
            metrics.count("bridge_records_total", "result", "done", count);
        }
        self.write_cursor(&place.log.id().to_string(), batch.next)?;
        Ok(Some(batch.next))
    }

    async fn settle(&mut self, _: &Workplace) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }
}

/// Follows the log until told to stop. Unlike the store, the outer broker is nobody's condition: while
/// it is away the gateway is as ready as before.
pub async fn run(gateway: Arc<Gateway>, consumer: BridgeConsumer, stop: CancellationToken) {
    let mut follower = Follower::new(Workplace::of(&gateway), consumer);
    let mut pause = RETRY_FIRST;
    let mut is_away = false;
    loop {
        let step = tokio::select! {
            () = stop.cancelled() => return,
            step = follower.step() => step,
        };
        match step {
            Ok(step) => {
                if std::mem::take(&mut is_away) && step == Step::Applied {
                    tracing::info!("the outer broker is back");
                }
                pause = RETRY_FIRST;
                if step != Step::CaughtUp {
                    continue;
                }
                let next = follower.position() + 1;
                tokio::select! {
                    () = stop.cancelled() => return,
                    more = gateway.log.wait_durable(next) => if more.is_err() { return },
                }
                tokio::time::sleep(BridgeConsumer::linger(&gateway)).await;
            }
            Err(StepError::Log(error)) => {
                gateway.fail_with(EXIT_LOG_FAILED, &format!("bridge: {error}"));
                return;
            }
            Err(StepError::Store(error)) => {
                gateway.metrics.gauge("bridge_is_connected", &[], 0.0);
                if !std::mem::replace(&mut is_away, true) {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%error, cause, "the outer broker does not take it; it is tried again");
                }
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(jittered(pause)) => {}
                }
                pause = (pause * 2).min(RETRY_LAST);
            }
        }
    }
}
