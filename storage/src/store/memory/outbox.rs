//! The outbox in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use geofence::{identity::CaseId, units::Timestamp};
use uuid::Uuid;

use super::MemoryStore;
use crate::{
    case_changes::Change,
    outbox::{
        self, Attempt, Backlog, Begun, Callback, Delivery, DeliveryQuery, DeliveryState, Event,
        EventKind, Outbox, OutboxRecord, OutboxRetention, OutboxTally, Plan, ReceiverNumber,
    },
    store::StoreError,
};

#[derive(Debug, Default)]
pub(super) struct Tables {
    sequences: BTreeMap<CaseId, u64>,
    /// By the order of planning.
    events: BTreeMap<u64, (Event, bool)>,
    next_number: u64,
    deliveries: BTreeMap<Uuid, Delivery>,
    numbers: BTreeMap<(CaseId, String), ReceiverNumber>,
    callbacks: BTreeMap<(String, String), Callback>,
}

impl Tables {
    pub(super) fn write(&mut self, change: &Change) {
        let draft = outbox::draft(change);
        let sequence = self.sequences.entry(draft.case).or_default();
        *sequence += 1;
        let event = Event {
            case: draft.case,
            sequence: *sequence,
            kind: draft.kind,
            at: draft.at,
            content: draft.content,
        };
        self.push(event, false);
    }

    fn push(&mut self, event: Event, is_planned: bool) {
        self.events.insert(self.next_number, (event, is_planned));
        self.next_number += 1;
    }

    fn has_delivery(&self, case: CaseId, sequence: u64) -> bool {
        self.deliveries
            .values()
            .any(|one| (one.case, one.sequence) == (case, sequence))
    }

    fn pending(&self, receiver: &str) -> impl Iterator<Item = &Delivery> {
        let all = self.deliveries.values();
        all.filter(move |one| one.receiver == receiver && one.state == DeliveryState::Pending)
    }

    fn event(&self, case: CaseId, sequence: u64) -> Option<&Event> {
        let mut events = self.events.values().map(|(event, _)| event);
        events.find(|event| (event.case, event.sequence) == (case, sequence))
    }

    fn conclude(&mut self, attempt: Attempt) {
        let Some(delivery) = self.deliveries.get_mut(&attempt.id) else {
            return;
        };
        if let Some(number) = attempt.number {
            let receiver = delivery.receiver.clone();
            let key = (delivery.case, receiver.clone());
            let number = ReceiverNumber {
                receiver,
                number,
                at: attempt.at,
            };
            self.numbers.insert(key, number);
        }
        let state = attempt.state;
        if delivery.state == DeliveryState::Pending || state == DeliveryState::Delivered {
            delivery.state = state;
            delivery.attempts += 1;
            delivery.next_at = attempt.next_at;
            delivery.finished_at = (state != DeliveryState::Pending).then_some(attempt.at);
            delivery.status = attempt.status;
            delivery.said = attempt.said;
        }
    }

    fn record(&self, case: CaseId) -> OutboxRecord {
        let mut record = OutboxRecord {
            case,
            sequence: self.sequences.get(&case).copied().unwrap_or_default(),
            events: self
                .events
                .values()
                .filter(|(event, _)| event.case == case)
                .cloned()
                .collect(),
            deliveries: self
                .deliveries
                .values()
                .filter(|one| one.case == case)
                .cloned()
                .collect(),
            numbers: self.numbers_of(case),
            callbacks: self
                .callbacks
                .values()
                .filter(|one| one.case == case)
                .cloned()
                .collect(),
        };
        record.events.sort_by_key(|(event, _)| event.sequence);
        record
            .deliveries
            .sort_by(|a, b| (a.sequence, &a.receiver).cmp(&(b.sequence, &b.receiver)));
        record
    }

    pub(super) fn numbers_of(&self, case: CaseId) -> Vec<ReceiverNumber> {
        let all = self.numbers.iter();
        all.filter(|((of, _), _)| *of == case)
            .map(|(_, number)| number.clone())
            .collect()
    }
}

#[async_trait]
impl Outbox for MemoryStore {
    async fn unplanned(&self, limit: u32) -> Result<Vec<Event>, StoreError> {
        let tables = &self.tables.lock().outbox;
        let waiting = tables.events.values().filter(|(_, is_planned)| !is_planned);
        Ok(waiting
            .map(|(event, _)| event.clone())
            .take(limit as usize)
            .collect())
    }

    async fn plan(&self, plan: &Plan) -> Result<(), StoreError> {
        let tables = &mut self.tables.lock().outbox;
        for delivery in &plan.deliveries {
            let key = (delivery.case, delivery.sequence);
            let waits = tables
                .events
                .values()
                .any(|(event, is_planned)| (event.case, event.sequence) == key && !is_planned);
            if waits {
                let entry = tables.deliveries.entry(delivery.id);
                entry.or_insert_with(|| delivery.clone());
            }
        }
        for (case, sequence) in &plan.events {
            let is_wanted = tables.has_delivery(*case, *sequence);
            tables.events.retain(|_, (event, is_planned)| {
                let is_it = (event.case, event.sequence) == (*case, *sequence);
                *is_planned |= is_it;
                !is_it || is_wanted
            });
        }
        Ok(())
    }

    async fn due(
        &self,
        receiver: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Delivery, Event)>, StoreError> {
        let tables = &self.tables.lock().outbox;
        let mut earliest: BTreeMap<CaseId, &Delivery> = BTreeMap::new();
        for delivery in tables.pending(receiver) {
            let first = earliest.entry(delivery.case).or_insert(delivery);
            if delivery.sequence < first.sequence {
                *first = delivery;
            }
        }
        let mut due: Vec<_> = earliest
            .into_values()
            .filter(|delivery| delivery.next_at <= now)
            .collect();
        due.sort_by_key(|delivery| (delivery.next_at, delivery.id));
        Ok(due
            .into_iter()
            .filter_map(|one| Some((one.clone(), tables.event(one.case, one.sequence)?.clone())))
            .take(limit as usize)
            .collect())
    }

    async fn supersede(&self, receiver: &str, now: Timestamp) -> Result<u64, StoreError> {
        let tables = &mut self.tables.lock().outbox;
        let mut newest: BTreeMap<CaseId, u64> = BTreeMap::new();
        for delivery in tables.pending(receiver) {
            let sequence = newest.entry(delivery.case).or_default();
            *sequence = delivery.sequence.max(*sequence);
        }
        let mut count = 0;
        for delivery in tables.deliveries.values_mut() {
            if delivery.receiver == receiver
                && delivery.state == DeliveryState::Pending
                && delivery.kind == EventKind::Changed
                && newest
                    .get(&delivery.case)
                    .is_some_and(|newest| delivery.sequence < *newest)
            {
                delivery.state = DeliveryState::Superseded;
                delivery.finished_at = Some(now);
                count += 1;
            }
        }
        Ok(count)
    }

    async fn conclude(&self, attempts: &[Attempt]) -> Result<(), StoreError> {
        let tables = &mut self.tables.lock().outbox;
        for attempt in attempts {
            tables.conclude(outbox::storable(attempt));
        }
        Ok(())
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>, StoreError> {
        let tables = &self.tables.lock().outbox;
        let mut found: Vec<_> = tables
            .deliveries
            .values()
            .filter(|one| {
                query.state.is_none_or(|state| state == one.state)
                    && query.receiver.as_ref().is_none_or(|r| *r == one.receiver)
                    && query.case.is_none_or(|case| case == one.case)
                    && query.after.is_none_or(|after| (one.since, one.id) < after)
            })
            .cloned()
            .collect();
        found.sort_by_key(|one| std::cmp::Reverse((one.since, one.id)));
        found.truncate(query.limit as usize);
        Ok(found)
    }

    async fn delivery(&self, id: Uuid) -> Result<Option<Delivery>, StoreError> {
        Ok(self.tables.lock().outbox.deliveries.get(&id).cloned())
    }

    async fn resend(&self, id: Uuid, now: Timestamp) -> Result<bool, StoreError> {
        let tables = &mut self.tables.lock().outbox;
        let delivery = tables.deliveries.get_mut(&id);
        let Some(delivery) = delivery.filter(|one| one.state == DeliveryState::Dead) else {
            return Ok(false);
        };
        delivery.state = DeliveryState::Pending;
        delivery.since = now;
        delivery.next_at = now;
        delivery.attempts = 0;
        delivery.finished_at = None;
        Ok(true)
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        let mut found: BTreeMap<String, Backlog> = BTreeMap::new();
        for one in self.tables.lock().outbox.deliveries.values() {
            if !matches!(one.state, DeliveryState::Pending | DeliveryState::Dead) {
                continue;
            }
            let backlog = found
                .entry(one.receiver.clone())
                .or_insert_with(|| Backlog {
                    receiver: one.receiver.clone(),
                    pending: 0,
                    dead: 0,
                    oldest: None,
                });
            if one.state == DeliveryState::Dead {
                backlog.dead += 1;
            } else {
                backlog.pending += 1;
                let oldest = backlog.oldest.unwrap_or(one.since);
                backlog.oldest = Some(oldest.min(one.since));
            }
        }
        Ok(found.into_values().collect())
    }

    async fn receiver_numbers(&self, case: CaseId) -> Result<Vec<ReceiverNumber>, StoreError> {
        Ok(self.tables.lock().outbox.numbers_of(case))
    }

    async fn begin_callback(&self, asked: &Callback) -> Result<Begun, StoreError> {
        let callbacks = &mut self.tables.lock().outbox.callbacks;
        let key = (asked.receiver.clone(), asked.key.clone());
        if let Some(known) = callbacks.get_mut(&key) {
            let before = known.clone();
            known.sent = known.sent.max(asked.sent);
            return Ok(Begun::Known(before));
        }
        callbacks.insert(key, asked.clone());
        Ok(Begun::New)
    }

    async fn finish_callback(
        &self,
        receiver: &str,
        key: &str,
        outcome: Option<&str>,
    ) -> Result<(), StoreError> {
        let callbacks = &mut self.tables.lock().outbox.callbacks;
        let key = (receiver.to_owned(), key.to_owned());
        match outcome {
            None => drop(callbacks.remove(&key)),
            Some(outcome) => {
                if let Some(callback) = callbacks.get_mut(&key) {
                    callback.outcome = Some(outcome.to_owned());
                }
            }
        }
        Ok(())
    }

    async fn retain_outbox(&self, retention: &OutboxRetention) -> Result<u64, StoreError> {
        let tables = &mut self.tables.lock().outbox;
        let before = tables.deliveries.len();
        tables.deliveries.retain(|_, one| {
            let limit = match one.state {
                DeliveryState::Pending => None,
                DeliveryState::Delivered | DeliveryState::Superseded => retention.finished_before,
                DeliveryState::Dead => retention.dead_before,
            };
            !matches!((limit, one.finished_at), (Some(limit), Some(at)) if at < limit)
        });
        let removed = (before - tables.deliveries.len()) as u64;
        if removed > 0 {
            let deliveries = tables.deliveries.values();
            let wanted: Vec<_> = deliveries.map(|one| (one.case, one.sequence)).collect();
            tables.events.retain(|_, (event, is_planned)| {
                !*is_planned || wanted.contains(&(event.case, event.sequence))
            });
        }
        if let Some(limit) = retention.callbacks_before {
            tables.callbacks.retain(|_, one| one.at >= limit);
        }
        Ok(removed)
    }

    async fn outbox_records(
        &self,
        after: Option<CaseId>,
        limit: u32,
    ) -> Result<Vec<OutboxRecord>, StoreError> {
        let tables = &self.tables.lock().outbox;
        let callbacks = tables.callbacks.values().map(|one| one.case);
        let cases: std::collections::BTreeSet<_> =
            tables.sequences.keys().copied().chain(callbacks).collect();
        Ok(cases
            .into_iter()
            .filter(|case| after.is_none_or(|after| *case > after))
            .take(limit as usize)
            .map(|case| tables.record(case))
            .collect())
    }

    async fn import_outbox(&self, records: &[OutboxRecord]) -> Result<(), StoreError> {
        let tables = &mut self.tables.lock().outbox;
        for record in records {
            let case = record.case;
            tables.events.retain(|_, (event, _)| event.case != case);
            tables.deliveries.retain(|_, one| one.case != case);
            tables.numbers.retain(|(of, _), _| *of != case);
            tables.callbacks.retain(|_, one| one.case != case);
            tables.sequences.remove(&case);
            if record.sequence > 0 {
                tables.sequences.insert(case, record.sequence);
            }
            for (event, is_planned) in &record.events {
                tables.push(event.clone(), *is_planned);
            }
            for one in &record.deliveries {
                tables.deliveries.insert(one.id, one.clone());
            }
            for one in &record.numbers {
                let key = (case, one.receiver.clone());
                tables.numbers.insert(key, one.clone());
            }
            for one in &record.callbacks {
                let key = (one.receiver.clone(), one.key.clone());
                tables.callbacks.insert(key, one.clone());
            }
        }
        Ok(())
    }

    async fn tally_outbox(&self) -> Result<OutboxTally, StoreError> {
        let tables = &self.tables.lock().outbox;
        Ok(OutboxTally {
            cases: tables.sequences.len() as u64,
            events: tables.events.len() as u64,
            deliveries: tables.deliveries.len() as u64,
            numbers: tables.numbers.len() as u64,
            callbacks: tables.callbacks.len() as u64,
        })
    }
}
