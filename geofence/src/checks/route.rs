//! A vehicle and a route that it drives: windows begin and end, fixes between are judged by
//! [`Deviation`], [`Points`] and [`Coverage`].
//!
//! ```text
//!          window begins                  window ends            graces end      12 h, or next window
//!  idle ────────────────▶ in its window ─────────────▶ waiting ────────────▶ judged ──────────────▶ idle
//!                         deviation                    points that come late   points that come late
//!                         coverage, points
//! ```
//!
//! A window is judged by the route as it was when the window began: an edited route is judged from
//! its next window on. The moments at which something is decided are moments of event time. They
//! pass with the next fix behind them, or with the clock of the log, whichever is first; a fix that
//! then comes from before such a moment makes the track be judged again.

use super::{
    RouteParameters,
    collection::{Points, Span},
    coverage::Coverage,
    deviation::{Deviation, Stage},
    draft::{Draft, Ended, Subject, evidence},
    presence::Moment,
    work::Work,
};
use crate::{
    catalog::{Route, Segment},
    geometry::{RouteCursor, RouteFix, Whereabouts},
    track::fix::Fix,
    units::Timestamp,
    violation::Rule,
};

/// Slower than this a heading says nothing: 2 m/s, in tenths of km/h.
const HEADING_DKMH: u16 = 72;
/// The fastest that a vehicle goes, metres a second: as far may it have come along the route.
const MPS_MAX: f64 = 35.0;

/// The state of one route for one vehicle.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RouteWatch {
    /// Index in the catalog that the state is bound to.
    pub(crate) route: u32,
    pub(crate) fingerprint: u64,
    /// When the newest window that is known of began; those before are not judged any more.
    pub(crate) began: i64,
    pub(crate) run: Option<Box<Run>>,
    /// Before this moment nothing happens without a fix; to be found out when it is the least.
    pub(crate) next: i64,
}

/// One window.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// When nothing of it is judged any more.
    pub(crate) retire: i64,
    /// Its end has passed.
    pub(crate) is_over: bool,
    pub(crate) cursor: RouteCursor,
    /// The fix that the cursor stands at.
    pub(crate) stood_at: i64,
    pub(crate) deviation: Deviation,
    pub(crate) points: Points,
    pub(crate) coverage: Coverage,
}

/// Where a fix is, for the checks of a route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit<'a> {
    pub(crate) route: &'a Route,
    pub(crate) place: Whereabouts,
    /// From the line to the edge of the corridor.
    pub(crate) corridor_mm: f64,
    /// In a site where deviations are none.
    pub(crate) is_exempt: bool,
    /// Whether the vehicle cleans.
    pub(crate) work: Work,
}

/// What the machines of a vehicle do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machines {
    /// Brush or pump.
    pub(crate) cleaning: Work,
    /// The lift of bins.
    pub(crate) collecting: Work,
}

/// How far a vehicle has come with a route in its newest window.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteProgress {
    /// The id of the route.
    pub route: String,
    /// When the window began.
    pub from: Timestamp,
    /// When it ends, or ended.
    pub to: Timestamp,
    /// What is to be swept, metres: each kerb and pass for itself.
    pub planned_m: f64,
    /// What was swept of it, metres.
    pub swept_m: f64,
    /// What may have been swept while nothing was received, metres. As much as the target lacks, and
    /// coverage cannot be judged.
    pub unobserved_m: f64,
    /// Collection points that were visited.
    pub visited: usize,
    /// Collection points that may have been visited while nothing was received.
    pub unobserved: usize,
    /// Collection points in all.
    pub points: usize,
    /// It is off the corridor that it was on.
    pub is_off: bool,
}

impl RouteWatch {
    /// How far the vehicle has come; `None` between windows.
    pub(crate) fn progress(&self, route: &Route) -> Option<RouteProgress> {
        let run = self.run.as_deref()?;
        let (planned_m, swept_m, unobserved_m) = run.coverage.progress_m(route);
        let points = &run.points.watches;
        Some(RouteProgress {
            route: route.id.clone(),
            from: Timestamp(run.from),
            to: Timestamp(run.to),
            planned_m,
            swept_m,
            unobserved_m,
            visited: points.iter().filter(|w| w.visited_at.is_some()).count(),
            unobserved: points
                .iter()
                .filter(|watch| run.points.is_unobserved(watch))
                .count(),
            points: points.len(),
            is_off: run.deviation.stage == Stage::Off,
        })
    }

    /// Begins to watch at a moment: the window that it lies in is the first.
    pub(crate) fn new(index: u32, route: &Route, at: i64) -> Self {
        let window = route.schedule.window_at(Timestamp(at));
        Self {
            route: index,
            fingerprint: route.fingerprint,
            began: window.map_or(at, |(from, _)| from.0 - 1),
            run: None,
            next: i64::MIN,
        }
    }

    /// Binds the state to the catalog.
    pub(crate) fn bind(&mut self, index: u32, route: Option<&Route>) {
        self.route = index;
        self.next = i64::MIN;
        if let (Some(run), Some(route)) = (&mut self.run, route) {
            // Another plane may make the same route a millimetre longer, and a piece more.
            run.coverage.bins.resize(route.bins(), Default::default());
        }
    }

    /// When something happens without a fix; `i64::MAX` is never.
    pub(crate) fn due(&self, route: &Route) -> i64 {
        match &self.run {
            _ if self.next != i64::MIN => self.next,
            Some(run) => run.next(route),
            None => route
                .schedule
                .next_window(Timestamp(self.began))
                .map_or(i64::MAX, |(from, _)| from.0),
        }
    }

    /// Lets everything happen that is due by a moment; `last` is the newest fix, `since` the moment
    /// that the route is in force from. Gives the last moment at which something happened.
    pub(crate) fn advance(
        &mut self,
        subject: &Subject<'_>,
        route: &Route,
        last: Option<&Fix>,
        (since, until): (i64, i64),
        ended: &mut Ended<'_>,
    ) -> Option<i64> {
        let mut happened = None;
        loop {
            self.next = self.due(route);
            if self.next > until {
                return happened;
            }
            let at = self.next;
            self.next = i64::MIN;
            happened = Some(at);
            match &mut self.run {
                Some(run) => {
                    if run.fire(subject, route, at, last, ended) {
                        self.run = None;
                    }
                }
                None => {
                    self.began = at;
                    // Whoever has been silent for long may be there no more.
                    let is_silent =
                        last.is_some_and(|last| at - last.at > RouteParameters::SILENCE_MS);
                    if !is_silent && since <= at {
                        self.begin(route, at, last);
                    }
                }
            }
        }
    }

    fn begin(&mut self, route: &Route, from: i64, last: Option<&Fix>) {
        let Some((from, to)) = route.schedule.window_at(Timestamp(from)) else {
            return;
        };
        let next = route.schedule.next_window(from);
        let retire = to.0.saturating_add(RouteParameters::AMEND_MS);
        self.run = Some(Box::new(Run {
            from: from.0,
            to: to.0,
            retire: next.map_or(retire, |(next, _)| retire.min(next.0)),
            is_over: false,
            cursor: RouteCursor::default(),
            stood_at: from.0,
            deviation: Deviation::default(),
            points: Points::begin(route),
            coverage: Coverage::begin(route, from.0, last),
        }));
        self.next = i64::MIN;
    }

    /// Judges one fix; everything before it has happened.
    pub(crate) fn judge(
        &mut self,
        subject: &Subject<'_>,
        route: &Route,
        moment: &Moment<'_>,
        (since, machines): (i64, Machines),
        is_exempt: impl FnOnce() -> bool,
        ended: &mut Ended<'_>,
    ) {
        let fix = moment.fix;
        if self.run.is_none() {
            // A window that began in a long silence is judged when the vehicle comes back in it.
            let window = route.schedule.window_at(Timestamp(fix.at));
            match window {
                Some((from, _)) if from.0 == self.began && since <= from.0 => {
                    self.begin(route, from.0, None);
                }
                _ => return,
            }
        }
        let Some(run) = &mut self.run else { return };
        if fix.at < run.from {
            return;
        }
        if fix.at < run.to {
            let visit = run.visit(route, fix, machines.cleaning, is_exempt);
            if route.checks.deviation {
                run.deviation.judge(subject, moment, &visit, ended.closed);
            }
            run.coverage.judge(moment, &visit);
        }
        let span = run.span();
        let is_lifting = machines.collecting == Work::On;
        let points = &mut run.points;
        if points.judge(subject, route, &span, (moment, is_lifting), ended) {
            self.next = i64::MIN;
        }
    }

    /// The segment that it drives on in a window of the route, with its place.
    pub(crate) fn segment<'a>(&self, route: &'a Route, at: i64) -> Option<(usize, &'a Segment)> {
        let run = self.run.as_ref();
        let run = run.filter(|run| run.cursor.is_on && (run.from..run.to).contains(&at))?;
        #[expect(clippy::cast_precision_loss, reason = "a way along a route")]
        let along_mm = run.cursor.along_mm? as f64;
        let segments = &route.segments;
        let place = segments.partition_point(|segment| segment.end_mm < along_mm);
        Some((place, segments.get(place)?))
    }

    /// On the route in one of its windows, as far as its deviations are judged.
    pub(crate) fn is_on(&self) -> bool {
        let run = self.run.as_ref();
        run.is_some_and(|run| run.deviation.stage == Stage::On)
    }

    /// The violations that go on.
    pub(crate) fn drafts(&self) -> impl Iterator<Item = &Draft> {
        let run = self.run.iter();
        run.flat_map(|run| {
            let points = run.points.watches.iter();
            let of_points = points.flat_map(|watch| [&watch.order, &watch.missed]);
            let all = of_points.chain([&run.deviation.draft]);
            all.filter_map(|draft| draft.as_deref())
        })
    }

    /// The same, to change them.
    pub(crate) fn drafts_mut(&mut self) -> impl Iterator<Item = &mut Draft> {
        let run = self.run.iter_mut();
        run.flat_map(|run| {
            let points = run.points.watches.iter_mut();
            let of_points = points.flat_map(|watch| [&mut watch.order, &mut watch.missed]);
            let all = of_points.chain([&mut run.deviation.draft]);
            all.filter_map(|draft| draft.as_deref_mut())
        })
    }

    /// Ends what is open when its route is no longer there.
    pub(crate) fn abandon(&mut self, last: Option<&Fix>, closed: &mut Vec<Draft>) {
        let Some(mut run) = self.run.take() else {
            return;
        };
        let at = last.map_or(run.from, |fix| fix.at);
        run.deviation.finish(at, None, closed);
        let dropped = &mut Vec::new();
        run.points.finish(at, &mut Ended { closed, dropped });
    }
}

impl Run {
    fn span(&self) -> Span {
        Span {
            from: self.from,
            to: self.to,
            retire: self.retire,
        }
    }

    fn next(&self, route: &Route) -> i64 {
        let points = self.points.next(route, &self.span());
        let coverage = (!self.coverage.is_decided)
            .then(|| (self.to + route.parameters.coverage_grace_ms).min(self.retire));
        let end = (!self.is_over).then_some(self.to);
        let moments = [points, coverage, end].into_iter().flatten();
        moments.fold(self.retire, i64::min)
    }

    /// Decides what is to be decided at a moment. Says whether the window is over and done.
    fn fire(
        &mut self,
        subject: &Subject<'_>,
        route: &Route,
        at: i64,
        last: Option<&Fix>,
        ended: &mut Ended<'_>,
    ) -> bool {
        if at >= self.to && !self.is_over {
            self.is_over = true;
            let proof = last.map(|fix| evidence(fix, None));
            self.deviation.finish(self.to, proof, ended.closed);
        }
        let span = self.span();
        self.points.decide(subject, route, &span, at, last, ended);
        if at >= (self.to + route.parameters.coverage_grace_ms).min(self.retire) {
            let window = (self.from, self.to);
            self.coverage
                .decide(subject, route, window, at, last, ended.closed);
        }
        if at < self.retire {
            return false;
        }
        self.points.finish(at, ended);
        true
    }

    fn visit<'a>(
        &mut self,
        route: &'a Route,
        fix: &Fix,
        work: Work,
        is_exempt: impl FnOnce() -> bool,
    ) -> Visit<'a> {
        let sigma_mm = fix.sigma_mm();
        let corridor_mm = route.parameters.corridor_mm(sigma_mm);
        let is_moving = fix.speed_dkmh >= HEADING_DKMH;
        #[expect(clippy::cast_precision_loss, reason = "a window in milliseconds")]
        let elapsed_ms = (fix.at - self.stood_at).max(0) as f64;
        let place = self.cursor.follow(
            &route.line,
            &RouteFix {
                point: fix.point,
                sigma_mm,
                width_mm: corridor_mm,
                hysteresis_mm: super::Parameters::DEFAULT.hysteresis_mm(sigma_mm),
                reach_mm: MPS_MAX * elapsed_ms + 3.0 * sigma_mm,
                // A heading is clockwise from north: its sine points east.
                direction: is_moving.then(|| f64::from(fix.heading_deg).to_radians().sin_cos()),
            },
        );
        if matches!(place, Whereabouts::On(_)) {
            self.stood_at = fix.at;
        }
        Visit {
            route,
            place,
            corridor_mm,
            is_exempt: is_exempt(),
            work,
        }
    }
}

/// The route as a rule.
pub(crate) fn rule(route: &Route) -> Rule {
    Rule {
        id: route.id.clone(),
        version: route.version,
        name: route.name.clone(),
    }
}

/// The vehicle stands with its ignition off: silence behind this is rest. The noise of the
/// receiver's speed does not make it drive.
pub(crate) const fn is_parked(fix: &Fix) -> bool {
    !fix.is_acc_on && !fix.is_moving()
}

/// The vehicle has rested between these two fixes, whatever was received between them.
pub(crate) fn stood(before: &Fix, after: &Fix) -> bool {
    is_parked(before) && before.point.distance_mm(after.point) <= RouteParameters::PARKED_MM
}

#[expect(clippy::cast_precision_loss, reason = "ways of a day")]
pub(crate) const fn meters(mm: i64) -> f64 {
    mm as f64 / 1e3
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "ways of a day in millimetres"
)]
pub(crate) fn whole(mm: f64) -> i64 {
    mm.round() as i64
}
