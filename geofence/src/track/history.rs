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
    opened: Option<Opened>,
}

/// A chunk that late fixes go into, as values: those of a backlog are neighbours.
#[derive(Clone, Debug)]
struct Opened {
    id: u32,
    fixes: Vec<Fix>,
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

    pub(crate) fn oldest(&self) -> Option<Key> {
        let first = self.chunks.front().map(|chunk| chunk.first);
        first.or_else(|| self.tail.first().map(Fix::key))
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
        let index = self.chunks.partition_point(|chunk| chunk.last < key);
        if index == self.chunks.len() {
            return Ok(match self.tail.binary_search_by_key(&key, Fix::key) {
                Ok(_) => Inserted::Duplicate,
                Err(place) => {
                    self.tail.insert(place, *fix);
                    self.split_tail();
                    Inserted::Between
                }
            });
        }
        self.open(index)?;
        let (Some(chunk), Some(opened)) = (self.chunks.get_mut(index), &mut self.opened) else {
            return Err(Damaged);
        };
        match opened.fixes.binary_search_by_key(&key, Fix::key) {
            Ok(_) => return Ok(Inserted::Duplicate),
            Err(place) => opened.fixes.insert(place, *fix),
        }
        chunk.count = opened.fixes.len();
        chunk.first = key.min(chunk.first);
        chunk.is_changed = true;
        if chunk.count > CHUNK_FIXES_MAX {
            let second = opened.fixes.split_off(CHUNK_FIXES);
            self.close();
            // Its start is found when the track is judged again. Until then it is empty, and whoever
            // judges from there begins with the chunk before.
            let second = self.chunk(&second, Box::default());
            self.chunks.insert(index + 1, second);
        }
        Ok(Inserted::Between)
    }

    /// A tail that late fixes have made too long becomes a chunk and a tail. The start of the latter is
    /// found when the track is judged again; until then it is empty, as that of a chunk that was split.
    fn split_tail(&mut self) {
        if self.tail.len() <= CHUNK_FIXES_MAX {
            return;
        }
        let rest = self.tail.split_off(CHUNK_FIXES);
        let fixes = std::mem::replace(&mut self.tail, rest);
        let start = std::mem::take(&mut self.tail_start);
        let chunk = self.chunk(&fixes, start);
        self.chunks.push_back(chunk);
    }

    fn open(&mut self, index: usize) -> Result<(), Damaged> {
        let chunk = self.chunks.get(index).ok_or(Damaged)?;
        let id = chunk.id;
        if self.opened.as_ref().is_some_and(|opened| opened.id == id) {
            return Ok(());
        }
        let fixes = chunk.read()?;
        self.close();
        self.opened = Some(Opened { id, fixes });
        Ok(())
    }

    /// Writes the opened chunk: nobody may read the bytes of chunks before.
    pub(crate) fn close(&mut self) {
        let Some(Opened { id, fixes }) = self.opened.take() else {
            return;
        };
        if let Some(chunk) = self.chunks.iter_mut().find(|chunk| chunk.id == id) {
            chunk.write(&fixes);
        }
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

    /// Drops chunks that end before a moment, and the oldest of too many fixes or bytes.
    pub(crate) fn prune(&mut self, before: i64, (fixes_max, bytes_max): (usize, usize)) {
        let mut kept: usize = self.chunks.iter().map(|chunk| chunk.count).sum();
        let mut bytes: usize = self.chunks.iter().map(Chunk::bytes).sum();
        while let Some(chunk) = self.chunks.front() {
            let is_within = kept + self.tail.len() <= fixes_max && bytes <= bytes_max;
            if chunk.last.at >= before && is_within {
                break;
            }
            let next = self.chunks.get(1);
            if next.map_or(&self.tail_start, |next| &next.start).is_empty() {
                // It was split off and needs the one before to be judged.
                break;
            }
            kept -= chunk.count;
            bytes -= chunk.bytes();
            self.floor = Some(chunk.last);
            self.removed.push(chunk.id);
            self.chunks.pop_front();
        }
    }

    /// Judges everything again from the checkpoint before a fix on, with fresh checkpoints; gives
    /// the key of the first fix that was judged, the state at the end, and the number of fixes.
    /// `initial` is the state before the first fix of all.
    pub(crate) fn run_from(
        &mut self,
        from: Key,
        initial: State,
        mut step: impl FnMut(&mut State, &Fix),
    ) -> Result<(Key, State, usize), Damaged> {
        self.close();
        let mut first = self.chunks.iter().position(|chunk| from <= chunk.last);
        if first.is_none() && self.tail_start.is_empty() {
            // Split off from the last chunk, if there is one.
            first = self.chunks.len().checked_sub(1);
        }
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
            initial
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
    /// What it takes of the memory.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.fixes.len() + self.start.len()
    }

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
    fn a_tail_that_was_split_is_judged_with_the_chunk_before() {
        let mut history = History::default();
        let count = i64::try_from(CHUNK_FIXES).unwrap();
        history.insert(&fix(1_000_000)).unwrap();
        // Newest first, so that none of them is the newest.
        for second in (0..2 * count).rev() {
            assert_eq!(history.insert(&fix(second)).unwrap(), Inserted::Between);
        }
        assert_eq!(
            (history.chunks.len(), history.tail.len()),
            (1, CHUNK_FIXES + 1)
        );
        history.prune(1_000_000, (1, usize::MAX));
        assert_eq!(
            history.chunks.len(),
            1,
            "the tail cannot be judged without it"
        );
        let mut judged = Vec::new();
        let from = history.tail[5].key();
        let (begin, ..) = history
            .run_from(from, State::default(), |_, fix| judged.push(fix.at))
            .unwrap();
        assert_eq!(begin.at, 0);
        let expected: Vec<i64> = (0..2 * count).chain([1_000_000]).collect();
        assert_eq!(judged, expected);
        assert!(!history.tail_start.is_empty());
        history.prune(1_000_000, (1, usize::MAX));
        assert_eq!(history.chunks.len(), 0);
    }

    #[test]
    fn late_fixes_of_many_chunks_are_all_kept_and_found_again() {
        let mut history = History::default();
        let state = State::default();
        for second in 0..600 {
            history.insert(&fix(second * 10)).unwrap();
            history.seal(&state);
        }
        // To and fro between the chunks, and each of them twice.
        for second in (0..600).map(|n| n * 7 % 600) {
            let late = fix(second * 10 + 5);
            let is_newest = second == 599;
            let expected = if is_newest {
                Inserted::Newest
            } else {
                Inserted::Between
            };
            assert_eq!(history.insert(&late).unwrap(), expected);
            assert_eq!(history.insert(&late).unwrap(), Inserted::Duplicate);
            history.seal(&state);
        }
        let mut judged = Vec::new();
        let from = Key { at: 0, digest: 0 };
        history
            .run_from(from, State::default(), |_, fix| judged.push(fix.at))
            .unwrap();
        let expected: Vec<i64> = (0..1_200).map(|n| n * 5).collect();
        assert_eq!(judged, expected);
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
            .run_from(late[CHUNK_FIXES / 2].key(), State::default(), |_, _| {})
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
