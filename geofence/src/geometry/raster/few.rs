//! Places of a batch that want the same work.

use super::BATCH;

/// Some places of a batch.
pub(super) struct Few {
    places: [u8; BATCH],
    count: usize,
}

impl Few {
    pub(super) const fn new() -> Self {
        Self {
            places: [0; BATCH],
            count: 0,
        }
    }

    /// Without a guess: the place is written in any case, and kept when it counts.
    #[inline]
    pub(super) fn push_if(&mut self, place: u8, is_one: bool) {
        if let Some(slot) = self.places.get_mut(self.count) {
            *slot = place;
        }
        self.count += usize::from(is_one);
    }

    pub(super) fn places(&self) -> impl Iterator<Item = usize> {
        self.places
            .iter()
            .take(self.count)
            .map(|place| usize::from(*place))
    }
}
