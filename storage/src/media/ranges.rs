//! Which bytes of a file have come, in any order and more than once.

use std::ops::Range;

/// Ranges that do not touch each other, in order; at most so many.
#[derive(Clone, Debug)]
pub(super) struct Ranges {
    ranges: Vec<Range<u32>>,
    max: usize,
}

impl Ranges {
    pub(super) const fn new(max: usize) -> Self {
        Self {
            ranges: Vec::new(),
            max,
        }
    }

    /// Adds what has come; `false`, and nothing changes, when there would be too many ranges.
    pub(super) fn insert(&mut self, new: Range<u32>) -> bool {
        if new.is_empty() {
            return true;
        }
        let touched = self.touched(&new);
        if touched.is_empty() && self.ranges.len() >= self.max {
            return false;
        }
        let merged = match self.ranges.get(touched.clone()) {
            Some([first, .., last]) => first.start.min(new.start)..last.end.max(new.end),
            Some([only]) => only.start.min(new.start)..only.end.max(new.end),
            _ => new,
        };
        self.ranges.splice(touched, [merged]);
        true
    }

    /// Whether [`insert`](Self::insert) would take it.
    pub(super) fn has_room_for(&self, new: &Range<u32>) -> bool {
        new.is_empty() || self.ranges.len() < self.max || !self.touched(new).is_empty()
    }

    /// The ranges that overlap or touch this one, by place.
    fn touched(&self, new: &Range<u32>) -> Range<usize> {
        let from = self.ranges.partition_point(|range| range.end < new.start);
        let to = self.ranges.partition_point(|range| range.start <= new.end);
        from..to
    }

    /// What is missing of a file of this size, as offset and length, in order; at most so many.
    pub(super) fn gaps(&self, size: u32, limit: usize) -> Vec<(u32, u32)> {
        let starts = std::iter::once(0).chain(self.ranges.iter().map(|range| range.end));
        let ends = self.ranges.iter().map(|range| range.start);
        starts
            .zip(ends.chain([size]))
            .map(|(start, end)| (start, end.min(size).saturating_sub(start)))
            .filter(|(_, length)| *length > 0)
            .take(limit)
            .collect()
    }

    /// Forgets what lies behind this size.
    pub(super) fn truncate(&mut self, size: u32) {
        self.ranges.retain_mut(|range| {
            range.end = range.end.min(size);
            range.start < range.end
        });
    }

    /// One behind the last byte that has come.
    pub(super) fn end(&self) -> u32 {
        self.ranges.last().map_or(0, |range| range.end)
    }

    /// How many ranges there are.
    pub(super) const fn count(&self) -> usize {
        self.ranges.len()
    }

    /// How many bytes have come.
    pub(super) fn bytes(&self) -> u64 {
        self.ranges.iter().map(|r| u64::from(r.end - r.start)).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The gaps of a file whose bytes are marked one by one.
    fn gaps(marks: &[bool]) -> Vec<(u32, u32)> {
        let mut found: Vec<(u32, u32)> = Vec::new();
        for (offset, is_here) in (0..).zip(marks) {
            match found.last_mut() {
                _ if *is_here => {}
                Some((start, length)) if *start + *length == offset => *length += 1,
                _ => found.push((offset, 1)),
            }
        }
        found
    }

    proptest! {
        #[test]
        fn ranges_say_what_a_mark_for_each_byte_says(
            writes in prop::collection::vec((0_u32..300, 0_u32..40), 0..40),
            cut in 0_u32..340,
            max in 1_usize..12,
        ) {
            let mut ranges = Ranges::new(max);
            let mut marks = [false; 340];
            for (start, length) in writes {
                let new = start..start + length;
                let had_room = ranges.has_room_for(&new);
                prop_assert_eq!(ranges.insert(new.clone()), had_room);
                if had_room {
                    for offset in new {
                        marks[offset as usize] = true;
                    }
                }
                prop_assert!(ranges.ranges.len() <= max);
                prop_assert_eq!(ranges.gaps(340, usize::MAX), gaps(&marks));
                let count = marks.iter().filter(|mark| **mark).count() as u64;
                prop_assert_eq!(ranges.bytes(), count);
            }
            ranges.truncate(cut);
            prop_assert_eq!(ranges.gaps(cut, usize::MAX), gaps(&marks[..cut as usize]));
            prop_assert_eq!(ranges.gaps(cut, 2), gaps(&marks[..cut as usize]).into_iter().take(2).collect::<Vec<_>>());
            prop_assert!(ranges.end() <= cut);
        }
    }

    #[test]
    fn the_ends_of_what_a_wire_can_say_are_in_range() {
        let mut ranges = Ranges::new(2);
        assert!(ranges.insert(u32::MAX - 1..u32::MAX));
        assert!(ranges.insert(0..1));
        assert_eq!(ranges.gaps(u32::MAX, 9), [(1, u32::MAX - 2)]);
        assert!(!ranges.insert(5..6));
        assert!(ranges.insert(1..u32::MAX), "it joins the two");
        assert_eq!(ranges.gaps(u32::MAX, 9), []);
    }
}
