//! The evaluation: one track a vehicle, judged in event time whatever the order of arrival.
//!
//! The way of a position: [`Evaluator::observe_batch`] puts it into the history of its vehicle. A
//! newest fix moves the live state of the vehicle on (`state`, by way of `input`). A late one marks
//! the vehicle; when its time has come the track is judged again from the checkpoint before the fix
//! (`history`), and what was told is compared with what is true now (`verdict`).
//!
//! Each moment is judged by the catalog that was in force at it (`in_force`): what comes late from
//! before an edit finds what it would have found in time.
//!
//! Time comes from the records of the log alone: the receipt of positions, and
//! [`Evaluator::tick`]. How positions are cut into batches changes nothing.

mod awaited;
mod codec;
mod counts;
mod court;
pub mod explain;
pub(crate) mod fix;
mod handover;
mod history;
mod in_force;
pub(crate) mod input;
mod snapshot;
mod state;
mod timers;
mod verdict;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

pub use self::{
    counts::{Counts, SkipReason},
    handover::HandOverError,
    in_force::{ElderCatalog, LostCatalogs},
    snapshot::SnapshotError,
};

use self::{
    court::Court,
    fix::{Fix, Key},
    history::{History, Inserted},
    in_force::InForce,
    state::State,
    verdict::{Fresh, NEXT_FIX, Verdict},
};
use crate::{
    catalog::Catalog,
    checks::{
        RouteProgress, Unjudged,
        draft::{Draft, Subject},
        unjudged::unjudged,
    },
    identity::TerminalId,
    position::Position,
    units::Timestamp,
    violation::{Finding, Violation, ViolationKind},
};

/// What the evaluation is bounded by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvaluatorOptions {
    /// Fixes older than this against the clock of the log are not evaluated. Default 72 h.
    pub horizon_ms: i64,
    /// Fixes kept of one vehicle; beyond it its horizon shrinks. Default 65,536: 72 h at one fix in 4 s.
    pub fixes_max: usize,
    /// Bytes of these fixes and the checkpoints between them. Beyond it the checkpoints are thinned,
    /// the older the more, and only then the horizon shrinks as well. A fix takes about 32 with its
    /// checkpoints, and more where routes are driven, for these keep what was swept. Beside it a
    /// vehicle has its live state (two bytes for each 5 m of kerb of its routes whose windows are
    /// judged), up to 256 fixes as values, and what was found of it within the horizon. A day of one
    /// takes 326 KiB with a fix in 10 s and 995 KiB where it sweeps 20 routes of 3.5 km, 2.0 and
    /// 2.2 MiB with a fix a second (`benches/memory.rs`). Default 2 MiB.
    pub history_bytes_max: usize,
    /// Late fixes wait for each other so long before the track is judged again, by the clock of
    /// the log. While a backlog goes on, twice as long each time, up to 30 s. Default 2 s.
    pub settle_ms: i64,
    /// A timer waits so long for fixes that are on their way. Default 5 s.
    pub lateness_ms: i64,
    /// Elder catalogs that are kept to judge what comes late from their time; beyond it the oldest is
    /// given up, and its edited rules judge nothing any more. Default 64.
    pub elder_catalogs_max: usize,
    /// Bytes of these elder catalogs beside the newest one, about; beyond it the oldest is given up as
    /// well. Default 1 GiB: one by which a fence was edited takes some 2 MiB in a large city, one of
    /// which every text is another some 100.
    pub elder_catalogs_bytes_max: usize,
    /// Vehicles that the catalog has work for are judged before anything was received of them. Of
    /// several evaluators of one log only one may. Default yes.
    pub is_awaiting: bool,
}

impl Default for EvaluatorOptions {
    fn default() -> Self {
        Self {
            horizon_ms: 72 * 3_600_000,
            fixes_max: 65_536,
            history_bytes_max: 2 * 1024 * 1024,
            settle_ms: 2_000,
            lateness_ms: 5_000,
            elder_catalogs_max: 64,
            elder_catalogs_bytes_max: 1024 * 1024 * 1024,
            is_awaiting: true,
        }
    }
}

/// Late fixes of a backlog that goes on wait for each other no longer than this.
const SETTLE_MS_MAX: i64 = 30_000;

/// One vehicle.
#[derive(Debug, Default)]
struct Track {
    history: History,
    /// The state behind the newest fix.
    state: State,
    verdict: Verdict,
    /// Since when the catalog expects the vehicle, where it did so before the first fix.
    awaited_since: Option<i64>,
    /// When the newest fix was received; before the first one, since when it is awaited.
    received_at: i64,
    /// Timers have been fired up to this event time.
    advanced_to: i64,
    /// The earliest late fix that the state does not know yet.
    late_from: Option<Key>,
    /// When the track is judged again, or was for the last time.
    settle_at: i64,
    /// How long late fixes waited for each other, or a hundred times what it cost to judge them.
    settle_ms: i64,
    /// When the track asked to be woken.
    wake_at: Option<i64>,
    /// The newest snapshot does not have it like this.
    is_changed: bool,
}

/// Judges the positions of many vehicles.
#[derive(Debug)]
pub struct Evaluator {
    options: EvaluatorOptions,
    tracks: HashMap<TerminalId, Box<Track>>,
    /// The clock of the log: the newest receipt.
    clock: i64,
    /// Tracks that want to be woken, by time. Some entries are no longer true.
    wakes: BinaryHeap<Reverse<(i64, TerminalId)>>,
    in_force: InForce,
    counts: Counts,
    /// Keys of vehicles that were handed over or forgotten, which the next snapshot removes.
    gone: Vec<String>,
    inside: Vec<u32>,
    /// It has given vehicles away, or was given some: others may be judged elsewhere.
    is_part: bool,
}

impl Evaluator {
    /// Without any vehicle.
    #[must_use]
    pub fn new(options: EvaluatorOptions) -> Self {
        Self {
            options,
            tracks: HashMap::new(),
            clock: i64::MIN,
            wakes: BinaryHeap::new(),
            in_force: InForce::default(),
            counts: Counts::default(),
            gone: Vec::new(),
            inside: Vec::new(),
            is_part: false,
        }
    }

    /// Takes positions in the order of the log.
    pub fn observe_batch(&mut self, catalog: &Catalog, positions: &[Position]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for position in positions {
            self.move_clock(catalog, position.received_at, &mut findings);
            if let Err(reason) = self.observe(catalog, position, &mut findings) {
                self.counts.skip(reason);
            } else {
                self.counts.evaluated += 1;
            }
        }
        findings
    }

    /// Moves the clock of the log on: late fixes settle, timers fire.
    pub fn tick(&mut self, catalog: &Catalog, at: Timestamp) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.move_clock(catalog, at, &mut findings);
        findings
    }

    /// What became of the positions since it was last asked.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// How many vehicles have a track.
    #[must_use]
    pub fn tracks(&self) -> usize {
        self.tracks.len()
    }

    /// What is known of a terminal at this moment, by onset; with what open violations have come to
    /// since they were last told.
    #[must_use]
    pub fn violations(&self, terminal: &TerminalId) -> Vec<Violation> {
        let Some(track) = self.tracks.get(terminal) else {
            return Vec::new();
        };
        let open = |record: &verdict::Record| {
            let mut drafts = track.state.drafts();
            drafts
                .find(|draft| draft.violation.id == record.violation.id)
                .map(|draft| draft.violation.clone())
        };
        let mut violations: Vec<Violation> = track
            .verdict
            .records
            .iter()
            .map(|record| open(record).unwrap_or_else(|| record.violation.clone()))
            .collect();
        violations.sort_by_key(|v| (v.started_at, v.kind, v.id));
        violations
    }

    /// How far the vehicle of a terminal has come with its routes, in the windows that are judged at
    /// this moment.
    #[must_use]
    pub fn route_progress(&self, catalog: &Catalog, terminal: &TerminalId) -> Vec<RouteProgress> {
        let routes = self.tracks.get(terminal).map(|track| &track.state.routes);
        let watches = routes.into_iter().flatten();
        watches
            .filter_map(|watch| {
                let index = catalog.route_of(watch.fingerprint)?;
                watch.progress(catalog.route(index)?)
            })
            .collect()
    }

    /// For each kind of duty that is not judged for a terminal at a moment, why; for moments from
    /// its newest fix on.
    #[must_use]
    pub fn unjudged(
        &self,
        catalog: &Catalog,
        terminal: &TerminalId,
        at: Timestamp,
    ) -> Vec<(ViolationKind, Unjudged)> {
        let track = self.tracks.get(terminal);
        let last = track.and_then(|track| track.state.last);
        let known = self.in_force.since.as_ref();
        let since = |rule| known.and_then(|known| known.get(&rule)).copied();
        let since = |rule| since(rule).unwrap_or(i64::MIN);
        let mut all = unjudged(&subject(catalog, *terminal), last.as_ref(), &since, at);
        let is_on = all.iter().any(|(_, why)| *why == Unjudged::NeverHeard);
        if track.is_none() && is_on {
            // Nobody listens yet.
            all.push((ViolationKind::Silence, Unjudged::NeverHeard));
            all.sort_by_key(|(kind, _)| *kind);
        }
        all
    }

    fn observe(
        &mut self,
        catalog: &Catalog,
        position: &Position,
        findings: &mut Vec<Finding>,
    ) -> Result<(), SkipReason> {
        self.adopt(catalog, self.clock);
        // What has no place is heard for its alarms, and counted as not judged.
        let placeless = placeless(position);
        let oldest = self.clock.saturating_sub(self.options.horizon_ms);
        if position.fixed_at.0 < oldest {
            return Err(placeless.unwrap_or(SkipReason::Late));
        }
        let track = self.tracks.entry(position.terminal).or_default();
        let fix = Fix::of(position, placeless.is_none());
        match track
            .history
            .insert(&fix)
            .map_err(|_| SkipReason::Damaged)?
        {
            Inserted::Duplicate => return Err(placeless.unwrap_or(SkipReason::Duplicate)),
            Inserted::TooLate => return Err(placeless.unwrap_or(SkipReason::Late)),
            Inserted::Between => track.mark_late(fix.key(), self.clock, &self.options),
            Inserted::Newest => {
                let mut is_behind = false;
                if fix.at < track.advanced_to {
                    // A timer has fired for the time behind this fix.
                    track.mark_late(fix.key(), self.clock, &self.options);
                    is_behind = self.in_force.is_behind(fix.at, track.state.era);
                }
                track.received_at = position.received_at.0;
                if !is_behind {
                    let (mut closed, mut dropped) = (Vec::new(), Vec::new());
                    let (terminal, inside) = (position.terminal, &mut self.inside);
                    let ended = (&mut closed, &mut dropped);
                    let mut court = self.in_force.court(catalog, terminal, inside, ended);
                    track.state.step(&fix, &mut court);
                    self.counts.suspects_dropped += track.state.input.take_dropped();
                    let (key, verdict) = (fix.key(), &mut track.verdict);
                    verdict.prove(key);
                    verdict.drop_all(&dropped, Timestamp(self.clock), findings);
                    verdict.follow(key, key, closed, track.state.drafts_mut(), findings);
                }
                if track.history.seal(&track.state) {
                    track.prune(oldest, &self.options);
                    self.counts.shed(track.history.take_shed());
                }
            }
        }
        track.is_changed = true;
        let home = self
            .in_force
            .home(catalog, position.terminal, track.state.era);
        let wake_at = track.next_wake(&home, &self.options);
        schedule(&mut self.wakes, track, position.terminal, wake_at);
        placeless.map_or(Ok(()), Err)
    }

    /// Wakes every track whose time has come, in the order of their times.
    fn move_clock(&mut self, catalog: &Catalog, at: Timestamp, findings: &mut Vec<Finding>) {
        self.adopt(catalog, self.clock.max(at.0));
        if at.0 <= self.clock {
            return;
        }
        self.clock = at.0;
        while let Some(Reverse((wake_at, terminal))) = self.wakes.peek().copied() {
            if wake_at > self.clock {
                return;
            }
            self.wakes.pop();
            let Some(track) = self.tracks.get_mut(&terminal) else {
                continue;
            };
            if track.wake_at != Some(wake_at) {
                continue;
            }
            track.wake_at = None;
            let (mut closed, mut dropped) = (Vec::new(), Vec::new());
            let ended = (&mut closed, &mut dropped);
            let mut court = self
                .in_force
                .court(catalog, terminal, &mut self.inside, ended);
            if track.late_from.is_some() && track.settle_at <= self.clock {
                self.counts.rerun += 1;
                track.run_again(self.clock, &mut court, &self.options, findings);
                self.counts.shed(track.history.take_shed());
            } else {
                track.fire_timers(self.clock, &mut court, &self.options);
                let key = track.history.newest().unwrap_or(Key { at: 0, digest: 0 });
                let verdict = &mut track.verdict;
                verdict.drop_all(&dropped, Timestamp(self.clock), findings);
                verdict.follow(key, NEXT_FIX, closed, track.state.drafts_mut(), findings);
            }
            let over_at = track.over_at(&self.in_force, catalog, terminal, &self.options);
            if over_at.is_some_and(|over_at| over_at <= self.clock) {
                self.forget(&terminal);
                continue;
            }
            let home = self.in_force.home(catalog, terminal, track.state.era);
            let next = track.next_wake(&home, &self.options);
            let next = next.into_iter().chain(over_at).min();
            schedule(&mut self.wakes, track, terminal, next);
        }
    }
}

impl Track {
    fn mark_late(&mut self, key: Key, clock: i64, options: &EvaluatorOptions) {
        if let Some(from) = &mut self.late_from {
            *from = key.min(*from);
            return;
        }
        self.late_from = Some(key);
        let goes_on = clock.saturating_sub(self.settle_at) <= self.settle_ms;
        self.settle_ms = if goes_on {
            // A day that comes newest first would else be judged again with every piece of it.
            let longer_ms = self.settle_ms.saturating_mul(2).min(SETTLE_MS_MAX);
            longer_ms.max(self.settle_ms)
        } else {
            0
        }
        .max(options.settle_ms);
        self.settle_at = clock.saturating_add(self.settle_ms);
    }

    /// Judges the track again from the earliest late fix on.
    fn run_again(
        &mut self,
        clock: i64,
        court: &mut Court<'_>,
        options: &EvaluatorOptions,
        findings: &mut Vec<Finding>,
    ) {
        let Some(from) = self.late_from.take() else {
            return;
        };
        let mut ended: Vec<(Draft, Key)> = Vec::new();
        let first = self.first_state(court);
        let run = self.history.run_from(from, first, |state, fix| {
            state.step(fix, court);
            ended.extend(court.closed.drain(..).map(|draft| (draft, fix.key())));
        });
        // A damaged history keeps its live state: what was found stays as it was.
        let Ok((begin, state, count)) = run else {
            return;
        };
        self.state = state;
        // They were counted when they came.
        self.state.input.dropped = 0;
        self.advanced_to = i64::MIN;
        // 0.1 ms a fix, a hundred times its cost, and five minutes at most.
        let hundredfold_ms = i64::try_from(count / 10).unwrap_or(i64::MAX).min(300_000);
        self.settle_ms = self.settle_ms.max(hundredfold_ms);
        self.fire_timers(clock, court, options);
        ended.extend(court.closed.drain(..).map(|draft| (draft, NEXT_FIX)));
        // What became another violation is not among the fresh ones: it is withdrawn below.
        court.dropped.clear();
        let fresh = self.state.drafts_mut().map(Fresh::Open);
        let fresh = fresh.chain(
            ended
                .into_iter()
                .map(|(draft, key)| Fresh::Closed(Box::new(draft), key)),
        );
        let is_judged = |rule: u64, time: (i64, i64)| court.judges(rule, time);
        self.verdict.compare(
            begin,
            Timestamp(clock),
            fresh.collect(),
            is_judged,
            findings,
        );
        // A backlog alone would otherwise grow without any newest fix that seals a chunk.
        self.prune(clock.saturating_sub(options.horizon_ms), options);
        self.is_changed = true;
    }

    fn prune(&mut self, oldest: i64, options: &EvaluatorOptions) {
        let bounds = (options.fixes_max, options.history_bytes_max);
        self.history.prune(oldest, bounds);
        if let Some(floor) = self.history.floor {
            self.verdict.prune(floor);
        }
    }
}

/// Why the place of a position cannot be used.
fn placeless(position: &Position) -> Option<SkipReason> {
    if !position.is_positioned {
        return Some(SkipReason::NotPositioned);
    }
    let is_vague = position
        .satellites
        .is_some_and(|count| count < Fix::SATELLITES_MIN);
    is_vague.then_some(SkipReason::FewSatellites)
}

fn subject(catalog: &Catalog, terminal: TerminalId) -> Subject<'_> {
    Subject {
        catalog,
        terminal,
        vehicle: catalog.vehicle_of(&terminal),
    }
}

/// Asks to wake a track; an earlier wish stays, it finds out itself when it comes too early.
fn schedule(
    wakes: &mut BinaryHeap<Reverse<(i64, TerminalId)>>,
    track: &mut Track,
    terminal: TerminalId,
    at: Option<i64>,
) {
    if let Some(at) = at
        && track.wake_at.is_none_or(|wake_at| at < wake_at)
    {
        track.wake_at = Some(at);
        wakes.push(Reverse((at, terminal)));
    }
}

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    reason = "numbers of scenes are small, and exact where they are compared"
)]
mod tests;
