//! Attendance: late start and early end of a shift.
//!
//! ```text
//!            seen outside for 15 min               seen inside, or the shift ends
//!  awaited ───────────────────────────▶ late ─────────────────────────────────────▶ there
//!     │ seen inside                                                                 ▲ │ outside
//!     └──────────────────────────────────▶ there ───────────────────────────────────┘ ▼
//!                                                              seen inside ◀──────── gone
//!                                                                                     │ the shift ends
//!                          early end, when gone for 15 min, all of it seen, and seen  ▼
//!                          outside near the end
//! ```
//!
//! Both count time in which the subject was seen outside. Whoever was not seen is neither late nor
//! gone: that is silence.

use super::{
    draft::{Draft, Opening, evidence},
    duty::{Post, Sight},
    presence::{Clock, seconds},
    silence::minutes,
};
use crate::{
    track::fix::Fix,
    units::Timestamp,
    violation::{EvidenceFix, ViolationKind},
};

/// The state of the check for one duty.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Attendance {
    /// The subject was seen in the duty area.
    pub(crate) is_there: bool,
    /// Seen outside before.
    pub(crate) awaited_ms: i64,
    /// Since when the subject is gone, and seen outside since then.
    pub(crate) gone: Option<Clock>,
    /// When it was seen outside last.
    pub(crate) outside_at: i64,
    /// The first fixes outside.
    pub(crate) onset_fixes: Vec<EvidenceFix>,
    pub(crate) late: Option<Box<Draft>>,
}

impl Attendance {
    pub(crate) fn judge(&mut self, post: &Post<'_>, sight: &Sight<'_>, closed: &mut Vec<Draft>) {
        if let Some(since) = sight.is_inside_since {
            self.is_there = true;
            self.gone = None;
            self.close_late(since, Some(sight.fix), closed);
        } else if let Some((from, to)) = sight.outside {
            self.outside_at = to;
            if self.is_there {
                self.be_gone(sight, from, to);
            } else {
                self.wait(post, sight, from, to);
            }
        }
    }

    fn wait(&mut self, post: &Post<'_>, sight: &Sight<'_>, from: i64, to: i64) {
        if self.awaited_ms == 0 {
            self.note(sight);
        }
        self.awaited_ms += to - from;
        let limit = post.parameters().late_start_ms;
        let is_checked = post.checks(ViolationKind::LateStart);
        if self.awaited_ms < limit || self.late.is_some() || !is_checked {
            return;
        }
        self.onset_fixes
            .push(evidence(sight.fix, Some(sight.distance_mm)));
        let confirmed = to - (self.awaited_ms - limit);
        let opening = Opening {
            kind: ViolationKind::LateStart,
            rule: post.rule(),
            fingerprint: post.fingerprint(),
            onset: post.from,
            confirmed,
            onset_fixes: &self.onset_fixes,
            thresholds: &[
                ("late_start_s", seconds(limit)),
                ("post_margin_m", post.parameters().post_margin_mm / 1e3),
            ],
            place: None,
        };
        self.late = Draft::open(post.subject, &opening).map(|mut draft| {
            draft.violation.worst = minutes(confirmed - post.from);
            Box::new(draft)
        });
    }

    fn be_gone(&mut self, sight: &Sight<'_>, from: i64, to: i64) {
        if self.gone.is_none() {
            self.note(sight);
        }
        let clock = self.gone.get_or_insert(Clock {
            onset: from,
            observed: 0,
        });
        clock.observed += to - from;
    }

    fn note(&mut self, sight: &Sight<'_>) {
        self.onset_fixes.clear();
        self.onset_fixes
            .extend(sight.before.map(|fix| evidence(fix, None)));
        self.onset_fixes
            .push(evidence(sight.fix, Some(sight.distance_mm)));
    }

    fn close_late(&mut self, at: i64, fix: Option<&Fix>, closed: &mut Vec<Draft>) {
        if let Some(mut draft) = self.late.take() {
            let started_at = draft.violation.started_at;
            draft.violation.worst = minutes(Timestamp(at).millis_since(started_at));
            closed.push(draft.close(at, fix.map(|fix| evidence(fix, None))));
        }
    }

    /// The shift ends; `at` is before its end when its rule is no longer there.
    pub(crate) fn finish(&mut self, at: i64, last: Option<&Fix>, closed: &mut Vec<Draft>) {
        self.close_late(at, last, closed);
    }

    /// Says at the end of the shift whether the subject had left early.
    pub(crate) fn decide(&mut self, post: &Post<'_>, last: Option<&Fix>, closed: &mut Vec<Draft>) {
        let limit = post.parameters().early_end_ms;
        let Some(gone) = self.gone.take() else { return };
        let is_early = post.to - gone.onset >= limit && gone.observed >= limit;
        let is_seen = self.outside_at >= post.to - limit;
        if !is_early || !is_seen || !post.checks(ViolationKind::EarlyEnd) {
            return;
        }
        let opening = Opening {
            kind: ViolationKind::EarlyEnd,
            rule: post.rule(),
            fingerprint: post.fingerprint(),
            onset: gone.onset,
            confirmed: post.to,
            onset_fixes: &self.onset_fixes,
            thresholds: &[
                ("early_end_s", seconds(limit)),
                ("post_margin_m", post.parameters().post_margin_mm / 1e3),
            ],
            place: None,
        };
        closed.extend(Draft::open(post.subject, &opening).map(|mut draft| {
            draft.violation.worst = minutes(post.to - gone.onset);
            draft.measure("seen_outside_min", minutes(gone.observed));
            draft.close(post.to, last.map(|fix| evidence(fix, None)))
        }));
    }
}
