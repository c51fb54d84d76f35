//! 0x8103 setting of parameters (设置终端参数): platform -> terminal, answered by 0x0001.
//!
//! The body is the list of [0x0104](super::parameters), without its serial. More than fits one
//! message is to be sent as several with fewer parameters, and not in packets.

use super::{
    field::layout,
    parameters::{Parameter, ParameterList},
};

layout! {
    /// Change these parameters of the terminal.
    pub struct ParameterSetting {
        /// The parameters.
        pub parameters as "params": ParameterList,
    }
}

impl ParameterSetting {
    /// In the layout of 2013.
    #[must_use]
    pub fn new(entries: Vec<Parameter>) -> Self {
        Self {
            parameters: ParameterList::new(entries),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        hex,
        jt808::{
            Revision,
            message::{Message, MessageId, json::Object},
        },
    };

    const BODY: &str = "02  00000001 04 0000003C  00000029 04 0000001E";

    fn of_json(value: serde_json::Value) -> Message {
        let object: Object = serde_json::from_value(value).unwrap();
        Message::from_json(MessageId::PARAMETER_SETTING, object).unwrap()
    }

    #[test]
    fn parameters_are_set_by_name_and_by_id() {
        let body = hex::bytes(BODY);
        for value in [
            json!({"params": {"heartbeat_interval_s": 60, "report_interval_s": 30}}),
            json!({"params": {"0x00000001": "0000003c", "0x29": 30}}),
            json!({"params_by_name": {"0x00000001": "0000003C", "report_interval_s": 30}}),
            json!({
                "params": {"0x00000001": "0000003c"},
                "params_by_name": {"heartbeat_interval_s": 60, "report_interval_s": 30},
            }),
        ] {
            let message = of_json(value);
            assert_eq!(message.encode(Revision::V2013), Ok(body.clone()));
        }
    }

    #[test]
    fn what_is_sent_reads_back_by_name() {
        let body = hex::bytes(BODY);
        let id = MessageId::PARAMETER_SETTING;
        let message = Message::decode(id, body, Revision::V2019).unwrap();
        let expected = json!({
            "count": 2,
            "params": {"0x00000001": "0000003c", "0x00000029": "0000001e"},
            "params_by_name": {"heartbeat_interval_s": 60, "report_interval_s": 30},
        });
        assert_eq!(serde_json::Value::from(message.to_json()), expected);
        assert_eq!(of_json(expected), message);
    }
}
