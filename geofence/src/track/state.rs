//! The state of one vehicle along event time: a pure function of its fixes in order.

use super::{
    court::Court,
    fix::Fix,
    input::{Input, Passed},
};
use crate::{
    catalog::{Catalog, Demand, FenceKind, Route, Segment, Vehicle, WorkKind, WorkRule},
    checks::{
        Parameters,
        draft::{Draft, Ended},
        duty::DutyWatch,
        membership::{Change, Measured, Side},
        motion::{Motion, Rules, Seen},
        presence::{Moment, Watch},
        route::{Machines, RouteWatch},
        speeding::{Limit, Speed, Speeding},
        terminal_alarm::Heard,
    },
    units::Timestamp,
    violation::ViolationKind,
};

/// The state behind a vehicle's newest fix.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct State {
    pub(crate) input: Input,
    /// The newest fix that counted, at the place where it counted.
    pub(crate) last: Option<Fix>,
    /// Fences that the vehicle is in, may be in, or must stay in; ordered by fingerprint.
    pub(crate) watches: Vec<Watch>,
    pub(crate) speeding: Speeding,
    /// The routes that the vehicle drives, ordered by fingerprint.
    pub(crate) routes: Vec<RouteWatch>,
    pub(crate) motion: Motion,
    pub(crate) duty: DutyWatch,
    /// Since when the catalog is in force that has judged it last.
    pub(crate) era: Option<i64>,
    /// `watches`, `routes` and points are bound to that catalog. Not part of snapshots.
    pub(crate) is_bound: bool,
}

impl State {
    /// Judges the next fix of the vehicle.
    pub(crate) fn step(&mut self, fix: &Fix, court: &mut Court<'_>) {
        self.enter(court, fix.at);
        // Before the input stage, which may hold the fix back: what is due by its time is due.
        self.advance_routes(fix.at, court);
        let heard = Heard {
            fix,
            last: self.last.as_ref(),
            rules: court.rules(),
        };
        self.motion.hear(&court.subject, &heard, court.closed);
        self.advance_duty(fix.at, court);
        self.duty.hear(&court.subject, fix, court.closed);
        if !fix.is_placed {
            return;
        }
        let plane = court.catalog().plane();
        let is_inspector = court
            .subject
            .vehicle
            .is_some_and(|v| v.work_kind == WorkKind::Inspector);
        // The input stage is taken out for the moment, so that it can hand fixes to the rest.
        let mut input = std::mem::take(&mut self.input);
        input.take(fix.on(plane), plane, is_inspector, |input, passed| {
            self.judge(&passed, input.median_kmh(), court);
        });
        self.input = input;
    }

    /// Opens what is due by a moment without another fix.
    pub(crate) fn advance(&mut self, until: i64, court: &mut Court<'_>) {
        self.enter(court, until);
        let (subject, rules) = (court.subject, court.rules());
        self.motion
            .advance(&subject, rules, self.last.as_ref(), until);
        let Some(last) = &self.last else { return };
        for watch in &mut self.watches {
            if let Some(fence) = court.catalog().fence(watch.fence) {
                watch.advance(&court.subject, fence, last, until);
            }
        }
    }

    /// Lets windows of routes begin and end by a moment. Gives the last moment at which something
    /// happened.
    pub(crate) fn advance_routes(&mut self, until: i64, court: &mut Court<'_>) -> Option<i64> {
        self.enter(court, until);
        let (subject, last) = (court.subject, self.last);
        let mut happened = None;
        for watch in &mut self.routes {
            let Some(route) = subject.catalog.route(watch.route) else {
                continue;
            };
            let times = (court.route_since(watch.route), until);
            let at = watch.advance(&subject, route, last.as_ref(), times, &mut court.ended());
            happened = happened.max(at);
        }
        happened
    }

    /// Lets shifts begin and end, and silences, by a moment. Gives the last moment at which something
    /// happened.
    pub(crate) fn advance_duty(&mut self, until: i64, court: &mut Court<'_>) -> Option<i64> {
        self.enter(court, until);
        let (subject, last, since) = (court.subject, self.last, court.since());
        let duty = &mut self.duty;
        duty.advance(&subject, last.as_ref(), until, &since, court.closed)
    }

    /// The next moment at which something of duty happens without another fix.
    pub(crate) fn duty_due(&self) -> Option<i64> {
        self.duty.next.filter(|due| *due < i64::MAX)
    }

    /// The next moment at which something of a route happens without another fix.
    pub(crate) fn route_due(&self, catalog: &Catalog) -> Option<i64> {
        let routes = self.routes.iter();
        let due = routes.filter_map(|watch| Some(watch.due(catalog.route(watch.route)?)));
        due.min().filter(|due| *due < i64::MAX)
    }

    /// The next moment at which something opens without another fix.
    pub(crate) fn due(&self, rules: Rules<'_>) -> Option<i64> {
        let last = self.last.as_ref();
        let watches = self.watches.iter();
        watches
            .filter_map(|watch| watch.due(rules.catalog.fence(watch.fence)?, last?))
            .chain(self.motion.due(rules, last))
            .min()
    }

    /// The violations that go on.
    pub(crate) fn drafts(&self) -> impl Iterator<Item = &Draft> {
        let of_watches = self
            .watches
            .iter()
            .filter_map(|watch| watch.draft.as_deref());
        let of_routes = self.routes.iter().flat_map(RouteWatch::drafts);
        of_watches
            .chain(self.speeding.draft.as_deref())
            .chain(of_routes)
            .chain(self.motion.drafts())
            .chain(self.duty.drafts())
    }

    /// The same, to change them.
    pub(crate) fn drafts_mut(&mut self) -> impl Iterator<Item = &mut Draft> {
        let of_watches = self
            .watches
            .iter_mut()
            .filter_map(|watch| watch.draft.as_deref_mut());
        let of_routes = self.routes.iter_mut().flat_map(RouteWatch::drafts_mut);
        of_watches
            .chain(self.speeding.draft.as_deref_mut())
            .chain(of_routes)
            .chain(self.motion.drafts_mut())
            .chain(self.duty.drafts_mut())
    }

    /// Lets the catalog judge from here on that is in force at a moment. Whatever is due under one
    /// that was in force before happens under that one: so it is the same whether the moment at which
    /// the next one came passes with a fix or with a timer. It never goes back to an elder one.
    pub(crate) fn enter(&mut self, court: &mut Court<'_>, at: i64) {
        let is_at_home = self.is_bound && self.era == Some(court.from());
        if !is_at_home || at >= court.until() {
            self.change_over(court, at);
        }
    }

    #[cold]
    fn change_over(&mut self, court: &mut Court<'_>, at: i64) {
        court.turn_to_moment(self.era.unwrap_or(at));
        if !self.is_bound || self.era != Some(court.from()) {
            self.bind(court, at);
        }
        while at >= court.until() {
            let next = court.until();
            let last = next.saturating_sub(1);
            self.advance_routes(last, court);
            self.advance_duty(last, court);
            if let Some(fix) = &self.last {
                self.advance(last.min(fix.at.saturating_add(Parameters::HOLD_MS)), court);
            }
            court.turn_on();
            self.bind(court, next);
        }
    }

    /// Binds the state to the catalog: fences that were edited or are gone lose their watch, points
    /// move to the new plane. `at` is the moment of it.
    fn bind(&mut self, court: &mut Court<'_>, at: i64) {
        let catalog = court.catalog();
        self.era = Some(court.from());
        self.is_bound = true;
        let plane = catalog.plane();
        let fixes = [&mut self.last, &mut self.input.accepted];
        for fix in fixes.into_iter().chain(&mut self.input.suspects).flatten() {
            *fix = fix.on(plane);
        }
        let (last, closed) = (self.last, &mut *court.closed);
        self.watches
            .retain_mut(|watch| match catalog.fence_of(watch.fingerprint) {
                Some(fence) => {
                    watch.fence = fence;
                    true
                }
                None => {
                    closed.extend(watch.abandon(last.as_ref()));
                    false
                }
            });
        let audience = catalog.audience_of(court.subject.vehicle);
        for index in audience.stay_in() {
            self.watch(*index, catalog, || Side::Unknown);
        }
        self.bind_routes(catalog, audience.routes(), at, court.closed);
        let duty = &mut self.duty;
        duty.bind(&court.subject, last.as_ref(), at, court.closed);
    }

    fn bind_routes(&mut self, catalog: &Catalog, own: &[u32], at: i64, closed: &mut Vec<Draft>) {
        let last = self.last;
        self.routes.retain_mut(|watch| {
            let index = catalog.route_of(watch.fingerprint);
            match index.filter(|index| own.contains(index)) {
                Some(index) => {
                    watch.bind(index, catalog.route(index));
                    true
                }
                None => {
                    watch.abandon(last.as_ref(), closed);
                    false
                }
            }
        });
        let since = last.map_or(at, |fix| fix.at);
        for index in own {
            let Some(route) = catalog.route(*index) else {
                continue;
            };
            let place = self
                .routes
                .binary_search_by_key(&route.fingerprint, |w| w.fingerprint);
            if let Err(place) = place {
                self.routes
                    .insert(place, RouteWatch::new(*index, route, since));
            }
        }
    }

    /// Begins to watch a fence, unless it is watched.
    fn watch(&mut self, index: u32, catalog: &Catalog, side: impl FnOnce() -> Side) {
        let Some(fence) = catalog.fence(index) else {
            return;
        };
        let place = self
            .watches
            .binary_search_by_key(&fence.fingerprint, |w| w.fingerprint);
        if let Err(place) = place {
            self.watches
                .insert(place, Watch::new(index, fence.fingerprint, side()));
        }
    }

    fn judge(&mut self, passed: &Passed, median_kmh: f64, court: &mut Court<'_>) {
        let fix = &passed.fix;
        let before = self.last;
        let moment = Moment {
            fix,
            before: before.as_ref(),
            connected_ms: passed.connected_ms,
        };
        self.find_fences(fix, before.as_ref(), court);
        if let Some(before) = &before {
            let until = fix.at.min(before.at + Parameters::HOLD_MS);
            let (subject, rules) = (court.subject, court.rules());
            self.motion.advance(&subject, rules, Some(before), until);
        }
        let machines = self.motion.machines(court.rules(), fix);
        self.judge_routes(&moment, machines, court);
        let catalog = court.catalog();
        let own_limit = court.subject.vehicle.and_then(own_limit);
        let mut limit = own_limit;
        for rule in court.rules().at(fix.at) {
            if let Some(of_rule) = rule_limit(rule)
                && limit.is_none_or(|other| of_rule.is_before(&other))
            {
                limit = Some(of_rule);
            }
        }
        for watch in &self.routes {
            let of_segment = catalog.route(watch.route).and_then(|route| {
                let (place, segment) = watch.segment(route, fix.at)?;
                segment_limit(route, place, segment)
            });
            if let Some(of_segment) = of_segment
                && limit.is_none_or(|other| of_segment.is_before(&other))
            {
                limit = Some(of_segment);
            }
        }
        let mut left = None;
        for watch in &mut self.watches {
            let Some(fence) = catalog.fence(watch.fence) else {
                continue;
            };
            if !court.is_in_force(watch.fence, fix.at) {
                continue;
            }
            if let Some(before) = &before {
                watch.advance(
                    &court.subject,
                    fence,
                    before,
                    fix.at.min(before.at + Parameters::HOLD_MS),
                );
            }
            let is_inside = court.inside.contains(&watch.fence);
            let was_pending = watch.side.is_pending();
            let change = follow(watch, fence, &moment, is_inside);
            match (fence.kind, fence.speed_limit_kmh) {
                (FenceKind::SpeedLimit, Some(limit_kmh)) => {
                    if let Change::Left(crossed) = change {
                        left = left.or(Some((fence.fingerprint, crossed)));
                    }
                    if watch.side.is_in() && fence.schedule.holds(Timestamp(fix.at)) {
                        let of_fence = Limit {
                            kind: ViolationKind::Speeding,
                            fingerprint: fence.fingerprint,
                            limit_kmh,
                            priority: fence.priority,
                            parameters: &fence.parameters,
                            fence: Some(fence),
                            work: None,
                            segment: None,
                        };
                        if limit.is_none_or(|other| of_fence.is_before(&other)) {
                            limit = Some(of_fence);
                        }
                    }
                }
                _ => watch.judge(
                    &court.subject,
                    fence,
                    &moment,
                    change,
                    was_pending,
                    &mut Ended {
                        closed: court.closed,
                        dropped: court.dropped,
                    },
                ),
            }
        }
        self.watches.retain(|watch| {
            catalog
                .fence(watch.fence)
                .is_some_and(|fence| !watch.is_over(fence.kind))
        });
        let speed = Speed {
            median_kmh,
            limit: limit.as_ref(),
            left,
        };
        self.speeding
            .judge(&court.subject, &moment, &speed, court.closed);
        let seen = Seen {
            subject: &court.subject,
            moment: &moment,
            stop: &passed.stop,
            median_kmh,
            inside: court.inside,
            fences_in_force: court.fences_in_force,
            is_on_route: self.routes.iter().any(RouteWatch::is_on),
            work: machines.cleaning,
            rules: court.rules(),
        };
        self.motion.judge(&seen, court.closed);
        self.judge_duty(&moment, median_kmh, court);
        self.last = Some(*fix);
    }

    fn judge_routes(&mut self, moment: &Moment<'_>, machines: Machines, court: &mut Court<'_>) {
        let subject = court.subject;
        for watch in &mut self.routes {
            let Some(route) = subject.catalog.route(watch.route) else {
                continue;
            };
            let since = court.route_since(watch.route);
            let inside = &*court.inside;
            let is_exempt = || {
                let mut fences = inside.iter().filter_map(|i| subject.catalog.fence(*i));
                fences.any(|f| f.kind == FenceKind::Site && route.is_exempt(&f.id))
            };
            let mut ended = Ended {
                closed: court.closed,
                dropped: court.dropped,
            };
            let known = (since, machines);
            watch.judge(&subject, route, moment, known, is_exempt, &mut ended);
        }
    }

    fn judge_duty(&mut self, moment: &Moment<'_>, median_kmh: f64, court: &mut Court<'_>) {
        let (subject, since) = (court.subject, court.since());
        let mut fences = court
            .inside
            .iter()
            .filter_map(|i| subject.catalog.fence(*i));
        let is_in_site = fences.any(|fence| fence.kind == FenceKind::Site);
        let (duty, closed) = (&mut self.duty, &mut *court.closed);
        duty.judge(&subject, moment, median_kmh, is_in_site, &since, closed);
    }

    /// Begins to watch the fences at the fix that concern the vehicle.
    fn find_fences(&mut self, fix: &Fix, before: Option<&Fix>, court: &mut Court<'_>) {
        let catalog = court.catalog();
        let audience = catalog.audience_of(court.subject.vehicle);
        court.inside.clear();
        catalog.fences_at(fix.point, |index| court.inside.push(index));
        // The index gives them in an order of its own, which is another one behind an edit.
        court.inside.sort_unstable();
        for place in 0..court.inside.len() {
            let Some(index) = court.inside.get(place).copied() else {
                break;
            };
            let is_rule = catalog.fence(index).is_some_and(|f| f.kind.is_followed());
            if is_rule && audience.is_concerned(index) && court.is_in_force(index, fix.at) {
                // Whoever was judged before this fence was there, or never, is found, not seen to
                // enter.
                let is_known = before.is_some_and(|before| court.is_in_force(index, before.at));
                let side = || if is_known { Side::Out } else { Side::Unknown };
                self.watch(index, catalog, side);
            }
        }
    }
}

const OWN: &Parameters = &Parameters::DEFAULT;

pub(crate) fn own_limit(vehicle: &Vehicle) -> Option<Limit<'static>> {
    let limit_kmh = vehicle.speed_limit_kmh?;
    Some(Limit {
        kind: ViolationKind::Speeding,
        fingerprint: 0,
        limit_kmh,
        priority: 0,
        parameters: OWN,
        fence: None,
        work: None,
        segment: None,
    })
}

pub(crate) fn segment_limit<'a>(
    route: &'a Route,
    place: usize,
    segment: &'a Segment,
) -> Option<Limit<'a>> {
    Some(Limit {
        kind: ViolationKind::Speeding,
        fingerprint: route.fingerprint,
        limit_kmh: segment.speed_limit_kmh?,
        priority: segment.priority,
        parameters: OWN,
        fence: None,
        work: None,
        segment: Some((route, place)),
    })
}

pub(crate) fn rule_limit(rule: &WorkRule) -> Option<Limit<'_>> {
    let Demand::SpeedLimit {
        limit_kmh,
        priority,
        parameters,
    } = &rule.demand
    else {
        return None;
    };
    Some(Limit {
        kind: ViolationKind::Speeding,
        fingerprint: rule.fingerprint,
        limit_kmh: *limit_kmh,
        priority: *priority,
        parameters,
        fence: None,
        work: Some(rule),
        segment: None,
    })
}

/// Moves the side of a watch. Distances are measured only where the fix is not plainly on the side
/// that is known.
fn follow(
    watch: &mut Watch,
    fence: &crate::catalog::Fence,
    moment: &Moment<'_>,
    is_inside: bool,
) -> Change {
    match (watch.side, is_inside) {
        (Side::In, true) | (Side::Out, false) => return Change::None,
        (Side::PendingOut(_), true) => {
            watch.side = Side::In;
            return Change::None;
        }
        (Side::PendingIn(_), false) => {
            watch.side = Side::Out;
            return Change::None;
        }
        _ => {}
    }
    let distance_mm = fence.shape.signed_distance_mm(moment.fix.point);
    let connected = moment.before.filter(|_| moment.connected_ms.is_some());
    // A second measurement dates the crossing; later fixes of a pending change need none.
    let before = connected.map(|fix| {
        let is_first = !watch.side.is_pending();
        (
            fix.at,
            if is_first {
                fence.shape.signed_distance_mm(fix.point)
            } else {
                distance_mm
            },
        )
    });
    let fix = Measured {
        at: moment.fix.at,
        distance_mm,
        sigma_mm: moment.fix.sigma_mm(),
        before,
    };
    let change = watch.side.step(&fix, &fence.parameters);
    if watch.side.is_pending() || matches!(change, Change::Entered(_) | Change::Left(_)) {
        watch.note_crossing(
            moment,
            distance_mm,
            before.map(|(_, distance_mm)| distance_mm),
        );
    }
    change
}
