//! Rules of work: stops, speeds of jobs, unloading, alarms of terminals.

use super::{Check, Scene, Stage, Unjudged, WhyNot, fence, target::Target};
use crate::{
    catalog::{AlarmPolicy, Demand, Machine, UnloadingDemand, WorkRule},
    checks::{
        WorkParameters, draft::rounded, motion::Rules, presence::seconds, too_fast, work::Work,
    },
    violation::ViolationKind,
};

/// What a rule may find.
pub(super) const fn kinds(demand: &Demand) -> &'static [ViolationKind] {
    match demand {
        Demand::LongStop(_) => &[ViolationKind::LongStop],
        Demand::Idling(_) => &[ViolationKind::Idling],
        Demand::WorkSpeed(_) => &[ViolationKind::TooFastToClean],
        Demand::Unloading(_) => &[ViolationKind::Unloading],
        Demand::SpeedLimit { .. } => &[ViolationKind::Speeding],
        Demand::TerminalAlarms(_) => &[ViolationKind::TerminalAlarm],
        // Without rules of their own, what the bits mean is the rule of the defaults.
        Demand::WorkSignals(_) => &[ViolationKind::TooFastToClean, ViolationKind::Unloading],
    }
}

/// `rule` is `None` for the alarms that hold without a rule.
pub(super) fn checks(
    scene: &Scene<'_>,
    target: &Target<'_>,
    rule: Option<&WorkRule>,
) -> Vec<Check> {
    let kinds = rule.map_or(&[ViolationKind::TerminalAlarm][..], |rule| {
        kinds(&rule.demand)
    });
    let check = |kind: &ViolationKind| {
        let mut check = Check::new(*kind);
        // Alarms need no place.
        let is_blind = || {
            scene
                .blind()
                .filter(|_| *kind != ViolationKind::TerminalAlarm)
        };
        check.why_not = target.why_not(scene).or_else(|| goes_before(scene, rule));
        check.why_not = check.why_not.or_else(is_blind);
        read(scene, &mut check, rule);
        check
    };
    kinds.iter().map(check).collect()
}

fn rules<'a>(scene: &Scene<'a>) -> Rules<'a> {
    Rules {
        vehicle: scene.vehicle,
        catalog: scene.catalog,
        audience: scene.catalog.audience_of(scene.vehicle),
        in_force: scene.replay.in_force.rules_in_force(),
    }
}

/// Of several rules of a kind only the nearest holds; speed limits hold side by side.
fn goes_before(scene: &Scene<'_>, rule: Option<&WorkRule>) -> Option<WhyNot> {
    let rules = rules(scene);
    let Some(rule) = rule else {
        let holds = rules.has_default_alarms(scene.at.0);
        return (!holds).then_some(WhyNot::OtherRule);
    };
    if matches!(rule.demand, Demand::SpeedLimit { .. }) {
        return None;
    }
    let is_same = |other: &&WorkRule| other.demand.as_str() == rule.demand.as_str();
    let nearest = rules.at(scene.at.0).find(is_same)?;
    (nearest.fingerprint != rule.fingerprint).then_some(WhyNot::OtherRule)
}

fn read(scene: &Scene<'_>, check: &mut Check, rule: Option<&WorkRule>) {
    let motion = &scene.state().motion;
    match rule.map(|rule| (&rule.demand, rule.fingerprint)) {
        Some((Demand::LongStop(demand) | Demand::Idling(demand), fingerprint)) => {
            stop(scene, check, fingerprint, demand.stop_ms(scene.vehicle));
        }
        Some((Demand::SpeedLimit { .. }, _)) => {
            if let Some(limit) = rule.and_then(super::super::state::rule_limit) {
                fence::speed(scene, check, &limit);
            }
        }
        Some((Demand::TerminalAlarms(policy), _)) => alarms(scene, check, policy),
        None => alarms(scene, check, &AlarmPolicy::DEFAULT),
        Some((demand, _)) if check.kind == ViolationKind::TooFastToClean => {
            signals(scene, check, Machine::is_cleaning);
            band(scene, check, demand);
            if let Some(clock) = motion.too_fast.clock {
                check.count(clock);
            }
            if scene.state().last.is_some() {
                let median_kmh = rounded(scene.state().input.median_kmh());
                check.measured.insert("median_kmh", median_kmh);
            }
        }
        Some((demand, _)) => {
            signals(scene, check, Machine::is_unloading);
            let needed_ms = match demand {
                Demand::Unloading(demand) => demand.dwell_ms,
                _ => UnloadingDemand::default().dwell_ms,
            };
            check.needed_ms = Some(needed_ms);
            check.thresholds.insert("dwell_s", seconds(needed_ms));
            if let Some(clock) = motion.unloading.clock {
                check.count(clock);
            }
        }
    }
}

/// The alarm that has been set for longest.
fn alarms(scene: &Scene<'_>, check: &mut Check, policy: &AlarmPolicy) {
    let watches = &scene.state().motion.alarms.watches;
    let set = watches
        .iter()
        .filter_map(|watch| Some((watch, policy.after_ms(watch.bit)?)));
    if let Some((watch, after_ms)) = set.min_by_key(|(watch, _)| watch.clock.onset) {
        check.count(watch.clock);
        check.needed_ms = Some(after_ms);
        check.measured.insert("alarm_bit", f64::from(watch.bit));
        check.thresholds.insert("after_s", seconds(after_ms));
    }
}

/// The band of the job; what the bits mean asks for the usual one.
fn band(scene: &Scene<'_>, check: &mut Check, demand: &Demand) {
    let (own, parameters) = match demand {
        Demand::WorkSpeed(speed) => (speed.limit_kmh, &speed.parameters),
        _ => (None, &WorkParameters::WORK_SPEED),
    };
    let needed_ms = parameters.dwell_ms.unwrap_or(WorkParameters::TOO_FAST_MS);
    check.needed_ms = Some(needed_ms);
    check.thresholds.insert("dwell_s", seconds(needed_ms));
    let close_s = seconds(parameters.close_ms);
    check.thresholds.insert("close_s", close_s);
    let usual = || scene.vehicle.and_then(too_fast::default_kmh);
    match own.or_else(usual) {
        Some(limit_kmh) => {
            let threshold_kmh = rounded(parameters.threshold_kmh(limit_kmh));
            check.thresholds.insert("limit_kmh", limit_kmh);
            check.thresholds.insert("threshold_kmh", threshold_kmh);
        }
        None => {
            let not_asked = WhyNot::Unjudged(Unjudged::NotAsked);
            check.why_not = check.why_not.or(Some(not_asked));
        }
    }
}

/// Whether the work runs: 1, or 0; nothing where it is not known.
fn signals(scene: &Scene<'_>, check: &mut Check, is_asked: impl Fn(Machine) -> bool) {
    let Some(last) = scene.state().last else {
        return;
    };
    let Some((_, signals)) = rules(scene).signals(last.at) else {
        let unknown = WhyNot::Unjudged(Unjudged::NotAsked);
        if check.kind == ViolationKind::Unloading {
            check.why_not = check.why_not.or(Some(unknown));
        }
        return;
    };
    match Work::of(signals, &last, is_asked) {
        Work::On => check.measured.insert("is_working", 1.0),
        Work::Off => check.measured.insert("is_working", 0.0),
        Work::Unknown => None,
    };
}

/// The clock of a stop.
pub(super) fn stop(scene: &Scene<'_>, check: &mut Check, fingerprint: u64, needed_ms: i64) {
    check.needed_ms = Some(needed_ms);
    check.thresholds.insert("stop_s", seconds(needed_ms));
    let long_stop = &scene.state().motion.long_stop;
    let mut watches = long_stop.watches.iter();
    if let Some(watch) = watches.find(|watch| watch.fingerprint == fingerprint) {
        check.clock(watch.clock.onset, watch.clock.observed, needed_ms);
        check.stage = if watch.is_spared {
            check.measured.insert("is_near_a_site", 1.0);
            Stage::NotArmed
        } else {
            Stage::Pending
        };
    }
}
