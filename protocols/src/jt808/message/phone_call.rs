//! 0x8400 phone call back (电话回拨): platform -> terminal, answered by 0x0001.
//!
//! | offset | field  | wire   | values                                    |
//! |--------|--------|--------|-------------------------------------------|
//! |      0 | flag   | BYTE   | 0 call, 1 listen in                       |
//! |      1 | number | STRING | at most 20 bytes, to the end              |

use super::field::{Text, layout};

layout! {
    /// Call this number.
    pub struct PhoneCall {
        /// 0 call, 1 listen in.
        pub flag: u8,
        /// The number.
        pub number: Text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::jt808::{
        Revision,
        message::{
            MessageId,
            arbitrary::{check, check_truncated},
        },
    };

    #[test]
    fn a_call_has_a_number() {
        let json = json!({ "flag": 1, "number": "15632" });
        let id = MessageId::PHONE_CALL;
        check(id, Revision::V2013, "01 3135363332", &json);
        check_truncated(id, Revision::V2013, "01", 1);
    }
}
