//! 0x8105 terminal control (终端控制): platform -> terminal, answered by 0x0001.
//!
//! | offset | field     | wire   | notes                                     |
//! |--------|-----------|--------|-------------------------------------------|
//! |      0 | command   | BYTE   | below                                     |
//! |      1 | arguments | STRING | separated by `;`, to the end; may be empty |
//!
//! | command | before 2019        | 2019     | arguments                                          |
//! |---------|--------------------|----------|----------------------------------------------------|
//! |       1 | wireless upgrade   | -        | URL; APN; user; password; address; TCP port; UDP port; manufacturer; hardware; firmware; limit in minutes |
//! |       2 | change of server   | likewise | 0 go there, 1 come back (nothing follows); code for that server; APN; user; password; address; TCP port; UDP port; limit in minutes, 0 is for ever |
//! |       3 | power off          | -        |                                                    |
//! |       4 | reset              | likewise |                                                    |
//! |       5 | factory settings   | likewise |                                                    |
//! |       6 | close the data link | -       |                                                    |
//! |       7 | close all radio links | -     |                                                    |
//!
//! Numbers are written in digits. The standard gives the ports the type WORD, and there are senders
//! that put two bytes there: such arguments are no text.

use std::borrow::Cow;

use bytes::Bytes;

use super::{
    Body,
    field::{Field, put_text, take_text},
    json::{self, JsonError, Object},
};
use crate::{
    jt808::Revision,
    wire::{DecodeError, EncodeError, Reader, Writer, text},
};

/// Do something with yourself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerminalControl {
    /// What to do.
    pub command: u8,
    /// The arguments as they stand on the wire.
    pub arguments: Bytes,
}

impl TerminalControl {
    /// Load new software over the air; before 2019, and in T/GDRTA 002.
    pub const UPGRADE: u8 = 1;
    /// Go to another server, or come back.
    pub const CHANGE_SERVER: u8 = 2;
    /// Power off; before 2019.
    pub const POWER_OFF: u8 = 3;
    /// Start again.
    pub const RESET: u8 = 4;
    /// Restore the factory settings.
    pub const FACTORY_SETTINGS: u8 = 5;
    /// Close the data link; before 2019.
    pub const CLOSE_DATA_LINK: u8 = 6;
    /// Close all radio links; before 2019.
    pub const CLOSE_RADIO_LINKS: u8 = 7;

    /// A command without arguments.
    #[must_use]
    pub const fn new(command: u8) -> Self {
        Self {
            command,
            arguments: Bytes::new(),
        }
    }

    /// The arguments one by one, empty ones included.
    pub fn arguments(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let count = if self.arguments.is_empty() {
            0
        } else {
            usize::MAX
        };
        self.arguments
            .split(|byte| *byte == b';')
            .take(count)
            .map(text::decode)
    }
}

impl Body for TerminalControl {
    fn decode(r: &mut Reader, _revision: Revision) -> Result<Self, DecodeError> {
        Ok(Self {
            command: r.byte("command")?,
            arguments: r.rest(),
        })
    }

    fn encode(&self, w: &mut Writer, _revision: Revision) -> Result<(), EncodeError> {
        w.byte(self.command);
        w.bytes(&self.arguments);
        Ok(())
    }

    fn to_json(&self, object: &mut Object) {
        const NAME: &str = "command_params";
        self.command.put(object, "command");
        // A lone 0x00 is how 2011 writes an empty text.
        let arguments = text::trim_nul(&self.arguments);
        if arguments.iter().any(u8::is_ascii_control) {
            json::put_hex(object, NAME, &self.arguments);
        } else if !arguments.is_empty() {
            put_text(object, NAME, &self.arguments);
        }
    }

    fn from_json(object: &mut Object) -> Result<Self, JsonError> {
        const NAME: &str = "command_params";
        let has_arguments = object.contains_key(NAME) || object.contains_key("command_params_hex");
        Ok(Self {
            command: Field::take(object, "command")?,
            arguments: if has_arguments {
                take_text(object, NAME)?
            } else {
                Bytes::new()
            },
        })
    }
}

#[cfg(test)]
impl super::arbitrary::Arbitrary for TerminalControl {
    fn arbitrary(c: &mut super::arbitrary::Choices, _: Revision) -> Self {
        Self {
            command: c.byte(),
            arguments: c.up_to(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jt808::message::{
        Message, MessageId,
        arbitrary::{check, check_truncated},
    };

    const ID: MessageId = MessageId::TERMINAL_CONTROL;

    fn arguments(message: &Message) -> Vec<Cow<'_, str>> {
        match message {
            Message::TerminalControl(control) => control.arguments().collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_command_may_stand_alone() {
        let message = check(ID, Revision::V2013, "04", &json!({ "command": 4 }));
        assert!(arguments(&message).is_empty());
        let control = TerminalControl::new(TerminalControl::RESET);
        assert_eq!(message, Message::TerminalControl(control));
        check_truncated(ID, Revision::V2013, "04", 1);
    }

    #[test]
    fn arguments_are_separated() {
        let json = json!({ "command": 2, "command_params": "0;;10.0.0.5" });
        let body = "02 30 3B 3B 31302E302E302E35";
        let message = check(ID, Revision::V2019, body, &json);
        assert_eq!(arguments(&message), ["0", "", "10.0.0.5"]);
    }

    #[test]
    fn arguments_that_are_no_text_are_in_hex() {
        let json = json!({ "command": 2, "command_params_hex": "3b1a0a3b" });
        check(ID, Revision::V2013, "02 3B1A0A3B", &json);
    }

    #[test]
    fn the_empty_text_of_2011_is_kept_and_is_no_argument_in_json() {
        let body = Bytes::from_static(&[4, 0]);
        let message = Message::decode(ID, body.clone(), Revision::V2011).unwrap();
        assert_eq!(message.encode(Revision::V2011), Ok(body));
        assert_eq!(
            message.to_json(),
            *json!({ "command": 4 }).as_object().unwrap()
        );
    }
}
