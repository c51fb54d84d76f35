//! Positions, and who is online, to an outer MQTT broker: store-and-forward from the log. The broker may
//! be away for as long as the log reaches back; nothing else waits for it.
//!
//! The cursor lies in a file of its own and moves only after the broker has acknowledged every message
//! of a batch. So each position arrives at least once, and in the order of the log: what was on its way
//! when a connection broke comes again from the beginning of its batch. The `id` of a message tells a
//! repetition: it is made of the log, the record and the place in it.

mod cursor;
pub mod online;

use std::{path::Path, sync::Arc, time::Duration};

use serde::Serialize;
use storage::store::{PositionRow, StoreError};
use tokio_util::sync::CancellationToken;

use self::cursor::{CursorError, CursorFile};
use super::{
    Batch, Consumer, RETRY_FIRST, RETRY_LAST,
    broker::{self, BrokerError, Link},
    fanout::topic,
    follower::{Follower, Step, StepError, Workplace},
    jittered, store_writer, trust,
};
use crate::{
    EXIT_LOG_FAILED, Gateway,
    config::{self, Bridge, BridgeKind},
    http::view::TrackPoint,
    metrics::Metrics,
};

/// See the module.
#[derive(Debug)]
pub struct BridgeConsumer {
    outer: Outer,
    cursor: CursorFile,
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
    Broker(#[from] BrokerError),
    #[error("{0}")]
    Cursor(#[from] CursorError),
}

impl From<BridgeError> for StoreError {
    fn from(error: BridgeError) -> Self {
        Self::Unavailable {
            action: "publish to the outer broker",
            cause: Box::new(error),
        }
    }
}

/// The outer broker, for one kind of things: each has a connection of its own.
#[derive(Debug)]
struct Outer {
    config: Bridge,
    broker: config::Broker,
    kind: BridgeKind,
    link: Option<Link>,
    is_away: bool,
}

impl Outer {
    /// None where such things are not passed on.
    fn new(config: &Bridge, kind: BridgeKind) -> Option<Self> {
        if !config.has(kind) {
            return None;
        }
        let mut broker = config.broker.clone()?;
        // One connection for each client id.
        if kind != BridgeKind::Positions {
            broker.client_id = format!("{}-{}", broker.client_id, kind.as_str());
        }
        Some(Self {
            config: config.clone(),
            broker,
            kind,
            link: None,
            is_away: false,
        })
    }

    /// Returns once all are acknowledged.
    async fn publish(
        &mut self,
        metrics: &Metrics,
        messages: Vec<broker::Message>,
    ) -> Result<(), BridgeError> {
        let link = match self.link.take().filter(|link| !link.is_over()) {
            Some(link) => link,
            None => {
                let connected = self.connect().await;
                let result = connected.as_ref().err().map_or("ok", BrokerError::reason);
                metrics.count("bridge_connects_total", "result", result, 1);
                connected?
            }
        };
        metrics.gauge("bridge_is_connected", &[("kind", self.kind.as_str())], 1.0);
        let count = messages.len() as u64;
        link.publish(messages, self.config.ack_timeout).await?;
        // Kept only where everything went well: what a broken one still holds must not come later.
        self.link = Some(link);
        let labels = [("kind", self.kind.as_str()), ("result", "acknowledged")];
        metrics.count_with("bridge_messages_total", &labels, count);
        Ok(())
    }

    async fn connect(&self) -> Result<Link, BrokerError> {
        let broker = &self.broker;
        // Read each time: who replaces the file need not start the gateway anew.
        let tls = broker.is_tls.then(|| trust::client(broker.ca.as_deref()));
        let tls = tls.transpose().map_err(BrokerError::Tls)?;
        Link::connect(broker, &broker.host, tls, self.config.ack_timeout).await
    }

    fn succeeded(&mut self, has_published: bool) {
        if has_published && std::mem::take(&mut self.is_away) {
            tracing::info!(kind = self.kind.as_str(), "the outer broker is back");
        }
    }

    fn failed(&mut self, metrics: &Metrics, error: &StoreError) {
        let kind = self.kind.as_str();
        metrics.gauge("bridge_is_connected", &[("kind", kind)], 0.0);
        if !std::mem::replace(&mut self.is_away, true) {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            tracing::warn!(kind, %error, cause, "the outer broker does not take it; it is tried again");
        }
    }
}

impl BridgeConsumer {
    /// One that has not begun; none where no positions go to an outer broker.
    #[must_use]
    pub fn new(config: &Bridge, data_dir: &Path) -> Option<Self> {
        Some(Self {
            outer: Outer::new(config, BridgeKind::Positions)?,
            cursor: CursorFile::new(data_dir.join("bridge.cursor")),
        })
    }

    fn messages(&self, place: &Workplace, batch: &Batch) -> Vec<broker::Message> {
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

    fn message(&self, log: &str, (offset, place): (u64, u32), row: PositionRow) -> broker::Message {
        let area = topic::area(row.unit_grid.as_deref());
        let phone = row.position.terminal;
        let topic = format!(
            "{}/positions/{area}/{phone}",
            self.outer.config.topic_prefix
        );
        let point = TrackPoint::from(row);
        let message = Message {
            id: format!("{log}-{offset}-{place}"),
            point: &point,
        };
        broker::Message {
            topic,
            payload: serde_json::to_vec(&message).unwrap_or_default(),
            is_retained: false,
        }
    }
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
        let kept = self.cursor.read(&place.log.id().to_string());
        Ok(kept.map_err(BridgeError::from)?)
    }

    async fn rewind(&mut self, place: &Workplace, end: u64) -> Result<(), StoreError> {
        let written = self.cursor.write(&place.log.id().to_string(), end);
        Ok(written.map_err(BridgeError::from)?)
    }

    async fn apply(&mut self, place: &Workplace, batch: &Batch) -> Result<Option<u64>, StoreError> {
        let first = batch.records.first().map_or(batch.next, |r| r.offset);
        let behind = place.log.status().durable.saturating_sub(first);
        let metrics = &place.metrics;
        if behind > u64::from(self.outer.config.records_behind_max) {
            let passed = batch.next.saturating_sub(first);
            metrics.count("bridge_records_total", "result", "passed_over", passed);
        } else {
            let messages = self.messages(place, batch);
            self.outer.publish(metrics, messages).await?;
            let count = batch.records.len() as u64;
            metrics.count("bridge_records_total", "result", "done", count);
        }
        let written = self.cursor.write(&place.log.id().to_string(), batch.next);
        written.map_err(BridgeError::from)?;
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
    loop {
        let step = tokio::select! {
            () = stop.cancelled() => return,
            step = follower.step() => step,
        };
        match step {
            Ok(step) => {
                follower.consumer().outer.succeeded(step == Step::Applied);
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
                let outer = &mut follower.consumer().outer;
                outer.failed(&gateway.metrics, &error);
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(jittered(pause)) => {}
                }
                pause = (pause * 2).min(RETRY_LAST);
            }
        }
    }
}
