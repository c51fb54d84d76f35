//! Latencies in logarithmic classes: fixed room, an error below 1.6 %.
#![expect(
    clippy::indexing_slicing,
    reason = "the index of a class is below their number"
)]

use serde::Serialize;

/// Classes for each doubling.
const CLASS_BITS: u32 = 6;
const CLASSES: u64 = 1 << CLASS_BITS;
const ALL_CLASSES: usize = (64 - CLASS_BITS as usize + 1) << CLASS_BITS;

/// Quantiles of a latency, in milliseconds; all 0 when nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Half are no slower.
    pub p50_ms: f64,
    /// Nine of ten.
    pub p90_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// 999 of 1,000.
    pub p999_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

/// Counts of latencies.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max_us: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self {
            counts: vec![0; ALL_CLASSES],
            total: 0,
            max_us: 0,
        }
    }

    /// Counts one of so many microseconds.
    pub fn record(&mut self, us: u64) {
        self.counts[class_of(us)] += 1;
        self.total += 1;
        self.max_us = self.max_us.max(us);
    }

    /// Counts those of another one as well.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.max_us = self.max_us.max(other.max_us);
    }

    /// Its quantiles.
    #[must_use]
    pub fn latency(&self) -> Latency {
        Latency {
            p50_ms: self.quantile_ms(500),
            p90_ms: self.quantile_ms(900),
            p99_ms: self.quantile_ms(990),
            p999_ms: self.quantile_ms(999),
            max_ms: milliseconds(self.max_us),
        }
    }

    /// The upper end of the class that holds this share of a thousand.
    fn quantile_ms(&self, of_thousand: u64) -> f64 {
        let rank = (self.total * of_thousand).div_ceil(1_000);
        let mut seen = 0;
        for (class, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank && rank > 0 {
                return milliseconds(highest_of(class).min(self.max_us));
            }
        }
        0.0
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a bounded run")]
fn milliseconds(us: u64) -> f64 {
    us as f64 / 1_000.0
}

#[expect(clippy::cast_possible_truncation, reason = "below ALL_CLASSES")]
fn class_of(us: u64) -> usize {
    let Some(shift) = us
        .checked_ilog2()
        .and_then(|log| log.checked_sub(CLASS_BITS))
    else {
        return us as usize;
    };
    (u64::from(shift) * CLASSES + (us >> shift)) as usize
}

fn highest_of(class: usize) -> u64 {
    let class = class as u64;
    if class < CLASSES {
        return class;
    }
    let shift = class / CLASSES - 1;
    let lowest = (class % CLASSES + CLASSES) << shift;
    lowest + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_follow_each_other_without_gap_and_without_overlap() {
        for us in (0..100_000).chain([u64::MAX / 3, u64::MAX]) {
            let class = class_of(us);
            assert!(class < ALL_CLASSES);
            assert!(us <= highest_of(class), "{us}");
            assert!(class == 0 || us > highest_of(class - 1), "{us}");
        }
    }

    #[test]
    fn quantiles_of_an_even_spread_are_its_shares() {
        let mut histogram = Histogram::new();
        (1..=10_000).for_each(|us| histogram.record(us));
        let latency = histogram.latency();
        assert!((latency.p50_ms / 5.0 - 1.0).abs() < 0.016);
        assert!((latency.p99_ms / 9.9 - 1.0).abs() < 0.016);
        assert!((latency.max_ms - 10.0).abs() < 1e-9);
        assert_eq!(Histogram::new().latency(), Latency::default());
    }
}
