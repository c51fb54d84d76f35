//! A consumer and its place in the log, one step at a time. Its caller decides when to step, waits
//! between the steps, and may drop it at any moment: what counts is in the consumer's store.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use storage::{
    log::{Log, LogSource as _, ReadError, Reader},
    store::{Cursor, Store, StoreError},
};
use tokio::task::block_in_place;

use super::{
    Batch, Consumer,
    live_map::LiveMap,
    snapshots::{Own, Snapshots, named},
};
use crate::{Gateway, case_desk::CaseDesk, catalog::Catalog, config::Ingest, metrics::Metrics};

/// Each try of more than the store can take costs its time limit.
const FULL_BATCHES: u32 = 8;

/// What consumers work with.
#[derive(Clone)]
pub struct Workplace {
    /// The log that is followed.
    pub log: Log,
    /// Where the work goes.
    pub store: Arc<dyn Store>,
    /// The city.
    pub catalog: Arc<Catalog>,
    /// Every metric.
    pub metrics: Arc<Metrics>,
    /// Bytes of records that are taken at once.
    pub batch_bytes_max: u64,
    /// Told of new cases.
    pub live: Arc<LiveMap>,
    /// Which fixes are believed.
    pub ingest: Ingest,
    /// What becomes of violations.
    pub cases: Arc<CaseDesk>,
}

impl std::fmt::Debug for Workplace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workplace").finish_non_exhaustive()
    }
}

impl Workplace {
    /// That of a running gateway.
    #[must_use]
    pub fn of(gateway: &Gateway) -> Self {
        Self {
            log: gateway.log.clone(),
            store: Arc::clone(&gateway.store),
            catalog: Arc::clone(&gateway.catalog),
            metrics: Arc::clone(&gateway.metrics),
            batch_bytes_max: gateway.config.log.batch_bytes_max,
            live: Arc::clone(&gateway.live),
            ingest: gateway.config.ingest.clone(),
            cases: Arc::clone(&gateway.cases),
        }
    }

    /// The cursor of a consumer that is done with all records before `offset`.
    #[must_use]
    pub fn cursor(&self, consumer: &str, offset: u64) -> Cursor {
        Cursor {
            log: self.log.id(),
            consumer: consumer.to_owned(),
            offset,
        }
    }

    /// Where the store says that a consumer stands.
    ///
    /// # Errors
    /// When the store is not available.
    pub async fn stored_cursor(&self, consumer: &str) -> Result<Option<u64>, StoreError> {
        self.store.cursor(self.log.id(), consumer).await
    }

    /// The snapshots of this log with keys that a consumer says are its own.
    pub(crate) async fn own_snapshots(
        &self,
        is_own: impl Fn(&str) -> bool,
    ) -> Result<Own, StoreError> {
        let all = self.store.snapshots().await?;
        Ok(Own::among(all, self.log.id(), is_own))
    }

    /// As the store is to write them; see [`super::snapshots::named`].
    pub(crate) fn named(&self, snapshots: Snapshots, elder: &BTreeSet<String>) -> Snapshots {
        named(self.log.id(), snapshots, elder)
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It found where to go on.
    Started,
    /// A batch is done.
    Applied,
    /// Nothing: there is no more to read yet.
    CaughtUp,
}

/// Why a step did nothing. The next one tries the same again.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log does not give what it has acknowledged.
    #[error(transparent)]
    Log(#[from] ReadError),
}

/// A consumer on its way along the log.
#[derive(Debug)]
pub struct Follower<C> {
    place: Workplace,
    consumer: C,
    /// Once the store has said where to begin.
    reader: Option<Reader>,
    /// What was read and is not done.
    batch: Option<Batch>,
    /// Records to read at once: fewer after the store did not answer in time.
    records_max: usize,
    /// Batches of so many that were done since.
    full_batches: u32,
}

impl<C: Consumer> Follower<C> {
    /// One that has not begun.
    #[must_use]
    pub const fn new(place: Workplace, consumer: C) -> Self {
        Self {
            place,
            consumer,
            reader: None,
            batch: None,
            records_max: C::RECORDS_MAX,
            full_batches: 0,
        }
    }

    /// The number of the next record to read; 0 before it has begun.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.reader.as_ref().map_or(0, |reader| reader.position())
    }

    /// Finds where to go on, or works on one batch: the one of before if that was not done.
    ///
    /// # Errors
    /// When it is to be tried again, or when the log cannot be read.
    pub async fn step(&mut self) -> Result<Step, StepError> {
        let Some(reader) = &mut self.reader else {
            self.start().await?;
            return Ok(Step::Started);
        };
        let batch = match &mut self.batch {
            Some(batch) => batch,
            empty => {
                // Reading may wait for a disk: other tasks of this thread go elsewhere meanwhile.
                let bytes = usize::try_from(self.place.batch_bytes_max).unwrap_or(usize::MAX);
                let records = block_in_place(|| reader.read(self.records_max, bytes))?;
                if records.is_empty() {
                    return Ok(Step::CaughtUp);
                }
                let next = reader.position();
                empty.insert(Batch { records, next })
            }
        };
        let started = Instant::now();
        let count = batch.records.len();
        let done = match self.consumer.apply(&self.place, batch).await {
            Ok(done) => done,
            Err(error) => {
                if error.is_timeout() && count > C::RECORDS_MIN {
                    self.take_less()?;
                }
                return Err(error.into());
            }
        };
        self.batch = None;
        self.take_more(count);
        self.advance(done);
        self.place.metrics.observe(
            "store_batch_duration_seconds",
            "consumer",
            C::NAME,
            started.elapsed().as_secs_f64(),
        );
        Ok(Step::Applied)
    }

    /// The consumer itself.
    pub(super) const fn consumer(&mut self) -> &mut C {
        &mut self.consumer
    }

    /// Makes durable what the consumer has only in memory.
    ///
    /// # Errors
    /// When it is to be tried again.
    pub async fn settle(&mut self) -> Result<(), StepError> {
        let done = self.consumer.settle(&self.place).await?;
        self.advance(done);
        Ok(())
    }

    async fn start(&mut self) -> Result<(), StepError> {
        let log = &self.place.log;
        let first = log.status().first;
        let start = self.consumer.start(&self.place).await?.unwrap_or(first);
        if start < first {
            tracing::error!(
                consumer = C::NAME,
                start,
                first,
                "the log no longer has the records that the store lacks"
            );
        }
        // Its end when it was opened, not now: since then records may have come under the numbers
        // of those that are gone, and they are not done. For the same reason the store is told at
        // once: with the old cursor another start would skip what comes until then. Not covered is
        // a store that cannot be reached from before the loss until the log has grown beyond its
        // cursor and was opened again: nothing tells then that the numbers are others.
        let end = log.opened_at().max(first);
        if start > end {
            tracing::error!(
                consumer = C::NAME,
                start,
                end,
                "the log lacks records that it had promised; new ones take their numbers"
            );
            self.consumer.rewind(&self.place, end).await?;
        }
        let start = start.clamp(first, end);
        log.register_consumer(C::NAME, start);
        self.reader = Some(log.reader(start)?);
        Ok(())
    }

    /// A batch that is too much for the store would be so for ever: half of it is read next.
    fn take_less(&mut self) -> Result<(), ReadError> {
        let Some(batch) = self.batch.take() else {
            return Ok(());
        };
        self.records_max = (batch.records.len() / 2).max(C::RECORDS_MIN);
        self.full_batches = 0;
        tracing::warn!(
            consumer = C::NAME,
            records = self.records_max,
            "the store was too slow; batches are smaller until it keeps up"
        );
        if let Some(first) = batch.records.first() {
            self.reader = Some(self.place.log.reader(first.offset)?);
        }
        Ok(())
    }

    /// Doubled once the store has kept up for a while. A smaller batch says nothing of that.
    fn take_more(&mut self, count: usize) {
        if count < self.records_max || self.records_max == C::RECORDS_MAX {
            return;
        }
        self.full_batches += 1;
        if self.full_batches == FULL_BATCHES {
            self.records_max = self.records_max.saturating_mul(2).min(C::RECORDS_MAX);
            self.full_batches = 0;
        }
    }

    fn advance(&self, done: Option<u64>) {
        if let Some(offset) = done {
            self.place.log.advance(C::NAME, offset);
        }
    }
}
