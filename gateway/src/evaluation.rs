//! Evaluation (综合评价): figures, indicators and scores of a level by periods. The store counts
//! ([`storage::evaluation`]); here are the formulas, what rosters and positions say of work, and the
//! table that readers get.

#[cfg(test)]
mod document;
pub mod formulas;
pub mod sheet;
mod work;
mod zip;

use std::collections::BTreeMap;

use geofence::catalog::{Catalog as Snapshot, WorkKind, date_of, day_of};
use storage::{
    evaluation::{By, EvaluationQuery, FigureCases, Span},
    store::{Store, StoreError},
};

use tokio::sync::{Semaphore, SemaphorePermit};

use self::formulas::Formulas;
use crate::rule_file::RuleFileError;

/// The formulas, and how many may compute at a time.
#[derive(Debug)]
pub struct Evaluations {
    /// In force.
    pub formulas: Formulas,
    turns: Semaphore,
}

impl Evaluations {
    /// As the configuration says.
    ///
    /// # Errors
    /// When the formulas cannot be used.
    pub fn load(config: &crate::config::Evaluation) -> Result<Self, RuleFileError> {
        Ok(Self {
            formulas: Formulas::load(config.formulas.as_ref())?,
            turns: Semaphore::new(config.running_max as usize),
        })
    }

    /// A place among those that compute; `None` where all are taken.
    pub fn enter(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.try_acquire().ok()
    }
}

/// Whose figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Level {
    City,
    District,
    Street,
    Community,
    Department,
    Crew,
    Vehicle,
    Inspector,
}

impl Level {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::City,
        Self::District,
        Self::Street,
        Self::Community,
        Self::Department,
        Self::Crew,
        Self::Vehicle,
        Self::Inspector,
    ];

    /// The word of the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::City => "city",
            Self::District => "district",
            Self::Street => "street",
            Self::Community => "community",
            Self::Department => "department",
            Self::Crew => "crew",
            Self::Vehicle => "vehicle",
            Self::Inspector => "inspector",
        }
    }

    /// The level of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == word)
    }

    /// How many parts of a unit grid's code name it, where it is a place.
    const fn parts(self) -> Option<usize> {
        match self {
            Self::District => Some(1),
            Self::Street => Some(2),
            Self::Community => Some(3),
            _ => None,
        }
    }
}

/// The word of a span.
#[must_use]
pub const fn span_word(span: Span) -> &'static str {
    match span {
        Span::Day => "day",
        Span::Week => "week",
        Span::Month => "month",
    }
}

/// The span of that word.
#[must_use]
pub fn span_of_word(word: &str) -> Option<Span> {
    let all = [Span::Day, Span::Week, Span::Month];
    all.into_iter().find(|span| span_word(*span) == word)
}

/// The first day of a period, and the first one behind it.
#[must_use]
pub fn days_of(span: Span, period: i32) -> (i32, i32) {
    let month = |number: i32| {
        let (year, month) = (number.div_euclid(12), number.rem_euclid(12) + 1);
        let first = day_of(&format!("{year:04}-{month:02}-01"));
        first.and_then(|day| i32::try_from(day).ok()).unwrap_or(0)
    };
    match span {
        Span::Day => (period, period + 1),
        Span::Week => (period * 7 - 3, period * 7 + 4),
        Span::Month => (month(period), month(period + 1)),
    }
}

/// `2026-11-01`.
#[must_use]
pub fn date(day: i32) -> String {
    let (year, month, day) = date_of(day.into());
    format!("{year:04}-{month:02}-{day:02}")
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Whose figures.
    pub level: Level,
    /// Of which periods.
    pub span: Span,
    /// From the first day (inclusive) to the second (exclusive): whole periods.
    pub days: (i32, i32),
    /// Only cases that lie or are handled within one of these; empty means all.
    pub jurisdictions: Vec<String>,
    /// At most so many rows.
    pub rows_max: u32,
}

impl Request {
    /// The whole periods that the days from the first to the last one touch.
    #[must_use]
    pub fn whole_periods(span: Span, first: i32, last: i32) -> (i32, i32) {
        let (from, _) = days_of(span, span.period(first));
        let (_, to) = days_of(span, span.period(last));
        (from, to)
    }

    /// By what the store tells subjects apart; `None` for a place that codes do not name.
    fn by(&self, catalog: &Snapshot, levels: &[u32]) -> Option<By> {
        Some(match self.level {
            Level::City => By::City,
            Level::District | Level::Street | Level::Community => {
                By::Place(width(levels, self.level)?)
            }
            Level::Department => By::Department,
            Level::Crew | Level::Vehicle | Level::Inspector => {
                let mut subjects = BTreeMap::new();
                for vehicle in catalog.vehicles() {
                    let subject = subject_of(vehicle, self.level).unwrap_or_default();
                    // Under its phone where the catalog of then did not know it.
                    for key in [vehicle.terminal.to_string(), vehicle.id.clone()] {
                        subjects.insert(key, subject.to_owned());
                    }
                }
                By::Carrier {
                    subjects,
                    others: self.level == Level::Vehicle,
                }
            }
        })
    }
}

/// Digits of the codes of a level.
fn width(levels: &[u32], level: Level) -> Option<usize> {
    let parts = level.parts()?;
    let widths = levels.get(..parts)?;
    usize::try_from(widths.iter().sum::<u32>()).ok()
}

/// The subject that a vehicle belongs to.
fn subject_of(vehicle: &geofence::catalog::Vehicle, level: Level) -> Option<&str> {
    let is_inspector = vehicle.work_kind == WorkKind::Inspector;
    match level {
        Level::City => Some(""),
        Level::Crew => Some(&*vehicle.crew).filter(|crew| !crew.is_empty()),
        Level::Vehicle if !is_inspector => Some(&vehicle.id),
        Level::Inspector if is_inspector => Some(&vehicle.id),
        _ => None,
    }
}

/// The name of a subject for people, where the catalog has one.
fn name_of(catalog: &Snapshot, level: Level, subject: &str) -> String {
    if !matches!(level, Level::Vehicle | Level::Inspector) {
        return String::new();
    }
    let found = catalog.vehicles().iter().find(|one| one.id == subject);
    found.map_or_else(String::new, |vehicle| {
        if level == Level::Vehicle && !vehicle.plate.is_empty() {
            vehicle.plate.clone()
        } else {
            vehicle.name.clone()
        }
    })
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// [`Span::period`].
    pub period: i32,
    /// A code, a name or an id; empty where the level has one subject, or none is known.
    pub subject: String,
    /// For people; may be empty.
    pub name: String,
    /// In the order of the formulas; `None` where the level has no such figure.
    pub figures: Vec<Option<f64>>,
    /// In the order of the formulas.
    pub indicators: Vec<Option<f64>>,
    /// All points; `None` where no indicator gives any.
    pub score: Option<f64>,
    /// Among those of its period that have a score: 1 is the best.
    pub rank: Option<u32>,
}

/// The table.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// In the order of periods and subjects.
    pub rows: Vec<Row>,
    /// The store said in time what terminals did. Without that the figures of work are `None`.
    pub is_work_known: bool,
}

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    /// The city's codes have no part for it.
    #[error("level: the codes of unit grids do not name this one")]
    NoSuchLevel,
    /// More than the limit.
    #[error("there are more than {0} rows (evaluation.rows_max): ask for a shorter time")]
    TooMany(u32),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Computes the table.
///
/// # Errors
/// When the level has no codes, there is too much of it, or the store fails.
pub async fn evaluate(
    store: &dyn Store,
    catalog: &Snapshot,
    levels: &[u32],
    formulas: &Formulas,
    request: &Request,
    now: geofence::units::Timestamp,
) -> Result<Evaluated, EvaluationError> {
    let by = request
        .by(catalog, levels)
        .ok_or(EvaluationError::NoSuchLevel)?;
    let (places, figures): (Vec<usize>, Vec<_>) = formulas.of_cases().unzip();
    let query = EvaluationQuery {
        days: request.days,
        span: request.span,
        by,
        jurisdictions: request.jurisdictions.clone(),
        figures,
        rows_max: request.rows_max.saturating_add(1),
    };
    let counted = store.evaluate(&query).await?;
    let mut rows: BTreeMap<(i32, String), Vec<Option<f64>>> = BTreeMap::new();
    let nothing = || {
        let mut figures = vec![None; formulas.figures.len()];
        for place in &places {
            if let Some(figure) = figures.get_mut(*place) {
                *figure = Some(0.0);
            }
        }
        figures
    };
    for row in counted {
        let figures = rows
            .entry((row.period, row.subject))
            .or_insert_with(nothing);
        for (place, value) in places.iter().zip(row.values) {
            if let Some(figure) = figures.get_mut(*place) {
                *figure = Some(value);
            }
        }
    }
    let wants_work = formulas.figures.iter().any(|figure| figure.work.is_some());
    let mut is_work_known = true;
    if wants_work && request.level != Level::Department {
        match store
            .terminal_days(request.days.0, request.days.1 + 1)
            .await
        {
            Ok(days) => {
                let done = work::of(catalog, levels, request, &days, now);
                for (key, done) in &done {
                    let figures = rows.entry(key.clone()).or_insert_with(nothing);
                    done.fill(formulas, figures);
                }
                // Who has no duty and no report has done nothing of it.
                for (key, figures) in &mut rows {
                    if !done.contains_key(key) {
                        work::nothing(request).fill(formulas, figures);
                    }
                }
            }
            // The figures of cases are worth having without it.
            Err(error @ StoreError::Unavailable { .. }) => {
                tracing::warn!(%error, "an evaluation goes without what terminals did");
                is_work_known = false;
            }
            Err(error) => return Err(error.into()),
        }
    }
    if rows.len() > request.rows_max as usize {
        return Err(EvaluationError::TooMany(request.rows_max));
    }
    let rows = rows.into_iter().map(|((period, subject), figures)| {
        let values = formulas.indicators.iter();
        let values = values.map(|indicator| formulas.value(indicator, &figures));
        let (indicators, points): (Vec<_>, Vec<_>) = values.unzip();
        let points: Vec<f64> = points.into_iter().flatten().collect();
        Row {
            period,
            name: name_of(catalog, request.level, &subject),
            subject,
            figures,
            indicators,
            score: (!points.is_empty()).then(|| points.iter().sum()),
            rank: None,
        }
    });
    let mut rows: Vec<Row> = rows.collect();
    rank(&mut rows);
    Ok(Evaluated {
        rows,
        is_work_known,
    })
}

/// Equal scores have equal ranks.
fn rank(rows: &mut [Row]) {
    let mut scores: BTreeMap<i32, Vec<f64>> = BTreeMap::new();
    for row in rows.iter() {
        scores.entry(row.period).or_default().extend(row.score);
    }
    for row in rows {
        let Some(score) = row.score else { continue };
        let others = scores.get(&row.period).into_iter().flatten();
        let better = others.filter(|other| **other > score).count();
        row.rank = u32::try_from(better + 1).ok();
    }
}

/// The cases behind a figure of a row; `None` where there is no such figure of cases, or no such
/// level.
#[must_use]
pub fn cases_of(
    catalog: &Snapshot,
    levels: &[u32],
    formulas: &Formulas,
    request: &Request,
    figure: &str,
) -> Option<FigureCases> {
    Some(FigureCases {
        period: request.span.period(request.days.0),
        subject: String::new(),
        after: None,
        limit: 0,
        query: EvaluationQuery {
            days: request.days,
            span: request.span,
            by: request.by(catalog, levels)?,
            jurisdictions: request.jurisdictions.clone(),
            figures: vec![formulas.figure(figure)?],
            rows_max: request.rows_max,
        },
    })
}

#[cfg(test)]
mod tests {
    use storage::evaluation::month_of;

    use super::*;

    fn day(text: &str) -> i32 {
        i32::try_from(day_of(text).unwrap()).unwrap()
    }

    #[test]
    fn periods_are_whole() {
        let periods = |span| {
            let (from, to) = Request::whole_periods(span, day("2026-01-31"), day("2026-03-01"));
            (date(from), date(to))
        };
        let texts = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!(periods(Span::Day), texts("2026-01-31", "2026-03-02"));
        assert_eq!(periods(Span::Week), texts("2026-01-26", "2026-03-02"));
        assert_eq!(periods(Span::Month), texts("2026-01-01", "2026-04-01"));
        for span in [Span::Day, Span::Week, Span::Month] {
            for day in day("1999-12-01")..day("2001-02-01") {
                let (from, to) = days_of(span, span.period(day));
                assert!((from..to).contains(&day), "{span:?} {}", date(day));
            }
        }
        assert_eq!(month_of(day("2026-01-01")), 2026 * 12);
    }

    #[test]
    fn equal_scores_share_a_rank() {
        let row = |period, score| Row {
            period,
            subject: String::new(),
            name: String::new(),
            figures: vec![],
            indicators: vec![],
            score,
            rank: None,
        };
        let mut rows = [
            row(1, Some(70.0)),
            row(1, Some(80.0)),
            row(1, None),
            row(1, Some(70.0)),
            row(1, Some(1.0)),
            row(2, Some(0.5)),
        ];
        rank(&mut rows);
        let ranks = rows.map(|row| row.rank);
        assert_eq!(ranks, [Some(2), Some(1), None, Some(2), Some(4), Some(1)]);
    }
}
