//! Assignments: who works which shift in which duty area, on which days; from CSV.

use std::collections::{HashMap, HashSet};

use super::{
    super::{
        features::Notes,
        hash,
        mistake::{Place, Problem},
        vehicle::Vehicle,
    },
    Duties, Shift, area,
    table::{self, Row},
    unknown,
};

/// Who is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Assignee {
    /// One vehicle or inspector, by id.
    Vehicle(String),
    /// All that belong to a crew.
    Crew(String),
}

/// An assignment.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Who.
    pub who: Assignee,
    pub(super) shift: u32,
    pub(super) area: Option<u32>,
    /// The first and the last day on which its shift begins, counted from 1970-01-01 at local time.
    pub days: (i64, i64),
    /// Of all that it asks for, without the days: another value means that it was edited.
    pub(crate) fingerprint: u64,
    pub(super) place: Place,
}

/// What assignments may refer to.
pub(super) struct Names<'a> {
    vehicles: HashSet<&'a str>,
    crews: HashSet<&'a str>,
    shifts: HashMap<&'a str, u32>,
    areas: HashMap<&'a str, u32>,
}

impl<'a> Names<'a> {
    pub(super) fn new(
        vehicles: &'a [Vehicle],
        shifts: &'a [Shift],
        areas: &'a [area::Draft],
    ) -> Self {
        Self {
            vehicles: vehicles.iter().map(|v| v.id.as_str()).collect(),
            crews: vehicles.iter().map(|v| v.crew.as_str()).collect(),
            shifts: shifts.iter().map(|s| s.id.as_str()).zip(0..).collect(),
            areas: areas.iter().map(|a| a.id.as_str()).zip(0..).collect(),
        }
    }
}

/// Reads `assignment,vehicle,crew,shift,duty_area,from,to`.
pub(super) fn read(text: &str, names: &Names<'_>, notes: &mut Notes<'_>) -> Vec<Assignment> {
    let columns = [
        "assignment",
        "vehicle",
        "crew",
        "shift",
        "duty_area",
        "from",
        "to",
    ];
    let mut seen = HashMap::new();
    let mut assignments = Vec::new();
    for row in table::rows(text, &columns, &["shift"], notes) {
        let id = row.field("assignment");
        if !id.is_empty() {
            notes.unique(&mut seen, "assignment", id, &row.place);
        }
        let who = who(&row, names, notes);
        let shift = row.text("shift", notes);
        let shift_index = names.shifts.get(shift.as_str()).copied();
        if shift_index.is_none() && !shift.is_empty() {
            unknown("shift", "shift", &shift, &row.place, notes);
        }
        let area = match row.field("duty_area") {
            "" => Some(None),
            id => {
                let index = names.areas.get(id).copied();
                if index.is_none() {
                    unknown("duty_area", "duty area", id, &row.place, notes);
                }
                index.map(Some)
            }
        };
        let mut day = |key: &'static str, open: i64| match row.field(key) {
            "" => Some(open),
            _ => row.date(key, notes),
        };
        let days = (day("from", i64::MIN), day("to", i64::MAX));
        if let (Some(first), Some(last)) = days
            && first > last
        {
            row.wrong("to", "a day that is not before \"from\"", notes);
        }
        if let (Some(who), Some(shift), Some(area), (Some(first), Some(last))) =
            (who, shift_index, area, days)
        {
            assignments.push(Assignment {
                who,
                shift,
                area,
                days: (first, last),
                fingerprint: 0,
                place: row.place,
            });
        }
    }
    assignments
}

fn who(row: &Row, names: &Names<'_>, notes: &mut Notes<'_>) -> Option<Assignee> {
    match (row.field("vehicle"), row.field("crew")) {
        ("", "") => {
            notes.add(&row.place, Problem::Missing("vehicle"));
            None
        }
        (vehicle, "") => {
            if !names.vehicles.contains(vehicle) {
                unknown("vehicle", "vehicle", vehicle, &row.place, notes);
            }
            Some(Assignee::Vehicle(vehicle.to_owned()))
        }
        ("", crew) => {
            if !names.crews.contains(crew) {
                unknown("crew", "vehicle of a crew", crew, &row.place, notes);
            }
            Some(Assignee::Crew(crew.to_owned()))
        }
        _ => {
            let (key, why) = (
                "crew",
                "stands beside \"vehicle\"; one of both says who is meant",
            );
            notes.add(&row.place, Problem::Misplaced { key, why });
            None
        }
    }
}

/// Gives every assignment its fingerprint: by who, shift and area.
pub(super) fn seal(duties: &mut Duties) {
    for assignment in &mut duties.assignments {
        let shift = duties.shifts.get(assignment.shift as usize);
        let area = assignment
            .area
            .and_then(|area| duties.areas.get(area as usize));
        let text = format!(
            "{:?}\n{}\n{:x}",
            assignment.who,
            shift.map_or("", |shift| &shift.text),
            area.map_or(0, |area| area.fingerprint),
        );
        assignment.fingerprint = hash(text.as_bytes());
    }
}
