//! The formulas of evaluations: data with versions. The defaults are `gateway/evaluation.toml`; a
//! city's file takes their place whole.

use std::{collections::BTreeSet, path::PathBuf};

use serde::{Deserialize, Serialize};
use storage::evaluation::{Figure, Filter, Measure};

use crate::rule_file::{self, RuleFileError};

const DEFAULTS: &str = include_str!("../../evaluation.toml");
const NAME_BYTES_MAX: usize = 64;

/// All figures and indicators.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Formulas {
    /// Of the whole.
    pub version: String,
    /// In the order in which they are shown.
    #[serde(rename = "figure")]
    pub figures: Vec<FigureFormula>,
    /// In the order in which they are shown.
    #[serde(rename = "indicator", default)]
    pub indicators: Vec<Indicator>,
}

/// A figure.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FigureFormula {
    /// Small letters, digits and `_`.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub label: String,
    /// What it counts of cases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Filter>,
    /// What it says of these.
    #[serde(default)]
    pub measure: Measure,
    /// What it says of work instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Work>,
}

/// Figures that come from rosters and positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Duties of the roster that have begun.
    Duties,
    /// Those of them in whose hours the terminal reported.
    DutiesAttended,
    /// By the odometer, day for day.
    DrivenKm,
    /// Hours in which there was a report.
    ReportingHours,
}

/// In what an indicator is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A hundred times the quotient.
    Percent,
    /// The quotient.
    Number,
}

/// An indicator.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Indicator {
    /// Small letters, digits and `_`.
    pub name: String,
    /// Of this formula.
    pub version: u32,
    /// For people.
    #[serde(default)]
    pub label: String,
    /// In what it is given.
    pub unit: Unit,
    /// Names of figures; one with a minus before it is taken away.
    pub numerator: Vec<String>,
    /// The same; none is 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denominator: Vec<String>,
    /// The points that it gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Score>,
}

/// How an indicator gives points.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Score {
    /// All of them from a value on, and less below, but not less than 0.
    Linear {
        /// At most.
        points: f64,
        /// From this value on.
        full_at: f64,
        /// Points less for each unit below.
        less_per_unit: f64,
    },
    /// The points of the highest of these values that is reached: value, points.
    Steps {
        /// In any order.
        steps: Vec<(f64, f64)>,
    },
    /// So many for each of the numerator.
    Each {
        /// Less than 0 takes points away.
        each: f64,
    },
}

impl Score {
    /// The points of a value.
    #[must_use]
    pub fn of(&self, value: f64, numerator: f64) -> f64 {
        match self {
            Self::Linear {
                points,
                full_at,
                less_per_unit,
            } => (points - (full_at - value).max(0.0) * less_per_unit).max(0.0),
            Self::Steps { steps } => {
                let reached = steps.iter().filter(|(from, _)| value >= *from);
                let best = reached.max_by(|a, b| a.0.total_cmp(&b.0));
                best.map_or(0.0, |(_, points)| *points)
            }
            Self::Each { each } => each * numerator,
        }
    }

    fn numbers(&self) -> Vec<f64> {
        match self {
            Self::Linear {
                points,
                full_at,
                less_per_unit,
            } => vec![*points, *full_at, *less_per_unit],
            Self::Steps { steps } => steps.iter().flat_map(|(a, b)| [*a, *b]).collect(),
            Self::Each { each } => vec![*each],
        }
    }
}

impl Formulas {
    /// The formulas of a file, or the defaults.
    ///
    /// # Errors
    /// When it cannot be read; and every mistake in it.
    pub fn load(path: Option<&PathBuf>) -> Result<Self, RuleFileError> {
        let Some(path) = path else {
            return Self::read(DEFAULTS).map_err(RuleFileError::Mistakes);
        };
        let text = rule_file::read(path)?;
        Self::read(&text).map_err(|mistakes| RuleFileError::at(&path.display(), mistakes))
    }

    /// Reads a text.
    ///
    /// # Errors
    /// Every mistake.
    pub fn read(text: &str) -> Result<Self, Vec<String>> {
        let formulas: Self =
            toml::from_str(text).map_err(|error| vec![error.to_string().trim().to_owned()])?;
        let mistakes = formulas.mistakes();
        if mistakes.is_empty() {
            Ok(formulas)
        } else {
            Err(mistakes)
        }
    }

    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut names = BTreeSet::new();
        let all = self.figures.iter().map(|figure| &figure.name);
        for name in all.chain(self.indicators.iter().map(|indicator| &indicator.name)) {
            let is_sign =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_sign) {
                mistakes.push(format!(
                    "{name:?}: a name has 1 to {NAME_BYTES_MAX} of a to z, 0 to 9 and _"
                ));
            }
            if !names.insert(name) {
                mistakes.push(format!("{name}: there are two of this name"));
            }
        }
        for figure in &self.figures {
            match (&figure.of, figure.work) {
                (Some(filter), None) if filter.events.is_empty() => {
                    mistakes.push(format!("{}: `of` names no events", figure.name));
                }
                (Some(_), None) | (None, Some(_)) => {}
                _ => mistakes.push(format!("{}: either `of` or `work`", figure.name)),
            }
            let min = figure.of.as_ref().and_then(|filter| filter.value_min);
            if min.is_some_and(|min| !min.is_finite()) {
                mistakes.push(format!("{}: value_min is no number", figure.name));
            }
        }
        for indicator in &self.indicators {
            let name = &indicator.name;
            if indicator.numerator.is_empty() {
                mistakes.push(format!("{name}: it needs a numerator"));
            }
            for term in indicator.numerator.iter().chain(&indicator.denominator) {
                if self.term(term).is_none() {
                    mistakes.push(format!("{name}: there is no figure {term}"));
                }
            }
            let numbers = indicator.score.iter().flat_map(Score::numbers);
            if numbers.into_iter().any(|number| !number.is_finite()) {
                mistakes.push(format!("{name}: its score is no number"));
            }
        }
        mistakes
    }

    /// The figures that stores compute, with their places among all.
    pub fn of_cases(&self) -> impl Iterator<Item = (usize, Figure)> {
        let all = self.figures.iter().enumerate();
        all.filter_map(|(index, figure)| Some((index, figure.figure()?)))
    }

    /// A figure of cases by its name.
    #[must_use]
    pub fn figure(&self, name: &str) -> Option<Figure> {
        let found = self.figures.iter().find(|figure| figure.name == name);
        found.and_then(FigureFormula::figure)
    }

    /// The place of the figure of a term, and its sign.
    fn term(&self, term: &str) -> Option<(usize, f64)> {
        let (name, sign) = match term.strip_prefix('-') {
            Some(name) => (name, -1.0),
            None => (term, 1.0),
        };
        let place = self.figures.iter().position(|figure| figure.name == name)?;
        Some((place, sign))
    }

    /// The sum of terms; `None` where one of them is not known.
    #[must_use]
    pub fn sum(&self, terms: &[String], figures: &[Option<f64>]) -> Option<f64> {
        let values = terms.iter().map(|term| {
            let (place, sign) = self.term(term)?;
            Some(figures.get(place).copied().flatten()? * sign)
        });
        values.sum()
    }

    /// The value of an indicator, and its points.
    #[must_use]
    pub fn value(
        &self,
        indicator: &Indicator,
        figures: &[Option<f64>],
    ) -> (Option<f64>, Option<f64>) {
        let numerator = self.sum(&indicator.numerator, figures);
        let denominator = if indicator.denominator.is_empty() {
            Some(1.0)
        } else {
            self.sum(&indicator.denominator, figures)
        };
        let (Some(numerator), Some(denominator)) = (numerator, denominator) else {
            return (None, None);
        };
        if denominator <= 0.0 {
            return (None, None);
        }
        let factor = match indicator.unit {
            Unit::Percent => 100.0,
            Unit::Number => 1.0,
        };
        let value = numerator / denominator * factor;
        let points = indicator.score.as_ref();
        (Some(value), points.map(|score| score.of(value, numerator)))
    }
}

impl FigureFormula {
    /// What it counts, as JSON: `{"events":["closed"],"late":false}`, or the word of the work.
    #[must_use]
    pub fn text(&self) -> String {
        let text = match (&self.of, self.work) {
            (Some(filter), _) => serde_json::to_string(filter),
            (None, work) => serde_json::to_string(&work),
        };
        text.unwrap_or_default()
    }

    fn figure(&self) -> Option<Figure> {
        Some(Figure {
            filter: self.of.clone()?,
            measure: self.measure,
        })
    }
}

impl Indicator {
    /// As people read it: `on_time ÷ due × 100`.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = terms(&self.numerator);
        if !self.denominator.is_empty() {
            text = format!("{text} ÷ {}", terms(&self.denominator));
        }
        if self.unit == Unit::Percent {
            text.push_str(" × 100");
        }
        text
    }
}

fn terms(terms: &[String]) -> String {
    let mut text = String::new();
    for term in terms {
        let (sign, name) = match term.strip_prefix('-') {
            Some(name) => (" − ", name),
            None => (" + ", term.as_str()),
        };
        if !text.is_empty() || sign == " − " {
            text.push_str(sign);
        }
        text.push_str(name);
    }
    if terms.len() > 1 {
        format!("({text})")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
        version = "t"
        [[figure]]
        name = "a"
        of = { events = ["closed"] }
        [[figure]]
        name = "b"
        work = "duties"
        [[indicator]]
        name = "rate"
        version = 2
        unit = "percent"
        numerator = ["a"]
        denominator = ["b", "-a"]
    "#;

    #[test]
    fn the_defaults_are_without_mistakes() {
        let formulas = Formulas::load(None).unwrap();
        assert!(formulas.of_cases().count() > 30);
        assert!(formulas.figure("on_time").is_some() && formulas.figure("driven_km").is_none());
    }

    #[test]
    fn an_indicator_is_the_quotient_of_its_sums_and_nothing_without_one() {
        let formulas = Formulas::read(SMALL).unwrap();
        let rate = &formulas.indicators[0];
        assert_eq!(rate.text(), "a ÷ (b − a) × 100");
        let value = |figures: [Option<f64>; 2]| formulas.value(rate, &figures).0;
        assert_eq!(value([Some(1.0), Some(5.0)]), Some(25.0));
        assert_eq!(value([Some(5.0), Some(5.0)]), None);
        assert_eq!(value([None, Some(5.0)]), None);
    }

    #[test]
    fn points_are_given_by_line_by_steps_and_for_each() {
        let linear: Score =
            toml::from_str("points = 50.0\nfull_at = 70.0\nless_per_unit = 1.0").unwrap();
        let points: Vec<f64> = [90.0, 70.0, 60.5, 10.0].map(|v| linear.of(v, 0.0)).into();
        assert_eq!(points, [50.0, 50.0, 40.5, 0.0]);
        let steps: Score = toml::from_str("steps = [[60.0, 5.0], [90.0, 10.0]]").unwrap();
        let points: Vec<f64> = [95.0, 60.0, 59.9].map(|v| steps.of(v, 0.0)).into();
        assert_eq!(points, [10.0, 5.0, 0.0]);
        let each: Score = toml::from_str("each = -0.5").unwrap();
        assert_eq!(each.of(0.0, 3.0).to_string(), "-1.5");
    }

    #[test]
    fn all_mistakes_are_named() {
        let text = SMALL
            .replace("events = [\"closed\"]", "events = []")
            .replace("\"-a\"", "\"-c\"")
            .replace("name = \"rate\"", "name = \"A b\"")
            .replace("work = \"duties\"", "");
        assert_eq!(
            Formulas::read(&text).unwrap_err(),
            [
                "\"A b\": a name has 1 to 64 of a to z, 0 to 9 and _",
                "a: `of` names no events",
                "b: either `of` or `work`",
                "A b: there is no figure -c",
            ]
        );
        let unknown = SMALL.replace("events =", "event =");
        assert!(Formulas::read(&unknown).unwrap_err()[0].contains("unknown field `event`"));
    }
}
