//! The messages: one table, one file for each.
//!
//! A message is added by its file and its line in the table below. Fields stand in the order of
//! the wire and keep the wire's units; what they mean in our terms is decided one step later.

#[cfg(test)]
pub(crate) mod arbitrary;
pub mod authentication;
pub mod deregistration;
pub mod field;
pub mod general_response;
pub mod heartbeat;
pub mod json;
pub mod location_batch;
pub mod location_report;
pub mod registration;
pub mod registration_response;

use std::fmt;

use bytes::Bytes;
use serde::{Serialize, Serializer};

use self::{
    authentication::Authentication,
    deregistration::Deregistration,
    general_response::GeneralResponse,
    heartbeat::Heartbeat,
    json::{JsonError, Object},
    location_batch::LocationBatch,
    location_report::LocationReport,
    registration::Registration,
    registration_response::RegistrationResponse,
};
use super::Revision;
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// The body of a message, on the wire and in JSON.
///
/// Most bodies are a list of fields and come from [`layout!`](field); the others are written out.
pub trait Body: Sized {
    /// Reads the fields in wire order.
    ///
    /// # Errors
    /// When the body does not follow the layout.
    fn decode(reader: &mut Reader, revision: Revision) -> Result<Self, DecodeError>;

    /// Writes the fields in wire order.
    ///
    /// # Errors
    /// When a value cannot stand in its field.
    fn encode(&self, writer: &mut Writer, revision: Revision) -> Result<(), EncodeError>;

    /// Adds the fields to an object, with the names and units of [`json`].
    fn to_json(&self, object: &mut Object);

    /// Takes the fields out of an object. What is left there afterwards has no meaning here.
    ///
    /// # Errors
    /// When a field is missing or has no such value. Messages that only terminals send, and whose
    /// form has fields computed from others, are not read from JSON.
    fn from_json(object: &mut Object) -> Result<Self, JsonError>;
}

impl<T: Body> Body for Box<T> {
    fn decode(reader: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        T::decode(reader, revision).map(Self::new)
    }

    fn encode(&self, writer: &mut Writer, revision: Revision) -> Result<(), EncodeError> {
        (**self).encode(writer, revision)
    }

    fn to_json(&self, object: &mut Object) {
        (**self).to_json(object);
    }

    fn from_json(object: &mut Object) -> Result<Self, JsonError> {
        T::from_json(object).map(Self::new)
    }
}

/// What a message is (消息ID).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u16);

impl MessageId {
    /// 0x0101, misprinted in the annex of 2011 for [`DEREGISTRATION`](Self::DEREGISTRATION): the
    /// log-out of terminals that followed it, always with an empty body.
    pub const DEREGISTRATION_MISPRINT: Self = Self(0x0101);

    /// Whether the platform sends it. Above 0x8000, but for the makers' own messages to the
    /// platform, 0xE000 to 0xEFFF.
    #[must_use]
    pub const fn is_downlink(self) -> bool {
        self.0 >= 0x8000 && self.0 & 0xF000 != 0xE000
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:04x}", self.0)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({self})")
    }
}

/// What the receiver of a message sends back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing is due.
    None,
    /// The general response: 0x8001 of the platform, 0x0001 of the terminal.
    General,
    /// This message. A general response that says no is an answer as well.
    Message(MessageId),
    /// The general response at once, and later this message.
    GeneralThen(MessageId),
    /// The general response, this message or both; then the message is the answer.
    Either(MessageId),
}

/// One line of the table: what is known of a message beside its layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageInfo {
    /// Its id.
    pub id: MessageId,
    /// Its name: a metric's label, and the word of the API.
    pub name: &'static str,
    /// What it is, with the standard's name.
    pub title: &'static str,
    /// The first revision that has it. Later ones have it as well.
    pub since: Revision,
    /// What is sent back.
    pub answer: Answer,
}

macro_rules! messages {
    ($($id:literal $constant:ident $name:literal $variant:ident($body:ty)
        $since:ident $answer:expr, $doc:literal;)*) => {
        impl MessageId {
            $(#[doc = $doc] pub const $constant: Self = Self($id);)*

            /// The ids that have a layout here.
            pub const ALL: &[Self] = &[$(Self::$constant),*];

            /// What is known of the message; `None` for ids without a layout here.
            #[must_use]
            pub const fn info(self) -> Option<MessageInfo> {
                match self {
                    $(Self::$constant => Some(MessageInfo {
                        id: self,
                        name: $name,
                        title: $doc,
                        since: Revision::$since,
                        answer: $answer,
                    }),)*
                    _ => None,
                }
            }
        }

        /// A message.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Message {
            $(#[doc = $doc] $variant($body),)*
            /// A message without a layout here.
            Unknown {
                /// Which one.
                id: MessageId,
                /// Its body as it came.
                body: Bytes,
            },
        }

        impl Message {
            /// Reads the body of a message, which is neither encrypted nor one packet of several.
            ///
            /// # Errors
            /// When the body does not follow the layout of its id. Ids without a layout have none
            /// to follow.
            pub fn decode(
                id: MessageId,
                body: Bytes,
                revision: Revision,
            ) -> Result<Self, DecodeError> {
                Ok(match id {
                    $(MessageId::$constant => {
                        Self::$variant(Body::decode(&mut Reader::new(body), revision)?)
                    })*
                    _ => Self::Unknown { id, body },
                })
            }

            /// The body.
            ///
            /// # Errors
            /// When a value cannot stand in its field.
            pub fn encode(&self, revision: Revision) -> Result<Bytes, EncodeError> {
                let mut writer = Writer::new();
                match self {
                    $(Self::$variant(body) => Body::encode(body, &mut writer, revision)?,)*
                    Self::Unknown { body, .. } => return Ok(body.clone()),
                }
                Ok(writer.finish())
            }

            /// Which message it is.
            #[must_use]
            pub const fn id(&self) -> MessageId {
                match self {
                    $(Self::$variant(_) => MessageId::$constant,)*
                    Self::Unknown { id, .. } => *id,
                }
            }

            /// The fields of the body in JSON; see [`json`].
            #[must_use]
            pub fn to_json(&self) -> Object {
                let mut object = Object::new();
                match self {
                    $(Self::$variant(body) => Body::to_json(body, &mut object),)*
                    Self::Unknown { body, .. } => json::put_hex(&mut object, "body", body),
                }
                object
            }

            /// The message of these fields.
            ///
            /// # Errors
            /// When a field is missing, has no such value, or is none of the message.
            pub fn from_json(id: MessageId, mut object: Object) -> Result<Self, JsonError> {
                let message = match id {
                    $(MessageId::$constant => Self::$variant(Body::from_json(&mut object)?),)*
                    _ => Self::Unknown {
                        id,
                        body: field::Field::take(&mut object, "body")
                            .map(|body: field::Data| body.0)?,
                    },
                };
                field::nothing_left(&object).map(|()| message)
            }
        }

        #[cfg(test)]
        impl arbitrary::Arbitrary for Message {
            fn arbitrary(c: &mut arbitrary::Choices, revision: Revision) -> Self {
                let of_each: &[fn(&mut arbitrary::Choices, Revision) -> Self] =
                    &[$(|c, revision| Self::$variant(c.any(revision))),*];
                let index = c.below(of_each.len());
                of_each[index](c, revision)
            }
        }
    };
}

impl MessageId {
    /// The word for a metric's label; `"other"` for ids without a layout here.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.info() {
            Some(info) => info.name,
            None => "other",
        }
    }

    /// The message of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|id| id.name() == name)
    }
}

impl Serialize for Message {
    /// As `msg_id` and the fields of the body.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = self.to_json();
        json::put(&mut object, "msg_id", self.id().to_string());
        object.serialize(serializer)
    }
}

messages! {
    0x0001 TERMINAL_RESPONSE "terminal_response" TerminalResponse(GeneralResponse) V2011 Answer::None, "General response of the terminal (终端通用应答).";
    0x0002 HEARTBEAT "heartbeat" Heartbeat(Heartbeat) V2011 Answer::General, "Heartbeat (终端心跳).";
    0x0003 DEREGISTRATION "deregistration" Deregistration(Deregistration) V2011 Answer::General, "Log-out (终端注销).";
    0x0100 REGISTRATION "registration" Registration(Registration) V2011 Answer::Message(MessageId(0x8100)), "Registration (终端注册).";
    0x0102 AUTHENTICATION "authentication" Authentication(Authentication) V2011 Answer::General, "Authentication (终端鉴权).";
    0x0200 LOCATION_REPORT "location_report" LocationReport(LocationReport) V2011 Answer::General, "Location report (位置信息汇报).";
    0x0704 LOCATION_BATCH "location_batch" LocationBatch(LocationBatch) V2013 Answer::General, "Batch of location reports (定位数据批量上传).";
    0x8001 PLATFORM_RESPONSE "platform_response" PlatformResponse(GeneralResponse) V2011 Answer::None, "General response of the platform (平台通用应答).";
    0x8100 REGISTRATION_RESPONSE "registration_response" RegistrationResponse(RegistrationResponse) V2011 Answer::None, "Response to a registration (终端注册应答).";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use self::arbitrary::Choices;
    use super::*;

    fn arb_revision() -> impl Strategy<Value = Revision> {
        prop_oneof![
            Just(Revision::V2011),
            Just(Revision::V2013),
            Just(Revision::V2019)
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_096))]
        #[test]
        fn every_message_comes_back_as_it_was(
            revision in arb_revision(),
            choices in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let message: Message = Choices::new(choices).any(revision);
            let body = message.encode(revision).unwrap();
            let decoded = Message::decode(message.id(), body, revision);
            prop_assert_eq!(decoded.as_ref(), Ok(&message));
            // What the platform sends can be written as JSON, and comes back as it was.
            let id = message.id();
            match Message::from_json(id, message.to_json()) {
                Ok(again) => prop_assert_eq!(again.to_json(), message.to_json()),
                Err(error) => {
                    prop_assert!(!id.is_downlink(), "{id}: {error}");
                    prop_assert_eq!(error.problem, json::JsonProblem::UplinkOnly, "{}", id);
                }
            }
        }
    }

    #[test]
    fn each_line_of_the_table_is_told_apart() {
        for (index, id) in MessageId::ALL.iter().enumerate() {
            assert_ne!(id.name(), "other");
            let others = MessageId::ALL
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != index);
            assert!(
                others
                    .clone()
                    .all(|(_, other)| other != id && other.name() != id.name())
            );
        }
        assert_eq!(MessageId(0x0900).name(), "other");
    }

    #[test]
    fn the_direction_is_in_the_id() {
        for (id, is_downlink) in [
            (0x0001, false),
            (0x8001, true),
            (0x9101, true),
            (0xE001, false),
            (0xF001, true),
        ] {
            assert_eq!(MessageId(id).is_downlink(), is_downlink, "{id:04x}");
        }
    }

    #[test]
    fn a_message_without_a_layout_is_kept() {
        let body = Bytes::from_static(&[1, 2, 3]);
        let message = Message::decode(MessageId(0x0900), body.clone(), Revision::V2013).unwrap();
        assert_eq!(
            message,
            Message::Unknown {
                id: MessageId(0x0900),
                body: body.clone()
            }
        );
        assert_eq!(message.id(), MessageId(0x0900));
        assert_eq!(message.encode(Revision::V2013), Ok(body));
    }
}
