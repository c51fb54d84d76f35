//! How a command gets into the queue, and what keeps it out.

use geofence::{identity::TerminalId, units::Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::de::IgnoredAny;
use uuid::Uuid;

use super::{
    Command, CommandId, CommandMove, CommandState, CommandTotals, NewCommand,
    rows::{self, ROW_BYTES},
};
use crate::{sqlite::failed, store::StoreError};

/// Of the key and of who asks.
const NAME_BYTES_MAX: usize = 128;

/// What the queue may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLimits {
    /// Open commands of one terminal. Default 100.
    pub open_per_terminal_max: u32,
    /// Open commands in all. Default 100,000.
    pub open_max: u64,
    /// Bytes of all open commands, each with 1 KiB for what is around it. Default 256 MiB.
    pub open_bytes_max: u64,
    /// Bytes of all commands, likewise; beyond it the oldest closed ones go. Default 1 GiB.
    pub stored_bytes_max: u64,
    /// Bytes of the JSON text of one command. Default 1 MiB.
    pub content_bytes_max: u64,
    /// Bytes of the JSON text of one answer; a larger one is not kept, and the history says so.
    /// Default 256 KiB.
    pub answer_bytes_max: u64,
    /// Lines in the history of one command, at least 2: the first one and the newest. Default 50.
    pub history_lines_max: u32,
}

impl Default for CommandLimits {
    fn default() -> Self {
        Self {
            open_per_terminal_max: 100,
            open_max: 100_000,
            open_bytes_max: 256 << 20,
            stored_bytes_max: 1 << 30,
            content_bytes_max: 1 << 20,
            answer_bytes_max: 256 << 10,
            history_lines_max: 50,
        }
    }
}

/// A command that is in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enqueued {
    /// The command.
    pub command: Command,
    /// It was not there before. Otherwise its terminal has one with the same key and content, in
    /// whichever state.
    pub is_new: bool,
}

/// Why a command was not queued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its terminal has as many open commands as it may have.
    #[error("the terminal has {max} open commands already")]
    TerminalFull {
        /// The limit.
        max: u32,
    },
    /// There are as many open commands as there may be.
    #[error("{max} commands are open already")]
    QueueFull {
        /// The limit.
        max: u64,
    },
    /// The open commands are as large as they may be.
    #[error("the open commands have {max} bytes already")]
    QueueBytesFull {
        /// The limit in bytes.
        max: u64,
    },
    /// Its content is too large.
    #[error("the content has {bytes} bytes, more than {max}")]
    ContentTooLarge {
        /// What it has.
        bytes: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// Its content is no JSON text.
    #[error("the content is no JSON text")]
    NotJson,
    /// A text has a length that it may not have.
    #[error("{field} has 1 to 128 bytes")]
    WrongLength {
        /// Which field.
        field: &'static str,
    },
    /// It would be over before it begins.
    #[error("it expires before it is created")]
    ExpiresAtOnce,
    /// The key stands for something else.
    #[error("the idempotency key stands for another command, {id}")]
    KeyTaken {
        /// For which.
        id: CommandId,
    },
}

impl Refusal {
    /// The word that metrics and logs use.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TerminalFull { .. } => "terminal_full",
            Self::QueueFull { .. } => "queue_full",
            Self::QueueBytesFull { .. } => "queue_bytes_full",
            Self::ContentTooLarge { .. } => "content_too_large",
            Self::NotJson => "not_json",
            Self::WrongLength { .. } => "wrong_length",
            Self::ExpiresAtOnce => "expires_at_once",
            Self::KeyTaken { .. } => "key_taken",
        }
    }
}

/// Why one command was not queued.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// It may not be.
    #[error(transparent)]
    Refused(Refusal),
    /// The file could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl EnqueueError {
    /// The word that metrics and logs use.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.reason(),
            Self::Store(error) => error.reason(),
        }
    }
}

/// Within a transaction. A command that is there is returned also when the queue is full.
pub(super) fn enqueue(
    connection: &Connection,
    totals: &mut CommandTotals,
    limits: &CommandLimits,
    new: &NewCommand,
) -> Result<Result<Enqueued, Refusal>, StoreError> {
    if let Err(refusal) = checked(limits, new) {
        return Ok(Err(refusal));
    }
    let of_same_key = match &new.idempotency_key {
        Some(key) => find(connection, new.terminal, key)?,
        None => None,
    };
    if let Some(command) = of_same_key {
        let is_same = command.message_id == new.message_id
            && command.content == new.content
            && command.is_urgent == new.is_urgent;
        return Ok(if is_same {
            let is_new = false;
            Ok(Enqueued { command, is_new })
        } else {
            Err(Refusal::KeyTaken { id: command.id })
        });
    }
    let bytes = new.content.len() as u64 + ROW_BYTES;
    if totals.open >= limits.open_max {
        return Ok(Err(Refusal::QueueFull {
            max: limits.open_max,
        }));
    }
    if totals.open_bytes + bytes > limits.open_bytes_max {
        return Ok(Err(Refusal::QueueBytesFull {
            max: limits.open_bytes_max,
        }));
    }
    if open_of(connection, new)? >= limits.open_per_terminal_max {
        return Ok(Err(Refusal::TerminalFull {
            max: limits.open_per_terminal_max,
        }));
    }
    let command = insert(connection, new, bytes, limits.history_lines_max)?;
    totals.open += 1;
    totals.open_bytes += bytes;
    totals.stored_bytes += bytes;
    Ok(Ok(Enqueued {
        command,
        is_new: true,
    }))
}

fn checked(limits: &CommandLimits, new: &NewCommand) -> Result<(), Refusal> {
    let (bytes, max) = (new.content.len() as u64, limits.content_bytes_max);
    if bytes > max {
        return Err(Refusal::ContentTooLarge { bytes, max });
    }
    for (field, text) in [
        ("idempotency_key", &new.idempotency_key),
        ("requested_by", &new.requested_by),
    ] {
        if text
            .as_ref()
            .is_some_and(|text| text.is_empty() || text.len() > NAME_BYTES_MAX)
        {
            return Err(Refusal::WrongLength { field });
        }
    }
    if new.expires_at <= new.created_at {
        return Err(Refusal::ExpiresAtOnce);
    }
    serde_json::from_str::<IgnoredAny>(&new.content)
        .map(drop)
        .map_err(|_| Refusal::NotJson)
}

/// The command that has this key at its terminal.
pub(super) fn find(
    connection: &Connection,
    terminal: TerminalId,
    key: &str,
) -> Result<Option<Command>, StoreError> {
    let sql = format!(
        "SELECT {} FROM commands WHERE terminal = ? AND idempotency_key = ?",
        rows::COLUMNS
    );
    connection
        .prepare_cached(&sql)
        .and_then(|mut statement| statement.query_row((terminal.as_str(), key), rows::command))
        .optional()
        .map_err(failed("find a command by its key"))
}

fn open_of(connection: &Connection, new: &NewCommand) -> Result<u32, StoreError> {
    let sql = "SELECT count(*) FROM commands WHERE closed_at IS NULL AND terminal = ?";
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([new.terminal.as_str()], |row| row.get(0)))
        .map_err(failed("count the commands of a terminal"))
}

fn insert(
    connection: &Connection,
    new: &NewCommand,
    bytes: u64,
    lines_max: u32,
) -> Result<Command, StoreError> {
    let action = "queue a command";
    let id = CommandId(Uuid::new_v4());
    let sql = "INSERT INTO commands (id, terminal, message_id, content, is_urgent, created_at, \
        expires_at, idempotency_key, requested_by, state, attempts, bytes) \
        VALUES (?,?,?,?,?,?,?,?,?,'queued',0,?)";
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| {
            statement.execute(params![
                id.to_string(),
                new.terminal.as_str(),
                new.message_id,
                new.content,
                new.is_urgent,
                new.created_at.0,
                new.expires_at.0,
                new.idempotency_key,
                new.requested_by,
                bytes.cast_signed(),
            ])
        })
        .map_err(failed(action))?;
    let number = connection.last_insert_rowid();
    let line = CommandMove {
        at: new.created_at,
        state: CommandState::Queued,
        detail: new.requested_by.clone().unwrap_or_default(),
    };
    rows::record(connection, number, &line, lines_max)?;
    Ok(queued(number.cast_unsigned(), id, new))
}

fn queued(number: u64, id: CommandId, new: &NewCommand) -> Command {
    Command {
        number,
        id,
        terminal: new.terminal,
        message_id: new.message_id,
        content: new.content.clone(),
        is_urgent: new.is_urgent,
        created_at: new.created_at,
        expires_at: new.expires_at,
        idempotency_key: new.idempotency_key.clone(),
        requested_by: new.requested_by.clone(),
        state: CommandState::Queued,
        attempts: 0,
        sending: None,
        sent_at: None,
        acknowledged_at: None,
        answered_at: None,
        closed_at: None,
        result: None,
        reason: None,
        answer: None,
    }
}

/// Deletes the oldest closed commands while all together are too large.
pub(super) fn make_room(
    connection: &Connection,
    totals: &mut CommandTotals,
    limits: &CommandLimits,
) -> Result<(), StoreError> {
    while totals.stored_bytes > limits.stored_bytes_max {
        let oldest = rows::closed_before(connection, Timestamp(i64::MAX))?;
        if oldest.is_empty() {
            break;
        }
        for (number, bytes) in oldest {
            if totals.stored_bytes <= limits.stored_bytes_max {
                break;
            }
            rows::delete(connection, number)?;
            totals.stored_bytes = totals.stored_bytes.saturating_sub(bytes);
            totals.displaced += 1;
        }
    }
    Ok(())
}
