//! The table, moved at random; what each move does; what later data does.

use std::collections::BTreeMap;

use proptest::prelude::*;

mod joining;
mod tasks;

use super::{
    clock::{ClockKind, Limit},
    desk::{Actor, Edit, MoveRequest, Refusal, allowed_moves, may_join, merge, split},
    moves::{Move, Need, RULES, Role, Rule},
    policy::{Desk, Policy, PolicyText},
    *,
};
use crate::{
    catalog::Calendar,
    violation::{Evidence, Rule as Broken},
};

const GRID: &str = "140105001001001";
const AT: Timestamp = Timestamp(1_767_600_000_000);

fn later(minutes: i64) -> Timestamp {
    AT.plus_millis(minutes * 60_000)
}

fn violation(number: u128, minute: i64) -> Violation {
    Violation {
        id: ViolationId(uuid::Uuid::from_u128(number)),
        kind: ViolationKind::Speeding,
        rule: Broken {
            id: "r".into(),
            version: 1,
            name: "limit".into(),
        },
        terminal: "13800138000".parse().unwrap(),
        vehicle: None,
        unit_grid: Some(GRID.into()),
        latitude: Latitude::from_micro_degrees(1).unwrap(),
        longitude: Longitude::from_micro_degrees(2).unwrap(),
        started_at: later(minute),
        confirmed_at: later(minute + 1),
        ended_at: Some(later(minute + 2)),
        worst: 60.0,
        evidence: Evidence::default(),
    }
}

fn limits() -> BTreeMap<ClockKind, Limit> {
    let limit = |text: &str| text.parse().unwrap();
    [
        (ClockKind::Filing, limit("30 minutes")),
        (ClockKind::Handling, limit("2 hours")),
    ]
    .into()
}

fn desk() -> Desk {
    let mut text = PolicyText {
        levels: Some(vec![6, 3, 3]),
        ..PolicyText::default()
    };
    text.defaults.level = Some(1);
    text.defaults.group_within_minutes = Some(10);
    text.defaults.limits = limits();
    let row = |kind: &str, jurisdiction: &str, department: &str| policy::DepartmentText {
        kind: kind.into(),
        jurisdiction: jurisdiction.into(),
        department: department.into(),
    };
    text.departments = vec![
        row("*", "", "bureau"),
        row("*", "140105", "district office"),
        row("speeding", "140105", "fleet office"),
    ];
    Desk::new(Policy::read(&[text]).unwrap(), Calendar::default())
}

fn begun() -> Edit {
    let case = Case::open(violation(1, 0), AT);
    Edit::begin(case, &Actor::system("telemetry"), "found", AT, &desk())
}

fn actor(role: Role, scope: &str) -> Actor {
    Actor {
        name: "li".into(),
        role,
        scope: scope.into(),
        department: None,
    }
}

/// A request that has everything that a move may need.
fn request(name: Move, role: Role) -> MoveRequest {
    MoveRequest {
        department: Some("office".into()),
        jurisdiction: (name == Move::HandOver).then(String::new),
        minutes: Some(60),
        until: Some(later(100_000)),
        into: Some(CaseId(uuid::Uuid::from_u128(99))),
        ..MoveRequest::new(name, actor(role, ""), "because")
    }
}

fn walk(edit: &mut Edit, path: &[(Move, Role)]) {
    for (name, role) in path {
        edit.make(&request(*name, *role), later(1), &desk())
            .unwrap();
    }
}

const TO_HANDLED: [(Move, Role); 4] = [
    (Move::Accept, Role::Operator),
    (Move::File, Role::Operator),
    (Move::Dispatch, Role::Dispatcher),
    (Move::Handle, Role::Department),
];

#[test]
fn the_table_has_at_most_one_row_for_a_move_from_a_stage() {
    for name in Move::ALL {
        for stage in Stage::ALL {
            let rows = RULES
                .iter()
                .filter(|rule| rule.name == *name && rule.from.contains(&stage));
            assert!(
                rows.count() <= 1,
                "{} from {}",
                name.as_str(),
                stage.as_str()
            );
        }
        assert!(RULES.iter().any(|rule| rule.name == *name), "{name:?}");
    }
    for rule in RULES {
        assert!(!rule.by.is_empty(), "{rule:?}");
        // A final stage is left by reopening and by what data finds again, by nothing else.
        let leaves = rule.to.is_some_and(|to| !to.is_final())
            && rule.from.iter().any(|from| from.is_final());
        assert_eq!(leaves, matches!(rule.name, Move::Reopen | Move::FindAgain));
    }
}

#[test]
fn every_stage_can_be_reached_and_has_its_moves() {
    let mut reached = vec![Stage::Collected];
    for _ in Stage::ALL {
        for rule in RULES {
            let from_there = rule.from.iter().any(|from| reached.contains(from));
            if let Some(to) = rule.to
                && from_there
                && !reached.contains(&to)
            {
                reached.push(to);
            }
        }
    }
    assert_eq!(reached.len(), Stage::ALL.len());
    let mut case = begun().case;
    for stage in Stage::ALL {
        case.stage = stage;
        let names: Vec<_> = allowed_moves(&case, None)
            .iter()
            .map(|rule| rule.name)
            .collect();
        assert!(names.contains(&Move::Note), "{stage:?}");
        assert_eq!(names.contains(&Move::Withdraw), !stage.is_final());
    }
}

#[test]
fn the_whole_way_with_a_rework() {
    let mut edit = begun();
    assert_eq!(edit.case.handler, "140105");
    assert_eq!(edit.case.department.as_deref(), Some("fleet office"));
    walk(&mut edit, &TO_HANDLED);
    walk(&mut edit, &[(Move::VerifyFail, Role::Inspector)]);
    assert_eq!((edit.case.stage, edit.case.rework), (Stage::Dispatched, 1));
    walk(
        &mut edit,
        &[
            (Move::Handle, Role::Department),
            (Move::VerifyPass, Role::Inspector),
            (Move::Close, Role::Operator),
        ],
    );
    assert_eq!(edit.case.stage, Stage::Closed);
    assert_eq!(edit.case.ended_by, Some(Role::Operator));
    assert!(edit.case.clocks.iter().all(|clock| !clock.is_open()));
    let kinds: Vec<_> = edit.case.clocks.iter().map(|clock| clock.kind).collect();
    use ClockKind::{Checking, Closing, Dispatch, Filing, Handling, Total};
    assert_eq!(
        kinds,
        [
            Filing, Total, Dispatch, Handling, Checking, Handling, Checking, Closing
        ]
    );
    // One change, one version: all of it was one edit of a new case.
    assert_eq!(edit.case.version, 1);
}

#[test]
fn two_people_cannot_both_dispatch() {
    let mut edit = begun();
    walk(&mut edit, &TO_HANDLED[..2]);
    let case = edit.case;
    let seen = case.version;
    let dispatch = |department: &str| MoveRequest {
        version: Some(seen),
        department: Some(department.into()),
        ..MoveRequest::new(Move::Dispatch, actor(Role::Dispatcher, ""), "")
    };
    let mut first = Edit::of(case);
    first.make(&dispatch("a"), later(5), &desk()).unwrap();
    assert_eq!(first.case.version, seen + 1);
    let mut second = Edit::of(first.case);
    let refused = second.make(&dispatch("b"), later(5), &desk());
    assert_eq!(
        refused,
        Err(Refusal::Stale {
            seen,
            version: seen + 1
        })
    );
    assert_eq!(second.case.department.as_deref(), Some("a"));
    assert_eq!(second.lines, []);
}

#[test]
fn what_a_clock_or_new_evidence_changes_makes_nobodys_view_stale() {
    let case = begun().case;
    let seen = case.version;
    let mut edit = Edit::of(case);
    let mut worse = violation(1, 0);
    worse.ended_at = Some(later(9));
    edit.found(worse, false, later(9), &desk());
    let mut edit = Edit::of(edit.case);
    edit.tick(later(31), &desk());
    assert_eq!(edit.case.version, seen + 2);
    let mut edit = Edit::of(edit.case);
    let accept = MoveRequest {
        version: Some(seen),
        ..request(Move::Accept, Role::Operator)
    };
    edit.make(&accept, later(32), &desk()).unwrap();
}

#[test]
fn each_sees_to_his_own() {
    let mut edit = begun();
    let mut accept = request(Move::Accept, Role::Operator);
    for (scope, is_allowed) in [("140106", false), ("140105001", false), ("140105", true)] {
        accept.by.scope = scope.into();
        assert_eq!(
            edit.make(&accept, AT, &desk()).is_ok(),
            is_allowed,
            "{scope}"
        );
    }
    let mut up = request(Move::HandOver, Role::Operator);
    up.by.scope = "140105".into();
    // Not to the neighbour, but up to the city, and from there down again.
    up.jurisdiction = Some("140106".into());
    assert!(edit.make(&up, AT, &desk()).is_err());
    up.jurisdiction = Some(String::new());
    edit.make(&up, AT, &desk()).unwrap();
    assert_eq!(edit.case.handler, "");
    assert_eq!(edit.lines.last().unwrap().detail, "handler: 140105 -> city");
    assert!(matches!(
        edit.make(&up, AT, &desk()),
        Err(Refusal::Scope(_))
    ));
    walk(&mut edit, &[(Move::File, Role::Operator)]);
    let mut down = MoveRequest::new(Move::Dispatch, actor(Role::Dispatcher, ""), "");
    down.jurisdiction = Some("140107".into());
    assert!(
        edit.make(&down, AT, &desk()).is_err(),
        "it does not lie there"
    );
    down.jurisdiction = Some("140105".into());
    edit.make(&down, AT, &desk()).unwrap();
    assert_eq!(edit.case.handler, "140105");
    assert_eq!(edit.case.department.as_deref(), Some("fleet office"));
}

#[test]
fn a_department_handles_its_own_cases() {
    let mut edit = begun();
    walk(&mut edit, &TO_HANDLED[..3]);
    let mut handle = request(Move::Handle, Role::Department);
    handle.by.department = Some("others".into());
    assert_eq!(
        edit.make(&handle, AT, &desk()),
        Err(Refusal::Scope("office".into()))
    );
    handle.by.department = Some("office".into());
    edit.make(&handle, AT, &desk()).unwrap();
}

#[test]
fn clocks_stand_still_while_a_case_is_put_off() {
    let mut edit = begun();
    walk(&mut edit, &TO_HANDLED[..3]);
    assert_eq!(edit.case.due_at(), Some(later(121)));
    let mut defer = request(Move::Defer, Role::Leader);
    defer.until = Some(later(1_000));
    edit.make(&defer, later(61), &desk()).unwrap();
    assert_eq!(edit.case.due_at(), None);
    assert_eq!(edit.case.notice_at(), Some(later(1_000)));
    let refused = edit.make(&request(Move::Handle, Role::Department), later(62), &desk());
    assert_eq!(refused, Err(Refusal::Deferral(Move::Handle, true)));
    edit.tick(later(999), &desk());
    assert_eq!(edit.case.deferred_until, Some(later(1_000)));
    edit.tick(later(1_000), &desk());
    assert_eq!(edit.case.deferred_until, None);
    assert_eq!(edit.lines.last().unwrap().name, Move::Resume);
    assert_eq!(edit.case.due_at(), Some(later(1_060)));
    let extend = request(Move::Extend, Role::Dispatcher);
    edit.make(&extend, later(1_001), &desk()).unwrap();
    assert_eq!(edit.case.due_at(), Some(later(1_120)));
    assert_eq!((edit.case.extensions, edit.case.deferrals), (1, 1));
}

#[test]
fn warning_and_overdue_are_said_once() {
    let case = begun().case;
    let mut names = Vec::new();
    let mut edit = Edit::of(case);
    for minute in 0..60 {
        edit.tick(later(minute), &desk());
        edit.tick(later(minute), &desk());
    }
    names.extend(edit.lines.iter().map(|line| (line.name, line.at)));
    assert_eq!(names, [(Move::Warn, later(24)), (Move::Overdue, later(30))]);
    // A tick that comes late says the worse of the two.
    let mut edit = Edit::of(begun().case);
    edit.tick(later(500), &desk());
    let names: Vec<_> = edit.lines.iter().map(|line| line.name).collect();
    assert_eq!(names, [Move::Overdue]);
    assert_eq!(edit.case.notice_at(), None);
}

#[test]
fn merged_cases_are_one_and_a_split_makes_two() {
    let second = Case::open(violation(2, 60), AT);
    let second = Edit::begin(second, &Actor::system("telemetry"), "found", AT, &desk()).case;
    let first = begun().case;
    let request = MoveRequest {
        into: Some(first.id),
        ..MoveRequest::new(Move::Merge, actor(Role::Operator, ""), "the same")
    };
    let number = first.number();
    let [from, into] = merge(second, first, &request, later(1), &desk()).unwrap();
    assert_eq!(from.case.stage, Stage::Withdrawn);
    assert_eq!(from.case.merged_into, Some(into.case.id));
    assert_eq!(from.lines[0].detail, format!("into: {number}"));
    assert_eq!(into.case.intervals.len(), 2);
    assert_eq!(into.lines[0].name, Move::Absorb);
    // It was ended by a person: what it was about stands elsewhere now.
    assert_eq!(from.case.ended_by, Some(Role::Operator));

    let mut request = MoveRequest::new(Move::Split, actor(Role::Operator, ""), "not the same");
    request.violations = vec![violation(1, 0).id];
    let [kept, other] = split(into.case, &request, later(2), &desk()).unwrap();
    assert_eq!(kept.case.violation().unwrap().id, violation(2, 60).id);
    assert_eq!(other.case.violation().unwrap().id, violation(1, 0).id);
    assert_eq!(kept.case.occurred_at, later(60));
    assert_eq!(other.case.stage, Stage::Collected);
    assert_eq!(other.case.split_from, Some(kept.case.id));
    assert_ne!(other.case.id, kept.case.id);
    let again = split(kept.case, &request, later(3), &desk());
    assert!(matches!(again, Err(Refusal::Needs(Need::Violations, _))));
}

#[test]
fn violations_near_in_time_join_and_a_case_falls_only_with_its_last_interval() {
    let desk = desk();
    let mut edit = Edit::of(begun().case);
    assert!(may_join(&edit.case, &violation(2, 11), &desk));
    assert!(!may_join(&edit.case, &violation(2, 13), &desk));
    assert!(may_join(&edit.case, &violation(2, -11), &desk));
    edit.found(violation(2, 11), true, later(11), &desk);
    assert_eq!(edit.case.span(), (later(0), later(13)));
    edit.disproved(violation(1, 0).id, later(20), &desk);
    assert_eq!(edit.case.stage, Stage::Collected);
    assert_eq!(edit.case.violation().unwrap().id, violation(2, 11).id);
    edit.disproved(violation(2, 11).id, later(21), &desk);
    assert_eq!(edit.case.stage, Stage::Withdrawn);
    edit.disproved(violation(2, 11).id, later(22), &desk);
    edit.found(violation(1, 0), true, later(23), &desk);
    assert_eq!(edit.case.stage, Stage::Collected);
    let names: Vec<_> = edit.lines.iter().map(|line| line.name).collect();
    assert_eq!(
        names,
        [Move::Amend, Move::Amend, Move::Withdraw, Move::FindAgain]
    );
}

#[test]
fn what_a_person_has_ended_later_data_only_remarks_on() {
    let desk = desk();
    for (path, stage) in [
        (&[(Move::Decline, Role::Operator)][..], Stage::Declined),
        (&[(Move::Withdraw, Role::Leader)][..], Stage::Withdrawn),
    ] {
        let mut edit = begun();
        walk(&mut edit, path);
        let mut edit = Edit::of(edit.case);
        edit.disproved(violation(1, 0).id, later(9), &desk);
        edit.found(violation(1, 0), true, later(10), &desk);
        assert_eq!(edit.case.stage, stage);
        let names: Vec<_> = edit.lines.iter().map(|line| line.name).collect();
        assert_eq!(names, [Move::Amend, Move::Amend]);
        assert!(!may_join(&edit.case, &violation(2, 3), &desk));
    }
}

#[test]
fn policy_carries_a_case_as_far_as_a_department_is_known() {
    let mut text = PolicyText::default();
    text.defaults.automatic_to = Some("dispatched".into());
    let without = Desk::new(Policy::read(&[text.clone()]).unwrap(), Calendar::default());
    text.departments.push(policy::DepartmentText {
        kind: "*".into(),
        jurisdiction: "140105".into(),
        department: "office".into(),
    });
    let with = Desk::new(Policy::read(&[text]).unwrap(), Calendar::default());
    for (desk, stage) in [(without, Stage::Filed), (with, Stage::Dispatched)] {
        let case = Case::open(violation(1, 0), AT);
        let edit = Edit::begin(case, &Actor::system("telemetry"), "found", AT, &desk);
        assert_eq!(edit.case.stage, stage);
        assert!(edit.lines.iter().all(|line| line.role == Role::System));
        assert_eq!(edit.lines.last().unwrap().to, stage);
    }
}

#[test]
fn all_mistakes_of_a_policy_are_named() {
    let mut text = PolicyText {
        levels: Some(vec![0]),
        work_hours: Some(vec!["12:00-08:00".into()]),
        warning_percent: Some(0),
        ..PolicyText::default()
    };
    text.defaults.severity = Some("dire".into());
    text.defaults.category = Some("0104".into());
    text.kinds.insert("flying".into(), Default::default());
    text.departments.push(Default::default());
    assert_eq!(Policy::read(&[text]).unwrap_err().len(), 7);
}

#[test]
fn a_number_has_the_date_and_nineteen_digits() {
    let case = begun().case;
    // 2026-01-05T16:00 at local time.
    assert!(case.number().starts_with("20260105"), "{}", case.number());
    assert_eq!(case.number().len(), 19);
}

fn any_request() -> impl Strategy<Value = (Move, Role, i64, bool)> {
    (
        prop::sample::select(Move::ALL),
        prop::sample::select(Role::ALL),
        0_i64..90,
        any::<bool>(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn no_sequence_of_moves_leaves_the_table(requests in prop::collection::vec(any_request(), 0..40)) {
        let desk = desk();
        let mut case = begun().case;
        let mut at = later(1);
        for (name, role, minutes, ticks) in requests {
            at = at.plus_millis(minutes * 60_000);
            let mut edit = Edit::of(case.clone());
            if ticks {
                edit.tick(at, &desk);
            }
            let stage = edit.case.stage;
            let mut asked = request(name, role);
            asked.until = Some(at.plus_millis(3_600_000));
            let made = edit.make(&asked, at, &desk);
            let is_listed = Rule::of(name, stage).is_some_and(|rule| rule.by.contains(&role));
            prop_assert!(made.is_err() || is_listed);
            // Whatever was done: each line is a row, and the lines follow on each other.
            let mut from = case.stage;
            for line in &edit.lines {
                prop_assert_eq!(line.from, Some(from));
                let rule = Rule::of(line.name, from).unwrap();
                prop_assert_eq!(rule.leads_to(from), line.to);
                prop_assert!(rule.by.contains(&line.role));
                prop_assert_eq!(line.version, case.version + 1);
                from = line.to;
            }
            let after = &edit.case;
            prop_assert_eq!(after.stage, from);
            prop_assert_eq!(after.version, case.version + u32::from(!edit.lines.is_empty()));
            prop_assert!(after.moved <= after.version);
            // Clocks run exactly while the case is open.
            let open = after.clocks.iter().filter(|clock| clock.is_open()).count();
            prop_assert_eq!(open > 0, !after.stage.is_final());
            prop_assert_eq!(after.ended_at.is_some(), after.stage.is_final());
            let stands_still = after.clocks.iter().any(|c| c.is_open() && c.running_since.is_none());
            prop_assert_eq!(stands_still, after.deferred_until.is_some());
            let mut kinds: Vec<_> = after.clocks.iter().filter(|c| c.is_open()).map(|c| c.kind).collect();
            kinds.sort_unstable();
            let count = kinds.len();
            kinds.dedup();
            prop_assert_eq!(kinds.len(), count, "one clock of each kind at a time");
            case = edit.case;
        }
    }
}
