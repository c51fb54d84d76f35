//! Some vehicles leave one evaluator and go on in another, as if nothing had happened.
//!
//! ```text
//!  evaluator A, cursor n ── hand_over([..], n) ──▶ bytes ──▶ take_over ── evaluator B, cursor n
//!       │ its next snapshot removes their keys                    │ its next snapshot has them all
//!       ▼ judges the others from n on                             ▼ judges them too from n on
//! ```
//!
//! Both evaluators follow one log: each is ticked by all its records, and given the positions of its
//! own vehicles only. Where they hand over they stand behind the same record, so that their clocks
//! and the times since when rules are in force are the same. An evaluator that has no vehicle yet
//! takes both over with the first ones.
//!
//! The bytes are those of the snapshots (`snapshot`), one after the other:
//!
//! ```text
//!  version │ 4 │ cursor │ clock: length, bytes │ count │ count × (length, bytes of one key)
//! ```

use std::collections::BTreeMap;

use super::{
    Evaluator, Track,
    codec::{Damaged, Reader, VERSION, Writer},
    schedule,
    snapshot::SnapshotError,
};
use crate::identity::TerminalId;

const SHARD: u8 = 4;
/// The oldest version of these bytes that is read: the one before had elder catalogs.
const VERSION_MIN: u8 = 4;

/// Why vehicles cannot be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandOverError {
    /// The bytes cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// This evaluator has a track of the vehicle already.
    #[error("there is a track of terminal {0} already")]
    Known(TerminalId),
    /// This evaluator does not stand where the vehicles were handed over, or by other rules.
    #[error("the evaluator stands at another place of the log, or under other rules")]
    Place,
}

impl From<Damaged> for HandOverError {
    fn from(_: Damaged) -> Self {
        Self::Snapshot(SnapshotError::Damaged)
    }
}

impl Evaluator {
    /// Whether it has not judged any fix yet: all its vehicles are awaited, or there are none.
    #[must_use]
    pub fn is_unheard(&self) -> bool {
        let mut tracks = self.tracks.values();
        tracks.all(|track| track.history.newest().is_none())
    }

    /// Takes out these vehicles, with all that is known of them; those without a track have nothing
    /// to be taken. `cursor` is the record of the log that this evaluator judges next. The next
    /// snapshot removes their keys: it is to be written after the bytes have reached the other one.
    pub fn hand_over(&mut self, terminals: &[TerminalId], cursor: u64) -> Vec<u8> {
        self.is_part = true;
        let mut sections = Vec::new();
        for terminal in terminals {
            let Some(mut track) = self.tracks.remove(terminal) else {
                continue;
            };
            for (key, bytes) in track.whole(terminal) {
                self.gone.push(key);
                if !bytes.is_empty() {
                    sections.push(bytes);
                }
            }
        }
        let mut writer = Writer(vec![VERSION, SHARD]);
        writer.number(cursor);
        writer.bytes(&self.clock_bytes());
        writer.number(sections.len() as u64);
        for bytes in sections {
            writer.bytes(&bytes);
        }
        writer.0
    }

    /// Takes vehicles in that another evaluator handed over, and gives the record of the log from
    /// which on they are to be judged here.
    ///
    /// # Errors
    /// When the bytes are of another version or damaged, when one of the vehicles is here already,
    /// or when this evaluator has vehicles and stands at another place of the log. Then it is as it
    /// was.
    pub fn take_over(&mut self, bytes: &[u8]) -> Result<u64, HandOverError> {
        let (version, rest) = bytes.split_first().ok_or(SnapshotError::Damaged)?;
        if !(VERSION_MIN..=VERSION).contains(version) {
            return Err(SnapshotError::Version(*version).into());
        }
        let mut reader = Reader::of_version(rest, *version);
        if reader.byte()? != SHARD {
            return Err(SnapshotError::Damaged.into());
        }
        let cursor = reader.number()?;
        let mut arrived = Self::new(self.options.clone());
        arrived.restore(reader.bytes()?)?;
        for _ in 0..reader.number()? {
            arrived.restore(reader.bytes()?)?;
        }
        // A track without its head is not what was handed over.
        if !reader.is_empty() || arrived.tracks.values().any(|track| track.wake_at.is_none()) {
            return Err(SnapshotError::Damaged.into());
        }
        let is_known = |terminal: &&TerminalId| self.tracks.contains_key(terminal);
        if let Some(known) = arrived.tracks.keys().find(is_known) {
            return Err(HandOverError::Known(*known));
        }
        if self.tracks.is_empty() && self.clock <= arrived.clock {
            self.clock = arrived.clock;
            self.in_force = arrived.in_force;
        } else if self.clock != arrived.clock || !self.in_force.is_same(&arrived.in_force) {
            return Err(HandOverError::Place);
        }
        self.is_part = true;
        for (terminal, mut track) in arrived.tracks {
            track.mark_all();
            // The true time is found out with the catalog, at the first move of the clock.
            track.wake_at = None;
            schedule(&mut self.wakes, &mut track, terminal, Some(i64::MIN));
            self.tracks.insert(terminal, track);
        }
        Ok(cursor)
    }
}

impl Track {
    /// All keys with their bytes, and with empty bytes those that a store still has to remove.
    fn whole(&mut self, terminal: &TerminalId) -> BTreeMap<String, Vec<u8>> {
        self.mark_all();
        let mut snapshots = BTreeMap::from([(format!("{terminal}/head"), self.head(terminal))]);
        self.write_rest(terminal, &mut snapshots);
        snapshots
    }

    /// No snapshot has any of it.
    fn mark_all(&mut self) {
        self.is_changed = true;
        let chunks = self.history.chunks.iter_mut();
        chunks.for_each(|chunk| chunk.is_changed = true);
        let records = self.verdict.records.iter_mut();
        records.for_each(|record| record.is_changed = true);
    }
}
