//! Queries: a few read-only connections, each query with a time bound.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use geofence::{identity::TerminalId, units::Timestamp};
use parking_lot::{Mutex, RwLock};
use rusqlite::{Connection, Params, ToSql, params};
use time::Date;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{Options, day, joined, rows, writer};
use crate::{
    sqlite::{self, failed},
    store::{PositionQuery, PositionRow, QuarantinedRow, StoreError},
};

/// Steps of SQLite's machine between two looks at the clock: well under a millisecond.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

/// The readers, and the gate that the writer closes to empty a write-ahead file.
#[derive(Debug)]
pub(super) struct Readers {
    directory: PathBuf,
    options: Options,
    idle: Mutex<Vec<Reader>>,
    permits: Arc<Semaphore>,
    /// Held by each running query; the writer takes it whole to have a moment without readers,
    /// which steady readers would never leave it.
    pub(super) gate: RwLock<()>,
}

impl Readers {
    pub(super) fn new(directory: &Path, options: &Options) -> Self {
        Self {
            directory: directory.to_owned(),
            options: options.clone(),
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(options.readers.max(1))),
            gate: RwLock::new(()),
        }
    }

    /// Closes what idle readers have open of a day; to be called with the gate closed, when all
    /// of them are idle.
    pub(super) fn forget(&self, day: Date) {
        for reader in self.idle.lock().iter_mut() {
            reader.days.retain(|(open, _)| *open != day);
        }
    }

    /// Runs a query on a thread for blocking work.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        action: &'static str,
        query: impl FnOnce(&mut Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|cause| StoreError::Unavailable {
                action,
                cause: Box::new(cause),
            })?;
        let readers = Arc::clone(self);
        let run = move || {
            let _permit = permit;
            let _open = readers.gate.read();
            let idle = readers.idle.lock().pop();
            let mut reader = idle.unwrap_or_else(|| Reader::new(&readers));
            reader.deadline = Instant::now() + readers.options.query_timeout;
            let result = query(&mut reader);
            // After an error its files are opened anew.
            if result.is_ok() {
                readers.idle.lock().push(reader);
            }
            result
        };
        joined(tokio::task::spawn_blocking(run).await)
    }
}

/// Connections for reading. They are opened when they are first needed.
#[derive(Debug)]
pub(super) struct Reader {
    directory: PathBuf,
    options: Options,
    deadline: Instant,
    main: Option<Connection>,
    /// Used last, last.
    days: Vec<(Date, Connection)>,
}

impl Reader {
    fn new(readers: &Readers) -> Self {
        Self {
            directory: readers.directory.clone(),
            options: readers.options.clone(),
            deadline: Instant::now(),
            main: None,
            days: Vec::new(),
        }
    }

    /// `main.sqlite`.
    pub(super) fn main(&mut self) -> Result<&Connection, StoreError> {
        let mut connection = match self.main.take() {
            Some(connection) => connection,
            None => {
                let path = self.directory.join("main.sqlite");
                sqlite::open_for_reading(&path, self.options.busy_timeout)?
            }
        };
        bound(&mut connection, self.deadline)?;
        Ok(self.main.insert(connection))
    }

    /// The file of a day; `None` where its writer has not got as far as its tables.
    pub(super) fn day(&mut self, day: Date) -> Result<Option<&Connection>, StoreError> {
        let known = self.days.iter().position(|(known, _)| *known == day);
        let mut entry = match known {
            Some(index) => self.days.remove(index),
            None => {
                let path = day::file(&self.directory, day);
                let connection = sqlite::open_for_reading(&path, self.options.busy_timeout)?;
                let version: i64 = connection
                    .query_row("PRAGMA user_version", [], |row| row.get(0))
                    .map_err(failed("read positions"))?;
                if version == 0 {
                    return Ok(None);
                }
                (day, connection)
            }
        };
        bound(&mut entry.1, self.deadline)?;
        if self.days.len() >= self.options.open_days_max {
            self.days.remove(0);
        }
        self.days.push(entry);
        Ok(self.days.last().map(|(_, connection)| connection))
    }

    pub(super) fn cursor(&mut self, log: Uuid, consumer: &str) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT record_offset FROM cursors WHERE log = ? AND consumer = ?";
        let offsets = all(
            self.main()?,
            "read a cursor",
            sql,
            (log.to_string(), consumer),
            |row| Ok(Ok(row.get::<_, i64>(0)?.cast_unsigned())),
        )?;
        Ok(offsets.first().copied())
    }

    pub(super) fn snapshots(&mut self) -> Result<BTreeMap<String, Vec<u8>>, StoreError> {
        let sql = "SELECT key, bytes FROM snapshots";
        let found = all(self.main()?, "read snapshots", sql, [], |row| {
            Ok(Ok((row.get(0)?, row.get(1)?)))
        })?;
        Ok(found.into_iter().collect())
    }

    pub(super) fn latest(
        &mut self,
        after: Option<TerminalId>,
        limit: u32,
    ) -> Result<Vec<PositionRow>, StoreError> {
        let sql = "SELECT * FROM latest WHERE terminal > ? ORDER BY terminal LIMIT ?";
        let after = after
            .map(|terminal| terminal.to_string())
            .unwrap_or_default();
        all(
            self.main()?,
            "read latest positions",
            sql,
            (after, limit),
            rows::position,
        )
    }

    pub(super) fn quarantined(
        &mut self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<QuarantinedRow>, StoreError> {
        let sql = "SELECT terminal, reason, digest, received_at, log_offset, body, number \
                   FROM quarantine WHERE number < ? ORDER BY number DESC LIMIT ?";
        let before = before
            .and_then(|number| i64::try_from(number).ok())
            .unwrap_or(i64::MAX);
        all(
            self.main()?,
            "read the quarantine",
            sql,
            params![before, limit],
            rows::quarantined,
        )
    }

    /// Days that have a file and share a moment with a range, in order.
    pub(super) fn days_of(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Date>, StoreError> {
        day::list(&self.directory, from, to).map_err(|cause| StoreError::Unavailable {
            action: "look for days",
            cause: Box::new(cause),
        })
    }

    /// Day after day until the page is full.
    pub(super) fn positions(
        &mut self,
        query: &PositionQuery,
    ) -> Result<Vec<PositionRow>, StoreError> {
        let from = query
            .after
            .map_or(query.from, |(fixed_at, ..)| fixed_at.max(query.from));
        let days = self.days_of(from, query.to)?;
        let mut found = Vec::new();
        for day in days {
            let missing = query
                .limit
                .saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
            if missing == 0 {
                break;
            }
            if let Some(connection) = self.day(day)? {
                found.extend(positions_of_day(connection, query, from, missing)?);
            }
        }
        Ok(found)
    }
}

const OF_TERMINAL: &str = "SELECT * FROM positions WHERE terminal = ? AND fixed_at < ? \
    AND (fixed_at, digest) > (?, ?) AND latitude BETWEEN ? AND ? AND longitude BETWEEN ? AND ? \
    ORDER BY fixed_at, digest LIMIT ?";
/// The keys of a page first, out of the index alone where no place is asked for: of ten seconds all are sorted.
const OF_ALL: &str = "WITH page AS (SELECT terminal, fixed_at, digest FROM positions \
    INDEXED BY positions_by_ten_seconds WHERE fixed_at / 10000 BETWEEN ?2 / 10000 AND ?1 / 10000 \
    AND fixed_at < ?1 AND (fixed_at, terminal, digest) > (?2, ?3, ?4) \
    ORDER BY fixed_at / 10000, fixed_at, terminal, digest LIMIT ?5) \
    SELECT p.* FROM page CROSS JOIN positions p USING (terminal, fixed_at, digest) \
    ORDER BY p.fixed_at, p.terminal, p.digest";
const OF_ALL_IN_BOX: &str = "SELECT * FROM positions INDEXED BY positions_by_ten_seconds \
    WHERE fixed_at / 10000 BETWEEN ?2 / 10000 AND ?1 / 10000 \
    AND fixed_at < ?1 AND (fixed_at, terminal, digest) > (?2, ?3, ?4) \
    AND latitude BETWEEN ?6 AND ?7 AND longitude BETWEEN ?8 AND ?9 \
    ORDER BY fixed_at / 10000, fixed_at, terminal, digest LIMIT ?5";
/// In a file of before, which a reader does not change.
const OF_ALL_BY_MOMENT: &str = "SELECT * FROM positions INDEXED BY positions_by_time \
    WHERE fixed_at < ?1 AND (fixed_at, terminal, digest) > (?2, ?3, ?4) \
    AND latitude BETWEEN ?6 AND ?7 AND longitude BETWEEN ?8 AND ?9 \
    ORDER BY fixed_at, terminal, digest LIMIT ?5";

fn positions_of_day(
    connection: &Connection,
    query: &PositionQuery,
    from: Timestamp,
    limit: u32,
) -> Result<Vec<PositionRow>, StoreError> {
    let action = "read positions";
    // The key alone says where to begin: beside it the beginning of the range would be what is looked
    // for, and all rows of that moment be gone through with each page.
    let (after, after_terminal, after_digest) = match &query.after {
        Some((fixed_at, terminal, digest)) if *fixed_at >= from => {
            (fixed_at.0, terminal.as_str(), i64::from(*digest))
        }
        _ => (from.0, "", -1),
    };
    let [south, north, west, east] = query.bounds();
    if let Some(terminal) = &query.terminal {
        let params = params![
            terminal.as_str(),
            query.to.0,
            after,
            after_digest,
            south,
            north,
            west,
            east,
            limit
        ];
        return all(connection, action, OF_TERMINAL, params, rows::position);
    }
    // A writer may change the schema between two looks at it.
    let look = connection.unchecked_transaction().map_err(failed(action))?;
    let version: u32 = look
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(failed(action))?;
    let by_moment = version < writer::INDEXED_BY_TEN_SECONDS;
    let page: &[&dyn ToSql] = params![query.to.0, after, after_terminal, after_digest, limit];
    let edges: &[&dyn ToSql] = params![south, north, west, east];
    let bounded = [page, edges].concat();
    let (sql, params) = match &query.within {
        _ if by_moment => (OF_ALL_BY_MOMENT, bounded.as_slice()),
        Some(_) => (OF_ALL_IN_BOX, bounded.as_slice()),
        None => (OF_ALL, page),
    };
    all(&look, action, sql, params, rows::position)
}

/// Every row of a query.
pub(super) fn all<T>(
    connection: &Connection,
    action: &'static str,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<Result<T, StoreError>>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(failed(action))?;
    let rows = statement.query_map(params, read).map_err(failed(action))?;
    rows.map(|row| row.map_err(failed(action))?).collect()
}

/// Makes the connection give up at the deadline.
fn bound(connection: &mut Connection, deadline: Instant) -> Result<(), StoreError> {
    connection
        .progress_handler(STEPS_BETWEEN_LOOKS, Some(move || Instant::now() > deadline))
        .map_err(failed("bound a query"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What SQLite looks for in the file of a day of some version, and what it sorts.
    fn plan(sql: &str, version: u32) -> String {
        let connection = Connection::open_in_memory().unwrap();
        for migration in writer::DAY.iter().take(version as usize) {
            connection.execute_batch(migration).unwrap();
        }
        let mut statement = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap();
        let count = statement.parameter_count();
        let lines = statement
            .query_map(
                rusqlite::params_from_iter([1; 9].iter().take(count)),
                |row| row.get::<_, String>(3),
            )
            .unwrap();
        lines.map(Result::unwrap).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_page_begins_at_its_key_and_sorts_no_more_than_ten_seconds() {
        let newest = u32::MAX;
        assert_eq!(
            plan(OF_ALL, newest),
            "CO-ROUTINE page; SEARCH positions USING COVERING INDEX positions_by_ten_seconds \
             (<expr>>? AND <expr><?); USE TEMP B-TREE FOR LAST 3 TERMS OF ORDER BY; SCAN page; \
             SEARCH p USING PRIMARY KEY (terminal=? AND fixed_at=? AND digest=?); \
             USE TEMP B-TREE FOR ORDER BY"
        );
        assert_eq!(
            plan(OF_ALL_IN_BOX, newest),
            "SEARCH positions USING INDEX positions_by_ten_seconds (<expr>>? AND <expr><?); \
             USE TEMP B-TREE FOR LAST 3 TERMS OF ORDER BY"
        );
        assert_eq!(
            plan(OF_ALL_BY_MOMENT, writer::INDEXED_BY_TEN_SECONDS - 1),
            "SEARCH positions USING INDEX positions_by_time \
             ((fixed_at,terminal,digest)>(?,?,?) AND fixed_at<?)"
        );
        assert_eq!(
            plan(OF_TERMINAL, newest),
            "SEARCH positions USING PRIMARY KEY \
             (terminal=? AND (fixed_at,digest)>(?,?) AND fixed_at<?)"
        );
    }
}
