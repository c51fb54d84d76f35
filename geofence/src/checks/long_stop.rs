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
//! Whoever stands elsewhere within the minute, and of whom the receiver told no motion in between, has
//! not left: an echo of the signals moved his place, and he is waited for.
//!
//! A stop is that of the stop anchor (see `track/input`): drift does not end it. It counts from the
//! first fix that was slow, and ends with the last one at the anchor. Only observed time counts, and
//! the ten seconds that the last fix speaks for: a gap is no stop, and does not end one when the vehicle is at the same anchor behind it. A rule
//! that begins to hold during a stop counts from there; `idling` counts while the ignition is on.
//! Whoever stands at the edge of a site, within its hysteresis, may be in it and is spared.
//! Without a rule nobody stands too long.

use super::{
    Parameters, WorkParameters,
    draft::{Draft, Opening, Subject, evidence, rounded},
    motion::{Rules, Seen},
    presence::{Clock, seconds},
};
use crate::{
    catalog::{AllowedSites, Demand, Fence, FenceKind, Schedule, WorkRule},
    track::fix::Fix,
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
    /// The receiver has told of motion since then.
    pub(crate) has_moved: bool,
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
    rule: Source<'a>,
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

    /// When one opens without another fix: the last one, at the anchor, speaks for a little of the time
    /// behind it.
    pub(crate) fn due(&self, rules: Rules<'_>, last: &Fix) -> Option<i64> {
        let stands = self.stay.as_ref().is_some_and(|s| s.last_at == last.at);
        let watches = self.watches.iter().filter(|_| stands);
        watches
            .filter_map(|watch| watch.due(&Asked::of(rules, watch.fingerprint)?, last))
            .min()
    }

    /// Opens what is due by a moment without another fix.
    pub(crate) fn advance(
        &mut self,
        subject: &Subject<'_>,
        rules: Rules<'_>,
        last: &Fix,
        until: i64,
    ) {
        if self.stay.as_ref().is_none_or(|s| s.last_at != last.at) {
            return;
        }
        for watch in &mut self.watches {
            let Some(asked) = Asked::of(rules, watch.fingerprint) else {
                continue;
            };
            let due = watch.due(&asked, last).filter(|due| *due <= until);
            if let Some(due) = due {
                watch.open(subject, rules, &asked, last, (asked.stop_ms, due));
            }
        }
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
            if let Some(stay) = &mut self.stay {
                stay.has_moved |= fix.speed_dkmh > WorkParameters::MOVING_DKMH;
            }
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
        let is_far = |stay: &&Stay| !is_same(stay) && !is_near(stay);
        if let Some(stay) = self.stay.as_ref().filter(is_far) {
            let away_ms = fix.at - stay.last_at;
            if !stay.has_moved && away_ms < WorkParameters::MERGE_MS {
                // It is elsewhere without having moved: an echo, from which it may come back.
                return None;
            }
            self.leave(seen, closed);
        }
        let is_new = self.stay.is_none();
        let stay = self.stay.get_or_insert(Stay {
            since: slow.onset,
            onset: slow.onset,
            last_at: fix.at,
            latitude: fix.latitude,
            longitude: fix.longitude,
            has_moved: false,
        });
        let observed_ms = if !is_new && is_same(stay) {
            connected_ms
        } else {
            slow.observed
        };
        stay.since = slow.onset;
        stay.last_at = fix.at;
        stay.has_moved = false;
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
                rule: Source::Work(rule),
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
                stop_ms: no_stop_ms(fence),
                holds_since: window.map_or(since, |(from, _)| from.0.max(since)),
                sites: None,
                rule: Source::Fence(fence),
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
        if self.clock.observed < target.stop_ms {
            return;
        }
        let asked = Asked {
            kind: target.kind,
            stop_ms: target.stop_ms,
            sites: target.sites,
            schedule: None,
            rule: target.rule,
        };
        let times = (self.clock.observed, fix.at);
        self.open(seen.subject, seen.rules, &asked, fix, times);
    }

    fn due(&self, asked: &Asked<'_>, last: &Fix) -> Option<i64> {
        let left_ms = asked.stop_ms - self.clock.observed;
        let due = last.at + left_ms;
        let holds = || asked.schedule.is_none_or(|s| s.holds(Timestamp(due)));
        let is_due = self.draft.is_none() && !self.is_spared && self.clock.onset < last.at;
        (is_due && (0..=Parameters::HOLD_MS).contains(&left_ms) && holds()).then_some(due)
    }

    fn open(
        &mut self,
        subject: &Subject<'_>,
        rules: Rules<'_>,
        asked: &Asked<'_>,
        fix: &Fix,
        (observed_ms, confirmed): (i64, i64),
    ) {
        if self.is_spared {
            return;
        }
        if asked
            .sites
            .is_some_and(|sites| is_near_a_site(rules, fix, sites))
        {
            self.is_spared = true;
            return;
        }
        self.onset_fixes.push(evidence(fix, None));
        self.onset_fixes.dedup();
        let opening = Opening {
            kind: asked.kind,
            rule: asked.rule.as_rule(),
            fingerprint: self.fingerprint,
            onset: self.clock.onset,
            confirmed,
            onset_fixes: &self.onset_fixes,
            thresholds: &[("stop_s", seconds(asked.stop_ms))],
            place: None,
        };
        self.draft = Draft::open(subject, &opening).map(|mut draft| {
            draft.worsen(seconds(observed_ms) / 60.0, || evidence(fix, None));
            Box::new(draft)
        });
    }

    fn end(&mut self, seen: &Seen<'_>, at: i64) -> Option<Draft> {
        let mut draft = self.draft.take()?;
        draft.violation.worst = rounded(seconds(self.clock.observed) / 60.0);
        Some(draft.close(at, Some(evidence(seen.moment.fix, None))))
    }
}

/// What a rule asks of a stop.
struct Asked<'a> {
    kind: ViolationKind,
    stop_ms: i64,
    /// Where stops are as long as they like.
    sites: Option<&'a AllowedSites>,
    /// When; `None` where that is known already.
    schedule: Option<&'a Schedule>,
    rule: Source<'a>,
}

/// Who asks.
#[derive(Clone, Copy)]
enum Source<'a> {
    Fence(&'a Fence),
    Work(&'a WorkRule),
}

impl Source<'_> {
    fn as_rule(self) -> Rule {
        match self {
            Self::Fence(fence) => super::presence::rule(fence),
            Self::Work(rule) => rule.as_rule(),
        }
    }
}

impl<'a> Asked<'a> {
    /// By the fingerprint of the rule or fence.
    fn of(rules: Rules<'a>, fingerprint: u64) -> Option<Self> {
        let catalog = rules.catalog;
        if let Some(fence) = catalog.fence_of(fingerprint) {
            let fence = catalog.fence(fence)?;
            return Some(Self {
                kind: ViolationKind::LongStop,
                stop_ms: no_stop_ms(fence),
                sites: None,
                schedule: Some(&fence.schedule),
                rule: Source::Fence(fence),
            });
        }
        let rule = catalog.work_rule(catalog.work_rule_of(fingerprint)?)?;
        let (kind, stop) = match &rule.demand {
            Demand::LongStop(stop) => (ViolationKind::LongStop, stop),
            Demand::Idling(stop) => (ViolationKind::Idling, stop),
            _ => return None,
        };
        Some(Self {
            kind,
            stop_ms: stop.stop_ms(rules.vehicle),
            sites: Some(&stop.sites),
            schedule: Some(&rule.schedule),
            rule: Source::Work(rule),
        })
    }
}

fn no_stop_ms(fence: &Fence) -> i64 {
    fence.parameters.dwell_ms.unwrap_or(WorkParameters::STOP_MS)
}

/// Outside, but so near that it may be inside.
fn is_near_a_site(rules: Rules<'_>, fix: &Fix, sites: &AllowedSites) -> bool {
    let near_mm = WorkParameters::NEAR_SITE_MM.max(fix.sigma_mm());
    let mut allowed = rules.sites().filter(|site| sites.include(site));
    allowed.any(|site| site.shape.signed_distance_mm(fix.point) >= -near_mm)
}
