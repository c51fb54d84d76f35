//! Group commit: gather, write, one sync, then acknowledge. Stepped by its caller: there is no
//! thread in here, so a test can stop it between any two calls of the disk.
//!
//! **A failed write or sync poisons the log.** After it nobody knows what the disk holds: the
//! kernel may have thrown the pages away and call them clean. Nothing is acknowledged any more;
//! the process ends, and the next start keeps what it finds intact.
//!
//! **A full disk does not**, nor do the log's own limits. The commit stays in memory, as it is, and
//! is written again at the same offset, byte for byte the same. What a half-written attempt leaves
//! there is therefore harmless; it is cut off all the same, so that others have the room. Only
//! `write` may report a full disk in this way. Where a file system allocates blocks as late as in
//! the sync, a sync can fail for want of space; that is a failed sync like any other, since the
//! pages may be lost. `free_bytes_min` is there to stop before it.

use std::{
    io, mem,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    LogFailure, Shared, WaitError,
    segment::{self, CreateError, Readable, SEGMENT_HEADER_BYTES, Segment, SegmentHeader},
    staging::{Commit, Refusal},
};
use crate::file_system::File;

/// Why a commit has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// `size_bytes_max`: the consumers are too far behind.
    #[error("the log has reached its size limit; its consumers lag")]
    SizeLimit,
    /// `free_bytes_min`.
    #[error("the file system has less free space than the log must leave")]
    FreeSpace,
    /// The file system said so.
    #[error("the file system is full")]
    DiskFull,
    /// A quota or the limit of a file's size.
    #[error("a quota or file size limit is reached")]
    Quota,
    /// No new segment could be opened: the process, or the machine, has too many open files.
    #[error("too many open files")]
    OpenFiles,
}

impl NoRoom {
    /// The word that metrics and logs use.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::SizeLimit => "size_limit",
            Self::FreeSpace => "free_space",
            Self::DiskFull => "disk_full",
            Self::Quota => "quota",
            Self::OpenFiles => "open_files",
        }
    }

    /// Whether a failed write means that there is no room, and nothing worse.
    fn of(error: &io::Error) -> Option<Self> {
        use rustix::io::Errno;
        match error.kind() {
            io::ErrorKind::StorageFull => return Some(Self::DiskFull),
            io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => return Some(Self::Quota),
            _ => {}
        }
        let errno = Errno::from_io_error(error)?;
        (errno == Errno::MFILE || errno == Errno::NFILE).then_some(Self::OpenFiles)
    }
}

/// What a step did.
#[derive(Debug)]
pub enum Step {
    /// Nothing was staged.
    Idle,
    /// Records became durable, and who waited for them was woken.
    Synced {
        /// How many.
        records: u64,
        /// Bytes they take in the file.
        bytes: u64,
        /// Time the write took.
        write: Duration,
        /// Time the sync took.
        sync: Duration,
    },
    /// The records stay staged; the next step tries again. The caller pauses.
    NoRoom {
        /// Why.
        reason: NoRoom,
    },
    /// The log is poisoned. Every later step says so too.
    Poisoned {
        /// The first failure.
        cause: Arc<LogFailure>,
    },
}

/// The one that writes. It belongs to one thread, which calls [`wait`](Self::wait) and
/// [`step`](Self::step) in turn. When it is dropped, the log is closed.
#[derive(Debug)]
pub struct LogWriter {
    shared: Arc<Shared>,
    /// The newest segment: its file, its first record, its durable bytes.
    file: Arc<dyn File>,
    segment: Segment,
    /// Where the zeros end that were written ahead in it; no more than its bytes where there are none.
    zeros_end: u64,
    zeros: Vec<u8>,
    /// What was taken and is not durable yet, else an empty one with memory to fill.
    commit: Commit,
    last_sync: Option<Instant>,
    has_told_failure: bool,
}

/// Why a commit came to nothing.
enum Stop {
    NoRoom(NoRoom),
    Poisoned(Arc<LogFailure>),
}

impl LogWriter {
    pub(super) fn new(shared: Arc<Shared>, file: Arc<dyn File>, segment: Segment) -> Self {
        let zeros = usize::try_from(shared.config.zero_ahead_bytes).unwrap_or(0);
        Self {
            shared,
            file,
            segment,
            zeros_end: 0,
            zeros: vec![0; zeros],
            commit: Commit::default(),
            last_sync: None,
            has_told_failure: false,
        }
    }

    /// Blocks until there is something for [`step`](Self::step) to do: at once when the log was
    /// idle, else when `commit_interval` has passed since the last sync began or half of
    /// `staged_bytes_max` is staged. False when there will be nothing more: the log is closed and
    /// everything staged is durable, or has no room; or a step has told of the poisoning.
    pub fn wait(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let enough = usize::try_from(shared.config.staged_bytes_max / 2).unwrap_or(usize::MAX);
        let mut staging = shared.staging.lock();
        let goes_on = loop {
            if shared.failure.get().is_some() {
                break !self.has_told_failure;
            }
            let is_closed = staging.refusal.is_some();
            if !self.commit.is_empty() {
                // There was no room for it. Who closes the log does not wait for a disk.
                break !is_closed;
            }
            if staging.waiting_bytes() == 0 {
                if is_closed {
                    break false;
                }
                staging.wake_at = 1;
                shared.work.wait(&mut staging);
                continue;
            }
            let due = self
                .last_sync
                .map(|begun| begun + shared.config.commit_interval);
            let Some(due) = due.filter(|due| !is_closed && *due > Instant::now()) else {
                break true;
            };
            if staging.waiting_bytes() >= enough {
                break true;
            }
            staging.wake_at = enough;
            shared.work.wait_until(&mut staging, due);
        };
        staging.wake_at = usize::MAX;
        drop(staging);
        if !goes_on {
            shared.waiters.end(WaitError::Closed);
        }
        goes_on
    }

    /// Writes and syncs what is staged, as one commit, and wakes those who wait for it.
    pub fn step(&mut self) -> Step {
        if let Some(cause) = self.shared.failure.get() {
            self.has_told_failure = true;
            return Step::Poisoned {
                cause: Arc::clone(cause),
            };
        }
        if self.commit.is_empty() {
            let empty = mem::take(&mut self.commit);
            self.commit = self.shared.staging.lock().take(empty);
            if self.commit.is_empty() {
                return Step::Idle;
            }
            self.commit.seal(self.shared.id);
        }
        match self.try_commit() {
            Ok(step) => step,
            Err(Stop::NoRoom(reason)) => {
                self.shared.staging.lock().no_room = Some(reason);
                Step::NoRoom { reason }
            }
            Err(Stop::Poisoned(cause)) => {
                self.has_told_failure = true;
                Step::Poisoned { cause }
            }
        }
    }

    fn try_commit(&mut self) -> Result<Step, Stop> {
        self.make_room()?;
        let begun = Instant::now();
        self.last_sync = Some(begun);
        self.write()?;
        let written = Instant::now();
        self.file
            .sync_data()
            .map_err(|cause| self.failed("sync", cause))?;
        let synced = Instant::now();
        let (records, bytes) = (
            self.commit.next - self.commit.first,
            self.commit.bytes.len() as u64,
        );
        self.segment.bytes += bytes;
        // Readers first, then those who wait, for they will read.
        self.shared
            .segments
            .lock()
            .grown(self.segment.bytes, self.commit.next);
        self.shared.newest.store(Some(Arc::new(Readable {
            segment: self.segment,
            next: self.commit.next,
            is_complete: false,
        })));
        self.shared.staging.lock().is_done();
        self.shared.waiters.reached(self.commit.next);
        self.commit.clear();
        Ok(Step::Synced {
            records,
            bytes,
            write: written - begun,
            sync: synced - written,
        })
    }

    fn write(&mut self) -> Result<(), Stop> {
        let Err(cause) = self
            .file
            .write_all_at(&self.commit.bytes, self.segment.bytes)
        else {
            self.write_zeros();
            return Ok(());
        };
        let Some(reason) = NoRoom::of(&cause) else {
            return Err(self.failed("write to", cause));
        };
        // Where it cannot be cut, the next attempt writes over it.
        self.file.set_len(self.segment.bytes).ok();
        self.zeros_end = 0;
        Err(Stop::NoRoom(reason))
    }

    /// Behind a commit that has used up the zeros come new ones, for the same sync. Where they have no
    /// room the log does without.
    fn write_zeros(&mut self) {
        let end = self.segment.bytes + self.commit.bytes.len() as u64;
        let room = self.shared.config.segment_bytes_max.saturating_sub(end);
        let count = usize::try_from(room).map_or(self.zeros.len(), |r| r.min(self.zeros.len()));
        let zeros = self.zeros.get(..count).unwrap_or_default();
        if end <= self.zeros_end || zeros.is_empty() {
            return;
        }
        self.zeros_end = end + count as u64;
        if self.file.write_all_at(zeros, end).is_err() {
            self.cut_zeros(end);
        }
    }

    /// What cannot be cut is harmless: whoever reads knows where the commits end.
    fn cut_zeros(&mut self, end: u64) {
        if self.zeros_end > end {
            self.file.set_len(end).ok();
            self.zeros_end = 0;
        }
    }

    /// Finds a place for the commit: in this segment or a new one, within the limits.
    fn make_room(&mut self) -> Result<(), Stop> {
        let needed = self.commit.bytes.len() as u64;
        if self.segment.bytes + needed > self.shared.config.segment_bytes_max {
            self.rotate()?;
        }
        if self.lack(needed).is_none() {
            return Ok(());
        }
        // Consumers may have got on since segments were last removed.
        self.retain()?;
        if self.lack(needed).is_some() && self.shared.keep_from() == Some(self.commit.first) {
            // All is done with, and the newest segment alone is too much.
            self.rotate()?;
            self.retain()?;
        }
        self.lack(needed)
            .map_or(Ok(()), |reason| Err(Stop::NoRoom(reason)))
    }

    fn retain(&self) -> Result<(), Stop> {
        // What cannot be removed is reported where that is somebody's task.
        self.shared.retain().ok();
        match self.shared.failure.get() {
            Some(cause) => Err(Stop::Poisoned(Arc::clone(cause))),
            None => Ok(()),
        }
    }

    fn lack(&self, needed: u64) -> Option<NoRoom> {
        let Shared {
            config,
            files,
            directory,
            segments,
            ..
        } = &*self.shared;
        if segments.lock().bytes() + needed > config.size_bytes_max {
            return Some(NoRoom::SizeLimit);
        }
        // A file system that does not say is asked by writing.
        let free = files.available_bytes(directory).ok()?;
        (free < config.free_bytes_min.saturating_add(needed)).then_some(NoRoom::FreeSpace)
    }

    /// Begins a new segment, unless this one is empty.
    fn rotate(&mut self) -> Result<(), Stop> {
        if self.segment.bytes <= SEGMENT_HEADER_BYTES as u64 {
            return Ok(());
        }
        self.cut_zeros(self.segment.bytes);
        let shared = &self.shared;
        let first = self.commit.first;
        let header = SegmentHeader {
            log: shared.id,
            first,
            previous_first: self.segment.first,
            previous_bytes: self.segment.bytes,
        };
        let failed = |action, cause| {
            let path = segment::path(&shared.directory, first);
            Stop::Poisoned(shared.poison(LogFailure {
                action,
                path,
                cause,
            }))
        };
        self.file = match segment::create(&*shared.files, &shared.directory, &header) {
            Ok(file) => file,
            Err(CreateError::Write(cause)) => {
                return Err(match NoRoom::of(&cause) {
                    Some(reason) => Stop::NoRoom(reason),
                    None => failed("create", cause),
                });
            }
            Err(CreateError::Sync(cause)) => return Err(failed("sync", cause)),
        };
        self.segment = Segment {
            first,
            bytes: SEGMENT_HEADER_BYTES as u64,
        };
        shared.segments.lock().push(self.segment);
        Ok(())
    }

    fn failed(&self, action: &'static str, cause: io::Error) -> Stop {
        let path = segment::path(&self.shared.directory, self.segment.first);
        Stop::Poisoned(self.shared.poison(LogFailure {
            action,
            path,
            cause,
        }))
    }
}

impl Drop for LogWriter {
    /// Nobody waits for a writer that is gone, be it that its thread panicked.
    fn drop(&mut self) {
        if self.shared.failure.get().is_none() {
            self.cut_zeros(self.segment.bytes);
        }
        self.shared.staging.lock().refuse(Refusal::Closed);
        self.shared.waiters.end(WaitError::Closed);
    }
}
