//! Who is known and who is connected. One terminal has one session; the newest one wins, once it
//! has shown its code.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use dashmap::DashMap;
use geofence::{identity::TerminalId, units::Timestamp};
use parking_lot::Mutex;
use storage::registry::TerminalRecord;

use super::control::{Control, Order};
use crate::{
    auth::AuthKey,
    catalog::Catalog,
    config::{Authentication, Registration, Terminals},
};

/// Terminals that registered and sessions that are open.
#[derive(Debug)]
pub struct Directory {
    key: AuthKey,
    policy: Terminals,
    catalog: Arc<Catalog>,
    registered: DashMap<TerminalId, TerminalRecord>,
    unsaved: Mutex<Vec<TerminalRecord>>,
    sessions: DashMap<TerminalId, Owner>,
    controls: DashMap<u64, Arc<Control>>,
    next_connection: AtomicU64,
}

/// The connection that a terminal's session is on.
#[derive(Clone, Debug)]
pub struct Owner {
    /// Number of the connection, unique in this process.
    pub connection: u64,
    /// Where it is told when a newer connection takes over.
    pub control: Arc<Control>,
}

/// What became of a registration; the numbers are the result codes of 0x8100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationResult {
    /// Welcome, also again.
    Success = 0,
    /// Not a terminal of this city, or no room for more.
    TerminalUnknown = 4,
}

impl Directory {
    /// With the terminals that registered in earlier runs.
    #[must_use]
    pub fn new(
        key: AuthKey,
        policy: Terminals,
        catalog: Arc<Catalog>,
        registered: Vec<TerminalRecord>,
    ) -> Self {
        Self {
            key,
            policy,
            catalog,
            registered: registered
                .into_iter()
                .map(|record| (record.terminal, record))
                .collect(),
            unsaved: Mutex::default(),
            sessions: DashMap::new(),
            controls: DashMap::new(),
            next_connection: AtomicU64::new(1),
        }
    }

    /// A new connection: its number, and where it will be told what to do.
    pub fn open_connection(&self) -> (u64, Arc<Control>) {
        let number = self.next_connection.fetch_add(1, Ordering::Relaxed);
        let control = Arc::<Control>::default();
        self.controls.insert(number, Arc::clone(&control));
        (number, control)
    }

    /// A connection has ended.
    pub fn close_connection(&self, number: u64) {
        self.controls.remove(&number);
    }

    /// Tells every open connection to stop.
    pub fn stop_connections(&self) {
        for control in &self.controls {
            control.tell(Order::Stop);
        }
    }

    /// Registers a terminal, again if it was registered, and gives its code.
    pub fn register(&self, record: TerminalRecord) -> (RegistrationResult, String) {
        let terminal = record.terminal;
        let is_new = !self.registered.contains_key(&terminal);
        let is_allowed = match self.policy.registration {
            Registration::Open => {
                !is_new || self.registered.len() < self.policy.registered_max as usize
            }
            Registration::Known => self.catalog.knows(terminal),
        };
        if !is_allowed {
            return (RegistrationResult::TerminalUnknown, String::new());
        }
        let is_changed = self.registered.get(&terminal).is_none_or(|old| {
            let unchanged = TerminalRecord {
                registered_at: old.registered_at,
                ..record.clone()
            };
            *old != unchanged
        });
        if is_changed {
            self.registered.insert(terminal, record.clone());
            self.unsaved.lock().push(record);
        }
        (RegistrationResult::Success, self.key.code(terminal))
    }

    /// Whether a terminal may report with this code.
    #[must_use]
    pub fn authenticate(&self, terminal: TerminalId, code: &[u8]) -> bool {
        let is_listed =
            self.policy.registration == Registration::Open || self.catalog.knows(terminal);
        is_listed && (self.key.accepts(terminal, code) || self.trusts_phone(terminal))
    }

    /// Whether the phone number alone is enough.
    #[must_use]
    pub fn trusts_phone(&self, terminal: TerminalId) -> bool {
        self.policy.authentication == Authentication::KnownPhone
            && (self.catalog.knows(terminal) || self.registered.contains_key(&terminal))
    }

    /// What the terminal said at its registration.
    #[must_use]
    pub fn registration_of(&self, terminal: TerminalId) -> Option<TerminalRecord> {
        self.registered.get(&terminal).map(|record| record.clone())
    }

    /// A session of the terminal is on this connection now; an older one is told to end.
    pub fn open_session(&self, terminal: TerminalId, owner: Owner) {
        if let Some(older) = self.sessions.insert(terminal, owner.clone())
            && older.connection != owner.connection
        {
            older.control.tell(Order::Replaced);
        }
    }

    /// The session ends. A newer one of the same terminal stays: false then.
    pub fn close_session(&self, terminal: TerminalId, connection: u64) -> bool {
        self.sessions
            .remove_if(&terminal, |_, owner| owner.connection == connection)
            .is_some()
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

    /// Records that the registry does not have yet.
    pub fn take_unsaved(&self) -> Vec<TerminalRecord> {
        std::mem::take(&mut *self.unsaved.lock())
    }

    /// Records that could not be saved: they are offered again.
    pub fn put_back(&self, records: Vec<TerminalRecord>) {
        self.unsaved.lock().extend(records);
    }
}

/// The record of a registration.
#[must_use]
pub fn record_of(
    terminal: TerminalId,
    registration: &protocols::jt808::message::registration::Registration,
    at: Timestamp,
) -> TerminalRecord {
    TerminalRecord {
        terminal,
        revision: registration.revision().year(),
        manufacturer: registration.manufacturer().into_owned(),
        model: registration.model().into_owned(),
        terminal_id: registration.terminal_id().into_owned(),
        plate: registration.plate().into_owned(),
        plate_color: registration.plate_color,
        registered_at: at,
        deregistered_at: None,
    }
}
