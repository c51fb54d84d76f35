//! Route deviation: off the corridor of a route that the vehicle was on.
//!
//! ```text
//!            on it for 10 s and 50 m along          off the corridor
//!  waiting ──────────────────────────────▶ on ──────────────────────▶ off
//!    ▲ ▲                                   ▲ ▲                         │ │
//!    │ └── left at an end of the route ────┘ └──── on the corridor ────┘ │ 30 s and 100 m,
//!    │                                                                   │ or 90 s
//!    │ in an exempt site, or            on it for 10 s                   ▼
//!    └── the window ends ──────  on ◀─────────────────────────────────  open
//! ```
//!
//! Only observed time and way count: what lies behind a gap adds nothing. On and off have a
//! hysteresis, which the cursor keeps. The onset is the last fix on the corridor; behind a gap it
//! is the first fix off it, to the advantage of the driver. Who crosses the route between two fixes was
//! on it, for a moment at least: what is not open yet begins anew behind it. Whoever visits an exempt site is judged
//! again when he is back on the route.

use super::{
    RouteParameters,
    draft::{Draft, ONSET_FIXES_MAX, Opening, Subject, evidence},
    presence::{Clock, Moment, seconds},
    route::{Visit, meters, rule, whole},
};
use crate::{
    geometry::{Spot, Whereabouts},
    track::fix::Fix,
    violation::{EvidenceFix, ViolationKind},
};

/// Where the check stands; an open violation is a draft beside [`Stage::Off`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Not yet on the route, or no longer bound to it.
    #[default]
    Waiting,
    /// On the corridor.
    On,
    /// Off the corridor.
    Off,
}

/// A place on the route at a moment: milliseconds, millimetres from the beginning.
pub(crate) type Along = (i64, i64);

/// The state of the check for one vehicle and one route.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Deviation {
    pub(crate) stage: Stage,
    /// While waiting: since when it has been on the route, and where that was.
    pub(crate) on_since: Option<Along>,
    /// The newest fix on the corridor.
    pub(crate) last_on: Option<Along>,
    /// How long it has been off.
    pub(crate) clock: Option<Clock>,
    /// How far it has gone since it was off.
    pub(crate) travelled_mm: i64,
    /// Since when it has been on the corridor again.
    pub(crate) back_since: Option<i64>,
    pub(crate) onset_fixes: Vec<EvidenceFix>,
    /// The fix farthest from the line since it was off, until a violation opens.
    pub(crate) farthest: Option<EvidenceFix>,
    pub(crate) draft: Option<Box<Draft>>,
}

impl Deviation {
    pub(crate) fn judge(
        &mut self,
        subject: &Subject<'_>,
        moment: &Moment<'_>,
        visit: &Visit<'_>,
        closed: &mut Vec<Draft>,
    ) {
        if visit.is_exempt {
            self.finish(moment.fix.at, Some(evidence(moment.fix, None)), closed);
            return;
        }
        match visit.place {
            Whereabouts::On(spot) => self.on(moment, &spot, true, visit, closed),
            Whereabouts::Unclear(spot) => self.on(moment, &spot, false, visit, closed),
            Whereabouts::Off(spot) => self.off(subject, moment, &spot, visit),
        }
    }

    /// Ends what is open and forgets what is pending: the window is over, or a site is exempt.
    pub(crate) fn finish(&mut self, at: i64, proof: Option<EvidenceFix>, closed: &mut Vec<Draft>) {
        let ended = self.back_since.unwrap_or(at);
        if let Some(draft) = self.draft.take() {
            closed.push(draft.close(ended, proof));
        }
        *self = Self::default();
    }

    fn on(
        &mut self,
        moment: &Moment<'_>,
        spot: &Spot,
        is_clear: bool,
        visit: &Visit<'_>,
        closed: &mut Vec<Draft>,
    ) {
        let here = (moment.fix.at, whole(spot.along_mm));
        if self.stage == Stage::Waiting {
            if moment.connected_ms.is_none() || !is_clear {
                self.on_since = None;
            }
            let (since, from) = match self.on_since {
                None if !is_clear => return,
                None => *self.on_since.insert(here),
                Some(since) => since,
            };
            let is_long = here.0 - since >= RouteParameters::ARMED_MS;
            if !is_long || (here.1 - from).abs() < RouteParameters::ARMED_MM {
                return;
            }
            self.on_since = None;
            self.stage = Stage::On;
        }
        if self.draft.is_some() {
            if moment.connected_ms.is_none() {
                self.back_since = None;
            }
            let since = *self.back_since.get_or_insert(here.0);
            if here.0 - since < visit.route.parameters.return_ms {
                return;
            }
            if let Some(draft) = self.draft.take() {
                closed.push(draft.close(since, Some(proof(moment, spot))));
            }
        }
        self.stage = Stage::On;
        self.last_on = Some(here);
        self.clock = None;
        self.back_since = None;
    }

    fn off(&mut self, subject: &Subject<'_>, moment: &Moment<'_>, spot: &Spot, visit: &Visit<'_>) {
        let connected = moment.before.zip(moment.connected_ms);
        let way_mm = connected.map_or(0.0, |(fix, _)| fix.point.distance_mm(moment.fix.point));
        self.back_since = None;
        if self.stage == Stage::Off && self.draft.is_none() && spot.distance_mm <= way_mm {
            let line = &visit.route.line;
            let crossed = connected.and_then(|(b, _)| line.crossing_mm(b.point, moment.fix.point));
            if let Some(along_mm) = crossed {
                self.stage = Stage::On;
                self.last_on = Some((moment.fix.at, whole(along_mm)));
            }
        }
        match self.stage {
            Stage::Waiting => self.on_since = None,
            Stage::On => {
                let (last_at, along_mm) = self.last_on.unwrap_or((moment.fix.at, 0));
                if Self::is_at_an_end(subject, along_mm, moment, visit) {
                    *self = Self::default();
                    return;
                }
                self.stage = Stage::Off;
                self.travelled_mm = 0;
                self.onset_fixes.clear();
                if let Some((before, _)) = connected {
                    self.onset_fixes.push(evidence(before, None));
                }
                let onset = if connected.is_some() {
                    last_at
                } else {
                    moment.fix.at
                };
                self.onset_fixes.push(proof(moment, spot));
                self.farthest = Some(proof(moment, spot));
                self.clock = Some(Clock { onset, observed: 0 });
            }
            Stage::Off => {
                if let Some(clock) = &mut self.clock {
                    clock.observed += moment.connected_ms.unwrap_or(0);
                }
                self.travelled_mm += whole(way_mm);
                if let Some(draft) = self.draft.as_deref_mut() {
                    draft.worsen(spot.distance_mm / 1e3, || proof(moment, spot));
                    draft.measure("travelled_m", meters(self.travelled_mm));
                } else {
                    self.open_if_due(subject, moment, spot, visit);
                }
            }
        }
    }

    /// It left the corridor where the route may be left. Between fixes that are far apart it may
    /// have gone on to the end first, and from there to where it is now: as far as it can have come
    /// in the time, and no farther.
    fn is_at_an_end(
        subject: &Subject<'_>,
        along_mm: i64,
        moment: &Moment<'_>,
        visit: &Visit<'_>,
    ) -> bool {
        let (route, plane) = (visit.route, subject.catalog.plane());
        let near_mm = RouteParameters::END_MM + visit.corridor_mm;
        let reach_mm = moment
            .before
            .map_or(0.0, |before| reach_mm(before, moment.fix));
        #[expect(clippy::cast_precision_loss, reason = "a way along a route")]
        let along_mm = along_mm as f64;
        let beyond_mm = |end_mm, is_end| {
            let (latitude, longitude) = route.place_at(end_mm, is_end)?;
            let end = plane.point(latitude, longitude)?;
            Some(end.distance_mm(moment.fix.point))
        };
        route.ends().any(|(end_mm, is_end)| {
            let to_it_mm = (end_mm - along_mm).abs();
            if to_it_mm <= near_mm || to_it_mm > near_mm + reach_mm {
                return to_it_mm <= near_mm;
            }
            // Whoever leaves it near the end has ended too: from there it is no farther than so.
            let beyond_mm = beyond_mm(end_mm, is_end).unwrap_or(0.0);
            let way_mm = to_it_mm - near_mm + (beyond_mm - RouteParameters::END_MM).max(0.0);
            way_mm <= reach_mm
        })
    }

    fn open_if_due(
        &mut self,
        subject: &Subject<'_>,
        moment: &Moment<'_>,
        spot: &Spot,
        visit: &Visit<'_>,
    ) {
        if self.onset_fixes.len() < ONSET_FIXES_MAX - 1 {
            self.onset_fixes.push(proof(moment, spot));
        }
        let distance = |fix: &EvidenceFix| fix.distance_m.unwrap_or(0.0);
        if self
            .farthest
            .as_ref()
            .is_none_or(|fix| distance(fix) * 1e3 < spot.distance_mm)
        {
            self.farthest = Some(proof(moment, spot));
        }
        let parameters = &visit.route.parameters;
        let is_due = |clock: &Clock| {
            let is_far = self.travelled_mm >= parameters.deviation_mm;
            (clock.observed >= parameters.deviation_ms && is_far)
                || clock.observed >= parameters.deviation_long_ms
        };
        let Some(clock) = self.clock.filter(is_due) else {
            return;
        };
        let opening = Opening {
            kind: ViolationKind::RouteDeviation,
            rule: rule(visit.route),
            fingerprint: visit.route.fingerprint,
            onset: clock.onset,
            confirmed: moment.fix.at,
            onset_fixes: &self.onset_fixes,
            thresholds: &[
                ("corridor_m", visit.corridor_mm / 1e3),
                ("deviation_s", seconds(parameters.deviation_ms)),
                ("deviation_m", meters(parameters.deviation_mm)),
                ("deviation_long_s", seconds(parameters.deviation_long_ms)),
                ("return_s", seconds(parameters.return_ms)),
                ("fix_accuracy_m", moment.fix.sigma_mm() / 1e3),
            ],
            place: None,
        };
        let Some(mut draft) = Draft::open(subject, &opening) else {
            return;
        };
        if let Some(farthest) = self.farthest.take() {
            draft.worsen(distance(&farthest), || farthest);
        }
        draft.measure("travelled_m", meters(self.travelled_mm));
        if let Some((_, along_mm)) = self.last_on {
            draft.measure("left_at_m", meters(along_mm));
        }
        self.draft = Some(Box::new(draft));
    }
}

/// How far a vehicle can have driven between two fixes: at the greater of their speeds and a third more,
/// or half as far again as from one to the other.
fn reach_mm(before: &Fix, fix: &Fix) -> f64 {
    let dkmh = f64::from(before.speed_dkmh.max(fix.speed_dkmh));
    let driven_mm = dkmh / 36.0 * seconds(fix.at - before.at) * 1e3;
    (driven_mm * 4.0 / 3.0).max(before.point.distance_mm(fix.point) * 1.5)
}

fn proof(moment: &Moment<'_>, spot: &Spot) -> EvidenceFix {
    evidence(moment.fix, Some(spot.distance_mm))
}
