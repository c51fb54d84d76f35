//! 0x9303 iris of a camera (云台调整光圈控制): platform -> terminal, answered by 0x0001.
//!
//! JT/T 1078-2016, 5.7.3.
//!
//! | offset | field     | wire | values          |
//! |--------|-----------|------|-----------------|
//! |      0 | channel   | BYTE | logical channel |
//! |      1 | flag      | BYTE | 0 wider, 1 narrower |

use super::field::{Rest, layout};

layout! {
    /// Open or close the iris of a camera.
    pub struct PtzIris {
        /// Logical channel.
        pub channel: u8,
        /// 0 wider, 1 narrower.
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
    fn an_iris_has_a_channel_and_a_flag() {
        reads_as(
            MessageId::PTZ_IRIS,
            "01 02",
            json!({ "channel": 1, "flag": 2 }),
        );
    }
}
