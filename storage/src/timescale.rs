//! PostgreSQL, with the TimescaleDB extension when it is there.
//!
//! What the server offers is found out at the first connection and said in the description:
//! a hypertable that compresses and keeps sums of hours (TimescaleDB), one that does not (its
//! Apache build), or a partition a day (plain PostgreSQL). The rest is the same: schema `gridtrace`, migrations under
//! an advisory lock, so that several nodes may start at once.
//!
//! **The database may be away**, also at the start: a store is made from its address alone; calls
//! answer [`StoreError::Unavailable`] until it is there, and connect by themselves. Every call has
//! a time limit. A connection whose call ran out of time, or broke, is closed and never used
//! again: nobody knows what it still waits for.
//!
//! **A batch of positions** is one transaction: rows, latest positions, quarantine, cursor. All of it
//! is sent before the first answer is awaited; only the commit waits for all answers.
//! `synchronous_commit` stays on, because the log may remove records behind the cursor, and from
//! batches of 1,000 rows on it costs nothing that can be measured. A batch that the server refuses
//! for its data is bisected; what is left over goes to quarantine, and the cursor moves on.
//!
//! TLS is not built in: reach a server in another place through a socket or tunnel of yours.

mod case_rows;
mod cases;
mod connection;
mod copy;
mod evaluation;
mod hypertable;
mod known;
mod latest;
mod outbox;
mod positions;
mod queries;
mod reading;
mod recent;
mod retention;
mod rows;
mod schema;
mod transfer;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use geofence::{
    case::{Case, Stage, policy::Desk},
    identity::{CaseId, TerminalId},
    units::Timestamp,
};
use tokio::sync::OnceCell;
use uuid::Uuid;

pub(crate) use self::connection::config;
pub(crate) use self::schema::{SCHEMA_VERSION, TIMESCALE_MIN, version};
use self::{
    connection::{Failure, Lease, Pool, bounded},
    known::Known,
    schema::Found,
};
use crate::evaluation::{EvaluationQuery, FigureCases, FigureRow, TerminalDay};
use crate::store::{
    CaseChange, CaseQuery, CaseRecord, CaseWritten, Cursor, FindingBatch, FindingsWritten, Import,
    MoveOrder, Moved, Opening, PositionBatch, PositionQuery, PositionRow, PositionTally,
    PositionsWritten, QuarantinedRow, Retained, Retention, Store, StoreError, Tally,
};

/// What tests change and hardly anybody else needs to.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long a transaction that writes may take.
    pub write_timeout: Duration,
    /// How long a query may take, waiting for a connection included.
    pub query_timeout: Duration,
    /// Connections that read.
    pub readers: usize,
    /// From this number of rows on a batch is copied in binary: what is new as far as can be told
    /// here into the table, what may be there already by way of a temporary one. Fewer are sent as
    /// arrays.
    pub copied_rows_min: usize,
    /// The identities of so many rows that were written last are remembered, in 4 bytes each: to
    /// tell what is new.
    pub recent_rows: usize,
    /// What TimescaleDB is to do by itself; `None` leaves it as it is set, as a reader should.
    pub rules: Option<Rules>,
}

/// What TimescaleDB is to do by itself. The server keeps it; it is set again where it differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What new chunks span: whole seconds. Plain PostgreSQL has a partition a day.
    pub chunk_interval: Duration,
    /// Chunks are compressed so long after their end: whole seconds; `None` stops it. Later rows
    /// still find their way in, at a third of the speed.
    pub compress_after: Option<Duration>,
}

impl Default for Rules {
    fn default() -> Self {
        let day = Duration::from_secs(86_400);
        Self {
            chunk_interval: day,
            compress_after: Some(3 * day),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(30),
            query_timeout: Duration::from_secs(10),
            readers: 4,
            copied_rows_min: 1_000,
            recent_rows: 2_097_152,
            rules: None,
        }
    }
}

/// The store. Cheap to share behind an [`std::sync::Arc`].
#[derive(Debug)]
pub struct TimescaleStore {
    address: String,
    options: Options,
    found: OnceCell<Found>,
    /// One for positions, one for findings.
    writers: Pool,
    readers: Pool,
    known: Known,
}

impl TimescaleStore {
    /// A store at `postgres://user:password@host:port/database`, or at a connection string of
    /// libpq's form. Looks for the database once, and does not mind when it is away.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when the address is none, or the database is there and of a kind
    /// that cannot be used: TimescaleDB before 2.19.1, or a schema of a newer gridtrace.
    pub async fn connect(url: &str, options: Options) -> Result<Self, StoreError> {
        let mut config = config(url)?;
        config
            .application_name("gridtrace")
            .connect_timeout(options.connect_timeout)
            .tcp_user_timeout(options.write_timeout)
            .keepalives_idle(Duration::from_secs(30));
        let store = Self {
            address: connection::address(&config),
            found: OnceCell::new(),
            writers: Pool::new(config.clone(), &options, 2),
            readers: Pool::new(config, &options, options.readers.max(1)),
            known: Known::new(options.recent_rows),
            options,
        };
        match store.found().await {
            Ok(_) | Err(StoreError::Unavailable { .. }) => Ok(store),
            Err(error) => Err(error),
        }
    }

    /// What the server offers. The first call that reaches it brings the schema to this version.
    async fn found(&self) -> Result<&Found, StoreError> {
        self.found
            .get_or_try_init(|| schema::prepare(&self.writers, self.options.rules.as_ref()))
            .await
    }

    /// A connection for reading.
    async fn reader(&self, action: &'static str) -> Result<Lease<'_>, StoreError> {
        self.found().await?;
        self.readers.lease(action).await
    }

    /// Within the time limit of a query.
    async fn query<T>(
        &self,
        future: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        bounded(self.options.query_timeout, future).await
    }
}

#[async_trait]
impl Store for TimescaleStore {
    fn description(&self) -> String {
        match self.found.get() {
            Some(found) => found.description.clone(),
            None => format!("PostgreSQL at {}, not reached yet", self.address),
        }
    }

    async fn cursor(&self, log: Uuid, consumer: &str) -> Result<Option<u64>, StoreError> {
        let mut lease = self.reader("read a cursor").await?;
        let result = self.query(queries::cursor(&mut lease, log, consumer)).await;
        lease.conclude(result)
    }

    async fn write_positions(&self, batch: &PositionBatch) -> Result<PositionsWritten, StoreError> {
        let found = self.found().await?;
        positions::write(&self.writers, found, &self.known, &self.options, batch).await
    }

    async fn write_findings(&self, batch: &FindingBatch) -> Result<FindingsWritten, StoreError> {
        self.found().await?;
        let mut lease = self.writers.lease("write cases").await?;
        let result = bounded(
            self.options.write_timeout,
            cases::write_findings(&mut lease, batch),
        )
        .await;
        lease.conclude(result)
    }

    async fn open_case(&self, opening: &Opening) -> Result<(CaseWritten, bool), StoreError> {
        self.found().await?;
        let mut lease = self.writers.lease("open a case").await?;
        let work = cases::open(&mut lease, opening);
        let result = bounded(self.options.write_timeout, work).await;
        lease.conclude(result)
    }

    async fn move_case(&self, order: &MoveOrder) -> Result<Moved, StoreError> {
        self.found().await?;
        let mut lease = self.writers.lease("move a case").await?;
        let work = cases::make(&mut lease, order);
        let result = bounded(self.options.write_timeout, work).await;
        lease.conclude(result)
    }

    async fn tick_cases(
        &self,
        at: Timestamp,
        desk: &Arc<Desk>,
        limit: u32,
    ) -> Result<Vec<CaseWritten>, StoreError> {
        self.found().await?;
        let mut lease = self.writers.lease("tell what clocks say").await?;
        let work = cases::tick_due(&mut lease, at, desk, limit);
        let result = bounded(self.options.write_timeout, work).await;
        lease.conclude(result)
    }

    async fn snapshots(&self) -> Result<BTreeMap<String, Vec<u8>>, StoreError> {
        let mut lease = self.reader("read snapshots").await?;
        // All of them at once, and only at the start: they get the time of a writer.
        let result = bounded(self.options.write_timeout, cases::snapshots(&mut lease)).await;
        lease.conclude(result)
    }

    async fn latest_positions(
        &self,
        after: Option<TerminalId>,
        limit: u32,
    ) -> Result<Vec<PositionRow>, StoreError> {
        let mut lease = self.reader("read latest positions").await?;
        let result = self.query(queries::latest(&mut lease, after, limit)).await;
        lease.conclude(result)
    }

    async fn positions(&self, query: &PositionQuery) -> Result<Vec<PositionRow>, StoreError> {
        let mut lease = self.reader("read positions").await?;
        let result = self.query(queries::page(&mut lease, query)).await;
        lease.conclude(result)
    }

    fn all_positions(
        self: Arc<Self>,
        query: PositionQuery,
    ) -> BoxStream<'static, Result<Vec<PositionRow>, StoreError>> {
        reading::read(self, query)
    }

    async fn cases(&self, query: &CaseQuery) -> Result<Vec<Case>, StoreError> {
        let mut lease = self.reader("read cases").await?;
        let result = self.query(cases::list(&mut lease, query)).await;
        lease.conclude(result)
    }

    async fn case(&self, id: CaseId) -> Result<Option<Case>, StoreError> {
        let mut lease = self.reader("read a case").await?;
        let result = self.query(cases::one(&mut lease, id)).await;
        lease.conclude(result)
    }

    async fn case_history(&self, id: CaseId) -> Result<Vec<CaseChange>, StoreError> {
        let mut lease = self.reader("read the history of a case").await?;
        let result = self.query(cases::history(&mut lease, id)).await;
        lease.conclude(result)
    }

    async fn cases_by_stage(&self) -> Result<BTreeMap<Stage, u64>, StoreError> {
        let mut lease = self.reader("count cases").await?;
        let result = self.query(cases::by_stage(&mut lease)).await;
        lease.conclude(result)
    }

    async fn cases_overdue(&self, at: Timestamp) -> Result<BTreeMap<Stage, u64>, StoreError> {
        let mut lease = self.reader("count cases").await?;
        let result = self.query(cases::overdue(&mut lease, at)).await;
        lease.conclude(result)
    }

    async fn evaluate(&self, query: &EvaluationQuery) -> Result<Vec<FigureRow>, StoreError> {
        let mut lease = self.reader("evaluate cases").await?;
        let result = self.query(evaluation::figures(&mut lease, query)).await;
        lease.conclude(result)
    }

    async fn evaluated_cases(&self, wanted: &FigureCases) -> Result<Vec<Case>, StoreError> {
        let mut lease = self.reader("read evaluated cases").await?;
        let result = self.query(evaluation::cases(&mut lease, wanted)).await;
        lease.conclude(result)
    }

    async fn terminal_days(&self, from: i32, to: i32) -> Result<Vec<TerminalDay>, StoreError> {
        let has_sums = self.found().await?.has_aggregates;
        let mut lease = self.reader("add up days").await?;
        let work = evaluation::terminal_days(&mut lease, has_sums, from, to);
        let result = self.query(work).await;
        lease.conclude(result)
    }

    async fn quarantined(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<QuarantinedRow>, StoreError> {
        let mut lease = self.reader("read the quarantine").await?;
        let result = self
            .query(queries::quarantined(&mut lease, before, limit))
            .await;
        lease.conclude(result)
    }

    async fn retain(&self, retention: &Retention) -> Result<Retained, StoreError> {
        let found = self.found().await?;
        let mut lease = self.writers.lease("remove what is too old").await?;
        let limit = self.options.write_timeout;
        let result = retention::retain(&mut lease, found, &self.known, limit, retention).await;
        lease.conclude(result)
    }

    async fn cursors(&self) -> Result<Vec<Cursor>, StoreError> {
        let mut lease = self.reader("read cursors").await?;
        let result = self.query(transfer::cursors(&mut lease)).await;
        lease.conclude(result)
    }

    async fn case_records(
        &self,
        after: Option<CaseId>,
        limit: u32,
    ) -> Result<Vec<CaseRecord>, StoreError> {
        let mut lease = self.reader("read cases").await?;
        let result = self
            .query(transfer::case_records(&mut lease, after, limit))
            .await;
        lease.conclude(result)
    }

    async fn tally_positions(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<PositionTally, StoreError> {
        let mut lease = self.reader("count positions").await?;
        let result = self
            .query(transfer::tally_positions(&mut lease, from, to))
            .await;
        lease.conclude(result)
    }

    async fn tally(&self) -> Result<Tally, StoreError> {
        let mut lease = self.reader("count rows").await?;
        let result = self.query(transfer::tally(&mut lease)).await;
        lease.conclude(result)
    }

    async fn import(&self, import: &Import) -> Result<(), StoreError> {
        let found = self.found().await?;
        let mut lease = self
            .writers
            .lease("take over what another store had")
            .await?;
        let result = transfer::import(&mut lease, found, &self.known, &self.options, import).await;
        lease.conclude(result)
    }
}
