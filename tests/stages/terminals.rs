//! Terminals that drive through a fence, and keep what was not acknowledged.

use gateway::ingest::record::{PREFIX_BYTES_MAX, Prefix};
use storage::file_system::faulty::Random;
use tools::wire::{Phone, Report, Revision, batch_body, frame, message_id};

/// When stories begin: seconds since 1970.
pub(crate) const START_S: i64 = 1_764_028_800;
/// The longitude of report 0; each report has its own, a millionth of a degree from the last one.
const ORIGIN: i32 = 112_548_000;
/// 1999-12-31T16:00:00Z: the first second that the wire has, on a day that no store keeps.
const BEFORE_ALL_DAYS_S: i64 = 946_684_800 - 8 * 3_600;

/// A report by its terminal and its number there.
pub(crate) type Key = (String, i32);

/// What is to become of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    Stored,
    Quarantined,
}

/// A message that a terminal has made.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) reports: Vec<(Key, Fate)>,
    /// As it is recorded.
    pub(crate) payload: Vec<u8>,
    pub(crate) is_acknowledged: bool,
}

/// A terminal.
#[derive(Debug)]
pub(crate) struct Terminal {
    phone: Phone,
    next: i32,
    fixed_at: i64,
    /// Millionths of a degree, and how they change with each report.
    latitude: i32,
    step: i32,
    pub(crate) messages: Vec<Message>,
}

impl Terminal {
    pub(crate) fn new(index: usize) -> Self {
        let digits = format!("1380000000{index}");
        Self {
            phone: Phone::from_digits(&digits, Revision::V2013).unwrap(),
            next: 0,
            fixed_at: START_S,
            latitude: 37_865_000,
            step: 450,
            messages: Vec::new(),
        }
    }

    /// Makes a message of one report, or of some. Gives its index, and its newest fix time in
    /// seconds: it is not sent before.
    pub(crate) fn make(&mut self, random: &mut Random) -> (usize, i64) {
        let count = if random.below(4) == 0 {
            2 + random.below(4)
        } else {
            1
        };
        let made: Vec<_> = (0..count).map(|_| self.report(random)).collect();
        let bodies: Vec<_> = made.iter().map(|(_, _, body)| body.clone()).collect();
        let serial = u16::try_from(self.messages.len()).unwrap();
        let frame = match &bodies[..] {
            [body] => frame(message_id::LOCATION_REPORT, &self.phone, serial, body),
            bodies => {
                let body = batch_body(random.below(2) == 0, bodies).unwrap();
                frame(message_id::LOCATION_BATCH, &self.phone, serial, &body)
            }
        };
        let frame = frame.unwrap();
        let prefix = Prefix {
            revision: protocols::jt808::Revision::V2013,
            utc_offset_minutes: 480,
            counts_escapes: false,
            headers: Default::default(),
        };
        let mut payload = prefix.encode(&mut [0; PREFIX_BYTES_MAX]).to_vec();
        payload.extend(&frame[1..frame.len() - 1]);
        self.messages.push(Message {
            reports: made.into_iter().map(|(key, fate, _)| (key, fate)).collect(),
            payload,
            is_acknowledged: false,
        });
        (self.messages.len() - 1, self.fixed_at)
    }

    fn report(&mut self, random: &mut Random) -> (Key, Fate, Vec<u8>) {
        let number = self.next;
        self.next += 1;
        self.fixed_at += 5;
        if !(37_862_000..37_878_000).contains(&(self.latitude + self.step)) {
            self.step = -self.step;
        }
        self.latitude += self.step;
        let mut report = Report {
            status: Report::status_of(true),
            latitude: self.latitude,
            longitude: ORIGIN + number,
            altitude_m: 780,
            speed_dkmh: 360,
            fixed_at: self.fixed_at,
            ..Report::default()
        };
        let mut fate = Fate::Quarantined;
        match random.below(40) {
            0 => report.fixed_at = i64::MAX,
            1 => report.fixed_at += 365 * 86_400,
            2 => report.latitude = 95_000_000,
            3 => report.fixed_at = BEFORE_ALL_DAYS_S + i64::from(number),
            _ => fate = Fate::Stored,
        }
        let key = (self.phone.digits(), number);
        (key, fate, report.body())
    }
}

/// The number of a report by its longitude.
pub(crate) const fn number_of(longitude: i32) -> i32 {
    longitude - ORIGIN
}
