//! 0x0001 general response of the terminal (终端通用应答): terminal -> platform, and
//! 0x8001 general response of the platform (平台通用应答): platform -> terminal. Neither is answered.
//!
//! | offset | field           | wire | values                                                    |
//! |--------|-----------------|------|-----------------------------------------------------------|
//! |      0 | answered serial | WORD | serial number of the message that is answered             |
//! |      2 | answered id     | WORD | its id                                                    |
//! |      4 | result          | BYTE | 0 done, 1 failed, 2 message has errors, 3 not supported, 4 alarm handled (platform, since 2013) |

use bytes::Bytes;

use super::{
    MessageId,
    field::{Rest, layout},
};

layout! {
    /// What became of a message.
    pub struct GeneralResponse {
        /// Serial number of the message that is answered.
        pub answered_serial as "reply_serial": u16,
        /// Its id.
        pub answered_id as "reply_id": MessageId,
        /// Result code.
        pub result: u8,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

impl GeneralResponse {
    /// A response by the standard's layout.
    #[must_use]
    pub const fn new(answered_serial: u16, answered_id: MessageId, result: u8) -> Self {
        Self {
            answered_serial,
            answered_id,
            result,
            rest: Rest(Bytes::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        jt808::{
            Revision,
            message::{Body, Message},
        },
        wire::Reader,
    };

    #[test]
    fn a_response_is_read_and_written() {
        let body = Bytes::from_static(&[
            0x00, 0x7E, // answered serial
            0x02, 0x00, // answered id
            0x04, // result
        ]);
        let response = GeneralResponse::new(0x7E, MessageId::LOCATION_REPORT, 4);
        let message = Message::decode(MessageId(0x8001), body.clone(), Revision::V2013).unwrap();
        assert_eq!(message, Message::PlatformResponse(response.clone()));
        assert_eq!(message.encode(Revision::V2013), Ok(body.clone()));
        let message = Message::decode(MessageId(0x0001), body, Revision::V2019).unwrap();
        assert_eq!(message, Message::TerminalResponse(response));
    }

    #[test]
    fn bytes_beyond_the_layout_are_kept_and_a_prefix_is_truncated() {
        let body = Bytes::from_static(&[0, 1, 2, 0, 0, 9, 9]);
        for length in 0..5 {
            let error =
                GeneralResponse::decode(&mut Reader::new(body.slice(..length)), Revision::V2013);
            assert_eq!(error.unwrap_err().reason(), "truncated");
        }
        let response =
            GeneralResponse::decode(&mut Reader::new(body.clone()), Revision::V2013).unwrap();
        assert_eq!(response.rest.0, &[9, 9][..]);
        assert_eq!(
            Message::PlatformResponse(response).encode(Revision::V2013),
            Ok(body)
        );
    }
}
