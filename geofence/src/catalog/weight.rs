//! About how many bytes of the memory the parts of a catalog take.
//!
//! Lengths count, not capacities: so the same text always weighs the same.

use std::sync::Arc;

use super::{
    Grids, Routes,
    audience::Audience,
    fence::{AppliesTo, Fence},
    route::ExemptSites,
    vehicle::Vehicle,
    work_rule::{AllowedSites, Demand, StopDemand, WorkRule},
};

/// The counts of an [`Arc`].
const COUNTS: usize = 2 * size_of::<usize>();

/// The elements of a list with what each of them takes beside its own size.
pub(super) fn sum<T>(all: &[T], heap: impl Fn(&T) -> usize) -> usize {
    size_of_val(all) + all.iter().map(heap).sum::<usize>()
}

/// A map of so many entries: a power of two of places, of which at most 7 of 8 are taken, with a byte
/// beside each.
pub(super) const fn map_bytes<T>(entries: usize) -> usize {
    if entries == 0 {
        return 0;
    }
    let places = entries.saturating_mul(8).div_ceil(7);
    places.next_power_of_two() * (size_of::<T>() + 1)
}

fn strings(all: &[String]) -> usize {
    sum(all, String::len)
}

impl AppliesTo {
    fn heap_bytes(&self) -> usize {
        strings(&self.vehicles) + strings(&self.fleets) + size_of_val(&*self.work_kinds)
    }
}

impl Fence {
    /// With all that it takes.
    pub(super) fn bytes(&self) -> usize {
        COUNTS
            + size_of::<Self>()
            + self.id.len()
            + self.name.len()
            + self.shape.heap_bytes()
            + self.applies_to.heap_bytes()
            + self.schedule.heap_bytes()
    }
}

impl Grids {
    pub(super) fn heap_bytes(&self) -> usize {
        let grids = sum(&self.all, |grid| {
            grid.code.len() + grid.name.len() + grid.shape.heap_bytes()
        });
        grids + self.raster.heap_bytes()
    }
}

impl Routes {
    pub(super) fn heap_bytes(&self) -> usize {
        let routes = sum(&self.all, |route| {
            let segments = sum(&route.segments, |segment| {
                segment.name.len() + size_of_val(&*segment.kerbs)
            });
            let points = sum(&route.points, |point| point.id.len() + point.name.len());
            let sites = match &route.exempt_sites {
                ExemptSites::All => 0,
                ExemptSites::Only(ids) => strings(ids),
            };
            let lines = route.line.heap_bytes() + route.ends_bytes();
            let texts = route.id.len() + route.name.len() + route.applies_to.heap_bytes();
            let strips = size_of_val(&*route.strips) + route.schedule.heap_bytes();
            segments + points + sites + lines + texts + strips
        });
        routes + map_bytes::<(u64, u32)>(self.by_fingerprint.len())
    }
}

impl WorkRule {
    pub(super) fn heap_bytes(&self) -> usize {
        let demand = match &self.demand {
            Demand::LongStop(StopDemand { sites, .. })
            | Demand::Idling(StopDemand { sites, .. }) => sites.heap_bytes(),
            Demand::Unloading(unloading) => unloading.sites.heap_bytes(),
            Demand::WorkSignals(signals) => size_of_val(&**signals),
            Demand::TerminalAlarms(alarms) => size_of_val(&**alarms),
            _ => 0,
        };
        let texts = self.id.len() + self.name.len() + self.applies_to.heap_bytes();
        texts + self.schedule.heap_bytes() + demand
    }
}

impl AllowedSites {
    fn heap_bytes(&self) -> usize {
        match self {
            Self::All => 0,
            Self::Only(ids) => strings(ids),
        }
    }
}

impl Vehicle {
    pub(super) const fn heap_bytes(&self) -> usize {
        self.id.len() + self.plate.len() + self.fleet.len() + self.name.len() + self.crew.len()
    }
}

/// Those who are concerned by the same fences as everybody share what says so.
pub(super) fn of_audiences(all: &[Audience]) -> usize {
    let of_nobody = all.first().and_then(Audience::concerned);
    let words = |words: &Arc<[u64]>| COUNTS + size_of_val(&**words);
    let of_first = of_nobody.map_or(0, words);
    of_first
        + sum(all, |audience| {
            let own = audience.concerned();
            let own = own.filter(|own| of_nobody.is_none_or(|first| !Arc::ptr_eq(own, first)));
            audience.places_bytes() + own.map_or(0, words)
        })
}
