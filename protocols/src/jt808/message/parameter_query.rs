//! 0x8104 query of all parameters (查询终端参数): platform -> terminal, answered by
//! [0x0104](super::parameters).
//!
//! The body is empty.

use super::field::{Rest, layout};

layout! {
    /// Send all parameters.
    #[derive(Default)]
    pub struct ParameterQuery {
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::jt808::{
        Revision,
        message::{Message, MessageId, json::Object},
    };

    #[test]
    fn a_query_is_empty_and_one_that_is_not_is_kept() {
        let id = MessageId::PARAMETER_QUERY;
        let empty = Message::from_json(id, Object::new()).unwrap();
        assert_eq!(empty.encode(Revision::V2019), Ok(Bytes::new()));
        for body in [&[][..], &[1, 2]] {
            let body = Bytes::from_static(body);
            let message = Message::decode(id, body.clone(), Revision::V2013).unwrap();
            assert_eq!(message.encode(Revision::V2013), Ok(body));
        }
    }
}
