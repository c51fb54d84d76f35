//! 0x8203 manual confirmation of alarms (人工确认报警消息): platform -> terminal, answered by
//! 0x0001. Since 2013.
//!
//! | offset | field  | wire  | values                                                           |
//! |--------|--------|-------|------------------------------------------------------------------|
//! |      0 | serial | WORD  | of the message with the alarm; 0 is every alarm of these types   |
//! |      2 | types  | DWORD | bits of the alarm flags: 0, 3, 20, 21, 22, 27, 28; others reserved |

use super::field::{Rest, layout};

layout! {
    /// Someone saw to these alarms.
    pub struct AlarmConfirmation {
        /// Serial number of the message with the alarm; 0 is every alarm of these types.
        pub alarm_serial: u16,
        /// Which alarms, as bits of the alarm flags.
        pub alarm_types: u32,
        /// Bytes beyond the layout.
        pub rest: Rest,
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
    fn a_confirmation_names_message_and_types() {
        let json = json!({ "alarm_serial": 321, "alarm_types": 0x1020_0001 });
        let id = MessageId::ALARM_CONFIRMATION;
        check(id, Revision::V2013, "0141 10200001", &json);
        check_truncated(id, Revision::V2019, "0141 10200001", 6);
    }
}
