//! What rosters and positions say of work. Rosters are those of the catalog in force.

use std::collections::{BTreeMap, HashMap};

use geofence::{
    catalog::{Catalog, Duty},
    identity::TerminalId,
    units::Timestamp,
};
use storage::evaluation::TerminalDay;

use super::{
    Level, Request,
    formulas::{Formulas, Work},
    subject_of, width,
};

const HOUR_MS: i64 = 3_600_000;
const DAY_HOURS: i64 = 24;

/// Of a subject in a period; `None` where the level has no such figure.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Done {
    duties: Option<f64>,
    attended: Option<f64>,
    driven_km: Option<f64>,
    hours: Option<f64>,
}

impl Done {
    /// Puts it where the formulas want it.
    pub(super) fn fill(&self, formulas: &Formulas, figures: &mut [Option<f64>]) {
        for (formula, figure) in formulas.figures.iter().zip(figures) {
            match formula.work {
                Some(Work::Duties) => *figure = self.duties,
                Some(Work::DutiesAttended) => *figure = self.attended,
                Some(Work::DrivenKm) => *figure = self.driven_km,
                Some(Work::ReportingHours) => *figure = self.hours,
                None => {}
            }
        }
    }
}

/// Nobody knows in which place kilometres were driven, or for which department; and within a
/// jurisdiction nothing is told of those who may have been elsewhere.
fn knows_driving(request: &Request) -> bool {
    request.level.parts().is_none()
        && request.level != Level::Department
        && request.jurisdictions.is_empty()
}

/// Of who did nothing.
pub(super) fn nothing(request: &Request) -> Done {
    let zero = Some(0.0);
    let driving = knows_driving(request).then_some(0.0);
    Done {
        duties: zero,
        attended: zero,
        driven_km: driving,
        hours: driving,
    }
}

/// By period and subject. `days` reach a day further than the request: a shift may end then.
pub(super) fn of(
    catalog: &Catalog,
    levels: &[u32],
    request: &Request,
    days: &[TerminalDay],
    now: Timestamp,
) -> BTreeMap<(i32, String), Done> {
    let mut all: BTreeMap<(i32, String), Done> = BTreeMap::new();
    let add = |value: &mut Option<f64>, more: f64| *value = Some(value.unwrap_or(0.0) + more);
    let mut hours: HashMap<(TerminalId, i32), u32> = HashMap::with_capacity(days.len());
    for day in days {
        hours.insert((day.terminal, day.day), day.hours);
        if day.day >= request.days.1 || !knows_driving(request) {
            continue;
        }
        let vehicle = catalog.vehicle_of(&day.terminal);
        let subject = match (vehicle, request.level) {
            (Some(vehicle), level) => subject_of(vehicle, level).map(str::to_owned),
            (None, Level::City) => Some(String::new()),
            (None, Level::Vehicle) => Some(day.terminal.to_string()),
            (None, _) => None,
        };
        let Some(subject) = subject else { continue };
        let period = request.span.period(day.day);
        let done = all
            .entry((period, subject))
            .or_insert_with(|| nothing(request));
        add(&mut done.hours, day.hours.count_ones().into());
        let meters = u32::try_from(day.driven_m.unwrap_or_default()).unwrap_or_default();
        add(&mut done.driven_km, f64::from(meters) / 1_000.0);
    }
    let duties = catalog.duties();
    let (from, to) = request.days;
    for vehicle in catalog.vehicles() {
        let Some(roster) = duties.roster_of(vehicle) else {
            continue;
        };
        for duty in duties.duties_between(roster, from.into(), to.into()) {
            if duty.from > now || !lies_within(catalog, &duty, &request.jurisdictions) {
                continue;
            }
            let subject = match width(levels, request.level) {
                Some(width) => Some(place(catalog, &duty, width)),
                None => subject_of(vehicle, request.level).map(str::to_owned),
            };
            let Some(subject) = subject else { continue };
            let (day, _) = hour_of(duty.from);
            let done = all
                .entry((request.span.period(day), subject))
                .or_insert_with(|| nothing(request));
            add(&mut done.duties, 1.0);
            if is_attended(&hours, vehicle.terminal, &duty) {
                add(&mut done.attended, 1.0);
            }
        }
    }
    all
}

/// Day and hour at local time.
fn hour_of(at: Timestamp) -> (i32, u32) {
    storage::evaluation::hour_of(at)
}

/// The terminal reported in one of the hours that the duty touches.
fn is_attended(
    hours: &HashMap<(TerminalId, i32), u32>,
    terminal: TerminalId,
    duty: &Duty<'_>,
) -> bool {
    let length = duty
        .to
        .millis_since(duty.from)
        .clamp(0, DAY_HOURS * HOUR_MS);
    let steps = (0..length).step_by(3_600_000);
    let mut moments = steps
        .map(|millis| duty.from.plus_millis(millis))
        .chain([duty.to.plus_millis(-1)]);
    moments.any(|at| {
        let (day, hour) = hour_of(at);
        let of_day = hours.get(&(terminal, day)).copied().unwrap_or_default();
        of_day >> hour & 1 == 1
    })
}

/// The codes of the unit grids of a duty's area.
fn codes<'a>(catalog: &'a Catalog, duty: &Duty<'a>) -> impl Iterator<Item = &'a str> {
    let grids = duty.area.into_iter().flat_map(|area| &area.grids);
    grids.filter_map(|index| {
        let grid = catalog.unit_grids().get(usize::try_from(*index).ok()?)?;
        Some(grid.code.as_str())
    })
}

/// The place that the whole area lies in; empty where there is none.
fn place(catalog: &Catalog, duty: &Duty<'_>, width: usize) -> String {
    let mut places = codes(catalog, duty).map(|code| code.get(..width));
    let Some(Some(first)) = places.next() else {
        return String::new();
    };
    if places.all(|other| other == Some(first)) {
        first.to_owned()
    } else {
        String::new()
    }
}

fn lies_within(catalog: &Catalog, duty: &Duty<'_>, jurisdictions: &[String]) -> bool {
    if jurisdictions.is_empty() {
        return true;
    }
    let mut codes = codes(catalog, duty).peekable();
    codes.peek().is_some()
        && codes.all(|code| jurisdictions.iter().any(|place| code.starts_with(place)))
}

#[cfg(test)]
mod tests {
    use geofence::catalog::{CatalogSources, day_of};
    use storage::evaluation::Span;

    use super::*;

    const GRIDS: &str = r#"{"type":"FeatureCollection","features":[
        {"type":"Feature","properties":{"code":"140105001001001"},"geometry":{"type":"Polygon",
         "coordinates":[[[112.55,37.87],[112.551,37.87],[112.551,37.871],[112.55,37.871],[112.55,37.87]]]}},
        {"type":"Feature","properties":{"code":"140106001001001"},"geometry":{"type":"Polygon",
         "coordinates":[[[112.551,37.87],[112.552,37.87],[112.552,37.871],[112.551,37.871],[112.551,37.87]]]}}]}"#;
    const AREAS: &str = r#"{"type":"FeatureCollection","features":[
        {"type":"Feature","properties":{"id":"E","unit_grids":["140105001001001"]},"geometry":null},
        {"type":"Feature","properties":{"id":"B","unit_grids":["140105001001001","140106001001001"]},"geometry":null}]}"#;

    fn catalog() -> Catalog {
        let text = |text: &str| Some((String::from("file"), text.to_owned()));
        Catalog::load(&CatalogSources {
            unit_grids: text(GRIDS),
            responsibility_grids: text(AREAS),
            vehicles: text(
                "vehicle,phone,work_kind,crew\nI1,13800000001,inspector,\n\
                 V1,13800000002,sweeper,C1\nV2,13800000003,sweeper,C1\n",
            ),
            shifts: text("shift,days,from,to\nday,daily,08:00,17:00\nnight,daily,22:00,05:00\n"),
            assignments: text("vehicle,shift,duty_area\nI1,day,E\nV1,night,B\nV2,day,E\n"),
            ..CatalogSources::default()
        })
        .unwrap()
    }

    fn day(text: &str) -> i32 {
        i32::try_from(day_of(text).unwrap()).unwrap()
    }

    fn days() -> Vec<TerminalDay> {
        let day = |number: u32, date: &str, hours: u32, driven_m: Option<i64>| TerminalDay {
            terminal: format!("1380000000{number}").parse().unwrap(),
            day: day(date),
            hours,
            driven_m,
        };
        vec![
            day(1, "2026-01-30", 1 << 12, Some(1_500)),
            day(1, "2026-01-31", 1 << 7 | 1 << 17, None),
            // The night of the 31st ends in February.
            day(2, "2026-01-31", 1 << 3, Some(40_000)),
            day(2, "2026-02-01", 1 << 4, Some(70_000)),
            day(9, "2026-01-31", 1, Some(2_000)),
        ]
    }

    fn done(level: Level, jurisdiction: Option<&str>) -> Vec<(String, Done)> {
        let request = Request {
            level,
            span: Span::Month,
            days: (day("2026-01-30"), day("2026-02-01")),
            jurisdictions: jurisdiction.map(str::to_owned).into_iter().collect(),
            rows_max: 10,
        };
        let now = geofence::catalog::local_moment(i64::from(day("2026-02-02")) * 1_440);
        let found = of(&catalog(), &[6, 3, 3], &request, &days(), now);
        found
            .into_iter()
            .map(|((_, subject), done)| (subject, done))
            .collect()
    }

    fn figures(duties: f64, attended: f64, driving: Option<(f64, f64)>) -> Done {
        Done {
            duties: Some(duties),
            attended: Some(attended),
            driven_km: driving.map(|(km, _)| km),
            hours: driving.map(|(_, hours)| hours),
        }
    }

    #[test]
    fn a_duty_is_attended_in_its_own_hours_only() {
        let inspector = figures(2.0, 1.0, Some((1.5, 3.0)));
        assert_eq!(done(Level::Inspector, None), [("I1".to_owned(), inspector)]);
        let vehicles = [
            (
                "13800000009".to_owned(),
                figures(0.0, 0.0, Some((2.0, 1.0))),
            ),
            // 03:00 is the night before's, 04:00 of February the last one's.
            ("V1".to_owned(), figures(2.0, 2.0, Some((40.0, 1.0)))),
            ("V2".to_owned(), figures(2.0, 0.0, Some((0.0, 0.0)))),
        ];
        assert_eq!(done(Level::Vehicle, None), vehicles);
        let crew = figures(4.0, 2.0, Some((40.0, 1.0)));
        assert_eq!(done(Level::Crew, None), [("C1".to_owned(), crew)]);
        let city = figures(6.0, 3.0, Some((43.5, 5.0)));
        assert_eq!(done(Level::City, None), [(String::new(), city)]);
    }

    #[test]
    fn a_place_has_the_duties_whose_area_lies_in_it_and_no_kilometres() {
        let expected = [
            (String::new(), figures(2.0, 2.0, None)),
            ("140105".to_owned(), figures(4.0, 1.0, None)),
        ];
        assert_eq!(done(Level::District, None), expected);
        assert_eq!(done(Level::City, Some("140106")), []);
        let within = figures(4.0, 1.0, None);
        assert_eq!(done(Level::City, Some("140105")), [(String::new(), within)]);
    }
}
