//! 0x9301 rotation of a camera (云台旋转): platform -> terminal, answered by 0x0001.
//!
//! JT/T 1078-2016, 5.7.1.
//!
//! | offset | field     | wire | values                            |
//! |--------|-----------|------|-----------------------------------|
//! |      0 | channel   | BYTE | logical channel                   |
//! |      1 | direction | BYTE | 0 stop, 1 up, 2 down, 3 left, 4 right |
//! |      2 | speed     | BYTE | 0 to 255                          |

use super::field::{Rest, layout};

layout! {
    /// Turn a camera.
    pub struct PtzRotation {
        /// Logical channel.
        pub channel: u8,
        /// 0 stop, 1 up, 2 down, 3 left, 4 right.
        pub direction: u8,
        /// 0 to 255.
        pub speed: u8,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::jt808::message::{MessageId, arbitrary::reads_as};

    #[test]
    fn a_camera_is_turned() {
        reads_as(
            MessageId::PTZ_ROTATION,
            "01 03 02",
            json!({ "channel": 1, "direction": 3, "speed": 2 }),
        );
    }
}
