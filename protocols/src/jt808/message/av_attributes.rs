//! 0x9003 query of the attributes of sound and picture (查询终端音视频属性): platform -> terminal,
//! answered by
//! 0x1003 attributes of sound and picture (终端上传音视频属性): terminal -> platform, answered by 0x8001.
//!
//! JT/T 1078-2016, 5.4. The body of 0x9003 is empty; that of 0x1003:
//!
//! | offset | field               | wire | values                                               |
//! |--------|---------------------|------|------------------------------------------------------|
//! |      0 | audio codec         | BYTE | 6 G.711A, 7 G.711U, 8 G.726, 19 AAC, 25 MP3, 26 ADPCMA |
//! |      1 | audio channels      | BYTE | number                                               |
//! |      2 | audio sample rate   | BYTE | 0 8 kHz, 1 22.05 kHz, 2 44.1 kHz, 3 48 kHz           |
//! |      3 | audio bits          | BYTE | 0 8, 1 16, 2 32                                      |
//! |      4 | audio frame length  | WORD |                                                      |
//! |      6 | audio output        | BYTE | 0 no, 1 yes                                          |
//! |      7 | video codec         | BYTE | 98 H.264, 99 H.265                                   |
//! |      8 | max audio channels  | BYTE | number                                               |
//! |      9 | max video channels  | BYTE | number                                               |

use super::field::{Rest, layout};

layout! {
    /// What can you record?
    #[derive(Default)]
    pub struct AvAttributesQuery {
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

layout! {
    /// What sound and picture a terminal has.
    pub struct AvAttributes {
        /// Codec of the sound: 6 G.711A, 7 G.711U, 8 G.726, 19 AAC, 25 MP3, 26 ADPCMA.
        pub audio_codec: u8,
        /// Channels of the sound.
        pub audio_channels: u8,
        /// Sample rate: 0 8 kHz, 1 22.05 kHz, 2 44.1 kHz, 3 48 kHz.
        pub audio_sample_rate: u8,
        /// Bits of a sample: 0 8, 1 16, 2 32.
        pub audio_bits: u8,
        /// Length of a frame of sound.
        pub audio_frame_len: u16,
        /// Whether the terminal can play sound: 0 no, 1 yes.
        pub audio_output: u8,
        /// Codec of the picture: 98 H.264, 99 H.265.
        pub video_codec: u8,
        /// Physical channels of sound at most.
        pub max_audio_channels: u8,
        /// Physical channels of video at most.
        pub max_video_channels: u8,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::jt808::message::{MessageId, arbitrary::reads_as};

    #[test]
    fn the_query_is_empty_and_the_answer_has_ten_bytes() {
        reads_as(MessageId::AV_ATTRIBUTES_QUERY, "", json!({}));
        reads_as(
            MessageId::AV_ATTRIBUTES,
            "06 01 00 01 0140 01 62 02 04",
            json!({
                "audio_codec": 6, "audio_channels": 1, "audio_sample_rate": 0, "audio_bits": 1,
                "audio_frame_len": 320, "audio_output": 1, "video_codec": 98,
                "max_audio_channels": 2, "max_video_channels": 4,
            }),
        );
    }
}
