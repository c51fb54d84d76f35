//! 0x9302 focus of a camera (云台调整焦距控制): platform -> terminal, answered by 0x0001.
//!
//! JT/T 1078-2016, 5.7.2.
//!
//! | offset | field     | wire | values          |
//! |--------|-----------|------|-----------------|
//! |      0 | channel   | BYTE | logical channel |
//! |      1 | direction | BYTE | 0 longer, 1 shorter |

use super::field::{Rest, layout};

layout! {
    /// Change the focal length of a camera.
    pub struct PtzFocus {
        /// Logical channel.
        pub channel: u8,
        /// 0 longer, 1 shorter.
        pub direction: u8,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::jt808::message::{MessageId, arbitrary::reads_as};

    #[test]
    fn a_focus_has_a_channel_and_a_direction() {
        reads_as(
            MessageId::PTZ_FOCUS,
            "01 02",
            json!({ "channel": 1, "direction": 2 }),
        );
    }
}
