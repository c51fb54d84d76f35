//! Speeding: the median of three speeds above the limit and its margin for so long.
//!
//! ```text
//!  quiet ── above limit + margin ──▶ pending ── for 10 s ──▶ open ── at the limit for 5 s ──▶ quiet
//!                                      │ not above any more
//!                                      ▼
//!                                    quiet
//! ```
//!
//! What is at the limit stays so while the margin is not exceeded: a median that noise lifts over the
//! limit for a moment does not make one violation of two.
//!
//! One limit holds at a time: that of the highest priority, then the lowest of all fences the
//! vehicle is in, the segments of its routes that it drives on in their windows, all rules
//! `speed_limit` that concern it, and its own. When another limit takes over, what was open under the
//! old one ends.

use super::{
    Parameters, WorkParameters,
    draft::{Draft, Opening, Subject, evidence, rounded},
    presence::{Clock, Moment, seconds},
};
use crate::violation::{EvidenceFix, Rule, ViolationKind};

/// The limit that holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit<'a> {
    pub(crate) kind: ViolationKind,
    /// Of the fence or rule; 0 for the vehicle's own limit.
    pub(crate) fingerprint: u64,
    pub(crate) limit_kmh: f64,
    pub(crate) priority: i32,
    pub(crate) parameters: &'a Parameters,
    /// The fence; `None` for a limit that holds wherever.
    pub(crate) fence: Option<&'a crate::catalog::Fence>,
    /// The rule of work; without any of them it is the vehicle's own limit.
    pub(crate) work: Option<&'a crate::catalog::WorkRule>,
    /// The route, and the place of the segment.
    pub(crate) segment: Option<(&'a crate::catalog::Route, usize)>,
}

impl Limit<'_> {
    /// Whether this limit goes before another.
    pub(crate) fn is_before(&self, other: &Self) -> bool {
        (self.priority, -self.limit_kmh) > (other.priority, -other.limit_kmh)
    }

    /// Tells limits apart: those of two segments are two.
    pub(crate) fn target(&self) -> u64 {
        let segment = self.segment.map_or(0, |(_, place)| place as u64 + 1);
        self.fingerprint.wrapping_add(segment)
    }

    /// Too fast for so long.
    pub(crate) fn dwell_ms(&self) -> i64 {
        self.parameters.dwell_ms.unwrap_or(match self.kind {
            ViolationKind::TooFastToClean => WorkParameters::TOO_FAST_MS,
            _ => Parameters::SPEEDING_MS,
        })
    }
}

/// How fast, and against what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speed<'a> {
    /// The median of the last three speeds, km/h.
    pub(crate) median_kmh: f64,
    pub(crate) limit: Option<&'a Limit<'a>>,
    /// A fence that was left just now, by its fingerprint, and when its boundary was crossed.
    pub(crate) left: Option<(u64, i64)>,
}

/// The state of the check for one vehicle.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Speeding {
    /// Fingerprint of the rule that `clock` and `draft` are about.
    pub(crate) target: Option<u64>,
    pub(crate) clock: Option<Clock>,
    /// Since when an open violation is at the limit or below, and within the margin.
    pub(crate) kept_since: Option<i64>,
    pub(crate) onset_fixes: Vec<EvidenceFix>,
    pub(crate) draft: Option<Box<Draft>>,
}

impl Speeding {
    pub(crate) fn judge(
        &mut self,
        subject: &Subject<'_>,
        moment: &Moment<'_>,
        speed: &Speed<'_>,
        closed: &mut Vec<Draft>,
    ) {
        let target = speed.limit.map(Limit::target);
        if target != self.target {
            self.leave(moment, speed.left, closed);
            self.target = target;
        }
        let Some(limit) = speed.limit else { return };
        if self.draft.is_some() {
            self.follow(moment, speed.median_kmh, limit, closed);
        } else {
            self.watch(subject, moment, speed.median_kmh, limit);
        }
    }

    /// The limit holds no longer: since the boundary was crossed, where that is the reason.
    fn leave(&mut self, moment: &Moment<'_>, left: Option<(u64, i64)>, closed: &mut Vec<Draft>) {
        self.clock = None;
        let kept_since = self.kept_since.take();
        let crossed = left
            .filter(|(fence, _)| Some(*fence) == self.target)
            .map(|(_, at)| at);
        if let Some(draft) = self.draft.take() {
            let ended = kept_since.or(crossed).unwrap_or(moment.fix.at);
            closed.push(draft.close(ended, Some(evidence(moment.fix, None))));
        }
    }

    fn watch(
        &mut self,
        subject: &Subject<'_>,
        moment: &Moment<'_>,
        median_kmh: f64,
        limit: &Limit<'_>,
    ) {
        let threshold_kmh = limit.parameters.threshold_kmh(limit.limit_kmh);
        let at = moment.fix.at;
        if median_kmh <= threshold_kmh {
            self.clock = None;
            return;
        }
        let clock = match self.clock {
            None => {
                self.onset_fixes.clear();
                self.onset_fixes.push(evidence(moment.fix, None));
                Clock {
                    onset: at,
                    observed: 0,
                }
            }
            Some(clock) => Clock {
                observed: clock.observed + moment.connected_ms.unwrap_or(0),
                ..clock
            },
        };
        self.clock = Some(clock);
        let dwell_ms = limit.dwell_ms();
        // A fence entered at speed counts from the entry on; one fix alone proves no duration.
        if clock.observed < dwell_ms || clock.onset == at {
            return;
        }
        self.onset_fixes.push(evidence(moment.fix, None));
        let opening = Opening {
            kind: limit.kind,
            rule: rule(subject, limit),
            fingerprint: limit.fingerprint,
            onset: clock.onset,
            confirmed: at,
            onset_fixes: &self.onset_fixes,
            thresholds: &[
                ("limit_kmh", limit.limit_kmh),
                ("threshold_kmh", rounded(threshold_kmh)),
                ("dwell_s", seconds(dwell_ms)),
                ("close_s", seconds(limit.parameters.close_ms)),
            ],
            place: None,
        };
        self.draft = Draft::open(subject, &opening).map(|mut draft| {
            draft.worsen(median_kmh, || evidence(moment.fix, None));
            Box::new(draft)
        });
        self.clock = None;
    }

    fn follow(
        &mut self,
        moment: &Moment<'_>,
        median_kmh: f64,
        limit: &Limit<'_>,
        closed: &mut Vec<Draft>,
    ) {
        let at = moment.fix.at;
        let threshold_kmh = limit.parameters.threshold_kmh(limit.limit_kmh);
        let is_kept = self.kept_since.is_some() && median_kmh <= threshold_kmh;
        if median_kmh > limit.limit_kmh && !is_kept {
            self.kept_since = None;
            if let Some(draft) = self.draft.as_deref_mut() {
                draft.worsen(median_kmh, || evidence(moment.fix, None));
            }
            return;
        }
        // In a gap the clock of the end stands still too: it begins anew behind it.
        if moment.connected_ms.is_none() {
            self.kept_since = None;
        }
        let since = *self.kept_since.get_or_insert(at);
        if at - since >= limit.parameters.close_ms
            && let Some(draft) = self.draft.take()
        {
            self.kept_since = None;
            closed.push(draft.close(since, Some(evidence(moment.fix, None))));
        }
    }
}

/// The rule that a limit is: the rule of work, the fence, or the vehicle itself.
fn rule(subject: &Subject<'_>, limit: &Limit<'_>) -> Rule {
    if let Some(work) = limit.work {
        return work.as_rule();
    }
    if let Some((route, place)) = limit.segment {
        return segment_rule(route, place);
    }
    match (limit.fence, subject.vehicle) {
        (Some(fence), _) => super::presence::rule(fence),
        (None, Some(vehicle)) => Rule {
            id: format!("vehicle:{}", vehicle.id),
            version: 1,
            name: if vehicle.plate.is_empty() {
                vehicle.id.clone()
            } else {
                vehicle.plate.clone()
            },
        },
        (None, None) => Rule {
            id: "vehicle".to_owned(),
            version: 1,
            name: String::new(),
        },
    }
}

/// The limit of a segment as a rule.
pub(crate) fn segment_rule(route: &crate::catalog::Route, place: usize) -> Rule {
    let segment = route.segments.get(place);
    let name = segment.map_or("", |segment| &segment.name);
    let of_route = super::route::rule(route);
    Rule {
        id: format!("{}/segment-{place}", route.id),
        name: if name.is_empty() {
            of_route.name
        } else {
            format!("{}: {name}", of_route.name)
        },
        ..of_route
    }
}
