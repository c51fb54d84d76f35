//! Which fences are at a point: a raster of most of them, and an overlay of what changed since it
//! was built.
//!
//! ```text
//!  raster of all fences at one time ── places ──▶ index in the catalog, or gone
//!  raster of those that changed since ──────────▶ index in the catalog
//! ```
//!
//! The first is shared by the versions of the catalog; the second is small and built anew with every
//! edit. When it has grown, all fences are laid into a new first one.

use std::{collections::HashMap, ops::Range, sync::Arc};

use super::fence::Fence;
use crate::geometry::{Bounds, Point, Raster};

/// More changed fences than this are merged into the raster, whoever waits for it.
pub(super) const CHANGED_MAX: usize = 256;
/// With so many it is time to merge them, while nobody waits.
const GROWN: usize = 64;
const GONE: u32 = u32::MAX;
/// Cells of an overlay: 256 KiB of heads for each version, however far apart the changed fences are.
const OVERLAY_CELLS_MAX: u64 = 1 << 16;

#[derive(Clone, Debug)]
pub(super) struct FenceIndex {
    raster: Arc<Raster>,
    overlay: Option<Arc<Overlay>>,
}

#[derive(Debug)]
struct Overlay {
    /// For every fence of the raster, its index now.
    places: Vec<u32>,
    raster: Raster,
    /// The same for those of the overlay.
    own_places: Vec<u32>,
}

impl FenceIndex {
    pub(super) fn build(fences: &[Arc<Fence>]) -> Self {
        let shapes = fences.iter().map(|fence| &fence.shape);
        Self {
            raster: Arc::new(Raster::build(shapes, Raster::COARSE)),
            overlay: None,
        }
    }

    /// The index behind an edit: `gone` were replaced by `count` others at the same place. `fences`
    /// are all of them now.
    pub(super) fn edited(&self, fences: &[Arc<Fence>], gone: &Range<usize>, count: usize) -> Self {
        let moved = |place: u32| match place as usize {
            place if gone.contains(&place) => GONE,
            place if place >= gone.end => index(place - gone.len() + count),
            _ => place,
        };
        let (places, own): (Vec<u32>, Vec<u32>) = match &self.overlay {
            Some(overlay) => {
                let still = overlay.own_places.iter().map(|place| moved(*place));
                let still = still.filter(|place| *place != GONE).collect();
                let places = overlay.places.iter().map(|place| match *place {
                    GONE => GONE,
                    place => moved(place),
                });
                (places.collect(), still)
            }
            None => {
                let kept = fences.len() + gone.len() - count;
                ((0..index(kept)).map(moved).collect(), Vec::new())
            }
        };
        let new = index(gone.start)..index(gone.start + count);
        let own_places: Vec<u32> = own.into_iter().chain(new).collect();
        let gone_count = places.iter().filter(|place| **place == GONE).count();
        if own_places.len().max(gone_count) > CHANGED_MAX {
            return Self::build(fences);
        }
        self.overlaid_by(fences, places, own_places)
    }

    /// The first raster under another overlay.
    fn overlaid_by(&self, fences: &[Arc<Fence>], places: Vec<u32>, own_places: Vec<u32>) -> Self {
        let own = own_places.iter();
        let shapes = own
            .filter_map(|place| fences.get(*place as usize))
            .map(|fence| &fence.shape);
        Self {
            raster: Arc::clone(&self.raster),
            overlay: Some(Arc::new(Overlay {
                raster: Raster::within(shapes, Raster::COARSE, OVERLAY_CELLS_MAX),
                places,
                own_places,
            })),
        }
    }

    /// The index of these fences with the first raster of another catalog, of which they share most;
    /// as it is where they share too little.
    pub(super) fn beside(
        &self,
        (next, of_next): (&Self, &[Arc<Fence>]),
        fences: &[Arc<Fence>],
    ) -> Self {
        if Arc::ptr_eq(&self.raster, &next.raster) {
            return self.clone();
        }
        let places: HashMap<*const Fence, u32> = fences.iter().map(Arc::as_ptr).zip(0..).collect();
        let place = |index: usize| {
            let fence = of_next.get(index).map(Arc::as_ptr);
            let place = fence.and_then(|fence| places.get(&fence));
            place.copied().unwrap_or(GONE)
        };
        let places: Vec<u32> = match &next.overlay {
            Some(overlay) => {
                let places = overlay.places.iter();
                places.map(|index| place(*index as usize)).collect()
            }
            None => (0..of_next.len()).map(place).collect(),
        };
        let mut is_laid = vec![false; fences.len()];
        for place in &places {
            if let Some(is_laid) = is_laid.get_mut(*place as usize) {
                *is_laid = true;
            }
        }
        let own = (0..).zip(&is_laid).filter(|(_, is_laid)| !**is_laid);
        let own_places: Vec<u32> = own.map(|(place, _)| place).collect();
        let gone = places.iter().filter(|place| **place == GONE).count();
        if own_places.len().max(gone) > CHANGED_MAX {
            return self.clone();
        }
        next.overlaid_by(fences, places, own_places)
    }

    /// So many fences changed that it is time to build a new raster.
    pub(super) fn is_grown(&self) -> bool {
        let overlay = self.overlay.as_ref();
        overlay.is_some_and(|overlay| {
            let gone = overlay.places.iter().filter(|place| **place == GONE);
            overlay.own_places.len().max(gone.count()) >= GROWN
        })
    }

    /// Gives the index of every fence at a point, in no promised order.
    pub(super) fn for_each(&self, point: Point, mut found: impl FnMut(u32)) {
        let Some(overlay) = &self.overlay else {
            self.raster.for_each(point, found);
            return;
        };
        self.raster.for_each(point, |id| {
            let place = overlay.places.get(id as usize).copied();
            if let Some(place) = place.filter(|place| *place != GONE) {
                found(place);
            }
        });
        overlay.raster.for_each(point, |id| {
            if let Some(place) = overlay.own_places.get(id as usize) {
                found(*place);
            }
        });
    }

    /// How many fences are in the overlay.
    #[cfg(test)]
    pub(super) fn overlaid(&self) -> usize {
        let overlay = self.overlay.as_ref();
        overlay.map_or(0, |overlay| overlay.own_places.len())
    }
}

/// About how many bytes the index of these fences takes beside the one of another catalog from which
/// so many are different. It does not depend on when rasters were merged: an edit bears its share of
/// the next raster, and of an overlay that is half grown.
pub(super) fn bytes_beside(fences: &[Arc<Fence>], changed: usize, is_same_plane: bool) -> usize {
    let bounds = fences.iter().map(|fence| fence.shape.bounds());
    let Some(bounds) = Bounds::around(bounds.flat_map(|bounds| [bounds.low, bounds.high])) else {
        return 0;
    };
    let heads = |cells_max| Raster::head_bytes(bounds, Raster::COARSE, cells_max);
    let boundaries = fences.iter();
    let boundaries = boundaries.map(|fence| Raster::boundary_bytes(&fence.shape, Raster::COARSE));
    let boundaries: usize = boundaries.sum();
    let whole = heads(Raster::CELLS_MAX) + boundaries;
    if changed > CHANGED_MAX || !is_same_plane {
        return whole;
    }
    let overlaid = (GROWN / 2).min(fences.len());
    let overlay = heads(OVERLAY_CELLS_MAX) + boundaries / fences.len() * overlaid;
    let places = fences.len() * size_of::<u32>();
    whole / GROWN * changed.min(GROWN) + overlay + places
}

fn index(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(GONE)
}
