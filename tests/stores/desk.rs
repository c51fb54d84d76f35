//! What people, clocks and policy do to stored cases.

use std::{collections::BTreeMap, sync::Arc};

use geofence::{
    case::{
        Case, Source, Stage,
        clock::ClockKind,
        desk::{Actor, MoveRequest, Refusal},
        moves::{Move, Role},
        policy::{DepartmentText, Desk, Policy, PolicyText},
    },
    catalog::Calendar,
    identity::CaseId,
    units::Timestamp,
    violation::{Finding, Violation},
};
use storage::store::{CaseOrder, CaseQuery, CaseWritten, FindingBatch, MoveOrder, Moved, Opening};
use uuid::Uuid;

use crate::setup::{MIDNIGHT, Subject, findings, violation};

fn desk() -> Arc<Desk> {
    let mut text = PolicyText::default();
    text.defaults.group_within_minutes = Some(10);
    let limit = "1 hour".parse().unwrap();
    text.defaults.limits.insert(ClockKind::Filing, limit);
    text.departments.push(DepartmentText {
        kind: "*".into(),
        jurisdiction: String::new(),
        department: "office".into(),
    });
    Arc::new(Desk::new(
        Policy::read(&[text]).unwrap(),
        Calendar::default(),
    ))
}

fn batch(offset: u64, found: Vec<Finding>) -> FindingBatch {
    FindingBatch {
        desk: desk(),
        ..findings(offset, found)
    }
}

/// Moments after the batches of these tests.
fn later(minutes: i64) -> Timestamp {
    findings(0, vec![]).at.plus_millis(minutes * 60_000)
}

/// One of another rule than those of other numbers: none of them belong together.
fn alone(number: u128) -> Violation {
    let mut alone = violation(number);
    alone.rule.id = format!("rule {number}");
    alone
}

async fn opened(subject: &Subject, number: u128) -> Case {
    let found = vec![Finding::Opened(alone(number))];
    let offset = u64::try_from(number).unwrap() + 1;
    let written = subject.store.write_findings(&batch(offset, found)).await;
    written.unwrap().opened.remove(0)
}

fn order(case: &Case, name: Move, role: Role) -> MoveOrder {
    let by = Actor {
        name: "li".into(),
        role,
        scope: String::new(),
        department: None,
    };
    MoveOrder {
        case: case.id,
        request: MoveRequest {
            version: Some(case.version),
            ..MoveRequest::new(name, by, "because")
        },
        at: later(1),
        desk: desk(),
    }
}

async fn done(subject: &Subject, order: &MoveOrder) -> Vec<CaseWritten> {
    match subject.store.move_case(order).await.unwrap() {
        Moved::Done(written) => written,
        other => panic!("{other:?}"),
    }
}

async fn stored(subject: &Subject, id: CaseId) -> Case {
    subject.reopened().await.case(id).await.unwrap().unwrap()
}

pub(crate) async fn of_two_who_saw_the_same_version_one_moves_the_case(subject: &Subject) {
    let case = opened(subject, 1).await;
    let accept = order(&case, Move::Accept, Role::Operator);
    let withdraw = order(&case, Move::Withdraw, Role::Leader);
    let (one, other) = tokio::join!(
        subject.store.move_case(&accept),
        subject.store.move_case(&withdraw)
    );
    let outcomes = [one.unwrap(), other.unwrap()];
    let is_done = |moved: &&Moved| matches!(moved, Moved::Done(_));
    let is_stale = |moved: &&Moved| matches!(moved, Moved::Refused(Refusal::Stale { .. }, _));
    assert_eq!(outcomes.iter().filter(is_done).count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(is_stale).count(), 1, "{outcomes:?}");
    let now = stored(subject, case.id).await;
    assert_eq!(now.version, 2);
    let history = subject.store.case_history(case.id).await.unwrap();
    assert_eq!(history.len(), 2);
    assert_eq!((history[1].to, history[1].version), (now.stage, 2));
    assert_eq!(history[1].actor, "li");
}

pub(crate) async fn what_was_done_under_a_key_is_not_done_again(subject: &Subject) {
    let case = opened(subject, 1).await;
    let mut accept = order(&case, Move::Accept, Role::Operator);
    accept.request.key = Some("k\u{0}1".into());
    let written = done(subject, &accept).await;
    assert_eq!(written[0].case.stage, Stage::Accepted);
    let again = subject.store.move_case(&accept).await.unwrap();
    assert_eq!(again, Moved::Repeated(Box::new(written[0].case.clone())));
    assert_eq!(subject.store.case_history(case.id).await.unwrap().len(), 2);
}

pub(crate) async fn a_refused_move_changes_nothing(subject: &Subject) {
    let case = opened(subject, 1).await;
    let close = order(&case, Move::Close, Role::Operator);
    let refused = subject.store.move_case(&close).await.unwrap();
    let why = Refusal::NotFrom(Move::Close, Stage::Collected);
    assert_eq!(refused, Moved::Refused(why, Box::new(case.clone())));
    assert_eq!(stored(subject, case.id).await, case);
    let mut unknown = close;
    unknown.case = CaseId(Uuid::nil());
    assert_eq!(
        subject.store.move_case(&unknown).await.unwrap(),
        Moved::Unknown
    );
    // A merge into a case that is not there.
    let mut merge = order(&case, Move::Merge, Role::Operator);
    merge.request.into = Some(CaseId(Uuid::nil()));
    let refused = subject.store.move_case(&merge).await.unwrap();
    assert!(
        matches!(refused, Moved::Refused(Refusal::Needs(..), _)),
        "{refused:?}"
    );
    assert_eq!(stored(subject, case.id).await, case);
}

pub(crate) async fn merged_cases_share_what_comes_later(subject: &Subject) {
    let (one, two) = (opened(subject, 1).await, opened(subject, 2).await);
    let mut merge = order(&two, Move::Merge, Role::Operator);
    merge.request.into = Some(one.id);
    let written = done(subject, &merge).await;
    assert_eq!(written.len(), 2);
    assert_eq!(written[0].case.stage, Stage::Withdrawn);
    let both = stored(subject, one.id).await;
    assert_eq!(both, written[1].case);
    assert_eq!(both.intervals.len(), 2);
    // The second violation belongs to the first case now.
    let gone = Finding::Withdrawn(alone(2).id, MIDNIGHT);
    let changed = subject.store.write_findings(&batch(50, vec![gone])).await;
    assert_eq!(changed.unwrap().changed[0].id, one.id);
    let both = stored(subject, one.id).await;
    assert_eq!(both.stage, Stage::Collected);
    assert!(!both.intervals[1].stands);
    assert_eq!(stored(subject, two.id).await, written[0].case);
}

pub(crate) async fn a_split_case_goes_its_own_way(subject: &Subject) {
    let (one, two) = (opened(subject, 1).await, opened(subject, 2).await);
    let mut merge = order(&two, Move::Merge, Role::Operator);
    merge.request.into = Some(one.id);
    let both = done(subject, &merge).await.remove(1).case;
    let mut split = order(&both, Move::Split, Role::Operator);
    split.request.violations = vec![alone(2).id];
    let written = done(subject, &split).await;
    let (kept, other) = (&written[0].case, &written[1].case);
    assert_eq!((kept.id, kept.intervals.len()), (one.id, 1));
    assert_eq!(stored(subject, other.id).await, *other);
    let gone = Finding::Withdrawn(alone(2).id, MIDNIGHT);
    let changed = subject.store.write_findings(&batch(50, vec![gone])).await;
    assert_eq!(changed.unwrap().changed[0].id, other.id);
    assert_eq!(stored(subject, other.id).await.stage, Stage::Withdrawn);
    let history = subject.store.case_history(other.id).await.unwrap();
    assert_eq!((history[0].name, history[0].from), (Move::Open, None));
}

pub(crate) fn by_hand(number: u128, description: &str) -> Opening {
    let mut case = Case::blank(CaseId(Uuid::from_u128(number)), Source::Citizen, later(0));
    case.description = description.into();
    case.category = "0104".into();
    case.unit_grid = Some("140105001".into());
    Opening {
        case,
        by: order(
            &Case::blank(CaseId(Uuid::nil()), Source::Manual, later(0)),
            Move::Open,
            Role::Operator,
        )
        .request
        .by,
        remark: "by telephone".into(),
        desk: desk(),
    }
}

pub(crate) async fn a_case_by_hand_has_no_violation_and_opens_once(subject: &Subject) {
    let (written, is_new) = subject
        .store
        .open_case(&by_hand(7, "dirty\0"))
        .await
        .unwrap();
    assert!(is_new);
    assert_eq!(written.case.description, "dirty\u{FFFD}");
    assert_eq!(written.case.kind(), None);
    assert_eq!(written.case.department.as_deref(), Some("office"));
    let (again, is_new) = subject.store.open_case(&by_hand(7, "other")).await.unwrap();
    assert!(!is_new);
    assert_eq!(again.case, written.case);
    assert_eq!(stored(subject, written.case.id).await, written.case);
    let history = subject.store.case_history(written.case.id).await.unwrap();
    assert_eq!(history, written.lines);
    assert_eq!((history.len(), history[0].actor.as_str()), (1, "li"));
    let tally = subject.store.tally().await.unwrap();
    assert_eq!((tally.cases, tally.case_violations), (1, 0));
}

pub(crate) async fn clocks_are_told_once_and_the_overdue_are_found(subject: &Subject) {
    for number in 1..=5 {
        subject
            .store
            .open_case(&by_hand(number, "dirty"))
            .await
            .unwrap();
    }
    let tick = |minutes, limit| {
        let desk = desk();
        async move {
            subject
                .store
                .tick_cases(later(minutes), &desk, limit)
                .await
                .unwrap()
        }
    };
    assert_eq!(tick(47, 9).await, []);
    // Two at a time, as two nodes would.
    let (one, other) = tokio::join!(tick(48, 3), tick(48, 3));
    let rest = tick(48, 9).await;
    let mut told: Vec<_> = one
        .iter()
        .chain(&other)
        .chain(&rest)
        .map(|w| w.case.id)
        .collect();
    told.sort();
    assert_eq!(told.len(), 5);
    told.dedup();
    assert_eq!(told.len(), 5);
    assert_eq!(
        rest.iter()
            .chain(&one)
            .chain(&other)
            .filter(|w| w.lines[0].name == Move::Warn)
            .count(),
        5
    );
    assert_eq!(tick(59, 9).await, []);
    let overdue = async |minutes| subject.store.cases_overdue(later(minutes)).await.unwrap();
    assert_eq!(overdue(60).await, BTreeMap::new());
    assert_eq!(overdue(61).await, BTreeMap::from([(Stage::Collected, 5)]));
    let said = tick(70, 9).await;
    assert_eq!(said.len(), 5);
    assert!(
        said.iter()
            .all(|w| w.lines[0].name == Move::Overdue && w.case.is_late())
    );
    assert_eq!(tick(100, 9).await, []);
    let query = CaseQuery {
        overdue_at: Some(later(61)),
        order: CaseOrder::Due,
        limit: 9,
        ..CaseQuery::default()
    };
    assert_eq!(subject.store.cases(&query).await.unwrap().len(), 5);
}

/// Of one group: a minute from this one on.
fn at(number: u128, minutes: i64) -> Violation {
    let mut one = violation(number);
    one.terminal = violation(1).terminal;
    one.rule = violation(1).rule;
    one.kind = violation(1).kind;
    one.started_at = MIDNIGHT.plus_millis(minutes * 60_000);
    one.confirmed_at = one.started_at;
    one.ended_at = Some(one.started_at.plus_millis(60_000));
    one
}

pub(crate) async fn cases_that_late_data_joins_are_merged_unless_a_person_acted(subject: &Subject) {
    let write = async |offset, found: Vec<Finding>| {
        let written = subject.store.write_findings(&batch(offset, found)).await;
        written.unwrap()
    };
    let last = async |case: CaseId| {
        let history = subject.store.case_history(case).await.unwrap();
        history.last().map(|line| (line.name, line.actor.clone()))
    };
    let id = |number| Case::id_of(at(number, 0).id);
    for number in [1, 2, 3] {
        let minutes = i64::try_from(number).unwrap() * 60;
        let found = vec![Finding::Opened(at(number, minutes))];
        let offset = u64::try_from(number).unwrap() * 10;
        assert_eq!(write(offset, found).await.opened.len(), 1);
    }
    let accept = order(&stored(subject, id(3)).await, Move::Accept, Role::Operator);
    done(subject, &accept).await;

    // The first one went on through the second one, which is no violation of its own any more.
    let mut longer = at(1, 60);
    longer.ended_at = Some(MIDNIGHT.plus_millis(125 * 60_000));
    let late = vec![
        Finding::Withdrawn(at(2, 120).id, MIDNIGHT),
        Finding::Updated(longer.clone()),
    ];
    assert_eq!(write(40, late.clone()).await.changed.len(), 2);
    let (one, two) = (stored(subject, id(1)).await, stored(subject, id(2)).await);
    assert_eq!(
        (two.stage, two.merged_into),
        (Stage::Withdrawn, Some(one.id))
    );
    assert_eq!(two.ended_by, Some(Role::System));
    assert_eq!(one.span(), (longer.started_at, longer.ended_at.unwrap()));
    let by_checks = |name| Some((name, "telemetry".to_owned()));
    assert_eq!(last(one.id).await, by_checks(Move::Absorb));
    assert_eq!(last(two.id).await, by_checks(Move::Merge));
    let again = write(40, late).await;
    assert_eq!((again.opened, again.changed), (vec![], vec![]));

    // The third one is near by now, and somebody has accepted it.
    for (offset, minutes) in [(50, 175), (60, 176)] {
        longer.ended_at = Some(MIDNIGHT.plus_millis(minutes * 60_000));
        write(offset, vec![Finding::Updated(longer.clone())]).await;
    }
    let (one, three) = (stored(subject, id(1)).await, stored(subject, id(3)).await);
    assert_eq!((three.stage, three.merged_into), (Stage::Accepted, None));
    assert_eq!(
        (one.beside, three.beside.clone()),
        (vec![id(3)], vec![id(1)])
    );
    assert_eq!(last(three.id).await, by_checks(Move::Amend));
    let history = subject.store.case_history(three.id).await.unwrap();
    let amended = history.iter().filter(|line| line.name == Move::Amend);
    assert_eq!(amended.count(), 1, "it is said once");
}

pub(crate) async fn violations_of_a_group_are_one_case_also_in_a_replay(subject: &Subject) {
    let (a, b, far) = (at(1, 0), at(2, 8), at(3, 30));
    let open = |v: &Violation| Finding::Opened(v.clone());
    let first = subject
        .store
        .write_findings(&batch(10, vec![open(&a)]))
        .await
        .unwrap();
    let case = first.opened[0].id;
    let second = batch(20, vec![open(&b), open(&far)]);
    let written = subject.store.write_findings(&second).await.unwrap();
    assert_eq!((written.opened.len(), written.changed.len()), (1, 1));
    let joined = stored(subject, case).await;
    assert_eq!(joined.intervals.len(), 2);
    assert_eq!(joined.span(), (a.started_at, b.ended_at.unwrap()));
    for replay in [
        batch(10, vec![open(&a)]),
        batch(15, vec![open(&a), open(&b)]),
        batch(30, vec![open(&a), open(&b), open(&far)]),
    ] {
        let written = subject.store.write_findings(&replay).await.unwrap();
        assert_eq!(
            (written.opened, written.changed),
            (vec![], vec![]),
            "{replay:?}"
        );
    }
    assert_eq!(stored(subject, case).await, joined);
    // Of another shift: another case, and one that is closed takes nothing any more.
    let mut other = batch(40, vec![open(&at(4, 9))]);
    other.shifts.insert(at(4, 9).id, "night".into());
    assert_eq!(
        subject
            .store
            .write_findings(&other)
            .await
            .unwrap()
            .opened
            .len(),
        1
    );
    done(subject, &order(&joined, Move::Withdraw, Role::Leader)).await;
    let late = batch(50, vec![open(&at(5, 10))]);
    assert_eq!(
        subject
            .store
            .write_findings(&late)
            .await
            .unwrap()
            .opened
            .len(),
        1
    );
}

pub(crate) async fn a_kind_that_opens_no_case_opens_none(subject: &Subject) {
    let mut text = PolicyText::default();
    text.defaults.opens = Some(false);
    let none = Desk::new(Policy::read(&[text]).unwrap(), Calendar::default());
    let mut found = findings(1, vec![Finding::Opened(violation(1))]);
    found.desk = Arc::new(none);
    let written = subject.store.write_findings(&found).await.unwrap();
    assert_eq!((written.opened.len(), written.unopened), (0, 1));
    assert_eq!(subject.store.tally().await.unwrap().cases, 0);
}

pub(crate) async fn cases_are_found_by_what_they_say(subject: &Subject) {
    let first = opened(subject, 1).await;
    let second = opened(subject, 2).await;
    let (by_hand, _) = subject.store.open_case(&by_hand(9, "dirty")).await.unwrap();
    let mut hand_over = order(&second, Move::HandOver, Role::Leader);
    hand_over.at = later(30);
    hand_over.request.jurisdiction = second
        .unit_grid
        .as_deref()
        .and_then(|grid| Some(grid.get(..6)?.to_owned()));
    assert_eq!(done(subject, &hand_over).await[0].case.handler.len(), 6);
    let (begin, end) = first.span();
    let find = |query: CaseQuery| async move {
        let query = CaseQuery { limit: 9, ..query };
        let found = subject.store.cases(&query).await.unwrap();
        found.into_iter().map(|case| case.id).collect::<Vec<_>>()
    };
    let query = CaseQuery::default;
    let source = Some(Source::Citizen);
    assert_eq!(
        find(CaseQuery { source, ..query() }).await,
        [by_hand.case.id]
    );
    let category = Some("0104".into());
    assert_eq!(
        find(CaseQuery {
            category,
            ..query()
        })
        .await,
        [by_hand.case.id]
    );
    let department = Some("office".into());
    assert_eq!(
        find(CaseQuery {
            department,
            ..query()
        })
        .await
        .len(),
        3
    );
    let department = Some("others".into());
    assert_eq!(
        find(CaseQuery {
            department,
            ..query()
        })
        .await
        .len(),
        0
    );
    let happened = Some((begin, end));
    assert!(
        find(CaseQuery {
            happened,
            ..query()
        })
        .await
        .contains(&first.id)
    );
    let happened = Some((
        end.plus_millis(1_000_000_000),
        end.plus_millis(2_000_000_000),
    ));
    assert_eq!(
        find(CaseQuery {
            happened,
            ..query()
        })
        .await
        .len(),
        0
    );
    let changed = find(CaseQuery {
        order: CaseOrder::Changed,
        ..query()
    })
    .await;
    assert_eq!(changed[0], second.id);
    // Pages in the order of what is due, the earliest first.
    let mut due = CaseQuery {
        order: CaseOrder::Due,
        limit: 2,
        ..query()
    };
    let page = subject.store.cases(&due).await.unwrap();
    assert_eq!(page.len(), 2);
    due.after = due.key(&page[1]);
    let rest = subject.store.cases(&due).await.unwrap();
    assert_eq!(rest.len(), 1);
    let all: Vec<_> = page.iter().chain(&rest).map(|case| case.due_at()).collect();
    assert!(all.is_sorted() && all[0].is_some());
}
