//! Commands as rows.

use std::{collections::BTreeMap, error::Error, str::FromStr};

use geofence::units::Timestamp;
use rusqlite::{Connection, Params, Row, types::Type, types::Value};

use super::{BATCH_ROWS, Command, CommandMove, CommandQuery, CommandState, CommandTotals, Sending};
use crate::{sqlite::failed, store::StoreError};

/// Of `commands`, in the order in which [`command`] reads them.
pub(super) const COLUMNS: &str = "number, id, terminal, message_id, content, is_urgent, \
    created_at, expires_at, idempotency_key, requested_by, state, attempts, first_serial, \
    packets, sent_at, acknowledged_at, answered_at, closed_at, result, reason, answer";

/// What lies around content and answer: the other columns, the indexes, the history.
pub(super) const ROW_BYTES: u64 = 1_024;

pub(super) fn command(row: &Row<'_>) -> rusqlite::Result<Command> {
    let time = |column| -> rusqlite::Result<Option<Timestamp>> {
        Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp))
    };
    let sending = match (row.get(12)?, row.get(13)?) {
        (Some(first_serial), Some(packets)) => Some(Sending {
            first_serial,
            packets,
        }),
        _ => None,
    };
    Ok(Command {
        number: row.get::<_, i64>(0)?.cast_unsigned(),
        id: parsed(row, 1)?,
        terminal: parsed(row, 2)?,
        message_id: row.get(3)?,
        content: row.get(4)?,
        is_urgent: row.get(5)?,
        created_at: Timestamp(row.get(6)?),
        expires_at: Timestamp(row.get(7)?),
        idempotency_key: row.get(8)?,
        requested_by: row.get(9)?,
        state: parsed(row, 10)?,
        attempts: row.get(11)?,
        sending,
        sent_at: time(14)?,
        acknowledged_at: time(15)?,
        answered_at: time(16)?,
        closed_at: time(17)?,
        result: row.get(18)?,
        reason: row.get(19)?,
        answer: row.get(20)?,
    })
}

/// A text column whose text says more than a text.
pub(super) fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    row.get_ref(column)?.as_str()?.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
    })
}

pub(super) fn all(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
) -> Result<Vec<Command>, StoreError> {
    page(connection, sql, parameters, u64::MAX)
}

/// Rows until their contents and answers together have reached a size.
pub(super) fn page(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    bytes_max: u64,
) -> Result<Vec<Command>, StoreError> {
    let action = "read commands";
    let mut statement = connection.prepare_cached(sql).map_err(failed(action))?;
    let rows = statement
        .query_map(parameters, command)
        .map_err(failed(action))?;
    let mut page = Vec::new();
    let mut bytes = 0;
    for row in rows {
        let command = row.map_err(failed(action))?;
        let answer = command.answer.as_ref().map_or(0, String::len);
        bytes += (command.content.len() + answer) as u64;
        page.push(command);
        if bytes >= bytes_max {
            break;
        }
    }
    Ok(page)
}

/// The numbers are found first, in the indexes alone: several states are to be sorted, and with
/// their contents that would be as much memory as the file is large.
pub(super) fn listed(query: &CommandQuery) -> (String, Vec<Value>) {
    let mut conditions = vec!["1".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    if let Some(terminal) = query.terminal {
        conditions.push("terminal = ?".to_owned());
        values.push(terminal.to_string().into());
    }
    if !query.states.is_empty() {
        let asked = CommandState::ALL
            .iter()
            .filter(|s| query.states.contains(s));
        let words: Vec<Value> = asked.map(|s| s.as_str().to_owned().into()).collect();
        conditions.push(format!("state IN ({})", vec!["?"; words.len()].join(", ")));
        values.extend(words);
    }
    if let Some(before) = query.before {
        conditions.push("number < ?".to_owned());
        values.push(i64::try_from(before).unwrap_or(i64::MAX).into());
    }
    values.push(i64::from(query.limit).into());
    let sql = format!(
        "SELECT {COLUMNS} FROM commands WHERE number IN (SELECT number FROM commands \
         WHERE {} ORDER BY number DESC LIMIT ?) ORDER BY number DESC",
        conditions.join(" AND ")
    );
    (sql, values)
}

pub(super) fn history(
    connection: &Connection,
    number: u64,
) -> Result<Vec<CommandMove>, StoreError> {
    let action = "read the history of a command";
    let sql = "SELECT at, state, detail FROM command_history WHERE command = ? ORDER BY number";
    let mut statement = connection.prepare_cached(sql).map_err(failed(action))?;
    let rows = statement
        .query_map([number.cast_signed()], |row| {
            Ok(CommandMove {
                at: Timestamp(row.get(0)?),
                state: parsed(row, 1)?,
                detail: row.get(2)?,
            })
        })
        .map_err(failed(action))?;
    rows.collect::<Result<_, _>>().map_err(failed(action))
}

/// Appends a line to the history of a command. Beyond so many lines the second oldest goes: the
/// first one tells who asked.
pub(super) fn record(
    connection: &Connection,
    number: i64,
    line: &CommandMove,
    lines_max: u32,
) -> Result<(), StoreError> {
    let action = "write the history of a command";
    let insert = "INSERT INTO command_history (command, at, state, detail) VALUES (?,?,?,?)";
    let forget = "DELETE FROM command_history WHERE number = (SELECT number FROM \
        command_history WHERE command = ?1 ORDER BY number LIMIT 1 OFFSET 1) \
        AND (SELECT count(*) FROM command_history WHERE command = ?1) > ?2";
    connection
        .prepare_cached(insert)
        .and_then(|mut statement| {
            statement.execute((number, line.at.0, line.state.as_str(), &line.detail))
        })
        .map_err(failed(action))?;
    connection
        .prepare_cached(forget)
        .and_then(|mut statement| statement.execute((number, lines_max)))
        .map_err(failed(action))?;
    Ok(())
}

pub(super) fn by_state(connection: &Connection) -> Result<BTreeMap<CommandState, u64>, StoreError> {
    let action = "count commands";
    let mut counts: BTreeMap<_, _> = CommandState::ALL.into_iter().map(|s| (s, 0)).collect();
    let sql = "SELECT state, count(*) FROM commands GROUP BY state";
    let mut statement = connection.prepare_cached(sql).map_err(failed(action))?;
    let rows = statement
        .query_map([], |row| Ok((parsed(row, 0)?, row.get::<_, i64>(1)?)))
        .map_err(failed(action))?;
    for row in rows {
        let (state, count) = row.map_err(failed(action))?;
        counts.insert(state, count.cast_unsigned());
    }
    Ok(counts)
}

pub(super) fn totals(connection: &Connection) -> Result<CommandTotals, StoreError> {
    let sql = "SELECT count(*) FILTER (WHERE closed_at IS NULL), \
        coalesce(sum(bytes) FILTER (WHERE closed_at IS NULL), 0), \
        coalesce(sum(bytes), 0) FROM commands";
    connection
        .query_row(sql, [], |row| {
            Ok(CommandTotals {
                open: row.get::<_, i64>(0)?.cast_unsigned(),
                open_bytes: row.get::<_, i64>(1)?.cast_unsigned(),
                stored_bytes: row.get::<_, i64>(2)?.cast_unsigned(),
                displaced: 0,
            })
        })
        .map_err(failed("count commands"))
}

/// Number and bytes of some commands that were closed before a moment, oldest first.
pub(super) fn closed_before(
    connection: &Connection,
    before: Timestamp,
) -> Result<Vec<(i64, u64)>, StoreError> {
    let action = "find closed commands";
    let sql = "SELECT number, bytes FROM commands WHERE closed_at IS NOT NULL AND closed_at < ? \
        ORDER BY closed_at LIMIT ?";
    let mut statement = connection.prepare_cached(sql).map_err(failed(action))?;
    let rows = statement
        .query_map((before.0, BATCH_ROWS), |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
        })
        .map_err(failed(action))?;
    rows.collect::<Result<_, _>>().map_err(failed(action))
}

pub(super) fn delete(connection: &Connection, number: i64) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM command_history WHERE command = ?",
        "DELETE FROM commands WHERE number = ?",
    ] {
        connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([number]))
            .map_err(failed("delete commands"))?;
    }
    Ok(())
}
