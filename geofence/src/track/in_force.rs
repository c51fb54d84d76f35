//! Which catalog judges which time: the one that is in force, and the elder ones.
//!
//! ```text
//!             until = since of the next
//!  ── elder ──┤── elder ──┤── newest ───────▶ event time
//! ```
//!
//! A catalog is in force from the clock of the log on at which the log tells of it. What lies before
//! the oldest one that is kept, or in the place of one that is gone, is judged by the one behind it,
//! as far as its rules are not newer than that.

use std::collections::{HashMap, HashSet};

use super::{Evaluator, EvaluatorOptions};
use crate::{catalog::Catalog, checks::motion::Rules, identity::TerminalId, units::Timestamp};

/// What it takes to know from when to when a rule was that the newest catalog does not have.
const ENDED_BYTES: usize = 128;

/// One version of the catalog in the time in which it is in force.
#[derive(Debug)]
pub(super) struct Era {
    pub(super) since: i64,
    /// When the next one came into force; `i64::MAX` of the newest.
    pub(super) until: i64,
    /// The digest of the catalog; `None` where an older snapshot did not say.
    pub(super) version: Option<u32>,
    /// `None` behind a restart, until it is given again.
    pub(super) catalog: Option<Catalog>,
    /// About how many bytes an elder one takes beside the one that follows it; `None` while that is not
    /// known, and of the newest.
    pub(super) bytes: Option<usize>,
    /// For each fence, since when it is in force.
    pub(super) by_index: Vec<i64>,
    pub(super) by_route: Vec<i64>,
    /// For each rule of work, and for the default policy of alarms.
    pub(super) by_rule: Vec<i64>,
}

/// An elder catalog that an evaluator asks for behind a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElderCatalog {
    /// Since when it was in force, by the clock of the log.
    pub since: i64,
    /// The digest that it must have: [`Catalog::version`].
    pub version: u32,
}

/// Elder catalogs that were given up although their time is within the horizon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LostCatalogs {
    /// More than [`EvaluatorOptions::elder_catalogs_max`] followed.
    pub too_many: u64,
    /// Those that followed take [`EvaluatorOptions::elder_catalogs_bytes_max`].
    pub too_large: u64,
}

/// The catalogs, and since when their rules are in force: a new or edited one judges nothing from
/// before.
#[derive(Debug, Default)]
pub(super) struct InForce {
    /// The oldest first; they do not overlap. Where one is gone there is a gap.
    pub(super) eras: Vec<Era>,
    /// Since when the rules of the newest catalog are, by fingerprint. `None` before the first
    /// catalog, which has always been in force.
    pub(super) since: Option<HashMap<u64, i64>>,
    /// From when to when the rules of elder catalogs were that the newest one does not have.
    pub(super) ended: HashMap<u64, Vec<(i64, i64)>>,
    /// The newest catalog is this one. `None` behind a restart.
    pub(super) version: Option<u32>,
    /// Elder catalogs that were given up since this was last asked.
    pub(super) lost: LostCatalogs,
    pub(super) is_changed: bool,
}

impl Evaluator {
    /// Catalogs that are not there behind a restart, the newest one last. Elder ones that are not given with
    /// [`Self::supply`] before anything is judged are given up.
    #[must_use]
    pub fn missing_catalogs(&self) -> Vec<ElderCatalog> {
        self.in_force.missing().collect()
    }

    /// Gives an elder catalog back; false when it is not the one that was in force from that moment
    /// on.
    pub fn supply(&mut self, since: i64, catalog: &Catalog) -> bool {
        self.in_force.supply(since, catalog)
    }

    /// From when on each catalog is in force that judges, the oldest first, by the clock of the log;
    /// `i64::MIN` is since ever.
    pub fn catalogs_since(&self) -> impl Iterator<Item = i64> {
        self.in_force.eras.iter().map(|era| era.since)
    }

    /// The catalog that judges a moment.
    #[must_use]
    pub fn catalog_at(&self, at: Timestamp) -> Option<&Catalog> {
        self.in_force.catalog_at(at.0)
    }

    /// How many elder catalogs were given up within the horizon, since it was last asked.
    pub fn take_lost_catalogs(&mut self) -> LostCatalogs {
        std::mem::take(&mut self.in_force.lost)
    }

    /// About how many bytes the elder catalogs take beside the newest one.
    #[must_use]
    pub fn elder_catalog_bytes(&self) -> usize {
        self.in_force.elder_bytes()
    }
}

/// What became of a catalog that is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Adopted {
    /// It judges already.
    Known,
    /// It has judged before the restart, or always.
    Again,
    /// It judges from this moment on, another one until then.
    Since(i64),
}

impl InForce {
    /// Takes over a catalog at a moment.
    pub(super) fn adopt(
        &mut self,
        catalog: &Catalog,
        clock: i64,
        options: &EvaluatorOptions,
    ) -> Adopted {
        if self.version == Some(catalog.version()) {
            return Adopted::Known;
        }
        self.version = Some(catalog.version());
        self.drop_missing();
        let adopted = match self.eras.last_mut() {
            Some(newest) if newest.version.is_none_or(|own| own == catalog.version()) => {
                self.is_changed |= newest.version.is_none();
                newest.version = Some(catalog.version());
                Adopted::Again
            }
            None => {
                self.eras.push(Era::new(i64::MIN, catalog.version()));
                Adopted::Again
            }
            Some(newest) => {
                newest.until = clock;
                if newest.since >= clock || newest.catalog.is_none() {
                    // No time was its own, or nobody has put it back.
                    self.eras.pop();
                    if let Some(before) = self.eras.last_mut() {
                        before.bytes = None;
                    }
                }
                self.eras.push(Era::new(clock, catalog.version()));
                Adopted::Since(clock)
            }
        };
        // Also where no rule is another: whom they concern may be.
        self.is_changed |= adopted != Adopted::Again;
        self.rule_by(catalog, clock);
        self.prune(clock, options);
        adopted
    }

    /// Finds out since when the rules of the newest catalog are.
    fn rule_by(&mut self, catalog: &Catalog, clock: i64) {
        let before = self.since.take();
        let since = |fingerprint: u64| match &before {
            None => i64::MIN,
            Some(known) => known.get(&fingerprint).copied().unwrap_or(clock),
        };
        let now: HashMap<u64, i64> = rules(catalog).map(|rule| (rule, since(rule))).collect();
        for (rule, since) in before.iter().flatten() {
            if *since < clock && !now.contains_key(rule) {
                self.ended.entry(*rule).or_default().push((*since, clock));
            }
        }
        self.is_changed |= before.as_ref() != Some(&now);
        if let Some(newest) = self.eras.last_mut() {
            newest.fill(catalog, since);
        }
        self.since = Some(now);
    }

    /// Gives up the elder catalogs that are too many or too large, or from before anything that is
    /// judged again. A track that is judged again begins up to a chunk before its horizon, so twice
    /// that is kept.
    fn prune(&mut self, clock: i64, options: &EvaluatorOptions) {
        self.weigh();
        let horizon = clock.saturating_sub(options.horizon_ms);
        let oldest = horizon.saturating_sub(options.horizon_ms);
        let count = self.eras.len();
        let surplus = count.saturating_sub(options.elder_catalogs_max.saturating_add(1));
        let mut bytes = self.elder_bytes();
        let mut given_up = 0;
        let mut lost = LostCatalogs::default();
        for (place, era) in self.eras.iter().take(count.saturating_sub(1)).enumerate() {
            let why = if era.until < oldest {
                None
            } else if place < surplus {
                Some(&mut lost.too_many)
            } else if bytes > options.elder_catalogs_bytes_max {
                Some(&mut lost.too_large)
            } else {
                break;
            };
            if let Some(count) = why.filter(|_| era.until >= horizon) {
                *count += 1;
            }
            bytes = bytes.saturating_sub(era.bytes.unwrap_or(0));
            given_up += 1;
        }
        if given_up == 0 {
            return;
        }
        self.lost.too_many += lost.too_many;
        self.lost.too_large += lost.too_large;
        self.eras.drain(..given_up);
        self.forget_ended();
        self.is_changed = true;
    }

    /// Lets the elder catalogs share what they can with those that follow them, and finds out what
    /// they take. It follows from the catalogs alone: a replay and a restart find the same.
    fn weigh(&mut self) {
        let mut has_moved = false;
        for place in (0..self.eras.len().saturating_sub(1)).rev() {
            let Some([era, next]) = self.eras.get_mut(place..place + 2) else {
                break;
            };
            let (Some(catalog), Some(following)) = (&era.catalog, &next.catalog) else {
                has_moved = false;
                continue;
            };
            if era.bytes.is_some() && !has_moved {
                continue;
            }
            let kept = catalog.beside(following);
            let of_next: HashSet<u64> = rules(following).collect();
            let ended = rules(catalog)
                .filter(|rule| !of_next.contains(rule))
                .count();
            era.bytes = Some(kept.bytes + era.heap_bytes() + ended * ENDED_BYTES);
            era.catalog = Some(kept.catalog);
            has_moved = kept.has_moved;
        }
    }

    fn elder_bytes(&self) -> usize {
        self.eras.iter().filter_map(|era| era.bytes).sum()
    }

    /// Forgets rules that no catalog has which is kept.
    fn forget_ended(&mut self) {
        let eras = &self.eras;
        self.ended.retain(|_, stretches| {
            let is_kept = |era: &Era, stretch: &(i64, i64)| stretch.1 > era.since;
            stretches.retain(|stretch| eras.first().is_some_and(|era| is_kept(era, stretch)));
            !stretches.is_empty()
        });
    }

    /// The catalogs that are not there. The newest one may be followed by another one at once.
    pub(super) fn missing(&self) -> impl Iterator<Item = ElderCatalog> {
        let missing = self.eras.iter().filter(|era| era.catalog.is_none());
        missing.filter_map(|era| {
            Some(ElderCatalog {
                since: era.since,
                version: era.version?,
            })
        })
    }

    /// Puts a catalog back; false when it is not the one that was in force then.
    pub(super) fn supply(&mut self, since: i64, catalog: &Catalog) -> bool {
        let era = self.eras.iter_mut().find(|era| era.since == since);
        let is_it = |era: &&mut Era| era.version == Some(catalog.version());
        let Some(era) = era.filter(is_it) else {
            return false;
        };
        let span = era.span();
        let (newest, ended) = (self.since.as_ref(), &self.ended);
        era.fill(catalog, |rule| in_force_since(newest, ended, &span, rule));
        true
    }

    /// Gives up the elder catalogs that nobody has put back.
    fn drop_missing(&mut self) {
        let count = self.eras.len();
        self.eras
            .retain(|era| era.until == i64::MAX || era.catalog.is_some());
        if self.eras.len() < count {
            // Others follow now.
            self.eras.iter_mut().for_each(|era| era.bytes = None);
            self.is_changed = true;
            self.forget_ended();
        }
    }

    /// Since when a rule is in force, for a catalog that has it.
    pub(super) fn since(&self, span: &(i64, i64), rule: u64) -> i64 {
        in_force_since(self.since.as_ref(), &self.ended, span, rule)
    }

    /// For each rule of work of the newest catalog, since when it is in force, as an era has it.
    pub(super) fn rules_in_force(&self) -> &[i64] {
        self.eras.last().map_or(&[], |era| &era.by_rule)
    }

    /// The catalog of a moment: the first that is in force behind it.
    pub(super) fn place_at(&self, at: i64) -> usize {
        self.eras.partition_point(|era| era.until <= at)
    }

    /// The catalog of a moment, where it is kept.
    pub(super) fn catalog_at(&self, at: i64) -> Option<&Catalog> {
        self.eras.get(self.place_at(at))?.catalog.as_ref()
    }

    /// A moment is of an elder catalog than the one that a state was judged by last: only when the
    /// track is judged again can it be judged.
    pub(super) fn is_behind(&self, at: i64, era: Option<i64>) -> bool {
        era.is_some_and(|since| self.place_at(at) < self.place_at(since))
    }

    /// Of all of this time the catalogs are there that were in force.
    fn has_all_of(&self, (from, to): (i64, i64)) -> bool {
        let eras = self.eras.iter().skip(self.place_at(from));
        let mut known_until = from;
        for era in eras.take_while(|era| era.since <= to) {
            if era.since > known_until {
                return false;
            }
            known_until = era.until;
        }
        known_until > from
    }

    /// Whether a time is judged again by a rule, or by the catalogs of that time that do not have it.
    /// What an edited rule has found whose catalog is gone stays as it was.
    pub(super) fn judges(
        &self,
        newest: &Catalog,
        terminal: TerminalId,
        rule: u64,
        (from, to): (i64, i64),
    ) -> bool {
        if rule == 0 || self.has_all_of((from, to)) {
            return true;
        }
        // The last of them may stand in for one that is gone.
        let eras = self.eras.iter().take(self.place_at(to).saturating_add(1));
        let mut eras = eras.rev().filter(|era| era.until >= from);
        eras.any(|era| {
            let catalog = match &era.catalog {
                _ if era.until == i64::MAX => newest,
                Some(catalog) => catalog,
                None => return false,
            };
            let vehicle = catalog.vehicle_of(&terminal);
            let rules = Rules {
                catalog,
                vehicle,
                audience: catalog.audience_of(vehicle),
                in_force: &era.by_rule,
            };
            let is_there = catalog.fence_of(rule).is_some()
                || catalog.route_of(rule).is_some()
                || rules.judge(rule)
                || catalog.duties().is_rule(rule);
            is_there && self.since(&era.span(), rule) <= to
        })
    }

    /// Both judge the same times alike. An older snapshot knows of no elder catalogs.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let is_old = |of: &Self| matches!(&*of.eras, [] | [Era { version: None, .. }]);
        let eras = |of: &Self| -> Vec<(i64, i64, Option<u32>)> {
            let eras = of.eras.iter();
            eras.map(|era| (era.since, era.until, era.version))
                .collect()
        };
        self.since == other.since && (is_old(self) || is_old(other) || eras(self) == eras(other))
    }
}

impl Default for Era {
    fn default() -> Self {
        Self::new(i64::MIN, 0)
    }
}

impl Era {
    const fn new(since: i64, version: u32) -> Self {
        Self {
            since,
            until: i64::MAX,
            version: Some(version),
            catalog: None,
            bytes: None,
            by_index: Vec::new(),
            by_route: Vec::new(),
            by_rule: Vec::new(),
        }
    }

    /// The only one of an older snapshot of this moment: since when it is in force is not known.
    pub(super) fn unnamed(clock: i64) -> Self {
        Self {
            version: None,
            ..Self::new(clock, 0)
        }
    }

    const fn heap_bytes(&self) -> usize {
        (self.by_index.len() + self.by_route.len() + self.by_rule.len()) * size_of::<i64>()
    }

    /// From when to when.
    pub(super) const fn span(&self) -> (i64, i64) {
        (self.since, self.until)
    }

    fn fill(&mut self, catalog: &Catalog, since: impl Fn(u64) -> i64) {
        let fences = catalog.fences().iter().map(|fence| fence.fingerprint);
        let routes = catalog.routes().iter().map(|route| route.fingerprint);
        self.by_index = fences.map(&since).collect();
        self.by_route = routes.map(&since).collect();
        self.by_rule = work_rules(catalog).map(&since).collect();
        self.catalog = Some(catalog.without_texts());
    }
}

/// Since when a rule is in force, for a catalog of this time that has it: by when those of the newest
/// catalog are, or from when to when others were.
fn in_force_since(
    newest: Option<&HashMap<u64, i64>>,
    ended: &HashMap<u64, Vec<(i64, i64)>>,
    (from, until): &(i64, i64),
    rule: u64,
) -> i64 {
    let known = newest.and_then(|since| since.get(&rule));
    if let Some(since) = known.filter(|since| *since < until) {
        return *since;
    }
    let stretches = ended.get(&rule).into_iter().flatten();
    let own = stretches
        .rev()
        .find(|stretch| stretch.0 < *until && stretch.1 > *from);
    own.map_or(i64::MIN, |stretch| stretch.0)
}

/// The rules of work, and the default policy of alarms.
fn work_rules(catalog: &Catalog) -> impl Iterator<Item = u64> {
    let rules = catalog.work_rules().iter().map(|rule| rule.fingerprint);
    rules.chain([catalog.default_alarms()])
}

/// The fingerprints of all rules.
fn rules(catalog: &Catalog) -> impl Iterator<Item = u64> {
    let fences = catalog.fences().iter().map(|fence| fence.fingerprint);
    let routes = catalog.routes().iter().map(|route| route.fingerprint);
    let others = work_rules(catalog).chain(catalog.duties().rules());
    fences.chain(routes).chain(others)
}
