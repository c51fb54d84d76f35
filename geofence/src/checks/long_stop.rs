//! Standing too long: by a rule `long_stop` or `idling` anywhere outside the sites, by a `no_stop`
//! fence inside it.
//!
//! ```text
//!  moving ── stop, 5 s ──▶ standing ── left the anchor ──▶ away ── 60 s ──▶ moving
//!                             ▲                             │
//!                             └── stands again within 60 s ─┘   and within 50 m: one stop
//!
//!  for each rule that holds where the vehicle stands:
//!  quiet ── stop observed for the rule's time ──▶ open ── moving, or the rule holds no longer ──▶ quiet
//! ```
//!
//! A stop is that of the stop anchor (see `track/input`): drift does not end it. It counts from the
//! first fix that was slow, and ends with the last one at the anchor. Only observed time counts: a
//! gap is no stop, and does not end one when the vehicle is at the same anchor behind it. A rule
//! that begins to hold during a stop counts from there; `idling` counts while the ignition is on.
//! Whoever stands at the edge of a site, within its hysteresis, may be in it and is spared.
//! Without a rule nobody stands too long.

use super::{
    WorkParameters,
    draft::{Draft, Opening, evidence, rounded},
    motion::Seen,
    presence::{Clock, seconds},
};
use crate::{
    catalog::{AllowedSites, Demand, FenceKind},
    units::{Latitude, Longitude, Timestamp},
    violation::{EvidenceFix, Rule, ViolationKind},
};

/// The state of the check for one vehicle.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LongStop {
    /// Since when the vehicle has been slow, and how much of that was observed.
    pub(crate) slow: Option<Clock>,
    /// The stop, also while the vehicle may come back to it.
    pub(crate) stay: Option<Stay>,
    /// The rules that count it.
    pub(crate) watches: Vec<StopWatch>,
}

/// A stop, or several that are one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stay {
    /// Since when it has stood, the last time.
    pub(crate) since: i64,
    /// Since when it has stood, the first time.
    pub(crate) onset: i64,
    /// The last fix at the anchor, and the place of the anchor.
    pub(crate) last_at: i64,
    pub(crate) latitude: Latitude,
    pub(crate) longitude: Longitude,
}

/// A rule that counts the stop.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StopWatch {
    /// Of the rule or fence.
    pub(crate) fingerprint: u64,
    pub(crate) clock: Clock,
    /// At the edge of a site: this stop is none of the rule's.
    pub(crate) is_spared: bool,
    pub(crate) onset_fixes: Vec<EvidenceFix>,
    pub(crate) draft: Option<Box<Draft>>,
}

/// What one fix of a stop adds.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// The stop has just become one.
    is_new: bool,
    onset: i64,
    observed_ms: i64,
}

/// A rule that holds where the vehicle stands.
struct Target<'a> {
    kind: ViolationKind,
    fingerprint: u64,
    stop_ms: i64,
    /// When it began to hold.
    holds_since: i64,
    /// Where stops are as long as they like.
    sites: Option<&'a AllowedSites>,
    rule: &'a dyn Fn() -> Rule,
}

impl LongStop {
    pub(crate) fn judge(&mut self, seen: &Seen<'_>, closed: &mut Vec<Draft>) {
        let Some(step) = self.follow(seen, closed) else {
            return;
        };
        let mut held = Held {
            stop: self,
            seen,
            step,
            fingerprints: Vec::new(),
        };
        held.rules();
        held.fences();
        let held = held.fingerprints;
        self.watches.retain_mut(|watch| {
            let holds = held.contains(&watch.fingerprint);
            if !holds {
                closed.extend(watch.end(seen, seen.moment.fix.at));
            }
            holds
        });
    }

    /// Follows the stop; gives what the fix adds to it while the vehicle stands.
    fn follow(&mut self, seen: &Seen<'_>, closed: &mut Vec<Draft>) -> Option<Step> {
        let (fix, stop) = (seen.moment.fix, seen.stop);
        let connected_ms = seen.moment.connected_ms.unwrap_or(0);
        self.slow = stop.since.map(|since| match self.slow {
            Some(slow) if slow.onset == since => Clock {
                observed: slow.observed + connected_ms,
                ..slow
            },
            _ => Clock {
                onset: since,
                observed: 0,
            },
        });
        let slow = self.slow.filter(|_| stop.is_stopped);
        let Some(slow) = slow else {
            // Whoever is slow already may turn out to have stopped again in time.
            let by = self.slow.map_or(fix.at, |slow| slow.onset);
            let is_over = |stay: &Stay| by - stay.last_at >= WorkParameters::MERGE_MS;
            if self.stay.as_ref().is_some_and(is_over) {
                self.leave(seen, closed);
            }
            return None;
        };
        let place = (fix.latitude, fix.longitude);
        let plane = seen.subject.catalog.plane();
        let is_near = |stay: &Stay| {
            slow.onset - stay.last_at < WorkParameters::MERGE_MS
                && plane.distance_m((stay.latitude, stay.longitude), place)
                    < WorkParameters::MERGE_M
        };
        let is_same = |stay: &Stay| stay.since == slow.onset;
        if self
            .stay
            .as_ref()
            .is_some_and(|stay| !is_same(stay) && !is_near(stay))
        {
            self.leave(seen, closed);
        }
        let is_new = self.stay.is_none();
        let stay = self.stay.get_or_insert(Stay {
            since: slow.onset,
            onset: slow.onset,
            last_at: fix.at,
            latitude: fix.latitude,
            longitude: fix.longitude,
        });
        let observed_ms = if !is_new && is_same(stay) {
            connected_ms
        } else {
            slow.observed
        };
        stay.since = slow.onset;
        stay.last_at = fix.at;
        (stay.latitude, stay.longitude) = place;
        Some(Step {
            is_new,
            onset: stay.onset,
            observed_ms,
        })
    }

    /// The stop is over.
    fn leave(&mut self, seen: &Seen<'_>, closed: &mut Vec<Draft>) {
        let ended = self
            .stay
            .take()
            .map_or(seen.moment.fix.at, |stay| stay.last_at);
        for mut watch in self.watches.drain(..) {
            closed.extend(watch.end(seen, ended));
        }
    }
}

/// The rules that hold at one fix of a stop.
struct Held<'s, 'a> {
    stop: &'s mut LongStop,
    seen: &'s Seen<'a>,
    step: Step,
    fingerprints: Vec<u64>,
}

impl Held<'_, '_> {
    fn rules(&mut self) {
        let (seen, at) = (self.seen, self.seen.moment.fix.at);
        let vehicle = seen.subject.vehicle;
        let is_idle = seen.moment.fix.is_acc_on;
        let stop = seen.rules.first(at, |demand| match demand {
            Demand::LongStop(stop) => Some((ViolationKind::LongStop, stop)),
            _ => None,
        });
        let idling = seen.rules.first(at, |demand| match demand {
            Demand::Idling(stop) if is_idle => Some((ViolationKind::Idling, stop)),
            _ => None,
        });
        for (rule, (kind, stop)) in [stop, idling].into_iter().flatten() {
            let is_in_site = seen.inside.iter().any(|index| {
                let fence = seen.subject.catalog.fence(*index);
                fence.is_some_and(|fence| {
                    fence.kind == FenceKind::Site
                        && seen.rules.audience.is_concerned(*index)
                        && stop.sites.include(fence)
                })
            });
            if is_in_site {
                continue;
            }
            let window = rule.schedule.window_at(Timestamp(at));
            let since = seen.rules.since(rule);
            self.hold(&Target {
                kind,
                fingerprint: rule.fingerprint,
                stop_ms: stop.stop_ms(vehicle),
                holds_since: window.map_or(since, |(from, _)| from.0.max(since)),
                sites: Some(&stop.sites),
                rule: &|| rule.as_rule(),
            });
        }
    }

    fn fences(&mut self) {
        let (seen, fix) = (self.seen, self.seen.moment.fix);
        for index in seen.inside {
            let Some(fence) = seen.subject.catalog.fence(*index) else {
                continue;
            };
            let since = seen.fences_in_force.get(*index as usize).copied();
            let since = since.unwrap_or(i64::MIN);
            if fence.kind != FenceKind::NoStop
                || !seen.rules.audience.is_concerned(*index)
                || since > fix.at
                || !fence.schedule.holds(Timestamp(fix.at))
            {
                continue;
            }
            // Inside for sure at first; afterwards the anchor may wander to its edge.
            let is_held = |watch: &StopWatch| watch.fingerprint == fence.fingerprint;
            let sure_mm = fence.parameters.hysteresis_mm(fix.sigma_mm());
            if !self.stop.watches.iter().any(is_held)
                && fence.shape.signed_distance_mm(fix.point) < sure_mm
            {
                continue;
            }
            let window = fence.schedule.window_at(Timestamp(fix.at));
            self.hold(&Target {
                kind: ViolationKind::LongStop,
                fingerprint: fence.fingerprint,
                stop_ms: fence.parameters.dwell_ms.unwrap_or(WorkParameters::STOP_MS),
                holds_since: window.map_or(since, |(from, _)| from.0.max(since)),
                sites: None,
                rule: &|| super::presence::rule(fence),
            });
        }
    }

    fn hold(&mut self, target: &Target<'_>) {
        self.fingerprints.push(target.fingerprint);
        let (seen, fix, step) = (self.seen, self.seen.moment.fix, self.step);
        let watches = &mut self.stop.watches;
        let place = watches.binary_search_by_key(&target.fingerprint, |w| w.fingerprint);
        let watch = match place {
            Ok(place) => {
                let watch = watches.get_mut(place);
                watch.map(|watch| watch.also(step.observed_ms))
            }
            Err(place) => {
                let is_from_the_onset = step.is_new && target.holds_since <= step.onset;
                let clock = if is_from_the_onset {
                    Clock {
                        onset: step.onset,
                        observed: step.observed_ms,
                    }
                } else {
                    Clock {
                        onset: fix.at,
                        observed: 0,
                    }
                };
                let watch = StopWatch {
                    fingerprint: target.fingerprint,
                    clock,
                    is_spared: false,
                    onset_fixes: vec![evidence(fix, None)],
                    draft: None,
                };
                watches.insert(place, watch);
                watches.get_mut(place)
            }
        };
        if let Some(watch) = watch {
            watch.count(seen, target);
        }
    }
}

impl StopWatch {
    fn also(&mut self, observed_ms: i64) -> &mut Self {
        self.clock.observed += observed_ms;
        self
    }

    fn count(&mut self, seen: &Seen<'_>, target: &Target<'_>) {
        let fix = seen.moment.fix;
        let minutes = seconds(self.clock.observed) / 60.0;
        if let Some(draft) = self.draft.as_deref_mut() {
            if draft.has_grown(minutes) {
                draft.worsen(minutes, || evidence(fix, None));
            }
            return;
        }
        if self.is_spared || self.clock.observed < target.stop_ms {
            return;
        }
        if target
            .sites
            .is_some_and(|sites| is_near_a_site(seen, sites))
        {
            self.is_spared = true;
            return;
        }
        self.onset_fixes.push(evidence(fix, None));
        self.onset_fixes.dedup();
        let opening = Opening {
            kind: target.kind,
            rule: (target.rule)(),
            fingerprint: target.fingerprint,
            onset: self.clock.onset,
            confirmed: fix.at,
            onset_fixes: &self.onset_fixes,
            thresholds: &[("stop_s", seconds(target.stop_ms))],
            place: None,
        };
        self.draft = Draft::open(seen.subject, &opening).map(|mut draft| {
            draft.worsen(minutes, || evidence(fix, None));
            Box::new(draft)
        });
    }

    fn end(&mut self, seen: &Seen<'_>, at: i64) -> Option<Draft> {
        let mut draft = self.draft.take()?;
        draft.violation.worst = rounded(seconds(self.clock.observed) / 60.0);
        Some(draft.close(at, Some(evidence(seen.moment.fix, None))))
    }
}

/// Outside, but so near that it may be inside.
fn is_near_a_site(seen: &Seen<'_>, sites: &AllowedSites) -> bool {
    let fix = seen.moment.fix;
    let near_mm = WorkParameters::NEAR_SITE_MM.max(fix.sigma_mm());
    let mut allowed = seen.rules.sites().filter(|site| sites.include(site));
    allowed.any(|site| site.shape.signed_distance_mm(fix.point) >= -near_mm)
}
