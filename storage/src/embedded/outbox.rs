//! The outbox in `main.sqlite`.

use async_trait::async_trait;
use geofence::{identity::CaseId, units::Timestamp};
use rusqlite::{Connection, Params, Row, params, params_from_iter, types::Value};
use uuid::Uuid;

use super::{EmbeddedStore, reader::all, writer::immediate};
use crate::{
    case_changes::{Change, damaged},
    outbox::{
        self, Attempt, Backlog, Begun, Callback, Delivery, DeliveryQuery, DeliveryState, Event,
        EventKind, Outbox, OutboxRecord, OutboxRetention, OutboxTally, Plan, ReceiverNumber,
    },
    sqlite::failed,
    store::StoreError,
};

const READ: &str = "read the outbox";
const WRITE: &str = "write the outbox";

const DELIVERY: &str = "d.id, d.receiver, d.case_id, d.sequence, d.kind, d.state, d.since, \
    d.attempts, d.next_at, d.finished_at, d.status, d.said";
const DELIVERY_COLUMNS: usize = 12;
const EVENT: &str = "e.case_id, e.sequence, e.kind, e.at, e.content";
const CALLBACK: &str = "receiver, key, case_id, at, digest, sent, outcome";

/// Writes the event of a change, in the transaction of its case.
pub(super) fn write(connection: &Connection, change: &Change) -> Result<(), StoreError> {
    let draft = outbox::draft(change);
    let sql = "INSERT INTO outbox_cases VALUES (?, 1) \
               ON CONFLICT (case_id) DO UPDATE SET sequence = sequence + 1";
    execute(connection, sql, [draft.case.to_string()])?;
    let sql = "INSERT INTO outbox_events (case_id, sequence, kind, at, is_planned, content) \
               SELECT ?1, sequence, ?2, ?3, 0, ?4 FROM outbox_cases WHERE case_id = ?1";
    let content = outbox::to_json(&draft.content)?;
    let values = params![
        draft.case.to_string(),
        draft.kind.as_str(),
        draft.at.0,
        content
    ];
    execute(connection, sql, values)?;
    Ok(())
}

fn execute(connection: &Connection, sql: &str, values: impl Params) -> Result<usize, StoreError> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(values))
        .map_err(failed(WRITE))
}

fn case_id(row: &Row<'_>, index: usize) -> rusqlite::Result<Result<CaseId, StoreError>> {
    let id = row.get_ref(index)?.as_str()?.parse();
    Ok(id.map(CaseId).map_err(|error| damaged(READ, &error)))
}

/// Reads [`EVENT`] from a column on.
fn event(row: &Row<'_>, first: usize) -> rusqlite::Result<Result<Event, StoreError>> {
    let case = match case_id(row, first)? {
        Ok(case) => case,
        Err(error) => return Ok(Err(error)),
    };
    Ok(outbox::event(
        case,
        row.get(first + 1)?,
        row.get_ref(first + 2)?.as_str()?,
        Timestamp(row.get(first + 3)?),
        row.get_ref(first + 4)?.as_str()?,
    ))
}

/// Reads [`DELIVERY`].
fn delivery(row: &Row<'_>) -> rusqlite::Result<Result<Delivery, StoreError>> {
    let wrong = |what: &dyn std::fmt::Display| Ok(Err(damaged(READ, what)));
    let id: Uuid = match row.get_ref(0)?.as_str()?.parse() {
        Ok(id) => id,
        Err(error) => return wrong(&error),
    };
    let case = match case_id(row, 2)? {
        Ok(case) => case,
        Err(error) => return Ok(Err(error)),
    };
    let (kind, state) = (row.get_ref(4)?.as_str()?, row.get_ref(5)?.as_str()?);
    let Some(kind) = EventKind::from_word(kind) else {
        return wrong(&kind);
    };
    let Some(state) = DeliveryState::from_word(state) else {
        return wrong(&state);
    };
    Ok(Ok(Delivery {
        id,
        receiver: row.get(1)?,
        case,
        sequence: row.get::<_, i64>(3)?.cast_unsigned(),
        kind,
        state,
        since: Timestamp(row.get(6)?),
        attempts: row.get(7)?,
        next_at: Timestamp(row.get(8)?),
        finished_at: row.get::<_, Option<i64>>(9)?.map(Timestamp),
        status: outbox::status(row.get(10)?),
        said: row.get(11)?,
    }))
}

fn callback(row: &Row<'_>) -> rusqlite::Result<Result<Callback, StoreError>> {
    let case = match case_id(row, 2)? {
        Ok(case) => case,
        Err(error) => return Ok(Err(error)),
    };
    Ok(Ok(Callback {
        receiver: row.get(0)?,
        key: row.get(1)?,
        case,
        at: Timestamp(row.get(3)?),
        digest: row.get(4)?,
        sent: row.get(5)?,
        outcome: row.get(6)?,
    }))
}

fn number(row: &Row<'_>) -> rusqlite::Result<Result<ReceiverNumber, StoreError>> {
    Ok(Ok(ReceiverNumber {
        receiver: row.get(0)?,
        number: row.get(1)?,
        at: Timestamp(row.get(2)?),
    }))
}

fn numbers(connection: &Connection, case: CaseId) -> Result<Vec<ReceiverNumber>, StoreError> {
    let sql = "SELECT receiver, number, at FROM receiver_numbers WHERE case_id = ? \
               ORDER BY receiver";
    all(connection, READ, sql, [case.to_string()], number)
}

fn insert_delivery(connection: &Connection, delivery: &Delivery) -> Result<(), StoreError> {
    let sql = "INSERT INTO deliveries VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING";
    let values = params![
        delivery.id.to_string(),
        delivery.receiver,
        delivery.case.to_string(),
        delivery.sequence.cast_signed(),
        delivery.kind.as_str(),
        delivery.state.as_str(),
        delivery.since.0,
        delivery.attempts,
        delivery.next_at.0,
        delivery.finished_at.map(|at| at.0),
        delivery.status,
        delivery.said,
    ];
    execute(connection, sql, values)?;
    Ok(())
}

fn insert_number(
    connection: &Connection,
    case: &str,
    number: &ReceiverNumber,
) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO receiver_numbers VALUES (?,?,?,?)";
    let values = params![case, number.receiver, number.number, number.at.0];
    execute(connection, sql, values)?;
    Ok(())
}

/// False when the key is there.
fn insert_callback(connection: &Connection, callback: &Callback) -> Result<bool, StoreError> {
    let sql = "INSERT INTO callbacks VALUES (?,?,?,?,?,?,?) ON CONFLICT DO NOTHING";
    let values = params![
        callback.receiver,
        callback.key,
        callback.case.to_string(),
        callback.at.0,
        callback.digest,
        callback.sent,
        callback.outcome,
    ];
    Ok(execute(connection, sql, values)? > 0)
}

fn plan(connection: &Connection, plan: &Plan) -> Result<(), StoreError> {
    for delivery in &plan.deliveries {
        // Only of an event that waits: repeating a plan must not bring back what has gone.
        let sql = "SELECT 1 FROM outbox_events WHERE case_id = ? AND sequence = ? \
                   AND is_planned = 0";
        let key = params![delivery.case.to_string(), delivery.sequence.cast_signed()];
        let waits = all(connection, READ, sql, key, |_| Ok(Ok(())))?;
        if !waits.is_empty() {
            insert_delivery(connection, delivery)?;
        }
    }
    for (case, sequence) in &plan.events {
        let key = params![case.to_string(), sequence.cast_signed()];
        let sql = "UPDATE outbox_events SET is_planned = 1 WHERE case_id = ? AND sequence = ?";
        execute(connection, sql, key)?;
        let sql = "DELETE FROM outbox_events WHERE case_id = ?1 AND sequence = ?2 AND NOT EXISTS \
                   (SELECT 1 FROM deliveries WHERE case_id = ?1 AND sequence = ?2)";
        execute(connection, sql, key)?;
    }
    Ok(())
}

fn due(
    connection: &Connection,
    receiver: &str,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<(Delivery, Event)>, StoreError> {
    let sql = format!(
        "SELECT {DELIVERY}, {EVENT} FROM deliveries d JOIN outbox_events e \
         ON e.case_id = d.case_id AND e.sequence = d.sequence \
         WHERE d.receiver = ?1 AND d.state = 'pending' AND d.next_at <= ?2 AND NOT EXISTS \
         (SELECT 1 FROM deliveries p WHERE p.receiver = ?1 AND p.case_id = d.case_id \
          AND p.state = 'pending' AND p.sequence < d.sequence) \
         ORDER BY d.next_at, d.id LIMIT ?3"
    );
    all(
        connection,
        READ,
        &sql,
        params![receiver, now.0, limit],
        |row| {
            let delivery = match delivery(row)? {
                Ok(delivery) => delivery,
                Err(error) => return Ok(Err(error)),
            };
            Ok(event(row, DELIVERY_COLUMNS)?.map(|event| (delivery, event)))
        },
    )
}

fn conclude(connection: &Connection, attempt: &Attempt) -> Result<(), StoreError> {
    let is_final = attempt.state != DeliveryState::Pending;
    let sql = "UPDATE deliveries SET state = ?2, attempts = attempts + 1, next_at = ?3, \
               finished_at = ?4, status = ?5, said = ?6 \
               WHERE id = ?1 AND (state = 'pending' OR ?2 = 'delivered')";
    let values = params![
        attempt.id.to_string(),
        attempt.state.as_str(),
        attempt.next_at.0,
        is_final.then_some(attempt.at.0),
        attempt.status,
        attempt.said,
    ];
    execute(connection, sql, values)?;
    if let Some(number) = &attempt.number {
        let sql = "INSERT INTO receiver_numbers SELECT case_id, receiver, ?2, ?3 \
                   FROM deliveries WHERE id = ?1 \
                   ON CONFLICT (case_id, receiver) DO UPDATE SET number = ?2, at = ?3";
        let values = params![attempt.id.to_string(), number, attempt.at.0];
        execute(connection, sql, values)?;
    }
    Ok(())
}

fn list(connection: &Connection, query: &DeliveryQuery) -> Result<Vec<Delivery>, StoreError> {
    let mut conditions = vec!["1"];
    let mut values: Vec<Value> = Vec::new();
    if let Some(state) = query.state {
        conditions.push("d.state = ?");
        values.push(state.as_str().to_owned().into());
    }
    if let Some(receiver) = &query.receiver {
        conditions.push("d.receiver = ?");
        values.push(receiver.clone().into());
    }
    if let Some(case) = query.case {
        conditions.push("d.case_id = ?");
        values.push(case.to_string().into());
    }
    if let Some((since, id)) = query.after {
        conditions.push("(d.since, d.id) < (?, ?)");
        values.extend([since.0.into(), id.to_string().into()]);
    }
    values.push(i64::from(query.limit).into());
    let sql = format!(
        "SELECT {DELIVERY} FROM deliveries d WHERE {} ORDER BY d.since DESC, d.id DESC LIMIT ?",
        conditions.join(" AND ")
    );
    all(connection, READ, &sql, params_from_iter(values), delivery)
}

fn retain(connection: &Connection, retention: &OutboxRetention) -> Result<u64, StoreError> {
    let mut removed = 0;
    for (before, states) in [
        (retention.finished_before, "('delivered', 'superseded')"),
        (retention.dead_before, "('dead')"),
    ] {
        if let Some(before) = before {
            let sql = format!("DELETE FROM deliveries WHERE finished_at < ? AND state IN {states}");
            removed += execute(connection, &sql, [before.0])? as u64;
        }
    }
    if removed > 0 {
        let sql = "DELETE FROM outbox_events WHERE is_planned = 1 AND NOT EXISTS \
                   (SELECT 1 FROM deliveries d WHERE d.case_id = outbox_events.case_id \
                    AND d.sequence = outbox_events.sequence)";
        execute(connection, sql, [])?;
    }
    if let Some(before) = retention.callbacks_before {
        execute(connection, "DELETE FROM callbacks WHERE at < ?", [before.0])?;
    }
    Ok(removed)
}

fn records(
    connection: &Connection,
    after: Option<CaseId>,
    limit: u32,
) -> Result<Vec<OutboxRecord>, StoreError> {
    // A callback may name a case of which there is no event.
    let sql = "SELECT case_id, max(sequence) FROM (SELECT case_id, sequence FROM outbox_cases \
               UNION ALL SELECT case_id, 0 FROM callbacks) WHERE case_id > ? \
               GROUP BY case_id ORDER BY case_id LIMIT ?";
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    let found = all(connection, READ, sql, params![after, limit], |row| {
        let sequence: i64 = row.get(1)?;
        Ok(case_id(row, 0)?.map(|case| (case, sequence)))
    })?;
    let record = |(case, sequence): (CaseId, i64)| {
        let id = case.to_string();
        let sql = format!(
            "SELECT {EVENT}, e.is_planned FROM outbox_events e WHERE e.case_id = ? \
             ORDER BY e.sequence"
        );
        let events = all(connection, READ, &sql, [&id], |row| {
            let is_planned: bool = row.get(5)?;
            Ok(event(row, 0)?.map(|event| (event, is_planned)))
        })?;
        let sql = format!(
            "SELECT {DELIVERY} FROM deliveries d WHERE d.case_id = ? \
             ORDER BY d.sequence, d.receiver"
        );
        let deliveries = all(connection, READ, &sql, [&id], delivery)?;
        let sql =
            format!("SELECT {CALLBACK} FROM callbacks WHERE case_id = ? ORDER BY receiver, key");
        Ok(OutboxRecord {
            case,
            sequence: sequence.cast_unsigned(),
            events,
            deliveries,
            numbers: numbers(connection, case)?,
            callbacks: all(connection, READ, &sql, [&id], callback)?,
        })
    };
    found.into_iter().map(record).collect()
}

fn import(connection: &Connection, record: &OutboxRecord) -> Result<(), StoreError> {
    let id = record.case.to_string();
    for table in [
        "outbox_cases",
        "outbox_events",
        "deliveries",
        "receiver_numbers",
        "callbacks",
    ] {
        let sql = format!("DELETE FROM {table} WHERE case_id = ?");
        execute(connection, &sql, [&id])?;
    }
    if record.sequence > 0 {
        let sequence = record.sequence.cast_signed();
        let sql = "INSERT INTO outbox_cases VALUES (?, ?)";
        execute(connection, sql, params![id, sequence])?;
    }
    let sql = "INSERT INTO outbox_events (case_id, sequence, kind, at, is_planned, content) \
               VALUES (?,?,?,?,?,?)";
    for (event, is_planned) in &record.events {
        let content = outbox::to_json(&event.content)?;
        let values = params![
            id,
            event.sequence.cast_signed(),
            event.kind.as_str(),
            event.at.0,
            is_planned,
            content,
        ];
        execute(connection, sql, values)?;
    }
    for delivery in &record.deliveries {
        insert_delivery(connection, delivery)?;
    }
    for number in &record.numbers {
        insert_number(connection, &id, number)?;
    }
    for callback in &record.callbacks {
        insert_callback(connection, callback)?;
    }
    Ok(())
}

impl EmbeddedStore {
    /// One transaction.
    async fn change_outbox<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write(move |writer| {
            let transaction = immediate(&mut writer.main, WRITE)?;
            let done = work(&transaction)?;
            transaction.commit().map_err(failed(WRITE))?;
            Ok(done)
        })
        .await
    }

    async fn read_outbox<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.read(READ, move |r| work(r.main()?)).await
    }
}

#[async_trait]
impl Outbox for EmbeddedStore {
    async fn unplanned(&self, limit: u32) -> Result<Vec<Event>, StoreError> {
        let sql = format!(
            "SELECT {EVENT} FROM outbox_events e WHERE e.is_planned = 0 ORDER BY e.number LIMIT ?"
        );
        self.read_outbox(move |c| all(c, READ, &sql, [limit], |row| event(row, 0)))
            .await
    }

    async fn plan(&self, asked: &Plan) -> Result<(), StoreError> {
        let asked = asked.clone();
        self.change_outbox(move |c| plan(c, &asked)).await
    }

    async fn due(
        &self,
        receiver: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Delivery, Event)>, StoreError> {
        let receiver = receiver.to_owned();
        self.read_outbox(move |c| due(c, &receiver, now, limit))
            .await
    }

    async fn supersede(&self, receiver: &str, now: Timestamp) -> Result<u64, StoreError> {
        let receiver = receiver.to_owned();
        let condition = "receiver = ?1 AND state = 'pending' AND kind = 'changed' AND EXISTS \
                         (SELECT 1 FROM deliveries l WHERE l.receiver = ?1 \
                          AND l.case_id = deliveries.case_id AND l.state = 'pending' \
                          AND l.sequence > deliveries.sequence)";
        // Mostly there are none, and a reader does not wait for the writer.
        let sql = format!("SELECT EXISTS (SELECT 1 FROM deliveries WHERE {condition})");
        let asked = receiver.clone();
        let read = move |c: &Connection| {
            let found = c.query_row(&sql, [&asked], |row| row.get(0));
            found.map_err(failed(READ))
        };
        if !self.read_outbox(read).await? {
            return Ok(0);
        }
        let sql = format!(
            "UPDATE deliveries SET state = 'superseded', finished_at = ?2 WHERE {condition}"
        );
        self.change_outbox(move |c| Ok(execute(c, &sql, params![receiver, now.0])? as u64))
            .await
    }

    async fn conclude(&self, attempts: &[Attempt]) -> Result<(), StoreError> {
        let attempts: Vec<_> = attempts.iter().map(outbox::storable).collect();
        self.change_outbox(move |c| attempts.iter().try_for_each(|attempt| conclude(c, attempt)))
            .await
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>, StoreError> {
        let query = query.clone();
        self.read_outbox(move |c| list(c, &query)).await
    }

    async fn delivery(&self, id: Uuid) -> Result<Option<Delivery>, StoreError> {
        let sql = format!("SELECT {DELIVERY} FROM deliveries d WHERE d.id = ?");
        let read = move |c: &Connection| Ok(all(c, READ, &sql, [id.to_string()], delivery)?.pop());
        self.read_outbox(read).await
    }

    async fn resend(&self, id: Uuid, now: Timestamp) -> Result<bool, StoreError> {
        let sql = "UPDATE deliveries SET state = 'pending', since = ?2, next_at = ?2, \
                   attempts = 0, finished_at = NULL WHERE id = ?1 AND state = 'dead'";
        self.change_outbox(move |c| Ok(execute(c, sql, params![id.to_string(), now.0])? > 0))
            .await
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        let sql = "SELECT receiver, count(*) FILTER (WHERE state = 'pending'), \
                   count(*) FILTER (WHERE state = 'dead'), \
                   min(since) FILTER (WHERE state = 'pending') FROM deliveries \
                   WHERE state IN ('pending', 'dead') GROUP BY receiver ORDER BY receiver";
        let read = |row: &Row<'_>| {
            Ok(Ok(Backlog {
                receiver: row.get(0)?,
                pending: row.get::<_, i64>(1)?.cast_unsigned(),
                dead: row.get::<_, i64>(2)?.cast_unsigned(),
                oldest: row.get::<_, Option<i64>>(3)?.map(Timestamp),
            }))
        };
        self.read_outbox(move |c| all(c, READ, sql, [], read)).await
    }

    async fn receiver_numbers(&self, case: CaseId) -> Result<Vec<ReceiverNumber>, StoreError> {
        self.read_outbox(move |c| numbers(c, case)).await
    }

    async fn begin_callback(&self, asked: &Callback) -> Result<Begun, StoreError> {
        let asked = asked.clone();
        let begin = move |c: &Connection| {
            if insert_callback(c, &asked)? {
                return Ok(Begun::New);
            }
            let sql = format!("SELECT {CALLBACK} FROM callbacks WHERE receiver = ? AND key = ?");
            let known = all(c, READ, &sql, [&asked.receiver, &asked.key], callback)?.pop();
            execute(
                c,
                "UPDATE callbacks SET sent = max(sent, ?3) WHERE receiver = ?1 AND key = ?2",
                params![asked.receiver, asked.key, asked.sent],
            )?;
            Ok(known.map_or(Begun::New, Begun::Known))
        };
        self.change_outbox(begin).await
    }

    async fn finish_callback(
        &self,
        receiver: &str,
        key: &str,
        outcome: Option<&str>,
    ) -> Result<(), StoreError> {
        let (receiver, key) = (receiver.to_owned(), key.to_owned());
        let outcome = outcome.map(str::to_owned);
        let finish = move |c: &Connection| {
            match outcome {
                Some(outcome) => execute(
                    c,
                    "UPDATE callbacks SET outcome = ?3 WHERE receiver = ?1 AND key = ?2",
                    params![receiver, key, outcome],
                )?,
                None => execute(
                    c,
                    "DELETE FROM callbacks WHERE receiver = ?1 AND key = ?2",
                    params![receiver, key],
                )?,
            };
            Ok(())
        };
        self.change_outbox(finish).await
    }

    async fn retain_outbox(&self, retention: &OutboxRetention) -> Result<u64, StoreError> {
        let retention = *retention;
        self.change_outbox(move |c| retain(c, &retention)).await
    }

    async fn outbox_records(
        &self,
        after: Option<CaseId>,
        limit: u32,
    ) -> Result<Vec<OutboxRecord>, StoreError> {
        self.read_outbox(move |c| records(c, after, limit)).await
    }

    async fn import_outbox(&self, asked: &[OutboxRecord]) -> Result<(), StoreError> {
        let asked = asked.to_vec();
        self.change_outbox(move |c| asked.iter().try_for_each(|record| import(c, record)))
            .await
    }

    async fn tally_outbox(&self) -> Result<OutboxTally, StoreError> {
        let sql = "SELECT (SELECT count(*) FROM outbox_cases), \
                   (SELECT count(*) FROM outbox_events), (SELECT count(*) FROM deliveries), \
                   (SELECT count(*) FROM receiver_numbers), (SELECT count(*) FROM callbacks)";
        let read = |row: &Row<'_>| {
            let count = |index| row.get::<_, i64>(index).map(i64::cast_unsigned);
            Ok(Ok(OutboxTally {
                cases: count(0)?,
                events: count(1)?,
                deliveries: count(2)?,
                numbers: count(3)?,
                callbacks: count(4)?,
            }))
        };
        self.read_outbox(move |c| Ok(all(c, READ, sql, [], read)?.pop().unwrap_or_default()))
            .await
    }
}
