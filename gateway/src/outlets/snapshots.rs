//! The snapshots of a consumer among those of a store, which several gateways may share: each log has
//! its own, under its name.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

/// Bytes by key.
pub(crate) type Snapshots = BTreeMap<String, Vec<u8>>;

/// What a consumer has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Own {
    /// By key, without the name of the log.
    pub(crate) snapshots: Snapshots,
    /// Keys from before there was a name in them: they are to be removed when the snapshots are
    /// written the next time, all of them and under the name.
    pub(crate) elder: BTreeSet<String>,
}

impl Own {
    /// Of all snapshots of a store those of a log, with keys that the consumer says are its own.
    pub(crate) fn among(all: Snapshots, log: Uuid, is_own: impl Fn(&str) -> bool) -> Self {
        let prefix = format!("{log}/");
        let (mut own, mut elder) = (Snapshots::new(), Snapshots::new());
        for (key, bytes) in all {
            if let Some(rest) = key.strip_prefix(&prefix) {
                if is_own(rest) {
                    own.insert(rest.to_owned(), bytes);
                }
            } else if !is_named(&key) && is_own(&key) {
                elder.insert(key, bytes);
            }
        }
        if !own.is_empty() {
            return Self {
                snapshots: own,
                elder: BTreeSet::new(),
            };
        }
        Self {
            elder: elder.keys().cloned().collect(),
            snapshots: elder,
        }
    }
}

/// What a store is to write: under the name of the log, and without the elder ones.
pub(crate) fn named(log: Uuid, snapshots: Snapshots, elder: &BTreeSet<String>) -> Snapshots {
    let gone = elder.iter().map(|key| (key.clone(), Vec::new()));
    let named = snapshots.into_iter();
    let named = named.map(|(key, bytes)| (format!("{log}/{key}"), bytes));
    gone.chain(named).collect()
}

/// It has the name of a log, this one's or another's.
fn is_named(key: &str) -> bool {
    let name = key.split_once('/').map(|(name, _)| name);
    name.is_some_and(|name| name.len() == 36 && Uuid::parse_str(name).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Uuid = Uuid::from_u128(1);
    const B: Uuid = Uuid::from_u128(2);

    fn of(keys: &[&str]) -> Snapshots {
        let pairs = keys.iter().map(|key| ((*key).to_owned(), vec![1]));
        pairs.collect()
    }

    #[test]
    fn two_logs_of_one_store_have_their_own_and_know_nothing_of_the_others() {
        let mut stored = named(A, of(&["clock", "13800000001/head"]), &BTreeSet::new());
        stored.extend(named(B, of(&["clock", "inspectors"]), &BTreeSet::new()));
        assert_eq!(stored.len(), 4);
        let own = |log| Own::among(stored.clone(), log, |key| key != "inspectors");
        assert_eq!(own(A).snapshots, of(&["13800000001/head", "clock"]));
        assert_eq!(own(B).snapshots, of(&["clock"]));
        assert_eq!(own(Uuid::from_u128(3)), Own::default());
    }

    #[test]
    fn those_without_a_name_are_taken_by_who_has_none_and_removed_with_the_next() {
        let stored = of(&["clock", "13800000001/chunk/0000002a", "inspectors"]);
        let own = Own::among(stored.clone(), A, |key| key != "inspectors");
        assert_eq!(own.snapshots, of(&["clock", "13800000001/chunk/0000002a"]));
        assert_eq!(own.elder.len(), 2);
        let written = named(A, own.snapshots.clone(), &own.elder);
        assert_eq!(written.values().filter(|bytes| bytes.is_empty()).count(), 2);
        // Whoever has his own does not look at them.
        let mut stored = stored;
        stored.extend(named(B, of(&["clock"]), &BTreeSet::new()));
        let own = Own::among(stored, B, |_| true);
        assert_eq!((own.snapshots, own.elder.len()), (of(&["clock"]), 0));
    }
}
