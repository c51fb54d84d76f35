//! Vehicles that the catalog has work for, before anything was received of them.
//!
//! ```text
//!  a catalog names it ──▶ awaited ── first fix ──▶ a track like any other
//!                           │
//!                           └── a catalog names it no longer ──▶ forgotten
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

use super::{Evaluator, Track, schedule, state::Court, state::State, subject};
use crate::{catalog::Catalog, checks::draft::Subject, identity::TerminalId};

impl Evaluator {
    /// Takes over a catalog at a moment of the log.
    pub(super) fn adopt(&mut self, catalog: &Catalog, at: i64) {
        if self.fences.adopt(catalog, at) && self.options.is_awaiting {
            self.await_vehicles(catalog, at);
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
            let (fences, inside) = (&self.fences, &mut self.inside);
            let mut court = fences.court(subject, inside, &mut closed, &mut dropped);
            track.state.bind(&mut court, at);
            let wake_at = track.next_wake(self.fences.rules(&subject), &self.options);
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

    /// Nothing was ever received, and nothing is awaited any more.
    pub(super) fn is_over(&self, subject: &Subject<'_>) -> bool {
        self.awaited_since.is_some() && self.history.newest().is_none() && !is_awaited(subject)
    }

    /// The state before the first fix of all.
    pub(super) fn first_state(&self, court: &mut Court<'_>) -> State {
        let mut state = State::default();
        let oldest = self.history.oldest();
        let since = self
            .awaited_since
            .filter(|since| oldest.is_some_and(|oldest| *since <= oldest.at));
        if let Some(since) = since {
            state.bind(court, since);
        }
        state
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
