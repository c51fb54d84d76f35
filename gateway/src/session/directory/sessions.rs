//! The sessions that are open: one for each terminal.

use std::sync::{Arc, atomic::Ordering};

use dashmap::Entry;
use geofence::{identity::TerminalId, units::Timestamp};
use storage::registry::events::TerminalEventKind;
use tokio::sync::broadcast;

use super::{Directory, LastSeen, Opened, Owner};
use crate::session::{Link, control::Order, downlink::Downlink, presence::Presence};

impl Directory {
    /// The session of the terminal goes to this link, and an older connection is told to end.
    /// `None` when that happened too often.
    pub(super) fn open_session(
        &self,
        terminal: TerminalId,
        link: &Link,
        downlink: Downlink,
        now: Timestamp,
    ) -> Option<Arc<Presence>> {
        let owner = || Owner {
            connection: link.connection,
            epoch: self.next_epoch.fetch_add(1, Ordering::Relaxed),
            control: Arc::clone(&link.control),
            presence: Arc::new(Presence::new(now, link.address, link.transport, downlink)),
            is_shared: link.is_shared,
        };
        let (opened, older) = match self.sessions.entry(terminal) {
            Entry::Vacant(entry) => (entry.insert(owner()).clone(), None),
            Entry::Occupied(entry) if entry.get().connection == link.connection => {
                return Some(Arc::clone(&entry.get().presence));
            }
            Entry::Occupied(mut entry) => {
                if !self.take_overs.take(terminal, now) {
                    drop(entry);
                    self.take_over_refused(terminal, link.address, now);
                    return None;
                }
                let older = entry.insert(owner());
                (entry.get().clone(), Some(older))
            }
        };
        self.metrics.sessions_opened.increment(1);
        self.unknown.forget(terminal);
        if let Some(older) = older {
            // One of several on a link loses its own session only.
            if !older.is_shared {
                older.control.tell(Order::Replaced);
            }
            self.metrics.count("take_overs_total", "result", "taken", 1);
            let detail = format!("from {}", older.presence.address);
            let kind = TerminalEventKind::TakenOver;
            self.record(terminal, kind, detail, Some(link.address), now);
        }
        let kind = TerminalEventKind::Online;
        self.record(terminal, kind, link.transport, Some(link.address), now);
        let epoch = opened.epoch;
        // Nobody needs to listen.
        drop(self.opened.send(Opened { terminal, epoch }));
        Some(opened.presence)
    }

    /// The session on this connection ends, with the event and a word about it. False when a newer
    /// connection has the terminal.
    pub fn close_session(
        &self,
        terminal: TerminalId,
        connection: u64,
        kind: TerminalEventKind,
        reason: &'static str,
        now: Timestamp,
    ) -> bool {
        self.metrics.sessions_closed.increment(1);
        let closed = self
            .sessions
            .remove_if(&terminal, |_, owner| owner.connection == connection);
        let Some((_, owner)) = closed else {
            return false;
        };
        let address = owner.presence.address;
        // As bounded as the registered ones: a session without a row is one of the catalog.
        self.last_seen
            .insert(terminal, LastSeen::from(&*owner.presence));
        self.record(terminal, kind, reason, Some(address), now);
        true
    }

    /// The connection that has the terminal's session.
    #[must_use]
    pub fn owner_of(&self, terminal: TerminalId) -> Option<Owner> {
        self.sessions.get(&terminal).map(|owner| owner.clone())
    }

    /// The terminal's session is on this connection.
    #[must_use]
    pub fn owns(&self, terminal: TerminalId, connection: u64) -> bool {
        let owner = self.sessions.get(&terminal);
        owner.is_some_and(|owner| owner.connection == connection)
    }

    /// Every session that opens from now on. A listener that is too slow is told that it lost some,
    /// and looks at the sessions that are open.
    #[must_use]
    pub fn subscribe_opened(&self) -> broadcast::Receiver<Opened> {
        self.opened.subscribe()
    }

    /// A session of the terminal is open.
    #[must_use]
    pub fn is_online(&self, terminal: TerminalId) -> bool {
        self.sessions.contains_key(&terminal)
    }

    /// Open sessions.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }
}
