//! 0x8804 start to record sound (录音开始命令): platform -> terminal, answered by 0x0001.
//!
//! | offset | field       | wire | values                                        |
//! |--------|-------------|------|-----------------------------------------------|
//! |      0 | command     | BYTE | 0 stop, 1 start                               |
//! |      1 | duration    | WORD | seconds; 0 until it is stopped                |
//! |      3 | save        | BYTE | 0 upload at once, 1 store                     |
//! |      4 | sample rate | BYTE | 0 8 kHz, 1 11 kHz, 2 23 kHz, 3 32 kHz         |

use super::field::{Rest, layout};

layout! {
    /// Start or stop of a recording.
    pub struct SoundRecording {
        /// 0 stop, 1 start.
        pub command: u8,
        /// Seconds; 0 until it is stopped.
        pub duration_s: u16 = 0,
        /// 0 upload at once, 1 store.
        pub save: u8 = 0,
        /// 0 8 kHz, 1 11 kHz, 2 23 kHz, 3 32 kHz.
        pub sample_rate: u8 = 0,
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
    };

    #[test]
    fn a_recording_is_read_field_by_field() {
        let body = hex::bytes("01 000A 01 03");
        let message =
            Message::decode(MessageId::SOUND_RECORDING, body.clone(), Revision::V2013).unwrap();
        let recording = SoundRecording {
            command: 1,
            duration_s: 10,
            save: 1,
            sample_rate: 3,
            rest: Rest::default(),
        };
        assert_eq!(message, Message::SoundRecording(recording));
        assert_eq!(message.encode(Revision::V2013), Ok(body.clone()));
        for length in 0..body.len() {
            let cut = body.slice(..length);
            let decoded = Message::decode(MessageId::SOUND_RECORDING, cut, Revision::V2013);
            assert_eq!(decoded.unwrap_err().reason(), "truncated");
        }
    }

    #[test]
    fn a_stop_needs_nothing_else() {
        let Some(object) = json!({ "command": 0 }).as_object().cloned() else {
            panic!("no object")
        };
        let message = Message::from_json(MessageId::SOUND_RECORDING, object).unwrap();
        assert_eq!(
            message.encode(Revision::V2013),
            Ok(hex::bytes("00 0000 00 00"))
        );
    }
}
