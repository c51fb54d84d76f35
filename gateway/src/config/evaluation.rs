//! Evaluations of cases.

use std::path::PathBuf;

use super::Raw;

/// `[evaluation]`
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// TOML of the formulas, in place of the default ones; none by default.
    pub formulas: Option<PathBuf>,
    /// Days of one evaluation. Default 366.
    pub days_max: u32,
    /// Rows of one evaluation. Default 50,000.
    pub rows_max: u32,
    /// Evaluations that are being computed at one time; more are refused. Default 2.
    pub running_max: u32,
}

impl Evaluation {
    pub(super) fn from_raw(raw: &mut Raw) -> Self {
        Self {
            formulas: raw.path("evaluation.formulas", ""),
            days_max: raw.count("evaluation.days_max", 366, 1..=3_660),
            rows_max: raw.count("evaluation.rows_max", 50_000, 1..=1_000_000),
            running_max: raw.count("evaluation.running_max", 2, 1..=64),
        }
    }
}
