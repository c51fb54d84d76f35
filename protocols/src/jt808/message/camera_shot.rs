//! 0x8801 take photos or record now (摄像头立即拍摄命令): platform -> terminal, answered by 0x0805, by
//! 0x0001 or by both. 0x0805 what was taken (摄像头立即拍摄命令应答, since 2013): terminal -> platform.
//!
//! | message | offset | field      | wire | values                                              |
//! |---------|--------|------------|------|-----------------------------------------------------|
//! | 0x8801  |      0 | channel    | BYTE | from 1; 0x64 the road, 0x65 the driver (T/JSATL 12) |
//! |         |      1 | command    | WORD | 0 stop, 0xFFFF record video, else so many photos    |
//! |         |      3 | interval   | WORD | seconds between photos, or of recording; 0: as short as can be, or until it is stopped |
//! |         |      5 | save       | BYTE | 0 upload at once, 1 store                           |
//! |         |      6 | resolution | BYTE | 1 320x240, 2 640x480, 3 800x600, 4 1024x768, 5 176x144, 6 352x288, 7 704x288, 8 704x576; 2019: 0 lowest, 0xFF highest |
//! |         |      7 | quality    | BYTE | 1 best to 10 smallest                               |
//! |         |      8 | brightness | BYTE | 0 to 255                                            |
//! |         |      9 | contrast   | BYTE | 0 to 127                                            |
//! |         |     10 | saturation | BYTE | 0 to 127                                            |
//! |         |     11 | chroma     | BYTE | 0 to 255                                            |
//! | 0x0805  |      0 | answered serial | WORD | of the 0x8801                                  |
//! |         |      2 | result     | BYTE | 0 done, 1 failed, 2 no such channel                 |
//! |         |      3 | count      | WORD | with result 0 only                                  |
//! |         |      5 | media ids  | DWORD each | with result 0 only                            |

use super::{
    Body,
    field::{Field as _, List, Rest, layout},
    json::{self, JsonError, Object},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, EncodeErrorKind, Reader, Writer},
};

layout! {
    /// Take photos, or start or stop to record.
    pub struct CameraShot {
        /// Camera, from 1.
        pub channel: u8,
        /// 0 stop, 0xFFFF record video, else so many photos.
        pub command: u16,
        /// Seconds between photos, or of recording.
        pub interval_s: u16 = 0,
        /// 0 upload at once, 1 store.
        pub save: u8 = 0,
        /// Code of the resolution.
        pub resolution: u8,
        /// 1 best to 10 smallest.
        pub quality: u8,
        /// 0 to 255.
        pub brightness: u8 = 128,
        /// 0 to 127.
        pub contrast: u8 = 64,
        /// 0 to 127.
        pub saturation: u8 = 64,
        /// 0 to 255.
        pub chroma: u8 = 128,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

/// What became of a [`CameraShot`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraShotAnswer {
    /// Serial number of the message that is answered.
    pub answered_serial: u16,
    /// 0 done, 1 failed, 2 no such channel.
    pub result: u8,
    /// Numbers of what was taken; there where the result is 0, and nowhere else.
    pub media_ids: Option<List<u16, u32>>,
    /// Bytes beyond the layout.
    pub rest: Rest,
}

const DONE: u8 = 0;

impl Body for CameraShotAnswer {
    fn decode(r: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        let answered_serial = r.word("answered_serial")?;
        let result = r.byte("result")?;
        let media_ids = (result == DONE).then(|| List::read(r, "media_ids", revision));
        Ok(Self {
            answered_serial,
            result,
            media_ids: media_ids.transpose()?,
            rest: Rest(r.rest()),
        })
    }

    fn encode(&self, w: &mut Writer, revision: Revision) -> Result<(), EncodeError> {
        w.word(self.answered_serial);
        w.byte(self.result);
        let error = |kind| EncodeError {
            field: "media_ids",
            kind,
        };
        match &self.media_ids {
            Some(media_ids) if self.result == DONE => media_ids.write(w, "media_ids", revision)?,
            Some(_) => return Err(error(EncodeErrorKind::NoPlace)),
            None if self.result == DONE => return Err(error(EncodeErrorKind::Missing)),
            None => {}
        }
        self.rest.write(w, "rest", revision)
    }

    fn to_json(&self, object: &mut Object) {
        json::put(object, "reply_serial", self.answered_serial);
        json::put(object, "result", self.result);
        if let Some(media_ids) = &self.media_ids {
            media_ids.put(object, "media_ids");
        }
        self.rest.put(object, "rest");
    }

    fn from_json(_: &mut Object) -> Result<Self, JsonError> {
        Err(JsonError::uplink_only())
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for CameraShotAnswer {
    fn arbitrary(c: &mut super::arbitrary::Choices, revision: Revision) -> Self {
        let result = c.byte() % 3;
        Self {
            answered_serial: c.any(revision),
            result,
            media_ids: (result == DONE).then(|| c.any(revision)),
            rest: c.any(revision),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        hex,
        jt808::message::{Message, MessageId},
    };

    #[test]
    fn a_command_is_read_field_by_field() {
        let body = hex::bytes("01 0003 0005 01 02 0A 80 40 41 7F");
        let message =
            Message::decode(MessageId::CAMERA_SHOT, body.clone(), Revision::V2013).unwrap();
        let shot = CameraShot {
            channel: 1,
            command: 3,
            interval_s: 5,
            save: 1,
            resolution: 2,
            quality: 10,
            brightness: 128,
            contrast: 64,
            saturation: 65,
            chroma: 127,
            rest: Rest::default(),
        };
        assert_eq!(message, Message::CameraShot(shot));
        assert_eq!(message.encode(Revision::V2013), Ok(body.clone()));
        for length in 0..body.len() {
            let cut = body.slice(..length);
            let decoded = Message::decode(MessageId::CAMERA_SHOT, cut, Revision::V2013);
            assert_eq!(decoded.unwrap_err().reason(), "truncated");
        }
    }

    #[test]
    fn a_photo_needs_channel_command_resolution_and_quality() {
        let fields = json!({ "channel": 1, "command": 1, "resolution": 2, "quality": 5 });
        let Some(object) = fields.as_object().cloned() else {
            panic!("no object")
        };
        let message = Message::from_json(MessageId::CAMERA_SHOT, object.clone()).unwrap();
        assert_eq!(
            message.encode(Revision::V2013),
            Ok(hex::bytes("01 0001 0000 00 02 05 80 40 40 80"))
        );
        for name in ["channel", "command", "resolution", "quality"] {
            let mut object = object.clone();
            object.remove(name);
            let error = Message::from_json(MessageId::CAMERA_SHOT, object).unwrap_err();
            assert_eq!(error.to_string(), format!("{name}: is missing"));
        }
    }

    #[test]
    fn only_what_was_taken_has_numbers() {
        for (text, media_ids, rest) in [
            ("0002 00 0002 000000DC 000000DD", Some(vec![220, 221]), ""),
            ("0002 00 0000", Some(vec![]), ""),
            ("0002 01", None, ""),
            ("0002 02 0000", None, "0000"),
        ] {
            let body = hex::bytes(text);
            let message =
                Message::decode(MessageId(0x0805), body.clone(), Revision::V2013).unwrap();
            assert_eq!(message.encode(Revision::V2013), Ok(body.clone()));
            let Message::CameraShotAnswer(answer) = message else {
                panic!("{message:?}")
            };
            assert_eq!(answer.media_ids.map(|list| list.0), media_ids);
            assert_eq!(answer.rest.0, hex::bytes(rest));
            let shortest = if media_ids.is_some() { body.len() } else { 3 };
            for length in 0..shortest {
                let cut = body.slice(..length);
                let decoded = Message::decode(MessageId(0x0805), cut, Revision::V2013);
                assert_eq!(decoded.unwrap_err().reason(), "truncated");
            }
        }
    }

    #[test]
    fn numbers_and_result_agree() {
        let answer = |result, media_ids| {
            Message::CameraShotAnswer(CameraShotAnswer {
                answered_serial: 1,
                result,
                media_ids,
                rest: Rest::default(),
            })
        };
        for (message, reason) in [
            (answer(0, None), "missing"),
            (answer(1, Some(List::new(vec![]))), "no_place"),
        ] {
            let error = message.encode(Revision::V2013).unwrap_err();
            assert_eq!(error.reason(), reason);
        }
    }
}
