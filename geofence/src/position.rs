//! One fix, in our terms.

use serde::{Deserialize, Serialize};

use crate::{
    identity::TerminalId,
    units::{Latitude, Longitude, Timestamp},
};

/// What a terminal said about one moment, after decoding and before any check.
///
/// Identity (P2): `(terminal, fixed_at, digest)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Who said it.
    pub terminal: TerminalId,
    /// When the terminal says that it was there.
    pub fixed_at: Timestamp,
    /// When we received it.
    pub received_at: Timestamp,
    /// The log record it came in.
    pub log_offset: u64,
    /// CRC-32 of the location body as reported: a resend is byte-identical.
    pub digest: u32,
    /// WGS-84.
    pub latitude: Latitude,
    /// WGS-84.
    pub longitude: Longitude,
    /// Metres above sea level; `None` where the terminal sent an impossible value.
    pub altitude_m: Option<i16>,
    /// Speed over ground in tenths of km/h, from the GNSS receiver.
    pub speed_dkmh: u16,
    /// Degrees clockwise from north, 0 to 359.
    pub heading_deg: u16,
    /// Alarm flags as sent (JT/T 808 table 24).
    pub alarm_flags: u32,
    /// Status flags as sent (JT/T 808 table 25). Bit 0 is ACC, bit 1 is positioned.
    pub status_flags: u32,
    /// Odometer in tenths of a kilometre (item 0x01).
    pub odometer_dkm: Option<u32>,
    /// Satellites in use (item 0x31).
    pub satellites: Option<u8>,
    /// Bits that may say what the vehicle does.
    #[serde(default)]
    pub inputs: Inputs,
    /// The fix is usable: positioned, in range, not 0/0, not encrypted.
    pub is_positioned: bool,
    /// Sent as backlog (0x0704 type 1) rather than when it was taken.
    pub is_backlog: bool,
}

/// Bits of a report that a rule of the catalog may give a meaning; `None` where the terminal sent
/// none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Inputs {
    /// Extended vehicle signals (item 0x25).
    pub vehicle_signals: Option<u32>,
    /// Inputs and outputs (item 0x2A).
    pub io: Option<u16>,
    /// The maker's item that the gateway was told to keep.
    pub vendor: Option<u32>,
}

impl Position {
    /// The ignition is on (status bit 0).
    #[must_use]
    pub const fn is_acc_on(&self) -> bool {
        self.status_flags & 1 != 0
    }
}

/// Why a report is kept apart instead of being a position: it is stored, never "latest", never
/// evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuarantineReason {
    /// The fix time is no date.
    NoTime,
    /// The fix time is further ahead of the receipt than allowed.
    Future,
    /// The fix time is longer ago than allowed.
    Past,
    /// The coordinates are outside the earth.
    OutOfRange,
    /// The database refused the row.
    Refused,
}

impl QuarantineReason {
    /// The word that metrics, logs and rows use.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NoTime => "no_time",
            Self::Future => "future",
            Self::Past => "past",
            Self::OutOfRange => "out_of_range",
            Self::Refused => "refused",
        }
    }
}

/// A report in quarantine. Identity: `(terminal, reason, digest)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Who sent it.
    pub terminal: TerminalId,
    /// When we received it.
    pub received_at: Timestamp,
    /// The log record it came in.
    pub log_offset: u64,
    /// CRC-32 of `body`.
    pub digest: u32,
    /// Why it is here.
    pub reason: QuarantineReason,
    /// The location body as sent.
    pub body: Vec<u8>,
}
