//! A vehicle or inspector and its duties: shifts begin and end, fixes between are judged by
//! [`OffPost`], [`Attendance`], [`Patrol`] and [`Silence`], those outside by [`OutsideHours`].
//!
//! ```text
//!        a shift begins              it ends                     grace ends
//!  off ─────────────────▶ on shift ──────────▶ patrol is awaited ───────────▶ off
//!                         off-post, silence    early end is decided           patrol is decided
//!                         late start
//! ```
//!
//! A shift is judged by the assignment as it was when it began: one that is newer judges its next
//! shift. Beginnings, ends and silences are moments of event time. They pass with the next fix
//! behind them, or with the clock of the log, whichever is first; a fix that then comes from before
//! such a moment makes the track be judged again. A vehicle that was never heard is expected from the
//! moment on at which the catalog was first known: its shifts run, and only its silence is judged.

use super::{
    DutyParameters, Parameters,
    attendance::Attendance,
    draft::{Draft, Subject},
    membership::{Change, Measured, Side},
    off_post::OffPost,
    outside_hours::{Hours, OutsideHours},
    patrol::Patrol,
    presence::Moment,
    silence::Silence,
};
use crate::{
    catalog::{Assignment, Duties, Duty, DutyArea, Roster, Shift, Vehicle},
    checks::DutyChecks,
    geometry::Shape,
    track::fix::Fix,
    units::{Latitude, Longitude, Timestamp},
    violation::{Rule, ViolationKind},
};

/// The boundary of a duty area is that of unit grids: at most 10 m of doubt.
const BOUNDARY: Parameters = Parameters {
    hysteresis_max_mm: 10_000.0,
    ..Parameters::DEFAULT
};
/// A fix before a shift says where the shift began, if it is no older than this.
const FRESH_MS: i64 = 120_000;

/// The state of duty for one vehicle.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct DutyWatch {
    /// When the newest shift that is known of began; those before are not judged any more.
    pub(crate) began: Option<i64>,
    /// Since when shifts are looked for.
    pub(crate) awaited_since: Option<i64>,
    /// When the first shift began, where nothing had been heard by then.
    pub(crate) first_shift: Option<i64>,
    /// Shifts that are not decided yet, by their beginnings.
    pub(crate) runs: Vec<Run>,
    pub(crate) hours: OutsideHours,
    /// Of the roster that `hours` is about.
    pub(crate) roster: Option<u64>,
    /// Before this moment nothing happens without a fix; `i64::MAX` is never, `None` not known.
    pub(crate) next: Option<i64>,
}

/// One shift.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    /// The place of its assignment in the catalog that the state is bound to.
    pub(crate) assignment: u32,
    pub(crate) fingerprint: u64,
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// Its end has passed.
    pub(crate) is_over: bool,
    /// Against the duty area with its margin.
    pub(crate) side: Side,
    pub(crate) off_post: OffPost,
    pub(crate) attendance: Attendance,
    pub(crate) patrol: Patrol,
    pub(crate) silence: Silence,
}

/// A shift as the checks see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Post<'a> {
    pub(crate) subject: &'a Subject<'a>,
    pub(crate) assignment: &'a Assignment,
    pub(crate) shift: &'a Shift,
    pub(crate) area: Option<&'a DutyArea>,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// What a fix shows about the time since the one before, within the shift.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight<'a> {
    pub(crate) fix: &'a Fix,
    pub(crate) before: Option<&'a Fix>,
    /// The time that no gap parts.
    pub(crate) span: Option<(i64, i64)>,
    /// What of it was spent outside the area.
    pub(crate) outside: Option<(i64, i64)>,
    /// What of it was spent inside.
    pub(crate) inside: Option<(i64, i64)>,
    /// The subject is surely inside, since this moment at least.
    pub(crate) is_inside_since: Option<i64>,
    /// Of the fix to the boundary of the area, positive inside.
    pub(crate) distance_mm: f64,
}

/// Since when rules are in force, by fingerprint.
pub(crate) type Since<'a> = &'a dyn Fn(u64) -> i64;

impl<'a> Post<'a> {
    pub(crate) const fn parameters(&self) -> &'a DutyParameters {
        &self.shift.parameters
    }

    pub(crate) const fn fingerprint(&self) -> u64 {
        self.assignment.fingerprint
    }

    pub(crate) fn checks(&self, kind: ViolationKind) -> bool {
        checks(self.shift, self.subject.vehicle).has(kind)
    }

    /// The break: from when to when, and how much absence it covers.
    pub(crate) fn rest(&self) -> Option<(i64, i64, i64)> {
        let (from, to) = self.shift.break_of(Timestamp(self.from))?;
        Some((from.0, to.0, self.shift.rest?.budget_ms))
    }

    /// Where a subject is to be looked for of which nothing was ever received: in its duty area, else
    /// where its first route begins.
    pub(crate) fn place(&self) -> Option<(Latitude, Longitude)> {
        let catalog = self.subject.catalog;
        let middle = |shape: &Shape| catalog.plane().place(shape.bounds().middle());
        let area = self.area.and_then(|area| {
            let grid = || catalog.unit_grids().get(*area.grids.first()? as usize);
            let shape = area.shape.as_ref();
            shape.or_else(|| grid().map(|grid| &grid.shape)).map(middle)
        });
        let routes = catalog.audience_of(self.subject.vehicle).routes();
        let route = || catalog.route(*routes.first()?)?.place_at(0.0, false);
        area.or_else(route)
    }

    /// The shift in its area as a rule.
    pub(crate) fn rule(&self) -> Rule {
        let join = |shift: &str, area: Option<&str>, by: &str| match area {
            Some(area) => format!("{shift}{by}{area}"),
            None => shift.to_owned(),
        };
        Rule {
            id: join(&self.shift.id, self.area.map(|area| &*area.id), "/"),
            version: self.shift.version,
            name: join(&self.shift.name, self.area.map(|area| &*area.name), " · "),
        }
    }
}

/// What is checked on a shift.
pub(crate) fn checks(shift: &Shift, vehicle: Option<&Vehicle>) -> DutyChecks {
    let usual = || vehicle.map_or(DutyChecks::NONE, |v| DutyChecks::usual(v.work_kind));
    shift.checks.unwrap_or_else(usual)
}

fn roster<'a>(subject: &Subject<'a>) -> Option<(&'a Duties, &'a Roster)> {
    let duties = subject.catalog.duties();
    Some((duties, duties.roster_of(subject.vehicle?)?))
}

impl DutyWatch {
    /// Binds the state to a catalog at a moment; `last` is the newest fix.
    pub(crate) fn bind(
        &mut self,
        subject: &Subject<'_>,
        last: Option<&Fix>,
        at: i64,
        closed: &mut Vec<Draft>,
    ) {
        self.next = None;
        let found = roster(subject);
        self.runs.retain_mut(|run| {
            let index = found
                .and_then(|(duties, _)| duties.assignment_of(run.fingerprint))
                .filter(|index| found.is_some_and(|(_, roster)| roster.names(*index)));
            match index {
                Some(index) => run.assignment = index,
                None => run.abandon(last, closed),
            }
            index.is_some()
        });
        let fingerprint = found.map(|(_, roster)| roster.fingerprint);
        if self.roster != fingerprint {
            self.hours.finish(last, closed);
            self.roster = fingerprint;
        }
        if self.began.is_none()
            && let Some((duties, roster)) = found
        {
            // The shift that the beginning lies in is the first.
            let since = Timestamp(last.map_or(at, |fix| fix.at));
            let duty = duties.duty_at(roster, since);
            self.awaited_since = Some(since.0);
            self.began = Some(duty.map_or(since.0, |duty| duty.from.0 - 1));
        }
        self.look_ahead(subject);
    }

    /// Finds out when something happens without a fix.
    fn look_ahead(&mut self, subject: &Subject<'_>) -> i64 {
        let next = self.next.unwrap_or_else(|| self.due(subject));
        *self.next.insert(next)
    }

    fn due(&self, subject: &Subject<'_>) -> i64 {
        let runs = self.runs.iter().filter_map(|run| {
            let post = run.post(subject)?;
            Some(run.next(&post))
        });
        let begins = self.upcoming(subject).map(|duty| duty.from.0);
        runs.chain(begins).min().unwrap_or(i64::MAX)
    }

    fn upcoming<'a>(&self, subject: &Subject<'a>) -> Option<Duty<'a>> {
        let (duties, roster) = roster(subject)?;
        duties.next_duty(roster, Timestamp(self.began?))
    }

    /// Lets everything happen that is due by a moment; `last` is the newest fix. Gives the last
    /// moment at which something happened.
    pub(crate) fn advance(
        &mut self,
        subject: &Subject<'_>,
        last: Option<&Fix>,
        until: i64,
        since: Since<'_>,
        closed: &mut Vec<Draft>,
    ) -> Option<i64> {
        let mut happened = None;
        loop {
            let at = self.look_ahead(subject);
            if at > until {
                return happened;
            }
            self.next = None;
            happened = Some(at);
            self.runs.retain_mut(|run| {
                let is_done = run
                    .post(subject)
                    .is_none_or(|post| run.fire(&post, at, last, closed));
                !is_done
            });
            if let Some(duty) = self.upcoming(subject).filter(|duty| duty.from.0 <= at) {
                self.began = Some(duty.from.0);
                let heard_at = match last {
                    Some(fix) => fix.at,
                    None => *self.first_shift.get_or_insert(at),
                };
                let is_lost = at - heard_at > DutyParameters::LOST_MS;
                if !is_lost && since(duty.assignment.fingerprint) <= at {
                    let run = Run::begin(subject, &duty, last, self.awaited_since);
                    self.runs.push(run);
                }
            }
        }
    }

    /// A report was received, whatever it is worth.
    pub(crate) fn hear(&mut self, subject: &Subject<'_>, fix: &Fix, closed: &mut Vec<Draft>) {
        for run in &mut self.runs {
            if (run.from..run.to).contains(&fix.at) {
                run.silence.hear(fix, closed);
                self.next = None;
            }
        }
        self.look_ahead(subject);
    }

    /// Judges one fix; everything before it has happened.
    pub(crate) fn judge(
        &mut self,
        subject: &Subject<'_>,
        moment: &Moment<'_>,
        median_kmh: f64,
        is_in_site: bool,
        since: Since<'_>,
        closed: &mut Vec<Draft>,
    ) {
        let fix = moment.fix;
        for run in &mut self.runs {
            if (run.from..run.to).contains(&fix.at)
                && let Some(post) = run.post(subject)
            {
                run.judge(&post, moment, closed);
            }
        }
        let Some((duties, roster)) = roster(subject) else {
            return;
        };
        let first = roster.first().and_then(|first| duties.resolve(first));
        let Some((_, shift)) = first else { return };
        let is_checked = checks(shift, subject.vehicle).has(ViolationKind::OutsideHours);
        if !is_checked || since(roster.fingerprint) > fix.at {
            return;
        }
        let parameters = &shift.parameters;
        let hours = Hours {
            parameters,
            fingerprint: roster.fingerprint,
            is_work_time: duties.is_work_time(
                roster,
                Timestamp(fix.at),
                parameters.hours_margin_ms,
            ),
            is_in_site,
            median_kmh,
        };
        self.hours.judge(subject, &hours, moment, closed);
    }

    /// The violations that go on.
    pub(crate) fn drafts(&self) -> impl Iterator<Item = &Draft> {
        let of_runs = self.runs.iter().flat_map(|run| {
            [
                &run.off_post.draft,
                &run.attendance.late,
                &run.silence.draft,
            ]
        });
        let all = of_runs.chain([&self.hours.draft]);
        all.filter_map(|draft| draft.as_deref())
    }

    /// The same, to change them.
    pub(crate) fn drafts_mut(&mut self) -> impl Iterator<Item = &mut Draft> {
        let of_runs = self.runs.iter_mut().flat_map(|run| {
            [
                &mut run.off_post.draft,
                &mut run.attendance.late,
                &mut run.silence.draft,
            ]
        });
        let all = of_runs.chain([&mut self.hours.draft]);
        all.filter_map(|draft| draft.as_deref_mut())
    }
}

impl Run {
    fn begin(
        subject: &Subject<'_>,
        duty: &Duty<'_>,
        last: Option<&Fix>,
        awaited_since: Option<i64>,
    ) -> Self {
        let from = duty.from.0;
        let mut run = Self {
            assignment: duty.index,
            fingerprint: duty.assignment.fingerprint,
            from,
            to: duty.to.0,
            is_over: false,
            side: Side::Unknown,
            off_post: OffPost::default(),
            attendance: Attendance::default(),
            patrol: Patrol::begin(duty.area, from),
            silence: Silence {
                // Nobody could have been heard before he was listened to.
                heard_at: last
                    .map(|_| from)
                    .or_else(|| awaited_since.map(|at| at.max(from))),
                draft: None,
            },
        };
        if let (Some(area), Some(fix)) = (duty.area, last.filter(|fix| from - fix.at <= FRESH_MS)) {
            let grids = subject.catalog.unit_grids();
            let margin_mm = duty.shift.parameters.post_margin_mm;
            let measured = Measured {
                at: fix.at,
                distance_mm: area.signed_distance_mm(fix.point, grids) + margin_mm,
                sigma_mm: fix.sigma_mm(),
                before: None,
            };
            run.side.step(&measured, &BOUNDARY);
            run.patrol
                .stand(area, subject.catalog.grid_index_at(fix.point));
        }
        run
    }

    pub(crate) fn post<'a>(&self, subject: &'a Subject<'a>) -> Option<Post<'a>> {
        let duties = subject.catalog.duties();
        let (assignment, shift) = duties.resolve(self.assignment)?;
        Some(Post {
            subject,
            assignment,
            shift,
            area: duties.area(assignment),
            from: self.from,
            to: self.to,
        })
    }

    fn next(&self, post: &Post<'_>) -> i64 {
        let silence = self
            .silence
            .due(post)
            .filter(|_| !self.is_over && post.checks(ViolationKind::Silence));
        let end = if self.is_over {
            self.to + post.parameters().patrol_grace_ms
        } else {
            self.to
        };
        silence.map_or(end, |due| due.min(end))
    }

    /// Decides what is to be decided at a moment. Says whether the shift is over and done.
    fn fire(
        &mut self,
        post: &Post<'_>,
        at: i64,
        last: Option<&Fix>,
        closed: &mut Vec<Draft>,
    ) -> bool {
        if at < self.next(post) {
            return false;
        }
        if at < self.to {
            self.silence.open(post, at, last);
            return false;
        }
        if !self.is_over {
            self.is_over = true;
            self.finish(self.to, last, closed);
            self.attendance.decide(post, last, closed);
            return !post.checks(ViolationKind::PatrolCoverage);
        }
        self.patrol.decide(post, at, last, closed);
        true
    }

    fn finish(&mut self, at: i64, last: Option<&Fix>, closed: &mut Vec<Draft>) {
        self.off_post.finish(at, last, closed);
        self.attendance.finish(at, last, closed);
        self.silence.close(at, None, closed);
    }

    /// Ends what is open when its rule is no longer there.
    fn abandon(&mut self, last: Option<&Fix>, closed: &mut Vec<Draft>) {
        self.finish(last.map_or(self.from, |fix| fix.at), last, closed);
    }

    fn judge(&mut self, post: &Post<'_>, moment: &Moment<'_>, closed: &mut Vec<Draft>) {
        let Some(area) = post.area else { return };
        let sight = self.look(post, area, moment);
        if post.checks(ViolationKind::OffPost) {
            self.off_post.judge(post, &sight, closed);
        }
        self.attendance.judge(post, &sight, closed);
        if post.checks(ViolationKind::PatrolCoverage) {
            let grid = post.subject.catalog.grid_index_at(moment.fix.point);
            self.patrol.judge(area, grid, &sight);
        }
    }

    fn look<'a>(&mut self, post: &Post<'_>, area: &DutyArea, moment: &Moment<'a>) -> Sight<'a> {
        let fix = moment.fix;
        let connected = moment.before.filter(|_| moment.connected_ms.is_some());
        let grids = post.subject.catalog.unit_grids();
        let margin_mm = post.parameters().post_margin_mm;
        let beyond = |fix: &Fix| area.signed_distance_mm(fix.point, grids) + margin_mm;
        let distance_mm = beyond(fix);
        let was = self.side;
        let is_as_before = match was {
            Side::In => distance_mm >= 0.0,
            Side::Out => distance_mm <= 0.0,
            _ => false,
        };
        let change = if is_as_before {
            Change::None
        } else {
            let measured = Measured {
                at: fix.at,
                distance_mm,
                sigma_mm: fix.sigma_mm(),
                before: connected.map(|before| (before.at, beyond(before))),
            };
            self.side.step(&measured, &BOUNDARY)
        };
        let (from, at) = (self.from, fix.at);
        let span = connected.map(|before| (before.at.max(from), at));
        let (outside, inside) = match (change, was, self.side) {
            (Change::Left(crossed), ..) => (Some((crossed.max(from), at)), None),
            (Change::Entered(crossed), ..) => (None, Some((crossed.max(from), at))),
            (Change::Found, _, Side::Out) => (Some((at, at)), None),
            (Change::Found, ..) => (None, Some((at, at))),
            (_, Side::Out, Side::Out) => (span, None),
            // The first doubt: the fix before speaks for a little of the time behind it.
            (_, Side::Out, _) => (span.map(|(a, b)| (a, b.min(a + Parameters::HOLD_MS))), None),
            (_, Side::In, Side::In) => (None, span),
            _ => (None, None),
        };
        let is_inside = self.side == Side::In;
        Sight {
            fix,
            before: connected,
            span,
            outside,
            inside,
            is_inside_since: is_inside.then(|| inside.map_or(at, |(from, _)| from)),
            distance_mm: distance_mm - margin_mm,
        }
    }
}
