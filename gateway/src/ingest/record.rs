//! What the log holds of a terminal: its frames as they came, with what is needed to read them
//! again.
//!
//! ```text
//! kind 1, frame:      prefix | frame without delimiters, as received, escapes included
//! kind 2, undecoded:  the same
//! kind 3, tick:       nothing: its time of receipt is the content
//! kind 4, joined:     prefix | message id WORD | length of the phone number BYTE (6, 10) |
//!                     phone number | the body of all packets
//! kind 5, catalog:    the number of the version that is in force from here on, 8 bytes
//! kind 6, json:       an MQTT payload (`ingest/json.rs`)
//! kind 7, unread json: one that is not of the schema
//!
//! prefix:             version BYTE (1) | revision BYTE (11, 13, 19)
//!                     version BYTE (2) | revision BYTE | minutes of the terminal's clock ahead of
//!                     UTC, signed WORD | flags BYTE: 1 the length in the header counts escapes
//!                     version BYTE (3) | the same | items with another header: their number BYTE,
//!                     and each as id WORD, form BYTE (`protocols::jt808::profile::HeaderForm`)
//! ```
//!
//! Version 1 is for terminals that follow the standard: their clocks are at GMT+8, and their lengths
//! are those of the body.
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
    profile::{HEADER_BYTES, HEADERS_MAX, Headers, Profile},
    reassembly::Joined,
};
use storage::log::{Record, RecordKind};

use super::{
    json,
    normalise::{Normalised, Window, normalise},
    zone,
};
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

/// Another version of the catalog came into force.
pub const CATALOG: RecordKind = RecordKind(5);

/// A JSON payload of an authenticated terminal.
pub const JSON: RecordKind = RecordKind(6);

/// A payload of an authenticated terminal that is not of the schema: kept for a mended reader.
pub const UNREAD_JSON: RecordKind = RecordKind(7);

/// The number of the version in a record of [`CATALOG`]; `None` of any other.
#[must_use]
pub fn catalog_version(record: &Record) -> Option<u64> {
    let number = (record.kind == CATALOG).then(|| record.payload.first_chunk())??;
    Some(u64::from_be_bytes(*number))
}

const VERSION: u8 = 1;
const VERSION_OF_PROFILES: u8 = 2;
const VERSION_OF_HEADERS: u8 = 3;
/// Bytes in front of the items with other headers.
const FIXED_BYTES: usize = 5;
/// Bytes of the longest prefix.
pub const PREFIX_BYTES_MAX: usize = FIXED_BYTES + 1 + HEADERS_MAX * HEADER_BYTES;
const COUNTS_ESCAPES: u8 = 1;

/// What stands before the frame in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The revision that bodies follow.
    pub revision: Revision,
    /// Minutes by which the terminal's clock is ahead of UTC.
    pub utc_offset_minutes: i16,
    /// The length in the frame's header counts escapes.
    pub counts_escapes: bool,
    /// Items of a location that have another header.
    pub headers: Headers,
}

impl Prefix {
    /// Of a frame, by what its terminal does otherwise.
    #[must_use]
    pub fn new(revision: Revision, profile: Option<&Profile>, frame: &Frame) -> Self {
        Self {
            revision,
            utc_offset_minutes: zone::utc_offset_minutes(profile),
            counts_escapes: profile.is_some_and(|profile| profile.counts_escapes(frame)),
            headers: headers(profile),
        }
    }

    /// The bytes in the log, which stand in the buffer.
    pub fn encode(self, buffer: &mut [u8; PREFIX_BYTES_MAX]) -> &[u8] {
        let revision = match self.revision {
            Revision::V2011 => 11,
            Revision::V2013 => 13,
            Revision::V2019 => 19,
        };
        let has_headers = !self.headers.is_standard();
        let (version, length) = if self.utc_offset_minutes == zone::STANDARD_MINUTES
            && !self.counts_escapes
            && !has_headers
        {
            (VERSION, 2)
        } else if has_headers {
            (
                VERSION_OF_HEADERS,
                FIXED_BYTES + self.headers.encode().count(),
            )
        } else {
            (VERSION_OF_PROFILES, FIXED_BYTES)
        };
        let [high, low] = self.utc_offset_minutes.to_be_bytes();
        let flags = if self.counts_escapes {
            COUNTS_ESCAPES
        } else {
            0
        };
        let fixed = [version, revision, high, low, flags];
        let bytes = fixed.into_iter().chain(self.headers.encode());
        for (place, byte) in buffer.iter_mut().zip(bytes) {
            *place = byte;
        }
        buffer.split_at(length).0
    }

    /// The prefix of a record, and the length of its bytes.
    fn read(record: &[u8]) -> Result<(Self, usize), RecordError> {
        let (revision, utc_offset_minutes, flags, length) = match *record {
            [VERSION, revision, ..] => (revision, zone::STANDARD_MINUTES, 0, 2),
            [
                VERSION_OF_PROFILES | VERSION_OF_HEADERS,
                revision,
                high,
                low,
                flags,
                ..,
            ] => (
                revision,
                i16::from_be_bytes([high, low]),
                flags,
                FIXED_BYTES,
            ),
            _ => return Err(RecordError::Version),
        };
        let (headers, more) = match *record {
            [VERSION_OF_HEADERS, _, _, _, _, ref headers @ ..] => {
                Headers::decode(headers).ok_or(RecordError::Version)?
            }
            _ => (Headers::default(), 0),
        };
        let revision = match revision {
            11 => Revision::V2011,
            13 => Revision::V2013,
            19 => Revision::V2019,
            _ => return Err(RecordError::Version),
        };
        let prefix = Self {
            revision,
            utc_offset_minutes,
            counts_escapes: flags & COUNTS_ESCAPES != 0,
            headers,
        };
        Ok((prefix, length + more))
    }
}

/// The items of a location that have another header, by what a terminal does otherwise.
#[must_use]
pub fn headers(profile: Option<&Profile>) -> Headers {
    profile.map_or_else(Headers::default, |profile| *profile.headers())
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
    /// The payload is not of the schema.
    #[error("the recorded payload cannot be read")]
    Payload,
}

/// What stands before the body in the record of a message that was joined from packets.
#[must_use]
pub fn joined(prefix: Prefix, joined: &Joined) -> Vec<u8> {
    let phone = joined.header.phone.as_bytes();
    let length = if phone.len() == 10 { 10 } else { 6 };
    let mut head = prefix.encode(&mut [0; PREFIX_BYTES_MAX]).to_vec();
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
    prefix: Prefix,
}

fn whole(record: &Record) -> Result<Option<Whole>, RecordError> {
    if record.kind != FRAME && record.kind != JOINED {
        return Ok(None);
    }
    let (prefix, length) = Prefix::read(&record.payload)?;
    let content = record.payload.slice(length..);
    let (phone, id, body) = if record.kind == FRAME {
        let frame = if prefix.counts_escapes {
            Frame::open_escaped(content)
        } else {
            Frame::open(content)
        };
        let frame = frame.map_err(|_| RecordError::Frame)?;
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
        prefix,
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
    if record.kind == JSON {
        return json::reports(record, window);
    }
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
        headers: whole.prefix.headers,
    };
    let mut message = Message::decode(whole.id, whole.body.clone(), whole.prefix.revision)
        .map_err(|_| RecordError::Frame)?;
    zone::to_gmt8(&mut message, whole.prefix.utc_offset_minutes);
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

/// Who sent the message of a record, and which it is. `None` of other records, of packets, and of what
/// cannot be read.
#[must_use]
pub fn sender(record: &Record) -> Option<(TerminalId, MessageId)> {
    let whole = whole(record).ok()??;
    Some((whole.terminal, whole.id))
}

/// The message of a record; `None` of records without one.
///
/// # Errors
/// When it cannot be read.
pub fn message(record: &Record) -> Result<Option<Message>, RecordError> {
    let Some(whole) = whole(record)? else {
        return Ok(None);
    };
    let message = Message::decode(whole.id, whole.body, whole.prefix.revision);
    message.map(Some).map_err(|_| RecordError::Frame)
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
    /// Items of its locations that have another header.
    pub headers: Headers,
}

/// A frame that could not be decoded, with the prefix of a record.
#[must_use]
pub fn undecoded(raw: &Bytes) -> [&[u8]; 2] {
    [&[VERSION, 13], raw]
}

#[cfg(test)]
mod tests {
    use protocols::jt808::profile::HeaderForm;

    use super::*;

    fn encode(revision: Revision, utc_offset_minutes: i16, counts_escapes: bool) -> Vec<u8> {
        let prefix = Prefix {
            revision,
            utc_offset_minutes,
            counts_escapes,
            headers: Headers::default(),
        };
        prefix.encode(&mut [0; PREFIX_BYTES_MAX]).to_vec()
    }

    #[test]
    fn a_record_says_what_a_profile_makes_of_its_frame() {
        assert_eq!(encode(Revision::V2013, 480, false), [1, 13]);
        assert_eq!(encode(Revision::V2019, 0, false), [2, 19, 0, 0, 0]);
        assert_eq!(encode(Revision::V2011, -60, true), [2, 11, 0xFF, 0xC4, 1]);
    }

    #[test]
    fn what_is_written_is_read_in_both_versions() {
        for revision in [Revision::V2011, Revision::V2013, Revision::V2019] {
            for (minutes, counts_escapes) in [(480, false), (480, true), (-60, false), (840, true)]
            {
                let bytes = encode(revision, minutes, counts_escapes);
                let (prefix, length) = Prefix::read(&[&bytes[..], b"frame"].concat()).unwrap();
                assert_eq!(length, bytes.len());
                let read = (prefix.utc_offset_minutes, prefix.counts_escapes);
                assert_eq!(
                    (prefix.revision, read),
                    (revision, (minutes, counts_escapes))
                );
            }
        }
        for record in [
            &[][..],
            &[1],
            &[1, 12],
            &[2, 13, 0, 0],
            &[3, 13, 0, 0, 0],
            &[3, 13, 0, 0, 0, 1, 0, 1],
            &[4, 13, 0, 0, 0, 0],
        ] {
            assert_eq!(Prefix::read(record), Err(RecordError::Version));
        }
    }

    #[test]
    fn a_record_says_which_items_have_another_header() {
        let header = (0xF001, HeaderForm::Id16Length16);
        for headers in [vec![header], vec![header; HEADERS_MAX]] {
            let prefix = Prefix {
                revision: Revision::V2013,
                utc_offset_minutes: 480,
                counts_escapes: false,
                headers: Headers::new(&headers).unwrap(),
            };
            let mut buffer = [0; PREFIX_BYTES_MAX];
            let bytes = prefix.encode(&mut buffer);
            assert_eq!(bytes.len(), 6 + 3 * headers.len());
            assert_eq!(bytes[..9], [3, 13, 1, 0xE0, 0, bytes[5], 0xF0, 1, 2]);
            let record = [bytes, b"frame"].concat();
            assert_eq!(Prefix::read(&record), Ok((prefix, bytes.len())));
        }
    }
}
