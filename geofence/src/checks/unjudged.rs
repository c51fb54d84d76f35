//! Why a rule of duty is not judged at a moment. That is a state, never a violation.

use super::{
    DutyChecks, DutyParameters,
    draft::Subject,
    duty::{Since, checks},
};
use crate::{
    catalog::{Duty, Standing},
    track::fix::Fix,
    units::Timestamp,
    violation::ViolationKind,
};

/// Why a rule says nothing about a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unjudged {
    /// No vehicle of the catalog carries the terminal.
    NoVehicle,
    /// No assignment concerns the vehicle.
    NoAssignment,
    /// No shift of the vehicle holds at the moment.
    OffShift,
    /// A shift holds, and the rule is about the time outside.
    OnShift,
    /// The rule or shift does not ask for it.
    NotAsked,
    /// The assignment names no duty area.
    NoDutyArea,
    /// The duty area is no responsibility grid: it has no unit grids to visit.
    NoUnitGrids,
    /// The rule is newer than the beginning of the shift: it judges from the next one on.
    TooNew,
    /// Nothing was ever received: neither presence nor absence is known.
    NeverHeard,
    /// Nothing has been received for so long that the subject is not expected any more.
    Lost,
    /// Nothing is known of this time: it is neither presence nor absence.
    Unobserved,
    /// It is decided at the end of the shift, or behind it.
    AtTheEnd,
}

impl Unjudged {
    /// The word that JSON uses.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NoVehicle => "no_vehicle",
            Self::NoAssignment => "no_assignment",
            Self::OffShift => "off_shift",
            Self::OnShift => "on_shift",
            Self::NotAsked => "not_asked",
            Self::NoDutyArea => "no_duty_area",
            Self::NoUnitGrids => "no_unit_grids",
            Self::TooNew => "too_new",
            Self::NeverHeard => "never_heard",
            Self::Lost => "lost",
            Self::Unobserved => "unobserved",
            Self::AtTheEnd => "at_the_end",
        }
    }
}

/// Without a fix for so long a moment is not observed.
const OBSERVED_MS: i64 = 120_000;

/// For each kind of duty that is not judged at a moment, why. `last` is the newest fix: of earlier
/// moments than that nothing is said about what was observed.
pub(crate) fn unjudged(
    subject: &Subject<'_>,
    last: Option<&Fix>,
    since: Since<'_>,
    at: Timestamp,
) -> Vec<(ViolationKind, Unjudged)> {
    let standing = subject.catalog.standing(&subject.terminal, at);
    let why = |kind| match &standing {
        Standing::NoVehicle => Some(Unjudged::NoVehicle),
        Standing::NoAssignment => Some(Unjudged::NoAssignment),
        Standing::Off(_) if kind == ViolationKind::OutsideHours => {
            off_shift(subject, last, since, at)
        }
        Standing::Off(_) => Some(Unjudged::OffShift),
        Standing::On(_) if kind == ViolationKind::OutsideHours => Some(Unjudged::OnShift),
        Standing::On(duty) => on_shift(kind, subject, duty, last, since, at),
    };
    let kinds = DutyChecks::KINDS.into_iter();
    kinds.filter_map(|kind| Some((kind, why(kind)?))).collect()
}

fn off_shift(
    subject: &Subject<'_>,
    last: Option<&Fix>,
    since: Since<'_>,
    at: Timestamp,
) -> Option<Unjudged> {
    let duties = subject.catalog.duties();
    let roster = duties.roster_of(subject.vehicle?)?;
    let (_, shift) = duties.resolve(roster.first()?)?;
    if !checks(shift, subject.vehicle).has(ViolationKind::OutsideHours) {
        return Some(Unjudged::NotAsked);
    }
    if duties.is_work_time(roster, at, shift.parameters.hours_margin_ms) {
        return Some(Unjudged::OnShift);
    }
    if since(roster.fingerprint) > at.0 {
        return Some(Unjudged::TooNew);
    }
    unobserved(last, at)
}

fn on_shift(
    kind: ViolationKind,
    subject: &Subject<'_>,
    duty: &Duty<'_>,
    last: Option<&Fix>,
    since: Since<'_>,
    at: Timestamp,
) -> Option<Unjudged> {
    if !checks(duty.shift, subject.vehicle).has(kind) {
        return Some(Unjudged::NotAsked);
    }
    if kind != ViolationKind::Silence {
        let Some(area) = duty.area else {
            return Some(Unjudged::NoDutyArea);
        };
        if kind == ViolationKind::PatrolCoverage && area.grids.is_empty() {
            return Some(Unjudged::NoUnitGrids);
        }
    }
    if since(duty.assignment.fingerprint) > duty.from.0 {
        return Some(Unjudged::TooNew);
    }
    let Some(fix) = last else {
        // Where he is nobody knows; that he is silent is known.
        return (kind != ViolationKind::Silence).then_some(Unjudged::NeverHeard);
    };
    if duty.from.0 - fix.at > DutyParameters::LOST_MS {
        return Some(Unjudged::Lost);
    }
    match kind {
        ViolationKind::EarlyEnd | ViolationKind::PatrolCoverage => Some(Unjudged::AtTheEnd),
        ViolationKind::Silence => None,
        _ => unobserved(last, at),
    }
}

fn unobserved(last: Option<&Fix>, at: Timestamp) -> Option<Unjudged> {
    match last {
        None => Some(Unjudged::NeverHeard),
        Some(fix) if at.0 - fix.at > OBSERVED_MS => Some(Unjudged::Unobserved),
        Some(_) => None,
    }
}
