//! Cases, their history, snapshots.

use geofence::{
    case::{
        Case, Stage,
        desk::{Actor, Edit},
        policy::Desk,
    },
    identity::CaseId,
    units::Timestamp,
    violation::{Finding, Violation},
};
use storage::store::{CaseQuery, FindingBatch, FindingsWritten};
use uuid::Uuid;

use crate::setup::{LOG, MIDNIGHT, Subject, findings, violation};

async fn write(subject: &Subject, batch: &FindingBatch) -> FindingsWritten {
    subject.store.write_findings(batch).await.unwrap()
}

async fn stored(subject: &Subject, violation: &Violation) -> Option<Case> {
    subject
        .reopened()
        .await
        .case(Case::id_of(violation.id))
        .await
        .unwrap()
}

async fn stages(subject: &Subject, violation: &Violation) -> Vec<(Option<Stage>, Stage)> {
    let history = subject
        .store
        .case_history(Case::id_of(violation.id))
        .await
        .unwrap();
    assert!(
        history
            .iter()
            .all(|line| line.actor == "telemetry" && !line.remark.is_empty())
    );
    assert!(history.is_sorted_by_key(|line| line.at));
    history.iter().map(|line| (line.from, line.to)).collect()
}

/// The case that a finding opens where no policy says anything.
fn begun(violation: &Violation, at: Timestamp) -> Case {
    let by = Actor::system("telemetry");
    let case = Case::open(violation.clone(), at);
    Edit::begin(case, &by, "found", at, &Desk::default()).case
}

fn opened(violation: &Violation) -> Finding {
    Finding::Opened(violation.clone())
}

fn withdrawn(violation: &Violation) -> Finding {
    Finding::Withdrawn(violation.id, MIDNIGHT)
}

pub(crate) async fn a_case_opens_once(subject: &Subject) {
    let v = violation(1);
    let batch = findings(10, vec![opened(&v), opened(&v)]);
    let written = write(subject, &batch).await;
    let case = begun(&v, batch.at);
    assert_eq!(
        written,
        FindingsWritten {
            opened: vec![case.clone()],
            ..FindingsWritten::default()
        }
    );
    assert_eq!(
        write(subject, &findings(20, vec![opened(&v)])).await,
        FindingsWritten::default()
    );
    assert_eq!(stored(subject, &v).await, Some(case));
    assert_eq!(stages(subject, &v).await, [(None, Stage::Collected)]);
    assert_eq!(subject.store.case(CaseId(Uuid::nil())).await.unwrap(), None);
}

pub(crate) async fn a_replay_changes_nothing_and_tells_nothing(subject: &Subject) {
    let (v, w) = (violation(1), violation(2));
    let mut ended = v.clone();
    ended.ended_at = Some(MIDNIGHT.plus_millis(60_000));
    write(subject, &findings(10, vec![opened(&v), opened(&w)])).await;
    write(
        subject,
        &findings(20, vec![withdrawn(&v), Finding::Updated(w.clone())]),
    )
    .await;
    write(subject, &findings(30, vec![opened(&v)])).await;
    write(
        subject,
        &findings(40, vec![Finding::Updated(ended.clone()), withdrawn(&w)]),
    )
    .await;
    let before = (stored(subject, &v).await, stored(subject, &w).await);
    let history = (stages(subject, &v).await, stages(subject, &w).await);
    for replay in [
        findings(15, vec![opened(&v), opened(&w)]),
        findings(25, vec![withdrawn(&v)]),
        findings(
            40,
            vec![opened(&v), Finding::Updated(ended.clone()), withdrawn(&w)],
        ),
        findings(
            50,
            vec![
                opened(&w),
                opened(&v),
                Finding::Updated(ended),
                withdrawn(&w),
            ],
        ),
    ] {
        assert_eq!(
            write(subject, &replay).await,
            FindingsWritten::default(),
            "{replay:?}"
        );
    }
    assert_eq!(
        (stored(subject, &v).await, stored(subject, &w).await),
        before
    );
    assert_eq!(
        (stages(subject, &v).await, stages(subject, &w).await),
        history
    );
}

pub(crate) async fn an_update_keeps_stage_and_opening(subject: &Subject) {
    let mut v = violation(1);
    let first = findings(10, vec![opened(&v)]);
    write(subject, &first).await;
    v.ended_at = Some(MIDNIGHT.plus_millis(90_000));
    v.worst = 71.000_000_000_000_01;
    let second = findings(20, vec![Finding::Updated(v.clone())]);
    let written = write(subject, &second).await;
    let mut case = begun(&v, first.at);
    (case.changed_at, case.version) = (second.at, 2);
    assert_eq!(
        written,
        FindingsWritten {
            changed: vec![case.clone()],
            ..FindingsWritten::default()
        }
    );
    assert_eq!(stored(subject, &v).await, Some(case));
    assert_eq!(stages(subject, &v).await.len(), 1);
}

pub(crate) async fn an_update_of_an_unknown_violation_opens_its_case(subject: &Subject) {
    let v = violation(1);
    let unknown = withdrawn(&violation(2));
    let written = write(
        subject,
        &findings(10, vec![Finding::Updated(v.clone()), unknown]),
    )
    .await;
    assert_eq!((written.opened.len(), written.changed.len()), (1, 0));
    assert_eq!(stored(subject, &v).await.unwrap().stage, Stage::Collected);
    assert_eq!(stored(subject, &violation(2)).await, None);
}

pub(crate) async fn a_withdrawn_case_keeps_its_history(subject: &Subject) {
    let (v, w) = (violation(1), violation(2));
    write(subject, &findings(10, vec![opened(&v)])).await;
    let written = write(subject, &findings(20, vec![withdrawn(&v)])).await;
    assert_eq!(written.changed[0].stage, Stage::Withdrawn);
    assert_eq!(written.changed[0].changed_at, findings(20, vec![]).at);
    let line = (Some(Stage::Collected), Stage::Withdrawn);
    assert_eq!(stages(subject, &v).await, [(None, Stage::Collected), line]);
    // Opened and disproved between two batches: told as well.
    write(subject, &findings(30, vec![opened(&w), withdrawn(&w)])).await;
    assert_eq!(stages(subject, &w).await, [(None, Stage::Collected), line]);
}

pub(crate) async fn a_case_found_again_is_collected_again(subject: &Subject) {
    let v = violation(1);
    write(subject, &findings(10, vec![opened(&v)])).await;
    write(subject, &findings(20, vec![withdrawn(&v)])).await;
    let update = write(subject, &findings(25, vec![Finding::Updated(v.clone())])).await;
    assert_eq!(update, FindingsWritten::default());
    let written = write(subject, &findings(30, vec![opened(&v)])).await;
    assert_eq!(written.changed[0].stage, Stage::Collected);
    assert_eq!(written.changed[0].opened_at, findings(10, vec![]).at);
    let last = stages(subject, &v).await.pop();
    assert_eq!(last, Some((Some(Stage::Withdrawn), Stage::Collected)));
}

pub(crate) async fn snapshots_replace_older_ones_together_with_the_cursor(subject: &Subject) {
    let mut batch = findings(10, vec![]);
    batch.snapshots = [
        ("a".into(), vec![1, 0, 2]),
        ("b".into(), vec![7]),
        ("d".into(), vec![8]),
    ]
    .into();
    write(subject, &batch).await;
    assert_eq!(subject.store.cursor(LOG, "evaluator").await.unwrap(), None);
    let mut batch = findings(20, vec![]);
    batch.snapshots = [
        ("b".into(), vec![3]),
        ("c".into(), vec![4]),
        ("d".into(), vec![]),
    ]
    .into();
    batch.moves_cursor = true;
    write(subject, &batch).await;
    let store = subject.reopened().await;
    assert_eq!(store.cursor(LOG, "evaluator").await.unwrap(), Some(20));
    let expected = [
        ("a".into(), vec![1, 0, 2]),
        ("b".into(), vec![3]),
        ("c".into(), vec![4]),
    ];
    assert_eq!(store.snapshots().await.unwrap(), expected.into());
}

pub(crate) async fn jurisdictions_are_prefixes_of_the_unit_grid(subject: &Subject) {
    let grids = [
        Some("14010500100101"),
        Some("14010600100101"),
        Some("1401_600100101"),
        None,
    ];
    for (number, grid) in (0..).zip(grids) {
        let mut v = violation(number);
        v.unit_grid = grid.map(Into::into);
        let offset = u64::try_from(number).unwrap();
        write(subject, &findings(offset, vec![opened(&v)])).await;
    }
    for (prefixes, expected) in [
        (vec![], 4),
        (vec!["140106"], 1),
        (vec!["140105", "140106"], 2),
        (vec!["1401"], 3),
        (vec!["1401_6"], 1),
        (vec!["%"], 0),
        (vec!["14010500100101", "9"], 1),
        (vec!["140105001001011"], 0),
    ] {
        let jurisdictions = prefixes.iter().map(|&prefix| prefix.into()).collect();
        let query = CaseQuery {
            jurisdictions,
            limit: 10,
            ..CaseQuery::default()
        };
        assert_eq!(
            subject.store.cases(&query).await.unwrap().len(),
            expected,
            "{prefixes:?}"
        );
    }
}

pub(crate) async fn cases_are_counted_by_stage(subject: &Subject) {
    assert!(subject.store.cases_by_stage().await.unwrap().is_empty());
    write(
        subject,
        &findings(1, (0..3).map(|n| opened(&violation(n))).collect()),
    )
    .await;
    write(subject, &findings(2, vec![withdrawn(&violation(1))])).await;
    let expected = [(Stage::Collected, 2), (Stage::Withdrawn, 1)];
    assert_eq!(
        subject.store.cases_by_stage().await.unwrap(),
        expected.into()
    );
}

pub(crate) async fn texts_that_a_database_refuses_are_kept_readable(subject: &Subject) {
    let mut v = violation(1);
    v.rule.name = "a\0b".into();
    v.unit_grid = Some("14\0".into());
    v.worst = f64::INFINITY;
    let written = write(subject, &findings(1, vec![opened(&v)])).await;
    assert_eq!(
        written.opened[0].violation().unwrap().rule.name,
        "a\u{FFFD}b"
    );
    assert_eq!(stored(subject, &v).await.as_ref(), written.opened.first());
}
