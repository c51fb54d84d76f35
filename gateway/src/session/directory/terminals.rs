//! The directory as a list: every terminal that has registered or is online.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use geofence::{identity::TerminalId, units::Timestamp};
use protocols::jt808::profile::Profile;
use storage::registry::TerminalRecord;

use super::{Directory, Owner};
use crate::session::presence::{ClockOffset, Presence};

/// What is remembered of a session that has ended.
#[derive(Clone, Copy, Debug)]
pub struct LastSeen {
    /// When its last valid message came.
    pub at: Timestamp,
    /// From where.
    pub address: IpAddr,
    /// The terminal's clock beside ours.
    pub clock_offset: Option<ClockOffset>,
    /// It had reported a place.
    pub has_fix: bool,
}

impl From<&Presence> for LastSeen {
    fn from(presence: &Presence) -> Self {
        Self {
            at: presence.last_seen(),
            address: presence.address,
            clock_offset: presence.clock_offset(),
            has_fix: presence.has_fix(),
        }
    }
}

/// One terminal at this moment.
#[derive(Clone, Debug)]
pub struct TerminalState {
    /// Which one.
    pub terminal: TerminalId,
    /// What it said when it registered.
    pub record: Option<TerminalRecord>,
    /// What it does otherwise, where somebody has chosen a profile for it.
    pub profile: Option<Arc<Profile>>,
    /// Its session, when it is online.
    pub owner: Option<Owner>,
    /// Its newest message: of the session, or of the last one since the start.
    pub last_seen: Option<LastSeen>,
}

impl Directory {
    /// Terminals by phone number as text, after one where it is given.
    #[must_use]
    pub fn terminals(
        &self,
        after: Option<TerminalId>,
        is_online: Option<bool>,
        limit: usize,
    ) -> Vec<TerminalState> {
        let mut first = BTreeSet::new();
        let mut offer = |terminal: TerminalId| {
            let is_wanted = after.is_none_or(|after| terminal > after)
                && is_online.is_none_or(|wanted| self.is_online(terminal) == wanted);
            if is_wanted {
                first.insert(terminal);
                if first.len() > limit {
                    first.pop_last();
                }
            }
        };
        let registered: Vec<_> = self.registered.iter().map(|entry| *entry.key()).collect();
        registered.into_iter().for_each(&mut offer);
        let online: Vec<_> = self.sessions.iter().map(|entry| *entry.key()).collect();
        online.into_iter().for_each(&mut offer);
        first.into_iter().map(|t| self.terminal(t)).collect()
    }

    /// One terminal, whether it is known or not.
    #[must_use]
    pub fn terminal(&self, terminal: TerminalId) -> TerminalState {
        let owner = self.owner_of(terminal);
        let last_seen = match &owner {
            Some(owner) => Some(LastSeen::from(&*owner.presence)),
            None => self.last_seen.get(&terminal).map(|seen| *seen),
        };
        TerminalState {
            terminal,
            record: self.registration_of(terminal),
            profile: self.profile_of(terminal),
            owner,
            last_seen,
        }
    }
}
