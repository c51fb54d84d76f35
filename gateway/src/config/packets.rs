//! Messages that come in several packets, and the media that most of them are.

use std::time::Duration;

use protocols::jt808::reassembly::ReassemblyLimits;
use storage::media::MediaLimits;

use super::{GIB, KIB, MIB, Raw, seconds};

/// `[media]`
#[derive(Clone, Debug)]
pub struct Media {
    /// Media are kept for so long. Default 90 days.
    pub kept_for: Duration,
    /// What the store may hold.
    pub limits: MediaLimits,
}

impl Media {
    pub(super) fn from_raw(raw: &mut Raw) -> Self {
        let hour = seconds(3600);
        Self {
            kept_for: raw.duration("media.kept_for", 2_160 * hour, hour..=438_000 * hour),
            limits: MediaLimits {
                file_bytes_max: u32::try_from(raw.bytes(
                    "media.file_bytes_max",
                    64 * MIB,
                    64 * KIB..=2 * GIB,
                ))
                .unwrap_or(u32::MAX),
                terminal_day_bytes_max: raw.bytes(
                    "media.terminal_day_bytes_max",
                    256 * MIB,
                    MIB..=1024 * GIB,
                ),
                stored_bytes_max: raw.bytes(
                    "media.stored_bytes_max",
                    8 * GIB,
                    MIB..=1024 * 1024 * GIB,
                ),
                free_bytes_min: raw.bytes("media.free_bytes_min", 512 * MIB, 0..=1024 * GIB),
                writers_max: raw.count("media.writers_max", 256, 1..=65_535),
                ranges_max: raw.count("media.ranges_max", 1_024, 1..=1_000_000) as usize,
            },
        }
    }
}

/// `[packets]`
pub(super) fn reassembly_limits(raw: &mut Raw) -> ReassemblyLimits {
    fn size(bytes: u64) -> usize {
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
    let hour = seconds(3600);
    let defaults = ReassemblyLimits::default();
    ReassemblyLimits {
        packets_per_set: u16::try_from(raw.count("packets.packets_per_set_max", 4_096, 2..=65_535))
            .unwrap_or(u16::MAX),
        bytes_per_set: size(raw.bytes("packets.bytes_per_set_max", 8 * MIB, KIB..=64 * MIB)),
        sets_per_terminal: raw.count("packets.sets_per_terminal_max", 8, 1..=1_024) as usize,
        bytes_per_terminal: size(raw.bytes("packets.bytes_per_terminal_max", 16 * MIB, KIB..=GIB)),
        sets_per_connection: raw.count("packets.sets_per_connection_max", 64, 1..=65_535) as usize,
        bytes_per_connection: size(raw.bytes(
            "packets.bytes_per_connection_max",
            64 * MIB,
            KIB..=4 * GIB,
        )),
        bytes_in_all: size(raw.bytes("packets.bytes_max", 256 * MIB, MIB..=64 * GIB)),
        idle_timeout: raw.duration(
            "packets.ask_after",
            defaults.idle_timeout,
            Duration::from_millis(100)..=hour,
        ),
        requests_max: u8::try_from(raw.count("packets.requests_max", 3, 0..=255))
            .unwrap_or(u8::MAX),
        lifetime: raw.duration(
            "packets.lifetime",
            defaults.lifetime,
            seconds(1)..=24 * hour,
        ),
        media_lifetime: raw.duration(
            "packets.media_lifetime",
            defaults.media_lifetime,
            seconds(1)..=24 * hour,
        ),
        age_max: raw.duration("packets.age_max", defaults.age_max, seconds(1)..=24 * hour),
        finished_sets: raw.count("packets.finished_sets", 16, 0..=1_024) as usize,
    }
}
