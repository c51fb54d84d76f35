//! What is odd about the unit grids of a catalog, and no mistake: holes between them, and communities
//! whose grids do not lie together.

use geofence::catalog::Catalog as Snapshot;

/// The first of what is odd, and how much there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warnings {
    /// As sentences: the largest holes, then communities by their codes.
    pub shown: Vec<String>,
    /// In all, of holes and of communities a thousand each at most.
    pub total: usize,
}

impl Warnings {
    /// Of a catalog, so many of them shown. Each grid is compared with its neighbours, 0.6 s
    /// for 31,500 of them (`benches/edits.rs`): not for a thread that others wait for.
    #[must_use]
    pub fn of(catalog: &Snapshot, shown_max: usize) -> Self {
        let gaps = catalog.unit_grid_gaps();
        let faults = catalog.community_faults();
        let sentences = gaps.iter().map(ToString::to_string);
        let sentences = sentences.chain(faults.iter().map(ToString::to_string));
        Self {
            shown: sentences.take(shown_max).collect(),
            total: gaps.len() + faults.len(),
        }
    }
}
