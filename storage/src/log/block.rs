//! A block: the records that one check sum covers.
//!
//! ```text
//! | offset | field       | width | little endian                                          |
//! |      0 | mark        |     8 | the first half of the log's id                         |
//! |      8 | length      |     4 | bytes of the records                                   |
//! |     12 | count       |     4 | records                                                |
//! |     16 | first       |     8 | number of the first record                             |
//! |     24 | commit      |     8 | number of the first record of the commit it belongs to |
//! |     32 | check sum   |     4 | CRC-32 of the 32 bytes before it and of the records    |
//! |     36 | records     |     . | `record.rs`                                            |
//! ```
//!
//! A commit is what one sync makes durable: one block, or many when much arrived meanwhile. Blocks
//! keep the memory of a reader small however large the commits grow.
//!
//! `commit` is what tells a torn write from damage. When a block of commit 900 is there, the sync
//! of everything before record 900 had returned; so a bad block before it was not torn by a crash,
//! it was good once and somebody may have been told so.
//!
//! The mark is half of a random id: a terminal cannot send bytes that look like a block.

use bytes::Buf as _;
use uuid::Uuid;

/// Bytes before the records.
pub(super) const BLOCK_HEADER_BYTES: usize = 36;

/// Bytes of the header that the check sum covers.
const CHECKED_BYTES: usize = 32;

/// What a block's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockHeader {
    /// Bytes of the records.
    pub(super) length: u32,
    /// Records.
    pub(super) count: u32,
    /// Number of the first one.
    pub(super) first: u64,
    /// Number of the first one of its commit.
    pub(super) commit: u64,
    check_sum: u32,
}

/// The first bytes of every block of a log.
pub(super) fn mark(log: Uuid) -> [u8; 8] {
    log.as_u64_pair().0.to_be_bytes()
}

/// Fills in the header of a block whose records are there. False when there is no room for one,
/// which its maker has seen to.
pub(super) fn seal(block: &mut [u8], log: Uuid, count: u32, first: u64, commit: u64) -> bool {
    let Some((header, records)) = block.split_first_chunk_mut::<BLOCK_HEADER_BYTES>() else {
        return false;
    };
    let Ok(length) = u32::try_from(records.len()) else {
        return false;
    };
    header[..8].copy_from_slice(&mark(log));
    header[8..12].copy_from_slice(&length.to_le_bytes());
    header[12..16].copy_from_slice(&count.to_le_bytes());
    header[16..24].copy_from_slice(&first.to_le_bytes());
    header[24..32].copy_from_slice(&commit.to_le_bytes());
    let check_sum = check_sum(&header[..CHECKED_BYTES], records);
    header[CHECKED_BYTES..].copy_from_slice(&check_sum.to_le_bytes());
    true
}

impl BlockHeader {
    /// Reads a header; `None` when it does not begin with the log's mark.
    pub(super) fn parse(bytes: &[u8; BLOCK_HEADER_BYTES], log: Uuid) -> Option<Self> {
        let mut fields = bytes.strip_prefix(&mark(log))?;
        Some(Self {
            length: fields.get_u32_le(),
            count: fields.get_u32_le(),
            first: fields.get_u64_le(),
            commit: fields.get_u64_le(),
            check_sum: fields.get_u32_le(),
        })
    }

    /// Bytes of the whole block in the file.
    pub(super) const fn block_bytes(&self) -> u64 {
        BLOCK_HEADER_BYTES as u64 + self.length as u64
    }

    /// The number behind its last record; `None` when there is no such number.
    pub(super) const fn next(&self) -> Option<u64> {
        self.first.checked_add(self.count as u64)
    }

    /// Whether header and records are as they were written.
    pub(super) fn is_intact(&self, header: &[u8; BLOCK_HEADER_BYTES], records: &[u8]) -> bool {
        self.length as usize == records.len()
            && self.check_sum == check_sum(&header[..CHECKED_BYTES], records)
    }
}

fn check_sum(header: &[u8], records: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(records);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: Uuid = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);

    fn sealed() -> Vec<u8> {
        let mut block = vec![0; BLOCK_HEADER_BYTES];
        block.extend(b"records");
        assert!(seal(&mut block, LOG, 3, 41, 40));
        block
    }

    fn read(block: &[u8]) -> Option<BlockHeader> {
        let (header, records) = block.split_first_chunk()?;
        BlockHeader::parse(header, LOG).filter(|block| block.is_intact(header, records))
    }

    #[test]
    fn a_block_is_written_as_drawn() {
        let block = sealed();
        assert_eq!(block[..8], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(block[8..16], [7, 0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(block[16..24], [41, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(block[24..32], [40, 0, 0, 0, 0, 0, 0, 0]);
        let header = read(&block).unwrap();
        assert_eq!(
            (header.first, header.next(), header.commit),
            (41, Some(44), 40)
        );
        assert_eq!(header.block_bytes(), block.len() as u64);
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let block = sealed();
        for bit in 0..block.len() * 8 {
            let mut damaged = block.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&damaged), None, "bit {bit}");
        }
    }

    #[test]
    fn a_block_of_another_log_is_none() {
        let block = sealed();
        let header = block.first_chunk().unwrap();
        assert_eq!(BlockHeader::parse(header, Uuid::from_u128(1)), None);
    }
}
