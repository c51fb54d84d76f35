//! 0x9201 request of a playback (平台下发远程录像回放请求): platform -> terminal, answered by 0x1205.
//!
//! JT/T 1078-2016, 5.6.3. The stream itself goes to that server, over a connection of its own.
//!
//! | offset | field         | wire           | values                                        |
//! |--------|---------------|----------------|-----------------------------------------------|
//! |      0 | server        | BYTE n, STRING | address or name                               |
//! |  1 + n | TCP port      | WORD           | 0 none                                        |
//! |  3 + n | UDP port      | WORD           | 0 none                                        |
//! |  5 + n | channel       | BYTE           | logical channel                               |
//! |  6 + n | media type    | BYTE           | 0 both, 1 sound, 2 picture, 3 either          |
//! |  7 + n | stream type   | BYTE           | 0 either, 1 main, 2 sub                       |
//! |  8 + n | storage       | BYTE           | 0 either, 1 main, 2 backup                    |
//! |  9 + n | playback mode | BYTE           | 0 normal, 1 fast, 2 rewind by key frames, 3 key frames, 4 single frame |
//! | 10 + n | speed         | BYTE           | 1, 2, 3, 4, 5: once, 2, 4, 8, 16 times        |
//! | 11 + n | start         | BCD\[6\]       | YYMMDDhhmmss at GMT+8                         |
//! | 17 + n | end           | BCD\[6\]       | zeros: to the end; nothing in mode 4          |

use super::field::{BcdTime, Counted, Rest, Text, layout};

layout! {
    /// Play a recording to a server.
    pub struct PlaybackRequest {
        /// Address or name of the server.
        pub server as "server_ip": Text<Counted<u8>>,
        /// Its TCP port; 0 none.
        pub tcp_port: u16,
        /// Its UDP port; 0 none.
        pub udp_port: u16,
        /// Logical channel.
        pub channel: u8,
        /// 0 sound and picture, 1 sound, 2 picture, 3 either.
        pub media_type: u8,
        /// 0 either, 1 main, 2 sub.
        pub stream_type: u8,
        /// 0 either, 1 main, 2 backup.
        pub storage: u8,
        /// 0 normal, 1 fast, 2 rewind by key frames, 3 key frames, 4 single frame.
        pub playback_mode: u8,
        /// Times of normal: 1 once, 2 twice, 3 4 times, 4 8 times, 5 16 times.
        pub speed: u8,
        /// From when.
        pub start: BcdTime,
        /// To when; zeros for the end.
        pub end: BcdTime,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::jt808::message::{MessageId, arbitrary::reads_as};

    #[test]
    fn a_recording_is_played_to_a_server() {
        reads_as(
            MessageId::PLAYBACK_REQUEST,
            "03 612E62 0436 0437 02 00 01 02 01 03 240715080000 000000000000",
            json!({
                "server_ip": "a.b", "tcp_port": 1078, "udp_port": 1079, "channel": 2,
                "media_type": 0, "stream_type": 1, "storage": 2, "playback_mode": 1, "speed": 3,
                "start_bcd": "240715080000", "end_bcd": "000000000000",
            }),
        );
    }
}
