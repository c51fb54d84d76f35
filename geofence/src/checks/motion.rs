//! The checks of work, stops and alarms of one vehicle, and the rules that hold for it.

use super::{
    draft::{Draft, Subject},
    load_drop::LoadDrop,
    long_stop::LongStop,
    presence::Moment,
    route::Machines,
    speeding::{Speed, Speeding},
    terminal_alarm::{Alarms, Heard},
    too_fast,
    unloading::Unloading,
    work::{LastKnown, Work},
};
use crate::{
    catalog::{
        Audience, Catalog, Demand, Fence, FenceKind, Machine, Vehicle, WorkRule, WorkSignal,
    },
    track::{fix::Fix, input::Stop},
    units::Timestamp,
};

/// Stand for what holds where no rule of a kind concerns the vehicle.
pub(crate) const DEFAULT_BAND: u64 = u64::from_be_bytes(*b"job/band");
pub(crate) const DEFAULT_UNLOADING: u64 = u64::from_be_bytes(*b"unload/1");

const fn is_alarms(demand: &Demand) -> bool {
    matches!(demand, Demand::TerminalAlarms(_))
}

pub(crate) const fn is_work_speed(demand: &Demand) -> bool {
    matches!(demand, Demand::WorkSpeed(_))
}

pub(crate) const fn is_unloading(demand: &Demand) -> bool {
    matches!(demand, Demand::Unloading(_))
}

const fn is_signals(demand: &Demand) -> bool {
    matches!(demand, Demand::WorkSignals(_))
}

/// The fingerprint of what a rule and the meaning of signals have found together: with either of
/// them edited it is another. 0 is without signals.
pub(crate) const fn by_signals(rule: u64, signals: u64) -> u64 {
    rule ^ signals.rotate_left(1)
}

/// The rules of work that concern a vehicle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) vehicle: Option<&'a Vehicle>,
    pub(crate) audience: &'a Audience,
    /// For each rule of the catalog, since when it is in force; behind them, since when the default
    /// policy of alarms is.
    pub(crate) in_force: &'a [i64],
}

impl<'a> Rules<'a> {
    /// Those that hold at a moment, the nearest to the vehicle first.
    pub(crate) fn at(self, at: i64) -> impl Iterator<Item = &'a WorkRule> {
        let holds = move |index: &u32| {
            let rule = self.catalog.work_rule(*index)?;
            let since = self.in_force.get(*index as usize);
            let is_in_force = since.is_none_or(|since| *since <= at);
            (is_in_force && rule.schedule.holds(Timestamp(at))).then_some(rule)
        };
        self.audience.rules().iter().filter_map(holds)
    }

    /// Since when a rule of the catalog is in force.
    pub(crate) fn since(self, rule: &WorkRule) -> i64 {
        let index = self.catalog.work_rule_of(rule.fingerprint);
        let since = index.and_then(|index| self.in_force.get(index as usize));
        since.copied().unwrap_or(i64::MIN)
    }

    /// The default policy of alarms holds for the vehicle at a moment.
    pub(crate) fn has_default_alarms(self, at: i64) -> bool {
        let since = self.in_force.last();
        since.is_none_or(|since| *since <= at) && !self.has(is_alarms)
    }

    /// The first of them that `demand` reads.
    pub(crate) fn first<T>(
        self,
        at: i64,
        demand: impl Fn(&'a Demand) -> Option<T>,
    ) -> Option<(&'a WorkRule, T)> {
        self.at(at)
            .find_map(|rule| Some((rule, demand(&rule.demand)?)))
    }

    /// What the bits of its terminal mean.
    pub(crate) fn signals(self, at: i64) -> Option<(&'a WorkRule, &'a [WorkSignal])> {
        self.first(at, |demand| match demand {
            Demand::WorkSignals(signals) => Some(&**signals),
            _ => None,
        })
    }

    /// A rule of this kind concerns the vehicle, whether or not it holds: then no default does.
    pub(crate) fn has(self, is_it: impl Fn(&Demand) -> bool) -> bool {
        self.own().any(|rule| is_it(&rule.demand))
    }

    /// Whether violations with this fingerprint are found again when the track is judged again. Of
    /// rules that were edited they are not: what these have found stays as it was.
    pub(crate) fn judge(self, fingerprint: u64) -> bool {
        let signals = || {
            let all = self.own().filter(|rule| is_signals(&rule.demand));
            all.map(|rule| rule.fingerprint).chain([0])
        };
        let is_by_signals = |is_it: fn(&Demand) -> bool, default: u64| {
            let rules = self.own().filter(|rule| is_it(&rule.demand));
            let default = (!self.has(is_it)).then_some(default);
            let mut rules = rules.map(|rule| rule.fingerprint).chain(default);
            rules.any(|rule| signals().any(|of| by_signals(rule, of) == fingerprint))
        };
        self.catalog.work_rule_of(fingerprint).is_some()
            || (fingerprint == self.catalog.default_alarms() && !self.has(is_alarms))
            || is_by_signals(is_work_speed, DEFAULT_BAND)
            || is_by_signals(is_unloading, DEFAULT_UNLOADING)
    }

    fn own(self) -> impl Iterator<Item = &'a WorkRule> {
        let rules = self.audience.rules().iter();
        rules.filter_map(move |index| self.catalog.work_rule(*index))
    }

    /// The sites that concern the vehicle.
    pub(crate) fn sites(self) -> impl Iterator<Item = &'a Fence> {
        let sites = (0..).zip(self.catalog.fences());
        let own = sites.filter(move |(index, fence)| {
            fence.kind == FenceKind::Site && self.audience.is_concerned(*index)
        });
        own.map(|(_, fence)| &**fence)
    }
}

/// A fix that counts, and what is known about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) subject: &'a Subject<'a>,
    pub(crate) moment: &'a Moment<'a>,
    /// How the vehicle moves.
    pub(crate) stop: &'a Stop,
    /// The median of the last three speeds, km/h.
    pub(crate) median_kmh: f64,
    /// The fences at the fix, whomever they concern.
    pub(crate) inside: &'a [u32],
    /// For each fence of the catalog, since when it is in force.
    pub(crate) fences_in_force: &'a [i64],
    /// The vehicle is on one of its routes, in a window of it.
    pub(crate) is_on_route: bool,
    /// Whether it cleans.
    pub(crate) work: Work,
    pub(crate) rules: Rules<'a>,
}

/// The state of these checks for one vehicle.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Motion {
    pub(crate) alarms: Alarms,
    pub(crate) long_stop: LongStop,
    /// Whether the vehicle cleans.
    pub(crate) cleaning: LastKnown,
    pub(crate) too_fast: Speeding,
    pub(crate) unloading: Unloading,
    pub(crate) load: LoadDrop,
}

impl Motion {
    /// Hears a report, whether or not it has a place.
    pub(crate) fn hear(
        &mut self,
        subject: &Subject<'_>,
        heard: &Heard<'_>,
        closed: &mut Vec<Draft>,
    ) {
        let until = heard.fix.at;
        self.alarms.advance(subject, heard.rules, until);
        self.alarms.judge(subject, heard, closed);
    }

    /// What the machines do at a fix that counts.
    pub(crate) fn machines(&mut self, rules: Rules<'_>, fix: &Fix) -> Machines {
        let signals = rules.signals(fix.at).map(|(_, signals)| signals);
        let signals = signals.unwrap_or_default();
        let cleaning = Work::of(signals, fix, Machine::is_cleaning);
        Machines {
            cleaning: self.cleaning.follow(cleaning, fix.at),
            collecting: Work::of(signals, fix, Machine::is_collecting),
        }
    }

    /// When something opens without another fix; `last` is the newest fix that counted.
    pub(crate) fn due(&self, rules: Rules<'_>, last: Option<&Fix>) -> Option<i64> {
        let alarms = self.alarms.due(rules);
        let others = last.map(|last| {
            [
                self.long_stop.due(rules, last),
                self.unloading.due(rules, last),
            ]
        });
        let others = others.into_iter().flatten().flatten();
        alarms.into_iter().chain(others).min()
    }

    /// Opens what is due by a moment without another fix, of what the newest fix speaks for.
    pub(crate) fn advance(
        &mut self,
        subject: &Subject<'_>,
        rules: Rules<'_>,
        last: Option<&Fix>,
        until: i64,
    ) {
        self.alarms.advance(subject, rules, until);
        if let Some(last) = last {
            self.long_stop.advance(subject, rules, last, until);
            self.unloading.advance(subject, rules, last, until);
        }
    }

    /// Judges a fix that counts.
    pub(crate) fn judge(&mut self, seen: &Seen<'_>, closed: &mut Vec<Draft>) {
        self.long_stop.judge(seen, closed);
        let band = too_fast::band(seen, seen.work);
        let speed = Speed {
            median_kmh: seen.median_kmh,
            limit: band.as_ref(),
            left: None,
        };
        self.too_fast
            .judge(seen.subject, seen.moment, &speed, closed);
        let drop = self.load.follow(seen);
        self.unloading.judge(seen, closed);
        if let Some(drop) = drop {
            self.unloading.drop(seen, drop, closed);
        }
    }

    /// The violations that go on.
    pub(crate) fn drafts(&self) -> impl Iterator<Item = &Draft> {
        let alarms = self.alarms.watches.iter().map(|watch| &watch.draft);
        let stops = self.long_stop.watches.iter().map(|watch| &watch.draft);
        let single = [&self.too_fast.draft, &self.unloading.draft];
        alarms
            .chain(stops)
            .chain(single)
            .filter_map(Option::as_deref)
    }

    /// The same, to change them.
    pub(crate) fn drafts_mut(&mut self) -> impl Iterator<Item = &mut Draft> {
        let alarms = self.alarms.watches.iter_mut().map(|watch| &mut watch.draft);
        let stops = self.long_stop.watches.iter_mut();
        let stops = stops.map(|watch| &mut watch.draft);
        let single = [&mut self.too_fast.draft, &mut self.unloading.draft];
        alarms
            .chain(stops)
            .chain(single)
            .filter_map(Option::as_deref_mut)
    }
}
