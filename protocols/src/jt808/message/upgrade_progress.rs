//! 0x1FC4 progress of an upgrade (终端升级进度上报): terminal -> platform, answered by 0x8001.
//!
//! T/GDRTA 002.
//!
//! | offset | field        | wire | values                                                       |
//! |--------|--------------|------|--------------------------------------------------------------|
//! |      0 | serial       | WORD | of the order to upgrade                                      |
//! |      2 | upgrade type | BYTE | as in 0x0108                                                 |
//! |      3 | state        | BYTE | 1 downloading, 2 downloaded, 3 download failed, 4 installing, 5 installed, 6 failed, 7 no such device, 8 not for this hardware, 9 same version, 10 not for this version, 11 other |
//! |      4 | progress     | BYTE | percent                                                      |
//! |      5 | error code   | BYTE | the maker's                                                  |

use super::field::{Rest, layout};

layout! {
    /// How far an upgrade is.
    pub struct UpgradeProgress {
        /// Serial number of the order.
        pub answered_serial as "reply_serial": u16,
        /// What is upgraded, as in 0x0108.
        pub upgrade_type: u8,
        /// 1 downloading, 2 downloaded, 3 download failed, 4 installing, 5 installed, 6 failed,
        /// 7 no such device, 8 not for this hardware, 9 same version, 10 not for this version,
        /// 11 other.
        pub state: u8,
        /// Percent.
        pub progress: u8,
        /// The maker's.
        pub error_code: u8,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::jt808::message::{MessageId, arbitrary::reads_as};

    #[test]
    fn an_upgrade_is_half_done() {
        reads_as(
            MessageId::UPGRADE_PROGRESS,
            "0021 01 04 32 00",
            json!({
                "reply_serial": 33, "upgrade_type": 1, "state": 4, "progress": 50, "error_code": 0,
            }),
        );
    }
}
