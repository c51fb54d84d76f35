//! Cases, their history, and snapshots.

use std::collections::BTreeMap;

use geofence::{
    case::{Case, Stage, moves::Move, policy::Desk},
    identity::{CaseId, ViolationId},
    units::Timestamp,
};
use tokio_postgres::{Statement, Transaction, types::ToSql};
use uuid::Uuid;

use super::{
    case_rows::{
        Writing, case_columns, change_line, history_columns, moment, stage, stored_case, write,
    },
    connection::{Connection, Failure},
    positions::MOVE_CURSOR,
    rows::Moment,
};
use crate::{
    case_changes::{
        Change, Loaded, StoredCase, Wanted, done, findings, moved, opening, tick, without_nul,
    },
    store::{
        CaseChange, CaseOrder, CaseQuery, CaseSearch, CaseWritten, FindingBatch, FindingsWritten,
        MoveOrder, Moved, Opening, StoreError, pattern,
    },
};

const SELECT_MEMBERS: &str =
    "SELECT violation, case_id FROM gridtrace.case_violations WHERE violation = ANY($1)";
/// In the order of ids, so that two who lock several do not wait for each other.
const LOCK: &str = concat!(
    "SELECT ",
    case_columns!(),
    " FROM gridtrace.cases WHERE id = ANY($1) ORDER BY id FOR UPDATE"
);
const LOCK_GROUPS: &str = concat!(
    "SELECT ",
    case_columns!(),
    " FROM gridtrace.cases WHERE id = ANY($1) OR (group_key = ANY($2) AND happened_to >= $3 \
     AND happened_from <= $4) ORDER BY id FOR UPDATE"
);
const LOCK_DUE: &str = concat!(
    "SELECT ",
    case_columns!(),
    " FROM gridtrace.cases WHERE notice_at <= $1 ORDER BY notice_at, id LIMIT $2 \
     FOR UPDATE SKIP LOCKED"
);
const SELECT_KEY: &str =
    "SELECT 1 FROM gridtrace.case_history WHERE case_id = $1 AND request_key = $2";
const UPSERT_SNAPSHOTS: &str = "INSERT INTO gridtrace.snapshots \
    SELECT * FROM unnest($1::text[], $2::bytea[]) \
    ON CONFLICT (key) DO UPDATE SET bytes = excluded.bytes";
const DELETE_SNAPSHOTS: &str = "DELETE FROM gridtrace.snapshots WHERE key = ANY($1)";

/// One transaction: cases, history, snapshots, cursor.
pub(super) async fn write_findings(
    connection: &mut Connection,
    batch: &FindingBatch,
) -> Result<FindingsWritten, Failure> {
    let select_members = connection.statement(SELECT_MEMBERS).await?;
    let lock = connection.statement(LOCK).await?;
    let lock_groups = connection.statement(LOCK_GROUPS).await?;
    let writing = Writing::prepare(connection).await?;
    let snapshots = prepare_snapshots(connection).await?;
    let move_cursor = connection.statement(MOVE_CURSOR).await?;

    let transaction = connection.client.transaction().await?;
    let wanted = Wanted::of(batch);
    let mut loaded = Loaded::default();
    if !wanted.violations.is_empty() {
        let ids: Vec<Uuid> = wanted.violations.iter().map(|id| id.0).collect();
        for row in transaction.query(&select_members, &[&ids]).await? {
            let violation = ViolationId(row.get(0));
            loaded.members.insert(violation, CaseId(row.get(1)));
        }
        let ids: Vec<Uuid> = loaded.members.values().map(|case| case.0).collect();
        let rows = if wanted.groups.is_empty() {
            transaction.query(&lock, &[&ids]).await?
        } else {
            let (from, to) = (Moment(wanted.from), Moment(wanted.to));
            let parameters: [&(dyn ToSql + Sync); 4] = [&ids, &wanted.groups, &from, &to];
            transaction.query(&lock_groups, &parameters).await?
        };
        for row in rows {
            let stored = stored_case(&row)?;
            loaded.cases.insert(stored.case.id, stored);
        }
    }
    let outcome = findings(batch, loaded);
    write(&transaction, &writing, &outcome.changes, false).await?;
    write_snapshots(&transaction, &snapshots, &batch.snapshots).await?;
    if batch.moves_cursor {
        let judged = &batch.judged;
        let parameters: [&(dyn ToSql + Sync); 3] =
            [&judged.log, &judged.consumer, &judged.offset.cast_signed()];
        transaction.execute(&move_cursor, &parameters).await?;
    }
    transaction.commit().await?;
    Ok(outcome.into_written())
}

/// Opens a case unless it is there; the second is whether it is new.
pub(super) async fn open(
    connection: &mut Connection,
    opened: &Opening,
) -> Result<(CaseWritten, bool), Failure> {
    let lock = connection.statement(LOCK).await?;
    let writing = Writing::prepare(connection).await?;
    let transaction = connection.client.transaction().await?;
    let there = transaction
        .query_opt(&lock, &[&vec![opened.case.id.0]])
        .await?;
    if let Some(row) = there {
        let written = CaseWritten {
            case: stored_case(&row)?.case,
            lines: Vec::new(),
        };
        return Ok((written, false));
    }
    let change = opening(opened);
    write(&transaction, &writing, std::slice::from_ref(&change), false).await?;
    transaction.commit().await?;
    Ok((change.into_written(), true))
}

/// Makes a move, or says why not. The case is locked, and the other one of a merge.
pub(super) async fn make(connection: &mut Connection, order: &MoveOrder) -> Result<Moved, Failure> {
    let lock = connection.statement(LOCK).await?;
    let select_key = connection.statement(SELECT_KEY).await?;
    let writing = Writing::prepare(connection).await?;
    let transaction = connection.client.transaction().await?;
    let request = &order.request;
    let into = request.into.filter(|_| request.name == Move::Merge);
    let ids: Vec<Uuid> = [order.case]
        .into_iter()
        .chain(into)
        .map(|id| id.0)
        .collect();
    let (mut stored, mut other): (Option<StoredCase>, Option<StoredCase>) = (None, None);
    for row in transaction.query(&lock, &[&ids]).await? {
        let found = stored_case(&row)?;
        let place = if found.case.id == order.case {
            &mut stored
        } else {
            &mut other
        };
        *place = Some(found);
    }
    let Some(stored) = stored else {
        return Ok(Moved::Unknown);
    };
    if let Some(key) = &request.key {
        let key = without_nul(key);
        let done = transaction
            .query_opt(&select_key, &[&order.case.0, &key])
            .await?;
        if done.is_some() {
            return Ok(Moved::Repeated(Box::new(stored.case)));
        }
    }
    let changes = match moved(order, stored, other) {
        Ok(changes) => changes,
        Err((refusal, case)) => return Ok(Moved::Refused(refusal, case)),
    };
    write(&transaction, &writing, &changes, false).await?;
    transaction.commit().await?;
    Ok(done(changes))
}

/// Writes what clocks have to say. Cases that another one has locked are his.
pub(super) async fn tick_due(
    connection: &mut Connection,
    at: Timestamp,
    desk: &Desk,
    limit: u32,
) -> Result<Vec<CaseWritten>, Failure> {
    let lock = connection.statement(LOCK_DUE).await?;
    let writing = Writing::prepare(connection).await?;
    let transaction = connection.client.transaction().await?;
    let mut changes: Vec<Change> = Vec::new();
    let rows = transaction
        .query(&lock, &[&Moment(at), &i64::from(limit)])
        .await?;
    for row in rows {
        changes.extend(tick(stored_case(&row)?, at, desk));
    }
    write(&transaction, &writing, &changes, false).await?;
    transaction.commit().await?;
    Ok(changes.into_iter().map(Change::into_written).collect())
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

// One prefix is found in an index; plans are made for the values at hand.
macro_rules! list {
    ($column:literal, $compared:literal, $direction:literal) => {
        concat!(
            "SELECT ",
            case_columns!(),
            " FROM gridtrace.cases WHERE ($1::text IS NULL OR stage = $1) \
             AND ($2::text IS NULL OR kind = $2) AND ($3::text IS NULL OR terminal = $3) \
             AND (cardinality($4::text[]) = 0 \
             OR (cardinality($4) = 1 AND (unit_grid ^@ ($4)[1] OR handler ^@ ($4)[1])) \
             OR (cardinality($4) > 1 AND (unit_grid ^@ ANY ($4) OR handler ^@ ANY ($4)))) \
             AND (NOT $5::boolean OR (",
            $column,
            ", id) ",
            $compared,
            " ($6, $7)) \
             AND ($8::text IS NULL OR source = $8) AND ($9::text IS NULL OR category = $9) \
             AND ($10::text IS NULL OR department = $10) AND (NOT $11::boolean OR due_at < $12) \
             AND (NOT $13::boolean OR (happened_from < $15 AND happened_to >= $14)) AND ",
            $column,
            " IS NOT NULL AND (NOT $17::boolean OR id = ANY ($18::uuid[]) \
             OR (opened_at >= $19 AND opened_at < $20) OR terminal = ANY ($21::text[]) \
             OR ($22::text <> '' AND strpos(terminal, $22) > 0) \
             OR id IN (SELECT case_id FROM gridtrace.receiver_numbers \
             WHERE lower(number) COLLATE \"C\" ^@ lower($23::text)) \
             OR id IN (SELECT case_id FROM gridtrace.case_texts WHERE text LIKE $24::text)) \
             ORDER BY ",
            $column,
            " ",
            $direction,
            ", id ",
            $direction,
            " LIMIT $16"
        )
    };
}

pub(super) async fn list(
    connection: &mut Connection,
    query: &CaseQuery,
) -> Result<Vec<Case>, Failure> {
    let sql = match query.order {
        CaseOrder::Opened => list!("opened_at", "<", "DESC"),
        CaseOrder::Changed => list!("changed_at", "<", "DESC"),
        CaseOrder::Due => list!("due_at", ">", "ASC"),
    };
    let select = connection.statement(sql).await?;
    let prefixes: Vec<String> = query.jurisdictions.iter().map(|p| without_nul(p)).collect();
    let (after, id) = query.after.unwrap_or((Timestamp(0), CaseId(Uuid::nil())));
    let (from, to) = query.happened.unwrap_or_default();
    let text = |text: &Option<String>| text.as_deref().map(without_nul);
    let search = Sought::of(connection, query.search.as_ref()).await?;
    let parameters: [&(dyn ToSql + Sync); 24] = [
        &query.stage.map(Stage::as_str),
        &query.kind.map(|kind| kind.as_str()),
        &query.terminal.map(|terminal| terminal.to_string()),
        &prefixes,
        &query.after.is_some(),
        &Moment(after),
        &id.0,
        &query.source.map(|source| source.as_str()),
        &text(&query.category),
        &text(&query.department),
        &query.overdue_at.is_some(),
        &moment(query.overdue_at),
        &query.happened.is_some(),
        &Moment(from),
        &Moment(to),
        &i64::from(query.limit),
        &query.search.is_some(),
        &search.ids,
        &Moment(search.opened.0),
        &Moment(search.opened.1),
        &search.terminals,
        &search.digits,
        &search.number,
        &search.pattern,
    ];
    let found = connection.client.query(&select, &parameters).await?;
    Ok(found
        .iter()
        .map(|row| Ok(stored_case(row)?.case))
        .collect::<Result<_, StoreError>>()?)
}

/// What is looked for in one field, by where it may be.
#[derive(Default)]
struct Sought {
    ids: Vec<Uuid>,
    opened: (Timestamp, Timestamp),
    terminals: Vec<String>,
    digits: String,
    number: String,
    pattern: String,
}

impl Sought {
    async fn of(connection: &mut Connection, search: Option<&CaseSearch>) -> Result<Self, Failure> {
        let Some(search) = search else {
            return Ok(Self::default());
        };
        let mut sought = Self {
            terminals: search.terminals(),
            digits: search.digits().unwrap_or_default().to_owned(),
            number: search.given().to_owned(),
            pattern: pattern("%", search.text()),
            ..Self::default()
        };
        let Some(numbered) = search.numbered() else {
            return Ok(sought);
        };
        if numbered.prefix.is_none() {
            sought.opened = numbered.opened;
            return Ok(sought);
        }
        let sql = "SELECT id, opened_at FROM gridtrace.cases \
                   WHERE opened_at >= $1 AND opened_at < $2";
        let select = connection.statement(sql).await?;
        let (from, to) = (Moment(numbered.opened.0), Moment(numbered.opened.1));
        for row in connection.client.query(&select, &[&from, &to]).await? {
            let (id, at): (Uuid, Moment) = (row.get(0), row.get(1));
            if numbered.fits(at.0, CaseId(id)) {
                sought.ids.push(id);
            }
        }
        Ok(sought)
    }
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
        .statement(concat!(
            "SELECT ",
            history_columns!(),
            " FROM gridtrace.case_history WHERE case_id = $1 ORDER BY number"
        ))
        .await?;
    let rows = connection.client.query(&select, &[&id.0]).await?;
    Ok(rows
        .iter()
        .map(change_line)
        .collect::<Result<_, StoreError>>()?)
}

pub(super) async fn by_stage(connection: &mut Connection) -> Result<BTreeMap<Stage, u64>, Failure> {
    let sql = "SELECT stage, count(*) FROM gridtrace.cases GROUP BY stage";
    counted(connection, sql, &[]).await
}

/// Those that are overdue.
pub(super) async fn overdue(
    connection: &mut Connection,
    at: Timestamp,
) -> Result<BTreeMap<Stage, u64>, Failure> {
    let sql = "SELECT stage, count(*) FROM gridtrace.cases WHERE due_at < $1 GROUP BY stage";
    counted(connection, sql, &[&Moment(at)]).await
}

async fn counted(
    connection: &mut Connection,
    sql: &'static str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<BTreeMap<Stage, u64>, Failure> {
    let select = connection.statement(sql).await?;
    let rows = connection.client.query(&select, parameters).await?;
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
