//! Terminals that were refused, for the operator: how far each came, and what stopped it.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use geofence::{identity::TerminalId, units::Timestamp};
use parking_lot::Mutex;

/// How far a terminal has come: connected, registered, authenticated, first fix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// It speaks JT/T 808.
    Connected,
    /// It has registered, now or before.
    Registered,
    /// It has a session.
    Authenticated,
    /// It has reported a place.
    FirstFix,
}

impl Reached {
    /// The word in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Registered => "registered",
            Self::Authenticated => "authenticated",
            Self::FirstFix => "first_fix",
        }
    }
}

/// What a terminal said about itself when it registered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in TerminalRecord")]
pub struct Said {
    pub manufacturer: String,
    pub model: String,
    pub terminal_id: String,
    pub plate: String,
}

/// A terminal that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Its phone number.
    pub terminal: TerminalId,
    /// How far it has come.
    pub reached: Reached,
    /// Word of what stopped it.
    pub reason: &'static str,
    /// The same for people, with what to do about it.
    pub advice: &'static str,
    /// How often it was refused.
    pub refusals: u64,
    /// When it was refused first.
    pub first_seen: Timestamp,
    /// When it was refused last.
    pub last_seen: Timestamp,
    /// From where.
    pub address: IpAddr,
    /// At its last registration.
    pub said: Option<Said>,
}

/// One refusal.
#[derive(Debug)]
pub struct Refusal {
    /// See [`Unknown`].
    pub reached: Reached,
    /// See [`Unknown`].
    pub reason: &'static str,
    /// See [`Unknown`].
    pub advice: &'static str,
    /// See [`Unknown`].
    pub said: Option<Said>,
}

/// The list. Bounded: those that were seen least lately are forgotten, the counters remember them.
#[derive(Debug)]
pub struct UnknownTerminals {
    kept_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    terminals: HashMap<TerminalId, (u64, Unknown)>,
    /// By the order of their last refusal.
    order: BTreeMap<u64, TerminalId>,
    next: u64,
}

impl UnknownTerminals {
    /// Keeps at most so many.
    #[must_use]
    pub fn new(kept_max: u32) -> Self {
        Self {
            kept_max: kept_max as usize,
            kept: Mutex::default(),
        }
    }

    /// A terminal was refused.
    pub fn refused(&self, terminal: TerminalId, address: IpAddr, refusal: Refusal, now: Timestamp) {
        if self.kept_max == 0 {
            return;
        }
        let mut kept = self.kept.lock();
        let before = kept.take(terminal);
        if kept.terminals.len() >= self.kept_max
            && let Some((_, oldest)) = kept.order.pop_first()
        {
            kept.terminals.remove(&oldest);
        }
        let said_before = before.as_ref().and_then(|unknown| unknown.said.clone());
        let unknown = Unknown {
            terminal,
            reached: refusal.reached,
            reason: refusal.reason,
            advice: refusal.advice,
            refusals: before.as_ref().map_or(0, |unknown| unknown.refusals) + 1,
            first_seen: before.map_or(now, |unknown| unknown.first_seen),
            last_seen: now,
            address,
            said: refusal.said.or(said_before),
        };
        let number = kept.next;
        kept.next += 1;
        kept.order.insert(number, terminal);
        kept.terminals.insert(terminal, (number, unknown));
    }

    /// A terminal was let in.
    pub fn forget(&self, terminal: TerminalId) {
        self.kept.lock().take(terminal);
    }

    /// The newest first.
    #[must_use]
    pub fn newest(&self, limit: usize) -> Vec<Unknown> {
        let kept = self.kept.lock();
        let newest = kept.order.values().rev().take(limit);
        newest
            .filter_map(|terminal| kept.terminals.get(terminal))
            .map(|(_, unknown)| unknown.clone())
            .collect()
    }
}

impl Kept {
    fn take(&mut self, terminal: TerminalId) -> Option<Unknown> {
        let (number, unknown) = self.terminals.remove(&terminal)?;
        self.order.remove(&number);
        Some(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(list: &UnknownTerminals, phone: &str, said: Option<Said>, at: i64) {
        let refusal = Refusal {
            reached: Reached::Connected,
            reason: "terminal_unknown",
            advice: "",
            said,
        };
        let address = IpAddr::from([192, 0, 2, 1]);
        list.refused(phone.parse().unwrap(), address, refusal, Timestamp(at));
    }

    fn phones(list: &UnknownTerminals) -> Vec<String> {
        let newest = list.newest(10);
        newest.iter().map(|u| u.terminal.to_string()).collect()
    }

    #[test]
    fn the_least_lately_seen_makes_room() {
        let list = UnknownTerminals::new(2);
        refuse(&list, "1", None, 1);
        refuse(&list, "2", None, 2);
        refuse(&list, "1", None, 3);
        refuse(&list, "3", None, 4);
        assert_eq!(phones(&list), ["3", "1"]);
        list.forget("3".parse().unwrap());
        assert_eq!(phones(&list), ["1"]);
    }

    #[test]
    fn refusals_are_counted_and_what_was_said_is_remembered() {
        let list = UnknownTerminals::new(2);
        let said = Said {
            plate: "晋A00001".into(),
            ..Said::default()
        };
        refuse(&list, "1", Some(said.clone()), 1);
        refuse(&list, "1", None, 3);
        let [unknown] = &list.newest(10)[..] else {
            panic!("not one");
        };
        assert_eq!((unknown.refusals, &unknown.said), (2, &Some(said)));
        assert_eq!((unknown.first_seen.0, unknown.last_seen.0), (1, 3));
        let none = UnknownTerminals::new(0);
        refuse(&none, "1", None, 1);
        assert_eq!(phones(&none), [""; 0]);
    }
}
