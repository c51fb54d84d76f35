//! Working outside hours: moving outside every shift, off the sites.
//!
//! ```text
//!  quiet ── moves ──▶ moving ── 300 m, or 3 min ──▶ open ── stopped for 10 min ──▶ quiet
//!                       │ stopped for 10 min          │ hours begin
//!                       ▼                             ▼
//!                     quiet                         quiet
//! ```
//!
//! Motion is what two fixes that no gap parts have seen, faster than a parked vehicle wobbles.
//! Whoever moves in a site (depot, station) stands. In a gap all clocks stand still.

use super::{
    DutyParameters,
    draft::{Draft, Opening, Subject, evidence},
    presence::{Moment, seconds},
};
use crate::{
    track::fix::Fix,
    violation::{EvidenceFix, Rule, ViolationKind},
};

/// Slower stands: 0.8 m/s, and 1.5 m/s with the ignition off.
const STILL_KMH: f64 = 2.9;
const STILL_OFF_KMH: f64 = 5.4;

/// The state of the check for one vehicle.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct OutsideHours {
    /// Since when it moves.
    pub(crate) onset: Option<i64>,
    pub(crate) moved_mm: i64,
    pub(crate) motion_ms: i64,
    /// Since when it stands again, and how long that was seen.
    pub(crate) stopped_since: Option<i64>,
    pub(crate) stopped_ms: i64,
    pub(crate) onset_fixes: Vec<EvidenceFix>,
    pub(crate) draft: Option<Box<Draft>>,
}

/// What the check is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hours<'a> {
    pub(crate) parameters: &'a DutyParameters,
    /// Of the roster.
    pub(crate) fingerprint: u64,
    /// The fix lies in the hours of a shift.
    pub(crate) is_work_time: bool,
    /// The fix lies in a site.
    pub(crate) is_in_site: bool,
    /// The median of the last three speeds.
    pub(crate) median_kmh: f64,
}

impl OutsideHours {
    pub(crate) fn judge(
        &mut self,
        subject: &Subject<'_>,
        hours: &Hours<'_>,
        moment: &Moment<'_>,
        closed: &mut Vec<Draft>,
    ) {
        if hours.is_work_time {
            self.finish(moment.before, closed);
            return;
        }
        let fix = moment.fix;
        let (Some(before), Some(elapsed_ms)) = (moment.before, moment.connected_ms) else {
            return;
        };
        let still_kmh = if fix.is_acc_on {
            STILL_KMH
        } else {
            STILL_OFF_KMH
        };
        if hours.median_kmh >= still_kmh && !hours.is_in_site {
            self.go(before, fix, elapsed_ms);
            self.open_if_due(subject, hours, fix);
        } else if self.onset.is_some() {
            let since = *self.stopped_since.get_or_insert(before.at);
            self.stopped_ms += elapsed_ms;
            if self.stopped_ms >= hours.parameters.hours_close_ms {
                self.close(since, Some(fix), closed);
            }
        }
    }

    fn go(&mut self, before: &Fix, fix: &Fix, elapsed_ms: i64) {
        if self.onset.is_none() {
            self.onset_fixes.clear();
            self.onset_fixes.push(evidence(before, None));
        }
        self.onset.get_or_insert(before.at);
        (self.stopped_since, self.stopped_ms) = (None, 0);
        self.motion_ms += elapsed_ms;
        #[expect(clippy::cast_possible_truncation, reason = "a way of minutes")]
        let way_mm = before.point.distance_mm(fix.point).round() as i64;
        self.moved_mm += way_mm;
    }

    fn open_if_due(&mut self, subject: &Subject<'_>, hours: &Hours<'_>, fix: &Fix) {
        let parameters = hours.parameters;
        let moved_m = seconds(self.moved_mm);
        if let Some(draft) = self.draft.as_deref_mut() {
            draft.violation.worst = super::draft::rounded(moved_m);
            draft.measure("motion_s", seconds(self.motion_ms));
            return;
        }
        let is_work = moved_m >= parameters.hours_m || self.motion_ms >= parameters.hours_motion_ms;
        let Some(onset) = self.onset.filter(|_| is_work) else {
            return;
        };
        self.onset_fixes.push(evidence(fix, None));
        let opening = Opening {
            kind: ViolationKind::OutsideHours,
            rule: rule(subject),
            fingerprint: hours.fingerprint,
            onset,
            confirmed: fix.at,
            onset_fixes: &self.onset_fixes,
            thresholds: &[
                ("moved_m", parameters.hours_m),
                ("motion_s", seconds(parameters.hours_motion_ms)),
                ("close_s", seconds(parameters.hours_close_ms)),
                ("margin_s", seconds(parameters.hours_margin_ms)),
            ],
            place: None,
        };
        self.draft = Draft::open(subject, &opening).map(|mut draft| {
            draft.violation.worst = super::draft::rounded(moved_m);
            draft.measure("motion_s", seconds(self.motion_ms));
            Box::new(draft)
        });
    }

    /// Ends everything; `last` is the newest fix outside hours.
    pub(crate) fn finish(&mut self, last: Option<&Fix>, closed: &mut Vec<Draft>) {
        let onset = self.onset.unwrap_or_default();
        let ended = self.stopped_since.or_else(|| last.map(|fix| fix.at));
        self.close(ended.unwrap_or(onset), last, closed);
    }

    fn close(&mut self, ended: i64, proof: Option<&Fix>, closed: &mut Vec<Draft>) {
        let draft = std::mem::take(self).draft;
        closed.extend(draft.map(|draft| draft.close(ended, proof.map(|fix| evidence(fix, None)))));
    }
}

/// The hours of the vehicle as a rule.
fn rule(subject: &Subject<'_>) -> Rule {
    let vehicle = subject.vehicle;
    let id = vehicle.map_or("", |vehicle| &vehicle.id);
    let plate = vehicle.map_or("", |vehicle| &vehicle.plate);
    Rule {
        id: format!("hours:{id}"),
        version: 1,
        name: if plate.is_empty() { id } else { plate }.to_owned(),
    }
}
