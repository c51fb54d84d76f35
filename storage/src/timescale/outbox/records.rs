//! The whole of the outbox, read and written for a move.

use geofence::identity::CaseId;
use tokio_postgres::{Row, types::ToSql};
use uuid::Uuid;

use super::{
    INSERT_CALLBACK, INSERT_DELIVERY, SELECT_NUMBERS, callback, callback_columns, delivery,
    delivery_columns, event, event_columns, insert_callback, insert_delivery, number,
};
use crate::{
    outbox::{self, OutboxRecord},
    store::StoreError,
    timescale::{
        connection::{Connection, Failure},
        rows::Moment,
    },
};

pub(super) async fn records(
    connection: &mut Connection,
    after: Option<CaseId>,
    limit: u32,
) -> Result<Vec<OutboxRecord>, Failure> {
    // A callback may name a case of which there is no event.
    let select = connection
        .statement(
            "SELECT case_id, max(sequence) FROM (SELECT case_id, sequence \
             FROM gridtrace.outbox_cases UNION ALL SELECT case_id, 0 FROM gridtrace.callbacks) a \
             WHERE $1::uuid IS NULL OR case_id > $1 GROUP BY case_id ORDER BY case_id LIMIT $2",
        )
        .await?;
    let events = connection
        .statement(concat!(
            "SELECT ",
            event_columns!(),
            ", e.is_planned FROM gridtrace.outbox_events e WHERE e.case_id = $1 ORDER BY e.sequence"
        ))
        .await?;
    let deliveries = connection
        .statement(concat!(
            "SELECT ",
            delivery_columns!(),
            " FROM gridtrace.deliveries d WHERE d.case_id = $1 ORDER BY d.sequence, d.receiver"
        ))
        .await?;
    let numbers = connection.statement(SELECT_NUMBERS).await?;
    let callbacks = connection
        .statement(concat!(
            "SELECT ",
            callback_columns!(),
            " FROM gridtrace.callbacks WHERE case_id = $1 ORDER BY receiver, key"
        ))
        .await?;
    let client = &connection.client;
    let after = after.map(|id| id.0);
    let mut records = Vec::new();
    for row in client.query(&select, &[&after, &i64::from(limit)]).await? {
        let id: Uuid = row.get(0);
        let found = client.query(&events, &[&id]).await?;
        let read = |row: &Row| Ok((event(row, 0)?, row.get(5)));
        let events = found.iter().map(read).collect::<Result<_, StoreError>>()?;
        let found = client.query(&deliveries, &[&id]).await?;
        let deliveries = found
            .iter()
            .map(delivery)
            .collect::<Result<_, StoreError>>()?;
        let found = client.query(&numbers, &[&id]).await?;
        let numbers = found.iter().map(number).collect();
        let found = client.query(&callbacks, &[&id]).await?;
        records.push(OutboxRecord {
            case: CaseId(id),
            sequence: row.get::<_, i64>(1).cast_unsigned(),
            events,
            deliveries,
            numbers,
            callbacks: found.iter().map(callback).collect(),
        });
    }
    Ok(records)
}

/// Parts of one statement: all see what was there before it, which is what is to go.
const FORGET: &str = "WITH a AS (DELETE FROM gridtrace.outbox_cases WHERE case_id = $1), \
    b AS (DELETE FROM gridtrace.outbox_events WHERE case_id = $1), \
    c AS (DELETE FROM gridtrace.deliveries WHERE case_id = $1), \
    d AS (DELETE FROM gridtrace.receiver_numbers WHERE case_id = $1) \
    DELETE FROM gridtrace.callbacks WHERE case_id = $1";

pub(super) async fn import(
    connection: &mut Connection,
    records: &[OutboxRecord],
) -> Result<(), Failure> {
    let forget = connection.statement(FORGET).await?;
    let case = connection
        .statement("INSERT INTO gridtrace.outbox_cases VALUES ($1, $2)")
        .await?;
    let event = connection
        .statement(
            "INSERT INTO gridtrace.outbox_events \
             (case_id, sequence, kind, at, is_planned, content) VALUES ($1,$2,$3,$4,$5,$6)",
        )
        .await?;
    let delivery = connection.statement(INSERT_DELIVERY).await?;
    let number = connection
        .statement("INSERT INTO gridtrace.receiver_numbers VALUES ($1,$2,$3,$4)")
        .await?;
    let callback = connection.statement(INSERT_CALLBACK).await?;
    let transaction = connection.client.transaction().await?;
    for record in records {
        let id = record.case.0;
        transaction.execute(&forget, &[&id]).await?;
        if record.sequence > 0 {
            let sequence = record.sequence.cast_signed();
            transaction.execute(&case, &[&id, &sequence]).await?;
        }
        for (one, is_planned) in &record.events {
            let content = outbox::to_json(&one.content)?;
            let parameters: [&(dyn ToSql + Sync); 6] = [
                &id,
                &one.sequence.cast_signed(),
                &one.kind.as_str(),
                &Moment(one.at),
                is_planned,
                &content,
            ];
            transaction.execute(&event, &parameters).await?;
        }
        for one in &record.deliveries {
            insert_delivery(&transaction, &delivery, one).await?;
        }
        for one in &record.numbers {
            let at = Moment(one.at);
            let parameters: [&(dyn ToSql + Sync); 4] = [&id, &one.receiver, &one.number, &at];
            transaction.execute(&number, &parameters).await?;
        }
        for one in &record.callbacks {
            insert_callback(&transaction, &callback, one).await?;
        }
    }
    transaction.commit().await?;
    Ok(())
}
