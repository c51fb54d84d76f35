//! What an earlier version left behind: it is brought to this one's schema, and nothing is lost.

use geofence::position::Inputs;
use rusqlite::{Connection, params};
use storage::{
    embedded::EmbeddedStore,
    store::{PositionRow, Store},
};

use crate::{
    positions::all,
    setup::{self, LOG, batch, row, terminal},
};

const DAY: i64 = 86_400;

/// As a version before the inputs had it.
fn without_inputs(mut row: PositionRow) -> PositionRow {
    row.position.inputs = Inputs::default();
    row
}

/// Writes a row as a version before the inputs did.
fn insert_old(file: &Connection, table: &str, row: &PositionRow) {
    let p = &row.position;
    let sql = format!("INSERT INTO {table} VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
    let parameters = params![
        p.terminal.as_str(),
        p.fixed_at.0,
        p.digest,
        p.received_at.0,
        p.log_offset.cast_signed(),
        p.latitude.micro_degrees(),
        p.longitude.micro_degrees(),
        p.altitude_m,
        p.speed_dkmh,
        p.heading_deg,
        p.alarm_flags,
        p.status_flags,
        p.odometer_dkm,
        p.satellites,
        p.is_positioned,
        p.is_backlog,
        row.unit_grid,
    ];
    file.execute(&sql, parameters).unwrap();
}

#[tokio::test]
async fn files_from_before_the_inputs_are_read_and_written_to() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, migrations: &[&str]| {
        let file = Connection::open(directory.path().join(name)).unwrap();
        file.execute_batch("PRAGMA journal_mode = WAL").unwrap();
        for sql in migrations {
            file.execute_batch(sql).unwrap();
        }
        file.pragma_update(
            None,
            "user_version",
            i64::try_from(migrations.len()).unwrap(),
        )
        .unwrap();
        file
    };
    let main = file(
        "main.sqlite",
        &[
            include_str!("../../storage/migrations/embedded/main_0001.sql"),
            include_str!("../../storage/migrations/embedded/main_0002_retention.sql"),
        ],
    );
    let old: Vec<_> = (0..2)
        .map(|day| without_inputs(row(terminal(1), day * DAY, 1)))
        .collect();
    for (row, name) in old.iter().zip(["2025-11-25", "2025-11-26"]) {
        let name = format!("positions-{name}.sqlite");
        let day = include_str!("../../storage/migrations/embedded/day_0001.sql");
        insert_old(&file(&name, &[day]), "positions", row);
    }
    insert_old(&main, "latest", &old[1]);
    let cursor = "INSERT INTO cursors VALUES (?, 'store', 7)";
    main.execute(cursor, [LOG.to_string()]).unwrap();
    drop(main);

    let store = EmbeddedStore::open(directory.path()).unwrap();
    assert_eq!(store.cursor(LOG, "store").await.unwrap(), Some(7));
    assert_eq!(all(&store).await, old);
    assert_eq!(
        store.latest_positions(None, 9).await.unwrap(),
        [old[1].clone()]
    );
    // The same reader goes on when one of the days is written to, and the other is not.
    let new = row(terminal(1), 60, 2);
    let resent = row(terminal(1), 0, 1);
    let written = store
        .write_positions(&batch(8, vec![new.clone(), resent]))
        .await
        .unwrap();
    assert_eq!((written.inserted, written.duplicates), (1, 1));
    assert_eq!(all(&store).await, [old[0].clone(), new, old[1].clone()]);
    let newest = row(terminal(1), DAY + 1, 3);
    store
        .write_positions(&batch(9, vec![newest.clone()]))
        .await
        .unwrap();
    assert_eq!(store.latest_positions(None, 9).await.unwrap(), [newest]);
}

/// Takes a database back to the schema before the inputs.
pub(crate) const BEFORE_INPUTS: &str = "DELETE FROM gridtrace.migrations WHERE number >= 6; \
    ALTER TABLE gridtrace.positions DROP COLUMN vehicle_signals; \
    ALTER TABLE gridtrace.positions DROP COLUMN io; \
    ALTER TABLE gridtrace.positions DROP COLUMN vendor; \
    ALTER TABLE gridtrace.latest DROP COLUMN vehicle_signals, DROP COLUMN io, DROP COLUMN vendor";

#[tokio::test]
async fn a_database_from_before_the_inputs_gets_them_compressed_or_not() {
    for (subject, is_compressed) in [
        (setup::postgres().await, false),
        (setup::timescale().await, false),
        (setup::timescale().await, true),
    ] {
        let Some(subject) = subject else { continue };
        let rows: Vec<_> = (0..100)
            .map(|n| row(terminal(n % 3), n.into(), 1))
            .collect();
        subject
            .store
            .write_positions(&batch(1, rows.clone()))
            .await
            .unwrap();
        subject.execute(BEFORE_INPUTS).await;
        let compress = "SELECT compress_chunk(show_chunks('gridtrace.positions'))";
        if is_compressed {
            subject.execute(compress).await;
        }
        let store = subject.reopened().await;
        let mut expected: Vec<_> = rows.iter().cloned().map(without_inputs).collect();
        assert_eq!(all(&*store).await, expected, "{}", store.description());
        // Into the chunk or partition that was there, as arrays and copied, and into a new one.
        for (offset, count) in [(2, 10), (3, 80)] {
            let late: Vec<_> = (0..count)
                .map(|n| row(terminal(7), 1_000 * i64::from(offset) + n, offset))
                .collect();
            let mut sent = rows.clone();
            sent.truncate(late.len());
            sent.extend(late.clone());
            let written = store
                .write_positions(&batch(offset.into(), sent))
                .await
                .unwrap();
            let count = late.len() as u64;
            assert_eq!((written.inserted, written.duplicates), (count, count));
            expected.extend(late);
        }
        let tomorrow = row(terminal(1), DAY, 9);
        store
            .write_positions(&batch(4, vec![tomorrow.clone()]))
            .await
            .unwrap();
        expected.push(tomorrow);
        assert_eq!(all(&*store).await, expected);
        if is_compressed {
            subject.execute(compress).await;
            assert_eq!(all(&*store).await, expected);
        }
        let latest = store.latest_positions(None, 9).await.unwrap();
        let inputs = |number| {
            let mut found = latest.iter();
            let row = found.find(|row| row.position.terminal == terminal(number));
            row.unwrap().position.inputs
        };
        assert_eq!(inputs(0), Inputs::default());
        assert_eq!(inputs(7), rows[0].position.inputs);
    }
}
