//! Where appended records wait for the writer: already in the form of the file.
//!
//! The hot path: one short critical section, in which the bytes are copied once. The writer takes
//! the whole buffer and leaves an empty one of the same kind, so nothing is copied again.

use std::mem;

use uuid::Uuid;

use super::{
    AppendError, NoRoom,
    block::{self, BLOCK_HEADER_BYTES},
    record::{self, RECORD_HEADER_BYTES, RecordKind},
};

/// What the mutex of the appenders guards.
#[derive(Debug)]
pub(super) struct Staging {
    commit: Commit,
    pub(super) limits: Limits,
    /// What the writer has taken and not synced yet.
    taken_bytes: usize,
    /// The writer sleeps, and wants to be woken when so many bytes are staged.
    pub(super) wake_at: usize,
    /// Why the last commit could not be written.
    pub(super) no_room: Option<NoRoom>,
    /// Why nothing is taken any more.
    pub(super) refusal: Option<Refusal>,
}

/// The limits that concern an append, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) staged_max: usize,
    pub(super) record_max: usize,
    pub(super) block: usize,
}

/// Why nothing is taken any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Closed,
    Poisoned,
}

/// Records that are made durable together, as they will stand in the file.
#[derive(Debug, Default)]
pub(super) struct Commit {
    /// Blocks with blank headers until sealed.
    pub(super) bytes: Vec<u8>,
    blocks: Vec<Block>,
    /// Number of the first record.
    pub(super) first: u64,
    /// The number behind the last one.
    pub(super) next: u64,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    at: usize,
    first: u64,
    count: u32,
}

impl Staging {
    pub(super) fn new(next: u64, limits: Limits) -> Self {
        Self {
            commit: Commit {
                first: next,
                next,
                ..Commit::default()
            },
            limits,
            taken_bytes: 0,
            wake_at: usize::MAX,
            no_room: None,
            refusal: None,
        }
    }

    /// Takes a record of `length` bytes in `parts` and gives its number.
    pub(super) fn append(
        &mut self,
        kind: RecordKind,
        received_at: i64,
        length: usize,
        parts: &[&[u8]],
    ) -> Result<u64, AppendError> {
        match self.refusal {
            None => {}
            Some(Refusal::Poisoned) => return Err(AppendError::Poisoned),
            Some(Refusal::Closed) => return Err(AppendError::Closed),
        }
        let max = self.limits.record_max;
        let too_large = AppendError::TooLarge { bytes: length, max };
        let Ok(wire_length) = u32::try_from(length) else {
            return Err(too_large);
        };
        if length > max {
            return Err(too_large);
        }
        let commit = &mut self.commit;
        let begins_block = commit
            .blocks
            .last()
            .is_none_or(|block| commit.bytes.len() - block.at >= self.limits.block);
        let header = if begins_block { BLOCK_HEADER_BYTES } else { 0 };
        let staged = self.taken_bytes + commit.bytes.len();
        if staged + header + RECORD_HEADER_BYTES + length > self.limits.staged_max {
            return Err(AppendError::Full);
        }
        let number = commit.next;
        if begins_block {
            commit.blocks.push(Block {
                at: commit.bytes.len(),
                first: number,
                count: 0,
            });
            commit.bytes.extend_from_slice(&[0; BLOCK_HEADER_BYTES]);
        }
        commit
            .bytes
            .extend_from_slice(&record::header(kind, received_at, wire_length));
        for part in parts {
            commit.bytes.extend_from_slice(part);
        }
        if let Some(block) = commit.blocks.last_mut() {
            block.count += 1;
        }
        commit.next += 1;
        Ok(number)
    }

    /// Gives what is staged to the writer, and takes an empty commit with its memory in return.
    pub(super) fn take(&mut self, mut empty: Commit) -> Commit {
        empty.first = self.commit.next;
        empty.next = self.commit.next;
        self.taken_bytes = self.commit.bytes.len();
        mem::replace(&mut self.commit, empty)
    }

    /// What the writer took is durable.
    pub(super) fn is_done(&mut self) {
        self.taken_bytes = 0;
        self.no_room = None;
    }

    /// Nothing of what is staged will be written.
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        if self.refusal != Some(Refusal::Poisoned) {
            self.refusal = Some(refusal);
        }
    }

    /// Bytes for the next commit.
    pub(super) const fn waiting_bytes(&self) -> usize {
        self.commit.bytes.len()
    }

    /// Bytes that are not durable yet.
    pub(super) const fn staged_bytes(&self) -> usize {
        self.taken_bytes + self.commit.bytes.len()
    }

    /// The number of the next record.
    pub(super) const fn next(&self) -> u64 {
        self.commit.next
    }
}

impl Commit {
    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Writes the headers of the blocks, outside of the lock.
    pub(super) fn seal(&mut self, log: Uuid) {
        let mut rest = self.bytes.as_mut_slice();
        let ends = self
            .blocks
            .iter()
            .skip(1)
            .map(|block| block.at)
            .chain([rest.len()]);
        for (block, end) in self.blocks.iter().zip(ends) {
            let (bytes, behind) = mem::take(&mut rest).split_at_mut(end - block.at);
            let is_sealed = block::seal(bytes, log, block.count, block.first, self.first);
            assert!(
                is_sealed,
                "room for the header was made when the block began"
            );
            rest = behind;
        }
    }

    /// Empties it, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.blocks.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        staged_max: 400,
        record_max: 100,
        block: 150,
    };

    fn append(staging: &mut Staging, payload: &[u8]) -> Result<u64, AppendError> {
        staging.append(RecordKind(1), 5, payload.len(), &[payload])
    }

    #[test]
    fn records_are_numbered_and_put_into_blocks() {
        let mut staging = Staging::new(40, LIMITS);
        for number in 40..43 {
            assert_eq!(append(&mut staging, &[7; 60]).unwrap(), number);
        }
        let commit = staging.take(Commit::default());
        assert_eq!((commit.first, commit.next), (40, 43));
        let blocks = commit
            .blocks
            .iter()
            .map(|block| (block.at, block.first, block.count));
        assert!(blocks.eq([(0, 40, 2), (182, 42, 1)]));
        assert_eq!(commit.bytes.len(), 2 * 36 + 3 * 73);
        assert_eq!(
            append(&mut staging, &[]).unwrap(),
            43,
            "numbers go on in the next commit"
        );
    }

    #[test]
    fn what_is_being_synced_counts_as_staged() {
        let mut staging = Staging::new(0, LIMITS);
        for _ in 0..3 {
            append(&mut staging, &[0; 60]).unwrap();
        }
        let taken = staging.take(Commit::default());
        assert_eq!(staging.staged_bytes(), taken.bytes.len());
        append(&mut staging, &[0; 30]).unwrap();
        assert!(matches!(
            append(&mut staging, &[0; 60]),
            Err(AppendError::Full)
        ));
        staging.is_done();
        append(&mut staging, &[0; 60]).unwrap();
    }

    #[test]
    fn a_record_beyond_the_limit_is_refused() {
        let mut staging = Staging::new(0, LIMITS);
        let refused = append(&mut staging, &[0; 101]);
        assert!(matches!(
            refused,
            Err(AppendError::TooLarge {
                bytes: 101,
                max: 100
            })
        ));
    }

    #[test]
    fn poison_is_not_covered_by_a_close() {
        let mut staging = Staging::new(0, LIMITS);
        staging.refuse(Refusal::Poisoned);
        staging.refuse(Refusal::Closed);
        assert!(matches!(
            append(&mut staging, &[]),
            Err(AppendError::Poisoned)
        ));
    }
}
