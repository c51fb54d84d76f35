//! 0x9306 zoom of a camera (云台变倍控制): platform -> terminal, answered by 0x0001.
//!
//! JT/T 1078-2016, 5.7.6.
//!
//! | offset | field     | wire | values          |
//! |--------|-----------|------|-----------------|
//! |      0 | channel   | BYTE | logical channel |
//! |      1 | direction | BYTE | 0 in, 1 out     |

use super::field::{Rest, layout};

layout! {
    /// Zoom a camera.
    pub struct PtzZoom {
        /// Logical channel.
        pub channel: u8,
        /// 0 in, 1 out.
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
    fn a_zoom_has_a_channel_and_a_direction() {
        reads_as(
            MessageId::PTZ_ZOOM,
            "01 02",
            json!({ "channel": 1, "direction": 2 }),
        );
    }
}
