//! The courier of one receiver: what it does between two waits is a step, which tests drive through
//! crashes of the process, the store and the receiver (`tests/stages`).
//!
//! An attempt is noted after it was made. A crash in between makes it again, under the same id.
//! Those that end while others are being noted are noted next, together: each note is a sync, and
//! waits its turn at the store.

use std::{mem, pin::pin, sync::Arc};

use async_trait::async_trait;
use futures_util::{StreamExt as _, future::OptionFuture, stream};
use geofence::units::Timestamp;
use parking_lot::Mutex;
use storage::{
    outbox::{Attempt, Delivery, DeliveryState, Event, EventKind},
    store::{Store, StoreError},
};

use super::{
    breaker::{Breaker, Passage},
    letter::Letter,
    verdict::{Answer, Failure, judge},
};
use crate::{catalog::Catalog, config::Receiver, metrics::Metrics};

/// Deliveries that are taken from the store at once.
const AT_ONCE: u32 = 64;

/// The way to a receiver; tests have another one.
#[async_trait]
pub trait Carrier: Send + Sync {
    /// Sends a letter and waits for the answer.
    async fn carry(&self, letter: &Letter<'_>, at: Timestamp) -> Result<Answer, Failure>;
}

/// What a courier works with.
#[derive(Clone)]
pub struct Workplace {
    /// The store with the outbox.
    pub store: Arc<dyn Store>,
    /// Who drives what.
    pub catalog: Arc<Catalog>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// So much of an answer is kept.
    pub said_bytes_max: usize,
}

impl std::fmt::Debug for Workplace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workplace").finish_non_exhaustive()
    }
}

/// What a step has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing is due.
    Idle,
    /// The receiver is left alone.
    Waiting,
    /// So many attempts.
    Tried(usize),
}

/// Takes deliveries to one receiver.
pub struct Courier {
    receiver: Receiver,
    place: Workplace,
    carrier: Arc<dyn Carrier>,
    breaker: Arc<Mutex<Breaker>>,
    dice: Mutex<u64>,
}

impl std::fmt::Debug for Courier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = &self.receiver.name;
        f.debug_struct("Courier")
            .field("receiver", name)
            .finish_non_exhaustive()
    }
}

impl Courier {
    /// A courier. The seed decides the jitter of its pauses.
    #[must_use]
    pub fn new(
        receiver: Receiver,
        place: Workplace,
        carrier: Arc<dyn Carrier>,
        breaker: Arc<Mutex<Breaker>>,
        seed: u64,
    ) -> Self {
        Self {
            receiver,
            place,
            carrier,
            breaker,
            dice: Mutex::new(seed | 1),
        }
    }

    /// Tries what is due. Attempts run side by side, each of another case; the step ends when all
    /// of them have, so that nothing is under way between two steps.
    ///
    /// # Errors
    /// When the store does not answer. What was sent and could not be noted is sent again.
    pub async fn step(&self) -> Result<Step, StoreError> {
        let now = (self.place.clock)();
        let limit = match self.breaker.lock().passage(now) {
            Passage::Open(_) => return Ok(Step::Waiting),
            Passage::HalfOpen => 1,
            Passage::Closed => AT_ONCE,
        };
        let (store, name) = (&self.place.store, &self.receiver.name);
        let mut due = store.due(name, now, limit).await?;
        let has_changes = due.iter().any(|(one, _)| one.kind == EventKind::Changed);
        if has_changes && store.supersede(name, now).await? > 0 {
            due = store.due(name, now, limit).await?;
        }
        if due.is_empty() {
            return Ok(Step::Idle);
        }
        self.try_all(due).await.map(Step::Tried)
    }

    /// Gives how many attempts were made.
    async fn try_all(&self, due: Vec<(Delivery, Event)>) -> Result<usize, StoreError> {
        let concurrency = usize::try_from(self.receiver.concurrency).unwrap_or(1);
        let mut attempts = stream::iter(due)
            .map(|(delivery, event)| self.attempt(delivery, event))
            .buffer_unordered(concurrency)
            .ready_chunks(AT_ONCE as usize);
        let mut noting = pin!(OptionFuture::from(None));
        let (mut is_noting, mut is_over) = (false, false);
        let mut made = Vec::new();
        let (mut tried, mut noted) = (0, Ok(()));
        loop {
            if !is_noting && !made.is_empty() {
                tried += made.len();
                noting.set(Some(self.note(mem::take(&mut made))).into());
                is_noting = true;
            }
            // In this order always: the same seed is the same story.
            tokio::select! {
                biased;
                Some(done) = &mut noting, if is_noting => {
                    is_noting = false;
                    // Those under way end nevertheless, and are noted if the store is back.
                    noted = noted.and(done);
                }
                ended = attempts.next(), if !is_over => match ended {
                    Some(ended) => made.extend(ended.into_iter().flatten()),
                    None => is_over = true,
                },
                else => break,
            }
        }
        noted.map(|()| tried)
    }

    async fn note(&self, attempts: Vec<Attempt>) -> Result<(), StoreError> {
        self.place.store.conclude(&attempts).await
    }

    /// Nothing when the breaker has opened meanwhile.
    async fn attempt(&self, delivery: Delivery, event: Event) -> Option<Attempt> {
        let clock = &self.place.clock;
        let begun = clock();
        if matches!(self.breaker.lock().passage(begun), Passage::Open(_)) {
            return None;
        }
        let result = match Letter::new(&delivery, &event, &self.place.catalog) {
            Ok(letter) => self.carrier.carry(&letter, begun).await,
            Err(error) => Err(Failure::Nonsense(error.to_string())),
        };
        let (now, bytes) = (clock(), self.place.said_bytes_max);
        let verdict = judge(&self.receiver, &delivery, &result, now, bytes, self.throw());
        {
            let mut breaker = self.breaker.lock();
            if verdict.is_well {
                breaker.succeeded();
            } else {
                breaker.failed(now);
            }
        }
        self.count(&delivery, &verdict, now);
        Some(Attempt {
            id: delivery.id,
            at: now,
            state: verdict.state,
            next_at: now.after(verdict.pause),
            status: verdict.status,
            said: verdict.said,
            number: verdict.number,
        })
    }

    fn count(&self, delivery: &Delivery, verdict: &super::verdict::Verdict, now: Timestamp) {
        let (metrics, name) = (&self.place.metrics, self.receiver.name.as_str());
        let labels = [("receiver", name), ("outcome", verdict.outcome)];
        metrics.count_with("delivery_attempts_total", &labels, 1);
        match verdict.state {
            DeliveryState::Delivered => {
                let millis = u32::try_from(now.millis_since(delivery.since)).unwrap_or(0);
                let seconds = f64::from(millis) / 1_000.0;
                metrics.observe("delivery_duration_seconds", "receiver", name, seconds);
            }
            DeliveryState::Dead => {
                metrics.count("deliveries_given_up_total", "receiver", name, 1);
                let (id, case, status) = (delivery.id, delivery.case, verdict.status);
                tracing::error!(
                    receiver = name, %id, %case, status, outcome = verdict.outcome,
                    "a delivery is given up: see /api/v1/deliveries?state=dead"
                );
            }
            DeliveryState::Pending | DeliveryState::Superseded => {
                let attempts = delivery.attempts + 1;
                tracing::debug!(
                    receiver = name, id = %delivery.id, attempts, status = verdict.status,
                    outcome = verdict.outcome, "a delivery is tried again later"
                );
            }
        }
    }

    /// A number below 1,024 (xorshift64*).
    fn throw(&self) -> u32 {
        let mut state = self.dice.lock();
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        u32::try_from(state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 54).unwrap_or(0)
    }
}
