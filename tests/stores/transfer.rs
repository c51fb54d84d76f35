//! What a move to another store reads and writes.

use geofence::{units::Timestamp, violation::Finding};
use storage::store::{Cursor, Import, PositionTally, Store, Tally};
use uuid::Uuid;

use crate::{
    positions::report,
    setup::{self, LOG, MIDNIGHT, Subject, batch, findings, row, terminal, violation},
};

const DAY: i64 = 86_400;

/// Cases that opened, changed, were withdrawn and found again; snapshots; two cursors.
async fn fill(store: &dyn Store) {
    for (offset, number) in (1..).zip(0..7) {
        let opened = Finding::Opened(violation(number));
        store
            .write_findings(&findings(offset, vec![opened]))
            .await
            .unwrap();
    }
    let gone = |number| Finding::Withdrawn(violation(number).id, MIDNIGHT);
    store
        .write_findings(&findings(10, vec![gone(1), gone(4)]))
        .await
        .unwrap();
    let again = Finding::Opened(violation(4));
    let mut last = findings(11, vec![again]);
    last.snapshots = [("a".into(), vec![1, 0, 2]), ("b".into(), vec![7])].into();
    last.moves_cursor = true;
    store.write_findings(&last).await.unwrap();
    let rows = (0..60)
        .map(|n| row(terminal(n % 4), i64::from(n) * 7_000, n))
        .collect();
    let mut positions = batch(12, rows);
    positions.quarantined = (0..3).map(|n| report(terminal(n), n, 0)).collect();
    store.write_positions(&positions).await.unwrap();
}

async fn import_of(store: &dyn Store) -> Import {
    let mut cases = Vec::new();
    loop {
        let after = cases
            .last()
            .map(|record: &storage::store::CaseRecord| record.case.id);
        let page = store.case_records(after, 3).await.unwrap();
        if page.is_empty() {
            break;
        }
        cases.extend(page);
    }
    Import {
        latest: store.latest_positions(None, 99).await.unwrap(),
        cases,
        snapshots: store.snapshots().await.unwrap(),
        cursors: store.cursors().await.unwrap(),
        ended: vec![],
    }
}

pub(crate) async fn what_a_store_had_another_one_takes_over_and_gives_again(subject: &Subject) {
    let source = setup::embedded().await.unwrap();
    fill(&*source.store).await;
    let import = import_of(&*source.store).await;
    assert_eq!((import.cases.len(), import.latest.len()), (7, 4));
    let changes: Vec<_> = import
        .cases
        .iter()
        .map(|record| record.history.len())
        .collect();
    assert_eq!(changes.iter().sum::<usize>(), 10);
    assert_eq!(changes.iter().max(), Some(&3));
    for _ in 0..2 {
        subject.store.import(&import).await.unwrap();
        let taken = import_of(&*subject.reopened().await).await;
        assert_eq!(taken.cases, import.cases);
        assert_eq!(taken.latest, import.latest);
        assert_eq!(taken.snapshots, import.snapshots);
        assert_eq!(taken.cursors, import.cursors);
        let tally = Tally {
            latest: 4,
            quarantined: 0,
            cases: 7,
            case_changes: 10,
            case_violations: 7,
            snapshots: 2,
        };
        assert_eq!(subject.store.tally().await.unwrap(), tally);
    }
    // It goes on as the other one would have: what was judged is judged.
    let replay = findings(11, vec![Finding::Withdrawn(violation(4).id, MIDNIGHT)]);
    let written = subject.store.write_findings(&replay).await.unwrap();
    assert_eq!(written.changed, []);
    let news = findings(13, vec![Finding::Withdrawn(violation(4).id, MIDNIGHT)]);
    assert_eq!(
        subject
            .store
            .write_findings(&news)
            .await
            .unwrap()
            .changed
            .len(),
        1
    );
    assert_eq!(subject.store.tally().await.unwrap().case_changes, 11);
}

pub(crate) async fn an_import_does_not_put_an_older_position_before_a_newer_one(subject: &Subject) {
    let newer = row(terminal(1), 100, 1);
    subject
        .store
        .write_positions(&batch(1, vec![newer.clone()]))
        .await
        .unwrap();
    let import = Import {
        latest: vec![row(terminal(1), 50, 1), row(terminal(2), 50, 1)],
        ..Import::default()
    };
    subject.store.import(&import).await.unwrap();
    let latest = subject.store.latest_positions(None, 9).await.unwrap();
    assert_eq!(latest, [newer, row(terminal(2), 50, 1)]);
    // They are in no track.
    let all = (Timestamp(0), Timestamp(i64::MAX));
    assert_eq!(
        subject
            .store
            .tally_positions(all.0, all.1)
            .await
            .unwrap()
            .rows,
        1
    );
}

pub(crate) async fn cursors_of_an_import_replace_and_end_others(subject: &Subject) {
    let cursor = |log, consumer: &str, offset| Cursor {
        log,
        consumer: consumer.into(),
        offset,
    };
    let other = Uuid::from_u128(7);
    let import = Import {
        cursors: vec![
            cursor(other, "move", u64::MAX),
            cursor(LOG, "a", 1),
            cursor(LOG, "b", 2),
        ],
        ..Import::default()
    };
    subject.store.import(&import).await.unwrap();
    assert_eq!(subject.store.cursors().await.unwrap(), import.cursors);
    let import = Import {
        cursors: vec![cursor(LOG, "b", 3)],
        ended: vec![(other, "move".into()), (other, "a".into())],
        ..Import::default()
    };
    subject.store.import(&import).await.unwrap();
    let left = subject.reopened().await.cursors().await.unwrap();
    assert_eq!(left, [cursor(LOG, "a", 1), cursor(LOG, "b", 3)]);
}

pub(crate) async fn positions_are_counted_within_a_range(subject: &Subject) {
    assert_eq!(subject.store.tally().await.unwrap(), Tally::default());
    let rows = [
        (-1, 3),
        (0, u32::MAX),
        (0, u32::MAX - 1),
        (DAY - 1, 4),
        (DAY, 9),
    ];
    let rows = rows
        .map(|(seconds, digest)| row(terminal(1), seconds, digest))
        .to_vec();
    subject
        .store
        .write_positions(&batch(1, rows))
        .await
        .unwrap();
    let count = async |from: i64, to: i64| {
        let moment = |seconds: i64| MIDNIGHT.plus_millis(seconds * 1_000);
        let store = &subject.store;
        store
            .tally_positions(moment(from), moment(to))
            .await
            .unwrap()
    };
    let tally = |rows, digests| PositionTally { rows, digests };
    let two = 2 * u64::from(u32::MAX) - 1;
    assert_eq!(count(0, DAY).await, tally(3, two + 4));
    assert_eq!(count(0, DAY - 1).await, tally(2, two));
    assert_eq!(count(-DAY, 2 * DAY).await, tally(5, two + 16));
    assert_eq!(count(7 * DAY, 8 * DAY).await, tally(0, 0));
}
