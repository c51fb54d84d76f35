//! 0x9206 order to upload recordings by FTP (文件上传指令): platform -> terminal, answered by 0x0001,
//! and at the end by
//! 0x1206 end of an upload (文件上传完成通知): terminal -> platform, answered by 0x8001.
//!
//! JT/T 1078-2016, 5.6.5 and 5.6.6.
//!
//! | 0x9206 | field       | wire          | values                                         |
//! |--------|-------------|---------------|------------------------------------------------|
//! |      0 | server      | BYTE k, STRING | address or name of the FTP server             |
//! |  1 + k | port        | WORD          |                                                |
//! |      . | user        | BYTE l, STRING |                                               |
//! |      . | password    | BYTE m, STRING |                                               |
//! |      . | path        | BYTE n, STRING |                                               |
//! |      . | channel     | BYTE          |                                                |
//! |      . | start, end  | BCD\[6\] each | YYMMDDhhmmss at GMT+8                          |
//! |      . | alarm flags | BYTE\[8\]     | video alarms, then alarms of 0x0200            |
//! |      . | media type  | BYTE          | 0 both, 1 sound, 2 picture, 3 either           |
//! |      . | stream type | BYTE          | 0 all, 1 main, 2 sub                           |
//! |      . | storage     | BYTE          | 0 all, 1 main, 2 backup                        |
//! |      . | condition   | BYTE          | bits: 0 Wi-Fi, 1 LAN, 2 mobile network         |
//!
//! | 0x1206 | field  | wire | values             |
//! |--------|--------|------|--------------------|
//! |      0 | serial | WORD | of the order       |
//! |      2 | result | BYTE | 0 done, 1 failed   |

use super::field::{BcdTime, Counted, Raw, Rest, Text, layout};

layout! {
    /// Put recordings onto a server.
    pub struct FileUploadRequest {
        /// Address or name of the FTP server.
        pub server as "server_ip": Text<Counted<u8>>,
        /// Its port.
        pub port: u16,
        /// Name to log in with.
        pub user: Text<Counted<u8>>,
        /// Password to log in with.
        pub password: Text<Counted<u8>>,
        /// Folder for the files.
        pub path: Text<Counted<u8>>,
        /// Logical channel.
        pub channel: u8,
        /// From when.
        pub start: BcdTime,
        /// To when.
        pub end: BcdTime,
        /// Video alarms, then alarms of 0x0200; zeros for no filter.
        pub alarm_flags: Raw<8>,
        /// 0 sound and picture, 1 sound, 2 picture, 3 either.
        pub media_type: u8,
        /// 0 all, 1 main, 2 sub.
        pub stream_type: u8,
        /// 0 all, 1 main, 2 backup.
        pub storage: u8,
        /// Networks to do it in, bits: 0 Wi-Fi, 1 LAN, 2 mobile network.
        pub condition: u8,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

layout! {
    /// An upload ended.
    pub struct FileUploadDone {
        /// Serial number of the order.
        pub answered_serial as "reply_serial": u16,
        /// 0 done, 1 failed.
        pub result: u8,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::jt808::message::{MessageId, arbitrary::reads_as};

    #[test]
    fn an_order_and_its_end() {
        reads_as(
            MessageId::FILE_UPLOAD_REQUEST,
            "03 667470 0015 01 75 00 02 2F61 01 240715000000 240715235959 0000000000000000 00 01 01 07",
            json!({
                "server_ip": "ftp", "port": 21, "user": "u", "password": "", "path": "/a",
                "channel": 1, "start_bcd": "240715000000", "end_bcd": "240715235959",
                "alarm_flags_hex": "0000000000000000", "media_type": 0, "stream_type": 1,
                "storage": 1, "condition": 7,
            }),
        );
        reads_as(
            MessageId::FILE_UPLOAD_DONE,
            "0021 01",
            json!({ "reply_serial": 33, "result": 1 }),
        );
    }
}
