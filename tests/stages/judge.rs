//! What must be true at the end of a story.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use gateway::ingest::{normalise::Window, record};
use geofence::{
    case::Case,
    track::{Evaluator, EvaluatorOptions},
    units::Timestamp,
};
use storage::{
    log::Record,
    store::{
        CaseQuery, Cursor, FindingBatch, PositionQuery, PositionRow, Store, StoreError,
        memory::MemoryStore,
    },
};

use crate::{
    process::City,
    story::{Entry, Totals},
    terminals::{Fate, Key, Terminal, number_of},
};

/// What a store without faults answers.
pub(crate) fn now<T>(answer: impl Future<Output = Result<T, StoreError>>) -> T {
    let mut answer = pin!(answer);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match answer.as_mut().poll(&mut context) {
            Poll::Ready(answer) => return answer.unwrap(),
            Poll::Pending => std::thread::yield_now(),
        }
    }
}

pub(crate) fn judge(
    store: &dyn Store,
    city: &City,
    terminals: &[Terminal],
    records: &[Entry],
    totals: &mut Totals,
) {
    let durable: Vec<&(Key, Fate)> = records.iter().flat_map(|entry| &entry.reports).collect();
    let there = contents(store);
    for (key, count) in &there {
        assert_eq!(*count, 1, "{key:?} is there {count} times");
    }
    for message in terminals.iter().flat_map(|terminal| &terminal.messages) {
        for report in &message.reports {
            assert!(
                there.contains_key(report),
                "{report:?} was acknowledged and is missing"
            );
        }
    }
    let sent: BTreeSet<(&Key, bool)> = durable
        .iter()
        .map(|(key, fate)| (key, *fate == Fate::Stored))
        .collect();
    for (key, fate) in there.keys() {
        assert!(
            sent.contains(&(key, *fate == Fate::Stored)),
            "{key:?} is there and was never durable"
        );
    }
    totals.reports = durable.len() as u64;
    let of = |wanted: Fate| there.keys().filter(|(_, fate)| *fate == wanted).count() as u64;
    (totals.stored, totals.quarantined) = (of(Fate::Stored), of(Fate::Quarantined));
    totals.duplicates = (durable.len() - sent.len()) as u64;
    let Totals {
        received,
        durable,
        lost,
        rejected,
        reports,
        stored,
        duplicates,
        quarantined,
        ..
    } = *totals;
    assert_eq!(received, durable + lost + rejected, "{totals:?}");
    assert_eq!(reports, stored + duplicates + quarantined, "{totals:?}");
    let cases = cases(store);
    assert_eq!(cases, cases_of(city, records));
    totals.cases = cases.len() as u64;
}

/// What is stored and in quarantine, and how often.
fn contents(store: &dyn Store) -> BTreeMap<(Key, Fate), u32> {
    let mut there = BTreeMap::new();
    let mut count = |phone: &str, longitude: i32, fate: Fate| {
        let key = (phone.to_owned(), number_of(longitude));
        *there.entry((key, fate)).or_default() += 1;
    };
    let rows = now(store.positions(&PositionQuery {
        terminal: None,
        from: Timestamp(i64::MIN / 2),
        to: Timestamp(i64::MAX / 2),
        within: None,
        after: None,
        limit: u32::MAX,
    }));
    for PositionRow { position, .. } in &rows {
        let longitude = position.longitude.micro_degrees();
        count(position.terminal.as_str(), longitude, Fate::Stored);
    }
    for row in now(store.quarantined(None, u32::MAX)) {
        let report = row.report;
        // A refused position is there as JSON, what else is kept apart as it came.
        let longitude = match serde_json::from_slice::<PositionRow>(&report.body) {
            Ok(row) => row.position.longitude.micro_degrees(),
            Err(_) => i32::from_be_bytes(report.body[12..16].try_into().unwrap()),
        };
        count(report.terminal.as_str(), longitude, Fate::Quarantined);
    }
    there
}

/// The cases, by their ids, without the times that depend on where batches end.
fn cases(store: &dyn Store) -> BTreeMap<String, Case> {
    let query = CaseQuery {
        limit: u32::MAX,
        ..CaseQuery::default()
    };
    let cases = now(store.cases(&query)).into_iter().map(|case| Case {
        opened_at: Timestamp(0),
        changed_at: Timestamp(0),
        version: 0,
        moved: 0,
        ended_at: None,
        clocks: Vec::new(),
        ..case
    });
    cases.map(|case| (case.id.to_string(), case)).collect()
}

/// The cases of an evaluation that nothing disturbs, record after record.
fn cases_of(city: &City, records: &[Entry]) -> BTreeMap<String, Case> {
    let store = MemoryStore::default();
    let catalog = city.catalog.current();
    let window = Window::from(&city.ingest);
    let mut evaluator = Evaluator::new(EvaluatorOptions {
        horizon_ms: i64::try_from(city.evaluate.horizon.as_millis()).unwrap(),
        ..EvaluatorOptions::default()
    });
    let mut at = Timestamp::default();
    for (offset, entry) in (0..).zip(records) {
        let record = Record {
            offset,
            kind: entry.kind,
            received_at: entry.received_at,
            payload: entry.payload.clone().into(),
        };
        let reports = record::reports(&record, &window).unwrap();
        let positions: Vec<_> = reports.into_iter().filter_map(Result::ok).collect();
        at = at.max(Timestamp(entry.received_at));
        let mut findings = evaluator.observe_batch(&catalog, &positions);
        findings.extend(evaluator.tick(&catalog, at));
        let batch = FindingBatch {
            judged: Cursor {
                offset: offset + 1,
                ..Cursor::default()
            },
            findings,
            at,
            desk: city.cases.desk(&city.catalog.in_force()),
            ..FindingBatch::default()
        };
        now(store.write_findings(&batch));
    }
    cases(&store)
}
