//! How far the outer broker is, in a file: the log's id and a number.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::PathBuf,
};

/// A cursor of its own.
#[derive(Clone, Debug)]
pub(super) struct CursorFile(PathBuf);

/// Why a cursor is not known or kept.
#[derive(Debug, thiserror::Error)]
#[error("{0}: {1}")]
pub(super) struct CursorError(PathBuf, io::Error);

impl CursorFile {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn read(&self, log: &str) -> Result<Option<u64>, CursorError> {
        let text = match fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CursorError(self.0.clone(), error)),
        };
        // That of another log says nothing about this one.
        let own = text.trim().split_once(' ');
        let own = own.filter(|(id, _)| *id == log);
        Ok(own.and_then(|(_, offset)| offset.parse().ok()))
    }

    pub(super) fn write(&self, log: &str, offset: u64) -> Result<(), CursorError> {
        let temporary = self.0.with_extension("new");
        let write = || -> io::Result<()> {
            let mut file = File::create(&temporary)?;
            writeln!(file, "{log} {offset}")?;
            file.sync_all()?;
            fs::rename(&temporary, &self.0)
        };
        tokio::task::block_in_place(write).map_err(|error| CursorError(self.0.clone(), error))
    }
}
