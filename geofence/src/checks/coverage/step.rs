//! What a step between two fixes is: possible at all, work or not, and at which kerb.

use super::{PACE_MS, Quality, Trace};
use crate::{
    catalog::{Kerb, Route, UnknownSweep},
    checks::work::Work,
    geometry::Spot,
    track::fix::Fix,
};

/// Farther from the line than its reach and so many deviations nothing is swept for sure.
const DOUBT_SIGMAS: f64 = 3.0;
/// Progress may exceed what the speed allows by this, and two deviations.
const PROGRESS_FACTOR: f64 = 1.3;

/// From the line, positive on the left hand.
pub(super) const fn offset_mm(spot: &Spot) -> f64 {
    if spot.is_left {
        spot.distance_mm
    } else {
        -spot.distance_mm
    }
}

/// Whether the vehicle can have driven from the one to the other, on the route or off it.
pub(super) fn is_possible(before: Trace, spot: &Spot, fix: &Fix) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "half a minute, and its way")]
    let (along_mm, aside_mm, elapsed_ms) = (
        before.along_mm as f64,
        before.offset_mm as f64,
        (fix.at - before.at).max(1) as f64,
    );
    let way_mm = (spot.along_mm - along_mm).hypot(offset_mm(spot) - aside_mm);
    let fastest_kmh = f64::from(before.speed_dkmh.max(fix.speed_dkmh)) / 10.0;
    way_mm <= PROGRESS_FACTOR * fastest_kmh / 3.6 * elapsed_ms + 2.0 * fix.sigma_mm()
}

/// Whether the way between two fixes on the route was work.
pub(super) fn quality(before: Trace, here: Trace, fix: &Fix, route: &Route) -> Quality {
    let parameters = &route.parameters;
    #[expect(clippy::cast_precision_loss, reason = "half a minute, and its way")]
    let (way_mm, elapsed_ms) = (
        (here.along_mm - before.along_mm).abs() as f64,
        (here.at - before.at).max(1) as f64,
    );
    let speeds = [before.speed_dkmh, here.speed_dkmh].map(|dkmh| f64::from(dkmh) / 10.0);
    let mean_kmh = speeds.iter().sum::<f64>() / 2.0;
    let fastest_kmh = speeds.iter().copied().fold(0.0, f64::max);
    // Millimetres in a millisecond are metres in a second.
    let progress_kmh = way_mm / elapsed_ms * 3.6;
    let pace_kmh = if here.at - before.at >= PACE_MS {
        progress_kmh
    } else {
        mean_kmh
    };
    let sigma_mm = fix.sigma_mm();
    if fastest_kmh.max(pace_kmh) < parameters.speed_min_kmh {
        // It stands: nothing is swept, and nothing is spoilt.
        return Quality::Work;
    }
    #[expect(clippy::cast_precision_loss, reason = "within the corridor")]
    let aside_mm = before.offset_mm.abs().max(here.offset_mm.abs()) as f64;
    if aside_mm > parameters.sweep_reach_mm + DOUBT_SIGMAS * sigma_mm {
        return Quality::Nothing;
    }
    let is_near = aside_mm <= parameters.sweep_reach_mm + sigma_mm;
    let is_idle = match before.work {
        Work::On => false,
        Work::Off => true,
        Work::Unknown => route.unknown_work == UnknownSweep::Idle,
    };
    let is_unknown = before.work == Work::Unknown && route.unknown_work == UnknownSweep::Unobserved;
    if is_idle {
        Quality::Idle
    } else if pace_kmh > parameters.speed_max_kmh {
        Quality::TooFast
    } else if is_unknown || !is_near {
        Quality::Unknown
    } else {
        Quality::Work
    }
}

/// The kerb that was swept.
pub(super) fn side(before: Trace, here: Trace, direction: i64, sigma_mm: f64) -> Kerb {
    #[expect(clippy::cast_precision_loss, reason = "within the corridor")]
    let offset_mm = (before.offset_mm + here.offset_mm) as f64 / 2.0;
    let is_left = if offset_mm.abs() > sigma_mm {
        offset_mm > 0.0
    } else {
        direction < 0
    };
    if is_left { Kerb::Left } else { Kerb::Right }
}
