//! Cases go out: from the outbox of the store to receivers, as signed webhooks or under topics of a
//! broker, in order for each case, as often as it takes. Decision 11 says why it is so.
//!
//! ```text
//! outbox ─▶ plan ─▶ a delivery for each receiver ─▶ courier ─▶ webhook | publication ─▶ receiver
//!                                                      └ breaker, pauses, dead letters
//! ```
//!
//! It follows the store, not the log: an event is there because its case is.

pub mod address;
pub mod breaker;
pub mod callback;
pub mod courier;
pub mod letter;
pub mod publication;
pub mod signature;
pub mod verdict;
pub mod webhook;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use geofence::units::Timestamp;
use parking_lot::Mutex;
use storage::{
    outbox::{Delivery, OutboxRetention, Plan},
    store::{Store, StoreError},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::{
    breaker::{Breaker, Passage},
    courier::{Carrier, Courier, Step, Workplace},
    publication::Publication,
    webhook::{Webhook, WebhookError},
};
use super::{RETRY_FIRST, RETRY_LAST, jittered};
use crate::{
    Gateway, clock,
    config::{self, Receiver},
};

/// Events that are planned at once.
const EVENTS_AT_ONCE: u32 = 256;
const GAUGES_INTERVAL: Duration = Duration::from_secs(5);

/// The receivers as the rest of the gateway knows them.
pub struct DeliveryDesk {
    ways: BTreeMap<String, Way>,
}

/// How one receiver is reached, and whether it is left alone.
type Way = (Arc<dyn Carrier>, Arc<Mutex<Breaker>>);

impl std::fmt::Debug for DeliveryDesk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.ways.keys()).finish()
    }
}

impl DeliveryDesk {
    /// A desk for the receivers of the configuration.
    ///
    /// # Errors
    /// When one of them cannot be reached in a way that is trusted.
    pub fn new(config: &config::Delivery) -> Result<Self, WebhookError> {
        let way = |receiver: &Receiver| {
            let carrier: Arc<dyn Carrier> = match &receiver.publication {
                None => Arc::new(Webhook::new(receiver, config.answer_bytes_max)?),
                Some(topics) => Arc::new(Publication::new(receiver, topics)?),
            };
            let breaker = Arc::new(Mutex::new(Breaker::new(receiver)));
            Ok((receiver.name.clone(), (carrier, breaker)))
        };
        let ways = config.receivers.iter().map(way);
        Ok(Self {
            ways: ways.collect::<Result<_, _>>()?,
        })
    }

    /// Whether a receiver is left alone; closed for an unknown one.
    #[must_use]
    pub fn passage(&self, receiver: &str, now: Timestamp) -> Passage {
        let way = self.ways.get(receiver);
        way.map_or(Passage::Closed, |(_, breaker)| breaker.lock().passage(now))
    }
}

/// Plans, delivers and removes until told to stop. What is under way then is tried again at the
/// next start.
pub async fn run(gateway: Arc<Gateway>, stop: CancellationToken) {
    let (planned, _) = watch::channel(());
    let mut tasks = tokio::task::JoinSet::new();
    for receiver in &gateway.config.delivery.receivers {
        let Some((carrier, breaker)) = gateway.delivery.ways.get(&receiver.name) else {
            continue;
        };
        let mut seed = [0; 8];
        // Without randomness the jitter is the same in each run, which is right as well.
        let _filled = getrandom::fill(&mut seed).is_ok();
        let place = Workplace {
            store: Arc::clone(&gateway.store),
            catalog: Arc::clone(&gateway.catalog),
            metrics: Arc::clone(&gateway.metrics),
            clock: Arc::new(clock::now),
            said_bytes_max: usize::try_from(gateway.config.delivery.said_bytes_max)
                .unwrap_or(usize::MAX),
        };
        let courier = Courier::new(
            receiver.clone(),
            place,
            Arc::clone(carrier),
            Arc::clone(breaker),
            u64::from_le_bytes(seed),
        );
        let wake = planned.subscribe();
        tasks.spawn(deliver(Arc::clone(&gateway), courier, wake, stop.clone()));
    }
    tasks.spawn(keep_house(Arc::clone(&gateway), stop.clone()));
    tasks.spawn(plan_all(gateway, planned, stop));
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended
            && error.is_panic()
        {
            tracing::error!(%error, "a part of the delivery ended badly");
        }
    }
}

/// Says who is to hear of the oldest events that nobody looked at. Gives their number and whether
/// anybody is.
///
/// # Errors
/// When the store does not answer; then it may be repeated.
pub async fn plan(
    store: &dyn Store,
    receivers: &[Receiver],
    now: Timestamp,
) -> Result<(usize, bool), StoreError> {
    let events = store.unplanned(EVENTS_AT_ONCE).await?;
    if events.is_empty() {
        return Ok((0, false));
    }
    let deliveries: Vec<_> = events
        .iter()
        .flat_map(|event| {
            let wanting = receivers.iter().filter(|receiver| receiver.wants(event));
            wanting.map(|receiver| Delivery::new(event, &receiver.name, now))
        })
        .collect();
    let has_deliveries = !deliveries.is_empty();
    let plan = Plan {
        events: events.iter().map(|e| (e.case, e.sequence)).collect(),
        deliveries,
    };
    store.plan(&plan).await?;
    Ok((events.len(), has_deliveries))
}

async fn plan_all(gateway: Arc<Gateway>, planned: watch::Sender<()>, stop: CancellationToken) {
    let config = &gateway.config.delivery;
    let mut patience = Patience::default();
    loop {
        let done = tokio::select! {
            () = stop.cancelled() => return,
            done = plan(&*gateway.store, &config.receivers, clock::now()) => done,
        };
        let pause = match done {
            Ok((count, has_deliveries)) => {
                patience.succeeded();
                if has_deliveries {
                    planned.send_replace(());
                }
                let has_more = count >= EVENTS_AT_ONCE as usize;
                if has_more {
                    Duration::ZERO
                } else {
                    config.poll_interval
                }
            }
            Err(error) => patience.failed(&gateway, "plan", &error),
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn deliver(
    gateway: Arc<Gateway>,
    courier: Courier,
    mut wake: watch::Receiver<()>,
    stop: CancellationToken,
) {
    let mut patience = Patience::default();
    loop {
        let step = tokio::select! {
            () = stop.cancelled() => return,
            step = courier.step() => step,
        };
        let pause = match step {
            Ok(step) => {
                patience.succeeded();
                match step {
                    // There may be more, also of the same cases.
                    Step::Tried(1..) => continue,
                    Step::Tried(0) | Step::Idle | Step::Waiting => {
                        gateway.config.delivery.poll_interval
                    }
                }
            }
            Err(error) => patience.failed(&gateway, "deliver", &error),
        };
        tokio::select! {
            () = stop.cancelled() => return,
            // The sender is there as long as this is, but for the stop.
            _changed = wake.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Gauges, and what is too old.
async fn keep_house(gateway: Arc<Gateway>, stop: CancellationToken) {
    let mut gauges = tokio::time::interval(GAUGES_INTERVAL);
    let mut removal = tokio::time::interval(gateway.config.store_rules.retain_interval);
    removal.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut patience = Patience::default();
    loop {
        let done = tokio::select! {
            () = stop.cancelled() => return,
            _ = gauges.tick() => measure(&gateway).await,
            _ = removal.tick() => remove(&gateway).await,
        };
        match done {
            Ok(()) => patience.succeeded(),
            Err(error) => {
                let _pause = patience.failed(&gateway, "keep house", &error);
            }
        }
    }
}

async fn measure(gateway: &Gateway) -> Result<(), StoreError> {
    let backlog = gateway.store.backlog().await?;
    let now = clock::now();
    for receiver in &gateway.config.delivery.receivers {
        let labels = [("receiver", receiver.name.as_str())];
        let found = backlog.iter().find(|one| one.receiver == receiver.name);
        let count = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let oldest = found.and_then(|one| one.oldest);
        let age = oldest.map_or(0, |oldest| now.millis_since(oldest) / 1_000);
        let is_open = gateway.delivery.passage(&receiver.name, now) != Passage::Closed;
        for (name, value) in [
            (
                "deliveries_pending",
                count(found.map_or(0, |one| one.pending)),
            ),
            ("deliveries_dead", count(found.map_or(0, |one| one.dead))),
            (
                "delivery_oldest_age",
                count(u64::try_from(age).unwrap_or(0)),
            ),
            ("delivery_breaker_open", f64::from(u8::from(is_open))),
        ] {
            gateway.metrics.gauge(name, &labels, value);
        }
    }
    Ok(())
}

async fn remove(gateway: &Gateway) -> Result<(), StoreError> {
    let (config, now) = (&gateway.config.delivery, clock::now());
    let retention = OutboxRetention {
        finished_before: Some(now.before(config.delivered_kept_for)),
        dead_before: Some(now.before(config.dead_kept_for)),
        callbacks_before: Some(now.before(config.callbacks_kept_for)),
    };
    let removed = gateway.store.retain_outbox(&retention).await?;
    gateway
        .metrics
        .count("store_removed_total", "what", "deliveries", removed);
    Ok(())
}

/// Growing pauses while the store does not answer; the first failure is told.
#[derive(Debug, Default)]
struct Patience {
    failures: u32,
}

impl Patience {
    const fn succeeded(&mut self) {
        self.failures = 0;
    }

    fn failed(&mut self, gateway: &Gateway, what: &'static str, error: &StoreError) -> Duration {
        gateway.metrics.store_failed(error);
        if self.failures == 0 {
            tracing::warn!(what, %error, "the outbox does not answer; it is asked again");
        }
        let factor = 1_u32.checked_shl(self.failures.min(31)).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        jittered(RETRY_FIRST.saturating_mul(factor).min(RETRY_LAST))
    }
}
