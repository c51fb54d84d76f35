//! 0x9207 control of an upload (文件上传控制): platform -> terminal, answered by 0x0001.
//!
//! JT/T 1078-2016, 5.6.7.
//!
//! | offset | field   | wire | values                       |
//! |--------|---------|------|------------------------------|
//! |      0 | serial  | WORD | of the order 0x9206          |
//! |      2 | control | BYTE | 0 pause, 1 continue, 2 cancel |

use super::field::{Rest, layout};

layout! {
    /// Pause, continue or cancel an upload.
    pub struct FileUploadControl {
        /// Serial number of the order 0x9206.
        pub answered_serial as "reply_serial": u16,
        /// 0 pause, 1 continue, 2 cancel.
        pub control: u8,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::jt808::message::{MessageId, arbitrary::reads_as};

    #[test]
    fn an_upload_is_cancelled() {
        reads_as(
            MessageId::FILE_UPLOAD_CONTROL,
            "0021 02",
            json!({ "reply_serial": 33, "control": 2 }),
        );
    }
}
