//! Who is known and who is connected. One terminal has one session; the newest one wins, once it
//! has shown its code.

mod passwords;
mod sessions;
mod terminals;
#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use dashmap::{DashMap, Entry};
use geofence::{identity::TerminalId, units::Timestamp};
use protocols::jt808::{
    Revision,
    message::registration,
    profile::{Profile, TextEncoding},
    reassembly::Outcome as PacketOutcome,
};
use storage::registry::{
    Change, TerminalRecord,
    events::{TerminalEvent, TerminalEventKind},
};
use tokio::sync::broadcast;

pub use self::terminals::{LastSeen, TerminalState};
use super::{
    Link,
    control::{Control, Order},
    downlink::Downlink,
    handshake::{
        self, AuthenticationRefusal, Device, Facts, PhoneRefusal, RegistrationRefusal, State,
    },
    per_minute::PerMinute,
    plates::Plates,
    presence::Presence,
    saver::{PendingSave, Saver},
    unknown::{Reached, Refusal, Said, UnknownTerminals},
};
use crate::{
    auth::{self, AuthKey},
    catalog::Catalog,
    config::{Authentication, Registration, Terminals},
    metrics::Metrics,
    platform_key::PlatformKey,
    profiles::TerminalProfiles,
};

/// Sessions that opened and that a listener may be behind before it loses some.
const OPENED_KEPT: usize = 4_096;
const ADVICE_CODE: &str = "it shows a code that is not its own: let it register again";
const ADVICE_NO_CODE: &str = "it reports without authentication (0x0102)";
const ADVICE_TAKE_OVER: &str = "several connections show the code of this terminal in turn";

/// Terminals that registered and sessions that are open.
#[derive(Debug)]
pub struct Directory {
    key: AuthKey,
    platform_key: Option<PlatformKey>,
    policy: Terminals,
    catalog: Arc<Catalog>,
    profiles: TerminalProfiles,
    metrics: Arc<Metrics>,
    registered: DashMap<TerminalId, TerminalRecord>,
    last_seen: DashMap<TerminalId, LastSeen>,
    sessions: DashMap<TerminalId, Owner>,
    controls: DashMap<u64, Arc<Control>>,
    next_connection: AtomicU64,
    next_epoch: AtomicU64,
    plates: Plates,
    saver: Saver,
    unknown: UnknownTerminals,
    wrong_codes: PerMinute<(TerminalId, IpAddr)>,
    wrong_codes_of_address: PerMinute<IpAddr>,
    take_overs: PerMinute<TerminalId>,
    refusal_events: PerMinute<TerminalId>,
    opened: broadcast::Sender<Opened>,
}

/// The connection that a terminal's session is on.
#[derive(Clone, Debug)]
pub struct Owner {
    /// Number of the connection, unique in this process.
    pub connection: u64,
    /// Number of the session, unique in this process: what was meant for one is not for the next.
    pub epoch: u64,
    /// Where it is told when a newer connection takes over.
    pub control: Arc<Control>,
    /// What is known of the session.
    pub presence: Arc<Presence>,
    /// The connection carries other terminals as well.
    pub is_shared: bool,
}

/// A terminal came online.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Which one.
    pub terminal: TerminalId,
    /// Number of its session.
    pub epoch: u64,
}

/// A registration that is welcome.
#[derive(Debug)]
pub struct Welcome {
    /// The code for 0x0102.
    pub code: String,
    /// The response may leave when this is on the disk.
    pub saved: PendingSave,
}

impl Directory {
    /// With the terminals that registered in earlier runs.
    #[must_use]
    pub fn new(
        key: AuthKey,
        platform_key: Option<PlatformKey>,
        policy: Terminals,
        catalog: Arc<Catalog>,
        profiles: TerminalProfiles,
        metrics: Arc<Metrics>,
        registered: Vec<TerminalRecord>,
    ) -> Self {
        Self {
            saver: Saver::new(
                policy.events_queued_max,
                policy.save_timeout,
                Arc::clone(&metrics),
            ),
            platform_key,
            unknown: UnknownTerminals::new(policy.unknown_kept_max),
            wrong_codes: PerMinute::new(policy.wrong_codes_per_minute_max),
            wrong_codes_of_address: PerMinute::new(policy.wrong_codes_per_address_max),
            take_overs: PerMinute::new(policy.takeovers_per_minute_max),
            refusal_events: PerMinute::new(policy.wrong_codes_per_minute_max),
            key,
            policy,
            catalog,
            profiles,
            metrics,
            registered: registered
                .into_iter()
                .map(|record| (record.terminal, record))
                .collect(),
            last_seen: DashMap::new(),
            sessions: DashMap::new(),
            controls: DashMap::new(),
            next_connection: AtomicU64::new(1),
            next_epoch: AtomicU64::new(1),
            plates: Plates::default(),
            opened: broadcast::channel(OPENED_KEPT).0,
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

    /// A peer from here may carry several terminals on one connection.
    #[must_use]
    pub fn is_forwarding(&self, address: IpAddr) -> bool {
        let networks = &self.policy.forwarding_addresses;
        networks.iter().any(|network| network.contains(address))
    }

    /// Terminals on one connection of a forwarding peer.
    #[must_use]
    pub const fn per_link_max(&self) -> usize {
        self.policy.per_link_max as usize
    }

    /// Registers a terminal, again if it was registered, and gives it a new code. `Ok(None)` means
    /// that there is no randomness to make one of.
    ///
    /// # Errors
    /// Why it may not register.
    pub fn register(
        &self,
        mut record: TerminalRecord,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Option<Welcome>, RegistrationRefusal> {
        let terminal = record.terminal;
        // Before the entry is locked: counting asks all of them.
        let registered = self.registered.len();
        let entry = self.registered.entry(terminal);
        let device = match &entry {
            Entry::Vacant(_) => Device::New,
            Entry::Occupied(old) if is_same_device(old.get(), &record) => Device::Same,
            Entry::Occupied(_) => Device::Other,
        };
        let facts = Facts {
            is_listed: self.catalog.knows(terminal),
            has_room: registered < self.policy.registered_max as usize,
            device,
            claim: self
                .plates
                .claim(&self.catalog, terminal, &record.plate, record.plate_color),
        };
        if let Err(refusal) = handshake::judge(self.policy.registration, &facts) {
            drop(entry);
            self.registration_refused(record, address, refusal, now);
            return Err(refusal);
        }
        let code = match auth::new_code() {
            Ok(code) => code,
            Err(error) => {
                tracing::error!(%error, "no randomness for a code");
                return Ok(None);
            }
        };
        let hash = self.key.hash(terminal, code.as_bytes());
        match &entry {
            Entry::Vacant(_) => record.codes.confirmed = Some(hash),
            Entry::Occupied(old) => {
                record.codes = old.get().codes.clone();
                record.codes.issue(hash);
            }
        }
        // Queued while the entry is locked: the newest one is what is written.
        let saved = self.saver.save_now(record.clone());
        drop(entry.insert(record));
        self.metrics.count("registrations_total", "result", "ok", 1);
        let detail = if device == Device::New {
            "new"
        } else {
            "again"
        };
        let kind = TerminalEventKind::Registered;
        self.record(terminal, kind, detail, Some(address), now);
        Ok(Some(Welcome { code, saved }))
    }

    fn registration_refused(
        &self,
        record: TerminalRecord,
        address: IpAddr,
        refusal: RegistrationRefusal,
        now: Timestamp,
    ) {
        let terminal = record.terminal;
        let reason = refusal.reason();
        self.metrics
            .count("registrations_total", "result", reason, 1);
        let kind = TerminalEventKind::RegistrationRefused;
        self.record_refusal(terminal, kind, reason, address, now);
        let said = Said {
            manufacturer: record.manufacturer,
            model: record.model,
            terminal_id: record.terminal_id,
            plate: record.plate,
        };
        let refusal = Refusal {
            reached: Reached::Connected,
            reason,
            advice: refusal.advice(),
            said: Some(said),
        };
        self.unknown.refused(terminal, address, refusal, now);
    }

    /// Opens a session for a terminal that shows its code. `state` is how far it has come on this
    /// link: who registered here is not held up by the wrong codes of others.
    ///
    /// # Errors
    /// Why there is none; a session that is open stays as it is.
    pub fn log_in(
        &self,
        terminal: TerminalId,
        code: &[u8],
        link: &Link,
        state: State,
        downlink: Downlink,
        now: Timestamp,
    ) -> Result<Arc<Presence>, AuthenticationRefusal> {
        let result = self.judge_code(terminal, code, link, state, now);
        let result = result.and_then(|()| {
            self.open_session(terminal, link, downlink, now)
                .ok_or(AuthenticationRefusal::TakeOver)
        });
        let refusal = match &result {
            Ok(_) => {
                self.metrics
                    .count("authentications_total", "result", "ok", 1);
                return result;
            }
            Err(refusal) => *refusal,
        };
        self.metrics
            .count("authentications_total", "result", refusal.reason(), 1);
        let advice = match refusal {
            AuthenticationRefusal::TakeOver => ADVICE_TAKE_OVER,
            AuthenticationRefusal::Wrong => {
                let kind = TerminalEventKind::AuthenticationRefused;
                self.record_refusal(terminal, kind, "", link.address, now);
                ADVICE_CODE
            }
            AuthenticationRefusal::TooMany => ADVICE_CODE,
        };
        self.not_let_in(terminal, link.address, refusal.reason(), advice, now);
        result
    }

    fn judge_code(
        &self,
        terminal: TerminalId,
        code: &[u8],
        link: &Link,
        state: State,
        now: Timestamp,
    ) -> Result<(), AuthenticationRefusal> {
        let pair = (terminal, link.address);
        let is_limited = state == State::Connected
            && (self.wrong_codes.is_used_up(&pair, now)
                || self.wrong_codes_of_address.is_used_up(&link.address, now));
        if is_limited {
            return Err(AuthenticationRefusal::TooMany);
        }
        let codes = self
            .registered
            .get(&terminal)
            .map(|record| record.codes.clone());
        let shown = self.key.accepts(terminal, codes.as_ref(), code);
        let is_listed =
            self.policy.registration == Registration::Open || self.catalog.knows(terminal);
        match shown {
            Some(hash) if is_listed => {
                if let Some(mut record) = self.registered.get_mut(&terminal)
                    && record.codes.confirm(&hash)
                {
                    // If this is lost, elder codes open a while longer.
                    self.saver
                        .save(terminal, Change::Save(Box::new(record.clone())));
                }
                Ok(())
            }
            _ if self.trusts_phone(terminal) => Ok(()),
            _ => {
                self.wrong_codes.take(pair, now);
                self.wrong_codes_of_address.take(link.address, now);
                Err(AuthenticationRefusal::Wrong)
            }
        }
    }

    /// Opens a session for a terminal whose phone number alone is enough.
    ///
    /// # Errors
    /// Why it is not.
    pub fn log_in_by_phone(
        &self,
        terminal: TerminalId,
        link: &Link,
        downlink: Downlink,
        now: Timestamp,
    ) -> Result<Arc<Presence>, PhoneRefusal> {
        let (refusal, reason, advice) = if self.trusts_phone(terminal) {
            match self.open_session(terminal, link, downlink, now) {
                Some(presence) => return Ok(presence),
                None => (PhoneRefusal::TakeOver, "take_over", ADVICE_TAKE_OVER),
            }
        } else {
            (
                PhoneRefusal::CodeNeeded,
                "not_authenticated",
                ADVICE_NO_CODE,
            )
        };
        self.not_let_in(terminal, link.address, reason, advice, now);
        Err(refusal)
    }

    /// Whether the phone number alone is enough.
    #[must_use]
    pub fn trusts_phone(&self, terminal: TerminalId) -> bool {
        if self.policy.authentication != Authentication::KnownPhone {
            return false;
        }
        let is_listed = self.catalog.knows(terminal);
        let is_open = self.policy.registration == Registration::Open;
        is_listed || is_open && self.registered.contains_key(&terminal)
    }

    /// The revision that a terminal follows, as its session or its registration has it.
    #[must_use]
    pub fn revision_of(&self, terminal: TerminalId) -> Option<Revision> {
        let owner = self.owner_of(terminal);
        owner
            .map(|owner| owner.presence.downlink.revision())
            .or_else(|| Revision::of_year(self.registered.get(&terminal)?.revision))
    }

    /// The key that terminals may encrypt with.
    #[must_use]
    pub const fn platform_key(&self) -> Option<&PlatformKey> {
        self.platform_key.as_ref()
    }

    /// A packet of a longer message came.
    pub fn count_packet(&self, outcome: &PacketOutcome) {
        let word = match outcome {
            PacketOutcome::Duplicate { conflicts: true } => "conflicting",
            PacketOutcome::Duplicate { conflicts: false } => "repeated",
            _ => "taken",
        };
        self.metrics.count("packets_total", "result", word, 1);
    }

    /// What the terminal said at its registration.
    #[must_use]
    pub fn registration_of(&self, terminal: TerminalId) -> Option<TerminalRecord> {
        self.registered.get(&terminal).map(|record| record.clone())
    }

    /// What the terminal does otherwise, where somebody has chosen a profile for it.
    #[must_use]
    pub fn profile_of(&self, terminal: TerminalId) -> Option<Arc<Profile>> {
        self.profiles.of(terminal, || {
            let record = self.registered.get(&terminal)?;
            Some((record.manufacturer.clone(), record.model.clone()))
        })
    }

    /// The same, by what a registration says.
    #[must_use]
    pub fn profile_by(
        &self,
        terminal: TerminalId,
        registration: &registration::Registration,
    ) -> Option<Arc<Profile>> {
        self.profiles.of(terminal, || {
            let (maker, model) = (registration.manufacturer(), registration.model());
            Some((maker.into_owned(), model.into_owned()))
        })
    }

    fn take_over_refused(&self, terminal: TerminalId, address: IpAddr, now: Timestamp) {
        self.metrics
            .count("take_overs_total", "result", "refused", 1);
        let kind = TerminalEventKind::TakeOverRefused;
        self.record_refusal(terminal, kind, "", address, now);
    }

    fn not_let_in(
        &self,
        terminal: TerminalId,
        address: IpAddr,
        reason: &'static str,
        advice: &'static str,
        now: Timestamp,
    ) {
        let reached = if self.registered.contains_key(&terminal) {
            Reached::Registered
        } else {
            Reached::Connected
        };
        let refusal = Refusal {
            reached,
            reason,
            advice,
            said: None,
        };
        self.unknown.refused(terminal, address, refusal, now);
    }

    /// A terminal forgets its registration: its codes open no more, its session ends, and the next
    /// device that registers under its number is welcome. False when there is nothing to forget.
    pub fn release(&self, terminal: TerminalId, now: Timestamp) -> bool {
        let Entry::Occupied(entry) = self.registered.entry(terminal) else {
            return false;
        };
        self.saver.save(terminal, Change::Forget(terminal));
        entry.remove();
        self.last_seen.remove(&terminal);
        if let Some(owner) = self.owner_of(terminal) {
            owner.control.tell(Order::Replaced);
        }
        let kind = TerminalEventKind::Released;
        self.record(terminal, kind, "", None, now);
        true
    }

    /// The terminals that were refused.
    #[must_use]
    pub const fn unknown(&self) -> &UnknownTerminals {
        &self.unknown
    }

    /// What waits to be written.
    #[must_use]
    pub const fn saver(&self) -> &Saver {
        &self.saver
    }

    fn record(
        &self,
        terminal: TerminalId,
        kind: TerminalEventKind,
        detail: impl Into<Cow<'static, str>>,
        address: Option<IpAddr>,
        now: Timestamp,
    ) {
        self.saver.record(TerminalEvent {
            terminal,
            at: now,
            kind,
            detail: detail.into(),
            address: address.map(|address| address.to_canonical()),
        });
    }

    /// Only of terminals that are known, and only so many a minute: strangers are as many as a peer
    /// likes, and their place is the list of unknown ones.
    fn record_refusal(
        &self,
        terminal: TerminalId,
        kind: TerminalEventKind,
        detail: &'static str,
        address: IpAddr,
        now: Timestamp,
    ) {
        let is_known = self.catalog.knows(terminal) || self.registered.contains_key(&terminal);
        if is_known && self.refusal_events.take(terminal, now) {
            self.record(terminal, kind, detail, Some(address), now);
        }
    }
}

/// The record of a registration, its texts read as the terminal's profile has them.
#[must_use]
pub fn record_of(
    terminal: TerminalId,
    registration: &registration::Registration,
    profile: Option<&Profile>,
    at: Timestamp,
) -> TerminalRecord {
    let encoding = profile.map_or_else(TextEncoding::default, Profile::text_encoding);
    let text = |field: &[u8]| encoding.decode(field).into_owned();
    TerminalRecord {
        terminal,
        revision: registration.revision().year(),
        manufacturer: text(&registration.manufacturer),
        model: text(&registration.model),
        terminal_id: text(&registration.terminal_id),
        plate: text(&registration.plate),
        plate_color: registration.plate_color,
        registered_at: at,
        deregistered_at: None,
        codes: storage::registry::CodeHashes::default(),
    }
}

/// The same maker and the maker's number. 2019 puts a district code in front of the maker's.
fn is_same_device(old: &TerminalRecord, new: &TerminalRecord) -> bool {
    let (a, b) = (&old.manufacturer, &new.manufacturer);
    let is_same_maker = a == b
        || old.revision != new.revision
            && !a.is_empty()
            && !b.is_empty()
            && (a.ends_with(b.as_str()) || b.ends_with(a.as_str()));
    is_same_maker && old.terminal_id == new.terminal_id
}
