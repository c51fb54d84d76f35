//! A store in memory, for tests of what is in front of one: the tables as maps, nothing more. It
//! answers at once, and what it holds lives as long as it does.

mod outbox;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use geofence::{
    case::{Case, Stage, policy::Desk},
    identity::{CaseId, TerminalId, ViolationId},
    units::Timestamp,
};
use parking_lot::Mutex;
use uuid::Uuid;

use super::{
    CaseChange, CaseQuery, CaseRecord, CaseWritten, Cursor, FindingBatch, FindingsWritten, Import,
    MoveOrder, Moved, Opening, PositionBatch, PositionQuery, PositionRow, PositionTally,
    PositionsWritten, QuarantinedRow, Retained, Retention, Store, StoreError, Tally, day_of,
    newest, refused,
};
use crate::{
    case_changes::{
        Change, Loaded, StoredCase, Wanted, done, findings, moved, opening, tick, without_nul,
    },
    evaluation::{
        self, CaseEvent, EvaluationQuery, EventKind, FigureCases, FigureRow, TerminalDay,
    },
};

type PositionKey = (Timestamp, TerminalId, u32);

/// The store.
#[derive(Debug, Default)]
pub struct MemoryStore {
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    positions: BTreeMap<PositionKey, PositionRow>,
    latest: BTreeMap<TerminalId, PositionRow>,
    quarantine: Vec<QuarantinedRow>,
    quarantined: BTreeSet<(TerminalId, &'static str, u32)>,
    cursors: BTreeMap<(Uuid, String), u64>,
    cases: BTreeMap<CaseId, (StoredCase, Vec<CaseChange>)>,
    members: BTreeMap<ViolationId, CaseId>,
    snapshots: BTreeMap<String, Vec<u8>>,
    outbox: outbox::Tables,
    events: BTreeMap<(CaseId, EventKind, i32), CaseEvent>,
}

impl Tables {
    fn move_cursor(&mut self, cursor: &Cursor) {
        let key = (cursor.log, cursor.consumer.clone());
        self.cursors.insert(key, cursor.offset);
    }

    fn move_latest<'a>(&mut self, rows: impl Iterator<Item = &'a PositionRow>) {
        for (terminal, row) in newest(rows) {
            let kept = self.latest.entry(terminal).or_insert_with(|| row.clone());
            if key(row) > key(kept) {
                *kept = row.clone();
            }
        }
    }

    /// The one place where a changed case is written.
    fn write_case(&mut self, change: &Change) {
        self.put_case(change);
        self.outbox.write(change);
    }

    fn put_case(&mut self, change: &Change) {
        let id = change.stored.case.id;
        for violation in change.members() {
            self.members.insert(violation, id);
        }
        (self.events).retain(|(case, kind, _), _| *case != id || *kind != EventKind::Happened);
        for event in evaluation::events(change) {
            self.events.entry(event.key()).or_insert(event);
        }
        let new = || (change.stored.clone(), Vec::new());
        let (stored, history) = self.cases.entry(id).or_insert_with(new);
        stored.clone_from(&change.stored);
        history.extend(change.history.iter().cloned());
    }

    fn events_of(&self, case: CaseId) -> Vec<CaseEvent> {
        let all = self.events.values().filter(|event| event.case_id == case);
        let mut events: Vec<_> = all.cloned().collect();
        events.sort_by_key(|event| (event.event.as_str(), event.day));
        events
    }

    fn write_snapshots(&mut self, snapshots: &BTreeMap<String, Vec<u8>>) {
        for (key, bytes) in snapshots {
            if bytes.is_empty() {
                self.snapshots.remove(key);
            } else {
                self.snapshots.insert(key.clone(), bytes.clone());
            }
        }
    }
}

const fn key(row: &PositionRow) -> PositionKey {
    let p = &row.position;
    (p.fixed_at, p.terminal, p.digest)
}

#[async_trait]
impl Store for MemoryStore {
    fn description(&self) -> String {
        "memory".into()
    }

    async fn cursor(&self, log: Uuid, consumer: &str) -> Result<Option<u64>, StoreError> {
        let key = (log, consumer.to_owned());
        Ok(self.tables.lock().cursors.get(&key).copied())
    }

    async fn write_positions(&self, batch: &PositionBatch) -> Result<PositionsWritten, StoreError> {
        let mut tables = self.tables.lock();
        let mut written = PositionsWritten::default();
        let mut reports = batch.quarantined.clone();
        for row in &batch.positions {
            if day_of(row.position.fixed_at).is_none() {
                reports.push(refused(row));
            } else if tables.positions.insert(key(row), row.clone()).is_none() {
                written.inserted += 1;
            }
        }
        let kept = batch.positions.iter();
        tables.move_latest(kept.filter(|row| day_of(row.position.fixed_at).is_some()));
        for report in reports {
            let key = (report.terminal, report.reason.reason(), report.digest);
            if tables.quarantined.insert(key) {
                let number = tables.quarantine.last().map_or(1, |row| row.number + 1);
                tables.quarantine.push(QuarantinedRow { number, report });
                written.quarantined += 1;
            }
        }
        let all = (batch.positions.len() + batch.quarantined.len()) as u64;
        written.duplicates = all - written.inserted - written.quarantined;
        tables.move_cursor(&batch.cursor);
        Ok(written)
    }

    async fn write_findings(&self, batch: &FindingBatch) -> Result<FindingsWritten, StoreError> {
        let mut tables = self.tables.lock();
        let wanted = Wanted::of(batch);
        let mut loaded = Loaded::default();
        for (id, (stored, _)) in &tables.cases {
            let case = &stored.case;
            let grouped = case.group.as_ref();
            let mut is_wanted = grouped.is_some_and(|group| wanted.groups.contains(group));
            for violation in &wanted.violations {
                if tables.members.get(violation) == Some(id) {
                    loaded.members.insert(*violation, *id);
                    is_wanted = true;
                }
            }
            if is_wanted {
                loaded.cases.insert(*id, stored.clone());
            }
        }
        let outcome = findings(batch, loaded);
        for change in &outcome.changes {
            tables.write_case(change);
        }
        tables.write_snapshots(&batch.snapshots);
        if batch.moves_cursor {
            tables.move_cursor(&batch.judged);
        }
        Ok(outcome.into_written())
    }

    async fn open_case(&self, opened: &Opening) -> Result<(CaseWritten, bool), StoreError> {
        let mut tables = self.tables.lock();
        if let Some((stored, _)) = tables.cases.get(&opened.case.id) {
            let written = CaseWritten {
                case: stored.case.clone(),
                lines: Vec::new(),
            };
            return Ok((written, false));
        }
        let change = opening(opened);
        tables.write_case(&change);
        Ok((change.into_written(), true))
    }

    async fn move_case(&self, order: &MoveOrder) -> Result<Moved, StoreError> {
        let mut tables = self.tables.lock();
        let of = |id: &CaseId| tables.cases.get(id).map(|(stored, _)| stored.clone());
        let Some((stored, history)) = tables.cases.get(&order.case) else {
            return Ok(Moved::Unknown);
        };
        let key = order.request.key.as_deref().map(without_nul);
        if key.is_some() && history.iter().any(|line| line.key == key) {
            return Ok(Moved::Repeated(Box::new(stored.case.clone())));
        }
        let other = order.request.into.as_ref().and_then(of);
        let changes = match moved(order, stored.clone(), other) {
            Ok(changes) => changes,
            Err((refusal, case)) => return Ok(Moved::Refused(refusal, case)),
        };
        for change in &changes {
            tables.write_case(change);
        }
        Ok(done(changes))
    }

    async fn tick_cases(
        &self,
        at: Timestamp,
        desk: &Arc<Desk>,
        limit: u32,
    ) -> Result<Vec<CaseWritten>, StoreError> {
        let mut tables = self.tables.lock();
        let notice = |stored: &StoredCase| stored.case.notice_at().filter(|due| *due <= at);
        let cases = tables.cases.values().map(|(stored, _)| stored);
        let mut due: Vec<_> = cases
            .filter_map(|stored| Some((notice(stored)?, stored.clone())))
            .collect();
        due.sort_by_key(|(due, stored)| (*due, stored.case.id));
        due.truncate(limit as usize);
        let mut written = Vec::new();
        for (_, stored) in due {
            if let Some(change) = tick(stored, at, desk) {
                tables.write_case(&change);
                written.push(change.into_written());
            }
        }
        Ok(written)
    }

    async fn snapshots(&self) -> Result<BTreeMap<String, Vec<u8>>, StoreError> {
        Ok(self.tables.lock().snapshots.clone())
    }

    async fn latest_positions(
        &self,
        after: Option<TerminalId>,
        limit: u32,
    ) -> Result<Vec<PositionRow>, StoreError> {
        let tables = self.tables.lock();
        let rows = tables.latest.iter();
        Ok(rows
            .filter(|(terminal, _)| after.is_none_or(|after| **terminal > after))
            .map(|(_, row)| row.clone())
            .take(limit as usize)
            .collect())
    }

    async fn positions(&self, query: &PositionQuery) -> Result<Vec<PositionRow>, StoreError> {
        let tables = self.tables.lock();
        let rows = tables
            .positions
            .iter()
            .filter(|((fixed_at, terminal, _), _)| {
                (query.from..query.to).contains(fixed_at)
                    && query.terminal.is_none_or(|wanted| wanted == *terminal)
            });
        Ok(rows
            .filter(|(key, _)| query.after.is_none_or(|after| **key > after))
            .map(|(_, row)| row.clone())
            .filter(|PositionRow { position, .. }| {
                let (lat, lon) = (position.latitude, position.longitude);
                query.within.is_none_or(|within| within.contains(lat, lon))
            })
            .take(query.limit as usize)
            .collect())
    }

    async fn cases(&self, query: &CaseQuery) -> Result<Vec<Case>, StoreError> {
        let tables = self.tables.lock();
        let mut cases: Vec<_> = tables
            .cases
            .values()
            .map(|(stored, _)| &stored.case)
            .filter(|case| {
                let numbers = || tables.outbox.numbers_of(case.id).into_iter();
                let begins =
                    |text: &str| numbers().any(|one| one.number.to_lowercase().starts_with(text));
                query.selects(case, begins)
            })
            .cloned()
            .collect();
        cases.sort_unstable_by_key(|case| query.key(case));
        if !query.is_ascending() {
            cases.reverse();
        }
        cases.truncate(query.limit as usize);
        Ok(cases)
    }

    async fn case(&self, id: CaseId) -> Result<Option<Case>, StoreError> {
        let tables = self.tables.lock();
        Ok(tables.cases.get(&id).map(|(stored, _)| stored.case.clone()))
    }

    async fn case_history(&self, id: CaseId) -> Result<Vec<CaseChange>, StoreError> {
        let tables = self.tables.lock();
        let history = tables.cases.get(&id).map(|(_, history)| history.clone());
        Ok(history.unwrap_or_default())
    }

    async fn cases_by_stage(&self) -> Result<BTreeMap<Stage, u64>, StoreError> {
        let mut stages = BTreeMap::new();
        for (stored, _) in self.tables.lock().cases.values() {
            *stages.entry(stored.case.stage).or_default() += 1;
        }
        Ok(stages)
    }

    async fn cases_overdue(&self, at: Timestamp) -> Result<BTreeMap<Stage, u64>, StoreError> {
        let mut stages = BTreeMap::new();
        for (stored, _) in self.tables.lock().cases.values() {
            if stored.case.due_at().is_some_and(|due| due < at) {
                *stages.entry(stored.case.stage).or_default() += 1;
            }
        }
        Ok(stages)
    }

    async fn evaluate(&self, query: &EvaluationQuery) -> Result<Vec<FigureRow>, StoreError> {
        let tables = self.tables.lock();
        Ok(evaluation::memory::figures(query, tables.events.values()))
    }

    async fn evaluated_cases(&self, wanted: &FigureCases) -> Result<Vec<Case>, StoreError> {
        let tables = self.tables.lock();
        let ids = evaluation::memory::figure_cases(wanted, tables.events.values());
        let cases = ids.iter().filter_map(|id| tables.cases.get(id));
        let cases = cases.map(|(stored, _)| stored.case.clone());
        Ok(cases.take(wanted.limit as usize).collect())
    }

    async fn terminal_days(&self, from: i32, to: i32) -> Result<Vec<TerminalDay>, StoreError> {
        let tables = self.tables.lock();
        let positions = tables.positions.values().map(|row| &row.position);
        Ok(evaluation::memory::terminal_days(from, to, positions))
    }

    async fn quarantined(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<QuarantinedRow>, StoreError> {
        let tables = self.tables.lock();
        let rows = tables.quarantine.iter().rev();
        Ok(rows
            .filter(|row| before.is_none_or(|before| row.number < before))
            .take(limit as usize)
            .cloned()
            .collect())
    }

    async fn retain(&self, retention: &Retention) -> Result<Retained, StoreError> {
        let mut tables = self.tables.lock();
        let mut days = BTreeSet::new();
        if let Some(moment) = retention.positions_before {
            tables.positions.retain(|(fixed_at, ..), _| {
                let day = day_of(*fixed_at);
                let end = day.and_then(|day| Some(day.next_day()?.midnight().assume_utc()));
                let is_over =
                    end.is_some_and(|end| end.unix_timestamp() * 1_000 <= moment.millis());
                if is_over {
                    days.insert(day);
                }
                !is_over
            });
        }
        let before = tables.quarantine.len();
        if let Some(moment) = retention.quarantined_before {
            tables
                .quarantine
                .retain(|row| row.report.received_at >= moment);
        }
        let left = tables.quarantine.iter().map(|row| &row.report);
        tables.quarantined = left
            .map(|report| (report.terminal, report.reason.reason(), report.digest))
            .collect();
        Ok(Retained {
            days: days.len() as u64,
            quarantined: (before - tables.quarantine.len()) as u64,
        })
    }

    async fn cursors(&self) -> Result<Vec<Cursor>, StoreError> {
        let tables = self.tables.lock();
        let cursors = tables
            .cursors
            .iter()
            .map(|((log, consumer), offset)| Cursor {
                log: *log,
                consumer: consumer.clone(),
                offset: *offset,
            });
        Ok(cursors.collect())
    }

    async fn case_records(
        &self,
        after: Option<CaseId>,
        limit: u32,
    ) -> Result<Vec<CaseRecord>, StoreError> {
        let tables = self.tables.lock();
        let cases = tables
            .cases
            .iter()
            .filter(|(id, _)| after.is_none_or(|after| **id > after));
        let records = cases.map(|(_, (stored, history))| CaseRecord {
            case: stored.case.clone(),
            log: stored.log,
            judged: stored.judged,
            history: history.clone(),
            events: tables.events_of(stored.case.id),
        });
        Ok(records.take(limit as usize).collect())
    }

    async fn import(&self, import: &Import) -> Result<(), StoreError> {
        let mut tables = self.tables.lock();
        tables.move_latest(import.latest.iter());
        for record in import.cases.iter().cloned() {
            let stored = StoredCase {
                case: record.case,
                log: record.log,
                judged: record.judged,
            };
            let id = stored.case.id;
            tables.cases.remove(&id);
            tables.put_case(&Change {
                stored,
                is_new: true,
                history: record.history,
            });
            tables.events.retain(|(case, ..), _| *case != id);
            let events = record.events.into_iter();
            tables
                .events
                .extend(events.map(|event| (event.key(), event)));
        }
        tables.write_snapshots(&import.snapshots);
        for cursor in &import.cursors {
            tables.move_cursor(cursor);
        }
        for ended in &import.ended {
            tables.cursors.remove(ended);
        }
        Ok(())
    }

    async fn tally_positions(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<PositionTally, StoreError> {
        let tables = self.tables.lock();
        let mut tally = PositionTally::default();
        for (fixed_at, _, digest) in tables.positions.keys() {
            if (from..to).contains(fixed_at) {
                tally.rows += 1;
                tally.digests += u64::from(*digest);
            }
        }
        Ok(tally)
    }

    async fn tally(&self) -> Result<Tally, StoreError> {
        let tables = self.tables.lock();
        let changes = tables.cases.values().map(|(_, history)| history.len());
        Ok(Tally {
            latest: tables.latest.len() as u64,
            quarantined: tables.quarantine.len() as u64,
            cases: tables.cases.len() as u64,
            case_changes: changes.sum::<usize>() as u64,
            case_violations: tables.members.len() as u64,
            snapshots: tables.snapshots.len() as u64,
        })
    }
}
