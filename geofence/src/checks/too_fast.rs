//! Too fast to clean: working, and faster than the job allows.
//!
//! ```text
//!  quiet ── works, above band + margin ──▶ pending ── for 20 s ──▶ open ── the band kept for 30 s ──▶ quiet
//!    ▲                                        │                      │
//!    └───── not above, or works no longer ────┘                      └── works no longer ──▶ quiet
//! ```
//!
//! The machine is that of [`super::speeding`], with the job's band as the limit: its speed is the
//! median of three, and its clocks stand still in gaps. A vehicle works when one of its cleaning
//! machines runs ([`super::work`]); where it does so makes no difference. Where the signals say
//! nothing, the rule `work_speed` says what that means: `idle`, by default; `working`, always; or
//! `on_route`, working while on one of its routes in a window of it, as far as that route asks for
//! the check of deviations.

use super::{
    motion::{DEFAULT_BAND, Seen, by_signals, is_work_speed},
    speeding::Limit,
    work::Work,
};
use crate::{
    catalog::{Demand, UnknownWork, Vehicle, WorkKind},
    checks::WorkParameters,
    violation::ViolationKind,
};

/// The band that holds now; `None` while the vehicle does not work.
pub(crate) fn band<'a>(seen: &Seen<'a>, work: Work) -> Option<Limit<'a>> {
    let at = seen.moment.fix.at;
    let asked = seen.rules.first(at, |demand| match demand {
        Demand::WorkSpeed(speed) => Some(speed),
        _ => None,
    });
    let known = seen.rules.signals(at);
    let is_working = match work {
        Work::On => true,
        Work::Off => false,
        Work::Unknown => match asked.map(|(_, speed)| speed.unknown) {
            None | Some(UnknownWork::Idle) => false,
            Some(UnknownWork::OnRoute) => seen.is_on_route,
            Some(UnknownWork::Working) => true,
        },
    };
    if !is_working {
        return None;
    }
    let own = asked.and_then(|(_, speed)| speed.limit_kmh);
    let limit_kmh = own.or_else(|| seen.subject.vehicle.and_then(default_kmh))?;
    // Without a rule of its own, the signals are the rule.
    let rule = match asked {
        Some((rule, _)) => rule,
        None if seen.rules.has(is_work_speed) => return None,
        None => known.map(|(rule, _)| rule)?,
    };
    let own = asked.map_or(DEFAULT_BAND, |(rule, _)| rule.fingerprint);
    let of_signals = known.map_or(0, |(rule, _)| rule.fingerprint);
    Some(Limit {
        kind: ViolationKind::TooFastToClean,
        fingerprint: by_signals(own, of_signals),
        limit_kmh,
        priority: 0,
        parameters: asked.map_or(&WorkParameters::WORK_SPEED, |(_, speed)| &speed.parameters),
        fence: None,
        work: Some(rule),
        segment: None,
    })
}

/// The band of a job where no rule says it.
pub(crate) fn default_kmh(vehicle: &Vehicle) -> Option<f64> {
    match vehicle.work_kind {
        WorkKind::Sweeper => Some(WorkParameters::SWEEPING_KMH),
        WorkKind::Sprinkler => Some(WorkParameters::FLUSHING_KMH),
        WorkKind::RefuseTruck | WorkKind::Inspector | WorkKind::Other => None,
    }
}
