//! The files of an alarm: announced, open, on disk.

use std::collections::hash_map::Entry;

use bytes::Bytes;
use protocols::{
    jsatl12::FileName,
    jt808::{
        header::BODY_BYTES_MAX,
        message::{
            Message,
            attachment_file::{AttachmentFile, AttachmentFileResult, Chunk},
            field::{List, Rest},
        },
    },
    wire::text,
};
use storage::media::{MediaError, MediaRefusal, MediaSource, MediaWriter, NewMedia};

use super::{NotTaken, Upload, refused};
use crate::{clock, media::count_stored};

/// The results of 0x9212.
const COMPLETE: u8 = 0;
const SEND_AGAIN: u8 = 1;
/// Bytes of a chunk in 0x9212, and of what is around its name and chunks.
const CHUNK_BYTES: usize = 8;
const RESULT_BYTES: usize = 4;
/// Of the chunks of 0x9212, counted in a byte.
const CHUNKS_MAX: usize = 255;

/// A file that was announced.
pub(super) enum File {
    /// Nothing of it has come; its size in bytes.
    Announced(u32),
    Open(Box<MediaWriter>),
    /// It is on disk, or has nothing to be kept.
    Done,
    /// The store does not take it.
    Refused,
}

impl Upload {
    /// 0x1211.
    pub(super) fn on_file(&mut self, said: &AttachmentFile) -> Result<(), NotTaken> {
        let name = self.name_of(said)?;
        let max = self.gateway.config.attachments.files_per_alarm_max as usize;
        let known = self.files.len();
        match self.files.entry(name) {
            Entry::Vacant(_) if known >= max => return Err(refused("too_many_files")),
            Entry::Vacant(place) => {
                place.insert(File::Announced(said.file_bytes));
            }
            Entry::Occupied(mut file) => match file.get_mut() {
                // One that is open has its size; where that is another one now, 0x1212 has the
                // last word.
                File::Done | File::Open(_) => return Ok(()),
                File::Announced(bytes) => *bytes = said.file_bytes,
                file @ File::Refused => *file = File::Announced(said.file_bytes),
            },
        }
        self.open(&name, Some(said.file_type)).map_err(refused)
    }

    /// 0x1212.
    pub(super) fn on_sent(&mut self, said: AttachmentFile) -> Result<Message, NotTaken> {
        let name = self.name_of(&said)?;
        if let Some(File::Announced(bytes)) = self.files.get_mut(&name) {
            *bytes = said.file_bytes;
            self.open(&name, Some(said.file_type)).map_err(refused)?;
        }
        let Some(file) = self.files.get_mut(&name) else {
            return Err(refused("not_announced"));
        };
        match std::mem::replace(file, File::Done) {
            File::Open(writer) => self.on_whole(&name, writer, said),
            File::Done => Ok(answer(said, Vec::new())),
            File::Refused | File::Announced(_) => {
                *file = File::Refused;
                Err(refused("not_stored"))
            }
        }
    }

    /// A file is said to be whole. It has the size that was said last.
    fn on_whole(
        &mut self,
        name: &FileName,
        mut writer: Box<MediaWriter>,
        said: AttachmentFile,
    ) -> Result<Message, NotTaken> {
        if said.file_bytes > 0
            && said.file_bytes != writer.bytes()
            && let Err(error) = writer.set_bytes(said.file_bytes)
        {
            self.files.insert(*name, File::Refused);
            return Err(refused(self.count_refused(&error)));
        }
        let room = BODY_BYTES_MAX.saturating_sub(RESULT_BYTES + said.file_name.0.len());
        let chunks = writer.gaps((room / CHUNK_BYTES).clamp(1, CHUNKS_MAX));
        if !chunks.is_empty() {
            self.gateway.metrics.attachment_resends.increment(1);
            self.files.insert(*name, File::Open(writer));
            return Ok(answer(said, chunks));
        }
        if self.finish(*writer) {
            self.files.insert(*name, File::Done);
            return Ok(answer(said, Vec::new()));
        }
        self.files.insert(*name, File::Refused);
        Err(refused("not_stored"))
    }

    fn name_of(&self, said: &AttachmentFile) -> Result<FileName, NotTaken> {
        if self.alarm.is_none() {
            return Err(refused("no_alarm"));
        }
        FileName::new(&said.file_name.0).ok_or(refused("file_name"))
    }

    /// Data of a file; whether they are taken.
    pub(super) fn on_data(&mut self, name: &FileName, offset: u32, bytes: &Bytes) -> bool {
        // A terminal may begin with the data when 0x1210 has said the size.
        let opened = match self.files.get(name) {
            Some(File::Announced(_)) => self.open(name, None),
            _ => Ok(()),
        };
        if let Err(reason) = opened {
            self.drop_bytes(reason, bytes.len());
            return false;
        }
        let reason = match self.files.get_mut(name) {
            None => "not_announced",
            Some(File::Done) => "complete",
            Some(File::Refused | File::Announced(_)) => "not_stored",
            Some(File::Open(writer)) => match writer.write_at(offset, bytes) {
                Ok(()) => {
                    let taken = &self.gateway.metrics.attachment_bytes;
                    taken.increment(bytes.len() as u64);
                    return true;
                }
                Err(error) if is_of_piece(&error) => error.reason(),
                Err(error) => {
                    self.files.insert(*name, File::Refused);
                    self.count_refused(&error)
                }
            },
        };
        self.drop_bytes(reason, bytes.len());
        false
    }

    /// Begins a file that was announced. One without a byte is done at once.
    fn open(&mut self, name: &FileName, file_type: Option<u8>) -> Result<(), &'static str> {
        let Some(File::Announced(bytes)) = self.files.get(name) else {
            return Ok(());
        };
        let bytes = *bytes;
        if bytes == 0 {
            self.files.insert(*name, File::Done);
            self.count_file("empty");
            return Ok(());
        }
        let is_open = |file: &&File| matches!(file, File::Open(_));
        let open = self.files.values().filter(is_open).count();
        if open >= self.gateway.config.attachments.files_open_max as usize {
            return Err("too_many_open");
        }
        let medium = self.medium(name, file_type).ok_or("no_alarm")?;
        match self.gateway.media.begin(medium, bytes) {
            Ok(writer) => {
                self.files.insert(*name, File::Open(Box::new(writer)));
                Ok(())
            }
            Err(error) => {
                self.files.insert(*name, File::Refused);
                Err(self.count_refused(&error))
            }
        }
    }

    fn medium(&self, name: &FileName, file_type: Option<u8>) -> Option<NewMedia> {
        let (terminal, alarm) = (self.terminal?, self.alarm.as_ref()?);
        let parts = name.parts();
        let kind = parts.map_or(0, |parts| parts.kind.code());
        Some(NewMedia {
            terminal,
            received_at: clock::now(),
            taken_at: alarm.at,
            media_id: 0,
            media_type: file_type.unwrap_or(kind),
            format: 0,
            event: 0,
            channel: parts.map_or(0, |parts| parts.channel),
            latitude: None,
            longitude: None,
            is_complete: true,
            source: MediaSource::AlarmAttachment,
            alarm_number: Some(alarm.number.clone()),
            original_name: Some(text::decode(name.as_bytes()).into_owned()),
            label: Some(alarm.label.clone()),
        })
    }

    /// Puts a file into the store; it is on disk when this gives true.
    pub(super) fn finish(&self, writer: MediaWriter) -> bool {
        let stored = writer.finish();
        count_stored(&self.gateway.metrics, &stored);
        match stored {
            Ok(stored) if stored.media.facts.is_complete => self.count_file("complete"),
            Ok(_) => self.count_file("incomplete"),
            Err(error) => {
                self.count_file("failed");
                tracing::warn!(%error, "an attachment is not stored");
                return false;
            }
        }
        true
    }

    /// The store refused a file. Gives the word why.
    fn count_refused(&self, error: &MediaError) -> &'static str {
        let reason = error.reason();
        let metrics = &self.gateway.metrics;
        metrics.count("media_refused_total", "reason", reason, 1);
        self.count_file("refused");
        if !matches!(error, MediaError::Refused(_)) {
            tracing::warn!(%error, "an attachment is not stored");
        }
        reason
    }
}

/// The piece is refused, and not the file: it can still be sent in another way.
const fn is_of_piece(error: &MediaError) -> bool {
    matches!(
        error,
        MediaError::Refused(MediaRefusal::OutsideFile { .. } | MediaRefusal::TooManyRanges { .. })
    )
}

/// 0x9212: what is missing, or that nothing is.
fn answer(said: AttachmentFile, chunks: Vec<(u32, u32)>) -> Message {
    let result = if chunks.is_empty() {
        COMPLETE
    } else {
        SEND_AGAIN
    };
    let chunk = |(offset, length)| Chunk { offset, length };
    Message::AttachmentFileResult(AttachmentFileResult {
        file_name: said.file_name,
        file_type: said.file_type,
        result,
        chunks: List::new(chunks.into_iter().map(chunk).collect()),
        rest: Rest::default(),
    })
}
