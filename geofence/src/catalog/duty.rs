//! Duty (值班): who works which shift where, on which days. Everything is at local time, GMT+8.
//!
//! ```text
//!  calendar ─▶ is it a work day? ─┐
//!  shifts ───▶ from when to when ─┼─▶ assignment ─▶ roster of a vehicle ─▶ duty: from, to, where
//!  areas ────▶ where ─────────────┘    (vehicle or crew, dates)
//! ```
//!
//! A duty is one shift of one day. A vehicle has a roster when an assignment names it or its crew.
//! On days on which an assignment names the vehicle itself, those of its crew do not count for it.

mod area;
mod assignment;
mod calendar;
mod roster;
mod shift;
mod table;

use std::collections::HashMap;

use serde_json::Value;

pub use self::calendar::{date_of, day_of};
pub use self::{
    area::DutyArea,
    assignment::{Assignee, Assignment},
    calendar::{Calendar, DayKind},
    roster::{Duty, Roster, Standing},
    shift::{Break, Shift},
};

use super::{
    Catalog, CatalogSources,
    features::{Notes, Vertex},
    mistake::{CatalogMistake, Place, Problem},
    unit_grid::UnitGrid,
    vehicle::Vehicle,
    weight::{map_bytes, sum},
};
use crate::{
    geometry::{Plane, Shape},
    identity::TerminalId,
    units::Timestamp,
};

/// Everything that says who should be where and when.
///
/// # Formats
/// * Calendar: CSV with the columns `date,kind,name`; the kind is `holiday` or `workday` (a make-up
///   day).
/// * Shifts: CSV with the columns `shift,name,version,days,from,to`, `break_from,break_to,break_min`
///   (minutes of absence that are allowed between both), `checks`, and the thresholds of
///   [`crate::checks::DutyParameters::KEYS`]. The days are `daily`, `workdays`, `restdays`, or
///   weekdays like `mon wed`; `checks` are some words of [`crate::checks::DutyChecks::KINDS`].
/// * Responsibility grids and other duty areas: GeoJSON features with `id` and `name`; either
///   without geometry and with `unit_grids` (codes, or `140105001*` for all that begin so), or a
///   `Polygon`.
/// * Assignments: CSV with the columns `assignment,vehicle,crew,shift,duty_area,from,to` (the first is
///   an id, for changes of one row): a vehicle or a crew, from day to day (inclusive, open where
///   empty).
#[derive(Clone, Debug, Default)]
pub struct Duties {
    calendar: Calendar,
    shifts: Vec<Shift>,
    areas: Vec<DutyArea>,
    assignments: Vec<Assignment>,
    /// Vehicles that are concerned by the same assignments have the same roster.
    rosters: Vec<Roster>,
    /// Fingerprints of assignments and rosters; with the place of the assignment where it is one.
    rules: HashMap<u64, Option<u32>>,
}

impl Duties {
    /// Holidays and make-up days.
    #[must_use]
    pub const fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// All shifts, in the order of their text.
    #[must_use]
    pub fn shifts(&self) -> &[Shift] {
        &self.shifts
    }

    /// All duty areas, in the order of their text.
    #[must_use]
    pub fn areas(&self) -> &[DutyArea] {
        &self.areas
    }

    /// All assignments, in the order of their text.
    #[must_use]
    pub fn assignments(&self) -> &[Assignment] {
        &self.assignments
    }

    /// The roster of a vehicle; `None` when no assignment concerns it.
    #[must_use]
    pub fn roster_of(&self, vehicle: &Vehicle) -> Option<&Roster> {
        self.rosters.get(vehicle.roster? as usize)
    }

    /// The duty that a moment lies in, from its beginning to its end (exclusive).
    #[must_use]
    pub fn duty_at(&self, roster: &Roster, at: Timestamp) -> Option<Duty<'_>> {
        roster::duty_at(self, roster, at)
    }

    /// The first duty that begins after a moment; `None` when none begins within 400 days.
    #[must_use]
    pub fn next_duty(&self, roster: &Roster, after: Timestamp) -> Option<Duty<'_>> {
        roster::next_duty(self, roster, after)
    }

    /// The duties that begin on the days from the first (inclusive) to the second (exclusive),
    /// counted from 1970-01-01 at local time.
    pub fn duties_between<'a>(
        &'a self,
        roster: &'a Roster,
        from: i64,
        to: i64,
    ) -> impl Iterator<Item = Duty<'a>> {
        (from..to).flat_map(move |day| roster::duties_on(self, roster, day))
    }

    /// Whether a moment lies in a duty, or within `margin_ms` before or behind one.
    pub(crate) fn is_work_time(&self, roster: &Roster, at: Timestamp, margin_ms: i64) -> bool {
        roster::is_work_time(self, roster, at, margin_ms)
    }

    /// About how many bytes of the memory they take beside their own size.
    pub(super) fn heap_bytes(&self) -> usize {
        let of_shifts = sum(&self.shifts, |shift| {
            shift.id.len() + shift.name.len() + shift.text.len()
        });
        let of_areas = sum(&self.areas, |area| {
            let shape = area.shape.as_ref().map_or(0, Shape::heap_bytes);
            area.id.len() + area.name.len() + area.grids.len() * size_of::<u32>() + shape
        });
        let of_assignments = sum(&self.assignments, |assignment| match &assignment.who {
            Assignee::Vehicle(id) | Assignee::Crew(id) => id.len(),
        });
        let of_rosters = sum(&self.rosters, Roster::heap_bytes);
        let of_rules = map_bytes::<(u64, Option<u32>)>(self.rules.len());
        of_shifts + of_areas + of_assignments + of_rosters + of_rules + self.calendar.heap_bytes()
    }

    /// The fingerprints of all assignments and rosters.
    pub(crate) fn rules(&self) -> impl Iterator<Item = u64> {
        self.rules.keys().copied()
    }

    /// The assignment of this fingerprint: the same rule, not edited since.
    pub(crate) fn assignment_of(&self, fingerprint: u64) -> Option<u32> {
        self.rules.get(&fingerprint).copied().flatten()
    }

    /// Whether something of this fingerprint is still a rule: an assignment or a roster.
    pub(crate) fn is_rule(&self, fingerprint: u64) -> bool {
        self.rules.contains_key(&fingerprint)
    }

    pub(crate) fn resolve(&self, assignment: u32) -> Option<(&Assignment, &Shift)> {
        let assignment = self.assignments.get(assignment as usize)?;
        Some((assignment, self.shifts.get(assignment.shift as usize)?))
    }

    pub(crate) fn area(&self, assignment: &Assignment) -> Option<&DutyArea> {
        self.areas.get(assignment.area? as usize)
    }

    /// Gives every vehicle the roster of the assignments that concern it; notes vehicles that would
    /// be on two duties at once.
    pub(super) fn enrol(&mut self, vehicles: &mut [Vehicle], file: &str) -> Vec<CatalogMistake> {
        let mistakes = roster::enrol(self, vehicles, file);
        let assignments = (0..).zip(&self.assignments);
        let of_assignments = assignments.map(|(index, a)| (a.fingerprint, Some(index)));
        let of_rosters = self.rosters.iter().map(|roster| (roster.fingerprint, None));
        self.rules = of_rosters.chain(of_assignments).collect();
        mistakes
    }
}

impl Catalog {
    /// Who should be where and when.
    #[must_use]
    pub fn duties(&self) -> &Duties {
        &self.duties
    }

    /// Whether a terminal is on shift at a moment: which shift, and which duty area.
    #[must_use]
    pub fn standing(&self, terminal: &TerminalId, at: Timestamp) -> Standing<'_> {
        let Some(vehicle) = self.vehicle_of(terminal) else {
            return Standing::NoVehicle;
        };
        let Some(roster) = self.duties.roster_of(vehicle) else {
            return Standing::NoAssignment;
        };
        match self.duties.duty_at(roster, at) {
            Some(duty) => Standing::On(duty),
            None => Standing::Off(self.duties.next_duty(roster, at)),
        }
    }
}

/// The texts, read but not yet laid on a plane.
#[derive(Default)]
pub(super) struct Draft {
    calendar: Calendar,
    shifts: Vec<Shift>,
    areas: Vec<area::Draft>,
    assignments: Vec<Assignment>,
}

impl Draft {
    pub(super) fn vertices(&self) -> impl Iterator<Item = Vertex> {
        self.areas.iter().flat_map(area::Draft::vertices)
    }
}

/// Reads the four texts. `vehicles` is `None` where there is no readable text of vehicles.
pub(super) fn read(
    sources: &CatalogSources,
    vehicles: Option<&[Vehicle]>,
    mistakes: &mut Vec<CatalogMistake>,
) -> Draft {
    let mut draft = Draft::default();
    if let Some((file, text)) = &sources.calendar {
        draft.calendar = calendar::read(text, &mut Notes { file, mistakes });
    }
    if let Some((file, text)) = &sources.shifts {
        draft.shifts = shift::read(text, &mut Notes { file, mistakes });
    }
    let root: Option<(&str, Value)> = super::parse(sources.responsibility_grids.as_ref(), mistakes);
    if let Some((file, root)) = &root {
        draft.areas = area::read(root, &mut Notes { file, mistakes });
    }
    if let Some((file, text)) = &sources.assignments {
        let vehicles = vehicles.unwrap_or_default();
        let names = assignment::Names::new(vehicles, &draft.shifts, &draft.areas);
        let notes = &mut Notes { file, mistakes };
        draft.assignments = assignment::read(text, &names, notes);
    }
    draft
}

/// Lays the areas on the plane. Where the unit grids could not be read, nothing is said about those
/// that areas name.
pub(super) fn lay(
    draft: Draft,
    grids: &[UnitGrid],
    sources: &CatalogSources,
    plane: &Plane,
    mistakes: &mut Vec<CatalogMistake>,
) -> Duties {
    let file = |text: &Option<(String, String)>| {
        text.as_ref()
            .map(|(file, _)| file.clone())
            .unwrap_or_default()
    };
    let of_grids = file(&sources.unit_grids);
    let is_known = !mistakes.iter().any(|mistake| mistake.file == of_grids);
    let of_areas = file(&sources.responsibility_grids);
    let notes = &mut Notes {
        file: &of_areas,
        mistakes,
    };
    let areas = area::lay(draft.areas, grids, is_known, plane, notes);
    let mut duties = Duties {
        calendar: draft.calendar,
        shifts: draft.shifts,
        areas,
        assignments: draft.assignments,
        rosters: Vec::new(),
        rules: HashMap::new(),
    };
    assignment::seal(&mut duties);
    duties
}

/// A name of one text that stands for nothing in another.
fn unknown(
    key: &'static str,
    what: &'static str,
    name: &str,
    place: &Place,
    notes: &mut Notes<'_>,
) {
    let name = name.to_owned();
    notes.add(place, Problem::Unknown { key, what, name });
}

#[cfg(test)]
mod tests;
