//! Tasks of inspectors: when they begin, what answers do, and that each is answered once.

use super::*;
use crate::{
    case::task::{Answered, TaskAnswer, TaskKind, inspector_of},
    catalog::{Catalog, CatalogSources},
};

/// A city that asks for both kinds of tasks.
fn asking(automatic_to: &str, catalog: Option<Catalog>) -> Desk {
    let mut text = PolicyText::default();
    text.defaults.verifies = Some(vec![Source::Citizen]);
    text.defaults.checks = Some(true);
    text.defaults.automatic_to = Some(automatic_to.into());
    Desk {
        catalog: catalog.map(std::sync::Arc::new),
        ..Desk::new(Policy::read(&[text]).unwrap(), Calendar::default())
    }
}

fn reported(source: Source, desk: &Desk) -> Edit {
    let mut case = Case::blank(CaseId(uuid::Uuid::from_u128(5)), source, AT);
    case.place = Some(Place {
        latitude: Latitude::from_degrees(37.865).unwrap(),
        longitude: Longitude::from_degrees(112.605).unwrap(),
    });
    Edit::begin(case, &actor(Role::Operator, ""), "call", AT, desk)
}

fn answer(edit: &mut Edit, said: TaskAnswer, number: u32, desk: &Desk) -> Result<(), Refusal> {
    let kind = edit.case.open_task().map_or(TaskKind::Check, |t| t.kind);
    let answered = Answered {
        number,
        answer: said,
    };
    let request = MoveRequest {
        task: Some(answered),
        ..MoveRequest::new(kind.leads_to(said), actor(Role::Inspector, ""), "seen")
    };
    edit.make(&request, later(5), desk)
}

#[test]
fn a_citizens_case_waits_to_be_verified_and_then_goes_as_far_as_policy_says() {
    let desk = asking("filed", None);
    let mut edit = reported(Source::Citizen, &desk);
    assert_eq!(edit.case.stage, Stage::Collected);
    let task = edit.case.open_task().unwrap().clone();
    assert_eq!((task.kind, task.number), (TaskKind::Verification, 1));
    edit = Edit::of(edit.case);
    answer(&mut edit, TaskAnswer::Pass, 1, &desk).unwrap();
    assert_eq!(edit.case.stage, Stage::Filed);
    assert_eq!(edit.case.open_task(), None);
    let [task] = &*edit.case.tasks else {
        panic!("{:?}", edit.case.tasks)
    };
    assert_eq!(
        (task.state(), task.answer),
        ("answered", Some(TaskAnswer::Pass))
    );
    assert_eq!(task.answered_by.as_deref(), Some("li"));
    // Nobody else has to be asked.
    assert_eq!(reported(Source::Manual, &desk).case.stage, Stage::Filed);
}

#[test]
fn a_task_is_answered_once() {
    let desk = asking("collected", None);
    let mut edit = reported(Source::Citizen, &desk);
    answer(&mut edit, TaskAnswer::Fail, 1, &desk).unwrap();
    assert_eq!(edit.case.stage, Stage::Declined);
    let before = edit.clone();
    let again = answer(&mut edit, TaskAnswer::Pass, 1, &desk);
    assert_eq!(again, Err(Refusal::Task(1)));
    assert_eq!(edit, before);
}

#[test]
fn what_an_inspector_cannot_tell_waits_for_anybody() {
    let desk = asking("collected", Some(city()));
    let edit = reported(Source::Citizen, &desk);
    assert_eq!(
        edit.case.open_task().unwrap().inspector.as_deref(),
        Some("I1")
    );
    let mut edit = Edit::of(edit.case);
    answer(&mut edit, TaskAnswer::Unclear, 1, &desk).unwrap();
    let task = edit.case.open_task().unwrap();
    assert_eq!((task.number, task.inspector.as_deref()), (2, None));
    assert_eq!(edit.case.stage, Stage::Collected);
    assert_eq!(edit.case.tasks.len(), 2);
}

#[test]
fn what_was_handled_is_checked_until_it_is_done() {
    let desk = asking("collected", None);
    let mut edit = reported(Source::Manual, &desk);
    for round in 0..30 {
        let path: &[_] = if round == 0 {
            &TO_HANDLED
        } else {
            &TO_HANDLED[3..]
        };
        for (name, role) in path {
            edit = Edit::of(edit.case);
            edit.make(&request(*name, *role), later(1), &desk).unwrap();
        }
        let number = edit.case.open_task().unwrap().number;
        edit = Edit::of(edit.case);
        answer(&mut edit, TaskAnswer::Fail, number, &desk).unwrap();
        assert_eq!(edit.case.stage, Stage::Dispatched);
        assert!(edit.case.tasks.len() <= 21, "{}", edit.case.tasks.len());
    }
    edit = Edit::of(edit.case);
    edit.make(&request(Move::Handle, Role::Department), later(1), &desk)
        .unwrap();
    // Somebody else says that it is done: nobody has to look any more.
    edit.make(&request(Move::VerifyPass, Role::Operator), later(2), &desk)
        .unwrap();
    let task = edit.case.tasks.last().unwrap();
    assert_eq!((task.state(), task.answer), ("lapsed", None));
}

const AREAS: &str = r#"{"type":"FeatureCollection","features":[
    {"type":"Feature","properties":{"id":"R1","name":"one"},"geometry":{"type":"Polygon",
    "coordinates":[[[112.60,37.86],[112.61,37.86],[112.61,37.87],[112.60,37.87],[112.60,37.86]]]}},
    {"type":"Feature","properties":{"id":"R2","name":"two"},"geometry":{"type":"Polygon",
    "coordinates":[[[112.70,37.86],[112.71,37.86],[112.71,37.87],[112.70,37.87],[112.70,37.86]]]}}]}"#;

/// I1 by day and I2 by night in R1, I3 in R2; V is no inspector.
fn city() -> Catalog {
    let text = |name: &str, text: &str| Some((name.to_owned(), text.to_owned()));
    let sources = CatalogSources {
        vehicles: text(
            "vehicles.csv",
            "vehicle,phone,work_kind\nV,13800000009,sweeper\nI1,13800000001,inspector\n\
             I2,13800000002,inspector\nI3,13800000003,inspector\n",
        ),
        shifts: text(
            "shifts.csv",
            "shift,name,days,from,to\nday,day,daily,06:00,18:00\nnight,night,daily,18:00,06:00\n",
        ),
        responsibility_grids: text("areas.geojson", AREAS),
        assignments: text(
            "assignments.csv",
            "vehicle,shift,duty_area\nV,day,R1\nI1,day,R1\nI2,night,R1\nI3,day,R2\n",
        ),
        ..CatalogSources::default()
    };
    Catalog::load(&sources).unwrap()
}

#[test]
fn the_inspector_of_the_grid_is_who_is_on_duty_there() {
    let catalog = city();
    let case = reported(Source::Citizen, &asking("collected", None)).case;
    // AT is 16:00 at GMT+8.
    let of = |hours: i64| inspector_of(&catalog, &case, later(hours * 60));
    assert_eq!(of(0).unwrap().id, "I1");
    assert_eq!(of(3).unwrap().id, "I2");
    let nowhere = Case {
        place: None,
        ..case.clone()
    };
    assert_eq!(inspector_of(&catalog, &nowhere, AT), None);
    let mut elsewhere = case;
    elsewhere.place = Some(Place {
        latitude: Latitude::from_degrees(37.8).unwrap(),
        longitude: Longitude::from_degrees(112.605).unwrap(),
    });
    assert_eq!(inspector_of(&catalog, &elsewhere, AT), None);
}
