//! What is too old goes: partitions or chunks of positions, and reports in quarantine.
//!
//! TimescaleDB has a policy of its own for this. It is not used: it goes by the clock of the
//! database while the window of believed fix times goes by the gateway's, the Apache licence has
//! no policies, and what was removed would be neither counted nor logged.

use std::time::Duration;

use geofence::units::Timestamp;
use time::{Date, format_description::BorrowedFormatItem, macros::format_description};

use super::{
    connection::{Connection, Failure, bounded},
    known::Known,
    positions::partition,
    rows::Moment,
    schema::{Found, LOCK},
};
use crate::store::{Retained, Retention};

/// A day at the end of the name of its partition.
const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]_[month]_[day]");
/// A drop waits for the queries that read the table, and everybody else waits for the drop: rather
/// let it be, and try again in the next round.
const LOCK_WAIT: &str = "SET LOCAL lock_timeout = '2s'";
/// Rows of one statement.
const ROWS_AT_ONCE: i64 = 10_000;

/// Each step within the time limit.
pub(super) async fn retain(
    connection: &mut Connection,
    found: &Found,
    known: &Known,
    limit: Duration,
    retention: &Retention,
) -> Result<Retained, Failure> {
    let mut retained = Retained::default();
    if let Some(moment) = retention.positions_before {
        retained.days = match &found.functions {
            None => drop_partitions(connection, known, limit, moment).await?,
            Some(schema) => {
                let chunks = drop_chunks(connection, schema, "positions", moment);
                let chunks = bounded(limit, chunks).await?;
                if found.has_aggregates {
                    // As with a view: what is gone is in no sum.
                    for sums in ["terminal_hours", "unit_grid_hours"] {
                        bounded(limit, drop_chunks(connection, schema, sums, moment)).await?;
                    }
                }
                chunks
            }
        };
    }
    if let Some(moment) = retention.quarantined_before {
        loop {
            let removed = bounded(limit, remove_quarantined(connection, moment)).await?;
            retained.quarantined += removed;
            if removed == 0 {
                break;
            }
        }
    }
    Ok(retained)
}

/// Partitions that we made, whose day is over by that moment. One transaction each.
async fn drop_partitions(
    connection: &mut Connection,
    known: &Known,
    limit: Duration,
    moment: Timestamp,
) -> Result<u64, Failure> {
    let listed = connection
        .statement(
            "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
             WHERE i.inhparent = 'gridtrace.positions'::regclass",
        )
        .await?;
    let names = bounded(limit, async {
        Ok(connection.client.query(&listed, &[]).await?)
    })
    .await?;
    let mut days: Vec<Date> = names
        .iter()
        .filter_map(|row| Date::parse(row.get::<_, &str>(0).strip_prefix("positions_")?, DAY).ok())
        .filter(|day| {
            let end = day.next_day().map(|day| day.midnight().assume_utc());
            end.is_some_and(|end| end.unix_timestamp() * 1_000 <= moment.millis())
        })
        .collect();
    days.sort_unstable();
    for day in &days {
        let dropping = async {
            let transaction = connection.client.transaction().await?;
            transaction
                .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
                .await?;
            // Another node may have been first.
            let drop = format!(
                "{LOCK_WAIT}; DROP TABLE IF EXISTS gridtrace.{}",
                partition(*day)
            );
            transaction.batch_execute(&drop).await?;
            transaction.commit().await?;
            Ok(())
        };
        bounded(limit, dropping).await?;
        known.forget_partition(*day);
        tracing::info!(%day, "the positions of a day are removed");
    }
    Ok(days.len() as u64)
}

/// Chunks of a table that end before that moment.
async fn drop_chunks(
    connection: &mut Connection,
    schema: &str,
    table: &str,
    moment: Timestamp,
) -> Result<u64, Failure> {
    let transaction = connection.client.transaction().await?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await?;
    transaction.batch_execute(LOCK_WAIT).await?;
    let drop = format!("SELECT {schema}.drop_chunks('gridtrace.{table}', older_than => $1)");
    let drop = transaction
        .prepare_typed(&drop, &[tokio_postgres::types::Type::TIMESTAMPTZ])
        .await?;
    let chunks = transaction.query(&drop, &[&Moment(moment)]).await?;
    transaction.commit().await?;
    for chunk in &chunks {
        let chunk: &str = chunk.get(0);
        tracing::info!(table, chunk, "a chunk is removed");
    }
    Ok(chunks.len() as u64)
}

async fn remove_quarantined(
    connection: &mut Connection,
    moment: Timestamp,
) -> Result<u64, Failure> {
    let delete = connection
        .statement(
            "DELETE FROM gridtrace.quarantine WHERE number IN (SELECT number \
             FROM gridtrace.quarantine WHERE received_at < $1 ORDER BY received_at LIMIT $2)",
        )
        .await?;
    let removed = connection
        .client
        .execute(&delete, &[&Moment(moment), &ROWS_AT_ONCE])
        .await?;
    Ok(removed)
}
