//! A disk in memory that fails by a seed, and forgets as badly as a disk may.
//!
//! What it models, against the log that is tested on it:
//! * **kill**: [`kill`](FaultyDisk::kill) ends the process: locks are gone, and everything written
//!   is there, synced or not;
//! * **power cut**: [`power_cut`](FaultyDisk::power_cut) keeps what was synced. Of every write since
//!   then any bytes may be there, with zeros between; of the files made and removed in a directory
//!   since its sync, any;
//! * **failed sync**: the pages are called clean although they are not on the disk, so the next
//!   sync succeeds without them, and they are seen until the power goes. Sizes are not lost so;
//! * **short, failed and refused writes**, the last when the disk is full;
//! * **sudden death**: [`die_after`](FaultyDisk::die_after) so many calls nothing works any more,
//!   which is how a crash in the middle of a step is tested.
//!
//! The same seed and the same calls give the same faults.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use super::{File, FileSystem, Lock};

/// How often what goes wrong, in 1,024 calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A write takes only some of the bytes and says so.
    pub short_write: u32,
    /// A write fails after some of the bytes.
    pub failed_write: u32,
    /// A sync of a file or directory fails.
    pub failed_sync: u32,
    /// A file cannot be made, removed or cut.
    pub failed_change: u32,
    /// There seems to be room without end: others take it before it is used.
    pub stale_space: u32,
}

/// The disk. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct FaultyDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    random: Random,
    faults: Faults,
    capacity: u64,
    calls_left: Option<u64>,
    files: Vec<Inode>,
    /// Names as they are seen, with the index of their file.
    names: BTreeMap<PathBuf, usize>,
    /// Names as they are on the disk, and every change since.
    synced_names: BTreeMap<PathBuf, usize>,
    changes: Vec<(PathBuf, Option<usize>)>,
    locks: BTreeSet<PathBuf>,
}

#[derive(Debug, Default)]
struct Inode {
    seen: Vec<u8>,
    synced: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    SetLen(usize),
}

impl FaultyDisk {
    /// An empty disk without faults and without end.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let state = State {
            random: Random(seed),
            faults: Faults::default(),
            capacity: u64::MAX,
            calls_left: None,
            files: Vec::new(),
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            changes: Vec::new(),
            locks: BTreeSet::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// From now on, what goes wrong.
    pub fn set_faults(&self, faults: Faults) {
        self.state.lock().faults = faults;
    }

    /// From now on, how many bytes all files together may have.
    pub fn set_capacity(&self, bytes: u64) {
        self.state.lock().capacity = bytes;
    }

    /// Bytes in all files.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.state.lock().used_bytes()
    }

    /// After so many calls, every call fails and changes nothing, until the next
    /// [`kill`](Self::kill) or [`power_cut`](Self::power_cut).
    pub fn die_after(&self, calls: u64) {
        self.state.lock().calls_left = Some(calls);
    }

    /// The process ends; the disk and what the kernel keeps of it do not.
    pub fn kill(&self) {
        let mut state = self.state.lock();
        state.calls_left = None;
        state.locks.clear();
    }

    /// Process and kernel end; what was not synced is lost, or some of it.
    pub fn power_cut(&self) {
        let mut state = self.state.lock();
        state.calls_left = None;
        state.locks.clear();
        let State {
            random,
            files,
            names,
            synced_names,
            changes,
            ..
        } = &mut *state;
        for file in files {
            file.lose(random);
        }
        let mut kept = std::mem::take(synced_names);
        // A name that lost one change has lost the later ones as well; other names have their own
        // luck.
        let mut lost = BTreeSet::new();
        for (path, inode) in changes.drain(..) {
            if random.below(2) == 0 || lost.contains(&path) {
                lost.insert(path);
                continue;
            }
            match inode {
                Some(inode) => kept.insert(path, inode),
                None => kept.remove(&path),
            };
        }
        *names = kept.clone();
        *synced_names = kept;
    }

    /// Flips one bit of a file, as it is seen and on the disk. False when there is no such bit.
    pub fn flip_bit(&self, path: &Path, bit: u64) -> bool {
        let mut state = self.state.lock();
        let Some(&inode) = state.names.get(path) else {
            return false;
        };
        let Some(file) = state.files.get_mut(inode) else {
            return false;
        };
        let flip = |bytes: &mut Vec<u8>| {
            let byte = usize::try_from(bit / 8)
                .ok()
                .and_then(|index| bytes.get_mut(index));
            byte.map(|byte| *byte ^= 1 << (bit % 8)).is_some()
        };
        flip(&mut file.synced);
        flip(&mut file.seen)
    }

    /// The content of a file as it is seen.
    #[must_use]
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state.lock();
        state
            .names
            .get(path)
            .and_then(|&inode| state.files.get(inode))
            .map(|file| file.seen.clone())
    }

    /// Puts a synced file of this content there, in place of one of this name.
    pub fn put(&self, path: &Path, content: Vec<u8>) {
        let mut state = self.state.lock();
        let inode = state.files.len();
        state.files.push(Inode {
            synced: content.clone(),
            seen: content,
            unsynced: Vec::new(),
        });
        state.names.insert(path.to_owned(), inode);
        state.synced_names.insert(path.to_owned(), inode);
    }

    /// Removes a file, as it is seen and on the disk.
    pub fn lose(&self, path: &Path) {
        let mut state = self.state.lock();
        state.names.remove(path);
        state.synced_names.remove(path);
        state.changes.retain(|(changed, _)| changed != path);
    }
}

impl State {
    fn used_bytes(&self) -> u64 {
        let seen = |inode: &usize| {
            self.files
                .get(*inode)
                .map_or(0, |file| file.seen.len() as u64)
        };
        self.names.values().map(seen).sum()
    }

    /// Counts a call, and fails when the disk is dead.
    fn call(&mut self) -> io::Result<()> {
        match &mut self.calls_left {
            None => Ok(()),
            Some(0) => Err(io::Error::other("the disk is dead")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    fn change_fails(&mut self) -> io::Result<()> {
        let often = self.faults.failed_change;
        self.random.fails(often)
    }

    fn inode(&self, path: &Path) -> io::Result<usize> {
        self.names
            .get(path)
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn file(&mut self, inode: usize) -> io::Result<&mut Inode> {
        self.files
            .get_mut(inode)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Inode {
    /// What a power cut leaves: the synced bytes, and of each later write any pieces.
    fn lose(&mut self, random: &mut Random) {
        for change in self.unsynced.drain(..) {
            match change {
                Change::SetLen(len) if random.below(2) == 0 => self.synced.resize(len, 0),
                Change::SetLen(_) => {}
                Change::Write { at, bytes } => write_pieces(&mut self.synced, at, &bytes, random),
            }
        }
        self.seen.clone_from(&self.synced);
    }

    /// A sync that fails: pieces of the writes get to the disk, and the rest never will.
    fn fail_sync(&mut self, random: &mut Random) {
        let mut kept = Vec::new();
        for change in self.unsynced.drain(..) {
            match change {
                Change::Write { at, bytes } => write_pieces(&mut self.synced, at, &bytes, random),
                Change::SetLen(len) => kept.push(Change::SetLen(len)),
            }
        }
        self.unsynced = kept;
    }

    fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            match change {
                Change::Write { at, bytes } => write(&mut self.synced, at, &bytes),
                Change::SetLen(len) => self.synced.resize(len, 0),
            }
        }
    }
}

fn write(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if content.len() < at + bytes.len() {
        content.resize(at + bytes.len(), 0);
    }
    if let Some(place) = content.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// Writes all, nothing, a part up to any byte, or any pieces with zeros between where the file was
/// not as long.
fn write_pieces(content: &mut Vec<u8>, at: usize, bytes: &[u8], random: &mut Random) {
    match random.below(4) {
        0 => {}
        1 => write(content, at, bytes),
        2 => {
            let (kept, _) = bytes.split_at(random.below_len(bytes.len() + 1));
            write(content, at, kept);
        }
        _ => {
            let mut rest = bytes;
            let mut place = at;
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(1 + random.below_len(rest.len()));
                if random.below(2) == 0 {
                    write(content, place, piece);
                }
                place += piece.len();
                rest = behind;
            }
        }
    }
}

impl FileSystem for FaultyDisk {
    fn create_directory(&self, _path: &Path) -> io::Result<()> {
        self.state.lock().call()
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut state = self.state.lock();
        state.call()?;
        let here = state
            .names
            .keys()
            .filter(|path| path.parent() == Some(directory));
        Ok(here
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut state = self.state.lock();
        state.call()?;
        state.change_fails()?;
        if state.used_bytes() >= state.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let inode = state.files.len();
        state.files.push(Inode::default());
        state.names.insert(path.to_owned(), inode);
        state.changes.push((path.to_owned(), Some(inode)));
        Ok(Arc::new(FaultyFile {
            state: Arc::clone(&self.state),
            inode,
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut state = self.state.lock();
        state.call()?;
        let inode = state.inode(path)?;
        Ok(Arc::new(FaultyFile {
            state: Arc::clone(&self.state),
            inode,
        }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.call()?;
        state.change_fails()?;
        state.inode(path)?;
        state.names.remove(path);
        state.changes.push((path.to_owned(), None));
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.call()?;
        let often = state.faults.failed_sync;
        state.random.fails(often)?;
        let State {
            synced_names,
            changes,
            ..
        } = &mut *state;
        for (changed, inode) in
            changes.extract_if(.., |(changed, _)| changed.parent() == Some(path))
        {
            match inode {
                Some(inode) => synced_names.insert(changed, inode),
                None => synced_names.remove(&changed),
            };
        }
        Ok(())
    }

    fn available_bytes(&self, _directory: &Path) -> io::Result<u64> {
        let mut state = self.state.lock();
        state.call()?;
        let often = state.faults.stale_space;
        let is_stale = state.random.fails(often).is_err();
        Ok(if is_stale {
            u64::MAX
        } else {
            state.capacity.saturating_sub(state.used_bytes())
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let mut state = self.state.lock();
        state.call()?;
        if !state.locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(FaultyLock {
            state: Arc::clone(&self.state),
            path: path.to_owned(),
        }))
    }
}

#[derive(Debug)]
struct FaultyFile {
    state: Arc<Mutex<State>>,
    inode: usize,
}

impl File for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state.lock();
        state.call()?;
        let file = state.file(self.inode)?;
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let there = file.seen.get(at..).unwrap_or_default();
        let count = there.len().min(buffer.len());
        let (read, _) = buffer.split_at_mut(count);
        read.copy_from_slice(there.split_at(count).0);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state.lock();
        state.call()?;
        let at = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let free = state.capacity.saturating_sub(state.used_bytes());
        let State { random, faults, .. } = &mut *state;
        let fails = random.fails(faults.failed_write);
        let is_short = random.fails(faults.short_write).is_err();
        let part = if fails.is_err() || is_short {
            random.below_len(bytes.len())
        } else {
            bytes.len()
        };
        let file = state.file(self.inode)?;
        let old = file.seen.len().saturating_sub(at);
        let room = usize::try_from(free)
            .unwrap_or(usize::MAX)
            .saturating_add(old);
        let count = part.min(room);
        let kept = bytes.split_at(count).0;
        if count > 0 {
            write(&mut file.seen, at, kept);
            file.unsynced.push(Change::Write {
                at,
                bytes: kept.to_vec(),
            });
        }
        fails?;
        match count {
            0 if room == 0 && !bytes.is_empty() => Err(io::ErrorKind::StorageFull.into()),
            0 if !bytes.is_empty() => Err(io::ErrorKind::Interrupted.into()),
            count => Ok(count),
        }
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.call()?;
        state.change_fails()?;
        let len = usize::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let file = state.file(self.inode)?;
        file.seen.resize(len, 0);
        file.unsynced.push(Change::SetLen(len));
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        let mut state = self.state.lock();
        state.call()?;
        Ok(state.file(self.inode)?.seen.len() as u64)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.call()?;
        let State {
            random,
            faults,
            files,
            ..
        } = &mut *state;
        let Some(file) = files.get_mut(self.inode) else {
            return Ok(());
        };
        let result = random.fails(faults.failed_sync);
        match result {
            Ok(()) => file.sync(),
            Err(_) => file.fail_sync(random),
        }
        result
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }
}

#[derive(Debug)]
struct FaultyLock {
    state: Arc<Mutex<State>>,
    path: PathBuf,
}

impl Lock for FaultyLock {}

impl Drop for FaultyLock {
    fn drop(&mut self) {
        self.state.lock().locks.remove(&self.path);
    }
}

/// A small generator of numbers that depend on the seed alone (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// Any number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 when that is 0.
    pub const fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.next() % end }
    }

    fn below_len(&mut self, end: usize) -> usize {
        usize::try_from(self.below(end as u64)).unwrap_or(0)
    }

    fn fails(&mut self, often: u32) -> io::Result<()> {
        if often > 0 && self.below(1024) < u64::from(often) {
            return Err(io::Error::other("a fault by the seed"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> (FaultyDisk, PathBuf) {
        (FaultyDisk::new(1), PathBuf::from("/log/file"))
    }

    #[test]
    fn what_was_synced_outlives_a_power_cut_and_the_rest_need_not() {
        let mut outcomes = BTreeSet::new();
        for seed in 0..200 {
            let (disk, path) = (FaultyDisk::new(seed), PathBuf::from("/log/file"));
            let file = disk.create(&path).unwrap();
            file.write_all_at(b"kept", 0).unwrap();
            file.sync_data().unwrap();
            disk.sync_directory(Path::new("/log")).unwrap();
            file.write_all_at(b"lost", 4).unwrap();
            disk.power_cut();
            let content = disk.content(&path).unwrap();
            assert!(content.starts_with(b"kept"), "seed {seed}: {content:?}");
            outcomes.insert(content);
        }
        for expected in [&b"kept"[..], b"keptlost", b"keptlo", b"kept\0\0st"] {
            assert!(outcomes.contains(expected), "{expected:?} never happened");
        }
    }

    #[test]
    fn a_name_that_was_not_synced_may_be_lost() {
        let mut outcomes = BTreeSet::new();
        for seed in 0..50 {
            let (disk, path) = (FaultyDisk::new(seed), PathBuf::from("/log/file"));
            disk.create(&path).unwrap();
            disk.power_cut();
            outcomes.insert(disk.content(&path).is_some());
        }
        assert_eq!(outcomes.len(), 2);
    }

    #[test]
    fn after_a_failed_sync_the_next_one_lies() {
        for seed in 0..50 {
            let (disk, path) = (FaultyDisk::new(seed), PathBuf::from("/log/file"));
            let file = disk.create(&path).unwrap();
            disk.sync_directory(Path::new("/log")).unwrap();
            file.write_all_at(&[7; 100], 0).unwrap();
            disk.set_faults(Faults {
                failed_sync: 1024,
                ..Faults::default()
            });
            file.sync_data().unwrap_err();
            disk.set_faults(Faults::default());
            file.sync_data().unwrap();
            assert_eq!(
                disk.content(&path).unwrap(),
                [7; 100],
                "it is seen all the same"
            );
            disk.power_cut();
            if disk.content(&path).unwrap() != [7; 100] {
                return;
            }
        }
        panic!("the failed sync lost nothing in 50 seeds");
    }

    #[test]
    fn a_full_disk_takes_what_fits_and_the_bytes_that_are_there_already() {
        let (disk, path) = disk();
        disk.set_capacity(10);
        let file = disk.create(&path).unwrap();
        assert_eq!(file.write_at(&[1; 8], 0).unwrap(), 8);
        assert_eq!(file.write_at(&[2; 8], 4).unwrap(), 6);
        let full = file.write_at(&[3; 8], 10).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        assert_eq!(disk.used_bytes(), 10);
        file.set_len(4).unwrap();
        assert_eq!(disk.available_bytes(Path::new("/log")).unwrap(), 6);
    }

    #[test]
    fn a_dead_disk_changes_nothing() {
        let (disk, path) = disk();
        let file = disk.create(&path).unwrap();
        disk.die_after(1);
        file.write_all_at(&[1; 8], 0).unwrap();
        file.write_all_at(&[2; 8], 0).unwrap_err();
        assert_eq!(disk.content(&path).unwrap(), [1; 8]);
        disk.kill();
        file.sync_data().unwrap();
    }
}
