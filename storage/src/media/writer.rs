//! A medium on its way into the store.

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use geofence::identity::TerminalId;
use serde::de::IgnoredAny;
use uuid::Uuid;

use super::{
    AHEAD_MAX_MILLIS, Inner, Media, MediaError, MediaId, MediaRefusal, NewMedia, Removed, Shared,
    files,
    index::{self, Content, StoredRow},
    names::{FileName, shown},
    ranges::Ranges,
    room::{BLOCK_BYTES, day_number, room_of},
};

/// A file that is being received asks for room in steps of this size.
const RESERVED_STEP_BYTES: u64 = 1024 * 1024;
const LABEL_BYTES_MAX: usize = 4_096;
const ALARM_NUMBER_BYTES_MAX: usize = 32;

/// A medium that is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// As it is there now.
    pub media: Media,
    /// What became of what was brought.
    pub outcome: Outcome,
    /// What had to go for it; in [`MediaTotals::evicted`](super::MediaTotals) too, as is what had
    /// to go for those that were never finished.
    pub removed: Removed,
}

/// What became of what was brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is new.
    Added,
    /// It took the place of an incomplete, or less complete, content of the same medium.
    Completed,
    /// It was there already, or more of it; nothing was kept.
    Duplicate,
}

/// Takes the content of one medium, in any order. Dropped before [`finish`](Self::finish) it
/// leaves nothing. Its calls wait for the disk.
#[derive(Debug)]
pub struct MediaWriter {
    incoming: Incoming,
    new: NewMedia,
    bytes: u32,
    ranges: Ranges,
    removed: Removed,
}

/// The temporary file, and the room that was set aside for it: both end with this value.
#[derive(Debug)]
struct Incoming {
    shared: Arc<Shared>,
    path: PathBuf,
    file: fs::File,
    terminal: TerminalId,
    room: u64,
}

pub(super) fn begin(
    shared: &Arc<Shared>,
    new: NewMedia,
    bytes: u32,
) -> Result<MediaWriter, MediaError> {
    let new = checked(new)?;
    let mut inner = shared.inner.lock();
    let max = shared.limits.writers_max;
    if inner.totals.writers >= max {
        return Err(MediaRefusal::TooManyWriters { max }.into());
    }
    check_size(shared, &inner, &new, bytes, 0)?;
    let (path, file) = files::create_incoming(&shared.directory)?;
    inner.totals.writers += 1;
    drop(inner);
    Ok(MediaWriter {
        incoming: Incoming {
            shared: Arc::clone(shared),
            path,
            file,
            terminal: new.terminal,
            room: 0,
        },
        new,
        bytes,
        ranges: Ranges::new(shared.limits.ranges_max),
        removed: Removed::default(),
    })
}

impl MediaWriter {
    /// Writes a piece at this offset in bytes, and makes room for it. Bytes that have come already
    /// are written again.
    ///
    /// # Errors
    /// When the piece ends behind the end of the file, makes too many holes, finds no room, or the
    /// disk fails.
    pub fn write_at(&mut self, offset: u32, piece: &[u8]) -> Result<(), MediaError> {
        let end = u32::try_from(piece.len())
            .ok()
            .and_then(|length| offset.checked_add(length))
            .filter(|end| *end <= self.bytes)
            .ok_or(MediaRefusal::OutsideFile { bytes: self.bytes })?;
        if !self.ranges.has_room_for(&(offset..end)) {
            let max = self.incoming.shared.limits.ranges_max;
            return Err(MediaRefusal::TooManyRanges { max }.into());
        }
        self.reserve(piece.len() as u64)?;
        let Incoming { file, path, .. } = &self.incoming;
        file.write_all_at(piece, u64::from(offset))
            .map_err(files::failed("write", path))?;
        self.ranges.insert(offset..end);
        Ok(())
    }

    /// What has not come yet, as offset and length in bytes, in order; at most so many.
    #[must_use]
    pub fn gaps(&self, limit: usize) -> Vec<(u32, u32)> {
        self.ranges.gaps(self.bytes, limit)
    }

    /// Size of the file in bytes, as it was last said.
    #[must_use]
    pub const fn bytes(&self) -> u32 {
        self.bytes
    }

    /// How many of its bytes have come.
    #[must_use]
    pub fn bytes_received(&self) -> u64 {
        self.ranges.bytes()
    }

    /// Changes the size of the file: where 0x1211 and 0x1212 differ, the later one holds.
    ///
    /// # Errors
    /// When it is refused, or the disk fails; then the size stays.
    pub fn set_bytes(&mut self, bytes: u32) -> Result<(), MediaError> {
        let shared = &self.incoming.shared;
        let inner = shared.inner.lock();
        check_size(shared, &inner, &self.new, bytes, self.incoming.room)?;
        drop(inner);
        if self.ranges.end() > bytes {
            // What is cut off must not come back where a later size has a hole.
            let Incoming { file, path, .. } = &self.incoming;
            file.set_len(u64::from(bytes))
                .map_err(files::failed("cut", path))?;
        }
        self.bytes = bytes;
        self.ranges.truncate(bytes);
        Ok(())
    }

    /// What the file takes of the disk with so many bytes more, when it has this size: holes take
    /// no room, but each range may begin and end within a block.
    fn room(&self, more: u64, size: u32) -> u64 {
        let around = BLOCK_BYTES * (self.ranges.count() as u64 + 1);
        let ranges = room_of(self.ranges.bytes() + more) + around;
        ranges.min(room_of(u64::from(size)))
    }

    /// Sets room aside for a piece that is to come, ahead by a step so that not every piece has to
    /// ask.
    fn reserve(&mut self, piece_bytes: u64) -> Result<(), MediaError> {
        let needed = self.room(piece_bytes, self.bytes);
        let incoming = &mut self.incoming;
        if needed <= incoming.room {
            return Ok(());
        }
        let whole = room_of(u64::from(self.bytes));
        let room = needed.next_multiple_of(RESERVED_STEP_BYTES).min(whole);
        let shared = &incoming.shared;
        self.removed += shared.reserve(
            &mut shared.inner.lock(),
            incoming.terminal,
            self.new.received_at,
            room - incoming.room,
        )?;
        incoming.room = room;
        Ok(())
    }

    /// Puts the medium into the store. File and row are on disk when this returns. One with gaps
    /// is stored as incomplete, up to the last byte that has come.
    ///
    /// # Errors
    /// When nothing has come, or the disk fails; then nothing is stored.
    pub fn finish(self) -> Result<Stored, MediaError> {
        let end = self.ranges.end();
        if end == 0 {
            return Err(MediaRefusal::Empty.into());
        }
        let Incoming {
            shared, path, file, ..
        } = &self.incoming;
        // A write that failed may have left bytes behind the last one that counts.
        file.set_len(u64::from(end))
            .map_err(files::failed("cut", path))?;
        file.sync_all().map_err(files::failed("sync", path))?;
        let (kind, sha256) = files::examine(file).map_err(files::failed("read", path))?;
        let bytes = u64::from(end);
        let wrong = MediaRefusal::WrongField {
            field: "received_at",
        };
        let content = Content {
            is_complete: self.new.is_complete && self.ranges.gaps(self.bytes, 1).is_empty(),
            kind,
            bytes,
            room: self.room(0, end),
            sha256,
            file: FileName::new(self.new.received_at, kind).ok_or(wrong)?,
        };
        let (media, outcome) = store(shared, path, &self.new, &content)?;
        Ok(Stored {
            media,
            outcome,
            removed: self.removed,
        })
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // After `finish` it is gone already; what cannot be removed goes at the next start.
        drop(fs::remove_file(&self.path));
        let mut inner = self.shared.inner.lock();
        Shared::release(&mut inner, self.terminal, self.room);
        inner.totals.writers = inner.totals.writers.saturating_sub(1);
    }
}

/// From the temporary file to file and row, or to what is there already.
fn store(
    shared: &Shared,
    temporary: &Path,
    new: &NewMedia,
    content: &Content,
) -> Result<(Media, Outcome), MediaError> {
    let mut inner = shared.inner.lock();
    inner.settle_if_needed(&shared.directory)?;
    let same = index::same(&inner.connection, new, &content.sha256)?;
    let outcome = same
        .as_ref()
        .map_or(Outcome::Added, |old| outcome(content, old));
    let old = match (outcome, same) {
        (Outcome::Duplicate, Some(old)) => return Ok((old.media, outcome)),
        (Outcome::Completed, same) => same,
        _ => None,
    };
    // From here to the row an error leaves it to the journal what becomes of the file.
    inner.is_unsettled = true;
    inner.write(|connection| index::note_unsettled(connection, &content.file))?;
    files::put_in_place(&shared.directory, temporary, &content.file)?;
    let media = write_row(&mut inner, new, content, old.as_ref())?;
    inner.totals.bytes += content.room;
    match old {
        Some(old) => {
            inner.totals.bytes = inner.totals.bytes.saturating_sub(old.room);
            // The new content is on disk whatever becomes of the old one; the journal has it.
            if let Err(error) = inner.settle(&shared.directory) {
                tracing::warn!(%error, "a replaced media file was not removed yet");
            }
        }
        None => {
            inner.totals.files += 1;
            inner.is_unsettled = false;
        }
    }
    Ok((media, outcome))
}

/// What is to become of a content beside one that has the same key.
fn outcome(content: &Content, old: &StoredRow) -> Outcome {
    let is_same = content.sha256 == old.media.sha256;
    match (content.is_complete, old.media.facts.is_complete) {
        (true, false) => Outcome::Completed,
        (true, true) if !is_same => Outcome::Added,
        (false, false) if (content.room, content.bytes) > (old.room, old.media.bytes) => {
            Outcome::Completed
        }
        _ => Outcome::Duplicate,
    }
}

fn write_row(
    inner: &mut Inner,
    new: &NewMedia,
    content: &Content,
    old: Option<&StoredRow>,
) -> Result<Media, MediaError> {
    let believed = new
        .taken_at
        .filter(|at| at.0 <= new.received_at.0.saturating_add(AHEAD_MAX_MILLIS));
    let mut media = match old {
        Some(old) => old.media.clone(),
        None => Media {
            id: MediaId(Uuid::new_v4()),
            number: 0,
            at: believed.unwrap_or(new.received_at),
            facts: new.clone(),
            kind: content.kind,
            bytes: content.bytes,
            sha256: content.sha256,
        },
    };
    media.facts.is_complete = content.is_complete;
    media.kind = content.kind;
    media.bytes = content.bytes;
    media.sha256 = content.sha256;
    let day = day_number(new.received_at);
    media.number = inner.write(|connection| {
        let number = match old {
            Some(old) => {
                index::replace(connection, old, content)?;
                old.media.number
            }
            None => index::insert(connection, &media, content.room, &content.file)?,
        };
        index::use_more(connection, day, new.terminal.as_str(), content.room)?;
        index::strike_unsettled(connection, &content.file)?;
        Ok(number)
    })?;
    Ok(media)
}

/// Whether a file of this size may come at all, of which so much room is set aside already. The
/// rest is as it comes.
fn check_size(
    shared: &Shared,
    inner: &Inner,
    new: &NewMedia,
    bytes: u32,
    reserved: u64,
) -> Result<(), MediaError> {
    if bytes == 0 {
        return Err(MediaRefusal::Empty.into());
    }
    let max = shared.limits.file_bytes_max;
    if bytes > max {
        return Err(MediaRefusal::FileTooLarge { bytes, max }.into());
    }
    let room = room_of(u64::from(bytes)).saturating_sub(reserved);
    shared.check_limits(inner, new.terminal, new.received_at, room)
}

/// Makes a peer's name one that can be shown, and refuses what the index could not be asked for.
fn checked(mut new: NewMedia) -> Result<NewMedia, MediaRefusal> {
    let is_alarm_number = |text: &String| {
        (1..=ALARM_NUMBER_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_graphic())
    };
    let is_label = |text: &String| {
        text.len() <= LABEL_BYTES_MAX && serde_json::from_str::<IgnoredAny>(text).is_ok()
    };
    for (field, is_right) in [
        (
            "alarm_number",
            new.alarm_number.as_ref().is_none_or(is_alarm_number),
        ),
        ("label", new.label.as_ref().is_none_or(is_label)),
        (
            "received_at",
            crate::store::day_of(new.received_at).is_some(),
        ),
    ] {
        if !is_right {
            return Err(MediaRefusal::WrongField { field });
        }
    }
    new.original_name = new.original_name.as_deref().map(shown);
    Ok(new)
}
