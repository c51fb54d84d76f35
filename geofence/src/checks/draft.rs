//! A violation while it goes on, and the fixes that will be its evidence.

use std::collections::BTreeMap;

use crate::{
    catalog::{Catalog, Vehicle},
    identity::{TerminalId, ViolationId},
    track::fix::Fix,
    units::{Latitude, Longitude, Timestamp},
    violation::{Evidence, EvidenceFix, Rule, Violation, ViolationKind},
};

/// Fixes of evidence: around the onset, the worst, around the end.
pub(crate) const ONSET_FIXES_MAX: usize = 6;
const FIXES_MAX: usize = ONSET_FIXES_MAX + 4;

/// Who is judged, against what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) terminal: TerminalId,
    pub(crate) vehicle: Option<&'a Vehicle>,
}

/// An open violation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Draft {
    pub(crate) violation: Violation,
    /// Fingerprint of the fence or route; 0 where the rule is the vehicle's.
    pub(crate) fingerprint: u64,
    /// Where in the evidence the worst fix stands, once there is one.
    pub(crate) worst_at: Option<usize>,
    /// Others know of it, under the id that it has.
    pub(crate) is_published: bool,
}

/// What makes a draft.
pub(crate) struct Opening<'a> {
    pub(crate) kind: ViolationKind,
    pub(crate) rule: Rule,
    pub(crate) fingerprint: u64,
    pub(crate) onset: i64,
    pub(crate) confirmed: i64,
    pub(crate) onset_fixes: &'a [EvidenceFix],
    pub(crate) thresholds: &'a [(&'static str, f64)],
    /// Where it began, when that is a place of the plan and not that of a fix.
    pub(crate) place: Option<(Latitude, Longitude)>,
}

/// What ends, and how.
#[derive(Debug)]
pub(crate) struct Ended<'a> {
    /// Violations that are over.
    pub(crate) closed: &'a mut Vec<Draft>,
    /// Violations that have become another one, or turned out to be none: they are withdrawn.
    pub(crate) dropped: &'a mut Vec<Draft>,
}

impl Draft {
    /// Opens a violation; `None` without a place: neither given nor that of a fix of its onset.
    pub(crate) fn open(subject: &Subject<'_>, opening: &Opening<'_>) -> Option<Self> {
        // The place of the onset is that of the fix nearest to it in time.
        let place = opening.place.or_else(|| {
            let fixes = opening.onset_fixes.iter();
            let nearest = fixes
                .min_by_key(|fix| fix.fixed_at.millis_since(Timestamp(opening.onset)).abs())?;
            Some((nearest.latitude, nearest.longitude))
        });
        let (latitude, longitude) = place?;
        let unit_grid = subject
            .catalog
            .grid_at(latitude, longitude)
            .map(|grid| grid.code.clone());
        let thresholds: BTreeMap<String, f64> = opening
            .thresholds
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect();
        let id = ViolationId::derive(
            opening.kind,
            &opening.rule.id,
            &subject.terminal,
            Timestamp(opening.onset),
        );
        Some(Self {
            violation: Violation {
                id,
                kind: opening.kind,
                rule: opening.rule.clone(),
                terminal: subject.terminal,
                vehicle: subject.vehicle.map(|vehicle| vehicle.id.clone()),
                unit_grid,
                latitude,
                longitude,
                started_at: Timestamp(opening.onset),
                confirmed_at: Timestamp(opening.confirmed),
                ended_at: None,
                worst: 0.0,
                evidence: Evidence {
                    fixes: opening.onset_fixes.to_vec(),
                    thresholds,
                    ..Evidence::default()
                },
            },
            fingerprint: opening.fingerprint,
            worst_at: None,
            is_published: false,
        })
    }

    /// By a quarter since it was noted: what only lasts longer is not worth telling every minute.
    pub(crate) fn has_grown(&self, worst: f64) -> bool {
        worst >= self.violation.worst * 1.25
    }

    /// Notes a fix if it is the worst so far. `worst` is in the unit of the violation.
    pub(crate) fn worsen(&mut self, worst: f64, fix: impl FnOnce() -> EvidenceFix) {
        let worst = rounded(worst);
        if self.worst_at.is_some() && worst <= self.violation.worst {
            return;
        }
        self.violation.worst = worst;
        let fixes = &mut self.violation.evidence.fixes;
        let fix = fix();
        match self.worst_at.and_then(|at| fixes.get_mut(at)) {
            Some(place) => *place = fix,
            None => {
                self.worst_at = Some(fixes.len());
                fixes.push(fix);
            }
        }
    }

    /// Notes something that was measured, by name with unit.
    pub(crate) fn measure(&mut self, name: &str, value: f64) {
        let measured = &mut self.violation.evidence.measured;
        measured.insert(name.to_owned(), rounded(value));
    }

    /// Ends it at a moment, proved by a fix.
    pub(crate) fn close(mut self, ended: i64, proof: Option<EvidenceFix>) -> Self {
        self.violation.ended_at = Some(Timestamp(ended.max(self.violation.started_at.0)));
        let fixes = &mut self.violation.evidence.fixes;
        fixes.extend(proof.filter(|proof| !fixes.contains(proof)));
        fixes.sort_by_key(|fix| fix.fixed_at);
        fixes.dedup();
        fixes.truncate(FIXES_MAX);
        self
    }
}

/// A fix as evidence; `distance_mm` to the boundary where one was measured.
pub(crate) fn evidence(fix: &Fix, distance_mm: Option<f64>) -> EvidenceFix {
    EvidenceFix {
        fixed_at: Timestamp(fix.at),
        latitude: fix.latitude,
        longitude: fix.longitude,
        speed_dkmh: fix.speed_dkmh,
        heading_deg: fix.heading_deg,
        distance_m: distance_mm.map(|mm| rounded(mm / 1e3)),
        log_offset: fix.log_offset,
    }
}

/// To hundredths: finer is noise, and the text of the number then reads back to the same bits.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
