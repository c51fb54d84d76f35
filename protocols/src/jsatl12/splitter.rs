//! The incremental splitter of an attachment connection: a stream in, frames and data out.

use bytes::{Buf as _, Bytes, BytesMut};

use super::file_name::{FILE_NAME_BYTES, FileName};
use crate::jt808::frame::{DELIMITER, FRAME_BYTES_MAX, Frame};

/// What a packet of data begins with (帧头标识).
pub const PACKET_MARK: [u8; 4] = *b"01cd";
/// Bytes of a packet in front of its data: mark, name, offset and length.
pub const PACKET_HEADER_BYTES: usize = PACKET_MARK.len() + FILE_NAME_BYTES + 4 + 4;
/// Data of one packet, in bytes, when nobody says otherwise. The standard recommends 65536.
pub const PACKET_BYTES_MAX: u32 = 1024 * 1024;
/// The longest candidate: a frame without its delimiters.
const CANDIDATE_BYTES_MAX: usize = FRAME_BYTES_MAX - 2;
/// Dropped bytes are reported where they end, and after so many without an end.
const DROPPED_BYTES_MAX: usize = 64 * 1024;

/// A piece of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// What lies between two delimiters, escapes included; never empty. For [`Frame::open`].
    Candidate(Bytes),
    /// Data of a file, as far as they have come.
    Data {
        /// File that they belong to.
        name: FileName,
        /// Where they stand in the file, in bytes from its start.
        offset: u32,
        /// The data; empty only for a packet without any.
        bytes: Bytes,
        /// The packet ends here.
        is_last_part: bool,
    },
    /// Bytes that can be neither.
    Dropped {
        /// Why.
        reason: DropReason,
        /// How many, in bytes.
        bytes: usize,
    },
}

/// Why bytes are neither a frame nor data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DropReason {
    /// Where a frame or a packet has to begin.
    #[error("neither a delimiter nor the mark of a packet")]
    Noise,
    /// Longer than any frame.
    #[error("more than {FRAME_BYTES_MAX} bytes without a delimiter")]
    Oversize,
    /// A frame without an end, in front of a packet.
    #[error("a frame that is not closed before a packet")]
    Unclosed,
    /// A packet that states more data than are taken, or data beyond 4 GiB of a file.
    #[error("a packet with too much data")]
    PacketTooLong,
    /// The connection ends inside it.
    #[error("cut by the end of the connection")]
    Cut,
}

impl DropReason {
    /// All of them, for tables of counters.
    pub const ALL: &[Self] = &[
        Self::Noise,
        Self::Oversize,
        Self::Unclosed,
        Self::PacketTooLong,
        Self::Cut,
    ];

    /// The word for a metric's label.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Noise => "noise",
            Self::Oversize => "oversize",
            Self::Unclosed => "unclosed",
            Self::PacketTooLong => "packet_too_long",
            Self::Cut => "cut",
        }
    }
}

/// Cuts the stream of an attachment connection.
///
/// The caller appends what it reads to one buffer and calls [`next`](Self::next) until it gives
/// `None`. What comes out does not depend on the sizes of the reads, except that data come in
/// parts as they arrive: the buffer is never left with more than one frame in it, however much
/// data a packet states. A byte is searched once for a delimiter.
///
/// Every 0x7E outside of a packet is a boundary, as in JT/T 808, and so is the end of a packet. A
/// packet begins where its mark stands at a boundary. Elsewhere the mark may be a part of a frame,
/// since frames carry names of files: only when the frame does not open, it is the start of a
/// packet behind a frame that was not closed.
#[derive(Clone, Debug)]
pub struct AttachmentSplitter {
    packet_bytes_max: u32,
    state: State,
    /// Bytes dropped and not yet reported.
    dropped: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// No frame is open: bytes up to a delimiter or a mark are dropped.
    Between(DropReason),
    /// Behind a delimiter.
    Boundary,
    /// In a candidate; so many of its bytes are no delimiter.
    Candidate(usize),
    /// A mark stands at the start of the buffer.
    Header,
    Data(Packet),
}

/// What is to come of a packet.
#[derive(Clone, Copy, Debug)]
struct Packet {
    name: FileName,
    offset: u32,
    left: u32,
}

enum Step {
    Gives(Piece),
    GoesOn,
    NeedsMore,
}

impl Default for AttachmentSplitter {
    fn default() -> Self {
        Self::new(PACKET_BYTES_MAX)
    }
}

impl AttachmentSplitter {
    /// At the start of a connection. A packet with more than `packet_bytes_max` bytes of data is
    /// none.
    #[must_use]
    pub const fn new(packet_bytes_max: u32) -> Self {
        Self {
            packet_bytes_max,
            state: State::Between(DropReason::Noise),
            dropped: 0,
        }
    }

    /// The next piece; `None` when more bytes are needed. What it gives is taken out of `buffer`
    /// and shares its memory, and nobody else may take from it.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Option<Piece> {
        loop {
            let step = match self.state {
                State::Between(reason) => self.between(buffer, reason),
                State::Boundary => self.at_boundary(buffer),
                State::Candidate(searched) => self.in_candidate(buffer, searched),
                State::Header => self.at_header(buffer),
                State::Data(packet) => self.in_data(buffer, packet),
            };
            match step {
                Step::Gives(piece) => return Some(piece),
                Step::GoesOn => {}
                Step::NeedsMore => return None,
            }
        }
    }

    /// The connection ends here: what is unfinished is dropped, and the next byte is the first of
    /// a new one. To be called when [`next`](Self::next) has given `None`.
    pub fn finish(&mut self, buffer: &mut BytesMut) -> Option<Piece> {
        let reason = match self.state {
            State::Between(reason) => reason,
            _ => DropReason::Cut,
        };
        let bytes = self.dropped + buffer.len();
        buffer.clear();
        *self = Self::new(self.packet_bytes_max);
        (bytes > 0).then_some(Piece::Dropped { reason, bytes })
    }

    /// Drops up to a delimiter or a mark.
    fn between(&mut self, buffer: &mut BytesMut, reason: DropReason) -> Step {
        let room = DROPPED_BYTES_MAX.saturating_sub(self.dropped);
        let start = find_start(buffer);
        let at = match start {
            Start::Delimiter(at) | Start::Mark(at) | Start::PartOfMark(at) => at,
            Start::Nowhere => buffer.len(),
        };
        if at >= room {
            buffer.advance(room);
            self.dropped = 0;
            return Step::Gives(Piece::Dropped {
                reason,
                bytes: DROPPED_BYTES_MAX,
            });
        }
        buffer.advance(at);
        self.dropped += at;
        self.state = match start {
            Start::Delimiter(_) => {
                buffer.advance(1);
                State::Boundary
            }
            Start::Mark(_) => State::Header,
            Start::PartOfMark(_) | Start::Nowhere => return Step::NeedsMore,
        };
        match std::mem::take(&mut self.dropped) {
            0 => Step::GoesOn,
            bytes => Step::Gives(Piece::Dropped { reason, bytes }),
        }
    }

    fn at_boundary(&mut self, buffer: &mut BytesMut) -> Step {
        match buffer.first() {
            None => return Step::NeedsMore,
            Some(&DELIMITER) => buffer.advance(1),
            Some(_) if buffer.starts_with(&PACKET_MARK) => self.state = State::Header,
            Some(_) if PACKET_MARK.starts_with(buffer) => return Step::NeedsMore,
            Some(_) => self.state = State::Candidate(0),
        }
        Step::GoesOn
    }

    fn in_candidate(&mut self, buffer: &mut BytesMut, searched: usize) -> Step {
        // What is decided depends on these bytes alone, however many more there are.
        let window = buffer.get(..=CANDIDATE_BYTES_MAX).unwrap_or(&buffer[..]);
        let found = memchr::memchr(DELIMITER, window.get(searched..).unwrap_or_default());
        let run = found.map_or(window.len(), |at| searched + at);
        if found.is_none() && run <= CANDIDATE_BYTES_MAX {
            self.state = State::Candidate(run);
            return Step::NeedsMore;
        }
        let candidate = window.get(..run).unwrap_or_default();
        let mark = memchr::memmem::find(candidate, &PACKET_MARK);
        let mark = mark.filter(|_| Frame::open(Bytes::copy_from_slice(candidate)).is_err());
        if let Some(bytes) = mark {
            buffer.advance(bytes);
            self.state = State::Header;
            let reason = DropReason::Unclosed;
            return Step::Gives(Piece::Dropped { reason, bytes });
        }
        if found.is_none() {
            self.state = State::Between(DropReason::Oversize);
            return Step::GoesOn;
        }
        let candidate = buffer.split_to(run).freeze();
        buffer.advance(1);
        self.state = State::Boundary;
        Step::Gives(Piece::Candidate(candidate))
    }

    fn at_header(&mut self, buffer: &mut BytesMut) -> Step {
        let Some(header) = buffer.first_chunk::<PACKET_HEADER_BYTES>() else {
            return Step::NeedsMore;
        };
        let Some(packet) = Packet::read(header, self.packet_bytes_max) else {
            // Its length means nothing, so what follows is searched for the next start.
            buffer.advance(PACKET_MARK.len());
            self.dropped = PACKET_MARK.len();
            self.state = State::Between(DropReason::PacketTooLong);
            return Step::GoesOn;
        };
        buffer.advance(PACKET_HEADER_BYTES);
        if packet.left == 0 {
            return self.part(Bytes::new(), packet, 0);
        }
        self.state = State::Data(packet);
        Step::GoesOn
    }

    fn in_data(&mut self, buffer: &mut BytesMut, packet: Packet) -> Step {
        // More than 4 GiB in the buffer is more than the packet has left.
        let here = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let taken = here.min(packet.left);
        if taken == 0 {
            return Step::NeedsMore;
        }
        let bytes = buffer.split_to(taken as usize).freeze();
        self.part(bytes, packet, taken)
    }

    /// Gives `taken` bytes of a packet, and goes on behind them.
    fn part(&mut self, bytes: Bytes, packet: Packet, taken: u32) -> Step {
        let Packet { name, offset, left } = packet;
        let is_last_part = left <= taken;
        self.state = if is_last_part {
            State::Between(DropReason::Noise)
        } else {
            State::Data(Packet {
                name,
                offset: offset.saturating_add(taken),
                left: left - taken,
            })
        };
        Step::Gives(Piece::Data {
            name,
            offset,
            bytes,
            is_last_part,
        })
    }
}

impl Packet {
    /// `None` when it has more data than are taken, or its file more than 4 GiB.
    fn read(header: &[u8; PACKET_HEADER_BYTES], bytes_max: u32) -> Option<Self> {
        let (_, rest) = header.split_first_chunk::<{ PACKET_MARK.len() }>()?;
        let (name, rest) = rest.split_first_chunk::<FILE_NAME_BYTES>()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let offset = u32::from_be_bytes(*offset);
        let left = u32::from_be_bytes(*rest.first_chunk()?);
        let fits = left <= bytes_max && offset.checked_add(left).is_some();
        let name = FileName::new(name)?;
        fits.then_some(Self { name, offset, left })
    }
}

/// Where something begins in a run of noise.
#[derive(Clone, Copy)]
enum Start {
    Delimiter(usize),
    Mark(usize),
    /// The buffer ends inside what may be a mark.
    PartOfMark(usize),
    Nowhere,
}

fn find_start(noise: &[u8]) -> Start {
    let mut searched = 0;
    while let Some(rest) = noise.get(searched..) {
        let Some(found) = memchr::memchr2(DELIMITER, PACKET_MARK[0], rest) else {
            return Start::Nowhere;
        };
        let at = searched + found;
        let here = noise.get(at..).unwrap_or_default();
        if here.first() == Some(&DELIMITER) {
            return Start::Delimiter(at);
        }
        if here.starts_with(&PACKET_MARK) {
            return Start::Mark(at);
        }
        if PACKET_MARK.starts_with(here) {
            return Start::PartOfMark(at);
        }
        searched = at + 1;
    }
    Start::Nowhere
}

#[cfg(test)]
mod tests;
