//! Copies of what a gateway may be writing to: databases by SQLite's own backup, media by their
//! index. The log has a copy of its own kind ([`LogCopy`](crate::log::LogCopy)).
//!
//! **The order within the embedded store.** The writer puts rows into the files of their days
//! first, and moves the cursor in `main.sqlite` last. A copy goes the other way: `main.sqlite`
//! first. Rows that were written since are then in the copy although its cursor is before them,
//! which is harmless, since their records come again (P2). In the writer's order the cursor could
//! speak of rows that the copy lacks.
//!
//! **Media** are copied by a snapshot of their index, and the snapshot is taken again until all
//! files that it speaks of are there: room may be made for others meanwhile.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Component, Path},
    time::Duration,
};

use rusqlite::{Connection, backup::Backup};

use crate::{
    sqlite::{self, failed},
    store::StoreError,
};

const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);
/// Snapshots of the index of media.
const ATTEMPTS: u32 = 20;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A database.
    #[error("{path}: {cause}")]
    Database {
        /// Its file.
        path: std::path::PathBuf,
        /// The cause.
        cause: StoreError,
    },
    /// A file or directory.
    #[error("{path}: {cause}")]
    File {
        /// Which one.
        path: std::path::PathBuf,
        /// The cause.
        cause: io::Error,
    },
    /// Files of media were removed faster than they could be copied.
    #[error("media are removed faster than they are copied: try again")]
    MediaInMotion,
}

fn file(path: &Path) -> impl Fn(io::Error) -> BackupError {
    move |cause| BackupError::File {
        path: path.to_owned(),
        cause,
    }
}

/// Makes a directory that only this user can read, with its parents.
///
/// # Errors
/// When it cannot be made.
pub fn make_directory(path: &Path) -> Result<(), BackupError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(file(path))
}

/// Copies a database as it is at one moment, in place of one that is there; false where there is
/// none to copy.
///
/// # Errors
/// When one of the two files fails.
pub fn database(from: &Path, to: &Path) -> Result<bool, BackupError> {
    if !from.exists() {
        return Ok(false);
    }
    if to.exists() {
        fs::remove_file(to).map_err(file(to))?;
    }
    let copy = || -> Result<(), StoreError> {
        let failed = failed("copy a database");
        let source = sqlite::open_for_reading(from, BUSY_TIMEOUT)?;
        let mut target = Connection::open(to).map_err(&failed)?;
        // All pages in one step: a copy in several begins anew whenever somebody writes.
        Backup::new(&source, &mut target)
            .and_then(|backup| backup.run_to_completion(i32::MAX, PAUSE, None))
            .map_err(&failed)
    };
    copy().map_err(|cause| BackupError::Database {
        path: from.to_owned(),
        cause,
    })?;
    synced(to)?;
    Ok(true)
}

fn synced(path: &Path) -> Result<(), BackupError> {
    fs::File::open(path)
        .and_then(|copy| copy.sync_all())
        .map_err(file(path))
}

/// Copies a file that is not changed once it has its name; false where there is none.
///
/// # Errors
/// When one of the two fails.
pub fn plain_file(from: &Path, to: &Path) -> Result<bool, BackupError> {
    match fs::copy(from, to) {
        Ok(_) => synced(to).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !from.exists() => Ok(false),
        Err(error) => Err(file(from)(error)),
    }
}

/// Copies the embedded store in a directory; false where there is none.
///
/// # Errors
/// When a file fails.
pub fn embedded_store(from: &Path, to: &Path) -> Result<bool, BackupError> {
    make_directory(to)?;
    let main = "main.sqlite";
    if !database(&from.join(main), &to.join(main))? {
        fs::remove_dir(to).map_err(file(to))?;
        return Ok(false);
    }
    for entry in fs::read_dir(from).map_err(file(from))? {
        let name = entry.map_err(file(from))?.file_name();
        let is_database = Path::new(&name).extension().is_some_and(|e| e == "sqlite");
        if is_database && name != main {
            database(&from.join(&name), &to.join(&name))?;
        }
    }
    Ok(true)
}

/// Copies the media in a directory, index and files; gives the number of files.
///
/// # Errors
/// When a file fails, or files go faster than they can be copied.
pub fn media(from: &Path, to: &Path) -> Result<usize, BackupError> {
    let index = "media.sqlite";
    if !from.join(index).exists() {
        return Ok(0);
    }
    make_directory(to)?;
    let mut copied: BTreeSet<String> = BTreeSet::new();
    for _ in 0..ATTEMPTS {
        let path = to.join(index);
        database(&from.join(index), &path)?;
        let names = names(&path).map_err(|cause| BackupError::Database { path, cause })?;
        let mut is_whole = true;
        for name in names.difference(&copied.clone()) {
            if let Some(parent) = to.join(name).parent() {
                make_directory(parent)?;
            }
            if plain_file(&from.join(name), &to.join(name))? {
                copied.insert(name.clone());
            } else {
                is_whole = false;
            }
        }
        if is_whole {
            for gone in copied.difference(&names) {
                let path = to.join(gone);
                fs::remove_file(&path).map_err(file(&path))?;
            }
            return Ok(names.len());
        }
    }
    Err(BackupError::MediaInMotion)
}

/// Files that the rows of an index speak of. What is no name below the directory is left out.
fn names(index: &Path) -> Result<BTreeSet<String>, StoreError> {
    let failed = failed("read the index of media");
    let connection = crate::cursors::open(index)?;
    let mut statement = connection
        .prepare("SELECT file FROM media")
        .map_err(&failed)?;
    let names = statement.query_map([], |row| row.get(0)).map_err(&failed)?;
    let mut names: BTreeSet<String> = names.collect::<Result<_, _>>().map_err(&failed)?;
    names.retain(|name| {
        let mut parts = Path::new(name).components();
        parts.all(|part| matches!(part, Component::Normal(_)))
    });
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_copied_with_what_is_only_in_its_write_ahead_file() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a"), folder.path().join("b"));
        assert!(!database(&from, &to).unwrap());
        let migrations = ["CREATE TABLE t (x INTEGER)"];
        let open = sqlite::open(
            &from,
            &migrations,
            BUSY_TIMEOUT,
            sqlite::WriteAhead::of(1 << 20),
        )
        .unwrap();
        open.execute("INSERT INTO t VALUES (7)", []).unwrap();
        fs::write(&to, "what was there before").unwrap();
        assert!(database(&from, &to).unwrap());
        open.execute("INSERT INTO t VALUES (8)", []).unwrap();
        let copy = Connection::open(&to).unwrap();
        let sum: i64 = copy
            .query_row("SELECT sum(x) FROM t", [], |row| row.get(0))
            .unwrap();
        assert_eq!(sum, 7, "as it was at one moment");
    }

    #[test]
    fn media_are_copied_as_their_index_has_them() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a"), folder.path().join("b"));
        assert_eq!(media(&from, &to).unwrap(), 0);
        fs::create_dir_all(from.join("2026-11/25")).unwrap();
        let sql = "CREATE TABLE media (file TEXT NOT NULL)";
        let index = from.join("media.sqlite");
        let open = sqlite::open(
            &index,
            &[sql],
            BUSY_TIMEOUT,
            sqlite::WriteAhead::of(1 << 20),
        )
        .unwrap();
        let row = |name: &str| {
            open.execute("INSERT INTO media VALUES (?)", [name])
                .unwrap();
        };
        fs::write(from.join("2026-11/25/a.jpg"), "picture").unwrap();
        fs::write(from.join("2026-11/25/unsettled.jpg"), "of no row").unwrap();
        row("2026-11/25/a.jpg");
        row("../../etc/passwd");
        assert_eq!(media(&from, &to).unwrap(), 1);
        assert_eq!(fs::read(to.join("2026-11/25/a.jpg")).unwrap(), b"picture");
        assert!(!to.join("2026-11/25/unsettled.jpg").exists());
        // A row without its file: a copy would break what the store promises.
        row("2026-11/25/gone.jpg");
        let error = media(&from, &to).unwrap_err();
        assert!(matches!(error, BackupError::MediaInMotion), "{error}");
    }
}
