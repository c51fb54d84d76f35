//! Sends what was recorded elsewhere to a gateway, through real sockets, and says what came back.
//!
//! - [`frames`]: frames byte for byte, from hex lines or a conformance corpus.
//! - [`track`]: fixes from a CSV file, as location reports.

pub mod frames;
pub mod gpx;
pub mod track;

use std::{collections::BTreeMap, time::Duration};

use serde::{Serialize, Serializer};

use crate::{line::MqttTarget, terminal::TerminalError};

pub use self::{
    frames::{FrameOutcome, LineError, RecordedFrame, read_frames, replay_frames},
    gpx::read_gpx,
    track::{Fix, FixOutcome, Pace, TrackError, TrackOptions, read_track, replay_track},
};

/// Where to, and how patiently.
#[derive(Clone, Debug)]
pub struct ReplayConfig {
    /// Address of the gateway's JT/T 808 port, `host:port`.
    pub target: String,
    /// Send over MQTT; terminals register at [`Self::target`], which gives them their passwords.
    /// Recorded frames are payloads as they are, whatever payload this names.
    pub mqtt: Option<MqttTarget>,
    /// How long a connection, a registration or a response may take.
    pub limit: Duration,
    /// Pause between two frames; a track has its own pace.
    pub interval: Duration,
}

impl ReplayConfig {
    /// Five seconds for a response, no pause.
    #[must_use]
    pub fn new(target: impl ToString) -> Self {
        Self {
            target: target.to_string(),
            mqtt: None,
            limit: Duration::from_secs(5),
            interval: Duration::ZERO,
        }
    }
}

/// Why a replay ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The gateway cannot be reached.
    #[error("{target}: {cause}")]
    Unreachable {
        /// The address.
        target: String,
        /// The cause.
        cause: TerminalError,
    },
    /// A line is no frame.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The terminal of a track failed.
    #[error("terminal {phone}: {cause}")]
    Terminal {
        /// Its phone number.
        phone: String,
        /// The cause.
        cause: TerminalError,
    },
    /// More vehicles than phone numbers behind the first.
    #[error("there is no phone number for vehicle {vehicle}")]
    NoPhone {
        /// Its id in the track.
        vehicle: String,
    },
}

/// The replay in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Frames sent.
    pub sent: u64,
    /// Of these: answered.
    pub answered: u64,
    /// Not answered while the connection lived.
    pub no_answer: u64,
    /// Ended by the end of the connection.
    pub closed: u64,
    /// Answers by their result code.
    pub results: BTreeMap<u8, u64>,
    /// What should not have been.
    pub unexpected: u64,
    /// Connections opened.
    pub connections: u64,
}

impl Summary {
    /// Counts one frame.
    fn count(&mut self, outcome: Outcome, is_as_expected: bool) {
        self.sent += 1;
        match outcome {
            Outcome::Answered { result, .. } => {
                self.answered += 1;
                *self.results.entry(result).or_default() += 1;
            }
            Outcome::Acknowledged { is_taken } => {
                self.answered += 1;
                *self.results.entry(u8::from(!is_taken) * 2).or_default() += 1;
            }
            Outcome::NoAnswer => self.no_answer += 1,
            Outcome::Closed => self.closed += 1,
        }
        self.unexpected += u64::from(!is_as_expected);
    }
}

/// What became of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The platform answered.
    Answered {
        /// Id of the answer: 0x8001, or 0x8100 to a registration; written in hex.
        #[serde(serialize_with = "as_hex")]
        answer_id: u16,
        /// Its result code.
        result: u8,
    },
    /// The platform acknowledged a payload of JSON.
    Acknowledged {
        /// It was taken; else it counts like result 2: the message has errors.
        is_taken: bool,
    },
    /// It did not, and the connection lived on.
    NoAnswer,
    /// The connection ended.
    Closed,
}

/// A message id as people write it: `0x0200`.
fn as_hex<S: Serializer>(id: &u16, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{id:#06x}"))
}

impl Outcome {
    /// Answered with success, or with "alarm handled".
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(
            self,
            Self::Answered { result: 0 | 4, .. } | Self::Acknowledged { is_taken: true }
        )
    }

    /// Answered with whatever result.
    #[must_use]
    pub const fn is_answered(self) -> bool {
        matches!(self, Self::Answered { .. } | Self::Acknowledged { .. })
    }
}

#[cfg(test)]
mod tests;
