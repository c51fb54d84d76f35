//! Unloading outside every site where it is allowed.
//!
//! ```text
//!  quiet ── lift or bucket on, surely outside ──▶ pending ── for 10 s ──▶ open ── off on two fixes,  ──▶ quiet
//!    ▲                                               │                           or perhaps at a site
//!    └──── off on two fixes, or perhaps at a site ───┘
//! ```
//!
//! Surely outside means farther from the boundary of each allowed site than its hysteresis. Only
//! observed time counts. A report without the signal is no news: neither on nor off. Without a
//! signal rule that names a lift or bucket nothing is judged.

use super::{
    draft::{Draft, Opening, evidence},
    motion::{DEFAULT_UNLOADING, Seen, by_signals, is_unloading},
    presence::{Clock, seconds},
    work::Work,
};
use crate::{
    catalog::{Demand, UnloadingDemand},
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
}

impl Unloading {
    pub(crate) fn judge(&mut self, seen: &Seen<'_>, closed: &mut Vec<Draft>) {
        let (fix, at) = (seen.moment.fix, seen.moment.fix.at);
        let Some((signal_rule, signals)) = seen.rules.signals(at) else {
            self.end(seen, at, closed);
            return;
        };
        match Work::of(signals, fix, |machine| !machine.is_cleaning()) {
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
        let asked = seen.rules.first(at, |demand| match demand {
            Demand::Unloading(demand) => Some(demand),
            _ => None,
        });
        let fallback = UnloadingDemand::default();
        let has_rule = seen.rules.has(is_unloading);
        let (rule, demand) = asked.unwrap_or((signal_rule, &fallback));
        let own = asked.map_or(DEFAULT_UNLOADING, |(rule, _)| rule.fingerprint);
        let fingerprint = by_signals(own, signal_rule.fingerprint);
        let is_asked = asked.is_some() || !has_rule;
        if !is_asked || self.is_of_another(fingerprint) || !is_away(seen, demand) {
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
        if clock.observed < demand.dwell_ms || clock.onset == at {
            return;
        }
        self.onset_fixes.push(evidence(fix, None));
        let opening = Opening {
            kind: ViolationKind::Unloading,
            rule: rule.as_rule(),
            fingerprint,
            onset: clock.onset,
            confirmed: at,
            onset_fixes: &self.onset_fixes,
            thresholds: &[("dwell_s", seconds(demand.dwell_ms))],
            place: None,
        };
        self.draft = Draft::open(seen.subject, &opening).map(|mut draft| {
            draft.worsen(worst, || evidence(fix, None));
            Box::new(draft)
        });
    }

    fn is_of_another(&self, fingerprint: u64) -> bool {
        let draft = self.draft.as_deref();
        draft.is_some_and(|draft| draft.fingerprint != fingerprint)
    }

    fn end(&mut self, seen: &Seen<'_>, at: i64, closed: &mut Vec<Draft>) {
        self.clock = None;
        self.off_since = None;
        if let Some(draft) = self.draft.take() {
            closed.push(draft.close(at, Some(evidence(seen.moment.fix, None))));
        }
    }
}

/// Surely outside every allowed site.
fn is_away(seen: &Seen<'_>, demand: &UnloadingDemand) -> bool {
    let fix = seen.moment.fix;
    let mut allowed = seen
        .rules
        .sites()
        .filter(|site| demand.sites.include(site) && site.schedule.holds(Timestamp(fix.at)));
    allowed.all(|site| {
        let sure_mm = site.parameters.hysteresis_mm(fix.sigma_mm());
        site.shape.signed_distance_mm(fix.point) <= -sure_mm
    })
}
