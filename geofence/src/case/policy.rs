//! What a city wants of each kind of violation: whether it opens a case, how far the case goes by
//! itself, who is responsible, and how long everything may take. All of it is data; a city's text
//! says only what differs from the defaults.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    Case, Severity, Source, Stage,
    clock::{Clock, ClockKind, Limit, WorkTime},
};
use crate::{
    catalog::{Calendar, Catalog, DAY_MINUTES, minutes_of_day},
    units::Timestamp,
    violation::{Violation, ViolationKind},
};

/// The name of the row for cases that a person opens.
const MANUAL: &str = "manual";
/// The name that stands for every kind in the table of departments.
const ANY: &str = "*";

/// The text of a policy. Keys that are not there are as in the defaults.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyText {
    /// Widths of the parts of a unit grid's code that are jurisdictions: district, street,
    /// community. `[6, 3, 3]`.
    pub levels: Option<Vec<u32>>,
    /// The working periods of a work day at local time: `["08:00-12:00", "14:00-18:00"]`; none is
    /// the whole day.
    pub work_hours: Option<Vec<String>>,
    /// A clock warns when so many percent of its limit are used.
    pub warning_percent: Option<u8>,
    /// What holds for every kind that says nothing else.
    pub defaults: KindText,
    /// By kind of violation; `manual` is for cases that a person opens.
    pub kinds: BTreeMap<String, KindText>,
    /// The city's table of categories, by code.
    pub categories: BTreeMap<String, Category>,
    /// Who is responsible: the row with the longest jurisdiction wins, of equal ones the one that
    /// names the kind.
    pub departments: Vec<DepartmentText>,
}

/// What a text says of one kind.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KindText {
    /// It opens a case.
    pub opens: Option<bool>,
    /// The stage that a case reaches by itself: `collected`, `accepted`, `filed`, `dispatched`.
    pub automatic_to: Option<String>,
    /// Code of the category.
    pub category: Option<String>,
    /// `low`, `normal`, `high`, `urgent`.
    pub severity: Option<String>,
    /// Violations of the same rule, subject and shift belong to one case when so many minutes or
    /// less lie between them; 0 is never.
    pub group_within_minutes: Option<u32>,
    /// Violations of one case.
    pub intervals_max: Option<u32>,
    /// Which jurisdiction handles it: 0 is the city, 1 its district, 2 the street, 3 the community.
    pub level: Option<u32>,
    /// An inspector verifies cases of these sources before they are accepted: `citizen`,
    /// `inspector`, `manual`, `telemetry`.
    pub verifies: Option<Vec<Source>>,
    /// An inspector checks what was handled.
    pub checks: Option<bool>,
    /// How long each clock may run.
    pub limits: BTreeMap<ClockKind, Limit>,
}

/// A row of the table of categories.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Category {
    /// For people.
    pub name: String,
    /// `event` faces citizens; `performance` is about operators, and scored apart.
    #[serde(default)]
    pub class: CategoryClass,
    /// Limits before those of the kind.
    #[serde(default)]
    pub limits: BTreeMap<ClockKind, Limit>,
}

/// Whom a category is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CategoryClass {
    /// A class of the standard, facing citizens.
    #[default]
    Event,
    /// The extension for the performance of operators.
    Performance,
}

/// A row of the table of departments.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepartmentText {
    /// Kind of violation, `manual`, or `*`.
    pub kind: String,
    /// Code prefix of where it lies; empty is everywhere.
    #[serde(default)]
    pub jurisdiction: String,
    /// Whose it is.
    pub department: String,
}

/// What holds for cases of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in the text")]
pub struct KindPolicy {
    pub opens: bool,
    pub automatic_to: Stage,
    pub category: String,
    pub severity: Severity,
    pub group_within_ms: i64,
    pub intervals_max: usize,
    pub level: u32,
    pub verifies: Vec<Source>,
    pub checks: bool,
    pub limits: BTreeMap<ClockKind, Limit>,
}

impl Default for KindPolicy {
    fn default() -> Self {
        Self {
            opens: true,
            automatic_to: Stage::Collected,
            category: String::new(),
            severity: Severity::Normal,
            group_within_ms: 0,
            intervals_max: 50,
            level: 0,
            verifies: Vec::new(),
            checks: false,
            limits: BTreeMap::new(),
        }
    }
}

/// A checked policy. The default one opens a case for each violation and says nothing else.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    levels: Vec<u32>,
    periods: Vec<(i64, i64)>,
    warning_percent: Option<u8>,
    defaults: KindPolicy,
    kinds: BTreeMap<ViolationKind, KindPolicy>,
    manual: Option<KindPolicy>,
    categories: BTreeMap<String, Category>,
    departments: Vec<(Option<String>, String, String)>,
}

impl Policy {
    /// Checks the texts, later ones before earlier ones.
    ///
    /// # Errors
    /// Every mistake, with its key.
    pub fn read(texts: &[PolicyText]) -> Result<Self, Vec<String>> {
        let mut policy = Self::default();
        let mut mistakes = Vec::new();
        for text in texts {
            policy.add(text, &mut mistakes);
        }
        policy.look_up_categories(&mut mistakes);
        if mistakes.is_empty() {
            Ok(policy)
        } else {
            Err(mistakes)
        }
    }

    fn add(&mut self, text: &PolicyText, mistakes: &mut Vec<String>) {
        if let Some(levels) = &text.levels {
            if levels.iter().any(|width| !(1..=12).contains(width)) || levels.len() > 6 {
                mistakes.push("levels: at most six widths of 1 to 12 digits".to_owned());
            }
            self.levels.clone_from(levels);
        }
        if let Some(hours) = &text.work_hours {
            match periods(hours) {
                Some(periods) => self.periods = periods,
                None => mistakes.push(
                    "work_hours: periods such as \"08:00-12:00\", in order, none into another"
                        .to_owned(),
                ),
            }
        }
        if let Some(percent) = text.warning_percent {
            if !(1..=100).contains(&percent) {
                mistakes.push("warning_percent: 1 to 100".to_owned());
            }
            self.warning_percent = Some(percent);
        }
        self.defaults.amend("defaults", &text.defaults, mistakes);
        // Defaults of a later text hold for kinds of an earlier one as well, where it says so.
        for kind in self.kinds.values_mut().chain(&mut self.manual) {
            kind.amend("defaults", &text.defaults, &mut Vec::new());
        }
        for (word, of_kind) in &text.kinds {
            let place = format!("kinds.{word}");
            let defaults = self.defaults.clone();
            let row = match ViolationKind::from_word(word) {
                Some(kind) => self.kinds.entry(kind).or_insert(defaults),
                None if word == MANUAL => self.manual.get_or_insert(defaults),
                None => {
                    mistakes.push(format!("{place}: no such kind of violation"));
                    continue;
                }
            };
            row.amend(&place, of_kind, mistakes);
        }
        for (code, category) in &text.categories {
            if !is_code(code) {
                mistakes.push(format!(
                    "categories.{code}: a code has 1 to 16 digits or letters"
                ));
            }
            self.categories.insert(code.clone(), category.clone());
        }
        self.add_departments(&text.departments, mistakes);
    }

    fn add_departments(&mut self, rows: &[DepartmentText], mistakes: &mut Vec<String>) {
        for (number, row) in (1_u32..).zip(rows) {
            let DepartmentText {
                kind,
                jurisdiction,
                department,
            } = row;
            let is_kind = kind == ANY || kind == MANUAL || ViolationKind::from_word(kind).is_some();
            if !is_kind || !is_jurisdiction(jurisdiction) || department.trim().is_empty() {
                mistakes.push(format!(
                    "departments, row {number}: a kind (or * or manual), the digits of a \
                     jurisdiction, and a department"
                ));
                continue;
            }
            let kind = (kind != ANY).then(|| kind.clone());
            let key = (&kind, jurisdiction);
            self.departments.retain(|(k, j, _)| (k, j) != key);
            self.departments
                .push((kind, jurisdiction.clone(), department.trim().to_owned()));
        }
    }

    fn look_up_categories(&self, mistakes: &mut Vec<String>) {
        let named = self.kinds.iter().map(|(kind, row)| (kind.as_str(), row));
        let manual = self.manual.iter().map(|row| (MANUAL, row));
        for (word, row) in named.chain(manual).chain([("defaults", &self.defaults)]) {
            if !row.category.is_empty() && !self.categories.contains_key(&row.category) {
                let code = &row.category;
                mistakes.push(format!("{word}: category {code:?} is not in the table"));
            }
        }
    }

    /// What holds for a kind; `None` is a case that a person opens.
    #[must_use]
    pub fn of(&self, kind: Option<ViolationKind>) -> &KindPolicy {
        let row = match kind {
            Some(kind) => self.kinds.get(&kind),
            None => self.manual.as_ref(),
        };
        row.unwrap_or(&self.defaults)
    }

    /// Widths of the parts of a unit grid's code that are jurisdictions.
    #[must_use]
    pub fn levels(&self) -> &[u32] {
        &self.levels
    }

    /// Sources of which at least some cases are verified.
    #[must_use]
    pub fn verified_sources(&self) -> Vec<Source> {
        let rows = self.kinds.values().chain(&self.manual);
        let rows: Vec<_> = rows.chain([&self.defaults]).collect();
        let is_verified = |source: &Source| rows.iter().any(|row| row.verifies.contains(source));
        Source::ALL.iter().copied().filter(is_verified).collect()
    }

    /// The city's table of categories. Without one, every code is as good as another.
    #[must_use]
    pub const fn categories(&self) -> &BTreeMap<String, Category> {
        &self.categories
    }

    /// The department of a kind where it lies.
    #[must_use]
    pub fn department(&self, kind: Option<ViolationKind>, unit_grid: &str) -> Option<&str> {
        let word = kind.map_or(MANUAL, ViolationKind::as_str);
        let rows = self.departments.iter().filter(|(of_kind, place, _)| {
            of_kind.as_deref().is_none_or(|kind| kind == word) && unit_grid.starts_with(place)
        });
        let best = rows.max_by_key(|(of_kind, place, _)| (place.len(), of_kind.is_some()));
        best.map(|(_, _, department)| department.as_str())
    }

    /// The jurisdiction of a level that a unit grid lies in: its code's first parts.
    #[must_use]
    pub fn jurisdiction(&self, unit_grid: Option<&str>, level: u32) -> String {
        let width: u32 = self.levels.iter().take(level as usize).sum();
        let prefix = unit_grid.and_then(|code| code.get(..width as usize));
        prefix.unwrap_or_default().to_owned()
    }

    fn limit(&self, case: &Case, clock: ClockKind) -> Option<Limit> {
        let category = self.categories.get(&case.category);
        let of_category = category.and_then(|category| category.limits.get(&clock));
        let of_kind = || self.of(case.kind()).limits.get(&clock);
        of_category.or_else(of_kind).copied()
    }
}

/// A policy and when people work: all that decides over cases.
#[derive(Clone, Debug, Default)]
pub struct Desk {
    /// What the city wants.
    pub policy: Policy,
    /// When it works.
    pub time: WorkTime,
    /// Who looks after which part of it; without one, tasks wait in the queue.
    pub catalog: Option<Arc<Catalog>>,
}

impl Desk {
    /// With the catalog's work calendar.
    #[must_use]
    pub fn new(policy: Policy, calendar: Calendar) -> Self {
        let periods = policy.periods.clone();
        Self {
            policy,
            time: WorkTime { calendar, periods },
            catalog: None,
        }
    }

    /// When clocks warn, in percent of their limit.
    #[must_use]
    pub fn warning_percent(&self) -> u8 {
        self.policy.warning_percent.unwrap_or(80)
    }

    /// A clock of a case that begins to run.
    #[must_use]
    pub fn clock(&self, case: &Case, kind: ClockKind, at: Timestamp) -> Clock {
        let limit = self.policy.limit(case, kind);
        Clock::start(kind, limit, at, self.warning_percent(), &self.time)
    }

    /// What violations have in common that belong to one case: rule, subject and shift. `None`
    /// where each has a case of its own.
    #[must_use]
    pub fn group(&self, violation: &Violation, shift: &str) -> Option<String> {
        let within = self.policy.of(Some(violation.kind)).group_within_ms;
        let Violation {
            kind,
            rule,
            terminal,
            ..
        } = violation;
        let kind = kind.as_str();
        (within > 0).then(|| format!("{kind}\n{}\n{terminal}\n{shift}", rule.id))
    }
}

impl KindPolicy {
    fn amend(&mut self, place: &str, text: &KindText, mistakes: &mut Vec<String>) {
        let automatic = [
            Stage::Collected,
            Stage::Accepted,
            Stage::Filed,
            Stage::Dispatched,
        ];
        self.opens = text.opens.unwrap_or(self.opens);
        if let Some(word) = &text.automatic_to {
            match Stage::from_word(word).filter(|stage| automatic.contains(stage)) {
                Some(stage) => self.automatic_to = stage,
                None => mistakes.push(format!(
                    "{place}.automatic_to: one of collected, accepted, filed, dispatched"
                )),
            }
        }
        if let Some(category) = &text.category {
            self.category.clone_from(category);
        }
        if let Some(word) = &text.severity {
            match Severity::from_word(word) {
                Some(severity) => self.severity = severity,
                None => mistakes.push(format!(
                    "{place}.severity: one of low, normal, high, urgent"
                )),
            }
        }
        if let Some(minutes) = text.group_within_minutes {
            self.group_within_ms = i64::from(minutes).saturating_mul(60_000);
        }
        if let Some(count) = text.intervals_max {
            if !(1..=1_000).contains(&count) {
                mistakes.push(format!("{place}.intervals_max: 1 to 1000"));
            }
            self.intervals_max = count as usize;
        }
        self.level = text.level.unwrap_or(self.level);
        if let Some(sources) = &text.verifies {
            self.verifies.clone_from(sources);
        }
        self.checks = text.checks.unwrap_or(self.checks);
        self.limits.extend(&text.limits);
    }
}

/// Periods of a day in order, none into another.
fn periods(texts: &[String]) -> Option<Vec<(i64, i64)>> {
    let mut periods = Vec::with_capacity(texts.len());
    let mut last = 0;
    for text in texts {
        let (from, to) = text.split_once('-')?;
        let (from, to) = (minutes_of_day(from.trim())?, minutes_of_day(to.trim())?);
        if from < last || to <= from || to > DAY_MINUTES {
            return None;
        }
        last = to;
        periods.push((from, to));
    }
    Some(periods)
}

fn is_code(text: &str) -> bool {
    (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The digits that the codes of a jurisdiction's unit grids begin with; empty is the city.
#[must_use]
pub fn is_jurisdiction(text: &str) -> bool {
    text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
