//! 0x1005 passenger flow (终端上传乘客流量): terminal -> platform, answered by 0x8001.
//!
//! JT/T 1078-2016, 5.4.3.
//!
//! | offset | field    | wire     | values                |
//! |--------|----------|----------|-----------------------|
//! |      0 | start    | BCD\[6\] | YYMMDDhhmmss at GMT+8 |
//! |      6 | end      | BCD\[6\] | YYMMDDhhmmss at GMT+8 |
//! |     12 | boarded  | WORD     | persons               |
//! |     14 | alighted | WORD     | persons               |

use super::field::{Rest, layout};
use crate::wire::bcd::Gmt8Time;

layout! {
    /// How many got on and off in a time.
    pub struct PassengerFlow {
        /// From when.
        pub start: Gmt8Time,
        /// To when.
        pub end: Gmt8Time,
        /// Persons who got on.
        pub boarded: u16,
        /// Persons who got off.
        pub alighted: u16,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::jt808::message::{MessageId, arbitrary::reads_as};

    #[test]
    fn persons_are_counted_over_a_time() {
        reads_as(
            MessageId::PASSENGER_FLOW,
            "240715083015 240715084015 0007 0100",
            json!({
                "start": "2024-07-15T08:30:15+08:00", "end": "2024-07-15T08:40:15+08:00",
                "boarded": 7, "alighted": 256,
            }),
        );
    }
}
