//! 0x9205 query of recordings (查询资源列表): platform -> terminal, answered by
//! 0x1205 list of recordings (终端上传音视频资源列表): terminal -> platform, answered by 0x8001.
//!
//! JT/T 1078-2016, 5.6.1. 0x1205 comes in packets, each of which is answered.
//!
//! | 0x9205 | field       | wire     | values                                              |
//! |--------|-------------|----------|-----------------------------------------------------|
//! |      0 | channel     | BYTE     | 0 all                                               |
//! |      1 | start       | BCD\[6\] | YYMMDDhhmmss at GMT+8, zeros for no bound           |
//! |      7 | end         | BCD\[6\] | likewise                                            |
//! |     13 | alarm flags | BYTE\[8\] | video alarms (item 0x14), then alarms of 0x0200; zeros for no filter |
//! |     21 | media type  | BYTE     | 0 both, 1 sound, 2 picture, 3 either                |
//! |     22 | stream type | BYTE     | 0 all, 1 main, 2 sub                                |
//! |     23 | storage     | BYTE     | 0 all, 1 main, 2 backup                             |
//!
//! | 0x1205 | field       | wire     | values                                              |
//! |--------|-------------|----------|-----------------------------------------------------|
//! |      0 | serial      | WORD     | of the query                                        |
//! |      2 | count       | DWORD    | recordings                                          |
//! |      6 | recordings  | 28 bytes each | as 0x9205, and a DWORD: bytes of the file      |

use super::field::{BcdTime, List, Raw, Rest, layout};

layout! {
    /// Which recordings are there?
    pub struct ResourceQuery {
        /// Logical channel; 0 all.
        pub channel: u8,
        /// From when; zeros for no bound.
        pub start: BcdTime,
        /// To when; zeros for no bound.
        pub end: BcdTime,
        /// Video alarms, then alarms of 0x0200; zeros for no filter.
        pub alarm_flags: Raw<8>,
        /// 0 sound and picture, 1 sound, 2 picture, 3 either.
        pub media_type: u8,
        /// 0 all, 1 main, 2 sub.
        pub stream_type: u8,
        /// 0 all, 1 main, 2 backup.
        pub storage: u8,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

layout! {
    /// The recordings that a query found.
    pub struct ResourceList {
        /// Serial number of the query.
        pub answered_serial as "reply_serial": u16,
        /// Recordings.
        pub resources: List<u32, Resource>,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

layout! {
    /// A recording.
    pub struct Resource {
        /// Logical channel.
        pub channel: u8,
        /// From when.
        pub start: BcdTime,
        /// To when.
        pub end: BcdTime,
        /// Video alarms, then alarms of 0x0200.
        pub alarm_flags: Raw<8>,
        /// 0 sound and picture, 1 sound, 2 picture.
        pub media_type: u8,
        /// 1 main, 2 sub.
        pub stream_type: u8,
        /// 1 main, 2 backup.
        pub storage: u8,
        /// Length of the file, in bytes.
        pub file_bytes as "size_bytes": u32,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::jt808::message::{MessageId, arbitrary::reads_as};

    #[test]
    fn a_query_and_its_recordings() {
        reads_as(
            MessageId::RESOURCE_QUERY,
            "03 240715000000 240715235959 0000000100000002 02 01 00",
            json!({
                "channel": 3, "start_bcd": "240715000000", "end_bcd": "240715235959",
                "alarm_flags_hex": "0000000100000002", "media_type": 2, "stream_type": 1,
                "storage": 0,
            }),
        );
        reads_as(
            MessageId::RESOURCE_LIST,
            "0021 00000001 03 240715080000 240715081000 0000000000000002 00 01 02 00010000",
            json!({
                "reply_serial": 33, "count": 1, "resources": [{
                    "channel": 3, "start_bcd": "240715080000", "end_bcd": "240715081000",
                    "alarm_flags_hex": "0000000000000002", "media_type": 0, "stream_type": 1,
                    "storage": 2, "size_bytes": 65536,
                }],
            }),
        );
        reads_as(
            MessageId::RESOURCE_LIST,
            "0021 00000000",
            json!({ "reply_serial": 33, "count": 0, "resources": [] }),
        );
    }
}
