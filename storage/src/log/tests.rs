//! The log as a whole, on a disk in memory; on the real one where that matters. Faults by the
//! thousand are in `tests/log_faults.rs`.

mod format;

use std::{
    fs,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use super::*;
use crate::file_system::{
    RealFileSystem,
    faulty::{Faults, FaultyDisk},
};

const ID: Uuid = Uuid::from_u128(0x5b1c_7e90_42d3_4f6a_8e21_0f9d_3c6b_a754);
const KIND: RecordKind = RecordKind(1);
const DIRECTORY: &str = "/data/log";

fn config() -> LogConfig {
    LogConfig {
        segment_bytes_max: 4 << 10,
        size_bytes_max: 16 << 10,
        free_bytes_min: 0,
        staged_bytes_max: 2 << 10,
        record_bytes_max: 1 << 10,
        block_bytes: 256,
        zero_ahead_bytes: 300,
        commit_interval: Duration::ZERO,
    }
}

fn open_on(disk: &FaultyDisk) -> Result<(Log, LogWriter, Recovered), LogError> {
    Log::open_or_create(Arc::new(disk.clone()), Path::new(DIRECTORY), config(), ID)
}

fn open() -> (FaultyDisk, Log, LogWriter) {
    let disk = FaultyDisk::new(0);
    let (log, writer, recovered) = open_on(&disk).unwrap();
    assert_eq!(
        recovered,
        Recovered {
            records: 0,
            segments: 1,
            cut_bytes: 0
        }
    );
    (disk, log, writer)
}

fn append(log: &Log, payload: &[u8]) -> u64 {
    log.append_parts(KIND, 1_700_000_000_000, &[payload])
        .unwrap()
}

fn sync(writer: &mut LogWriter) {
    let step = writer.step();
    assert!(matches!(step, Step::Synced { .. }), "{step:?}");
}

/// Appends and syncs records of a kilobyte until there are so many segments.
fn fill(log: &Log, writer: &mut LogWriter, segments: usize) {
    while log.status().segments < segments {
        append(log, &[7; 1000]);
        sync(writer);
    }
}

fn numbers(reader: &mut Reader) -> Vec<u64> {
    reader
        .read(usize::MAX, usize::MAX)
        .unwrap()
        .iter()
        .map(|record| record.offset)
        .collect()
}

fn poll(wait: &mut WaitDurable) -> Poll<Result<(), WaitError>> {
    std::pin::Pin::new(wait).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_record_is_durable_after_the_step_and_not_before() {
    let (_disk, log, mut writer) = open();
    let number = log
        .append_parts(RecordKind(9), -5, &[b"po", b"", b"sition"])
        .unwrap();
    let mut wait = log.wait_durable(number + 1);
    assert!(poll(&mut wait).is_pending());
    let mut reader = log.reader(0).unwrap();
    assert_eq!(
        numbers(&mut reader),
        [0_u64; 0],
        "nobody reads what is not durable"
    );
    sync(&mut writer);
    assert_eq!(poll(&mut wait), Poll::Ready(Ok(())));
    let expected = Record {
        offset: 0,
        kind: RecordKind(9),
        received_at: -5,
        payload: b"position"[..].into(),
    };
    assert_eq!(reader.read(10, 100).unwrap(), [expected]);
    assert!(matches!(writer.step(), Step::Idle));
}

#[test]
fn what_arrives_together_is_synced_together() {
    let (_disk, log, mut writer) = open();
    for _ in 0..20 {
        append(&log, b"position");
    }
    assert!(matches!(writer.step(), Step::Synced { records: 20, .. }));
    assert_eq!(log.durable(), 20);
}

#[test]
fn a_log_goes_on_where_it_was() {
    let (disk, log, mut writer) = open();
    fill(&log, &mut writer, 3);
    let before = log.status();
    drop((log, writer));
    let (log, mut writer, recovered) = open_on(&disk).unwrap();
    assert_eq!(log.status(), before);
    assert_eq!(
        recovered,
        Recovered {
            records: before.next,
            segments: 3,
            cut_bytes: 0
        }
    );
    assert_eq!(append(&log, b"more"), before.next);
    sync(&mut writer);
    let mut reader = log.reader(0).unwrap();
    assert!(numbers(&mut reader).into_iter().eq(0..=before.next));
    assert_eq!(reader.position(), log.durable());
}

#[test]
fn a_reader_begins_anywhere_and_keeps_to_its_limits() {
    let (_disk, log, mut writer) = open();
    fill(&log, &mut writer, 3);
    for start in 0..=log.durable() {
        let mut reader = log.reader(start).unwrap();
        assert!(
            numbers(&mut reader).into_iter().eq(start..log.durable()),
            "from {start}"
        );
    }
    let mut reader = log.reader(1).unwrap();
    assert_eq!(reader.read(2, usize::MAX).unwrap().len(), 2);
    assert_eq!(
        reader.read(usize::MAX, 1001).unwrap().len(),
        2,
        "it may be exceeded by one record"
    );
    assert_eq!(reader.position(), 5);
    let ahead = log.reader(log.durable() + 1).unwrap_err();
    assert_eq!(ahead.reason(), "ahead");
}

#[test]
fn segments_are_kept_until_every_consumer_is_past_them() {
    let (disk, log, mut writer) = open();
    fill(&log, &mut writer, 3);
    assert_eq!(
        log.retain().unwrap(),
        0,
        "nothing is removed while nobody is registered"
    );
    let second = log.shared.segments.lock().holding(5).unwrap().segment.first;
    log.register_consumer("slow", 0);
    log.register_consumer("fast", log.durable());
    assert_eq!(log.lag("slow"), Some(log.durable()));
    assert_eq!((log.lag("fast"), log.lag("nobody")), (Some(0), None));
    assert_eq!(log.retain().unwrap(), 0);
    log.advance("slow", second);
    log.advance("slow", 0);
    let used = disk.used_bytes();
    assert_eq!(log.retain().unwrap(), 1, "a consumer does not go back");
    assert!(disk.used_bytes() < used);
    assert_eq!(log.status().first, second);
    assert_eq!(log.reader(0).unwrap_err().reason(), "removed");
    log.advance("slow", log.durable());
    assert_eq!(log.retain().unwrap(), 1, "the newest stays");
    let next = log.status().next;
    drop((log, writer));
    disk.power_cut();
    let (log, ..) = open_on(&disk).unwrap();
    assert_eq!((log.status().next, log.id()), (next, ID), "numbers go on");
}

#[test]
fn a_reader_is_not_disturbed_by_the_removal_of_what_it_has_read() {
    let (_disk, log, mut writer) = open();
    fill(&log, &mut writer, 2);
    log.register_consumer("store", 0);
    let mut reader = log.reader(0).unwrap();
    let mut seen = 0;
    for _ in 0..50 {
        append(&log, &[1; 900]);
        sync(&mut writer);
        for number in numbers(&mut reader) {
            assert_eq!(number, seen);
            seen += 1;
        }
        log.advance("store", reader.position());
        log.retain().unwrap();
    }
    assert_eq!(seen, log.durable());
    assert!(log.status().first > 0);
}

#[test]
fn at_the_size_limit_it_waits_for_its_consumers_and_loses_nothing() {
    let (_disk, log, mut writer) = open();
    log.register_consumer("store", 0);
    let reason = loop {
        append(&log, &[7; 1000]);
        if let Step::NoRoom { reason } = writer.step() {
            break reason;
        }
    };
    assert_eq!(reason, NoRoom::SizeLimit);
    assert_eq!(log.status().state, LogState::NoRoom(NoRoom::SizeLimit));
    let waiting = log.status();
    assert!(waiting.bytes <= config().size_bytes_max);
    let mut wait = log.wait_durable(waiting.next);
    assert!(poll(&mut wait).is_pending());
    log.advance("store", log.durable());
    sync(&mut writer);
    assert_eq!(poll(&mut wait), Poll::Ready(Ok(())));
    assert_eq!(log.status().state, LogState::Ok);
}

#[test]
fn one_full_segment_is_no_dead_end_when_the_log_may_have_only_one() {
    let disk = FaultyDisk::new(0);
    let config = LogConfig {
        size_bytes_max: 4 << 10,
        ..config()
    };
    let (log, mut writer, _) =
        Log::open_or_create(Arc::new(disk), Path::new(DIRECTORY), config, ID).unwrap();
    log.register_consumer("store", 0);
    for number in 0..100 {
        assert_eq!(append(&log, &[7; 900]), number);
        sync(&mut writer);
        log.advance("store", log.durable());
    }
}

#[test]
fn a_full_disk_is_waited_for_and_the_half_written_commit_is_written_again() {
    let (disk, log, mut writer) = open();
    append(&log, b"before");
    sync(&mut writer);
    disk.set_capacity(disk.used_bytes() + 100);
    append(&log, &[3; 500]);
    let step = writer.step();
    assert!(
        matches!(
            step,
            Step::NoRoom {
                reason: NoRoom::FreeSpace
            }
        ),
        "{step:?}"
    );
    disk.set_faults(Faults {
        stale_space: 1024,
        ..Faults::default()
    });
    for _ in 0..3 {
        let step = writer.step();
        assert!(
            matches!(
                step,
                Step::NoRoom {
                    reason: NoRoom::DiskFull
                }
            ),
            "{step:?}"
        );
        assert_eq!(
            disk.used_bytes(),
            log.status().bytes,
            "the part that was written is given back"
        );
    }
    append(&log, b"after");
    disk.set_capacity(u64::MAX);
    sync(&mut writer);
    sync(&mut writer);
    let records = log.reader(0).unwrap().read(10, 10_000).unwrap();
    let payloads: Vec<_> = records.iter().map(|record| &record.payload[..]).collect();
    assert_eq!(payloads, [&b"before"[..], &[3; 500], b"after"]);
}

#[test]
fn a_failed_sync_ends_all_acknowledgement() {
    let (disk, log, mut writer) = open();
    append(&log, b"lost");
    let mut wait = log.wait_durable(1);
    assert!(poll(&mut wait).is_pending());
    disk.set_faults(Faults {
        failed_sync: 1024,
        ..Faults::default()
    });
    assert!(writer.wait());
    let Step::Poisoned { cause } = writer.step() else {
        panic!("the sync failed")
    };
    assert_eq!(
        cause.to_string(),
        "sync /data/log/00000000000000000000.log: a fault by the seed"
    );
    assert_eq!(poll(&mut wait), Poll::Ready(Err(WaitError::Poisoned)));
    disk.set_faults(Faults::default());
    assert_eq!(log.append_parts(KIND, 0, &[]), Err(AppendError::Poisoned));
    assert!(matches!(writer.step(), Step::Poisoned { .. }));
    assert_eq!((log.durable(), log.status().state), (0, LogState::Poisoned));
    assert!(!writer.wait(), "it was told");
}

#[test]
fn records_beyond_the_bound_are_refused_until_a_sync() {
    let (_disk, log, mut writer) = open();
    append(&log, &[0; 900]);
    append(&log, &[0; 900]);
    assert_eq!(
        log.append_parts(KIND, 0, &[&[0; 900]]),
        Err(AppendError::Full)
    );
    sync(&mut writer);
    assert_eq!(
        append(&log, &[0; 900]),
        2,
        "a refused record takes no number"
    );
    let too_large = log.append_parts(KIND, 0, &[&[0; 600], &[0; 600]]);
    assert_eq!(
        too_large,
        Err(AppendError::TooLarge {
            bytes: 1200,
            max: 1024
        })
    );
}

#[test]
fn a_closed_log_writes_what_is_staged_and_then_ends() {
    let (_disk, log, mut writer) = open();
    append(&log, b"staged");
    log.close();
    assert_eq!(log.append_parts(KIND, 0, &[]), Err(AppendError::Closed));
    let (mut staged, mut never) = (log.wait_durable(1), log.wait_durable(2));
    assert!(writer.wait());
    sync(&mut writer);
    assert!(poll(&mut never).is_pending());
    assert!(!writer.wait());
    assert_eq!(poll(&mut staged), Poll::Ready(Ok(())));
    assert_eq!(poll(&mut never), Poll::Ready(Err(WaitError::Closed)));
}

#[test]
fn a_log_that_is_closed_without_room_does_not_wait_for_any() {
    let (disk, log, mut writer) = open();
    disk.set_capacity(0);
    append(&log, b"staged");
    assert!(writer.wait());
    assert!(matches!(writer.step(), Step::NoRoom { .. }));
    log.close();
    assert!(!writer.wait());
    assert_eq!(
        poll(&mut log.wait_durable(1)),
        Poll::Ready(Err(WaitError::Closed))
    );
}

#[test]
fn nobody_waits_for_a_writer_that_is_gone() {
    let (_disk, log, writer) = open();
    let mut wait = log.wait_durable(1);
    assert!(poll(&mut wait).is_pending());
    drop(writer);
    assert_eq!(poll(&mut wait), Poll::Ready(Err(WaitError::Closed)));
    assert_eq!(log.append_parts(KIND, 0, &[]), Err(AppendError::Closed));
}

#[test]
fn many_threads_append_to_a_real_disk_and_everything_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let config = LogConfig {
        segment_bytes_max: 64 << 10,
        record_bytes_max: 1 << 10,
        staged_bytes_max: 16 << 10,
        free_bytes_min: 0,
        ..LogConfig::default()
    };
    let (log, mut writer, _) = Log::open(Arc::new(RealFileSystem), &path, config.clone()).unwrap();
    let stepping = thread::spawn(move || {
        while writer.wait() {
            let step = writer.step();
            assert!(matches!(step, Step::Synced { .. }), "{step:?}");
        }
    });
    thread::scope(|scope| {
        for appender in 0..4_u8 {
            let log = &log;
            scope.spawn(move || {
                for count in 0..1000_u32 {
                    let payload = count.to_le_bytes();
                    while log.append_parts(RecordKind(appender), 0, &[&payload, &[appender; 60]])
                        == Err(AppendError::Full)
                    {
                        thread::yield_now();
                    }
                }
            });
        }
    });
    log.close();
    stepping.join().unwrap();
    let in_use = Log::open(Arc::new(RealFileSystem), &path, config.clone()).unwrap_err();
    assert_eq!(in_use.reason(), "in_use");
    drop(log);
    let (log, _writer, recovered) = Log::open(Arc::new(RealFileSystem), &path, config).unwrap();
    assert_eq!(recovered.records, 4000);
    assert!(recovered.segments > 1);
    let mut counts = [0_u32; 4];
    let mut reader = log.reader(0).unwrap();
    for record in reader.read(usize::MAX, usize::MAX).unwrap() {
        let count = &mut counts[usize::from(record.kind.0)];
        assert_eq!(
            record.payload[..4],
            count.to_le_bytes(),
            "each appender's own order is kept"
        );
        *count += 1;
    }
    assert_eq!(counts, [1000; 4]);
}

#[test]
fn a_segment_that_was_never_used_is_removed() {
    let (disk, log, mut writer) = open();
    fill(&log, &mut writer, 2);
    let next = log.status().next;
    drop((log, writer));
    for length in [0, 10, 63, 64] {
        disk.put(&segment::path(Path::new(DIRECTORY), next), vec![0; length]);
        let (log, _writer, recovered) = open_on(&disk).unwrap();
        assert_eq!(
            (log.status().next, recovered.cut_bytes),
            (next, length as u64)
        );
    }
    let used = segment::path(Path::new(DIRECTORY), next);
    disk.put(&used, vec![0; 65]);
    assert_eq!(
        open_on(&disk).unwrap_err().reason(),
        "damaged",
        "records may have been in it"
    );
}
