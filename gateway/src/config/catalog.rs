//! The city: the files that its catalog is read from, what the API may make of it, and catalogs that
//! are tried on stored tracks, and verdicts that are explained by them.

use std::{path::PathBuf, time::Duration};

use super::{GIB, MIB, Raw, seconds};

/// `[catalog]`
#[derive(Clone, Debug, Default)]
pub struct CatalogFiles {
    /// What people call the city. Default `gridtrace`.
    pub name: String,
    /// GeoJSON of the unit grids; none by default.
    pub unit_grids: Option<PathBuf>,
    /// GeoJSON of the fences; none by default.
    pub fences: Option<PathBuf>,
    /// GeoJSON of the routes; none by default.
    pub routes: Option<PathBuf>,
    /// JSON of the rules of work; none by default.
    pub work_rules: Option<PathBuf>,
    /// CSV of the vehicles; none by default.
    pub vehicles: Option<PathBuf>,
    /// CSV of holidays and make-up days; none by default.
    pub calendar: Option<PathBuf>,
    /// CSV of the shifts; none by default.
    pub shifts: Option<PathBuf>,
    /// GeoJSON of responsibility grids and other duty areas; none by default.
    pub responsibility_grids: Option<PathBuf>,
    /// CSV of who works which shift where; none by default.
    pub assignments: Option<PathBuf>,
    /// Versions that were in force and are kept. Default 1,000.
    pub versions_max: u32,
    /// Bytes that a text may have which comes through the API. Default 128 MiB.
    pub text_bytes_max: usize,
    /// What is odd about unit grids is told with a change of them, so many sentences. Default 20.
    pub warnings_max: u32,
}

impl CatalogFiles {
    pub(super) fn from_raw(raw: &mut Raw) -> Self {
        let text_bytes_max = raw.bytes("catalog.text_bytes_max", 128 * MIB, MIB..=GIB);
        Self {
            name: raw.text("catalog.name", "gridtrace", str::to_owned),
            unit_grids: raw.path("catalog.unit_grids", ""),
            fences: raw.path("catalog.fences", ""),
            routes: raw.path("catalog.routes", ""),
            work_rules: raw.path("catalog.work_rules", ""),
            vehicles: raw.path("catalog.vehicles", ""),
            calendar: raw.path("catalog.calendar", ""),
            shifts: raw.path("catalog.shifts", ""),
            responsibility_grids: raw.path("catalog.responsibility_grids", ""),
            assignments: raw.path("catalog.assignments", ""),
            versions_max: raw.count("catalog.versions_max", 1_000, 1..=1_000_000),
            text_bytes_max: usize::try_from(text_bytes_max).unwrap_or(usize::MAX),
            warnings_max: raw.count("catalog.warnings_max", 20, 0..=2_000),
        }
    }
}

/// `[backtest]`
#[derive(Clone, Debug)]
pub struct Backtest {
    /// At one time. Default 1.
    pub running_max: u32,
    /// Of those that are over, so many results are kept until the process ends. Default 16.
    pub kept_max: u32,
    /// Violations that a result lists. Default 10,000.
    pub violations_max: u32,
    /// The longest period. Default 92 days.
    pub period_max: Duration,
}

impl Backtest {
    pub(super) fn from_raw(raw: &mut Raw) -> Self {
        let day = seconds(86_400);
        Self {
            running_max: raw.count("backtest.running_max", 1, 1..=64),
            kept_max: raw.count("backtest.kept_max", 16, 1..=1_000),
            violations_max: raw.count("backtest.violations_max", 10_000, 1..=1_000_000),
            period_max: raw.duration("backtest.period_max", 92 * day, day..=3_660 * day),
        }
    }
}

/// `[explain]`
#[derive(Clone, Debug)]
pub struct Explain {
    /// Stored positions are judged from so long before the moment on, or from the beginning of the
    /// window or shift if that is earlier: a day more at most. Default 6 h.
    pub lookback: Duration,
    /// Positions that are judged; of more the newest. Default 100,000.
    pub positions_max: u32,
}

impl Explain {
    pub(super) fn from_raw(raw: &mut Raw) -> Self {
        let hour = seconds(3_600);
        Self {
            lookback: raw.duration("explain.lookback", 6 * hour, hour..=72 * hour),
            positions_max: raw.count("explain.positions_max", 100_000, 1_000..=1_000_000),
        }
    }
}

/// `[evidence]`
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The track of a case is shown from so long before it until so long after it. Default 15 min.
    pub margin: Duration,
    /// Positions of that track; of more the newest. Default 20,000.
    pub positions_max: u32,
}

impl Evidence {
    pub(super) fn from_raw(raw: &mut Raw) -> Self {
        let day = seconds(86_400);
        Self {
            margin: raw.duration("evidence.margin", seconds(900), seconds(0)..=day),
            positions_max: raw.count("evidence.positions_max", 20_000, 100..=1_000_000),
        }
    }
}
