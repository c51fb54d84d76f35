//! What an earlier version left behind: it is brought to this one's schema, and nothing is lost.

use std::sync::Arc;

use geofence::{
    case::{
        Stage,
        desk::{Actor, MoveRequest},
        moves::{Move, Role},
    },
    position::Inputs,
    violation::Finding,
};
use rusqlite::{Connection, params};
use storage::{
    embedded::EmbeddedStore,
    store::{CaseQuery, CaseRecord, MoveOrder, Moved, PositionRow, Store},
};

use crate::{
    positions::all,
    setup::{self, LOG, MIDNIGHT, batch, findings, row, terminal, violation},
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

/// Takes a database back to the schema before cases were moved.
macro_rules! before_cases {
    () => {
        "DELETE FROM gridtrace.migrations WHERE number >= 7; \
        DROP TABLE gridtrace.case_texts, gridtrace.case_events, gridtrace.outbox_cases, gridtrace.outbox_events, \
            gridtrace.deliveries, gridtrace.receiver_numbers, gridtrace.callbacks; \
        DROP INDEX gridtrace.cases_by_unit_grid, gridtrace.cases_by_handler; \
        ALTER TABLE gridtrace.cases ADD COLUMN violation jsonb; \
        UPDATE gridtrace.cases SET violation = body -> 'intervals' -> 0 -> 'violation'; \
        DROP TABLE gridtrace.case_violations; DROP INDEX gridtrace.cases_by_change; \
        ALTER TABLE gridtrace.case_history DROP COLUMN version, DROP COLUMN move, \
            DROP COLUMN role, DROP COLUMN detail, DROP COLUMN request_key; \
        ALTER TABLE gridtrace.cases ALTER COLUMN violation SET NOT NULL, \
            ALTER COLUMN kind SET NOT NULL, ALTER COLUMN terminal SET NOT NULL, \
            DROP COLUMN version, DROP COLUMN source, DROP COLUMN category, \
            DROP COLUMN severity, DROP COLUMN handler, DROP COLUMN department, \
            DROP COLUMN group_key, DROP COLUMN happened_from, DROP COLUMN happened_to, \
            DROP COLUMN due_at, DROP COLUMN notice_at, DROP COLUMN ended_at, \
            DROP COLUMN rework, DROP COLUMN is_late, DROP COLUMN body; "
    };
}

/// Takes a database back to the schema before the inputs.
pub(crate) const BEFORE_INPUTS: &str = concat!(
    before_cases!(),
    "DELETE FROM gridtrace.migrations WHERE number >= 6; \
    ALTER TABLE gridtrace.positions DROP COLUMN vehicle_signals; \
    ALTER TABLE gridtrace.positions DROP COLUMN io; \
    ALTER TABLE gridtrace.positions DROP COLUMN vendor; \
    ALTER TABLE gridtrace.latest DROP COLUMN vehicle_signals, DROP COLUMN io, DROP COLUMN vendor"
);

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

/// Three cases, of which one was withdrawn and another found again.
async fn fill_cases(store: &dyn Store) {
    let opened = |number| Finding::Opened(violation(number));
    let gone = |number| Finding::Withdrawn(violation(number).id, MIDNIGHT);
    for (offset, found) in (1..).zip([
        vec![opened(1), opened(2), opened(3)],
        vec![gone(1), gone(2)],
        vec![opened(2)],
    ]) {
        store
            .write_findings(&findings(offset, found))
            .await
            .unwrap();
    }
}

/// What an earlier version knew of a case is what is left of it.
fn as_before(mut record: CaseRecord) -> CaseRecord {
    record.case.clocks.clear();
    // Nor does anybody know whether a person had acted on it.
    record.case.is_touched = true;
    record
}

/// What was there is there, and goes on: late data finds its case, and a person moves it.
async fn go_on(store: &dyn Store, expected: &[CaseRecord]) {
    assert_eq!(store.case_records(None, 9).await.unwrap(), expected);
    let gone = vec![Finding::Withdrawn(violation(3).id, MIDNIGHT)];
    let written = store.write_findings(&findings(9, gone)).await.unwrap();
    assert_eq!(written.changed[0].stage, Stage::Withdrawn);
    let query = CaseQuery {
        stage: Some(Stage::Collected),
        limit: 9,
        ..CaseQuery::default()
    };
    let case = store.cases(&query).await.unwrap().remove(0);
    let by = Actor {
        name: "li".into(),
        role: Role::Operator,
        scope: String::new(),
        department: None,
    };
    let order = MoveOrder {
        case: case.id,
        request: MoveRequest {
            version: Some(case.version),
            ..MoveRequest::new(Move::Accept, by, "")
        },
        at: case.changed_at.plus_millis(1),
        desk: Arc::default(),
    };
    let moved = store.move_case(&order).await.unwrap();
    assert!(matches!(moved, Moved::Done(_)), "{moved:?}");
}

#[tokio::test]
async fn a_database_from_before_moves_keeps_its_cases() {
    for subject in [setup::postgres().await, setup::timescale().await] {
        let Some(subject) = subject else { continue };
        fill_cases(&*subject.store).await;
        let records = subject.store.case_records(None, 9).await.unwrap();
        let expected: Vec<_> = records.into_iter().map(as_before).collect();
        subject.execute(before_cases!()).await;
        go_on(&*subject.reopened().await, &expected).await;
    }
}

#[tokio::test]
async fn a_file_from_before_moves_keeps_its_cases() {
    let new = setup::embedded().await.unwrap();
    fill_cases(&*new.store).await;
    let records = new.store.case_records(None, 9).await.unwrap();
    let expected: Vec<_> = records.into_iter().map(as_before).collect();
    let directory = tempfile::tempdir().unwrap();
    let main = Connection::open(directory.path().join("main.sqlite")).unwrap();
    for sql in [
        include_str!("../../storage/migrations/embedded/main_0001.sql"),
        include_str!("../../storage/migrations/embedded/main_0002_retention.sql"),
        include_str!("../../storage/migrations/embedded/main_0003_inputs.sql"),
    ] {
        main.execute_batch(sql).unwrap();
    }
    main.pragma_update(None, "user_version", 3).unwrap();
    for record in &expected {
        let (case, violation) = (&record.case, record.case.violation().unwrap());
        let sql = "INSERT INTO cases VALUES (?,?,?,?,?,?,?,?,?,?)";
        let parameters = params![
            case.id.to_string(),
            case.stage.as_str(),
            violation.kind.as_str(),
            violation.terminal.as_str(),
            violation.unit_grid,
            case.opened_at.0,
            case.changed_at.0,
            record.log.to_string(),
            record.judged.cast_signed(),
            serde_json::to_string(violation).unwrap(),
        ];
        main.execute(sql, parameters).unwrap();
        for line in &record.history {
            let sql = "INSERT INTO case_history (case_id, at, from_stage, to_stage, actor, remark) \
                       VALUES (?,?,?,?,?,?)";
            let parameters = params![
                case.id.to_string(),
                line.at.0,
                line.from.map(Stage::as_str),
                line.to.as_str(),
                line.actor,
                line.remark,
            ];
            main.execute(sql, parameters).unwrap();
        }
    }
    drop(main);
    let store = EmbeddedStore::open(directory.path()).unwrap();
    go_on(&store, &expected).await;
}
