//! What evaluations count: one row for each thing that happened to a case on a day, written in the
//! transaction that writes the case.
//!
//! A row says what the case was *then*: its department, its jurisdiction, whether the clock that
//! stopped had run out. So a month that is over stays as it was published, whoever handles its
//! cases later. One kind of row follows the case instead: [`EventKind::Happened`], on the day of
//! what was found, goes when later data disproves it.
//!
//! Figures count cases, not moves: sent back twice in a month is one reworked case. Therefore the
//! cases behind a figure can be listed, and are as many ([`FigureCases`]).

pub(crate) mod memory;
pub(crate) mod sql;

use std::collections::{BTreeMap, BTreeSet};

use geofence::{
    case::{
        Case, Severity, Source, Stage,
        clock::{Clock, ClockKind},
        desk::CaseChange,
        moves::Move,
    },
    catalog::{date_of, local_day, local_moment},
    identity::{CaseId, TerminalId},
    units::Timestamp,
    violation::ViolationKind,
};
use serde::{Deserialize, Serialize};

use crate::case_changes::{Change, without_nul};

macro_rules! events {
    ($($variant:ident => $word:literal, $doc:literal;)+) => {
        /// What happened to a case.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum EventKind {
            $(#[doc = $doc] $variant,)+
        }

        impl EventKind {
            /// Every one, with its word and what it is.
            pub const ALL: &'static [(Self, &'static str, &'static str)] =
                &[$((Self::$variant, $word, $doc)),+];

            /// The word in rows and formulas.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }
    };
}

events! {
    Happened => "happened", "What the case is about, on the day when that began; goes when the case is declined or withdrawn. Its value is the worst value of the violation.";
    Opened => "opened", "It came in.";
    Accepted => "accepted", "It was accepted.";
    Filed => "filed", "It was filed. Late when the clock of filing had run out.";
    Declined => "declined", "Filing was refused.";
    Dispatched => "dispatched", "A department got it, for the first time or again. Late when the clock of dispatch had run out.";
    Returned => "returned", "The department gave it back.";
    Handled => "handled", "The department reported it done. Late when the clock of handling had run out; its value is the minutes of that clock.";
    Passed => "passed", "The check found it done.";
    Rework => "rework", "The check sent it back. Its value counts how often so far.";
    Closed => "closed", "It was closed. Late when the total clock had run out, or, where that has no limit, any clock; its value is the minutes since it came in.";
    Withdrawn => "withdrawn", "It was withdrawn, or disproved.";
    Merged => "merged", "Another case took it over.";
    Reopened => "reopened", "It was taken up again.";
    Extended => "extended", "It got more time.";
    Deferred => "deferred", "It was put off.";
    Overdue => "overdue", "A clock ran out, on the day when it did.";
    HandlingDue => "handling_due", "It was to be handled by then: the day when the department reported it done, or before that the day when the clock of handling ran out.";
    Due => "due", "It was to be closed by then: the day of its closing, or before that the day when its total clock ran out (where that has no limit: the clock of handling). What is put off, declined or withdrawn before does not fall due.";
}

/// Something that happened to a case on a day, with what it was then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in the case")]
pub struct CaseEvent {
    pub case_id: CaseId,
    pub event: EventKind,
    /// Days since 1970-01-01 at local time.
    pub day: i32,
    /// Months since the year 0: what `day` lies in.
    pub month: i32,
    /// The day on which it fell due; only where it was closed.
    pub due_day: Option<i32>,
    /// What `due_day` lies in.
    pub due_month: Option<i32>,
    /// As its kind says.
    pub is_late: bool,
    /// By force.
    pub is_forced: bool,
    /// It has been put off, before or at the time.
    pub is_deferred: bool,
    /// As its kind says; else 0.
    pub value: f64,
    pub kind: Option<ViolationKind>,
    pub source: Source,
    pub category: String,
    pub severity: Severity,
    pub unit_grid: Option<String>,
    pub handler: String,
    pub department: Option<String>,
    /// The vehicle or inspector by id of the catalog of then; the phone number where none was known.
    pub carrier: Option<String>,
}

impl CaseEvent {
    /// There is one of these.
    pub(crate) const fn key(&self) -> (CaseId, EventKind, i32) {
        (self.case_id, self.event, self.day)
    }

    /// Where it counts: where the case lies, else who handles it.
    fn place(&self) -> &str {
        self.unit_grid.as_deref().unwrap_or(&self.handler)
    }
}

/// The cases that something may have happened to on one more day: those that were there, and those
/// of which these rows say so.
pub(crate) fn may_repeat(
    events: &[CaseEvent],
    is_known: impl Fn(CaseId) -> bool,
) -> BTreeSet<CaseId> {
    let mut seen = BTreeSet::new();
    // There is one of `Happened` at a time.
    let others = events
        .iter()
        .filter(|event| event.event != EventKind::Happened);
    others
        .filter(|one| !seen.insert((one.case_id, one.event)) || is_known(one.case_id))
        .map(|one| one.case_id)
        .collect()
}

/// Months since the year 0 of a day.
#[must_use]
pub fn month_of(day: i32) -> i32 {
    let (year, month, _) = date_of(day.into());
    i32::try_from(year * 12 + month - 1).unwrap_or_default()
}

fn day(at: Timestamp) -> i32 {
    i32::try_from(local_day(at)).unwrap_or_default()
}

/// What a change adds to the rows of its case.
pub(crate) fn events(change: &Change) -> Vec<CaseEvent> {
    events_of(&change.stored.case, &change.history)
}

/// What the lines of one change add to the rows of a case, as it is behind them. What happened on a
/// day already is there and stays; [`EventKind::Happened`] is in place of what was there.
#[must_use]
pub fn events_of(case: &Case, lines: &[CaseChange]) -> Vec<CaseEvent> {
    let mut events = Vec::new();
    for line in lines {
        add(case, line, &mut events);
    }
    if !matches!(case.stage, Stage::Declined | Stage::Withdrawn) {
        let worst = case.violation().map_or(0.0, |violation| violation.worst);
        events.push(CaseEvent {
            value: worst,
            ..event(case, EventKind::Happened, day(case.occurred_at))
        });
    }
    let mut seen = BTreeSet::new();
    events.retain(|event| seen.insert(event.key()));
    events
}

fn event(case: &Case, event: EventKind, day: i32) -> CaseEvent {
    let vehicle = case.violation().and_then(|v| v.vehicle.as_deref());
    let phone = case.terminal.map(|terminal| terminal.to_string());
    CaseEvent {
        case_id: case.id,
        event,
        day,
        month: month_of(day),
        due_day: None,
        due_month: None,
        is_late: false,
        is_forced: false,
        is_deferred: case.deferrals > 0,
        value: 0.0,
        kind: case.kind(),
        source: case.source,
        category: without_nul(&case.category),
        severity: case.severity,
        unit_grid: case.unit_grid.as_deref().map(without_nul),
        handler: without_nul(&case.handler),
        department: case.department.as_deref().map(without_nul),
        carrier: vehicle.map(without_nul).or(phone),
    }
}

fn add(case: &Case, line: &CaseChange, events: &mut Vec<CaseEvent>) {
    let stopped = |kind: ClockKind| {
        let clocks = case.clocks.iter().rev();
        let mut of_kind = clocks.filter(|clock| clock.kind == kind);
        of_kind.find(|clock| clock.stopped_at == Some(line.at))
    };
    let is_late = |kind: ClockKind| stopped(kind).is_some_and(|clock| clock.is_overdue);
    let today = day(line.at);
    let of = |kind: EventKind| event(case, kind, today);
    let timed = |kind: EventKind, clock: ClockKind| CaseEvent {
        is_late: is_late(clock),
        ..of(kind)
    };
    let what = match line.name {
        Move::Open => Some(of(EventKind::Opened)),
        Move::Accept => Some(of(EventKind::Accepted)),
        Move::File => Some(timed(EventKind::Filed, ClockKind::Filing)),
        Move::Decline => Some(of(EventKind::Declined)),
        Move::Dispatch => Some(timed(EventKind::Dispatched, ClockKind::Dispatch)),
        Move::Return => Some(of(EventKind::Returned)),
        Move::Handle => {
            let clock = stopped(ClockKind::Handling);
            let due_day = ran_out(clock).unwrap_or(today);
            events.push(CaseEvent {
                is_late: is_late(ClockKind::Handling),
                ..event(case, EventKind::HandlingDue, due_day)
            });
            Some(CaseEvent {
                value: minutes(clock.map_or(0, |clock| clock.used_ms)),
                due_day: Some(due_day),
                due_month: Some(month_of(due_day)),
                ..timed(EventKind::Handled, ClockKind::Handling)
            })
        }
        Move::VerifyPass => Some(timed(EventKind::Passed, ClockKind::Checking)),
        Move::VerifyFail => Some(CaseEvent {
            value: case.rework.into(),
            ..timed(EventKind::Rework, ClockKind::Checking)
        }),
        Move::Close | Move::ForceClose => {
            let clock = last(case, deadline(case));
            let due_day = ran_out(clock).unwrap_or(today);
            let is_late = match deadline(case) {
                ClockKind::Total => clock.is_some_and(|clock| clock.is_overdue),
                _ => case.is_late(),
            };
            events.push(CaseEvent {
                is_late,
                ..event(case, EventKind::Due, due_day)
            });
            Some(CaseEvent {
                is_late,
                is_forced: line.name == Move::ForceClose,
                due_day: Some(due_day),
                due_month: Some(month_of(due_day)),
                value: minutes(line.at.millis_since(case.opened_at)),
                ..of(EventKind::Closed)
            })
        }
        Move::Withdraw => Some(of(EventKind::Withdrawn)),
        Move::Merge => Some(of(EventKind::Merged)),
        Move::Reopen | Move::FindAgain => Some(of(EventKind::Reopened)),
        Move::Extend => Some(of(EventKind::Extended)),
        Move::Defer => Some(of(EventKind::Deferred)),
        // Told of the clocks below.
        Move::Overdue => None,
        Move::HandOver
        | Move::Resume
        | Move::Absorb
        | Move::Split
        | Move::Note
        | Move::Amend
        | Move::Warn => return,
    };
    events.extend(what);
    let is_told = line.name == Move::Overdue;
    let falls_due = !matches!(line.to, Stage::Declined | Stage::Withdrawn);
    let over = case.clocks.iter().filter(|clock| {
        let ends_now = clock.stopped_at == Some(line.at) || (is_told && clock.is_open());
        clock.is_overdue && ends_now
    });
    for clock in over {
        // Without a moment it stood still when it was told: that was the day.
        let ran_out = ran_out(Some(clock)).unwrap_or(today);
        let late = |kind: EventKind| CaseEvent {
            is_late: true,
            ..event(case, kind, ran_out)
        };
        events.push(late(EventKind::Overdue));
        if falls_due && clock.kind == ClockKind::Handling {
            events.push(late(EventKind::HandlingDue));
        }
        if falls_due && clock.kind == deadline(case) {
            events.push(late(EventKind::Due));
        }
    }
}

/// The clock that says until when a case is to be closed.
fn deadline(case: &Case) -> ClockKind {
    match last(case, ClockKind::Total).and_then(|clock| clock.limit) {
        Some(_) => ClockKind::Total,
        None => ClockKind::Handling,
    }
}

fn last(case: &Case, kind: ClockKind) -> Option<&Clock> {
    case.clocks.iter().rev().find(|clock| clock.kind == kind)
}

/// The day on which a clock ran out, where it did.
fn ran_out(clock: Option<&Clock>) -> Option<i32> {
    let clock = clock.filter(|clock| clock.is_overdue)?;
    clock.due_at.map(day)
}

fn minutes(millis: i64) -> f64 {
    f64::from(i32::try_from(millis / 60_000).unwrap_or(i32::MAX))
}

/// The length of the periods of an evaluation, at local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// A calendar day.
    Day,
    /// From Monday to Sunday.
    Week,
    /// A calendar month.
    Month,
}

impl Span {
    /// The number of the period that a day lies in.
    #[must_use]
    pub fn period(self, day: i32) -> i32 {
        match self {
            Self::Day => day,
            // 1970-01-01 was a Thursday.
            Self::Week => (day + 3).div_euclid(7),
            Self::Month => month_of(day),
        }
    }
}

/// Which rows a figure counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// What happened: one of these.
    pub events: Vec<EventKind>,
    /// Only these kinds of violations; empty is all, cases without one included.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<ViolationKind>,
    /// Only from these sources; empty is all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
    /// Only categories whose code begins with one of these; empty is all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// Only these severities; empty is all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub severities: Vec<Severity>,
    /// Only what was late, or was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late: Option<bool>,
    /// Only what was done by force, or was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced: Option<bool>,
    /// Only what has been put off, or has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deferred: Option<bool>,
    /// Only what fell due in the same period.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub due_in_period: bool,
    /// Only from this value on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_min: Option<f64>,
}

impl Filter {
    /// What the SQL of [`sql`] says, for the store in memory.
    pub(crate) fn selects(&self, event: &CaseEvent, span: Span) -> bool {
        let is_among = |code: &String| event.category.starts_with(code.as_str());
        let due = event.due_day.map(|day| span.period(day));
        self.events.contains(&event.event)
            && (self.kinds.is_empty() || event.kind.is_some_and(|kind| self.kinds.contains(&kind)))
            && (self.sources.is_empty() || self.sources.contains(&event.source))
            && (self.categories.is_empty() || self.categories.iter().any(is_among))
            && (self.severities.is_empty() || self.severities.contains(&event.severity))
            && self.late.is_none_or(|late| late == event.is_late)
            && self.forced.is_none_or(|forced| forced == event.is_forced)
            && self
                .deferred
                .is_none_or(|put_off| put_off == event.is_deferred)
            && (!self.due_in_period || due == Some(span.period(event.day)))
            && self.value_min.is_none_or(|min| event.value >= min)
    }
}

/// What a figure says of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// How many cases they belong to.
    #[default]
    Cases,
    /// The sum of their values.
    Value,
}

/// A figure to be computed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figure {
    /// Of which rows.
    pub filter: Filter,
    /// What of them.
    pub measure: Measure,
}

/// By what figures are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// The whole city: one subject, the empty one.
    City,
    /// The first so many characters of the unit grid's code, or, of a case without one, of who
    /// handles it. The empty subject is what is not known so exactly.
    Place(usize),
    /// The department that it was dispatched to, or was to be; empty is none.
    Department,
    /// Who or what it is about: by the ids of vehicles and inspectors, and by phone numbers.
    Carrier {
        /// The subject of each id; one with an empty subject is left out.
        subjects: BTreeMap<String, String>,
        /// Ids that are not among these are subjects of their own; else they are left out.
        others: bool,
    },
}

impl By {
    /// The subject of a row, for the store in memory; `None` for what is left out.
    pub(crate) fn subject(&self, event: &CaseEvent) -> Option<String> {
        match self {
            Self::City => Some(String::new()),
            Self::Place(digits) => {
                let prefix = event.place().get(..*digits);
                Some(prefix.unwrap_or_default().to_owned())
            }
            Self::Department => Some(event.department.clone().unwrap_or_default()),
            Self::Carrier { subjects, others } => {
                let carrier = event.carrier.as_ref()?;
                let own = others.then_some(carrier);
                let subject = subjects.get(carrier).or(own)?;
                (!subject.is_empty()).then(|| subject.clone())
            }
        }
    }
}

/// Figures to be computed.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluationQuery {
    /// Of days from the first (inclusive) to the second (exclusive), since 1970-01-01 at local time.
    pub days: (i32, i32),
    /// Each of such periods for itself.
    pub span: Span,
    /// Each of such subjects for itself.
    pub by: By,
    /// Only cases whose unit grid or handler begins with one of these; empty means all.
    pub jurisdictions: Vec<String>,
    /// Which.
    pub figures: Vec<Figure>,
    /// At most so many rows.
    pub rows_max: u32,
}

impl EvaluationQuery {
    /// For the store in memory.
    pub(crate) fn concerns(&self, event: &CaseEvent) -> bool {
        let within = |place: &String| {
            let grid = event.unit_grid.as_ref();
            grid.is_some_and(|grid| grid.starts_with(place.as_str()))
                || event.handler.starts_with(place.as_str())
        };
        (self.days.0..self.days.1).contains(&event.day)
            && (self.jurisdictions.is_empty() || self.jurisdictions.iter().any(within))
    }
}

/// The figures of a subject in a period.
#[derive(Clone, Debug, PartialEq)]
pub struct FigureRow {
    /// [`Span::period`].
    pub period: i32,
    /// As [`By`] says.
    pub subject: String,
    /// In the order of the query.
    pub values: Vec<f64>,
}

/// The cases behind a figure.
#[derive(Clone, Debug, PartialEq)]
pub struct FigureCases {
    /// With the one figure.
    pub query: EvaluationQuery,
    /// Of which period.
    pub period: i32,
    /// Of which subject.
    pub subject: String,
    /// Behind this one, in the order of ids.
    pub after: Option<CaseId>,
    /// At most so many.
    pub limit: u32,
}

/// What a terminal did on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalDay {
    /// Which.
    pub terminal: TerminalId,
    /// Since 1970-01-01 at local time.
    pub day: i32,
    /// The hours in which it was somewhere: bit 0 is from 00:00 to 01:00 at local time.
    pub hours: u32,
    /// Metres from the first to the last reading of its odometer; `None` where there are none, or
    /// where it ran backwards: it was exchanged.
    pub driven_m: Option<i64>,
}

/// Between two readings of an odometer, in tenths of a kilometre.
pub(crate) fn driven_m(readings: Option<(i64, i64)>) -> Option<i64> {
    let (first, last) = readings?;
    (first <= last).then(|| (last - first).saturating_mul(100))
}

/// The day and the hour of a moment at local time.
#[must_use]
pub fn hour_of(at: Timestamp) -> (i32, u32) {
    let day = day(at);
    let since = at.millis_since(local_moment(i64::from(day) * 1_440));
    let hour = u32::try_from(since / 3_600_000).unwrap_or_default();
    (day, hour.min(23))
}
