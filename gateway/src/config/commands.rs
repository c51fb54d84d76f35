//! Commands to terminals.

use std::time::Duration;

use storage::commands::CommandLimits;

use super::{GIB, KIB, MIB, Raw, seconds};
use crate::commands::Expiry;

/// `[commands]`
#[derive(Clone, Debug)]
pub struct Commands {
    /// When to send again, and when to give up.
    pub rules: CommandRules,
    /// Where a command says nothing, 24 h; at most, 30 days.
    pub expiry: Expiry,
    /// Bytes of a body in each packet of a long message. Default 900.
    pub chunk_bytes: usize,
    /// Commands that are over are kept for so long. Default 90 days.
    pub kept_for: Duration,
    /// What the queue may hold.
    pub limits: CommandLimits,
}

/// When a command is sent, again, and when it is given up.
#[derive(Clone, Copy, Debug)]
pub struct CommandRules {
    /// Commands of one terminal that are on their way at once. Default 2.
    pub in_flight_max: u32,
    /// From sending to the first answer; then it is sent again. Default 10 s.
    pub answer_timeout: Duration,
    /// From the general response to the message that is the answer. Default 60 s.
    pub content_timeout: Duration,
    /// How often a command is sent at most, over all connections. Default 3.
    pub attempts_max: u32,
}

impl Commands {
    pub(super) fn from_raw(raw: &mut Raw) -> Self {
        let hour = seconds(3600);
        let defaults = CommandLimits::default();
        Self {
            rules: CommandRules {
                in_flight_max: raw.count("commands.in_flight_max", 2, 1..=64),
                answer_timeout: raw.duration(
                    "commands.answer_timeout",
                    seconds(10),
                    seconds(1)..=hour,
                ),
                content_timeout: raw.duration(
                    "commands.content_timeout",
                    seconds(60),
                    seconds(1)..=hour,
                ),
                attempts_max: raw.count("commands.attempts_max", 3, 1..=100),
            },
            expiry: Expiry {
                default: raw.duration("commands.expires_in", 24 * hour, seconds(1)..=720 * hour),
                max: raw.duration("commands.expires_in_max", 720 * hour, hour..=8_760 * hour),
            },
            chunk_bytes: raw.count("commands.chunk_bytes", 900, 1..=1_023) as usize,
            kept_for: raw.duration("commands.kept_for", 2_160 * hour, hour..=438_000 * hour),
            limits: CommandLimits {
                open_per_terminal_max: raw.count(
                    "commands.open_per_terminal_max",
                    defaults.open_per_terminal_max,
                    1..=100_000,
                ),
                open_max: raw
                    .count("commands.open_max", 100_000, 1..=10_000_000)
                    .into(),
                open_bytes_max: raw.bytes(
                    "commands.open_bytes_max",
                    defaults.open_bytes_max,
                    MIB..=16 * GIB,
                ),
                stored_bytes_max: raw.bytes(
                    "commands.stored_bytes_max",
                    defaults.stored_bytes_max,
                    MIB..=1024 * GIB,
                ),
                content_bytes_max: raw.bytes(
                    "commands.content_bytes_max",
                    defaults.content_bytes_max,
                    KIB..=16 * MIB,
                ),
                answer_bytes_max: raw.bytes(
                    "commands.answer_bytes_max",
                    defaults.answer_bytes_max,
                    KIB..=16 * MIB,
                ),
                history_lines_max: raw.count(
                    "commands.history_lines_max",
                    defaults.history_lines_max,
                    2..=10_000,
                ),
            },
        }
    }
}
