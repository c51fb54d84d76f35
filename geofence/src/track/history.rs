//! The fixes of one vehicle within the horizon, in event time, with a checkpoint of the state
//! before every so many of them.
//!
//! ```text
//!  chunk            chunk            chunk            tail
//!  [state]fixes…    [state]fixes…    [state]fixes…    [state]fixes…  ▶ newest
//!  bytes, changed only by late fixes                  as values
//! ```

use std::collections::VecDeque;

use super::{
    codec::{Damaged, Reader, Writer, checkpoint},
    fix::{Fix, Key},
    state::State,
};

/// Fixes of a chunk when it is closed. The tail is rewritten with every snapshot, so it is short.
pub(crate) const CHUNK_FIXES: usize = 128;
/// A chunk that late fixes have made so long is split.
const CHUNK_FIXES_MAX: usize = 2 * CHUNK_FIXES;

/// A closed piece of the history.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chunk {
    pub(crate) id: u32,
    pub(crate) first: Key,
    pub(crate) last: Key,
    pub(crate) count: usize,
    pub(crate) fixes: Box<[u8]>,
    /// The state before the first fix.
    pub(crate) start: Box<[u8]>,
    /// The newest snapshot does not have it like this.
    pub(crate) is_changed: bool,
}

/// The kept fixes of a vehicle.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) chunks: VecDeque<Chunk>,
    pub(crate) tail: Vec<Fix>,
    /// The state before the first fix of the tail.
    pub(crate) tail_start: Box<[u8]>,
    pub(crate) next_id: u32,
    /// Fixes up to here were dropped: nothing can be put before them any more.
    pub(crate) floor: Option<Key>,
    /// Chunks that the newest snapshot has and that are no more.
    pub(crate) removed: Vec<u32>,
}

/// What became of a fix that was put into the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// It is the newest.
    Newest,
    /// It was put between or before others.
    Between,
    /// It is there already.
    Duplicate,
    /// It lies before all that is kept.
    TooLate,
}

impl History {
    pub(crate) fn newest(&self) -> Option<Key> {
        self.tail
            .last()
            .map(Fix::key)
            .or_else(|| self.chunks.back().map(|chunk| chunk.last))
    }

    pub(crate) fn insert(&mut self, fix: &Fix) -> Result<Inserted, Damaged> {
        let key = fix.key();
        if self.newest().is_none_or(|newest| newest < key) && self.floor.is_none_or(|f| f < key) {
            self.tail.push(*fix);
            return Ok(Inserted::Newest);
        }
        if self.floor.is_some_and(|floor| key <= floor) {
            return Ok(Inserted::TooLate);
        }
        let Some(index) = self.chunks.iter().position(|chunk| key <= chunk.last) else {
            return Ok(match self.tail.binary_search_by_key(&key, Fix::key) {
                Ok(_) => Inserted::Duplicate,
                Err(place) => {
                    self.tail.insert(place, *fix);
                    Inserted::Between
                }
            });
        };
        let Some(chunk) = self.chunks.get_mut(index) else {
            return Err(Damaged);
        };
        let mut fixes = chunk.read()?;
        match fixes.binary_search_by_key(&key, Fix::key) {
            Ok(_) => return Ok(Inserted::Duplicate),
            Err(place) => fixes.insert(place, *fix),
        }
        if fixes.len() <= CHUNK_FIXES_MAX {
            chunk.write(&fixes);
            return Ok(Inserted::Between);
        }
        let second = fixes.split_off(CHUNK_FIXES);
        chunk.write(&fixes);
        // Its start is found when the track is judged again. Until then it is empty, and whoever
        // judges from there begins with the chunk before.
        let second = self.chunk(&second, Box::default());
        self.chunks.insert(index + 1, second);
        Ok(Inserted::Between)
    }

    /// Closes the tail when it is long enough; `state` is the one behind it.
    pub(crate) fn seal(&mut self, state: &State) -> bool {
        if self.tail.len() < CHUNK_FIXES {
            return false;
        }
        let fixes = std::mem::take(&mut self.tail);
        let start = std::mem::replace(&mut self.tail_start, checkpoint(state));
        let chunk = self.chunk(&fixes, start);
        self.chunks.push_back(chunk);
        // The room is used again.
        self.tail = fixes;
        self.tail.clear();
        true
    }

    fn chunk(&mut self, fixes: &[Fix], start: Box<[u8]>) -> Chunk {
        let none = Key { at: 0, digest: 0 };
        let mut chunk = Chunk {
            id: self.next_id,
            first: none,
            last: none,
            count: 0,
            fixes: Box::default(),
            start,
            is_changed: true,
        };
        self.next_id = self.next_id.wrapping_add(1);
        chunk.write(fixes);
        chunk
    }

    /// Drops chunks that end before a moment, and the oldest of too many.
    pub(crate) fn prune(&mut self, before: i64, fixes_max: usize) {
        let mut kept: usize = self.chunks.iter().map(|chunk| chunk.count).sum();
        while let Some(chunk) = self.chunks.front() {
            if chunk.last.at >= before && kept + self.tail.len() <= fixes_max {
                break;
            }
            let next = self.chunks.get(1);
            if next.is_some_and(|next| next.start.is_empty()) {
                // It was split off and needs the one before to be judged.
                break;
            }
            kept -= chunk.count;
            self.floor = Some(chunk.last);
            self.removed.push(chunk.id);
            self.chunks.pop_front();
        }
    }

    /// Judges everything again from the checkpoint before a fix on, with fresh checkpoints; gives
    /// the key of the first fix that was judged, the state at the end, and the number of fixes.
    pub(crate) fn run_from(
        &mut self,
        from: Key,
        mut step: impl FnMut(&mut State, &Fix),
    ) -> Result<(Key, State, usize), Damaged> {
        let mut first = self.chunks.iter().position(|chunk| from <= chunk.last);
        let is_without_start = |index: &usize| {
            let chunk = self.chunks.get(*index);
            chunk.is_some_and(|chunk| chunk.start.is_empty())
        };
        while let Some(index) = first.filter(|index| *index > 0 && is_without_start(index)) {
            first = Some(index - 1);
        }
        let start = first
            .and_then(|index| self.chunks.get(index))
            .map_or(&self.tail_start, |chunk| &chunk.start);
        let mut state = if start.is_empty() {
            State::default()
        } else {
            Reader::new(start).state()?
        };
        let begin = first.and_then(|index| self.chunks.get(index)).map_or_else(
            || self.tail.first().map_or(from, Fix::key),
            |chunk| chunk.first,
        );
        let mut count = 0;
        for (index, chunk) in self
            .chunks
            .iter_mut()
            .enumerate()
            .skip(first.unwrap_or(usize::MAX))
        {
            if Some(index) != first {
                chunk.set_start(checkpoint(&state));
            }
            for fix in chunk.read()? {
                step(&mut state, &fix);
                count += 1;
            }
        }
        if first.is_some() {
            self.tail_start = checkpoint(&state);
        }
        for fix in &self.tail {
            step(&mut state, fix);
            count += 1;
        }
        Ok((begin, state, count))
    }
}

impl Chunk {
    pub(crate) fn read(&self) -> Result<Vec<Fix>, Damaged> {
        Reader::new(&self.fixes).fixes()
    }

    fn write(&mut self, fixes: &[Fix]) {
        let mut writer = Writer::default();
        writer.fixes(fixes);
        self.fixes = writer.0.into_boxed_slice();
        self.count = fixes.len();
        if let (Some(first), Some(last)) = (fixes.first(), fixes.last()) {
            (self.first, self.last) = (first.key(), last.key());
        }
        self.is_changed = true;
    }

    fn set_start(&mut self, start: Box<[u8]>) {
        self.is_changed |= self.start != start;
        self.start = start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fix(at: i64) -> Fix {
        Fix {
            at,
            ..Fix::default()
        }
    }

    #[test]
    fn a_chunk_that_was_split_off_is_judged_with_the_one_before() {
        let mut history = History::default();
        let state = State::default();
        let count = i64::try_from(CHUNK_FIXES).unwrap();
        for second in 0..2 * count {
            history.insert(&fix(second * 1_000)).unwrap();
            history.seal(&state);
        }
        // All of them come late into the second chunk, behind the place where it will be split.
        let late: Vec<Fix> = (0..=count)
            .map(|n| fix((2 * count - 2) * 1_000 + n + 1))
            .collect();
        for fix in &late {
            assert_eq!(history.insert(fix).unwrap(), Inserted::Between);
        }
        assert_eq!(history.chunks.len(), 3);
        assert!(history.chunks[2].start.is_empty());
        let (begin, _, judged) = history
            .run_from(late[CHUNK_FIXES / 2].key(), |_, _| {})
            .unwrap();
        assert_eq!(
            begin.at,
            count * 1_000,
            "not from the middle, without a state"
        );
        assert_eq!(judged, 2 * CHUNK_FIXES + 1);
        assert!(!history.chunks[2].start.is_empty());
    }
}
