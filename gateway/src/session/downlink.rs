//! What goes to a terminal without being a response: how it is addressed, the serial numbers that
//! responses and commands share, and the frames that wait for the connection to take them.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, AtomicU16, Ordering::Relaxed},
};

use bytes::Bytes;
use geofence::units::Timestamp;
use parking_lot::Mutex;
use protocols::jt808::{
    Revision,
    header::Header,
    message::MessageId,
    profile::TextEncoding,
    series::{SentSeries, SplitError},
};

/// Bytes that wait for the connection; more, and the terminal is taken for slow.
const OUTBOX_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Series of packets that the terminal may ask for again (0x0005), and for how long.
const SERIES_KEPT_MAX: usize = 4;
const SERIES_KEPT_MS: i64 = 60_000;

/// The way down to one terminal on one link.
#[derive(Debug)]
pub struct Downlink {
    /// A header of the terminal: its form, version and phone number are those of ours.
    address: Header,
    revision: Revision,
    text_encoding: TextEncoding,
    serial: AtomicU16,
    is_expecting: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Bytes>,
    bytes: usize,
    series: VecDeque<(Timestamp, SentSeries)>,
}

impl Downlink {
    /// To the terminal that sent this header; serial numbers go on from `serial`.
    #[must_use]
    pub fn new(
        address: Header,
        revision: Revision,
        text_encoding: TextEncoding,
        serial: u16,
    ) -> Self {
        Self {
            address,
            revision,
            text_encoding,
            serial: AtomicU16::new(serial),
            is_expecting: AtomicBool::new(false),
            waiting: Mutex::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn to_nobody() -> Self {
        let phone = protocols::jt808::header::TerminalPhone::Short([0, 0, 0, 0, 0, 9]);
        let header = Header::new(MessageId::HEARTBEAT, phone, 0);
        Self::new(header, Revision::V2013, TextEncoding::Gbk, 0)
    }

    /// The revision that bodies follow.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// How the terminal reads text.
    #[must_use]
    pub const fn text_encoding(&self) -> TextEncoding {
        self.text_encoding
    }

    /// The serial number of the next message.
    pub fn next_serial(&self) -> u16 {
        self.serial.fetch_add(1, Relaxed)
    }

    /// Answers are awaited: the terminal's messages are to be looked at for them.
    #[must_use]
    pub fn is_expecting(&self) -> bool {
        self.is_expecting.load(Relaxed)
    }

    /// Sets it.
    pub fn expect(&self, is_expecting: bool) {
        self.is_expecting.store(is_expecting, Relaxed);
    }

    /// A message with serial numbers of its own, split where it is longer than a frame.
    ///
    /// # Errors
    /// When it needs more packets than can be counted.
    pub fn series(
        &self,
        id: MessageId,
        body: Bytes,
        chunk_bytes: usize,
    ) -> Result<SentSeries, SplitError> {
        let series = SentSeries::split(self.address.reply(id, 0), body, chunk_bytes)?;
        let first = self.serial.fetch_add(series.packets(), Relaxed);
        Ok(series.starting_at(first))
    }

    /// The frames of a series wait for the connection, which is to be told. False when too much
    /// waits already.
    #[must_use]
    pub fn push(&self, series: &SentSeries, now: Timestamp) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.bytes + series.body_bytes() > OUTBOX_BYTES_MAX && waiting.bytes > 0 {
            return false;
        }
        for frame in series.frames() {
            waiting.bytes += frame.len();
            waiting.frames.push_back(frame);
        }
        if series.packets() > 1 {
            waiting
                .series
                .retain(|(_, kept)| kept.first_serial() != series.first_serial());
            if waiting.series.len() >= SERIES_KEPT_MAX {
                waiting.series.pop_front();
            }
            waiting.series.push_back((now, series.clone()));
        }
        true
    }

    /// What waits, in order.
    #[must_use]
    pub fn take(&self) -> VecDeque<Bytes> {
        let mut waiting = self.waiting.lock();
        waiting.bytes = 0;
        std::mem::take(&mut waiting.frames)
    }

    /// The packets of a series that was sent lately, which the terminal asks for again (0x0005).
    /// `None` when there is no such series any more.
    #[must_use]
    pub fn again(&self, serial: u16, numbers: &[u16], now: Timestamp) -> Option<Vec<Bytes>> {
        let mut waiting = self.waiting.lock();
        waiting
            .series
            .retain(|(at, _)| now.millis() - at.millis() < SERIES_KEPT_MS);
        waiting.series.iter().find_map(|(_, series)| {
            series
                .frames_asked_for(serial, numbers)
                .map(Iterator::collect)
        })
    }
}
