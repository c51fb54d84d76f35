//! Snapshots of the embedded store, where they are too large together for one transaction.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rusqlite::Connection;
use storage::{
    embedded::{EmbeddedStore, Options},
    store::Store,
};

use crate::setup::{LOG, findings};

type Snapshots = BTreeMap<String, Vec<u8>>;

/// Some hundred bytes in each transaction.
fn store_in(directory: &Path) -> EmbeddedStore {
    let options = Options {
        checkpoint_bytes: 500,
        ..Options::default()
    };
    EmbeddedStore::open_with(directory, &options).unwrap()
}

/// Snapshots with some numbers, each of 100 times the same byte.
fn snapshots(numbers: impl IntoIterator<Item = u32>, byte: u8) -> Snapshots {
    let snapshot = |number| (format!("{number:04}"), vec![byte; 100]);
    numbers.into_iter().map(snapshot).collect()
}

async fn write(store: &EmbeddedStore, cursor: u64, snapshots: &Snapshots) -> bool {
    let mut batch = findings(cursor, vec![]);
    batch.snapshots.clone_from(snapshots);
    batch.moves_cursor = true;
    store.write_findings(&batch).await.is_ok()
}

fn main_of(directory: &Path) -> Connection {
    Connection::open(directory.join("main.sqlite")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_all_of_one_moment_or_all_of_the_one_before() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(store_in(directory.path()));
    assert!(write(&store, 1, &snapshots(0..200, 1)).await);
    let is_over = Arc::new(AtomicBool::new(false));
    let reading = tokio::spawn({
        let (store, is_over) = (Arc::clone(&store), Arc::clone(&is_over));
        async move {
            let mut looks = 0;
            while !is_over.load(Ordering::Relaxed) {
                let seen = store.snapshots().await.unwrap();
                let byte = seen["0000"][0];
                assert_eq!(seen, snapshots(0..200, byte));
                looks += 1;
            }
            looks
        }
    });
    for byte in 2..30 {
        assert!(write(&store, byte.into(), &snapshots(0..200, byte)).await);
        // No key has more than what is in force, and what was before it.
        let sql =
            "SELECT max(n), sum(n) FROM (SELECT count(*) n FROM snapshot_versions GROUP BY key)";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let counts: (u32, u32) = main_of(directory.path()).query_row(sql, [], read).unwrap();
        assert_eq!(counts, (2, 400));
    }
    is_over.store(true, Ordering::Relaxed);
    assert!(reading.await.unwrap() > 0);
    let gone = (0..200).map(|number| (format!("{number:04}"), Vec::new()));
    assert!(write(&store, 30, &gone.collect()).await);
    let sql = "SELECT count(*) FROM snapshot_versions";
    let left = main_of(directory.path()).query_row(sql, [], |row| row.get::<_, u32>(0));
    assert_eq!(left, Ok(0));
}

#[tokio::test]
async fn what_an_attempt_that_failed_has_left_never_comes_into_force() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path());
    assert!(write(&store, 1, &snapshots(0..50, 1)).await);
    let main = main_of(directory.path());
    main.execute_batch(
        "CREATE TRIGGER no_more BEFORE UPDATE OF number ON snapshots_in_force \
         BEGIN SELECT RAISE(ABORT, 'no more'); END",
    )
    .unwrap();
    assert!(!write(&store, 2, &snapshots(0..100, 2)).await);
    let ahead = main.query_row("SELECT is_ahead FROM snapshots_in_force", [], |row| {
        row.get(0)
    });
    assert_eq!(ahead, Ok(true), "some were written ahead");
    main.execute_batch("DROP TRIGGER no_more").unwrap();
    // In the same process, and in another one.
    let is_unchanged = async |store: &EmbeddedStore| {
        assert_eq!(store.snapshots().await.unwrap(), snapshots(0..50, 1));
        assert_eq!(store.cursor(LOG, "evaluator").await.unwrap(), Some(1));
    };
    is_unchanged(&store).await;
    drop(store);
    let store = store_in(directory.path());
    is_unchanged(&store).await;
    // Few enough for one transaction, and too many.
    for (cursor, numbers) in [(2, 20..22), (3, 20..40)] {
        assert!(write(&store, cursor, &snapshots(numbers.clone(), 3)).await);
        let mut expected = snapshots(0..50, 1);
        expected.append(&mut snapshots(numbers, 3));
        assert_eq!(store.snapshots().await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_file_from_before_keeps_its_snapshots() {
    let directory = tempfile::tempdir().unwrap();
    let expected = snapshots(0..3, 7);
    let main = main_of(directory.path());
    let before = [
        include_str!("../../storage/migrations/embedded/main_0001.sql"),
        include_str!("../../storage/migrations/embedded/main_0002_retention.sql"),
        include_str!("../../storage/migrations/embedded/main_0003_inputs.sql"),
    ];
    for sql in before {
        main.execute_batch(sql).unwrap();
    }
    main.pragma_update(None, "user_version", before.len() as i64)
        .unwrap();
    for snapshot in &expected {
        let sql = "INSERT INTO snapshots VALUES (?, ?)";
        main.execute(sql, snapshot).unwrap();
    }
    drop(main);
    let store = store_in(directory.path());
    assert_eq!(store.snapshots().await.unwrap(), expected);
    let changed = snapshots(1..3, 8);
    assert!(write(&store, 1, &changed).await);
    let all = expected.into_iter().chain(changed).collect();
    assert_eq!(store.snapshots().await.unwrap(), all);
}
