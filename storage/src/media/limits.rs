//! What the store may hold, and what it refuses.

use std::{io, path::PathBuf};

use crate::store::StoreError;

/// What the store may hold. Sizes of stored files count in whole blocks of 4 KiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaLimits {
    /// Bytes of one file, up to 4 GiB - 1. Default 64 MiB.
    pub file_bytes_max: u32,
    /// Bytes of one terminal on one day (UTC). Default 256 MiB.
    pub terminal_day_bytes_max: u64,
    /// Bytes of all files; beyond it the oldest go. Default 8 GiB.
    pub stored_bytes_max: u64,
    /// Free space of the file system below which the oldest files go, and nothing is taken. More
    /// than the log wants to keep, so that files give way before the log stops. Default 512 MiB.
    pub free_bytes_min: u64,
    /// Files that are being received at the same time. Default 256.
    pub writers_max: u32,
    /// Pieces that do not touch each other, of one file that is being received. Default 1,024.
    pub ranges_max: usize,
}

impl Default for MediaLimits {
    fn default() -> Self {
        Self {
            file_bytes_max: 64 << 20,
            terminal_day_bytes_max: 256 << 20,
            stored_bytes_max: 8 << 30,
            free_bytes_min: 512 << 20,
            writers_max: 256,
            ranges_max: 1_024,
        }
    }
}

/// Why a medium, or a part of it, was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaRefusal {
    /// It is too large.
    #[error("the file has {bytes} bytes, more than {max}")]
    FileTooLarge {
        /// What it has.
        bytes: u32,
        /// The limit in bytes.
        max: u32,
    },
    /// The terminal has brought enough today.
    #[error("the terminal has brought {used} bytes today, of {max}")]
    TerminalQuota {
        /// What it has brought, with what it is bringing.
        used: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// What is being received needs all the room there is.
    #[error("files being received need all of {max} bytes")]
    StoreFull {
        /// The limit in bytes.
        max: u64,
    },
    /// The file system is full, by others.
    #[error("{available} bytes of the file system are left")]
    DiskFull {
        /// What is left.
        available: u64,
    },
    /// Too many at the same time.
    #[error("{max} files are being received already")]
    TooManyWriters {
        /// The limit.
        max: u32,
    },
    /// A piece makes more holes than are kept track of.
    #[error("the file has more than {max} pieces")]
    TooManyRanges {
        /// The limit.
        max: usize,
    },
    /// A piece lies behind the end of the file.
    #[error("a piece ends behind the end of the file, at {bytes} bytes")]
    OutsideFile {
        /// Size of the file.
        bytes: u32,
    },
    /// There is nothing in it.
    #[error("the file is empty")]
    Empty,
    /// What is known of it is not what it must be.
    #[error("{field} is not what it must be")]
    WrongField {
        /// Which field.
        field: &'static str,
    },
}

impl MediaRefusal {
    /// The word that metrics and logs use.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::FileTooLarge { .. } => "file_too_large",
            Self::TerminalQuota { .. } => "terminal_quota",
            Self::StoreFull { .. } => "store_full",
            Self::DiskFull { .. } => "disk_full",
            Self::TooManyWriters { .. } => "too_many_writers",
            Self::TooManyRanges { .. } => "too_many_ranges",
            Self::OutsideFile { .. } => "outside_file",
            Self::Empty => "empty",
            Self::WrongField { .. } => "wrong_field",
        }
    }
}

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// It may not be.
    #[error(transparent)]
    Refused(#[from] MediaRefusal),
    /// The index failed.
    #[error(transparent)]
    Index(#[from] StoreError),
    /// A file or directory failed.
    #[error("{action} {path}")]
    File {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: io::Error,
    },
}

impl MediaError {
    /// The word that metrics and logs use.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.reason(),
            Self::Index(error) => error.reason(),
            Self::File { .. } => "file",
        }
    }
}
