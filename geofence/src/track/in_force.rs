//! Since when rules are in force.

use std::collections::HashMap;

use super::state::Court;
use crate::{
    catalog::Catalog,
    checks::{
        draft::{Draft, Subject},
        motion::Rules,
    },
};

/// Since when each fence and route is in force: a new or edited one judges nothing from before.
#[derive(Debug, Default)]
pub(super) struct InForce {
    /// By fingerprint. `None` before the first catalog, which has always been in force.
    pub(super) since: Option<HashMap<u64, i64>>,
    /// The catalog that `by_index` is about.
    pub(super) version: Option<u32>,
    pub(super) by_index: Vec<i64>,
    pub(super) by_route: Vec<i64>,
    /// For each rule of work, and for the default policy of alarms.
    pub(super) by_rule: Vec<i64>,
    pub(super) is_changed: bool,
}

impl InForce {
    /// Takes over a catalog at a moment; says whether it is another than before.
    pub(super) fn adopt(&mut self, catalog: &Catalog, clock: i64) -> bool {
        if self.version == Some(catalog.version()) {
            return false;
        }
        self.version = Some(catalog.version());
        let before = self.since.take();
        let since = |fingerprint: u64| match &before {
            None => i64::MIN,
            Some(known) => known.get(&fingerprint).copied().unwrap_or(clock),
        };
        let fences = catalog.fences().iter().map(|fence| fence.fingerprint);
        let routes = catalog.routes().iter().map(|route| route.fingerprint);
        let rules = catalog.work_rules().iter().map(|rule| rule.fingerprint);
        let rules = rules.chain([catalog.default_alarms()]);
        self.by_index = fences.clone().map(since).collect();
        self.by_route = routes.clone().map(since).collect();
        self.by_rule = rules.clone().map(since).collect();
        let all = self.by_index.iter().chain(&self.by_route);
        let all = all.chain(&self.by_rule).copied();
        let duties = catalog.duties().rules().map(|rule| (rule, since(rule)));
        let named = fences.chain(routes).chain(rules).zip(all);
        let now: HashMap<u64, i64> = named.chain(duties).collect();
        self.is_changed |= before.as_ref() != Some(&now);
        self.since = Some(now);
        true
    }

    /// The rules of work for a subject.
    pub(super) fn rules<'a>(&'a self, subject: &Subject<'a>) -> Rules<'a> {
        Rules {
            catalog: subject.catalog,
            vehicle: subject.vehicle,
            audience: subject.catalog.audience_of(subject.vehicle),
            in_force: &self.by_rule,
        }
    }

    /// What the fixes of a subject are judged with.
    pub(super) const fn court<'a>(
        &'a self,
        subject: Subject<'a>,
        inside: &'a mut Vec<u32>,
        closed: &'a mut Vec<Draft>,
        dropped: &'a mut Vec<Draft>,
    ) -> Court<'a> {
        Court {
            subject,
            in_force: self.by_index.as_slice(),
            routes_in_force: self.by_route.as_slice(),
            rules_in_force: self.by_rule.as_slice(),
            since: self.since.as_ref(),
            inside,
            closed,
            dropped,
        }
    }
}
