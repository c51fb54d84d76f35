//! What became of positions, in numbers.

use super::history::Shed;

/// Why a position was not evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// The terminal had no fix.
    NotPositioned,
    /// Fewer than four satellites.
    FewSatellites,
    /// The same fix is there already.
    Duplicate,
    /// Older than the horizon, or than what is kept of the vehicle.
    Late,
    /// What is kept of the vehicle cannot be read.
    Damaged,
}

impl SkipReason {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::NotPositioned,
        Self::FewSatellites,
        Self::Duplicate,
        Self::Late,
        Self::Damaged,
    ];

    /// The word that metrics use.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotPositioned => "not_positioned",
            Self::FewSatellites => "few_satellites",
            Self::Duplicate => "duplicate",
            Self::Late => "late",
            Self::Damaged => "damaged",
        }
    }
}

/// What became of positions: `evaluated` and the skipped ones add up to those that were given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Positions that entered a track.
    pub evaluated: u64,
    /// Tracks that were judged again because of late fixes.
    pub rerun: u64,
    /// Evaluated positions that the suspect filter kept from the checks, of those that came in
    /// order: impossibly far from the fix before, and no other fix agreed.
    pub suspects_dropped: u64,
    /// Fixes of the past that were dropped within the horizon, for a vehicle had more than
    /// [`super::EvaluatorOptions::fixes_max`]. Late ones from before them are skipped as late.
    pub shed_by_count: u64,
    /// The same, for they took more than [`super::EvaluatorOptions::history_bytes_max`].
    pub shed_by_bytes: u64,
    skipped: [u64; SkipReason::ALL.len()],
}

impl Counts {
    /// Positions that were not evaluated, by the word of the reason.
    pub fn skipped(&self) -> impl Iterator<Item = (&'static str, u64)> {
        SkipReason::ALL
            .into_iter()
            .map(SkipReason::reason)
            .zip(self.skipped)
    }

    pub(super) const fn shed(&mut self, shed: Shed) {
        self.shed_by_count += shed.fixes;
        self.shed_by_bytes += shed.bytes;
    }

    pub(super) const fn skip(&mut self, reason: SkipReason) {
        // The discriminants count from 0 in the order of ALL.
        if let Some(count) = self.skipped.split_at_mut(reason as usize).1.first_mut() {
            *count += 1;
        }
    }
}
