//! The embedded store: SQLite files in one directory, readable by every tool.
//!
//! ```text
//! main.sqlite                    cursors, latest positions, cases, snapshots, quarantine
//! positions-2026-11-25.sqlite    positions whose fix time lies on that day (UTC)
//! ```
//!
//! A file a day makes [retention](Store::retain) a deletion, and keeps the index that is being written in memory.
//!
//! **Order of writing.** A transaction over several files is atomic for each file only (WAL mode),
//! so atomicity is not asked for. A batch goes into the files of its days first, one transaction
//! each; when all of these are on disk, one transaction in `main.sqlite` moves the latest
//! positions and the cursor. A crash in between leaves rows whose batch comes again, because the
//! cursor has not moved, and which are then there already (P2). Therefore the last commit of each file is
//! synced (`synchronous=FULL`), and those before it in the same file with it: with less, a power cut could keep
//! the cursor and lose the rows of another file, which the log has no more.
//!
//! **Who uses it.** One writer at a time, for a transaction each, a few readers, all on the threads that tokio keeps for
//! blocking work. Other processes may read and write the files meanwhile: locks are waited for.

mod cases;
mod day;
mod evaluation;
mod outbox;
mod reader;
mod retention;
mod rows;
mod snapshots;
mod transfer;
mod writer;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use geofence::{
    case::{Case, Stage, policy::Desk},
    identity::{CaseId, TerminalId},
    units::Timestamp,
};
use parking_lot::Mutex;
use uuid::Uuid;

pub(crate) use self::writer::MAIN;
use self::{reader::Readers, writer::Writer};
use crate::evaluation::{EvaluationQuery, FigureCases, FigureRow, TerminalDay};
use crate::sqlite::WriteAhead;
use crate::store::{
    CaseChange, CaseQuery, CaseRecord, CaseWritten, Cursor, FindingBatch, FindingsWritten, Import,
    MoveOrder, Moved, Opening, PositionBatch, PositionQuery, PositionRow, PositionTally,
    PositionsWritten, QuarantinedRow, Retained, Retention, Store, StoreError, Tally,
};

/// What tests change and nobody else needs to.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long to wait for a lock that another process holds.
    pub busy_timeout: Duration,
    /// How long a query may take.
    pub query_timeout: Duration,
    /// Queries at the same time.
    pub readers: usize,
    /// Files of days that the writer, and each reader, keeps open.
    pub open_days_max: usize,
    /// Rows of one transaction: a batch of more is written in several, of neighbours each. The log
    /// shares the disk, and its syncs wait for what another sync brings there at once.
    pub commit_rows_max: usize,
    /// So much of a write-ahead file is carried over into its database at once, but not more than
    /// half of `wal_bytes_max`; and so many bytes of snapshots are one transaction.
    pub checkpoint_bytes: u64,
    /// A write-ahead file is emptied when it has reached this size.
    pub wal_bytes_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            busy_timeout: Duration::from_secs(5),
            query_timeout: Duration::from_secs(10),
            readers: 4,
            open_days_max: 4,
            commit_rows_max: 1_000,
            checkpoint_bytes: 1024 * 1024,
            wal_bytes_max: 8 * 1024 * 1024,
        }
    }
}

impl Options {
    fn write_ahead(&self) -> WriteAhead {
        WriteAhead {
            carried_bytes: self.checkpoint_bytes,
            bytes_max: self.wal_bytes_max,
        }
    }
}

/// The store. Cheap to share behind an [`Arc`].
#[derive(Debug)]
pub struct EmbeddedStore {
    directory: PathBuf,
    writer: Arc<Mutex<Writer>>,
    /// Held by who writes snapshots, which takes several turns of the writer.
    snapshots: Arc<Mutex<()>>,
    readers: Arc<Readers>,
}

impl EmbeddedStore {
    /// Opens the store in a directory, and creates both when they are not there.
    ///
    /// # Errors
    /// When a file cannot be opened, or is not one of ours.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        Self::open_with(directory, &Options::default())
    }

    /// The same with other options.
    ///
    /// # Errors
    /// When a file cannot be opened, or is not one of ours.
    pub fn open_with(directory: &Path, options: &Options) -> Result<Self, StoreError> {
        create_durably(directory)?;
        let readers = Arc::new(Readers::new(directory, options));
        let writer = Writer::open(directory, options, Arc::clone(&readers))?;
        Ok(Self {
            directory: directory.to_owned(),
            writer: Arc::new(Mutex::new(writer)),
            snapshots: Arc::default(),
            readers,
        })
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let writer = Arc::clone(&self.writer);
        joined(tokio::task::spawn_blocking(move || work(&mut writer.lock())).await)
    }
}

/// Creates a directory so that a power cut does not take it away with what was put into it.
fn create_durably(directory: &Path) -> Result<(), StoreError> {
    let failed = |cause: std::io::Error| StoreError::Unavailable {
        action: "create the directory of the store",
        cause: Box::new(cause),
    };
    if directory.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(directory).map_err(failed)?;
    let parent = directory
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    std::fs::File::open(parent.unwrap_or_else(|| Path::new(".")))
        .and_then(|d| d.sync_all())
        .map_err(failed)
}

/// A panic on the other thread goes on here; a runtime that shuts down is no answer.
fn joined<T>(
    result: Result<Result<T, StoreError>, tokio::task::JoinError>,
) -> Result<T, StoreError> {
    match result {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(cause) => Err(StoreError::Unavailable {
                action: "use the store",
                cause: Box::new(cause),
            }),
        },
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    fn description(&self) -> String {
        format!(
            "embedded SQLite {} in {}",
            rusqlite::version(),
            self.directory.display()
        )
    }

    async fn cursor(&self, log: Uuid, consumer: &str) -> Result<Option<u64>, StoreError> {
        let consumer = consumer.to_owned();
        self.readers
            .read("read a cursor", move |r| r.cursor(log, &consumer))
            .await
    }

    async fn write_positions(&self, batch: &PositionBatch) -> Result<PositionsWritten, StoreError> {
        let batch = batch.clone();
        let writer = Arc::clone(&self.writer);
        let write = move || Writer::write_positions(&writer, &batch);
        joined(tokio::task::spawn_blocking(write).await)
    }

    async fn write_findings(&self, batch: &FindingBatch) -> Result<FindingsWritten, StoreError> {
        let batch = batch.clone();
        let writer = Arc::clone(&self.writer);
        let turn = Arc::clone(&self.snapshots);
        let write = move || {
            let _turn = (!batch.snapshots.is_empty()).then(|| turn.lock());
            Writer::write_findings(&writer, &batch)
        };
        joined(tokio::task::spawn_blocking(write).await)
    }

    async fn open_case(&self, opening: &Opening) -> Result<(CaseWritten, bool), StoreError> {
        let opening = opening.clone();
        self.write(move |writer| writer.with_cases(|main| cases::open(main, &opening)))
            .await
    }

    async fn move_case(&self, order: &MoveOrder) -> Result<Moved, StoreError> {
        let order = order.clone();
        self.write(move |writer| writer.with_cases(|main| cases::make(main, &order)))
            .await
    }

    async fn tick_cases(
        &self,
        at: Timestamp,
        desk: &Arc<Desk>,
        limit: u32,
    ) -> Result<Vec<CaseWritten>, StoreError> {
        let desk = Arc::clone(desk);
        self.write(move |writer| writer.with_cases(|main| cases::tick_due(main, at, &desk, limit)))
            .await
    }

    async fn snapshots(&self) -> Result<BTreeMap<String, Vec<u8>>, StoreError> {
        self.readers.read("read snapshots", |r| r.snapshots()).await
    }

    async fn latest_positions(
        &self,
        after: Option<TerminalId>,
        limit: u32,
    ) -> Result<Vec<PositionRow>, StoreError> {
        self.readers
            .read("read latest positions", move |r| r.latest(after, limit))
            .await
    }

    async fn positions(&self, query: &PositionQuery) -> Result<Vec<PositionRow>, StoreError> {
        let query = query.clone();
        self.readers
            .read("read positions", move |r| r.positions(&query))
            .await
    }

    async fn cases(&self, query: &CaseQuery) -> Result<Vec<Case>, StoreError> {
        let query = query.clone();
        self.readers
            .read("read cases", move |r| cases::list(r.main()?, &query))
            .await
    }

    async fn case(&self, id: CaseId) -> Result<Option<Case>, StoreError> {
        let read =
            move |r: &mut reader::Reader| Ok(cases::load(r.main()?, id)?.map(|stored| stored.case));
        self.readers.read("read a case", read).await
    }

    async fn case_history(&self, id: CaseId) -> Result<Vec<CaseChange>, StoreError> {
        self.readers
            .read("read the history of a case", move |r| {
                cases::history(r.main()?, id)
            })
            .await
    }

    async fn cases_by_stage(&self) -> Result<BTreeMap<Stage, u64>, StoreError> {
        self.readers
            .read("count cases", |r| cases::by_stage(r.main()?))
            .await
    }

    async fn cases_overdue(&self, at: Timestamp) -> Result<BTreeMap<Stage, u64>, StoreError> {
        self.readers
            .read("count cases", move |r| cases::overdue(r.main()?, at))
            .await
    }

    async fn evaluate(&self, query: &EvaluationQuery) -> Result<Vec<FigureRow>, StoreError> {
        let query = query.clone();
        self.readers
            .read("evaluate cases", move |r| {
                evaluation::figures(r.main()?, &query)
            })
            .await
    }

    async fn evaluated_cases(&self, wanted: &FigureCases) -> Result<Vec<Case>, StoreError> {
        let wanted = wanted.clone();
        self.readers
            .read("read evaluated cases", move |r| {
                evaluation::cases(r.main()?, &wanted)
            })
            .await
    }

    async fn terminal_days(&self, from: i32, to: i32) -> Result<Vec<TerminalDay>, StoreError> {
        self.readers
            .read("add up days", move |r| {
                evaluation::terminal_days(r, from, to)
            })
            .await
    }

    async fn quarantined(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<QuarantinedRow>, StoreError> {
        self.readers
            .read("read the quarantine", move |r| r.quarantined(before, limit))
            .await
    }

    async fn retain(&self, retention: &Retention) -> Result<Retained, StoreError> {
        self.retain_since(*retention).await
    }

    async fn cursors(&self) -> Result<Vec<Cursor>, StoreError> {
        self.readers
            .read("read cursors", |r| transfer::cursors(r.main()?))
            .await
    }

    async fn case_records(
        &self,
        after: Option<CaseId>,
        limit: u32,
    ) -> Result<Vec<CaseRecord>, StoreError> {
        self.readers
            .read("read cases", move |r| {
                transfer::case_records(r.main()?, after, limit)
            })
            .await
    }

    async fn tally_positions(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<PositionTally, StoreError> {
        self.readers
            .read("count positions", move |r| {
                transfer::tally_positions(r, from, to)
            })
            .await
    }

    async fn tally(&self) -> Result<Tally, StoreError> {
        self.readers
            .read("count rows", |r| transfer::tally(r.main()?))
            .await
    }

    async fn import(&self, import: &Import) -> Result<(), StoreError> {
        let import = import.clone();
        self.write(move |writer| transfer::import(writer, import))
            .await
    }
}
