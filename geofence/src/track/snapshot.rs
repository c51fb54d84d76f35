//! The evaluation as bytes by key, so that a restart goes on where it was.
//!
//! | key | bytes | rewritten |
//! |---|---|---|
//! | `clock` | clock of the log, since when which catalogs and rules are in force | always |
//! | `TERMINAL/head` | live state, the newest fixes (fewer than 128) | with each fix |
//! | `TERMINAL/chunk/N` | 128 to 256 older fixes, the state before them | once, and by late fixes |
//! | `TERMINAL/found/ID` | one violation | when it changes |
//!
//! The first byte is the version of the format. Older ones are read as well, and written anew with the
//! next snapshot: version 1 had no routes, version 2 no flags of fixes, no checks of motion and no
//! duty, version 3 no vehicles that are awaited, no work state on routes and no load, version 4 no elder
//! catalogs, version 5 of what was not seen only that it may have been a visit.
//!
//! Empty bytes mean that the key is to be removed. All bytes of one call belong together: they are
//! written in one transaction with the cursor, or not at all.

use std::collections::BTreeMap;

use super::{
    Evaluator, Track,
    codec::{Damaged, Reader, VERSION, Writer, checkpoint},
    fix::Key,
    history::Chunk,
    in_force::{Era, InForce},
    schedule,
    verdict::{NEXT_FIX, Record},
};
use crate::{
    identity::{TerminalId, ViolationId},
    violation::Violation,
};

/// The oldest version that is read.
const VERSION_MIN: u8 = 1;
const CLOCK: u8 = 0;
const HEAD: u8 = 1;
const CHUNK: u8 = 2;
const FOUND: u8 = 3;

/// Why a snapshot cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Another version of this program wrote it.
    #[error(
        "version {0} of the format is not known; this program reads {VERSION_MIN} to {VERSION}"
    )]
    Version(u8),
    /// It is cut off or altered.
    #[error("the bytes are damaged")]
    Damaged,
}

impl From<Damaged> for SnapshotError {
    fn from(_: Damaged) -> Self {
        Self::Damaged
    }
}

impl Evaluator {
    /// What changed since this was last asked, by key. The caller keeps the newest bytes of each
    /// key, and removes keys whose bytes are empty.
    pub fn take_dirty_snapshots(&mut self) -> BTreeMap<String, Vec<u8>> {
        // A vehicle that has come back writes over it.
        let gone = self.gone.drain(..).map(|key| (key, Vec::new()));
        let mut snapshots: BTreeMap<String, Vec<u8>> = gone.collect();
        for (terminal, track) in &mut self.tracks {
            if std::mem::take(&mut track.is_changed) {
                snapshots.insert(format!("{terminal}/head"), track.head(terminal));
                track.write_rest(terminal, &mut snapshots);
            }
        }
        if !snapshots.is_empty() || std::mem::take(&mut self.in_force.is_changed) {
            self.in_force.is_changed = false;
            snapshots.insert("clock".to_owned(), self.clock_bytes());
        }
        snapshots
    }

    /// Says that these keys, given out before, did not reach the store.
    pub fn mark_dirty<'a>(&mut self, keys: impl IntoIterator<Item = &'a String>) {
        for key in keys {
            let mut parts = key.splitn(3, '/');
            let terminal = parts
                .next()
                .and_then(|text| text.parse::<TerminalId>().ok());
            let Some(track) = terminal.and_then(|terminal| self.tracks.get_mut(&terminal)) else {
                self.in_force.is_changed = true;
                // The only other key is the clock, which is written with all others.
                self.gone.extend(terminal.map(|_| key.clone()));
                continue;
            };
            track.is_changed = true;
            match (parts.next(), parts.next()) {
                (Some("chunk"), Some(number)) => {
                    let Ok(id) = u32::from_str_radix(number, 16) else {
                        continue;
                    };
                    match track.history.chunks.iter_mut().find(|chunk| chunk.id == id) {
                        Some(chunk) => chunk.is_changed = true,
                        None => track.history.removed.push(id),
                    }
                }
                (Some("found"), Some(id)) => {
                    let Ok(id) = id.parse().map(ViolationId) else {
                        continue;
                    };
                    match track
                        .verdict
                        .records
                        .iter_mut()
                        .find(|r| r.violation.id == id)
                    {
                        Some(record) => record.is_changed = true,
                        None => track.verdict.removed.push(id),
                    }
                }
                _ => {}
            }
        }
    }

    /// Puts the bytes of one key back. Keys may come in any order; all of them make the evaluator
    /// what it was.
    ///
    /// # Errors
    /// When the bytes are of another version or damaged; then nothing of them is taken over.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        if bytes.is_empty() {
            // A key that should have been removed.
            return Ok(());
        }
        let (version, rest) = bytes.split_first().ok_or(SnapshotError::Damaged)?;
        if !(VERSION_MIN..=VERSION).contains(version) {
            return Err(SnapshotError::Version(*version));
        }
        let mut reader = Reader::of_version(rest, *version);
        match reader.byte()? {
            CLOCK => self.restore_clock(&mut reader)?,
            HEAD => {
                let terminal = read_terminal(&mut reader)?;
                let track = self.tracks.entry(terminal).or_default();
                track.restore_head(&mut reader)?;
                // The true time is found out with the catalog, at the first move of the clock.
                track.wake_at = None;
                schedule(&mut self.wakes, track, terminal, Some(i64::MIN));
            }
            CHUNK => {
                let terminal = read_terminal(&mut reader)?;
                let chunk = read_chunk(&mut reader)?;
                let chunks = &mut self.tracks.entry(terminal).or_default().history.chunks;
                let place = chunks.partition_point(|other| other.first < chunk.first);
                chunks.insert(place, chunk);
            }
            FOUND => {
                let terminal = read_terminal(&mut reader)?;
                let record = read_record(&mut reader)?;
                let verdict = &mut self.tracks.entry(terminal).or_default().verdict;
                verdict.has_unproved |= record.closed == Some(NEXT_FIX);
                verdict.records.push(record);
            }
            _ => return Err(SnapshotError::Damaged),
        }
        Ok(())
    }

    pub(super) fn clock_bytes(&self) -> Vec<u8> {
        let mut writer = Writer(vec![VERSION, CLOCK]);
        writer.signed(self.clock);
        writer.byte(u8::from(self.in_force.since.is_some()) | u8::from(self.is_part) << 1);
        let mut since: Vec<(u64, i64)> = self
            .in_force
            .since
            .iter()
            .flatten()
            .map(|(fence, at)| (*fence, *at))
            .collect();
        since.sort_unstable();
        writer.number(since.len() as u64);
        for (fingerprint, at) in since {
            writer.number(fingerprint);
            writer.signed(at);
        }
        self.in_force.write(&mut writer);
        writer.0
    }

    fn restore_clock(&mut self, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        let clock = reader.signed()?;
        let flags = reader.byte()?;
        let has_catalog = flags & 1 == 1;
        self.is_part = flags & 2 == 2;
        let mut since = std::collections::HashMap::new();
        for _ in 0..reader.number()? {
            since.insert(reader.number()?, reader.signed()?);
        }
        self.clock = clock;
        let since = has_catalog.then_some(since);
        self.in_force = InForce::read(reader, since, clock)?;
        Ok(())
    }
}

/// An era without its digest, in an older snapshot.
const UNNAMED: u8 = 0;
const NAMED: u8 = 1;

impl InForce {
    fn write(&self, writer: &mut Writer) {
        writer.number(self.eras.len() as u64);
        for era in &self.eras {
            writer.signed(era.since);
            writer.signed(era.until);
            writer.byte(if era.version.is_some() {
                NAMED
            } else {
                UNNAMED
            });
            writer.number(u64::from(era.version.unwrap_or(0)));
        }
        let stretches = self.ended.iter().flat_map(|(rule, stretches)| {
            let stretches = stretches.iter();
            stretches.map(|(from, until)| (*rule, *from, *until))
        });
        let mut stretches: Vec<(u64, i64, i64)> = stretches.collect();
        stretches.sort_unstable();
        writer.number(stretches.len() as u64);
        for (rule, from, until) in stretches {
            writer.number(rule);
            writer.signed(from);
            writer.signed(until);
        }
    }

    /// Catalogs themselves are not among the bytes; `since` is what stands before them.
    fn read(
        reader: &mut Reader<'_>,
        since: Option<std::collections::HashMap<u64, i64>>,
        clock: i64,
    ) -> Result<Self, Damaged> {
        let mut in_force = Self {
            since,
            ..Self::default()
        };
        if !reader.has_eras() {
            let newest = in_force.since.is_some().then(|| Era::unnamed(clock));
            in_force.eras.extend(newest);
            return Ok(in_force);
        }
        for _ in 0..reader.number()? {
            let (since, until) = (reader.signed()?, reader.signed()?);
            let is_named = reader.byte()? == NAMED;
            let version = u32::try_from(reader.number()?).map_err(|_| Damaged)?;
            in_force.eras.push(Era {
                since,
                until,
                version: is_named.then_some(version),
                ..Era::default()
            });
        }
        for _ in 0..reader.number()? {
            let rule = reader.number()?;
            let stretch = (reader.signed()?, reader.signed()?);
            in_force.ended.entry(rule).or_default().push(stretch);
        }
        Ok(in_force)
    }
}

impl Track {
    pub(super) fn head(&self, terminal: &TerminalId) -> Vec<u8> {
        let mut writer = begin(HEAD, terminal);
        writer.optional_signed(self.awaited_since);
        writer.signed(self.received_at);
        writer.signed(self.advanced_to);
        write_key(&mut writer, self.late_from);
        writer.signed(self.settle_at);
        writer.signed(self.settle_ms);
        writer.state(&self.state);
        let history = &self.history;
        write_key(&mut writer, history.floor);
        writer.number(u64::from(history.next_id));
        writer.bytes(&history.tail_start);
        writer.fixes(&history.tail);
        writer.0
    }

    fn restore_head(&mut self, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        let awaited_since = reader.later_moment()?;
        let (received_at, advanced_to) = (reader.signed()?, reader.signed()?);
        let late_from = read_key(reader)?;
        let (settle_at, settle_ms) = (reader.signed()?, reader.signed()?);
        let state = reader.state()?;
        let floor = read_key(reader)?;
        let next_id = u32::try_from(reader.number()?).map_err(|_| Damaged)?;
        let tail_start = read_checkpoint(reader)?;
        let tail = reader.fixes()?;
        self.awaited_since = awaited_since;
        (self.received_at, self.advanced_to) = (received_at, advanced_to);
        (self.late_from, self.settle_at, self.settle_ms) = (late_from, settle_at, settle_ms);
        self.state = state;
        let history = &mut self.history;
        (history.floor, history.next_id) = (floor, next_id);
        (history.tail_start, history.tail) = (tail_start, tail);
        Ok(())
    }

    pub(super) fn write_rest(
        &mut self,
        terminal: &TerminalId,
        snapshots: &mut BTreeMap<String, Vec<u8>>,
    ) {
        self.history.close();
        for id in self.history.removed.drain(..) {
            snapshots.insert(format!("{terminal}/chunk/{id:08x}"), Vec::new());
        }
        for chunk in self
            .history
            .chunks
            .iter_mut()
            .filter(|chunk| chunk.is_changed)
        {
            chunk.is_changed = false;
            let mut writer = begin(CHUNK, terminal);
            writer.number(u64::from(chunk.id));
            writer.bytes(&chunk.start);
            writer.bytes(&chunk.fixes);
            snapshots.insert(format!("{terminal}/chunk/{:08x}", chunk.id), writer.0);
        }
        for id in self.verdict.removed.drain(..) {
            snapshots.insert(format!("{terminal}/found/{id}"), Vec::new());
        }
        for record in self
            .verdict
            .records
            .iter_mut()
            .filter(|record| record.is_changed)
        {
            record.is_changed = false;
            let mut writer = begin(FOUND, terminal);
            // Our own type with text keys: writing it into memory cannot fail.
            writer.bytes(&serde_json::to_vec(&record.violation).unwrap_or_default());
            writer.number(record.fingerprint);
            write_key(&mut writer, record.closed);
            writer.signed(record.told_at);
            snapshots.insert(
                format!("{terminal}/found/{}", record.violation.id),
                writer.0,
            );
        }
    }
}

fn begin(kind: u8, terminal: &TerminalId) -> Writer {
    let mut writer = Writer(vec![VERSION, kind]);
    writer.bytes(terminal.as_str().as_bytes());
    writer
}

fn read_terminal(reader: &mut Reader<'_>) -> Result<TerminalId, Damaged> {
    let text = std::str::from_utf8(reader.bytes()?).map_err(|_| Damaged)?;
    text.parse().map_err(|_| Damaged)
}

fn write_key(writer: &mut Writer, key: Option<Key>) {
    writer.byte(u8::from(key.is_some()));
    if let Some(key) = key {
        writer.signed(key.at);
        writer.number(u64::from(key.digest));
    }
}

fn read_key(reader: &mut Reader<'_>) -> Result<Option<Key>, Damaged> {
    if reader.byte()? == 0 {
        return Ok(None);
    }
    let (at, digest) = (reader.signed()?, reader.number()?);
    Ok(Some(Key {
        at,
        digest: u32::try_from(digest).map_err(|_| Damaged)?,
    }))
}

/// A checkpoint as this version writes it.
fn read_checkpoint(reader: &mut Reader<'_>) -> Result<Box<[u8]>, Damaged> {
    let version = reader.version();
    let bytes = reader.bytes()?;
    // No bytes are the state before the first fix.
    if version == VERSION || bytes.is_empty() {
        return Ok(bytes.into());
    }
    Ok(checkpoint(&Reader::of_version(bytes, version).state()?))
}

fn read_chunk(reader: &mut Reader<'_>) -> Result<Chunk, Damaged> {
    let version = reader.version();
    let id = u32::try_from(reader.number()?).map_err(|_| Damaged)?;
    let start = read_checkpoint(reader)?;
    let bytes = reader.bytes()?;
    let fixes = Reader::of_version(bytes, version).fixes()?;
    let mut rewritten = Writer::default();
    if version != VERSION {
        rewritten.fixes(&fixes);
    }
    let (first, last) = fixes.first().zip(fixes.last()).ok_or(Damaged)?;
    Ok(Chunk {
        id,
        first: first.key(),
        last: last.key(),
        count: fixes.len(),
        fixes: if version == VERSION {
            bytes.into()
        } else {
            rewritten.0.into_boxed_slice()
        },
        start,
        is_changed: version != VERSION,
        is_thinned: false,
    })
}

fn read_record(reader: &mut Reader<'_>) -> Result<Record, Damaged> {
    let violation: Violation = serde_json::from_slice(reader.bytes()?).map_err(|_| Damaged)?;
    Ok(Record {
        violation,
        fingerprint: reader.number()?,
        closed: read_key(reader)?,
        told_at: reader.signed()?,
        is_changed: false,
    })
}
