//! SQLite as the embedded store, the registry, the commands and the media use it.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, functions::FunctionFlags};

use crate::store::StoreError;

/// SQLite's default.
const PAGE_BYTES: i64 = 4_096;

/// Values of `synchronous`.
const NORMAL: i64 = 1;
const FULL: i64 = 2;

/// Bounds of a write-ahead file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriteAhead {
    /// What is carried over into the database at once, at most half of the other: all of it is
    /// brought to the disk by one sync, and whoever syncs meanwhile waits for it.
    pub(crate) carried_bytes: u64,
    /// The file is cut to it when it is empty.
    pub(crate) bytes_max: u64,
}

impl WriteAhead {
    /// Half of the file is carried over at once.
    pub(crate) const fn of(bytes_max: u64) -> Self {
        Self {
            carried_bytes: bytes_max / 2,
            bytes_max,
        }
    }
}

/// Opens a file for writing, creates it when it is not there, and brings it to the newest schema.
///
/// `synchronous=FULL`: a commit is on disk when it returns. `NORMAL` would lose the last
/// transactions in a power cut, and with files that are written one after the other it would not
/// be the last ones of all: a cursor could survive the rows it speaks of, whose records the log
/// has removed.
pub(crate) fn open(
    path: &Path,
    migrations: &[&str],
    busy_timeout: Duration,
    write_ahead: WriteAhead,
) -> Result<Connection, StoreError> {
    let action = "open a database file";
    let mut connection = Connection::open(path).map_err(failed(action))?;
    connection
        .busy_timeout(busy_timeout)
        .map_err(failed(action))?;
    connection.set_prepared_statement_cache_capacity(64);
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(failed(action))?;
    if mode != "wal" {
        let reason = format!(
            "{}: the file system cannot hold SQLite in WAL mode",
            path.display()
        );
        return Err(StoreError::Unusable { action, reason });
    }
    let carried_bytes = write_ahead.carried_bytes.min(write_ahead.bytes_max / 2);
    let [bytes_max, carried_bytes] = [write_ahead.bytes_max, carried_bytes]
        .map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    for (pragma, value) in [
        ("synchronous", FULL),
        ("journal_size_limit", bytes_max),
        ("wal_autocheckpoint", carried_bytes / PAGE_BYTES),
        ("cache_size", -32 * 1024), // KiB
        ("temp_store", 2),          // memory
    ] {
        connection
            .pragma_update(None, pragma, value)
            .map_err(failed(action))?;
    }
    migrate(&mut connection, path, migrations)?;
    Ok(connection)
}

/// Runs transactions that need not be on the disk when they return: nothing speaks of them before a later one
/// of the same file, which takes them there. They are synced with what is carried over, as ever.
pub(crate) fn unsynced<T>(
    connection: &mut Connection,
    work: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let set = |connection: &Connection, value: i64| {
        connection
            .pragma_update(None, "synchronous", value)
            .map_err(failed("write to a database file"))
    };
    set(connection, NORMAL)?;
    let done = work(connection);
    set(connection, FULL)?;
    done
}

/// Opens a file that is there for reading.
pub(crate) fn open_for_reading(
    path: &Path,
    busy_timeout: Duration,
) -> Result<Connection, StoreError> {
    let action = "open a database file for reading";
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed(action))?;
    connection
        .busy_timeout(busy_timeout)
        .map_err(failed(action))?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// The number of migrations that were applied stands in `user_version`. They may call `lowered`:
/// SQLite's own `lower` knows the letters of ASCII alone.
fn migrate(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
) -> Result<(), StoreError> {
    let action = "bring a database file to this version";
    let version = |connection: &Connection| -> rusqlite::Result<u32> {
        connection.query_row("PRAGMA user_version", [], |row| row.get(0))
    };
    let newest = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    if version(connection).map_err(failed(action))? == newest {
        return Ok(());
    }
    // Another process may be doing the same: who gets the lock second finds it done.
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed(action))?;
    let applied = version(&transaction).map_err(failed(action))?;
    let Some(missing) = migrations.get(applied as usize..) else {
        return Err(StoreError::Newer {
            what: path.display().to_string(),
            version: applied,
        });
    };
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    transaction
        .create_scalar_function("lowered", 1, flags, |context| {
            context.get::<String>(0).map(|text| text.to_lowercase())
        })
        .map_err(failed(action))?;
    for migration in missing {
        transaction
            .execute_batch(migration)
            .map_err(failed(action))?;
    }
    transaction
        .pragma_update(None, "user_version", newest)
        .map_err(failed(action))?;
    transaction.commit().map_err(failed(action))
}

/// A full disk, a lock and a failing read pass, or a person mends them while the gateway waits;
/// a damaged or foreign file stays what it is.
pub(crate) fn failed(action: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |error| match error.sqlite_error_code() {
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::OutOfMemory
            | ErrorCode::ReadOnly
            | ErrorCode::OperationInterrupted
            | ErrorCode::SystemIoFailure
            | ErrorCode::DiskFull
            | ErrorCode::CannotOpen
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::PermissionDenied,
        ) => StoreError::Unavailable {
            action,
            cause: Box::new(error),
        },
        _ => StoreError::Unusable {
            action,
            reason: error.to_string(),
        },
    }
}
