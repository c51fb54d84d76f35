//! Backtest (回测): what a catalog would have found in stored tracks. Nothing is written to the cases.
//!
//! Positions come from the store in the order of their fix times, so nothing is late, and the clock of
//! the evaluation is the fix time itself. A violation that began before the period is not seen to
//! begin, and is not found.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

use futures_util::TryStreamExt as _;
use geofence::{
    catalog::Catalog as Snapshot,
    identity::{TerminalId, ViolationId},
    position::Position,
    track::{Evaluator, EvaluatorOptions},
    units::Timestamp,
    violation::{Finding, Violation, ViolationKind},
};
use storage::store::{PositionQuery, Store, StoreError};
use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;

const PAGE: u32 = 10_000;
/// Nothing is late, so nothing needs to be kept for long.
const HORIZON_MS: i64 = 3_600_000;
/// Behind the period the clock goes on for so long: what waits for it comes to an end.
const AFTERWARDS_MS: i64 = 12 * 3_600_000;
const DAY_MS: i64 = 86_400_000;
const LOCAL_OFFSET_MS: i64 = 8 * 3_600_000;

/// What is to be judged.
#[derive(Clone, Debug)]
pub struct Period {
    /// From, inclusive.
    pub from: Timestamp,
    /// To, exclusive.
    pub to: Timestamp,
    /// Only these; all when empty.
    pub terminals: Vec<TerminalId>,
}

/// How far it has come; anybody may look.
#[derive(Debug, Default)]
pub struct Progress {
    positions: AtomicU64,
    at: AtomicI64,
}

impl Progress {
    /// Positions that were judged.
    pub fn positions(&self) -> u64 {
        self.positions.load(Relaxed)
    }

    /// The share of the period that is done, 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share for people to look at")]
    pub fn share(&self, period: &Period) -> f64 {
        let length = period.to.millis_since(period.from).max(1);
        let done = self.at.load(Relaxed).saturating_sub(period.from.0);
        (done as f64 / length as f64).clamp(0.0, 1.0)
    }
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Positions that were judged.
    pub positions: u64,
    /// Violations by local day (days since 1970 at GMT+8) and kind.
    pub by_day: BTreeMap<i64, BTreeMap<ViolationKind, u64>>,
    /// The violations by onset, at most as many as were asked for.
    pub violations: Vec<Violation>,
    /// Violations that are counted above and not listed.
    pub not_listed: u64,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was told to stop.
    #[error("cancelled")]
    Cancelled,
}

/// Judges the positions of a period by a catalog; lists so many violations at most. Must run on a
/// runtime with several threads.
///
/// # Errors
/// When the store cannot be read, or it was told to stop.
pub async fn run(
    store: Arc<dyn Store>,
    catalog: &Snapshot,
    period: &Period,
    violations_max: usize,
    progress: &Progress,
    stop: &CancellationToken,
) -> Result<Found, BacktestError> {
    progress.at.store(period.from.0, Relaxed);
    let mut trial = Trial::new(catalog);
    let one = match *period.terminals {
        [one] => Some(one),
        _ => None,
    };
    let query = PositionQuery {
        terminal: one,
        from: period.from,
        to: period.to,
        within: None,
        after: None,
        limit: PAGE,
    };
    let mut stored = store.all_positions(query);
    while let Some(rows) = stored.try_next().await? {
        if stop.is_cancelled() {
            return Err(BacktestError::Cancelled);
        }
        if let Some(last) = rows.last() {
            progress.at.store(last.position.fixed_at.0, Relaxed);
        }
        let positions = rows.into_iter().map(|row| row.position);
        let is_wanted =
            |p: &Position| period.terminals.is_empty() || period.terminals.contains(&p.terminal);
        let positions: Vec<Position> = positions.filter(is_wanted).collect();
        progress
            .positions
            .fetch_add(positions.len() as u64, Relaxed);
        block_in_place(|| trial.judge(positions));
    }
    let found = block_in_place(|| trial.finish(period.to, violations_max));
    Ok(Found {
        positions: progress.positions(),
        ..found
    })
}

/// An evaluation that nobody else hears of.
struct Trial<'a> {
    catalog: &'a Snapshot,
    evaluator: Evaluator,
    violations: HashMap<ViolationId, Violation>,
}

impl<'a> Trial<'a> {
    fn new(catalog: &'a Snapshot) -> Self {
        let options = EvaluatorOptions {
            horizon_ms: HORIZON_MS,
            // Of whom nothing is stored in the period nothing is found.
            is_awaiting: false,
            ..EvaluatorOptions::default()
        };
        Self {
            catalog,
            evaluator: Evaluator::new(options),
            violations: HashMap::new(),
        }
    }

    fn judge(&mut self, mut positions: Vec<Position>) {
        for position in &mut positions {
            position.received_at = position.fixed_at;
        }
        let findings = self.evaluator.observe_batch(self.catalog, &positions);
        self.note(findings);
    }

    fn note(&mut self, findings: Vec<Finding>) {
        for finding in findings {
            match finding {
                Finding::Opened(violation) | Finding::Updated(violation) => {
                    self.violations.insert(violation.id, violation);
                }
                Finding::Withdrawn(id, _) => {
                    self.violations.remove(&id);
                }
            }
        }
    }

    fn finish(mut self, to: Timestamp, violations_max: usize) -> Found {
        let end = to.plus_millis(AFTERWARDS_MS);
        let findings = self.evaluator.tick(self.catalog, end);
        self.note(findings);
        let mut violations: Vec<Violation> = self.violations.into_values().collect();
        violations.sort_by_key(|v| (v.started_at, v.terminal, v.kind, v.id));
        let mut found = Found::default();
        for violation in &violations {
            let day = local_day(violation.started_at);
            let kinds = found.by_day.entry(day).or_default();
            *kinds.entry(violation.kind).or_default() += 1;
        }
        found.not_listed = violations.len().saturating_sub(violations_max) as u64;
        violations.truncate(violations_max);
        found.violations = violations;
        found
    }
}

/// Days since 1970 at local time, GMT+8.
#[must_use]
pub const fn local_day(at: Timestamp) -> i64 {
    at.0.saturating_add(LOCAL_OFFSET_MS).div_euclid(DAY_MS)
}

/// The date of a local day: `2026-11-28`.
#[must_use]
pub fn date(day: i64) -> String {
    let date = time::OffsetDateTime::from_unix_timestamp(day.saturating_mul(DAY_MS / 1_000));
    date.map_or_else(|_| day.to_string(), |moment| moment.date().to_string())
}

/// A backtest that runs or has run.
#[derive(Debug)]
pub struct Job {
    /// When it was asked for.
    pub created_at: Timestamp,
    /// What is judged.
    pub period: Period,
    /// The version of the catalog that it began from.
    pub version: u64,
    /// How far it has come.
    pub progress: Progress,
    /// Ends it.
    pub stop: CancellationToken,
    /// What became of it; empty while it runs.
    pub outcome: std::sync::OnceLock<Result<Found, String>>,
}

/// The newest backtests of this process; they are gone with it.
#[derive(Debug, Default)]
pub struct Jobs {
    jobs: parking_lot::Mutex<BTreeMap<u64, Arc<Job>>>,
    next: AtomicU64,
}

impl Jobs {
    /// One more, when fewer than so many run; those that are over make room for it.
    #[must_use]
    pub fn add(&self, job: Job, running_max: usize, kept_max: usize) -> Option<(u64, Arc<Job>)> {
        let mut jobs = self.jobs.lock();
        let running = jobs.values().filter(|job| job.outcome.get().is_none());
        if running.count() >= running_max {
            return None;
        }
        while jobs.len() >= kept_max.max(1) {
            let over = jobs.iter().find(|(_, job)| job.outcome.get().is_some());
            let over = over.map(|(id, _)| *id)?;
            jobs.remove(&over);
        }
        let id = self.next.fetch_add(1, Relaxed) + 1;
        let job = Arc::new(job);
        jobs.insert(id, Arc::clone(&job));
        Some((id, job))
    }

    /// The one of this id.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<Arc<Job>> {
        self.jobs.lock().get(&id).cloned()
    }

    /// All of them, the newest first.
    #[must_use]
    pub fn list(&self) -> Vec<(u64, Arc<Job>)> {
        let jobs = self.jobs.lock();
        jobs.iter()
            .rev()
            .map(|(id, job)| (*id, Arc::clone(job)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        Job {
            created_at: Timestamp(0),
            period: Period {
                from: Timestamp(1_000),
                to: Timestamp(3_000),
                terminals: Vec::new(),
            },
            version: 1,
            progress: Progress::default(),
            stop: CancellationToken::new(),
            outcome: Default::default(),
        }
    }

    #[test]
    fn those_that_are_over_make_room() {
        let jobs = Jobs::default();
        let (first, running) = jobs.add(job(), 1, 2).unwrap();
        assert!(jobs.add(job(), 1, 2).is_none(), "one runs");
        running.outcome.set(Ok(Found::default())).unwrap();
        let (second, _) = jobs.add(job(), 1, 2).unwrap();
        assert_eq!((first, second), (1, 2));
        jobs.get(2)
            .unwrap()
            .outcome
            .set(Err("cancelled".into()))
            .unwrap();
        jobs.add(job(), 1, 2).unwrap();
        let ids: Vec<u64> = jobs.list().into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, [3, 2]);
        assert!(jobs.get(1).is_none());
    }

    #[test]
    fn the_share_of_a_period_is_known_at_any_time() {
        let job = job();
        let percent = || format!("{:.0}", job.progress.share(&job.period) * 100.0);
        assert_eq!(percent(), "0");
        job.progress.at.store(2_000, Relaxed);
        assert_eq!(percent(), "50");
        job.progress.at.store(9_000, Relaxed);
        assert_eq!(percent(), "100");
    }

    #[test]
    fn days_are_those_of_local_time() {
        let at = crate::clock::parse_rfc3339("2026-11-27T16:00:00Z").unwrap();
        assert_eq!(date(local_day(at)), "2026-11-28");
        assert_eq!(date(local_day(at.plus_millis(-1))), "2026-11-27");
    }
}
