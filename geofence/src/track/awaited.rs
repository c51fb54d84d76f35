//! Vehicles that the catalog has work for, before anything was received of them.
//!
//! ```text
//!  a catalog names it ──▶ awaited ── first fix ──▶ a track like any other
//!                           │
//!                           └── no catalog of the horizon names it ──▶ forgotten
//! ```
//!
//! Work is a route or a duty. Time passes for such a vehicle by the clock of the log alone: its shifts
//! and windows begin and end, and it is silent on shift. What asks where it is stays unknown. Their
//! number is bounded by the catalog. The moment since which it is awaited is that of the log at which
//! the catalog came into force, so that a replay finds the same; where an older fix turns up, the
//! track begins with that fix, in whatever order they came.
//!
//! Of several evaluators nobody knows to whom a vehicle belongs that was never heard: one that has
//! given vehicles away, or was given some, goes on with those that it awaits, and awaits no others.

use super::{
    Evaluator, EvaluatorOptions, Track,
    court::Court,
    fix::Key,
    in_force::{Adopted, InForce},
    schedule,
    state::State,
    subject,
};
use crate::{catalog::Catalog, checks::draft::Subject, identity::TerminalId};

impl Evaluator {
    /// Takes over a catalog at a moment of the log.
    pub(super) fn adopt(&mut self, catalog: &Catalog, at: i64) {
        match self.in_force.adopt(catalog, at, &self.options) {
            Adopted::Known => return,
            Adopted::Again => {}
            Adopted::Since(since) => self.foresee(since, at),
        }
        if self.options.is_awaiting {
            self.await_vehicles(catalog, at);
        }
    }

    /// Another catalog judges from a moment on: tracks pass that moment with their next fix, or when
    /// the clock does. Those that have passed it already, for their clocks are ahead, are judged again.
    fn foresee(&mut self, since: i64, clock: i64) {
        for (terminal, track) in &mut self.tracks {
            let newest = track.history.newest().map_or(i64::MIN, |key| key.at);
            let wake_at = if newest.max(track.advanced_to) < since {
                track.passes_at(since, &self.options)
            } else {
                let from = Key {
                    at: since,
                    digest: 0,
                };
                track.mark_late(from, clock, &self.options);
                track.is_changed = true;
                Some(track.settle_at)
            };
            schedule(&mut self.wakes, track, *terminal, wake_at);
        }
    }

    fn await_vehicles(&mut self, catalog: &Catalog, at: i64) {
        for (terminal, track) in &mut self.tracks {
            if track.history.newest().is_none() {
                // Its rules may be others now, or gone.
                schedule(&mut self.wakes, track, *terminal, Some(at));
            }
        }
        if self.is_part {
            return;
        }
        for vehicle in catalog.vehicles() {
            let terminal = vehicle.terminal;
            let subject = subject(catalog, terminal);
            if self.tracks.contains_key(&terminal) || !is_awaited(&subject) {
                continue;
            }
            let mut track = Box::new(Track {
                awaited_since: Some(at),
                received_at: at,
                // A fix from before is a late one.
                advanced_to: at,
                is_changed: true,
                ..Track::default()
            });
            let (mut closed, mut dropped) = (Vec::new(), Vec::new());
            let ended = (&mut closed, &mut dropped);
            let mut court = self
                .in_force
                .court(catalog, terminal, &mut self.inside, ended);
            track.state.enter(&mut court, at);
            let home = self.in_force.home(catalog, terminal, track.state.era);
            let wake_at = track.next_wake(&home, &self.options);
            schedule(&mut self.wakes, &mut track, terminal, wake_at);
            self.tracks.insert(terminal, track);
        }
    }

    /// Forgets a track of which nothing was ever received.
    pub(super) fn forget(&mut self, terminal: &TerminalId) {
        let Some(track) = self.tracks.remove(terminal) else {
            return;
        };
        let found = track.verdict.records.iter().map(|r| r.violation.id);
        let found = found.chain(track.verdict.removed.iter().copied());
        let found = found.map(|id| format!("{terminal}/found/{id}"));
        self.gone.extend(found);
        self.gone.push(format!("{terminal}/head"));
    }
}

impl Track {
    /// Up to when the track is known without its timers: its newest fix, or since when it is
    /// awaited.
    pub(super) fn known_until(&self) -> Option<i64> {
        let newest = self.history.newest().map(|key| key.at);
        newest.or(self.awaited_since)
    }

    /// When a track of which nothing was ever received is over: as soon as no fix can come any more of
    /// the time of a catalog that awaits it. `None` while it is awaited, or was heard.
    pub(super) fn over_at(
        &self,
        in_force: &InForce,
        newest: &Catalog,
        terminal: TerminalId,
        options: &EvaluatorOptions,
    ) -> Option<i64> {
        if self.awaited_since.is_none() || self.history.newest().is_some() {
            return None;
        }
        match in_force.awaited_until(newest, terminal) {
            None => Some(i64::MIN),
            Some(i64::MAX) => None,
            Some(until) => Some(until.saturating_add(options.horizon_ms)),
        }
    }

    /// The state before the first fix of all.
    pub(super) fn first_state(&self, court: &mut Court<'_>) -> State {
        let mut state = State::default();
        let oldest = self.history.oldest();
        let since = self
            .awaited_since
            .filter(|since| oldest.is_some_and(|oldest| *since <= oldest.at));
        if let Some(since) = since {
            state.enter(court, since);
        }
        state
    }
}

impl InForce {
    /// Up to when a catalog that is kept has work for the vehicle of a terminal: until then a fix may
    /// come late, and finds what it would have found in time. `i64::MAX` is the newest one.
    fn awaited_until(&self, newest: &Catalog, terminal: TerminalId) -> Option<i64> {
        let elder = self.eras.iter().filter(|era| era.until < i64::MAX);
        let elder = elder.filter_map(|era| Some((era.catalog.as_ref()?, era.until)));
        let all = elder.chain([(newest, i64::MAX)]);
        let awaiting = all.filter(|(catalog, _)| is_awaited(&subject(catalog, terminal)));
        awaiting.map(|(_, until)| until).max()
    }
}

/// The catalog has work for it.
fn is_awaited(subject: &Subject<'_>) -> bool {
    let Some(vehicle) = subject.vehicle else {
        return false;
    };
    let routes = subject.catalog.audience_of(Some(vehicle)).routes();
    !routes.is_empty() || subject.catalog.duties().roster_of(vehicle).is_some()
}
