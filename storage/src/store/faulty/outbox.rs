//! The outbox of a store that fails.

use async_trait::async_trait;
use geofence::{identity::CaseId, units::Timestamp};
use uuid::Uuid;

use super::FaultyStore;
use crate::{
    outbox::{
        Attempt, Backlog, Begun, Callback, Delivery, DeliveryQuery, Event, Outbox, OutboxRecord,
        OutboxRetention, OutboxTally, Plan, ReceiverNumber,
    },
    store::StoreError,
};

const READ: &str = "read the outbox";
const WRITE: &str = "write the outbox";

#[async_trait]
impl Outbox for FaultyStore {
    async fn unplanned(&self, limit: u32) -> Result<Vec<Event>, StoreError> {
        self.call(READ, self.inner.unplanned(limit)).await
    }

    async fn plan(&self, plan: &Plan) -> Result<(), StoreError> {
        self.call(WRITE, self.inner.plan(plan)).await
    }

    async fn due(
        &self,
        receiver: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Delivery, Event)>, StoreError> {
        self.call(READ, self.inner.due(receiver, now, limit)).await
    }

    async fn supersede(&self, receiver: &str, now: Timestamp) -> Result<u64, StoreError> {
        self.call(WRITE, self.inner.supersede(receiver, now)).await
    }

    async fn conclude(&self, attempts: &[Attempt]) -> Result<(), StoreError> {
        self.call(WRITE, self.inner.conclude(attempts)).await
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>, StoreError> {
        self.call(READ, self.inner.deliveries(query)).await
    }

    async fn delivery(&self, id: Uuid) -> Result<Option<Delivery>, StoreError> {
        self.call(READ, self.inner.delivery(id)).await
    }

    async fn resend(&self, id: Uuid, now: Timestamp) -> Result<bool, StoreError> {
        self.call(WRITE, self.inner.resend(id, now)).await
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        self.call(READ, self.inner.backlog()).await
    }

    async fn receiver_numbers(&self, case: CaseId) -> Result<Vec<ReceiverNumber>, StoreError> {
        self.call(READ, self.inner.receiver_numbers(case)).await
    }

    async fn begin_callback(&self, callback: &Callback) -> Result<Begun, StoreError> {
        self.call(WRITE, self.inner.begin_callback(callback)).await
    }

    async fn finish_callback(
        &self,
        receiver: &str,
        key: &str,
        outcome: Option<&str>,
    ) -> Result<(), StoreError> {
        self.call(WRITE, self.inner.finish_callback(receiver, key, outcome))
            .await
    }

    async fn retain_outbox(&self, retention: &OutboxRetention) -> Result<u64, StoreError> {
        self.call(WRITE, self.inner.retain_outbox(retention)).await
    }

    async fn outbox_records(
        &self,
        after: Option<CaseId>,
        limit: u32,
    ) -> Result<Vec<OutboxRecord>, StoreError> {
        self.call(READ, self.inner.outbox_records(after, limit))
            .await
    }

    async fn import_outbox(&self, records: &[OutboxRecord]) -> Result<(), StoreError> {
        self.call(WRITE, self.inner.import_outbox(records)).await
    }

    async fn tally_outbox(&self) -> Result<OutboxTally, StoreError> {
        self.call(READ, self.inner.tally_outbox()).await
    }
}
