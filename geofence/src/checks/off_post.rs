//! Off-post: seen outside the duty area for so long on shift.
//!
//! ```text
//!               outside               seen for 10 min        inside for 60 s, or the shift ends
//!  at the post ─────────▶ away ─────────────────────▶ open ─────────────────────────────────────┐
//!      ▲                   │ inside for 60 s                                                     │
//!      └───────────────────┴─────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Outside is beyond the margin of the area. Shorter returns do not end an absence, their time just
//! does not count; nor does the time of a gap, and in the break that of its budget. Without data
//! nobody is off-post.

use super::{
    draft::{Draft, ONSET_FIXES_MAX, Opening, evidence},
    duty::{Post, Sight},
    presence::{Clock, seconds},
    silence::minutes,
};
use crate::{
    track::fix::Fix,
    violation::{EvidenceFix, ViolationKind},
};

/// The state of the check for one duty.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct OffPost {
    /// Of the absence: since when, and how much of it counts.
    pub(crate) clock: Option<Clock>,
    /// Since when the subject is back, in an absence.
    pub(crate) back_since: Option<i64>,
    /// Seen inside since then.
    pub(crate) back_ms: i64,
    /// Absence that the break has covered.
    pub(crate) break_ms: i64,
    pub(crate) onset_fixes: Vec<EvidenceFix>,
    pub(crate) draft: Option<Box<Draft>>,
}

impl OffPost {
    pub(crate) fn judge(&mut self, post: &Post<'_>, sight: &Sight<'_>, closed: &mut Vec<Draft>) {
        if let Some((from, to)) = sight.outside {
            (self.back_since, self.back_ms) = (None, 0);
            self.be_away(post, sight, from, to);
        } else if let Some((from, to)) = sight.inside {
            self.be_back(post, sight.fix, from, to, closed);
        }
        if let Some(draft) = self
            .draft
            .as_deref_mut()
            .filter(|_| sight.outside.is_some())
        {
            let beyond_m = -sight.distance_mm / 1e3;
            draft.worsen(beyond_m, || evidence(sight.fix, Some(sight.distance_mm)));
        }
    }

    fn be_away(&mut self, post: &Post<'_>, sight: &Sight<'_>, from: i64, to: i64) {
        let (from, counted) = self.less_break(post, from, to);
        if counted <= 0 {
            return;
        }
        if self.clock.is_none() {
            self.onset_fixes.clear();
            self.onset_fixes
                .extend(sight.before.map(|fix| evidence(fix, None)));
        }
        let clock = self.clock.get_or_insert(Clock {
            onset: from,
            observed: 0,
        });
        clock.observed += counted;
        let clock = *clock;
        let limit = post.parameters().off_post_ms;
        if self.onset_fixes.len() < 3 {
            let fix = evidence(sight.fix, Some(sight.distance_mm));
            self.onset_fixes.push(fix);
        }
        if self.draft.is_some() || clock.observed < limit {
            return;
        }
        let proof = evidence(sight.fix, Some(sight.distance_mm));
        if !self.onset_fixes.contains(&proof) && self.onset_fixes.len() < ONSET_FIXES_MAX {
            self.onset_fixes.push(proof);
        }
        let parameters = post.parameters();
        let opening = Opening {
            kind: ViolationKind::OffPost,
            rule: post.rule(),
            fingerprint: post.fingerprint(),
            onset: clock.onset,
            // Between two fixes the moment is known to which the limit was reached.
            confirmed: (to - (clock.observed - limit)).max(clock.onset),
            onset_fixes: &self.onset_fixes,
            thresholds: &[
                ("off_post_s", seconds(limit)),
                ("close_s", seconds(parameters.off_post_close_ms)),
                ("post_margin_m", parameters.post_margin_mm / 1e3),
                (
                    "break_min",
                    minutes(post.shift.rest.map_or(0, |rest| rest.budget_ms)),
                ),
            ],
            place: None,
        };
        self.draft = Draft::open(post.subject, &opening).map(|mut draft| {
            draft.measure("break_used_min", minutes(self.break_ms));
            Box::new(draft)
        });
    }

    /// Takes what is in the break out of its budget; gives when what counts begins, and how much of
    /// it there is.
    fn less_break(&mut self, post: &Post<'_>, from: i64, to: i64) -> (i64, i64) {
        let Some((began, ended, budget_ms)) = post.rest() else {
            return (from, to - from);
        };
        let within = (to.min(ended) - from.max(began)).max(0);
        let covered = within.min(budget_ms - self.break_ms).max(0);
        self.break_ms += covered;
        let start = if from < began { from } else { from + covered };
        (start, to - from - covered)
    }

    fn be_back(&mut self, post: &Post<'_>, fix: &Fix, from: i64, to: i64, closed: &mut Vec<Draft>) {
        if self.clock.is_none() {
            return;
        }
        let since = *self.back_since.get_or_insert(from);
        self.back_ms += to - from;
        if self.back_ms < post.parameters().off_post_close_ms {
            return;
        }
        (self.clock, self.back_since, self.back_ms) = (None, None, 0);
        if let Some(draft) = self.draft.take() {
            closed.push(draft.close(since, Some(evidence(fix, None))));
        }
    }

    /// The shift ends.
    pub(crate) fn finish(&mut self, at: i64, last: Option<&Fix>, closed: &mut Vec<Draft>) {
        self.clock = None;
        let ended = self.back_since.take().unwrap_or(at);
        if let Some(draft) = self.draft.take() {
            closed.push(draft.close(ended, last.map(|fix| evidence(fix, None))));
        }
    }
}
