//! Patrol coverage: which unit grids of the duty area were visited on a shift.
//!
//! ```text
//!  counting ── the shift ends ──▶ waiting ── grace ends ──▶ decided: enough, or one violation
//! ```
//!
//! A grid counts when the time in it comes to 30 s, all in all; between two fixes in different
//! grids each has half of the time. In time that nobody saw grids may have been visited: as many as
//! one could are given to the inspector, so that missing data alone never are a violation; a shift of
//! which nothing was received is not judged. What comes late makes the shift be judged again.

use super::{
    DutyParameters,
    draft::{Draft, Opening, evidence, rounded},
    duty::{Post, Sight},
    presence::seconds,
};
use crate::{catalog::DutyArea, track::fix::Fix, violation::ViolationKind};

/// The state of the check for one duty.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Patrol {
    /// Milliseconds in each unit grid of the area.
    pub(crate) stays: Vec<i64>,
    /// The grid of the newest fix, by its place in the area.
    pub(crate) grid: Option<u32>,
    /// Everything until then is known.
    pub(crate) seen_until: i64,
    /// Before that, what is not.
    pub(crate) unseen_ms: i64,
}

impl Patrol {
    pub(crate) fn begin(area: Option<&DutyArea>, from: i64) -> Self {
        Self {
            stays: vec![0; area.map_or(0, |area| area.grids.len())],
            seen_until: from,
            ..Self::default()
        }
    }

    /// Where the subject is when the shift begins.
    pub(crate) fn stand(&mut self, area: &DutyArea, grid: Option<u32>) {
        self.grid = place_in(area, grid);
    }

    pub(crate) fn judge(&mut self, area: &DutyArea, grid: Option<u32>, sight: &Sight<'_>) {
        let place = place_in(area, grid);
        let at = sight.fix.at;
        match sight.span {
            Some((from, to)) if self.grid == place => {
                self.unseen_ms += (from - self.seen_until).max(0);
                self.stay(place, to - from);
            }
            Some((from, to)) if to - from <= DutyParameters::SIGHT_MS => {
                self.unseen_ms += (from - self.seen_until).max(0);
                self.stay(self.grid, (to - from) / 2);
                self.stay(place, (to - from) / 2);
            }
            _ => self.unseen_ms += (at - self.seen_until).max(0),
        }
        self.seen_until = at;
        self.grid = place;
    }

    fn stay(&mut self, grid: Option<u32>, millis: i64) {
        let stay = grid.and_then(|grid| self.stays.get_mut(grid as usize));
        if let Some(stay) = stay {
            *stay += millis;
        }
    }

    /// Decides; `last` is the newest fix.
    pub(crate) fn decide(
        &mut self,
        post: &Post<'_>,
        at: i64,
        last: Option<&Fix>,
        closed: &mut Vec<Draft>,
    ) {
        let Some(area) = post.area.filter(|_| !self.stays.is_empty()) else {
            return;
        };
        if self.seen_until == post.from {
            // Nothing is known of the whole shift.
            return;
        }
        let parameters = post.parameters();
        let unseen_ms = self.unseen_ms + (post.to - self.seen_until).max(0);
        let grids = area.grids.iter().zip(&self.stays);
        let missed: Vec<u32> = grids
            .filter(|(_, stay)| **stay < parameters.patrol_stay_ms)
            .map(|(grid, _)| *grid)
            .collect();
        let given = usize::try_from(unseen_ms / DutyParameters::UNSEEN_GRID_MS).unwrap_or(0);
        let total = self.stays.len();
        let share = |missed: usize| 100.0 * (1.0 - number(missed) / number(total));
        if share(missed.len().saturating_sub(given)) >= parameters.patrol_percent {
            return;
        }
        let fixes: Vec<_> = last.map(|fix| evidence(fix, None)).into_iter().collect();
        let all = post.subject.catalog.unit_grids();
        let missed = || missed.iter().filter_map(|grid| all.get(*grid as usize));
        let plane = post.subject.catalog.plane();
        let opening = Opening {
            kind: ViolationKind::PatrolCoverage,
            rule: post.rule(),
            fingerprint: post.fingerprint(),
            onset: post.from,
            confirmed: at,
            onset_fixes: &fixes,
            thresholds: &[
                ("patrol_percent", parameters.patrol_percent),
                ("patrol_stay_s", seconds(parameters.patrol_stay_ms)),
                ("grace_s", seconds(parameters.patrol_grace_ms)),
            ],
            // Where there is something to see: in the first grid that was not visited.
            place: missed()
                .next()
                .map(|grid| plane.place(grid.shape.bounds().middle())),
        };
        closed.extend(Draft::open(post.subject, &opening).map(|mut draft| {
            let count = missed().count();
            draft.violation.worst = rounded(share(count));
            draft.measure("unit_grids", number(total));
            draft.measure("visited", number(total - count));
            draft.measure("unobserved_s", seconds(unseen_ms));
            draft.measure("given_for_unobserved", number(given.min(count)));
            let codes = missed().map(|grid| grid.code.clone());
            draft.violation.evidence.unit_grids = codes.take(DutyParameters::GRIDS_MAX).collect();
            draft.close(post.to, None)
        }));
    }
}

/// The place of a unit grid in the area.
fn place_in(area: &DutyArea, grid: Option<u32>) -> Option<u32> {
    let place = area.grids.binary_search(&grid?).ok()?;
    u32::try_from(place).ok()
}

#[expect(clippy::cast_precision_loss, reason = "unit grids of a city at most")]
const fn number(count: usize) -> f64 {
    count as f64
}
