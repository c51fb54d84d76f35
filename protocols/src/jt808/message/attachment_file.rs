//! 0x1211 a file follows (文件信息上传): terminal -> server of attachments, answered by 0x8001, and
//! 0x1212 a file was sent (文件上传完成消息): terminal -> server of attachments, answered by
//! 0x9212 what became of a file (文件上传完成消息应答): server of attachments -> terminal, not answered.
//!
//! T/JSATL 12 and T/GDRTA 002. The file itself comes between 0x1211 and 0x1212 in packets of data.
//!
//! | 0x1211, 0x1212 | field     | wire           | values                                     |
//! |----------------|-----------|----------------|--------------------------------------------|
//! |              0 | file name | BYTE l, STRING |                                            |
//! |          1 + l | file type | BYTE           | 0 picture, 1 sound, 2 video, 3 text, 4 other; T/GDRTA 002: 4 face, 5 other |
//! |          2 + l | file size | DWORD          | bytes                                      |
//!
//! | 0x9212 | field     | wire           | values                                             |
//! |--------|-----------|----------------|----------------------------------------------------|
//! |      0 | file name | BYTE l, STRING |                                                    |
//! |  1 + l | file type | BYTE           | as above                                           |
//! |  2 + l | result    | BYTE           | 0 complete, 1 send the chunks again                |
//! |  3 + l | chunks    | BYTE n, n times DWORD, DWORD | offset and length, in bytes          |

use super::field::{Counted, List, Rest, Text, layout};

layout! {
    /// A file that is about to be sent, or was.
    pub struct AttachmentFile {
        /// Its name. A terminal chooses it: it is no path.
        pub file_name: Text<Counted<u8>>,
        /// 0 picture, 1 sound, 2 video, 3 text, 4 other; T/GDRTA 002: 4 face, 5 other.
        pub file_type: u8,
        /// Its size, in bytes.
        pub file_bytes as "file_size": u32,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

layout! {
    /// A file is complete, or these chunks of it are missing.
    pub struct AttachmentFileResult {
        /// Its name.
        pub file_name: Text<Counted<u8>>,
        /// Its type, as the terminal said.
        pub file_type: u8,
        /// 0 complete, 1 send the chunks again.
        pub result: u8,
        /// What is missing.
        pub chunks: List<u8, Chunk>,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

layout! {
    /// A piece of a file.
    #[derive(Copy)]
    pub struct Chunk {
        /// Where it begins, in bytes from the start of the file.
        pub offset: u32,
        /// Its length, in bytes.
        pub length: u32,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::jt808::message::{MessageId, arbitrary::reads_as};

    #[test]
    fn a_file_is_named_before_and_after() {
        reads_as(
            MessageId::ATTACHMENT_FILE,
            "05 612E6A7067 00 00010000",
            json!({ "file_name": "a.jpg", "file_type": 0, "file_size": 65536 }),
        );
        reads_as(
            MessageId::ATTACHMENT_FILE_SENT,
            "05 612E6A7067 00 00010000",
            json!({ "file_name": "a.jpg", "file_type": 0, "file_size": 65536 }),
        );
    }

    #[test]
    fn what_is_missing_is_asked_for() {
        reads_as(
            MessageId::ATTACHMENT_FILE_RESULT,
            "05 612E6A7067 00 01 02 00000000 00000400 00001000 00000001",
            json!({
                "file_name": "a.jpg", "file_type": 0, "result": 1, "count": 2, "chunks": [
                    { "offset": 0, "length": 1024 },
                    { "offset": 4096, "length": 1 },
                ],
            }),
        );
        reads_as(
            MessageId::ATTACHMENT_FILE_RESULT,
            "05 612E6A7067 00 00 00",
            json!({
                "file_name": "a.jpg", "file_type": 0, "result": 0, "count": 0, "chunks": [],
            }),
        );
    }
}
