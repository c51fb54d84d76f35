//! What a start finds, and makes of it.
//!
//! A crash can leave three things, and they are mended without a word of a person:
//! * a segment without a whole header: it was being made and was never used. It is removed;
//! * behind the last intact block of the newest segment, parts of the one commit that was being
//!   written, and zeros that were written ahead. They are cut off; nobody was told that they are durable;
//! * old segments that were removed and came back. They are removed again in time.
//!
//! Everything else is damage, and refused: a segment that is missing, shorter than the next one
//! says, of another log; a bad block that has a later commit behind it. What the older segments
//! hold is checked when it is read, which may be never; so a start takes the same time however
//! large the log is.
//!
//! The last commit is written anew before the log is used. It is the only one whose sync may have
//! failed; if so, the kernel may show it from memory and yet never write it. Then its records would
//! vanish in the next power cut, after consumers had seen them.

use std::{collections::VecDeque, io, path::Path, sync::Arc};

use uuid::Uuid;

use super::{
    Damage, LogError,
    scan::{BlockError, Blocks, later_commit, used_end},
    segment::{self, CreateError, HeaderError, SEGMENT_HEADER_BYTES, Segment, SegmentHeader},
};
use crate::file_system::{File, FileSystem};

/// What a start found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Records that are there.
    pub records: u64,
    /// Segments that are there.
    pub segments: usize,
    /// Bytes of a write that a crash had cut short: removed, and never acknowledged.
    pub cut_bytes: u64,
}

/// A log that can be used.
pub(super) struct Found {
    pub(super) id: Uuid,
    pub(super) segments: VecDeque<Segment>,
    pub(super) next: u64,
    /// The newest of them, and its file.
    pub(super) newest: Segment,
    pub(super) file: Arc<dyn File>,
    pub(super) recovered: Recovered,
}

struct OpenSegment {
    header: SegmentHeader,
    file: Arc<dyn File>,
    /// Size of the file.
    bytes: u64,
}

/// Opens what is in the directory, or makes a new log with `new_id`.
pub(super) fn recover(
    files: &dyn FileSystem,
    directory: &Path,
    new_id: Uuid,
) -> Result<Found, LogError> {
    let mut recovered = Recovered::default();
    let mut open = open_segments(files, directory, &mut recovered)?;
    let Some(newest) = open.pop() else {
        return first_segment(files, directory, new_id, recovered);
    };
    let mut segments = chain(directory, &open, &newest.header)?;
    let first = segments
        .front()
        .map_or(newest.header.first, |segment| segment.first);
    let tail = scan(directory, &newest)?;
    let path = segment::path(directory, newest.header.first);
    mend(&newest, &tail).map_err(LogError::io("mend", &path))?;
    files
        .sync_directory(directory)
        .map_err(LogError::io("sync", directory))?;
    recovered.cut_bytes += tail.torn_end - tail.end;
    let OpenSegment { header, file, .. } = newest;
    let newest = Segment {
        first: header.first,
        bytes: tail.end,
    };
    segments.push_back(newest);
    recovered.segments = segments.len();
    recovered.records = tail.next - first;
    Ok(Found {
        id: header.log,
        segments,
        next: tail.next,
        newest,
        file,
        recovered,
    })
}

fn first_segment(
    files: &dyn FileSystem,
    directory: &Path,
    log: Uuid,
    mut recovered: Recovered,
) -> Result<Found, LogError> {
    let header = SegmentHeader {
        log,
        first: 0,
        previous_first: 0,
        previous_bytes: 0,
    };
    let file = segment::create(files, directory, &header).map_err(|error| {
        let (CreateError::Write(cause) | CreateError::Sync(cause)) = error;
        LogError::io("create", &segment::path(directory, 0))(cause)
    })?;
    recovered.segments = 1;
    let newest = Segment {
        first: 0,
        bytes: SEGMENT_HEADER_BYTES as u64,
    };
    let segments = VecDeque::from([newest]);
    Ok(Found {
        id: log,
        segments,
        next: 0,
        newest,
        file,
        recovered,
    })
}

/// Opens all segments in order and reads their headers. Removes those that were never used.
fn open_segments(
    files: &dyn FileSystem,
    directory: &Path,
    recovered: &mut Recovered,
) -> Result<Vec<OpenSegment>, LogError> {
    let names = files
        .list(directory)
        .map_err(LogError::io("list", directory))?;
    let mut numbers: Vec<u64> = names
        .iter()
        .filter_map(|name| segment::first_of(name))
        .collect();
    numbers.sort_unstable();
    let mut open: Vec<OpenSegment> = Vec::with_capacity(numbers.len());
    let mut without_header = Vec::new();
    for first in numbers {
        let path = segment::path(directory, first);
        let file = files.open(&path).map_err(LogError::io("open", &path))?;
        let bytes = file.size().map_err(LogError::io("open", &path))?;
        let mut header = [0; SEGMENT_HEADER_BYTES];
        let count = file
            .read_full_at(&mut header, 0)
            .map_err(LogError::io("read", &path))?;
        match SegmentHeader::decode(header.get(..count).unwrap_or_default()) {
            Ok(header) if header.first == first => open.push(OpenSegment {
                header,
                file,
                bytes,
            }),
            Ok(_) => {
                let what = "the segment has the name of another one";
                return Err(Damage {
                    path,
                    offset: 0,
                    what,
                }
                .into());
            }
            Err(HeaderError::Version(version)) => return Err(LogError::Version { path, version }),
            Err(HeaderError::Damaged) => without_header.push((first, bytes)),
        }
    }
    for (first, bytes) in without_header {
        let path = segment::path(directory, first);
        if !was_never_used(first, bytes, open.iter().map(|other| &other.header)) {
            let what = "the header of the segment is wrong";
            return Err(Damage {
                path,
                offset: 0,
                what,
            }
            .into());
        }
        files.remove(&path).map_err(LogError::io("remove", &path))?;
        files
            .sync_directory(directory)
            .map_err(LogError::io("sync", directory))?;
        recovered.cut_bytes += bytes;
    }
    Ok(open)
}

/// Whether a segment without a good header is one that could not be made. The header is synced
/// before anything is written behind it, and before the segment before it may be removed; and the
/// next one that was made names the one before it, which is not this.
pub(super) fn was_never_used<'a>(
    first: u64,
    bytes: u64,
    others: impl Iterator<Item = &'a SegmentHeader> + Clone,
) -> bool {
    let next = others.clone().find(|other| other.first > first);
    let is_named = next.is_some_and(|next| next.previous_first == first);
    let has_others = others.count() > 0 || first == 0;
    bytes <= SEGMENT_HEADER_BYTES as u64 && !is_named && has_others
}

/// The older segments, if each is what the next one says of it. A longer file is none the worse:
/// behind the size that the next one names is the rest of a write that found no room.
fn chain(
    directory: &Path,
    older: &[OpenSegment],
    newest: &SegmentHeader,
) -> Result<VecDeque<Segment>, LogError> {
    let mut segments = VecDeque::with_capacity(older.len() + 1);
    let later = older
        .iter()
        .skip(1)
        .map(|segment| &segment.header)
        .chain([newest]);
    for (segment, next) in older.iter().zip(later) {
        let damaged = |first, offset, what| {
            Err(Damage {
                path: segment::path(directory, first),
                offset,
                what,
            }
            .into())
        };
        if next.log != segment.header.log {
            return damaged(
                next.first,
                0,
                "the segment is of another log than the one before",
            );
        }
        if next.previous_first != segment.header.first {
            return damaged(next.previous_first, 0, "the segment is missing");
        }
        if segment.bytes < next.previous_bytes {
            return damaged(
                segment.header.first,
                segment.bytes,
                "the end of the segment is missing",
            );
        }
        segments.push_back(Segment {
            first: segment.header.first,
            bytes: next.previous_bytes,
        });
    }
    Ok(segments)
}

/// Where the good part of the newest segment ends.
struct Tail {
    /// Offset of its last commit; 0 when that is the first one, or there is none.
    commit_at: u64,
    end: u64,
    /// Where the parts of a cut commit end that may be behind it.
    torn_end: u64,
    /// The number behind its last record.
    next: u64,
}

fn scan(directory: &Path, newest: &OpenSegment) -> Result<Tail, LogError> {
    let OpenSegment {
        header,
        file,
        bytes,
    } = newest;
    let path = segment::path(directory, header.first);
    let mut blocks = Blocks::new(Arc::clone(file), header.log);
    let mut tail = Tail {
        commit_at: 0,
        end: blocks.at(),
        torn_end: 0,
        next: header.first,
    };
    let mut commit = header.first;
    while tail.end < *bytes {
        let what = match blocks.next(tail.next, *bytes) {
            Ok((block, _)) => match block.next() {
                Some(next) => {
                    if block.commit != commit {
                        (commit, tail.commit_at) = (block.commit, tail.end);
                    }
                    (tail.next, tail.end) = (next, blocks.at());
                    continue;
                }
                None => "the numbers of records are used up",
            },
            Err(BlockError::Io(cause)) => return Err(LogError::io("read", &path)(cause)),
            Err(BlockError::Bad(what)) => what,
        };
        let later = later_commit(&**file, header.log, tail.end, *bytes, tail.next);
        if later.map_err(LogError::io("read", &path))?.is_some() {
            return Err(Damage {
                path,
                offset: tail.end,
                what,
            }
            .into());
        }
        break;
    }
    tail.torn_end = used_end(&**file, tail.end, *bytes).map_err(LogError::io("read", &path))?;
    Ok(tail)
}

fn mend(newest: &OpenSegment, tail: &Tail) -> io::Result<()> {
    let OpenSegment { file, bytes, .. } = newest;
    if tail.end < *bytes {
        file.set_len(tail.end)?;
    }
    let mut at = tail.commit_at;
    let mut buffer = vec![0; 1 << 20];
    while at < tail.end {
        let count = file.read_full_at(&mut buffer, at)?;
        let read = buffer.get(..count).filter(|read| !read.is_empty());
        file.write_all_at(read.ok_or(io::ErrorKind::UnexpectedEof)?, at)?;
        at += count as u64;
    }
    file.sync_all()
}
