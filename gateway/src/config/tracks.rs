//! Tracks for readers: the API, files, the page.

use std::time::Duration;

use super::{Raw, seconds};

/// `[tracks]`
#[derive(Clone, Debug)]
pub struct Tracks {
    /// Between two fixes further apart in time than this the way is not known: a gap. Default
    /// 5 min.
    pub gap: Duration,
    /// A vehicle that stands for so long has made a stop, which simplified tracks keep. Default
    /// 2 min.
    pub stop_after: Duration,
    /// Points of a simplified track. Four times as many are in memory while it is made. Default
    /// 5,000.
    pub simplified_points_max: u32,
    /// Rows that a file or a simplified track takes from the store at a time, and holds. Default
    /// 2,000.
    pub page_rows: u32,
    /// Files and simplified tracks that are being made at one time; more are refused. Default 16.
    pub readers_max: u32,
}

impl Tracks {
    pub(super) fn from_raw(raw: &mut Raw) -> Self {
        let day = seconds(86_400);
        Self {
            gap: raw.duration("tracks.gap", seconds(300), seconds(1)..=30 * day),
            stop_after: raw.duration("tracks.stop_after", seconds(120), seconds(1)..=30 * day),
            simplified_points_max: raw.count(
                "tracks.simplified_points_max",
                5_000,
                // The page asks for 1,000.
                1_000..=100_000,
            ),
            page_rows: raw.count("tracks.page_rows", 2_000, 1..=10_000),
            readers_max: raw.count("tracks.readers_max", 16, 1..=65_535),
        }
    }
}
