//! Bytes to packets and back: the only file that knows the codec. Neither its reader of streams is
//! used (a packet's length is judged here, before anything of it is kept) nor its types outside.
//!
//! ```text
//! | type and flags BYTE | remaining length, 1 to 4 BYTES of 7 bits, low first | … |
//! ```

mod encode;

use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use mqtt_proto::{Error, Protocol, QoS, QosPid, v3, v5};

pub(super) use self::encode::{
    ConnectRefusal, Granted, Limits, PublishResult, connack, connack_refused, disconnect, pingresp,
    puback, publish, suback, unsuback,
};
pub(super) use mqtt_proto::v5::DisconnectReasonCode;

/// Bits of the remaining length in one of its bytes.
const LENGTH_BITS: u32 = 7;
const LENGTH_BYTES_MAX: usize = 4;

/// The versions that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// 3.1.1
    V3,
    /// 5
    V5,
}

/// Why bytes are no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// Longer than allowed.
    Oversize,
    /// Not as the standard says.
    Malformed,
    /// A CONNECT of a version that is not spoken.
    Version,
}

/// The next whole packet of a buffer. `None` where more must come.
pub(super) fn take(buffer: &mut BytesMut, bytes_max: usize) -> Result<Option<Bytes>, Bad> {
    let mut remaining = 0_usize;
    let mut length_bytes = 0;
    let mut is_complete = false;
    for byte in buffer.iter().skip(1).take(LENGTH_BYTES_MAX) {
        remaining |= usize::from(byte & 0x7F) << (LENGTH_BITS * length_bytes);
        length_bytes += 1;
        if byte & 0x80 == 0 {
            is_complete = true;
            break;
        }
    }
    let header_bytes = 1 + length_bytes as usize;
    if !is_complete {
        let is_too_long = length_bytes as usize >= LENGTH_BYTES_MAX;
        return if is_too_long {
            Err(Bad::Malformed)
        } else {
            Ok(None)
        };
    }
    let total = header_bytes + remaining;
    if total > bytes_max {
        return Err(Bad::Oversize);
    }
    Ok((buffer.remaining() >= total).then(|| buffer.split_to(total).freeze()))
}

/// What a client wants to leave when it is lost.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Will {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    pub(super) is_exactly_once: bool,
    pub(super) is_retained: bool,
}

/// CONNECT. No `Debug`: it holds a password.
pub(super) struct Connect {
    pub(super) version: Version,
    pub(super) client_id: Arc<str>,
    pub(super) user_name: Option<Arc<str>>,
    pub(super) password: Option<Bytes>,
    /// Seconds; 0 is none.
    pub(super) keep_alive_s: u16,
    pub(super) will: Option<Will>,
    /// Publishes that may wait for the client.
    pub(super) receive_max: u16,
    /// The longest packet that it takes.
    pub(super) packet_bytes_max: usize,
    /// It wants another way of authentication than a password.
    pub(super) wants_exchange: bool,
}

/// What a newcomer gets of what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Always,
    /// Only where the filter was not subscribed to before.
    IfNew,
    Never,
}

/// How a client wants what a filter matches. Version 3.1.1 knows the quality alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) is_acknowledged: bool,
    /// Messages that are kept for newcomers say so also when they are news.
    pub(super) is_as_published: bool,
    pub(super) kept: Kept,
}

impl Wish {
    const fn of_3(qos: QoS) -> Self {
        Self {
            is_acknowledged: !matches!(qos, QoS::Level0),
            is_as_published: false,
            kept: Kept::Always,
        }
    }

    /// "No local" has no meaning here: nobody gets what clients publish.
    const fn of_5(options: v5::SubscriptionOptions) -> Self {
        Self {
            is_acknowledged: !matches!(options.max_qos, QoS::Level0),
            is_as_published: options.retain_as_published,
            kept: match options.retain_handling {
                v5::RetainHandling::SendAtSubscribe => Kept::Always,
                v5::RetainHandling::SendAtSubscribeIfNotExist => Kept::IfNew,
                v5::RetainHandling::DoNotSend => Kept::Never,
            },
        }
    }
}

/// Everything else that a client may send.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    Publish(Publish),
    Puback(u16),
    Subscribe {
        pid: u16,
        filters: Vec<(String, Wish)>,
        has_identifier: bool,
    },
    Unsubscribe {
        pid: u16,
        filters: Vec<String>,
    },
    Ping,
    Disconnect {
        leaves_will: bool,
    },
    /// Nothing that a client of ours has to send.
    Unexpected,
}

impl Incoming {
    /// The label.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Publish(_) => "publish",
            Self::Puback(_) => "puback",
            Self::Subscribe { .. } => "subscribe",
            Self::Unsubscribe { .. } => "unsubscribe",
            Self::Ping => "pingreq",
            Self::Disconnect { .. } => "disconnect",
            Self::Unexpected => "other",
        }
    }
}

/// PUBLISH.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Publish {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    /// None of quality 0.
    pub(super) pid: Option<u16>,
    pub(super) is_exactly_once: bool,
    pub(super) is_retained: bool,
    pub(super) has_alias: bool,
}

/// Reads the first packet of a connection.
pub(super) fn connect(packet: &[u8]) -> Result<Connect, Bad> {
    match v3::Packet::decode(packet) {
        Ok(Some(v3::Packet::Connect(connect))) if connect.protocol == Protocol::V311 => {
            let whole = v3::Packet::Connect(connect.clone());
            if whole.encode_len() != Ok(packet.len()) {
                return Err(Bad::Malformed);
            }
            let will = connect.last_will.map(|will| Will {
                topic: will.topic_name.to_string(),
                payload: will.message,
                is_exactly_once: will.qos == QoS::Level2,
                is_retained: will.retain,
            });
            Ok(Connect {
                version: Version::V3,
                client_id: connect.client_id,
                user_name: connect.username,
                password: connect.password,
                keep_alive_s: connect.keep_alive,
                will,
                receive_max: u16::MAX,
                packet_bytes_max: usize::MAX,
                wants_exchange: false,
            })
        }
        Ok(Some(v3::Packet::Connect(_))) | Err(Error::InvalidProtocol(..)) => Err(Bad::Version),
        Err(Error::UnexpectedProtocol(Protocol::V500)) => connect_of_5(packet),
        _ => Err(Bad::Malformed),
    }
}

fn connect_of_5(packet: &[u8]) -> Result<Connect, Bad> {
    let Ok(Some(v5::Packet::Connect(connect))) = v5::Packet::decode(packet) else {
        return Err(Bad::Malformed);
    };
    let whole = v5::Packet::Connect(connect.clone());
    let receive_max = connect.properties.receive_max.unwrap_or(u16::MAX);
    let packet_bytes_max = connect.properties.max_packet_size.unwrap_or(u32::MAX);
    if whole.encode_len() != Ok(packet.len()) || receive_max == 0 || packet_bytes_max == 0 {
        return Err(Bad::Malformed);
    }
    let will = connect.last_will.map(|will| Will {
        topic: will.topic_name.to_string(),
        payload: will.payload,
        is_exactly_once: will.qos == QoS::Level2,
        is_retained: will.retain,
    });
    Ok(Connect {
        version: Version::V5,
        client_id: connect.client_id,
        user_name: connect.username,
        password: connect.password,
        keep_alive_s: connect.keep_alive,
        will,
        receive_max,
        packet_bytes_max: usize::try_from(packet_bytes_max).unwrap_or(usize::MAX),
        wants_exchange: connect.properties.auth_method.is_some(),
    })
}

/// Reads a packet after the CONNECT.
pub(super) fn decode(version: Version, packet: &[u8]) -> Result<Incoming, Bad> {
    match version {
        Version::V3 => match v3::Packet::decode(packet) {
            Ok(Some(decoded)) if decoded.encode_len() == Ok(packet.len()) => Ok(of_3(decoded)),
            _ => Err(Bad::Malformed),
        },
        Version::V5 => match v5::Packet::decode(packet) {
            Ok(Some(decoded)) => Ok(of_5(decoded)),
            _ => Err(Bad::Malformed),
        },
    }
}

fn of_3(packet: v3::Packet) -> Incoming {
    match packet {
        v3::Packet::Publish(publish) => Incoming::Publish(Publish {
            topic: publish.topic_name.to_string(),
            payload: publish.payload,
            pid: publish.qos_pid.pid().map(mqtt_proto::Pid::value),
            is_exactly_once: matches!(publish.qos_pid, QosPid::Level2(_)),
            is_retained: publish.retain,
            has_alias: false,
        }),
        v3::Packet::Puback(pid) => Incoming::Puback(pid.value()),
        v3::Packet::Subscribe(subscribe) => Incoming::Subscribe {
            pid: subscribe.pid.value(),
            filters: subscribe
                .topics
                .iter()
                .map(|(filter, qos)| (filter.to_string(), Wish::of_3(*qos)))
                .collect(),
            has_identifier: false,
        },
        v3::Packet::Unsubscribe(unsubscribe) => Incoming::Unsubscribe {
            pid: unsubscribe.pid.value(),
            filters: unsubscribe.topics.iter().map(ToString::to_string).collect(),
        },
        v3::Packet::Pingreq => Incoming::Ping,
        v3::Packet::Disconnect => Incoming::Disconnect { leaves_will: false },
        _ => Incoming::Unexpected,
    }
}

fn of_5(packet: v5::Packet) -> Incoming {
    match packet {
        v5::Packet::Publish(publish) => Incoming::Publish(Publish {
            topic: publish.topic_name.to_string(),
            payload: publish.payload,
            pid: publish.qos_pid.pid().map(mqtt_proto::Pid::value),
            is_exactly_once: matches!(publish.qos_pid, QosPid::Level2(_)),
            is_retained: publish.retain,
            has_alias: publish.properties.topic_alias.is_some(),
        }),
        v5::Packet::Puback(puback) => Incoming::Puback(puback.pid.value()),
        v5::Packet::Subscribe(subscribe) => Incoming::Subscribe {
            pid: subscribe.pid.value(),
            filters: subscribe
                .topics
                .iter()
                .map(|(filter, options)| (filter.to_string(), Wish::of_5(*options)))
                .collect(),
            has_identifier: subscribe.properties.subscription_id.is_some(),
        },
        v5::Packet::Unsubscribe(unsubscribe) => Incoming::Unsubscribe {
            pid: unsubscribe.pid.value(),
            filters: unsubscribe.topics.iter().map(ToString::to_string).collect(),
        },
        v5::Packet::Pingreq => Incoming::Ping,
        v5::Packet::Disconnect(disconnect) => Incoming::Disconnect {
            leaves_will: disconnect.reason_code == DisconnectReasonCode::DisconnectWithWillMessage,
        },
        _ => Incoming::Unexpected,
    }
}

#[cfg(test)]
mod tests;
