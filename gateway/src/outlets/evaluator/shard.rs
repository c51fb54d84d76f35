//! Which vehicles an evaluator judges: all of them, until some were handed over.

use std::collections::BTreeSet;

use geofence::identity::TerminalId;
use serde::{Deserialize, Serialize};

/// The snapshot that says it.
pub(crate) const SHARD_KEY: &str = "shard";

/// The vehicles of one evaluator, by their terminals. The default is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shard {
    /// Only those that are named; else all but those.
    only: bool,
    terminals: BTreeSet<TerminalId>,
}

impl Shard {
    /// These alone.
    pub(crate) fn only(terminals: &[TerminalId]) -> Self {
        Self {
            only: true,
            terminals: terminals.iter().copied().collect(),
        }
    }

    /// Whether it names the vehicles that it judges.
    pub(crate) const fn is_only(&self) -> bool {
        self.only
    }

    /// As [`Self::to_bytes`] wrote it.
    pub(crate) fn read(bytes: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes)
    }

    /// No bytes where it is all of them: the key is to be removed.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        if *self == Self::default() {
            return Vec::new();
        }
        // Our own type with plain members: writing it into memory cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Whether it judges the vehicle of a terminal.
    pub(crate) fn judges(&self, terminal: &TerminalId) -> bool {
        self.terminals.contains(terminal) == self.only
    }

    /// They are judged elsewhere from now on.
    pub(crate) fn give(&mut self, terminals: &[TerminalId]) {
        self.change(terminals, !self.only);
    }

    /// They are judged here from now on.
    pub(crate) fn take(&mut self, terminals: &[TerminalId]) {
        self.change(terminals, self.only);
    }

    fn change(&mut self, terminals: &[TerminalId], is_named: bool) {
        for terminal in terminals {
            if is_named {
                self.terminals.insert(*terminal);
            } else {
                self.terminals.remove(terminal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vehicles_go_and_come_back() {
        let [a, b] = ["13800000001", "13800000002"].map(|phone| phone.parse().unwrap());
        let mut shard = Shard::default();
        assert!(shard.judges(&a) && shard.to_bytes().is_empty());
        shard.give(&[a]);
        assert!(!shard.judges(&a) && shard.judges(&b));
        assert_eq!(Shard::read(&shard.to_bytes()).unwrap(), shard);
        shard.take(&[a]);
        assert_eq!(shard, Shard::default());
        let mut other = Shard::only(&[a]);
        assert!(other.judges(&a) && !other.judges(&b));
        other.take(&[b]);
        other.give(&[a]);
        assert!(other.judges(&b) && !other.judges(&a));
        assert!(Shard::read(b"{}").is_err());
    }
}
