//! What follows the log: each consumer with its own cursor, which moves only after its work is
//! durable. A slow or dead store makes a consumer lag, never a terminal wait.

pub mod evaluator;
pub mod live_map;
pub mod runtime;
pub mod store_writer;
pub mod vendor_items;

use std::{sync::Arc, time::Duration};

use storage::{
    log::{LogSource, Record},
    store::{Cursor, Store, StoreError},
};
use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;

use crate::Gateway;

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(15);
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Records in a row that a consumer works on at once.
#[derive(Debug)]
pub struct Batch {
    /// In the order of the log.
    pub records: Vec<Record>,
    /// The number of the record behind them.
    pub next: u64,
}

/// Something that follows the log.
#[async_trait::async_trait]
pub trait Consumer: Send {
    /// The name of its cursor and of its metrics.
    const NAME: &'static str;
    /// Records it takes at once.
    const RECORDS_MAX: usize;

    /// How long it lets records gather when it is not behind.
    fn linger(gateway: &Gateway) -> Duration;

    /// Where it goes on, asked once the store answers.
    async fn start(&mut self, gateway: &Gateway) -> Result<Option<u64>, StoreError>;

    /// Works on a batch. Called again with the same batch when the store was not available, so it
    /// must be possible to repeat it. Gives the number of records that are durably done with.
    async fn apply(&mut self, gateway: &Gateway, batch: &Batch) -> Result<Option<u64>, StoreError>;

    /// Called now and then when nothing arrives, and at the end.
    async fn settle(&mut self, gateway: &Gateway) -> Result<Option<u64>, StoreError>;
}

/// What a consumer is asked to do.
#[derive(Clone, Copy, Debug)]
enum Work<'a> {
    Start,
    Apply(&'a Batch),
    Settle,
}

/// Follows the log until told to stop, then settles.
pub async fn follow<C: Consumer>(gateway: Arc<Gateway>, mut consumer: C, stop: CancellationToken) {
    let first = gateway.log.status().first;
    let Some(start) = retried(&gateway, &mut consumer, Work::Start, &stop).await else {
        return;
    };
    let start = start.unwrap_or(first);
    if start < first {
        tracing::error!(
            consumer = C::NAME,
            start,
            first,
            "the log no longer has the records that the store lacks"
        );
    }
    let durable = gateway.log.durable().max(first);
    if start > durable {
        tracing::error!(
            consumer = C::NAME,
            start,
            durable,
            "the log lacks records that it had promised"
        );
    }
    let start = start.clamp(first, durable);
    gateway.log.register_consumer(C::NAME, start);
    let mut reader = match gateway.log.reader(start) {
        Ok(reader) => reader,
        Err(error) => return gateway.fail(&format!("{}: {error}", C::NAME)),
    };
    let mut is_last = false;
    loop {
        // Reading may wait for a disk: other tasks of this thread go elsewhere meanwhile.
        let records = match block_in_place(|| reader.read(C::RECORDS_MAX, BATCH_BYTES)) {
            Ok(records) => records,
            Err(error) => return gateway.fail(&format!("{}: {error}", C::NAME)),
        };
        let batch = Batch {
            next: reader.position(),
            records,
        };
        let work = if batch.records.is_empty() {
            if is_last || stop.is_cancelled() {
                break;
            }
            tokio::select! {
                () = stop.cancelled() => continue,
                more = gateway.log.wait_durable(batch.next + 1) => {
                    // Nothing more becomes durable: what did until now is read once more.
                    is_last = more.is_err();
                    if !is_last {
                        tokio::time::sleep(C::linger(&gateway)).await;
                    }
                    continue;
                }
                () = tokio::time::sleep(gateway.config.evaluate.snapshot_interval) => Work::Settle,
            }
        } else {
            Work::Apply(&batch)
        };
        match retried(&gateway, &mut consumer, work, &stop).await {
            Some(Some(offset)) => gateway.log.advance(C::NAME, offset),
            Some(None) => {}
            None => return,
        }
    }
    match consumer.settle(&gateway).await {
        Ok(Some(offset)) => gateway.log.advance(C::NAME, offset),
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(consumer = C::NAME, %error, "the last batch is left for the next start");
        }
    }
}

/// Tries until it works, with growing pauses; `None` when told to stop meanwhile.
async fn retried<C: Consumer>(
    gateway: &Gateway,
    consumer: &mut C,
    work: Work<'_>,
    stop: &CancellationToken,
) -> Option<Option<u64>> {
    let mut pause = RETRY_FIRST;
    let mut failures = 0_u32;
    loop {
        let started = std::time::Instant::now();
        let done = match work {
            Work::Start => consumer.start(gateway).await,
            Work::Apply(batch) => consumer.apply(gateway, batch).await,
            Work::Settle => consumer.settle(gateway).await,
        };
        match done {
            Ok(done) => {
                if failures > 0 {
                    tracing::info!(consumer = C::NAME, failures, "the store is back");
                }
                gateway.store_is_away.remove(C::NAME);
                if matches!(work, Work::Apply(_)) {
                    gateway.metrics.observe(
                        "store_batch_duration_seconds",
                        "consumer",
                        C::NAME,
                        started.elapsed().as_secs_f64(),
                    );
                }
                return Some(done);
            }
            Err(error) => {
                gateway
                    .metrics
                    .count("store_errors_total", "reason", error.reason(), 1);
                if failures == 0 {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(
                        consumer = C::NAME,
                        %error,
                        cause,
                        "the store does not take the batch; it is tried again"
                    );
                }
                gateway.store_is_away.insert(C::NAME, error.to_string());
                failures = failures.saturating_add(1);
            }
        }
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(jittered(pause)) => {}
        }
        pause = (pause * 2).min(RETRY_LAST);
    }
}

/// Between half and the whole of a pause, so that nodes do not come back all at once.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0; 1];
    // Without randomness the pause is the whole one, which is right as well.
    let share = if getrandom::fill(&mut byte).is_ok() {
        u32::from(byte[0])
    } else {
        255
    };
    pause / 2 + pause * share / 512
}

/// The cursor of a consumer after a batch.
#[must_use]
pub fn cursor(gateway: &Gateway, consumer: &str, offset: u64) -> Cursor {
    Cursor {
        log: gateway.log.id(),
        consumer: consumer.to_owned(),
        offset,
    }
}

/// Where the store says that a consumer stands.
///
/// # Errors
/// When the store is not available.
pub async fn stored_cursor(gateway: &Gateway, consumer: &str) -> Result<Option<u64>, StoreError> {
    let store: &dyn Store = &*gateway.store;
    store.cursor(gateway.log.id(), consumer).await
}
