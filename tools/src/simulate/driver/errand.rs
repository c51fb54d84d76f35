//! Errands: trips that break a rule, and the way back.

use std::collections::{HashSet, VecDeque};

use super::{Driver, Errand, Script};
use crate::{
    city::{Edge, FenceKind},
    simulate::truth::FenceRule,
};

/// What only a violator does.
impl Driver {
    pub(super) fn begin_errand_when_due(&mut self) {
        let Some(script) = self.script else { return };
        if self.errand.is_some() || self.clock_s < script.begins_s {
            return;
        }
        self.halt = None;
        let planned = self.plan_errand(script.first);
        let pause = if planned.is_some() { 300.0 } else { 60.0 };
        // The next rule in turn, some time after this errand; moved on when it ends.
        self.script = Some(Script {
            first: next_rule(script.first),
            begins_s: self.clock_s + self.random.between(pause, 3.0 * pause),
        });
        if let Some((errand, path)) = planned {
            self.errand = Some(errand);
            self.path = path;
        }
    }

    /// The nearest place where this rule can be broken without breaking another, and the way.
    fn plan_errand(&mut self, rule: FenceRule) -> Option<(Errand, VecDeque<usize>)> {
        let here = self.node(self.to);
        let mut targets = self.targets(rule);
        let distance = |fence: &usize| {
            self.city
                .fence_list
                .get(*fence)
                .map_or(f64::INFINITY, |fence| {
                    fence.shape.bounding_circle().0.distance(here)
                })
        };
        targets.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
        let stay_s = match rule {
            FenceRule::StayIn => self.random.between(120.0, 240.0),
            FenceRule::KeepOut => self.random.between(60.0, 150.0),
            FenceRule::Speeding => 0.0,
        };
        targets.into_iter().find_map(|fence| {
            let path = self.way_from(self.to, rule, fence)?;
            let reckless = self.reckless_edges(rule, fence);
            Some((
                Errand {
                    rule,
                    fence,
                    reckless,
                    stay_s,
                    is_returning: false,
                },
                path,
            ))
        })
    }

    /// Fences that concern this vehicle at any time and can be broken in this way.
    fn targets(&self, rule: FenceRule) -> Vec<usize> {
        let kind = match rule {
            FenceRule::StayIn => FenceKind::StayIn,
            FenceRule::KeepOut => FenceKind::KeepOut,
            FenceRule::Speeding => FenceKind::SpeedLimit,
        };
        let (vehicle, fleet, work_kind) = &self.audience;
        self.city
            .fence_list
            .iter()
            .enumerate()
            .filter(|(_, fence)| {
                fence.kind == kind
                    && fence.windows.is_empty()
                    && fence.applies_to.includes(vehicle, fleet, work_kind)
                    // A slow lane is passed in too short a time.
                    && (kind != FenceKind::SpeedLimit || fence.shape.bounding_circle().1 > 200.0)
            })
            .map(|(index, _)| index)
            .collect()
    }

    fn may_use(&self, edge: &Edge, rule: FenceRule, fence: usize) -> bool {
        match rule {
            FenceRule::StayIn => edge.keep_out_near.is_empty(),
            FenceRule::KeepOut => {
                edge.safe_for == Some(self.fleet) || edge.keep_out_near == [fence]
            }
            FenceRule::Speeding => edge.safe_for == Some(self.fleet),
        }
    }

    fn way_from(&self, start: usize, rule: FenceRule, fence: usize) -> Option<VecDeque<usize>> {
        let shape = &self.city.fence_list.get(fence)?.shape;
        let is_goal = |node: usize| {
            let distance = shape.signed_distance(self.node(node));
            match rule {
                FenceRule::StayIn => distance < -60.0,
                FenceRule::KeepOut => distance > 25.0,
                FenceRule::Speeding => distance > 180.0,
            }
        };
        let path = self
            .city
            .network
            .path(start, is_goal, |edge| self.may_use(edge, rule, fence))?;
        (!path.is_empty()).then_some(path)
    }

    /// Back to a street that is safe; out of a slow zone that was the target.
    fn way_back(&self, errand: &Errand) -> Option<VecDeque<usize>> {
        let shape = &self.city.fence_list.get(errand.fence)?.shape;
        let is_goal = |node: usize| {
            let is_clear = errand.rule != FenceRule::Speeding
                || shape.signed_distance(self.node(node)) < -45.0;
            is_clear
                && self
                    .city
                    .network
                    .edges_at(node)
                    .any(|edge| edge.safe_for == Some(self.fleet))
        };
        self.city.network.path(self.to, is_goal, |edge| {
            self.may_use(edge, errand.rule, errand.fence)
        })
    }

    fn reckless_edges(&self, rule: FenceRule, fence: usize) -> HashSet<(usize, usize)> {
        let Some(fence) = self.city.fence_list.get(fence) else {
            return HashSet::new();
        };
        if rule != FenceRule::Speeding {
            return HashSet::new();
        }
        self.city
            .network
            .edges
            .iter()
            .filter(|edge| {
                let (from, to) = (self.node(edge.a), self.node(edge.b));
                fence.shape.signed_distance_along(from, to).1 > 0.0
            })
            .map(|edge| (edge.a, edge.b))
            .collect()
    }

    /// The end of the path of an errand.
    pub(super) fn arrive(&mut self) {
        let Some(mut errand) = self.errand.take() else {
            return;
        };
        if errand.is_returning {
            // The pause until the next errand counts from now.
            if let Some(script) = &mut self.script {
                script.begins_s = script.begins_s.max(self.clock_s + 240.0);
            }
            return;
        }
        if errand.stay_s > 0.0 {
            self.speed_mps = 0.0;
            self.halt = Some((self.clock_s + errand.stay_s, true));
        }
        errand.is_returning = true;
        if let Some(path) = self.way_back(&errand).filter(|path| !path.is_empty()) {
            self.path = path;
            self.errand = Some(errand);
        }
    }

    /// The safe node from which the way to the first errand is shortest.
    pub(super) fn start_for(&self, rule: FenceRule, safe: &[usize]) -> Option<usize> {
        let mut ways: Vec<(f64, usize, usize)> = Vec::new();
        for fence in self.targets(rule) {
            let Some(shape) = self.city.fence_list.get(fence).map(|fence| &fence.shape) else {
                continue;
            };
            ways.extend(safe.iter().filter_map(|node| {
                let distance = shape.signed_distance(self.node(*node));
                // Into a slow zone one drives from outside.
                let is_start = rule != FenceRule::Speeding || distance < 0.0;
                is_start.then_some((distance.abs(), fence, *node))
            }));
        }
        ways.sort_by(|a, b| a.0.total_cmp(&b.0));
        let length = |start: usize, path: &VecDeque<usize>| {
            let nodes = std::iter::once(start).chain(path.iter().copied());
            let pairs = nodes.clone().zip(nodes.skip(1));
            pairs
                .map(|(a, b)| self.node(a).distance(self.node(b)))
                .sum::<f64>()
        };
        // The nearest as the crow flies, then by the streets.
        let shortest = ways
            .iter()
            .take(24)
            .filter_map(|(_, fence, node)| {
                let path = self.way_from(*node, rule, *fence)?;
                Some((length(*node, &path), *node))
            })
            .min_by(|a, b| a.0.total_cmp(&b.0));
        shortest.map(|(_, node)| node)
    }
}

const fn next_rule(rule: FenceRule) -> FenceRule {
    match rule {
        FenceRule::KeepOut => FenceRule::Speeding,
        FenceRule::Speeding => FenceRule::StayIn,
        FenceRule::StayIn => FenceRule::KeepOut,
    }
}
