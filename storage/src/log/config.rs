//! The limits of a log.

use std::time::Duration;

use super::{
    LogError, block::BLOCK_HEADER_BYTES, record::RECORD_HEADER_BYTES, segment::SEGMENT_HEADER_BYTES,
};

/// The limits of a log, all in bytes but one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A segment file ends before it grows beyond this size. 4 KiB to 4 GiB; default 64 MiB.
    pub segment_bytes_max: u64,
    /// All segments together. At the limit nothing is acknowledged until consumers have got on.
    /// At least one segment; default 8 GiB.
    pub size_bytes_max: u64,
    /// Free space of the file system below which nothing is acknowledged. Room for others, and
    /// the reason why a sync does not fail for want of space where blocks are allocated late.
    /// Default 256 MiB; 0 is allowed.
    pub free_bytes_min: u64,
    /// What may wait for a sync, in memory; beyond it, appends are refused as
    /// [`Full`](super::AppendError::Full). Never more than a segment holds. At least one record of
    /// the largest size; default 16 MiB.
    pub staged_bytes_max: u64,
    /// The largest payload. 1 byte to 16 MiB; default 256 KiB.
    pub record_bytes_max: u64,
    /// A block takes no further record beyond this size: what a reader checks at once. 64 bytes to
    /// 16 MiB; default 64 KiB.
    pub block_bytes: u64,
    /// Zeros that are written ahead of the commits, so much at a time: a sync of bytes that have their
    /// place on the disk already does not wait for the file system's journal, and so for what other
    /// files bring there. 0 to 64 MiB, 0 for none; default 1 MiB.
    pub zero_ahead_bytes: u64,
    /// The least time from the begin of a sync to the begin of the next one. The first record after
    /// a pause does not wait for it. 0 to 1 s; default 2 ms.
    pub commit_interval: Duration,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes_max: 64 << 20,
            size_bytes_max: 8 << 30,
            free_bytes_min: 256 << 20,
            staged_bytes_max: 16 << 20,
            record_bytes_max: 256 << 10,
            block_bytes: 64 << 10,
            zero_ahead_bytes: 1 << 20,
            commit_interval: Duration::from_millis(2),
        }
    }
}

impl LogConfig {
    /// Checks the ranges, and brings what may be staged below what a segment holds.
    pub(super) fn validated(mut self) -> Result<Self, LogError> {
        let range = |key, is_in_range: bool, range| {
            if is_in_range {
                Ok(())
            } else {
                Err(LogError::Limit { key, range })
            }
        };
        let (segment, record) = (self.segment_bytes_max, self.record_bytes_max);
        range(
            "segment_bytes_max",
            (4 << 10..=4 << 30).contains(&segment),
            "4 KiB to 4 GiB",
        )?;
        range(
            "size_bytes_max",
            self.size_bytes_max >= segment,
            "at least segment_bytes_max",
        )?;
        range(
            "record_bytes_max",
            (1..=16 << 20).contains(&record),
            "1 byte to 16 MiB",
        )?;
        range(
            "block_bytes",
            (64..=16 << 20).contains(&self.block_bytes),
            "64 bytes to 16 MiB",
        )?;
        range(
            "zero_ahead_bytes",
            self.zero_ahead_bytes <= 64 << 20,
            "0 to 64 MiB",
        )?;
        range(
            "commit_interval",
            self.commit_interval <= Duration::from_secs(1),
            "0 to 1 s",
        )?;
        let largest = record + (BLOCK_HEADER_BYTES + RECORD_HEADER_BYTES) as u64;
        self.staged_bytes_max = self
            .staged_bytes_max
            .min(segment - SEGMENT_HEADER_BYTES as u64);
        range(
            "staged_bytes_max",
            self.staged_bytes_max >= largest,
            "room for one record of record_bytes_max, in memory and in a segment",
        )?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_range() {
        assert_eq!(
            LogConfig::default().validated().unwrap(),
            LogConfig::default()
        );
    }

    #[test]
    fn a_limit_out_of_range_is_named() {
        let key = |change: fn(&mut LogConfig)| {
            let mut config = LogConfig::default();
            change(&mut config);
            match config.validated() {
                Err(LogError::Limit { key, .. }) => key,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(key(|c| c.segment_bytes_max = 100), "segment_bytes_max");
        assert_eq!(key(|c| c.size_bytes_max = 1 << 20), "size_bytes_max");
        assert_eq!(key(|c| c.record_bytes_max = 0), "record_bytes_max");
        assert_eq!(key(|c| c.block_bytes = 1), "block_bytes");
        assert_eq!(key(|c| c.staged_bytes_max = 1 << 10), "staged_bytes_max");
        assert_eq!(key(|c| c.zero_ahead_bytes = 1 << 30), "zero_ahead_bytes");
        assert_eq!(
            key(|c| c.commit_interval = Duration::from_secs(2)),
            "commit_interval"
        );
    }

    #[test]
    fn no_more_is_staged_than_a_segment_holds() {
        let config = LogConfig {
            segment_bytes_max: 1 << 20,
            ..LogConfig::default()
        };
        assert_eq!(config.validated().unwrap().staged_bytes_max, (1 << 20) - 64);
    }
}
