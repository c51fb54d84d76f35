//! What only TimescaleDB does by itself, and what stands in for it where it cannot.

use std::time::Duration;

use harness::postgres::Postgres;
use storage::{
    store::{PositionRow, Retention, Store},
    timescale::{Options, Rules, TimescaleStore},
};

use crate::{
    migrations::BEFORE_INPUTS,
    positions::all,
    setup::{self, MIDNIGHT, NO_WORKERS, batch, row, terminal},
};

const HOUR: i64 = 3_600;

async fn connect(url: &str, rules: Option<Rules>) -> TimescaleStore {
    let options = Options {
        rules,
        ..Options::default()
    };
    TimescaleStore::connect(url, options).await.unwrap()
}

/// A server of each kind: plain, Apache licence, full licence.
fn servers() -> Vec<Postgres> {
    [
        Postgres::start(),
        Postgres::start_with_timescale(&["timescaledb.license=apache"]),
        Postgres::start_with_timescale(&[NO_WORKERS]),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn driven(seconds: i64, odometer_dkm: u32, speed_dkmh: u16, digest: u32) -> PositionRow {
    let mut row = row(terminal(1), seconds, digest);
    row.position.odometer_dkm = Some(odometer_dkm);
    row.position.speed_dkmh = speed_dkmh;
    row
}

/// What the policy does every half hour.
const REFRESH: &str = "CALL refresh_continuous_aggregate('gridtrace.terminal_hours', NULL, NULL); \
                       CALL refresh_continuous_aggregate('gridtrace.unit_grid_hours', NULL, NULL)";

#[tokio::test]
async fn the_sums_of_an_hour_are_the_same_everywhere_and_follow_late_rows() {
    for server in servers() {
        let url = server.database();
        let store = connect(&url, Some(Rules::default())).await;
        let is_continuous = store.description().contains("continuous aggregates");
        let refresh = || {
            if is_continuous {
                for statement in REFRESH.split("; ") {
                    server.execute(&url, statement);
                }
            }
        };
        let by_phone = || {
            server.execute(
                &url,
                "SELECT phone, hour, positions, standing, slow, driving, fast, \
                 trunc(speed_max_kmh), driven_m FROM gridtrace.terminal_hours_by_phone \
                 ORDER BY phone, hour",
            )
        };
        let mut other = row(terminal(2), 20, 1);
        other.position.odometer_dkm = Some(0);
        other.unit_grid = None;
        let rows = vec![
            driven(0, 1_000, 0, 1),
            driven(60, 1_002, 150, 1),
            driven(1_800, 1_010, 399, 1),
            driven(3_599, 1_025, 500, 1),
            driven(3_600, 1_026, 20, 1),
            // Exchanged: it begins anew.
            driven(5_000, 3, 20, 1),
            other,
        ];
        store.write_positions(&batch(1, rows)).await.unwrap();
        let (first, second) = ("2025-11-25 00:00:00+00", "2025-11-25 01:00:00+00");
        let other = format!("13800000002|{first}|1|0|0|1|0|36|");
        let expected = format!(
            "13800000001|{first}|4|1|1|1|1|50|2500\n13800000001|{second}|2|2|0|0|0|2|\n{other}"
        );
        assert_eq!(by_phone(), expected, "{}", store.description());
        refresh();
        assert_eq!(by_phone(), expected, "{}", store.description());
        // Weeks later, into hours that were added up, and into a new one before them.
        let late = vec![driven(3_590, 1_020, 100, 1), driven(-HOUR, 900, 0, 1)];
        store.write_positions(&batch(2, late)).await.unwrap();
        refresh();
        let expected = format!(
            "13800000001|2025-11-24 23:00:00+00|1|1|0|0|0|0|0\n\
             13800000001|{first}|5|1|2|1|1|50|2500\n13800000001|{second}|2|2|0|0|0|2|\n{other}"
        );
        assert_eq!(by_phone(), expected, "{}", store.description());
        let grids = "SELECT unit_grid, positions, terminals FROM gridtrace.unit_grid_hours \
                     ORDER BY hour";
        assert_eq!(
            server.execute(&url, grids),
            "14010500100101|1|1\n14010500100101|5|1\n14010500100101|2|1"
        );
        // What is gone is in no sum.
        let retention = Retention {
            positions_before: Some(MIDNIGHT.plus_millis(30 * 86_400_000)),
            quarantined_before: None,
        };
        assert_eq!(store.retain(&retention).await.unwrap().days, 2);
        refresh();
        assert_eq!(by_phone(), "", "{}", store.description());
    }
}

#[tokio::test]
async fn the_policy_itself_adds_up_what_came_late() {
    let Some(server) = Postgres::start_with_timescale(&[NO_WORKERS]) else {
        return;
    };
    let url = server.database();
    let store = connect(&url, Some(Rules::default())).await;
    let materialized = "SELECT coalesce(sum(positions), 0) FROM gridtrace.terminal_hours";
    server.execute(
        &url,
        "ALTER MATERIALIZED VIEW gridtrace.terminal_hours SET (timescaledb.materialized_only = true)",
    );
    for (offset, seconds) in [(1, 0), (2, -300 * 24 * HOUR), (3, 100)] {
        let rows = vec![row(terminal(1), seconds, 9)];
        store.write_positions(&batch(offset, rows)).await.unwrap();
        let job = server.execute(
            &url,
            "SELECT j.job_id FROM timescaledb_information.jobs j \
             JOIN timescaledb_information.continuous_aggregates a \
             ON j.hypertable_name IN (a.view_name, a.materialization_hypertable_name) \
             WHERE a.view_name = 'terminal_hours' \
             AND j.proc_name = 'policy_refresh_continuous_aggregate'",
        );
        server.execute(&url, &format!("CALL run_job({job})"));
        assert_eq!(server.execute(&url, materialized), offset.to_string());
    }
}

#[tokio::test]
async fn rules_are_set_again_where_they_differ_and_readers_leave_them() {
    let Some(server) = Postgres::start_with_timescale(&[]) else {
        return;
    };
    let url = server.database();
    let hours = |count: u64| Duration::from_secs(count * 3_600);
    let says = async |rules: Option<Rules>, expected: &str| {
        let store = connect(&url, rules).await;
        let description = store.description();
        assert!(description.contains(expected), "{description}");
        store
    };
    let six = Rules {
        chunk_interval: hours(6),
        compress_after: Some(hours(240)),
    };
    let never = Rules {
        compress_after: None,
        ..six
    };
    says(None, "(chunks of 1 day, compression after 3 days, ").await;
    let store = says(Some(six), "(chunks of 6 hours, compression after 10 days, ").await;
    let rows = (0..4).map(|n| row(terminal(1), n * 6 * HOUR, 1)).collect();
    store.write_positions(&batch(1, rows)).await.unwrap();
    let chunks = "SELECT count(*) FROM show_chunks('gridtrace.positions')";
    assert_eq!(server.execute(&url, chunks), "4");
    says(None, "(chunks of 6 hours, compression after 10 days, ").await;
    says(Some(never), "(chunks of 6 hours, no compression, ").await;
    says(None, "(chunks of 6 hours, no compression, ").await;
    says(
        Some(Rules::default()),
        "(chunks of 1 day, compression after 3 days, ",
    )
    .await;
}

#[tokio::test]
async fn a_server_that_gets_the_full_licence_later_begins_to_use_it() {
    let Some(mut server) = Postgres::start_with_timescale(&["timescaledb.license=apache"]) else {
        return;
    };
    let url = server.database();
    let store = connect(&url, Some(Rules::default())).await;
    let rows = (0..100).map(|n| row(terminal(1), n, 1)).collect();
    store.write_positions(&batch(1, rows)).await.unwrap();
    drop(store);
    server.crash();
    server.set("timescaledb.license=timescale");
    server.restart();
    let store = connect(&url, Some(Rules::default())).await;
    let description = store.description();
    let expected = "compression after 3 days, continuous aggregates";
    assert!(description.contains(expected), "{description}");
    assert_eq!(all(&store).await.len(), 100);
    let sum = "SELECT sum(positions) FROM gridtrace.terminal_hours";
    assert_eq!(server.execute(&url, sum), "100");
}

#[tokio::test]
async fn partitions_stay_partitions_when_the_extension_comes_later() {
    if setup::with_timescale().is_none() {
        return;
    }
    let Some(mut server) = Postgres::start() else {
        return;
    };
    let url = server.database();
    let rows = |digest| (0..100).map(|n| row(terminal(1), n, digest)).collect();
    let store = connect(&url, Some(Rules::default())).await;
    store.write_positions(&batch(1, rows(1))).await.unwrap();
    drop(store);
    server.crash();
    server.set("shared_preload_libraries=timescaledb");
    server.restart();
    // As a version before the sums of hours had left it.
    server.execute(&url, BEFORE_INPUTS);
    server.execute(
        &url,
        "CREATE EXTENSION timescaledb; DELETE FROM gridtrace.migrations WHERE number >= 4; \
         DROP VIEW gridtrace.terminal_hours_by_phone, gridtrace.terminal_hours, \
         gridtrace.unit_grid_hours; DROP INDEX gridtrace.quarantine_by_time",
    );
    let store = connect(&url, Some(Rules::default())).await;
    let description = store.description();
    assert!(
        description.contains("with daily partitions (made before"),
        "{description}"
    );
    store.write_positions(&batch(2, rows(2))).await.unwrap();
    let hours = "SELECT positions FROM gridtrace.terminal_hours";
    assert_eq!(server.execute(&url, hours), "200");
    let all_gone = Retention {
        positions_before: Some(MIDNIGHT.plus_millis(86_400_000)),
        quarantined_before: None,
    };
    assert_eq!(store.retain(&all_gone).await.unwrap().days, 1);
}

#[tokio::test]
async fn late_rows_keep_their_identity_in_compressed_chunks() {
    let Some(subject) = setup::timescale().await else {
        return;
    };
    let rows: Vec<_> = (0..300)
        .map(|n| row(terminal(n % 3), i64::from(n) * 2, 1))
        .collect();
    subject
        .store
        .write_positions(&batch(1, rows.clone()))
        .await
        .unwrap();
    subject
        .execute("SELECT compress_chunk(show_chunks('gridtrace.positions'))")
        .await;
    // A resend of all, a second report of a second that has one, and new seconds; first copied,
    // then as arrays.
    for (offset, digest, count) in [(2, 2, 300), (4, 3, 20)] {
        let mut late: Vec<_> = rows.iter().take(count).cloned().collect();
        let others = late.clone().into_iter().map(|mut row| {
            row.position.digest = digest;
            row
        });
        late.extend(others);
        let count = u64::try_from(count).unwrap();
        let written = subject
            .store
            .write_positions(&batch(offset, late.clone()))
            .await
            .unwrap();
        assert_eq!((written.inserted, written.duplicates), (count, count));
        let again = subject
            .store
            .write_positions(&batch(offset + 1, late))
            .await
            .unwrap();
        assert_eq!((again.inserted, again.duplicates), (0, 2 * count));
    }
    let twice = "SELECT 1 / (1 - least(count(*), 1)) FROM (SELECT FROM gridtrace.positions \
                 GROUP BY terminal, fixed_at, digest HAVING count(*) > 1) twice";
    subject.execute(twice).await;
    assert_eq!(all(&*subject.store).await.len(), 620);
    // Compressed again, with what came late, and still the same rows.
    let before = all(&*subject.store).await;
    subject
        .execute("SELECT compress_chunk(show_chunks('gridtrace.positions'))")
        .await;
    assert_eq!(all(&*subject.store).await, before);
}
