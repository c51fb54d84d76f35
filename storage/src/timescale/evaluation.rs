//! What evaluations count, and what terminals did.

use std::collections::HashMap;

use geofence::{case::Case, catalog::local_moment, identity::CaseId};
use tokio_postgres::{GenericClient, Row, Statement, Transaction, types::ToSql};
use uuid::Uuid;

use super::{
    case_rows::{case_columns, stored_case},
    connection::{Connection, Failure},
    rows::Moment,
};
use crate::{
    case_changes::{Change, damaged},
    evaluation::{
        self, CaseEvent, EvaluationQuery, FigureCases, FigureRow, TerminalDay, driven_m,
        sql::{self, Dialect, Text},
    },
    store::{CaseRecord, StoreError},
};

const DIALECT: Dialect = Dialect {
    table: "gridtrace.case_events",
    map: "json_each_text($1::text::json)",
    bits: |mask, _| format!("bit_or({mask})"),
    id: |text| format!("{text}::uuid"),
};
/// Rows as JSON: their names are those of the columns.
const INSERT: &str = "INSERT INTO gridtrace.case_events (case_id, event, day, month, due_day, \
    due_month, is_late, is_forced, is_deferred, value, kind, source, category, severity, unit_grid, \
    handler, department, carrier) \
    SELECT case_id, event, day, month, due_day, due_month, is_late, is_forced, is_deferred, value, \
    kind, source, category, severity, unit_grid, handler, department, carrier \
    FROM json_populate_recordset(NULL::gridtrace.case_events, $1::text::json) \
    ON CONFLICT DO NOTHING";
const REPEATED: &str = "UPDATE gridtrace.case_events e SET is_repeated = true \
    FROM (SELECT case_id, event FROM gridtrace.case_events WHERE case_id = ANY($1::uuid[]) \
          GROUP BY 1, 2 HAVING count(*) > 1) r \
    WHERE e.case_id = r.case_id AND e.event = r.event AND NOT e.is_repeated";
const DELETE_HAPPENED: &str = "DELETE FROM gridtrace.case_events \
    WHERE case_id = ANY($1::uuid[]) AND event = 'happened'";
const DELETE: &str = "DELETE FROM gridtrace.case_events WHERE case_id = ANY($1::uuid[])";
const SELECT: &str = "SELECT row_to_json(e)::text FROM gridtrace.case_events e \
    WHERE case_id = ANY($1::uuid[]) ORDER BY case_id, event, day";

/// The statements of [`insert`].
struct Inserting {
    insert: Statement,
    repeated: Statement,
}

impl Inserting {
    async fn prepare(connection: &mut Connection) -> Result<Self, Failure> {
        Ok(Self {
            insert: connection.statement(INSERT).await?,
            repeated: connection.statement(REPEATED).await?,
        })
    }
}

/// The statements of [`write`].
pub(super) struct Writing {
    insert: Inserting,
    delete_happened: Statement,
}

impl Writing {
    pub(super) async fn prepare(connection: &mut Connection) -> Result<Self, Failure> {
        Ok(Self {
            insert: Inserting::prepare(connection).await?,
            delete_happened: connection.statement(DELETE_HAPPENED).await?,
        })
    }
}

/// Adds what changes add.
pub(super) async fn write(
    transaction: &Transaction<'_>,
    writing: &Writing,
    changes: &[Change],
) -> Result<(), Failure> {
    let known = changes.iter().filter(|change| !change.is_new);
    let known: Vec<Uuid> = known.map(|change| change.stored.case.id.0).collect();
    if !known.is_empty() {
        transaction
            .execute(&writing.delete_happened, &[&known])
            .await?;
    }
    let events: Vec<CaseEvent> = changes.iter().flat_map(evaluation::events).collect();
    insert(transaction, &writing.insert, &events, &known).await
}

async fn insert(
    transaction: &Transaction<'_>,
    inserting: &Inserting,
    events: &[CaseEvent],
    known: &[Uuid],
) -> Result<(), Failure> {
    if events.is_empty() {
        return Ok(());
    }
    let text =
        serde_json::to_string(events).map_err(|error| damaged("write events of cases", &error))?;
    transaction.execute(&inserting.insert, &[&text]).await?;
    let ids = evaluation::may_repeat(events, |id| known.contains(&id.0));
    let ids: Vec<Uuid> = ids.into_iter().map(|id| id.0).collect();
    if !ids.is_empty() {
        transaction.execute(&inserting.repeated, &[&ids]).await?;
    }
    Ok(())
}

/// The statements of [`replace`].
pub(super) struct Replacing {
    insert: Inserting,
    delete: Statement,
}

impl Replacing {
    pub(super) async fn prepare(connection: &mut Connection) -> Result<Self, Failure> {
        Ok(Self {
            insert: Inserting::prepare(connection).await?,
            delete: connection.statement(DELETE).await?,
        })
    }
}

/// Everything that counts of these cases, in place of what is there.
pub(super) async fn replace(
    transaction: &Transaction<'_>,
    replacing: &Replacing,
    records: &[CaseRecord],
) -> Result<(), Failure> {
    let ids: Vec<Uuid> = records.iter().map(|record| record.case.id.0).collect();
    transaction.execute(&replacing.delete, &[&ids]).await?;
    let events = records.iter().flat_map(|record| &record.events);
    let events: Vec<CaseEvent> = events.cloned().collect();
    insert(transaction, &replacing.insert, &events, &[]).await
}

/// By case.
pub(super) async fn events_of(
    connection: &mut Connection,
    ids: &[Uuid],
) -> Result<HashMap<CaseId, Vec<CaseEvent>>, Failure> {
    let select = connection.statement(SELECT).await?;
    let mut events: HashMap<CaseId, Vec<CaseEvent>> = HashMap::new();
    for row in connection.client.query(&select, &[&ids]).await? {
        let event: CaseEvent = serde_json::from_str(row.get(0))
            .map_err(|error| damaged("read events of cases", &error))?;
        events.entry(event.case_id).or_default().push(event);
    }
    Ok(events)
}

/// Groups stay in memory: with the usual 4 MB they may go through files. Each statement is another
/// one, and compiling it takes longer than it does.
const ROOM: &str = "SET LOCAL work_mem = '64MB'; SET LOCAL jit = off";

/// Such statements differ from call to call, and are not kept.
async fn query(client: &impl GenericClient, text: &Text, sql: &str) -> Result<Vec<Row>, Failure> {
    let parameters: &[&(dyn ToSql + Sync)] = match &text.map {
        Some(map) => &[map],
        None => &[],
    };
    Ok(client.query(sql, parameters).await?)
}

pub(super) async fn figures(
    connection: &mut Connection,
    wanted: &EvaluationQuery,
) -> Result<Vec<FigureRow>, Failure> {
    let text = sql::figures(wanted, &DIALECT);
    let transaction = connection.client.transaction().await?;
    transaction.batch_execute(ROOM).await?;
    let rows = query(&transaction, &text, &text.sql).await?;
    transaction.commit().await?;
    let count = wanted.figures.len();
    let rows = rows.iter().map(|row| FigureRow {
        period: row.get(0),
        subject: row.get(1),
        values: (0..count).map(|index| row.get(index + 2)).collect(),
    });
    Ok(rows.collect())
}

pub(super) async fn cases(
    connection: &mut Connection,
    wanted: &FigureCases,
) -> Result<Vec<Case>, Failure> {
    let text = sql::cases(wanted, &DIALECT);
    let columns = case_columns!();
    let sql = format!(
        "SELECT {columns} FROM gridtrace.cases WHERE id IN ({}) ORDER BY id",
        text.sql
    );
    let rows = query(&connection.client, &text, &sql).await?;
    let cases = rows.iter().map(|row| Ok(stored_case(row)?.case));
    Ok(cases.collect::<Result<_, StoreError>>()?)
}

/// From the sums of hours. A local hour is an hour of UTC.
const FROM_SUMS: &str = "SELECT t.phone, h.day, bit_or(1 << h.hour), \
    (array_agg(h.first_dkm ORDER BY h.at) FILTER (WHERE h.first_dkm IS NOT NULL))[1], \
    (array_agg(h.last_dkm ORDER BY h.at DESC) FILTER (WHERE h.last_dkm IS NOT NULL))[1] \
    FROM (SELECT terminal, hour AS at, odometer_first_dkm AS first_dkm, \
          odometer_last_dkm AS last_dkm, \
          (floor((extract(epoch FROM hour) + 28800) / 86400))::int AS day, \
          extract(hour FROM hour AT TIME ZONE 'UTC' + interval '8 hours')::int AS hour \
          FROM gridtrace.terminal_hours WHERE hour >= $1 AND hour < $2) h \
    JOIN gridtrace.terminals t ON t.id = h.terminal GROUP BY 1, 2 ORDER BY 1, 2";
/// Without sums: positions are looked for hour by hour, in the order of the index of terminals and
/// times, so that nothing is read which is not told.
const FROM_POSITIONS: &str = "SELECT t.phone, d.day, bit_or(1 << d.hour), \
    (array_agg(f.odometer_dkm ORDER BY d.at) FILTER (WHERE f.odometer_dkm IS NOT NULL))[1], \
    (array_agg(l.odometer_dkm ORDER BY d.at DESC) FILTER (WHERE l.odometer_dkm IS NOT NULL))[1] \
    FROM gridtrace.terminals t \
    CROSS JOIN (SELECT at, (floor((extract(epoch FROM at) + 28800) / 86400))::int AS day, \
                extract(hour FROM at AT TIME ZONE 'UTC' + interval '8 hours')::int AS hour \
                FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 hour', \
                                     interval '1 hour') at) d \
    CROSS JOIN LATERAL (SELECT FROM gridtrace.positions p WHERE p.terminal = t.id \
        AND p.fixed_at >= d.at AND p.fixed_at < d.at + interval '1 hour' LIMIT 1) there \
    LEFT JOIN LATERAL (SELECT odometer_dkm FROM gridtrace.positions p WHERE p.terminal = t.id \
        AND p.fixed_at >= d.at AND p.fixed_at < d.at + interval '1 hour' AND odometer_dkm > 0 \
        ORDER BY p.fixed_at, p.digest LIMIT 1) f ON true \
    LEFT JOIN LATERAL (SELECT odometer_dkm FROM gridtrace.positions p WHERE p.terminal = t.id \
        AND p.fixed_at >= d.at AND p.fixed_at < d.at + interval '1 hour' AND odometer_dkm > 0 \
        ORDER BY p.fixed_at DESC, p.digest DESC LIMIT 1) l ON true \
    GROUP BY 1, 2 ORDER BY 1, 2";

pub(super) async fn terminal_days(
    connection: &mut Connection,
    has_sums: bool,
    from: i32,
    to: i32,
) -> Result<Vec<TerminalDay>, Failure> {
    let sql = if has_sums { FROM_SUMS } else { FROM_POSITIONS };
    let select = connection.statement(sql).await?;
    let moment = |day: i32| Moment(local_moment(i64::from(day) * 1_440));
    let parameters: [&(dyn ToSql + Sync); 2] = [&moment(from), &moment(to)];
    let rows = connection.client.query(&select, &parameters).await?;
    let days = rows.iter().map(|row| {
        let readings: Option<(i64, i64)> = row.get::<_, Option<i64>>(3).zip(row.get(4));
        Ok(TerminalDay {
            terminal: (row.get::<_, &str>(0).parse())
                .map_err(|_| damaged("add up days", &"no phone number"))?,
            day: row.get(1),
            hours: row.get::<_, i32>(2).cast_unsigned(),
            driven_m: driven_m(readings),
        })
    });
    Ok(days.collect::<Result<_, StoreError>>()?)
}
