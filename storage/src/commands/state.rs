//! The states of a command, and which one may follow which.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a command stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandState {
    /// Waits for its turn, or for its terminal.
    Queued,
    /// Was written to a terminal's connection; its answer has not come, or not all of it.
    Sent,
    /// The terminal has done it.
    Answered,
    /// The terminal refused it, did not answer, or it could not be sent; the reason says which.
    Failed,
    /// Its time was over before an answer.
    Expired,
    /// Taken back by a person.
    Cancelled,
}

/// The word is none of [`CommandState::as_str`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no state of a command")]
pub struct NotACommandState;

impl CommandState {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Sent,
        Self::Answered,
        Self::Failed,
        Self::Expired,
        Self::Cancelled,
    ];

    /// The word that metrics, rows and JSON use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// Queued or sent: somebody has still to do something about it.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Sent)
    }

    /// The table of moves.
    ///
    /// A command that was sent may be sent again, or go back to the queue when its connection
    /// ends. What was given up can still be answered: that a terminal has done it after all is a
    /// fact that must not be lost. Whether a command was ever sent is not in this table, see
    /// [`Change`](super::Change).
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        use CommandState::{Answered, Cancelled, Expired, Failed, Queued, Sent};
        match self {
            Queued => matches!(next, Sent | Answered | Failed | Expired | Cancelled),
            Sent => true,
            Failed | Expired | Cancelled => matches!(next, Answered),
            Answered => false,
        }
    }
}

impl FromStr for CommandState {
    type Err = NotACommandState;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or(NotACommandState)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_states_is_allowed_or_not_as_drawn() {
        // From top to bottom, to left to right, both in the order of `ALL`.
        let drawn = [
            ". s a f e c", // queued
            "q s a f e c", // sent
            ". . . . . .", // answered
            ". . a . . .", // failed
            ". . a . . .", // expired
            ". . a . . .", // cancelled
        ];
        for (from, line) in CommandState::ALL.into_iter().zip(drawn) {
            for (to, mark) in CommandState::ALL.into_iter().zip(line.split(' ')) {
                assert_eq!(from.may_become(to), mark != ".", "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn words_lead_back_to_their_states() {
        for state in CommandState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
            assert_eq!(
                serde_json::to_string(&state).unwrap(),
                format!("{:?}", state.as_str())
            );
        }
        assert_eq!("Sent".parse::<CommandState>(), Err(NotACommandState));
    }
}
