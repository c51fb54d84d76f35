//! 0x8802 search stored multimedia (存储多媒体数据检索): platform -> terminal, answered by 0x0802.
//! 0x0802 what was found (存储多媒体数据检索应答): terminal -> platform.
//!
//! | message | offset | field   | wire     | values                                       |
//! |---------|--------|---------|----------|----------------------------------------------|
//! | 0x8802  |      0 | type    | BYTE     | 0 image, 1 sound, 2 video                    |
//! |         |      1 | channel | BYTE     | 0 all                                        |
//! |         |      2 | event   | BYTE     | as in 0x0800                                 |
//! |         |      3 | start   | BCD\[6\] | all zeros: no bound                          |
//! |         |      9 | end     | BCD\[6\] | all zeros: no bound                          |
//! | 0x0802  |      0 | answered serial | WORD |                                          |
//! |         |      2 | count   | WORD     | items                                        |
//! |         |      4 | count here | WORD  | 2011 only: items in this packet              |
//! |         |      4 | items   | 35 bytes each; 2011: 31 |                               |
//! | item    |      0 | media id | DWORD   | not in 2011                                  |
//! |         |      4 | type, channel, event | BYTE each | in this order                   |
//! |         |      7 | location | BYTE\[28\] | as in 0x0200, without items               |
//!
//! The length tells the form of the items; terminals of 2011 without the second count occur.

use bytes::Bytes;

use super::{
    Body,
    field::{BcdTime, Field as _, Rest, layout},
    json::{self, JsonError, Object},
    location_report::LocationReport,
    multimedia_data::{decode_location, encode_location},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, EncodeErrorKind, Reader, Writer},
};

layout! {
    /// What is searched for.
    pub struct StoredMediaSearch {
        /// 0 image, 1 sound, 2 video.
        pub media_type: u8,
        /// Camera or microphone; 0 all.
        pub channel: u8 = 0,
        /// What made the terminal record it.
        pub event: u8,
        /// From when on.
        pub start: BcdTime = BcdTime::default(),
        /// Until when.
        pub end: BcdTime = BcdTime::default(),
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMediaAnswer {
    /// Serial number of the message that is answered.
    pub answered_serial: u16,
    /// Items found, by the terminal's count.
    pub count: u16,
    /// Items in this packet by the terminal's count; in the form of 2011 only.
    pub count_here: Option<u16>,
    /// The items.
    pub items: Vec<StoredMedia>,
    /// Bytes behind the last item.
    pub rest: Bytes,
}

/// One item that the terminal stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMedia {
    /// Number of the item in the terminal; 2011 has none.
    pub media_id: Option<u32>,
    /// 0 image, 1 sound, 2 video.
    pub media_type: u8,
    /// Camera or microphone.
    pub channel: u8,
    /// What made the terminal record it.
    pub event: u8,
    /// Where it was recorded, without additional items.
    pub location: LocationReport,
}

const ITEM_2011_BYTES: usize = 3 + LocationReport::FIXED_BYTES;
const ITEM_BYTES: usize = 4 + ITEM_2011_BYTES;

/// What an answer has beside the items.
#[derive(Clone, Copy)]
struct Form {
    has_count_here: bool,
    has_media_id: bool,
}

impl Form {
    /// `tail` is what stands behind the count. The form since 2013, unless only another one has
    /// the length.
    fn of(tail: &[u8], count: u16) -> Self {
        let fits = |bytes: usize, count: u16, item: usize| bytes == usize::from(count) * item;
        let count_here = tail.first_chunk().map(|count| u16::from_be_bytes(*count));
        let fits_2011 = count_here.is_some_and(|count_here| {
            fits(tail.len().saturating_sub(2), count_here, ITEM_2011_BYTES)
        });
        let is_later = fits(tail.len(), count, ITEM_BYTES);
        let lacks_count = fits(tail.len(), count, ITEM_2011_BYTES);
        Self {
            has_count_here: !is_later && !lacks_count && fits_2011,
            has_media_id: is_later || (!lacks_count && !fits_2011),
        }
    }
}

impl StoredMedia {
    fn decode(r: &mut Reader, has_media_id: bool, revision: Revision) -> Result<Self, DecodeError> {
        Ok(Self {
            media_id: has_media_id.then(|| r.dword("media_id")).transpose()?,
            media_type: r.byte("media_type")?,
            channel: r.byte("channel")?,
            event: r.byte("event")?,
            location: decode_location(r, revision)?,
        })
    }

    fn encode(&self, w: &mut Writer, revision: Revision) -> Result<(), EncodeError> {
        if let Some(media_id) = self.media_id {
            w.dword(media_id);
        }
        w.byte(self.media_type);
        w.byte(self.channel);
        w.byte(self.event);
        encode_location(&self.location, w, revision)
    }

    fn to_json(&self) -> Object {
        let mut object = Object::new();
        if let Some(media_id) = self.media_id {
            json::put(&mut object, "media_id", media_id);
        }
        json::put(&mut object, "media_type", self.media_type);
        json::put(&mut object, "channel", self.channel);
        json::put(&mut object, "event", self.event);
        self.location.put(&mut object, "location");
        object
    }
}

impl Body for StoredMediaAnswer {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        let answered_serial = r.word("answered_serial")?;
        let count = r.word("count")?;
        let form = Form::of(r.peek(), count);
        let count_here = form
            .has_count_here
            .then(|| r.word("count_here"))
            .transpose()?;
        let items = (0..count_here.unwrap_or(count))
            .map(|_| StoredMedia::decode(r, form.has_media_id, revision))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            answered_serial,
            count,
            count_here,
            items,
            rest: r.rest(),
        })
    }

    fn encode(&self, w: &mut Writer, revision: Revision) -> Result<(), EncodeError> {
        let error = |field, kind| EncodeError { field, kind };
        let count = self.items.len();
        let count_max = usize::from(self.count_here.unwrap_or(self.count));
        if count != count_max {
            let kind = EncodeErrorKind::TooMany { count, count_max };
            return Err(error("items", kind));
        }
        let has_media_id = |item: &StoredMedia| item.media_id.is_some();
        if self.items.iter().any(has_media_id) && !self.items.iter().all(has_media_id) {
            return Err(error("media_id", EncodeErrorKind::Missing));
        }
        w.word(self.answered_serial);
        w.word(self.count);
        if let Some(count_here) = self.count_here {
            w.word(count_here);
        }
        self.items
            .iter()
            .try_for_each(|item| item.encode(w, revision))?;
        w.bytes(&self.rest);
        Ok(())
    }

    fn to_json(&self, object: &mut Object) {
        json::put(object, "reply_serial", self.answered_serial);
        json::put(object, "count", self.count);
        if let Some(count_here) = self.count_here {
            json::put(object, "package_count", count_here);
        }
        let items: Vec<_> = self.items.iter().map(StoredMedia::to_json).collect();
        json::put(object, "items_found", items);
        json::put_trailing(object, &self.rest);
    }

    fn from_json(_: &mut Object) -> Result<Self, JsonError> {
        Err(JsonError::uplink_only())
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for StoredMediaAnswer {
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        let form = c.below(3);
        let items: Vec<_> = (0..c.below(4))
            .map(|_| StoredMedia {
                media_id: (form == 0).then(|| c.any(revision)),
                media_type: c.byte(),
                channel: c.byte(),
                event: c.byte(),
                location: super::multimedia_data::arbitrary_location(c, revision),
            })
            .collect();
        let count = u16::try_from(items.len()).unwrap();
        let answer = Self {
            answered_serial: c.any(revision),
            count: if form == 1 { c.any(revision) } else { count },
            count_here: (form == 1).then_some(count),
            items,
            rest: if form == 0 { c.up_to(1) } else { Bytes::new() },
        };
        super::arbitrary::as_read(&answer, revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hex,
        jt808::message::{Message, MessageId},
    };

    const ID: MessageId = MessageId::STORED_MEDIA_ANSWER;
    const LOCATION: &str = "00000000 00000003 01580650 06CC62AC 0023 0163 005A 240715083015";

    fn decode(text: &str) -> StoredMediaAnswer {
        let body = hex::bytes(text);
        let message = Message::decode(ID, body.clone(), Revision::V2013).unwrap();
        assert_eq!(message.encode(Revision::V2013), Ok(body));
        match message {
            Message::StoredMediaAnswer(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn ids(answer: &StoredMediaAnswer) -> Vec<Option<u32>> {
        answer.items.iter().map(|item| item.media_id).collect()
    }

    #[test]
    fn the_length_tells_the_form_of_the_items() {
        let (a, b) = ("00000007 00 01 02", "00000008 01 02 03");
        let later = decode(&format!("0001 0002 {a} {LOCATION} {b} {LOCATION}"));
        assert_eq!(ids(&later), [Some(7), Some(8)]);
        let second = &later.items[1];
        assert_eq!((second.media_type, second.channel), (1, 2));
        assert_eq!(second.event, 3);
        assert_eq!(second.location.latitude.0, 22_546_000);

        let of_2011 = decode(&format!("0001 0009 0001 00 01 02 {LOCATION}"));
        assert_eq!((of_2011.count, of_2011.count_here), (9, Some(1)));
        assert_eq!(ids(&of_2011), [None]);

        let without_count = decode(&format!("0001 0001 00 01 02 {LOCATION}"));
        assert_eq!(
            (without_count.count_here, ids(&without_count)),
            (None, vec![None])
        );
        assert_eq!(decode("0001 0000").items, []);
    }

    #[test]
    fn bytes_behind_the_last_item_are_kept_and_missing_ones_are_not_made_up() {
        let answer = decode(&format!("0001 0001 00000007 00 01 02 {LOCATION} FF"));
        assert_eq!(answer.rest, hex::bytes("FF"));
        for text in ["", "0001 00", "0001 0001", "0001 FFFF 00000007 00 01 02"] {
            let error = Message::decode(ID, hex::bytes(text), Revision::V2013).unwrap_err();
            assert_eq!(error.reason(), "truncated", "{text}");
        }
    }

    #[test]
    fn counts_and_numbers_agree_with_the_items() {
        let answer = decode(&format!("0001 0001 00000007 00 01 02 {LOCATION}"));
        let without_number = StoredMedia {
            media_id: None,
            ..answer.items[0].clone()
        };
        let mixed = StoredMediaAnswer {
            count: 2,
            items: vec![answer.items[0].clone(), without_number],
            ..answer.clone()
        };
        let miscounted = StoredMediaAnswer { count: 0, ..answer };
        for (answer, reason) in [(mixed, "missing"), (miscounted, "too_many")] {
            let error = Message::StoredMediaAnswer(answer)
                .encode(Revision::V2013)
                .unwrap_err();
            assert_eq!(error.reason(), reason);
        }
    }

    #[test]
    fn a_search_is_read_field_by_field() {
        let body = hex::bytes("02 00 01 240715080000 000000000000");
        let id = MessageId::STORED_MEDIA_SEARCH;
        let message = Message::decode(id, body.clone(), Revision::V2013).unwrap();
        assert_eq!(message.encode(Revision::V2013), Ok(body.clone()));
        let Message::StoredMediaSearch(search) = message else {
            panic!("{message:?}")
        };
        assert_eq!((search.media_type, search.channel, search.event), (2, 0, 1));
        assert_eq!(search.start.0.to_string(), "240715080000");
        assert_eq!(search.end, BcdTime::default());
        for length in 0..body.len() {
            let decoded = Message::decode(id, body.slice(..length), Revision::V2013);
            assert_eq!(decoded.unwrap_err().reason(), "truncated");
        }
    }
}
