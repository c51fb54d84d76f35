//! What happens to a command after it was queued.

use geofence::{identity::TerminalId, units::Timestamp};
use rusqlite::{Connection, OptionalExtension as _, ToSql, params};

use super::{
    BATCH_ROWS, CommandId, CommandLimits, CommandMove, CommandState, CommandTotals, Sending,
    rows::{self, parsed},
};
use crate::{sqlite::failed, store::StoreError};

/// Characters of a reason or another word about a move; the rest is cut off.
const DETAIL_CHARS_MAX: usize = 200;
/// The reason of what expired.
const EXPIRED: &str = "expired";

/// One thing that happened to one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandChange {
    /// To which.
    pub id: CommandId,
    /// When, by our clock.
    pub at: Timestamp,
    /// What.
    pub change: Change,
}

/// What happened. An answer or an acknowledgement needs a sending before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is about to be written to the terminal's connection.
    Sent(Sending),
    /// The general answer (0x0001, result 0) came to a command that is answered with a message of
    /// its own afterwards (0x8500: 0x0001, then 0x0500; 0x8801: 0x0001, then 0x0805). It stays
    /// sent, and returns to it when the answer comes over a later connection.
    Acknowledged,
    /// It is to be sent again: its connection ended, or nothing came in time.
    Requeued {
        /// Why, in a word.
        reason: String,
    },
    /// The terminal has done it.
    Answered {
        /// The result in its answer.
        result: Option<u8>,
        /// The content of its answer as JSON text.
        answer: Option<String>,
    },
    /// The terminal refused it, or it was given up.
    Failed {
        /// Why, in a word.
        reason: String,
        /// The result in the terminal's answer; with it, this is one.
        result: Option<u8>,
        /// The content of the terminal's answer as JSON text.
        answer: Option<String>,
    },
    /// A person took it back.
    Cancelled {
        /// Who.
        by: Option<String>,
    },
}

impl Change {
    const fn state(&self) -> CommandState {
        match self {
            Self::Sent(_) | Self::Acknowledged => CommandState::Sent,
            Self::Requeued { .. } => CommandState::Queued,
            Self::Answered { .. } => CommandState::Answered,
            Self::Failed { .. } => CommandState::Failed,
            Self::Cancelled { .. } => CommandState::Cancelled,
        }
    }

    /// It comes from a terminal, which cannot know what it was not sent.
    const fn is_answer(&self) -> bool {
        match self {
            Self::Acknowledged | Self::Answered { .. } => true,
            Self::Failed { result, .. } => result.is_some(),
            Self::Sent(_) | Self::Requeued { .. } | Self::Cancelled { .. } => false,
        }
    }
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The command is now in this state.
    Done(CommandState),
    /// The command is in this state and stays there.
    NotAllowed(CommandState),
    /// There is no such command.
    Unknown,
}

/// A command whose time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// The command.
    pub id: CommandId,
    /// Its terminal.
    pub terminal: TerminalId,
    /// Whether it was ever sent: then its terminal may have done it all the same.
    pub was_sent: bool,
}

/// What decides about a change.
struct Standing {
    number: i64,
    state: CommandState,
    attempts: u32,
    bytes: u64,
}

/// How a command ends.
#[derive(Default)]
struct Ending<'a> {
    answered_at: Option<Timestamp>,
    result: Option<u8>,
    reason: Option<&'a str>,
    answer: Option<&'a str>,
}

/// Within a transaction.
pub(super) fn apply(
    connection: &Connection,
    totals: &mut CommandTotals,
    limits: &CommandLimits,
    change: &CommandChange,
) -> Result<Outcome, StoreError> {
    let Some(standing) = standing(connection, change.id)? else {
        return Ok(Outcome::Unknown);
    };
    let CommandChange { at, change, .. } = change;
    let state = change.state();
    let is_unasked = change.is_answer() && standing.attempts == 0;
    if is_unasked || !standing.state.may_become(state) {
        return Ok(Outcome::NotAllowed(standing.state));
    }
    let detail = if state.is_open() {
        keep_open(connection, standing.number, *at, change)?
    } else {
        let (mut ending, mut detail) = ending(change, *at);
        let is_kept = |text: &&str| text.len() as u64 <= limits.answer_bytes_max;
        if let Some(text) = ending.answer.take_if(|text| !is_kept(text)) {
            detail = format!("the answer was not kept, {} bytes", text.len());
        }
        close(connection, totals, &standing, state, *at, &ending)?;
        detail
    };
    let at = *at;
    let line = CommandMove { at, state, detail };
    rows::record(connection, standing.number, &line, limits.history_lines_max)?;
    Ok(Outcome::Done(state))
}

/// Writes what does not close a command; gives the words for its history.
fn keep_open(
    connection: &Connection,
    number: i64,
    at: Timestamp,
    change: &Change,
) -> Result<String, StoreError> {
    match change {
        Change::Sent(Sending {
            first_serial,
            packets,
        }) => {
            let sql = "UPDATE commands SET state = 'sent', attempts = attempts + 1, \
                first_serial = ?, packets = ?, sent_at = ?, acknowledged_at = NULL \
                WHERE number = ?";
            update(
                connection,
                sql,
                params![first_serial, packets, at.0, number],
            )?;
            Ok(format!("serial {first_serial}, packets {packets}"))
        }
        Change::Acknowledged => {
            let sql = "UPDATE commands SET state = 'sent', acknowledged_at = ? WHERE number = ?";
            update(connection, sql, params![at.0, number])?;
            Ok("acknowledged".to_owned())
        }
        Change::Requeued { reason } => {
            let sql = "UPDATE commands SET state = 'queued' WHERE number = ?";
            update(connection, sql, params![number])?;
            Ok(cut(reason).to_owned())
        }
        Change::Answered { .. } | Change::Failed { .. } | Change::Cancelled { .. } => {
            Ok(String::new())
        }
    }
}

/// How a change that closes a command ends it, and the words for its history.
fn ending(change: &Change, at: Timestamp) -> (Ending<'_>, String) {
    match change {
        Change::Answered { result, answer } => {
            let ending = Ending {
                answered_at: Some(at),
                result: *result,
                reason: None,
                answer: answer.as_deref(),
            };
            (ending, String::new())
        }
        Change::Failed {
            reason,
            result,
            answer,
        } => {
            let ending = Ending {
                answered_at: result.map(|_| at),
                result: *result,
                reason: Some(cut(reason)),
                answer: answer.as_deref(),
            };
            (ending, cut(reason).to_owned())
        }
        Change::Cancelled { by } => {
            let by = by.as_deref().map(cut).unwrap_or_default();
            (Ending::default(), by.to_owned())
        }
        Change::Sent(_) | Change::Acknowledged | Change::Requeued { .. } => {
            (Ending::default(), String::new())
        }
    }
}

/// Within a transaction: closes some of those whose time is over.
pub(super) fn expire(
    connection: &Connection,
    totals: &mut CommandTotals,
    limits: &CommandLimits,
    now: Timestamp,
) -> Result<Vec<Expired>, StoreError> {
    let action = "find expired commands";
    let sql = "SELECT number, state, attempts, bytes, id, terminal FROM commands \
        WHERE closed_at IS NULL AND expires_at <= ? ORDER BY expires_at LIMIT ?";
    let mut statement = connection.prepare_cached(sql).map_err(failed(action))?;
    let rows = statement
        .query_map((now.0, BATCH_ROWS), |row| {
            let standing = read_standing(row)?;
            let expired = Expired {
                id: parsed(row, 4)?,
                terminal: parsed(row, 5)?,
                was_sent: standing.attempts > 0,
            };
            Ok((standing, expired))
        })
        .map_err(failed(action))?;
    // All of them before the first is changed: the index that is read is changed too.
    let found: Vec<_> = rows.collect::<Result<_, _>>().map_err(failed(action))?;
    for (standing, _) in &found {
        let ending = Ending {
            reason: Some(EXPIRED),
            ..Ending::default()
        };
        let state = CommandState::Expired;
        close(connection, totals, standing, state, now, &ending)?;
        let line = CommandMove {
            at: now,
            state,
            detail: String::new(),
        };
        rows::record(connection, standing.number, &line, limits.history_lines_max)?;
    }
    Ok(found.into_iter().map(|(_, expired)| expired).collect())
}

fn standing(connection: &Connection, id: CommandId) -> Result<Option<Standing>, StoreError> {
    let sql = "SELECT number, state, attempts, bytes FROM commands WHERE id = ?";
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([id.to_string()], read_standing))
        .optional()
        .map_err(failed("find a command"))
}

fn read_standing(row: &rusqlite::Row<'_>) -> rusqlite::Result<Standing> {
    Ok(Standing {
        number: row.get(0)?,
        state: parsed(row, 1)?,
        attempts: row.get(2)?,
        bytes: row.get::<_, i64>(3)?.cast_unsigned(),
    })
}

/// A late answer closes a second time; then the first time stays.
fn close(
    connection: &Connection,
    totals: &mut CommandTotals,
    standing: &Standing,
    state: CommandState,
    at: Timestamp,
    ending: &Ending<'_>,
) -> Result<(), StoreError> {
    let answer_bytes = ending.answer.map_or(0, str::len) as u64;
    let sql = "UPDATE commands SET state = ?, closed_at = coalesce(closed_at, ?), \
        answered_at = coalesce(?, answered_at), result = ?, reason = ?, \
        bytes = bytes - length(CAST(coalesce(answer, '') AS BLOB)) + ?, answer = ? \
        WHERE number = ? RETURNING bytes";
    let bytes = connection
        .prepare_cached(sql)
        .and_then(|mut statement| {
            let values = params![
                state.as_str(),
                at.0,
                ending.answered_at.map(|at| at.0),
                ending.result,
                ending.reason,
                answer_bytes.cast_signed(),
                ending.answer,
                standing.number,
            ];
            statement.query_row(values, |row| row.get::<_, i64>(0))
        })
        .map_err(failed("close a command"))?
        .cast_unsigned();
    if standing.state.is_open() {
        totals.open = totals.open.saturating_sub(1);
        totals.open_bytes = totals.open_bytes.saturating_sub(standing.bytes);
    }
    totals.stored_bytes = totals.stored_bytes.saturating_sub(standing.bytes) + bytes;
    Ok(())
}

fn update(connection: &Connection, sql: &str, values: &[&dyn ToSql]) -> Result<(), StoreError> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(values))
        .map(drop)
        .map_err(failed("write what happened to a command"))
}

fn cut(text: &str) -> &str {
    text.char_indices()
        .nth(DETAIL_CHARS_MAX)
        .and_then(|(end, _)| text.get(..end))
        .unwrap_or(text)
}
