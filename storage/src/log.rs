//! The durable log: what came, in the order in which it came, and never lost once acknowledged.
//!
//! # What it promises
//! * A record below [`Log::durable`] has been written and synced (`fdatasync`). It outlives a kill
//!   and a power cut, and is read as it was appended or not at all: everything is check-summed.
//! * Records are numbered from 0 without gaps. A number is given once in the life of a log, and a
//!   log has an id: what is known of record 7 of one log says nothing of another's.
//! * A record that was never acknowledged may be there after a crash, or not; the ones before it
//!   are there if it is.
//! * Nothing grows without bound: what waits in memory, the files, and a reader's buffers have
//!   limits, all in [`LogConfig`].
//! * After a failed write or sync nothing is acknowledged any more ([`LogState::Poisoned`]). A full
//!   disk is no failure: the log waits, and goes on by itself ([`LogState::NoRoom`]).
//!
//! # What is on the disk
//!
//! ```text
//! log/lock                      held by the process that has the log open
//! log/00000000000000000000.log  ┐ segments, named by the number of their first record;
//! log/00000000000000341207.log  │ each names the size of the one before it
//! log/00000000000000691555.log  ┘ only the newest is written to
//!
//! segment  ┌────────┬───────┬───────┬─────────────┬───────┬── ─ ─
//!          │ header │ block │ block │ block       │ block │
//!          └────────┴───────┴───────┴─────────────┴───────┴── ─ ─
//!                   ╰── commit ─────╯╰─ commit ───╯          one write and one sync each
//!
//! block    ┌────────────────────────────────────────────┬────────┬────────┬── ─ ─
//!          │ mark, length, count, first, commit, CRC-32 │ record │ record │
//!          └────────────────────────────────────────────┴────────┴────────┴── ─ ─
//!
//! record   ┌──────────────────────┬─────────┐
//!          │ length, kind, time   │ payload │
//!          └──────────────────────┴─────────┘
//! ```
//!
//! The fields are drawn in `segment.rs`, `block.rs` and `record.rs`. The format has a version; files
//! of every version that was ever released stay readable (`fixtures/log`).
//!
//! Commits are not padded to pages: at a quiet hour that would make the log forty times as large.
//! So a commit is written next to, and in the same page as, the one before it, whose bytes are
//! written again unchanged. That is safe on a disk that writes a sector whole or not at all, as
//! all do that claim to survive a power cut. Behind the last commit lie zeros that were written ahead
//! ([`LogConfig::zero_ahead_bytes`]), which nothing takes for more, or the end of the file.
//!
//! # How it works
//!
//! Appenders copy their record into a buffer that already has the form of the file (`staging.rs`).
//! One thread steps the [`LogWriter`], which takes the whole buffer, writes it, syncs, and wakes
//! those who wait for these records (`writer.rs`, `waiters.rs`). Whatever arrives during a sync
//! shares the next one. Consumers read the files, up to what is durable, through [`LogSource`]
//! (`reader.rs`). Segments that all consumers have passed are removed (`retention.rs`). A start
//! cuts off what a crash left half-written, and refuses what a crash cannot explain (`recovery.rs`).
//!
//! Beside the open log, its files are read for people ([`survey`]), for a new log out of a damaged
//! one ([`salvage`](salvage())) and for a backup ([`LogCopy`]).

mod block;
mod config;
mod copy;
mod inspect;
mod reader;
mod record;
mod recovery;
mod retention;
mod salvage;
mod scan;
mod segment;
mod staging;
#[cfg(test)]
mod tests;
mod waiters;
mod writer;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use arc_swap::ArcSwapOption;
use parking_lot::{Condvar, Mutex};
use uuid::Uuid;

use self::{
    segment::{Readable, Segments},
    staging::{Limits, Refusal, Staging},
    waiters::Waiters,
};
use crate::file_system::{FileSystem, Lock};

pub use self::{
    config::LogConfig,
    copy::{CopiedLog, LogCopy},
    inspect::{Depth, Fault, FaultKind, SegmentReport, Survey, survey},
    reader::{LogSource, ReadError, Reader},
    record::{Record, RecordKind},
    recovery::Recovered,
    salvage::{Salvaged, salvage},
    segment::VERSION as FORMAT_VERSION,
    waiters::{WaitDurable, WaitError},
    writer::{LogWriter, NoRoom, Step},
};

/// A log that is open. Clones are the same log.
#[derive(Clone, Debug)]
pub struct Log {
    shared: Arc<Shared>,
}

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A limit is out of its range.
    #[error("log.{key} is out of range: {range}")]
    Limit {
        /// The field of [`LogConfig`].
        key: &'static str,
        /// What it may be.
        range: &'static str,
    },
    /// It is open already.
    #[error("the log is in use by another process, which holds {}; stop that one first", path.display())]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// The disk does not do what is asked of it.
    #[error("{action} {}: {cause}", path.display())]
    Io {
        /// What was tried, in plain verb form.
        action: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// The cause.
        cause: io::Error,
    },
    /// It is not as it was written.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// It was written by a newer version.
    #[error("{}: format version {version} is newer than this program; use one that is as new", path.display())]
    Version {
        /// The segment.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

impl LogError {
    /// The word that metrics and logs use.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Limit { .. } => "limit",
            Self::InUse { .. } => "in_use",
            Self::Io { .. } => "io",
            Self::Damaged(_) => "damaged",
            Self::Version { .. } => "version",
        }
    }

    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Io {
            action,
            path: path.to_owned(),
            cause,
        }
    }
}

/// Bytes that were good once and are not any more: no crash explains them.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}: damaged at byte {offset}: {what}. Records that were acknowledged are at stake, so nothing \
     was changed. Check the disk; `gridtrace log verify --data-dir {data}` says what is lost and \
     what is safe. Then put the data back from a backup (`gridtrace restore`), or write a new log \
     of all that can be read: `gridtrace log salvage --data-dir {data} --out {data}/log.salvaged`",
    path.display(),
    data = self.data_dir().display()
)]
pub struct Damage {
    /// The segment.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// What is wrong there.
    pub what: &'static str,
}

impl Damage {
    /// The directory that the log's one lies in.
    fn data_dir(&self) -> &Path {
        let directory = self.path.parent().and_then(Path::parent);
        directory
            .filter(|directory| !directory.as_os_str().is_empty())
            .unwrap_or_else(|| Path::new("."))
    }
}

/// The first thing that went wrong with the disk, and poisoned the log; or what hindered
/// retention.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}: {cause}", path.display())]
pub struct LogFailure {
    /// What was tried, in plain verb form.
    pub action: &'static str,
    /// With which file or directory.
    pub path: PathBuf,
    /// The cause.
    pub cause: io::Error,
}

/// Why a record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Too much waits for a sync: passing, try again later.
    #[error("too much waits for the log to sync")]
    Full,
    /// It will never be taken.
    #[error("a record of {bytes} bytes is beyond the limit of {max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A write or a sync has failed.
    #[error("the log is poisoned: a write or a sync failed")]
    Poisoned,
    /// The log is being shut down.
    #[error("the log is closed")]
    Closed,
}

impl AppendError {
    /// The word that metrics and logs use.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::TooLarge { .. } => "too_large",
            Self::Poisoned => "poisoned",
            Self::Closed => "closed",
        }
    }
}

/// Whether records become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogState {
    /// They do.
    Ok,
    /// Not until there is room.
    NoRoom(NoRoom),
    /// Not any more.
    Poisoned,
}

/// The log at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogStatus {
    /// Number of the oldest record that is there.
    pub first: u64,
    /// Number of the next record.
    pub next: u64,
    /// The number behind the last durable record.
    pub durable: u64,
    /// Durable bytes in all segments.
    pub bytes: u64,
    /// Segments.
    pub segments: usize,
    /// Bytes in memory that wait for a sync.
    pub staged_bytes: usize,
    /// Whether records become durable.
    pub state: LogState,
}

/// What the log, its writer and its readers share.
#[derive(Debug)]
struct Shared {
    id: Uuid,
    config: LogConfig,
    files: Arc<dyn FileSystem>,
    directory: PathBuf,
    staging: Mutex<Staging>,
    /// With `staging`: there is work for the writer.
    work: Condvar,
    waiters: Arc<Waiters>,
    segments: Mutex<Segments>,
    /// The newest of them, for readers, who do not take the lock for it.
    newest: ArcSwapOption<Readable>,
    /// The number of the next record when it was opened.
    opened_at: u64,
    consumers: Mutex<BTreeMap<String, u64>>,
    /// Held while segments are removed.
    retention: Mutex<()>,
    failure: OnceLock<Arc<LogFailure>>,
    _lock: Box<dyn Lock>,
}

impl Shared {
    /// Nothing is acknowledged any more. Gives the first failure, which may be an earlier one.
    fn poison(&self, failure: LogFailure) -> Arc<LogFailure> {
        let cause = Arc::clone(self.failure.get_or_init(|| Arc::new(failure)));
        self.staging.lock().refuse(Refusal::Poisoned);
        self.work.notify_all();
        self.waiters.end(WaitError::Poisoned);
        cause
    }
}

impl Log {
    /// Opens the log in `directory`, or makes one: takes the lock, cuts off what a crash left
    /// half-written, refuses what is damaged. The [`LogWriter`] must be stepped for records to
    /// become durable.
    ///
    /// # Errors
    /// When it is in use, damaged, or the disk fails.
    pub fn open(
        files: Arc<dyn FileSystem>,
        directory: &Path,
        config: LogConfig,
    ) -> Result<(Self, LogWriter, Recovered), LogError> {
        Self::open_or_create(files, directory, config, Uuid::new_v4())
    }

    fn open_or_create(
        files: Arc<dyn FileSystem>,
        directory: &Path,
        config: LogConfig,
        new_id: Uuid,
    ) -> Result<(Self, LogWriter, Recovered), LogError> {
        let config = config.validated()?;
        files
            .create_directory(directory)
            .map_err(LogError::io("create", directory))?;
        if let Some(parent) = directory
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
        {
            files
                .sync_directory(parent)
                .map_err(LogError::io("sync", parent))?;
        }
        let path = directory.join("lock");
        let lock = files.lock(&path).map_err(|cause| match cause.kind() {
            io::ErrorKind::WouldBlock => LogError::InUse { path: path.clone() },
            _ => LogError::Io {
                action: "lock",
                path: path.clone(),
                cause,
            },
        })?;
        let found = recovery::recover(&*files, directory, new_id)?;
        let size = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
        let limits = Limits {
            staged_max: size(config.staged_bytes_max),
            record_max: size(config.record_bytes_max),
            block: size(config.block_bytes),
        };
        let segments = Segments::new(found.segments, found.next);
        let shared = Arc::new(Shared {
            id: found.id,
            config,
            files,
            directory: directory.to_owned(),
            staging: Mutex::new(Staging::new(found.next, limits)),
            work: Condvar::new(),
            waiters: Arc::new(Waiters::new(found.next)),
            newest: ArcSwapOption::from_pointee(segments.holding(found.next)),
            segments: Mutex::new(segments),
            opened_at: found.next,
            consumers: Mutex::default(),
            retention: Mutex::default(),
            failure: OnceLock::new(),
            _lock: lock,
        });
        let writer = LogWriter::new(Arc::clone(&shared), found.file, found.newest);
        Ok((Self { shared }, writer, found.recovered))
    }

    /// The identity of this log, made with it.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.shared.id
    }

    /// The number behind the last record that was there when it was opened.
    #[must_use]
    pub fn opened_at(&self) -> u64 {
        self.shared.opened_at
    }

    /// Takes a record and gives its number. Its payload is `parts`, joined; `received_at` is in
    /// milliseconds since 1970-01-01T00:00:00Z. It is not durable yet:
    /// [`wait_durable`](Self::wait_durable) with the number behind it says when.
    ///
    /// # Errors
    /// When it was not taken.
    pub fn append_parts(
        &self,
        kind: RecordKind,
        received_at: i64,
        parts: &[&[u8]],
    ) -> Result<u64, AppendError> {
        let length = parts.iter().map(|part| part.len()).sum();
        let mut staging = self.shared.staging.lock();
        let number = staging.append(kind, received_at, length, parts)?;
        if staging.waiting_bytes() >= staging.wake_at {
            staging.wake_at = usize::MAX;
            drop(staging);
            self.shared.work.notify_one();
        }
        Ok(number)
    }

    /// The longest payload of a record, in bytes.
    #[must_use]
    pub fn record_bytes_max(&self) -> usize {
        self.shared.staging.lock().limits.record_max
    }

    /// The number behind the last durable record: all below it are.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.shared.waiters.durable()
    }

    /// Resolves when [`durable`](Self::durable) is `number` or more, or with an error when that
    /// will not be.
    pub fn wait_durable(&self, number: u64) -> WaitDurable {
        WaitDurable::new(Arc::clone(&self.shared.waiters), number)
    }

    /// The log at this moment.
    #[must_use]
    pub fn status(&self) -> LogStatus {
        let (first, bytes, segments) = {
            let segments = self.shared.segments.lock();
            (segments.first(), segments.bytes(), segments.count())
        };
        let staging = self.shared.staging.lock();
        let state = match (self.shared.failure.get(), staging.no_room) {
            (Some(_), _) => LogState::Poisoned,
            (None, Some(reason)) => LogState::NoRoom(reason),
            (None, None) => LogState::Ok,
        };
        LogStatus {
            first,
            next: staging.next(),
            durable: self.durable(),
            bytes,
            segments,
            staged_bytes: staging.staged_bytes(),
            state,
        }
    }

    /// Reads from record `start` on.
    ///
    /// # Errors
    /// When that record is no longer, or not yet, there.
    pub fn reader(&self, start: u64) -> Result<Reader, ReadError> {
        Reader::new(Arc::clone(&self.shared), start)
    }

    /// A consumer has done with all records before `position`. From now on nothing is removed that
    /// it needs.
    pub fn register_consumer(&self, name: &str, position: u64) {
        self.shared
            .consumers
            .lock()
            .insert(name.to_owned(), position);
    }

    /// A registered consumer has got on. It never goes back.
    pub fn advance(&self, name: &str, position: u64) {
        if let Some(consumer) = self.shared.consumers.lock().get_mut(name) {
            *consumer = position.max(*consumer);
        }
    }

    /// Durable records that a consumer has not done; `None` when it is not registered.
    #[must_use]
    pub fn lag(&self, name: &str) -> Option<u64> {
        let position = *self.shared.consumers.lock().get(name)?;
        Some(self.durable().saturating_sub(position))
    }

    /// The same of every registered consumer, by name.
    #[must_use]
    pub fn lags(&self) -> Vec<(String, u64)> {
        let durable = self.durable();
        let consumers = self.shared.consumers.lock();
        let lag =
            |(name, position): (&String, &u64)| (name.clone(), durable.saturating_sub(*position));
        consumers.iter().map(lag).collect()
    }

    /// Removes segments that all registered consumers are past, never the newest, and nothing
    /// while no consumer is registered. Gives how many. Waits for the disk.
    ///
    /// # Errors
    /// When one cannot be removed; it is tried again the next time.
    pub fn retain(&self) -> Result<u64, LogFailure> {
        self.shared.retain()
    }

    /// Takes no more records. What is staged is still written, then
    /// [`LogWriter::wait`] returns false and whoever waits for more gets an error.
    pub fn close(&self) {
        self.shared.staging.lock().refuse(Refusal::Closed);
        self.shared.work.notify_all();
    }
}
