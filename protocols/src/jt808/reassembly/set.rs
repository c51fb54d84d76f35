//! One message in the making.
//!
//! ```text
//! number    1    2    3    4    5    6    7
//!         ┌──────────────┐         ┌────┐
//!         │ joined       │ missing │wait│ missing
//!         └──────────────┘         └────┘
//! ```
//!
//! What came without a gap lies in one buffer, where each next packet is copied to once. What came
//! too early waits apart, and is moved when the gap closes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    AskBy, Joined, MissingPackets, Refusal,
    limits::{Charge, ReassemblyLimits, ReassemblyPool, Room},
};
use crate::jt808::{
    header::{Header, HeaderForm, PacketItem, TerminalPhone},
    message::MessageId,
};

/// 0x0801, whose first packet begins with the media id as a DWORD.
pub(super) const MULTIMEDIA_DATA: MessageId = MessageId(0x0801);

/// Numbers that one 0x8003 holds: its count was a BYTE before 2019, and since then its body ends
/// before the WORD does.
const ASKED_MAX_2013: usize = 255;
const ASKED_MAX_2019: usize = 509;
/// Numbers that one 0x8800 holds.
const ASKED_MAX_MEDIA: usize = 125;

/// A set with nothing in it, its part of the list of sets and the first node of its map included.
const SET_BYTES: usize = size_of::<Set>() + 256;
/// A packet in the buffer: where it ends.
const JOINED_PACKET_BYTES: usize = 8;
/// A packet that waits: its part of the map, and what an allocation costs.
const WAITING_PACKET_BYTES: usize = 80;

/// Which set a packet belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) phone: TerminalPhone,
    pub(super) message_id: MessageId,
    pub(super) first_serial: u16,
    pub(super) total: u16,
}

impl Key {
    /// Packets of a message have consecutive serial numbers, so each knows that of the first.
    pub(super) const fn of(header: &Header, item: PacketItem) -> Self {
        Self {
            phone: header.phone,
            message_id: header.message_id,
            first_serial: header.serial.wrapping_sub(item.number.wrapping_sub(1)),
            total: item.total,
        }
    }
}

#[derive(Debug)]
pub(super) struct Set {
    pub(super) key: Key,
    /// The header of packet 1 as soon as it is there, of any packet until then.
    pub(super) header: Header,
    joined: Vec<u8>,
    /// Where the packets of `joined` end.
    ends: Vec<u32>,
    waiting: BTreeMap<u16, Box<[u8]>>,
    waiting_bytes: usize,
    /// Bytes of `joined` that were made room for and drawn.
    reserved: usize,
    charge: Charge,
    opened_at: Duration,
    heard_at: Duration,
    asked_at: Duration,
    /// Requests since the last packet.
    requests: u8,
    /// Whether the last of them was a 0x8800.
    was_media_asked: bool,
    /// The highest number that was ever asked for.
    asked_to: u16,
}

impl Set {
    /// An empty set, opened by a packet that is added next.
    pub(super) fn open(
        pool: &Arc<ReassemblyPool>,
        key: Key,
        header: Header,
        now: Duration,
        room: &mut Room,
    ) -> Result<Self, Refusal> {
        let mut charge = Charge::open(pool);
        charge.take(SET_BYTES, room)?;
        Ok(Self {
            key,
            header,
            joined: Vec::new(),
            ends: Vec::new(),
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            reserved: 0,
            charge,
            opened_at: now,
            heard_at: now,
            asked_at: now,
            requests: 0,
            was_media_asked: false,
            asked_to: 0,
        })
    }

    /// Memory drawn, in bytes.
    pub(super) const fn memory(&self) -> usize {
        self.charge.bytes()
    }

    /// Bytes of the body that are there.
    pub(super) const fn body_bytes(&self) -> usize {
        self.joined.len() + self.waiting_bytes
    }

    /// Packets that are there.
    pub(super) fn arrived(&self) -> u16 {
        u16::try_from(self.ends.len() + self.waiting.len()).unwrap_or(u16::MAX)
    }

    /// Packets that are not.
    pub(super) fn missing(&self) -> u16 {
        self.key.total.saturating_sub(self.arrived())
    }

    /// The body of a packet that is there.
    pub(super) fn stored(&self, number: u16) -> Option<&[u8]> {
        let index = usize::from(number).checked_sub(1)?;
        let Some(end) = self.ends.get(index) else {
            return self.waiting.get(&number).map(|body| &**body);
        };
        let before = index.checked_sub(1).and_then(|i| self.ends.get(i));
        let start = before.map_or(0, |end| *end as usize);
        self.joined.get(start..*end as usize)
    }

    /// Whether a packet that is not of this set by its serial number may be one that was sent again
    /// under a new one: it was asked for, and is missing or the same.
    pub(super) fn may_be_sent_again(&self, key: &Key, number: u16, body: &[u8]) -> bool {
        let other = Key {
            first_serial: self.key.first_serial,
            ..*key
        };
        self.key == other
            && number <= self.asked_to
            && self.stored(number).is_none_or(|stored| stored == body)
    }

    pub(super) fn hear(&mut self, now: Duration) {
        self.heard_at = self.heard_at.max(now);
    }

    /// Adds a packet that is missing and not the last one that is.
    pub(super) fn add(
        &mut self,
        header: &Header,
        number: u16,
        body: &[u8],
        room: &mut Room,
    ) -> Result<(), Refusal> {
        if usize::from(number) == self.ends.len() + 1 {
            self.append(body, room)?;
            self.append_waiting(room);
        } else {
            self.charge.take(body.len() + WAITING_PACKET_BYTES, room)?;
            self.waiting.insert(number, body.into());
            self.waiting_bytes += body.len();
        }
        if number == 1 {
            self.header = *header;
        }
        self.requests = 0;
        Ok(())
    }

    fn append(&mut self, body: &[u8], room: &mut Room) -> Result<(), Refusal> {
        let bytes = self.joined.len() + body.len();
        let end = u32::try_from(bytes).map_err(|_| Refusal::SetTooLarge {
            bytes,
            bytes_max: u32::MAX as usize,
        })?;
        if bytes > self.reserved {
            // Room for half as much again, so that bytes are seldom moved; where that is too much,
            // for no more than what came.
            let roomy = bytes.max(self.reserved + self.reserved / 2);
            let drawn = self.charge.take(roomy - self.reserved, room);
            let reserved = match drawn {
                Ok(()) => roomy,
                Err(_) => {
                    self.charge.take(bytes - self.reserved, room)?;
                    bytes
                }
            };
            self.joined.reserve_exact(reserved - self.joined.len());
            self.reserved = reserved;
        }
        self.charge.take(JOINED_PACKET_BYTES, room)?;
        self.joined.extend_from_slice(body);
        self.ends.push(end);
        Ok(())
    }

    /// Moves the packets behind a gap that closed. Where there is no room for that, they go on
    /// waiting: the message is joined nevertheless.
    fn append_waiting(&mut self, room: &mut Room) {
        while let Some((&number, _)) = self.waiting.first_key_value()
            && usize::from(number) == self.ends.len() + 1
            && let Some(body) = self.waiting.remove(&number)
        {
            if self.append(&body, room).is_err() {
                self.waiting.insert(number, body);
                return;
            }
            self.waiting_bytes -= body.len();
            self.charge
                .give_back(body.len() + WAITING_PACKET_BYTES, room);
        }
    }

    /// The message, with the only packet that was missing. It is the caller's, and on no account.
    pub(super) fn complete(mut self, header: &Header, number: u16, body: &[u8]) -> Joined {
        self.joined
            .reserve_exact(self.waiting_bytes.saturating_add(body.len()));
        let before = self.waiting.range(..number);
        let behind = self.waiting.range(number..);
        before.for_each(|(_, waiting)| self.joined.extend_from_slice(waiting));
        self.joined.extend_from_slice(body);
        behind.for_each(|(_, waiting)| self.joined.extend_from_slice(waiting));
        Joined {
            header: if number == 1 { *header } else { self.header },
            body: self.joined.into(),
            first_serial: self.key.first_serial,
            total: self.key.total,
        }
    }

    /// What is there without a gap, from packet 1 on; empty without it.
    pub(super) fn into_prefix(mut self) -> (u16, Bytes) {
        for (&number, body) in &self.waiting {
            if usize::from(number) != self.ends.len() + 1 {
                break;
            }
            self.joined.extend_from_slice(body);
            self.ends.push(0);
        }
        let packets = u16::try_from(self.ends.len()).unwrap_or(u16::MAX);
        (packets, self.joined.into())
    }

    /// When the set is given up, and whether for its age.
    pub(super) fn expires_at(&self, limits: &ReassemblyLimits) -> (Duration, bool) {
        let lifetime = if self.key.message_id == MULTIMEDIA_DATA {
            limits.media_lifetime
        } else {
            limits.lifetime
        };
        let silent_at = self.heard_at.saturating_add(lifetime);
        let old_at = self.opened_at.saturating_add(limits.age_max);
        (silent_at.min(old_at), old_at <= silent_at)
    }

    /// When missing packets are asked for; `None` when that was tried often enough.
    pub(super) fn asks_at(&self, limits: &ReassemblyLimits) -> Option<Duration> {
        let since = self.heard_at.max(self.asked_at);
        (self.requests < limits.requests_max).then(|| since.saturating_add(limits.idle_timeout))
    }

    /// Asks for what is missing, or as many of it as one message holds.
    pub(super) fn ask(&mut self, now: Duration) -> MissingPackets {
        // A terminal that was silent to a 0x8800 may know 0x8003.
        let is_unanswered = self.requests > 0 && self.was_media_asked;
        let media_id = self.media_id().filter(|_| !is_unanswered);
        let by = media_id.map_or(AskBy::Retransmission, AskBy::MultimediaResponse);
        let count_max = match (by, self.key.phone.form()) {
            (AskBy::MultimediaResponse(_), _) => ASKED_MAX_MEDIA,
            (AskBy::Retransmission, HeaderForm::Form2013) => ASKED_MAX_2013,
            (AskBy::Retransmission, HeaderForm::Form2019) => ASKED_MAX_2019,
        };
        let joined = u16::try_from(self.ends.len()).unwrap_or(u16::MAX);
        let numbers: Vec<u16> = (joined.saturating_add(1)..=self.key.total)
            .filter(|number| !self.waiting.contains_key(number))
            .take(count_max)
            .collect();
        self.asked_to = self.asked_to.max(numbers.last().copied().unwrap_or(0));
        self.asked_at = now;
        self.requests = self.requests.saturating_add(1);
        self.was_media_asked = media_id.is_some();
        MissingPackets {
            header: self.header,
            first_serial: self.key.first_serial,
            total: self.key.total,
            numbers,
            by,
            attempt: self.requests,
        }
    }

    fn media_id(&self) -> Option<u32> {
        let is_media = self.key.message_id == MULTIMEDIA_DATA;
        let id = self.stored(1).filter(|_| is_media)?.first_chunk()?;
        Some(u32::from_be_bytes(*id))
    }
}
