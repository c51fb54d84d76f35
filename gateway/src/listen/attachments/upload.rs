//! What comes over one connection with attachments: who it is, which alarm, which files. Without
//! socket and time; its calls wait for the disk.

mod files;

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use geofence::{identity::TerminalId, units::Timestamp};
use protocols::{
    jsatl12::{FileName, Piece},
    jt808::{
        frame::Frame,
        header::Header,
        message::{
            Message, MessageId, alarm_attachments::AlarmAttachments, field::List,
            general_response::GeneralResponse, json::Object,
        },
        reassembly::{Outcome as Packet, Reassembler, ReassemblyPool},
    },
    wire::text,
};
use tokio::time::Instant;

use self::files::File;
use crate::{
    Gateway, clock,
    commands::attachments::is_asked,
    ingest::Rejected,
    session::{result, terminal_of},
};

const ALARM_NUMBER_BYTES_MAX: usize = 32;

/// One connection, as far as it has come.
pub(super) struct Upload {
    gateway: Arc<Gateway>,
    /// The connection is bound to it.
    terminal: Option<TerminalId>,
    packets: Reassembler,
    serial: u16,
    alarm: Option<Alarm>,
    /// Of the alarm.
    files: HashMap<FileName, File>,
    /// Frames that were not taken, since one was.
    refusals: u32,
}

/// The alarm whose files come.
struct Alarm {
    number: String,
    /// Its label as JSON text.
    label: String,
    at: Option<Timestamp>,
}

/// What became of a piece.
#[derive(Default)]
pub(super) struct Taken {
    /// Frames to be sent; mostly none.
    pub answer: Bytes,
    /// The connection may go on living for it.
    pub is_of_use: bool,
}

/// Why a frame is not taken: the word of the metric, and the result that is answered.
struct NotTaken(&'static str, u8);

const fn refused(reason: &'static str) -> NotTaken {
    NotTaken(reason, result::FAILURE)
}

impl Upload {
    /// At the start of a connection; long lists of files are joined in `packets`.
    pub(super) fn new(gateway: Arc<Gateway>, packets: Arc<ReassemblyPool>) -> Self {
        Self {
            packets: Reassembler::new(packets),
            gateway,
            terminal: None,
            serial: 0,
            alarm: None,
            files: HashMap::new(),
            refusals: 0,
        }
    }

    /// As much was refused in a row as is borne with.
    pub(super) fn is_refused(&self) -> bool {
        self.refusals >= self.gateway.config.attachments.refusals_max
    }

    /// Takes a piece of the stream.
    pub(super) fn take(&mut self, piece: Piece) -> Taken {
        match piece {
            Piece::Candidate(raw) => self.on_candidate(raw),
            Piece::Data {
                name,
                offset,
                bytes,
                ..
            } => Taken {
                answer: Bytes::new(),
                is_of_use: self.on_data(&name, offset, &bytes),
            },
            Piece::Dropped { reason, bytes } => {
                self.drop_bytes(reason.reason(), bytes);
                Taken::default()
            }
        }
    }

    /// No more comes. Of files that are not whole the beginning is kept: a terminal that comes back
    /// brings them anew, and one that does not has brought that much.
    pub(super) fn end(&mut self) {
        let files = std::mem::take(&mut self.files);
        for file in files.into_values() {
            if let File::Open(writer) = file
                && writer.bytes_received() > 0
            {
                self.finish(*writer);
            }
        }
    }

    fn drop_bytes(&self, reason: &'static str, bytes: usize) {
        let name = "attachment_bytes_dropped_total";
        self.gateway
            .metrics
            .count(name, "reason", reason, bytes as u64);
    }

    fn reject(&self, reason: &'static str, frame: Bytes) {
        let name = "attachment_frames_rejected_total";
        self.gateway.metrics.count(name, "reason", reason, 1);
        self.gateway.rejected.push(Rejected {
            reason,
            received_at: clock::now(),
            terminal: self.terminal,
            frame,
        });
    }

    fn count_file(&self, result: &'static str) {
        let name = "attachment_files_total";
        self.gateway.metrics.count(name, "result", result, 1);
    }

    fn on_candidate(&mut self, raw: Bytes) -> Taken {
        self.gateway.metrics.attachment_frames.increment(1);
        let frame = match Frame::open(raw.clone()) {
            Ok(frame) => frame,
            Err(error) => {
                self.reject(error.reason(), raw);
                return Taken::default();
            }
        };
        let header = &frame.header;
        self.gateway.metrics.decoded(header.message_id);
        let general = |code| {
            let response = GeneralResponse::new(header.serial, header.message_id, code);
            Message::PlatformResponse(response)
        };
        let (answer, is_of_use) = match self.judge(&frame) {
            Ok(answer) => {
                let answer = answer.unwrap_or_else(|| general(result::SUCCESS));
                let is_of_use = self.alarm.is_some();
                if is_of_use {
                    self.refusals = 0;
                }
                (answer, is_of_use)
            }
            Err(NotTaken(reason, code)) => {
                self.reject(reason, raw);
                self.refusals += 1;
                (general(code), false)
            }
        };
        let serial = self.serial;
        self.serial = serial.wrapping_add(1);
        let answer = header.respond(&answer, serial).unwrap_or_else(|error| {
            tracing::error!(%error, "a response does not fit a frame");
            Bytes::new()
        });
        Taken { answer, is_of_use }
    }

    /// The answer, where it is not the general one.
    fn judge(&mut self, frame: &Frame) -> Result<Option<Message>, NotTaken> {
        let header = &frame.header;
        if header.encryption != 0 {
            return Err(NotTaken("encrypted", result::UNSUPPORTED));
        }
        let terminal = self.sender(header)?;
        if header.packet.is_some() && header.message_id != MessageId::ALARM_ATTACHMENTS {
            return Err(NotTaken("unsupported", result::UNSUPPORTED));
        }
        let elapsed = Instant::now() - self.gateway.started;
        let whole = match self.packets.accept(header, &frame.body, elapsed) {
            Packet::Complete(whole) => whole,
            Packet::Stored | Packet::Duplicate { .. } => return Ok(None),
            Packet::Refused(refusal) => return Err(refused(refusal.reason())),
        };
        let id = whole.header.message_id;
        match Message::decode(id, whole.body, whole.header.revision()) {
            Err(_) => Err(NotTaken("body", result::BAD_MESSAGE)),
            Ok(Message::AlarmAttachments(alarm)) => self.on_alarm(terminal, *alarm).map(|()| None),
            Ok(Message::AttachmentFile(file)) => self.on_file(&file).map(|()| None),
            Ok(Message::AttachmentFileSent(file)) => self.on_sent(file).map(Some),
            Ok(Message::Heartbeat(_)) => Ok(None),
            Ok(_) => Err(NotTaken("unsupported", result::UNSUPPORTED)),
        }
    }

    /// The terminal that the connection is bound to from now on.
    fn sender(&mut self, header: &Header) -> Result<TerminalId, NotTaken> {
        let sender = terminal_of(&header.phone).ok_or(refused("no_phone"))?;
        match self.terminal {
            Some(terminal) if terminal == sender => Ok(terminal),
            Some(_) => Err(refused("other_terminal")),
            None if self.gateway.directory.revision_of(sender).is_none() => {
                Err(refused("unknown_terminal"))
            }
            None => Ok(*self.terminal.insert(sender)),
        }
    }

    /// 0x1210.
    fn on_alarm(&mut self, terminal: TerminalId, said: AlarmAttachments) -> Result<(), NotTaken> {
        let number = alarm_number(&said).ok_or(refused("alarm_number"))?;
        self.check_asked(terminal, &said, &number)?;
        let is_same = self.alarm.as_ref().is_some_and(|a| a.number == number);
        let names = said.files.0.iter().filter_map(|file| {
            let name = FileName::new(&file.file_name.0)?;
            Some((name, file.file_bytes))
        });
        let names: HashMap<_, _> = names.collect();
        let kept = self.files.keys().filter(|name| !names.contains_key(name));
        let kept = if is_same { kept.count() } else { 0 };
        if kept + names.len() > self.gateway.config.attachments.files_per_alarm_max as usize {
            return Err(refused("too_many_files"));
        }
        if !is_same {
            self.end();
        }
        for (name, bytes) in names {
            let file = self.files.entry(name).or_insert(File::Announced(bytes));
            if matches!(file, File::Refused) {
                *file = File::Announced(bytes);
            }
        }
        self.alarm = Some(Alarm {
            number,
            at: said.label.time.unix_seconds().map(Timestamp::from_seconds),
            label: label_of(said),
        });
        Ok(())
    }

    /// The number of the alarm has to be known from a request.
    fn check_asked(
        &self,
        terminal: TerminalId,
        said: &AlarmAttachments,
        number: &str,
    ) -> Result<(), NotTaken> {
        if self.gateway.config.attachments.accepts_unasked {
            return Ok(());
        }
        match is_asked(&self.gateway, terminal, &said.label, number.as_bytes()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(refused("unasked")),
            Err(error) => {
                tracing::warn!(%error, "cannot see whether the files of an alarm were asked for");
                Err(refused(error.reason()))
            }
        }
    }
}

/// The number of the alarm; `None` unless it is 1 to 32 printable characters.
fn alarm_number(said: &AlarmAttachments) -> Option<String> {
    let number = std::str::from_utf8(text::trim(&said.alarm_number.0)).ok()?;
    let is_right = (1..=ALARM_NUMBER_BYTES_MAX).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_graphic());
    is_right.then(|| number.to_owned())
}

/// The label of the alarm as JSON text, without the files.
fn label_of(said: AlarmAttachments) -> String {
    let message = Message::AlarmAttachments(Box::new(AlarmAttachments {
        files: List::new(Vec::new()),
        ..said
    }));
    let fields = message.to_json();
    let is_of_label = |name: &String| name.starts_with("alarm_") || name == "attachment_count";
    let fields = fields
        .into_iter()
        .filter(|(name, _)| is_of_label(name) && name != "alarm_no");
    serde_json::Value::Object(fields.collect::<Object>()).to_string()
}
