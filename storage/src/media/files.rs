//! All that the store does with files and directories, beside the index.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::{MediaError, MediaKind, names::FileName};

const BUFFER_BYTES: usize = 64 * 1024;

pub(super) fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> MediaError {
    move |cause| MediaError::File {
        action,
        path: path.to_owned(),
        cause,
    }
}

pub(super) fn create_root(directory: &Path) -> Result<(), MediaError> {
    let incoming = incoming(directory);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&incoming)
        .map_err(failed("create", &incoming))?;
    sync_directory(directory)?;
    let parent = directory
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    sync_directory(parent.unwrap_or_else(|| Path::new(".")))
}

/// What was being received when the process ended is not to be continued.
pub(super) fn remove_incoming(directory: &Path) -> Result<(), MediaError> {
    let incoming = incoming(directory);
    let entries = fs::read_dir(&incoming).map_err(failed("list", &incoming))?;
    for entry in entries {
        let path = entry.map_err(failed("list", &incoming))?.path();
        fs::remove_file(&path).map_err(failed("remove", &path))?;
    }
    Ok(())
}

/// Makes an empty file with a temporary name that nobody has.
pub(super) fn create_incoming(directory: &Path) -> Result<(PathBuf, fs::File), MediaError> {
    let path = incoming(directory).join(format!("{}.part", uuid::Uuid::new_v4()));
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed("create", &path))?;
    Ok((path, file))
}

/// Gives a synced file its name, so that a power cut does not take the name away.
pub(super) fn put_in_place(
    directory: &Path,
    temporary: &Path,
    name: &FileName,
) -> Result<(), MediaError> {
    let (month, day) = (
        name.month_directory(directory),
        name.day_directory(directory),
    );
    for (made, holder) in [(&month, directory), (&day, &month)] {
        match fs::DirBuilder::new().mode(0o700).create(made) {
            Ok(()) => sync_directory(holder).inspect_err(|_| {
                // The next file is to find it missing, and to try again.
                drop(fs::remove_dir(made));
            })?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("create", made)(error)),
        }
    }
    let path = name.path(directory);
    fs::rename(temporary, &path).map_err(failed("rename", temporary))?;
    sync_directory(&day)
}

/// Removes files that may be there, and directories that are empty then; they stay removed.
pub(super) fn remove(directory: &Path, names: &[FileName]) -> Result<(), MediaError> {
    let mut days = BTreeSet::new();
    for name in names {
        let path = name.path(directory);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("remove", &path)(error)),
        }
        days.insert((
            name.month_directory(directory),
            name.day_directory(directory),
        ));
    }
    for (month, day) in days {
        // An empty directory that cannot be removed harms nobody; one with files is kept.
        let mut changed = day.as_path();
        if fs::remove_dir(&day).is_ok() {
            changed = &month;
            if fs::remove_dir(&month).is_ok() {
                changed = directory;
            }
        }
        match sync_directory(changed) {
            Err(MediaError::File { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {}
            result => result?,
        }
    }
    Ok(())
}

/// Reads a whole file: what it is, and the SHA-256 of its content.
pub(super) fn examine(file: &fs::File) -> io::Result<(MediaKind, [u8; 32])> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut digest = Sha256::new();
    let mut kind = None;
    let mut offset = 0;
    loop {
        let count = match file.read_at(&mut buffer, offset) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let read = buffer.get(..count).unwrap_or_default();
        kind.get_or_insert_with(|| {
            MediaKind::sniffed(read.get(..MediaKind::HEAD_BYTES).unwrap_or(read))
        });
        digest.update(read);
        offset += count as u64;
    }
    Ok((kind.unwrap_or(MediaKind::Unknown), digest.finalize().into()))
}

fn incoming(directory: &Path) -> PathBuf {
    directory.join("incoming")
}

fn sync_directory(directory: &Path) -> Result<(), MediaError> {
    fs::File::open(directory)
        .and_then(|opened| opened.sync_all())
        .map_err(failed("sync", directory))
}
