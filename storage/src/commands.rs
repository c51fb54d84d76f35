//! Commands to terminals (下行指令), in a file of their own: a command waits for a terminal that is
//! away, survives a restart, and ends in a state that anyone can see.
//!
//! What a command says is JSON here, and nothing of it is understood. When to send, how often, and
//! which answer belongs to which command is for the caller to decide; this is what it decided.
//!
//! **Order of writing.** [`Change::Sent`] is to be on disk before the first byte leaves. Then a
//! command that may have reached its terminal is never taken for one that has not: after a crash
//! [`Commands::open_commands`] returns it as sent, and the caller chooses between waiting for the
//! answer and sending again.
//!
//! **Bounds.** Open commands are limited in number, for each terminal and in all, and in bytes;
//! beyond it new ones are refused. Closed ones stay until [`Commands::delete_closed_before`], or
//! until newer ones need their room: then the oldest go. A command keeps the newest of its moves.

mod change;
mod queue;
mod rows;
mod state;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, path::Path, str::FromStr, time::Duration};

use geofence::{identity::TerminalId, units::Timestamp};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params_from_iter};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::{
    change::{Change, CommandChange, Expired, Outcome},
    queue::{CommandLimits, EnqueueError, Enqueued, Refusal},
    state::{CommandState, NotACommandState},
};
use crate::{
    sqlite::{self, WriteAhead, failed},
    store::StoreError,
};

const MIGRATIONS: &[&str] = &[include_str!("../migrations/commands/0001_commands.sql")];
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_AHEAD: WriteAhead = WriteAhead::of(8 * 1024 * 1024);
/// A list ends early when its contents and answers have reached this size.
const PAGE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Rows that one transaction deletes or expires: others wait for it.
const BATCH_ROWS: u32 = 1_000;

/// A command: random, so that nobody guesses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandId(pub Uuid);

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for CommandId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// A command to be queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCommand {
    /// Who is to do it.
    pub terminal: TerminalId,
    /// The message's id (消息ID), 0x8000 and up.
    pub message_id: u16,
    /// The message as JSON text; a raw body as `{"body_hex": ".."}`.
    pub content: String,
    /// Goes before those that are not.
    pub is_urgent: bool,
    /// By our clock.
    pub created_at: Timestamp,
    /// From then on it is not sent any more.
    pub expires_at: Timestamp,
    /// A name that the one who asks gives it, 1 to 128 bytes: asking again with the same name and
    /// content finds the same command, for as long as it is kept.
    pub idempotency_key: Option<String>,
    /// Who asked for it, 1 to 128 bytes.
    pub requested_by: Option<String>,
}

/// A command as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Counts up with each command.
    pub number: u64,
    /// Its name to the outside.
    pub id: CommandId,
    /// Who is to do it.
    pub terminal: TerminalId,
    /// The message's id.
    pub message_id: u16,
    /// The message as JSON text.
    pub content: String,
    /// Goes before those that are not.
    pub is_urgent: bool,
    /// When it was queued.
    pub created_at: Timestamp,
    /// From then on it is not sent any more.
    pub expires_at: Timestamp,
    /// The name that the one who asked gave it.
    pub idempotency_key: Option<String>,
    /// Who asked for it.
    pub requested_by: Option<String>,
    /// Where it stands.
    pub state: CommandState,
    /// How often it was sent.
    pub attempts: u32,
    /// The last sending; `None` while there was none.
    pub sending: Option<Sending>,
    /// When it was sent, last.
    pub sent_at: Option<Timestamp>,
    /// When the general answer (0x0001) to the last sending came, of a command that is answered
    /// with a message of its own afterwards.
    pub acknowledged_at: Option<Timestamp>,
    /// When the terminal did it, or refused.
    pub answered_at: Option<Timestamp>,
    /// When it left the open states; `None` before.
    pub closed_at: Option<Timestamp>,
    /// The result in the terminal's answer.
    pub result: Option<u8>,
    /// The word of its failure.
    pub reason: Option<String>,
    /// The content of the terminal's answer as JSON text.
    pub answer: Option<String>,
}

/// The serial numbers (消息流水号) of one sending: an answer may quote any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sending {
    /// Of the first packet.
    pub first_serial: u16,
    /// How many packets, at least 1; their serials follow each other modulo 65536.
    pub packets: u16,
}

/// A line of a command's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandMove {
    /// When.
    pub at: Timestamp,
    /// The state from then on.
    pub state: CommandState,
    /// More about it, in words; may be empty.
    pub detail: String,
}

/// Which commands to list, newest first.
#[derive(Clone, Debug, Default)]
pub struct CommandQuery {
    /// Only of this terminal.
    pub terminal: Option<TerminalId>,
    /// Only in one of these states; empty means all.
    pub states: Vec<CommandState>,
    /// Only with lower numbers than this: that of the last one of the page before.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: u32,
}

/// What is there, and what had to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandTotals {
    /// Commands that are queued or sent.
    pub open: u64,
    /// Their bytes, each with 1 KiB for what is around content and answer.
    pub open_bytes: u64,
    /// The bytes of all commands, likewise.
    pub stored_bytes: u64,
    /// Closed commands that made room for newer ones before their time, since the file was opened.
    pub displaced: u64,
}

/// The file. Its calls wait for the disk, and for each other.
#[derive(Debug)]
pub struct Commands {
    limits: CommandLimits,
    inner: Mutex<Inner>,
}

/// The totals are those of the file: they change when a transaction has been committed.
#[derive(Debug)]
struct Inner {
    connection: Connection,
    totals: CommandTotals,
}

impl Commands {
    /// Opens the file, and creates it when it is not there. One process at a time uses it.
    ///
    /// # Errors
    /// When it cannot be opened, or is not one of ours.
    pub fn open(path: &Path, limits: CommandLimits) -> Result<Self, StoreError> {
        let connection = sqlite::open(path, MIGRATIONS, BUSY_TIMEOUT, WRITE_AHEAD)?;
        let totals = rows::totals(&connection)?;
        Ok(Self {
            limits,
            inner: Mutex::new(Inner { connection, totals }),
        })
    }

    /// Queues a command. It is on disk when this returns.
    ///
    /// # Errors
    /// When it is refused, or the file cannot be written.
    pub fn enqueue(&self, command: &NewCommand) -> Result<Enqueued, EnqueueError> {
        let outcome = self.enqueue_all(std::slice::from_ref(command))?.pop();
        match outcome {
            Some(outcome) => outcome.map_err(EnqueueError::Refused),
            None => unreachable!("one command has one outcome"),
        }
    }

    /// Queues commands in one transaction, and says of each, in their order, what became of it.
    /// One that is refused stops none of the others.
    ///
    /// # Errors
    /// When the file cannot be written; then none of them is queued.
    pub fn enqueue_all(
        &self,
        commands: &[NewCommand],
    ) -> Result<Vec<Result<Enqueued, Refusal>>, StoreError> {
        self.write("queue commands", |connection, totals| {
            let queued = commands
                .iter()
                .map(|command| queue::enqueue(connection, totals, &self.limits, command))
                .collect::<Result<_, _>>()?;
            queue::make_room(connection, totals, &self.limits)?;
            Ok(queued)
        })
    }

    /// Writes what happened to commands, in one transaction, and says of each change, in their
    /// order, what became of it. It is on disk when this returns. A change that the table of moves
    /// does not have is left out and stops none of the others.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing of it is.
    pub fn apply(&self, changes: &[CommandChange]) -> Result<Vec<Outcome>, StoreError> {
        self.write("write what happened to commands", |connection, totals| {
            let outcomes = changes
                .iter()
                .map(|change| change::apply(connection, totals, &self.limits, change))
                .collect::<Result<_, _>>()?;
            queue::make_room(connection, totals, &self.limits)?;
            Ok(outcomes)
        })
    }

    /// Closes the open commands whose time is over, and says which.
    ///
    /// # Errors
    /// When the file cannot be written; those of earlier batches are closed all the same, and are
    /// not told again.
    pub fn expire(&self, now: Timestamp) -> Result<Vec<Expired>, StoreError> {
        let mut expired = Vec::new();
        loop {
            let batch = self.write("expire commands", |connection, totals| {
                change::expire(connection, totals, &self.limits, now)
            })?;
            let is_last = batch.len() < BATCH_ROWS as usize;
            expired.extend(batch);
            if is_last {
                return Ok(expired);
            }
        }
    }

    /// Deletes closed commands, with their histories, that were closed before this moment; gives
    /// their number.
    ///
    /// # Errors
    /// When the file cannot be written; some may be deleted.
    pub fn delete_closed_before(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut deleted = 0;
        loop {
            let batch = self.write("delete commands", |connection, totals| {
                let numbers = rows::closed_before(connection, before)?;
                for (number, bytes) in &numbers {
                    rows::delete(connection, *number)?;
                    totals.stored_bytes = totals.stored_bytes.saturating_sub(*bytes);
                }
                Ok(numbers.len() as u64)
            })?;
            deleted += batch;
            if batch < u64::from(BATCH_ROWS) {
                return Ok(deleted);
            }
        }
    }

    /// All open commands, by terminal, and of each terminal in the order of delivery: urgent ones
    /// first, then as they were queued.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open_commands(&self) -> Result<Vec<Command>, StoreError> {
        let sql = format!(
            "SELECT {} FROM commands WHERE closed_at IS NULL \
             ORDER BY terminal, is_urgent DESC, number",
            rows::COLUMNS
        );
        rows::all(&self.inner.lock().connection, &sql, [])
    }

    /// The open commands of one terminal in the order of delivery.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open_commands_of(&self, terminal: TerminalId) -> Result<Vec<Command>, StoreError> {
        let sql = format!(
            "SELECT {} FROM commands WHERE closed_at IS NULL AND terminal = ? \
             ORDER BY is_urgent DESC, number",
            rows::COLUMNS
        );
        rows::all(&self.inner.lock().connection, &sql, [terminal.as_str()])
    }

    /// Commands, newest first. A page holds fewer than asked for when they are large; the last one
    /// is empty.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn list(&self, query: &CommandQuery) -> Result<Vec<Command>, StoreError> {
        let (sql, values) = rows::listed(query);
        let inner = self.inner.lock();
        rows::page(
            &inner.connection,
            &sql,
            params_from_iter(values),
            PAGE_BYTES_MAX,
        )
    }

    /// A command with its history, oldest first; `None` for an unknown one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn get(&self, id: CommandId) -> Result<Option<(Command, Vec<CommandMove>)>, StoreError> {
        let action = "read a command";
        let inner = self.inner.lock();
        let sql = format!("SELECT {} FROM commands WHERE id = ?", rows::COLUMNS);
        let command = inner
            .connection
            .prepare_cached(&sql)
            .and_then(|mut statement| statement.query_row([id.to_string()], rows::command))
            .optional()
            .map_err(failed(action))?;
        let Some(command) = command else {
            return Ok(None);
        };
        let history = rows::history(&inner.connection, command.number)?;
        Ok(Some((command, history)))
    }

    /// The command that was queued for a terminal under this idempotency key; `None` when there is
    /// none, or it was deleted.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn find_by_key(
        &self,
        terminal: TerminalId,
        key: &str,
    ) -> Result<Option<Command>, StoreError> {
        queue::find(&self.inner.lock().connection, terminal, key)
    }

    /// How many commands stand in each state; every state is there.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn by_state(&self) -> Result<BTreeMap<CommandState, u64>, StoreError> {
        rows::by_state(&self.inner.lock().connection)
    }

    /// What is there, without asking the disk.
    #[must_use]
    pub fn totals(&self) -> CommandTotals {
        self.inner.lock().totals
    }

    fn write<T>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Connection, &mut CommandTotals) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut inner = self.inner.lock();
        let mut totals = inner.totals;
        let transaction = inner
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed(action))?;
        let result = work(&transaction, &mut totals)?;
        if let Err(error) = transaction.commit() {
            // Whether it is on disk or not is for the file to say, if it still says anything.
            if let Ok(counted) = rows::totals(&inner.connection) {
                inner.totals = CommandTotals {
                    displaced: inner.totals.displaced,
                    ..counted
                };
            }
            return Err(failed(action)(error));
        }
        inner.totals = totals;
        Ok(result)
    }
}
