//! Every threshold of the checks of a shift, and which of them are made.

use std::ops::RangeInclusive;

use super::millis;
use crate::{catalog::WorkKind, violation::ViolationKind};

/// The thresholds of the checks of one shift.
///
/// | column of a shift | meaning | default |
/// |---|---|---|
/// | `late_start_s` | seen outside the duty area for so long from the beginning on, and not inside before, is a late start | 900 |
/// | `early_end_s` | left for good so long before the end, or longer, is an early end | 900 |
/// | `post_margin_m` | so far beyond its boundary still is the duty area | 30 |
/// | `off_post_s` | seen outside for so long, less the break, is off-post | 600 |
/// | `off_post_close_s` | back inside for so long ends it; less is no return | 60 |
/// | `patrol_stay_s` | in a unit grid for so long, all in all, is a visit | 30 |
/// | `patrol_percent` | a smaller share of the unit grids visited is a violation | 80 |
/// | `patrol_grace_s` | coverage is judged so long after the shift, for what comes late | 900 |
/// | `silence_s` | nothing received for so long is silence | 600 |
/// | `hours_m`, `hours_motion_s` | moved so far, or for so long, outside all hours is work | 300, 180 |
/// | `hours_close_s` | stopped for so long ends it | 600 |
/// | `hours_margin_s` | so long before and behind a shift is the way to work and home | 0 |
///
/// The `hours_` thresholds of a vehicle are those of the shift of its first assignment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DutyParameters {
    /// Seen outside for so long from the beginning on.
    pub late_start_ms: i64,
    /// Before the end.
    pub early_end_ms: i64,
    /// Beyond the boundary of the duty area, millimetres.
    pub post_margin_mm: f64,
    /// Seen outside for so long.
    pub off_post_ms: i64,
    /// Seen inside for so long.
    pub off_post_close_ms: i64,
    /// In a unit grid, all in all.
    pub patrol_stay_ms: i64,
    /// Percent of the unit grids.
    pub patrol_percent: f64,
    /// Behind the end of the shift.
    pub patrol_grace_ms: i64,
    /// Without a fix.
    pub silence_ms: i64,
    /// Moved, metres.
    pub hours_m: f64,
    /// Moved for so long.
    pub hours_motion_ms: i64,
    /// Stopped for so long.
    pub hours_close_ms: i64,
    /// Before and behind a shift.
    pub hours_margin_ms: i64,
}

impl Default for DutyParameters {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl DutyParameters {
    /// The table of defaults.
    pub const DEFAULT: Self = Self {
        late_start_ms: 900_000,
        early_end_ms: 900_000,
        post_margin_mm: 30_000.0,
        off_post_ms: 600_000,
        off_post_close_ms: 60_000,
        patrol_stay_ms: 30_000,
        patrol_percent: 80.0,
        patrol_grace_ms: 900_000,
        silence_ms: 600_000,
        hours_m: 300.0,
        hours_motion_ms: 180_000,
        hours_close_ms: 600_000,
        hours_margin_ms: 0,
    };

    /// The columns by which a shift overrides them.
    pub const KEYS: [&'static str; 13] = [
        "late_start_s",
        "early_end_s",
        "post_margin_m",
        "off_post_s",
        "off_post_close_s",
        "patrol_stay_s",
        "patrol_percent",
        "patrol_grace_s",
        "silence_s",
        "hours_m",
        "hours_motion_s",
        "hours_close_s",
        "hours_margin_s",
    ];

    /// In time that nobody saw a unit grid could have been visited so often, on foot: a hundred
    /// metres of way and the stay.
    pub const UNSEEN_GRID_MS: i64 = 90_000;
    /// Between fixes farther apart than this in different unit grids nobody knows in which one the
    /// time was spent.
    pub const SIGHT_MS: i64 = 60_000;
    /// Whoever has not been heard for so long before a shift is not expected in it.
    pub const LOST_MS: i64 = 14 * 86_400_000;
    /// Unit grids that are named in the evidence.
    pub const GRIDS_MAX: usize = 200;

    /// Takes over what `number` has read, each value within its range.
    pub(crate) fn read(
        &mut self,
        mut number: impl FnMut(&'static str, RangeInclusive<f64>) -> Option<f64>,
    ) {
        let mut time =
            |key, place: &mut i64| *place = number(key, 0.0..=86_400.0).map_or(*place, millis);
        time("late_start_s", &mut self.late_start_ms);
        time("early_end_s", &mut self.early_end_ms);
        time("off_post_s", &mut self.off_post_ms);
        time("off_post_close_s", &mut self.off_post_close_ms);
        time("patrol_stay_s", &mut self.patrol_stay_ms);
        time("patrol_grace_s", &mut self.patrol_grace_ms);
        time("silence_s", &mut self.silence_ms);
        time("hours_motion_s", &mut self.hours_motion_ms);
        time("hours_close_s", &mut self.hours_close_ms);
        time("hours_margin_s", &mut self.hours_margin_ms);
        let margin = number("post_margin_m", 0.0..=500.0);
        self.post_margin_mm = margin.map_or(self.post_margin_mm, |m| m * 1e3);
        let percent = number("patrol_percent", 0.0..=100.0);
        self.patrol_percent = percent.unwrap_or(self.patrol_percent);
        self.hours_m = number("hours_m", 1.0..=10_000.0).unwrap_or(self.hours_m);
    }
}

/// Which checks of duty are made, as a set of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DutyChecks(u8);

impl DutyChecks {
    /// The kinds that there are.
    pub const KINDS: [ViolationKind; 6] = [
        ViolationKind::OutsideHours,
        ViolationKind::LateStart,
        ViolationKind::EarlyEnd,
        ViolationKind::OffPost,
        ViolationKind::PatrolCoverage,
        ViolationKind::Silence,
    ];
    /// None of them.
    pub const NONE: Self = Self(0);
    /// All of them.
    pub const ALL: Self = Self((1 << Self::KINDS.len()) - 1);

    /// What is checked where a shift does not say it: everything of inspectors; of vehicles all but
    /// off-post and patrol coverage.
    #[must_use]
    pub fn usual(work_kind: WorkKind) -> Self {
        if work_kind == WorkKind::Inspector {
            return Self::ALL;
        }
        let of_posts = Self::bit(ViolationKind::OffPost) | Self::bit(ViolationKind::PatrolCoverage);
        Self(Self::ALL.0 & !of_posts)
    }

    /// Adds a kind; says whether it is one of duty.
    pub fn add(&mut self, kind: ViolationKind) -> bool {
        self.0 |= Self::bit(kind);
        Self::bit(kind) != 0
    }

    /// Whether a kind is checked.
    #[must_use]
    pub fn has(self, kind: ViolationKind) -> bool {
        self.0 & Self::bit(kind) != 0
    }

    /// 0 for kinds that are not of duty.
    fn bit(kind: ViolationKind) -> u8 {
        let place = Self::KINDS.iter().position(|other| *other == kind);
        place.map_or(0, |place| 1 << place)
    }
}
