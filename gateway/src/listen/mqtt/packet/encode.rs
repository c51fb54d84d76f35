//! What the gateway sends.

use bytes::Bytes;
use mqtt_proto::{Pid, QoS, QosPid, TopicName, VarBytes, v3, v5};

use super::Version;

/// Why a CONNECT is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::listen::mqtt) enum ConnectRefusal {
    /// A version that is not spoken.
    Version,
    /// The client id is not the user name, or no phone number.
    Identifier,
    /// No password, or a wrong one.
    Credential,
    /// Too many wrong ones in a minute, or the session goes to and fro.
    TooMany,
    /// The will is for a topic of others.
    Will,
    /// The will is to be retained.
    RetainedWill,
    /// The will is to come exactly once.
    ExactlyOnce,
    /// Another way of authentication.
    Exchange,
}

impl ConnectRefusal {
    /// The label.
    pub(in crate::listen::mqtt) const fn as_str(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Identifier => "identifier",
            Self::Credential => "credential",
            Self::TooMany => "too_many",
            Self::Will => "will",
            Self::RetainedWill => "retained_will",
            Self::ExactlyOnce => "qos2",
            Self::Exchange => "exchange",
        }
    }

    const fn of_3(self) -> v3::ConnectReturnCode {
        match self {
            Self::Version => v3::ConnectReturnCode::UnacceptableProtocolVersion,
            Self::Identifier => v3::ConnectReturnCode::IdentifierRejected,
            Self::Credential | Self::Exchange => v3::ConnectReturnCode::BadUserNameOrPassword,
            Self::TooMany => v3::ConnectReturnCode::ServerUnavailable,
            Self::Will | Self::RetainedWill | Self::ExactlyOnce => {
                v3::ConnectReturnCode::NotAuthorized
            }
        }
    }

    const fn of_5(self) -> v5::ConnectReasonCode {
        match self {
            Self::Version => v5::ConnectReasonCode::UnsupportedProtocolVersion,
            Self::Identifier => v5::ConnectReasonCode::ClientIdentifierNotValid,
            Self::Credential => v5::ConnectReasonCode::BadUserNameOrPassword,
            Self::TooMany => v5::ConnectReasonCode::ConnectionRateExceeded,
            Self::Will => v5::ConnectReasonCode::NotAuthorized,
            Self::RetainedWill => v5::ConnectReasonCode::RetainNotSupported,
            Self::ExactlyOnce => v5::ConnectReasonCode::QoSNotSupported,
            Self::Exchange => v5::ConnectReasonCode::BadAuthMethod,
        }
    }
}

/// What a client of version 5 is told.
#[derive(Clone, Copy, Debug)]
pub(in crate::listen::mqtt) struct Limits {
    pub(in crate::listen::mqtt) receive_max: u16,
    pub(in crate::listen::mqtt) packet_bytes_max: u32,
    /// Seconds; set where it is not what the client asked for.
    pub(in crate::listen::mqtt) keep_alive_s: Option<u16>,
    /// It may get messages that were retained.
    pub(in crate::listen::mqtt) has_retained: bool,
}

/// What became of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::listen::mqtt) enum PublishResult {
    Taken,
    NotAllowed,
    /// The payload is not of the schema.
    BadPayload,
}

/// What became of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::listen::mqtt) enum Granted {
    Plain,
    Acknowledged,
    NotAllowed,
    TooMany,
    Shared,
}

impl Granted {
    /// The label.
    pub(in crate::listen::mqtt) const fn as_str(self) -> &'static str {
        match self {
            Self::Plain | Self::Acknowledged => "granted",
            Self::NotAllowed => "not_allowed",
            Self::TooMany => "too_many",
            Self::Shared => "shared",
        }
    }
}

pub(in crate::listen::mqtt) fn connack(version: Version, limits: &Limits) -> Vec<u8> {
    match version {
        Version::V3 => of_3(&v3::Packet::Connack(v3::Connack::new(
            false,
            v3::ConnectReturnCode::Accepted,
        ))),
        Version::V5 => {
            let mut connack = v5::Connack::new(false, v5::ConnectReasonCode::Success);
            let properties = &mut connack.properties;
            properties.session_expiry_interval = Some(0);
            properties.receive_max = Some(limits.receive_max);
            properties.max_qos = Some(QoS::Level1);
            properties.retain_available = Some(limits.has_retained);
            properties.max_packet_size = Some(limits.packet_bytes_max);
            properties.subscription_id_available = Some(false);
            properties.shared_subscription_available = Some(false);
            properties.server_keep_alive = limits.keep_alive_s;
            of_5(&v5::Packet::Connack(connack))
        }
    }
}

pub(in crate::listen::mqtt) fn connack_refused(
    version: Version,
    refusal: ConnectRefusal,
) -> Vec<u8> {
    match version {
        Version::V3 => of_3(&v3::Packet::Connack(v3::Connack::new(
            false,
            refusal.of_3(),
        ))),
        Version::V5 => of_5(&v5::Packet::Connack(v5::Connack::new(
            false,
            refusal.of_5(),
        ))),
    }
}

/// Version 3.1.1 has no word for what was not taken.
pub(in crate::listen::mqtt) fn puback(
    version: Version,
    pid: u16,
    result: PublishResult,
) -> Vec<u8> {
    let Ok(pid) = Pid::try_from(pid) else {
        return Vec::new();
    };
    match version {
        Version::V3 => of_3(&v3::Packet::Puback(pid)),
        Version::V5 => {
            let reason = match result {
                PublishResult::Taken => v5::PubackReasonCode::Success,
                PublishResult::NotAllowed => v5::PubackReasonCode::NotAuthorized,
                PublishResult::BadPayload => v5::PubackReasonCode::PayloadFormatInvalid,
            };
            of_5(&v5::Packet::Puback(v5::Puback::new(pid, reason)))
        }
    }
}

pub(in crate::listen::mqtt) fn suback(version: Version, pid: u16, granted: &[Granted]) -> Vec<u8> {
    let Ok(pid) = Pid::try_from(pid) else {
        return Vec::new();
    };
    match version {
        Version::V3 => {
            let codes = granted.iter().map(|granted| match granted {
                Granted::Plain => v3::SubscribeReturnCode::MaxLevel0,
                Granted::Acknowledged => v3::SubscribeReturnCode::MaxLevel1,
                _ => v3::SubscribeReturnCode::Failure,
            });
            let codes = codes.collect();
            // The codec writes the number of the variant, which for a refusal is 3.
            let mut packet = of_3(&v3::Packet::Suback(v3::Suback::new(pid, codes)));
            let places = packet.iter_mut().rev().zip(granted.iter().rev());
            for (place, granted) in places {
                if !matches!(granted, Granted::Plain | Granted::Acknowledged) {
                    *place = 0x80;
                }
            }
            packet
        }
        Version::V5 => {
            let codes = granted.iter().map(|granted| match granted {
                Granted::Plain => v5::SubscribeReasonCode::GrantedQoS0,
                Granted::Acknowledged => v5::SubscribeReasonCode::GrantedQoS1,
                Granted::NotAllowed => v5::SubscribeReasonCode::NotAuthorized,
                Granted::TooMany => v5::SubscribeReasonCode::QuotaExceeded,
                Granted::Shared => v5::SubscribeReasonCode::SharedSubscriptionNotSupported,
            });
            of_5(&v5::Packet::Suback(v5::Suback::new(pid, codes.collect())))
        }
    }
}

/// `were_there` says of each filter whether it was subscribed to.
pub(in crate::listen::mqtt) fn unsuback(
    version: Version,
    pid: u16,
    were_there: &[bool],
) -> Vec<u8> {
    let Ok(pid) = Pid::try_from(pid) else {
        return Vec::new();
    };
    match version {
        Version::V3 => of_3(&v3::Packet::Unsuback(pid)),
        Version::V5 => {
            let codes = were_there.iter().map(|was_there| match was_there {
                true => v5::UnsubscribeReasonCode::Success,
                false => v5::UnsubscribeReasonCode::NoSubscriptionExisted,
            });
            of_5(&v5::Packet::Unsuback(v5::Unsuback::new(
                pid,
                codes.collect(),
            )))
        }
    }
}

/// A message for the client; one with a `pid` is to be acknowledged.
pub(in crate::listen::mqtt) fn publish(
    version: Version,
    topic: &str,
    payload: Bytes,
    pid: Option<u16>,
    is_retained: bool,
) -> Vec<u8> {
    let Ok(topic) = TopicName::try_from(topic) else {
        return Vec::new();
    };
    let pid = pid.and_then(|pid| Pid::try_from(pid).ok());
    let qos = pid.map_or(QosPid::Level0, QosPid::Level1);
    match version {
        Version::V3 => {
            let mut publish = v3::Publish::new(qos, topic, payload);
            publish.retain = is_retained;
            of_3(&v3::Packet::Publish(publish))
        }
        Version::V5 => {
            let mut publish = v5::Publish::new(qos, topic, payload);
            publish.retain = is_retained;
            of_5(&v5::Packet::Publish(publish))
        }
    }
}

pub(in crate::listen::mqtt) fn pingresp() -> Vec<u8> {
    of_3(&v3::Packet::Pingresp)
}

/// Version 5 alone says goodbye.
pub(in crate::listen::mqtt) fn disconnect(reason: v5::DisconnectReasonCode) -> Vec<u8> {
    of_5(&v5::Packet::Disconnect(v5::Disconnect::new(reason)))
}

/// Packets of ours are short; silence is the safe answer to what cannot happen.
fn bytes(encoded: Result<VarBytes, mqtt_proto::Error>) -> Vec<u8> {
    encoded.map_or_else(
        |error| {
            tracing::error!(%error, "a packet cannot be written");
            Vec::new()
        },
        |bytes| bytes.as_ref().to_vec(),
    )
}

fn of_3(packet: &v3::Packet) -> Vec<u8> {
    bytes(packet.encode())
}

fn of_5(packet: &v5::Packet) -> Vec<u8> {
    bytes(packet.encode())
}
