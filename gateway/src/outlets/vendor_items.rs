//! The newest items of the makers, of terminals whose profile knows them: for people who look. Kept
//! in memory alone, a report's bytes at most for each such terminal; after a start they come with
//! the next report.

use std::sync::Arc;

use bytes::Bytes;
use dashmap::{DashMap, Entry};
use geofence::{identity::TerminalId, position::Position, units::Timestamp};
use protocols::jt808::{
    message::location_report::LocationReport,
    profile::{Profile, VendorReading},
};

/// Readings of one report that are shown: more than any real one has.
const READINGS_MAX: usize = 1_024;

/// The newest items by terminal.
#[derive(Debug, Default)]
pub struct VendorItems {
    newest: DashMap<TerminalId, NewestItems>,
}

/// The items of one report.
#[derive(Clone, Debug)]
pub struct NewestItems {
    /// Time of its fix.
    pub fixed_at: Timestamp,
    /// When it came.
    pub received_at: Timestamp,
    profile: Arc<Profile>,
    items: Bytes,
}

impl NewestItems {
    fn new(profile: &Arc<Profile>, position: &Position, report: &LocationReport) -> Self {
        // A copy: the slice would hold the whole read buffer.
        let items = Bytes::copy_from_slice(report.items.as_bytes());
        Self {
            fixed_at: position.fixed_at,
            received_at: position.received_at,
            profile: Arc::clone(profile),
            items,
        }
    }

    /// The profile that they are read by.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// What they say.
    pub fn readings(&self) -> impl Iterator<Item = VendorReading<'_>> {
        let known = self.profile.known_items(&self.items);
        known
            .flat_map(|item| self.profile.readings(item.id, item.value))
            .take(READINGS_MAX)
    }
}

impl VendorItems {
    /// A report came. One without such items changes nothing, and neither does one of before.
    pub fn update(&self, profile: &Arc<Profile>, position: &Position, report: &LocationReport) {
        if profile
            .known_items(report.items.as_bytes())
            .next()
            .is_none()
        {
            return;
        }
        let newest = || NewestItems::new(profile, position, report);
        match self.newest.entry(position.terminal) {
            Entry::Vacant(entry) => drop(entry.insert(newest())),
            Entry::Occupied(mut entry) if entry.get().fixed_at <= position.fixed_at => {
                entry.insert(newest());
            }
            Entry::Occupied(_) => {}
        }
    }

    /// Those of a terminal.
    #[must_use]
    pub fn of(&self, terminal: TerminalId) -> Option<NewestItems> {
        self.newest.get(&terminal).map(|items| items.clone())
    }

    /// The terminal was released.
    pub fn forget(&self, terminal: TerminalId) {
        self.newest.remove(&terminal);
    }
}
