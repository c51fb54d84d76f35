//! The checks behind the log: positions in the order of their records, time from the records
//! alone, findings and cases into the store.
//!
//! Findings are written at once; the state of the evaluation, with the cursor that belongs to it,
//! every `snapshot_interval`. After a crash the records behind the snapshot are judged again: ids
//! are derived, so nothing opens twice (P3).

mod elder;
mod shard;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use geofence::{
    catalog::{Catalog as Snapshot, Standing},
    identity::ViolationId,
    position::Position,
    track::{Evaluator, EvaluatorOptions},
    units::Timestamp,
    violation::{Finding, ViolationKind},
};
use storage::{
    background,
    store::{FindingBatch, StoreError},
};

use self::elder::Losses;
pub(crate) use self::{
    elder::{ELDER_KEY, Numbers},
    shard::{SHARD_KEY, Shard},
};

use super::{Batch, Consumer, follower::Workplace, reports, snapshots::Own};
use crate::{
    Gateway,
    catalog::InForce,
    config::Evaluate,
    ingest::{
        normalise::{Window, call_for_help},
        record,
    },
};

/// The snapshot that says by which version of the catalog the evaluation stood.
pub(crate) const CATALOG_KEY: &str = "catalog";

/// Judges every recorded position.
#[derive(Debug)]
pub struct EvaluatorConsumer {
    evaluator: Evaluator,
    options: EvaluatorOptions,
    /// Which vehicles are judged here.
    shard: Shard,
    /// What is judged by: the version that the log named last.
    catalog: Option<Arc<InForce>>,
    /// The version that the newest snapshot names.
    catalog_kept: Option<u64>,
    /// The versions that judge, elder ones as well.
    numbers: Numbers,
    /// As the newest snapshot has them.
    numbers_kept: Numbers,
    losses: Losses,
    interval: Duration,
    /// The record behind the last one that was judged.
    judged: u64,
    /// Findings that the store does not have yet, and the clock of the log at them.
    unwritten: Vec<Finding>,
    at: Timestamp,
    /// When the newest snapshot was written; the first one is due at once.
    snapshot_at: Option<Instant>,
    /// `judged` at the newest snapshot.
    snapshot: u64,
    /// Keys of snapshots that the next one replaces.
    elder: BTreeSet<String>,
}

impl EvaluatorConsumer {
    /// Without any state yet.
    #[must_use]
    pub fn new(config: &Evaluate) -> Self {
        let options = Self::options(config);
        Self {
            evaluator: Evaluator::new(options.clone()),
            options,
            shard: Shard::default(),
            catalog: None,
            catalog_kept: None,
            numbers: Numbers::default(),
            numbers_kept: Numbers::default(),
            losses: Losses::default(),
            interval: config.snapshot_interval,
            judged: 0,
            unwritten: Vec::new(),
            at: Timestamp::default(),
            snapshot_at: None,
            snapshot: 0,
            elder: BTreeSet::new(),
        }
    }

    /// What the evaluation is bounded by.
    pub(crate) fn options(config: &Evaluate) -> EvaluatorOptions {
        EvaluatorOptions {
            horizon_ms: i64::try_from(config.horizon.as_millis()).unwrap_or(i64::MAX),
            fixes_max: usize::try_from(config.fixes_max).unwrap_or(usize::MAX),
            history_bytes_max: usize::try_from(config.history_bytes_max).unwrap_or(usize::MAX),
            elder_catalogs_max: usize::try_from(config.elder_catalogs_max).unwrap_or(usize::MAX),
            elder_catalogs_bytes_max: usize::try_from(config.elder_catalogs_bytes_max)
                .unwrap_or(usize::MAX),
            ..EvaluatorOptions::default()
        }
    }

    fn judge(&mut self, place: &Workplace, batch: &Batch) {
        let started = Instant::now();
        let window = Window::from(&place.ingest);
        let in_force = || place.catalog.in_force();
        let mut catalog = Arc::clone(self.catalog.get_or_insert_with(in_force));
        let mut positions: Vec<Position> = Vec::new();
        let (mut quarantined, mut unreadable, mut handed_over) = (0, 0, 0);
        for entry in batch
            .records
            .iter()
            .filter(|entry| entry.offset >= self.judged)
        {
            background::give_way();
            let version = record::catalog_version(entry);
            if let Some(number) = version {
                catalog = place.catalog.of(number);
            }
            // The store writer logs it.
            let reports = record::reports(entry, &window).unwrap_or_else(|_| {
                unreadable += 1;
                Vec::new()
            });
            for report in reports {
                match report {
                    Ok(position) => positions.push(position),
                    // Counted with the positions then, as one that is not positioned.
                    Err(report) => match call_for_help(&report) {
                        Some(position) => positions.push(position),
                        None => quarantined += 1,
                    },
                }
            }
            positions.retain(|position| {
                let is_ours = self.shard.judges(&position.terminal);
                handed_over += u64::from(!is_ours);
                is_ours
            });
            // The time of every record counts, also of one without a position: else it would
            // depend on where batches end what is late, and a replay cuts them differently.
            self.at = self.at.max(Timestamp(entry.received_at));
            let snapshot = &catalog.snapshot;
            let found = self.evaluator.observe_batch(snapshot, &positions);
            self.unwritten.extend(found);
            self.unwritten
                .extend(self.evaluator.tick(snapshot, self.at));
            if version.is_some() {
                self.numbers.follow(&self.evaluator, catalog.number);
            }
            positions.clear();
        }
        self.numbers.follow(&self.evaluator, catalog.number);
        self.catalog = Some(catalog);
        self.judged = batch.next;
        self.losses.tell(&mut self.evaluator, &place.metrics);
        let counts = self.evaluator.take_counts();
        place
            .metrics
            .positions_evaluated
            .increment(counts.evaluated);
        let suspects = &place.metrics.positions_suspect_dropped;
        suspects.increment(counts.suspects_dropped);
        for (limit, count) in [
            ("fixes", counts.shed_by_count),
            ("bytes", counts.shed_by_bytes),
        ] {
            place
                .metrics
                .count("fixes_shed_total", "limit", limit, count);
        }
        for (reason, count) in counts.skipped() {
            place
                .metrics
                .count("positions_skipped_total", "reason", reason, count);
        }
        for (reason, count) in [("quarantined", quarantined), ("handed_over", handed_over)] {
            place
                .metrics
                .count("positions_skipped_total", "reason", reason, count);
        }
        place.metrics.count(
            "records_unreadable_total",
            "consumer",
            Self::NAME,
            unreadable,
        );
        place
            .metrics
            .evaluate_duration
            .record(started.elapsed().as_secs_f64());
    }

    async fn write(
        &mut self,
        place: &Workplace,
        with_snapshot: bool,
    ) -> Result<Option<u64>, StoreError> {
        let is_new = with_snapshot && self.judged != self.snapshot;
        if self.unwritten.is_empty() && !is_new {
            return Ok(None);
        }
        let in_force = self.catalog.clone();
        let in_force = in_force.unwrap_or_else(|| place.catalog.in_force());
        let number = self.catalog.as_ref().map(|catalog| catalog.number);
        let mut batch = FindingBatch {
            judged: place.cursor(Self::NAME, self.judged),
            moves_cursor: with_snapshot,
            shifts: shifts(&self.evaluator, &in_force.snapshot, &self.unwritten),
            findings: mem::take(&mut self.unwritten),
            desk: place.cases.desk(&in_force),
            at: self.at,
            snapshots: Default::default(),
        };
        let mut keys: Vec<String> = Vec::new();
        if with_snapshot {
            let mut snapshots = self.evaluator.take_dirty_snapshots();
            if self.elder.contains(SHARD_KEY) {
                snapshots.insert(SHARD_KEY.to_owned(), self.shard.to_bytes());
            }
            if let Some(number) = number.filter(|_| number != self.catalog_kept) {
                let bytes = number.to_be_bytes().to_vec();
                snapshots.insert(CATALOG_KEY.to_owned(), bytes);
            }
            if self.numbers != self.numbers_kept {
                let bytes = self.numbers.to_bytes();
                snapshots.insert(ELDER_KEY.to_owned(), bytes);
            }
            keys.extend(snapshots.keys().cloned());
            batch.snapshots = place.named(snapshots, &self.elder);
        }
        let written = match place.store.write_findings(&batch).await {
            Ok(written) => written,
            Err(error) => {
                // Both are offered again with the next attempt.
                self.unwritten = batch.findings;
                self.evaluator.mark_dirty(&keys);
                return Err(error);
            }
        };
        let metrics = &place.metrics;
        for case in &written.opened {
            let kind = case.kind().map_or("none", ViolationKind::as_str);
            metrics.count("violations_total", "kind", kind, 1);
            metrics.count("cases_opened_total", "kind", kind, 1);
        }
        let withdrawn = batch
            .findings
            .iter()
            .filter(|f| matches!(f, Finding::Withdrawn(..)))
            .count();
        metrics.violations_withdrawn.increment(withdrawn as u64);
        metrics.violations_unopened.increment(written.unopened);
        metrics.count(
            "store_rows_written_total",
            "table",
            "cases",
            written.opened.len() as u64,
        );
        let cases: Vec<_> = written.opened.into_iter().chain(written.changed).collect();
        place.live.publish_cases(&cases);
        if with_snapshot {
            self.snapshot_at = Some(Instant::now());
            self.snapshot = self.judged;
            self.elder.clear();
            self.catalog_kept = number;
            self.numbers_kept.clone_from(&self.numbers);
            return Ok(Some(self.judged));
        }
        Ok(None)
    }
}

/// The shifts that violations fall into: those of two shifts are two cases.
fn shifts(
    evaluator: &Evaluator,
    newest: &Snapshot,
    findings: &[Finding],
) -> BTreeMap<ViolationId, String> {
    let violations = findings.iter().filter_map(|finding| match finding {
        Finding::Opened(violation) | Finding::Updated(violation) => Some(violation),
        Finding::Withdrawn(..) => None,
    });
    let named = violations.filter_map(|violation| {
        let catalog = evaluator.catalog_at(violation.started_at).unwrap_or(newest);
        match catalog.standing(&violation.terminal, violation.started_at) {
            Standing::On(duty) => {
                Some((violation.id, format!("{}@{}", duty.shift.id, duty.from.0)))
            }
            _ => None,
        }
    });
    named.collect()
}

#[async_trait::async_trait]
impl Consumer for EvaluatorConsumer {
    const NAME: &'static str = "evaluator";
    const RECORDS_MAX: usize = 4_096;
    // What was judged is judged: only its findings are offered again.
    const RECORDS_MIN: usize = Self::RECORDS_MAX;

    fn linger(_: &Gateway) -> Duration {
        Duration::ZERO
    }

    async fn start(&mut self, place: &Workplace) -> Result<Option<u64>, StoreError> {
        let start = place.stored_cursor(Self::NAME).await?;
        let mut evaluator = Evaluator::new(self.options.clone());
        if start.is_some() {
            // That of inspectors is of another consumer.
            let own = place.own_snapshots(|key| key != reports::SNAPSHOT_KEY);
            let Own {
                mut snapshots,
                elder,
            } = own.await?;
            let number = snapshots.remove(CATALOG_KEY);
            let number = number.and_then(|bytes| bytes.try_into().ok());
            self.catalog_kept = number.map(u64::from_be_bytes);
            self.catalog = self
                .catalog_kept
                .map(|number| tokio::task::block_in_place(|| place.catalog.of(number)));
            let shard = snapshots.remove(SHARD_KEY).map(|bytes| Shard::read(&bytes));
            match shard.transpose() {
                Ok(shard) => self.shard = shard.unwrap_or_default(),
                Err(error) => {
                    tracing::error!(%error, "which vehicles are judged here cannot be read: all are");
                }
            }
            let numbers = snapshots
                .remove(ELDER_KEY)
                .map(|bytes| Numbers::read(&bytes));
            self.numbers = numbers
                .and_then(|numbers| {
                    let read =
                        numbers.inspect_err(|error| tracing::error!(%error, "elder catalogs"));
                    read.ok()
                })
                .unwrap_or_default();
            self.numbers_kept.clone_from(&self.numbers);
            for (key, bytes) in snapshots {
                if let Err(error) = evaluator.restore(&bytes) {
                    tracing::error!(key, %error, "a snapshot cannot be read; the vehicle begins anew");
                }
            }
            if !elder.is_empty() {
                evaluator.mark_dirty(&elder);
                self.catalog_kept = None;
            }
            self.elder = elder;
        }
        tokio::task::block_in_place(|| {
            let metrics = &place.metrics;
            self.numbers.supply(&mut evaluator, &place.catalog, metrics);
        });
        self.evaluator = evaluator;
        self.judged = start.unwrap_or_default();
        self.snapshot = self.judged;
        Ok(start)
    }

    /// What the vehicles did in the records that are gone stays known: it was reported. A case that
    /// changed by one of them takes no change before the log is as long again.
    async fn rewind(&mut self, place: &Workplace, end: u64) -> Result<(), StoreError> {
        self.judged = end;
        self.write(place, true).await?;
        Ok(())
    }

    async fn apply(&mut self, place: &Workplace, batch: &Batch) -> Result<Option<u64>, StoreError> {
        if self.judged < batch.next {
            tokio::task::block_in_place(|| self.judge(place, batch));
        }
        let is_due = self
            .snapshot_at
            .is_none_or(|at| at.elapsed() >= self.interval);
        self.write(place, is_due).await
    }

    async fn settle(&mut self, place: &Workplace) -> Result<Option<u64>, StoreError> {
        self.write(place, true).await
    }
}
