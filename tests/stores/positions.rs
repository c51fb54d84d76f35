//! Positions, latest positions, quarantine, cursors.

use geofence::{
    identity::TerminalId,
    position::{Inputs, QuarantineReason, Quarantined},
    units::Timestamp,
};
use storage::store::{Cursor, PositionBatch, PositionQuery, PositionRow, PositionsWritten, Store};
use uuid::Uuid;

use crate::setup::{LOG, MIDNIGHT, Subject, batch, row, terminal};

/// All positions, in the order of their time.
pub(crate) async fn all(store: &dyn Store) -> Vec<PositionRow> {
    let query = PositionQuery {
        terminal: None,
        from: Timestamp(0),
        to: Timestamp(i64::MAX),
        within: None,
        after: None,
        limit: 100_000,
    };
    store.positions(&query).await.unwrap()
}

pub(crate) fn report(terminal: TerminalId, digest: u32, received: i64) -> Quarantined {
    Quarantined {
        terminal,
        received_at: MIDNIGHT.plus_millis(received),
        log_offset: u64::MAX,
        digest,
        reason: QuarantineReason::Future,
        body: vec![0, 1, 255],
    }
}

pub(crate) async fn a_position_written_twice_is_one_row(subject: &Subject) {
    for copied in [1, 60] {
        let rows: Vec<_> = (0..copied)
            .map(|n| row(terminal(copied), n.into(), 7))
            .collect();
        let count = u64::from(copied);
        let first = subject
            .store
            .write_positions(&batch(1, rows.clone()))
            .await
            .unwrap();
        assert_eq!((first.inserted, first.duplicates), (count, 0));
        let again = subject
            .reopened()
            .await
            .write_positions(&batch(2, rows))
            .await
            .unwrap();
        assert_eq!((again.inserted, again.duplicates), (0, count));
    }
    assert_eq!(all(&*subject.store).await.len(), 61);
}

pub(crate) async fn duplicates_within_a_batch_are_one_row(subject: &Subject) {
    let mut rows: Vec<_> = (0..60).map(|n| row(terminal(1), n, 7)).collect();
    rows.extend(rows.clone());
    let written = subject
        .store
        .write_positions(&batch(1, rows))
        .await
        .unwrap();
    assert_eq!((written.inserted, written.duplicates), (60, 60));
    let one = row(terminal(2), 5, 1);
    let written = subject
        .store
        .write_positions(&batch(2, vec![one.clone(), one.clone(), one]))
        .await
        .unwrap();
    assert_eq!((written.inserted, written.duplicates), (1, 2));
}

pub(crate) async fn a_row_comes_back_as_it_was_written(subject: &Subject) {
    let full = row(terminal(1), 0, u32::MAX);
    let mut bare = row("f".parse().unwrap(), 1, 0);
    bare.unit_grid = None;
    bare.position.log_offset = u64::MAX;
    bare.position.altitude_m = None;
    bare.position.odometer_dkm = None;
    bare.position.satellites = None;
    bare.position.inputs = Inputs::default();
    bare.position.is_positioned = false;
    bare.position.is_backlog = true;
    bare.position.speed_dkmh = u16::MAX;
    for repeat in [1_i64, 60] {
        // Small batches and large ones take different ways on PostgreSQL.
        let mut rows = vec![full.clone(), bare.clone()];
        for row in &mut rows {
            row.position.fixed_at = row.position.fixed_at.plus_millis(repeat * 100_000 + 1);
        }
        let mut filled = rows.clone();
        filled.extend((1..repeat).map(|n| row(terminal(9), -n, 0)));
        subject
            .store
            .write_positions(&batch(1, filled))
            .await
            .unwrap();
        let query = PositionQuery {
            terminal: None,
            from: rows[0].position.fixed_at,
            to: rows[1].position.fixed_at.plus_millis(1),
            within: None,
            after: None,
            limit: 10,
        };
        assert_eq!(subject.store.positions(&query).await.unwrap(), rows);
        let latest = subject.store.latest_positions(None, 10).await.unwrap();
        assert!(rows.iter().all(|row| latest.contains(row)), "{latest:?}");
    }
}

pub(crate) async fn two_reports_of_the_same_second_are_two_rows(subject: &Subject) {
    let rows = vec![row(terminal(1), 0, 1), row(terminal(1), 0, 2)];
    let written = subject
        .store
        .write_positions(&batch(1, rows.clone()))
        .await
        .unwrap();
    assert_eq!(written.inserted, 2);
    assert_eq!(all(&*subject.store).await, rows);
    assert_eq!(
        subject.store.latest_positions(None, 9).await.unwrap(),
        [rows[1].clone()]
    );
}

pub(crate) async fn backlog_does_not_move_the_latest_position(subject: &Subject) {
    let newest = row(terminal(1), 100, 1);
    let inside = vec![
        row(terminal(1), 50, 2),
        newest.clone(),
        row(terminal(1), 99, 3),
    ];
    subject
        .store
        .write_positions(&batch(1, inside))
        .await
        .unwrap();
    let backlog = (0..80).map(|n| row(terminal(1), n, 4)).collect();
    subject
        .store
        .write_positions(&batch(2, backlog))
        .await
        .unwrap();
    assert_eq!(
        subject.store.latest_positions(None, 9).await.unwrap(),
        [newest]
    );
}

pub(crate) async fn latest_positions_are_paged_by_terminal(subject: &Subject) {
    // Text order, not the order of numbers or of arrival.
    let mut ids: Vec<TerminalId> = ["9", "10", "1", "ab", "13800138000", "2"]
        .iter()
        .map(|id| id.parse().unwrap())
        .collect();
    let rows = ids.iter().map(|id| row(*id, 0, 0)).collect();
    subject
        .store
        .write_positions(&batch(1, rows))
        .await
        .unwrap();
    ids.sort_unstable();
    // In two pages, in one that is full, and in one that has room left.
    for limit in [4, 6, 7] {
        let mut found = Vec::new();
        loop {
            let page = subject
                .store
                .latest_positions(found.last().copied(), limit)
                .await
                .unwrap();
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= usize::try_from(limit).unwrap());
            found.extend(page.iter().map(|row| row.position.terminal));
        }
        assert_eq!(found, ids);
    }
}

pub(crate) async fn the_cursor_moves_with_the_rows(subject: &Subject) {
    assert_eq!(subject.store.cursor(LOG, "store").await.unwrap(), None);
    subject
        .store
        .write_positions(&batch(u64::MAX, vec![row(terminal(1), 0, 0)]))
        .await
        .unwrap();
    let store = subject.reopened().await;
    assert_eq!(store.cursor(LOG, "store").await.unwrap(), Some(u64::MAX));
    store.write_positions(&batch(8, vec![])).await.unwrap();
    assert_eq!(subject.store.cursor(LOG, "store").await.unwrap(), Some(8));
}

pub(crate) async fn cursors_of_other_logs_and_consumers_are_apart(subject: &Subject) {
    subject
        .store
        .write_positions(&batch(5, vec![]))
        .await
        .unwrap();
    let cursor = Cursor {
        log: Uuid::from_u128(2),
        consumer: "store".into(),
        offset: 1,
    };
    let other = PositionBatch {
        cursor,
        ..batch(0, vec![])
    };
    subject.store.write_positions(&other).await.unwrap();
    assert_eq!(subject.store.cursor(LOG, "store").await.unwrap(), Some(5));
    assert_eq!(subject.store.cursor(LOG, "evaluator").await.unwrap(), None);
    assert_eq!(
        subject
            .store
            .cursor(Uuid::from_u128(2), "store")
            .await
            .unwrap(),
        Some(1)
    );
}

pub(crate) async fn a_batch_over_many_days_is_written_whole(subject: &Subject) {
    let day = 86_400;
    let mut rows: Vec<_> = (-20..20).map(|n| row(terminal(1), n * day, 1)).collect();
    rows.extend((-20..20).map(|n| row(terminal(1), n * day - 1, 1)));
    let written = subject
        .store
        .write_positions(&batch(1, rows.clone()))
        .await
        .unwrap();
    assert_eq!(written.inserted, 80);
    rows.sort_by_key(|row| row.position.fixed_at);
    assert_eq!(all(&*subject.store).await, rows);
}

pub(crate) async fn quarantine_keeps_each_report_once(subject: &Subject) {
    let older = report(terminal(1), 1, 0);
    let newer = Quarantined {
        reason: QuarantineReason::NoTime,
        ..report(terminal(1), 1, 5)
    };
    let mut first = batch(1, vec![]);
    first.quarantined = vec![older.clone(), older.clone()];
    let written = subject.store.write_positions(&first).await.unwrap();
    assert_eq!(
        written,
        PositionsWritten {
            inserted: 0,
            duplicates: 1,
            quarantined: 1,
            refused: 0
        }
    );
    first.quarantined.push(newer.clone());
    let written = subject.store.write_positions(&first).await.unwrap();
    assert_eq!(
        written,
        PositionsWritten {
            inserted: 0,
            duplicates: 2,
            quarantined: 1,
            refused: 0
        }
    );
    let all = subject.store.quarantined(None, 9).await.unwrap();
    let reports: Vec<_> = all.iter().map(|row| &row.report).collect();
    assert_eq!(reports, [&newer, &older]);
    let first = subject.store.quarantined(None, 1).await.unwrap();
    assert_eq!(first[..], all[..1]);
    let second = subject
        .store
        .quarantined(Some(first[0].number), 9)
        .await
        .unwrap();
    assert_eq!(second[..], all[1..]);
}

pub(crate) async fn a_fix_in_no_possible_year_goes_to_quarantine(subject: &Subject) {
    let mut impossible = row(terminal(1), 0, 9);
    impossible.position.fixed_at = Timestamp(i64::MAX);
    let rows = vec![row(terminal(1), 0, 1), impossible.clone()];
    let written = subject
        .store
        .write_positions(&batch(1, rows))
        .await
        .unwrap();
    assert_eq!(
        written,
        PositionsWritten {
            inserted: 1,
            duplicates: 0,
            quarantined: 1,
            refused: 0
        }
    );
    let reports = subject.store.quarantined(None, 9).await.unwrap();
    assert_eq!(reports[0].report.reason, QuarantineReason::Refused);
    assert_eq!(reports[0].report.digest, 9);
    assert_eq!(
        serde_json::from_slice::<PositionRow>(&reports[0].report.body).unwrap(),
        impossible
    );
    assert_eq!(
        subject.store.latest_positions(None, 9).await.unwrap()[0]
            .position
            .digest,
        1
    );
}

pub(crate) async fn the_counts_of_a_batch_add_up(subject: &Subject) {
    let mut dice = crate::setup::Dice(11);
    for offset in 0..20 {
        let count = dice.below(90);
        let mut rows = batch(offset, vec![]);
        for _ in 0..count {
            let place = (terminal(dice.below(5)), dice.below(100_000));
            rows.positions
                .push(row(place.0, place.1.into(), dice.below(2)));
            rows.quarantined.push(report(place.0, dice.below(20), 0));
        }
        let written = subject.store.write_positions(&rows).await.unwrap();
        let sum = written.inserted + written.duplicates + written.quarantined + written.refused;
        assert_eq!(sum, u64::from(count) * 2);
    }
}
