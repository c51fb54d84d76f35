//! Collection points: visited, passed over, missed.
//!
//! ```text
//!                       20 s within 25 m, hardly moving; or bins lifted there
//!  open ─────────────────────────────────────────────────────────────▶ visited
//!   │ │ a later one is visited first                   visited            ▲ ▲
//!   │ └──────────────────────────▶ wrong order ───────────────────────────┘ │
//!   │                                   │ window end and 10 min             │ visited late
//!   │ window end and 10 min             ▼                                   │
//!   └──────────────────────────────▶ missed ────────────────────────────────┘
//!                                       │ 12 h, or the next window
//!                                       ▼ stays missed
//! ```
//!
//! A point that is passed over and never visited is missed: the violation of the order is withdrawn
//! then, so that one thing is one violation. A point that the vehicle may have visited while
//! nothing was received is neither: it is unobserved. Optional points are never missed and never
//! passed over. What a vehicle may have done unseen is bounded by the speed that it is seen to drive
//! at in the window, [`RouteParameters::unseen_mps`]: a mean over a whole gap, to the point and away
//! from it, is no higher than that. Where a rule of work says which bit is the lift of bins, a report with it within the
//! radius is a visit, however short the stay; without the signal a stay is what counts.

use super::{
    RouteParameters,
    draft::{Draft, Ended, Opening, Subject, evidence, rounded},
    presence::{Moment, seconds},
    route::{is_parked, meters, stood, whole},
};
use crate::{
    catalog::{CollectionPoint, Route},
    checks::Parameters,
    geometry::segment_distance_squared,
    track::fix::Fix,
    units::Timestamp,
    violation::{Rule, ViolationKind},
};

/// The state of one point for one vehicle in one window.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PointWatch {
    /// Time at the point, all stays together.
    pub(crate) stay_ms: i64,
    pub(crate) visited_at: Option<i64>,
    /// The nearest that a fix came; `None` before the first.
    pub(crate) nearest_mm: Option<i64>,
    /// It may have been visited while nothing was received by who drove so fast in the mean, or
    /// faster; millimetres a second.
    pub(crate) unseen_mmps: Option<i64>,
    /// Its time is over: missed, or unobserved.
    pub(crate) is_decided: bool,
    /// Open while it is passed over.
    pub(crate) order: Option<Box<Draft>>,
    /// Open while it is missed.
    pub(crate) missed: Option<Box<Draft>>,
}

/// The state of all points of a route.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Points {
    pub(crate) watches: Vec<PointWatch>,
    /// The highest speed of a fix in the window.
    pub(crate) fastest_dkmh: u16,
}

/// The window of the route that is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// Nothing is judged any more from here on.
    pub(crate) retire: i64,
}

impl Span {
    /// From when to when a point is to be visited.
    fn of(&self, point: &CollectionPoint) -> (i64, i64) {
        let (from, to) = point.window(Timestamp(self.from), Timestamp(self.to));
        (from.0, to.0)
    }

    /// When it is missed.
    fn deadline(&self, point: &CollectionPoint, route: &Route) -> i64 {
        let (_, to) = self.of(point);
        (to + route.parameters.point_grace_ms).min(self.retire)
    }
}

impl Points {
    pub(crate) fn begin(route: &Route) -> Self {
        let count = if route.checks.points {
            route.points.len()
        } else {
            0
        };
        Self {
            watches: vec![PointWatch::default(); count],
            fastest_dkmh: 0,
        }
    }

    /// A point was not seen to be visited, and may have been unseen, at a speed that the vehicle
    /// drives at.
    pub(crate) fn is_unobserved(&self, watch: &PointWatch) -> bool {
        let mps = RouteParameters::unseen_mps(self.fastest_dkmh);
        watch.visited_at.is_none() && watch.is_unseen(mps)
    }

    /// When the next point is missed.
    pub(crate) fn next(&self, route: &Route, span: &Span) -> Option<i64> {
        let points = route.points.iter().zip(&self.watches);
        points
            .filter(|(point, watch)| {
                point.is_mandatory && !watch.is_decided && watch.visited_at.is_none()
            })
            .map(|(point, _)| span.deadline(point, route))
            .min()
    }

    /// Judges one fix. Says whether a point was visited.
    pub(crate) fn judge(
        &mut self,
        subject: &Subject<'_>,
        route: &Route,
        span: &Span,
        (moment, is_lifting): (&Moment<'_>, bool),
        ended: &mut Ended<'_>,
    ) -> bool {
        let at = moment.fix.at;
        let mut has_visited = false;
        self.fastest_dkmh = self.fastest_dkmh.max(moment.fix.speed_dkmh);
        for index in 0..self.watches.len() {
            let Some((point, watch)) = route.points.get(index).zip(self.watches.get_mut(index))
            else {
                break;
            };
            let begin = span.of(point).0;
            let earliest = begin - route.parameters.point_grace_ms;
            if watch.visited_at.is_some() || at < earliest {
                continue;
            }
            let sight_ms = route.parameters.sight_ms;
            let has_passed = watch.follow(point, moment, sight_ms, (begin, earliest));
            let here_mm = moment.fix.point.distance_mm(point.point);
            let is_visit = if is_lifting && here_mm <= point.radius_mm {
                true
            } else if point.stay_ms == 0 {
                has_passed
            } else {
                watch.stay_ms >= point.stay_ms
            };
            if !is_visit {
                continue;
            }
            watch.visited_at = Some(at);
            has_visited = true;
            let proof = evidence(moment.fix, Some(here_mm));
            for draft in [watch.order.take(), watch.missed.take()]
                .into_iter()
                .flatten()
            {
                ended.closed.push(draft.close(at, Some(proof.clone())));
            }
            if route.checks.order {
                self.pass_over(index, subject, route, span, moment);
            }
        }
        has_visited
    }

    /// Point `visited` was visited: those before it that were not are passed over.
    fn pass_over(
        &mut self,
        visited: usize,
        subject: &Subject<'_>,
        route: &Route,
        span: &Span,
        moment: &Moment<'_>,
    ) {
        let at = moment.fix.at;
        let points = route.points.iter().zip(&mut self.watches).take(visited);
        for (point, watch) in points {
            let is_due = point.is_mandatory && span.of(point).0 <= at;
            // How fast it drives is known when its window is over.
            let is_unseen = watch.is_unseen(RouteParameters::UNSEEN_MPS);
            let is_open = watch.visited_at.is_none() && !watch.is_decided && !is_unseen;
            if !is_due || !is_open {
                continue;
            }
            let distance_mm = moment.fix.point.distance_mm(point.point);
            let proof = || evidence(moment.fix, Some(distance_mm));
            if watch.order.is_none() {
                let opening = Opening {
                    kind: ViolationKind::WrongOrder,
                    rule: point_rule(route, point),
                    fingerprint: route.fingerprint,
                    onset: at,
                    confirmed: at,
                    onset_fixes: &[proof()],
                    thresholds: &thresholds(route, point),
                    place: None,
                };
                watch.order = Draft::open(subject, &opening).map(Box::new);
            }
            if let Some(draft) = watch.order.as_deref_mut() {
                let first = draft.violation.worst + 1.0;
                draft.worsen(first, proof);
            }
        }
    }

    /// Decides about the points whose time is over at a moment; `last` is the newest fix.
    pub(crate) fn decide(
        &mut self,
        subject: &Subject<'_>,
        route: &Route,
        span: &Span,
        at: i64,
        last: Option<&Fix>,
        ended: &mut Ended<'_>,
    ) {
        let unseen_mps = RouteParameters::unseen_mps(self.fastest_dkmh);
        for (point, watch) in route.points.iter().zip(&mut self.watches) {
            let is_over = span.deadline(point, route) <= at;
            if !is_over || watch.is_decided || watch.visited_at.is_some() {
                continue;
            }
            watch.is_decided = true;
            if !point.is_mandatory {
                continue;
            }
            let (from, to) = span.of(point);
            let earliest = from - route.parameters.point_grace_ms;
            watch.note_silence(point, last, route.parameters.sight_ms, (earliest, at));
            if watch.is_unseen(unseen_mps) {
                ended
                    .closed
                    .extend(watch.order.take().map(|d| d.close(at, None)));
                continue;
            }
            ended.dropped.extend(watch.order.take().map(|draft| *draft));
            watch.miss(subject, route, point, (to, at), last);
        }
    }

    /// Ends what is open: nothing of this window is judged any more.
    pub(crate) fn finish(&mut self, at: i64, ended: &mut Ended<'_>) {
        for watch in &mut self.watches {
            let open = [watch.order.take(), watch.missed.take()];
            let open = open.into_iter().flatten();
            ended.closed.extend(open.map(|draft| draft.close(at, None)));
        }
    }
}

impl PointWatch {
    /// It may have been visited while nothing was received, by who drives no faster than this,
    /// metres a second.
    fn is_unseen(&self, mps: f64) -> bool {
        self.unseen_mmps.is_some_and(|mmps| meters(mmps) <= mps)
    }

    /// Counts the stay, and notes what may have been a stay out of sight. Says whether the vehicle
    /// came by the point.
    fn follow(
        &mut self,
        point: &CollectionPoint,
        moment: &Moment<'_>,
        sight_ms: i64,
        (begin, earliest): (i64, i64),
    ) -> bool {
        let fix = moment.fix;
        let here_mm = fix.point.distance_mm(point.point);
        let nearest_mm = self.nearest_mm.unwrap_or(i64::MAX);
        self.nearest_mm = Some(nearest_mm.min(whole(here_mm)));
        let is_here = here_mm <= point.radius_mm;
        let Some(before) = moment.before else {
            // Its first fix of all: from the beginning of the hours nobody knows.
            self.note_gap(point, None, Some(fix), fix.at - begin);
            return is_here;
        };
        let before_mm = before.point.distance_mm(point.point);
        let was_here = before_mm <= point.radius_mm;
        let elapsed_ms = fix.at - before.at.max(earliest);
        let is_seen = moment
            .connected_ms
            .is_some_and(|elapsed_ms| elapsed_ms <= sight_ms);
        if !is_seen {
            if !stood(before, fix) {
                self.note_gap(point, Some(before), Some(fix), elapsed_ms);
            } else if is_here && was_here {
                self.stay_ms += elapsed_ms;
            }
            return is_here;
        }
        // Half a step, no longer than a fix speaks for.
        let half_ms = (elapsed_ms / 2).min(Parameters::HOLD_MS);
        if is_here && was_here {
            let way_mm = before.point.distance_mm(fix.point);
            #[expect(clippy::cast_precision_loss, reason = "half a minute")]
            let is_slow = way_mm <= RouteParameters::STAY_MPS * elapsed_ms.max(1_000) as f64;
            // Noise alone goes farther than that in a second; the receiver's speed knows better.
            if is_slow || (before.is_still() && fix.is_still()) {
                self.stay_ms += elapsed_ms;
            }
        } else if (is_here && fix.is_still()) || (was_here && before.is_still()) {
            self.stay_ms += half_ms;
        }
        let passed_mm = segment_distance_squared(point.point, before.point, fix.point).sqrt();
        self.nearest_mm = self
            .nearest_mm
            .map(|nearest_mm| nearest_mm.min(whole(passed_mm)));
        passed_mm <= point.radius_mm
    }

    /// Nothing was received for so long: could the vehicle have gone to the point, stayed, and come
    /// to where it is?
    fn note_gap(
        &mut self,
        point: &CollectionPoint,
        before: Option<&Fix>,
        after: Option<&Fix>,
        elapsed_ms: i64,
    ) {
        let way_mm: f64 = [before, after]
            .into_iter()
            .flatten()
            .map(|fix| (fix.point.distance_mm(point.point) - point.radius_mm).max(0.0))
            .sum();
        if elapsed_ms < point.stay_ms {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "a few hours in milliseconds")]
        let left_ms = ((elapsed_ms - point.stay_ms) as f64).max(1.0);
        let mmps = whole(1e3 * way_mm / left_ms);
        self.unseen_mmps = Some(self.unseen_mmps.map_or(mmps, |known| known.min(mmps)));
    }

    /// The time from the newest fix to the end.
    fn note_silence(
        &mut self,
        point: &CollectionPoint,
        last: Option<&Fix>,
        sight_ms: i64,
        (earliest, at): (i64, i64),
    ) {
        let silent_ms = at - last.map_or(earliest, |fix| fix.at.max(earliest));
        let is_parked = last.is_some_and(is_parked);
        if silent_ms > sight_ms && !is_parked {
            self.note_gap(point, last, None, silent_ms);
        }
        if let Some(last) = last {
            let here_mm = whole(last.point.distance_mm(point.point));
            self.nearest_mm = Some(self.nearest_mm.unwrap_or(i64::MAX).min(here_mm));
        }
    }

    fn miss(
        &mut self,
        subject: &Subject<'_>,
        route: &Route,
        point: &CollectionPoint,
        (to, at): (i64, i64),
        last: Option<&Fix>,
    ) {
        let fixes: Vec<_> = last
            .map(|fix| evidence(fix, Some(fix.point.distance_mm(point.point))))
            .into_iter()
            .collect();
        let opening = Opening {
            kind: ViolationKind::MissedPoint,
            rule: point_rule(route, point),
            fingerprint: route.fingerprint,
            onset: to,
            confirmed: at,
            onset_fixes: &fixes,
            thresholds: &thresholds(route, point),
            place: Some((point.latitude, point.longitude)),
        };
        self.missed = Draft::open(subject, &opening).map(|mut draft| {
            draft.violation.worst = rounded(self.nearest_mm.map_or(0.0, meters));
            draft.measure("nearest_m", self.nearest_mm.map_or(0.0, meters));
            draft.measure("stay_s", seconds(self.stay_ms));
            Box::new(draft)
        });
    }
}

fn thresholds(route: &Route, point: &CollectionPoint) -> [(&'static str, f64); 3] {
    [
        ("radius_m", point.radius_mm / 1e3),
        ("stay_s", seconds(point.stay_ms)),
        ("grace_s", seconds(route.parameters.point_grace_ms)),
    ]
}

/// A point as a rule.
fn point_rule(route: &Route, point: &CollectionPoint) -> Rule {
    Rule {
        id: format!("{}/{}", route.id, point.id),
        version: route.version,
        name: format!("{}: {}", route.name, point.name),
    }
}
