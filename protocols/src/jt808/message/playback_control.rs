//! 0x9202 control of a playback (平台下发远程录像回放控制): platform -> terminal, answered by 0x0001.
//!
//! JT/T 1078-2016, 5.6.4.
//!
//! | offset | field   | wire     | values                                                         |
//! |--------|---------|----------|----------------------------------------------------------------|
//! |      0 | channel | BYTE     | logical channel                                                |
//! |      1 | control | BYTE     | 0 start, 1 pause, 2 end, 3 fast, 4 rewind by key frames, 5 seek, 6 key frames |
//! |      2 | speed   | BYTE     | 1, 2, 3, 4, 5: once, 2, 4, 8, 16 times; control 3 and 4        |
//! |      3 | time    | BCD\[6\] | where to; control 5                                            |

use super::field::{BcdTime, Rest, layout};

layout! {
    /// Start, pause, end or move a playback.
    pub struct PlaybackControl {
        /// Logical channel.
        pub channel: u8,
        /// 0 start, 1 pause, 2 end, 3 fast, 4 rewind by key frames, 5 seek, 6 key frames.
        pub control: u8,
        /// Times of normal, for control 3 and 4: 1 once, 2 twice, 3 4 times, 4 8 times, 5 16 times.
        pub speed: u8,
        /// Where to, for control 5.
        pub time: BcdTime,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::jt808::message::{MessageId, arbitrary::reads_as};

    #[test]
    fn a_playback_goes_on_elsewhere() {
        reads_as(
            MessageId::PLAYBACK_CONTROL,
            "03 05 00 240715081000",
            json!({
                "channel": 3, "control": 5, "speed": 0, "time_bcd": "240715081000",
            }),
        );
    }
}
