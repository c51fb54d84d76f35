//! What only a database server can go wrong with.

use std::time::Duration;

use geofence::position::QuarantineReason;
use harness::postgres::Postgres;
use storage::{
    store::{PositionsWritten, Store, StoreError},
    timescale::{Options, Rules, TimescaleStore},
};

use crate::{
    positions::{all, report},
    setup::{self, LOG, Subject, batch, row, terminal},
};

async fn connect(url: &str) -> TimescaleStore {
    TimescaleStore::connect(url, Options::default())
        .await
        .unwrap()
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    for wrong in [
        "",
        "postgres://[",
        "mysql://host/db",
        "postgres://host/db?sslmode=require",
    ] {
        let result = TimescaleStore::connect(wrong, Options::default()).await;
        assert!(
            matches!(result, Err(StoreError::Unusable { .. })),
            "{wrong}: {result:?}"
        );
    }
}

#[tokio::test]
async fn plain_postgresql_gets_partitions_and_says_so() {
    let Some(server) = setup::plain() else { return };
    let store = connect(&server.database()).await;
    let description = store.description();
    assert!(description.starts_with("PostgreSQL 1"), "{description}");
    assert!(
        description.ends_with("with daily partitions (no TimescaleDB)"),
        "{description}"
    );
}

#[tokio::test]
async fn timescaledb_is_used_and_compresses_under_its_full_licence_only() {
    let settings: [(&[&str], &str); 2] = [
        (
            &[],
            "(chunks of 1 day, compression after 3 days, continuous aggregates)",
        ),
        (
            &["timescaledb.license=apache"],
            "(Apache licence: chunks of 1 day, no compression, ordinary views)",
        ),
    ];
    for (settings, expected) in settings {
        let Some(server) = Postgres::start_with_timescale(settings) else {
            return;
        };
        let url = server.database();
        let store = connect(&url).await;
        let description = store.description();
        assert!(description.contains("with TimescaleDB 2."), "{description}");
        assert!(description.ends_with(expected), "{description}");
        store
            .write_positions(&batch(1, vec![row(terminal(1), 0, 0)]))
            .await
            .unwrap();
        assert_eq!(
            server.execute(
                &url,
                "SELECT count(*) FROM show_chunks('gridtrace.positions')"
            ),
            "1"
        );
        // Found again as it was made.
        assert_eq!(connect(&url).await.description(), description);
    }
}

#[tokio::test]
async fn timescaledb_that_can_lose_rows_is_refused() {
    let Some(server) = setup::plain() else { return };
    let url = server.database();
    server.execute(
        &url,
        "UPDATE pg_extension SET extname = 'timescaledb', extversion = '2.19.0' \
         WHERE extname = 'plpgsql'",
    );
    let error = TimescaleStore::connect(&url, Options::default())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "unusable");
    assert!(error.to_string().contains("2.19.1 or later"), "{error}");
}

#[tokio::test]
async fn a_schema_of_a_newer_version_is_refused_and_left_as_it_is() {
    for server in [setup::plain(), setup::with_timescale()]
        .into_iter()
        .flatten()
    {
        let url = server.database();
        drop(connect(&url).await);
        server.execute(
            &url,
            "INSERT INTO gridtrace.migrations VALUES (99, 'of tomorrow'); \
             DROP VIEW gridtrace.terminal_hours_by_phone",
        );
        let everything = "SELECT string_agg(c.oid::text || c.relname || c.xmin::text, ',' ORDER BY c.oid) \
             || (SELECT max(number) FROM gridtrace.migrations) \
             FROM pg_class c WHERE relnamespace = 'gridtrace'::regnamespace";
        let before = server.execute(&url, everything);
        let options = Options {
            rules: Some(Rules {
                chunk_interval: Duration::from_secs(3_600),
                compress_after: None,
            }),
            ..Options::default()
        };
        let error = TimescaleStore::connect(&url, options).await.unwrap_err();
        let error = error.to_string();
        assert!(error.contains("newer") && error.contains("99"), "{error}");
        assert_eq!(server.execute(&url, everything), before);
        if server.execute(
            &url,
            "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'",
        ) == "1"
        {
            let day = "SELECT time_interval FROM timescaledb_information.dimensions \
                       WHERE hypertable_name = 'positions'";
            assert_eq!(server.execute(&url, day), "1 day");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_nodes_start_on_an_empty_database_at_once() {
    let Some(server) = setup::plain() else { return };
    let url = server.database();
    let nodes: Vec<_> = (0..6_u32)
        .map(|number| {
            let url = url.clone();
            tokio::spawn(async move {
                let store = connect(&url).await;
                // The same day and the same terminals: they meet in every table.
                let rows = (0..100).map(|n| row(terminal(n), 0, number)).collect();
                let mut batch = batch(1, rows);
                batch.cursor.consumer = format!("node {number}");
                store.write_positions(&batch).await.unwrap();
            })
        })
        .collect();
    for node in nodes {
        node.await.unwrap();
    }
    assert_eq!(all(&connect(&url).await).await.len(), 600);
    assert_eq!(
        server.execute(&url, "SELECT count(*) FROM gridtrace.migrations"),
        "11"
    );
}

#[tokio::test]
async fn the_database_may_be_away_at_the_start_and_in_the_middle() {
    let Some(mut server) = Postgres::start() else {
        return;
    };
    let url = server.database();
    server.crash();
    let store = connect(&url).await;
    assert!(
        store.description().ends_with("not reached yet"),
        "{}",
        store.description()
    );
    let first = batch(1, vec![row(terminal(1), 0, 0)]);
    assert_eq!(
        store.write_positions(&first).await.unwrap_err().reason(),
        "unavailable"
    );
    assert_eq!(
        store.cursor(LOG, "store").await.unwrap_err().reason(),
        "unavailable"
    );
    server.restart();
    assert_eq!(store.write_positions(&first).await.unwrap().inserted, 1);
    assert_eq!(store.cursor(LOG, "store").await.unwrap(), Some(1));
    assert!(
        store.description().starts_with("PostgreSQL 1"),
        "{}",
        store.description()
    );

    server.crash();
    let second = batch(2, (0..6_000).map(|n| row(terminal(2), n, 0)).collect());
    assert_eq!(
        store.write_positions(&second).await.unwrap_err().reason(),
        "unavailable"
    );
    assert_eq!(
        store.cases_by_stage().await.unwrap_err().reason(),
        "unavailable"
    );
    server.restart();
    assert_eq!(store.cursor(LOG, "store").await.unwrap(), Some(1));
    assert_eq!(
        store.write_positions(&second).await.unwrap().inserted,
        6_000
    );
    assert_eq!(all(&store).await.len(), 6_001);
}

#[tokio::test]
async fn a_call_that_hangs_ends_at_its_time_limit_and_the_next_one_works() {
    let Some(server) = setup::plain() else { return };
    let url = server.database();
    let options = Options {
        write_timeout: Duration::from_millis(300),
        ..Options::default()
    };
    let patient = TimescaleStore::connect(&url, Options::default())
        .await
        .unwrap();
    patient
        .write_positions(&batch(1, vec![row(terminal(1), 0, 0)]))
        .await
        .unwrap();
    let store = TimescaleStore::connect(&url, options).await.unwrap();
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    client
        .batch_execute("BEGIN; LOCK TABLE gridtrace.latest")
        .await
        .unwrap();
    let second = batch(2, vec![row(terminal(1), 1, 0)]);
    let error = store.write_positions(&second).await.unwrap_err();
    assert_eq!(error.reason(), "unavailable");
    assert!(error.is_timeout(), "{error:?}");
    drop(client);
    connection.await.unwrap().unwrap();
    assert_eq!(store.cursor(LOG, "store").await.unwrap(), Some(1));
    // A machine that does other things as well may be late now and then.
    harness::until("the next one works", async || {
        store.write_positions(&second).await.ok()
    })
    .await;
    assert_eq!(all(&patient).await.len(), 2);
}

const REFUSE_666: &str = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
    $$ BEGIN RAISE EXCEPTION 'no'; END $$; \
    CREATE TRIGGER refuse BEFORE INSERT ON gridtrace.positions FOR EACH ROW \
    WHEN (NEW.speed_dkmh = 666) EXECUTE FUNCTION refuse()";

#[tokio::test]
async fn rows_that_the_database_refuses_go_to_quarantine_and_block_nobody() {
    for subject in [setup::postgres().await, setup::timescale().await]
        .into_iter()
        .flatten()
    {
        let Subject { store, .. } = &subject;
        subject.execute(REFUSE_666).await;
        for (count, offset) in [(200_u32, 1), (7, 2)] {
            let mut rows: Vec<_> = (0..count)
                .map(|n| row(terminal(n % 5), n.into(), count * 1_000 + n))
                .collect();
            let refused = [3, 4, count as usize - 1];
            for index in refused {
                rows[index].position.speed_dkmh = 666;
            }
            let written = store
                .write_positions(&batch(offset, rows.clone()))
                .await
                .unwrap();
            let inserted = u64::from(count) - 3;
            let expected = PositionsWritten {
                inserted,
                duplicates: 0,
                quarantined: 3,
                refused: 0,
            };
            assert_eq!(written, expected, "{}", store.description());
            assert_eq!(store.cursor(LOG, "store").await.unwrap(), Some(offset));
            let again = store.write_positions(&batch(offset, rows)).await.unwrap();
            assert_eq!(again.duplicates, u64::from(count));
        }
        let latest = store.latest_positions(None, 9).await.unwrap();
        assert!(latest.iter().all(|row| row.position.speed_dkmh != 666));
        let reports = store.quarantined(None, 99).await.unwrap();
        assert_eq!(reports.len(), 6);
        assert!(
            reports
                .iter()
                .all(|row| row.report.reason == QuarantineReason::Refused)
        );
        assert_eq!(all(&**store).await.len(), 197 + 4);
    }
}

const REFUSE_THEM_THERE_TOO: &str = "CREATE TRIGGER refuse BEFORE INSERT ON gridtrace.quarantine \
    FOR EACH ROW WHEN (NEW.digest % 2 = 0) EXECUTE FUNCTION refuse()";

#[tokio::test]
async fn what_is_refused_in_quarantine_too_is_no_duplicate() {
    let Some(subject) = setup::postgres().await else {
        return;
    };
    subject.execute(REFUSE_666).await;
    subject.execute(REFUSE_THEM_THERE_TOO).await;
    let mut rows: Vec<_> = (0..5).map(|n| row(terminal(n), 0, n)).collect();
    for row in &mut rows[..3] {
        row.position.speed_dkmh = 666;
    }
    let mut batch = batch(1, rows);
    batch.quarantined = vec![report(terminal(9), 8, 0), report(terminal(9), 9, 0)];
    // Rows 0 and 2 and report 8 are even: refused again each time that they come.
    for (new, duplicates) in [(2, 0), (0, 4)] {
        let written = subject.store.write_positions(&batch).await.unwrap();
        let expected = PositionsWritten {
            inserted: new,
            duplicates,
            quarantined: new,
            refused: 3,
        };
        assert_eq!(written, expected);
    }
    assert_eq!(subject.store.cursor(LOG, "store").await.unwrap(), Some(1));
}

#[tokio::test]
async fn a_partition_that_somebody_dropped_is_made_again() {
    let Some(subject) = setup::postgres().await else {
        return;
    };
    let rows = |digest| (0..60).map(|n| row(terminal(1), n, digest)).collect();
    subject
        .store
        .write_positions(&batch(1, rows(1)))
        .await
        .unwrap();
    subject
        .execute("DROP TABLE gridtrace.positions_2025_11_25")
        .await;
    let written = subject
        .store
        .write_positions(&batch(2, rows(2)))
        .await
        .unwrap();
    assert_eq!(
        written,
        PositionsWritten {
            inserted: 60,
            duplicates: 0,
            quarantined: 0,
            refused: 0
        }
    );
}
