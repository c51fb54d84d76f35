//! What the fixes of one vehicle are judged with, at the moment that they are of.

use super::{
    in_force::{Era, InForce},
    timers::Home,
};
use crate::{
    catalog::Catalog,
    checks::{
        draft::{Draft, Ended, Subject},
        motion::Rules,
    },
    identity::TerminalId,
};

/// What the fixes are judged with. It stands at one catalog, and is turned to another as the state
/// passes from one to the next.
pub(crate) struct Court<'a> {
    pub(crate) subject: Subject<'a>,
    in_force: &'a InForce,
    newest: &'a Catalog,
    /// The place of the catalog.
    place: usize,
    /// From when to when it is in force.
    span: (i64, i64),
    /// For each fence of the catalog, since when it is in force.
    pub(crate) fences_in_force: &'a [i64],
    routes_in_force: &'a [i64],
    rules_in_force: &'a [i64],
    /// Room for the fences at a point, used again for every fix.
    pub(crate) inside: &'a mut Vec<u32>,
    /// What ended.
    pub(crate) closed: &'a mut Vec<Draft>,
    /// What became another violation, and is withdrawn.
    pub(crate) dropped: &'a mut Vec<Draft>,
}

impl InForce {
    /// What a vehicle is judged with, by the newest catalog at first.
    pub(super) fn court<'a>(
        &'a self,
        newest: &'a Catalog,
        terminal: TerminalId,
        inside: &'a mut Vec<u32>,
        (closed, dropped): (&'a mut Vec<Draft>, &'a mut Vec<Draft>),
    ) -> Court<'a> {
        let mut court = Court {
            subject: Subject {
                catalog: newest,
                terminal,
                vehicle: None,
            },
            in_force: self,
            newest,
            place: 0,
            span: (i64::MIN, i64::MAX),
            fences_in_force: &[],
            routes_in_force: &[],
            rules_in_force: &[],
            inside,
            closed,
            dropped,
        };
        court.turn_to(self.eras.len().saturating_sub(1));
        court
    }

    /// The catalog of a state that was judged last by the one from this moment on.
    pub(super) fn home<'a>(
        &'a self,
        newest: &'a Catalog,
        terminal: TerminalId,
        since: Option<i64>,
    ) -> Home<'a> {
        let is_it = |era: &&Era| Some(era.since) == since;
        let era = self
            .eras
            .iter()
            .rev()
            .find(is_it)
            .or_else(|| self.eras.last());
        let own = era.filter(|era| era.until < i64::MAX);
        let catalog = own.and_then(|era| era.catalog.as_ref()).unwrap_or(newest);
        let vehicle = catalog.vehicle_of(&terminal);
        Home {
            rules: Rules {
                catalog,
                vehicle,
                audience: catalog.audience_of(vehicle),
                in_force: era.map_or(&[], |era| &era.by_rule),
            },
            until: era.map_or(i64::MAX, |era| era.until),
        }
    }
}

impl<'a> Court<'a> {
    /// Turns to the catalog of a moment.
    pub(crate) fn turn_to_moment(&mut self, at: i64) {
        if at < self.span.0 || at >= self.span.1 {
            self.turn_to(self.in_force.place_at(at));
        }
    }

    /// Turns to the catalog that follows.
    pub(crate) fn turn_on(&mut self) {
        self.turn_to(self.place.saturating_add(1));
    }

    fn turn_to(&mut self, place: usize) {
        let Some(era) = self.in_force.eras.get(place) else {
            return;
        };
        let is_newest = era.until == i64::MAX;
        let own = era.catalog.as_ref().filter(|_| !is_newest);
        let catalog = own.unwrap_or(self.newest);
        self.place = place;
        self.span = era.span();
        self.subject = super::subject(catalog, self.subject.terminal);
        self.fences_in_force = &era.by_index;
        self.routes_in_force = &era.by_route;
        self.rules_in_force = &era.by_rule;
    }

    /// Since when the catalog is in force that it stands at.
    pub(crate) const fn from(&self) -> i64 {
        self.span.0
    }

    /// When another one came into force; `i64::MAX` of the newest.
    pub(crate) const fn until(&self) -> i64 {
        self.span.1
    }

    pub(crate) fn rules(&self) -> Rules<'a> {
        Rules {
            catalog: self.catalog(),
            vehicle: self.subject.vehicle,
            audience: self.catalog().audience_of(self.subject.vehicle),
            in_force: self.rules_in_force,
        }
    }

    pub(crate) const fn catalog(&self) -> &'a Catalog {
        self.subject.catalog
    }

    pub(crate) fn is_in_force(&self, fence: u32, at: i64) -> bool {
        self.fences_in_force
            .get(fence as usize)
            .is_none_or(|since| *since <= at)
    }

    pub(crate) fn route_since(&self, route: u32) -> i64 {
        let since = self.routes_in_force.get(route as usize);
        since.copied().unwrap_or(i64::MIN)
    }

    /// Since when the rule of a fingerprint is in force.
    pub(crate) fn since(&self) -> impl Fn(u64) -> i64 + use<'a> {
        let (in_force, span) = (self.in_force, self.span);
        move |rule| in_force.since(&span, rule)
    }

    /// Whether a rule judges a time again.
    pub(crate) fn judges(&self, rule: u64, time: (i64, i64)) -> bool {
        let terminal = self.subject.terminal;
        self.in_force.judges(self.newest, terminal, rule, time)
    }

    pub(crate) fn ended(&mut self) -> Ended<'_> {
        Ended {
            closed: self.closed,
            dropped: self.dropped,
        }
    }
}
