//! The load of a vehicle, where a rule of work says which bits tell it: it falls from full to empty.
//!
//! ```text
//!  empty ── full ──▶ loaded ── empty ──▶ doubted ── empty on a second fix ──▶ fallen; empty
//!                      ▲                    │
//!                      └──── half, or full ─┘
//! ```
//!
//! Half a load behind a full one is still loaded. Bits that are reserved or not sent are no news.
//! Between the last loaded fix and the first empty one no gap may lie: where nobody saw it, nobody
//! knows where the load went. Terminals that do not know their load say empty at all times, and are
//! never found full.

use super::{draft::evidence, motion::Seen, work::Load};
use crate::violation::EvidenceFix;

/// The state for one vehicle.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LoadDrop {
    /// The newest fix at which it was loaded, since it was full.
    pub(crate) loaded: Option<EvidenceFix>,
    /// The first fix at which it is empty, while it is the only one, when no gap lies before it.
    pub(crate) emptied: Option<EvidenceFix>,
}

/// A load that fell.
#[derive(Clone, Debug)]
pub(crate) struct Drop {
    /// The last fix with a load.
    pub(crate) loaded: EvidenceFix,
    /// The first fix without.
    pub(crate) emptied: EvidenceFix,
}

impl LoadDrop {
    /// Takes one more fix; gives what has fallen.
    pub(crate) fn follow(&mut self, seen: &Seen<'_>) -> Option<Drop> {
        let fix = seen.moment.fix;
        let signals = seen.rules.signals(fix.at);
        let Some((_, signals)) = signals else {
            *self = Self::default();
            return None;
        };
        match Load::of(signals, fix)? {
            Load::Full => *self = Self::loaded(evidence(fix, None)),
            Load::Half if self.loaded.is_some() => *self = Self::loaded(evidence(fix, None)),
            Load::Half => {}
            Load::Empty => {
                let loaded = self.loaded.take()?;
                if let Some(emptied) = self.emptied.take() {
                    return Some(Drop { loaded, emptied });
                }
                let before = seen.moment.before.map(|before| before.at);
                let is_seen =
                    seen.moment.connected_ms.is_some() && before == Some(loaded.fixed_at.0);
                if is_seen {
                    self.loaded = Some(loaded);
                    self.emptied = Some(evidence(fix, None));
                }
            }
        }
        None
    }

    const fn loaded(fix: EvidenceFix) -> Self {
        Self {
            loaded: Some(fix),
            emptied: None,
        }
    }
}
