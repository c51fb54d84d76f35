//! Terminals that registered (JT/T 808 §8.5, 终端注册), in a file of their own: whoever moves to
//! another store keeps them.

use std::{path::Path, time::Duration};

use geofence::{identity::TerminalId, units::Timestamp};
use parking_lot::Mutex;
use rusqlite::{Connection, Row, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use crate::{
    case_changes::damaged,
    sqlite::{self, failed},
    store::StoreError,
};

const MIGRATIONS: &[&str] = &[include_str!("../migrations/registry/0001_terminals.sql")];
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const WAL_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// What a terminal said at its registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalRecord {
    /// Its phone number.
    pub terminal: TerminalId,
    /// The year of the protocol's revision: 2011, 2013 or 2019.
    pub revision: u16,
    /// Manufacturer id (制造商ID).
    pub manufacturer: String,
    /// Terminal model (终端型号).
    pub model: String,
    /// Terminal id (终端ID), given by the manufacturer.
    pub terminal_id: String,
    /// Number plate, or the vehicle's identification number where there is no plate.
    pub plate: String,
    /// Colour of the plate as sent (JT/T 415); 0 where there is no plate.
    pub plate_color: u8,
    /// When it registered, last.
    pub registered_at: Timestamp,
    /// When it said that it leaves; `None` while it belongs here.
    pub deregistered_at: Option<Timestamp>,
}

/// The file. Its calls wait for the disk.
#[derive(Debug)]
pub struct Registry {
    connection: Mutex<Connection>,
}

impl Registry {
    /// Opens the file, and creates it when it is not there.
    ///
    /// # Errors
    /// When it cannot be opened, or is not one of ours.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = sqlite::open(path, MIGRATIONS, BUSY_TIMEOUT, WAL_BYTES_MAX)?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    /// Every terminal, by its phone number.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load(&self) -> Result<Vec<TerminalRecord>, StoreError> {
        let action = "read the registry";
        let connection = self.connection.lock();
        let mut statement = connection
            .prepare_cached("SELECT * FROM terminals ORDER BY terminal")
            .map_err(failed(action))?;
        let rows = statement.query_map([], record).map_err(failed(action))?;
        rows.map(|row| row.map_err(failed(action))?).collect()
    }

    /// Writes records in one transaction, each over an older one of the same terminal. They are
    /// on disk when it returns.
    ///
    /// # Errors
    /// When the file cannot be written; then none of them is.
    pub fn save(&self, records: &[TerminalRecord]) -> Result<(), StoreError> {
        let action = "write the registry";
        let mut connection = self.connection.lock();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed(action))?;
        for record in records {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO terminals VALUES (?,?,?,?,?,?,?,?,?)")
                .and_then(|mut statement| {
                    statement.execute(params![
                        record.terminal.as_str(),
                        record.revision,
                        record.manufacturer,
                        record.model,
                        record.terminal_id,
                        record.plate,
                        record.plate_color,
                        record.registered_at.0,
                        record.deregistered_at.map(|at| at.0),
                    ])
                })
                .map_err(failed(action))?;
        }
        transaction.commit().map_err(failed(action))
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<Result<TerminalRecord, StoreError>> {
    let terminal = row.get_ref("terminal")?.as_str()?.parse();
    let record = TerminalRecord {
        terminal: match terminal {
            Ok(terminal) => terminal,
            Err(error) => return Ok(Err(damaged("read the registry", &error))),
        },
        revision: row.get("revision")?,
        manufacturer: row.get("manufacturer")?,
        model: row.get("model")?,
        terminal_id: row.get("terminal_id")?,
        plate: row.get("plate")?,
        plate_color: row.get("plate_color")?,
        registered_at: Timestamp(row.get("registered_at")?),
        deregistered_at: row.get::<_, Option<i64>>("deregistered_at")?.map(Timestamp),
    };
    Ok(Ok(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal(phone: &str, plate: &str) -> TerminalRecord {
        TerminalRecord {
            terminal: phone.parse().unwrap(),
            revision: 2019,
            manufacturer: "70111".into(),
            model: "BSJ-GF-06".into(),
            terminal_id: "0000021".into(),
            plate: plate.into(),
            plate_color: 2,
            registered_at: Timestamp(1_700_000_000_123),
            deregistered_at: None,
        }
    }

    #[test]
    fn what_was_saved_is_there_after_opening_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registry.sqlite");
        let registry = Registry::open(&path).unwrap();
        assert_eq!(registry.load().unwrap(), []);
        let mut other = terminal("13900000000", "晋B\u{0}1");
        other.deregistered_at = Some(Timestamp(5));
        registry
            .save(&[other.clone(), terminal("13800138000", "晋A00001")])
            .unwrap();
        registry
            .save(&[terminal("13800138000", "晋A00002")])
            .unwrap();
        drop(registry);
        let registry = Registry::open(&path).unwrap();
        assert_eq!(
            registry.load().unwrap(),
            [terminal("13800138000", "晋A00002"), other]
        );
    }

    #[test]
    fn a_file_of_a_newer_version_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registry.sqlite");
        drop(Registry::open(&path).unwrap());
        Connection::open(&path)
            .unwrap()
            .pragma_update(None, "user_version", 99)
            .unwrap();
        let error = Registry::open(&path).unwrap_err();
        assert_eq!(error.reason(), "unusable");
        assert!(error.to_string().contains("newer version"), "{error}");
    }
}
