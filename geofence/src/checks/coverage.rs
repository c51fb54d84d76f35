//! Coverage: how much of a route was swept in its window.
//!
//! ```text
//!  window begins      each fix in the window         window ends, and 15 min       below the target
//!  ─────────────▶ counting ──────────────▶ counting ──────────────────────▶ judged ───────▶ violation
//!                    │  ▲
//!    not seen, off   ▼  │ on the route again
//!                  nothing counts
//! ```
//!
//! The route is cut in pieces of 5 m, for each kerb that is planned. Between two fixes on the
//! route, at most 30 s apart, near the line, at working speed and no farther apart than the vehicle
//! can have driven, every piece whose middle lies between them is swept once more in this pass. A
//! pass goes on in one direction; so far back as noise can explain (30 m) is the same pass, farther
//! is a turn and another one. The kerb is told by the distance from the line where that is sure,
//! else by the direction: traffic keeps to the right.
//!
//! Near the line is within the reach of the sweeper and one deviation of the fix. Up to three
//! deviations noise may have moved it there or away: such a stretch is unobserved, like a gap.
//!
//! Where work ends between two fixes that are more than 5 s apart, as much as may have been swept before
//! that is unobserved as well ([`edge`]).
//!
//! What lies between fixes that are too far apart in time is unobserved. When the target could have
//! been met with all that may have been swept unseen, nothing is violated: a gap proves nothing. Nor
//! is a window judged of which nothing was received at all.
//! A vehicle that parked with its ignition off and is found there has not been elsewhere meanwhile.
//! A fix that the vehicle cannot have driven to, on the route or off it, is passed over, and the way
//! counts from the one before it: an error that jumps sweeps nothing, and spoils nothing. Where the one
//! before is too long ago by then, what lies between is unobserved.
//!
//! Work is what is driven at working speed with a brush or pump on, as far as the terminal tells
//! ([`super::work`]): from one fix to the next the machines are as the first one said. What is driven
//! with all of them off is idle and sweeps nothing. Where nothing is known of them, the route says
//! with `unknown_work` what that means: it `counts`, by default; it is `unobserved`, like a gap; or it
//! is `idle`.

mod edge;
mod step;

use self::{
    edge::Edge,
    step::{is_possible, offset_mm, quality, side},
};
use super::{
    RouteParameters,
    draft::{Draft, Opening, Subject, evidence},
    presence::{Moment, seconds},
    route::{Visit, is_parked, rule, stood, whole},
    work::Work,
};
use crate::{
    catalog::{Kerb, Route, Strip},
    geometry::Whereabouts,
    track::fix::Fix,
    violation::{Stretch, StretchState, ViolationKind},
};

/// Stretches of evidence.
const STRETCHES_MAX: usize = 50;
/// Fixes at least so far apart in time tell a speed by their distance, milliseconds; nearer ones
/// are noisy, and the receiver's speed is taken.
const PACE_MS: i64 = 5_000;
/// One piece of 5 m.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bin {
    pub(crate) passes: u8,
    /// Of [`Bin::TOO_FAST`], [`Bin::UNSEEN`] and [`Bin::IDLE`].
    pub(crate) flags: u8,
}

impl Bin {
    const TOO_FAST: u8 = 1;
    const UNSEEN: u8 = 2;
    const IDLE: u8 = 4;

    const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The newest fix in the window, when it was on the route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) at: i64,
    pub(crate) along_mm: i64,
    /// From the line, positive on the left hand.
    pub(crate) offset_mm: i64,
    pub(crate) speed_dkmh: u16,
    /// Whether its machines run from here on.
    pub(crate) work: Work,
}

/// The way since the last turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    /// 1 along the line, -1 against it, 0 not known yet.
    pub(crate) direction: i8,
    /// How far it has come.
    pub(crate) extreme_mm: i64,
    /// The worst of the steps since then.
    pub(crate) quality: Quality,
}

/// Whether a step is work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Quality {
    /// At working speed.
    Work,
    /// Nobody knows whether the machines ran, or whether it was near enough to the line.
    Unknown,
    /// Faster.
    TooFast,
    /// With the machines off.
    Idle,
    /// Too far from the line.
    Nothing,
}

/// The state of the check for one vehicle in one window.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Coverage {
    pub(crate) bins: Vec<Bin>,
    pub(crate) trace: Option<Trace>,
    pub(crate) pass: Option<Pass>,
    /// The newest fix, or the beginning of the window, and whether it was parked there.
    pub(crate) seen_at: i64,
    pub(crate) is_parked: bool,
    /// Time out of sight with the vehicle off the route at both ends.
    pub(crate) unseen_ms: i64,
    pub(crate) is_decided: bool,
}

/// A sum of lengths, millimetres.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sums {
    planned: f64,
    swept: f64,
    too_fast: f64,
    idle: f64,
    unseen: f64,
}

impl Coverage {
    /// At the beginning of a window; `last` is the newest fix before.
    pub(crate) fn begin(route: &Route, from: i64, last: Option<&Fix>) -> Self {
        Self {
            bins: vec![Bin::default(); route.bins()],
            seen_at: from,
            is_parked: last.is_some_and(is_parked),
            is_decided: !route.checks.coverage,
            ..Self::default()
        }
    }

    /// Counts one fix in the window.
    pub(crate) fn judge(&mut self, moment: &Moment<'_>, visit: &Visit<'_>) {
        if self.is_decided {
            return;
        }
        let fix = moment.fix;
        let here = match visit.place {
            Whereabouts::On(spot) => Some(Trace {
                at: fix.at,
                along_mm: whole(spot.along_mm),
                offset_mm: whole(offset_mm(&spot)),
                speed_dkmh: fix.speed_dkmh,
                work: visit.work,
            }),
            Whereabouts::Unclear(_) | Whereabouts::Off(_) => None,
        };
        let is_seen = moment
            .connected_ms
            .is_some_and(|elapsed_ms| elapsed_ms <= visit.route.parameters.sight_ms);
        let recent = self
            .trace
            .filter(|before| is_seen && fix.at - before.at <= visit.route.parameters.sight_ms);
        if let (Some(before), Whereabouts::On(spot) | Whereabouts::Off(spot)) =
            (recent, visit.place)
            && !is_possible(before, &spot, fix)
        {
            // One of the two is wrong, and the next fixes show which: as if it had not been received.
            return;
        }
        if !is_seen {
            self.pass = None;
            if !moment.before.is_some_and(|before| stood(before, fix)) {
                self.note_unseen(visit.route, here, fix.at);
            }
        }
        if let (Some(before), Some(here)) = (recent, here) {
            self.step(before, here, fix, visit.route);
        } else {
            if is_seen && recent != self.trace {
                // What was passed over lies between, for longer than a fix is waited for.
                self.note_unseen(visit.route, here, fix.at);
            } else if is_seen {
                self.note_edge(recent, here, moment, visit);
            }
            self.pass = None;
        }
        self.trace = here;
        self.seen_at = fix.at;
        self.is_parked = is_parked(fix);
    }

    /// Notes what may have been swept since the newest fix, out of sight.
    fn note_unseen(&mut self, route: &Route, here: Option<Trace>, until: i64) {
        let unseen_ms = until - self.seen_at;
        if unseen_ms <= 0 {
            return;
        }
        let reach_mm = reach_mm(route, unseen_ms);
        let (low, high) = match (self.trace, here) {
            (None, None) => {
                self.unseen_ms += unseen_ms;
                return;
            }
            (Some(a), Some(b)) => {
                let way_mm = (a.along_mm - b.along_mm).abs();
                let aside_mm = ((reach_mm - way_mm) / 2).max(0);
                let (low, high) = (a.along_mm.min(b.along_mm), a.along_mm.max(b.along_mm));
                (low - aside_mm, high + aside_mm)
            }
            (Some(one), None) | (None, Some(one)) => {
                (one.along_mm - reach_mm, one.along_mm + reach_mm)
            }
        };
        let Self { bins, .. } = self;
        for strip in &route.strips {
            each_between(strip, bins, low, high, |bin| bin.flags |= Bin::UNSEEN);
        }
    }

    /// Notes what may have been swept before the vehicle left the route, or since it came back.
    fn note_edge(
        &mut self,
        before: Option<Trace>,
        here: Option<Trace>,
        moment: &Moment<'_>,
        visit: &Visit<'_>,
    ) {
        let edge = match (before, here, visit.place, moment.before) {
            (Some(before), None, Whereabouts::Off(spot), _) => Edge::of(before, moment.fix, &spot),
            (None, Some(here), _, Some(off)) => {
                Edge::of(here, off, &visit.route.line.nearest(off.point))
            }
            _ => return,
        };
        self.note_unsure(visit.route, &edge, moment.fix);
    }

    fn note_unsure(&mut self, route: &Route, edge: &Edge, fix: &Fix) {
        // Whether it would have been work is asked of the place where it worked alone.
        let is_work = quality(edge.worked, edge.worked, fix, route) <= Quality::Unknown;
        let Some((low, high)) = edge.may_be_swept(&route.parameters).filter(|_| is_work) else {
            return;
        };
        let Self { bins, .. } = self;
        for strip in &route.strips {
            each_between(strip, bins, low, high, |bin| bin.flags |= Bin::UNSEEN);
        }
    }

    fn step(&mut self, before: Trace, here: Trace, fix: &Fix, route: &Route) {
        let mut pass = self.pass.unwrap_or(Pass {
            direction: 0,
            extreme_mm: before.along_mm,
            quality: Quality::Work,
        });
        let of_step = quality(before, here, fix, route);
        pass.quality = pass.quality.max(of_step);
        for edge in edge::of_fast(of_step, before, here).into_iter().flatten() {
            self.note_unsure(route, &edge, fix);
        }
        let direction = i64::from(pass.direction);
        let ahead_mm = here.along_mm - pass.extreme_mm;
        let turned = if direction == 0 {
            (ahead_mm.abs() >= RouteParameters::DIRECTION_MM).then_some(ahead_mm.signum())
        } else if ahead_mm * direction > 0 {
            Some(direction)
        } else {
            (ahead_mm.abs() >= RouteParameters::TURN_MM).then_some(-direction)
        };
        if let Some(direction) = turned {
            let side = side(before, here, direction, fix.sigma_mm());
            let (low, high) = (
                here.along_mm.min(pass.extreme_mm),
                here.along_mm.max(pass.extreme_mm),
            );
            self.credit(route, (low, high), pass.quality, direction, side);
            pass = Pass {
                direction: if direction > 0 { 1 } else { -1 },
                extreme_mm: here.along_mm,
                quality: Quality::Work,
            };
        }
        self.pass = Some(pass);
    }

    fn credit(
        &mut self,
        route: &Route,
        (low, high): (i64, i64),
        quality: Quality,
        direction: i64,
        side: Kerb,
    ) {
        if quality == Quality::Nothing {
            return;
        }
        let counts = |strip: &&Strip| {
            (direction > 0 || !strip.is_one_way) && strip.kerb.is_none_or(|kerb| kerb == side)
        };
        for strip in route.strips.iter().filter(counts) {
            each_between(strip, &mut self.bins, low, high, |bin| match quality {
                Quality::Work => bin.passes = bin.passes.saturating_add(1),
                Quality::Unknown => bin.flags |= Bin::UNSEEN,
                Quality::Idle => bin.flags |= Bin::IDLE,
                Quality::TooFast | Quality::Nothing => bin.flags |= Bin::TOO_FAST,
            });
        }
    }

    /// Judges the window; `last` is the newest fix of the vehicle.
    pub(crate) fn decide(
        &mut self,
        subject: &Subject<'_>,
        route: &Route,
        run: (i64, i64),
        at: i64,
        last: Option<&Fix>,
        closed: &mut Vec<Draft>,
    ) {
        if std::mem::replace(&mut self.is_decided, true) {
            return;
        }
        if self.seen_at == run.0 && !self.is_parked {
            // Nothing is known of the whole window.
            self.bins
                .iter_mut()
                .for_each(|bin| bin.flags |= Bin::UNSEEN);
            return;
        }
        if run.1 - self.seen_at > route.parameters.sight_ms && !self.is_parked {
            self.note_unseen(route, None, run.1);
        }
        let (sums, stretches) = self.sums(route);
        let parameters = &route.parameters;
        let percent = |mm: f64| 100.0 * mm / sums.planned;
        let may_be_mm = self.may_be_mm(route, &sums);
        if percent(sums.swept + may_be_mm) >= parameters.fail_percent {
            return;
        }
        let onset_fixes: Vec<_> = last.map(|fix| evidence(fix, None)).into_iter().collect();
        let longest = stretches
            .iter()
            .max_by(|a, b| (a.to_m - a.from_m).total_cmp(&(b.to_m - b.from_m)));
        let opening = Opening {
            kind: ViolationKind::Coverage,
            rule: rule(route),
            fingerprint: route.fingerprint,
            onset: run.1,
            confirmed: at,
            onset_fixes: &onset_fixes,
            thresholds: &[
                ("good_percent", parameters.good_percent),
                ("fail_percent", parameters.fail_percent),
                ("speed_min_kmh", parameters.speed_min_kmh),
                ("speed_max_kmh", parameters.speed_max_kmh),
                ("reach_m", parameters.sweep_reach_mm / 1e3),
                ("grace_s", seconds(parameters.coverage_grace_ms)),
            ],
            place: longest.map(|stretch| stretch.from),
        };
        let Some(mut draft) = Draft::open(subject, &opening) else {
            return;
        };
        draft.violation.worst = super::draft::rounded(percent(sums.swept));
        draft.measure("planned_m", sums.planned / 1e3);
        draft.measure("swept_m", sums.swept / 1e3);
        draft.measure("too_fast_m", sums.too_fast / 1e3);
        draft.measure("idle_m", sums.idle / 1e3);
        draft.measure(
            "unobserved_m",
            may_be_mm.min(sums.planned - sums.swept) / 1e3,
        );
        draft.measure("stretches", stretches_count(&stretches));
        draft.violation.evidence.stretches = bounded(stretches);
        closed.push(draft.close(run.1, None));
    }

    fn sums(&self, route: &Route) -> (Sums, Vec<Stretch>) {
        let mut sums = Sums::default();
        let mut stretches = Vec::new();
        for strip in &route.strips {
            let mut open: Option<Stretch> = None;
            for (index, bin) in bins_of(strip, &self.bins) {
                let (from_mm, to_mm) = piece(strip, index);
                let length_mm = to_mm - from_mm;
                let passes = strip.passes.saturating_sub(bin.passes);
                sums.planned += length_mm * f64::from(strip.passes);
                sums.swept += length_mm * f64::from(strip.passes - passes);
                if passes == 0 {
                    stretches.extend(open.take());
                    continue;
                }
                let lacking_mm = length_mm * f64::from(passes);
                let state = if bin.has(Bin::UNSEEN) {
                    sums.unseen += lacking_mm;
                    StretchState::Unobserved
                } else if bin.has(Bin::IDLE) {
                    sums.idle += lacking_mm;
                    StretchState::Idle
                } else if bin.has(Bin::TOO_FAST) {
                    sums.too_fast += lacking_mm;
                    StretchState::TooFast
                } else {
                    StretchState::Missed
                };
                let to = route.place_at(to_mm, true).unwrap_or_default();
                match &mut open {
                    Some(open) if (open.passes, open.state) == (passes, state) => {
                        (open.to_m, open.to) = (to_mm / 1e3, to);
                    }
                    _ => {
                        let next = Stretch {
                            segment: u32::try_from(strip.segment).unwrap_or(u32::MAX),
                            side: strip.kerb,
                            from_m: from_mm / 1e3,
                            to_m: to_mm / 1e3,
                            passes,
                            state,
                            from: route.place_at(from_mm, false).unwrap_or_default(),
                            to,
                        };
                        stretches.extend(open.replace(next));
                    }
                }
            }
            stretches.extend(open);
        }
        (sums, stretches)
    }

    /// Metres planned, swept, and perhaps swept unseen.
    pub(crate) fn progress_m(&self, route: &Route) -> (f64, f64, f64) {
        let (sums, _) = self.sums(route);
        let unseen_mm = self.may_be_mm(route, &sums);
        (sums.planned / 1e3, sums.swept / 1e3, unseen_mm / 1e3)
    }

    /// What may have been swept unseen, of what was not seen to be swept.
    fn may_be_mm(&self, route: &Route, sums: &Sums) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "metres of a few hours")]
        let somewhere_mm = reach_mm(route, self.unseen_ms) as f64;
        (sums.unseen + somewhere_mm).min(sums.planned - sums.swept)
    }
}

/// So far the vehicle can have worked in this time, millimetres.
fn reach_mm(route: &Route, elapsed_ms: i64) -> i64 {
    #[expect(clippy::cast_precision_loss, reason = "a few hours in milliseconds")]
    let elapsed_ms = elapsed_ms as f64;
    whole(elapsed_ms * route.parameters.speed_max_kmh / 3.6)
}

/// The pieces of a strip, counted from 0.
fn bins_of<'a>(strip: &Strip, bins: &'a [Bin]) -> impl Iterator<Item = (usize, Bin)> + use<'a> {
    let own = bins.get(strip.bins.clone()).unwrap_or_default();
    own.iter().copied().enumerate()
}

/// From where to where a piece of a strip reaches, millimetres from the beginning of the route.
fn piece(strip: &Strip, index: usize) -> (f64, f64) {
    #[expect(clippy::cast_precision_loss, reason = "at most 40,000 pieces")]
    let from_mm = strip.start_mm + index as f64 * RouteParameters::BIN_MM;
    (
        from_mm,
        (from_mm + RouteParameters::BIN_MM).min(strip.end_mm),
    )
}

/// Changes every piece of a strip whose middle lies behind `low` and not behind `high`.
fn each_between(
    strip: &Strip,
    bins: &mut [Bin],
    low: i64,
    high: i64,
    mut change: impl FnMut(&mut Bin),
) {
    #[expect(clippy::cast_precision_loss, reason = "ways along a route")]
    let (low, high) = (low as f64, high as f64);
    if high < strip.start_mm || low > strip.end_mm {
        return;
    }
    let Some(own) = bins.get_mut(strip.bins.clone()) else {
        return;
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and at most 40,000 pieces"
    )]
    let first = ((low - strip.start_mm) / RouteParameters::BIN_MM).max(0.0) as usize;
    for (index, bin) in own.iter_mut().enumerate().skip(first) {
        let (from_mm, to_mm) = piece(strip, index);
        let middle_mm = f64::midpoint(from_mm, to_mm);
        if middle_mm > high {
            break;
        }
        if middle_mm > low {
            change(bin);
        }
    }
}

fn stretches_count(stretches: &[Stretch]) -> f64 {
    f64::from(u32::try_from(stretches.len()).unwrap_or(u32::MAX))
}

/// The longest stretches, in the order of the route.
fn bounded(mut stretches: Vec<Stretch>) -> Vec<Stretch> {
    if stretches.len() > STRETCHES_MAX {
        stretches.sort_by(|a, b| (b.to_m - b.from_m).total_cmp(&(a.to_m - a.from_m)));
        stretches.truncate(STRETCHES_MAX);
    }
    stretches.sort_by(|a, b| {
        (a.segment, a.side.map(Kerb::as_str))
            .cmp(&(b.segment, b.side.map(Kerb::as_str)))
            .then(a.from_m.total_cmp(&b.from_m))
    });
    for stretch in &mut stretches {
        stretch.from_m = super::draft::rounded(stretch.from_m);
        stretch.to_m = super::draft::rounded(stretch.to_m);
    }
    stretches
}
