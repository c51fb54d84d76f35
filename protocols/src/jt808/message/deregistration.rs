//! 0x0003 deregistration, the log-out (终端注销): terminal -> platform, answered by 0x8001.
//!
//! The body is empty. Terminals send it before planned disconnects, so it ends the session and not
//! the registration.

use bytes::Bytes;

use super::Body;
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, Reader, Writer},
};

/// The terminal takes its leave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deregistration {
    /// Bytes beyond the layout.
    pub rest: Bytes,
}

impl Body for Deregistration {
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
    fn a_deregistration_is_empty_and_one_that_is_not_is_kept() {
        for body in [&[][..], &[0x64, 0x1F, 0x01]] {
            let body = Bytes::from_static(body);
            let message =
                Message::decode(MessageId::DEREGISTRATION, body.clone(), Revision::V2013).unwrap();
            assert_eq!(
                message,
                Message::Deregistration(Deregistration { rest: body.clone() })
            );
            assert_eq!(message.encode(Revision::V2013), Ok(body));
        }
    }
}
