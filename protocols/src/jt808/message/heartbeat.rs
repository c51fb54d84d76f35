//! 0x0002 heartbeat (终端心跳): terminal -> platform, answered by 0x8001.
//!
//! The body is empty. Trackers put battery and signal there, in layouts of their own: kept.

use super::field::{Rest, layout};

layout! {
    /// The terminal lives.
    #[derive(Default)]
    pub struct Heartbeat {
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
    fn a_heartbeat_is_empty_and_one_that_is_not_is_kept() {
        for body in [&[][..], &[0x64, 0x1F, 0x01]] {
            let body = Bytes::from_static(body);
            let message =
                Message::decode(MessageId::HEARTBEAT, body.clone(), Revision::V2013).unwrap();
            assert_eq!(
                message,
                Message::Heartbeat(Heartbeat {
                    rest: Rest(body.clone())
                })
            );
            assert_eq!(message.encode(Revision::V2013), Ok(body));
        }
    }
}
