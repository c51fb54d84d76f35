//! Segment files: their names, their header, and the list of those that are there.
//!
//! A segment is named by the number of its first record, in twenty digits so that names sort as
//! numbers do: `00000000000000004711.log`. It begins with a header of 64 bytes:
//!
//! ```text
//! | offset | field          | width | little endian                                    |
//! |      0 | magic          |     8 | "gridlog\n"                                      |
//! |      8 | version        |     4 | 1                                                |
//! |     12 | log id         |    16 | UUID, in its usual order                         |
//! |     28 | first          |     8 | number of the first record                       |
//! |     36 | previous first | 8     | the same of the segment before                   |
//! |     44 | previous bytes | 8     | its size                                         |
//! |     52 | reserved       |     8 | 0                                                |
//! |     60 | check sum      |     4 | CRC-32 of the 60 bytes before                    |
//! |     64 | blocks         |     . | `block.rs`                                       |
//! ```
//!
//! The first segment of a log has itself as the one before, with 0 bytes. So the files form a
//! chain: a missing, swapped or shortened one is seen at once, without reading them all.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Buf as _;
use uuid::Uuid;

use crate::file_system::{File, FileSystem};

/// Bytes before the first block.
pub(super) const SEGMENT_HEADER_BYTES: usize = 64;

const MAGIC: [u8; 8] = *b"gridlog\n";
/// Of the format that is written; older ones can be read as well.
pub const VERSION: u32 = 1;
const CHECKED_BYTES: usize = 60;

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) log: Uuid,
    /// Number of its first record.
    pub(super) first: u64,
    /// The same of the segment before.
    pub(super) previous_first: u64,
    /// Size of the segment before.
    pub(super) previous_bytes: u64,
}

/// Why bytes are no header that can be read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// Not as it was written.
    Damaged,
    /// Written by a newer version.
    Version(u32),
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..28].copy_from_slice(self.log.as_bytes());
        bytes[28..36].copy_from_slice(&self.first.to_le_bytes());
        bytes[36..44].copy_from_slice(&self.previous_first.to_le_bytes());
        bytes[44..52].copy_from_slice(&self.previous_bytes.to_le_bytes());
        let check_sum = crc32fast::hash(&bytes[..CHECKED_BYTES]);
        bytes[CHECKED_BYTES..].copy_from_slice(&check_sum.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let bytes: &[u8; SEGMENT_HEADER_BYTES] =
            bytes.try_into().map_err(|_| HeaderError::Damaged)?;
        let (checked, mut check_sum) = bytes.split_at(CHECKED_BYTES);
        let mut fields = checked.strip_prefix(&MAGIC).ok_or(HeaderError::Damaged)?;
        if check_sum.get_u32_le() != crc32fast::hash(checked) {
            return Err(HeaderError::Damaged);
        }
        match fields.get_u32_le() {
            VERSION => Ok(Self {
                log: Uuid::from_u128(fields.get_u128()),
                first: fields.get_u64_le(),
                previous_first: fields.get_u64_le(),
                previous_bytes: fields.get_u64_le(),
            }),
            version => Err(HeaderError::Version(version)),
        }
    }
}

/// The file of the segment that begins with this record.
pub(super) fn path(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("{first:020}.log"))
}

/// The number in the name of a segment; `None` for files that are none.
pub(super) fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    (digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

/// Makes a segment and returns when it is on the disk with its name. Nothing may be written to it
/// before that: recovery takes a file without a header for one that was never used.
pub(super) fn create(
    files: &dyn FileSystem,
    directory: &Path,
    header: &SegmentHeader,
) -> Result<Arc<dyn File>, CreateError> {
    let path = path(directory, header.first);
    let file = files.create(&path).map_err(CreateError::Write)?;
    if let Err(cause) = file.write_all_at(&header.encode(), 0) {
        // Where this fails as well, the next attempt or recovery takes care of what is left.
        files.remove(&path).ok();
        return Err(CreateError::Write(cause));
    }
    file.sync_all().map_err(CreateError::Sync)?;
    files.sync_directory(directory).map_err(CreateError::Sync)?;
    Ok(file)
}

/// Why there is no new segment.
#[derive(Debug)]
pub(super) enum CreateError {
    /// It could not be written; the log is as it was.
    Write(io::Error),
    /// What the disk holds is unknown.
    Sync(io::Error),
}

/// What is known of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Number of its first record.
    pub(super) first: u64,
    /// Bytes of it that are durable.
    pub(super) bytes: u64,
}

/// The segments that are there, oldest first, the one being written last.
#[derive(Debug)]
pub(super) struct Segments {
    list: VecDeque<Segment>,
    /// The number behind the last durable record.
    next: u64,
    bytes: u64,
}

/// The part of a segment that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Readable {
    pub(super) segment: Segment,
    /// The number behind its last durable record.
    pub(super) next: u64,
    /// Whether nothing more will be written to it.
    pub(super) is_complete: bool,
}

impl Readable {
    /// The record of this number is in it.
    pub(super) fn holds(&self, number: u64) -> bool {
        (self.segment.first..self.next).contains(&number)
    }
}

impl Segments {
    pub(super) fn new(list: VecDeque<Segment>, next: u64) -> Self {
        let bytes = list.iter().map(|segment| segment.bytes).sum();
        Self { list, next, bytes }
    }

    /// Number of the oldest record.
    pub(super) fn first(&self) -> u64 {
        self.list.front().map_or(self.next, |segment| segment.first)
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn count(&self) -> usize {
        self.list.len()
    }

    /// A sync has returned: the newest segment has grown to `bytes`, the log to `next`.
    pub(super) fn grown(&mut self, bytes: u64, next: u64) {
        if let Some(newest) = self.list.back_mut() {
            self.bytes += bytes.saturating_sub(newest.bytes);
            newest.bytes = bytes;
        }
        self.next = next;
    }

    /// A new one is there.
    pub(super) fn push(&mut self, segment: Segment) {
        self.bytes += segment.bytes;
        self.list.push_back(segment);
    }

    /// The oldest one, if it is not the newest and holds only records before `number`.
    pub(super) fn oldest_before(&self, number: u64) -> Option<Segment> {
        let (oldest, second) = (self.list.front()?, self.list.get(1)?);
        (second.first <= number).then_some(*oldest)
    }

    /// The oldest one is gone.
    pub(super) fn forget(&mut self, oldest: Segment) {
        if self.list.front() == Some(&oldest) {
            self.list.pop_front();
            self.bytes -= oldest.bytes;
        }
    }

    /// The segment that holds, or will hold, the record of this number.
    pub(super) fn holding(&self, number: u64) -> Option<Readable> {
        let behind = self.list.partition_point(|segment| segment.first <= number);
        let segment = *self.list.get(behind.checked_sub(1)?)?;
        let later = self.list.get(behind);
        Some(Readable {
            segment,
            next: later.map_or(self.next, |later| later.first),
            is_complete: later.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            log: Uuid::from_u128(5),
            first: 900,
            previous_first: 100,
            previous_bytes: 4096,
        }
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        assert_eq!(SegmentHeader::decode(&header().encode()), Ok(header()));
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_seen() {
        for bit in 0..SEGMENT_HEADER_BYTES * 8 {
            let mut bytes = header().encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                SegmentHeader::decode(&bytes),
                Err(HeaderError::Damaged),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut bytes = header().encode();
        bytes[8] = 2;
        let check_sum = crc32fast::hash(&bytes[..CHECKED_BYTES]);
        bytes[CHECKED_BYTES..].copy_from_slice(&check_sum.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderError::Version(2)));
    }

    #[test]
    fn names_are_numbers_and_back() {
        let name = path(Path::new("/log"), u64::MAX);
        assert_eq!(name, Path::new("/log/18446744073709551615.log"));
        assert_eq!(first_of("18446744073709551615.log"), Some(u64::MAX));
        for other in [
            "lock",
            "1.log",
            "18446744073709551616.log",
            "0000000000000000000x.log",
        ] {
            assert_eq!(first_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_number_is_found_in_its_segment() {
        let list = [(10, 100), (20, 100), (30, 64)];
        let list = list.map(|(first, bytes)| Segment { first, bytes });
        let mut segments = Segments::new(VecDeque::from(list), 30);
        assert_eq!(segments.bytes(), 264);
        assert_eq!(segments.holding(9), None);
        let found = |segments: &Segments, number| {
            segments
                .holding(number)
                .map(|found| (found.segment.first, found.next, found.is_complete))
        };
        assert_eq!(found(&segments, 10), Some((10, 20, true)));
        assert_eq!(found(&segments, 29), Some((20, 30, true)));
        assert_eq!(found(&segments, 30), Some((30, 30, false)));
        segments.grown(164, 35);
        assert_eq!(
            (segments.bytes(), found(&segments, 30)),
            (364, Some((30, 35, false)))
        );
        assert_eq!(segments.oldest_before(19), None);
        assert_eq!(segments.oldest_before(20), Some(list[0]));
        segments.forget(list[0]);
        assert_eq!(
            (segments.first(), segments.bytes(), segments.count()),
            (20, 264, 2)
        );
    }
}
