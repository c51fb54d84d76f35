//! What an operator does beside the running gateway: look at the log and mend it, look at the whole
//! installation, back it up and bring it back.
//!
//! A command writes what was asked for to its output, and gives its exit code; what went wrong is
//! an error with the exit code that belongs to it ([`exit_code`]).

pub mod backtest;
pub mod backup;
pub mod doctor;
pub mod evaluator;
pub mod log;
pub mod transfer;

use std::path::{Path, PathBuf};

use clap::Args;
use storage::{log::LogError, store::StoreError};

use crate::{EXIT_DAMAGED, EXIT_NEWER};

/// Where the data are.
#[derive(Clone, Debug, Args)]
pub struct DataDirectory {
    /// The data directory of the gateway.
    #[arg(
        long = "data-dir",
        value_name = "DIR",
        default_value = "gridtrace-data"
    )]
    pub data_dir: PathBuf,
}

impl DataDirectory {
    /// The directory of the log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.data_dir.join("log")
    }
}

/// The exit code for an error of a command: what is damaged and what is newer have their own.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> u8 {
    let log = error.downcast_ref::<LogError>();
    let store = error.downcast_ref::<StoreError>();
    match (log, store) {
        (Some(LogError::Damaged(_)), _) => EXIT_DAMAGED,
        (Some(LogError::Version { .. }), _) | (_, Some(StoreError::Newer { .. })) => EXIT_NEWER,
        _ => 1,
    }
}

/// The directory that holds this one.
fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."))
}

/// The name of what is not finished yet.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".unfinished");
    path.with_file_name(name)
}

/// Gives what is finished its name, for good.
fn finish(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::File::open(from)?.sync_all()?;
    std::fs::rename(from, to)?;
    std::fs::File::open(parent(to))?.sync_all()
}
