//! 0x9105 state of a live stream (实时音视频传输状态通知): platform -> terminal, answered by
//! 0x0001 like any other command: JT/T 1078 says nothing else.
//!
//! JT/T 1078-2016, 5.5.3.
//!
//! | offset | field     | wire | values                                    |
//! |--------|-----------|------|-------------------------------------------|
//! |      0 | channel   | BYTE | logical channel                           |
//! |      1 | loss rate | BYTE | packets lost, percent without a remainder |

use super::field::{Rest, layout};

layout! {
    /// How well a live stream arrives.
    pub struct LiveStreamState {
        /// Logical channel.
        pub channel: u8,
        /// Packets lost, percent.
        pub loss_rate: u8,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::jt808::message::{MessageId, arbitrary::reads_as};

    #[test]
    fn losses_are_percent() {
        reads_as(
            MessageId::LIVE_STREAM_STATE,
            "03 02",
            json!({ "channel": 3, "loss_rate": 2 }),
        );
    }
}
