//! The fixes of one vehicle within the horizon, in event time, with a checkpoint of the state
//! before every so many of them.
//!
//! ```text
//!  chunk            chunk            chunk            tail
//!  [state]fixes…    [state]fixes…    [state]fixes…    [state]fixes…  ▶ newest
//!  bytes, changed only by late fixes                  as values
//! ```
//!
//! Where they take too many bytes the checkpoints are thinned first, the older the more: whoever comes
//! late behind one that is gone is judged from the one before it. Only then fixes are dropped.

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
/// Between two checkpoints there is no more of the history than this share of what lies behind the
/// second: so much longer does it take to judge a late fix.
const THINNED_SHARE: usize = 4;
/// And no more chunks than this, for they can only be dropped together.
const THINNED_CHUNKS_MAX: usize = 16;

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
    /// Its start was dropped to save room.
    pub(crate) is_thinned: bool,
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
    /// Since it was last asked.
    shed: Shed,
    opened: Option<Opened>,
}

/// A chunk that late fixes go into, as values: those of a backlog are neighbours.
#[derive(Clone, Debug)]
struct Opened {
    id: u32,
    fixes: Vec<Fix>,
}

/// Fixes that were dropped while they were still within the horizon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shed {
    /// There were too many of them.
    pub(crate) fixes: u64,
    /// They took too many bytes.
    pub(crate) bytes: u64,
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
            is_thinned: false,
        };
        self.next_id = self.next_id.wrapping_add(1);
        chunk.write(fixes);
        chunk
    }

    /// Drops chunks that end before a moment, and the oldest of too many fixes or bytes.
    pub(crate) fn prune(&mut self, before: i64, (fixes_max, bytes_max): (usize, usize)) {
        let mut kept: usize = self.chunks.iter().map(|chunk| chunk.count).sum();
        let mut bytes: usize = self.chunks.iter().map(Chunk::bytes).sum();
        if bytes > bytes_max {
            bytes -= self.thin(bytes - bytes_max);
        }
        while let Some(run) = self.first_run() {
            let is_many = kept + self.tail.len() > fixes_max;
            let is_within = !is_many && bytes <= bytes_max;
            let last = run.checked_sub(1).and_then(|index| self.chunks.get(index));
            if last.is_none_or(|last| last.last.at >= before && is_within) {
                break;
            }
            for chunk in self.chunks.drain(..run) {
                if chunk.last.at >= before {
                    let shed = if is_many {
                        &mut self.shed.fixes
                    } else {
                        &mut self.shed.bytes
                    };
                    *shed += chunk.count as u64;
                }
                kept -= chunk.count;
                bytes -= chunk.bytes();
                self.floor = Some(chunk.last);
                self.removed.push(chunk.id);
            }
        }
    }

    /// How many of the oldest chunks can only be dropped together: those behind the first one that have
    /// no start are judged with it. `None` when the tail is as well.
    fn first_run(&self) -> Option<usize> {
        let mut others = self.chunks.iter().skip(1);
        let next = others.position(|chunk| !chunk.start.is_empty());
        let all = || Some(self.chunks.len()).filter(|_| !self.tail_start.is_empty());
        next.map_or_else(all, |index| Some(index + 1))
    }

    /// Drops checkpoints until so many bytes are free, as far as their distance allows; gives how many
    /// bytes became free.
    fn thin(&mut self, wanted: usize) -> usize {
        let count = self.chunks.len();
        let starts = self.chunks.iter().enumerate();
        let starts = starts.filter(|(index, chunk)| *index > 0 && !chunk.start.is_empty());
        let mut next = starts
            .map(|(index, _)| index)
            .collect::<Vec<_>>()
            .into_iter();
        let (mut free, mut kept) = (0, 0);
        let mut index = next.next();
        while let Some(this) = index.filter(|_| free < wanted) {
            index = next.next();
            let behind = index.unwrap_or(count);
            let apart = (count - behind) / THINNED_SHARE;
            if behind - kept > apart.min(THINNED_CHUNKS_MAX) {
                kept = this;
            } else if let Some(chunk) = self.chunks.get_mut(this) {
                free += chunk.start.len();
                chunk.set_start(Box::default());
                chunk.is_thinned = true;
            }
        }
        free
    }

    /// What bounds have dropped since it was last asked.
    pub(crate) fn take_shed(&mut self) -> Shed {
        std::mem::take(&mut self.shed)
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
            if Some(index) != first && !chunk.is_thinned {
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

    /// Of so many chunks, each of them with a checkpoint.
    fn long(chunks: usize) -> History {
        let (mut history, state) = (History::default(), State::default());
        for second in 0..chunks * CHUNK_FIXES {
            history.insert(&fix(second as i64 * 1_000)).unwrap();
            history.seal(&state);
        }
        history
    }

    /// The indexes of the chunks that can be judged from.
    fn starts(history: &History) -> Vec<usize> {
        let chunks = history.chunks.iter().enumerate().skip(1);
        let starts = chunks.filter(|(_, chunk)| !chunk.start.is_empty());
        [0].into_iter()
            .chain(starts.map(|(index, _)| index))
            .collect()
    }

    #[test]
    fn checkpoints_are_thinned_before_any_fix_is_dropped_the_older_the_more() {
        let mut history = long(200);
        let bytes = |history: &History| history.chunks.iter().map(Chunk::bytes).sum::<usize>();
        let start = history.tail_start.len();
        let all = bytes(&history);
        history.prune(0, (usize::MAX, all));
        assert_eq!(starts(&history).len(), 200, "they are within the bound");
        history.prune(0, (usize::MAX, all - 20 * start));
        assert!(bytes(&history) <= all - 20 * start);
        let some = starts(&history);
        assert_eq!((history.chunks.len(), some.len()), (200, 180), "no more");
        assert!(some[1] > 10 && some.ends_with(&[197, 198, 199]), "{some:?}");
        // As many as may go.
        history.prune(0, (usize::MAX, all - 160 * start));
        let few = starts(&history);
        assert_eq!(history.chunks.len(), 200, "{few:?}");
        assert!(few.len() <= 40, "{few:?}");
        for pair in few.windows(2) {
            let (gap, behind) = (pair[1] - pair[0], 200 - pair[1]);
            let allowed = (behind / THINNED_SHARE).clamp(1, THINNED_CHUNKS_MAX);
            assert!(gap <= allowed, "{pair:?}");
        }
        assert_eq!(history.take_shed(), Shed::default());
        // A late fix is judged from the checkpoint before it, and none comes back.
        let late = fix((few[2] as i64 * CHUNK_FIXES as i64 - 1) * 1_000 - 1);
        assert_eq!(history.insert(&late).unwrap(), Inserted::Between);
        let (begin, _, count) = history
            .run_from(late.key(), State::default(), |_, _| {})
            .unwrap();
        assert_eq!(begin.at, few[1] as i64 * CHUNK_FIXES as i64 * 1_000);
        assert_eq!(count, (200 - few[1]) * CHUNK_FIXES + 1);
        assert_eq!(starts(&history), few);
        // Then whole stretches without a checkpoint go.
        history.prune(0, (150 * CHUNK_FIXES, usize::MAX));
        let left = history.chunks.len();
        assert!((150 - THINNED_CHUNKS_MAX..=150).contains(&left), "{left}");
        assert!(!history.chunks[0].start.is_empty());
        let shed = history.take_shed();
        let dropped = (200 - left) * CHUNK_FIXES;
        assert_eq!(
            (shed.bytes, shed.fixes.abs_diff(dropped as u64) <= 1),
            (0, true)
        );
    }
}
