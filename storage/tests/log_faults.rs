//! The log on a disk that fails: random appends, steps, reads, retention, full disks, kills and
//! power cuts against a plain model. No threads, no time: one seed, one story.
//!
//! `GRIDTRACE_FAULT_SEEDS=20000` runs more stories than usual, `GRIDTRACE_FAULT_SEED=7` only that
//! one.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that finds something unexpected has failed"
)]

use std::{
    path::Path,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use storage::{
    file_system::faulty::{Faults, FaultyDisk, Random},
    log::{
        AppendError, Log, LogConfig, LogError, LogSource as _, LogState, LogWriter, ReadError,
        Reader, Record, RecordKind, Recovered, Step,
    },
};
use uuid::Uuid;

const DIRECTORY: &str = "/data/log";
const ACTIONS: usize = 200;
const CONSUMERS: [&str; 2] = ["store", "evaluator"];

fn config() -> LogConfig {
    LogConfig {
        segment_bytes_max: 4 << 10,
        size_bytes_max: 24 << 10,
        free_bytes_min: 0,
        staged_bytes_max: 3 << 10,
        record_bytes_max: 700,
        block_bytes: 512,
        zero_ahead_bytes: 700,
        commit_interval: Duration::ZERO,
    }
}

type Entry = (RecordKind, i64, Vec<u8>);

/// What is open while the process lives.
struct Process {
    log: Log,
    writer: LogWriter,
    readers: Vec<Reader>,
}

struct Story {
    random: Random,
    disk: FaultyDisk,
    process: Process,
    id: Uuid,
    /// Every record by its number; a restart forgets those that were lost before they were
    /// acknowledged.
    model: Vec<Entry>,
    acknowledged: u64,
    /// What the consumers have in their own stores, which fail elsewhere.
    cursors: [u64; 2],
}

fn open(disk: &FaultyDisk) -> Result<(Log, LogWriter, Recovered), LogError> {
    Log::open(Arc::new(disk.clone()), Path::new(DIRECTORY), config())
}

impl Story {
    fn new(seed: u64) -> Self {
        let disk = FaultyDisk::new(seed);
        let mut random = Random(!seed);
        let process = Self::start(&mut random, &disk, [0; 2]);
        let id = process.log.id();
        Self {
            random,
            disk,
            process,
            id,
            model: Vec::new(),
            acknowledged: 0,
            cursors: [0; 2],
        }
    }

    /// Starts the process, as often as it takes: it may crash while it recovers.
    fn start(random: &mut Random, disk: &FaultyDisk, cursors: [u64; 2]) -> Process {
        for attempt in 0_u64.. {
            let may_fail = attempt < random.below(4);
            let mut faults = Faults::default();
            if may_fail {
                disk.die_after(random.below(30));
                faults.failed_sync = u32::try_from(random.below(300)).unwrap();
            }
            disk.set_faults(faults);
            let opened = open(disk);
            match opened {
                Ok((log, writer, _)) if !may_fail => {
                    for (name, cursor) in CONSUMERS.into_iter().zip(cursors) {
                        log.register_consumer(name, cursor);
                    }
                    let readers = cursors.map(|cursor| log.reader(cursor).unwrap()).into();
                    return Process {
                        log,
                        writer,
                        readers,
                    };
                }
                Ok(_) => {}
                Err(LogError::Io { .. }) if may_fail => {}
                Err(error) => panic!("{error}"),
            }
            crash(random, disk);
        }
        unreachable!("the attempts do not end")
    }

    fn restart(&mut self) {
        crash(&mut self.random, &self.disk);
        self.disk.set_capacity(u64::MAX);
        self.process = Self::start(&mut self.random, &self.disk, self.cursors);
        let status = self.process.log.status();
        assert_eq!(self.process.log.id(), self.id);
        assert!(
            status.next >= self.acknowledged,
            "{} were acknowledged: {status:?}",
            self.acknowledged
        );
        assert!(
            status.next <= self.model.len() as u64,
            "more than was appended: {status:?}"
        );
        assert!(
            status.first <= self.cursors.into_iter().min().unwrap(),
            "{status:?}"
        );
        assert_eq!((status.durable, status.state), (status.next, LogState::Ok));
        self.model.truncate(usize::try_from(status.next).unwrap());
        self.acknowledged = status.next;
        let mut reader = self.process.log.reader(status.first).unwrap();
        self.compare(status.first, &read_all(&mut reader).unwrap());
        assert_eq!(reader.position(), status.next);
    }

    /// The records are those of the model, each in its place.
    fn compare(&self, from: u64, records: &[Record]) {
        for (number, record) in (from..).zip(records) {
            let (kind, received_at, payload) = &self.model[usize::try_from(number).unwrap()];
            assert_eq!(record.offset, number);
            assert_eq!((record.kind, record.received_at), (*kind, *received_at));
            assert!(
                record.payload == payload[..],
                "record {number} is another one"
            );
        }
    }

    fn act(&mut self) {
        match self.random.below(100) {
            0..50 => self.append(),
            50..75 => self.step(),
            75..85 => self.read(),
            85..88 => {
                self.process.log.retain().ok();
            }
            88..91 => {
                let free = self.random.below(3000);
                self.disk.set_capacity(self.disk.used_bytes() + free);
            }
            91..93 => self.disk.set_capacity(u64::MAX),
            93..96 => {
                let mut often = |most| u32::try_from(self.random.below(most)).unwrap();
                let faults = Faults {
                    short_write: often(500),
                    failed_write: often(15),
                    failed_sync: often(15),
                    failed_change: often(60),
                    stale_space: often(1024),
                };
                self.disk.set_faults(faults);
            }
            96..98 => self.disk.die_after(self.random.below(12)),
            _ => self.restart(),
        }
    }

    fn append(&mut self) {
        let size = if self.random.below(8) == 0 { 700 } else { 100 };
        let size = usize::try_from(self.random.below(size)).unwrap();
        let payload: Vec<u8> = (0..size)
            .map(|_| self.random.next().to_le_bytes()[0])
            .collect();
        let (kind, received_at) = (
            RecordKind(payload.len().to_le_bytes()[0]),
            self.random.next().cast_signed(),
        );
        let (head, rest) = payload.split_at(size / 3);
        match self
            .process
            .log
            .append_parts(kind, received_at, &[head, rest])
        {
            Ok(number) => {
                assert_eq!(number, self.model.len() as u64, "numbers are dense");
                self.model.push((kind, received_at, payload));
            }
            Err(AppendError::Full) => self.step(),
            Err(AppendError::Poisoned) => self.restart(),
            Err(error) => panic!("{error}"),
        }
    }

    fn step(&mut self) {
        let before = self.acknowledged;
        let step = self.process.writer.step();
        let durable = self.process.log.durable();
        assert!(self.is_acknowledged(durable) && !self.is_acknowledged(durable + 1));
        match step {
            Step::Synced { records, .. } => {
                assert_eq!(durable, before + records);
                self.acknowledged = durable;
            }
            Step::Idle => assert_eq!(durable, before),
            Step::NoRoom { .. } => {
                assert_eq!(durable, before);
                assert!(matches!(
                    self.process.log.status().state,
                    LogState::NoRoom(_)
                ));
            }
            Step::Poisoned { .. } => {
                assert_eq!(durable, before, "nothing is acknowledged by a failed sync");
                assert!(matches!(self.process.writer.step(), Step::Poisoned { .. }));
                self.restart();
            }
        }
    }

    /// Whether somebody who waits for this number is told so.
    fn is_acknowledged(&self, number: u64) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let wait = pin!(self.process.log.wait_durable(number));
        matches!(wait.poll(&mut context), Poll::Ready(Ok(())))
    }

    fn read(&mut self) {
        let who = usize::try_from(self.random.below(2)).unwrap();
        let (records_max, bytes_max) = (1 + self.random.below(20), 1 + self.random.below(3000));
        let reader = &mut self.process.readers[who];
        let from = reader.position();
        assert_eq!(from, self.cursors[who]);
        let read = reader.read(
            usize::try_from(records_max).unwrap(),
            usize::try_from(bytes_max).unwrap(),
        );
        let position = reader.position();
        match read {
            Ok(records) => {
                assert_eq!(position, from + records.len() as u64);
                assert!(
                    position <= self.acknowledged,
                    "only what is durable is read"
                );
                assert!(
                    !records.is_empty() || from == self.acknowledged,
                    "there is more to read"
                );
                self.compare(from, &records);
                self.cursors[who] = position;
                self.process.log.advance(CONSUMERS[who], position);
            }
            Err(ReadError::Io { .. }) => self.restart(),
            Err(error) => panic!("{error}"),
        }
    }

    /// The disk is well again: everything goes on, and nothing is missing.
    fn finish(&mut self) {
        self.disk.set_faults(Faults::default());
        self.restart();
        for _ in 0..20 {
            self.append();
            while self
                .cursors
                .iter()
                .any(|cursor| *cursor < self.acknowledged)
            {
                self.read();
            }
            self.step();
        }
        assert_eq!(
            self.acknowledged,
            self.model.len() as u64,
            "the log goes on by itself"
        );
    }
}

fn crash(random: &mut Random, disk: &FaultyDisk) {
    if random.below(2) == 0 {
        disk.power_cut();
    } else {
        disk.kill();
    }
}

fn read_all(reader: &mut Reader) -> Result<Vec<Record>, ReadError> {
    let mut all = Vec::new();
    loop {
        let records = reader.read(usize::MAX, usize::MAX)?;
        if records.is_empty() {
            return Ok(all);
        }
        all.extend(records);
    }
}

/// Says how to repeat the story in which the test fails.
struct Repeat(u64);

impl Drop for Repeat {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let seed = self.0;
            eprintln!(
                "repeat with: GRIDTRACE_FAULT_SEED={seed} cargo test -p gridtrace-storage --test log_faults"
            );
        }
    }
}

fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name| {
        std::env::var(name)
            .ok()
            .map(|value| value.parse::<u64>().unwrap())
    };
    match number("GRIDTRACE_FAULT_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("GRIDTRACE_FAULT_SEEDS").unwrap_or(usual),
    }
}

#[test]
fn what_was_acknowledged_outlives_every_fault() {
    let mut restarts = 0;
    for seed in seeds(1000) {
        let _repeat = Repeat(seed);
        let mut story = Story::new(seed);
        for _ in 0..ACTIONS {
            story.act();
        }
        story.finish();
        restarts += u64::from(story.process.log.status().first > 0);
    }
    let one_seed = std::env::var("GRIDTRACE_FAULT_SEED").is_ok();
    assert!(
        restarts > 0 || one_seed,
        "no story came as far as to remove a segment"
    );
}

#[test]
fn the_same_seed_is_the_same_story() {
    let end = |seed| {
        let mut story = Story::new(seed);
        for _ in 0..ACTIONS {
            story.act();
        }
        (story.process.log.status(), story.cursors, story.model)
    };
    for seed in 0..20 {
        assert!(end(seed) == end(seed), "seed {seed} cannot be repeated");
    }
}

/// A log of some segments on a good disk, its records, and the first record of its last commit.
fn good_log(random: &mut Random) -> (FaultyDisk, Vec<Entry>, u64) {
    let disk = FaultyDisk::new(0);
    let (log, mut writer, _) = open(&disk).unwrap();
    let mut records = Vec::new();
    let mut last_commit = 0;
    while log.status().segments < 4 {
        last_commit = log.durable();
        for _ in 0..=random.below(8) {
            let payload =
                vec![random.next().to_le_bytes()[0]; usize::try_from(random.below(200)).unwrap()];
            log.append_parts(RecordKind(3), 9, &[&payload]).unwrap();
            records.push((RecordKind(3), 9, payload));
        }
        assert!(matches!(writer.step(), Step::Synced { .. }));
    }
    (disk, records, last_commit)
}

fn segments(disk: &FaultyDisk) -> Vec<std::path::PathBuf> {
    use storage::file_system::FileSystem as _;
    let mut names = disk.list(Path::new(DIRECTORY)).unwrap();
    names.sort();
    names
        .iter()
        .map(|name| Path::new(DIRECTORY).join(name))
        .collect()
}

/// Opens and reads a log; `None` when it is refused as damaged.
fn read_log(disk: &FaultyDisk) -> Option<Vec<Record>> {
    let log = match open(disk) {
        Ok((log, _, _)) => log,
        Err(LogError::Damaged(_) | LogError::Version { .. }) => return None,
        Err(error) => panic!("{error}"),
    };
    match read_all(&mut log.reader(log.status().first).unwrap()) {
        Ok(records) => Some(records),
        Err(ReadError::Damaged(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_flipped_bit_is_refused_or_in_the_last_commit() {
    let mut refused = 0;
    for seed in seeds(1000) {
        let _repeat = Repeat(seed);
        let mut random = Random(seed);
        let (disk, records, last_commit) = good_log(&mut random);
        let files = segments(&disk);
        let file = &files[usize::try_from(random.below(files.len() as u64)).unwrap()];
        let bits = 8 * disk.content(file).unwrap().len() as u64;
        assert!(disk.flip_bit(file, random.below(bits)));
        let Some(read) = read_log(&disk) else {
            refused += 1;
            continue;
        };
        let length = read.len() as u64;
        assert!(
            (last_commit..records.len() as u64).contains(&length),
            "{length} of {}",
            records.len()
        );
        for (record, (_, _, payload)) in read.iter().zip(&records) {
            assert!(record.payload == payload[..], "wrong bytes were delivered");
        }
    }
    assert!(refused > 0 || std::env::var("GRIDTRACE_FAULT_SEED").is_ok());
}

#[test]
fn a_missing_or_shortened_older_segment_is_refused() {
    for seed in seeds(200) {
        let _repeat = Repeat(seed);
        let mut random = Random(seed);
        let (disk, ..) = good_log(&mut random);
        let files = segments(&disk);
        let file = &files[usize::try_from(random.below(3)).unwrap()];
        let content = disk.content(file).unwrap();
        let is_oldest = *file == files[0];
        if random.below(2) == 0 && !is_oldest {
            disk.lose(file);
        } else {
            let kept = usize::try_from(random.below(content.len() as u64)).unwrap();
            disk.put(file, content[..kept].to_vec());
        }
        assert!(read_log(&disk).is_none(), "{} was damaged", file.display());
    }
}

#[test]
fn a_tail_cut_or_zeroed_anywhere_loses_the_last_commit_at_most() {
    for seed in seeds(500) {
        let _repeat = Repeat(seed);
        let mut random = Random(seed);
        let (disk, records, last_commit) = good_log(&mut random);
        let file = segments(&disk).pop().unwrap();
        let mut content = disk.content(&file).unwrap();
        // The newest segment began with the last commit: all of it is open to a torn write.
        let kept = 64 + usize::try_from(random.below(content.len() as u64 - 64)).unwrap();
        match random.below(3) {
            0 => content.truncate(kept),
            1 => content[kept..].fill(0),
            _ => content.resize(content.len() + 4096, 0),
        }
        disk.put(&file, content);
        let read = read_log(&disk).expect("a torn tail is cut");
        assert!((last_commit..=records.len() as u64).contains(&(read.len() as u64)));
    }
}
