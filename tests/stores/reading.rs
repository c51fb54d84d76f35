//! Positions that are read whole from a database: what that costs the server, and what happens when
//! time runs out. What is counted are rows that the server fetched, by its own statistics: they do
//! not depend on the machine.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _};
use geofence::units::Timestamp;
use harness::{postgres::Postgres, until};
use storage::{
    store::{PositionQuery, PositionRow, Store as _},
    timescale::{Options, TimescaleStore},
};

use crate::setup::{self, MIDNIGHT, batch, row, terminal};

const EVERYTHING: PositionQuery = PositionQuery {
    terminal: None,
    from: Timestamp(0),
    to: Timestamp(i64::MAX),
    within: None,
    after: None,
    limit: 20,
};
/// Rows of partitions or chunks, and batches of compressed ones, that were fetched since the server
/// was made.
const FETCHED: &str = "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0) \
    FROM pg_stat_all_tables WHERE relname ~ '^(positions_|_hyper_|compress_hyper_)'";

async fn connect(url: &str, options: Options) -> Arc<TimescaleStore> {
    Arc::new(TimescaleStore::connect(url, options).await.unwrap())
}

/// How many were fetched, once every session of ours has ended and told the server.
async fn fetched(server: &Postgres, url: &str) -> u64 {
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gridtrace' \
                    AND datname = current_database()";
    until("our sessions have ended", async || {
        (server.execute(url, sessions) == "0").then_some(())
    })
    .await;
    server.execute(url, FETCHED).parse().unwrap()
}

async fn read(url: &str) -> Vec<PositionRow> {
    let store = connect(url, Options::default()).await;
    let pieces: Vec<_> = store.all_positions(EVERYTHING).try_collect().await.unwrap();
    pieces.concat()
}

/// A fleet that reports at the same moment, then one that goes on for days: three hundred pieces.
fn fleet() -> Vec<PositionRow> {
    let at_once = (0..4_000).map(|n| row(terminal(n % 500), 7, n));
    let later = (0..2_000).map(|n| row(terminal(n % 10), 60 * i64::from(n), n));
    at_once.chain(later).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_row_is_fetched_again_for_each_piece_and_no_statistics_are_needed() {
    let servers = [Postgres::start_with(&["fsync=off", "autovacuum=off"])];
    let with_timescale = Postgres::start_with_timescale(&[setup::NO_WORKERS, "autovacuum=off"]);
    for server in servers.into_iter().chain([with_timescale]).flatten() {
        let url = server.database();
        let store = connect(&url, Options::default()).await;
        let is_hypertable = store.description().contains("chunks");
        let mut expected = fleet();
        store
            .write_positions(&batch(1, expected.clone()))
            .await
            .unwrap();
        drop(store);
        expected.sort_by_key(PositionRow::key);
        for is_compressed in [false, true] {
            if is_compressed && !is_hypertable {
                continue;
            }
            let stored = if is_compressed {
                server.execute(
                    &url,
                    "SELECT compress_chunk(show_chunks('gridtrace.positions'))",
                );
                // A batch for each terminal and day.
                510
            } else {
                6_000
            };
            let before = fetched(&server, &url).await;
            assert!(read(&url).await == expected, "not what was stored");
            let count = fetched(&server, &url).await - before;
            // Windows of small tables may be cut out of all rows. Pages of the same size would fetch
            // the first moment alone 200 times.
            assert!(
                (stored..=12 * stored).contains(&count),
                "{count} fetched for {stored}, compressed: {is_compressed}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_slower_than_the_time_limit_gets_everything_once() {
    let Some(server) = setup::plain() else { return };
    let url = server.database();
    let store = connect(&url, Options::default()).await;
    store
        .write_positions(&batch(1, vec![row(terminal(1), 0, 0)]))
        .await
        .unwrap();
    drop(store);
    // More than fits into the buffers on the way, within one window.
    server.execute(
        &url,
        "INSERT INTO gridtrace.positions SELECT p.terminal, p.fixed_at + s * interval '1 ms', s, \
         p.received_at, s, 0, 0, 0, 0, 0, 0, 0, 0, 0, true, false, NULL, NULL, NULL, NULL \
         FROM gridtrace.positions p, generate_series(1, 100000) s",
    );
    let options = Options {
        write_timeout: Duration::from_millis(1_000),
        ..Options::default()
    };
    let store = connect(&url, options).await;
    let query = PositionQuery {
        limit: 10_000,
        ..EVERYTHING
    };
    let mut reading = store.all_positions(query);
    let mut moments: Vec<Timestamp> = Vec::new();
    while let Some(rows) = reading.next().await {
        let is_first = moments.is_empty();
        moments.extend(rows.unwrap().iter().map(|row| row.position.fixed_at));
        if is_first {
            tokio::time::sleep(Duration::from_millis(1_500)).await;
        }
    }
    let expected: Vec<_> = (0..=100_000).map(|n| MIDNIGHT.plus_millis(n)).collect();
    assert!(moments == expected, "{} moments", moments.len());
    drop(reading);
    fetched(server, &url).await;
    let cancelled = "SELECT xact_rollback > 0 FROM pg_stat_database \
                     WHERE datname = current_database()";
    assert_eq!(server.execute(&url, cancelled), "t", "no limit was met");
}
