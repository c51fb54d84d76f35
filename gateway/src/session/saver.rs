//! Registrations and events on their way to the registry. A registration is answered once it is
//! there; thousands that come at once share their transactions.

use std::{collections::HashMap, sync::Arc, time::Duration};

use geofence::identity::TerminalId;
use parking_lot::Mutex;
use storage::{
    registry::{
        Change, TerminalRecord,
        events::{EventRetention, TerminalEvent},
    },
    store::StoreError,
};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{Gateway, clock, metrics::Metrics};

/// What nobody waits for is written so often.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);
/// So many events are written at once, and not later.
const EVENTS_BATCH: usize = 1_000;
/// A registry that cannot be written is tried again after this pause.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What waits to be written. Changes are bounded by the terminals that may register, waiters by the
/// connections, events by their limit.
#[derive(Debug)]
pub struct Saver {
    queue: Mutex<Queue>,
    urgent: Notify,
    events_max: usize,
    timeout: Duration,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Queue {
    /// The newest for each terminal.
    changes: HashMap<TerminalId, Change>,
    waiters: Vec<oneshot::Sender<()>>,
    events: Vec<TerminalEvent>,
}

/// A registration that is not on the disk yet.
#[derive(Debug)]
pub struct PendingSave {
    saved: oneshot::Receiver<()>,
    timeout: Duration,
}

impl PendingSave {
    /// True once it is on the disk; false when that takes too long.
    pub async fn wait(self) -> bool {
        matches!(
            tokio::time::timeout(self.timeout, self.saved).await,
            Ok(Ok(()))
        )
    }
}

impl Saver {
    /// With room for so many events; registrations are waited for so long.
    #[must_use]
    pub fn new(events_max: u32, timeout: Duration, metrics: Arc<Metrics>) -> Self {
        Self {
            queue: Mutex::default(),
            urgent: Notify::new(),
            events_max: events_max as usize,
            timeout,
            metrics,
        }
    }

    /// Somebody waits for this one.
    pub fn save_now(&self, record: TerminalRecord) -> PendingSave {
        let (sender, saved) = oneshot::channel();
        let mut queue = self.queue.lock();
        queue
            .changes
            .insert(record.terminal, Change::Save(Box::new(record)));
        queue.waiters.push(sender);
        drop(queue);
        self.urgent.notify_one();
        PendingSave {
            saved,
            timeout: self.timeout,
        }
    }

    /// Nobody waits for this one.
    pub fn save(&self, terminal: TerminalId, change: Change) {
        self.queue.lock().changes.insert(terminal, change);
    }

    /// An event is to be written.
    pub fn record(&self, event: TerminalEvent) {
        let kind = event.kind.as_str();
        self.metrics.count("terminal_events_total", "kind", kind, 1);
        let mut queue = self.queue.lock();
        if queue.events.len() < self.events_max {
            queue.events.push(event);
            if queue.events.len().is_multiple_of(EVENTS_BATCH) {
                self.urgent.notify_one();
            }
        } else {
            drop(queue);
            self.lost("queue_full", 1);
        }
    }

    fn lost(&self, reason: &'static str, count: usize) {
        if count == 0 {
            return;
        }
        let name = "terminal_events_dropped_total";
        self.metrics.count(name, "reason", reason, count as u64);
    }

    /// Writes all changes, and tells who waits. False when they could not be written: they are
    /// kept then.
    async fn write_changes(&self, gateway: &Arc<Gateway>) -> bool {
        let (changes, waiters) = {
            let mut queue = self.queue.lock();
            if queue.changes.is_empty() {
                return true;
            }
            (
                Arc::new(std::mem::take(&mut queue.changes)),
                std::mem::take(&mut queue.waiters),
            )
        };
        let batch = Arc::clone(&changes);
        let is_written = self
            .in_background(gateway, move |gateway| {
                gateway.registry.apply(batch.values())
            })
            .await;
        if is_written {
            for waiter in waiters {
                // A connection that has gone waits no more.
                waiter.send(()).ok();
            }
            return true;
        }
        let mut queue = self.queue.lock();
        for (terminal, change) in changes.iter() {
            // A newer one stays.
            let entry = queue.changes.entry(*terminal);
            entry.or_insert_with(|| change.clone());
        }
        let is_open = |waiter: &oneshot::Sender<()>| !waiter.is_closed();
        queue.waiters.extend(waiters.into_iter().filter(is_open));
        false
    }

    fn has_many_events(&self) -> bool {
        self.queue.lock().events.len() >= EVENTS_BATCH
    }

    async fn write_events(&self, gateway: &Arc<Gateway>) {
        let events = Arc::new(std::mem::take(&mut self.queue.lock().events));
        let policy = &gateway.config.terminals;
        let retention = EventRetention {
            since: clock::now().before(policy.events_kept_for),
            per_terminal_max: policy.events_per_terminal_max,
        };
        if events.is_empty() {
            return;
        }
        let batch = Arc::clone(&events);
        let is_written = self
            .in_background(gateway, move |gateway| {
                gateway.registry.write_events(&batch, &retention)
            })
            .await;
        if !is_written {
            let mut queue = self.queue.lock();
            let room = self.events_max.saturating_sub(queue.events.len());
            let kept = events.get(events.len().saturating_sub(room)..);
            let kept = kept.unwrap_or_default();
            queue.events.splice(0..0, kept.iter().cloned());
            drop(queue);
            self.lost("not_written", events.len() - kept.len());
        }
    }

    async fn in_background(
        &self,
        gateway: &Arc<Gateway>,
        write: impl FnOnce(&Gateway) -> Result<(), StoreError> + Send + 'static,
    ) -> bool {
        let gateway = Arc::clone(gateway);
        let written = tokio::task::spawn_blocking(move || write(&gateway)).await;
        let reason = match written {
            Ok(Ok(())) => {
                self.metrics.registry_batches.increment(1);
                return true;
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the registry cannot be written");
                error.reason()
            }
            Err(error) => {
                tracing::error!(%error, "writing the registry ended badly");
                "panic"
            }
        };
        self.metrics
            .count("registry_errors_total", "reason", reason, 1);
        false
    }
}

/// Writes until told to stop, and once more then.
pub async fn run(gateway: Arc<Gateway>, stop: CancellationToken) {
    let saver = gateway.directory.saver();
    let mut idle = tokio::time::interval(IDLE_INTERVAL);
    idle.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let (is_last, is_urgent) = tokio::select! {
            () = stop.cancelled() => (true, false),
            _ = idle.tick() => (false, false),
            () = saver.urgent.notified() => (false, true),
        };
        if is_urgent {
            tokio::time::sleep(gateway.config.terminals.save_interval).await;
        }
        let is_written = saver.write_changes(&gateway).await;
        if !is_urgent || saver.has_many_events() {
            saver.write_events(&gateway).await;
        }
        if is_last {
            return;
        }
        if !is_written {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(RETRY_PAUSE) => saver.urgent.notify_one(),
            }
        }
    }
}
