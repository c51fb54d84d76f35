//! The fixes of one vehicle, judged once more from nothing.

use std::collections::VecDeque;

use super::{
    super::{
        EvaluatorOptions,
        court::Court,
        fix::{Fix, Key},
        in_force::InForce,
        placeless,
        state::State,
    },
    Era, FIXES_MAX, Fate, Heard, SeenFix, VIOLATIONS_MAX, era_of,
};
use crate::{
    catalog::Catalog,
    checks::{Parameters, draft::rounded},
    geometry::Plane,
    identity::TerminalId,
    position::Position,
    units::Timestamp,
    violation::Violation,
};

/// A fix, and what became of it.
#[derive(Debug)]
struct Traced {
    /// As sent.
    key: Key,
    /// Where it counts.
    fix: Fix,
    median_kmh: Option<f64>,
    is_behind_gap: bool,
    fate: Fate,
}

/// An evaluation that nobody else hears of.
#[derive(Debug)]
pub(super) struct Replay {
    terminal: TerminalId,
    pub(super) state: State,
    pub(super) in_force: InForce,
    pub(super) heard: Heard,
    /// What has ended, the newest.
    pub(super) violations: VecDeque<Violation>,
    traced: VecDeque<Traced>,
}

impl Replay {
    pub(super) fn new(terminal: TerminalId) -> Self {
        Self {
            terminal,
            state: State::default(),
            in_force: InForce::default(),
            heard: Heard::default(),
            violations: VecDeque::new(),
            traced: VecDeque::new(),
        }
    }

    /// Judges everything up to a moment, and lets pass what is due by it. Keeps the violations that
    /// `is_wanted` names. Where there is no fix at all, time passes from `begin` on: a vehicle that was
    /// never heard is silent on shift.
    pub(super) fn run(
        &mut self,
        eras: &[Era<'_>],
        positions: &[Position],
        (begin, at): (Timestamp, Timestamp),
        is_wanted: impl Fn(&Violation) -> bool,
    ) {
        let own = positions
            .iter()
            .filter(|position| position.terminal == self.terminal && position.fixed_at <= at);
        let mut fixes: Vec<Fix> = own
            .map(|position| Fix::of(position, placeless(position).is_none()))
            .collect();
        fixes.sort_by_key(Fix::key);
        fixes.dedup_by_key(|fix| fix.key());
        self.heard.fixes = fixes.len();
        self.heard.first_at = fixes.first().map(|fix| Timestamp(fix.at));
        let Some(era) = era_of(eras, at) else { return };
        // None of them is given up: the caller bounds them, and they are about this one answer.
        let options = EvaluatorOptions {
            horizon_ms: i64::MAX,
            elder_catalogs_max: eras.len(),
            elder_catalogs_bytes_max: usize::MAX,
            ..EvaluatorOptions::default()
        };
        for before in eras.iter().take_while(|own| own.from < era.from) {
            self.in_force.adopt(before.catalog, before.from.0, &options);
        }
        self.in_force.adopt(era.catalog, era.from.0, &options);
        for fix in &fixes {
            self.judge(era.catalog, fix, &is_wanted);
        }
        if fixes.is_empty() {
            let since = begin.max(era.from).0;
            self.in_court(era.catalog, &is_wanted, |state, court| {
                state.enter(court, since);
            });
        }
        self.pass(era.catalog, at.0, &is_wanted);
        self.heard.last_at = self.state.last.map(|fix| Timestamp(fix.at));
    }

    fn judge(&mut self, catalog: &Catalog, fix: &Fix, is_wanted: impl Fn(&Violation) -> bool) {
        let accepted = self.state.input.accepted;
        let gap_ms = self.state.input.gap_ms();
        let dropped = self.state.input.dropped;
        self.in_court(catalog, is_wanted, |state, court| state.step(fix, court));
        let has_dropped = self.state.input.dropped > dropped;
        let held = || self.state.input.suspects.iter().flatten();
        let fate = if !fix.is_placed {
            self.heard.placeless += 1;
            Fate::Placeless
        } else if held().any(|suspect| suspect.key() == fix.key()) {
            Fate::Suspect
        } else {
            Fate::Counted
        };
        // Of those that were held before it, what became of them?
        let is_settled = fix.is_placed && (has_dropped || fate == Fate::Counted);
        let mut is_first = true;
        for before in self.traced.iter_mut().filter(|_| is_settled) {
            if before.fate != Fate::Suspect {
                continue;
            }
            if has_dropped {
                before.fate = Fate::Dropped;
            } else {
                before.fate = Fate::Counted;
                before.is_behind_gap = std::mem::take(&mut is_first);
            }
        }
        self.heard.dropped += usize::try_from(self.state.input.dropped - dropped).unwrap_or(0);
        let counted = self.state.last.filter(|last| last.key() == fix.key());
        let is_behind_gap =
            fate != Fate::Placeless && accepted.is_none_or(|before| fix.at - before.at > gap_ms);
        if self.traced.len() >= FIXES_MAX {
            self.traced.pop_front();
        }
        self.traced.push_back(Traced {
            key: fix.key(),
            fix: counted.unwrap_or(*fix),
            median_kmh: counted.map(|_| self.state.input.median_kmh()),
            is_behind_gap,
            fate,
        });
    }

    /// Lets pass what is due by a moment, as timers do.
    fn pass(&mut self, catalog: &Catalog, at: i64, is_wanted: impl Fn(&Violation) -> bool) {
        self.in_court(catalog, is_wanted, |state, court| {
            state.enter(court, at);
            state.advance_duty(at, court);
            if let Some(last) = state.last {
                state.advance(at.min(last.at.saturating_add(Parameters::HOLD_MS)), court);
            }
            state.advance_routes(at, court);
        });
    }

    fn in_court(
        &mut self,
        catalog: &Catalog,
        is_wanted: impl Fn(&Violation) -> bool,
        run: impl FnOnce(&mut State, &mut Court<'_>),
    ) {
        let (mut closed, mut dropped, mut inside) = (Vec::new(), Vec::new(), Vec::new());
        let ended = (&mut closed, &mut dropped);
        let in_force = &self.in_force;
        let mut court = in_force.court(catalog, self.terminal, &mut inside, ended);
        run(&mut self.state, &mut court);
        for draft in closed {
            if is_wanted(&draft.violation) {
                if self.violations.len() >= VIOLATIONS_MAX {
                    self.violations.pop_front();
                }
                self.violations.push_back(draft.violation);
            }
        }
    }

    /// The last fixes, with what `distance_m` measures of each that has a place.
    pub(super) fn fixes(
        &self,
        plane: &Plane,
        distance_m: impl Fn(&Fix) -> Option<f64>,
    ) -> Vec<SeenFix> {
        let seen = |traced: &Traced| {
            let fix = traced.fix.on(plane);
            SeenFix {
                fixed_at: Timestamp(traced.key.at),
                latitude: fix.latitude,
                longitude: fix.longitude,
                speed_dkmh: fix.speed_dkmh,
                median_kmh: traced.median_kmh,
                accuracy_m: fix.sigma_mm() / 1e3,
                distance_m: (traced.fate != Fate::Placeless)
                    .then(|| distance_m(&fix))
                    .flatten()
                    .map(rounded),
                is_behind_gap: traced.is_behind_gap,
                fate: traced.fate,
                log_offset: fix.log_offset,
            }
        };
        self.traced.iter().map(seen).collect()
    }
}
