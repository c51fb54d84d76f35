//! The store that consumers of the log write into and readers ask.
//!
//! Two implementations, one trait, the same tests: [`embedded`] (SQLite, the default) and
//! [`timescale`] (PostgreSQL with the TimescaleDB extension when it is there, plain PostgreSQL
//! when not).

use std::collections::BTreeMap;

use async_trait::async_trait;
use geofence::{
    case::{Case, Stage},
    identity::{CaseId, TerminalId},
    position::{Position, Quarantined},
    units::Timestamp,
    violation::{Finding, ViolationKind},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A position with what the catalog said about its place when it was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PositionRow {
    /// The fix.
    pub position: Position,
    /// The code of the unit grid it lies in.
    pub unit_grid: Option<String>,
}

/// Where a consumer stands: the number of the first record whose work is not yet durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Identity of the log: a store may outlive a log, and a cursor of one says nothing of another.
    pub log: Uuid,
    /// Name of the consumer.
    pub consumer: String,
    /// Record number.
    pub offset: u64,
}

/// What one batch of the store writer holds. Rows and cursor are written in one transaction.
#[derive(Clone, Debug)]
pub struct PositionBatch {
    /// Where the consumer stands afterwards.
    pub cursor: Cursor,
    /// Rows; duplicates of stored ones and of each other are dropped (P2).
    pub positions: Vec<PositionRow>,
    /// Reports that are no positions.
    pub quarantined: Vec<Quarantined>,
}

/// What became of a batch. The three counts add up to the rows of the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PositionsWritten {
    /// New rows in `positions`.
    pub inserted: u64,
    /// Rows that were there already.
    pub duplicates: u64,
    /// New rows in `quarantine`, among them rows that the database refused.
    pub quarantined: u64,
}

/// What one batch of the evaluator holds. Everything in it is written in one transaction.
#[derive(Clone, Debug, Default)]
pub struct FindingBatch {
    /// Where the consumer stands afterwards; `None` leaves the cursor where it is.
    pub cursor: Option<Cursor>,
    /// In order. [`Finding::Opened`] opens a case in [`Stage::Collected`] unless it is there.
    pub findings: Vec<Finding>,
    /// The clock of the log at this batch: opening and change time of its cases.
    pub at: Timestamp,
    /// Snapshots of evaluator state by key, replacing older ones.
    pub snapshots: BTreeMap<String, Vec<u8>>,
}

/// What became of a batch of findings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FindingsWritten {
    /// Cases that were not there before, as stored.
    pub opened: Vec<Case>,
    /// Cases that changed, as stored.
    pub changed: Vec<Case>,
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
    /// Continue behind this row: `(fixed_at, terminal, digest)` of the last one of the page before.
    pub after: Option<(Timestamp, TerminalId, u32)>,
    /// At most so many rows.
    pub limit: u32,
}

/// Which cases to list, newest first by `(opened_at, id)`.
#[derive(Clone, Debug, Default)]
pub struct CaseQuery {
    /// Only this stage.
    pub stage: Option<Stage>,
    /// Only this kind.
    pub kind: Option<ViolationKind>,
    /// Only of this terminal.
    pub terminal: Option<TerminalId>,
    /// Only cases whose unit grid begins with one of these (jurisdictions); empty means all.
    pub jurisdictions: Vec<String>,
    /// Continue behind this case: `(opened_at, id)` of the last one of the page before.
    pub after: Option<(Timestamp, CaseId)>,
    /// At most so many.
    pub limit: u32,
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
}

impl StoreError {
    /// The word that metrics and logs use.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "unavailable",
            Self::Unusable { .. } => "unusable",
        }
    }
}

/// A store of positions and cases.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What was found and will be used, for the line printed at start:
    /// `embedded SQLite 3.50 in DIR`, `PostgreSQL 15.18 with TimescaleDB 2.28.3 (compression)`.
    fn description(&self) -> String;

    /// Where a consumer of a log stands; `None` when it never wrote here.
    async fn cursor(&self, log: Uuid, consumer: &str) -> Result<Option<u64>, StoreError>;

    /// Writes rows and cursor in one transaction; each position once (P2). A row that the database
    /// refuses goes to quarantine with reason `refused` and blocks nobody.
    async fn write_positions(&self, batch: &PositionBatch) -> Result<PositionsWritten, StoreError>;

    /// Writes cases, snapshots and cursor in one transaction; each case once (P3).
    async fn write_findings(&self, batch: &FindingBatch) -> Result<FindingsWritten, StoreError>;

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

    /// Cases, newest first.
    async fn cases(&self, query: &CaseQuery) -> Result<Vec<Case>, StoreError>;

    /// One case.
    async fn case(&self, id: CaseId) -> Result<Option<Case>, StoreError>;

    /// How many cases stand in each stage.
    async fn cases_by_stage(&self) -> Result<BTreeMap<Stage, u64>, StoreError>;

    /// Reports in quarantine, newest first.
    async fn quarantined(&self, limit: u32) -> Result<Vec<Quarantined>, StoreError>;
}
