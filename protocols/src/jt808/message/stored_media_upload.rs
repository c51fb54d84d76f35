//! 0x8803 upload stored multimedia (存储多媒体数据上传) by type and time, and
//! 0x8805 one item of it (单条存储多媒体数据检索上传命令, since 2013): platform -> terminal, answered by
//! 0x0001, then 0x0801 for each item.
//!
//! | message | offset | field    | wire     | values                                   |
//! |---------|--------|----------|----------|------------------------------------------|
//! | 0x8803  |      0 | type     | BYTE     | 0 image, 1 sound, 2 video                |
//! |         |      1 | channel  | BYTE     | 0 all                                    |
//! |         |      2 | event    | BYTE     | as in 0x0800                             |
//! |         |      3 | start    | BCD\[6\] | all zeros: no bound                      |
//! |         |      9 | end      | BCD\[6\] | all zeros: no bound                      |
//! |         |     15 | delete   | BYTE     | 0 keep, 1 delete after the upload        |
//! | 0x8805  |      0 | media id | DWORD    |                                          |
//! |         |      4 | delete   | BYTE     | 0 keep, 1 delete after the upload        |

use super::field::{BcdTime, Rest, layout};

layout! {
    /// What is uploaded, by type and time.
    pub struct StoredMediaUpload {
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
        /// 0 keep, 1 delete after the upload.
        pub delete: u8 = 0,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

layout! {
    /// Which item is uploaded.
    pub struct StoredItemUpload {
        /// Number of the item in the terminal.
        pub media_id: u32,
        /// 0 keep, 1 delete after the upload.
        pub delete: u8 = 0,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        hex,
        jt808::{
            Revision,
            message::{Message, MessageId},
        },
        wire::bcd::Gmt8Time,
    };

    #[test]
    fn an_upload_is_chosen_by_type_and_time() {
        let body = hex::bytes("00 01 02 240715080000 240715090000 01");
        let id = MessageId::STORED_MEDIA_UPLOAD;
        let message = Message::decode(id, body.clone(), Revision::V2013).unwrap();
        let upload = StoredMediaUpload {
            media_type: 0,
            channel: 1,
            event: 2,
            start: BcdTime(Gmt8Time([0x24, 0x07, 0x15, 0x08, 0, 0])),
            end: BcdTime(Gmt8Time([0x24, 0x07, 0x15, 0x09, 0, 0])),
            delete: 1,
            rest: Rest::default(),
        };
        assert_eq!(message, Message::StoredMediaUpload(upload));
        assert_eq!(message.encode(Revision::V2013), Ok(body.clone()));
        for length in 0..body.len() {
            let decoded = Message::decode(id, body.slice(..length), Revision::V2013);
            assert_eq!(decoded.unwrap_err().reason(), "truncated");
        }
    }

    #[test]
    fn one_item_is_chosen_by_its_number_and_kept_unless_told() {
        let Some(object) = json!({ "media_id": 7 }).as_object().cloned() else {
            panic!("no object")
        };
        let message = Message::from_json(MessageId::STORED_ITEM_UPLOAD, object).unwrap();
        let body = hex::bytes("00000007 00");
        assert_eq!(message.encode(Revision::V2013), Ok(body.clone()));
        let decoded = Message::decode(MessageId(0x8805), body, Revision::V2019);
        assert_eq!(decoded, Ok(message));
    }
}
