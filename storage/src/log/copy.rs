//! A copy of a log that another process writes to.
//!
//! A log only grows at its end, and loses whole segments at its begin. So a copy that goes on from
//! where it was is a copy of everything from its own begin to its own end, however often the
//! original moved meanwhile: what was removed behind it is in the copy already. Only a segment that
//! is made, filled and removed between two calls of [`LogCopy::catch_up`] would be missed; the
//! chain of the segments tells, and the copy fails.
//!
//! Only intact blocks are copied. The last ones may not be synced at the original: they are a
//! commit that is under way, which a crash might have kept as well.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use uuid::Uuid;

use super::{
    Damage, LogError,
    block::{self, BLOCK_HEADER_BYTES},
    scan::{BlockError, Blocks},
    segment::{self, CreateError, HeaderError, SEGMENT_HEADER_BYTES, SegmentHeader},
};
use crate::file_system::{File, FileSystem};

/// What a copy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopiedLog {
    /// The log's id.
    pub id: Uuid,
    /// Number of its first record.
    pub first: u64,
    /// The number behind its last one.
    pub next: u64,
}

/// A copy that is being made.
#[derive(Debug)]
pub struct LogCopy {
    files: Arc<dyn FileSystem>,
    from: PathBuf,
    to: PathBuf,
    first: Option<u64>,
    current: Option<Current>,
}

/// The segment that is being copied.
#[derive(Debug)]
struct Current {
    header: SegmentHeader,
    source: Arc<dyn File>,
    blocks: Blocks,
    copy: Arc<dyn File>,
    /// Number of the next record.
    next: u64,
}

impl LogCopy {
    /// Of the log in the directory `from`, into the directory `to`, which is made.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(files: Arc<dyn FileSystem>, from: &Path, to: &Path) -> Result<Self, LogError> {
        files
            .create_directory(to)
            .map_err(LogError::io("create", to))?;
        Ok(Self {
            files,
            from: from.to_owned(),
            to: to.to_owned(),
            first: None,
            current: None,
        })
    }

    /// Copies what has come since the last call.
    ///
    /// # Errors
    /// When the log is damaged, was written by a newer version or has removed what was to be
    /// copied; or when a disk fails.
    pub fn catch_up(&mut self) -> Result<(), LogError> {
        if self.current.is_none() {
            let Some(first) = self.open_first()? else {
                return Ok(());
            };
            self.first = Some(first.header.first);
            self.current = Some(first);
        }
        loop {
            let Some(current) = &mut self.current else {
                return Ok(());
            };
            let path = segment::path(&self.from, current.header.first);
            let stopped = current.copy_blocks(&path)?;
            let first = current.header.first;
            let Some(next) = self.segment_behind(first)? else {
                return Ok(());
            };
            let Some(current) = &mut self.current else {
                return Ok(());
            };
            if next.header.previous_first != first {
                let what = "it was removed before it could be copied: try again";
                let missing = segment::path(&self.from, next.header.previous_first);
                return Err(LogError::io("copy", &missing)(io::Error::other(what)));
            }
            let end = next.header.previous_bytes;
            if current.blocks.at() < end {
                // It is complete now: what stopped the copy was a write under way, or is damage.
                let again = current.copy_blocks(&path)?.or(stopped);
                if current.blocks.at() < end {
                    let what = again.unwrap_or("the end of the segment is missing");
                    let offset = current.blocks.at();
                    return Err(Damage { path, offset, what }.into());
                }
            }
            // Behind its end lies what found no room in it, and is in the next one.
            current.end(end).map_err(LogError::io("sync", &self.to))?;
            self.current = Some(self.copy_of(next)?);
        }
    }

    /// Copies the rest; what the copy holds is on the disk then. `None` where there is no log.
    ///
    /// # Errors
    /// As [`catch_up`](Self::catch_up).
    pub fn finish(mut self) -> Result<Option<CopiedLog>, LogError> {
        self.catch_up()?;
        let (Some(first), Some(current)) = (self.first, self.current) else {
            return Ok(None);
        };
        current
            .end(current.blocks.at())
            .and_then(|()| self.files.sync_directory(&self.to))
            .map_err(LogError::io("sync", &self.to))?;
        Ok(Some(CopiedLog {
            id: current.header.log,
            first,
            next: current.next,
        }))
    }

    fn numbers(&self) -> Result<Vec<u64>, LogError> {
        let names = self
            .files
            .list(&self.from)
            .map_err(LogError::io("list", &self.from))?;
        let mut numbers: Vec<u64> = names
            .iter()
            .filter_map(|name| segment::first_of(name))
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn open_first(&self) -> Result<Option<Current>, LogError> {
        for number in self.numbers()? {
            // One that retention has just removed, or that is being made, is passed over.
            if let Some(found) = self.open(number)? {
                return self.copy_of(found).map(Some);
            }
        }
        Ok(None)
    }

    /// The next segment, once it has its header.
    fn segment_behind(&self, first: u64) -> Result<Option<Opened>, LogError> {
        let next = self.numbers()?.into_iter().find(|number| *number > first);
        match next {
            Some(number) => self.open(number),
            None => Ok(None),
        }
    }

    fn open(&self, first: u64) -> Result<Option<Opened>, LogError> {
        let path = segment::path(&self.from, first);
        let file = match self.files.open_to_read(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LogError::io("open", &path)(error)),
        };
        let mut header = [0; SEGMENT_HEADER_BYTES];
        let count = file
            .read_full_at(&mut header, 0)
            .map_err(LogError::io("read", &path))?;
        match SegmentHeader::decode(header.get(..count).unwrap_or_default()) {
            Ok(header) if header.first == first => Ok(Some(Opened { header, file })),
            Err(HeaderError::Version(version)) => Err(LogError::Version { path, version }),
            Err(HeaderError::Damaged) if file.size().is_ok_and(|bytes| bytes <= 64) => Ok(None),
            _ => Err(Damage {
                path,
                offset: 0,
                what: "the header of the segment is wrong",
            }
            .into()),
        }
    }

    fn copy_of(&self, opened: Opened) -> Result<Current, LogError> {
        let Opened { header, file } = opened;
        let copy = segment::create(&*self.files, &self.to, &header).map_err(|error| {
            let (CreateError::Write(cause) | CreateError::Sync(cause)) = error;
            LogError::io("create", &segment::path(&self.to, header.first))(cause)
        })?;
        Ok(Current {
            blocks: Blocks::new(Arc::clone(&file), header.log),
            source: file,
            copy,
            next: header.first,
            header,
        })
    }
}

struct Opened {
    header: SegmentHeader,
    file: Arc<dyn File>,
}

impl Current {
    /// Copies all intact blocks that are there; says what stopped it before the end of the file.
    fn copy_blocks(&mut self, path: &Path) -> Result<Option<&'static str>, LogError> {
        let size = self.source.size().map_err(LogError::io("read", path))?;
        while self.blocks.at() < size {
            let at = self.blocks.at();
            let (header, content) = match self.blocks.next(self.next, size) {
                Ok(block) => block,
                Err(BlockError::Io(cause)) => return Err(LogError::io("read", path)(cause)),
                Err(BlockError::Bad(what)) => {
                    // It may be whole the next time: what was read of it is forgotten.
                    self.blocks.seek(at);
                    return Ok(Some(what));
                }
            };
            let mut bytes = vec![0; BLOCK_HEADER_BYTES];
            bytes.extend(&content);
            block::seal(
                &mut bytes,
                self.header.log,
                header.count,
                header.first,
                header.commit,
            );
            self.copy
                .write_all_at(&bytes, at)
                .map_err(LogError::io("write a copy of", path))?;
            self.next = header.next().unwrap_or(self.next);
        }
        Ok(None)
    }

    fn end(&self, bytes: u64) -> io::Result<()> {
        self.copy.set_len(bytes)?;
        self.copy.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        file_system::faulty::{FaultyDisk, Random},
        log::{Log, LogConfig, LogSource as _, LogWriter, RecordKind, Step},
    };

    const DIRECTORY: &str = "/data/log";
    const COPY: &str = "/backup/log";

    fn open(disk: &FaultyDisk, directory: &str) -> (Log, LogWriter) {
        let config = LogConfig {
            segment_bytes_max: 4 << 10,
            size_bytes_max: 1 << 20,
            free_bytes_min: 0,
            staged_bytes_max: 2 << 10,
            record_bytes_max: 1 << 10,
            block_bytes: 256,
            zero_ahead_bytes: 300,
            commit_interval: Duration::ZERO,
        };
        let files = Arc::new(disk.clone());
        let (log, writer, _) = Log::open(files, Path::new(directory), config).unwrap();
        (log, writer)
    }

    fn copy(disk: &FaultyDisk) -> LogCopy {
        let files = Arc::new(disk.clone());
        LogCopy::new(files, Path::new(DIRECTORY), Path::new(COPY)).unwrap()
    }

    fn append(log: &Log, writer: &mut LogWriter, count: u64) {
        for _ in 0..count {
            let payload = log.status().next.to_le_bytes().repeat(9);
            log.append_parts(RecordKind(1), 5, &[&payload]).unwrap();
        }
        if count > 0 {
            assert!(matches!(writer.step(), Step::Synced { .. }));
        }
    }

    #[test]
    fn a_copy_that_follows_has_every_record_whatever_is_removed_behind_it() {
        for seed in 0..40 {
            let disk = FaultyDisk::new(seed);
            let mut random = Random(seed);
            let (log, mut writer) = open(&disk, DIRECTORY);
            log.register_consumer("store", 0);
            for _ in 0..random.below(8) {
                append(&log, &mut writer, random.below(15));
            }
            let mut copy = copy(&disk);
            let first = log.status().first;
            for _ in 0..random.below(30) {
                copy.catch_up().unwrap();
                // Less than a segment between two calls, as a gateway and 100 ms have it.
                append(&log, &mut writer, random.below(15));
                log.advance("store", log.durable());
                log.retain().unwrap();
            }
            let durable = log.durable();
            let copied = copy.finish().unwrap().unwrap();
            let expected = CopiedLog {
                id: log.id(),
                first,
                next: durable,
            };
            assert_eq!(copied, expected, "seed {seed}");
            drop((log, writer));
            let (log, _writer) = open(&disk, COPY);
            assert_eq!((log.id(), log.durable()), (copied.id, durable));
            let records = log.reader(first).unwrap().read(usize::MAX, usize::MAX);
            for (number, record) in (first..).zip(records.unwrap()) {
                assert_eq!(record.offset, number);
                assert_eq!(record.payload, number.to_le_bytes().repeat(9));
            }
        }
    }

    #[test]
    fn a_copy_that_was_overtaken_fails_instead_of_having_a_gap() {
        let disk = FaultyDisk::new(0);
        let (log, mut writer) = open(&disk, DIRECTORY);
        log.register_consumer("store", 0);
        append(&log, &mut writer, 5);
        let mut copy = copy(&disk);
        copy.catch_up().unwrap();
        for _ in 0..20 {
            append(&log, &mut writer, 15);
        }
        log.advance("store", log.durable());
        assert!(log.retain().unwrap() > 2);
        let error = copy.finish().unwrap_err();
        assert!(error.to_string().contains("try again"), "{error}");
    }

    #[test]
    fn a_write_under_way_is_left_out_and_taken_when_it_is_whole() {
        let disk = FaultyDisk::new(0);
        let (log, mut writer) = open(&disk, DIRECTORY);
        append(&log, &mut writer, 3);
        let path = segment::path(Path::new(DIRECTORY), 0);
        let before = log.status().bytes;
        append(&log, &mut writer, 3);
        let mut after = disk.content(&path).unwrap();
        after.truncate(log.status().bytes.try_into().unwrap());
        // As the file looks in the middle of the second write.
        let middle = usize::midpoint(usize::try_from(before).unwrap(), after.len());
        disk.open(&path).unwrap().set_len(middle as u64).unwrap();
        let mut copy = copy(&disk);
        copy.catch_up().unwrap();
        let file = disk.open(&path).unwrap();
        file.write_all_at(&after[middle..], middle as u64).unwrap();
        assert_eq!(copy.finish().unwrap().unwrap().next, 6);
        let copied = disk.content(&segment::path(Path::new(COPY), 0)).unwrap();
        assert_eq!(copied, after);
    }

    #[test]
    fn damage_is_not_copied() {
        let disk = FaultyDisk::new(0);
        let (log, mut writer) = open(&disk, DIRECTORY);
        for _ in 0..20 {
            append(&log, &mut writer, 10);
        }
        let path = segment::path(Path::new(DIRECTORY), 0);
        assert!(disk.flip_bit(&path, 8 * 200));
        let error = copy(&disk).finish().unwrap_err();
        assert!(matches!(error, LogError::Damaged(_)), "{error}");
    }
}
