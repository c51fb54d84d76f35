//! What was told against what is true.

use geofence::{
    catalog::Catalog,
    position::Position,
    track::{Evaluator, EvaluatorOptions},
    units::Timestamp,
    violation::{Violation, ViolationKind},
};

use crate::{
    receiver::{Random, Receiver},
    scenes::{Event, Family, Hidden, Report, Scene},
    town::PHONE,
    way::{Span, Way},
};

/// A violation may be told to begin so long before the true one, or so long behind its end.
const BEFORE_S: f64 = 15.0;
const BEHIND_S: f64 = 60.0;
/// Reports that are so much farther apart than they should be have a tunnel between them, seconds.
const TUNNEL_S: i64 = 15;
/// A tunnel so long before a violation may hide the end of the one before, seconds.
const TUNNEL_BEFORE_S: i64 = 60;
const HOUR_MS: i64 = 3_600_000;

/// The figures of one check, one noise and one reporting period.
#[derive(Debug, Default)]
pub(crate) struct Score {
    /// Violations that are true.
    pub(crate) truth: usize,
    /// Of these those that are too short to be seen for sure by who reports so rarely.
    pub(crate) hidden: usize,
    /// Of these, told or not, those that lie within one that was told.
    pub(crate) hidden_told: usize,
    /// The hidden ones that are not too short: joined, and ambiguous.
    pub(crate) joined: usize,
    pub(crate) ambiguous: usize,
    /// Those that should have been seen, were not, and have a tunnel within them or shortly before.
    pub(crate) lost: usize,
    /// Violations that were told.
    pub(crate) told: usize,
    /// True ones that were told, one told for one true.
    pub(crate) right: usize,
    /// Of these those that are not too short.
    pub(crate) seen: usize,
    /// From the moment at which the rule was broken to that at which the check was sure, seconds.
    pub(crate) latencies: Vec<f64>,
    /// Percentage points between the share that was swept and the one that was found.
    pub(crate) coverage_errors: Vec<f64>,
    /// Percent of a route of which nobody can tell whether it was swept.
    pub(crate) coverage_unseen: Vec<f64>,
}

impl Score {
    pub(crate) fn precision(&self) -> f64 {
        self.right as f64 / self.told.max(1) as f64
    }

    pub(crate) fn recall(&self) -> f64 {
        self.seen as f64 / (self.truth - self.hidden).max(1) as f64
    }

    /// That were not seen, and should have been.
    pub(crate) fn missed(&self) -> usize {
        self.truth - self.hidden - self.seen
    }

    /// Of all true ones, the share that is too short to be seen for sure.
    pub(crate) fn hidden_share(&self) -> f64 {
        self.hidden as f64 / self.truth.max(1) as f64
    }

    pub(crate) fn latency(&self, share: f64) -> f64 {
        quantile(&self.latencies, share)
    }

    fn count(
        &mut self,
        family: &Family,
        every_s: i64,
        scene: &Scene,
        (told, reports): (&[Violation], &[Report]),
    ) {
        let start_ms = family.start_ms();
        let tunnels = tunnels(reports, every_s);
        let mut is_taken = vec![false; told.len()];
        let mut found: Vec<Option<&Violation>> = vec![None; scene.truth.len()];
        self.truth += scene.truth.len();
        self.told += told.len();
        // What overlaps belongs together, before anything is matched that is only near.
        for slack in [(0.0, 0.0), (BEFORE_S, BEHIND_S)] {
            for (event, found) in scene.truth.iter().zip(&mut found) {
                let fits = |(index, v): &(usize, &Violation)| {
                    !is_taken[*index] && meets(event, v, start_ms, slack)
                };
                if found.is_none()
                    && let Some((index, violation)) = told.iter().enumerate().find(fits)
                {
                    is_taken[index] = true;
                    *found = Some(violation);
                }
            }
        }
        for (event, found) in scene.truth.iter().zip(found) {
            let hidden = hidden(event, every_s, &scene.way, (reports, &tunnels));
            let is_visible = hidden.is_none();
            if !is_visible {
                let covers = |v: &Violation| meets(event, v, start_ms, (0.0, 0.0));
                self.hidden += 1;
                self.hidden_told += usize::from(told.iter().any(covers));
                self.joined += usize::from(hidden == Some(Hidden::Joined));
                self.ambiguous += usize::from(hidden == Some(Hidden::Ambiguous));
            }
            let Some(violation) = found else {
                let is_within = |tunnel: &Span| {
                    tunnel.from <= event.span.to && tunnel.to >= event.span.from - TUNNEL_BEFORE_S
                };
                self.lost += usize::from(is_visible && tunnels.iter().any(is_within));
                continue;
            };
            self.right += 1;
            self.seen += usize::from(is_visible);
            if violation.kind == family.kind {
                let sure = seconds(violation.confirmed_at, start_ms);
                self.latencies.push(sure - event.sure as f64);
            }
        }
    }
}

/// The value below which this share of the values lies.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let index = ((values.len() as f64 * share) as usize).min(values.len().saturating_sub(1));
    values.get(index).copied().unwrap_or(f64::NAN)
}

fn seconds(at: Timestamp, start_ms: i64) -> f64 {
    (at.0 - start_ms) as f64 / 1e3
}

/// Why a true one is not seen for sure by who has these reports of it.
fn hidden(
    event: &Event,
    every_s: i64,
    way: &Way,
    (reports, tunnels): (&[Report], &[Span]),
) -> Option<Hidden> {
    if every_s == 1 {
        return event.hidden;
    }
    if !event.is_long(every_s) || !event.is_reported(way, reports) {
        return Some(Hidden::Short);
    }
    let apart = event.apart;
    if apart.is_some_and(|apart| !apart.is_seen(reports, event.span.from)) {
        return Some(Hidden::Joined);
    }
    let undone = event.undone;
    if undone.is_some_and(|stop| tunnels.iter().any(|tunnel| stop.fits(way, *tunnel))) {
        return Some(Hidden::Ambiguous);
    }
    event.hidden
}

/// What arrived, in the order of the way.
fn in_order(reports: &[Position]) -> Vec<Report> {
    let of_second = reports.iter().map(|report| Report {
        second: report.log_offset as i64,
        kmh: f64::from(report.speed_dkmh) / 10.0,
    });
    let mut reports: Vec<Report> = of_second.collect();
    reports.sort_by_key(|report| report.second);
    reports.dedup_by_key(|report| report.second);
    reports
}

/// Where reports are missing, seconds of the way.
fn tunnels(reports: &[Report], every_s: i64) -> Vec<Span> {
    let pairs = reports.iter().zip(reports.iter().skip(1));
    let spans = pairs.map(|(from, to)| Span {
        from: from.second,
        to: to.second,
    });
    spans
        .filter(|span| span.seconds() >= every_s + TUNNEL_S)
        .collect()
}

fn meets(
    event: &Event,
    violation: &Violation,
    start_ms: i64,
    (before_s, behind_s): (f64, f64),
) -> bool {
    let from = seconds(violation.started_at, start_ms);
    let to = violation
        .ended_at
        .map_or(f64::INFINITY, |at| seconds(at, start_ms));
    violation.rule.id == event.rule
        && from <= event.span.to as f64 + behind_s
        && to >= event.span.from as f64 - before_s
}

/// A point that was passed over, and may have been visited later where nobody saw it, stays in wrong
/// order: the same omission by another name.
fn is_of(family: &Family, violation: &Violation) -> bool {
    let is_omission = family.kind == ViolationKind::MissedPoint;
    violation.kind == family.kind || (is_omission && violation.kind == ViolationKind::WrongOrder)
}

/// What is told of these reports in the end, and how much of a route was swept and may have been
/// swept unseen, two hours behind the last second of the way.
fn told(
    catalog: &Catalog,
    reports: &[Position],
    way: &Way,
    start_ms: i64,
) -> (Vec<Violation>, Option<(f64, f64)>) {
    let terminal = PHONE.parse().unwrap();
    let mut evaluator = Evaluator::new(EvaluatorOptions::default());
    evaluator.observe_batch(catalog, reports);
    let end = start_ms + way.now() * 1_000 + 2 * HOUR_MS;
    evaluator.tick(catalog, Timestamp(end));
    let progress = evaluator.route_progress(catalog, &terminal);
    let swept = progress
        .first()
        .filter(|progress| progress.planned_m > 0.0)
        .map(|progress| {
            (
                progress.swept_m / progress.planned_m,
                progress.unobserved_m / progress.planned_m,
            )
        });
    (evaluator.violations(&terminal), swept)
}

/// Every way of a family, as a receiver sees it.
pub(crate) fn score(family: &Family, receiver: Receiver, seeds: u64) -> Score {
    let mut score = Score::default();
    for run in (0..family.runs).map(|run| seeds + run) {
        // The same ways for every receiver that reports as often.
        let scene = (family.scene)(&mut Random(run), receiver.every_s);
        let start_ms = family.start_ms();
        let random = &mut Random(1_000_000 + run);
        let reports = receiver.reports(random, &scene.way, start_ms);
        let (told, swept) = told(&family.catalog, &reports, &scene.way, start_ms);
        let others = told.iter().find(|violation| !is_of(family, violation));
        assert!(others.is_none(), "nobody asked for it: {others:#?}");
        let reports = in_order(&reports);
        score.count(family, receiver.every_s, &scene, (&told, &reports));
        if let Some((truth, (swept, unseen))) = scene.swept.zip(swept) {
            // What was not seen may have been swept or not: neither is an error.
            let error = (swept - truth).max(0.0).max(truth - swept - unseen);
            score.coverage_errors.push(100.0 * error);
            score.coverage_unseen.push(100.0 * unseen);
        }
    }
    score
}

/// Crossings that are told of parked vehicles, an hour.
pub(crate) fn false_crossings(
    (catalog, ways): &(Catalog, Vec<Way>),
    receiver: Receiver,
    seeds: u64,
) -> f64 {
    let (mut crossings, mut seconds) = (0, 0);
    for (run, way) in (0..).zip(ways.iter()) {
        let start_ms = crate::town::MONDAY_MS;
        let reports = receiver.reports(&mut Random(seeds + 2_000_000 + run), way, start_ms);
        let (told, _) = told(catalog, &reports, way, start_ms);
        let ended = told.iter().filter(|violation| violation.ended_at.is_some());
        crossings += told.len() + ended.count();
        seconds += way.now();
    }
    crossings as f64 / (seconds as f64 / 3_600.0)
}
