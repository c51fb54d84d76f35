//! The store that consumers of the log write into and readers ask.
//!
//! Two implementations, one trait, the same tests: [`crate::embedded`] (SQLite, the default) and
//! [`crate::timescale`] (PostgreSQL with the TimescaleDB extension when it is there, plain PostgreSQL
//! when not). For tests there are [`memory`] and, in front of any of them, [`faulty`].

mod cases;
pub mod faulty;
pub mod memory;
mod search;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream};
use geofence::{
    case::{Case, Stage, policy::Desk},
    identity::{CaseId, TerminalId, ViolationId},
    position::{Position, QuarantineReason, Quarantined},
    units::{Latitude, Longitude, Timestamp},
    violation::Finding,
};
use serde::{Deserialize, Serialize};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use crate::evaluation::{EvaluationQuery, FigureCases, FigureRow, TerminalDay};

pub use self::cases::{
    CaseChange, CaseOrder, CaseQuery, CaseRecord, CaseWritten, FindingsWritten, MoveOrder, Moved,
    Opening,
};
pub use self::search::CaseSearch;
pub(crate) use self::search::{pattern, searched_text};
use crate::outbox::Outbox;

/// A position with what the catalog said about its place when it was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PositionRow {
    /// The fix.
    pub position: Position,
    /// The code of the unit grid it lies in.
    pub unit_grid: Option<String>,
}

impl PositionRow {
    /// Where a page behind this row continues: see [`PositionQuery::after`].
    #[must_use]
    pub const fn key(&self) -> (Timestamp, TerminalId, u32) {
        let position = &self.position;
        (position.fixed_at, position.terminal, position.digest)
    }
}

/// A report in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantinedRow {
    /// Counts up with each report that is put there.
    pub number: u64,
    /// What came.
    pub report: Quarantined,
}

/// Where a consumer stands: the number of the first record whose work is not yet durable.
///
/// A cursor that a store has returned from [`Store::cursor`], or whose batch it has accepted, is on
/// disk together with all work before it: the log may remove the records behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Identity of the log: a store may outlive a log, and a cursor of one says nothing of another.
    pub log: Uuid,
    /// Name of the consumer.
    pub consumer: String,
    /// Record number.
    pub offset: u64,
}

/// What one batch of the store writer holds. The cursor is never durable before the rows are.
#[derive(Clone, Debug)]
pub struct PositionBatch {
    /// Where the consumer stands afterwards.
    pub cursor: Cursor,
    /// Rows; duplicates of stored ones and of each other are dropped (P2).
    pub positions: Vec<PositionRow>,
    /// Reports that are no positions.
    pub quarantined: Vec<Quarantined>,
}

/// What became of a batch. The four counts add up to its positions and quarantined reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PositionsWritten {
    /// New rows in `positions`.
    pub inserted: u64,
    /// Rows and reports that were there already, or twice in the batch.
    pub duplicates: u64,
    /// New rows in `quarantine`, among them rows that the database refused.
    pub quarantined: u64,
    /// What the database refused even there: it is in the log, and nowhere else.
    pub refused: u64,
}

/// What one batch of the evaluator holds. Everything in it is written in one transaction.
///
/// Repeating a batch, or finding the same again in a replay that cuts the log differently, changes
/// nothing: a case remembers how far the log had been judged when it last changed, and findings
/// that were made no later are skipped.
#[derive(Clone, Debug, Default)]
pub struct FindingBatch {
    /// How far the log was judged when these were found: all records before `judged.offset`.
    pub judged: Cursor,
    /// `judged` becomes the cursor of the consumer: together with the snapshots that belong to it.
    pub moves_cursor: bool,
    /// In order. [`Finding::Opened`] opens a case unless it is there, or joins one of the same
    /// group; takes up again what data has withdrawn; so does not [`Finding::Updated`], which
    /// however opens a case that is not there, so that nothing is lost. [`Finding::Withdrawn`]
    /// withdraws any case whose last interval it was; of one that is over, only the history tells.
    pub findings: Vec<Finding>,
    /// The shifts that violations fall into, by their names; those of other shifts do not join.
    pub shifts: BTreeMap<ViolationId, String>,
    /// What policy and work time say. The default opens a case for each violation.
    pub desk: Arc<Desk>,
    /// The clock of the log at this batch: opening and change time of its cases.
    pub at: Timestamp,
    /// Snapshots of evaluator state by key, replacing older ones; an empty one removes its key.
    pub snapshots: BTreeMap<String, Vec<u8>>,
}

/// A part of the map between two meridians and two parallels, its edges included. It does not
/// reach over the 180th meridian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapBox {
    /// The western edge.
    pub west: Longitude,
    /// The southern edge.
    pub south: Latitude,
    /// The eastern edge, not west of `west`.
    pub east: Longitude,
    /// The northern edge, not south of `south`.
    pub north: Latitude,
}

impl MapBox {
    /// The place lies in it or on its edge.
    #[must_use]
    pub fn contains(&self, latitude: Latitude, longitude: Longitude) -> bool {
        (self.south..=self.north).contains(&latitude)
            && (self.west..=self.east).contains(&longitude)
    }
}

/// A range of positions to read, in the order of `(fixed_at, terminal, digest)` when `terminal`
/// is `None` and of `(fixed_at, digest)` otherwise.
#[derive(Clone, Debug)]
pub struct PositionQuery {
    /// One terminal only.
    pub terminal: Option<TerminalId>,
    /// From, inclusive.
    pub from: Timestamp,
    /// To, exclusive.
    pub to: Timestamp,
    /// Only what lies there by its coordinates, a fix or not. The range is read whole and filtered.
    pub within: Option<MapBox>,
    /// Continue behind this row: `(fixed_at, terminal, digest)` of the last one of the page before.
    pub after: Option<(Timestamp, TerminalId, u32)>,
    /// At most so many rows.
    pub limit: u32,
}

impl PositionQuery {
    /// South, north, west and east of the box in millionths of a degree; without one, bounds that
    /// leave nothing out.
    pub(crate) const fn bounds(&self) -> [i32; 4] {
        match &self.within {
            None => [i32::MIN, i32::MAX, i32::MIN, i32::MAX],
            Some(within) => [
                within.south.micro_degrees(),
                within.north.micro_degrees(),
                within.west.micro_degrees(),
                within.east.micro_degrees(),
            ],
        }
    }
}

/// What may go: everything that lies before a moment. `None` keeps all.
///
/// The moments are the caller's, who also judged by the same clock which fix times were believed.
/// The clock of a database is another one, and its own policies exist in one licence only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Positions whose fix time lies before it, as far as their whole day (chunk, with TimescaleDB)
    /// does.
    pub positions_before: Option<Timestamp>,
    /// Reports in quarantine that were received before it.
    pub quarantined_before: Option<Timestamp>,
}

/// What went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Files of days, partitions or chunks of positions.
    pub days: u64,
    /// Reports in quarantine.
    pub quarantined: u64,
}

/// What a store takes over from another one, in one transaction. Repeating it changes nothing.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// Newest positions of terminals, also such whose day is not kept any more. A newer one that is
    /// there stays.
    pub latest: Vec<PositionRow>,
    /// Cases, in place of what is there of them, history included.
    pub cases: Vec<CaseRecord>,
    /// Snapshots of evaluator state, as in [`FindingBatch::snapshots`].
    pub snapshots: BTreeMap<String, Vec<u8>>,
    /// Cursors, as they stand in the other store.
    pub cursors: Vec<Cursor>,
    /// Log and consumer of cursors that are over.
    pub ended: Vec<(Uuid, String)>,
}

/// How many positions there are, and what they add up to: two stores that agree hold the same
/// ones, as far as counting can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PositionTally {
    /// Rows.
    pub rows: u64,
    /// The sum of their digests.
    pub digests: u64,
}

/// How many rows the other tables have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Newest positions of terminals.
    pub latest: u64,
    /// Reports in quarantine.
    pub quarantined: u64,
    /// Cases.
    pub cases: u64,
    /// Lines of their histories.
    pub case_changes: u64,
    /// Violations that belong to them.
    pub case_violations: u64,
    /// Snapshots of evaluator state.
    pub snapshots: u64,
}

/// The reason of that word, as [`QuarantineReason::reason`] gives it.
pub(crate) fn quarantine_reason(word: &str) -> Option<QuarantineReason> {
    use QuarantineReason::{Future, NoTime, OutOfRange, Past, Refused};
    [NoTime, Future, Past, OutOfRange, Refused]
        .into_iter()
        .find(|reason| reason.reason() == word)
}

/// The day of a moment in UTC; `None` outside the years 2000 to 2099, where no fix can be.
pub(crate) fn day_of(moment: Timestamp) -> Option<Date> {
    let seconds = moment.millis().div_euclid(1_000);
    let day = OffsetDateTime::from_unix_timestamp(seconds).ok()?.date();
    (2000..2100).contains(&day.year()).then_some(day)
}

/// A position that no store can keep, as a report for the quarantine. Its wire form is in the log.
pub(crate) fn refused(row: &PositionRow) -> Quarantined {
    let position = &row.position;
    Quarantined {
        terminal: position.terminal,
        received_at: position.received_at,
        log_offset: position.log_offset,
        digest: position.digest,
        reason: QuarantineReason::Refused,
        body: serde_json::to_vec(row).unwrap_or_default(),
    }
}

/// The newest row of each terminal, by terminal.
pub(crate) fn newest<'a>(
    rows: impl Iterator<Item = &'a PositionRow>,
) -> BTreeMap<TerminalId, &'a PositionRow> {
    let mut newest: BTreeMap<TerminalId, &PositionRow> = BTreeMap::new();
    for row in rows {
        let kept = newest.entry(row.position.terminal).or_insert(row);
        let key = |row: &PositionRow| (row.position.fixed_at, row.position.digest);
        if key(row) > key(kept) {
            *kept = row;
        }
    }
    newest
}

/// Why a store could not do it, split by what the caller does about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Passing: the database is away, slow or restarting. Retry later with the same batch.
    #[error("{action}: the store is not available")]
    Unavailable {
        /// What was tried, in plain verb form: "connect", "write positions".
        action: &'static str,
        /// The cause.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Lasting: the store is not one that this version can use.
    #[error("{action}: {reason}")]
    Unusable {
        /// What was tried.
        action: &'static str,
        /// What is wrong and what to do.
        reason: String,
    },
    /// Lasting: a newer gridtrace has been here. Nothing was changed.
    #[error("{what} is of a newer version of gridtrace ({version}): use one that is as new")]
    Newer {
        /// Which database or file.
        what: String,
        /// The version of its schema.
        version: u32,
    },
}

/// The cause of [`StoreError::Unavailable`] where there was no answer in time: less work at once may
/// be answered.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no answer in time")]
pub struct TimedOut;

impl StoreError {
    /// There was no answer in time.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Unavailable { cause, .. } if cause.is::<TimedOut>())
    }

    /// The word that metrics and logs use.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "unavailable",
            Self::Unusable { .. } => "unusable",
            Self::Newer { .. } => "newer",
        }
    }
}

/// A store of positions and cases, and of what others must hear about them.
#[async_trait]
pub trait Store: Outbox + Send + Sync + 'static {
    /// What was found and will be used, for the line printed at start:
    /// `embedded SQLite 3.50 in DIR`, `PostgreSQL 15.18 with TimescaleDB 2.28.3 (compression)`.
    fn description(&self) -> String;

    /// Where a consumer of a log stands; `None` when it never wrote here.
    async fn cursor(&self, log: Uuid, consumer: &str) -> Result<Option<u64>, StoreError>;

    /// Writes rows, then the cursor, or both in one transaction; each position once (P2). When it
    /// returns, all is on disk. After an error part of the rows may be there, the cursor is not:
    /// the same batch can be written again. A row that the database refuses goes to quarantine
    /// with reason `refused`, the position as JSON for its body, and blocks nobody.
    async fn write_positions(&self, batch: &PositionBatch) -> Result<PositionsWritten, StoreError>;

    /// Writes cases, snapshots and cursor in one transaction; each case once (P3).
    async fn write_findings(&self, batch: &FindingBatch) -> Result<FindingsWritten, StoreError>;

    /// Opens a case that no finding opens; one that is there stays as it is. In one transaction
    /// with its history. The second is whether it is new.
    async fn open_case(&self, opening: &Opening) -> Result<(CaseWritten, bool), StoreError>;

    /// Makes a move, or says why not: in one transaction, with the case locked, so that of two
    /// who saw the same version one is refused.
    async fn move_case(&self, order: &MoveOrder) -> Result<Moved, StoreError>;

    /// Writes down what clocks have to say by a moment, of the cases for which that is due first,
    /// at most `limit` of them. Each thing is said once, whoever else asks at the same time.
    async fn tick_cases(
        &self,
        at: Timestamp,
        desk: &Arc<Desk>,
        limit: u32,
    ) -> Result<Vec<CaseWritten>, StoreError>;

    /// The newest snapshots by key.
    async fn snapshots(&self) -> Result<BTreeMap<String, Vec<u8>>, StoreError>;

    /// The newest position of each terminal, by terminal, behind `after`.
    async fn latest_positions(
        &self,
        after: Option<TerminalId>,
        limit: u32,
    ) -> Result<Vec<PositionRow>, StoreError>;

    /// Positions of a time range.
    async fn positions(&self, query: &PositionQuery) -> Result<Vec<PositionRow>, StoreError>;

    /// All positions of a range, in the order of [`Store::positions`], in pieces of at most `limit`
    /// rows. Each comes once; what was stored before the first piece was asked for comes, unless it
    /// is removed meanwhile; of what is written meanwhile, late fixes may be missing.
    ///
    /// Errors end it: a stream that ends without one has given all.
    fn all_positions(
        self: Arc<Self>,
        query: PositionQuery,
    ) -> BoxStream<'static, Result<Vec<PositionRow>, StoreError>> {
        let first = Some(query);
        Box::pin(stream::try_unfold(first, move |query| {
            let store = Arc::clone(&self);
            async move {
                let Some(mut query) = query else {
                    return Ok(None);
                };
                let page = store.positions(&query).await?;
                if page.is_empty() {
                    return Ok(None);
                }
                let is_full = page.len() >= query.limit as usize;
                query.after = page.last().map(PositionRow::key);
                Ok(Some((page, is_full.then_some(query))))
            }
        }))
    }

    /// Cases in the order of the query.
    async fn cases(&self, query: &CaseQuery) -> Result<Vec<Case>, StoreError>;

    /// One case.
    async fn case(&self, id: CaseId) -> Result<Option<Case>, StoreError>;

    /// What happened to a case, oldest first; empty for an unknown one.
    async fn case_history(&self, id: CaseId) -> Result<Vec<CaseChange>, StoreError>;

    /// How many cases stand in each stage.
    async fn cases_by_stage(&self) -> Result<BTreeMap<Stage, u64>, StoreError>;

    /// How many cases of each stage have a running clock that was due before a moment.
    async fn cases_overdue(&self, at: Timestamp) -> Result<BTreeMap<Stage, u64>, StoreError>;

    /// The figures of cases: computed by the store, in the order of periods and subjects. What has
    /// no case at all is left out.
    async fn evaluate(&self, query: &EvaluationQuery) -> Result<Vec<FigureRow>, StoreError>;

    /// The cases behind a figure, in the order of their ids: as many as it says.
    async fn evaluated_cases(&self, wanted: &FigureCases) -> Result<Vec<Case>, StoreError>;

    /// What terminals did on the days from the first (inclusive) to the second (exclusive), counted
    /// from 1970-01-01 at local time; a day without any position is left out.
    async fn terminal_days(&self, from: i32, to: i32) -> Result<Vec<TerminalDay>, StoreError>;

    /// Reports in quarantine, newest first: those with lower numbers than `before`.
    async fn quarantined(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<QuarantinedRow>, StoreError>;

    /// Removes what is older. Positions go by whole days, so that none is searched for; the newest
    /// position of each terminal and the cases, which carry their own evidence, stay. Repeating it
    /// is harmless, and so is a crash in the middle.
    async fn retain(&self, retention: &Retention) -> Result<Retained, StoreError>;

    /// Every cursor, by log and consumer.
    async fn cursors(&self) -> Result<Vec<Cursor>, StoreError>;

    /// Cases with their histories, by id, behind `after`.
    async fn case_records(
        &self,
        after: Option<CaseId>,
        limit: u32,
    ) -> Result<Vec<CaseRecord>, StoreError>;

    /// Takes over what another store had, all but positions and quarantine.
    async fn import(&self, import: &Import) -> Result<(), StoreError>;

    /// Counts the positions of a time range, `to` exclusive. It reads them all: a day at a time.
    async fn tally_positions(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<PositionTally, StoreError>;

    /// Counts everything else.
    async fn tally(&self) -> Result<Tally, StoreError>;
}
