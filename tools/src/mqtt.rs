//! The terminal's end of MQTT 5: the few packets that a terminal sends and must understand, and
//! what its payloads look like. Written apart from the gateway's codec, for the reason given in
//! [`crate::wire`].
//!
//! ```text
//! packet:  kind and flags BYTE | length of the rest, 1 to 4 bytes of 7 bits | rest
//! PUBLISH: topic, length WORD in front | packet id WORD | properties (none: 00) | payload
//! PUBACK:  packet id WORD | reason BYTE, left out where it is 0 | properties
//! ```

mod client;
mod payload;
mod tunnel;

pub use self::{
    client::{Client, Message},
    payload::{answer, batch, fields, position},
    tunnel::Tunnel,
};

/// Says that the client is there.
pub const PING: [u8; 2] = [0xC0, 0];
/// Says goodbye: no will is left.
pub const DISCONNECT: [u8; 2] = [0xE0, 0];
/// What the gateway is told when the terminal is lost.
pub const WILL: &str = r#"{"type":"event","event":"offline"}"#;
/// The first reason code that is a refusal.
const FAILURE: u8 = 0x80;

/// What a terminal publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadKind {
    /// JSON on `up/json`.
    Json,
    /// JT/T 808 frames on `up/jt808`.
    Jt808,
}

/// The topic of a terminal; `leaf` is such as `up/json`.
#[must_use]
pub fn topic(phone: &str, leaf: &str) -> String {
    format!("gridtrace/terminals/{phone}/{leaf}")
}

/// Whether a PUBLISH that begins with this byte is something kept, sent to a newcomer.
#[must_use]
pub const fn is_retained(kind_and_flags: u8) -> bool {
    kind_and_flags & 0xF1 == 0x31
}

/// What the other side sends, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// CONNACK.
    Connected {
        /// 0, or why not.
        reason: u8,
    },
    /// PUBLISH of quality 0 or 1.
    Published {
        /// Where.
        topic: &'a [u8],
        /// Of quality 1: wants to be acknowledged.
        id: Option<u16>,
        /// What.
        payload: &'a [u8],
    },
    /// PUBACK.
    Acknowledged {
        /// Of the PUBLISH.
        id: u16,
        /// Below 0x80: taken.
        reason: u8,
    },
    /// SUBACK: the worst of its reasons.
    Subscribed {
        /// Below 0x80: granted.
        reason: u8,
    },
    /// DISCONNECT.
    Disconnected {
        /// Why.
        reason: u8,
    },
    /// PINGRESP and whatever else.
    Other,
}

/// Bytes that are no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what came is no MQTT packet")]
pub struct Malformed;

/// Whether a reason code means that it was not done.
#[must_use]
pub const fn is_refusal(reason: u8) -> bool {
    reason >= FAILURE
}

/// The first packet of the bytes and how many of them it takes; `None` while there is no whole one.
///
/// # Errors
/// When the bytes are no packets.
pub fn split(bytes: &[u8]) -> Result<Option<(Packet<'_>, usize)>, Malformed> {
    let Some((kind, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    let Some((length, behind)) = varint(rest)? else {
        return Ok(None);
    };
    let Some((body, _)) = behind.split_at_checked(length) else {
        return Ok(None);
    };
    let taken = bytes.len() - behind.len() + length;
    Ok(Some((read(*kind, body).ok_or(Malformed)?, taken)))
}

/// A number of up to four bytes and what is behind it; `None` while it is not whole.
fn varint(bytes: &[u8]) -> Result<Option<(usize, &[u8])>, Malformed> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, bytes.get(index + 1..).unwrap_or_default())));
        }
    }
    if bytes.len() >= 4 {
        return Err(Malformed);
    }
    Ok(None)
}

fn word(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (word, rest) = bytes.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*word), rest))
}

/// What is behind the properties.
fn behind_properties(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = varint(bytes).ok()??;
    rest.get(length..)
}

fn read(kind: u8, body: &[u8]) -> Option<Packet<'_>> {
    Some(match kind >> 4 {
        2 => Packet::Connected {
            reason: *body.get(1)?,
        },
        3 => {
            let (length, rest) = word(body)?;
            let (topic, mut rest) = rest.split_at_checked(usize::from(length))?;
            let mut id = None;
            if kind & 0b0110 != 0 {
                let (number, behind) = word(rest)?;
                id = Some(number);
                rest = behind;
            }
            let payload = behind_properties(rest)?;
            Packet::Published { topic, id, payload }
        }
        4 => {
            let (id, rest) = word(body)?;
            let reason = rest.first().copied().unwrap_or(0);
            Packet::Acknowledged { id, reason }
        }
        9 => {
            let reasons = behind_properties(word(body)?.1)?;
            let reason = reasons.iter().copied().max()?;
            Packet::Subscribed { reason }
        }
        14 => Packet::Disconnected {
            reason: body.first().copied().unwrap_or(0),
        },
        _ => Packet::Other,
    })
}

/// CONNECT of a new session without keep-alive, with [`WILL`] if asked for.
#[must_use]
pub fn connect(phone: &str, password: &[u8], leaves_will: bool) -> Vec<u8> {
    const CLEAN_START: u8 = 0x02;
    const WILL_OF_QUALITY_1: u8 = 0x0C;
    const NAME_AND_PASSWORD: u8 = 0xC0;
    let will = if leaves_will { WILL_OF_QUALITY_1 } else { 0 };
    let mut body = Vec::with_capacity(128);
    field(b"MQTT", &mut body);
    body.extend([5, NAME_AND_PASSWORD | CLEAN_START | will, 0, 0, 0]);
    field(phone.as_bytes(), &mut body);
    if leaves_will {
        body.push(0);
        field(topic(phone, "up/json").as_bytes(), &mut body);
        field(WILL.as_bytes(), &mut body);
    }
    field(phone.as_bytes(), &mut body);
    field(password, &mut body);
    packet(0x10, &[&body])
}

/// SUBSCRIBE to the filters, with quality 0.
#[must_use]
pub fn subscribe(id: u16, filters: &[String]) -> Vec<u8> {
    subscribe_with(id, filters, 0)
}

/// SUBSCRIBE to the filters. `quality`: 0 or 1.
#[must_use]
pub fn subscribe_with(id: u16, filters: &[String], quality: u8) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.push(0);
    for filter in filters {
        field(filter.as_bytes(), &mut body);
        body.push(quality);
    }
    packet(0x82, &[&body])
}

/// Appends a PUBLISH of quality 1. `id`: not 0.
pub fn publish(topic: &str, id: u16, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x32);
    length(2 + topic.len() + 2 + 1 + payload.len(), out);
    field(topic.as_bytes(), out);
    out.extend(id.to_be_bytes());
    out.push(0);
    out.extend(payload);
}

/// PUBACK with success.
#[must_use]
pub const fn acknowledge(id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [0x40, 2, high, low]
}

/// The packet id behind this one: 0 is none.
#[must_use]
pub const fn next_id(id: u16) -> u16 {
    match id.wrapping_add(1) {
        0 => 1,
        id => id,
    }
}

fn packet(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![kind];
    length(parts.iter().map(|part| part.len()).sum(), &mut out);
    parts.iter().for_each(|part| out.extend(*part));
    out
}

/// A field with its length; a longer one than 65,535 bytes is cut.
fn field(bytes: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend(length.to_be_bytes());
    out.extend(bytes.iter().take(usize::from(length)));
}

fn length(mut left: usize, out: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(left & 0x7F).unwrap_or(0);
        left >>= 7;
        out.push(if left > 0 { low | 0x80 } else { low });
        if left == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
