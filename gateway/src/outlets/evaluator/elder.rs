//! Under which numbers the catalogs are kept that the evaluation judges by: the one in force, and the
//! elder ones that judge what comes late from their time.
//!
//! The state of the evaluation knows them by the moments of the log from which on they are in force,
//! and by their digests. Their texts are with the versions of the catalog; behind a restart they are
//! read again from there.

use std::{collections::BTreeMap, sync::Arc};

use geofence::track::Evaluator;
use serde::{Deserialize, Serialize};

use crate::{catalog::Catalog, metrics::Metrics};

/// The snapshot that says it.
pub(crate) const ELDER_KEY: &str = "catalogs";

/// The numbers of the versions, by the moments from which on they are in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Numbers(BTreeMap<i64, u64>);

impl Numbers {
    /// As [`Self::to_bytes`] wrote it.
    pub(crate) fn read(bytes: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes)
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // Our own type with numbers: writing it into memory cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The newest catalog of the evaluation is the version of this number; those that the evaluation
    /// has given up are forgotten.
    pub(crate) fn follow(&mut self, evaluator: &Evaluator, number: u64) {
        if evaluator.catalogs_since().last() == self.0.keys().next_back().copied()
            && self.0.values().next_back() == Some(&number)
        {
            return;
        }
        let known = std::mem::take(&mut self.0);
        let own = |since| Some((since, known.get(&since).copied()?));
        self.0 = evaluator.catalogs_since().filter_map(own).collect();
        self.0.extend(
            evaluator
                .catalogs_since()
                .last()
                .map(|since| (since, number)),
        );
    }

    /// Those of an evaluation whose state came from elsewhere, beside the own ones.
    pub(crate) fn join(&mut self, others: Self) {
        for (since, number) in others.0 {
            self.0.entry(since).or_insert(number);
        }
    }

    /// Reads the catalogs again that the evaluation asks for behind a restart, the newest first:
    /// each is made from the one that was read before it. What is gone, or is not what it was, judges
    /// nothing any more. It may take seconds.
    pub(crate) fn supply(&self, evaluator: &mut Evaluator, catalog: &Catalog, metrics: &Metrics) {
        let mut missing = evaluator.missing_catalogs();
        missing.reverse();
        let current = catalog.current();
        let mut near = Arc::clone(&current);
        for elder in missing {
            if evaluator.supply(elder.since, &current) {
                continue;
            }
            let number = self.0.get(&elder.since).copied();
            let found = number.and_then(|number| catalog.read(number, &near));
            if let Some(found) = found {
                near = found;
                if evaluator.supply(elder.since, &near) {
                    continue;
                }
            }
            tracing::error!(
                number,
                since = elder.since,
                "a version of the catalog is gone: what comes late from its time is not judged by it"
            );
            metrics.count("elder_catalogs_lost_total", "reason", "missing", 1);
        }
    }
}

/// What is told of the elder versions: which of them were given up, and what the others take.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// That memory is what they are given up for is logged once.
    is_logged: bool,
}

impl Losses {
    pub(super) fn tell(&mut self, evaluator: &mut Evaluator, metrics: &Metrics) {
        let lost = evaluator.take_lost_catalogs();
        for (reason, count) in [("too_many", lost.too_many), ("too_large", lost.too_large)] {
            metrics.count("elder_catalogs_lost_total", "reason", reason, count);
        }
        let bytes = u32::try_from(evaluator.elder_catalog_bytes() / 1_024).unwrap_or(u32::MAX);
        metrics.gauge("elder_catalog_bytes", &[], f64::from(bytes) * 1_024.0);
        if lost.too_large > 0 && !std::mem::replace(&mut self.is_logged, true) {
            tracing::warn!(
                given_up = lost.too_large,
                "elder versions of the catalog take evaluate.elder_catalogs_bytes_max: what comes late \
                 from the time of the oldest is not judged by what was edited since; told once"
            );
        }
    }
}
