//! The whole of a store, read and written for a move.

use std::collections::HashMap;

use geofence::{identity::CaseId, units::Timestamp};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{
    Options,
    case_rows::{Writing, case_columns, change_line, history_columns, stored_case, write},
    cases,
    connection::{Connection, Failure, Lease, bounded},
    evaluation,
    known::Known,
    latest,
    positions::{self, MOVE_CURSOR},
    rows::{Columns, Moment},
    schema::Found,
};
use crate::{
    case_changes::{Change, StoredCase},
    store::{CaseChange, CaseRecord, Cursor, Import, PositionTally, Tally},
};

const DELETE_HISTORY: &str = "DELETE FROM gridtrace.case_history WHERE case_id = ANY($1::uuid[])";
const END_CURSOR: &str = "DELETE FROM gridtrace.cursors WHERE log = $1 AND consumer = $2";

pub(super) async fn cursors(connection: &mut Connection) -> Result<Vec<Cursor>, Failure> {
    let select = connection
        .statement(
            "SELECT log, consumer, record_offset FROM gridtrace.cursors ORDER BY log, consumer",
        )
        .await?;
    let rows = connection.client.query(&select, &[]).await?;
    let cursors = rows.iter().map(|row| Cursor {
        log: row.get(0),
        consumer: row.get(1),
        offset: row.get::<_, i64>(2).cast_unsigned(),
    });
    Ok(cursors.collect())
}

pub(super) async fn case_records(
    connection: &mut Connection,
    after: Option<CaseId>,
    limit: u32,
) -> Result<Vec<CaseRecord>, Failure> {
    let select = connection
        .statement(concat!(
            "SELECT ",
            case_columns!(),
            " FROM gridtrace.cases WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2"
        ))
        .await?;
    let select_history = connection
        .statement(concat!(
            "SELECT ",
            history_columns!(),
            ", case_id FROM gridtrace.case_history WHERE case_id = ANY($1::uuid[]) ORDER BY number"
        ))
        .await?;
    let after = after.map(|id| id.0);
    let found = connection
        .client
        .query(&select, &[&after, &i64::from(limit)])
        .await?;
    let stored: Vec<StoredCase> = found.iter().map(stored_case).collect::<Result<_, _>>()?;
    let ids: Vec<Uuid> = stored.iter().map(|stored| stored.case.id.0).collect();
    let mut histories: HashMap<Uuid, Vec<CaseChange>> = HashMap::new();
    for row in connection.client.query(&select_history, &[&ids]).await? {
        let line = change_line(&row)?;
        histories.entry(row.get(10)).or_default().push(line);
    }
    let mut events = evaluation::events_of(connection, &ids).await?;
    let records = stored.into_iter().map(|stored| {
        let StoredCase { case, log, judged } = stored;
        CaseRecord {
            history: histories.remove(&case.id.0).unwrap_or_default(),
            events: events.remove(&case.id).unwrap_or_default(),
            case,
            log,
            judged,
        }
    });
    Ok(records.collect())
}

pub(super) async fn tally_positions(
    connection: &mut Connection,
    from: Timestamp,
    to: Timestamp,
) -> Result<PositionTally, Failure> {
    let select = connection
        .statement(
            "SELECT count(*), coalesce(sum(digest), 0)::bigint FROM gridtrace.positions \
             WHERE fixed_at >= $1 AND fixed_at < $2",
        )
        .await?;
    let row = connection
        .client
        .query_one(&select, &[&Moment(from), &Moment(to)])
        .await?;
    Ok(PositionTally {
        rows: row.get::<_, i64>(0).cast_unsigned(),
        digests: row.get::<_, i64>(1).cast_unsigned(),
    })
}

pub(super) async fn tally(connection: &mut Connection) -> Result<Tally, Failure> {
    let select = connection
        .statement(
            "SELECT (SELECT count(*) FROM gridtrace.latest), \
             (SELECT count(*) FROM gridtrace.quarantine), \
             (SELECT count(*) FROM gridtrace.cases), \
             (SELECT count(*) FROM gridtrace.case_history), \
             (SELECT count(*) FROM gridtrace.case_violations), \
             (SELECT count(*) FROM gridtrace.snapshots)",
        )
        .await?;
    let row = connection.client.query_one(&select, &[]).await?;
    let count = |index: usize| row.get::<_, i64>(index).cast_unsigned();
    Ok(Tally {
        latest: count(0),
        quarantined: count(1),
        cases: count(2),
        case_changes: count(3),
        case_violations: count(4),
        snapshots: count(5),
    })
}

/// One transaction. Terminals get their numbers before it.
pub(super) async fn import(
    lease: &mut Lease<'_>,
    found: &Found,
    known: &Known,
    options: &Options,
    import: &Import,
) -> Result<(), Failure> {
    let newest: Vec<_> = import.latest.iter().collect();
    let lines = positions::lines(lease, found, known, options, &newest).await?;
    bounded(options.write_timeout, async {
        let upsert_latest = lease.statement(latest::UPSERT).await?;
        let writing = Writing::prepare(lease).await?;
        let replacing = evaluation::Replacing::prepare(lease).await?;
        let delete_history = lease.statement(DELETE_HISTORY).await?;
        let move_cursor = lease.statement(MOVE_CURSOR).await?;
        let end_cursor = lease.statement(END_CURSOR).await?;
        let snapshots = cases::prepare_snapshots(lease).await?;

        let transaction = lease.client.transaction().await?;
        if !lines.is_empty() {
            let columns = Columns::of(lines.iter().copied());
            transaction
                .execute(&upsert_latest, &columns.parameters())
                .await?;
        }
        let ids: Vec<Uuid> = import.cases.iter().map(|record| record.case.id.0).collect();
        transaction.execute(&delete_history, &[&ids]).await?;
        let changes: Vec<Change> = import.cases.iter().cloned().map(as_new).collect();
        write(&transaction, &writing, &changes, true).await?;
        evaluation::replace(&transaction, &replacing, &import.cases).await?;
        cases::write_snapshots(&transaction, &snapshots, &import.snapshots).await?;
        for cursor in &import.cursors {
            let parameters: [&(dyn ToSql + Sync); 3] =
                [&cursor.log, &cursor.consumer, &cursor.offset.cast_signed()];
            transaction.execute(&move_cursor, &parameters).await?;
        }
        for (log, consumer) in &import.ended {
            transaction.execute(&end_cursor, &[log, consumer]).await?;
        }
        transaction.commit().await?;
        Ok(())
    })
    .await
}

fn as_new(record: CaseRecord) -> Change {
    let CaseRecord {
        case,
        log,
        judged,
        history,
        events: _,
    } = record;
    Change {
        stored: StoredCase { case, log, judged },
        is_new: true,
        history,
    }
}
