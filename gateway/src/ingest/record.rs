//! What the log holds of a terminal: its frames as they came, with what is needed to read them
//! again.
//!
//! ```text
//! kind 1, frame:      version BYTE (1) | revision BYTE (11, 13, 19) | frame without delimiters,
//! kind 2, undecoded:  the same         | as received, escapes included
//! kind 3, tick:       nothing: its time of receipt is the content
//! kind 4, joined:     version BYTE (1) | revision BYTE | message id WORD | length of the phone
//!                     number BYTE (6, 10) | phone number | the body of all packets
//! ```
//!
//! Packets of a longer message are frames of their own. The whole follows the last one to come, so
//! that who follows the log has nothing to join; and the clear message follows an encrypted frame.

use bytes::Bytes;
use geofence::{identity::TerminalId, units::Timestamp};
use protocols::jt808::{
    Revision,
    frame::Frame,
    header::TerminalPhone,
    message::{Message, MessageId, location_report::LocationReport},
    reassembly::Joined,
};
use storage::log::{Record, RecordKind};

use super::normalise::{Normalised, Window, normalise};
use crate::session::terminal_of;

/// A frame of an authenticated terminal.
pub const FRAME: RecordKind = RecordKind(1);
/// A frame of an authenticated terminal that could not be read: kept for a mended decoder.
pub const UNDECODED: RecordKind = RecordKind(2);
/// Time passed and nothing came.
pub const TICK: RecordKind = RecordKind(3);

/// A message that came in packets, or encrypted.
pub const JOINED: RecordKind = RecordKind(4);

/// The messages that carry positions: no others are read again.
const HAVE_POSITIONS: [MessageId; 4] = [
    MessageId::LOCATION_REPORT,
    MessageId::LOCATION_BATCH,
    MessageId::LOCATION_QUERY_RESPONSE,
    MessageId::VEHICLE_CONTROL_RESPONSE,
];

const VERSION: u8 = 1;

/// What stands before the frame in a record.
#[must_use]
pub fn prefix(revision: Revision) -> [u8; 2] {
    let revision = match revision {
        Revision::V2011 => 11,
        Revision::V2013 => 13,
        Revision::V2019 => 19,
    };
    [VERSION, revision]
}

/// Why a record could not be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Written by a newer version.
    #[error("the record's format is of a newer version")]
    Version,
    /// The frame does not open.
    #[error("the recorded frame cannot be read")]
    Frame,
}

/// What stands before the body in the record of a message that was joined from packets.
#[must_use]
pub fn joined(revision: Revision, joined: &Joined) -> Vec<u8> {
    let phone = joined.header.phone.as_bytes();
    let length = if phone.len() == 10 { 10 } else { 6 };
    let mut head = prefix(revision).to_vec();
    head.extend_from_slice(&joined.header.message_id.0.to_be_bytes());
    head.push(length);
    head.extend_from_slice(phone);
    head
}

/// A whole message out of a record.
struct Whole {
    terminal: TerminalId,
    id: MessageId,
    body: Bytes,
    revision: Revision,
}

fn whole(record: &Record) -> Result<Option<Whole>, RecordError> {
    if record.kind != FRAME && record.kind != JOINED {
        return Ok(None);
    }
    let [VERSION, revision, ..] = record.payload[..] else {
        return Err(RecordError::Version);
    };
    let revision = match revision {
        11 => Revision::V2011,
        13 => Revision::V2013,
        19 => Revision::V2019,
        _ => return Err(RecordError::Version),
    };
    let content = record.payload.slice(2..);
    let (phone, id, body) = if record.kind == FRAME {
        let frame = Frame::open(content).map_err(|_| RecordError::Frame)?;
        let is_packet = frame.header.packet.is_some_and(|packet| packet.total > 1);
        if is_packet || frame.header.encryption != 0 {
            return Ok(None);
        }
        (frame.header.phone, frame.header.message_id, frame.body)
    } else {
        split_joined(&content).ok_or(RecordError::Frame)?
    };
    let terminal = terminal_of(&phone).ok_or(RecordError::Frame)?;
    Ok(Some(Whole {
        terminal,
        id,
        body,
        revision,
    }))
}

fn split_joined(content: &Bytes) -> Option<(TerminalPhone, MessageId, Bytes)> {
    let (id, rest) = content.split_first_chunk()?;
    let (length, rest) = rest.split_first()?;
    let phone = rest.get(..usize::from(*length))?;
    let phone = match *length {
        6 => TerminalPhone::Short(phone.try_into().ok()?),
        10 => TerminalPhone::Long(phone.try_into().ok()?),
        _ => return None,
    };
    let body = content.slice(3 + usize::from(*length)..);
    Some((phone, MessageId(u16::from_be_bytes(*id)), body))
}

/// The reports in a record. Those that cannot be decoded were counted when they came.
///
/// # Errors
/// When the record was written by another version.
pub fn reports(record: &Record, window: &Window) -> Result<Vec<Normalised>, RecordError> {
    let Some(whole) = whole(record)? else {
        return Ok(Vec::new());
    };
    if !HAVE_POSITIONS.contains(&whole.id) {
        return Ok(Vec::new());
    }
    let received = Received {
        terminal: whole.terminal,
        received_at: Timestamp(record.received_at),
        log_offset: record.offset,
    };
    let message = Message::decode(whole.id, whole.body.clone(), whole.revision)
        .map_err(|_| RecordError::Frame)?;
    let one =
        |report: &LocationReport| vec![normalise(report, &whole.body, &received, false, window)];
    Ok(match message {
        Message::LocationReport(report) => one(&report),
        Message::LocationQueryResponse(response) => one(&response.report),
        Message::VehicleControlResponse(response) => one(&response.report),
        Message::LocationBatch(batch) => batch
            .entries
            .iter()
            .filter_map(|entry| entry.as_ref().ok())
            .map(|entry| {
                normalise(
                    &entry.report,
                    &entry.body,
                    &received,
                    batch.is_backlog(),
                    window,
                )
            })
            .collect(),
        _ => Vec::new(),
    })
}

/// What the gateway knows of a frame beside its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Who sent it.
    pub terminal: TerminalId,
    /// When.
    pub received_at: Timestamp,
    /// The record it is.
    pub log_offset: u64,
}

/// A frame that could not be decoded, with the prefix of a record.
#[must_use]
pub fn undecoded(raw: &Bytes) -> [&[u8]; 2] {
    [&[VERSION, 13], raw]
}
