//! What is too old goes from the store, and does not come back.

use geofence::units::Timestamp;
use harness::{TestGateway, now_s, report, until};
use storage::store::{Cursor, PositionBatch, PositionRow};
use tools::wire::{Revision, message_id};

const DAY: i64 = 86_400;

#[tokio::test(flavor = "multi_thread")]
async fn days_that_are_too_old_are_removed_and_late_positions_do_not_bring_them_back() {
    let settings = [
        ("store.retain_interval", "100ms"),
        ("store.positions_kept_for", "40days"),
    ];
    let gateway = TestGateway::start(&settings).await;
    let mut terminal = gateway.terminal("13800000001", Revision::V2013).await;
    // The last one is older than anything that is believed, and so of no day at all.
    for age in [0, 29 * DAY, 45 * DAY] {
        let body = report(37.87, 112.55, now_s() - age).body();
        let serial = terminal
            .send(message_id::LOCATION_REPORT, &body)
            .await
            .unwrap();
        assert_eq!(terminal.response(serial).await.unwrap().result, 0);
    }
    gateway.drained().await;
    let store = &gateway.app().gateway().store;
    let newest = store.latest_positions(None, 9).await.unwrap();
    let is_of = |age: i64| -> PositionRow {
        let mut row = newest[0].clone();
        row.position.fixed_at = Timestamp::from_seconds(now_s() - age);
        row
    };
    let old = vec![is_of(39 * DAY), is_of(42 * DAY), is_of(60 * DAY)];
    let cursor = Cursor {
        consumer: "of long ago".into(),
        ..Cursor::default()
    };
    let batch = PositionBatch {
        cursor,
        positions: old,
        quarantined: vec![],
    };
    store.write_positions(&batch).await.unwrap();
    let removed = "gridtrace_store_removed_total{what=\"days\"}";
    until("two days are gone", async || {
        (gateway.metrics().await.value(removed) == 2).then_some(())
    })
    .await;
    // 45 days ago has no day that could be removed again and again.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(gateway.metrics().await.value(removed), 2);
    assert_eq!(
        gateway
            .items("/api/v1/positions?from=2020-01-01T00:00:00Z")
            .await
            .len(),
        3
    );
    assert_eq!(gateway.items("/api/v1/quarantine").await.len(), 1);
    gateway.stop().await;
}
