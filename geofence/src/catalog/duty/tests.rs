use super::{
    super::{Catalog, CatalogSources},
    *,
};
use crate::geometry::Point;

/// 2026-01-05 at local time, a Monday.
const MONDAY_MS: i64 = 1_767_542_400_000;

/// A moment `days` behind Monday 2026-01-05, at local time.
fn at(days: i64, hour: i64, minute: i64) -> Timestamp {
    Timestamp(MONDAY_MS + ((days * 24 + hour) * 60 + minute) * 60_000)
}

/// Two unit grids of about 100 m, side by side from west to east.
const GRIDS: &str = r#"{"type":"FeatureCollection","features":[
    {"type":"Feature","properties":{"code":"140105001001001"},"geometry":{"type":"Polygon",
     "coordinates":[[[112.55,37.87],[112.551,37.87],[112.551,37.871],[112.55,37.871],[112.55,37.87]]]}},
    {"type":"Feature","properties":{"code":"140105001001002"},"geometry":{"type":"Polygon",
     "coordinates":[[[112.551,37.87],[112.552,37.87],[112.552,37.871],[112.551,37.871],[112.551,37.87]]]}}]}"#;
const AREAS: &str = r#"{"type":"FeatureCollection","features":[
    {"type":"Feature","properties":{"id":"R1","name":"一号","unit_grids":["140105001001002","140105001001001"]},"geometry":null},
    {"type":"Feature","properties":{"id":"P1"},"geometry":{"type":"Polygon",
     "coordinates":[[[112.55,37.87],[112.56,37.87],[112.56,37.88],[112.55,37.88],[112.55,37.87]]]}}]}"#;
const VEHICLES: &str = "vehicle,phone,work_kind,crew\n\
    I1,13800000001,inspector,\nV1,13800000002,sweeper,C1\nV2,13800000003,sweeper,C1\nV3,13800000004,,\n";
const CALENDAR: &str = "date,kind,name\n2026-01-07,holiday,x\n2026-01-10,workday,x\n";
const SHIFTS: &str = "shift,name,version,days,from,to,break_from,break_to,break_min,checks,off_post_s\n\
    day,白班,3,workdays,08:00,17:00,12:00,14:00,60,,300\n\
    night,,,mon sat,22:00,05:00,01:00,02:00,30,silence,\n\
    rest,,,restdays,09:00,12:00,,,,,\n";

fn sources(assignments: &str) -> CatalogSources {
    let text = |file: &str, text: &str| Some((file.to_owned(), text.to_owned()));
    CatalogSources {
        unit_grids: text("grids", GRIDS),
        vehicles: text("vehicles", VEHICLES),
        calendar: text("calendar", CALENDAR),
        shifts: text("shifts", SHIFTS),
        responsibility_grids: text("areas", AREAS),
        assignments: text(
            "assignments",
            &format!("vehicle,crew,shift,duty_area,from,to\n{assignments}"),
        ),
        ..CatalogSources::default()
    }
}

fn mistakes(sources: &CatalogSources) -> Vec<String> {
    let mistakes = Catalog::load(sources).err().unwrap_or_default();
    mistakes.iter().map(ToString::to_string).collect()
}

/// What a terminal does at a moment: `shift/area`, or why not.
fn standing(catalog: &Catalog, last: u8, at: Timestamp) -> String {
    match catalog.standing(&format!("1380000000{last}").parse().unwrap(), at) {
        Standing::NoVehicle => "no vehicle".to_owned(),
        Standing::NoAssignment => "no assignment".to_owned(),
        Standing::Off(None) => "off".to_owned(),
        Standing::Off(Some(next)) => {
            let hours = next.from.millis_since(at) / 3_600_000;
            format!("off, {} in {hours} h", next.shift.id)
        }
        Standing::On(duty) => {
            let area = duty.area.map_or("anywhere", |area| &area.id);
            format!("{}/{area}", duty.shift.id)
        }
    }
}

#[test]
fn a_shift_on_work_days_follows_the_calendar() {
    let catalog = Catalog::load(&sources("I1,,day,R1,,\n")).unwrap();
    let expected = [
        (0, 7, "off, day in 1 h"),
        (0, 8, "day/R1"),
        (0, 16, "day/R1"),
        (0, 17, "off, day in 15 h"),
        // Wednesday is a holiday, Saturday a make-up day, Sunday is Sunday.
        (2, 9, "off, day in 23 h"),
        (5, 9, "day/R1"),
        (6, 9, "off, day in 23 h"),
    ];
    for (days, hour, expected) in expected {
        assert_eq!(
            standing(&catalog, 1, at(days, hour, 0)),
            expected,
            "day {days}, {hour}:00"
        );
    }
    assert_eq!(standing(&catalog, 4, at(0, 9, 0)), "no assignment");
    assert_eq!(standing(&catalog, 9, at(0, 9, 0)), "no vehicle");
}

#[test]
fn a_night_shift_belongs_to_the_day_it_begins_on_and_so_does_its_break() {
    let catalog = Catalog::load(&sources("V3,,night,,,\n")).unwrap();
    assert_eq!(standing(&catalog, 4, at(1, 4, 59)), "night/anywhere");
    assert_eq!(standing(&catalog, 4, at(1, 5, 0)), "off, night in 113 h");
    assert_eq!(standing(&catalog, 4, at(0, 4, 0)), "off, night in 18 h");
    let night = &catalog.duties().shifts()[1];
    let rest = night.break_of(at(0, 22, 0)).unwrap();
    assert_eq!(rest, (at(1, 1, 0), at(1, 2, 0)));
    assert_eq!(night.rest.unwrap().budget_ms, 30 * 60_000);
}

#[test]
fn a_crew_works_where_its_members_have_no_duty_of_their_own_and_dates_are_inclusive() {
    let catalog = Catalog::load(&sources(
        ",C1,day,P1,2026-01-05,2026-01-06\nV2,,rest,R1,2026-01-06,\n",
    ))
    .unwrap();
    let on = |vehicle, days| standing(&catalog, vehicle, at(days, 9, 0));
    assert_eq!([on(2, 0), on(3, 0)], ["day/P1", "day/P1"]);
    assert_eq!([on(2, 1), on(3, 1)], ["day/P1", "off, rest in 24 h"]);
    // Wednesday, a holiday: the day off of others is the day of this shift.
    assert_eq!([on(2, 2), on(3, 2)], ["off", "rest/R1"]);
}

#[test]
fn a_responsibility_grid_is_its_unit_grids() {
    let catalog = Catalog::load(&sources("I1,,day,R1,,\n")).unwrap();
    let [area, polygon] = catalog.duties().areas() else {
        panic!()
    };
    assert_eq!(
        (area.name.as_str(), area.grids.as_slice()),
        ("一号", &[0, 1][..])
    );
    assert!(area.shape.is_none() && polygon.grids.is_empty() && polygon.shape.is_some());
    let point = |lat: f64, lon: f64| -> Point {
        let lat = crate::units::Latitude::from_degrees(lat).unwrap();
        let lon = crate::units::Longitude::from_degrees(lon).unwrap();
        catalog.plane().point(lat, lon).unwrap()
    };
    let distance_m =
        |lat, lon| area.signed_distance_mm(point(lat, lon), catalog.unit_grids()) / 1e3;
    assert!(distance_m(37.8705, 112.5505) > 40.0);
    // 0.001 degrees of longitude are 87.8 m here.
    assert!((distance_m(37.8705, 112.553) + 87.8).abs() < 0.2);
    assert!((distance_m(37.8705, 112.549) + 87.8).abs() < 0.2);
    let every = AREAS.replace(r#""140105001001002","140105001001001""#, r#""140105001*""#);
    let mut sources = sources("");
    sources.responsibility_grids = Some(("areas".to_owned(), every));
    assert_eq!(
        Catalog::load(&sources).unwrap().duties().areas()[0].grids,
        [0, 1]
    );
}

#[test]
fn a_new_row_or_date_changes_no_other_rule_and_an_edit_changes_its_own() {
    let of = |assignments: &str, from: &str, to: &str| {
        let mut sources = sources(assignments);
        sources.shifts = Some(("shifts".to_owned(), SHIFTS.replace(from, to)));
        let catalog = Catalog::load(&sources).unwrap();
        let duties = catalog.duties();
        (
            duties.assignments()[0].fingerprint,
            duties.rosters[0].fingerprint,
        )
    };
    let before = of("I1,,day,R1,,\n", "", "");
    let ended = of("I1,,day,R1,,2026-03-01\nV3,,rest,,,\n", "", "");
    assert_eq!(before.0, ended.0);
    assert_ne!(before.1, ended.1, "its hours are others");
    assert_eq!(of("I1,,day,R1,,\n", "白班", "早班"), before);
    assert_ne!(
        of("I1,,day,R1,,\n", "08:00,17:00", "08:00,18:00").0,
        before.0
    );
}

#[test]
fn every_mistake_is_named_with_its_place() {
    let mut all = sources(
        "I1,C1,day,R1,,\n,,day,R1,,\nI9,,day,R1,,\n,C9,day,R1,,\nI1,,x,y,,\nI1,,day,R1,2026-02-30,\nI1,,day,R1,2026-02-02,2026-02-01\n",
    );
    all.calendar = Some((
        "calendar".to_owned(),
        "date,kind\n2026-1-1,holiday\n2026-01-01,feast\n2026-01-02,holiday\n2026-01-02,workday\n"
            .to_owned(),
    ));
    all.shifts = Some((
        "shifts".to_owned(),
        "shift,days,from,to,break_from,break_to,break_min,checks,patrol_percent\n\
         a,moon,8:00,17:00,,,,,\nb,daily,08:00,08:00,,,,,\nday,daily,08:00,17:00,12:00,,60,,\n\
         c,daily,08:00,17:00,16:30,17:30,30,,\nd,daily,08:00,17:00,12:00,13:00,61,,\n\
         e,daily,08:00,17:00,,,,speeding,120\nday,daily,08:00\n"
            .to_owned(),
    ));
    all.responsibility_grids = Some((
        "areas".to_owned(),
        r#"{"type":"FeatureCollection","features":[
        {"type":"Feature","properties":{"id":"R1","unit_grids":["140105001001009"]},"geometry":null},
        {"type":"Feature","properties":{"id":"R1"},"geometry":null},
        {"type":"Feature","properties":{"id":"R2","unit_grids":[]},"geometry":null},
        {"type":"Feature","properties":{"id":"R3"},"geometry":{"type":"Point","coordinates":[1,2]}}]}"#
            .to_owned(),
    ));
    let found = mistakes(&all);
    let expected = [
        "calendar: line 2: property \"date\": \"2026-1-1\" is not a date like",
        "calendar: line 3: property \"kind\": \"feast\" is not one of holiday, workday",
        "calendar: line 5: date \"2026-01-02\" is there twice; first in line 4",
        "shifts: line 2: property \"days\": \"moon\" is not daily, workdays",
        "shifts: line 2: property \"from\": \"8:00\" is not HH:MM",
        "shifts: line 3: property \"to\": \"08:00\" is not a time behind",
        "shifts: line 4: property \"break_to\": \"\" is not there",
        "shifts: line 5: property \"break_from\": \"16:30\" is not within the hours",
        "shifts: line 6: property \"break_min\": \"61\" is not a number from 0 to 60",
        "shifts: line 7: property \"checks\": \"speeding\" is not none or some of outside_hours",
        "shifts: line 7: property \"patrol_percent\": \"120\" is not a number from 0 to 100",
        "shifts: line 8: 3 fields, but 9 columns",
        "areas: feature 1 \"R1\": id \"R1\" is there twice; first in feature 0",
        "areas: feature 1 \"R1\": property \"unit_grids\" is missing",
        "areas: feature 2 \"R2\": property \"unit_grids\": [] is not an array with codes",
        "areas: feature 3 \"R3\": geometry Point; possible are null with unit_grids, Polygon",
        "assignments: line 2: property \"crew\" stands beside",
        "assignments: line 3: property \"vehicle\" is missing",
        "assignments: line 4: property \"vehicle\": there is no vehicle \"I9\"",
        "assignments: line 5: property \"crew\": there is no vehicle of a crew \"C9\"",
        "assignments: line 6: property \"shift\": there is no shift \"x\"",
        "assignments: line 6: property \"duty_area\": there is no duty area \"y\"",
        "assignments: line 7: property \"from\": \"2026-02-30\" is not a date",
        "assignments: line 8: property \"to\": \"2026-02-01\" is not a day that is not before",
        "areas: feature 0 \"R1\": property \"unit_grids\": there is no unit grid \"140105001001009\"",
    ];
    for expected in expected {
        assert!(
            found.iter().any(|m| m.starts_with(expected)),
            "{expected}\n{found:#?}"
        );
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn nobody_works_two_shifts_at_once() {
    // The night of Monday begins at 22:00: only where the day shift is longer do they meet.
    assert_eq!(
        mistakes(&sources("I1,,day,R1,,\nI1,,night,,,\n")),
        [] as [&str; 0]
    );
    let mut long = sources("I1,,day,R1,,\nI1,,night,,,\nV3,,rest,,,\n");
    long.shifts = Some((
        "shifts".to_owned(),
        SHIFTS.replace("08:00,17:00", "08:00,22:30"),
    ));
    assert_eq!(
        mistakes(&long),
        ["assignments: line 3: \"I1\" works \"night\" while it works \"day\" of line 2"]
    );
    // On other dates they do not meet.
    long.assignments = Some((
        "assignments".to_owned(),
        "vehicle,shift,from,to\nI1,day,,2026-01-11\nI1,night,2026-01-12,\n".to_owned(),
    ));
    assert_eq!(mistakes(&long), [] as [&str; 0]);
    // A make-up day on a Saturday makes them meet.
    let mut saturday = sources("I1,,day,R1,,\nI1,,other,,,\n");
    let shifts = format!("{SHIFTS}other,,,sat,16:00,18:00,,,,,\n");
    saturday.shifts = Some(("shifts".to_owned(), shifts));
    assert_eq!(mistakes(&saturday).len(), 1);
    saturday.calendar = None;
    assert_eq!(mistakes(&saturday), [] as [&str; 0]);
}
