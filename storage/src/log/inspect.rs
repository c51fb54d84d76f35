//! Reads the segments of a log without opening it: nothing is changed, nothing is locked, and it
//! goes on behind damage.
//!
//! A start refuses damage and stops at the first one ([`recovery`](super::recovery)). Who has to
//! mend it needs to know all of it: where, which records are lost, which are there on either side.
//! So here a bad block is followed by a search for the next intact one, which the mark at its
//! begin makes possible, and pages that the disk does not give any more count as zeros.
//!
//! What is *damage* and what is a *torn tail* is decided as a start decides it: bad bytes at the
//! end of the newest segment, with no later commit behind them, are what a crash leaves.
//!
//! A log may be looked at while it is written to. Its newest end is then in motion: it looks like a
//! torn tail, and is none. Segments that are removed meanwhile are passed over, since only the
//! oldest ones are.

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use uuid::Uuid;

use super::{
    LogError, Record,
    block::BlockHeader,
    record, recovery,
    scan::{BlockError, Blocks, later_commit, next_intact, used_end},
    segment::{self, HeaderError, SEGMENT_HEADER_BYTES, SegmentHeader},
};
use crate::file_system::{File, FileSystem};

/// What a disk gives or does not give as a whole.
const PAGE_BYTES: u64 = 4096;

/// How much is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Every record of every segment.
    Whole,
    /// Headers and sizes of all segments, the records of the newest.
    Newest,
}

/// What is in the directory of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// The log's id; `None` where there is no segment, or none with a readable header.
    pub id: Option<Uuid>,
    /// Oldest first.
    pub segments: Vec<SegmentReport>,
    /// Numbers of the records that were read and are good, in order, neighbours joined.
    pub good: Vec<Range<u64>>,
    /// What is wrong, in the order of the log.
    pub faults: Vec<Fault>,
}

impl Survey {
    /// Records that were read and are good.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.good.iter().map(|good| good.end - good.start).sum()
    }

    /// The number behind the last good record, which is the first one of a newest segment that is
    /// empty; 0 where there is no segment.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.next)
    }

    /// What a start refuses.
    pub fn damage(&self) -> impl Iterator<Item = &Fault> {
        self.faults
            .iter()
            .filter(|fault| fault.kind == FaultKind::Damage)
    }

    /// Whether the last number that was ever given is known: nothing that may have been
    /// acknowledged is missing at the end.
    #[must_use]
    pub fn end_is_known(&self) -> bool {
        self.damage().all(|fault| fault.lost_to.is_some())
    }
}

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentReport {
    /// Its file.
    pub path: PathBuf,
    /// Number of its first record, as its name says.
    pub first: u64,
    /// The number behind the last good record in it.
    pub next: u64,
    /// Good records that were read.
    pub records: u64,
    /// Size of the file.
    pub bytes: u64,
    /// Receipt of the first and of the last good record, in milliseconds since
    /// 1970-01-01T00:00:00Z.
    pub times: Option<(i64, i64)>,
    /// Good records by kind.
    pub kinds: BTreeMap<u8, u64>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What a start makes of it.
    pub kind: FaultKind,
    /// The segment.
    pub path: PathBuf,
    /// Where in it, in bytes.
    pub offset: u64,
    /// What is wrong there.
    pub what: String,
    /// Number of the first record that is lost; the same as `lost_to` where none is.
    pub lost_from: u64,
    /// The number behind the last one; `None` when there is nothing good behind it to tell.
    pub lost_to: Option<u64>,
    /// Bytes that cannot be used.
    pub bytes: u64,
}

/// What a start makes of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Refused: what may have been acknowledged is lost.
    Damage,
    /// Cut off: a write that a crash cut short, acknowledged to nobody.
    TornTail,
    /// Removed: a segment that was being made and was never used.
    Unused,
}

impl FaultKind {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Damage => "damage",
            Self::TornTail => "torn_tail",
            Self::Unused => "unused_segment",
        }
    }
}

/// Reads the log in a directory, and shows the records of each good block to `visit`.
///
/// # Errors
/// When the directory cannot be listed, a segment cannot be opened or was written by a newer
/// version, or `visit` says so.
pub fn survey(
    files: &dyn FileSystem,
    directory: &Path,
    depth: Depth,
    visit: &mut dyn FnMut(&[Record]) -> Result<(), LogError>,
) -> Result<Survey, LogError> {
    let found = find_segments(files, directory)?;
    let headers = found.iter().filter_map(|segment| segment.header.as_ref());
    let id = commonest(headers.clone().map(|header| header.log));
    let mark = id.or_else(|| found.first().and_then(mark_of_first_block));
    let mut walk = Walk {
        directory,
        log: mark.unwrap_or_default(),
        depth,
        survey: Survey {
            id,
            ..Survey::default()
        },
        expected: None,
        before: None,
        visit,
    };
    for (index, segment) in found.iter().enumerate() {
        let later = found.get(index + 1..).unwrap_or_default();
        if segment.header.is_none()
            && recovery::was_never_used(segment.first, segment.bytes, headers.clone())
        {
            walk.unused(segment);
            continue;
        }
        walk.segment(segment, later)?;
    }
    Ok(walk.survey)
}

/// The id that most segments have, a newer one where two are as common.
fn commonest(ids: impl Iterator<Item = Uuid> + Clone) -> Option<Uuid> {
    let count = |id: &Uuid| ids.clone().filter(|other| other == id).count();
    ids.clone().max_by_key(count)
}

/// A segment file before its blocks are read.
struct FoundSegment {
    first: u64,
    header: Option<SegmentHeader>,
    file: Arc<LenientFile>,
    bytes: u64,
}

fn find_segments(files: &dyn FileSystem, directory: &Path) -> Result<Vec<FoundSegment>, LogError> {
    let names = files
        .list(directory)
        .map_err(LogError::io("list", directory))?;
    let mut numbers: Vec<u64> = names
        .iter()
        .filter_map(|name| segment::first_of(name))
        .collect();
    numbers.sort_unstable();
    let mut found: Vec<FoundSegment> = Vec::with_capacity(numbers.len());
    for first in numbers {
        let path = segment::path(directory, first);
        let file = match files.open_to_read(&path) {
            Ok(file) => Arc::new(LenientFile::new(file)),
            // Retention removes the oldest ones.
            Err(error) if error.kind() == io::ErrorKind::NotFound && found.is_empty() => continue,
            Err(error) => return Err(LogError::io("open", &path)(error)),
        };
        let bytes = file.size().map_err(LogError::io("open", &path))?;
        let mut header = [0; SEGMENT_HEADER_BYTES];
        let count = (&*file as &dyn File)
            .read_full_at(&mut header, 0)
            .map_err(LogError::io("read", &path))?;
        let header = match SegmentHeader::decode(header.get(..count).unwrap_or_default()) {
            Ok(header) => Some(header),
            Err(HeaderError::Damaged) => None,
            Err(HeaderError::Version(version)) => return Err(LogError::Version { path, version }),
        };
        found.push(FoundSegment {
            first,
            header,
            file,
            bytes,
        });
    }
    Ok(found)
}

/// Where no header is left, the first block shows the mark of all others.
fn mark_of_first_block(segment: &FoundSegment) -> Option<Uuid> {
    let mut mark = [0; 8];
    let file: &dyn File = &*segment.file;
    let count = file.read_full_at(&mut mark, SEGMENT_HEADER_BYTES as u64);
    (count.ok()? == mark.len()).then(|| Uuid::from_u64_pair(u64::from_be_bytes(mark), 0))
}

struct Walk<'a> {
    directory: &'a Path,
    log: Uuid,
    depth: Depth,
    survey: Survey,
    /// The number that comes next; `None` before the first segment.
    expected: Option<u64>,
    /// The segment before this one.
    before: Option<u64>,
    visit: &'a mut dyn FnMut(&[Record]) -> Result<(), LogError>,
}

impl Walk<'_> {
    fn unused(&mut self, segment: &FoundSegment) {
        self.survey.faults.push(Fault {
            kind: FaultKind::Unused,
            path: segment::path(self.directory, segment.first),
            offset: 0,
            what: "the segment was being made and was never used".into(),
            lost_from: segment.first,
            lost_to: Some(segment.first),
            bytes: segment.bytes,
        });
    }

    fn damage(&mut self, first: u64, offset: u64, what: &str, lost: (u64, Option<u64>)) {
        self.survey.faults.push(Fault {
            kind: FaultKind::Damage,
            path: segment::path(self.directory, first),
            offset,
            what: what.to_owned(),
            lost_from: lost.0,
            lost_to: lost.1,
            bytes: 0,
        });
    }

    fn segment(&mut self, segment: &FoundSegment, later: &[FoundSegment]) -> Result<(), LogError> {
        let first = segment.first;
        if !self.belongs(segment) {
            return Ok(());
        }
        let next = later
            .iter()
            .find_map(|later| later.header.as_ref())
            .filter(|next| next.log == self.log && next.previous_first == first);
        let limit = next.map_or(segment.bytes, |next| next.previous_bytes.min(segment.bytes));
        let mut report = SegmentReport {
            path: segment::path(self.directory, first),
            first,
            next: first,
            records: 0,
            bytes: segment.bytes,
            times: None,
            kinds: BTreeMap::new(),
        };
        // Later files that were never used do not make this one an older one.
        let is_newest = later
            .iter()
            .all(|later| later.header.is_none() && later.bytes <= SEGMENT_HEADER_BYTES as u64);
        if self.depth == Depth::Whole || is_newest {
            self.blocks(segment, limit, is_newest, &mut report)?;
        } else if let Some(later) = later.first() {
            report.next = later.first;
        }
        let end = report.next;
        self.expected = Some(end);
        self.before = Some(first);
        self.survey.segments.push(report);
        if let Some(next) = next.filter(|next| segment.bytes < next.previous_bytes) {
            // Reading may have said the same already.
            if !self.close_open_fault(next.first) {
                let what = "the end of the segment is missing";
                self.damage(first, segment.bytes, what, (end, Some(next.first)));
            }
            self.expected = Some(next.first);
        }
        Ok(())
    }

    /// Whether the segment is one of this log, and follows the one before it. Says what does not
    /// fit.
    fn belongs(&mut self, segment: &FoundSegment) -> bool {
        let first = segment.first;
        let Some(header) = &segment.header else {
            self.follow_on(first, None);
            self.damage(
                first,
                0,
                "the header of the segment is wrong",
                (first, Some(first)),
            );
            return true;
        };
        let what = if header.log != self.log {
            "the segment is of another log than the others"
        } else if header.first != first {
            "the segment has the name of another one"
        } else {
            self.follow_on(first, Some(header.previous_first));
            return true;
        };
        let from = self.expected.unwrap_or(first);
        self.damage(first, 0, what, (from, None));
        false
    }

    /// Says what is missing between the segment before and this one.
    fn follow_on(&mut self, first: u64, previous: Option<u64>) {
        let Some(expected) = self.expected else {
            // Nothing good came before: what was lost ends here.
            self.close_open_fault(first);
            return;
        };
        if self.close_open_fault(first) {
            return;
        }
        let is_in_chain = previous.is_none() || previous == self.before;
        if expected == first && is_in_chain {
            return;
        }
        let missing = previous.filter(|_| !is_in_chain).unwrap_or(expected);
        let what = if expected > first {
            "the segment before it goes further than this one begins"
        } else {
            "records between this segment and the next one are missing"
        };
        self.damage(missing, 0, what, (expected.min(first), Some(first)));
    }

    /// The last fault, if its end is open, ends here.
    fn close_open_fault(&mut self, first: u64) -> bool {
        let open = self.survey.faults.last_mut();
        let open = open.filter(|fault| fault.kind == FaultKind::Damage && fault.lost_to.is_none());
        if let Some(fault) = open {
            fault.lost_to = Some(first.max(fault.lost_from));
            return true;
        }
        false
    }

    fn blocks(
        &mut self,
        segment: &FoundSegment,
        limit: u64,
        is_newest: bool,
        report: &mut SegmentReport,
    ) -> Result<(), LogError> {
        let path = report.path.clone();
        let io = || LogError::io("read", &path);
        let file: Arc<dyn File> = segment.file.clone();
        let mut blocks = Blocks::new(Arc::clone(&file), self.log);
        while blocks.at() < limit {
            let (at, number) = (blocks.at(), report.next);
            let (what, search_from) = match blocks.next(number, limit) {
                Ok((header, content)) => match records_of(&header, content) {
                    Some(records) => {
                        self.good(&records, report)?;
                        continue;
                    }
                    None => ("the block is no list of records", blocks.at()),
                },
                Err(BlockError::Io(cause)) => return Err(io()(cause)),
                Err(BlockError::Bad(what)) => (what, at),
            };
            // Without header and blocks nothing says that this is only an end.
            let is_torn = is_newest
                && (segment.header.is_some() || report.records > 0)
                && later_commit(&*file, self.log, at, segment.bytes, number)
                    .map_err(io())?
                    .is_none();
            if is_torn
                && segment.file.unread(at..limit) == 0
                && used_end(&*file, at, limit).map_err(io())? == at
            {
                // Zeros, written ahead.
                return Ok(());
            }
            let behind = next_intact(&*file, self.log, search_from, limit, number).map_err(io())?;
            let behind = behind.filter(|_| !is_torn);
            let end = behind.map_or(limit, |(behind, _)| behind);
            let unread = segment.file.unread(at..end);
            self.survey.faults.push(Fault {
                kind: if is_torn {
                    FaultKind::TornTail
                } else {
                    FaultKind::Damage
                },
                path: path.clone(),
                offset: at,
                what: if unread > 0 {
                    format!("the disk does not give {unread} of the bytes")
                } else {
                    what.to_owned()
                },
                lost_from: number,
                lost_to: match behind {
                    Some((_, block)) => Some(block.first),
                    None if is_torn => Some(number),
                    None => None,
                },
                bytes: end - at,
            });
            let Some((behind, block)) = behind else {
                return Ok(());
            };
            blocks.seek(behind);
            report.next = block.first;
        }
        Ok(())
    }

    fn good(&mut self, records: &[Record], report: &mut SegmentReport) -> Result<(), LogError> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            return Ok(());
        };
        report.next = last.offset + 1;
        report.records += records.len() as u64;
        let begin = report.times.map_or(first.received_at, |(begin, _)| begin);
        report.times = Some((begin, last.received_at));
        for record in records {
            *report.kinds.entry(record.kind.0).or_default() += 1;
        }
        match self.survey.good.last_mut() {
            Some(good) if good.end == first.offset => good.end = report.next,
            _ => self.survey.good.push(first.offset..report.next),
        }
        (self.visit)(records)
    }
}

/// The records of an intact block; `None` when they are not as many as its header says.
fn records_of(header: &BlockHeader, mut content: bytes::Bytes) -> Option<Vec<Record>> {
    header.next()?;
    let records: Option<Vec<_>> = (0..u64::from(header.count))
        .map(|index| record::take(&mut content, header.first + index))
        .collect();
    records.filter(|_| content.is_empty())
}

/// A file that is read as far as the disk gives it: pages that it does not give are zeros, and
/// remembered.
#[derive(Debug)]
struct LenientFile {
    file: Arc<dyn File>,
    /// By the number of the page.
    unread: Mutex<BTreeMap<u64, Range<u64>>>,
}

impl LenientFile {
    fn new(file: Arc<dyn File>) -> Self {
        Self {
            file,
            unread: Mutex::default(),
        }
    }

    /// Bytes of a range that the disk did not give.
    fn unread(&self, range: Range<u64>) -> u64 {
        let unread = self.unread.lock();
        let shared = |page: &Range<u64>| {
            let (from, to) = (page.start.max(range.start), page.end.min(range.end));
            to.saturating_sub(from)
        };
        unread.values().map(shared).sum()
    }
}

fn read_only() -> io::Error {
    io::ErrorKind::ReadOnlyFilesystem.into()
}

impl File for LenientFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.file.read_at(buffer, offset) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {}
            result => return result,
        }
        // One page at a time: the others may be good.
        let page_end = (offset / PAGE_BYTES + 1) * PAGE_BYTES;
        let size = self.file.size()?;
        let length = page_end.min(size).saturating_sub(offset);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let length = length.min(buffer.len());
        let Some(page) = buffer.get_mut(..length) else {
            return Ok(0);
        };
        if self
            .file
            .read_full_at(page, offset)
            .is_ok_and(|count| count == length)
        {
            return Ok(length);
        }
        page.fill(0);
        let end = offset + length as u64;
        let mut unread = self.unread.lock();
        let page = unread.entry(offset / PAGE_BYTES).or_insert(offset..end);
        *page = page.start.min(offset)..page.end.max(end);
        Ok(length)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(read_only())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(read_only())
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(read_only())
    }

    fn sync_all(&self) -> io::Result<()> {
        Err(read_only())
    }
}
