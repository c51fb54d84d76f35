//! The whole of a store, read and written for a move.

use std::collections::HashMap;

use geofence::{case::Stage, identity::CaseId, units::Timestamp};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{
    Options,
    cases::{self, case_columns, stored_case},
    connection::{Connection, Failure, Lease, bounded},
    known::Known,
    positions::{self, MOVE_CURSOR, UPSERT_LATEST},
    rows::{Columns, Moment},
    schema::Found,
};
use crate::{
    case_changes::{StoredCase, to_json, without_nul},
    store::{CaseChange, CaseRecord, Cursor, Import, PositionTally, Tally},
};

const UPSERT_CASE: &str = "INSERT INTO gridtrace.cases VALUES \
    ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::jsonb) ON CONFLICT (id) DO UPDATE SET \
    stage = excluded.stage, kind = excluded.kind, terminal = excluded.terminal, \
    unit_grid = excluded.unit_grid, opened_at = excluded.opened_at, \
    changed_at = excluded.changed_at, log = excluded.log, judged = excluded.judged, \
    violation = excluded.violation";
const DELETE_HISTORY: &str = "DELETE FROM gridtrace.case_history WHERE case_id = ANY($1::uuid[])";
/// In the order of the arrays: the numbers are drawn in it.
const INSERT_HISTORY: &str = "INSERT INTO gridtrace.case_history \
    (case_id, at, from_stage, to_stage, actor, remark) \
    SELECT case_id, at, from_stage, to_stage, actor, remark FROM unnest($1::uuid[], \
    $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[]) WITH ORDINALITY \
    lines(case_id, at, from_stage, to_stage, actor, remark, place) ORDER BY place";
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
        .statement(
            "SELECT at, from_stage, to_stage, actor, remark, case_id FROM gridtrace.case_history \
             WHERE case_id = ANY($1::uuid[]) ORDER BY number",
        )
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
        let line = cases::change_line(&row)?;
        histories.entry(row.get(5)).or_default().push(line);
    }
    let records = stored.into_iter().map(|stored| {
        let StoredCase { case, log, judged } = stored;
        CaseRecord {
            history: histories.remove(&case.id.0).unwrap_or_default(),
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
        snapshots: count(4),
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
    let latest: Vec<_> = import.latest.iter().collect();
    let lines = positions::lines(lease, found, known, options, &latest).await?;
    bounded(options.write_timeout, async {
        let upsert_latest = lease.statement(UPSERT_LATEST).await?;
        let upsert_case = lease.statement(UPSERT_CASE).await?;
        let delete_history = lease.statement(DELETE_HISTORY).await?;
        let insert_history = lease.statement(INSERT_HISTORY).await?;
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
        for record in &import.cases {
            let (case, violation) = (&record.case, &record.case.violation);
            let parameters: [&(dyn ToSql + Sync); 10] = [
                &case.id.0,
                &case.stage.as_str(),
                &violation.kind.as_str(),
                &violation.terminal.as_str(),
                &violation.unit_grid,
                &Moment(case.opened_at),
                &Moment(case.changed_at),
                &record.log,
                &record.judged.cast_signed(),
                &to_json(violation)?,
            ];
            transaction.execute(&upsert_case, &parameters).await?;
        }
        let histories = Histories::of(&import.cases);
        transaction
            .execute(&delete_history, &[&histories.cases])
            .await?;
        transaction
            .execute(&insert_history, &histories.parameters())
            .await?;
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

/// Lines of histories by column.
#[derive(Default)]
struct Histories {
    cases: Vec<Uuid>,
    case_id: Vec<Uuid>,
    at: Vec<Moment>,
    from_stage: Vec<Option<&'static str>>,
    to_stage: Vec<&'static str>,
    actor: Vec<String>,
    remark: Vec<String>,
}

impl Histories {
    fn of(records: &[CaseRecord]) -> Self {
        let mut columns = Self::default();
        for record in records {
            columns.cases.push(record.case.id.0);
            for line in &record.history {
                columns.case_id.push(record.case.id.0);
                columns.at.push(Moment(line.at));
                columns.from_stage.push(line.from.map(Stage::as_str));
                columns.to_stage.push(line.to.as_str());
                columns.actor.push(without_nul(&line.actor));
                columns.remark.push(without_nul(&line.remark));
            }
        }
        columns
    }

    fn parameters(&self) -> [&(dyn ToSql + Sync); 6] {
        [
            &self.case_id,
            &self.at,
            &self.from_stage,
            &self.to_stage,
            &self.actor,
            &self.remark,
        ]
    }
}
