//! Terminals that registered (JT/T 808 §8.5, 终端注册) and what happened to them, in a file of their
//! own: whoever moves to another store keeps them.

pub mod events;

use std::{path::Path, time::Duration};

use geofence::{identity::TerminalId, units::Timestamp};
use parking_lot::Mutex;
use rusqlite::{Connection, Row, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use crate::{
    case_changes::damaged,
    sqlite::{self, WriteAhead, failed},
    store::StoreError,
};

const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/registry/0001_terminals.sql"),
    include_str!("../migrations/registry/0002_sessions.sql"),
];
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_AHEAD: WriteAhead = WriteAhead::of(8 * 1024 * 1024);
/// Pages kept in memory: rows are written and seldom read.
const CACHE_KIB: i64 = 2 * 1024;

/// A keyed digest of an authentication code (鉴权码); the code itself is kept nowhere.
pub type CodeHash = [u8; 32];

/// The codes that open for one terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodeHashes {
    /// The one that was used last, or the first one that was given. `None` where the terminal
    /// registered before codes were kept: its code is derived from the phone number then.
    pub confirmed: Option<CodeHash>,
    /// Given since and not used yet, the newest last. Two, since a terminal that repeats its
    /// registration may use the first answer that it gets.
    pub issued: [Option<CodeHash>; 2],
}

impl CodeHashes {
    /// Another code was given. Those before it stay valid, but for the oldest unused one.
    pub const fn issue(&mut self, hash: CodeHash) {
        let [_, newest] = self.issued;
        self.issued = [newest, Some(hash)];
    }

    /// A code was used: elder ones open no more. True when that changes anything.
    pub fn confirm(&mut self, hash: &CodeHash) -> bool {
        let [older, newest] = self.issued;
        if newest.as_ref() == Some(hash) {
            (self.confirmed, self.issued) = (newest, [None, None]);
        } else if older.as_ref() == Some(hash) {
            (self.confirmed, self.issued) = (older, [None, newest]);
        } else {
            return false;
        }
        true
    }
}

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
    /// What it may authenticate with.
    #[serde(skip)]
    pub codes: CodeHashes,
}

/// What becomes of a terminal's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is written, over an older one.
    Save(Box<TerminalRecord>),
    /// It is removed.
    Forget(TerminalId),
}

/// The file. Its calls wait for the disk.
#[derive(Debug)]
pub struct Registry {
    connection: Mutex<Connection>,
    /// Reading does not wait for a sync.
    reader: Mutex<Connection>,
}

impl Registry {
    /// Opens the file, and creates it when it is not there.
    ///
    /// # Errors
    /// When it cannot be opened, or is not one of ours.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = sqlite::open(path, MIGRATIONS, BUSY_TIMEOUT, WRITE_AHEAD)?;
        let reader = sqlite::open_for_reading(path, BUSY_TIMEOUT)?;
        for connection in [&connection, &reader] {
            connection
                .pragma_update(None, "cache_size", -CACHE_KIB)
                .map_err(failed("open the registry"))?;
        }
        Ok(Self {
            connection: Mutex::new(connection),
            reader: Mutex::new(reader),
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

    /// Makes changes in one transaction. They are on disk when it returns.
    ///
    /// # Errors
    /// When the file cannot be written; then none of them is.
    pub fn apply<'a>(
        &self,
        changes: impl IntoIterator<Item = &'a Change>,
    ) -> Result<(), StoreError> {
        let action = "write the registry";
        let mut connection = self.connection.lock();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed(action))?;
        for change in changes {
            match change {
                Change::Save(record) => save(&transaction, record),
                Change::Forget(terminal) => transaction
                    .prepare_cached("DELETE FROM terminals WHERE terminal = ?")
                    .and_then(|mut statement| statement.execute([terminal.as_str()])),
            }
            .map_err(failed(action))?;
        }
        transaction.commit().map_err(failed(action))
    }
}

fn save(connection: &Connection, record: &TerminalRecord) -> rusqlite::Result<usize> {
    let [issued_before, issued] = record.codes.issued;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO terminals (terminal, revision, manufacturer, model,
                 terminal_id, plate, plate_color, registered_at, deregistered_at, code_hash,
                 issued_hash, issued_before_hash)
             VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
        )?
        .execute(params![
            record.terminal.as_str(),
            record.revision,
            record.manufacturer,
            record.model,
            record.terminal_id,
            record.plate,
            record.plate_color,
            record.registered_at.0,
            record.deregistered_at.map(|at| at.0),
            record.codes.confirmed,
            issued,
            issued_before,
        ])
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
        codes: CodeHashes {
            confirmed: row.get("code_hash")?,
            issued: [row.get("issued_before_hash")?, row.get("issued_hash")?],
        },
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
            codes: CodeHashes::default(),
        }
    }

    fn save(record: &TerminalRecord) -> Change {
        Change::Save(Box::new(record.clone()))
    }

    #[test]
    fn what_was_saved_is_there_after_opening_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registry.sqlite");
        let registry = Registry::open(&path).unwrap();
        assert_eq!(registry.load().unwrap(), []);
        let mut other = terminal("13900000000", "晋B\u{0}1");
        other.deregistered_at = Some(Timestamp(5));
        other.codes = CodeHashes {
            confirmed: Some([1; 32]),
            issued: [Some([2; 32]), Some([3; 32])],
        };
        let mut mine = terminal("13800138000", "晋A00001");
        registry.apply(&[save(&other), save(&mine)]).unwrap();
        mine.plate = "晋A00002".into();
        registry.apply(&[save(&mine)]).unwrap();
        drop(registry);
        let registry = Registry::open(&path).unwrap();
        assert_eq!(registry.load().unwrap(), [mine, other.clone()]);
        let forget = Change::Forget("13800138000".parse().unwrap());
        registry.apply(&[forget]).unwrap();
        assert_eq!(registry.load().unwrap(), [other]);
    }

    #[test]
    fn a_file_of_the_first_version_keeps_its_terminals() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registry.sqlite");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(MIGRATIONS[0]).unwrap();
        old.execute_batch(
            "INSERT INTO terminals VALUES ('13800138000', 2019, '70111', 'BSJ-GF-06', '0000021',
                 '晋A00001', 2, 1700000000123, NULL)",
        )
        .unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        drop(old);
        let registry = Registry::open(&path).unwrap();
        let expected = terminal("13800138000", "晋A00001");
        assert_eq!(registry.load().unwrap(), [expected]);
    }

    #[test]
    fn elder_codes_open_until_a_newer_one_is_used() {
        let (first, second, third) = ([1; 32], [2; 32], [3; 32]);
        let mut codes = CodeHashes {
            confirmed: Some(first),
            ..CodeHashes::default()
        };
        codes.issue(second);
        assert!(!codes.confirm(&first), "the elder one is still used");
        codes.issue(third);
        assert_eq!(codes.issued, [Some(second), Some(third)]);
        assert!(codes.confirm(&second));
        assert_eq!(codes.confirmed, Some(second));
        assert_eq!(codes.issued, [None, Some(third)]);
        assert!(codes.confirm(&third));
        assert_eq!((codes.confirmed, codes.issued), (Some(third), [None, None]));
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
        assert_eq!(error.reason(), "newer");
        assert!(error.to_string().contains("newer version"), "{error}");
    }
}
