//! Writes a new log out of what can be read of a damaged one.
//!
//! **Numbers stay.** Consumers have their cursors in their own stores, as a record number of a log
//! with this id. The format knows no gaps, so where records are lost their places are filled with
//! empty ones ([`RecordKind::LOST`](super::RecordKind::LOST)), and every other record keeps its
//! number: a cursor says of the new log exactly what it said of the old one.
//!
//! **The id stays only where the end is known.** When the newest records are lost, numbers that
//! consumers may have seen would be given again, to other records. Then the new log gets an id of
//! its own: no cursor fits it, consumers begin at its first record, and find rows (P2) and cases
//! (P3) there already. The same can be asked for, where a log is to go on beside a store that is
//! further than it.

use std::{io, ops::Range, path::Path, sync::Arc};

use uuid::Uuid;

use super::{
    LogError, Record, RecordKind, block,
    block::BLOCK_HEADER_BYTES,
    inspect::{Depth, Survey, survey},
    record,
    segment::{self, CreateError, SEGMENT_HEADER_BYTES, SegmentHeader},
};
use crate::file_system::{File, FileSystem};

/// Segments of the new log end here; the limit of the configuration holds for what is appended.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;
const WRITE_BYTES: usize = 1 << 20;
/// Lost records in one block.
const LOST_IN_BLOCK: u64 = 4_096;

/// What became of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salvaged {
    /// Id of the new log.
    pub id: Uuid,
    /// It is not that of the old one: consumers begin anew.
    pub has_new_id: bool,
    /// Records that were kept.
    pub records: u64,
    /// Numbers whose places are filled with lost records.
    pub lost: Vec<Range<u64>>,
    /// The number behind the last record of the new log.
    pub next: u64,
    /// Segments that were written.
    pub segments: usize,
}

/// Writes the good records of the log in `directory`, which `found` is a survey of, into a new log
/// in `out`. With `new_id` it gets an id of its own also where it need not. The old one is only
/// read; whoever calls this sees to it that nobody writes to it, and that `out` is empty. Returns
/// when the new log is on the disk.
///
/// # Errors
/// When a disk fails.
pub fn salvage(
    files: Arc<dyn FileSystem>,
    directory: &Path,
    out: &Path,
    found: &Survey,
    new_id: bool,
) -> Result<Salvaged, LogError> {
    let kept = found.id.filter(|_| found.end_is_known() && !new_id);
    files
        .create_directory(out)
        .map_err(LogError::io("create", out))?;
    let mut rewriter = Rewriter {
        directory: out,
        salvaged: Salvaged {
            id: kept.unwrap_or_else(Uuid::new_v4),
            has_new_id: kept.is_none(),
            records: 0,
            lost: Vec::new(),
            next: 0,
            segments: 0,
        },
        files: Arc::clone(&files),
        current: None,
        buffer: Vec::with_capacity(WRITE_BYTES),
        received_at: 0,
    };
    survey(&*files, directory, Depth::Whole, &mut |records| {
        rewriter.take(records)
    })?;
    rewriter.finish()
}

/// The segment that is being written.
struct Current {
    file: Arc<dyn File>,
    first: u64,
    /// Bytes in the file, and in the buffer behind them.
    bytes: u64,
}

struct Rewriter<'a> {
    files: Arc<dyn FileSystem>,
    directory: &'a Path,
    salvaged: Salvaged,
    current: Option<Current>,
    buffer: Vec<u8>,
    /// Of the last record: lost ones get it, so that time goes on forwards.
    received_at: i64,
}

impl Rewriter<'_> {
    /// Takes the records of a block.
    fn take(&mut self, records: &[Record]) -> Result<(), LogError> {
        let next = self.salvaged.next;
        let is_first = self.salvaged.segments == 0;
        // Where segments overlap, the same numbers come twice: the first one counts.
        let new = records
            .iter()
            .position(|record| is_first || record.offset >= next);
        let records = new.and_then(|new| records.get(new..)).unwrap_or_default();
        let Some(first) = records.first() else {
            return Ok(());
        };
        if !is_first && first.offset > next {
            self.lose(next..first.offset)?;
        }
        let mut content = vec![0; BLOCK_HEADER_BYTES];
        for record in records {
            let length = u32::try_from(record.payload.len()).unwrap_or(u32::MAX);
            content.extend(record::header(record.kind, record.received_at, length));
            content.extend(&record.payload);
            self.received_at = record.received_at;
        }
        self.salvaged.records += records.len() as u64;
        self.put(content, first.offset, records.len())
    }

    fn lose(&mut self, lost: Range<u64>) -> Result<(), LogError> {
        let mut from = lost.start;
        while from < lost.end {
            let count = usize::try_from((lost.end - from).min(LOST_IN_BLOCK)).unwrap_or(1);
            let mut content = vec![0; BLOCK_HEADER_BYTES];
            for _ in 0..count {
                content.extend(record::header(RecordKind::LOST, self.received_at, 0));
            }
            self.put(content, from, count)?;
            from += count as u64;
        }
        self.salvaged.lost.push(lost);
        Ok(())
    }

    /// Writes a block whose header is still to be filled in.
    fn put(&mut self, mut block: Vec<u8>, first: u64, count: usize) -> Result<(), LogError> {
        let has_room = |current: &Current| {
            current.bytes + block.len() as u64 <= SEGMENT_BYTES_MAX
                || current.bytes <= SEGMENT_HEADER_BYTES as u64
        };
        if !self.current.as_ref().is_some_and(has_room) {
            self.rotate(first)?;
        }
        // Each block is a commit of its own: all before it is on the disk when the log is used.
        let sealed = u32::try_from(count)
            .is_ok_and(|count| block::seal(&mut block, self.salvaged.id, count, first, first));
        if !sealed {
            let cause = io::ErrorKind::InvalidData.into();
            return Err(LogError::io("write a block to", self.directory)(cause));
        }
        self.buffer.extend(&block);
        if let Some(current) = &mut self.current {
            current.bytes += block.len() as u64;
        }
        self.salvaged.next = first + count as u64;
        if self.buffer.len() >= WRITE_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), LogError> {
        if let Some(current) = &self.current {
            let at = current.bytes - self.buffer.len() as u64;
            let path = segment::path(self.directory, current.first);
            current
                .file
                .write_all_at(&self.buffer, at)
                .map_err(LogError::io("write", &path))?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Ends the segment; it is on the disk then.
    fn end(&mut self) -> Result<Option<(u64, u64)>, LogError> {
        self.flush()?;
        let Some(current) = self.current.take() else {
            return Ok(None);
        };
        let path = segment::path(self.directory, current.first);
        current
            .file
            .sync_all()
            .map_err(LogError::io("sync", &path))?;
        Ok(Some((current.first, current.bytes)))
    }

    fn rotate(&mut self, first: u64) -> Result<(), LogError> {
        let (previous_first, previous_bytes) = self.end()?.unwrap_or((first, 0));
        let header = SegmentHeader {
            log: self.salvaged.id,
            first,
            previous_first,
            previous_bytes,
        };
        let file = segment::create(&*self.files, self.directory, &header).map_err(|error| {
            let (CreateError::Write(cause) | CreateError::Sync(cause)) = error;
            LogError::io("create", &segment::path(self.directory, first))(cause)
        })?;
        self.current = Some(Current {
            file,
            first,
            bytes: SEGMENT_HEADER_BYTES as u64,
        });
        self.salvaged.segments += 1;
        Ok(())
    }

    fn finish(mut self) -> Result<Salvaged, LogError> {
        if self.current.is_none() {
            // Nothing could be read: an empty log, from which consumers begin anew.
            self.salvaged.id = Uuid::new_v4();
            self.salvaged.has_new_id = true;
            self.rotate(0)?;
        }
        self.end()?;
        self.files
            .sync_directory(self.directory)
            .map_err(LogError::io("sync", self.directory))?;
        Ok(self.salvaged)
    }
}

#[cfg(test)]
mod tests;
