//! 0x9101 request of a live stream (实时音视频传输请求): platform -> terminal, answered by 0x0001.
//!
//! JT/T 1078-2016, 5.5.1. The stream itself goes to that server, over a connection of its own.
//!
//! | offset | field       | wire           | values                                                |
//! |--------|-------------|----------------|-------------------------------------------------------|
//! |      0 | server      | BYTE n, STRING | address or name                                       |
//! |  1 + n | TCP port    | WORD           | 0 none                                                |
//! |  3 + n | UDP port    | WORD           | 0 none                                                |
//! |  5 + n | channel     | BYTE           | logical channel                                       |
//! |  6 + n | data type   | BYTE           | 0 sound and picture, 1 picture, 2 talk, 3 listen, 4 broadcast, 5 transparent |
//! |  7 + n | stream type | BYTE           | 0 main, 1 sub                                         |

use super::field::{Counted, Rest, Text, layout};

layout! {
    /// Send a live stream there.
    pub struct LiveStreamRequest {
        /// Address or name of the server.
        pub server as "server_ip": Text<Counted<u8>>,
        /// Its TCP port; 0 none.
        pub tcp_port: u16,
        /// Its UDP port; 0 none.
        pub udp_port: u16,
        /// Logical channel.
        pub channel: u8,
        /// 0 sound and picture, 1 picture, 2 talk, 3 listen, 4 broadcast, 5 transparent.
        pub data_type: u8,
        /// 0 main, 1 sub.
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
    fn a_stream_has_a_server_and_a_channel() {
        reads_as(
            MessageId::LIVE_STREAM_REQUEST,
            "09 3132372E302E302E31 0436 0000 03 01 00",
            json!({
                "server_ip": "127.0.0.1", "tcp_port": 1078, "udp_port": 0, "channel": 3,
                "data_type": 1, "stream_type": 0,
            }),
        );
    }
}
