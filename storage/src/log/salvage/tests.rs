//! Damage of every kind: what is said of it agrees with what a start does, and what is salvaged is
//! what was there.

use std::{ops::Range, sync::Arc, time::Duration};

use super::*;
use crate::{
    file_system::{Lock, faulty::FaultyDisk},
    log::{FaultKind, Log, LogConfig, LogSource as _, Step},
};

const DIRECTORY: &str = "/data/log";
const OUT: &str = "/data/salvaged";

fn config() -> LogConfig {
    LogConfig {
        segment_bytes_max: 4 << 10,
        size_bytes_max: 1 << 20,
        free_bytes_min: 0,
        staged_bytes_max: 2 << 10,
        record_bytes_max: 1 << 10,
        block_bytes: 256,
        zero_ahead_bytes: 300,
        commit_interval: Duration::ZERO,
    }
}

/// A payload that says which record it is.
fn payload(number: u64) -> Vec<u8> {
    let length = 20 + usize::try_from(number % 40).unwrap();
    let mut payload = number.to_le_bytes().to_vec();
    payload.resize(length, 7);
    payload
}

/// A log of 300 records, a few to a commit, in several segments.
fn filled() -> (FaultyDisk, Uuid) {
    let disk = FaultyDisk::new(0);
    let (log, mut writer, _) =
        Log::open(Arc::new(disk.clone()), Path::new(DIRECTORY), config()).unwrap();
    for number in 0..300_u64 {
        let at = 1_700_000_000_000 + i64::try_from(number).unwrap();
        log.append_parts(RecordKind(1), at, &[&payload(number)])
            .unwrap();
        if number % 9 == 8 || number == 299 {
            assert!(matches!(writer.step(), Step::Synced { .. }));
        }
    }
    let id = log.id();
    drop((log, writer));
    disk.kill();
    (disk, id)
}

fn segments(disk: &FaultyDisk) -> Vec<std::path::PathBuf> {
    let mut names = disk.list(Path::new(DIRECTORY)).unwrap();
    names.retain(|name| segment::first_of(name).is_some());
    names.sort();
    names
        .iter()
        .map(|name| Path::new(DIRECTORY).join(name))
        .collect()
}

fn look(disk: &FaultyDisk, depth: Depth) -> Survey {
    survey(disk, Path::new(DIRECTORY), depth, &mut |_| Ok(())).unwrap()
}

/// A copy of the disk that can be opened without harm to the original.
fn copy(disk: &FaultyDisk) -> FaultyDisk {
    let copy = FaultyDisk::new(1);
    copy.create_directory(Path::new(DIRECTORY)).unwrap();
    for path in segments(disk) {
        copy.put(&path, disk.content(&path).unwrap());
    }
    copy
}

fn start(disk: &FaultyDisk) -> Result<(), LogError> {
    Log::open(Arc::new(copy(disk)), Path::new(DIRECTORY), config()).map(|_| ())
}

/// Salvages, opens what came out of it, and checks that every record is the one that had its
/// number. Gives what was said, and the numbers of those that are there.
fn salvaged(disk: &FaultyDisk) -> (Salvaged, Vec<u64>) {
    let before: Vec<_> = segments(disk).iter().map(|p| disk.content(p)).collect();
    let found = look(disk, Depth::Whole);
    let (from, to) = (Path::new(DIRECTORY), Path::new(OUT));
    let salvaged = salvage(Arc::new(disk.clone()), from, to, &found, false).unwrap();
    let after: Vec<_> = segments(disk).iter().map(|p| disk.content(p)).collect();
    assert_eq!(before, after, "the original was changed");
    let (log, _writer, recovered) =
        Log::open(Arc::new(disk.clone()), Path::new(OUT), config()).unwrap();
    assert_eq!((log.id(), recovered.cut_bytes), (salvaged.id, 0));
    assert_eq!(log.durable(), salvaged.next);
    let first = log.status().first;
    let records = log.reader(first).unwrap().read(usize::MAX, usize::MAX);
    let records = records.unwrap();
    assert_eq!(records.len() as u64, salvaged.next - first, "without gaps");
    let mut there = Vec::new();
    let mut lost = Vec::new();
    for record in records {
        if record.kind == RecordKind::LOST {
            assert!(record.payload.is_empty() && record.received_at >= 1_700_000_000_000);
            lost.push(record.offset);
        } else {
            assert_eq!(record.payload, payload(record.offset));
            there.push(record.offset);
        }
    }
    let said: Vec<u64> = salvaged.lost.iter().cloned().flatten().collect();
    assert_eq!(lost, said);
    assert_eq!(there.len() as u64, salvaged.records);
    (salvaged, there)
}

fn one(range: &Range<u64>) -> &[Range<u64>] {
    std::slice::from_ref(range)
}

fn all_but(lost: Range<u64>) -> Vec<u64> {
    (0..300).filter(|number| !lost.contains(number)).collect()
}

#[test]
fn a_good_log_is_counted_and_dated() {
    let (disk, id) = filled();
    let found = look(&disk, Depth::Whole);
    assert_eq!(found.id, Some(id));
    assert_eq!(
        (&found.faults[..], &found.good[..]),
        (&[][..], one(&(0..300)))
    );
    assert!(found.segments.len() > 3);
    assert_eq!(found.segments[0].times.unwrap().0, 1_700_000_000_000);
    let last = found.segments.last().unwrap();
    assert_eq!(last.times.unwrap().1, 1_700_000_000_299);
    assert_eq!(last.next, 300);
    assert_eq!(last.kinds.keys().collect::<Vec<_>>(), [&1]);
    let quick = look(&disk, Depth::Newest);
    assert_eq!((quick.next(), quick.faults.len()), (300, 0));
    assert_eq!(quick.records(), last.records);
}

#[test]
fn a_start_and_a_look_agree_on_every_flipped_bit_and_salvage_loses_no_more_than_it_must() {
    let (whole, id) = filled();
    let paths = segments(&whole);
    let newest = paths.last().unwrap();
    for path in &paths {
        let bytes = whole.content(path).unwrap().len() as u64;
        // Every byte of the segment's header and of the first blocks, then samples.
        let bits = (0..120)
            .chain((120..bytes).step_by(61))
            .map(|b| b * 8 + b % 8);
        for bit in bits {
            let disk = copy(&whole);
            assert!(disk.flip_bit(path, bit));
            let place = format!("{} bit {bit}", path.display());
            let quick = look(&disk, Depth::Newest);
            let refused = match start(&disk) {
                Ok(()) => false,
                // The version is under the check sum: a flipped one is damage as well.
                Err(LogError::Damaged(_)) => true,
                Err(error) => panic!("{place}: {error}"),
            };
            assert_eq!(quick.damage().count() > 0, refused, "{place}");
            let found = look(&disk, Depth::Whole);
            assert!(!found.faults.is_empty(), "{place}: not seen");
            let is_torn = found.faults[0].kind == FaultKind::TornTail;
            assert!(!is_torn || path == newest, "{place}");
            let (salvaged, there) = salvaged(&disk);
            assert_eq!(salvaged.id, id, "{place}: the end is known");
            // A block of 256 bytes holds four to nine records; a torn commit has nine.
            let lost = 300 - there.len();
            assert!(lost <= 9, "{place}: {lost} lost");
            if bit >= 64 * 8 {
                assert!(lost > 0, "{place}");
            } else {
                assert_eq!(lost, 0, "{place}: a header alone loses no record");
            }
        }
    }
}

#[test]
fn a_segment_that_is_missing_is_a_gap_and_its_numbers_stay() {
    let (disk, id) = filled();
    let paths = segments(&disk);
    let found = look(&disk, Depth::Whole);
    let gone = found.segments[1].first..found.segments[1].next;
    disk.remove(&paths[1]).unwrap();
    let found = look(&disk, Depth::Whole);
    assert_eq!(found.faults.len(), 1);
    let fault = &found.faults[0];
    assert_eq!(
        (fault.kind, fault.lost_from, fault.lost_to),
        (FaultKind::Damage, gone.start, Some(gone.end))
    );
    assert_eq!(fault.path, paths[1]);
    assert_eq!(found.good, [0..gone.start, gone.end..300]);
    assert_eq!(look(&disk, Depth::Newest).damage().count(), 1);
    assert!(matches!(start(&disk), Err(LogError::Damaged(_))));
    let (salvaged, there) = salvaged(&disk);
    assert_eq!((salvaged.id, salvaged.has_new_id), (id, false));
    assert_eq!(salvaged.lost, one(&gone));
    assert_eq!(there, all_but(gone));
}

#[test]
fn an_end_that_is_cut_off_an_older_segment_is_a_gap() {
    let (disk, _) = filled();
    let paths = segments(&disk);
    let mut content = disk.content(&paths[1]).unwrap();
    content.truncate(content.len() - 300);
    disk.put(&paths[1], content);
    let found = look(&disk, Depth::Whole);
    assert_eq!(found.faults.len(), 1, "{:?}", found.faults);
    let fault = &found.faults[0];
    let (from, to) = (fault.lost_from, fault.lost_to.unwrap());
    assert_eq!(to, found.segments[2].first);
    assert_eq!(look(&disk, Depth::Newest).damage().count(), 1);
    assert_eq!(salvaged(&disk).1, all_but(from..to));
}

#[test]
fn a_torn_tail_is_none_of_the_damage() {
    let (disk, id) = filled();
    let newest = segments(&disk).pop().unwrap();
    let mut content = disk.content(&newest).unwrap();
    let whole = content.len() as u64;
    content.extend([9; 77]);
    disk.put(&newest, content);
    let found = look(&disk, Depth::Whole);
    assert_eq!(found.damage().count(), 0);
    let fault = &found.faults[0];
    assert_eq!(
        (fault.kind, fault.offset, fault.bytes),
        (FaultKind::TornTail, whole, 77)
    );
    assert_eq!(found.good, one(&(0..300)));
    start(&disk).unwrap();
    let (salvaged, there) = salvaged(&disk);
    assert_eq!((salvaged.id, there.len()), (id, 300));
}

#[test]
fn where_the_end_is_lost_no_number_is_given_twice_under_the_old_id() {
    let (disk, id) = filled();
    let newest = segments(&disk).pop().unwrap();
    let length = disk.content(&newest).unwrap().len();
    disk.put(&newest, vec![0xEE; length]);
    let found = look(&disk, Depth::Whole);
    assert!(!found.end_is_known());
    let first = segment::first_of(newest.file_name().unwrap().to_str().unwrap()).unwrap();
    assert_eq!(found.good, one(&(0..first)));
    assert_eq!(found.damage().last().unwrap().lost_to, None);
    assert!(matches!(start(&disk), Err(LogError::Damaged(_))));
    let (salvaged, there) = salvaged(&disk);
    assert!(salvaged.has_new_id && salvaged.id != id);
    assert_eq!(there, (0..first).collect::<Vec<_>>());
}

#[test]
fn a_segment_of_another_log_is_not_read_as_one_of_this() {
    let (disk, id) = filled();
    let (other, _) = filled();
    let paths = segments(&disk);
    disk.put(&paths[1], other.content(&segments(&other)[1]).unwrap());
    let found = look(&disk, Depth::Whole);
    assert_eq!(found.id, Some(id));
    let gone = found.damage().next().unwrap().clone();
    assert!(gone.what.contains("another log"), "{}", gone.what);
    let lost = gone.lost_from..gone.lost_to.unwrap();
    assert_eq!(salvaged(&disk).1, all_but(lost));
}

#[test]
fn a_new_id_can_be_asked_for_and_nothing_else_changes() {
    let (disk, id) = filled();
    let found = look(&disk, Depth::Whole);
    let (from, to) = (Path::new(DIRECTORY), Path::new(OUT));
    let salvaged = salvage(Arc::new(disk.clone()), from, to, &found, true).unwrap();
    assert!(salvaged.has_new_id && salvaged.id != id);
    assert_eq!((salvaged.records, salvaged.next), (300, 300));
}

#[test]
fn a_newer_version_is_said_and_not_taken_for_damage() {
    let (disk, _) = filled();
    let path = segments(&disk).pop().unwrap();
    let mut content = disk.content(&path).unwrap();
    content[8] = 9;
    let check_sum = crc32fast::hash(&content[..60]);
    content[60..64].copy_from_slice(&check_sum.to_le_bytes());
    disk.put(&path, content);
    let said = survey(&disk, Path::new(DIRECTORY), Depth::Whole, &mut |_| Ok(()));
    assert!(matches!(said, Err(LogError::Version { version: 9, .. })));
    assert!(matches!(
        start(&disk),
        Err(LogError::Version { version: 9, .. })
    ));
}

/// A disk that does not give one page of one file any more.
#[derive(Debug)]
struct BadPage {
    disk: FaultyDisk,
    path: std::path::PathBuf,
    page: Range<u64>,
}

#[derive(Debug)]
struct BadFile(Arc<dyn File>, Range<u64>);

impl FileSystem for BadPage {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.create_directory(path)
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.disk.list(directory)
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.disk.create(path)
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = self.disk.open(path)?;
        if path == self.path {
            return Ok(Arc::new(BadFile(file, self.page.clone())));
        }
        Ok(file)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_directory(path)
    }
    fn available_bytes(&self, directory: &Path) -> io::Result<u64> {
        self.disk.available_bytes(directory)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.disk.lock(path)
    }
}

impl File for BadFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let end = offset + buffer.len() as u64;
        if offset < self.1.end && end > self.1.start {
            return Err(io::Error::other("a bad sector"));
        }
        self.0.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }
    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

#[test]
fn a_page_that_the_disk_does_not_give_costs_that_page() {
    let disk = FaultyDisk::new(0);
    let large = LogConfig {
        segment_bytes_max: 64 << 10,
        ..config()
    };
    let (log, mut writer, _) =
        Log::open(Arc::new(disk.clone()), Path::new(DIRECTORY), large).unwrap();
    for number in 0..300 {
        log.append_parts(RecordKind(1), 1_700_000_000_000, &[&payload(number)])
            .unwrap();
        assert!(matches!(writer.step(), Step::Synced { .. }));
    }
    drop((log, writer));
    let bad = BadPage {
        path: segment::path(Path::new(DIRECTORY), 0),
        page: 8192..12_288,
        disk,
    };
    let found = survey(&bad, Path::new(DIRECTORY), Depth::Whole, &mut |_| Ok(())).unwrap();
    assert_eq!(found.faults.len(), 1, "{:?}", found.faults);
    let fault = &found.faults[0];
    assert_eq!(fault.kind, FaultKind::Damage);
    assert!(fault.what.contains("4096 of the bytes"), "{}", fault.what);
    let lost = fault.lost_to.unwrap() - fault.lost_from;
    assert_eq!(found.records(), 300 - lost);
    // A record and what is around it has 69 to 108 bytes.
    assert!((38..=62).contains(&lost), "{lost}");
}
