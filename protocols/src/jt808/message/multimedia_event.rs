//! 0x0800 multimedia event (多媒体事件信息上传): terminal -> platform, answered by 0x8001.
//!
//! | offset | field    | wire  | values                                                          |
//! |--------|----------|-------|-----------------------------------------------------------------|
//! |      0 | media id | DWORD | above 0                                                         |
//! |      4 | type     | BYTE  | 0 image, 1 sound, 2 video                                       |
//! |      5 | format   | BYTE  | 0 JPEG, 1 TIF, 2 MP3, 3 WAV, 4 WMV, others are the maker's      |
//! |      6 | event    | BYTE  | 0 command of the platform, 1 timer, 2 robbery, 3 collision or rollover; 2013: 4 door opened, 5 door closed, 6 door closes and speed passes 20 km/h, 7 distance |
//! |      7 | channel  | BYTE  |                                                                 |

use super::field::{Rest, layout};

layout! {
    /// The terminal took a picture, or recorded sound or video.
    pub struct MultimediaEvent {
        /// Number of the item in the terminal; begins anew with each start of some.
        pub media_id: u32,
        /// 0 image, 1 sound, 2 video.
        pub media_type: u8,
        /// 0 JPEG, 1 TIF, 2 MP3, 3 WAV, 4 WMV.
        pub media_format: u8,
        /// What made the terminal do it.
        pub event: u8,
        /// Camera or microphone.
        pub channel: u8,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hex,
        jt808::{
            Revision,
            message::{Message, MessageId},
        },
    };

    #[test]
    fn an_event_is_read_field_by_field() {
        let body = hex::bytes("0000007B 00 04 06 65");
        let message =
            Message::decode(MessageId::MULTIMEDIA_EVENT, body.clone(), Revision::V2013).unwrap();
        let event = MultimediaEvent {
            media_id: 123,
            media_type: 0,
            media_format: 4,
            event: 6,
            channel: 0x65,
            rest: Rest::default(),
        };
        assert_eq!(message, Message::MultimediaEvent(event));
        assert_eq!(message.encode(Revision::V2013), Ok(body.clone()));
        for length in 0..body.len() {
            let cut = body.slice(..length);
            let decoded = Message::decode(MessageId::MULTIMEDIA_EVENT, cut, Revision::V2013);
            assert_eq!(decoded.unwrap_err().reason(), "truncated");
        }
    }
}
