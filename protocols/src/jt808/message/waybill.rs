//! 0x0701 electronic waybill (电子运单上报): terminal -> platform, answered by 0x8001.
//!
//! | offset | field  | wire   | notes                                                        |
//! |--------|--------|--------|--------------------------------------------------------------|
//! |      0 | length | DWORD  | of the waybill, in bytes                                     |
//! |      4 | data   | BYTE\[\] | to the end of the body, whatever the length says. Some trackers send the answer to a text command here |

use super::field::{Data, layout};

layout! {
    /// A waybill, whose form is the carrier's own.
    pub struct Waybill {
        /// Length by the terminal, in bytes.
        pub length as "data_len": u32,
        /// The waybill.
        pub data: Data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hex,
        jt808::{
            Revision,
            message::{Message, MessageId},
        },
    };

    #[test]
    fn a_waybill_is_read_whatever_its_length_says() {
        for (text, length) in [("00000003 414243", 3), ("FFFFFFFF 414243", u32::MAX)] {
            let body = hex::bytes(text);
            let message =
                Message::decode(MessageId::WAYBILL, body.clone(), Revision::V2013).unwrap();
            let data = Data::new(body.slice(4..));
            assert_eq!(message, Message::Waybill(Waybill { length, data }));
            assert_eq!(message.encode(Revision::V2013), Ok(body));
        }
    }

    #[test]
    fn a_prefix_of_the_fixed_part_is_truncated() {
        for length in 0..4 {
            let body = hex::bytes("00000000").slice(..length);
            let decoded = Message::decode(MessageId::WAYBILL, body, Revision::V2019);
            assert_eq!(decoded.unwrap_err().reason(), "truncated");
        }
    }
}
