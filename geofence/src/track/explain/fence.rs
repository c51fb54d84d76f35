//! Fences: the side, the clock, and which limit holds.

use super::{
    super::{fix::Fix, state},
    Check, Scene, Stage, WhyNot,
    target::Target,
    work,
};
use crate::{
    catalog::{Fence, FenceKind, Route},
    checks::{
        WorkParameters,
        draft::rounded,
        membership::Side,
        presence::{dwell_ms, seconds},
        speeding::Limit,
    },
    violation::ViolationKind,
};

/// What a fence may find.
pub(super) const fn kinds(fence: &Fence) -> &'static [ViolationKind] {
    match fence.kind {
        FenceKind::StayIn => &[ViolationKind::StayIn],
        FenceKind::KeepOut => &[ViolationKind::KeepOut],
        FenceKind::SpeedLimit => &[ViolationKind::Speeding],
        FenceKind::NoStop => &[ViolationKind::LongStop],
        FenceKind::Site => &[],
    }
}

pub(super) fn checks(
    scene: &Scene<'_>,
    target: &Target<'_>,
    index: u32,
    fence: &Fence,
) -> Vec<Check> {
    let Some(kind) = kinds(fence).first() else {
        return Vec::new();
    };
    let mut check = Check::new(*kind);
    check.why_not = target.why_not(scene).or_else(|| scene.blind());
    let last = scene.state().last;
    if let Some(fix) = &last {
        measure(&mut check, fence, fix);
    }
    match fence.kind {
        FenceKind::NoStop => {
            let needed_ms = fence.parameters.dwell_ms;
            let needed_ms = needed_ms.unwrap_or(WorkParameters::STOP_MS);
            work::stop(scene, &mut check, fence.fingerprint, needed_ms);
        }
        FenceKind::SpeedLimit => {
            side(scene, &mut check, index, fence);
            let limit = fence.speed_limit_kmh.map(|limit_kmh| Limit {
                kind: *kind,
                fingerprint: fence.fingerprint,
                limit_kmh,
                priority: fence.priority,
                parameters: &fence.parameters,
                fence: Some(fence),
                work: None,
                segment: None,
            });
            if let Some(limit) = limit {
                speed(scene, &mut check, &limit);
            }
        }
        _ => presence(scene, &mut check, index, fence),
    }
    vec![check]
}

/// The speed that the vehicle of this id never exceeds.
fn own_limit_of(scene: &Scene<'_>, name: &str) -> Option<Limit<'static>> {
    let vehicles = scene.catalog.vehicles();
    state::own_limit(vehicles.iter().find(|vehicle| vehicle.id == name)?)
}

pub(super) fn own_limit(scene: &Scene<'_>, name: &str) -> Check {
    let mut check = Check::new(ViolationKind::Speeding);
    let is_it = scene.vehicle.is_some_and(|vehicle| vehicle.id == name);
    let others = (!is_it).then_some(WhyNot::NotConcerned);
    check.why_not = others.or_else(|| scene.blind());
    match own_limit_of(scene, name) {
        Some(limit) => speed(scene, &mut check, &limit),
        None => {
            let asked = WhyNot::Unjudged(super::Unjudged::NotAsked);
            check.why_not = check.why_not.or(Some(asked));
        }
    }
    check
}

/// The limit of a segment, for whoever drives on it.
pub(super) fn segment(
    scene: &Scene<'_>,
    target: &Target<'_>,
    route: &Route,
    place: usize,
) -> Check {
    let mut check = Check::new(ViolationKind::Speeding);
    check.why_not = target.why_not(scene).or_else(|| scene.blind());
    let segment = route.segments.get(place);
    let limit = segment.and_then(|segment| state::segment_limit(route, place, segment));
    if let Some(limit) = limit {
        speed(scene, &mut check, &limit);
    } else {
        let asked = WhyNot::Unjudged(super::Unjudged::NotAsked);
        check.why_not = check.why_not.or(Some(asked));
    }
    check
}

fn measure(check: &mut Check, fence: &Fence, fix: &Fix) {
    let (parameters, sigma_mm) = (&fence.parameters, fix.sigma_mm());
    let distance_m = rounded(fence.shape.signed_distance_mm(fix.point) / 1e3);
    check.measured.insert("distance_m", distance_m);
    check.measured.insert("fix_accuracy_m", sigma_mm / 1e3);
    let margin_m = parameters.hysteresis_mm(sigma_mm) / 1e3;
    check.thresholds.insert("boundary_margin_m", margin_m);
    let confirm_s = seconds(parameters.confirm_ms);
    check.thresholds.insert("confirm_s", confirm_s);
}

/// The side of the vehicle; what is not watched is outside.
fn side(scene: &Scene<'_>, check: &mut Check, index: u32, fence: &Fence) -> Option<Side> {
    scene.state().last?;
    let watch = scene
        .state()
        .watches
        .iter()
        .find(|watch| watch.fingerprint == fence.fingerprint);
    let audience = scene.catalog.audience_of(scene.vehicle);
    if watch.is_none() && !audience.is_concerned(index) {
        return None;
    }
    let side = watch.map_or(Side::Out, |watch| watch.side);
    check.side = Some(word(side));
    if let Side::PendingIn(pending) | Side::PendingOut(pending) = side {
        check
            .measured
            .insert("fixes_beyond", f64::from(pending.fixes));
        check.since = Some(super::Timestamp(pending.crossed));
    }
    Some(side)
}

pub(super) const fn word(side: Side) -> &'static str {
    match side {
        Side::Unknown => "unknown",
        Side::Out => "outside",
        Side::PendingIn(_) => "entering",
        Side::In => "inside",
        Side::PendingOut(_) => "leaving",
    }
}

fn presence(scene: &Scene<'_>, check: &mut Check, index: u32, fence: &Fence) {
    let needed_ms = dwell_ms(fence);
    check.needed_ms = Some(needed_ms);
    check.thresholds.insert("dwell_s", seconds(needed_ms));
    let Some(side) = side(scene, check, index, fence) else {
        return;
    };
    let watches = &scene.state().watches;
    let watch = watches.iter().find(|w| w.fingerprint == fence.fingerprint);
    let is_stay_in = fence.kind == FenceKind::StayIn;
    let is_wrong = if is_stay_in {
        matches!(side, Side::Out | Side::PendingIn(_))
    } else {
        side.is_in()
    };
    let is_turning = match side {
        Side::PendingIn(_) => !is_stay_in,
        Side::PendingOut(_) => is_stay_in,
        _ => false,
    };
    let Some(watch) = watch else { return };
    if let Some(clock) = watch.clock {
        check.clock(clock.onset, clock.observed, needed_ms);
    }
    check.stage = if watch.draft.is_some() {
        if side.is_pending() {
            Stage::Closing
        } else {
            Stage::Open
        }
    } else if is_wrong && !watch.is_armed {
        Stage::NotArmed
    } else if is_turning || is_wrong && watch.clock.is_some() {
        Stage::Pending
    } else {
        Stage::Quiet
    };
}

/// The clock of a limit, and whether it is the one that holds.
pub(super) fn speed(scene: &Scene<'_>, check: &mut Check, limit: &Limit<'_>) {
    let threshold_kmh = limit.parameters.threshold_kmh(limit.limit_kmh);
    let needed_ms = limit.dwell_ms();
    for (name, value) in [
        ("limit_kmh", limit.limit_kmh),
        ("threshold_kmh", rounded(threshold_kmh)),
        ("dwell_s", seconds(needed_ms)),
        ("close_s", seconds(limit.parameters.close_ms)),
    ] {
        check.thresholds.insert(name, value);
    }
    check.needed_ms = Some(needed_ms);
    let state = scene.state();
    if state.last.is_none() {
        return;
    }
    check
        .measured
        .insert("median_kmh", rounded(state.input.median_kmh()));
    let speeding = if limit.kind == ViolationKind::TooFastToClean {
        &state.motion.too_fast
    } else {
        &state.speeding
    };
    if speeding.target != Some(limit.target()) {
        let is_there = check
            .side
            .is_none_or(|side| side == "inside" || side == "leaving");
        if is_there && speeding.target.is_some() {
            check.why_not = check.why_not.or(Some(WhyNot::OtherRule));
            if let Some(other_kmh) = other_kmh(scene, speeding.target) {
                check.measured.insert("limit_that_holds_kmh", other_kmh);
            }
        }
        return;
    }
    if let Some(clock) = speeding.clock {
        check.clock(clock.onset, clock.observed, needed_ms);
        check.stage = Stage::Pending;
    }
    if speeding.draft.is_some() {
        check.stage = Stage::Open;
        if let Some(since) = speeding.kept_since {
            check.stage = Stage::Closing;
            let last_at = state.last.map_or(since, |fix| fix.at);
            check.measured.insert("kept_s", seconds(last_at - since));
        }
    }
}

/// The limit that holds instead.
fn other_kmh(scene: &Scene<'_>, target: Option<u64>) -> Option<f64> {
    let target = target?;
    if target == 0 {
        return scene.vehicle?.speed_limit_kmh;
    }
    if let Some(fence) = scene.catalog.fence_of(target) {
        return scene.catalog.fence(fence)?.speed_limit_kmh;
    }
    let Some(rule) = scene.catalog.work_rule_of(target) else {
        let mut routes = scene.catalog.routes().iter();
        let of_segments = routes.find_map(|route| {
            let mut limits = (0..).zip(&route.segments);
            limits.find_map(|(place, segment)| {
                let limit = state::segment_limit(route, place, segment)?;
                (limit.target() == target).then_some(limit.limit_kmh)
            })
        });
        return of_segments;
    };
    let rule = scene.catalog.work_rule(rule)?;
    state::rule_limit(rule).map(|limit| limit.limit_kmh)
}
