//! 0x0002 heartbeat (终端心跳): terminal -> platform, answered by 0x8001.
//!
//! The body is empty. Trackers put battery and signal there, in layouts of their own: kept.

use bytes::Bytes;

use super::Body;
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, Reader, Writer},
};

/// The terminal lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heartbeat {
    /// Bytes beyond the layout.
    pub rest: Bytes,
}

impl Body for Heartbeat {
    fn decode(r: &mut Reader, _revision: Revision) -> Result<Self, DecodeError> {
        Ok(Self { rest: r.rest() })
    }

    fn encode(&self, w: &mut Writer, _revision: Revision) -> Result<(), EncodeError> {
        w.bytes(&self.rest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jt808::message::{Message, MessageId};

    #[test]
    fn a_heartbeat_is_empty_and_one_that_is_not_is_kept() {
        for body in [&[][..], &[0x64, 0x1F, 0x01]] {
            let body = Bytes::from_static(body);
            let message =
                Message::decode(MessageId::HEARTBEAT, body.clone(), Revision::V2013).unwrap();
            assert_eq!(
                message,
                Message::Heartbeat(Heartbeat { rest: body.clone() })
            );
            assert_eq!(message.encode(Revision::V2013), Ok(body));
        }
    }
}
