//! Where consumers stand, read from an embedded store without opening it as one: nothing is
//! created, nothing migrated.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags};

use crate::{
    sqlite::{self, failed},
    store::{Cursor, StoreError},
};

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The cursors in the embedded store of this directory, of all logs that it has ever followed;
/// none where there is no store.
///
/// # Errors
/// When the store is there and cannot be read.
pub fn embedded(directory: &Path) -> Result<Vec<Cursor>, StoreError> {
    let path = directory.join("main.sqlite");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let failed = failed("read cursors");
    let connection = open(&path)?;
    let mut statement = connection
        .prepare("SELECT log, consumer, record_offset FROM cursors ORDER BY log, consumer")
        .map_err(&failed)?;
    let rows = statement
        .query_map([], |row| {
            let log: String = row.get(0)?;
            Ok(Cursor {
                log: log.parse().unwrap_or_default(),
                consumer: row.get(1)?,
                offset: row.get::<_, i64>(2)?.cast_unsigned(),
            })
        })
        .map_err(&failed)?;
    rows.collect::<Result<_, _>>().map_err(&failed)
}

/// Opens a database file and leaves no trace. Who reads a file in WAL mode makes two others beside
/// it; where nobody has it open, it can be read as one that does not change.
pub(crate) fn open(path: &Path) -> Result<Connection, StoreError> {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    if Path::new(&wal).exists() {
        return sqlite::open_for_reading(path, BUSY_TIMEOUT);
    }
    let name: String = path
        .display()
        .to_string()
        .chars()
        .map(|character| match character {
            '%' => "%25".to_owned(),
            '?' => "%3f".to_owned(),
            '#' => "%23".to_owned(),
            other => other.to_string(),
        })
        .collect();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let uri = format!("file:{name}?immutable=1");
    Connection::open_with_flags(uri, flags).map_err(failed("open a database file for reading"))
}
