//! What a follower does with a store that is too slow, a log that lost its end, and a record that
//! cannot be read: too rare, or too large, for the stories.

use std::{fs, path::Path, sync::Arc};

use gateway::{
    ingest::record::FRAME,
    outlets::follower::{Step, StepError},
};
use harness::Books;
use storage::{
    file_system::{RealFileSystem, faulty::Random},
    log::{Log, LogConfig, LogWriter},
    store::{
        PositionQuery, Store,
        faulty::{FaultyStore, StoreFaults},
        memory::MemoryStore,
    },
};

use crate::{
    judge::now,
    process::{City, Process, Work},
    terminals::{START_S, Terminal},
};

fn open(directory: &Path) -> (Log, LogWriter) {
    let files = Arc::new(RealFileSystem);
    let (log, writer, _) = Log::open(files, directory, LogConfig::default()).unwrap();
    (log, writer)
}

fn store() -> FaultyStore {
    FaultyStore::over(Arc::new(MemoryStore::default()), 0)
}

/// Records messages; gives how many reports they have.
fn record(process: &mut Process, terminal: &mut Terminal, messages: usize) -> u64 {
    let (mut reports, mut random) = (0, Random(7));
    for _ in 0..messages {
        let (index, newest_s) = terminal.make(&mut random);
        let message = &terminal.messages[index];
        let at = (newest_s.max(START_S) + 1) * 1_000;
        let parts = [&message.payload[..]];
        process.log.append_parts(FRAME, at, &parts).unwrap();
        reports += message.reports.len() as u64;
    }
    while !matches!(process.writer.step(), storage::log::Step::Idle) {}
    reports
}

/// Steps both followers until they have caught up.
fn catch_up(process: &mut Process, store: &FaultyStore) {
    for _ in 0..100 {
        let stored = process.store_writer.go_on(store, Work::Step);
        let judged = process.evaluator.go_on(store, Work::Step);
        let is_done = |step| matches!(step, Some(Ok(Step::CaughtUp)));
        if is_done(stored) && is_done(judged) {
            return;
        }
    }
    panic!("they do not catch up");
}

fn stored(store: &FaultyStore) -> u64 {
    let rows = now(store.positions(&PositionQuery {
        terminal: None,
        from: geofence::units::Timestamp(i64::MIN / 2),
        to: geofence::units::Timestamp(i64::MAX / 2),
        within: None,
        after: None,
        limit: u32::MAX,
    }));
    rows.len() as u64
}

#[test]
fn a_batch_that_is_too_much_gets_smaller_until_it_is_not_and_grows_again() {
    let (folder, store, city) = (tempfile::tempdir().unwrap(), store(), City::new());
    let mut process = Process::start(open(folder.path()), &store, &city, true);
    let mut terminal = Terminal::new(0);
    let reports = record(&mut process, &mut terminal, 20_000);
    let per_record = reports / 20_000 + 1;
    let rows_max = usize::try_from(1_300 * per_record).unwrap();
    store.set_faults(StoreFaults {
        rows_max,
        ..StoreFaults::default()
    });
    let step = |process: &mut Process| process.store_writer.go_on(&store, Work::Step).unwrap();
    assert!(matches!(step(&mut process), Ok(Step::Started)));
    // 20,000, 10,000, 5,000 and 2,500 are too many, 1,250 are not, and they are tried often before
    // more are.
    let mut sizes = Vec::new();
    for _ in 0..14 {
        let lag = process.log.lag("store").unwrap();
        match step(&mut process) {
            Ok(Step::Applied) => sizes.push(lag - process.log.lag("store").unwrap()),
            Err(StepError::Store(error)) if error.is_timeout() => sizes.push(0),
            other => panic!("{other:?}"),
        }
    }
    let mut expected = [1_250; 14];
    for too_many in [0, 1, 2, 3, 12] {
        expected[too_many] = 0;
    }
    assert_eq!(sizes, expected);
    // The store has got faster.
    store.set_faults(StoreFaults::default());
    catch_up(&mut process, &store);
    let books: Books = process.books();
    assert_eq!(books.sum("gridtrace_positions_stored_total"), reports);
    let more = record(&mut process, &mut terminal, 5_000);
    catch_up(&mut process, &store);
    let books = process.books();
    assert_eq!(
        books.sum("gridtrace_positions_stored_total"),
        reports + more
    );
}

#[test]
fn records_that_take_the_numbers_of_lost_ones_are_not_skipped() {
    let copy = |from: &Path, to: &Path| {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    };
    // What comes after the loss, before the store answers; and whether the process dies between.
    for is_killed in [false, true] {
        let (folder, store, city) = (tempfile::tempdir().unwrap(), store(), City::new());
        let start = |name: &str| {
            let log = open(&folder.path().join(name));
            Process::start(log, &store, &city, true)
        };
        let mut terminal = Terminal::new(0);
        let mut process = start("log");
        record(&mut process, &mut terminal, 60);
        copy(&folder.path().join("log"), &folder.path().join("backup"));
        record(&mut process, &mut terminal, 40);
        catch_up(&mut process, &store);
        drop(process);
        let before = stored(&store);

        let mut process = start("backup");
        let id = process.log.id();
        assert_eq!(process.log.status().next, 60);
        assert_eq!(now(store.cursor(id, "store")), Some(100));
        let mut reports = 0;
        if is_killed {
            for _ in 0..2 {
                _ = process.store_writer.go_on(&store, Work::Step);
                _ = process.evaluator.go_on(&store, Work::Step);
            }
            reports += record(&mut process, &mut terminal, 80);
            drop(process);
            process = start("backup");
        } else {
            reports += record(&mut process, &mut terminal, 80);
        }
        catch_up(&mut process, &store);
        let books = process.books();
        let sum = |name: &str| books.sum(&format!("gridtrace_positions_{name}_total"));
        assert_eq!(sum("stored"), reports, "killed: {is_killed}");
        assert_eq!(sum("evaluated") + sum("skipped"), reports);
        let duplicates = books.value("gridtrace_positions_stored_total{result=\"duplicate\"}");
        assert_eq!(duplicates, 0);
        let new = books.value("gridtrace_positions_stored_total{result=\"inserted\"}");
        assert_eq!(stored(&store), before + new);
        for consumer in ["store", "evaluator"] {
            assert_eq!(now(store.cursor(id, consumer)), Some(140));
        }
    }
}

#[test]
fn a_record_that_cannot_be_read_again_is_counted_and_the_next_one_is_not_held_up() {
    let (folder, store, city) = (tempfile::tempdir().unwrap(), store(), City::new());
    let mut process = Process::start(open(folder.path()), &store, &city, true);
    let mut terminal = Terminal::new(0);
    let of_a_newer_version = [&[99, 13, 0][..]];
    let at = START_S * 1_000;
    process
        .log
        .append_parts(FRAME, at, &of_a_newer_version)
        .unwrap();
    let reports = record(&mut process, &mut terminal, 5);
    catch_up(&mut process, &store);
    let books = process.books();
    for consumer in ["store", "evaluator"] {
        let name = format!("gridtrace_records_unreadable_total{{consumer=\"{consumer}\"}}");
        assert_eq!(books.value(&name), 1);
    }
    assert_eq!(books.sum("gridtrace_positions_stored_total"), reports);
}
