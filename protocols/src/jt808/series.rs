//! Splits a body that is longer than one frame into packets (分包), and remembers them.
//!
//! The packets take consecutive serial numbers. The terminal may ask for some of them again with
//! 0x0005, and gets the identical frames. It may answer the whole with the serial number of any of
//! them; most quote the last.

use bytes::Bytes;

use super::header::{BODY_BYTES_MAX, Header, PacketItem};

/// Bytes of the body that each packet holds where nothing else is configured. Below
/// [`BODY_BYTES_MAX`], since terminals are known that have no room for a whole one.
pub const CHUNK_BYTES_DEFAULT: usize = 900;

/// Why a body cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// Packets hold 1 to [`BODY_BYTES_MAX`] bytes.
    #[error("packets of {bytes} bytes, not of 1 to {BODY_BYTES_MAX}")]
    ChunkSize {
        /// The size that was wanted.
        bytes: usize,
    },
    /// Packets are counted in 16 bits.
    #[error("a body of {bytes} bytes needs more than {} packets", u16::MAX)]
    TooLong {
        /// Length of the body.
        bytes: usize,
    },
}

impl SplitError {
    /// The word for a metric's label.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::ChunkSize { .. } => "chunk_size",
            Self::TooLong { .. } => "too_long",
        }
    }
}

/// A message as it is sent: one frame, or a series of packets.
///
/// It keeps the body once and writes a frame when it is asked for it, the same each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentSeries {
    /// With the serial number of the first packet.
    header: Header,
    body: Bytes,
    chunk_bytes: usize,
    packets: u16,
}

impl SentSeries {
    /// Splits `body` into packets of `chunk_bytes`, the last one shorter; a body that one frame
    /// holds is not split. `header` has the serial number of the first packet, and the body is as
    /// it goes over the wire: where it is encrypted, one frame has to hold it, since each packet
    /// would be encrypted on its own.
    ///
    /// # Errors
    /// When the packets would be too large or too many.
    pub fn split(header: Header, body: Bytes, chunk_bytes: usize) -> Result<Self, SplitError> {
        if !(1..=BODY_BYTES_MAX).contains(&chunk_bytes) {
            return Err(SplitError::ChunkSize { bytes: chunk_bytes });
        }
        let bytes = body.len();
        let (chunk_bytes, packets) = if bytes <= BODY_BYTES_MAX {
            (BODY_BYTES_MAX, 1)
        } else {
            (chunk_bytes, bytes.div_ceil(chunk_bytes))
        };
        let packets = u16::try_from(packets).map_err(|_| SplitError::TooLong { bytes })?;
        Ok(Self {
            header,
            body,
            chunk_bytes,
            packets,
        })
    }

    /// The same with other serial numbers.
    #[must_use]
    pub const fn starting_at(mut self, serial: u16) -> Self {
        self.header.serial = serial;
        self
    }

    /// How many frames, and serial numbers; at least 1.
    #[must_use]
    pub const fn packets(&self) -> u16 {
        self.packets
    }

    /// Serial number of the first packet.
    #[must_use]
    pub const fn first_serial(&self) -> u16 {
        self.header.serial
    }

    /// Serial number of the message that is sent next.
    #[must_use]
    pub const fn next_serial(&self) -> u16 {
        self.header.serial.wrapping_add(self.packets)
    }

    /// Length of the whole body, in bytes.
    #[must_use]
    pub const fn body_bytes(&self) -> usize {
        self.body.len()
    }

    /// Whether an answer that quotes this serial number is one to this message.
    #[must_use]
    pub const fn has_serial(&self, serial: u16) -> bool {
        serial.wrapping_sub(self.header.serial) < self.packets
    }

    /// The frame of a packet; `None` for numbers that are not 1 to [`packets`](Self::packets).
    #[must_use]
    pub fn frame(&self, number: u16) -> Option<Bytes> {
        if number > self.packets {
            return None;
        }
        let index = number.checked_sub(1)?;
        let start = usize::from(index) * self.chunk_bytes;
        let end = self.body.len().min(start + self.chunk_bytes);
        let packet = PacketItem {
            total: self.packets,
            number,
        };
        let header = Header {
            serial: self.header.serial.wrapping_add(index),
            packet: (self.packets > 1).then_some(packet),
            ..self.header
        };
        header.frame(self.body.get(start..end)?).ok()
    }

    /// All frames in their order.
    pub fn frames(&self) -> impl Iterator<Item = Bytes> {
        (1..=self.packets).filter_map(|number| self.frame(number))
    }

    /// The frames that a request for packets (0x0005) asks for, each once and ascending, or `None`
    /// when it asks for those of another message. `serial` is that of the first packet by the
    /// standard; any of the series is taken. Numbers that there are not are passed over.
    pub fn frames_asked_for(
        &self,
        serial: u16,
        numbers: &[u16],
    ) -> Option<impl Iterator<Item = Bytes>> {
        if !self.has_serial(serial) {
            return None;
        }
        let mut numbers = numbers.to_vec();
        numbers.sort_unstable();
        numbers.dedup();
        Some(numbers.into_iter().filter_map(|number| self.frame(number)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::jt808::{
        frame::Frame,
        header::TerminalPhone,
        message::MessageId,
        reassembly::{Outcome, Reassembler, ReassemblyLimits, ReassemblyPool},
    };

    fn header(serial: u16) -> Header {
        Header::new(
            MessageId(0x8108),
            TerminalPhone::Long([0x7E, 0, 0, 0, 0x01, 0x38, 0x00, 0x13, 0x80, 0x00]),
            serial,
        )
    }

    fn open(frame: &Bytes) -> Frame {
        let frame = Frame::open(frame.slice(1..frame.len() - 1)).unwrap();
        assert!(!frame.deviates);
        frame
    }

    #[test]
    fn a_body_that_one_frame_holds_is_not_split() {
        for length in [0, 1, 900, 901, BODY_BYTES_MAX] {
            let body = Bytes::from(vec![0x7D; length]);
            let series = SentSeries::split(header(9), body.clone(), CHUNK_BYTES_DEFAULT).unwrap();
            assert_eq!((series.packets(), series.next_serial()), (1, 10));
            let frames: Vec<_> = series.frames().collect();
            assert_eq!(frames, [header(9).frame(&body).unwrap()]);
        }
    }

    #[test]
    fn packets_have_consecutive_serial_numbers_over_the_wrap() {
        let body: Bytes = (0..2000_u32).map(|i| i.to_le_bytes()[0]).collect();
        let series = SentSeries::split(header(65_534), body.clone(), 900).unwrap();
        let opened: Vec<_> = series.frames().map(|frame| open(&frame)).collect();
        let items: Vec<_> = opened
            .iter()
            .map(|frame| {
                let item = frame.header.packet.unwrap();
                (
                    frame.header.serial,
                    item.number,
                    item.total,
                    frame.body.len(),
                )
            })
            .collect();
        let expected = [(65_534, 1, 3, 900), (65_535, 2, 3, 900), (0, 3, 3, 200)];
        assert_eq!(items, expected);
        assert_eq!(series.next_serial(), 1);
        assert_eq!(opened[2].body, body.slice(1800..));
    }

    #[test]
    fn any_serial_number_of_the_series_is_its_own_and_no_other() {
        let series = SentSeries::split(header(65_534), vec![0; 2000].into(), 900).unwrap();
        let own: Vec<u16> = (0..=u16::MAX).filter(|s| series.has_serial(*s)).collect();
        assert_eq!(own, [0, 65_534, 65_535]);
    }

    #[test]
    fn packets_that_are_asked_for_are_the_identical_frames() {
        let series = SentSeries::split(header(7), vec![1; 4000].into(), 900).unwrap();
        let frames: Vec<_> = series.frames().collect();
        for quoted in [7, 11] {
            let asked = series.frames_asked_for(quoted, &[5, 2, 2, 0, 6, u16::MAX]);
            let asked: Vec<_> = asked.unwrap().collect();
            assert_eq!(asked, [frames[1].clone(), frames[4].clone()]);
        }
        assert!(series.frames_asked_for(12, &[1]).is_none());
        assert_eq!(series.frames_asked_for(7, &[]).unwrap().count(), 0);
    }

    #[test]
    fn packets_too_large_or_too_many_are_refused() {
        for bytes in [0, BODY_BYTES_MAX + 1] {
            let refused = SentSeries::split(header(0), Bytes::new(), bytes);
            assert_eq!(refused, Err(SplitError::ChunkSize { bytes }));
        }
        let most = Bytes::from(vec![0; 65_535]);
        let series = SentSeries::split(header(1), most, 1).unwrap();
        assert_eq!((series.packets(), series.next_serial()), (u16::MAX, 0));
        assert!(!series.has_serial(0) && series.frame(u16::MAX).is_some());
        let more = Bytes::from(vec![0; 65_536]);
        let refused = SentSeries::split(header(1), more, 1).unwrap_err();
        assert_eq!(refused, SplitError::TooLong { bytes: 65_536 });
        assert_eq!(refused.reason(), "too_long");
    }

    proptest! {
        #[test]
        fn what_was_split_is_joined_again(
            body in proptest::collection::vec(any::<u8>(), 0..4000),
            chunk_bytes in 20_usize..=BODY_BYTES_MAX,
            serial: u16,
        ) {
            let body = Bytes::from(body);
            let series = SentSeries::split(header(serial), body.clone(), chunk_bytes).unwrap();
            let pool = ReassemblyPool::new(ReassemblyLimits::default());
            let mut reassembler = Reassembler::new(pool);
            let mut joined = Vec::new();
            for frame in series.frames() {
                let frame = open(&frame);
                let outcome = reassembler.accept(&frame.header, &frame.body, Duration::ZERO);
                if let Outcome::Complete(message) = outcome {
                    joined.push(message);
                }
            }
            prop_assert_eq!(joined.len(), 1);
            prop_assert_eq!(&joined[0].body, &body);
            prop_assert_eq!((joined[0].total, joined[0].first_serial), (series.packets(), serial));
        }
    }
}
