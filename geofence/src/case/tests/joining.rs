//! Cases that late data joins.

use super::*;
use crate::case::desk::{are_joined, join};

/// A case of one violation from this minute on, opened then.
fn case(number: u128, minute: i64) -> Case {
    let desk = desk();
    let violation = violation(number, minute);
    let mut case = Case::open(violation.clone(), later(minute));
    case.group = desk.group(&violation, "");
    Edit::begin(
        case,
        &Actor::system("telemetry"),
        "found",
        later(minute),
        &desk,
    )
    .case
}

/// A later state of the first violation: it went on until this minute.
fn going_on(case: Case, until: i64) -> Edit {
    let mut edit = Edit::of(case);
    let mut longer = violation(1, 0);
    longer.ended_at = Some(later(until));
    edit.found(longer, false, later(90), &desk());
    edit
}

#[test]
fn cases_that_late_data_joins_become_the_elder_one() {
    let (elder, younger) = (case(1, 0), case(2, 60));
    assert!(!are_joined(&elder, &younger, &desk()));
    let mut elder = going_on(elder, 55);
    assert!(are_joined(&elder.case, &younger, &desk()));
    assert!(
        !are_joined(&younger, &elder.case, &desk()),
        "the elder stays"
    );

    let mut younger = Edit::of(younger);
    assert!(join(&mut elder, &mut younger, later(90), &desk()));
    assert_eq!(elder.case.stage, Stage::Collected);
    assert_eq!(elder.case.span(), (later(0), later(62)));
    assert_eq!(younger.case.stage, Stage::Withdrawn);
    assert_eq!(younger.case.merged_into, Some(elder.case.id));
    assert_eq!(younger.case.ended_by, Some(Role::System));
    let last = elder.lines.last().unwrap();
    assert_eq!(
        (last.name, last.actor.as_str()),
        (Move::Absorb, "telemetry")
    );
    assert_eq!(last.detail, format!("from: {}", younger.case.number()));
    let last = younger.lines.last().unwrap();
    assert_eq!((last.name, last.actor.as_str()), (Move::Merge, "telemetry"));
    assert_eq!(last.detail, format!("into: {}", elder.case.number()));
    assert!(!are_joined(&elder.case, &younger.case, &desk()));
}

#[test]
fn what_a_person_has_acted_on_is_left_and_both_say_so_once() {
    let mut younger = Edit::of(case(2, 60));
    let accept = MoveRequest::new(Move::Accept, actor(Role::Operator, ""), "");
    younger.make(&accept, later(61), &desk()).unwrap();
    let mut elder = going_on(case(1, 0), 55);
    let before = (elder.lines.len(), younger.lines.len());
    for _ in 0..2 {
        assert!(are_joined(&elder.case, &younger.case, &desk()));
        assert!(!join(&mut elder, &mut younger, later(90), &desk()));
    }
    assert_eq!(younger.case.stage, Stage::Accepted);
    assert_eq!(
        (elder.case.intervals.len(), younger.case.intervals.len()),
        (1, 1)
    );
    assert_eq!(elder.lines.len(), before.0 + 1);
    assert_eq!(younger.lines.len(), before.1 + 1);
    let said = |edit: &Edit| {
        let line = edit.lines.last().unwrap();
        (line.name, line.detail.clone())
    };
    let of = |edit: &Edit| format!("case: {}", edit.case.number());
    assert_eq!(said(&elder), (Move::Amend, of(&younger)));
    assert_eq!(said(&younger), (Move::Amend, of(&elder)));
}

#[test]
fn other_kinds_vehicles_and_ended_cases_are_not_joined() {
    let elder = going_on(case(1, 0), 55).case;
    let younger = case(2, 60);
    let other = |change: fn(&mut Case)| {
        let mut other = younger.clone();
        change(&mut other);
        are_joined(&elder, &other, &desk())
    };
    assert!(other(|_| ()));
    assert!(!other(|case| case.group = Some("another".into())));
    assert!(!other(|case| case.group = None));
    assert!(!other(
        |case| case.terminal = Some("13800138001".parse().unwrap())
    ));
    assert!(!other(|case| case.stage = Stage::Handled));
    assert!(!other(|case| case.stage = Stage::Declined));
}

#[test]
fn a_disproved_violation_joins_only_what_covers_it() {
    let mut younger = case(2, 60);
    younger.intervals[0].stands = false;
    assert!(!are_joined(
        &going_on(case(1, 0), 55).case,
        &younger,
        &desk()
    ));
    assert!(are_joined(
        &going_on(case(1, 0), 75).case,
        &younger,
        &desk()
    ));
}
