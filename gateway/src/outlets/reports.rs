//! What inspectors say by their terminals, behind the log: events (0x0301), the emergency button, and
//! answers to questions (0x0302).
//!
//! Cases and moves are written at once, under ids and keys that follow from what came. What is known
//! of each inspector (his newest place, whether his button is pressed, what he sent last) is a
//! snapshot that is written with the cursor. So a replay opens nothing twice and answers nothing
//! twice (P3).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use geofence::{
    case::{
        Place, Severity,
        task::{TaskAnswer, TaskId},
    },
    catalog::{Vehicle, WorkKind},
    identity::TerminalId,
    position::Position,
    units::Timestamp,
};
use protocols::jt808::message::{Message, MessageId};
use serde::{Deserialize, Serialize};
use storage::{
    commands::{CommandQuery, Commands},
    log::Record,
    store::{FindingBatch, StoreError},
};

use super::{Batch, Consumer, follower::Workplace};
use crate::{
    Gateway,
    config::Inspectors,
    ingest::{
        normalise::{Window, call_for_help},
        record,
    },
    inspectors::{
        Report, answer, count_answer, count_report, inspector_with, report, task_of, tasks,
    },
};

/// The snapshot of this consumer, among those of the evaluator.
pub const SNAPSHOT_KEY: &str = "inspectors";
/// Alarm bit 0 (JT/T 808 table 24).
const EMERGENCY: u32 = 1;
/// A frame that comes again within so many milliseconds is the same report.
const RESENT_MS: i64 = 600_000;
/// Frames of one inspector that are known again.
const FRAMES_MAX: usize = 16;
/// Commands of one terminal among which a question is looked for.
const QUESTIONS_MAX: u32 = 200;
/// Tasks of one inspector that are looked at.
const TASKS_MAX: usize = 100;
const BY_TERMINAL: &str = "answered by terminal";

/// What is known of an inspector.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Known {
    /// The newest fix.
    fixed_at: Timestamp,
    /// The newest place, and when that was.
    place: Option<(Place, Timestamp)>,
    is_calling: bool,
    /// Digests of the newest event frames, and when they came.
    frames: Vec<(u32, Timestamp)>,
}

/// Follows what inspectors say.
#[derive(Debug)]
pub struct ReportsConsumer {
    config: Inspectors,
    /// Which questions were asked.
    commands: Arc<Commands>,
    interval: Duration,
    known: BTreeMap<TerminalId, Known>,
    /// The record behind the last one that is done.
    done: u64,
    snapshot: u64,
    /// Keys of snapshots that the next one replaces.
    elder: BTreeSet<String>,
    snapshot_at: Option<Instant>,
}

impl ReportsConsumer {
    /// Without any state yet.
    #[must_use]
    pub const fn new(config: Inspectors, commands: Arc<Commands>, interval: Duration) -> Self {
        Self {
            config,
            commands,
            interval,
            known: BTreeMap::new(),
            done: 0,
            snapshot: 0,
            elder: BTreeSet::new(),
            snapshot_at: None,
        }
    }

    /// True when something was said that a replay should not hear again.
    async fn take(&mut self, place: &Workplace, entry: &Record) -> Result<bool, StoreError> {
        let in_force = place.catalog.in_force();
        let catalog = &in_force.snapshot;
        let is_json = entry.kind == record::JSON;
        let sender = record::sender(entry);
        let inspector = sender.and_then(|(terminal, _)| inspector_with(catalog, &terminal));
        if inspector.is_none() && !is_json {
            return Ok(false);
        }
        let at = Timestamp(entry.received_at);
        let said = [MessageId::EVENT_REPORT, MessageId::QUESTION_ANSWER];
        if let (Some(inspector), Some((_, id))) = (inspector, sender)
            && said.contains(&id)
        {
            // The store writer counts what cannot be read.
            match record::message(entry) {
                Ok(Some(Message::EventReport(event))) => {
                    self.event(place, inspector, event.event_id, entry).await?;
                }
                Ok(Some(Message::QuestionAnswer(said))) => {
                    let (serial, choice) = (said.answered_serial, said.answer_id);
                    self.choice(place, inspector, serial, choice).await?;
                }
                _ => count_report(&place.metrics, "unreadable"),
            }
            return Ok(true);
        }
        let reports = record::reports(entry, &Window::from(&place.ingest)).unwrap_or_default();
        let mut has_called = false;
        for said in reports {
            let position = match said {
                Ok(position) => Some(position),
                Err(quarantined) => call_for_help(&quarantined),
            };
            let Some(position) = position else { continue };
            if let Some(inspector) = inspector_with(catalog, &position.terminal) {
                has_called |= self.position(place, inspector, &position, at).await?;
            }
        }
        Ok(has_called)
    }

    /// True when he calls for help now and did not before.
    async fn position(
        &mut self,
        place: &Workplace,
        inspector: &Vehicle,
        position: &Position,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let known = self.known.get(&position.terminal);
        let mut known = known.cloned().unwrap_or_default();
        if position.fixed_at < known.fixed_at {
            // Backlog behind what is known: the checks hear it.
            return Ok(false);
        }
        known.fixed_at = position.fixed_at;
        if position.is_positioned {
            let there = Place {
                latitude: position.latitude,
                longitude: position.longitude,
            };
            known.place = Some((there, position.fixed_at));
        }
        let calls = position.alarm_flags & EMERGENCY != 0;
        let is_new = calls && !known.is_calling;
        known.is_calling = calls;
        if is_new {
            let said = Report {
                inspector,
                kind: "emergency",
                name: position.fixed_at.0.to_string(),
                occurred_at: position.fixed_at,
                received_at: at,
                place: self.fresh(&known, position.fixed_at),
                description: "紧急报警".to_owned(),
                category: String::new(),
                severity: Severity::Urgent,
                media: Vec::new(),
            };
            report(place, said).await?;
        }
        self.known.insert(position.terminal, known);
        Ok(is_new)
    }

    fn fresh(&self, known: &Known, at: Timestamp) -> Option<Place> {
        let (place, fixed_at) = known.place?;
        let age = i64::try_from(self.config.position_age_max.as_millis()).ok()?;
        (at.millis_since(fixed_at) <= age).then_some(place)
    }

    async fn event(
        &mut self,
        place: &Workplace,
        inspector: &Vehicle,
        id: u8,
        entry: &Record,
    ) -> Result<(), StoreError> {
        let at = Timestamp(entry.received_at);
        let terminal = inspector.terminal;
        let mut known = self.known.get(&terminal).cloned().unwrap_or_default();
        let frame = crc32fast::hash(&entry.payload);
        known
            .frames
            .retain(|(_, came)| at.millis_since(*came) <= RESENT_MS);
        if known.frames.iter().any(|(digest, _)| *digest == frame) {
            count_report(&place.metrics, "resent");
            return Ok(());
        }
        let verdicts = [
            (self.config.pass_event, TaskAnswer::Pass),
            (self.config.fail_event, TaskAnswer::Fail),
            (self.config.unclear_event, TaskAnswer::Unclear),
        ];
        let verdict = verdicts
            .into_iter()
            .find(|(event, _)| id > 0 && *event == id);
        let event = self.config.events.iter().find(|event| event.id == id);
        if let Some((_, said)) = verdict {
            self.verdict(place, inspector, said, at).await?;
        } else if let Some(event) = event {
            let said = Report {
                inspector,
                kind: "event",
                name: format!("{}\n{}", place.log.id(), entry.offset),
                occurred_at: at,
                received_at: at,
                place: self.fresh(&known, at),
                description: event.text.clone(),
                category: event.category.clone(),
                severity: Severity::Normal,
                media: Vec::new(),
            };
            report(place, said).await?;
        } else {
            count_report(&place.metrics, "unknown_event");
        }
        known.frames.push((frame, at));
        let surplus = known.frames.len().saturating_sub(FRAMES_MAX);
        known.frames.drain(..surplus);
        self.known.insert(terminal, known);
        Ok(())
    }

    /// An event that answers the only task that he had then.
    async fn verdict(
        &self,
        place: &Workplace,
        inspector: &Vehicle,
        said: TaskAnswer,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let is_his = |task: &geofence::case::task::Task| {
            task.inspector.as_ref() == Some(&inspector.id) && task.opened_at <= at
        };
        let found = tasks(place, true, is_his, None, (TASKS_MAX, usize::MAX)).await?;
        match &*found.tasks {
            [] => count_answer(&place.metrics, "late"),
            [(case, number)] => {
                let id = TaskId {
                    case: case.id,
                    number: *number,
                };
                answer(place, id, inspector, said, BY_TERMINAL).await?;
            }
            _ => count_answer(&place.metrics, "ambiguous"),
        }
        Ok(())
    }

    /// An answer to a question that was asked under this serial number.
    async fn choice(
        &self,
        place: &Workplace,
        inspector: &Vehicle,
        serial: u16,
        choice: u8,
    ) -> Result<(), StoreError> {
        let said = match choice {
            1 => TaskAnswer::Pass,
            2 => TaskAnswer::Fail,
            3 => TaskAnswer::Unclear,
            _ => {
                count_answer(&place.metrics, "unknown");
                return Ok(());
            }
        };
        let query = CommandQuery {
            terminal: Some(inspector.terminal),
            limit: QUESTIONS_MAX,
            ..CommandQuery::default()
        };
        let commands = tokio::task::block_in_place(|| self.commands.list(&query))?;
        let asked = commands.iter().filter(|command| {
            let sending = command.sending.as_ref();
            command.message_id == MessageId::QUESTION.0
                && sending.is_some_and(|sending| sending.first_serial == serial)
        });
        let asked = asked.filter_map(|command| task_of(command.idempotency_key.as_deref()?));
        let asked: Vec<TaskId> = asked.collect();
        let mut waiting = Vec::new();
        for id in &asked {
            let case = place.store.case(id.case).await?;
            let open = case.as_ref().and_then(|case| case.open_task());
            if open.is_some_and(|task| task.number == id.number) {
                waiting.push(*id);
            }
        }
        // Serial numbers begin anew with each connection.
        match (&*waiting, &*asked) {
            ([id], _) | ([], [id, ..]) => {
                answer(place, *id, inspector, said, BY_TERMINAL).await?;
            }
            ([], []) => count_answer(&place.metrics, "foreign"),
            _ => count_answer(&place.metrics, "ambiguous"),
        }
        Ok(())
    }

    async fn write(&mut self, place: &Workplace) -> Result<Option<u64>, StoreError> {
        if self.done == self.snapshot {
            return Ok(None);
        }
        let in_force = place.catalog.in_force();
        let catalog = &in_force.snapshot;
        self.known
            .retain(|terminal, _| inspector_with(catalog, terminal).is_some());
        let bytes = if self.known.is_empty() {
            Vec::new()
        } else {
            // Ids, numbers and lists: nothing of it can fail to be JSON.
            serde_json::to_vec(&self.known).unwrap_or_default()
        };
        let batch = FindingBatch {
            judged: place.cursor(Self::NAME, self.done),
            moves_cursor: true,
            snapshots: place.named([(SNAPSHOT_KEY.to_owned(), bytes)].into(), &self.elder),
            ..FindingBatch::default()
        };
        place.store.write_findings(&batch).await?;
        self.elder.clear();
        self.snapshot = self.done;
        self.snapshot_at = Some(Instant::now());
        Ok(Some(self.done))
    }
}

#[async_trait::async_trait]
impl Consumer for ReportsConsumer {
    const NAME: &'static str = "inspectors";
    const RECORDS_MAX: usize = 4_096;
    // What was done is done: a batch that is repeated goes on where it stopped.
    const RECORDS_MIN: usize = Self::RECORDS_MAX;

    fn linger(_: &Gateway) -> Duration {
        Duration::ZERO
    }

    async fn start(&mut self, place: &Workplace) -> Result<Option<u64>, StoreError> {
        let start = place.stored_cursor(Self::NAME).await?;
        let mut own = place.own_snapshots(|key| key == SNAPSHOT_KEY).await?;
        self.known = BTreeMap::new();
        let bytes = own.snapshots.remove(SNAPSHOT_KEY);
        if let Some(bytes) = bytes.filter(|_| start.is_some()) {
            self.elder = own.elder;
            match serde_json::from_slice(&bytes) {
                Ok(known) => self.known = known,
                Err(error) => {
                    tracing::error!(%error, "what was known of inspectors cannot be read");
                }
            }
        }
        self.done = start.unwrap_or_default();
        self.snapshot = self.done;
        Ok(start)
    }

    async fn rewind(&mut self, place: &Workplace, end: u64) -> Result<(), StoreError> {
        self.done = end;
        self.write(place).await?;
        Ok(())
    }

    async fn apply(&mut self, place: &Workplace, batch: &Batch) -> Result<Option<u64>, StoreError> {
        let in_force = place.catalog.in_force();
        let mut kinds = in_force.snapshot.vehicles().iter().map(|v| v.work_kind);
        let mut is_due = self
            .snapshot_at
            .is_none_or(|at| at.elapsed() >= self.interval);
        if kinds.any(|kind| kind == WorkKind::Inspector) {
            for entry in &batch.records {
                if entry.offset >= self.done {
                    is_due |= self.take(place, entry).await?;
                    self.done = entry.offset + 1;
                }
            }
        }
        self.done = self.done.max(batch.next);
        if is_due {
            self.write(place).await
        } else {
            Ok(None)
        }
    }

    async fn settle(&mut self, place: &Workplace) -> Result<Option<u64>, StoreError> {
        self.write(place).await
    }
}
