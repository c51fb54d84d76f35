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

use std::{ops::Range, sync::Arc};

use super::fence::Fence;
use crate::geometry::{Point, Raster};

/// More changed fences than this are merged into the raster, whoever waits for it.
pub(super) const CHANGED_MAX: usize = 256;
/// With so many it is time to merge them, while nobody waits.
const GROWN: usize = 64;
const GONE: u32 = u32::MAX;

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
        let shapes = own_places
            .iter()
            .filter_map(|place| fences.get(*place as usize))
            .map(|fence| &fence.shape);
        let raster = Raster::build(shapes, Raster::COARSE);
        Self {
            raster: Arc::clone(&self.raster),
            overlay: Some(Arc::new(Overlay {
                places,
                raster,
                own_places,
            })),
        }
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

fn index(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(GONE)
}
