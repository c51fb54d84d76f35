//! What only SQLite files can go wrong with.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use geofence::units::{Latitude, Longitude, Timestamp};
use storage::{
    embedded::{EmbeddedStore, Options},
    store::{MapBox, PositionQuery, PositionRow, Store},
};

use crate::{
    positions::all,
    setup::{LOG, batch, row, terminal},
};

const DAY: i64 = 86_400;

/// Rows of three days.
fn rows(number: u32) -> Vec<PositionRow> {
    (0..30)
        .map(|n| row(terminal(number), DAY * (n % 3) + n, number))
        .collect()
}

#[tokio::test]
async fn a_crash_between_the_days_and_the_cursor_loses_nothing_and_doubles_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        busy_timeout: Duration::from_millis(1),
        ..Options::default()
    };
    let store = EmbeddedStore::open_with(directory.path(), &options).unwrap();
    store.write_positions(&batch(1, rows(0))).await.unwrap();
    // With main.sqlite locked, a batch gets as far as a process that dies before its last commit.
    let other = rusqlite::Connection::open(directory.path().join("main.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.write_positions(&batch(2, rows(1))).await.unwrap_err();
    assert_eq!(error.reason(), "unavailable");
    drop((store, other));

    let store = EmbeddedStore::open(directory.path()).unwrap();
    assert_eq!(all(&store).await.len(), 60, "the days were written");
    assert_eq!(
        store.cursor(LOG, "store").await.unwrap(),
        Some(1),
        "the cursor was not"
    );
    let again = store.write_positions(&batch(2, rows(1))).await.unwrap();
    assert_eq!((again.inserted, again.duplicates), (0, 30));
    assert_eq!(all(&store).await.len(), 60);
    assert_eq!(store.cursor(LOG, "store").await.unwrap(), Some(2));
    assert_eq!(store.latest_positions(None, 9).await.unwrap().len(), 2);
}

const CHILD: &str = "GRIDTRACE_TEST_STORE";

#[tokio::test]
async fn a_killed_process_has_every_row_before_its_cursor() {
    let directory = tempfile::tempdir().unwrap();
    for acknowledged_before_kill in [3, 20, 41] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "embedded_only::child", "--nocapture"])
            .env(CHILD, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let acknowledged: Vec<u64> = lines
            .filter_map(|line| line.strip_prefix("acknowledged ")?.parse().ok())
            .take(acknowledged_before_kill)
            .collect();
        child.kill().unwrap();
        child.wait().unwrap();
        let last = *acknowledged.last().expect("the child writes");

        let store = EmbeddedStore::open(directory.path()).unwrap();
        let cursor = store.cursor(LOG, "store").await.unwrap().unwrap();
        assert!(cursor >= last, "{cursor} was acknowledged before {last}");
        let found = all(&store).await;
        for number in 0..u32::try_from(cursor).unwrap() {
            let count = found
                .iter()
                .filter(|row| row.position.digest == number)
                .count();
            assert_eq!(count, 30, "batch {number} of {cursor}");
        }
    }
}

/// Writes batches from where the cursor stands until it is killed, when told where; no test of
/// its own.
#[tokio::test]
async fn child() {
    let Some(directory) = std::env::var_os(CHILD) else {
        return;
    };
    let store = EmbeddedStore::open(Path::new(&directory)).unwrap();
    let start = store.cursor(LOG, "store").await.unwrap().unwrap_or(0);
    for number in u32::try_from(start).unwrap().. {
        let offset = u64::from(number) + 1;
        store
            .write_positions(&batch(offset, rows(number)))
            .await
            .unwrap();
        let mut line = std::io::stdout().lock();
        std::io::Write::write_all(&mut line, format!("\nacknowledged {offset}\n").as_bytes())
            .unwrap();
    }
}

/// The size of the largest write-ahead file.
fn write_ahead_bytes(directory: &Path) -> u64 {
    std::fs::read_dir(directory)
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.file_name().to_str().unwrap().ends_with("-wal"))
        .map(|entry| entry.metadata().unwrap().len())
        .max()
        .unwrap()
}

#[tokio::test]
async fn little_is_carried_over_into_a_database_at_once() {
    let sizes = [64 * 1024, 1024 * 1024].map(async |checkpoint_bytes| {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            checkpoint_bytes,
            ..Options::default()
        };
        let store = EmbeddedStore::open_with(directory.path(), &options).unwrap();
        for number in 0..40_u32 {
            let rows = (0..300).map(|n| row(terminal(number), n, number)).collect();
            let batch = batch(number.into(), rows);
            store.write_positions(&batch).await.unwrap();
        }
        write_ahead_bytes(directory.path())
    });
    let [small, large] = sizes;
    let (small, large) = (small.await, large.await);
    assert!(small < 512 * 1024, "{small} bytes");
    assert!(large > 1024 * 1024, "{large} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn steady_readers_do_not_let_the_write_ahead_files_grow() {
    let directory = tempfile::tempdir().unwrap();
    let wal_bytes_max = 256 * 1024;
    let options = Options {
        wal_bytes_max,
        readers: 2,
        ..Options::default()
    };
    let store = Arc::new(EmbeddedStore::open_with(directory.path(), &options).unwrap());
    store.write_positions(&batch(0, rows(0))).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut pages = 0_u32;
                loop {
                    pages += u32::from(!all(&*store).await.is_empty());
                    if stop.load(Ordering::Relaxed) {
                        return pages;
                    }
                }
            })
        })
        .collect();
    for number in 1..60_u32 {
        let rows = (0..300)
            .map(|n| row(terminal(number * 7 % 60), n, number))
            .collect();
        store
            .write_positions(&batch(number.into(), rows))
            .await
            .unwrap();
        let size = write_ahead_bytes(directory.path());
        assert!(size <= wal_bytes_max, "{size} bytes");
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
}

#[tokio::test]
async fn a_second_process_opens_the_store_while_the_first_one_writes() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(EmbeddedStore::open(directory.path()).unwrap());
    store.write_positions(&batch(0, rows(0))).await.unwrap();
    let writing = tokio::spawn(async move {
        for number in 1..40_u32 {
            store
                .write_positions(&batch(number.into(), rows(number)))
                .await
                .unwrap();
        }
    });
    let mut seen = 0;
    while !writing.is_finished() {
        let second = EmbeddedStore::open(directory.path()).unwrap();
        let count = all(&second).await.len();
        assert!(count >= seen);
        seen = count;
        second
            .write_positions(&batch(0, rows(1_000)))
            .await
            .unwrap();
    }
    writing.await.unwrap();
    assert_eq!(
        all(&EmbeddedStore::open(directory.path()).unwrap())
            .await
            .len(),
        41 * 30
    );
}

#[tokio::test]
async fn the_number_of_open_files_does_not_follow_the_number_of_days() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        open_days_max: 2,
        readers: 1,
        ..Options::default()
    };
    let store = EmbeddedStore::open_with(directory.path(), &options).unwrap();
    let rows: Vec<_> = (0..30).map(|n| row(terminal(1), DAY * n, 1)).collect();
    store.write_positions(&batch(1, rows)).await.unwrap();
    assert_eq!(all(&store).await.len(), 30);
    let open = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter(|path| path.starts_with(directory.path()))
        .count();
    // Two of the writer and two of the reader, each with its write-ahead file and index, and main.
    assert!(open <= (2 + 2 + 2) * 3, "{open} files are open");
}

#[tokio::test]
async fn a_query_gives_up_at_its_time_limit_and_the_next_one_works() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        query_timeout: Duration::ZERO,
        ..Options::default()
    };
    let store = EmbeddedStore::open_with(directory.path(), &options).unwrap();
    let rows = (0..3_000).map(|n| row(terminal(1), n, 1)).collect();
    store.write_positions(&batch(1, rows)).await.unwrap();
    let mut query = PositionQuery {
        terminal: None,
        from: Timestamp(0),
        to: Timestamp(i64::MAX),
        within: None,
        after: None,
        limit: 3_000,
    };
    assert_eq!(
        store.positions(&query).await.unwrap_err().reason(),
        "unavailable"
    );
    query.limit = 1;
    assert_eq!(store.positions(&query).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(EmbeddedStore::open(directory.path()).unwrap());
    let main = rusqlite::Connection::open(directory.path().join("main.sqlite")).unwrap();
    main.pragma_update(None, "user_version", 1_000).unwrap();
    let error = EmbeddedStore::open(directory.path()).unwrap_err();
    assert_eq!(error.reason(), "newer");
    assert!(error.to_string().contains("newer version"), "{error}");
}

#[tokio::test]
async fn rows_that_were_there_are_synced_with_the_cursor_that_speaks_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        commit_rows_max: 10,
        ..Options::default()
    };
    let store = EmbeddedStore::open_with(directory.path(), &options).unwrap();
    let rows = |count| -> Vec<PositionRow> { (0..count).map(|n| row(terminal(1), n, 1)).collect() };
    store.write_positions(&batch(1, rows(25))).await.unwrap();
    let path = file_of_a_day(directory.path());
    let file = rusqlite::Connection::open(&path).unwrap();
    // The first of several transactions of a batch are not synced, and the batch that comes again may be
    // a smaller one. That a file was synced is not seen; that something was written for it is.
    for count in [5, 25] {
        let emptied = file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
        assert_eq!(emptied, Ok(0));
        let written = store.write_positions(&batch(2, rows(count))).await.unwrap();
        assert_eq!(written.duplicates, count.cast_unsigned());
        let wal = std::fs::metadata(path.with_extension("sqlite-wal")).unwrap();
        assert!(wal.len() > 0, "{count}");
    }
}

fn file_of_a_day(directory: &Path) -> PathBuf {
    let files = std::fs::read_dir(directory).unwrap();
    let mut paths = files.map(|file| file.unwrap().path());
    let of_a_day = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("positions-") && name.ends_with(".sqlite")
    };
    paths.find(of_a_day).unwrap()
}

#[tokio::test]
async fn the_file_of_a_day_from_before_is_read_as_it_is_and_brought_up_by_who_writes() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    store.write_positions(&batch(1, rows(0))).await.unwrap();
    let expected = all(&store).await;
    drop(store);
    let file = rusqlite::Connection::open(file_of_a_day(directory.path())).unwrap();
    file.execute_batch(
        "DROP INDEX positions_by_ten_seconds; \
         CREATE INDEX positions_by_time ON positions (fixed_at, terminal, digest)",
    )
    .unwrap();
    file.pragma_update(None, "user_version", 2).unwrap();
    let version = || file.query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0));

    let store = EmbeddedStore::open(directory.path()).unwrap();
    assert_eq!(all(&store).await, expected);
    assert_eq!(version(), Ok(2));
    store.write_positions(&batch(2, rows(1))).await.unwrap();
    assert_eq!(version(), Ok(3));
    assert_eq!(all(&store).await.len(), expected.len() * 2);
}

#[tokio::test]
async fn rows_of_ten_seconds_come_in_the_order_of_moments_page_by_page() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    // Of five terminals, each second; some at the edges of ten seconds, and nothing for a while.
    let seconds = (0..35).chain(100..125);
    let rows: Vec<PositionRow> = seconds
        .flat_map(|second| (1..6).map(move |number| row(terminal(number), second, number)))
        .collect();
    store
        .write_positions(&batch(1, rows.clone()))
        .await
        .unwrap();
    let mut query = PositionQuery {
        terminal: None,
        from: Timestamp(9_000),
        to: Timestamp(120_000),
        within: None,
        after: None,
        limit: 7,
    };
    let key = |row: &PositionRow| {
        let position = &row.position;
        (position.fixed_at, position.terminal, position.digest)
    };
    let mut expected: Vec<_> = rows.iter().map(key).collect();
    expected.retain(|(at, ..)| (query.from..query.to).contains(at));
    expected.sort_unstable();
    let [south, north] = [-90.0, 90.0].map(|degrees| Latitude::from_degrees(degrees).unwrap());
    let [west, east] = [-180.0, 180.0].map(|degrees| Longitude::from_degrees(degrees).unwrap());
    let whole_earth = MapBox {
        west,
        south,
        east,
        north,
    };
    for within in [None, Some(whole_earth)] {
        query.within = within;
        query.after = None;
        let mut found = Vec::new();
        loop {
            let page = store.positions(&query).await.unwrap();
            found.extend(page.iter().map(key));
            query.after = found.last().copied();
            if page.len() < 7 {
                break;
            }
        }
        assert_eq!(found, expected);
    }
}
