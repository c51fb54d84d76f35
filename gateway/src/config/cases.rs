//! Cases.

use std::{path::PathBuf, time::Duration};

use super::{KIB, MIB, Raw, seconds};

/// `[cases]`
#[derive(Clone, Debug)]
pub struct Cases {
    /// TOML of what differs from the default policy; none by default.
    pub policy: Option<PathBuf>,
    /// Clocks are looked at so often. Default 10 s.
    pub clock_interval: Duration,
    /// Cases whose clocks are told in one transaction. Default 200.
    pub clock_batch: u32,
    /// Bytes of a remark or a description. Default 4 KiB.
    pub text_bytes_max: u64,
    /// Media that a case may name. Default 20.
    pub media_max: u32,
}

impl Cases {
    pub(super) fn from_raw(raw: &mut Raw) -> Self {
        Self {
            policy: raw.path("cases.policy", ""),
            clock_interval: raw.duration(
                "cases.clock_interval",
                seconds(10),
                seconds(1)..=seconds(3_600),
            ),
            clock_batch: raw.count("cases.clock_batch", 200, 1..=10_000),
            text_bytes_max: raw.bytes("cases.text_bytes_max", 4 * KIB, 64..=MIB),
            media_max: raw.count("cases.media_max", 20, 0..=1_000),
        }
    }
}
