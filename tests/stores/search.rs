//! Cases are found by a number, a vehicle or a word, in every store alike, and also those that an
//! earlier version wrote.

use geofence::{
    case::Case, catalog::local_moment, identity::CaseId, units::Timestamp, violation::Finding,
};
use rusqlite::Connection;
use storage::{
    embedded::EmbeddedStore,
    outbox::{Attempt, Delivery, DeliveryState, Plan},
    store::{CaseQuery, CaseSearch, Store},
};
use uuid::Uuid;

use crate::{
    desk::by_hand,
    setup::{self, MIDNIGHT, Subject, findings, terminal, violation},
};

const BY_VIOLATION: u128 = 1;
const WET: u128 = 2;
const SPILL: u128 = 3;
const MINUTES_A_DAY: i64 = 1_440;

/// Takes a database back to the schema before the search.
const BEFORE: &str = "DELETE FROM gridtrace.migrations WHERE number >= 10; \
    DROP TABLE gridtrace.case_texts; DROP INDEX gridtrace.receiver_numbers_by_number; \
    ALTER TABLE gridtrace.case_events DROP COLUMN is_repeated";

/// One that a terminal caused, and two by hand; the last has a number at a receiver.
async fn fill(store: &dyn Store) {
    let mut found = violation(BY_VIOLATION);
    found.vehicle = Some("Wagen Ä7".into());
    let batch = findings(1, vec![Finding::Opened(found)]);
    store.write_findings(&batch).await.unwrap();
    for (number, description) in [
        (WET, "100% NASS am Straßenrand"),
        (SPILL, "oil_spill 平阳路"),
    ] {
        store
            .open_case(&by_hand(number, description))
            .await
            .unwrap();
    }
    give_number(store, SPILL, "TY-００Ａ7").await;
}

async fn give_number(store: &dyn Store, case: u128, number: &str) {
    let events = store.unplanned(9).await.unwrap();
    let event = events.iter().find(|event| event.case == id(case)).unwrap();
    let delivery = Delivery::new(event, "city", MIDNIGHT);
    let plan = Plan {
        events: vec![(event.case, event.sequence)],
        deliveries: vec![delivery.clone()],
    };
    store.plan(&plan).await.unwrap();
    let taken = Attempt {
        id: delivery.id,
        at: MIDNIGHT,
        state: DeliveryState::Delivered,
        next_at: MIDNIGHT,
        status: Some(200),
        said: String::new(),
        number: Some(number.into()),
    };
    store.conclude(&[taken]).await.unwrap();
}

fn id(number: u128) -> CaseId {
    if number == BY_VIOLATION {
        Case::id_of(violation(number).id)
    } else {
        CaseId(Uuid::from_u128(number))
    }
}

async fn found(store: &dyn Store, text: &str) -> Vec<u128> {
    sought(store, CaseSearch::new(text, Vec::new())).await
}

async fn sought(store: &dyn Store, search: Option<CaseSearch>) -> Vec<u128> {
    let query = CaseQuery {
        search,
        limit: 9,
        ..CaseQuery::default()
    };
    let cases = store.cases(&query).await.unwrap();
    let numbers = [BY_VIOLATION, WET, SPILL].into_iter();
    numbers
        .filter(|number| cases.iter().any(|case| case.id == id(*number)))
        .collect()
}

/// Asks for all of them in each way.
async fn all_are_found(store: &dyn Store) {
    for (text, expected) in [
        ("nass", vec![WET]),
        ("%", vec![WET]),
        ("_", vec![SPILL]),
        ("平阳", vec![SPILL]),
        ("迎泽", vec![BY_VIOLATION]),
        ("wagen", vec![BY_VIOLATION]),
        ("ty-", vec![SPILL]),
        ("TY-００Ａ7", vec![SPILL]),
        ("Y-００", vec![]),
        ("\\", vec![]),
        ("' OR '1'='1", vec![]),
        ("no\0thing", vec![]),
    ] {
        assert_eq!(found(store, text).await, expected, "{text}");
    }
    // Vehicles: digits of the phone number, or what the catalog says of the text.
    assert_eq!(found(store, "00000001").await, [BY_VIOLATION]);
    let meant = CaseSearch::new("晋AR0001", vec![terminal(1)]);
    assert_eq!(sought(store, meant).await, [BY_VIOLATION]);
    let other = CaseSearch::new("晋AR0002", vec![terminal(2)]);
    assert_eq!(sought(store, other).await, []);
    // Numbers of cases.
    let all = [BY_VIOLATION, WET, SPILL];
    for number in all {
        let case = store.case(id(number)).await.unwrap().unwrap();
        let whole = case.number();
        assert_eq!(found(store, &whole).await, [number]);
        assert_eq!(found(store, &format!(" {whole}\n")).await, [number]);
        let (begin, _) = whole.split_at(10);
        assert!(found(store, begin).await.contains(&number));
    }
    for begin in ["2025", "202511", "20251125", "2025112500000000"] {
        let expected: &[u128] = if begin.len() > 8 { &all[1..] } else { &all };
        assert_eq!(found(store, begin).await, expected, "{begin}");
    }
    for none in ["2024", "20251124", "20251126", "2025112599999999999"] {
        assert_eq!(found(store, none).await, [], "{none}");
    }
}

pub(crate) async fn cases_are_found_by_number_vehicle_and_word(subject: &Subject) {
    fill(&*subject.store).await;
    all_are_found(&*subject.store).await;
    assert_eq!(found(&*subject.store, "WAGEN ä7").await, [BY_VIOLATION]);
}

pub(crate) async fn what_a_case_no_longer_says_is_not_found(subject: &Subject) {
    let store = &*subject.store;
    let mut case = violation(BY_VIOLATION);
    for (offset, name) in [(1, "first name"), (2, "second name")] {
        case.rule.name = name.into();
        let change = match offset {
            1 => Finding::Opened(case.clone()),
            _ => Finding::Updated(case.clone()),
        };
        let batch = findings(offset, vec![change]);
        store.write_findings(&batch).await.unwrap();
    }
    assert_eq!(found(store, "first").await, []);
    assert_eq!(found(store, "second").await, [BY_VIOLATION]);
}

pub(crate) async fn days_begin_at_local_midnight(subject: &Subject) {
    let store = &*subject.store;
    // 2025-11-25 00:00 at GMT+8, and the millisecond before.
    let midnight = local_moment(MIDNIGHT.0 / 86_400_000 * MINUTES_A_DAY);
    for (number, at) in [(WET, midnight.0 - 1), (SPILL, midnight.0)] {
        let mut opening = by_hand(number, "at night");
        opening.case.opened_at = Timestamp(at);
        store.open_case(&opening).await.unwrap();
    }
    assert_eq!(found(store, "20251124").await, [WET]);
    assert_eq!(found(store, "20251125").await, [SPILL]);
    assert_eq!(found(store, "2025112").await, [WET, SPILL]);
}

/// What the letters beyond ASCII become, the locale of the database says: in these tests it is "C".
#[tokio::test]
async fn a_database_from_before_the_search_finds_what_it_had() {
    for subject in [setup::postgres().await, setup::timescale().await] {
        let Some(subject) = subject else { continue };
        fill(&*subject.store).await;
        subject.execute(BEFORE).await;
        let store = subject.reopened().await;
        all_are_found(&*store).await;
        assert_eq!(found(&*store, "straßenrand").await, [WET]);
    }
}

#[tokio::test]
async fn a_file_from_before_the_search_finds_what_it_had() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    fill(&store).await;
    drop(store);
    let main = Connection::open(directory.path().join("main.sqlite")).unwrap();
    let before = "DROP TABLE case_texts; DROP INDEX receiver_numbers_by_number; \
        DROP INDEX case_events_repeated; ALTER TABLE case_events DROP COLUMN is_repeated; \
        DROP VIEW snapshots; DROP TABLE snapshots_in_force; DROP TABLE snapshot_versions; \
        CREATE TABLE snapshots (key TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT, WITHOUT ROWID";
    main.execute_batch(before).unwrap();
    main.pragma_update(None, "user_version", 6).unwrap();
    drop(main);
    let store = EmbeddedStore::open(directory.path()).unwrap();
    all_are_found(&store).await;
    assert_eq!(found(&store, "WAGEN ä7").await, [BY_VIOLATION]);
}
