//! 0x0001, 0x0104 and the others that answer a message of the platform by its serial number.

use super::{Message, driving_recorder::RecorderForm};

impl Message {
    /// Serial number of the message that this one of the terminal answers; `None` where it answers
    /// none, or does not say which: 0x0107 and 0x0108 never do, 0x0201 does not in its form of 2011.
    #[must_use]
    pub fn answered_serial(&self) -> Option<u16> {
        match self {
            Self::TerminalResponse(response) => Some(response.answered_serial),
            Self::Parameters(response) => Some(response.answered_serial),
            Self::LocationQueryResponse(response) => response.answered_serial,
            Self::QuestionAnswer(answer) => Some(answer.answered_serial),
            Self::VehicleControlResponse(response) => Some(response.answered_serial),
            Self::RecorderData(data) => match data.form {
                RecorderForm::Answer { answered_serial } => Some(answered_serial),
                RecorderForm::Part { .. } => None,
            },
            Self::StoredMediaAnswer(answer) => answer.answered_serial.into(),
            Self::CameraShotAnswer(answer) => answer.answered_serial.into(),
            Self::ResourceList(list) => list.answered_serial.into(),
            Self::FileUploadDone(done) => done.answered_serial.into(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        hex,
        jt808::{
            Revision,
            message::{Message, MessageId},
        },
    };

    #[test]
    fn an_answer_says_what_it_answers() {
        let report = "00000000 00000003 01580650 06CC62AC 0023 0163 005A 240715083015";
        for (id, body, answered) in [
            (0x0001, "0007 8103 00".to_owned(), Some(7)),
            (0x0104, "0007 00".to_owned(), Some(7)),
            (0x0201, format!("0007 {report}"), Some(7)),
            (0x0201, report.to_owned(), None),
            (0x0302, "0007 01".to_owned(), Some(7)),
            (0x0500, format!("0007 {report}"), Some(7)),
            (0x0700, "0007 00".to_owned(), Some(7)),
            (0x0802, "0007 0000".to_owned(), Some(7)),
            (0x0805, "0007 01".to_owned(), Some(7)),
            (0x1205, "0007 00000000".to_owned(), Some(7)),
            (0x1206, "0007 00".to_owned(), Some(7)),
            (0x0002, String::new(), None),
            (0x0200, report.to_owned(), None),
            (0x8001, "0007 0002 00".to_owned(), None),
        ] {
            let body = hex::bytes(&body);
            let message = Message::decode(MessageId(id), body, Revision::V2013).unwrap();
            assert_eq!(message.answered_serial(), answered, "{message:?}");
        }
    }
}
