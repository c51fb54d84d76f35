//! Unloading outside every site where it is allowed.
//!
//! ```text
//!  quiet ── lift or bucket on, surely outside ──▶ pending ── for 10 s ──▶ open ── off on two fixes,  ──▶ quiet
//!    ▲                                               │                           or perhaps at a site
//!    └──── off on two fixes, or perhaps at a site ───┘
//! ```
//!
//! A load that falls from full to empty ([`super::load_drop`]) is unloading too: it opens what the lift
//! shows at once, and is a violation of its own where none shows anything.
//!
//! Surely outside means farther from the boundary of each allowed site than its hysteresis. Only
//! observed time counts, and the ten seconds that the last report speaks for. A report without the
//! signal is no news: neither on nor off. Without a signal rule that names a lift, a bucket or the load
//! nothing is judged.

use super::{
    WorkParameters,
    draft::{Draft, Opening, Subject, evidence},
    load_drop::Drop,
    motion::{DEFAULT_UNLOADING, Rules, Seen, by_signals, is_unloading},
    presence::{Clock, seconds},
    work::Work,
};
use crate::{
    catalog::{AllowedSites, Demand, Machine, WorkRule},
    checks::Parameters,
    geometry::Point,
    track::fix::Fix,
    units::Timestamp,
    violation::{EvidenceFix, ViolationKind},
};

/// The state of the check for one vehicle.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Unloading {
    pub(crate) clock: Option<Clock>,
    /// The first fix without the signal, while it is the only one.
    pub(crate) off_since: Option<i64>,
    pub(crate) onset_fixes: Vec<EvidenceFix>,
    pub(crate) draft: Option<Box<Draft>>,
    /// When the newest violation ended: the load of it may be seen to fall behind it.
    pub(crate) told_until: Option<i64>,
}

/// What is asked of whoever unloads.
struct Asked<'a> {
    rule: &'a WorkRule,
    sites: Option<&'a AllowedSites>,
    dwell_ms: i64,
    fingerprint: u64,
    /// Where a rule concerns the vehicle and does not hold, nothing is.
    is_asked: bool,
}

impl<'a> Asked<'a> {
    fn at(rules: Rules<'a>, at: i64) -> Option<Self> {
        let (signal_rule, _) = rules.signals(at)?;
        let own = rules.first(at, |demand| match demand {
            Demand::Unloading(demand) => Some(demand),
            _ => None,
        });
        let of_rule = own.map_or(DEFAULT_UNLOADING, |(rule, _)| rule.fingerprint);
        let demand = own.map(|(_, demand)| demand);
        Some(Self {
            rule: own.map_or(signal_rule, |(rule, _)| rule),
            sites: demand.map(|demand| &demand.sites),
            dwell_ms: demand.map_or(WorkParameters::UNLOADING_MS, |d| d.dwell_ms),
            fingerprint: by_signals(of_rule, signal_rule.fingerprint),
            is_asked: own.is_some() || !rules.has(is_unloading),
        })
    }

    /// A place is surely outside every allowed site.
    fn is_away(&self, rules: Rules<'_>, (point, at): (Point, i64), sure_mm: f64) -> bool {
        let mut allowed = rules.sites().filter(|site| {
            self.sites.is_none_or(|sites| sites.include(site)) && site.schedule.holds(Timestamp(at))
        });
        allowed.all(|site| {
            let sure_mm = site.parameters.hysteresis_mm(sure_mm).max(sure_mm);
            site.shape.signed_distance_mm(point) <= -sure_mm
        })
    }
}

impl Unloading {
    pub(crate) fn judge(&mut self, seen: &Seen<'_>, closed: &mut Vec<Draft>) {
        let (fix, at) = (seen.moment.fix, seen.moment.fix.at);
        let Some((_, signals)) = seen.rules.signals(at) else {
            self.end(seen, at, closed);
            return;
        };
        match Work::of(signals, fix, Machine::is_unloading) {
            Work::Unknown => return,
            Work::Off => {
                if self.clock.is_none() && self.draft.is_none() {
                    return;
                }
                match self.off_since {
                    None => self.off_since = Some(at),
                    Some(since) => self.end(seen, since, closed),
                }
                return;
            }
            Work::On => self.off_since = None,
        }
        let Some(asked) = Asked::at(seen.rules, at) else {
            return;
        };
        let is_away = asked.is_away(seen.rules, (fix.point, at), fix.sigma_mm());
        if !asked.is_asked || self.is_of_another(asked.fingerprint) || !is_away {
            self.end(seen, at, closed);
            return;
        }
        let clock = match self.clock {
            None => {
                self.onset_fixes.clear();
                self.onset_fixes.push(evidence(fix, None));
                Clock {
                    onset: at,
                    observed: 0,
                }
            }
            Some(clock) => Clock {
                observed: clock.observed + seen.moment.connected_ms.unwrap_or(0),
                ..clock
            },
        };
        self.clock = Some(clock);
        let worst = seconds(clock.observed);
        if let Some(draft) = self.draft.as_deref_mut() {
            draft.worsen(worst, || evidence(fix, None));
            return;
        }
        // One fix alone proves no duration.
        if clock.observed < asked.dwell_ms || clock.onset == at {
            return;
        }
        self.open(seen.subject, &asked, fix, (clock, at));
    }

    fn open(&mut self, subject: &Subject<'_>, asked: &Asked<'_>, fix: &Fix, at: (Clock, i64)) {
        let (clock, confirmed) = at;
        self.onset_fixes.push(evidence(fix, None));
        self.onset_fixes.dedup();
        let opening = Opening {
            kind: ViolationKind::Unloading,
            rule: asked.rule.as_rule(),
            fingerprint: asked.fingerprint,
            onset: clock.onset,
            confirmed,
            onset_fixes: &self.onset_fixes,
            thresholds: &[("dwell_s", seconds(asked.dwell_ms))],
            place: None,
        };
        self.draft = Draft::open(subject, &opening).map(|mut draft| {
            draft.worsen(seconds(clock.observed), || evidence(fix, None));
            Box::new(draft)
        });
    }

    /// When it opens without another fix: the last one speaks for a little of the time behind it.
    pub(crate) fn due(&self, rules: Rules<'_>, last: &Fix) -> Option<i64> {
        let clock = self
            .clock
            .filter(|clock| self.draft.is_none() && clock.onset < last.at)?;
        let asked = Asked::at(rules, last.at)?;
        let (_, signals) = rules.signals(last.at)?;
        let is_on = Work::of(signals, last, Machine::is_unloading) == Work::On;
        let left_ms = asked.dwell_ms - clock.observed;
        let is_due = is_on && asked.is_asked && (0..=Parameters::HOLD_MS).contains(&left_ms);
        is_due.then_some(last.at + left_ms)
    }

    /// Opens what is due by a moment without another fix.
    pub(crate) fn advance(
        &mut self,
        subject: &Subject<'_>,
        rules: Rules<'_>,
        last: &Fix,
        until: i64,
    ) {
        let due = self.due(rules, last).filter(|due| *due <= until);
        let Some((due, asked)) = due.zip(Asked::at(rules, last.at)) else {
            return;
        };
        if let Some(clock) = self.clock {
            let clock = Clock {
                observed: asked.dwell_ms,
                ..clock
            };
            self.open(subject, &asked, last, (clock, due));
        }
    }

    /// The load has fallen from full to empty.
    pub(crate) fn drop(&mut self, seen: &Seen<'_>, drop: Drop, closed: &mut Vec<Draft>) {
        let Drop { loaded, emptied } = drop;
        let (from, to) = (loaded.fixed_at.0, emptied.fixed_at.0);
        if let Some(draft) = self.draft.as_deref_mut() {
            draft.measure("load_dropped", 1.0);
            return;
        }
        let asked = Asked::at(seen.rules, to).filter(|asked| asked.is_asked);
        let is_told = self.told_until.is_some_and(|until| until >= from);
        let Some(asked) = asked.filter(|_| !is_told) else {
            return;
        };
        // It may have been anywhere between the two places.
        let plane = seen.subject.catalog.plane();
        let way_ms = to - from;
        #[expect(clippy::cast_precision_loss, reason = "some minutes in milliseconds")]
        let reach_mm = WorkParameters::DROP_MPS * way_ms as f64 / 2.0;
        let sure_mm = reach_mm + seen.moment.fix.sigma_mm();
        let is_away = [&loaded, &emptied].into_iter().all(|fix| {
            let point = plane.point(fix.latitude, fix.longitude);
            point.is_some_and(|point| asked.is_away(seen.rules, (point, fix.fixed_at.0), sure_mm))
        });
        if !is_away {
            return;
        }
        let fix = seen.moment.fix;
        if let Some(clock) = self.clock {
            self.open(seen.subject, &asked, fix, (clock, fix.at));
            if let Some(draft) = self.draft.as_deref_mut() {
                draft.measure("load_dropped", 1.0);
            }
            return;
        }
        let opening = Opening {
            kind: ViolationKind::Unloading,
            rule: asked.rule.as_rule(),
            fingerprint: asked.fingerprint,
            onset: from,
            confirmed: fix.at,
            onset_fixes: &[loaded, emptied],
            thresholds: &[],
            place: None,
        };
        closed.extend(Draft::open(seen.subject, &opening).map(|mut draft| {
            draft.violation.worst = seconds(way_ms);
            draft.measure("load_dropped", 1.0);
            draft.close(to, Some(evidence(fix, None)))
        }));
        self.told_until = Some(to);
    }

    fn is_of_another(&self, fingerprint: u64) -> bool {
        let draft = self.draft.as_deref();
        draft.is_some_and(|draft| draft.fingerprint != fingerprint)
    }

    fn end(&mut self, seen: &Seen<'_>, at: i64, closed: &mut Vec<Draft>) {
        self.clock = None;
        self.off_since = None;
        if let Some(draft) = self.draft.take() {
            self.told_until = Some(at);
            closed.push(draft.close(at, Some(evidence(seen.moment.fix, None))));
        }
    }
}
