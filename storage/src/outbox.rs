//! The outbox: what other systems must hear about cases, and how far each of them has heard it.
//!
//! Every change of a case writes one [`Event`] in the transaction of the case. Later it is planned:
//! it becomes one [`Delivery`] for each receiver that wants it, or goes at once when nobody does.
//! A delivery is pending until it is delivered or dead. Of one case and one receiver only the
//! earliest pending one is [due](Outbox::due), which keeps the order.
//!
//! Ids are derived from case, sequence and receiver. So a receiver that has seen one recognises it,
//! also after a crash between its answer and our noting it, and after a store that was rebuilt.

use async_trait::async_trait;
use geofence::{
    case::{Case, Stage},
    identity::CaseId,
    units::Timestamp,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    case_changes::{Change, damaged, without_nul},
    store::{CaseChange, StoreError},
};

/// Makes an enum of words that rows and JSON use.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_meta])* $variant,)+ }

        impl $name {
            /// Each of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word that rows and JSON use.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The one of that word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == word)
            }
        }
    };
}

words! {
    /// What happened to a case. Of several things in one transaction the one that matters most.
    EventKind {
        /// It is new.
        Opened = "opened",
        /// What it is about changed; its history has no new line.
        Changed = "changed",
        /// Its history has a new line.
        Moved = "moved",
        /// It is withdrawn, maybe before anybody heard of it.
        Withdrawn = "withdrawn",
    }
}

words! {
    /// How far a receiver has heard of an event.
    DeliveryState {
        /// Not yet.
        Pending = "pending",
        /// It said so.
        Delivered = "delivered",
        /// A later event of the same case, which says all that this one would, took its place.
        Superseded = "superseded",
        /// Given up: a person must look.
        Dead = "dead",
    }
}

/// A change of a case that somebody may have to hear of.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Which case.
    pub case: CaseId,
    /// Counts up within the case, from 1, without gaps.
    pub sequence: u64,
    /// What happened.
    pub kind: EventKind,
    /// When, by the clock of the change.
    pub at: Timestamp,
    /// The case as it was then, so that a repetition says the same.
    pub content: Content,
}

/// What an event says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// The case after the change, with its evidence.
    pub case: Case,
    /// The lines that the change added to its history.
    pub changes: Vec<CaseChange>,
}

/// One event for one receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Derived: see [`Delivery::id_of`]. The receiver is told it with every attempt.
    pub id: Uuid,
    /// The name of the receiver.
    pub receiver: String,
    /// Which case.
    pub case: CaseId,
    /// The event's place within the case.
    pub sequence: u64,
    /// What happened.
    pub kind: EventKind,
    /// How far it is.
    pub state: DeliveryState,
    /// When it was planned, or sent again by a person.
    pub since: Timestamp,
    /// How often it was tried since then.
    pub attempts: u32,
    /// Not tried before.
    pub next_at: Timestamp,
    /// When it was delivered, superseded or given up.
    pub finished_at: Option<Timestamp>,
    /// The HTTP status of the last attempt that had an answer.
    pub status: Option<u16>,
    /// What the receiver said last, or why there is no answer; bounded by who writes it.
    pub said: String,
}

impl Delivery {
    /// The id of a delivery, which is its idempotency key.
    #[must_use]
    pub fn id_of(case: CaseId, sequence: u64, receiver: &str) -> Uuid {
        let name = format!("delivery\n{sequence}\n{receiver}");
        Uuid::new_v5(&case.0, name.as_bytes())
    }

    /// The delivery of an event to a receiver, not tried yet.
    #[must_use]
    pub fn new(event: &Event, receiver: &str, at: Timestamp) -> Self {
        Self {
            id: Self::id_of(event.case, event.sequence, receiver),
            receiver: receiver.to_owned(),
            case: event.case,
            sequence: event.sequence,
            kind: event.kind,
            state: DeliveryState::Pending,
            since: at,
            attempts: 0,
            next_at: at,
            finished_at: None,
            status: None,
            said: String::new(),
        }
    }
}

/// Events that were looked at, and who is to hear of them. Repeating it changes nothing.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Case and sequence of each event.
    pub events: Vec<(CaseId, u64)>,
    /// New deliveries of these. An event without any is removed.
    pub deliveries: Vec<Delivery>,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which delivery.
    pub id: Uuid,
    /// When it ended.
    pub at: Timestamp,
    /// How far the delivery is now. [`DeliveryState::Pending`] is tried again at `next_at`.
    pub state: DeliveryState,
    /// The time of the next one.
    pub next_at: Timestamp,
    /// The HTTP status.
    pub status: Option<u16>,
    /// What was said.
    pub said: String,
    /// The receiver's own number of the case.
    pub number: Option<String>,
}

/// Which deliveries to list, newest first by `(since, id)`.
#[derive(Clone, Debug, Default)]
pub struct DeliveryQuery {
    /// Only this state.
    pub state: Option<DeliveryState>,
    /// Only of this receiver.
    pub receiver: Option<String>,
    /// Only of this case.
    pub case: Option<CaseId>,
    /// Continue behind this one: `(since, id)` of the last one of the page before.
    pub after: Option<(Timestamp, Uuid)>,
    /// At most so many.
    pub limit: u32,
}

/// What a receiver has before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// The receiver.
    pub receiver: String,
    /// Deliveries that are pending.
    pub pending: u64,
    /// Deliveries that were given up.
    pub dead: u64,
    /// Since when the oldest pending one is.
    pub oldest: Option<Timestamp>,
}

/// The number that a case has with a receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiverNumber {
    /// The receiver.
    pub receiver: String,
    /// Its number, as it said.
    pub number: String,
    /// When it last said so.
    pub at: Timestamp,
}

/// A move that a receiver has asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// The receiver.
    pub receiver: String,
    /// Its key of the request.
    pub key: String,
    /// The case.
    pub case: CaseId,
    /// When it came first.
    pub at: Timestamp,
    /// Digest of what it said: the same key with another text is a mistake.
    pub digest: String,
    /// Seconds since 1970 that its newest request was signed with.
    pub sent: i64,
    /// What became of it; `None` while nobody knows.
    pub outcome: Option<String>,
}

/// What became of [`Outbox::begin_callback`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It is new, and noted.
    New,
    /// Its key was there, as this.
    Known(Callback),
}

/// All that the outbox knows of one case, for a move to another store.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxRecord {
    /// The case.
    pub case: CaseId,
    /// The sequence of its newest event.
    pub sequence: u64,
    /// Events that are kept, with whether they are planned.
    pub events: Vec<(Event, bool)>,
    /// Deliveries by sequence and receiver.
    pub deliveries: Vec<Delivery>,
    /// Numbers by receiver.
    pub numbers: Vec<ReceiverNumber>,
    /// Moves by receiver and key.
    pub callbacks: Vec<Callback>,
}

/// How many rows the tables of the outbox have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxTally {
    /// Cases with events.
    pub cases: u64,
    /// Events that are kept.
    pub events: u64,
    /// Deliveries.
    pub deliveries: u64,
    /// Numbers that receivers gave.
    pub numbers: u64,
    /// Moves that receivers asked for.
    pub callbacks: u64,
}

/// What may go from the outbox: what ended before a moment. `None` keeps all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxRetention {
    /// Deliveries that were delivered or superseded, with events that nobody needs any more.
    pub finished_before: Option<Timestamp>,
    /// Deliveries that were given up.
    pub dead_before: Option<Timestamp>,
    /// Keys of callbacks.
    pub callbacks_before: Option<Timestamp>,
}

/// The outbox of a store. Calls that write may be repeated.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// The oldest events that were not planned yet.
    async fn unplanned(&self, limit: u32) -> Result<Vec<Event>, StoreError>;

    /// Says who is to hear of events.
    async fn plan(&self, plan: &Plan) -> Result<(), StoreError>;

    /// Deliveries to a receiver whose time has come, each with its event, those longest due first.
    /// Only the earliest pending one of a case.
    async fn due(
        &self,
        receiver: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Delivery, Event)>, StoreError>;

    /// Of a receiver's pending deliveries, those of kind [`EventKind::Changed`] that have a later
    /// pending one of the same case behind them are superseded. Gives how many. Nothing of this
    /// receiver may be under way.
    async fn supersede(&self, receiver: &str, now: Timestamp) -> Result<u64, StoreError>;

    /// Notes what became of attempts, of all or of none, in their order. Only a pending delivery
    /// stays pending or dies; any becomes delivered.
    async fn conclude(&self, attempts: &[Attempt]) -> Result<(), StoreError>;

    /// Deliveries, newest first.
    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>, StoreError>;

    /// One delivery.
    async fn delivery(&self, id: Uuid) -> Result<Option<Delivery>, StoreError>;

    /// Makes a dead delivery pending again. False when it is not dead.
    async fn resend(&self, id: Uuid, now: Timestamp) -> Result<bool, StoreError>;

    /// What each receiver has before it, by name; also such as are not configured any more.
    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError>;

    /// The numbers of a case, by receiver.
    async fn receiver_numbers(&self, case: CaseId) -> Result<Vec<ReceiverNumber>, StoreError>;

    /// Notes a callback before it is acted upon, unless its key is there: then only the newest time
    /// of sending is noted, and what was there before is given back.
    async fn begin_callback(&self, callback: &Callback) -> Result<Begun, StoreError>;

    /// Notes what became of it; `None` removes the note, so that it may come again.
    async fn finish_callback(
        &self,
        receiver: &str,
        key: &str,
        outcome: Option<&str>,
    ) -> Result<(), StoreError>;

    /// Removes what is too old; gives the number of deliveries.
    async fn retain_outbox(&self, retention: &OutboxRetention) -> Result<u64, StoreError>;

    /// All there is, by case, behind `after`.
    async fn outbox_records(
        &self,
        after: Option<CaseId>,
        limit: u32,
    ) -> Result<Vec<OutboxRecord>, StoreError>;

    /// Takes over records, in place of what is there of their cases.
    async fn import_outbox(&self, records: &[OutboxRecord]) -> Result<(), StoreError>;

    /// Counts the rows.
    async fn tally_outbox(&self) -> Result<OutboxTally, StoreError>;
}

/// An event whose sequence the store gives.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) case: CaseId,
    pub(crate) kind: EventKind,
    pub(crate) at: Timestamp,
    pub(crate) content: Content,
}

/// What a change of a case tells the world. Every change tells something.
pub(crate) fn draft(change: &Change) -> Draft {
    let case = &change.stored.case;
    let lines = &change.history;
    let kind = if lines
        .iter()
        .any(|line| line.to == Stage::Withdrawn && line.from != Some(line.to))
    {
        EventKind::Withdrawn
    } else if change.is_new {
        EventKind::Opened
    } else if !lines.is_empty() {
        EventKind::Moved
    } else {
        EventKind::Changed
    };
    Draft {
        case: case.id,
        kind,
        at: case.changed_at,
        content: Content {
            case: case.clone(),
            changes: lines.clone(),
        },
    }
}

/// The content as text; JSON writes U+0000 as an escape, which databases take.
pub(crate) fn to_json(content: &Content) -> Result<String, StoreError> {
    serde_json::to_string(content).map_err(|error| damaged("write the outbox", &error))
}

/// The event of a row.
pub(crate) fn event(
    case: CaseId,
    sequence: i64,
    kind: &str,
    at: Timestamp,
    content: &str,
) -> Result<Event, StoreError> {
    let action = "read the outbox";
    Ok(Event {
        case,
        sequence: sequence.cast_unsigned(),
        kind: EventKind::from_word(kind).ok_or_else(|| damaged(action, &kind))?,
        at,
        content: serde_json::from_str(content).map_err(|error| damaged(action, &error))?,
    })
}

/// What a receiver said, as every store can keep it.
pub(crate) fn storable(attempt: &Attempt) -> Attempt {
    Attempt {
        said: without_nul(&attempt.said),
        number: attempt.number.as_deref().map(without_nul),
        ..attempt.clone()
    }
}

/// A status as PostgreSQL and SQLite keep it.
pub(crate) fn status(stored: Option<i64>) -> Option<u16> {
    stored.and_then(|status| u16::try_from(status).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_delivery_is_always_the_same_and_another_one_for_each() {
        let case = CaseId(Uuid::from_u128(7));
        let id = Delivery::id_of(case, 1, "city");
        assert_eq!(id.to_string(), "f51ee506-2bdb-5f53-901c-27fd6a5c2c47");
        let others = [
            Delivery::id_of(case, 2, "city"),
            Delivery::id_of(case, 1, "district"),
            Delivery::id_of(CaseId(Uuid::from_u128(8)), 1, "city"),
        ];
        assert!(!others.contains(&id));
    }

    #[test]
    fn words_are_read_back() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_word(kind.as_str()), Some(*kind));
        }
        for state in DeliveryState::ALL {
            assert_eq!(DeliveryState::from_word(state.as_str()), Some(*state));
        }
        assert_eq!(DeliveryState::from_word("lost"), None);
    }
}
