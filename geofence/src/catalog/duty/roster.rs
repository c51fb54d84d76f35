//! Rosters (排班): the duties of a vehicle, one after the other.

use std::collections::HashMap;

use super::{
    super::{
        hash,
        mistake::{CatalogMistake, Problem},
        schedule::local_day,
        vehicle::Vehicle,
    },
    Assignee, Assignment, Duties, DutyArea, Shift, Timestamp,
};

/// How far ahead the next duty is looked for.
const DAYS_AHEAD: i64 = 400;

/// The assignments that concern a vehicle.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Roster {
    /// Those that name the vehicle, in the order of their text.
    own: Vec<u32>,
    /// Those that name its crew.
    of_crew: Vec<u32>,
    /// Of all that decides about its hours: another value means that it was edited.
    pub(crate) fingerprint: u64,
}

/// One shift of one day.
#[derive(Clone, Copy, Debug)]
pub struct Duty<'a> {
    /// When it begins.
    pub from: Timestamp,
    /// When it ends, exclusive.
    pub to: Timestamp,
    /// Who is on duty.
    pub assignment: &'a Assignment,
    /// The shift.
    pub shift: &'a Shift,
    /// Where; `None` when the assignment names no area.
    pub area: Option<&'a DutyArea>,
    /// The place of the assignment in its text.
    pub(crate) index: u32,
}

/// What the catalog says of a terminal at a moment.
#[derive(Clone, Copy, Debug)]
pub enum Standing<'a> {
    /// No vehicle carries it.
    NoVehicle,
    /// No assignment concerns its vehicle.
    NoAssignment,
    /// Off shift; the duty that comes next, where one does.
    Off(Option<Duty<'a>>),
    /// On shift.
    On(Duty<'a>),
}

impl Roster {
    /// How many bytes of the memory it takes beside its own size.
    pub(super) const fn heap_bytes(&self) -> usize {
        (self.own.len() + self.of_crew.len()) * size_of::<u32>()
    }

    /// The assignments, in no promised order.
    fn all(&self) -> impl Iterator<Item = u32> {
        self.own.iter().chain(&self.of_crew).copied()
    }

    pub(crate) fn names(&self, assignment: u32) -> bool {
        self.all().any(|index| index == assignment)
    }

    /// The first of them in the order of their text.
    pub(crate) fn first(&self) -> Option<u32> {
        self.all().min()
    }

    /// Those that hold on a day: its own ones where there are any.
    fn on(&self, day: i64, duties: &Duties) -> impl Iterator<Item = u32> {
        let holds = move |index: &u32| {
            let assignment = duties.assignments.get(*index as usize);
            assignment.is_some_and(|a| (a.days.0..=a.days.1).contains(&day))
        };
        let has_own = self.own.iter().any(holds);
        let list = if has_own { &self.own } else { &self.of_crew };
        list.iter().copied().filter(holds)
    }
}

pub(super) fn duties_on<'a>(
    duties: &'a Duties,
    roster: &Roster,
    day: i64,
) -> impl Iterator<Item = Duty<'a>> {
    roster.on(day, duties).filter_map(move |index| {
        let (assignment, shift) = duties.resolve(index)?;
        let (from, to) = shift.on(day, &duties.calendar)?;
        Some(Duty {
            from,
            to,
            assignment,
            shift,
            area: duties.area(assignment),
            index,
        })
    })
}

pub(super) fn duty_at<'a>(duties: &'a Duties, roster: &Roster, at: Timestamp) -> Option<Duty<'a>> {
    let day = local_day(at);
    let around = duties_on(duties, roster, day - 1).chain(duties_on(duties, roster, day));
    around
        .filter(|duty| (duty.from..duty.to).contains(&at))
        .min_by_key(|duty| (duty.from, duty.index))
}

pub(super) fn next_duty<'a>(
    duties: &'a Duties,
    roster: &Roster,
    after: Timestamp,
) -> Option<Duty<'a>> {
    let day = local_day(after);
    (day..=day + DAYS_AHEAD).find_map(|day| {
        duties_on(duties, roster, day)
            .filter(|duty| duty.from > after)
            .min_by_key(|duty| (duty.from, duty.index))
    })
}

pub(super) fn is_work_time(
    duties: &Duties,
    roster: &Roster,
    at: Timestamp,
    margin_ms: i64,
) -> bool {
    let day = local_day(at);
    (day - 1..=day + 1).any(|day| {
        duties_on(duties, roster, day).any(|duty| {
            (duty.from.plus_millis(-margin_ms)..duty.to.plus_millis(margin_ms)).contains(&at)
        })
    })
}

pub(super) fn enrol(
    duties: &mut Duties,
    vehicles: &mut [Vehicle],
    file: &str,
) -> Vec<CatalogMistake> {
    let mut known: HashMap<(Vec<u32>, Vec<u32>), u32> = HashMap::new();
    let mut mistakes = Vec::new();
    let mut concerned: HashMap<Assignee, Vec<u32>> = HashMap::new();
    for (index, assignment) in (0..).zip(&duties.assignments) {
        concerned
            .entry(assignment.who.clone())
            .or_default()
            .push(index);
    }
    for vehicle in vehicles {
        let of = |who: Assignee| concerned.get(&who).cloned().unwrap_or_default();
        let key = (
            of(Assignee::Vehicle(vehicle.id.clone())),
            of(Assignee::Crew(vehicle.crew.clone())),
        );
        if key.0.is_empty() && key.1.is_empty() {
            continue;
        }
        if let Some(index) = known.get(&key) {
            vehicle.roster = Some(*index);
            continue;
        }
        let mut roster = Roster {
            own: key.0.clone(),
            of_crew: key.1.clone(),
            fingerprint: 0,
        };
        roster.fingerprint = fingerprint(duties, &roster);
        mistakes.extend(find_double(duties, &roster, vehicle, file));
        let index = u32::try_from(duties.rosters.len()).unwrap_or(u32::MAX);
        vehicle.roster = Some(index);
        known.insert(key, index);
        duties.rosters.push(roster);
    }
    mistakes
}

fn fingerprint(duties: &Duties, roster: &Roster) -> u64 {
    let mut text = String::new();
    for assignment in roster
        .all()
        .filter_map(|index| duties.assignments.get(index as usize))
    {
        let (first, last) = assignment.days;
        text += &format!("{:x} {first} {last}\n", assignment.fingerprint);
    }
    let mut special: Vec<i64> = duties.calendar.special_days().collect();
    special.sort_unstable();
    for day in special {
        text += &format!("{day} {}\n", duties.calendar.is_workday(day));
    }
    hash(text.as_bytes())
}

/// Two duties of a vehicle that have a moment in common: looked for in the first two weeks of every
/// assignment, and around the special days of the calendar. A week repeats itself between those.
fn find_double(
    duties: &Duties,
    roster: &Roster,
    vehicle: &Vehicle,
    file: &str,
) -> Option<CatalogMistake> {
    /// 2026-01-05, a Monday: where assignments without a first day are looked at.
    const SOME_MONDAY: i64 = 20_458;
    let begins = roster.all().filter_map(|index| {
        let first = duties.assignments.get(index as usize)?.days.0;
        Some(if first == i64::MIN {
            SOME_MONDAY
        } else {
            first
        })
    });
    let weeks = begins.flat_map(|first| first - 1..first + 14);
    let special = duties
        .calendar
        .special_days()
        .flat_map(|day| day - 1..=day + 1);
    let mut days: Vec<i64> = weeks.chain(special).collect();
    days.sort_unstable();
    days.dedup();
    days.into_iter().find_map(|day| {
        let mut around: Vec<Duty<'_>> = duties_on(duties, roster, day)
            .chain(duties_on(duties, roster, day + 1))
            .collect();
        around.sort_by_key(|duty| (duty.from, duty.index));
        let (first, second) = around
            .iter()
            .zip(around.iter().skip(1))
            .find(|(first, second)| second.from < first.to)?;
        Some(CatalogMistake {
            file: file.to_owned(),
            place: second.assignment.place.clone(),
            problem: Problem::DoubleDuty {
                vehicle: vehicle.id.clone(),
                shift: second.shift.id.clone(),
                other: first.shift.id.clone(),
                first: first.assignment.place.clone(),
            },
        })
    })
}
