//! Queries for positions, latest positions, quarantine, cursors.

use std::pin::pin;

use futures_util::TryStreamExt;
use geofence::{identity::TerminalId, units::Timestamp};
use tokio_postgres::{RowStream, Statement, types::ToSql};
use uuid::Uuid;

use super::{
    connection::{Connection, Failure},
    rows::{self, Moment, position_columns},
};
use crate::store::{PositionQuery, PositionRow, QuarantinedRow};

pub(super) async fn cursor(
    connection: &mut Connection,
    log: Uuid,
    consumer: &str,
) -> Result<Option<u64>, Failure> {
    let select = connection
        .statement("SELECT record_offset FROM gridtrace.cursors WHERE log = $1 AND consumer = $2")
        .await?;
    let row = connection
        .client
        .query_opt(&select, &[&log, &consumer])
        .await?;
    Ok(row.map(|row| row.get::<_, i64>(0).cast_unsigned()))
}

macro_rules! select_latest {
    () => {
        concat!(
            "SELECT ",
            position_columns!(),
            " FROM gridtrace.terminals t JOIN gridtrace.latest p ON p.terminal = t.id"
        )
    };
}

pub(super) async fn latest(
    connection: &mut Connection,
    after: Option<TerminalId>,
    limit: u32,
) -> Result<Vec<PositionRow>, Failure> {
    let limit = i64::from(limit);
    let Some(after) = after else {
        return first_latest(connection, limit).await;
    };
    latest_after(connection, after.as_str(), limit).await
}

/// Where one page has all, they are put in order here: the server sends each as it finds it,
/// instead of carrying all of them through a sort before the first.
async fn first_latest(
    connection: &mut Connection,
    limit: i64,
) -> Result<Vec<PositionRow>, Failure> {
    let more = limit.saturating_add(1);
    let count = connection
        .statement("SELECT count(*) FROM (SELECT FROM gridtrace.latest LIMIT $1) few")
        .await?;
    let count: i64 = connection.client.query_one(&count, &[&more]).await?.get(0);
    if count <= limit {
        let sql = concat!(select_latest!(), " LIMIT $1");
        let select = connection.statement(sql).await?;
        let mut found = stream(connection, &select, &[&more]).await?;
        // Others may have come meanwhile.
        if found.len() < usize::try_from(more).unwrap_or(usize::MAX) {
            found.sort_by_cached_key(|row| row.position.terminal);
            return Ok(found);
        }
    }
    latest_after(connection, "", limit).await
}

async fn latest_after(
    connection: &mut Connection,
    after: &str,
    limit: i64,
) -> Result<Vec<PositionRow>, Failure> {
    let select = connection
        .statement(concat!(
            select_latest!(),
            " WHERE t.phone > $1 ORDER BY t.phone LIMIT $2"
        ))
        .await?;
    stream(connection, &select, &[&after, &limit]).await
}

/// Positions, each read as it comes: the server works on the next ones meanwhile.
async fn stream(
    connection: &Connection,
    select: &Statement,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<PositionRow>, Failure> {
    let found = connection
        .client
        .query_raw(select, parameters.iter().copied())
        .await?;
    let mut found = pin!(found);
    let mut positions = Vec::new();
    while let Some(row) = found.try_next().await? {
        positions.push(rows::position(&row)?);
    }
    Ok(positions)
}

// Parts of the query for positions. Parameters: range, key of the last row (its terminal, or the
// one that is asked for), limit (NULL for none), box.
macro_rules! select_page {
    () => {
        concat!(
            "SELECT ",
            position_columns!(),
            " FROM gridtrace.positions p JOIN gridtrace.terminals t ON t.id = p.terminal \
             WHERE p.fixed_at >= $1 AND p.fixed_at < $2"
        )
    };
}
macro_rules! of_terminal {
    () => {
        " AND p.terminal = (SELECT id FROM gridtrace.terminals WHERE phone = $4) \
         AND (p.fixed_at, p.digest) > ($3, $5)"
    };
}
macro_rules! of_all {
    () => {
        " AND (p.fixed_at, t.phone, p.digest) > ($3, $4, $5)"
    };
}
macro_rules! in_box {
    () => {
        " AND p.latitude BETWEEN $7 AND $8 AND p.longitude BETWEEN $9 AND $10"
    };
}
macro_rules! by_digest {
    () => {
        " ORDER BY p.fixed_at, p.digest LIMIT $6"
    };
}
macro_rules! by_terminal {
    () => {
        " ORDER BY p.fixed_at, t.phone, p.digest LIMIT $6"
    };
}

pub(super) async fn page(
    connection: &mut Connection,
    query: &PositionQuery,
) -> Result<Vec<PositionRow>, Failure> {
    let mut found = pin!(rows_of(connection, query, Some(query.limit)).await?);
    let mut positions = Vec::new();
    while let Some(row) = found.try_next().await? {
        positions.push(rows::position(&row)?);
    }
    Ok(positions)
}

/// The rows of a query as they come: so many at most, or all of them.
pub(super) async fn rows_of(
    connection: &mut Connection,
    query: &PositionQuery,
    limit: Option<u32>,
) -> Result<RowStream, Failure> {
    let (after, after_terminal, after_digest) = match &query.after {
        Some((fixed_at, terminal, digest)) => (*fixed_at, terminal.as_str(), i64::from(*digest)),
        None => (Timestamp(i64::MIN), "", -1),
    };
    let (from, to) = (Moment(query.from.max(after)), Moment(query.to));
    let (after, limit) = (Moment(after), limit.map(i64::from));
    let [south, north, west, east] = query.bounds();
    let who = (query.terminal.as_ref()).map_or(after_terminal, TerminalId::as_str);
    let mut parameters: Vec<&(dyn ToSql + Sync)> =
        vec![&from, &to, &after, &who, &after_digest, &limit];
    // Where nothing is left out, the planner must not believe that few rows are wanted.
    if query.within.is_some() {
        let bounds: [&(dyn ToSql + Sync); 4] = [&south, &north, &west, &east];
        parameters.extend(bounds);
    }
    let sql = match (&query.terminal, query.within) {
        (Some(_), None) => concat!(select_page!(), of_terminal!(), by_digest!()),
        (Some(_), Some(_)) => concat!(select_page!(), of_terminal!(), in_box!(), by_digest!()),
        (None, None) => concat!(select_page!(), of_all!(), by_terminal!()),
        (None, Some(_)) => concat!(select_page!(), of_all!(), in_box!(), by_terminal!()),
    };
    let select = connection.statement(sql).await?;
    let client = &connection.client;
    Ok(client.query_raw(&select, parameters).await?)
}

/// The first moment of a query's range that has a position, of whatever place.
pub(super) async fn first_moment(
    connection: &mut Connection,
    query: &PositionQuery,
) -> Result<Option<Timestamp>, Failure> {
    let (from, to) = (Moment(query.from), Moment(query.to));
    let row = match query.terminal.as_ref().map(TerminalId::as_str) {
        None => {
            let sql = "SELECT min(fixed_at) FROM gridtrace.positions \
                       WHERE fixed_at >= $1 AND fixed_at < $2";
            let select = connection.statement(sql).await?;
            connection.client.query_one(&select, &[&from, &to]).await?
        }
        Some(phone) => {
            let sql = "SELECT min(fixed_at) FROM gridtrace.positions \
                       WHERE fixed_at >= $1 AND fixed_at < $2 \
                       AND terminal = (SELECT id FROM gridtrace.terminals WHERE phone = $3)";
            let select = connection.statement(sql).await?;
            let client = &connection.client;
            client.query_one(&select, &[&from, &to, &phone]).await?
        }
    };
    Ok(row.get::<_, Option<Moment>>(0).map(|moment| moment.0))
}

pub(super) async fn quarantined(
    connection: &mut Connection,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<QuarantinedRow>, Failure> {
    let before = before
        .and_then(|number| i64::try_from(number).ok())
        .unwrap_or(i64::MAX);
    let select = connection
        .statement(
            "SELECT terminal, reason, digest, received_at, log_offset, body, number \
             FROM gridtrace.quarantine WHERE number < $1 ORDER BY number DESC LIMIT $2",
        )
        .await?;
    let found = connection
        .client
        .query(&select, &[&before, &i64::from(limit)])
        .await?;
    Ok(found
        .iter()
        .map(rows::quarantined)
        .collect::<Result<_, _>>()?)
}
