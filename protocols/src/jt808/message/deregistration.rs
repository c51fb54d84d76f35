//! 0x0003 deregistration, the log-out (终端注销): terminal -> platform, answered by 0x8001.
//!
//! The body is empty. Terminals send it before planned disconnects, so it ends the session and not
//! the registration.

use super::field::{Rest, layout};

layout! {
    /// The terminal takes its leave.
    #[derive(Default)]
    pub struct Deregistration {
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::jt808::{
        Revision,
        message::{Message, MessageId},
    };

    #[test]
    fn a_deregistration_is_empty_and_one_that_is_not_is_kept() {
        for body in [&[][..], &[0x64, 0x1F, 0x01]] {
            let body = Bytes::from_static(body);
            let message =
                Message::decode(MessageId::DEREGISTRATION, body.clone(), Revision::V2013).unwrap();
            assert_eq!(
                message,
                Message::Deregistration(Deregistration {
                    rest: Rest(body.clone())
                })
            );
            assert_eq!(message.encode(Revision::V2013), Ok(body));
        }
    }
}
