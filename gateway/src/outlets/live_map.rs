//! The newest position of each terminal, for people who watch. Fed right after decoding, for the
//! sake of the second; lossy on purpose, and every loss is counted. Nothing else may be built on
//! it.
//!
//! Writers mark a terminal as changed; every `live_interval` one task turns all changes into one
//! message that all streams share. A stream that is too slow loses messages, is told so by the
//! gap in their numbers, and gets a snapshot instead.

use std::{
    mem,
    sync::{Arc, OnceLock},
};

use dashmap::DashMap;
use geofence::{case::Case, identity::TerminalId, position::Position, units::Timestamp};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::broadcast;

use crate::{
    catalog::Catalog,
    clock,
    http::view::{CaseView, PositionView},
    metrics::Metrics,
    outlets::fanout::Fanout,
};

/// Messages that a slow stream may be behind before it loses some.
const BACKLOG_MESSAGES: usize = 64;

/// Faster than this is moving; below, GNSS receivers report speed that is not there.
const MOVING_DKMH: u16 = 30;

/// What a page may know of one terminal at this moment.
#[derive(Clone, Debug)]
pub struct Vehicle {
    /// The newest fix by fix time; never one of the future, never one of quarantine.
    pub position: Position,
    /// A session of the terminal is open.
    pub is_online: bool,
    /// It is on the list of those that changed.
    is_marked: bool,
}

impl Vehicle {
    /// The state that pages colour by.
    #[must_use]
    pub const fn state(&self) -> &'static str {
        if !self.is_online {
            "offline"
        } else if self.position.speed_dkmh >= MOVING_DKMH {
            "moving"
        } else {
            "stopped"
        }
    }
}

/// One message of the live stream, shared by all streams.
#[derive(Clone, Debug)]
pub struct Update {
    /// Counts up by one with each message.
    pub sequence: u64,
    /// JSON text.
    pub text: Arc<str>,
}

/// Everything, for a stream that begins.
#[derive(Serialize)]
struct Snapshot {
    #[serde(rename = "type")]
    kind: &'static str,
    seq: u64,
    positions: Vec<PositionView>,
    cases: Vec<CaseView>,
}

/// The live map.
#[derive(Debug)]
pub struct LiveMap {
    vehicles: DashMap<TerminalId, Vehicle>,
    changed: Mutex<Changed>,
    /// Number of the newest message. Held while one is numbered and sent: positions and cases come
    /// from different tasks, and a stream takes a lower number after a higher one for old.
    sequence: Mutex<u64>,
    updates: broadcast::Sender<Update>,
    catalog: Arc<Catalog>,
    metrics: Arc<Metrics>,
    fanout: OnceLock<Arc<Fanout>>,
}

#[derive(Debug, Default)]
struct Changed {
    /// Each once: see [`Vehicle::is_marked`].
    terminals: Vec<TerminalId>,
    oldest_received_at: Option<Timestamp>,
}

impl LiveMap {
    /// An empty map.
    #[must_use]
    pub fn new(catalog: Arc<Catalog>, metrics: Arc<Metrics>) -> Self {
        Self {
            vehicles: DashMap::new(),
            changed: Mutex::default(),
            sequence: Mutex::new(0),
            updates: broadcast::channel(BACKLOG_MESSAGES).0,
            catalog,
            metrics,
            fanout: OnceLock::new(),
        }
    }

    /// Tells MQTT subscribers as well from now on.
    pub fn attach(&self, fanout: Arc<Fanout>) {
        // A second one is of no use, and there is none.
        drop(self.fanout.set(fanout));
    }

    /// A position arrived. Older ones than the newest change nothing.
    pub fn update(&self, position: &Position) {
        if !position.is_positioned {
            return;
        }
        let is_marked = match self.vehicles.entry(position.terminal) {
            dashmap::Entry::Occupied(mut entry) => {
                let vehicle = entry.get_mut();
                if position.fixed_at <= vehicle.position.fixed_at {
                    return;
                }
                vehicle.position = position.clone();
                mem::replace(&mut vehicle.is_marked, true)
            }
            dashmap::Entry::Vacant(entry) => {
                entry.insert(Vehicle {
                    position: position.clone(),
                    is_online: true,
                    is_marked: true,
                });
                false
            }
        };
        if !is_marked {
            self.enlist(position.terminal, Some(position.received_at));
        }
    }

    /// What the store knew at the start. The newer one stays where a terminal has reported since, be
    /// it of earlier fixes.
    pub fn preload(&self, position: Position, is_online: bool) {
        let terminal = position.terminal;
        match self.vehicles.entry(terminal) {
            dashmap::Entry::Occupied(mut entry) => {
                let newest = &mut entry.get_mut().position;
                if !position.is_positioned || position.fixed_at <= newest.fixed_at {
                    return;
                }
                *newest = position;
            }
            dashmap::Entry::Vacant(entry) => {
                entry.insert(Vehicle {
                    position,
                    is_online,
                    is_marked: false,
                });
            }
        }
        self.change(terminal, |_| {});
    }

    /// A session of the terminal opened or closed.
    pub fn set_online(&self, terminal: TerminalId, is_online: bool) {
        self.change(terminal, |vehicle| vehicle.is_online = is_online);
    }

    fn change(&self, terminal: TerminalId, change: impl FnOnce(&mut Vehicle)) {
        let Some(mut vehicle) = self.vehicles.get_mut(&terminal) else {
            return;
        };
        change(&mut vehicle);
        let is_marked = mem::replace(&mut vehicle.is_marked, true);
        drop(vehicle);
        if !is_marked {
            self.enlist(terminal, None);
        }
    }

    /// Of one that has just been marked.
    fn enlist(&self, terminal: TerminalId, received_at: Option<Timestamp>) {
        let mut changed = self.changed.lock();
        changed.terminals.push(terminal);
        if changed.oldest_received_at.is_none() {
            changed.oldest_received_at = received_at;
        }
    }

    /// Vehicles at wanted positions as pages see them, by terminal.
    #[must_use]
    pub fn views(&self, is_wanted: impl Fn(&Position) -> bool) -> Vec<PositionView> {
        let mut views: Vec<_> = self
            .vehicles
            .iter()
            .filter(|entry| is_wanted(&entry.position))
            .map(|entry| self.view(&entry))
            .collect();
        views.sort_by(|a, b| a.subject.phone.cmp(&b.subject.phone));
        views
    }

    /// The newest position of a terminal.
    #[must_use]
    pub fn newest(&self, terminal: TerminalId) -> Option<Position> {
        let vehicle = self.vehicles.get(&terminal)?;
        Some(vehicle.position.clone())
    }

    /// How many terminals the map knows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.vehicles.len()
    }

    /// No terminal was heard of yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.vehicles.is_empty()
    }

    fn view(&self, vehicle: &Vehicle) -> PositionView {
        PositionView::new(vehicle, &self.catalog)
    }

    /// Sends what changed since the last call as one message.
    pub fn publish_positions(&self) {
        let changed = mem::take(&mut *self.changed.lock());
        if changed.terminals.is_empty() {
            return;
        }
        if let Some(oldest) = changed.oldest_received_at {
            let millis = u32::try_from(clock::now().millis_since(oldest)).unwrap_or_default();
            self.metrics.live_latency.record(f64::from(millis) / 1000.0);
        }
        let items: Vec<_> = changed
            .terminals
            .iter()
            .filter_map(|terminal| {
                let mut vehicle = self.vehicles.get_mut(terminal)?;
                vehicle.is_marked = false;
                Some(self.view(&vehicle))
            })
            .collect();
        self.metrics.live_updates.increment(items.len() as u64);
        self.send("positions", &items);
        if let Some(fanout) = self.fanout.get() {
            fanout.positions(&items);
        }
    }

    /// Sends cases that were opened or changed.
    pub fn publish_cases(&self, cases: &[Case]) {
        if !cases.is_empty() {
            let items: Vec<_> = drawn(cases)
                .map(|case| CaseView::new(case, &self.catalog))
                .collect();
            self.send("cases", &items);
            self.tell_subscribers(cases);
        }
    }

    /// Tells MQTT subscribers alone, of cases that pages ask the store for.
    fn tell_subscribers(&self, cases: &[Case]) {
        if let Some(fanout) = self.fanout.get() {
            fanout.cases(cases, &self.catalog);
        }
    }

    /// Cases of before the start are read from the store from now on: what is told of one meanwhile
    /// is newer.
    pub fn expect_cases_of_before(&self) {
        if let Some(fanout) = self.fanout.get() {
            fanout.expect_cases_of_before();
        }
    }

    /// The cases of before: to MQTT subscribers alone, since pages ask the store for them.
    pub fn tell_cases_of_before(&self, cases: &[Case]) {
        if let Some(fanout) = self.fanout.get() {
            fanout.cases_of_before(cases, &self.catalog);
        }
    }

    /// As one message, which is written before the number is taken: who writes cases runs when others
    /// do not, and must not keep the lock from them meanwhile.
    fn send(&self, kind: &'static str, items: &impl Serialize) {
        let has_streams = self.updates.receiver_count() > 0;
        let items = has_streams.then(|| serde_json::to_string(items));
        let mut newest = self.sequence.lock();
        let sequence = *newest + 1;
        *newest = sequence;
        if let Some(Ok(items)) = items {
            let text = format!(r#"{{"type":"{kind}","seq":{sequence},"items":{items}}}"#);
            // An error means that the last stream has just gone.
            drop(self.updates.send(Update {
                sequence,
                text: text.into(),
            }));
        }
    }

    /// A stream from now on. The snapshot is to be asked for after this, so that nothing falls
    /// between the two.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Update> {
        self.updates.subscribe()
    }

    /// Everything as one message, to be followed by the updates with higher numbers.
    #[must_use]
    pub fn snapshot(&self, cases: &[Case]) -> Update {
        let sequence = *self.sequence.lock();
        let cases = drawn(cases)
            .map(|case| CaseView::new(case, &self.catalog))
            .collect();
        let body = Snapshot {
            kind: "snapshot",
            seq: sequence,
            positions: self.views(|_| true),
            cases,
        };
        let text = serde_json::to_string(&body).unwrap_or_default();
        Update {
            sequence,
            text: text.into(),
        }
    }
}

/// The map draws violations; what people report is in the lists.
fn drawn(cases: &[Case]) -> impl Iterator<Item = &Case> {
    cases.iter().filter(|case| case.violation().is_some())
}
