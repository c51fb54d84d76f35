//! 0x9102 control of a live stream (音视频实时传输控制): platform -> terminal, answered by 0x0001.
//!
//! JT/T 1078-2016, 5.5.2.
//!
//! | offset | field       | wire | values                                                        |
//! |--------|-------------|------|---------------------------------------------------------------|
//! |      0 | channel     | BYTE | logical channel                                               |
//! |      1 | command     | BYTE | 0 close, 1 switch stream, 2 pause, 3 resume, 4 end talk       |
//! |      2 | close type  | BYTE | what command 0 closes: 0 all, 1 sound, 2 picture              |
//! |      3 | stream type | BYTE | what command 1 switches to: 0 main, 1 sub                     |

use super::field::{Rest, layout};

layout! {
    /// Close, switch, pause or resume a live stream.
    pub struct LiveStreamControl {
        /// Logical channel.
        pub channel: u8,
        /// 0 close, 1 switch stream, 2 pause, 3 resume, 4 end talk.
        pub command: u8,
        /// What is closed: 0 all, 1 sound, 2 picture.
        pub close_type: u8,
        /// Which stream to switch to: 0 main, 1 sub.
        pub stream_type: u8,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::jt808::message::{MessageId, arbitrary::reads_as};

    #[test]
    fn a_stream_is_switched() {
        reads_as(
            MessageId::LIVE_STREAM_CONTROL,
            "03 01 00 01",
            json!({ "channel": 3, "command": 1, "close_type": 0, "stream_type": 1 }),
        );
    }
}
