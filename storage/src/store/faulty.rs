//! A store that fails by a seed, in front of any other.
//!
//! What it models, against what writes into it:
//! * **unavailable**: nothing was done, and the caller is told so; also for some calls in a row, as
//!   when a database restarts;
//! * **lost answer**: all was done, and the caller is told that it was not;
//! * **torn batch**: some of the rows are there, the cursor is not, as the contract of
//!   [`Store::write_positions`] allows after an error;
//! * **too much at once**: a batch over a size is never written in time;
//! * **slow**: the answer takes some polls, before or after the work. Whoever is dropped meanwhile
//!   has crashed just there.
//!
//! The same seed and the same calls give the same faults.

mod outbox;

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use async_trait::async_trait;
use geofence::{
    case::{Case, Stage, policy::Desk},
    identity::{CaseId, TerminalId},
    units::Timestamp,
};
use parking_lot::Mutex;
use uuid::Uuid;

use super::{
    CaseChange, CaseQuery, CaseRecord, CaseWritten, Cursor, FindingBatch, FindingsWritten, Import,
    MoveOrder, Moved, Opening, PositionBatch, PositionQuery, PositionRow, PositionTally,
    PositionsWritten, QuarantinedRow, Retained, Retention, Store, StoreError, Tally, TimedOut,
};
use crate::{
    evaluation::{EvaluationQuery, FigureCases, FigureRow, TerminalDay},
    file_system::faulty::Random,
};

/// How often what goes wrong, in 1,024 calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreFaults {
    /// Nothing is done. Up to nine more calls fail so.
    pub unavailable: u32,
    /// All is done, and called a failure.
    pub lost_answer: u32,
    /// Rows without their cursor.
    pub torn: u32,
    /// Batches with more positions and reports than this are never done in time; 0 is no limit.
    pub rows_max: usize,
    /// Before and after the work there are up to three polls without an answer.
    pub slow: u32,
}

/// The store. Clones are the same store.
#[derive(Clone)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    random: Random,
    faults: StoreFaults,
    /// Calls until it is available again.
    away: u64,
    has_paused: bool,
    calls: u64,
}

/// What becomes of one call.
#[derive(Clone, Copy, Debug)]
struct Fate {
    polls_before: u64,
    is_done: bool,
    polls_after: u64,
    is_answered: bool,
}

impl std::fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultyStore").finish_non_exhaustive()
    }
}

impl FaultyStore {
    /// In front of a store, without faults yet.
    #[must_use]
    pub fn over(inner: Arc<dyn Store>, seed: u64) -> Self {
        let state = State {
            random: Random(seed),
            faults: StoreFaults::default(),
            away: 0,
            has_paused: false,
            calls: 0,
        };
        Self {
            inner,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// From now on, what goes wrong. One that is away comes back.
    pub fn set_faults(&self, faults: StoreFaults) {
        let mut state = self.state.lock();
        state.faults = faults;
        state.away = 0;
    }

    /// Whether a call was slow since this was last asked: then a poll without an answer is one of
    /// this store, not of the one behind it.
    #[must_use]
    pub fn take_pause(&self) -> bool {
        std::mem::take(&mut self.state.lock().has_paused)
    }

    /// How often it was asked for anything.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state.lock().calls
    }

    fn fate(&self) -> Fate {
        let State {
            random,
            faults,
            away,
            calls,
            ..
        } = &mut *self.state.lock();
        *calls += 1;
        let mut happens = |often: u32| random.below(1_024) < u64::from(often);
        let is_slow = happens(faults.slow);
        let goes_away = happens(faults.unavailable);
        let is_answered = !happens(faults.lost_answer);
        let mut polls = || if is_slow { random.below(4) } else { 0 };
        let (polls_before, polls_after) = (polls(), polls());
        if goes_away {
            *away = away.saturating_add(1 + random.below(10));
        }
        let is_done = *away == 0;
        *away = away.saturating_sub(1);
        Fate {
            polls_before,
            is_done,
            polls_after,
            is_answered,
        }
    }

    async fn pause(&self, polls: u64) {
        let state = Arc::clone(&self.state);
        Pause { state, polls }.await;
    }

    /// Does the work, or not, and answers, or not.
    async fn call<T: Send>(
        &self,
        action: &'static str,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let fate = self.fate();
        self.pause(fate.polls_before).await;
        if !fate.is_done {
            return Err(failure(action));
        }
        let done = work.await;
        self.pause(fate.polls_after).await;
        if !fate.is_answered {
            return Err(failure(action));
        }
        done
    }

    /// The rows of a batch that a crash leaves behind, if this is one that is torn.
    fn torn(&self, batch: &PositionBatch) -> Option<PositionBatch> {
        let State { random, faults, .. } = &mut *self.state.lock();
        if random.below(1_024) >= u64::from(faults.torn) {
            return None;
        }
        let mut torn = batch.clone();
        torn.cursor.consumer = "nobody".into();
        let mut some =
            |length: usize| usize::try_from(random.below(length as u64 + 1)).unwrap_or(length);
        torn.positions.truncate(some(batch.positions.len()));
        torn.quarantined.truncate(some(batch.quarantined.len()));
        Some(torn)
    }
}

fn failure(action: &'static str) -> StoreError {
    StoreError::Unavailable {
        action,
        cause: "a fault by the seed".into(),
    }
}

/// Some polls without an answer.
struct Pause {
    state: Arc<Mutex<State>>,
    polls: u64,
}

impl Future for Pause {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.polls == 0 {
            return Poll::Ready(());
        }
        self.polls -= 1;
        self.state.lock().has_paused = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[async_trait]
impl Store for FaultyStore {
    fn description(&self) -> String {
        format!("{}, which fails", self.inner.description())
    }

    async fn cursor(&self, log: Uuid, consumer: &str) -> Result<Option<u64>, StoreError> {
        let work = self.inner.cursor(log, consumer);
        self.call("read a cursor", work).await
    }

    async fn write_positions(&self, batch: &PositionBatch) -> Result<PositionsWritten, StoreError> {
        let action = "write positions";
        let rows_max = self.state.lock().faults.rows_max;
        if rows_max > 0 && batch.positions.len() + batch.quarantined.len() > rows_max {
            return Err(StoreError::Unavailable {
                action,
                cause: Box::new(TimedOut),
            });
        }
        if let Some(torn) = self.torn(batch) {
            let work = self.inner.write_positions(&torn);
            self.call(action, work).await?;
            self.pause(1).await;
            return Err(failure(action));
        }
        let work = self.inner.write_positions(batch);
        self.call(action, work).await
    }

    async fn write_findings(&self, batch: &FindingBatch) -> Result<FindingsWritten, StoreError> {
        let work = self.inner.write_findings(batch);
        self.call("write cases", work).await
    }

    async fn open_case(&self, opening: &Opening) -> Result<(CaseWritten, bool), StoreError> {
        let work = self.inner.open_case(opening);
        self.call("open a case", work).await
    }

    async fn move_case(&self, order: &MoveOrder) -> Result<Moved, StoreError> {
        self.call("move a case", self.inner.move_case(order)).await
    }

    async fn tick_cases(
        &self,
        at: Timestamp,
        desk: &Arc<Desk>,
        limit: u32,
    ) -> Result<Vec<CaseWritten>, StoreError> {
        let work = self.inner.tick_cases(at, desk, limit);
        self.call("tell what clocks say", work).await
    }

    async fn snapshots(&self) -> Result<BTreeMap<String, Vec<u8>>, StoreError> {
        self.call("read snapshots", self.inner.snapshots()).await
    }

    async fn latest_positions(
        &self,
        after: Option<TerminalId>,
        limit: u32,
    ) -> Result<Vec<PositionRow>, StoreError> {
        let work = self.inner.latest_positions(after, limit);
        self.call("read latest positions", work).await
    }

    async fn positions(&self, query: &PositionQuery) -> Result<Vec<PositionRow>, StoreError> {
        let work = self.inner.positions(query);
        self.call("read positions", work).await
    }

    async fn cases(&self, query: &CaseQuery) -> Result<Vec<Case>, StoreError> {
        self.call("read cases", self.inner.cases(query)).await
    }

    async fn case(&self, id: CaseId) -> Result<Option<Case>, StoreError> {
        self.call("read a case", self.inner.case(id)).await
    }

    async fn evaluate(&self, query: &EvaluationQuery) -> Result<Vec<FigureRow>, StoreError> {
        self.call("evaluate cases", self.inner.evaluate(query))
            .await
    }

    async fn evaluated_cases(&self, wanted: &FigureCases) -> Result<Vec<Case>, StoreError> {
        let work = self.inner.evaluated_cases(wanted);
        self.call("read evaluated cases", work).await
    }

    async fn terminal_days(&self, from: i32, to: i32) -> Result<Vec<TerminalDay>, StoreError> {
        let work = self.inner.terminal_days(from, to);
        self.call("add up days", work).await
    }

    async fn case_history(&self, id: CaseId) -> Result<Vec<CaseChange>, StoreError> {
        let work = self.inner.case_history(id);
        self.call("read the history of a case", work).await
    }

    async fn cases_by_stage(&self) -> Result<BTreeMap<Stage, u64>, StoreError> {
        self.call("count cases", self.inner.cases_by_stage()).await
    }

    async fn cases_overdue(&self, at: Timestamp) -> Result<BTreeMap<Stage, u64>, StoreError> {
        self.call("count cases", self.inner.cases_overdue(at)).await
    }

    async fn quarantined(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<QuarantinedRow>, StoreError> {
        let work = self.inner.quarantined(before, limit);
        self.call("read the quarantine", work).await
    }

    async fn retain(&self, retention: &Retention) -> Result<Retained, StoreError> {
        let work = self.inner.retain(retention);
        self.call("remove what is too old", work).await
    }

    async fn cursors(&self) -> Result<Vec<Cursor>, StoreError> {
        self.call("read cursors", self.inner.cursors()).await
    }

    async fn case_records(
        &self,
        after: Option<CaseId>,
        limit: u32,
    ) -> Result<Vec<CaseRecord>, StoreError> {
        let work = self.inner.case_records(after, limit);
        self.call("read cases", work).await
    }

    async fn import(&self, import: &Import) -> Result<(), StoreError> {
        let work = self.inner.import(import);
        self.call("take over what another store had", work).await
    }

    async fn tally_positions(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<PositionTally, StoreError> {
        let work = self.inner.tally_positions(from, to);
        self.call("count positions", work).await
    }

    async fn tally(&self) -> Result<Tally, StoreError> {
        self.call("count rows", self.inner.tally()).await
    }
}
