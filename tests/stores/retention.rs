//! What is too old goes, by whole days.

use geofence::{case::Case, units::Timestamp, violation::Finding};
use storage::store::{Retained, Retention};

use crate::{
    positions::{all, report},
    setup::{MIDNIGHT, Subject, batch, findings, row, terminal, violation},
};

const DAY: i64 = 86_400;

/// Moments in seconds after [`MIDNIGHT`].
fn before(positions: Option<i64>, quarantine: Option<i64>) -> Retention {
    let moment = |seconds: i64| MIDNIGHT.plus_millis(seconds * 1_000);
    Retention {
        positions_before: positions.map(moment),
        quarantined_before: quarantine.map(moment),
    }
}

async fn times(subject: &Subject) -> Vec<i64> {
    let rows = all(&*subject.store).await;
    // By a store that was opened later, and has nothing in memory.
    assert_eq!(all(&*subject.reopened().await).await, rows);
    let since = |at: Timestamp| (at.millis() - MIDNIGHT.millis()) / 1_000;
    rows.iter()
        .map(|row| since(row.position.fixed_at))
        .collect()
}

pub(crate) async fn days_that_are_over_go_and_the_rest_stays(subject: &Subject) {
    let seconds = [-2 * DAY, -DAY - 1, -DAY, -1, 0, DAY];
    let rows = seconds.map(|seconds| row(terminal(1), seconds, 1)).to_vec();
    subject
        .store
        .write_positions(&batch(1, rows))
        .await
        .unwrap();
    // Another terminal's newest position is of a day that goes.
    let old = row(terminal(2), -2 * DAY, 1);
    subject
        .store
        .write_positions(&batch(2, vec![old.clone()]))
        .await
        .unwrap();
    // Files and plans are open when they go.
    assert_eq!(times(subject).await.len(), 7);
    let retained = subject.store.retain(&before(Some(-1), None)).await.unwrap();
    assert_eq!(
        retained,
        Retained {
            days: 1,
            quarantined: 0
        }
    );
    assert_eq!(times(subject).await, [-DAY, -1, 0, DAY]);
    let again = subject.store.retain(&before(Some(-1), None)).await.unwrap();
    assert_eq!(again, Retained::default());
    let retained = subject.store.retain(&before(Some(0), None)).await.unwrap();
    assert_eq!(retained.days, 1);
    assert_eq!(times(subject).await, [0, DAY]);
    let latest = subject.store.latest_positions(None, 9).await.unwrap();
    assert_eq!(latest.len(), 2);
    assert!(latest.contains(&old), "{latest:?}");
}

pub(crate) async fn what_is_kept_for_ever_stays(subject: &Subject) {
    let mut batch = batch(1, vec![row(terminal(1), -9_000 * DAY, 1)]);
    batch.quarantined = vec![report(terminal(1), 1, -9_000 * DAY * 1_000)];
    subject.store.write_positions(&batch).await.unwrap();
    let retained = subject.store.retain(&Retention::default()).await.unwrap();
    assert_eq!(retained, Retained::default());
    assert_eq!(times(subject).await.len(), 1);
    assert_eq!(subject.store.quarantined(None, 9).await.unwrap().len(), 1);
}

pub(crate) async fn a_day_that_went_can_come_again_and_goes_again(subject: &Subject) {
    let rows = |digest| {
        (0..60)
            .map(|n| row(terminal(n % 2), n.into(), digest))
            .collect()
    };
    subject
        .store
        .write_positions(&batch(1, rows(1)))
        .await
        .unwrap();
    assert_eq!(times(subject).await.len(), 60);
    for digest in [2, 3] {
        let retained = subject
            .store
            .retain(&before(Some(DAY), None))
            .await
            .unwrap();
        assert_eq!(retained.days, 1);
        assert_eq!(times(subject).await.len(), 0);
        let late = batch(u64::from(digest), rows(digest));
        assert_eq!(
            subject.store.write_positions(&late).await.unwrap().inserted,
            60
        );
        assert_eq!(times(subject).await.len(), 60);
    }
}

pub(crate) async fn reports_in_quarantine_go_by_their_receipt(subject: &Subject) {
    let mut batch = batch(1, vec![row(terminal(1), 0, 1)]);
    batch.quarantined = (0..10)
        .map(|n| report(terminal(n), n, i64::from(n % 5) * 1_000))
        .collect();
    subject.store.write_positions(&batch).await.unwrap();
    let retained = subject.store.retain(&before(None, Some(2))).await.unwrap();
    assert_eq!(
        retained,
        Retained {
            days: 0,
            quarantined: 4
        }
    );
    let left = subject.store.quarantined(None, 99).await.unwrap();
    assert_eq!(left.len(), 6);
    assert!(
        left.iter()
            .all(|row| row.report.received_at >= MIDNIGHT.plus_millis(2_000))
    );
    assert_eq!(times(subject).await, [0]);
}

pub(crate) async fn cases_keep_their_evidence(subject: &Subject) {
    let v = violation(1);
    subject
        .store
        .write_findings(&findings(10, vec![Finding::Opened(v.clone())]))
        .await
        .unwrap();
    subject
        .store
        .write_positions(&batch(1, vec![row(terminal(1), 0, 1)]))
        .await
        .unwrap();
    let (before_all, id) = (before(Some(9 * DAY), Some(9 * DAY)), Case::id_of(v.id));
    assert_eq!(subject.store.retain(&before_all).await.unwrap().days, 1);
    let case = subject.store.case(id).await.unwrap().unwrap();
    assert_eq!(case.violation(), Some(&v));
    assert_eq!(subject.store.case_history(id).await.unwrap().len(), 1);
}
