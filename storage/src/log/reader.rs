//! Reads records from a number on, and follows the log as it grows.

use std::{io, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::task::AtomicWaker;

use super::{
    Damage, Record, Shared, WaitError, record,
    scan::{BlockError, Blocks},
    segment,
};
use crate::background;

/// A log as its consumers see it, whatever keeps it: records in order, read by position. The
/// position that counts after a restart is in the consumer's own store.
#[async_trait]
pub trait LogSource: Send {
    /// The number of the next record to read.
    fn position(&self) -> u64;

    /// The next records that are durable, without waiting for more: empty when there are none.
    /// Ends after `records_max` records, or with the record that brings the payloads to
    /// `bytes_max`.
    ///
    /// # Errors
    /// When what was acknowledged cannot be read. The position stays before it.
    fn read(&mut self, records_max: usize, bytes_max: usize) -> Result<Vec<Record>, ReadError>;

    /// Returns when there is more to read. One at a time waits for it.
    ///
    /// # Errors
    /// When there will be no more.
    async fn more(&self) -> Result<(), WaitError>;
}

/// Why records cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk does not give them.
    #[error("read {}: {cause}", path.display())]
    Io {
        /// The segment.
        path: PathBuf,
        /// The cause.
        cause: io::Error,
    },
    /// They are not as they were written.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// They were removed: no consumer was registered that needed them.
    #[error("record {position} is no longer there; the oldest is {first}")]
    Removed {
        /// The record that was asked for.
        position: u64,
        /// The oldest that is there.
        first: u64,
    },
    /// The log is not as long.
    #[error("there is no record {position} yet; {durable} are durable")]
    Ahead {
        /// The record that was asked for.
        position: u64,
        /// The number behind the last durable record.
        durable: u64,
    },
}

impl ReadError {
    /// The word that metrics and logs use.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Io { .. } => "io",
            Self::Damaged(_) => "damaged",
            Self::Removed { .. } => "removed",
            Self::Ahead { .. } => "ahead",
        }
    }
}

/// A place in a log. Rotation and retention do not disturb it as long as a consumer is registered
/// that is no further.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    position: u64,
    /// Wakes whoever waits for more.
    waker: Arc<AtomicWaker>,
    /// What was found to be readable last.
    known: Option<segment::Readable>,
    /// The segment that is being read.
    segment: Option<(u64, Blocks)>,
    /// Number of the next record of the current block, or of the next block's first.
    number: u64,
    /// What is left of the current block, and records in it.
    content: Bytes,
    left: u32,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, start: u64) -> Result<Self, ReadError> {
        let durable = shared.waiters.durable();
        if start > durable {
            return Err(ReadError::Ahead {
                position: start,
                durable,
            });
        }
        let mut reader = Self {
            waker: shared.waiters.follow(),
            shared,
            position: start,
            known: None,
            segment: None,
            number: 0,
            content: Bytes::new(),
            left: 0,
        };
        reader.readable(start)?;
        reader.known = None;
        Ok(reader)
    }

    /// Followers run when nobody else wants to, and would keep a lock from the writer for as long as
    /// they are put aside: it is taken once for each segment that is not the newest.
    fn readable(&mut self, number: u64) -> Result<segment::Readable, ReadError> {
        if let Some(known) = self.known.filter(|known| known.holds(number)) {
            return Ok(known);
        }
        let newest = self.shared.newest.load();
        let readable = match &*newest {
            Some(newest) if newest.segment.first <= number => **newest,
            _ => {
                let segments = self.shared.segments.lock();
                let (position, first) = (self.position, segments.first());
                segments
                    .holding(number)
                    .ok_or(ReadError::Removed { position, first })?
            }
        };
        self.known = Some(readable);
        Ok(readable)
    }

    /// Goes to the next block; false when there is none yet.
    fn next_block(&mut self) -> Result<bool, ReadError> {
        // Before the first read the block to begin with is not yet found. Meanwhile segments before
        // the position may have been removed, and with them the one to look in.
        let readable = self.readable(self.number.max(self.position))?;
        self.number = self.number.max(readable.segment.first);
        if self.number >= readable.next {
            return Ok(false);
        }
        let first = readable.segment.first;
        let path = || segment::path(&self.shared.directory, first);
        let io = |cause| ReadError::Io {
            path: path(),
            cause,
        };
        let blocks = match &mut self.segment {
            Some((open, blocks)) if *open == first => blocks,
            other => {
                let file = self.shared.files.open(&path()).map_err(io)?;
                &mut other.insert((first, Blocks::new(file, self.shared.id))).1
            }
        };
        let offset = blocks.at();
        let damage = |what| Damage {
            path: path(),
            offset,
            what,
        };
        let (header, content) =
            blocks
                .next(self.number, readable.segment.bytes)
                .map_err(|error| match error {
                    BlockError::Io(cause) => io(cause),
                    BlockError::Bad(what) => damage(what).into(),
                })?;
        let next = header.next().filter(|next| *next <= readable.next);
        let next = next.ok_or_else(|| damage("the block holds more records than the segment"))?;
        if next <= self.position {
            self.number = next;
        } else {
            self.content = content;
            self.left = header.count;
        }
        Ok(true)
    }

    fn next_record(&mut self) -> Result<Record, ReadError> {
        let record = record::take(&mut self.content, self.number);
        let is_whole = self.left > 1 || self.content.is_empty();
        let Some(record) = record.filter(|_| is_whole) else {
            let first = self.segment.as_ref().map_or(0, |(first, _)| *first);
            let path = segment::path(&self.shared.directory, first);
            let offset = self.segment.as_ref().map_or(0, |(_, blocks)| blocks.at());
            self.content = Bytes::new();
            return Err(Damage {
                path,
                offset,
                what: "the block before is no list of records",
            }
            .into());
        };
        self.left -= 1;
        self.number += 1;
        Ok(record)
    }
}

#[async_trait]
impl LogSource for Reader {
    fn position(&self) -> u64 {
        self.position
    }

    fn read(&mut self, records_max: usize, bytes_max: usize) -> Result<Vec<Record>, ReadError> {
        let mut records = Vec::new();
        let mut bytes = 0;
        while records.len() < records_max && bytes < bytes_max {
            if self.left == 0 {
                match self.next_block() {
                    Ok(true) => {}
                    Ok(false) => break,
                    // What came before it is good; the error comes again.
                    Err(_) if !records.is_empty() => break,
                    Err(error) => return Err(error),
                }
                continue;
            }
            background::give_way();
            let record = self.next_record()?;
            if record.offset < self.position {
                continue;
            }
            bytes += record.payload.len();
            self.position = self.number;
            records.push(record);
        }
        Ok(records)
    }

    async fn more(&self) -> Result<(), WaitError> {
        let number = self.position.saturating_add(1);
        let waiters = &self.shared.waiters;
        std::future::poll_fn(|context| waiters.poll_followed(&self.waker, number, context)).await
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.waiters.forget(&self.waker);
    }
}
