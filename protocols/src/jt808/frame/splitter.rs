//! The incremental splitter: a stream in, candidates out.

use bytes::{Buf as _, Bytes, BytesMut};

use super::{DELIMITER, FRAME_BYTES_MAX, RejectReason, inspect, unescape};
use crate::jt808::header::stated_content_len;

/// The longest candidate: a frame without its delimiters.
const CANDIDATE_BYTES_MAX: usize = FRAME_BYTES_MAX - 2;
/// Dropped bytes are reported at a delimiter, and after so many without one.
const DROPPED_BYTES_MAX: usize = 64 * 1024;
/// Candidates that are joined to one at most. A bound on the work: each is checked again with
/// those before it.
const JOINED_MAX: u8 = 8;

/// A piece of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Split {
    /// What lies between two delimiters, escapes included; never empty. It shares the memory of
    /// the read buffer.
    Candidate(Bytes),
    /// Bytes that can be no frame.
    Dropped {
        /// Why.
        reason: RejectReason,
        /// How many.
        bytes: usize,
    },
}

/// Cuts a stream at each 0x7E.
///
/// The caller appends what it reads to one buffer and calls [`next`](Self::next) until it gives
/// `None`. What comes out does not depend on the sizes of the reads. A byte is searched once: the
/// splitter knows how far it came. The buffer is never left with more than two frames in it.
///
/// **Joining** is for terminals that do not escape 0x7E, whose frames are cut at it. With it, a
/// candidate with a wrong check code that is shorter than its header states waits for the next
/// ones, and they are joined with the 0x7E between them as soon as length and check code fit. A
/// whole frame is never taken for a part of another.
#[derive(Clone, Debug)]
pub struct Splitter {
    is_joining: bool,
    /// Set while bytes are dropped up to the next delimiter.
    dropping: Option<RejectReason>,
    /// Bytes dropped and not yet reported.
    dropped: usize,
    /// Bytes of the buffer that hold no unknown delimiter.
    searched: usize,
    /// Candidates at the start of the buffer that wait to be joined.
    held: Option<Held>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    /// Length of the first one.
    first: usize,
    /// Length of all of them, with the delimiters between them.
    bytes: usize,
    count: u8,
}

impl Default for Splitter {
    fn default() -> Self {
        Self::new()
    }
}

impl Splitter {
    /// At the start of a stream, without joining.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            is_joining: false,
            dropping: Some(RejectReason::Noise),
            dropped: 0,
            searched: 0,
            held: None,
        }
    }

    /// Whether candidates that a raw 0x7E has cut are joined.
    #[must_use]
    pub const fn with_joining(self, is_joining: bool) -> Self {
        Self { is_joining, ..self }
    }

    /// The next piece; `None` when more bytes are needed. What it gives is taken out of `buffer`,
    /// and nobody else may take from it.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Option<Split> {
        loop {
            if let Some(reason) = self.dropping {
                return self.drop_run(buffer, reason);
            }
            let found = memchr::memchr(DELIMITER, buffer.get(self.searched..).unwrap_or_default());
            let end = found.map_or(buffer.len(), |at| self.searched + at);
            let run = end.saturating_sub(self.held.map_or(0, |held| held.bytes + 1));
            if run > CANDIDATE_BYTES_MAX {
                if let Some(held) = self.held {
                    return Some(self.take(buffer, held.first));
                }
                self.dropping = Some(RejectReason::Oversize);
                self.searched = 0;
                continue;
            }
            self.searched = end;
            found?;
            if let Some(split) = self.on_delimiter(buffer, end) {
                return Some(split);
            }
        }
    }

    /// The stream ends here, as each datagram does: what is unfinished is dropped, and the next
    /// byte is the first of a new stream. To be called when [`next`](Self::next) has given `None`.
    pub fn finish(&mut self, buffer: &mut BytesMut) -> Option<Split> {
        let reason = self.dropping.unwrap_or(RejectReason::Cut);
        let bytes = self.dropped + buffer.len();
        buffer.clear();
        *self = Self::new().with_joining(self.is_joining);
        (bytes > 0).then_some(Split::Dropped { reason, bytes })
    }

    /// Drops up to the next delimiter.
    fn drop_run(&mut self, buffer: &mut BytesMut, reason: RejectReason) -> Option<Split> {
        let room = DROPPED_BYTES_MAX.saturating_sub(self.dropped);
        let window = buffer.get(..room).unwrap_or(&buffer[..]);
        let found = memchr::memchr(DELIMITER, window);
        let count = found.unwrap_or(window.len());
        buffer.advance(count);
        self.dropped += count;
        if found.is_some() {
            buffer.advance(1);
            self.dropping = None;
        } else if self.dropped < DROPPED_BYTES_MAX {
            return None;
        }
        match std::mem::take(&mut self.dropped) {
            0 => self.next(buffer),
            bytes => Some(Split::Dropped { reason, bytes }),
        }
    }

    /// A delimiter stands at `end`, and all before it is known.
    fn on_delimiter(&mut self, buffer: &mut BytesMut, end: usize) -> Option<Split> {
        let Some(held) = self.held else {
            if end == 0 {
                buffer.advance(1);
                self.searched = 0;
                return None;
            }
            if self.is_joining && is_cut(buffer.get(..end).unwrap_or_default()) {
                self.hold(Held {
                    first: end,
                    bytes: end,
                    count: 1,
                });
                return None;
            }
            return Some(self.take(buffer, end));
        };
        let newest = buffer.get(held.bytes + 1..end).unwrap_or_default();
        let joined = buffer.get(..end).unwrap_or_default();
        if end > CANDIDATE_BYTES_MAX || is_whole(newest) {
            return Some(self.take(buffer, held.first));
        }
        if is_whole(joined) {
            return Some(self.take(buffer, end));
        }
        if held.count < JOINED_MAX && is_cut(joined) {
            self.hold(Held {
                bytes: end,
                count: held.count + 1,
                ..held
            });
            return None;
        }
        Some(self.take(buffer, held.first))
    }

    fn hold(&mut self, held: Held) {
        self.searched = held.bytes + 1;
        self.held = Some(held);
    }

    /// Takes the candidate of this length, and the delimiter behind it. Those that were held
    /// behind it are looked at anew.
    fn take(&mut self, buffer: &mut BytesMut, length: usize) -> Split {
        self.searched = 0;
        self.held = None;
        let candidate = buffer.split_to(length.min(buffer.len())).freeze();
        buffer.advance(1.min(buffer.len()));
        Split::Candidate(candidate)
    }
}

/// Whether a candidate looks like the start of a longer frame.
fn is_cut(raw: &[u8]) -> bool {
    let content;
    let unescaped = match unescape(raw) {
        Some(bytes) => {
            content = bytes;
            &content[..]
        }
        None => raw,
    };
    stated_content_len(unescaped).is_some_and(|stated| unescaped.len() < stated)
        && inspect(unescaped).is_err()
        && inspect(raw).is_err()
}

/// Whether length and check code of a candidate fit, in one of its two readings.
fn is_whole(raw: &[u8]) -> bool {
    let fits = |content: &[u8]| inspect(content).is_ok_and(|content| content.fits);
    fits(raw) || unescape(raw).is_some_and(|content| fits(&content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fuzzing::split_all, hex, jt808::frame::Frame};

    const HEARTBEAT_1: &str = "7E 0002 0000 013800138000 0001 A9 7E";
    const HEARTBEAT_2: &str = "7E 0002 0000 013800138000 0002 AA 7E";
    /// A raw 0x7E in the longitude, check code right over the raw bytes (jt-framework#71).
    const CUT_IN_THE_BODY: &str = "7E 0200005B 012345678910 0011 00000000 00000000 020A3AAC 06 7E
        AA24 00000000000022083117155601040000014A30011D310100EB31000C00B28986049401208044782200
        060089FFFFFFFE000600C5FFFFFFE7000B00D801CC0090050FEC20C7000400B71D00 94 7E";

    /// Serial numbers of the frames that open, and how many pieces do not, the same in all cuts.
    fn outcome(text: &str, is_joining: bool) -> (Vec<u16>, usize) {
        let stream = hex::bytes(text);
        let mut outcomes = (0..stream.len()).map(|at| {
            let splits = split_all(&stream, is_joining, |left| {
                if at == 0 {
                    1
                } else if left == stream.len() {
                    at
                } else {
                    left
                }
            });
            let mut serials = Vec::new();
            let mut dropped = 0;
            for split in splits {
                match split {
                    Split::Candidate(raw) => match Frame::open(raw) {
                        Ok(frame) => serials.push(frame.header.serial),
                        Err(_) => dropped += 1,
                    },
                    Split::Dropped { .. } => dropped += 1,
                }
            }
            (serials, dropped)
        });
        let first = outcomes.next().unwrap();
        assert!(outcomes.all(|outcome| outcome == first), "the cuts differ");
        first
    }

    #[test]
    fn the_torture_table() {
        let shared = format!("7E 0002 0000 013800138000 0001 A9 {HEARTBEAT_2}");
        let tripled = format!("{HEARTBEAT_1} 7E {HEARTBEAT_2}");
        let noisy = format!("001122 {HEARTBEAT_1} 3344 {HEARTBEAT_2}");
        let bad = format!("7E 0002 0000 013800138000 0001 A8 7E {HEARTBEAT_2}");
        let unclosed = format!("7E 0002 0000 013800138000 0001 {HEARTBEAT_2}");
        for is_joining in [false, true] {
            for (text, serials, dropped) in [
                (shared.as_str(), &[1, 2][..], 0),
                (&tripled, &[1, 2], 0),
                (&noisy, &[1, 2], 2),
                (&bad, &[2], 1),
                (&unclosed, &[2], 1),
                ("7E 0002 0000 013800138000 00D5 7D 7E", &[213], 0),
                ("7E 0900 0003 013800138000 0003 F07D03 2D 7E", &[3], 0),
                ("7E 0900 0003 013800138000 0004 F07D01 28 7E", &[4], 0),
                ("7E 0002 4000 013800138000 0005 ED 7E", &[5], 0),
                ("7E 8104 0000 01 00000000012345678910 0001 1C 7E", &[1], 0),
                ("7E 0002 0005 013800138000 0006 AB 7E", &[6], 0),
                ("41 42 43", &[], 0),
            ] {
                assert_eq!(
                    outcome(text, is_joining),
                    (serials.to_vec(), dropped),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn a_frame_that_a_raw_delimiter_cuts_is_joined_when_that_is_wanted() {
        assert_eq!(outcome(CUT_IN_THE_BODY, true), (vec![17], 0));
        assert_eq!(outcome(CUT_IN_THE_BODY, false), (vec![], 2));
        // The check code itself, and two in a row in the body.
        assert_eq!(
            outcome("7E 0002 0000 013800138000 00D6 7E 7E", true),
            (vec![0xD6], 0)
        );
        assert_eq!(
            outcome("7E 0900 0004 013800138000 0005 117E7E22 91 7E", true),
            (vec![5], 0)
        );
    }

    #[test]
    fn a_whole_frame_is_no_part_of_a_broken_one() {
        // The first states 20 bytes of body and breaks off after two.
        let text = format!("7E 0900 0014 013800138000 0007 1122 {HEARTBEAT_1} {HEARTBEAT_2}");
        assert_eq!(outcome(&text, true), (vec![1, 2], 1));
    }

    #[test]
    fn parts_that_fit_nothing_come_out_one_by_one() {
        let part = "7E 0900 03FF 013800138000 0007 11 ";
        let text = format!("{}{HEARTBEAT_1}", part.repeat(20));
        assert_eq!(outcome(&text, true), (vec![1], 20));
    }

    #[test]
    fn nothing_unfinished_outlives_the_end_of_a_datagram() {
        let cut = "7E 0002 0000 0138";
        // Joining would wait for the rest of this one.
        let held = "7E 0900 0014 013800138000 0007 1122 7E";
        for is_joining in [false, true] {
            let mut splitter = Splitter::new().with_joining(is_joining);
            let mut one = |text: &str| {
                let mut buffer = BytesMut::from(&hex::bytes(text)[..]);
                let mut candidates = 0;
                while let Some(split) = splitter.next(&mut buffer) {
                    candidates += usize::from(matches!(split, Split::Candidate(_)));
                }
                let end = splitter.finish(&mut buffer);
                assert!(buffer.is_empty());
                (candidates, end)
            };
            let dropped = |reason, bytes| Some(Split::Dropped { reason, bytes });
            assert_eq!(one(cut), (0, dropped(RejectReason::Cut, 6)));
            assert_eq!(one(HEARTBEAT_1), (1, None));
            assert_eq!(one("41 42 43"), (0, dropped(RejectReason::Noise, 3)));
            let (candidates, end) = one(held);
            assert_eq!(candidates + usize::from(end.is_some()), 1);
            assert_eq!(one(&format!("{HEARTBEAT_1} {HEARTBEAT_2}")), (2, None));
            let behind = format!("{HEARTBEAT_1} {cut}");
            assert_eq!(one(&behind), (1, dropped(RejectReason::Cut, 6)));
            assert_eq!(one(""), (0, None));
        }
    }

    #[test]
    fn a_run_without_end_is_reported_in_pieces_and_not_kept() {
        let mut splitter = Splitter::new();
        let mut buffer = BytesMut::new();
        let mut dropped = Vec::new();
        for _ in 0..100 {
            buffer.extend_from_slice(&[0x41; 2000]);
            while let Some(split) = splitter.next(&mut buffer) {
                dropped.push(split);
            }
            assert!(buffer.is_empty());
        }
        let piece = Split::Dropped {
            reason: RejectReason::Noise,
            bytes: DROPPED_BYTES_MAX,
        };
        assert_eq!(dropped, vec![piece; 3]);
    }

    #[test]
    fn the_longest_candidate_comes_out_and_a_longer_one_is_dropped_up_to_the_next_delimiter() {
        let run = |length| {
            let mut stream = vec![0x7E];
            stream.resize(1 + length, 0x41);
            stream.extend(hex::bytes(HEARTBEAT_1));
            split_all(&stream, false, |_| 97)
        };
        let splits = run(CANDIDATE_BYTES_MAX);
        assert!(matches!(&splits[0], Split::Candidate(raw) if raw.len() == CANDIDATE_BYTES_MAX));
        let bytes = CANDIDATE_BYTES_MAX + 1;
        let splits = run(bytes);
        assert_eq!(
            splits[0],
            Split::Dropped {
                reason: RejectReason::Oversize,
                bytes
            }
        );
        assert!(matches!(&splits[1], Split::Candidate(raw) if raw.len() == 13));
        assert_eq!(splits.len(), 2);
    }

    #[test]
    fn a_candidate_shares_the_memory_of_the_read_buffer() {
        let mut buffer = BytesMut::from(&hex::bytes(HEARTBEAT_1)[..]);
        let start = buffer.as_ptr();
        let Some(Split::Candidate(raw)) = Splitter::new().next(&mut buffer) else {
            panic!("no candidate")
        };
        assert_eq!(raw.as_ptr(), start.wrapping_add(1));
        assert_eq!(buffer.len(), 0);
    }
}
