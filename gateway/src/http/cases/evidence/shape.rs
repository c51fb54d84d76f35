//! What a rule is about, as a shape: of the version of the catalog that judged.

use std::collections::BTreeSet;

use geofence::{
    case::Case,
    violation::{Violation, ViolationKind},
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    Gateway,
    http::{Problem, explain},
};

/// Rules of a case that are shown: of more the first.
const RULES_MAX: usize = 20;

/// Whether the shape is the one that judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ShapeState {
    /// It is.
    AsJudged,
    /// The version of the rule is another one.
    OtherVersion,
    /// The rule has no shape of its own.
    None,
    /// The catalog of then has no such rule any more.
    Gone,
}

impl ShapeState {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::AsJudged => "as_judged",
            Self::OtherVersion => "other_version",
            Self::None => "none",
            Self::Gone => "gone",
        }
    }
}

/// A rule of the case, with what can be drawn of it.
#[derive(Debug, Serialize)]
pub(super) struct RuleShape {
    pub(super) id: String,
    pub(super) version: u32,
    pub(super) name: String,
    /// Of the catalog that was in force when the violation was sure.
    pub(super) catalog_version: u64,
    pub(super) state: ShapeState,
    /// GeoJSON, as the catalog has it.
    pub(super) features: Vec<Value>,
    /// Those that were not visited.
    pub(super) unit_grids: Vec<Value>,
}

/// Of each rule once. It may wait for a disk.
pub(super) fn of_case(gateway: &Gateway, case: &Case) -> Result<Vec<RuleShape>, Problem> {
    let mut seen = BTreeSet::new();
    let mut rules = Vec::new();
    for interval in &case.intervals {
        let violation = &interval.violation;
        let rule = &violation.rule;
        if rules.len() < RULES_MAX && seen.insert((rule.id.clone(), rule.version)) {
            rules.push(of_violation(gateway, violation)?);
        }
    }
    Ok(rules)
}

fn of_violation(gateway: &Gateway, violation: &Violation) -> Result<RuleShape, Problem> {
    let at = violation.confirmed_at;
    let versions = explain::versions(gateway, None, at, at)?;
    let number = versions.last().map_or(0, |version| version.number);
    let rule = &violation.rule;
    let (text, id) = place_of(violation.kind, &rule.id);
    let features = features(gateway, number, text, "id", &[id])?;
    // A rule without a number is of version 1, in the catalog as well as in the violation.
    let version = |feature: &Value| {
        let version = feature.pointer("/properties/version");
        version.and_then(Value::as_f64).unwrap_or(1.0)
    };
    let is_duty = text == "responsibility_grids";
    let is_same =
        |feature: &Value| is_duty || (version(feature) - f64::from(rule.version)).abs() < 0.5;
    let state = match features.first() {
        Some(feature) if is_same(feature) => ShapeState::AsJudged,
        Some(_) => ShapeState::OtherVersion,
        None if has_shape(violation.kind) => ShapeState::Gone,
        None => ShapeState::None,
    };
    let missed: Vec<&str> = violation
        .evidence
        .unit_grids
        .iter()
        .map(String::as_str)
        .collect();
    let unit_grids = if missed.is_empty() {
        Vec::new()
    } else {
        self::features(gateway, number, "unit_grids", "code", &missed)?
    };
    Ok(RuleShape {
        id: rule.id.clone(),
        version: rule.version,
        name: rule.name.clone(),
        catalog_version: number,
        state,
        features,
        unit_grids,
    })
}

/// In which text of the catalog a rule's shape stands, and under which id.
fn place_of(kind: ViolationKind, rule: &str) -> (&'static str, &str) {
    use ViolationKind as Kind;
    match kind {
        Kind::RouteDeviation | Kind::Coverage => ("routes", rule),
        Kind::WrongOrder | Kind::MissedPoint => {
            ("routes", rule.split_once('/').map_or(rule, |(id, _)| id))
        }
        Kind::OutsideHours
        | Kind::LateStart
        | Kind::EarlyEnd
        | Kind::OffPost
        | Kind::PatrolCoverage
        | Kind::Silence => {
            let area = rule.split_once('/').map_or(rule, |(_, area)| area);
            ("responsibility_grids", area)
        }
        Kind::StayIn
        | Kind::KeepOut
        | Kind::Speeding
        | Kind::LongStop
        | Kind::Idling
        | Kind::TooFastToClean
        | Kind::Unloading
        | Kind::TerminalAlarm => ("fences", rule),
    }
}

/// Rules of these kinds cannot be without one.
const fn has_shape(kind: ViolationKind) -> bool {
    use ViolationKind as Kind;
    matches!(
        kind,
        Kind::StayIn
            | Kind::KeepOut
            | Kind::RouteDeviation
            | Kind::Coverage
            | Kind::WrongOrder
            | Kind::MissedPoint
    )
}

fn features(
    gateway: &Gateway,
    number: u64,
    text: &str,
    key: &str,
    ids: &[&str],
) -> Result<Vec<Value>, Problem> {
    let Some(versions) = gateway.catalog.versions() else {
        return Ok(Vec::new());
    };
    let text = versions.text(number, text)?.unwrap_or_default();
    let root: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap_or_default();
    let features = root.get("features").and_then(Value::as_array);
    let is_asked = |feature: &&Value| {
        let id = feature.get("properties").and_then(|all| all.get(key));
        id.is_some_and(|id| match id {
            Value::String(id) => ids.contains(&id.as_str()),
            other => ids.contains(&other.to_string().as_str()),
        })
    };
    Ok(features
        .into_iter()
        .flatten()
        .filter(is_asked)
        .cloned()
        .collect())
}
