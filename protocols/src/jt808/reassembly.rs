//! Joins the packets (分包) of a message that is longer than one frame.
//!
//! Each packet has a header of its own with a packet item: how many there are, and which one this
//! is. Their serial numbers are consecutive. A set is therefore known by the terminal's phone
//! number, the message id, the serial number of packet 1 and the total, and packets come in any
//! order. A terminal that sends a packet again should send it unchanged; some give it a new serial
//! number. Such a packet is taken for one of a set only where that set had asked for it and no
//! other had: otherwise the packets of two uploads of the same length could not be told apart.
//!
//! - **Memory** follows what came, never what a header claims. Bodies are copied, one time for a
//!   packet in its order: a slice would keep the whole read buffer, some 64 KiB, for a packet of a
//!   few bytes, and the joined body has to be one piece anyhow.
//! - **Idle** is free: a [`Reassembler`] without sets is two words.
//! - **Time** is an argument: the time since any fixed moment, which never runs backwards.
//! - **Encrypted** packets are decrypted one by one before they come here, as terminals encrypt
//!   each on its own.
//!
//! Each packet is answered on its own by the caller, with the packet's serial number: repeated ones
//! again, refused ones with a result that says so.

mod limits;
mod outcome;
mod set;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;

use self::{
    limits::Room,
    set::{Key, MULTIMEDIA_DATA, Set},
};
pub use self::{
    limits::{ReassemblyLimits, ReassemblyPool},
    outcome::{
        Action, AskBy, GiveUpCause, Incomplete, Joined, MissingPackets, Outcome, Prefix, Refusal,
    },
};
use super::header::{Header, PacketItem, TerminalPhone};

/// Joins the packets of the terminals of one connection.
#[derive(Debug)]
pub struct Reassembler {
    pool: Arc<ReassemblyPool>,
    pending: Option<Box<Pending>>,
}

impl Reassembler {
    /// Without any packet; draws from `pool` when the first one comes.
    #[must_use]
    pub const fn new(pool: Arc<ReassemblyPool>) -> Self {
        Self {
            pool,
            pending: None,
        }
    }

    /// Takes a packet. A header without a packet item, or with a total of 1, is a whole message.
    pub fn accept(&mut self, header: &Header, body: &Bytes, now: Duration) -> Outcome {
        let is_whole = |item: &PacketItem| item.total == 1 && item.number == 1;
        let Some(item) = header.packet.filter(|item| !is_whole(item)) else {
            return Outcome::Complete(Joined {
                header: *header,
                body: body.clone(),
                first_serial: header.serial,
                total: 1,
            });
        };
        if let Err(refusal) = check(item, body, self.pool.limits()) {
            return Outcome::Refused(refusal);
        }
        let pending = self.pending.get_or_insert_default();
        let outcome = pending.accept(&self.pool, header, item, body, now);
        self.rest_if_idle();
        outcome.unwrap_or_else(Outcome::Refused)
    }

    /// When [`on_time`](Self::on_time) has something to do next. A packet changes it.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let limits = self.pool.limits();
        let pending = self.pending.as_deref()?;
        let sets = pending.sets.iter().map(|set| {
            let (expires_at, _) = set.expires_at(limits);
            set.asks_at(limits)
                .map_or(expires_at, |asks_at| asks_at.min(expires_at))
        });
        let finished = pending.finished.front().map(|set| set.forget_at);
        sets.chain(finished).min()
    }

    /// What is due: requests for missing packets, and messages that are given up.
    pub fn on_time(&mut self, now: Duration) -> Vec<Action> {
        let limits = self.pool.limits();
        let Some(pending) = self.pending.as_deref_mut() else {
            return Vec::new();
        };
        let mut actions = Vec::new();
        let is_due = |set: &mut Set| set.expires_at(limits).0 <= now;
        for set in pending.sets.extract_if(.., is_due) {
            let (_, is_old) = set.expires_at(limits);
            let cause = if is_old {
                GiveUpCause::Old
            } else {
                GiveUpCause::Silent
            };
            actions.push(Action::GiveUp(give_up(set, cause)));
        }
        for set in &mut pending.sets {
            if set.asks_at(limits).is_some_and(|at| at <= now) {
                actions.push(Action::Ask(set.ask(now)));
            }
        }
        pending.forget(now);
        self.rest_if_idle();
        actions
    }

    /// Gives up all that is incomplete, since no more packets will come.
    pub fn close(&mut self) -> Vec<Incomplete> {
        let pending = self.pending.take();
        let sets = pending.map(|pending| pending.sets).unwrap_or_default();
        sets.into_iter()
            .map(|set| give_up(set, GiveUpCause::Closed))
            .collect()
    }

    /// Sets that are incomplete.
    #[must_use]
    pub fn sets_pending(&self) -> usize {
        self.pending
            .as_ref()
            .map_or(0, |pending| pending.sets.len())
    }

    /// Memory drawn from the pool, in bytes.
    #[must_use]
    pub fn bytes_used(&self) -> usize {
        let sets = self.pending.iter().flat_map(|pending| &pending.sets);
        sets.map(Set::memory).sum()
    }

    fn rest_if_idle(&mut self) {
        let is_idle =
            |pending: &mut Box<Pending>| pending.sets.is_empty() && pending.finished.is_empty();
        drop(self.pending.take_if(is_idle));
    }
}

/// Refuses what can be refused by the packet alone.
fn check(item: PacketItem, body: &Bytes, limits: &ReassemblyLimits) -> Result<(), Refusal> {
    let PacketItem { total, number } = item;
    if total == 0 {
        return Err(Refusal::TotalZero);
    }
    if number == 0 {
        return Err(Refusal::NumberZero);
    }
    if number > total {
        return Err(Refusal::NumberBeyondTotal { number, total });
    }
    if total > limits.packets_per_set {
        let total_max = limits.packets_per_set;
        return Err(Refusal::TooManyPackets { total, total_max });
    }
    check_bytes(body.len(), total - 1, limits)
}

/// Whether `bytes`, and one more for each packet that is still missing, are too many.
const fn check_bytes(bytes: usize, missing: u16, limits: &ReassemblyLimits) -> Result<(), Refusal> {
    let bytes = bytes.saturating_add(missing as usize);
    let bytes_max = limits.bytes_per_set;
    if bytes > bytes_max {
        return Err(Refusal::SetTooLarge { bytes, bytes_max });
    }
    Ok(())
}

fn give_up(set: Set, cause: GiveUpCause) -> Incomplete {
    let (header, key, arrived) = (set.header, set.key, set.arrived());
    let prefix = (key.message_id == MULTIMEDIA_DATA).then(|| set.into_prefix());
    Incomplete {
        header,
        first_serial: key.first_serial,
        total: key.total,
        arrived,
        cause,
        prefix: prefix
            .filter(|(packets, _)| *packets > 0)
            .map(|(packets, body)| Prefix { packets, body }),
    }
}

/// A set that is no more, so that its packets do not begin a new one.
#[derive(Debug)]
struct Finished {
    key: Key,
    /// Set where the message was not joined.
    refusal: Option<Refusal>,
    forget_at: Duration,
}

/// What a connection has while packets come.
#[derive(Debug, Default)]
struct Pending {
    /// Few: searched one by one.
    sets: Vec<Set>,
    /// In the order in which they are forgotten.
    finished: VecDeque<Finished>,
}

impl Pending {
    fn accept(
        &mut self,
        pool: &Arc<ReassemblyPool>,
        header: &Header,
        item: PacketItem,
        body: &Bytes,
        now: Duration,
    ) -> Result<Outcome, Refusal> {
        self.forget(now);
        let key = Key::of(header, item);
        if let Some(index) = self.sets.iter().position(|set| set.key == key) {
            return self.go_on(pool, index, header, item.number, body, now);
        }
        if let Some(finished) = self.finished.iter().find(|set| set.key == key) {
            let duplicate = Outcome::Duplicate { conflicts: false };
            return finished.refusal.map_or(Ok(duplicate), Err);
        }
        if let Some(index) = self.set_that_asked(&key, item.number, body) {
            return self.go_on(pool, index, header, item.number, body, now);
        }
        self.begin(pool, key, header, item.number, body, now)
    }

    /// The only set that a packet with a new serial number may belong to.
    fn set_that_asked(&self, key: &Key, number: u16, body: &[u8]) -> Option<usize> {
        let mut fitting = self
            .sets
            .iter()
            .enumerate()
            .filter(|(_, set)| set.may_be_sent_again(key, number, body));
        let (index, _) = fitting.next()?;
        fitting.next().is_none().then_some(index)
    }

    fn begin(
        &mut self,
        pool: &Arc<ReassemblyPool>,
        key: Key,
        header: &Header,
        number: u16,
        body: &Bytes,
        now: Duration,
    ) -> Result<Outcome, Refusal> {
        let limits = pool.limits();
        let of_terminal = self.sets.iter().filter(|set| set.key.phone == key.phone);
        for (sets, sets_max) in [
            (of_terminal.count(), limits.sets_per_terminal),
            (self.sets.len(), limits.sets_per_connection),
        ] {
            if sets >= sets_max {
                return Err(Refusal::TooManySets { sets_max });
            }
        }
        let mut room = self.room(key.phone, limits);
        let mut set = Set::open(pool, key, *header, now, &mut room)?;
        set.add(header, number, body, &mut room)?;
        // Most connections never have a second one.
        self.sets.reserve_exact(1);
        self.sets.push(set);
        Ok(Outcome::Stored)
    }

    fn go_on(
        &mut self,
        pool: &Arc<ReassemblyPool>,
        index: usize,
        header: &Header,
        number: u16,
        body: &Bytes,
        now: Duration,
    ) -> Result<Outcome, Refusal> {
        let limits = pool.limits();
        let mut room = self.room(header.phone, limits);
        #[expect(
            clippy::indexing_slicing,
            reason = "the caller found the index in this list"
        )]
        let set = &mut self.sets[index];
        set.hear(now);
        if let Some(stored) = set.stored(number) {
            let conflicts = stored != body;
            return Ok(Outcome::Duplicate { conflicts });
        }
        let bytes = set.body_bytes().saturating_add(body.len());
        let missing = set.missing().saturating_sub(1);
        if let Err(refusal) = check_bytes(bytes, missing, limits) {
            self.finish(index, Some(refusal), now, limits);
            return Err(refusal);
        }
        if missing > 0 {
            set.add(header, number, body, &mut room)?;
            return Ok(Outcome::Stored);
        }
        let set = self.finish(index, None, now, limits);
        Ok(Outcome::Complete(set.complete(header, number, body)))
    }

    fn finish(
        &mut self,
        index: usize,
        refusal: Option<Refusal>,
        now: Duration,
        limits: &ReassemblyLimits,
    ) -> Set {
        let set = self.sets.swap_remove(index);
        self.finished.push_back(Finished {
            key: set.key,
            refusal,
            forget_at: now.saturating_add(limits.lifetime),
        });
        while self.finished.len() > limits.finished_sets {
            self.finished.pop_front();
        }
        set
    }

    fn forget(&mut self, now: Duration) {
        while self
            .finished
            .pop_front_if(|set| set.forget_at <= now)
            .is_some()
        {}
    }

    fn room(&self, phone: TerminalPhone, limits: &ReassemblyLimits) -> Room {
        let (mut terminal, mut connection) = (0_usize, 0_usize);
        for set in &self.sets {
            connection = connection.saturating_add(set.memory());
            if set.key.phone == phone {
                terminal = terminal.saturating_add(set.memory());
            }
        }
        Room {
            terminal: limits.bytes_per_terminal.saturating_sub(terminal),
            connection: limits.bytes_per_connection.saturating_sub(connection),
        }
    }
}
