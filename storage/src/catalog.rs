//! Versions of the catalog: every text that was ever in force, by whom it was changed and why, in a
//! file of their own.
//!
//! A version is made whole and never changed. It waits until it is taken into force, which happens
//! once; the newest one in force is the catalog. The record of the log that says so comes from
//! whoever takes it, so that a replay sees the same catalog at the same record.

use std::{collections::BTreeMap, path::Path, time::Duration};

use geofence::units::Timestamp;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, TransactionBehavior, params};
use sha2::{Digest as _, Sha256};

use crate::{
    sqlite::{self, WriteAhead, failed},
    store::StoreError,
};

const MIGRATIONS: &[&str] = &[include_str!("../migrations/catalog/0001_versions.sql")];
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_AHEAD: WriteAhead = WriteAhead::of(64 * 1024 * 1024);

/// Texts by what they are about: `unit_grids`, `fences`, `vehicles`, ...
pub type Texts = BTreeMap<String, String>;

/// A version that is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewVersion {
    /// All texts of it; those that changed are enough where it is made after another one.
    pub texts: Texts,
    /// By the clock of the machine.
    pub created_at: Timestamp,
    /// Who made it.
    pub author: String,
    /// Why.
    pub note: String,
    /// It is not taken into force before.
    pub effective_from: Timestamp,
}

/// A version, without its texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionInfo {
    /// Counts up from 1; never given twice.
    pub number: u64,
    /// By the clock of the machine.
    pub created_at: Timestamp,
    /// Who made it.
    pub author: String,
    /// Why.
    pub note: String,
    /// It is not taken into force before.
    pub effective_from: Timestamp,
    /// When it was taken into force; `None` while it waits.
    pub in_force_at: Option<Timestamp>,
}

/// Why a version was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Another version was made since the one that it starts from.
    #[error("version {newest} was made meanwhile")]
    Conflict {
        /// The newest version.
        newest: u64,
    },
    /// The file.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The file. Its calls wait for the disk.
#[derive(Debug)]
pub struct CatalogVersions {
    connection: Mutex<Connection>,
}

impl CatalogVersions {
    /// Opens the file, and creates it when it is not there.
    ///
    /// # Errors
    /// When it cannot be opened, or is not one of ours.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = sqlite::open(path, MIGRATIONS, BUSY_TIMEOUT, WRITE_AHEAD)?;
        connection
            .pragma_update(None, "foreign_keys", true)
            .map_err(failed("open the catalog"))?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    /// Makes a version; gives its number. With `after`, only when that is the newest version: two
    /// people cannot both change the same one. The texts that the version lacks are those of that
    /// one then, and are neither read nor written.
    ///
    /// # Errors
    /// [`CreateError::Conflict`], or when the file cannot be written; then there is no version.
    pub fn create(&self, version: &NewVersion, after: Option<u64>) -> Result<u64, CreateError> {
        let action = "write a version of the catalog";
        let mut connection = self.connection.lock();
        let transaction = begin(&mut connection, action)?;
        let newest = newest(&transaction).map_err(failed(action))?;
        if after.is_some_and(|after| after != newest) {
            return Err(CreateError::Conflict { newest });
        }
        let number = insert(&transaction, version).map_err(failed(action))?;
        let sql = "INSERT OR IGNORE INTO version_texts
                   SELECT ?1, kind, hash FROM version_texts WHERE version = ?2";
        let numbers = [number, after.unwrap_or(0)].map(row_id);
        transaction.execute(sql, numbers).map_err(failed(action))?;
        transaction.commit().map_err(failed(action))?;
        Ok(number)
    }

    /// All texts of the catalog with those of files that are not as they were taken last; `None`
    /// when no file changed and there is a version.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn with_changed_files(&self, files: &Texts) -> Result<Option<Texts>, StoreError> {
        let action = "compare the files of the catalog";
        let connection = self.connection.lock();
        let changed = changed_files(&connection, files).map_err(failed(action))?;
        let newest = newest(&connection).map_err(failed(action))?;
        if changed.is_empty() && newest > 0 {
            return Ok(None);
        }
        let mut all = texts(&connection, row_id(newest)).map_err(failed(action))?;
        all.extend(changed);
        Ok(Some(all))
    }

    /// Makes a version, and remembers that it has the texts of these files.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn take_files(&self, version: &NewVersion, files: &Texts) -> Result<u64, StoreError> {
        let action = "take the files of the catalog";
        let mut connection = self.connection.lock();
        let transaction = begin(&mut connection, action)?;
        let number = insert(&transaction, version).map_err(failed(action))?;
        for (kind, text) in files {
            transaction
                .execute(
                    "INSERT OR REPLACE INTO files VALUES (?,?)",
                    params![kind, hash(text)],
                )
                .map_err(failed(action))?;
        }
        transaction.commit().map_err(failed(action))?;
        Ok(number)
    }

    /// Takes a version into force. Nothing happens to one that was before.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn take_into_force(&self, number: u64, at: Timestamp) -> Result<(), StoreError> {
        let action = "take a version of the catalog into force";
        self.connection
            .lock()
            .execute(
                "UPDATE versions SET in_force_at = ?2 WHERE number = ?1 AND in_force_at IS NULL",
                params![row_id(number), at.0],
            )
            .map_err(failed(action))?;
        Ok(())
    }

    /// The number of the newest version, in force or not; 0 when there is none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn newest(&self) -> Result<u64, StoreError> {
        newest(&self.connection.lock()).map_err(failed("read the versions of the catalog"))
    }

    /// The version that is in force: of those that ever were, the one that was taken last.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn in_force(&self) -> Result<Option<VersionInfo>, StoreError> {
        self.one(
            "SELECT * FROM versions WHERE in_force_at IS NOT NULL
             ORDER BY in_force_at DESC, number DESC LIMIT 1",
        )
    }

    /// The version that waits and whose time comes first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn next_waiting(&self) -> Result<Option<VersionInfo>, StoreError> {
        self.one(
            "SELECT * FROM versions WHERE in_force_at IS NULL
             ORDER BY effective_from, number LIMIT 1",
        )
    }

    /// The version that waits and whose time comes last.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_waiting(&self) -> Result<Option<VersionInfo>, StoreError> {
        self.one(
            "SELECT * FROM versions WHERE in_force_at IS NULL
             ORDER BY effective_from DESC, number DESC LIMIT 1",
        )
    }

    /// One text of a version; `None` when it has no such text, or there is no such version.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn text(&self, number: u64, kind: &str) -> Result<Option<String>, StoreError> {
        self.connection
            .lock()
            .query_row(
                "SELECT text FROM version_texts JOIN texts USING (hash)
                 WHERE version = ? AND kind = ?",
                params![row_id(number), kind],
                |row| row.get(0),
            )
            .optional()
            .map_err(failed("read a text of the catalog"))
    }

    /// Forgets a version that waits; false when it is not one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn cancel(&self, number: u64) -> Result<bool, StoreError> {
        let action = "cancel a version of the catalog";
        let mut connection = self.connection.lock();
        let transaction = begin(&mut connection, action)?;
        let removed = transaction
            .execute(
                "DELETE FROM versions WHERE number = ? AND in_force_at IS NULL",
                [row_id(number)],
            )
            .map_err(failed(action))?;
        forget_texts(&transaction).map_err(failed(action))?;
        transaction.commit().map_err(failed(action))?;
        Ok(removed > 0)
    }

    /// A version, and its texts.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn version(&self, number: u64) -> Result<Option<(VersionInfo, Texts)>, StoreError> {
        let action = "read a version of the catalog";
        let connection = self.connection.lock();
        let info = connection
            .query_row(
                "SELECT * FROM versions WHERE number = ?",
                [row_id(number)],
                info,
            )
            .optional()
            .map_err(failed(action))?;
        let Some(info) = info else { return Ok(None) };
        let texts = texts(&connection, row_id(number)).map_err(failed(action))?;
        Ok(Some((info, texts)))
    }

    /// Versions below a number, the newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn list(&self, before: Option<u64>, limit: u32) -> Result<Vec<VersionInfo>, StoreError> {
        let action = "list the versions of the catalog";
        let connection = self.connection.lock();
        let mut statement = connection
            .prepare_cached("SELECT * FROM versions WHERE number < ? ORDER BY number DESC LIMIT ?")
            .map_err(failed(action))?;
        let before = before.map_or(i64::MAX, row_id);
        let rows = statement
            .query_map(params![before, limit], info)
            .map_err(failed(action))?;
        rows.collect::<Result<_, _>>().map_err(failed(action))
    }

    /// Forgets the oldest of more than so many versions that were in force, never the one that is.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn forget_old(&self, kept_max: u32) -> Result<usize, StoreError> {
        let action = "forget old versions of the catalog";
        let mut connection = self.connection.lock();
        let transaction = begin(&mut connection, action)?;
        let removed = transaction
            .execute(
                "DELETE FROM versions WHERE in_force_at IS NOT NULL AND number NOT IN (
                     SELECT number FROM versions WHERE in_force_at IS NOT NULL
                     ORDER BY in_force_at DESC, number DESC LIMIT max(?, 1))",
                [kept_max],
            )
            .map_err(failed(action))?;
        forget_texts(&transaction).map_err(failed(action))?;
        transaction.commit().map_err(failed(action))?;
        Ok(removed)
    }

    fn one(&self, sql: &str) -> Result<Option<VersionInfo>, StoreError> {
        self.connection
            .lock()
            .query_row(sql, [], info)
            .optional()
            .map_err(failed("read the versions of the catalog"))
    }
}

fn begin<'a>(
    connection: &'a mut Connection,
    action: &'static str,
) -> Result<Transaction<'a>, StoreError> {
    connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed(action))
}

/// SQLite's integers are signed. No log of edits comes near the end of either.
fn row_id(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn newest(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT coalesce(max(number), 0) FROM versions", [], |row| {
        row.get(0).map(i64::unsigned_abs)
    })
}

fn insert(connection: &Connection, version: &NewVersion) -> rusqlite::Result<u64> {
    connection
        .prepare_cached(
            "INSERT INTO versions (created_at, author, note, effective_from) VALUES (?,?,?,?)",
        )?
        .execute(params![
            version.created_at.0,
            version.author,
            version.note,
            version.effective_from.0,
        ])?;
    let number = connection.last_insert_rowid();
    for (kind, text) in &version.texts {
        let hash = hash(text);
        connection
            .prepare_cached("INSERT OR IGNORE INTO texts VALUES (?,?)")?
            .execute(params![hash, text])?;
        connection
            .prepare_cached("INSERT INTO version_texts VALUES (?,?,?)")?
            .execute(params![number, kind, hash])?;
    }
    Ok(number.unsigned_abs())
}

fn changed_files(connection: &Connection, files: &Texts) -> rusqlite::Result<Texts> {
    let mut changed = files.clone();
    let mut statement = connection.prepare_cached("SELECT kind, hash FROM files")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, taken): (String, [u8; 32]) = (row.get(0)?, row.get(1)?);
        if files.get(&kind).is_some_and(|text| hash(text) == taken) {
            changed.remove(&kind);
        }
    }
    Ok(changed)
}

fn texts(connection: &Connection, number: i64) -> rusqlite::Result<Texts> {
    connection
        .prepare_cached(
            "SELECT kind, text FROM version_texts JOIN texts USING (hash) WHERE version = ?",
        )?
        .query_map([number], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

fn forget_texts(connection: &Connection) -> rusqlite::Result<usize> {
    connection.execute(
        "DELETE FROM texts WHERE hash NOT IN (SELECT hash FROM version_texts)",
        [],
    )
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn info(row: &Row<'_>) -> rusqlite::Result<VersionInfo> {
    Ok(VersionInfo {
        number: row.get::<_, i64>("number")?.unsigned_abs(),
        created_at: Timestamp(row.get("created_at")?),
        author: row.get("author")?,
        note: row.get("note")?,
        effective_from: Timestamp(row.get("effective_from")?),
        in_force_at: row.get::<_, Option<i64>>("in_force_at")?.map(Timestamp),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts_of(texts: &[(&str, &str)]) -> Texts {
        let pairs = texts.iter();
        pairs
            .map(|(kind, text)| ((*kind).to_owned(), (*text).to_owned()))
            .collect()
    }

    fn version(texts: &[(&str, &str)], effective_from: i64) -> NewVersion {
        NewVersion {
            texts: texts_of(texts),
            created_at: Timestamp(1),
            author: "somebody".to_owned(),
            note: "a fence moved".to_owned(),
            effective_from: Timestamp(effective_from),
        }
    }

    fn open() -> (CatalogVersions, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.sqlite");
        (CatalogVersions::open(&path).unwrap(), folder)
    }

    fn count(versions: &CatalogVersions, table: &str) -> u32 {
        let sql = format!("SELECT count(*) FROM {table}");
        let connection = versions.connection.lock();
        connection.query_row(&sql, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_version_waits_until_it_is_taken_into_force() {
        let (versions, folder) = open();
        assert_eq!(versions.in_force().unwrap(), None);
        let first = versions
            .create(&version(&[("fences", "a")], 0), None)
            .unwrap();
        let second = versions
            .create(&version(&[("fences", "b")], 900), None)
            .unwrap();
        assert_eq!((first, second), (1, 2));
        assert_eq!(versions.in_force().unwrap(), None);
        assert_eq!(versions.next_waiting().unwrap().unwrap().number, 1);
        versions.take_into_force(1, Timestamp(100)).unwrap();
        versions.take_into_force(1, Timestamp(200)).unwrap();
        let in_force = versions.in_force().unwrap().unwrap();
        assert_eq!(
            (in_force.number, in_force.in_force_at),
            (1, Some(Timestamp(100)))
        );
        let waiting = versions.next_waiting().unwrap().unwrap();
        assert_eq!(
            (waiting.number, waiting.effective_from),
            (2, Timestamp(900))
        );
        assert_eq!(versions.last_waiting().unwrap(), Some(waiting));
        assert_eq!(versions.text(2, "fences").unwrap().as_deref(), Some("b"));
        assert_eq!(versions.text(2, "routes").unwrap(), None);
        drop(versions);
        let versions = CatalogVersions::open(&folder.path().join("catalog.sqlite")).unwrap();
        let (info, texts) = versions.version(1).unwrap().unwrap();
        assert_eq!(info, in_force);
        assert_eq!(texts, texts_of(&[("fences", "a")]));
        assert_eq!(versions.version(3).unwrap(), None);
        let listed: Vec<u64> = versions
            .list(None, 9)
            .unwrap()
            .iter()
            .map(|info| info.number)
            .collect();
        assert_eq!(listed, [2, 1]);
        assert_eq!(versions.list(Some(2), 9).unwrap(), [in_force]);
    }

    #[test]
    fn an_elder_version_can_come_into_force_again_after_a_newer_one() {
        let (versions, _folder) = open();
        versions.create(&version(&[], 500), None).unwrap();
        versions.create(&version(&[], 0), None).unwrap();
        versions.take_into_force(2, Timestamp(100)).unwrap();
        versions.take_into_force(1, Timestamp(500)).unwrap();
        assert_eq!(versions.in_force().unwrap().unwrap().number, 1);
    }

    #[test]
    fn two_people_cannot_change_the_same_version() {
        let (versions, _folder) = open();
        versions
            .create(&version(&[("fences", "a")], 0), Some(0))
            .unwrap();
        let mine = version(&[("routes", "mine")], 0);
        let number = versions.create(&mine, Some(1)).unwrap();
        assert_eq!(number, 2);
        let both = texts_of(&[("fences", "a"), ("routes", "mine")]);
        assert_eq!(versions.version(2).unwrap().unwrap().1, both);
        let error = versions.create(&version(&[("fences", "b")], 0), Some(1));
        assert!(
            matches!(error, Err(CreateError::Conflict { newest: 2 })),
            "{error:?}"
        );
        assert_eq!(versions.version(2).unwrap().unwrap().1, both);
        assert_eq!(count(&versions, "versions"), 2);
    }

    #[test]
    fn a_text_that_versions_share_is_kept_once_and_as_long_as_one_has_it() {
        let (versions, _folder) = open();
        for text in ["a", "b", "c"] {
            let texts = [("unit_grids", "same"), ("fences", text)];
            let number = versions.create(&version(&texts, 0), None).unwrap();
            let at = Timestamp(number.try_into().unwrap());
            versions.take_into_force(number, at).unwrap();
        }
        assert_eq!(count(&versions, "texts"), 4);
        assert_eq!(versions.forget_old(2).unwrap(), 1);
        assert_eq!(count(&versions, "texts"), 3);
        assert_eq!(versions.forget_old(0).unwrap(), 1);
        assert_eq!(versions.in_force().unwrap().unwrap().number, 3);
        assert_eq!(versions.version(3).unwrap().unwrap().1.len(), 2);
    }

    #[test]
    fn a_number_is_not_given_twice_even_when_its_version_was_cancelled() {
        let (versions, _folder) = open();
        assert_eq!(
            versions
                .create(&version(&[("fences", "a")], 9), None)
                .unwrap(),
            1
        );
        assert!(versions.cancel(1).unwrap());
        assert!(!versions.cancel(1).unwrap());
        assert_eq!(count(&versions, "texts"), 0);
        assert_eq!(versions.create(&version(&[], 0), None).unwrap(), 2);
        versions.take_into_force(2, Timestamp(1)).unwrap();
        assert!(!versions.cancel(2).unwrap(), "it is in force");
    }

    #[test]
    fn files_make_a_version_when_they_changed_and_leave_other_edits_alone() {
        let (versions, _folder) = open();
        let take = |files: &[(&str, &str)]| {
            let files = texts_of(files);
            let texts = versions.with_changed_files(&files).unwrap()?;
            let version = NewVersion {
                texts,
                ..version(&[], 0)
            };
            let number = versions.take_files(&version, &files).unwrap();
            versions.take_into_force(number, Timestamp(5)).unwrap();
            Some(number)
        };
        assert_eq!(take(&[]), Some(1), "there is always one");
        assert_eq!(take(&[]), None);
        assert_eq!(take(&[("fences", "a"), ("vehicles", "v")]), Some(2));
        assert_eq!(take(&[("fences", "a"), ("vehicles", "v")]), None);
        // Edited through the API; the file stays what it was.
        let edited = [("fences", "edited"), ("vehicles", "v")];
        let number = versions.create(&version(&edited, 0), Some(2)).unwrap();
        versions.take_into_force(number, Timestamp(6)).unwrap();
        assert_eq!(take(&[("fences", "a"), ("vehicles", "v")]), None);
        assert_eq!(versions.in_force().unwrap().unwrap().number, 3);
        // The other file changed.
        let number = take(&[("vehicles", "w")]).unwrap();
        let (_, texts) = versions.version(number).unwrap().unwrap();
        assert_eq!(texts, texts_of(&[("fences", "edited"), ("vehicles", "w")]));
    }

    #[test]
    fn a_file_of_a_newer_version_is_refused() {
        let (versions, folder) = open();
        drop(versions);
        let path = folder.path().join("catalog.sqlite");
        Connection::open(&path)
            .unwrap()
            .pragma_update(None, "user_version", 99)
            .unwrap();
        let error = CatalogVersions::open(&path).unwrap_err();
        assert_eq!(error.reason(), "newer");
    }
}
