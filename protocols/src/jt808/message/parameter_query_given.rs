//! 0x8106 query of given parameters (查询指定终端参数): platform -> terminal, answered by
//! [0x0104](super::parameters). Since 2013.
//!
//! | offset | field | wire     | notes                                                            |
//! |--------|-------|----------|------------------------------------------------------------------|
//! |      0 | count | BYTE     |                                                                  |
//! |      1 | ids   | DWORD\[n\] | of the [table](super::parameters::table), or others; by name or id in JSON |

use bytes::Bytes;

use super::{
    field::{List, Rest, layout},
    parameters::ParameterId,
};

layout! {
    /// Send these parameters.
    pub struct ParameterQueryGiven {
        /// Which.
        pub ids as "param_ids": List<u8, ParameterId>,
        /// Bytes beyond the layout.
        pub rest: Rest,
    }
}

impl ParameterQueryGiven {
    /// For these ids, at most 255.
    #[must_use]
    pub const fn new(ids: Vec<ParameterId>) -> Self {
        Self {
            ids: List::new(ids),
            rest: Rest(Bytes::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        hex,
        jt808::{
            Revision,
            message::{Message, MessageId, json::Object},
        },
    };

    const ID: MessageId = MessageId::PARAMETER_QUERY_GIVEN;

    fn of_json(value: serde_json::Value) -> Result<Message, String> {
        let object: Object = serde_json::from_value(value).unwrap();
        Message::from_json(ID, object).map_err(|error| error.to_string())
    }

    #[test]
    fn ids_are_read_and_written() {
        let body = hex::bytes("02  00000092  00000031");
        let ids = vec![ParameterId(0x92), ParameterId(0x31)];
        let message = Message::ParameterQueryGiven(ParameterQueryGiven::new(ids));
        let decoded = Message::decode(ID, body.clone(), Revision::V2013);
        assert_eq!(decoded.as_ref(), Ok(&message));
        assert_eq!(message.encode(Revision::V2013), Ok(body.clone()));
        for length in 0..body.len() {
            assert!(Message::decode(ID, body.slice(..length), Revision::V2013).is_err());
        }
    }

    #[test]
    fn parameters_are_asked_for_by_name_and_by_id() {
        let message = of_json(json!({"param_ids": ["gnss_output_interval", "0x00000031"]}));
        let expected = json!({"count": 2, "param_ids": ["0x00000092", "0x00000031"]});
        assert_eq!(
            serde_json::Value::from(message.unwrap().to_json()),
            expected
        );
        assert_eq!(
            of_json(json!({"param_ids": ["heartbeat"]})).unwrap_err(),
            "param_ids: must be the name of a parameter, or an id such as 0x00000001"
        );
    }
}
