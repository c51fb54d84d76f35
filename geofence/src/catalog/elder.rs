//! An elder catalog that is kept beside the one that followed it: what both say alike is there once.

use std::{collections::HashMap, sync::Arc};

use super::{
    Catalog, Grids, Routes,
    duty::Duties,
    fence::Fence,
    fence_index,
    texts::Kind,
    vehicle::Vehicle,
    weight::{map_bytes, of_audiences, sum},
    work_rule::WorkRules,
};

/// An elder catalog beside the one that followed it.
pub(crate) struct Beside {
    pub(crate) catalog: Catalog,
    /// About how many bytes it takes beside the next one: within a factor of 2 where they are some
    /// (`tests/elder.rs`). They follow from what both say alone, however they were made.
    pub(crate) bytes: usize,
    /// Both had something of their own that says the same. Who shared that with the elder one before
    /// has to be laid beside it again, or it stays in memory.
    pub(crate) has_moved: bool,
}

impl Catalog {
    /// This catalog with the parts of the next one that are the same as its own.
    pub(crate) fn beside(&self, next: &Self) -> Beside {
        let mut own = self.clone();
        let moved = &mut false;
        let is_same_plane = self.plane == next.plane;
        let is_same = |kind| self.texts.has_same(kind, &next.texts);
        let is_same_there = |kind| is_same_plane && is_same(kind);
        let of_duty = [
            Kind::UnitGrids,
            Kind::Vehicles,
            Kind::Calendar,
            Kind::Shifts,
            Kind::ResponsibilityGrids,
            Kind::Assignments,
        ];
        let parts = [
            size_of::<Self>(),
            share(
                moved,
                (&mut own.grids, &next.grids),
                is_same_there(Kind::UnitGrids),
                Grids::heap_bytes,
            ),
            share(
                moved,
                (&mut own.routes, &next.routes),
                is_same_there(Kind::Routes),
                Routes::heap_bytes,
            ),
            share(
                moved,
                (&mut own.work, &next.work),
                is_same(Kind::WorkRules),
                WorkRules::heap_bytes,
            ),
            share(
                moved,
                (&mut own.duties, &next.duties),
                of_duty.into_iter().all(is_same_there),
                Duties::heap_bytes,
            ),
            share(
                moved,
                (&mut own.vehicles, &next.vehicles),
                self.vehicles == next.vehicles,
                |vehicles| sum(vehicles, Vehicle::heap_bytes),
            ),
            share(
                moved,
                (&mut own.by_terminal, &next.by_terminal),
                self.by_terminal == next.by_terminal,
                |places| map_bytes::<(crate::identity::TerminalId, u32)>(places.len()),
            ),
            share(
                moved,
                (&mut own.audiences, &next.audiences),
                self.audiences == next.audiences,
                |audiences| of_audiences(audiences),
            ),
            share(
                moved,
                (&mut own.by_fingerprint, &next.by_fingerprint),
                self.by_fingerprint == next.by_fingerprint,
                |places| map_bytes::<(u64, u32)>(places.len()),
            ),
            own.share_fences(moved, next, is_same_plane),
        ];
        Beside {
            bytes: parts.into_iter().sum(),
            catalog: own,
            has_moved: *moved,
        }
    }

    /// Also the index of the fences.
    fn share_fences(&mut self, moved: &mut bool, next: &Self, is_same_plane: bool) -> usize {
        let of_next = next.fences.iter().filter(|_| is_same_plane);
        let of_next: HashMap<u64, &Arc<Fence>> =
            of_next.map(|fence| (fence.digest, fence)).collect();
        let mut bytes = 0;
        let mut shared = 0;
        let fences = self.fences.iter().map(|own| {
            if let Some(same) = of_next.get(&own.digest) {
                shared += 1;
                *moved |= !Arc::ptr_eq(own, same);
                return Arc::clone(same);
            }
            bytes += own.bytes();
            Arc::clone(own)
        });
        let fences: Vec<Arc<Fence>> = fences.collect();
        let is_same = |(own, other)| Arc::ptr_eq(own, other);
        if fences.len() == next.fences.len() && fences.iter().zip(&*next.fences).all(is_same) {
            self.fences = Arc::clone(&next.fences);
            self.fence_index = next.fence_index.clone();
            return 0;
        }
        let changed = fences.len().max(next.fences.len()) - shared;
        self.fence_index = self
            .fence_index
            .beside((&next.fence_index, &next.fences), &fences);
        let of_index = fence_index::bytes_beside(&fences, changed, is_same_plane);
        self.fences = Arc::new(fences);
        bytes + self.fences.len() * size_of::<Arc<Fence>>() + of_index
    }
}

/// Takes the part of the next catalog where it is the same; else says what the own one takes.
fn share<T>(
    moved: &mut bool,
    (own, next): (&mut Arc<T>, &Arc<T>),
    is_same: bool,
    bytes: impl FnOnce(&T) -> usize,
) -> usize {
    if is_same {
        *moved |= !Arc::ptr_eq(own, next);
        *own = Arc::clone(next);
        return 0;
    }
    size_of::<T>() + bytes(own)
}
