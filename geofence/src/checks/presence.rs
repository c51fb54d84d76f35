//! Stay-in and keep-out fences: on the wrong side for so long, within the hours of the fence.
//!
//! ```text
//!  quiet ── entered or left ──▶ pending ── dwell observed ──▶ open ── back, sure ──▶ quiet
//!                                 │ back, or outside the hours
//!                                 ▼
//!                               quiet
//! ```
//!
//! Only observed time counts: between two fixes that a gap does not part, on the wrong side at
//! both ends. Whoever is found on the wrong side at his first fix, or when the fence is new, has
//! crossed nothing: nothing opens until he was seen on the other side. Where the crossing back turns
//! out to lie before the dwell was over, what had opened between two fixes is withdrawn.

use super::{
    Parameters,
    draft::{Draft, Ended, ONSET_FIXES_MAX, Opening, Subject, evidence},
    membership::{Change, Side},
};
use crate::{
    catalog::{Fence, FenceKind},
    track::fix::Fix,
    units::Timestamp,
    violation::{EvidenceFix, Rule, Violation, ViolationKind},
};

/// A clock that counts observed time only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    pub(crate) onset: i64,
    pub(crate) observed: i64,
}

/// A vehicle and a fence that it is in, near to, or must stay in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Watch {
    /// Index in the catalog that the state is bound to.
    pub(crate) fence: u32,
    pub(crate) fingerprint: u64,
    pub(crate) side: Side,
    /// The vehicle was seen to cross the boundary, not only found behind it.
    pub(crate) is_armed: bool,
    pub(crate) clock: Option<Clock>,
    /// The fixes about the last crossing.
    pub(crate) onset_fixes: Vec<EvidenceFix>,
    pub(crate) draft: Option<Box<Draft>>,
}

/// The fix that is judged, and what lies between it and the one before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment<'a> {
    pub(crate) fix: &'a Fix,
    /// The usable fix before, whether or not a gap lies between.
    pub(crate) before: Option<&'a Fix>,
    /// Milliseconds since that fix, where no gap lies between.
    pub(crate) connected_ms: Option<i64>,
}

impl Watch {
    pub(crate) const fn new(fence: u32, fingerprint: u64, side: Side) -> Self {
        Self {
            fence,
            fingerprint,
            side,
            is_armed: false,
            clock: None,
            onset_fixes: Vec::new(),
            draft: None,
        }
    }

    /// Nothing is left to remember: the vehicle is outside, like of all fences without a watch.
    pub(crate) fn is_over(&self, kind: FenceKind) -> bool {
        kind != FenceKind::StayIn && self.side == Side::Out && self.draft.is_none()
    }

    /// The vehicle is on the side where the fence does not want it.
    fn is_wrong(&self, kind: FenceKind) -> bool {
        match kind {
            FenceKind::KeepOut => self.side.is_in(),
            FenceKind::StayIn => matches!(self.side, Side::Out | Side::PendingIn(_)),
            FenceKind::SpeedLimit | FenceKind::Site | FenceKind::NoStop => false,
        }
    }

    /// Keeps the fixes about a crossing, for the evidence.
    pub(crate) fn note_crossing(
        &mut self,
        moment: &Moment<'_>,
        distance_mm: f64,
        before_mm: Option<f64>,
    ) {
        let is_first = matches!(
            self.side,
            Side::PendingIn(pending) | Side::PendingOut(pending) if pending.fixes == 1
        );
        if is_first {
            self.onset_fixes.clear();
            self.onset_fixes
                .extend(moment.before.map(|fix| evidence(fix, before_mm)));
        }
        if self.onset_fixes.len() < ONSET_FIXES_MAX - 1 {
            self.onset_fixes
                .push(evidence(moment.fix, Some(distance_mm)));
        }
    }

    /// Judges one fix after the side is known. `was_pending` is about the side before the fix.
    pub(crate) fn judge(
        &mut self,
        subject: &Subject<'_>,
        fence: &Fence,
        moment: &Moment<'_>,
        change: Change,
        was_pending: bool,
        ended: &mut Ended<'_>,
    ) {
        let at = moment.fix.at;
        match change {
            Change::Entered(_) | Change::Left(_) => self.is_armed = true,
            Change::Found => self.is_armed = false,
            Change::None => {}
        }
        if !self.is_wrong(fence.kind) {
            self.clock = None;
            if let Some(draft) = self.draft.take() {
                let back = match change {
                    Change::Entered(crossed) | Change::Left(crossed) => crossed,
                    Change::Found | Change::None => at,
                };
                if back - draft.violation.started_at.0 < dwell_ms(fence) {
                    // It opened in time that its last fix spoke for, and was back by then.
                    ended.dropped.push(*draft);
                } else {
                    let proof = self.proof(fence, moment.fix);
                    ended.closed.push(draft.close(back, Some(proof)));
                }
            }
            return;
        }
        if !self.is_armed {
            return;
        }
        if !fence.schedule.holds(Timestamp(at)) {
            self.clock = None;
            if let Some(draft) = self.draft.take() {
                let proof = self.proof(fence, moment.fix);
                ended.closed.push(draft.close(at, Some(proof)));
            }
            return;
        }
        self.count(moment, change, was_pending);
        self.open_if_due(subject, fence, moment.fix, at);
        let is_sure = !self.side.is_pending();
        if let Some(draft) = self.draft.as_deref_mut().filter(|_| is_sure) {
            let distance_mm = fence.shape.signed_distance_mm(moment.fix.point);
            draft.worsen(distance_mm.abs() / 1e3, || {
                evidence(moment.fix, Some(distance_mm))
            });
        }
    }

    fn count(&mut self, moment: &Moment<'_>, change: Change, was_pending: bool) {
        let at = moment.fix.at;
        if let Change::Entered(crossed) | Change::Left(crossed) = change {
            self.clock = Some(Clock {
                onset: crossed,
                observed: at - crossed,
            });
            return;
        }
        let Some(clock) = &mut self.clock else {
            // The hours of the fence have begun while the vehicle was there already.
            self.onset_fixes.clear();
            self.onset_fixes.push(evidence(moment.fix, None));
            self.clock = Some(Clock {
                onset: at,
                observed: 0,
            });
            return;
        };
        clock.observed += match (was_pending, self.side.is_pending()) {
            (false, false) => moment.connected_ms.unwrap_or(0),
            // The first doubt: the fix before speaks for a little of the time behind it.
            (false, true) => moment.connected_ms.unwrap_or(0).min(Parameters::HOLD_MS),
            (true, _) => 0,
        };
    }

    fn open_if_due(&mut self, subject: &Subject<'_>, fence: &Fence, fix: &Fix, confirmed: i64) {
        let dwell_ms = dwell_ms(fence);
        let Some(clock) = self.clock.filter(|clock| clock.observed >= dwell_ms) else {
            return;
        };
        if self.draft.is_some() {
            return;
        }
        let kind = match fence.kind {
            FenceKind::StayIn => ViolationKind::StayIn,
            _ => ViolationKind::KeepOut,
        };
        let distance_mm = fence.shape.signed_distance_mm(fix.point);
        let proof = evidence(fix, Some(distance_mm));
        if !self.onset_fixes.contains(&proof) && self.onset_fixes.len() < ONSET_FIXES_MAX {
            self.onset_fixes.push(proof);
        }
        let sigma_mm = fix.sigma_mm();
        let opening = Opening {
            kind,
            rule: rule(fence),
            fingerprint: fence.fingerprint,
            onset: clock.onset,
            confirmed,
            onset_fixes: &self.onset_fixes,
            thresholds: &[
                ("dwell_s", seconds(dwell_ms)),
                ("confirm_s", seconds(fence.parameters.confirm_ms)),
                (
                    "boundary_margin_m",
                    fence.parameters.hysteresis_mm(sigma_mm) / 1e3,
                ),
                ("fix_accuracy_m", sigma_mm / 1e3),
            ],
            place: None,
        };
        self.draft = Draft::open(subject, &opening).map(|mut draft| {
            draft.worsen(distance_mm.abs() / 1e3, || evidence(fix, Some(distance_mm)));
            Box::new(draft)
        });
    }

    /// When the violation opens without another fix: the last one speaks for a little of the time
    /// behind it.
    pub(crate) fn due(&self, fence: &Fence, last: &Fix) -> Option<i64> {
        let clock = self
            .clock
            .filter(|_| self.draft.is_none() && self.is_armed)?;
        if self.side.is_pending() || !self.is_wrong(fence.kind) {
            return None;
        }
        let left = dwell_ms(fence) - clock.observed;
        let due = last.at + left;
        ((0..=Parameters::HOLD_MS).contains(&left) && fence.schedule.holds(Timestamp(due)))
            .then_some(due)
    }

    /// Opens what is due by a moment without another fix.
    pub(crate) fn advance(&mut self, subject: &Subject<'_>, fence: &Fence, last: &Fix, until: i64) {
        let Some(due) = self.due(fence, last).filter(|due| *due <= until) else {
            return;
        };
        let observed = self.clock;
        if let Some(clock) = &mut self.clock {
            clock.observed += due - last.at;
        }
        self.open_if_due(subject, fence, last, due);
        // The fix behind it counts the same time again.
        self.clock = observed;
    }

    /// Ends what is open when its fence is no longer there.
    pub(crate) fn abandon(&mut self, last: Option<&Fix>) -> Option<Draft> {
        let draft = self.draft.take()?;
        let at = last.map_or(draft.violation.confirmed_at.0, |fix| fix.at);
        Some(draft.close(at, None))
    }

    fn proof(&self, fence: &Fence, fix: &Fix) -> EvidenceFix {
        evidence(fix, Some(fence.shape.signed_distance_mm(fix.point)))
    }
}

impl From<&Draft> for Violation {
    fn from(draft: &Draft) -> Self {
        draft.violation.clone()
    }
}

pub(crate) fn dwell_ms(fence: &Fence) -> i64 {
    fence.parameters.dwell_ms.unwrap_or(match fence.kind {
        FenceKind::StayIn => Parameters::STAY_IN_MS,
        _ => Parameters::KEEP_OUT_MS,
    })
}

/// The fence as a rule.
pub(crate) fn rule(fence: &Fence) -> Rule {
    Rule {
        id: fence.id.clone(),
        version: fence.version,
        name: fence.name.clone(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "at most a day")]
pub(crate) fn seconds(millis: i64) -> f64 {
    millis as f64 / 1e3
}
