//! The outbox in PostgreSQL.

mod records;

use async_trait::async_trait;
use geofence::{identity::CaseId, units::Timestamp};
use tokio_postgres::{Row, Statement, Transaction, types::ToSql};
use uuid::Uuid;

use super::{
    TimescaleStore,
    connection::{Connection, Failure, Lease, bounded},
    rows::Moment,
};
use crate::{
    case_changes::damaged,
    outbox::{
        self, Attempt, Backlog, Begun, Callback, Delivery, DeliveryQuery, DeliveryState, Draft,
        Event, EventKind, Outbox, OutboxRecord, OutboxRetention, OutboxTally, Plan, ReceiverNumber,
    },
    store::StoreError,
};

const READ: &str = "read the outbox";
const WRITE: &str = "write the outbox";

macro_rules! delivery_columns {
    () => {
        "d.id, d.receiver, d.case_id, d.sequence, d.kind, d.state, d.since, d.attempts, \
         d.next_at, d.finished_at, d.status, d.said"
    };
}
use delivery_columns;
const DELIVERY_COLUMNS: usize = 12;
macro_rules! event_columns {
    () => {
        "e.case_id, e.sequence, e.kind, e.at, e.content"
    };
}
use event_columns;
macro_rules! callback_columns {
    () => {
        "receiver, key, case_id, at, digest, sent, outcome"
    };
}
use callback_columns;

/// The case is locked by its transaction, so that the sequence has no gaps and the numbers follow it.
const INSERT: &str = "WITH next AS (INSERT INTO gridtrace.outbox_cases VALUES ($1, 1) \
    ON CONFLICT (case_id) DO UPDATE SET sequence = outbox_cases.sequence + 1 RETURNING sequence) \
    INSERT INTO gridtrace.outbox_events (case_id, sequence, kind, at, is_planned, content) \
    SELECT $1, sequence, $2, $3, false, $4 FROM next";
const INSERT_DELIVERY: &str = "INSERT INTO gridtrace.deliveries \
    VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12) ON CONFLICT DO NOTHING";
/// Only of an event that waits: repeating a plan must not bring back what has gone.
const PLAN_DELIVERY: &str = "INSERT INTO gridtrace.deliveries \
    SELECT $1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12 WHERE EXISTS (SELECT 1 FROM \
    gridtrace.outbox_events WHERE case_id = $3 AND sequence = $4 AND NOT is_planned) \
    ON CONFLICT DO NOTHING";
const SELECT_NUMBERS: &str = "SELECT receiver, number, at FROM gridtrace.receiver_numbers \
    WHERE case_id = $1 ORDER BY receiver";
const INSERT_CALLBACK: &str =
    "INSERT INTO gridtrace.callbacks VALUES ($1,$2,$3,$4,$5,$6,$7) ON CONFLICT DO NOTHING";

/// The statement of [`write`].
pub(super) async fn prepare(connection: &mut Connection) -> Result<Statement, Failure> {
    connection.statement(INSERT).await
}

/// Writes the event of a change, in the transaction of its case.
pub(super) async fn write(
    transaction: &Transaction<'_>,
    insert: &Statement,
    draft: &Draft,
) -> Result<(), Failure> {
    let content = outbox::to_json(&draft.content)?;
    let parameters: [&(dyn ToSql + Sync); 4] = [
        &draft.case.0,
        &draft.kind.as_str(),
        &Moment(draft.at),
        &content,
    ];
    transaction.execute(insert, &parameters).await?;
    Ok(())
}

/// Reads `event_columns` from a column on.
fn event(row: &Row, first: usize) -> Result<Event, StoreError> {
    outbox::event(
        CaseId(row.get(first)),
        row.get(first + 1),
        row.get(first + 2),
        row.get::<_, Moment>(first + 3).0,
        row.get(first + 4),
    )
}

/// Reads `delivery_columns`.
fn delivery(row: &Row) -> Result<Delivery, StoreError> {
    let (kind, state): (&str, &str) = (row.get(4), row.get(5));
    Ok(Delivery {
        id: row.get(0),
        receiver: row.get(1),
        case: CaseId(row.get(2)),
        sequence: row.get::<_, i64>(3).cast_unsigned(),
        kind: EventKind::from_word(kind).ok_or_else(|| damaged(READ, &kind))?,
        state: DeliveryState::from_word(state).ok_or_else(|| damaged(READ, &state))?,
        since: row.get::<_, Moment>(6).0,
        attempts: u32::try_from(row.get::<_, i64>(7)).unwrap_or(u32::MAX),
        next_at: row.get::<_, Moment>(8).0,
        finished_at: row.get::<_, Option<Moment>>(9).map(|at| at.0),
        status: outbox::status(row.get(10)),
        said: row.get(11),
    })
}

fn callback(row: &Row) -> Callback {
    Callback {
        receiver: row.get(0),
        key: row.get(1),
        case: CaseId(row.get(2)),
        at: row.get::<_, Moment>(3).0,
        digest: row.get(4),
        sent: row.get(5),
        outcome: row.get(6),
    }
}

fn number(row: &Row) -> ReceiverNumber {
    ReceiverNumber {
        receiver: row.get(0),
        number: row.get(1),
        at: row.get::<_, Moment>(2).0,
    }
}

async fn insert_delivery(
    transaction: &Transaction<'_>,
    statement: &Statement,
    delivery: &Delivery,
) -> Result<(), Failure> {
    let parameters: [&(dyn ToSql + Sync); 12] = [
        &delivery.id,
        &delivery.receiver,
        &delivery.case.0,
        &delivery.sequence.cast_signed(),
        &delivery.kind.as_str(),
        &delivery.state.as_str(),
        &Moment(delivery.since),
        &i64::from(delivery.attempts),
        &Moment(delivery.next_at),
        &delivery.finished_at.map(Moment),
        &delivery.status.map(i64::from),
        &delivery.said,
    ];
    transaction.execute(statement, &parameters).await?;
    Ok(())
}

/// False when the key is there.
async fn insert_callback(
    transaction: &Transaction<'_>,
    statement: &Statement,
    callback: &Callback,
) -> Result<bool, Failure> {
    let parameters: [&(dyn ToSql + Sync); 7] = [
        &callback.receiver,
        &callback.key,
        &callback.case.0,
        &Moment(callback.at),
        &callback.digest,
        &callback.sent,
        &callback.outcome,
    ];
    Ok(transaction.execute(statement, &parameters).await? > 0)
}

async fn plan(connection: &mut Connection, plan: &Plan) -> Result<(), Failure> {
    let insert = connection.statement(PLAN_DELIVERY).await?;
    let mark = connection
        .statement(
            "UPDATE gridtrace.outbox_events SET is_planned = true \
             WHERE case_id = $1 AND sequence = $2",
        )
        .await?;
    let remove = connection
        .statement(
            "DELETE FROM gridtrace.outbox_events WHERE case_id = $1 AND sequence = $2 \
             AND NOT EXISTS (SELECT 1 FROM gridtrace.deliveries \
             WHERE case_id = $1 AND sequence = $2)",
        )
        .await?;
    let transaction = connection.client.transaction().await?;
    for delivery in &plan.deliveries {
        insert_delivery(&transaction, &insert, delivery).await?;
    }
    for (case, sequence) in &plan.events {
        let key: [&(dyn ToSql + Sync); 2] = [&case.0, &sequence.cast_signed()];
        transaction.execute(&mark, &key).await?;
        transaction.execute(&remove, &key).await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn due(
    connection: &mut Connection,
    receiver: &str,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<(Delivery, Event)>, Failure> {
    let select = connection
        .statement(concat!(
            "SELECT ",
            delivery_columns!(),
            ", ",
            event_columns!(),
            " FROM gridtrace.deliveries d JOIN gridtrace.outbox_events e \
             ON e.case_id = d.case_id AND e.sequence = d.sequence \
             WHERE d.receiver = $1 AND d.state = 'pending' AND d.next_at <= $2 AND NOT EXISTS \
             (SELECT 1 FROM gridtrace.deliveries p WHERE p.receiver = $1 \
              AND p.case_id = d.case_id AND p.state = 'pending' AND p.sequence < d.sequence) \
             ORDER BY d.next_at, d.id LIMIT $3"
        ))
        .await?;
    let parameters: [&(dyn ToSql + Sync); 3] = [&receiver, &Moment(now), &i64::from(limit)];
    let rows = connection.client.query(&select, &parameters).await?;
    let read = |row: &Row| Ok((delivery(row)?, event(row, DELIVERY_COLUMNS)?));
    Ok(rows.iter().map(read).collect::<Result<_, StoreError>>()?)
}

async fn conclude(connection: &mut Connection, attempts: &[Attempt]) -> Result<(), Failure> {
    let update = connection
        .statement(
            "UPDATE gridtrace.deliveries SET state = $2, attempts = attempts + 1, next_at = $3, \
             finished_at = $4, status = $5, said = $6 \
             WHERE id = $1 AND (state = 'pending' OR $2 = 'delivered')",
        )
        .await?;
    let upsert = connection
        .statement(
            "INSERT INTO gridtrace.receiver_numbers SELECT case_id, receiver, $2, $3 \
             FROM gridtrace.deliveries WHERE id = $1 \
             ON CONFLICT (case_id, receiver) DO UPDATE SET number = $2, at = $3",
        )
        .await?;
    let transaction = connection.client.transaction().await?;
    for attempt in attempts {
        let is_final = attempt.state != DeliveryState::Pending;
        let parameters: [&(dyn ToSql + Sync); 6] = [
            &attempt.id,
            &attempt.state.as_str(),
            &Moment(attempt.next_at),
            &is_final.then_some(Moment(attempt.at)),
            &attempt.status.map(i64::from),
            &attempt.said,
        ];
        transaction.execute(&update, &parameters).await?;
        if let Some(number) = &attempt.number {
            let parameters: [&(dyn ToSql + Sync); 3] = [&attempt.id, number, &Moment(attempt.at)];
            transaction.execute(&upsert, &parameters).await?;
        }
    }
    transaction.commit().await?;
    Ok(())
}

async fn list(
    connection: &mut Connection,
    query: &DeliveryQuery,
) -> Result<Vec<Delivery>, Failure> {
    let select = connection
        .statement(concat!(
            "SELECT ",
            delivery_columns!(),
            " FROM gridtrace.deliveries d WHERE ($1::text IS NULL OR d.state = $1) \
             AND ($2::text IS NULL OR d.receiver = $2) AND ($3::uuid IS NULL OR d.case_id = $3) \
             AND (NOT $4::boolean OR (d.since, d.id) < ($5, $6)) \
             ORDER BY d.since DESC, d.id DESC LIMIT $7"
        ))
        .await?;
    let (since, id) = query.after.unwrap_or((Timestamp(0), Uuid::nil()));
    let parameters: [&(dyn ToSql + Sync); 7] = [
        &query.state.map(DeliveryState::as_str),
        &query.receiver,
        &query.case.map(|case| case.0),
        &query.after.is_some(),
        &Moment(since),
        &id,
        &i64::from(query.limit),
    ];
    let rows = connection.client.query(&select, &parameters).await?;
    Ok(rows
        .iter()
        .map(delivery)
        .collect::<Result<_, StoreError>>()?)
}

async fn retain(connection: &mut Connection, retention: &OutboxRetention) -> Result<u64, Failure> {
    let finished = connection
        .statement(
            "DELETE FROM gridtrace.deliveries WHERE finished_at < $1 \
             AND state IN ('delivered', 'superseded')",
        )
        .await?;
    let dead = connection
        .statement("DELETE FROM gridtrace.deliveries WHERE finished_at < $1 AND state = 'dead'")
        .await?;
    let events = connection
        .statement(
            "DELETE FROM gridtrace.outbox_events e WHERE e.is_planned AND NOT EXISTS \
             (SELECT 1 FROM gridtrace.deliveries d WHERE d.case_id = e.case_id \
             AND d.sequence = e.sequence)",
        )
        .await?;
    let callbacks = connection
        .statement("DELETE FROM gridtrace.callbacks WHERE at < $1")
        .await?;
    let transaction = connection.client.transaction().await?;
    let mut removed = 0;
    for (before, statement) in [
        (retention.finished_before, &finished),
        (retention.dead_before, &dead),
    ] {
        if let Some(before) = before {
            removed += transaction.execute(statement, &[&Moment(before)]).await?;
        }
    }
    if removed > 0 {
        transaction.execute(&events, &[]).await?;
    }
    if let Some(before) = retention.callbacks_before {
        transaction.execute(&callbacks, &[&Moment(before)]).await?;
    }
    transaction.commit().await?;
    Ok(removed)
}

async fn begin_callback(connection: &mut Connection, asked: &Callback) -> Result<Begun, Failure> {
    let insert = connection.statement(INSERT_CALLBACK).await?;
    let select = connection
        .statement(concat!(
            "SELECT ",
            callback_columns!(),
            " FROM gridtrace.callbacks WHERE receiver = $1 AND key = $2"
        ))
        .await?;
    let update = connection
        .statement(
            "UPDATE gridtrace.callbacks SET sent = greatest(sent, $3) \
             WHERE receiver = $1 AND key = $2",
        )
        .await?;
    let transaction = connection.client.transaction().await?;
    let is_new = insert_callback(&transaction, &insert, asked).await?;
    let known = transaction
        .query_opt(&select, &[&asked.receiver, &asked.key])
        .await?;
    let parameters: [&(dyn ToSql + Sync); 3] = [&asked.receiver, &asked.key, &asked.sent];
    transaction.execute(&update, &parameters).await?;
    transaction.commit().await?;
    Ok(match known {
        Some(row) if !is_new => Begun::Known(callback(&row)),
        _ => Begun::New,
    })
}

impl TimescaleStore {
    async fn outbox_writer(&self) -> Result<Lease<'_>, StoreError> {
        self.found().await?;
        self.writers.lease(WRITE).await
    }

    /// One statement that writes; gives the number of rows.
    async fn change_outbox(
        &self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, StoreError> {
        let mut lease = self.outbox_writer().await?;
        let work = async {
            let statement = lease.statement(sql).await?;
            Ok(lease.client.execute(&statement, parameters).await?)
        };
        let result = bounded(self.options.write_timeout, work).await;
        lease.conclude(result)
    }

    /// One statement that reads.
    async fn read_outbox(
        &self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        let mut lease = self.reader(READ).await?;
        let work = async {
            let statement = lease.statement(sql).await?;
            Ok(lease.client.query(&statement, parameters).await?)
        };
        let result = bounded(self.options.query_timeout, work).await;
        lease.conclude(result)
    }
}

#[async_trait]
impl Outbox for TimescaleStore {
    async fn unplanned(&self, limit: u32) -> Result<Vec<Event>, StoreError> {
        let sql = concat!(
            "SELECT ",
            event_columns!(),
            " FROM gridtrace.outbox_events e WHERE NOT e.is_planned ORDER BY e.number LIMIT $1"
        );
        let rows = self.read_outbox(sql, &[&i64::from(limit)]).await?;
        rows.iter().map(|row| event(row, 0)).collect()
    }

    async fn plan(&self, asked: &Plan) -> Result<(), StoreError> {
        let mut lease = self.outbox_writer().await?;
        let result = bounded(self.options.write_timeout, plan(&mut lease, asked)).await;
        lease.conclude(result)
    }

    async fn due(
        &self,
        receiver: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Delivery, Event)>, StoreError> {
        let mut lease = self.reader(READ).await?;
        let result = self.query(due(&mut lease, receiver, now, limit)).await;
        lease.conclude(result)
    }

    async fn supersede(&self, receiver: &str, now: Timestamp) -> Result<u64, StoreError> {
        let sql = "UPDATE gridtrace.deliveries d SET state = 'superseded', finished_at = $2 \
                   WHERE d.receiver = $1 AND d.state = 'pending' AND d.kind = 'changed' \
                   AND EXISTS (SELECT 1 FROM gridtrace.deliveries l WHERE l.receiver = $1 \
                   AND l.case_id = d.case_id AND l.state = 'pending' AND l.sequence > d.sequence)";
        self.change_outbox(sql, &[&receiver, &Moment(now)]).await
    }

    async fn conclude(&self, attempts: &[Attempt]) -> Result<(), StoreError> {
        let attempts: Vec<_> = attempts.iter().map(outbox::storable).collect();
        let mut lease = self.outbox_writer().await?;
        let result = bounded(self.options.write_timeout, conclude(&mut lease, &attempts)).await;
        lease.conclude(result)
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>, StoreError> {
        let mut lease = self.reader(READ).await?;
        let result = self.query(list(&mut lease, query)).await;
        lease.conclude(result)
    }

    async fn delivery(&self, id: Uuid) -> Result<Option<Delivery>, StoreError> {
        let sql = concat!(
            "SELECT ",
            delivery_columns!(),
            " FROM gridtrace.deliveries d WHERE d.id = $1"
        );
        let rows = self.read_outbox(sql, &[&id]).await?;
        rows.first().map(delivery).transpose()
    }

    async fn resend(&self, id: Uuid, now: Timestamp) -> Result<bool, StoreError> {
        let sql = "UPDATE gridtrace.deliveries SET state = 'pending', since = $2, next_at = $2, \
                   attempts = 0, finished_at = NULL WHERE id = $1 AND state = 'dead'";
        Ok(self.change_outbox(sql, &[&id, &Moment(now)]).await? > 0)
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        let sql = "SELECT receiver, count(*) FILTER (WHERE state = 'pending'), \
                   count(*) FILTER (WHERE state = 'dead'), \
                   min(since) FILTER (WHERE state = 'pending') FROM gridtrace.deliveries \
                   WHERE state IN ('pending', 'dead') GROUP BY receiver ORDER BY receiver";
        let rows = self.read_outbox(sql, &[]).await?;
        let backlog = rows.iter().map(|row| Backlog {
            receiver: row.get(0),
            pending: row.get::<_, i64>(1).cast_unsigned(),
            dead: row.get::<_, i64>(2).cast_unsigned(),
            oldest: row.get::<_, Option<Moment>>(3).map(|at| at.0),
        });
        Ok(backlog.collect())
    }

    async fn receiver_numbers(&self, case: CaseId) -> Result<Vec<ReceiverNumber>, StoreError> {
        let rows = self.read_outbox(SELECT_NUMBERS, &[&case.0]).await?;
        Ok(rows.iter().map(number).collect())
    }

    async fn begin_callback(&self, asked: &Callback) -> Result<Begun, StoreError> {
        let mut lease = self.outbox_writer().await?;
        let result = bounded(
            self.options.write_timeout,
            begin_callback(&mut lease, asked),
        )
        .await;
        lease.conclude(result)
    }

    async fn finish_callback(
        &self,
        receiver: &str,
        key: &str,
        outcome: Option<&str>,
    ) -> Result<(), StoreError> {
        match outcome {
            Some(outcome) => {
                let sql = "UPDATE gridtrace.callbacks SET outcome = $3 \
                           WHERE receiver = $1 AND key = $2";
                self.change_outbox(sql, &[&receiver, &key, &outcome])
                    .await?
            }
            None => {
                let sql = "DELETE FROM gridtrace.callbacks WHERE receiver = $1 AND key = $2";
                self.change_outbox(sql, &[&receiver, &key]).await?
            }
        };
        Ok(())
    }

    async fn retain_outbox(&self, retention: &OutboxRetention) -> Result<u64, StoreError> {
        let mut lease = self.outbox_writer().await?;
        let result = bounded(self.options.write_timeout, retain(&mut lease, retention)).await;
        lease.conclude(result)
    }

    async fn outbox_records(
        &self,
        after: Option<CaseId>,
        limit: u32,
    ) -> Result<Vec<OutboxRecord>, StoreError> {
        let mut lease = self.reader(READ).await?;
        let result = self.query(records::records(&mut lease, after, limit)).await;
        lease.conclude(result)
    }

    async fn import_outbox(&self, asked: &[OutboxRecord]) -> Result<(), StoreError> {
        let mut lease = self.outbox_writer().await?;
        let result = bounded(
            self.options.write_timeout,
            records::import(&mut lease, asked),
        )
        .await;
        lease.conclude(result)
    }

    async fn tally_outbox(&self) -> Result<OutboxTally, StoreError> {
        let sql = "SELECT (SELECT count(*) FROM gridtrace.outbox_cases), \
                   (SELECT count(*) FROM gridtrace.outbox_events), \
                   (SELECT count(*) FROM gridtrace.deliveries), \
                   (SELECT count(*) FROM gridtrace.receiver_numbers), \
                   (SELECT count(*) FROM gridtrace.callbacks)";
        let rows = self.read_outbox(sql, &[]).await?;
        let tally = rows.first().map(|row| {
            let count = |index: usize| row.get::<_, i64>(index).cast_unsigned();
            OutboxTally {
                cases: count(0),
                events: count(1),
                deliveries: count(2),
                numbers: count(3),
                callbacks: count(4),
            }
        });
        Ok(tally.unwrap_or_default())
    }
}
