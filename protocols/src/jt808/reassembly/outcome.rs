//! What comes of packets, and of their absence.

use bytes::Bytes;

use crate::jt808::header::Header;

/// What became of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is kept; others are missing.
    Stored,
    /// It was there already, or its message was joined a while ago. The first one counts.
    Duplicate {
        /// Whether it says something else than the first one.
        conflicts: bool,
    },
    /// It was the last one missing.
    Complete(Joined),
    /// It is not kept.
    Refused(Refusal),
}

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The header of packet 1.
    pub header: Header,
    /// The bodies of all packets in the order of their numbers.
    pub body: Bytes,
    /// Serial number of packet 1 by the set; that of its header may be newer.
    pub first_serial: u16,
    /// How many packets; 1 where the message was whole.
    pub total: u16,
}

/// Why a packet is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The packet item has a total of 0.
    #[error("a message of 0 packets")]
    TotalZero,
    /// Numbers begin with 1.
    #[error("packet number 0")]
    NumberZero,
    /// The number is beyond the total.
    #[error("packet {number} of {total}")]
    NumberBeyondTotal {
        /// The packet's number.
        number: u16,
        /// Packets of its message.
        total: u16,
    },
    /// More packets than a message may have.
    #[error("a message of {total} packets, more than {total_max}")]
    TooManyPackets {
        /// Packets of the message.
        total: u16,
        /// How many there may be.
        total_max: u16,
    },
    /// The message is longer than allowed, or cannot but be if each packet has one byte at least.
    /// The set is given up, and its further packets are refused as well.
    #[error("a message of {bytes} bytes or more, more than {bytes_max}")]
    SetTooLarge {
        /// How long the message is at least.
        bytes: usize,
        /// How long it may be.
        bytes_max: usize,
    },
    /// The terminal, or all of its connection, has too many incomplete messages.
    #[error("more than {sets_max} incomplete messages")]
    TooManySets {
        /// How many there may be.
        sets_max: usize,
    },
    /// The terminal's incomplete messages take too much memory.
    #[error("incomplete messages of the terminal take more than {bytes_max} bytes")]
    TerminalFull {
        /// How much they may take.
        bytes_max: usize,
    },
    /// The connection's incomplete messages take too much memory.
    #[error("incomplete messages of the connection take more than {bytes_max} bytes")]
    ConnectionFull {
        /// How much they may take.
        bytes_max: usize,
    },
    /// Incomplete messages of all connections take too much memory.
    #[error("incomplete messages in all take more than {bytes_max} bytes")]
    BudgetSpent {
        /// How much they may take.
        bytes_max: usize,
    },
}

impl Refusal {
    /// The words that [`reason`](Self::reason) gives, for tables of counters.
    pub const REASONS: &[&str] = &[
        "total_zero",
        "number_zero",
        "number_beyond_total",
        "too_many_packets",
        "set_too_large",
        "too_many_sets",
        "terminal_full",
        "connection_full",
        "budget_spent",
    ];

    /// The packet item has no meaning; otherwise it is a limit that was met.
    #[must_use]
    pub const fn is_malformed(&self) -> bool {
        matches!(
            self,
            Self::TotalZero | Self::NumberZero | Self::NumberBeyondTotal { .. }
        )
    }

    /// The word for a metric's label.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TotalZero => "total_zero",
            Self::NumberZero => "number_zero",
            Self::NumberBeyondTotal { .. } => "number_beyond_total",
            Self::TooManyPackets { .. } => "too_many_packets",
            Self::SetTooLarge { .. } => "set_too_large",
            Self::TooManySets { .. } => "too_many_sets",
            Self::TerminalFull { .. } => "terminal_full",
            Self::ConnectionFull { .. } => "connection_full",
            Self::BudgetSpent { .. } => "budget_spent",
        }
    }
}

/// What is to be done as time passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The terminal is asked for packets.
    Ask(MissingPackets),
    /// A message will not be whole.
    GiveUp(Incomplete),
}

/// Packets to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingPackets {
    /// The header of a packet of the set: whom to ask, in which form, and for which message.
    pub header: Header,
    /// Serial number of packet 1.
    pub first_serial: u16,
    /// Packets of the message.
    pub total: u16,
    /// Numbers of the missing packets, ascending; as many of them as the request holds, and never
    /// none.
    pub numbers: Vec<u16>,
    /// The message to ask with.
    pub by: AskBy,
    /// Which request this is since the last packet came, from 1.
    pub attempt: u8,
}

/// How packets are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskBy {
    /// 0x8003 (补传分包请求): up to 255 numbers, 509 since 2019.
    Retransmission,
    /// 0x8800 (多媒体数据上传应答) with this media id: up to 125 numbers. For multimedia data whose
    /// packet 1 is there; the next request after an unanswered one is a 0x8003.
    MultimediaResponse(u32),
}

/// A message that will not be whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incomplete {
    /// The header of packet 1, or of another one where that never came.
    pub header: Header,
    /// Serial number of packet 1.
    pub first_serial: u16,
    /// Packets of the message.
    pub total: u16,
    /// How many of them came.
    pub arrived: u16,
    /// Why it is given up.
    pub cause: GiveUpCause,
    /// Of multimedia data, 0x0801, what came without a gap from packet 1 on: the upper part of a
    /// picture can be seen.
    pub prefix: Option<Prefix>,
}

/// The first packets of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// How many, from 1.
    pub packets: u16,
    /// Their bodies, joined.
    pub body: Bytes,
}

/// Why a message is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GiveUpCause {
    /// No packet came for too long.
    Silent,
    /// It has been in the making for too long.
    Old,
    /// The connection is closed.
    Closed,
}

impl GiveUpCause {
    /// All of them, for tables of counters.
    pub const ALL: &[Self] = &[Self::Silent, Self::Old, Self::Closed];

    /// The word for a metric's label.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Old => "old",
            Self::Closed => "closed",
        }
    }
}
