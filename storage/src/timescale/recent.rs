//! Which rows were written not long ago: a row that is among them is probably a resend.
//!
//! The database decides what is a duplicate (P2); this only says which way a row goes. A wrong
//! answer costs time and nothing else, so identities are kept as fingerprints of 32 bits in a table
//! of fixed size:
//!
//! ```text
//!            bucket: eight fingerprints, newest first
//!   hash ──▶ [f7 f6 f5 f4 f3 f2 f1 f0]    a ninth pushes out the oldest; 0 is an empty place
//! ```
//!
//! One of 500 million new rows is taken for a resend by chance.

use parking_lot::Mutex;

use super::rows::Line;

const BUCKET: usize = 8;

/// The identities of the rows that were written last.
#[derive(Debug)]
pub(super) struct Recent {
    /// As many as a power of two.
    buckets: Mutex<Vec<[u32; BUCKET]>>,
}

impl Recent {
    /// Room for at least so many identities, four bytes each.
    pub(super) fn new(identities: usize) -> Self {
        let buckets = identities.div_ceil(BUCKET).next_power_of_two();
        Self {
            buckets: Mutex::new(vec![[0; BUCKET]; buckets]),
        }
    }

    /// Rows that were written here are there.
    pub(super) fn remember(&self, lines: &[Line<'_>]) {
        let mut buckets = self.buckets.lock();
        let count = buckets.len();
        for line in lines {
            let (bucket, fingerprint) = place(line, count);
            let Some(bucket) = buckets.get_mut(bucket) else {
                continue;
            };
            if !bucket.contains(&fingerprint) {
                bucket.rotate_right(1);
                bucket[0] = fingerprint;
            }
        }
    }

    /// Lines that were probably not written before, and those that probably were or that `doubt`
    /// says something against. Both keep their order.
    pub(super) fn divide<'a>(
        &self,
        lines: &[Line<'a>],
        doubt: impl Fn(&Line<'a>) -> bool,
    ) -> (Vec<Line<'a>>, Vec<Line<'a>>) {
        let buckets = self.buckets.lock();
        lines.iter().partition(|line| {
            let (bucket, fingerprint) = place(line, buckets.len());
            let is_known = (buckets.get(bucket)).is_some_and(|b| b.contains(&fingerprint));
            !is_known && !doubt(line)
        })
    }
}

/// Bucket, of as many as a power of two, and fingerprint.
fn place(line: &Line<'_>, buckets: usize) -> (usize, u32) {
    let (terminal, fixed_at, digest) = line.key();
    let who = u64::from(terminal.cast_unsigned()) << 32 | u64::from(digest);
    let hash = mixed(mixed(who) ^ fixed_at.millis().cast_unsigned());
    let [a, b, c, d, e, f, g, h] = hash.to_be_bytes();
    let high = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(0);
    let low = u32::from_be_bytes([e, f, g, h]);
    (high & buckets.saturating_sub(1), low.max(1))
}

/// The finaliser of splitmix64: every bit of the result depends on every bit of the number.
const fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use geofence::{
        position::Position,
        units::{Latitude, Longitude, Timestamp},
    };

    use super::*;
    use crate::store::PositionRow;

    fn rows(numbers: std::ops::Range<u32>) -> Vec<PositionRow> {
        let row = |number: u32| PositionRow {
            position: Position {
                terminal: "13800000001".parse().unwrap(),
                fixed_at: Timestamp(i64::from(number / 10) * 1_000),
                received_at: Timestamp(0),
                log_offset: 0,
                digest: number % 10,
                latitude: Latitude::from_micro_degrees(0).unwrap(),
                longitude: Longitude::from_micro_degrees(0).unwrap(),
                altitude_m: None,
                speed_dkmh: 0,
                heading_deg: 0,
                alarm_flags: 0,
                status_flags: 0,
                odometer_dkm: None,
                satellites: None,
                inputs: Default::default(),
                is_positioned: true,
                is_backlog: false,
            },
            unit_grid: None,
        };
        numbers.map(row).collect()
    }

    fn lines(rows: &[PositionRow]) -> Vec<Line<'_>> {
        let line = |row| Line { terminal: 1, row };
        rows.iter().map(line).collect()
    }

    #[test]
    fn what_was_written_is_known_and_the_rest_is_new() {
        let recent = Recent::new(100_000);
        let (written, others) = (rows(0..10_000), rows(10_000..20_000));
        recent.remember(&lines(&written));
        let (new, known) = recent.divide(&lines(&written), |_| false);
        assert_eq!((new.len(), known.len()), (0, 10_000));
        let (new, known) = recent.divide(&lines(&others), |_| false);
        assert_eq!((new.len(), known.len()), (10_000, 0));
        let (new, known) = recent.divide(&lines(&others), |line| line.row.position.digest == 3);
        assert_eq!((new.len(), known.len()), (9_000, 1_000));
    }

    #[test]
    fn the_newest_rows_push_out_the_oldest() {
        let recent = Recent::new(1_000);
        let all = rows(0..100_000);
        for part in lines(&all).chunks(100) {
            recent.remember(part);
        }
        assert_eq!(recent.buckets.lock().len(), 128);
        let (new, known) = recent.divide(&lines(&all), |_| false);
        assert_eq!((new.len(), known.len()), (98_976, 1_024));
        let newest = lines(&all[99_900..]);
        let (_, known) = recent.divide(&newest, |_| false);
        assert!(known.len() > 95, "{}", known.len());
    }
}
