//! 0x0801 multimedia data (多媒体数据上传): terminal -> platform, each packet answered by 0x8001 and
//! the whole by 0x8800.
//!
//! | 2011 | 2013, 2019 | field         | wire       | notes                                     |
//! |------|------------|---------------|------------|-------------------------------------------|
//! |    0 |          0 | media id      | DWORD      |                                           |
//! |    4 |          4 | type          | BYTE       | 0 image, 1 sound, 2 video                 |
//! |    5 |          5 | format        | BYTE       | as in 0x0800                              |
//! |    6 |          6 | event         | BYTE       | as in 0x0800                              |
//! |    7 |          7 | channel       | BYTE       |                                           |
//! |    8 |            | packets       | DWORD      | of this item                              |
//! |   12 |            | packet number | DWORD      | from 1                                    |
//! |      |          8 | location      | BYTE\[28\] | as in 0x0200, without items               |
//! |   16 |         36 | data          | BYTE\[\]   | to the end of the body                    |
//!
//! Some terminals leave the location out, or all in front of the data. Where no data begins at 36,
//! the place where it does tells the layout, as does a body that has no room for a location.

use bytes::Bytes;

use super::{
    Body,
    field::Field as _,
    json::{self, JsonError, Object},
    location_report::LocationReport,
};
use crate::{
    jt808::{Revision, header::PacketItem},
    wire::{DecodeError, EncodeError, EncodeErrorKind, Reader, Writer},
};

/// A picture, sound or video, or in 2011 a packet of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultimediaData {
    /// What stands in front of the data; `None` where nothing does.
    pub prefix: Option<MediaPrefix>,
    /// The data; it shares the memory of the body.
    pub data: Bytes,
}

/// What a terminal says of multimedia data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaPrefix {
    /// Number of the item in the terminal; 0 occurs.
    pub media_id: u32,
    /// 0 image, 1 sound, 2 video.
    pub media_type: u8,
    /// 0 JPEG, 1 TIF, 2 MP3, 3 WAV, 4 WMV.
    pub media_format: u8,
    /// What made the terminal record it.
    pub event: u8,
    /// Camera or microphone.
    pub channel: u8,
    /// What the revision has next.
    pub context: MediaContext,
}

/// What stands between the channel and the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaContext {
    /// Since 2013: where it was recorded, without additional items.
    Location(LocationReport),
    /// 2011: which packet of the item this is.
    Packet {
        /// Packets of the item.
        total: u32,
        /// Number of this one, from 1.
        number: u32,
    },
    /// Nothing.
    None,
}

/// Length up to the channel, in bytes.
const SHORT_PREFIX_BYTES: usize = 8;
const PACKET_PREFIX_BYTES: usize = SHORT_PREFIX_BYTES + 8;
const LOCATION_PREFIX_BYTES: usize = SHORT_PREFIX_BYTES + LocationReport::FIXED_BYTES;
/// The packets that a message can have in its header; more say that it is no count of packets.
const PACKETS_MAX: u32 = 65_535;

impl MultimediaData {
    /// Which packet of its item this is, where the body says so (2011).
    #[must_use]
    pub fn packet(&self) -> Option<PacketItem> {
        let MediaContext::Packet { total, number } = self.prefix.as_ref()?.context else {
            return None;
        };
        Some(PacketItem {
            total: u16::try_from(total).ok()?,
            number: u16::try_from(number).ok()?,
        })
    }

    /// The part that such a packet has in the body of the whole: its data, and with the first one
    /// what stands in front of it. [`of_parts`](Self::of_parts) reads them joined.
    #[must_use]
    pub fn part(&self) -> Bytes {
        let is_first = self.packet().is_some_and(|packet| packet.number == 1);
        let Some(prefix) = self.prefix.as_ref().filter(|_| is_first) else {
            return self.data.clone();
        };
        let mut writer = Writer::new();
        prefix.encode_short(&mut writer);
        writer.bytes(&self.data);
        writer.finish()
    }
}

impl MultimediaData {
    /// The whole of joined [`part`](Self::part)s.
    ///
    /// # Errors
    /// When there is not even what stands in front.
    pub fn of_parts(parts: Bytes) -> Result<Self, DecodeError> {
        let mut r = Reader::new(parts);
        let prefix = MediaPrefix::decode_short(&mut r, |_| Ok(MediaContext::None))?;
        Ok(Self {
            prefix: Some(prefix),
            data: r.rest(),
        })
    }
}

impl MediaPrefix {
    fn decode_short(
        r: &mut Reader,
        context: impl FnOnce(&mut Reader) -> Result<MediaContext, DecodeError>,
    ) -> Result<Self, DecodeError> {
        Ok(Self {
            media_id: r.dword("media_id")?,
            media_type: r.byte("media_type")?,
            media_format: r.byte("media_format")?,
            event: r.byte("event")?,
            channel: r.byte("channel")?,
            context: context(r)?,
        })
    }

    /// Up to the channel.
    fn encode_short(&self, w: &mut Writer) {
        w.dword(self.media_id);
        w.byte(self.media_type);
        w.byte(self.media_format);
        w.byte(self.event);
        w.byte(self.channel);
    }
}

/// Where the data of a body begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    Bare,
    Short,
    Packet,
    Location,
}

/// Whether a picture or a sound begins here: JPEG, PNG, WAV and AVI.
fn is_beginning(body: &[u8], at: usize) -> bool {
    const MAGICS: [&[u8]; 3] = [b"\xFF\xD8\xFF", b"\x89PNG", b"RIFF"];
    let data = body.get(at..).unwrap_or_default();
    MAGICS.iter().any(|magic| data.starts_with(magic))
}

/// Whether the words behind the channel are a number of packets, and one of them.
fn has_packet_number(body: &[u8]) -> bool {
    let word = |at: usize| {
        let bytes = body.get(at..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
    };
    let (total, number) = (word(SHORT_PREFIX_BYTES), word(SHORT_PREFIX_BYTES + 4));
    (1..=total).contains(&number) && total <= PACKETS_MAX
}

fn start_of(body: &[u8], revision: Revision) -> Start {
    let is_packet = has_packet_number(body)
        && (revision == Revision::V2011 || is_beginning(body, PACKET_PREFIX_BYTES));
    if is_beginning(body, LOCATION_PREFIX_BYTES) {
        Start::Location
    } else if is_beginning(body, SHORT_PREFIX_BYTES) {
        Start::Short
    } else if is_packet {
        Start::Packet
    } else if is_beginning(body, 0) {
        Start::Bare
    } else if body.len() < LOCATION_PREFIX_BYTES {
        Start::Short
    } else {
        Start::Location
    }
}

impl Body for MultimediaData {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        let start = start_of(r.peek(), revision);
        if start == Start::Bare {
            return Ok(Self {
                prefix: None,
                data: r.rest(),
            });
        }
        let prefix = MediaPrefix::decode_short(r, |r| {
            Ok(match start {
                Start::Location => MediaContext::Location(decode_location(r, revision)?),
                Start::Packet => MediaContext::Packet {
                    total: r.dword("total")?,
                    number: r.dword("number")?,
                },
                Start::Short | Start::Bare => MediaContext::None,
            })
        })?;
        Ok(Self {
            prefix: Some(prefix),
            data: r.rest(),
        })
    }

    fn encode(&self, w: &mut Writer, revision: Revision) -> Result<(), EncodeError> {
        if let Some(prefix) = &self.prefix {
            prefix.encode_short(w);
            match &prefix.context {
                MediaContext::Location(location) => encode_location(location, w, revision)?,
                MediaContext::Packet { total, number } => {
                    w.dword(*total);
                    w.dword(*number);
                }
                MediaContext::None => {}
            }
        }
        w.bytes(&self.data);
        Ok(())
    }

    fn to_json(&self, object: &mut Object) {
        if let Some(prefix) = &self.prefix {
            json::put(object, "media_id", prefix.media_id);
            json::put(object, "media_type", prefix.media_type);
            json::put(object, "media_format", prefix.media_format);
            json::put(object, "event", prefix.event);
            json::put(object, "channel", prefix.channel);
            match &prefix.context {
                MediaContext::Location(location) => location.put(object, "location"),
                MediaContext::Packet { total, number } => {
                    json::put(object, "media_packages", *total);
                    json::put(object, "media_package_no", *number);
                }
                MediaContext::None => {}
            }
        }
        json::put_hex(object, "data", &self.data);
    }

    fn from_json(_: &mut Object) -> Result<Self, JsonError> {
        Err(JsonError::uplink_only())
    }
}

/// Reads a location without additional items.
pub(super) fn decode_location(
    r: &mut Reader,
    revision: Revision,
) -> Result<LocationReport, DecodeError> {
    let fixed = r.bytes("location", LocationReport::FIXED_BYTES)?;
    LocationReport::decode(&mut Reader::new(fixed), revision)
}

/// Writes a location without additional items.
pub(super) fn encode_location(
    location: &LocationReport,
    w: &mut Writer,
    revision: Revision,
) -> Result<(), EncodeError> {
    if !location.items.as_bytes().is_empty() {
        return Err(EncodeError {
            field: "location.items",
            kind: EncodeErrorKind::NoPlace,
        });
    }
    location.encode(w, revision)
}

#[cfg(test)]
pub(super) fn arbitrary_location(
    c: &mut super::arbitrary::Choices,
    revision: Revision,
) -> LocationReport {
    LocationReport {
        items: super::location_report::items::Items::of(Bytes::new(), revision),
        ..c.any(revision)
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for MultimediaData {
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        let context = match c.below(4) {
            0 => MediaContext::Packet {
                total: 300,
                number: u32::from(c.byte()) + 1,
            },
            1 => MediaContext::None,
            _ => MediaContext::Location(arbitrary_location(c, revision)),
        };
        let prefix = MediaPrefix {
            media_id: c.any(revision),
            media_type: c.byte(),
            media_format: c.byte(),
            event: c.byte(),
            channel: c.byte(),
            context,
        };
        let mut data = b"\xFF\xD8\xFF".to_vec();
        data.extend(c.up_to(40));
        Self {
            prefix: (c.below(4) > 0).then_some(prefix),
            data: data.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hex,
        jt808::message::{Message, MessageId},
    };

    const PREFIX: &str = "0000007B 00 00 02 01";
    const LOCATION: &str = "00000000 00000003 01580650 06CC62AC 0023 0163 005A 240715083015";
    const JPEG: &str = "FFD8FFE0 0010";

    fn decode(text: &str, revision: Revision) -> MultimediaData {
        let body = hex::bytes(text);
        let id = MessageId::MULTIMEDIA_DATA;
        let message = Message::decode(id, body.clone(), revision).unwrap();
        assert_eq!(message.encode(revision), Ok(body));
        match message {
            Message::MultimediaData(data) => *data,
            other => panic!("{other:?}"),
        }
    }

    fn context(data: &MultimediaData) -> &MediaContext {
        &data.prefix.as_ref().unwrap().context
    }

    #[test]
    fn a_picture_is_read_with_its_place() {
        let data = decode(&format!("{PREFIX} {LOCATION} {JPEG}"), Revision::V2013);
        let prefix = data.prefix.as_ref().unwrap();
        assert_eq!((prefix.media_id, prefix.media_type), (123, 0));
        assert_eq!((prefix.media_format, prefix.event), (0, 2));
        assert_eq!(prefix.channel, 1);
        let MediaContext::Location(location) = context(&data) else {
            panic!("{data:?}")
        };
        assert_eq!(location.latitude.0, 22_546_000);
        assert_eq!(data.data, hex::bytes(JPEG));
    }

    #[test]
    fn the_data_shares_the_memory_of_the_body() {
        let body = hex::bytes(&format!("{PREFIX} {LOCATION} {JPEG}"));
        let decoded =
            MultimediaData::decode(&mut Reader::new(body.clone()), Revision::V2013).unwrap();
        assert_eq!(decoded.data.as_ptr(), body.slice(36..).as_ptr());
    }

    #[test]
    fn data_of_an_unknown_form_stands_behind_the_location() {
        let data = decode(&format!("{PREFIX} {LOCATION} 0102"), Revision::V2019);
        assert!(matches!(context(&data), MediaContext::Location(_)));
        assert_eq!(data.data, hex::bytes("0102"));
    }

    #[test]
    fn a_prefix_without_a_location_is_told_by_where_the_data_begins_or_by_the_length() {
        let padding = "00".repeat(60);
        for data in [
            format!("{JPEG} {padding}"),
            "01020304".to_owned(),
            String::new(),
        ] {
            let decoded = decode(&format!("{PREFIX} {data}"), Revision::V2013);
            assert_eq!(*context(&decoded), MediaContext::None);
            assert_eq!(decoded.data, hex::bytes(&data));
        }
    }

    #[test]
    fn bare_data_is_taken_from_its_start() {
        for text in [JPEG, "52494646 00000000"] {
            let data = decode(text, Revision::V2013);
            assert_eq!(data.prefix, None);
            assert_eq!(data.data, hex::bytes(text));
        }
    }

    #[test]
    fn packets_of_2011_have_numbers_of_their_own() {
        let first = format!("{PREFIX} 00000003 00000001 {JPEG}");
        let (total, number) = (3, 1);
        for revision in [Revision::V2011, Revision::V2013] {
            let data = decode(&first, revision);
            assert_eq!(*context(&data), MediaContext::Packet { total, number });
            assert_eq!(data.data, hex::bytes(JPEG));
        }
        // A later one does not begin like a picture: the revision must be known.
        let second = format!("{PREFIX} 00000003 00000002 {}", "11".repeat(40));
        let (total, number) = (3, 2);
        let data = decode(&second, Revision::V2011);
        assert_eq!(*context(&data), MediaContext::Packet { total, number });
        let data = decode(&second, Revision::V2013);
        assert!(matches!(context(&data), MediaContext::Location(_)));
    }

    #[test]
    fn a_prefix_of_the_prefix_is_truncated() {
        for length in 0..8 {
            let body = hex::bytes(PREFIX).slice(..length);
            let decoded = Message::decode(MessageId::MULTIMEDIA_DATA, body, Revision::V2013);
            assert_eq!(decoded.unwrap_err().reason(), "truncated");
        }
    }

    #[test]
    fn a_location_with_items_has_no_place() {
        let item = "0104 00000001";
        let report = LocationReport::decode(
            &mut Reader::new(hex::bytes(&format!("{LOCATION} {item}"))),
            Revision::V2013,
        )
        .unwrap();
        let error = encode_location(&report, &mut Writer::new(), Revision::V2013).unwrap_err();
        assert_eq!(error.reason(), "no_place");
    }
}
