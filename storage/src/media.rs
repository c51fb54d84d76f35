//! Media files: pictures, sound and video of terminals (多媒体数据, JT/T 808 §6.8), and the
//! attachments of their alarms (报警附件, T/JSATL 12).
//!
//! ```text
//! media.sqlite              the index
//! incoming/UUID.part        what is being received
//! 2026-11/25/UUID.jpg       a file, by the day of its receipt (UTC)
//! ```
//!
//! **Names.** Every name is ours: random, with an extension from a fixed list by what the content
//! is. Names that terminals give are only shown. Directories are 0700, files 0600.
//!
//! **Order of writing.** A file is written under its temporary name and synced; its new name goes
//! into a journal in the index; it is renamed, and its directory synced; then one transaction makes
//! its row and strikes the journal's. A removal is the same backwards: one transaction deletes the
//! row and writes the journal, then the file goes, then the journal's line. So no row is ever
//! without its file, and after a crash the journal has every file without a row: the work at the
//! next start is bounded by what was under way, whatever the clock says and however many
//! directories there are. It costs a second commit for each file.
//!
//! **Bounds.** One file, one terminal's day, all files together, and the space that the file system
//! keeps free, so that the log can go on. When all together are too large or the space is short,
//! the oldest files go, for bytes that have come: what a terminal only says that it will send
//! drives nothing out. What is still too large is refused with a reason.

mod files;
mod index;
mod kind;
mod limits;
mod names;
mod ranges;
mod room;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use geofence::{
    identity::TerminalId,
    units::{Latitude, Longitude, Timestamp},
};
use parking_lot::Mutex;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::{
    kind::{MediaKind, NotAMediaKind},
    limits::{MediaError, MediaLimits, MediaRefusal},
    writer::{MediaWriter, Outcome, Stored},
};
use crate::{
    file_system::{FileSystem as _, Lock, RealFileSystem},
    sqlite::{self, WriteAhead},
};

const MIGRATIONS: &[&str] = &[include_str!("../migrations/media/0001_media.sql")];
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_AHEAD: WriteAhead = WriteAhead::of(8 * 1024 * 1024);
/// What terminals' clocks may be ahead and still be believed.
const AHEAD_MAX_MILLIS: i64 = 24 * 60 * 60 * 1_000;

/// A stored medium: random, so that nobody guesses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaId(pub Uuid);

impl fmt::Display for MediaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for MediaId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// How a medium came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaSource {
    /// Multimedia data upload, 0x0801 (多媒体数据上传).
    Multimedia,
    /// A file at the attachment server, 0x1211 (报警附件).
    AlarmAttachment,
}

/// The word is none of [`MediaSource::as_str`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no source of media")]
pub struct NotAMediaSource;

impl MediaSource {
    /// The word that rows and JSON use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Multimedia => "multimedia",
            Self::AlarmAttachment => "alarm_attachment",
        }
    }
}

impl FromStr for MediaSource {
    type Err = NotAMediaSource;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        [Self::Multimedia, Self::AlarmAttachment]
            .into_iter()
            .find(|source| source.as_str() == word)
            .ok_or(NotAMediaSource)
    }
}

/// What is known of a medium beside its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMedia {
    /// Whose it is.
    pub terminal: TerminalId,
    /// When it came, by our clock.
    pub received_at: Timestamp,
    /// When it was taken, by the terminal's clock.
    pub taken_at: Option<Timestamp>,
    /// The terminal's id of it (多媒体ID); may be 0, and begins anew when the terminal does.
    pub media_id: u32,
    /// Type as sent (多媒体类型): 0 picture, 1 sound, 2 video.
    pub media_type: u8,
    /// Format as sent (多媒体格式编码).
    pub format: u8,
    /// Event as sent (事件项编码).
    pub event: u8,
    /// Channel (通道ID).
    pub channel: u8,
    /// Where.
    pub latitude: Option<Latitude>,
    /// Where.
    pub longitude: Option<Longitude>,
    /// All packets came. One that has gaps is incomplete whatever stands here.
    pub is_complete: bool,
    /// How it came.
    pub source: MediaSource,
    /// Alarm number (报警编号), 1 to 32 printable ASCII characters.
    pub alarm_number: Option<String>,
    /// The terminal's name of the file. Kept as it can be shown, cut to 100 characters; never part
    /// of a path.
    pub original_name: Option<String>,
    /// The alarm label (报警标识号) as JSON text, at most 4 KiB.
    pub label: Option<String>,
}

/// A stored medium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// Its name to the outside; stays when a complete content replaces an incomplete one.
    pub id: MediaId,
    /// Counts up with each medium.
    pub number: u64,
    /// When it was taken, unless the terminal did not say or its clock is more than a day ahead:
    /// then when it came.
    pub at: Timestamp,
    /// What is known of it; its name as shown, and whether it is complete.
    pub facts: NewMedia,
    /// What the content is.
    pub kind: MediaKind,
    /// Size of the content.
    pub bytes: u64,
    /// SHA-256 of the content; missing parts count as zeros.
    pub sha256: [u8; 32],
}

/// Which media to list, newest first by `(at, number)`.
#[derive(Clone, Debug, Default)]
pub struct MediaQuery {
    /// Only of this terminal.
    pub terminal: Option<TerminalId>,
    /// Only of this alarm.
    pub alarm_number: Option<String>,
    /// From, inclusive, by [`Media::at`].
    pub from: Option<Timestamp>,
    /// To, exclusive.
    pub to: Option<Timestamp>,
    /// Continue behind this one: `(at, number)` of the last one of the page before.
    pub before: Option<(Timestamp, u64)>,
    /// At most so many.
    pub limit: u32,
}

/// Files that were removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// How many.
    pub files: u64,
    /// What they held, in whole blocks.
    pub bytes: u64,
}

/// What is there, and what had to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MediaTotals {
    /// Files.
    pub files: u64,
    /// What they hold, in whole blocks.
    pub bytes: u64,
    /// What is set aside for those that are being received.
    pub reserved_bytes: u64,
    /// How many are being received.
    pub writers: u32,
    /// What had to make room since the store was opened.
    pub evicted: Removed,
}

/// The directory with its index. Cheap to clone; the clones are the same store. Its calls wait for
/// the disk, and most of them for each other.
#[derive(Clone, Debug)]
pub struct MediaStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    limits: MediaLimits,
    space: Space,
    inner: Mutex<Inner>,
    _lock: Box<dyn Lock>,
}

#[derive(Debug)]
struct Inner {
    connection: Connection,
    totals: MediaTotals,
    /// Bytes set aside for each terminal that is sending something.
    reserved: BTreeMap<TerminalId, u64>,
    /// Something went wrong half-way: journal and totals are to be looked at before going on.
    is_unsettled: bool,
}

/// How much the file system still has for us.
struct Space(Box<Available>);

type Available = dyn Fn(&Path) -> std::io::Result<u64> + Send + Sync;

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Space")
    }
}

impl MediaStore {
    /// Opens the store in a directory, and creates both when they are not there. Removes what a
    /// crash has left. One process at a time uses it.
    ///
    /// # Errors
    /// When another process has it, or a file cannot be opened or is not one of ours.
    pub fn open(directory: &Path, limits: MediaLimits) -> Result<Self, MediaError> {
        let space = |directory: &Path| RealFileSystem.available_bytes(directory);
        Self::open_with(directory, limits, Space(Box::new(space)))
    }

    fn open_with(directory: &Path, limits: MediaLimits, space: Space) -> Result<Self, MediaError> {
        files::create_root(directory)?;
        let path = directory.join("lock");
        let lock = RealFileSystem
            .lock(&path)
            .map_err(files::failed("lock", &path))?;
        files::remove_incoming(directory)?;
        let path = directory.join("media.sqlite");
        let connection = sqlite::open(&path, MIGRATIONS, BUSY_TIMEOUT, WRITE_AHEAD)?;
        let mut inner = Inner {
            connection,
            totals: MediaTotals::default(),
            reserved: BTreeMap::new(),
            is_unsettled: true,
        };
        inner.recover(directory)?;
        Ok(Self {
            shared: Arc::new(Shared {
                directory: directory.to_owned(),
                limits,
                space,
                inner: Mutex::new(inner),
                _lock: lock,
            }),
        })
    }

    /// Begins to receive a medium of this size in bytes. Nothing is to be seen of it before
    /// [`MediaWriter::finish`].
    ///
    /// # Errors
    /// When it is refused, or the disk fails.
    pub fn begin(&self, new: NewMedia, bytes: u32) -> Result<MediaWriter, MediaError> {
        writer::begin(&self.shared, new, bytes)
    }

    /// Stores a medium whose content is at hand.
    ///
    /// # Errors
    /// When it is refused, or the disk fails.
    pub fn add(&self, new: NewMedia, content: &[u8]) -> Result<Stored, MediaError> {
        let bytes = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let mut writer = self.begin(new, bytes)?;
        writer.write_at(0, content)?;
        writer.finish()
    }

    /// Media, newest first.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn list(&self, query: &MediaQuery) -> Result<Vec<Media>, MediaError> {
        Ok(index::list(&self.shared.inner.lock().connection, query)?)
    }

    /// One medium; `None` for one that is not there.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn get(&self, id: MediaId) -> Result<Option<Media>, MediaError> {
        let found = index::find(&self.shared.inner.lock().connection, id)?;
        Ok(found.map(|row| row.media))
    }

    /// One medium with its file, to read; `None` for one that is not there. The file can be read
    /// to its end also when it is removed meanwhile.
    ///
    /// # Errors
    /// When the index or the file cannot be read.
    pub fn open_file(&self, id: MediaId) -> Result<Option<(Media, fs::File)>, MediaError> {
        // With the lock held: otherwise it could go between the look and the opening.
        let inner = self.shared.inner.lock();
        let Some(row) = index::find(&inner.connection, id)? else {
            return Ok(None);
        };
        let path = row.file.path(&self.shared.directory);
        let file = fs::File::open(&path).map_err(files::failed("open", &path))?;
        Ok(Some((row.media, file)))
    }

    /// Deletes what came before this moment.
    ///
    /// # Errors
    /// When the disk fails; some may be deleted.
    pub fn delete_older_than(&self, before: Timestamp) -> Result<Removed, MediaError> {
        let mut removed = Removed::default();
        loop {
            let mut inner = self.shared.inner.lock();
            inner.settle_if_needed(&self.shared.directory)?;
            let oldest = index::received_before(&inner.connection, before)?;
            if oldest.is_empty() {
                return Ok(removed);
            }
            removed += inner.remove(&self.shared.directory, &oldest)?;
        }
    }

    /// Removes the oldest files while less space is free than is to be kept. To be called now and
    /// then: others write to the same file system.
    ///
    /// # Errors
    /// When the disk fails; some may be removed.
    pub fn keep_space(&self) -> Result<Removed, MediaError> {
        let mut inner = self.shared.inner.lock();
        inner.settle_if_needed(&self.shared.directory)?;
        self.shared.free_space(&mut inner, 0)
    }

    /// What is there, without asking the disk.
    #[must_use]
    pub fn totals(&self) -> MediaTotals {
        self.shared.inner.lock().totals
    }
}

impl std::ops::AddAssign for Removed {
    fn add_assign(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
    }
}
