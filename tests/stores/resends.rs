//! The ways that rows go into a database server: straight into the table, and, where they may be
//! there already, by way of a temporary table. Which one it is must not be seen in what is stored.

use std::{collections::BTreeSet, sync::Arc};

use storage::{
    store::{PositionRow, Store},
    timescale::{Options, TimescaleStore},
};

use crate::{
    positions::all,
    setup::{self, Dice, Subject, batch, row, terminal},
};

/// Every kind of server.
async fn subjects() -> impl Iterator<Item = Subject> {
    [setup::postgres().await, setup::timescale().await]
        .into_iter()
        .flatten()
}

/// Rows of ten terminals from one second to another.
fn rows(seconds: std::ops::Range<u32>) -> Vec<PositionRow> {
    let of_second = |second| (0..10).map(move |n| row(terminal(n), i64::from(second), second));
    seconds.flat_map(of_second).collect()
}

async fn write(store: &dyn Store, offset: u64, rows: Vec<PositionRow>) -> (u64, u64) {
    let count = u64::try_from(rows.len()).unwrap();
    let written = store.write_positions(&batch(offset, rows)).await.unwrap();
    assert_eq!(written.inserted + written.duplicates, count);
    assert_eq!((written.quarantined, written.refused), (0, 0));
    (written.inserted, written.duplicates)
}

/// No identity twice, as the table itself says.
async fn nothing_is_twice(subject: &Subject) {
    let twice = "SELECT 1 / (1 - least(count(*), 1)) FROM (SELECT FROM gridtrace.positions \
                 GROUP BY terminal, fixed_at, digest HAVING count(*) > 1) twice";
    subject.execute(twice).await;
}

#[tokio::test]
async fn new_and_resent_rows_in_a_batch_are_told_apart() {
    for subject in subjects().await {
        let store = &*subject.store;
        assert_eq!(write(store, 1, rows(0..20)).await, (200, 0));
        // Few resent ones go as arrays, many are copied; then the new ones are few, then none.
        assert_eq!(write(store, 2, rows(18..40)).await, (200, 20));
        assert_eq!(write(store, 3, rows(20..50)).await, (100, 200));
        assert_eq!(write(store, 4, rows(20..52)).await, (20, 300));
        assert_eq!(write(store, 5, rows(0..52)).await, (0, 520));
        // Each twice in its batch.
        let twice = [rows(50..60), rows(50..60)].concat();
        assert_eq!(write(store, 6, twice).await, (80, 120));
        nothing_is_twice(&subject).await;
        assert_eq!(all(store).await.len(), 600);
        let latest = store.latest_positions(None, 99).await.unwrap();
        assert_eq!(latest, rows(59..60), "{}", store.description());
    }
}

#[tokio::test]
async fn what_another_node_wrote_is_found_by_the_database() {
    for subject in subjects().await {
        let (one, other) = (Arc::clone(&subject.store), subject.reopened().await);
        assert_eq!(write(&*one, 1, rows(0..20)).await, (200, 0));
        // It knows nothing of these, and takes all for new; the last one alone is not.
        assert_eq!(write(&*other, 2, rows(19..40)).await, (200, 10));
        // Behind a wrong guess, batches go the safe way, and after some of them straight again.
        for offset in 3..12_u32 {
            let next = offset * 20 - 20;
            let written = write(&*other, offset.into(), rows(next..next + 20)).await;
            assert_eq!(written, (200, 0));
        }
        assert_eq!(write(&*one, 20, rows(10..230)).await, (100, 2_100));
        nothing_is_twice(&subject).await;
        assert_eq!(all(&*one).await.len(), 2_300);
        let latest = one.latest_positions(None, 99).await.unwrap();
        assert_eq!(latest, rows(229..230));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_nodes_that_write_the_same_rows_at_once_write_each_once() {
    for subject in subjects().await {
        let nodes = [Arc::clone(&subject.store), subject.reopened().await];
        let writing = nodes.into_iter().zip(1_u32..).map(|(store, seed)| {
            tokio::spawn(async move {
                let mut dice = Dice(seed.into());
                let mut inserted = 0;
                // Both cover every second; the batches overlap by chance.
                let mut from = 0;
                for offset in 1.. {
                    if from >= 200 {
                        break;
                    }
                    let to = (from + 6 + dice.below(30)).min(200);
                    let rows = rows(from.saturating_sub(dice.below(4))..to);
                    inserted += write(&*store, offset, rows).await.0;
                    from = to;
                }
                inserted
            })
        });
        let mut inserted = 0;
        for node in writing.collect::<Vec<_>>() {
            inserted += node.await.unwrap();
        }
        assert_eq!(inserted, 2_000, "{}", subject.store.description());
        nothing_is_twice(&subject).await;
        assert_eq!(all(&*subject.store).await.len(), 2_000);
        let latest = subject.store.latest_positions(None, 99).await.unwrap();
        assert_eq!(latest, rows(199..200));
    }
}

#[tokio::test]
async fn a_random_order_of_new_and_resent_rows_stores_each_once() {
    for subject in subjects().await {
        let mut store = Arc::clone(&subject.store);
        let mut dice = Dice(7);
        let mut there = BTreeSet::new();
        for offset in 1..60 {
            if dice.below(8) == 0 {
                store = subject.reopened().await;
            }
            let count = 1 + dice.below(200);
            let mut new = 0;
            let rows = (0..count).map(|_| {
                let (who, second) = (dice.below(5), dice.below(400));
                new += u64::from(there.insert((who, second)));
                row(terminal(who), second.into(), second)
            });
            let rows: Vec<_> = rows.collect();
            let written = write(&*store, offset, rows).await;
            assert_eq!(written, (new, u64::from(count) - new), "batch {offset}");
        }
        nothing_is_twice(&subject).await;
        assert_eq!(all(&*store).await.len(), there.len());
    }
}

/// A store that was away for days gets rows that came fresh, into chunks that are compressed.
#[tokio::test]
async fn rows_are_copied_straight_into_compressed_chunks() {
    let Some(subject) = setup::timescale().await else {
        return;
    };
    let even = |rows: Vec<PositionRow>| rows.into_iter().step_by(2).collect::<Vec<_>>();
    assert_eq!(write(&*subject.store, 1, even(rows(0..60))).await, (300, 0));
    let compress = "SELECT compress_chunk(show_chunks('gridtrace.positions'))";
    subject.execute(compress).await;
    // New ones and old ones, by a node that knows of neither: the database refuses the old ones.
    let other = subject.reopened().await;
    assert_eq!(write(&*other, 2, rows(0..30)).await, (150, 150));
    nothing_is_twice(&subject).await;
    subject.execute(compress).await;
    // New ones only, between those that are there: nothing of what is compressed is in the way.
    let third = subject.reopened().await;
    let new: Vec<_> = rows(30..60).into_iter().skip(1).step_by(2).collect();
    assert_eq!(write(&*third, 3, new).await, (150, 0));
    nothing_is_twice(&subject).await;
    assert_eq!(all(&*third).await.len(), 600);
    assert_eq!(write(&*third, 4, rows(0..60)).await, (0, 600));
}

/// Whatever a database refuses for another reason than its being there.
#[tokio::test]
async fn a_row_that_is_refused_among_new_and_resent_ones_blocks_nobody() {
    const REFUSE: &str = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
        $$ BEGIN RAISE EXCEPTION 'no'; END $$; \
        CREATE TRIGGER refuse BEFORE INSERT ON gridtrace.positions FOR EACH ROW \
        WHEN (NEW.speed_dkmh = 666) EXECUTE FUNCTION refuse()";
    for subject in subjects().await {
        subject.execute(REFUSE).await;
        let store = &*subject.store;
        assert_eq!(write(store, 1, rows(0..20)).await, (200, 0));
        let mut mixed = rows(10..40);
        for index in [105, 200, 299] {
            mixed[index].position.speed_dkmh = 666;
        }
        let written = store
            .write_positions(&batch(2, mixed.clone()))
            .await
            .unwrap();
        assert_eq!((written.inserted, written.duplicates), (197, 100));
        assert_eq!((written.quarantined, written.refused), (3, 0));
        let again = store.write_positions(&batch(3, mixed)).await.unwrap();
        assert_eq!((again.inserted, again.duplicates), (0, 300));
        nothing_is_twice(&subject).await;
        assert_eq!(all(store).await.len(), 397);
    }
}

/// What is copied is what comes back: every value at its edges, and every one that may be missing.
#[tokio::test]
async fn copied_values_come_back_as_they_were() {
    for subject in subjects().await {
        let mut all_of = rows(0..10);
        for (row, number) in all_of.iter_mut().zip(0_u32..) {
            let p = &mut row.position;
            match number % 4 {
                0 => {
                    p.altitude_m = None;
                    p.odometer_dkm = None;
                    p.satellites = None;
                    p.inputs = Default::default();
                    row.unit_grid = None;
                }
                1 => {
                    p.altitude_m = Some(i16::MIN);
                    p.log_offset = u64::MAX;
                    p.speed_dkmh = u16::MAX;
                    p.heading_deg = u16::MAX;
                    p.digest = u32::MAX - number;
                    (p.is_positioned, p.is_backlog) = (false, true);
                    row.unit_grid = Some("网格,\"1\"\n\\".into());
                }
                _ => {}
            }
        }
        assert_eq!(write(&*subject.store, 1, all_of.clone()).await, (100, 0));
        let key = |row: &PositionRow| {
            let p = &row.position;
            (p.fixed_at, p.terminal, p.digest)
        };
        all_of.sort_by_key(key);
        assert_eq!(all(&*subject.store).await, all_of);
    }
}

/// A filter that remembers next to nothing is only slower.
#[tokio::test]
async fn what_was_forgotten_is_found_by_the_database() {
    let Some(server) = setup::plain() else { return };
    let options = Options {
        copied_rows_min: 50,
        recent_rows: 8,
        ..Options::default()
    };
    let store = TimescaleStore::connect(&server.database(), options)
        .await
        .unwrap();
    for (offset, (seconds, expected)) in (1..).zip([
        (0..10, (100, 0)),
        (10..20, (100, 0)),
        (15..25, (50, 50)),
        (100..110, (100, 0)),
        (0..10, (0, 100)),
        (109..120, (100, 10)),
        (200..210, (100, 0)),
    ]) {
        assert_eq!(
            write(&store, offset, rows(seconds)).await,
            expected,
            "{offset}"
        );
    }
}
