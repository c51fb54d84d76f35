//! The messages: one table, one file for each.
//!
//! A message is added by its file and its line in the table below. Fields stand in the order of
//! the wire and keep the wire's units; what they mean in our terms is decided one step later.

pub mod authentication;
pub mod deregistration;
pub mod general_response;
pub mod heartbeat;
pub mod location_batch;
pub mod location_report;
pub mod registration;
pub mod registration_response;

use std::fmt;

use bytes::Bytes;

use self::{
    authentication::Authentication, deregistration::Deregistration,
    general_response::GeneralResponse, heartbeat::Heartbeat, location_batch::LocationBatch,
    location_report::LocationReport, registration::Registration,
    registration_response::RegistrationResponse,
};
use super::Revision;
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// The body of a message.
pub trait Body: Sized {
    /// Reads the fields in wire order.
    ///
    /// # Errors
    /// When the body does not follow the layout.
    fn decode(reader: &mut Reader, revision: Revision) -> Result<Self, DecodeError>;

    /// Writes the fields in wire order.
    ///
    /// # Errors
    /// When a value has no room in its field.
    fn encode(&self, writer: &mut Writer, revision: Revision) -> Result<(), EncodeError>;
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

macro_rules! messages {
    ($($id:literal $constant:ident $name:literal $variant:ident($body:ty), $doc:literal;)*) => {
        impl MessageId {
            $(#[doc = $doc] pub const $constant: Self = Self($id);)*

            /// The ids that have a layout here.
            pub const ALL: &[Self] = &[$(Self::$constant),*];

            /// The word for a metric's label; `"other"` for ids without a layout here.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$constant => $name,)*
                    _ => "other",
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
                        Self::$variant(<$body>::decode(&mut Reader::new(body), revision)?)
                    })*
                    _ => Self::Unknown { id, body },
                })
            }

            /// The body.
            ///
            /// # Errors
            /// When a value has no room in its field.
            pub fn encode(&self, revision: Revision) -> Result<Bytes, EncodeError> {
                let mut writer = Writer::new();
                match self {
                    $(Self::$variant(body) => body.encode(&mut writer, revision)?,)*
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
        }
    };
}

messages! {
    0x0001 TERMINAL_RESPONSE "terminal_response" TerminalResponse(GeneralResponse), "General response of the terminal (终端通用应答).";
    0x0002 HEARTBEAT "heartbeat" Heartbeat(Heartbeat), "Heartbeat (终端心跳).";
    0x0003 DEREGISTRATION "deregistration" Deregistration(Deregistration), "Log-out (终端注销).";
    0x0100 REGISTRATION "registration" Registration(Registration), "Registration (终端注册).";
    0x0102 AUTHENTICATION "authentication" Authentication(Authentication), "Authentication (终端鉴权).";
    0x0200 LOCATION_REPORT "location_report" LocationReport(LocationReport), "Location report (位置信息汇报).";
    0x0704 LOCATION_BATCH "location_batch" LocationBatch(LocationBatch), "Batch of location reports (定位数据批量上传).";
    0x8001 PLATFORM_RESPONSE "platform_response" PlatformResponse(GeneralResponse), "General response of the platform (平台通用应答).";
    0x8100 REGISTRATION_RESPONSE "registration_response" RegistrationResponse(RegistrationResponse), "Response to a registration (终端注册应答).";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use self::{
        authentication::Device,
        location_report::{
            DeciKmh, Degrees, Meters, MicroDegrees,
            flags::{AlarmFlags, StatusFlags},
            items::Items,
        },
    };
    use super::*;
    use crate::wire::bcd::Gmt8Time;

    fn arb_bytes(
        length: impl Into<proptest::collection::SizeRange>,
    ) -> impl Strategy<Value = Bytes> {
        proptest::collection::vec(any::<u8>(), length).prop_map(Bytes::from)
    }

    fn arb_response() -> impl Strategy<Value = GeneralResponse> {
        (any::<(u16, u16, u8)>(), arb_bytes(0..4)).prop_map(|((serial, id, result), rest)| {
            GeneralResponse {
                rest,
                ..GeneralResponse::new(serial, MessageId(id), result)
            }
        })
    }

    fn arb_registration(revision: Revision) -> impl Strategy<Value = Registration> {
        let (manufacturer, model, terminal_id) = match revision {
            Revision::V2011 => (5, 8, 7),
            Revision::V2013 => (5, 20, 7),
            Revision::V2019 => (11, 30, 30),
        };
        let texts = (
            arb_bytes(manufacturer),
            arb_bytes(model),
            arb_bytes(terminal_id),
        );
        // A plate of 2011 that is longer makes the body as long as one of 2013.
        let plate = arb_bytes(0..=11);
        (any::<(u16, u16)>(), texts, 0_u8..10, plate).prop_map(
            move |((province, city), (manufacturer, model, terminal_id), plate_color, plate)| {
                let mut registration = Registration::new(revision);
                registration.province = province;
                registration.city = city;
                registration.manufacturer = manufacturer;
                registration.model = model;
                registration.terminal_id = terminal_id;
                registration.plate_color = plate_color;
                registration.plate = plate;
                registration
            },
        )
    }

    fn arb_report(revision: Revision) -> impl Strategy<Value = LocationReport> {
        let words = any::<(u32, u32, u32, u32)>();
        (words, any::<(u16, u16, u16, [u8; 6])>(), arb_bytes(0..60)).prop_map(
            move |(words, (altitude, speed, heading, time), items)| LocationReport {
                alarms: AlarmFlags(words.0),
                status: StatusFlags(words.1),
                latitude: MicroDegrees(words.2),
                longitude: MicroDegrees(words.3),
                altitude: Meters(altitude),
                speed: DeciKmh(speed),
                heading: Degrees(heading),
                time: Gmt8Time(time),
                items: Items::of(items, revision),
            },
        )
    }

    fn arb_message(revision: Revision) -> impl Strategy<Value = Message> {
        let device = (arb_bytes(15), arb_bytes(20), arb_bytes(0..4)).prop_map(
            |(imei, software_version, rest)| Device {
                imei,
                software_version,
                rest,
            },
        );
        let device = device.prop_map(move |device| (revision == Revision::V2019).then_some(device));
        let batch = (
            any::<u8>(),
            proptest::collection::vec(arb_report(revision), 0..4),
        );
        prop_oneof![
            arb_response().prop_map(Message::TerminalResponse),
            arb_response().prop_map(Message::PlatformResponse),
            arb_bytes(0..4).prop_map(|rest| Message::Heartbeat(Heartbeat { rest })),
            arb_bytes(0..4).prop_map(|rest| Message::Deregistration(Deregistration { rest })),
            arb_registration(revision).prop_map(Message::Registration),
            (any::<(u16, u8)>(), arb_bytes(0..30)).prop_map(
                |((answered_serial, result), auth_code)| {
                    Message::RegistrationResponse(RegistrationResponse {
                        answered_serial,
                        result,
                        auth_code,
                    })
                }
            ),
            (arb_bytes(0..40), device).prop_map(|(code, device)| Message::Authentication(
                Authentication { code, device }
            )),
            arb_report(revision).prop_map(Message::LocationReport),
            batch.prop_map(move |(batch_type, reports)| {
                Message::LocationBatch(LocationBatch::new(batch_type, reports, revision).unwrap())
            }),
        ]
    }

    fn arb_revision() -> impl Strategy<Value = Revision> {
        prop_oneof![
            Just(Revision::V2011),
            Just(Revision::V2013),
            Just(Revision::V2019)
        ]
    }

    proptest! {
        #[test]
        fn every_message_comes_back_as_it_was(
            (revision, message) in arb_revision()
                .prop_flat_map(|revision| (Just(revision), arb_message(revision))),
        ) {
            let body = message.encode(revision).unwrap();
            let decoded = Message::decode(message.id(), body, revision);
            prop_assert_eq!(decoded, Ok(message));
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
