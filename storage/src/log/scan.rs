//! Reads the blocks of one segment in order, in large pieces.

use std::{io, sync::Arc};

use bytes::Bytes;
use uuid::Uuid;

use super::{
    block::{self, BLOCK_HEADER_BYTES, BlockHeader},
    segment::SEGMENT_HEADER_BYTES,
};
use crate::file_system::File;

/// Read at once where so much is there.
const READ_BYTES: u64 = 1 << 20;

/// A place in a segment, and what was read ahead of it.
#[derive(Debug)]
pub(super) struct Blocks {
    file: Arc<dyn File>,
    log: Uuid,
    at: u64,
    ahead: Bytes,
}

/// Why there is no next block.
#[derive(Debug)]
pub(super) enum BlockError {
    /// The file cannot be read.
    Io(io::Error),
    /// It can, and there is something else.
    Bad(&'static str),
}

impl Blocks {
    /// Begins at the first block.
    pub(super) fn new(file: Arc<dyn File>, log: Uuid) -> Self {
        Self {
            file,
            log,
            at: SEGMENT_HEADER_BYTES as u64,
            ahead: Bytes::new(),
        }
    }

    /// Offset in the file of the next block.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    /// Goes on at another place.
    pub(super) fn seek(&mut self, at: u64) {
        self.at = at;
        self.ahead = Bytes::new();
    }

    /// The next block, which begins with record `number` and ends at `limit` at the latest, and
    /// its records. After an error the place is the same.
    pub(super) fn next(
        &mut self,
        number: u64,
        limit: u64,
    ) -> Result<(BlockHeader, Bytes), BlockError> {
        self.read_ahead(BLOCK_HEADER_BYTES as u64, limit)?;
        let header = self
            .ahead
            .first_chunk()
            .and_then(|header| BlockHeader::parse(header, self.log));
        let header = header.ok_or(BlockError::Bad("no block begins here"))?;
        self.read_ahead(header.block_bytes(), limit)?;
        let length = BLOCK_HEADER_BYTES + header.length as usize;
        let block = self
            .ahead
            .get(..length)
            .and_then(|block| block.split_first_chunk());
        if !block.is_some_and(|(head, records)| header.is_intact(head, records)) {
            return Err(BlockError::Bad("the check sum of the block is wrong"));
        }
        if header.first != number || header.count == 0 || header.commit > number {
            return Err(BlockError::Bad(
                "the block is not the one that belongs here",
            ));
        }
        self.at += header.block_bytes();
        let records = self.ahead.split_to(length).slice(BLOCK_HEADER_BYTES..);
        Ok((header, records))
    }

    /// Sees to it that so many bytes are there.
    fn read_ahead(&mut self, wanted: u64, limit: u64) -> Result<(), BlockError> {
        if self.ahead.len() as u64 >= wanted {
            return Ok(());
        }
        let there = limit.saturating_sub(self.at);
        if there < wanted {
            return Err(BlockError::Bad(
                "the block does not end where the segment ends",
            ));
        }
        let size = usize::try_from(there.min(wanted.max(READ_BYTES)))
            .map_err(|_| BlockError::Bad("the block is larger than memory"))?;
        let mut buffer = vec![0; size];
        let count = self
            .file
            .read_full_at(&mut buffer, self.at)
            .map_err(BlockError::Io)?;
        if count < size {
            return Err(BlockError::Bad("the file is shorter than it was"));
        }
        self.ahead = buffer.into();
        Ok(())
    }
}

/// Where what was ever written ends: behind it, up to `size`, there are zeros only.
pub(super) fn used_end(file: &dyn File, from: u64, size: u64) -> io::Result<u64> {
    let mut buffer = vec![0; 1 << 16];
    let (mut at, mut end) = (from, from);
    while at < size {
        let count = file.read_full_at(&mut buffer, at)?;
        let read = buffer.get(..count).filter(|read| !read.is_empty());
        let Some(read) = read else { break };
        if let Some(last) = read.iter().rposition(|byte| *byte != 0) {
            end = at + last as u64 + 1;
        }
        at += count as u64;
    }
    Ok(end)
}

/// The offset of the first intact block behind `from` that was written after record `number` had
/// been synced.
pub(super) fn later_commit(
    file: &dyn File,
    log: Uuid,
    from: u64,
    size: u64,
    number: u64,
) -> io::Result<Option<u64>> {
    let found = find(file, log, from, size, |block| block.commit > number)?;
    Ok(found.map(|(at, _)| at))
}

/// The first intact block behind `from` that holds records from `number` on, and where it begins.
pub(super) fn next_intact(
    file: &dyn File,
    log: Uuid,
    from: u64,
    size: u64,
    number: u64,
) -> io::Result<Option<(u64, BlockHeader)>> {
    find(file, log, from, size, |block| {
        block.first >= number && block.count > 0 && block.commit <= block.first
    })
}

fn find(
    file: &dyn File,
    log: Uuid,
    from: u64,
    size: u64,
    is_wanted: impl Fn(&BlockHeader) -> bool,
) -> io::Result<Option<(u64, BlockHeader)>> {
    let mark = block::mark(log);
    let mut buffer = vec![0; 1 << 20];
    let mut at = from;
    loop {
        let count = file.read_full_at(&mut buffer, at)?;
        let read = buffer.get(..count).unwrap_or_default();
        for (index, window) in read.windows(mark.len()).enumerate() {
            if window != mark {
                continue;
            }
            let found = at + index as u64;
            let block = intact(file, log, found, size)?;
            if let Some(block) = block.filter(|block| is_wanted(block)) {
                return Ok(Some((found, block)));
            }
        }
        if count < buffer.len() {
            return Ok(None);
        }
        // The last bytes may be the begin of a mark.
        at += (count + 1 - mark.len()) as u64;
    }
}

/// The block that begins there, if there is one and it is as it was written.
fn intact(file: &dyn File, log: Uuid, at: u64, size: u64) -> io::Result<Option<BlockHeader>> {
    let mut head = [0; BLOCK_HEADER_BYTES];
    if file.read_full_at(&mut head, at)? < head.len() {
        return Ok(None);
    }
    let Some(header) = BlockHeader::parse(&head, log) else {
        return Ok(None);
    };
    if header.block_bytes() > size.saturating_sub(at) {
        return Ok(None);
    }
    let mut records = vec![0; header.length as usize];
    let count = file.read_full_at(&mut records, at + BLOCK_HEADER_BYTES as u64)?;
    let is_intact = count == records.len() && header.is_intact(&head, &records);
    Ok(is_intact.then_some(header))
}
