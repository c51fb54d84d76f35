//! 0x9305 infrared light of a camera (红外补光控制): platform -> terminal, answered by 0x0001.
//!
//! JT/T 1078-2016, 5.7.5.
//!
//! | offset | field     | wire | values          |
//! |--------|-----------|------|-----------------|
//! |      0 | channel   | BYTE | logical channel |
//! |      1 | flag      | BYTE | 0 stop, 1 start |

use super::field::{Rest, layout};

layout! {
    /// Switch the infrared light of a camera.
    pub struct PtzInfrared {
        /// Logical channel.
        pub channel: u8,
        /// 0 stop, 1 start.
        pub flag: u8,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::jt808::message::{MessageId, arbitrary::reads_as};

    #[test]
    fn a_light_has_a_channel_and_a_flag() {
        reads_as(
            MessageId::PTZ_INFRARED,
            "01 02",
            json!({ "channel": 1, "flag": 2 }),
        );
    }
}
