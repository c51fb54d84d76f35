//! What follows the log: each consumer with its own cursor, which moves only after its work is
//! durable. A slow or dead store makes a consumer lag, never a terminal wait.

pub mod bridge;
pub mod broker;
pub mod delivery;
pub mod evaluator;
pub mod fanout;
pub mod follower;
pub mod live_map;
pub mod reports;
pub mod retention;
pub mod runtime;
pub(crate) mod snapshots;
pub mod store_writer;
pub mod trust;
pub mod vendor_items;

use std::{sync::Arc, time::Duration};

use storage::{
    log::{ReadError, Record},
    store::StoreError,
};
use tokio_util::sync::CancellationToken;

use self::follower::{Follower, Step, StepError, Workplace};
use crate::{EXIT_DAMAGED, EXIT_LOG_FAILED, Gateway};

pub(crate) const RETRY_FIRST: Duration = Duration::from_millis(100);
pub(crate) const RETRY_LAST: Duration = Duration::from_secs(15);

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
    /// Where the store does not answer in time, batches are halved down to so many records;
    /// `RECORDS_MAX` where a batch that was begun must stay as it is.
    const RECORDS_MIN: usize;

    /// How long it lets records gather when it is not behind.
    fn linger(gateway: &Gateway) -> Duration;

    /// Where it goes on, asked once the store answers.
    async fn start(&mut self, place: &Workplace) -> Result<Option<u64>, StoreError>;

    /// The log ends before the record that [`start`](Self::start) gave: those behind `end` will be
    /// others. Goes back there, in the store as well.
    async fn rewind(&mut self, place: &Workplace, end: u64) -> Result<(), StoreError>;

    /// Works on a batch. Called again with the same batch, or with the beginning of it, when the
    /// store was not available, so it must be possible to repeat it. Gives the number of records that are durably done with.
    async fn apply(&mut self, place: &Workplace, batch: &Batch) -> Result<Option<u64>, StoreError>;

    /// Called now and then when nothing arrives, and at the end.
    async fn settle(&mut self, place: &Workplace) -> Result<Option<u64>, StoreError>;
}

/// What a follower is asked to do.
#[derive(Clone, Copy, Debug)]
enum Work {
    Step,
    Settle,
}

/// Follows the log until told to stop, then settles.
pub async fn follow<C: Consumer>(gateway: Arc<Gateway>, consumer: C, stop: CancellationToken) {
    let mut follower = Follower::new(Workplace::of(&gateway), consumer);
    let mut is_last = false;
    loop {
        let Some(step) = retried(&gateway, &mut follower, Work::Step, &stop).await else {
            return;
        };
        if step != Step::CaughtUp {
            continue;
        }
        if is_last || stop.is_cancelled() {
            break;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            more = gateway.log.wait_durable(follower.position() + 1) => {
                // Nothing more becomes durable: what did until now is read once more.
                is_last = more.is_err();
                if !is_last {
                    tokio::time::sleep(C::linger(&gateway)).await;
                }
            }
            () = tokio::time::sleep(gateway.config.evaluate.snapshot_interval) => {
                let settled = retried(&gateway, &mut follower, Work::Settle, &stop).await;
                if settled.is_none() {
                    return;
                }
            }
        }
    }
    if let Err(error) = follower.settle().await {
        tracing::warn!(consumer = C::NAME, %error, "the last batch is left for the next start");
    }
}

/// Works at once and then every `period`, until told to stop, also in the midst of it.
pub async fn every<F: Future<Output = ()>>(
    period: Duration,
    stop: &CancellationToken,
    mut work: impl FnMut() -> F,
) {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let repeated = async {
        loop {
            interval.tick().await;
            work().await;
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = repeated => {}
    }
}

/// Tries until it works, with growing pauses; `None` when told to stop meanwhile, or when the log
/// cannot be read.
async fn retried<C: Consumer>(
    gateway: &Gateway,
    follower: &mut Follower<C>,
    work: Work,
    stop: &CancellationToken,
) -> Option<Step> {
    let mut pause = RETRY_FIRST;
    let mut failures = 0_u32;
    loop {
        let done = match work {
            Work::Step => follower.step().await,
            Work::Settle => follower.settle().await.map(|()| Step::CaughtUp),
        };
        match done {
            Ok(done) => {
                if failures > 0 {
                    tracing::info!(consumer = C::NAME, failures, "the store is back");
                }
                gateway.store_is_away.remove(C::NAME);
                return Some(done);
            }
            Err(StepError::Log(error)) => {
                // What was acknowledged cannot be read.
                let code = match error {
                    ReadError::Damaged(_) => EXIT_DAMAGED,
                    _ => EXIT_LOG_FAILED,
                };
                gateway.fail_with(code, &format!("{}: {error}", C::NAME));
                return None;
            }
            Err(StepError::Store(error)) => {
                gateway.metrics.store_failed(&error);
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
pub(crate) fn jittered(pause: Duration) -> Duration {
    let mut byte = [0; 1];
    // Without randomness the pause is the whole one, which is right as well.
    let share = if getrandom::fill(&mut byte).is_ok() {
        u32::from(byte[0])
    } else {
        255
    };
    pause / 2 + pause * share / 512
}
