//! Where work ends between two fixes: how much of the way may still have been work.
//!
//! ```text
//!   worked here                                  fast, or off the route, here
//!   ───●────────── may be swept ──────────▶ · · · · · · · · · · · · ▶ ●
//!      at the speed that it worked at          at the higher of both speeds
//! ```
//!
//! Who reports every second leaves nothing open. With a report every 30 s nobody knows where between
//! two of them the vehicle left the route or went faster, or when it came back to work.

use super::{PACE_MS, Quality, Trace, whole};
use crate::{checks::RouteParameters, geometry::Spot, track::fix::Fix};

/// Seen at work at one end of the way, and elsewhere at the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    /// Where it was seen at work.
    pub(super) worked: Trace,
    /// Where it was seen otherwise, millimetres along the route and aside from it.
    pub(super) other_mm: (f64, f64),
    pub(super) other_dkmh: u16,
    pub(super) elapsed_ms: i64,
}

impl Edge {
    /// Between a fix on the route and one that is off it, whichever came first.
    pub(super) fn of(worked: Trace, off: &Fix, spot: &Spot) -> Self {
        Self {
            worked,
            other_mm: (spot.along_mm, spot.distance_mm),
            other_dkmh: off.speed_dkmh,
            elapsed_ms: (worked.at - off.at).abs(),
        }
    }

    /// Between two fixes on the route.
    pub(super) fn between(worked: Trace, other: Trace) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a way along a route")]
        let along_mm = other.along_mm as f64;
        Self {
            worked,
            other_mm: (along_mm, 0.0),
            other_dkmh: other.speed_dkmh,
            elapsed_ms: (worked.at - other.at).abs(),
        }
    }

    /// From where to where it may have been swept, millimetres along the route.
    pub(super) fn may_be_swept(&self, parameters: &RouteParameters) -> Option<(i64, i64)> {
        if self.elapsed_ms < PACE_MS {
            return None;
        }
        let kmh = |dkmh: u16| f64::from(dkmh) / 10.0;
        let work_kmh = kmh(self.worked.speed_dkmh);
        if !(parameters.speed_min_kmh..=parameters.speed_max_kmh).contains(&work_kmh) {
            return None;
        }
        // Metres a second are millimetres a millisecond.
        let (work_mps, mps) = (work_kmh / 3.6, kmh(self.other_dkmh).max(work_kmh) / 3.6);
        #[expect(
            clippy::cast_precision_loss,
            reason = "half a minute, and a way along a route"
        )]
        let (elapsed_ms, from_mm) = (self.elapsed_ms as f64, self.worked.along_mm as f64);
        let (along_mm, aside_mm) = self.other_mm;
        let ahead_mm = along_mm - from_mm;
        let fits = |swept_mm: f64| {
            let rest_mm = (ahead_mm.abs() - swept_mm).hypot(aside_mm);
            swept_mm / work_mps + rest_mm / mps <= elapsed_ms
        };
        // The longer the work, the less time is left: as long as it fits.
        let (mut least, mut most) = (0.0, ahead_mm.abs());
        for _ in 0..16 {
            let middle = f64::midpoint(least, most);
            if fits(middle) {
                least = middle;
            } else {
                most = middle;
            }
        }
        let to_mm = whole(from_mm + least * ahead_mm.signum());
        let from_mm = self.worked.along_mm;
        Some((from_mm.min(to_mm), from_mm.max(to_mm)))
    }
}

/// The ends of a way that was driven too fast as a whole, each as the one where it may have worked.
pub(super) fn of_fast(quality: Quality, before: Trace, here: Trace) -> [Option<Edge>; 2] {
    let is_fast = quality == Quality::TooFast;
    [(before, here), (here, before)]
        .map(|(worked, other)| is_fast.then(|| Edge::between(worked, other)))
}
