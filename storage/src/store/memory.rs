//! A store in memory, for tests of what is in front of one: the tables as maps, nothing more. It
//! answers at once, and what it holds lives as long as it does.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use geofence::{
    case::{Case, Stage},
    identity::{CaseId, TerminalId},
    units::Timestamp,
};
use parking_lot::Mutex;
use uuid::Uuid;

use super::{
    CaseChange, CaseQuery, CaseRecord, Cursor, FindingBatch, FindingsWritten, Import,
    PositionBatch, PositionQuery, PositionRow, PositionTally, PositionsWritten, QuarantinedRow,
    Retained, Retention, Store, StoreError, Tally, day_of, newest, refused,
};
use crate::case_changes::{StoredCase, change, verdicts};

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
    snapshots: BTreeMap<String, Vec<u8>>,
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
        let mut written = FindingsWritten::default();
        for verdict in verdicts(&batch.findings) {
            let before = tables.cases.get(&verdict.case);
            let stored = before.map(|(stored, _)| stored.clone());
            let Some(change) = change(&verdict, stored, batch) else {
                continue;
            };
            let list = if change.is_new {
                &mut written.opened
            } else {
                &mut written.changed
            };
            list.push(change.stored.case.clone());
            let entry = tables.cases.entry(verdict.case);
            let (stored, history) = entry.or_insert_with(|| (change.stored.clone(), Vec::new()));
            *stored = change.stored;
            history.extend(change.history);
        }
        tables.write_snapshots(&batch.snapshots);
        if batch.moves_cursor {
            tables.move_cursor(&batch.judged);
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
                let violation = &case.violation;
                let grid = violation.unit_grid.as_deref().unwrap_or_default();
                let places = &query.jurisdictions;
                query.stage.is_none_or(|stage| stage == case.stage)
                    && query.kind.is_none_or(|kind| kind == violation.kind)
                    && query.terminal.is_none_or(|t| t == violation.terminal)
                    && (places.is_empty() || places.iter().any(|place| grid.starts_with(place)))
                    && query
                        .after
                        .is_none_or(|after| (case.opened_at, case.id) < after)
            })
            .cloned()
            .collect();
        cases.sort_unstable_by_key(|case| std::cmp::Reverse((case.opened_at, case.id)));
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
            tables.cases.insert(id, (stored, record.history));
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
            snapshots: tables.snapshots.len() as u64,
        })
    }
}
