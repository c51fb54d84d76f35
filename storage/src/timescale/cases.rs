//! Cases, their history, and snapshots.

use std::collections::{BTreeMap, HashMap};

use geofence::{
    case::{Case, Stage},
    identity::CaseId,
    units::Timestamp,
};
use tokio_postgres::{Row, Statement, Transaction, types::ToSql};
use uuid::Uuid;

use super::{
    connection::{Connection, Failure},
    positions::MOVE_CURSOR,
    rows::Moment,
};
use crate::{
    case_changes::{
        Change, StoredCase, change, damaged, from_json, to_json, verdicts, without_nul,
    },
    store::{CaseChange, CaseQuery, FindingBatch, FindingsWritten, StoreError},
};

macro_rules! case_columns {
    () => {
        "id, stage, opened_at, changed_at, log, judged, violation::text"
    };
}
pub(super) use case_columns;

const INSERT: &str = "INSERT INTO gridtrace.cases VALUES \
    ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::jsonb) ON CONFLICT DO NOTHING";
const UPDATE: &str = "UPDATE gridtrace.cases SET stage = $2, kind = $3, terminal = $4, \
    unit_grid = $5, opened_at = $6, changed_at = $7, log = $8, judged = $9, \
    violation = $10::text::jsonb WHERE id = $1";
const INSERT_HISTORY: &str = "INSERT INTO gridtrace.case_history \
    (case_id, at, from_stage, to_stage, actor, remark) VALUES ($1, $2, $3, $4, $5, $6)";
const UPSERT_SNAPSHOTS: &str = "INSERT INTO gridtrace.snapshots \
    SELECT * FROM unnest($1::text[], $2::bytea[]) \
    ON CONFLICT (key) DO UPDATE SET bytes = excluded.bytes";
const DELETE_SNAPSHOTS: &str = "DELETE FROM gridtrace.snapshots WHERE key = ANY($1)";

/// One transaction: cases, history, snapshots, cursor.
pub(super) async fn write_findings(
    connection: &mut Connection,
    batch: &FindingBatch,
) -> Result<FindingsWritten, Failure> {
    let select = connection
        .statement(concat!(
            "SELECT ",
            case_columns!(),
            " FROM gridtrace.cases WHERE id = ANY($1) ORDER BY id FOR UPDATE"
        ))
        .await?;
    let insert = connection.statement(INSERT).await?;
    let update = connection.statement(UPDATE).await?;
    let insert_history = connection.statement(INSERT_HISTORY).await?;
    let snapshots = prepare_snapshots(connection).await?;
    let move_cursor = connection.statement(MOVE_CURSOR).await?;

    let transaction = connection.client.transaction().await?;
    let verdicts = verdicts(&batch.findings);
    let mut stored = HashMap::new();
    if !verdicts.is_empty() {
        let ids: Vec<Uuid> = verdicts.iter().map(|verdict| verdict.case.0).collect();
        for row in transaction.query(&select, &[&ids]).await? {
            let case = stored_case(&row)?;
            stored.insert(case.case.id, case);
        }
    }
    let mut written = FindingsWritten::default();
    for verdict in &verdicts {
        let Some(change) = change(verdict, stored.remove(&verdict.case), batch) else {
            continue;
        };
        let Change {
            stored: StoredCase { case, log, judged },
            is_new,
            history,
        } = change;
        let violation = &case.violation;
        let parameters: [&(dyn ToSql + Sync); 10] = [
            &case.id.0,
            &case.stage.as_str(),
            &violation.kind.as_str(),
            &violation.terminal.as_str(),
            &violation.unit_grid,
            &Moment(case.opened_at),
            &Moment(case.changed_at),
            &log,
            &judged.cast_signed(),
            &to_json(violation)?,
        ];
        let statement = if is_new { &insert } else { &update };
        if transaction.execute(statement, &parameters).await? == 0 {
            // Another node was first: seen by the next attempt.
            return Err(Failure::TimedOut);
        }
        for line in &history {
            let parameters: [&(dyn ToSql + Sync); 6] = [
                &case.id.0,
                &Moment(line.at),
                &line.from.map(Stage::as_str),
                &line.to.as_str(),
                &line.actor,
                &line.remark,
            ];
            transaction.execute(&insert_history, &parameters).await?;
        }
        let list = if is_new {
            &mut written.opened
        } else {
            &mut written.changed
        };
        list.push(case);
    }
    write_snapshots(&transaction, &snapshots, &batch.snapshots).await?;
    if batch.moves_cursor {
        let judged = &batch.judged;
        let parameters: [&(dyn ToSql + Sync); 3] =
            [&judged.log, &judged.consumer, &judged.offset.cast_signed()];
        transaction.execute(&move_cursor, &parameters).await?;
    }
    transaction.commit().await?;
    Ok(written)
}

/// The statements of [`write_snapshots`].
pub(super) async fn prepare_snapshots(
    connection: &mut Connection,
) -> Result<[Statement; 2], Failure> {
    Ok([
        connection.statement(UPSERT_SNAPSHOTS).await?,
        connection.statement(DELETE_SNAPSHOTS).await?,
    ])
}

/// Newer ones replace older ones; an empty one removes its key.
pub(super) async fn write_snapshots(
    transaction: &Transaction<'_>,
    [upsert, delete]: &[Statement; 2],
    snapshots: &BTreeMap<String, Vec<u8>>,
) -> Result<(), Failure> {
    if snapshots.is_empty() {
        return Ok(());
    }
    let (kept, removed): (Vec<_>, Vec<_>) =
        snapshots.iter().partition(|(_, bytes)| !bytes.is_empty());
    let keys = |list: &[(&String, &Vec<u8>)]| -> Vec<String> {
        list.iter().map(|(key, _)| without_nul(key)).collect()
    };
    let bytes: Vec<&[u8]> = kept.iter().map(|(_, bytes)| bytes.as_slice()).collect();
    transaction.execute(upsert, &[&keys(&kept), &bytes]).await?;
    transaction.execute(delete, &[&keys(&removed)]).await?;
    Ok(())
}

pub(super) async fn list(
    connection: &mut Connection,
    query: &CaseQuery,
) -> Result<Vec<Case>, Failure> {
    let select = connection
        .statement(concat!(
            "SELECT ",
            case_columns!(),
            " FROM gridtrace.cases WHERE ($1::text IS NULL OR stage = $1) \
             AND ($2::text IS NULL OR kind = $2) AND ($3::text IS NULL OR terminal = $3) \
             AND (cardinality($4::text[]) = 0 OR unit_grid ^@ ANY ($4)) \
             AND (NOT $5::boolean OR (opened_at, id) < ($6, $7)) \
             ORDER BY opened_at DESC, id DESC LIMIT $8"
        ))
        .await?;
    let prefixes: Vec<String> = query.jurisdictions.iter().map(|p| without_nul(p)).collect();
    let (opened_at, id) = query.after.unwrap_or((Timestamp(0), CaseId(Uuid::nil())));
    let parameters: [&(dyn ToSql + Sync); 8] = [
        &query.stage.map(Stage::as_str),
        &query.kind.map(|kind| kind.as_str()),
        &query.terminal.map(|terminal| terminal.to_string()),
        &prefixes,
        &query.after.is_some(),
        &Moment(opened_at),
        &id.0,
        &i64::from(query.limit),
    ];
    let found = connection.client.query(&select, &parameters).await?;
    Ok(found
        .iter()
        .map(|row| Ok(stored_case(row)?.case))
        .collect::<Result<_, StoreError>>()?)
}

pub(super) async fn one(connection: &mut Connection, id: CaseId) -> Result<Option<Case>, Failure> {
    let select = connection
        .statement(concat!(
            "SELECT ",
            case_columns!(),
            " FROM gridtrace.cases WHERE id = $1"
        ))
        .await?;
    let row = connection.client.query_opt(&select, &[&id.0]).await?;
    Ok(row
        .map(|row| stored_case(&row))
        .transpose()?
        .map(|stored| stored.case))
}

pub(super) async fn history(
    connection: &mut Connection,
    id: CaseId,
) -> Result<Vec<CaseChange>, Failure> {
    let select = connection
        .statement(
            "SELECT at, from_stage, to_stage, actor, remark FROM gridtrace.case_history \
             WHERE case_id = $1 ORDER BY number",
        )
        .await?;
    let rows = connection.client.query(&select, &[&id.0]).await?;
    Ok(rows
        .iter()
        .map(change_line)
        .collect::<Result<_, StoreError>>()?)
}

/// Reads `at, from_stage, to_stage, actor, remark`.
pub(super) fn change_line(row: &Row) -> Result<CaseChange, StoreError> {
    Ok(CaseChange {
        at: row.get::<_, Moment>(0).0,
        from: row.get::<_, Option<&str>>(1).map(stage).transpose()?,
        to: stage(row.get(2))?,
        actor: row.get(3),
        remark: row.get(4),
    })
}

pub(super) async fn by_stage(connection: &mut Connection) -> Result<BTreeMap<Stage, u64>, Failure> {
    let select = connection
        .statement("SELECT stage, count(*) FROM gridtrace.cases GROUP BY stage")
        .await?;
    let rows = connection.client.query(&select, &[]).await?;
    let counts = rows
        .iter()
        .map(|row| Ok((stage(row.get(0))?, row.get::<_, i64>(1).cast_unsigned())));
    Ok(counts.collect::<Result<_, StoreError>>()?)
}

pub(super) async fn snapshots(
    connection: &mut Connection,
) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let select = connection
        .statement("SELECT key, bytes FROM gridtrace.snapshots")
        .await?;
    let rows = connection.client.query(&select, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

pub(super) fn stored_case(row: &Row) -> Result<StoredCase, StoreError> {
    let case = Case {
        id: CaseId(row.get(0)),
        stage: stage(row.get(1))?,
        opened_at: row.get::<_, Moment>(2).0,
        changed_at: row.get::<_, Moment>(3).0,
        violation: from_json(row.get(6))?,
    };
    Ok(StoredCase {
        case,
        log: row.get(4),
        judged: row.get::<_, i64>(5).cast_unsigned(),
    })
}

fn stage(word: &str) -> Result<Stage, StoreError> {
    Stage::from_word(word).ok_or_else(|| damaged("read cases", &word))
}
