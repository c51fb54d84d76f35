//! Silence: nothing received for so long on shift. It proves nothing else.
//!
//! ```text
//!  quiet ── no report for 10 min on shift ──▶ open ── next report, or the shift ends ──▶ quiet
//! ```
//!
//! What counts is when reports were made, not when they came: a backlog that fills the silence
//! withdraws it. A report without a place is heard like any other. Of whom nothing was ever received
//! the silence is where he should be.

use super::{
    draft::{Draft, Opening, evidence},
    duty::Post,
    presence::seconds,
};
use crate::{geometry::Point, track::fix::Fix, units::Timestamp, violation::ViolationKind};

/// The state of the check for one duty.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Silence {
    /// The newest report of the duty, or when it began, or since when anybody listens.
    pub(crate) heard_at: Option<i64>,
    pub(crate) draft: Option<Box<Draft>>,
}

impl Silence {
    /// When it opens without a fix.
    pub(crate) fn due(&self, post: &Post<'_>) -> Option<i64> {
        let due = self.heard_at? + post.parameters().silence_ms;
        (self.draft.is_none() && due < post.to).then_some(due)
    }

    /// Opens it; `last` is the newest fix of all.
    pub(crate) fn open(&mut self, post: &Post<'_>, at: i64, last: Option<&Fix>) {
        let Some(heard_at) = self.heard_at else {
            return;
        };
        let proof: Vec<_> = last.map(|fix| evidence(fix, None)).into_iter().collect();
        let expected = post.place();
        // Somewhere in the city, when even the catalog does not know.
        let middle = || {
            let plane = post.subject.catalog.plane();
            plane.place(Point { x: 0, y: 0 })
        };
        let opening = Opening {
            kind: ViolationKind::Silence,
            rule: post.rule(),
            fingerprint: post.fingerprint(),
            onset: heard_at,
            confirmed: at,
            onset_fixes: &proof,
            thresholds: &[("silence_s", seconds(post.parameters().silence_ms))],
            place: last.is_none().then(|| expected.unwrap_or_else(middle)),
        };
        self.draft = Draft::open(post.subject, &opening).map(|mut draft| {
            draft.violation.worst = minutes(at - heard_at);
            if last.is_none() && expected.is_none() {
                draft.violation.unit_grid = None;
            }
            Box::new(draft)
        });
    }

    /// A report was received, whatever it is worth.
    pub(crate) fn hear(&mut self, fix: &Fix, closed: &mut Vec<Draft>) {
        self.close(fix.at, Some(fix).filter(|fix| fix.is_placed), closed);
        self.heard_at = Some(fix.at);
    }

    /// The silence or the shift ends.
    pub(crate) fn close(&mut self, at: i64, fix: Option<&Fix>, closed: &mut Vec<Draft>) {
        if let Some(mut draft) = self.draft.take() {
            let started_at = draft.violation.started_at;
            draft.violation.worst = minutes(Timestamp(at).millis_since(started_at));
            closed.push(draft.close(at, fix.map(|fix| evidence(fix, None))));
        }
    }
}

/// Minutes, to hundredths.
pub(crate) fn minutes(millis: i64) -> f64 {
    super::draft::rounded(seconds(millis) / 60.0)
}
