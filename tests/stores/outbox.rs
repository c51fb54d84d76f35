//! The outbox: events of cases, what is due to whom, in which order.

use geofence::{
    case::{Case, Stage},
    identity::CaseId,
    units::Timestamp,
    violation::{Finding, Violation},
};
use storage::{
    outbox::{
        Attempt, Begun, Callback, Delivery, DeliveryQuery, DeliveryState, Event, EventKind,
        OutboxRetention, OutboxTally, Plan,
    },
    store::Store,
};
use uuid::Uuid;

use crate::setup::{self, MIDNIGHT, Subject, findings, violation};

pub(crate) const NOW: Timestamp = Timestamp(MIDNIGHT.0 + 3_600_000);

fn later(seconds: i64) -> Timestamp {
    NOW.plus_millis(seconds * 1_000)
}

pub(crate) fn opened(violation: &Violation) -> Finding {
    Finding::Opened(violation.clone())
}

fn worse(violation: &Violation, worst: f64) -> Finding {
    let mut violation = violation.clone();
    violation.worst = worst;
    Finding::Updated(violation)
}

fn withdrawn(violation: &Violation) -> Finding {
    Finding::Withdrawn(violation.id, MIDNIGHT)
}

pub(crate) async fn write(store: &dyn Store, offset: u64, found: Vec<Finding>) {
    store
        .write_findings(&findings(offset, found))
        .await
        .unwrap();
}

/// Plans all there is, for these receivers.
pub(crate) async fn plan(store: &dyn Store, receivers: &[&str]) -> Vec<Event> {
    let events = store.unplanned(100).await.unwrap();
    let plan = Plan {
        events: events.iter().map(|e| (e.case, e.sequence)).collect(),
        deliveries: events
            .iter()
            .flat_map(|e| receivers.iter().map(|r| Delivery::new(e, r, NOW)))
            .collect(),
    };
    // As after a lost answer.
    store.plan(&plan).await.unwrap();
    store.plan(&plan).await.unwrap();
    events
}

pub(crate) fn attempt(delivery: &Delivery, state: DeliveryState, next_at: Timestamp) -> Attempt {
    Attempt {
        id: delivery.id,
        at: later(1),
        state,
        next_at,
        status: Some(if state == DeliveryState::Delivered {
            201
        } else {
            500
        }),
        said: "said\0so".into(),
        number: None,
    }
}

pub(crate) async fn due(
    store: &dyn Store,
    receiver: &str,
    now: Timestamp,
) -> Vec<(Delivery, Event)> {
    store.due(receiver, now, 100).await.unwrap()
}

/// Sequences that are due, of all cases.
async fn sequences(store: &dyn Store, receiver: &str, now: Timestamp) -> Vec<u64> {
    let due = due(store, receiver, now).await;
    due.iter().map(|(_, event)| event.sequence).collect()
}

async fn finish(store: &dyn Store, receiver: &str, state: DeliveryState) {
    for (delivery, _) in due(store, receiver, later(1_000_000)).await {
        let attempt = attempt(&delivery, state, later(1));
        store.conclude(&[attempt]).await.unwrap();
    }
}

pub(crate) async fn each_change_of_a_case_is_one_event(subject: &Subject) {
    let store = &*subject.store;
    let (v, w) = (violation(1), violation(2));
    write(store, 10, vec![opened(&v)]).await;
    write(store, 11, vec![opened(&v)]).await;
    write(store, 20, vec![worse(&v, 80.0), opened(&w)]).await;
    write(store, 30, vec![withdrawn(&v)]).await;
    write(store, 40, vec![opened(&v)]).await;
    // A replay tells nothing.
    write(store, 35, vec![withdrawn(&v)]).await;
    let both = violation(3);
    write(store, 50, vec![opened(&both), withdrawn(&both)]).await;
    let events = subject.reopened().await.unplanned(100).await.unwrap();
    let id = |v: &Violation| Case::id_of(v.id);
    let told: Vec<_> = events
        .iter()
        .map(|e| (e.case, e.sequence, e.kind))
        .collect();
    assert_eq!(
        told,
        [
            (id(&v), 1, EventKind::Opened),
            (id(&v), 2, EventKind::Changed),
            (id(&w), 1, EventKind::Opened),
            (id(&v), 3, EventKind::Withdrawn),
            (id(&v), 4, EventKind::Moved),
            (id(&both), 1, EventKind::Withdrawn),
        ]
    );
    let content = &events[1].content;
    assert_eq!(
        (
            content.case.violation().unwrap().worst,
            content.changes.len()
        ),
        (80.0, 0)
    );
    assert_eq!(events[0].content.case.violation(), Some(&v));
    assert_eq!(events[3].content.case.stage, Stage::Withdrawn);
    assert_eq!(events[3].content.changes[0].to, Stage::Withdrawn);
    assert_eq!(events[3].at, MIDNIGHT.plus_millis(30_000));
    assert_eq!(events[5].content.changes.len(), 2);
    assert_eq!(store.unplanned(2).await.unwrap().len(), 2);
}

pub(crate) async fn events_that_nobody_wants_go_at_once(subject: &Subject) {
    let store = &*subject.store;
    write(store, 10, vec![opened(&violation(1))]).await;
    plan(store, &[]).await;
    assert_eq!(store.unplanned(9).await.unwrap(), []);
    let tally = OutboxTally {
        cases: 1,
        ..OutboxTally::default()
    };
    assert_eq!(store.tally_outbox().await.unwrap(), tally);
    // The sequence goes on.
    write(store, 20, vec![worse(&violation(1), 80.0)]).await;
    let events = subject.reopened().await.unplanned(9).await.unwrap();
    assert_eq!(events[0].sequence, 2);
}

pub(crate) async fn of_a_case_only_the_earliest_is_due(subject: &Subject) {
    let store = &*subject.store;
    let (v, w) = (violation(1), violation(2));
    write(store, 10, vec![opened(&v), opened(&w)]).await;
    write(store, 20, vec![withdrawn(&v)]).await;
    write(store, 30, vec![opened(&v)]).await;
    let events = plan(store, &["a", "b"]).await;
    assert_eq!(events.len(), 4);
    assert_eq!(sequences(store, "a", later(-1)).await, [0_u64; 0]);
    assert_eq!(sequences(store, "a", NOW).await, [1, 1]);
    let of_v = due(store, "a", NOW).await;
    let (first, event) = of_v
        .iter()
        .find(|(d, _)| d.case == Case::id_of(v.id))
        .unwrap();
    assert_eq!((first.attempts, first.state), (0, DeliveryState::Pending));
    assert_eq!(Some(event), events.first());
    // It has to wait, and so has what is behind it.
    let wait = attempt(first, DeliveryState::Pending, later(60));
    store.conclude(&[wait]).await.unwrap();
    assert_eq!(sequences(store, "a", later(59)).await, [1]);
    assert_eq!(sequences(store, "a", later(60)).await, [1, 1]);
    let mut done = attempt(first, DeliveryState::Delivered, later(60));
    done.number = Some("TY-1".into());
    store.conclude(&[done]).await.unwrap();
    let mut sequences_now = sequences(store, "a", NOW).await;
    sequences_now.sort_unstable();
    assert_eq!(sequences_now, [1, 2]);
    // The other receiver has heard nothing.
    assert_eq!(sequences(store, "b", NOW).await, [1, 1]);
    let stored = subject
        .reopened()
        .await
        .delivery(first.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((stored.attempts, stored.status), (2, Some(201)));
    assert_eq!(stored.said, "said\u{FFFD}so");
    assert_eq!(stored.finished_at, Some(later(1)));
    let numbers = store.receiver_numbers(first.case).await.unwrap();
    assert_eq!(
        (numbers[0].receiver.as_str(), numbers[0].number.as_str()),
        ("a", "TY-1")
    );
    // What is delivered stays so, whatever a late attempt says.
    let late = attempt(first, DeliveryState::Pending, later(60));
    store.conclude(&[late]).await.unwrap();
    let stored = store.delivery(first.id).await.unwrap().unwrap();
    assert_eq!(stored.state, DeliveryState::Delivered);
}

pub(crate) async fn attempts_that_ended_together_are_noted_in_their_order(subject: &Subject) {
    let store = &*subject.store;
    let found = (1..=3).map(|which| opened(&violation(which)));
    write(store, 10, found.collect()).await;
    plan(store, &["a"]).await;
    let due_now = due(store, "a", NOW).await;
    let [first, second, third] = [0, 1, 2].map(|index: usize| &due_now[index].0);
    let mut done = attempt(first, DeliveryState::Delivered, NOW);
    done.number = Some("TY-1".into());
    let nobody = Attempt {
        id: Uuid::nil(),
        ..attempt(second, DeliveryState::Delivered, NOW)
    };
    let attempts = [
        attempt(first, DeliveryState::Pending, later(60)),
        attempt(second, DeliveryState::Dead, NOW),
        nobody,
        done,
        attempt(third, DeliveryState::Pending, later(60)),
    ];
    store.conclude(&attempts).await.unwrap();
    store.conclude(&[]).await.unwrap();
    let subject = subject.reopened().await;
    let mut stored = Vec::new();
    for one in [first, second, third] {
        let one = subject.delivery(one.id).await.unwrap().unwrap();
        stored.push((one.state, one.attempts));
    }
    assert_eq!(
        stored,
        [
            (DeliveryState::Delivered, 2),
            (DeliveryState::Dead, 1),
            (DeliveryState::Pending, 1)
        ]
    );
    let numbers = subject.receiver_numbers(first.case).await.unwrap();
    assert_eq!(numbers[0].number, "TY-1");
    assert_eq!(sequences(&*subject, "a", later(59)).await, [0_u64; 0]);
    assert_eq!(sequences(&*subject, "a", later(60)).await, [1]);
}

pub(crate) async fn a_dead_delivery_lets_the_next_one_go_and_can_come_again(subject: &Subject) {
    let store = &*subject.store;
    write(store, 10, vec![opened(&violation(1))]).await;
    write(store, 20, vec![withdrawn(&violation(1))]).await;
    plan(store, &["a"]).await;
    finish(store, "a", DeliveryState::Dead).await;
    assert_eq!(sequences(store, "a", NOW).await, [2]);
    let query = DeliveryQuery {
        state: Some(DeliveryState::Dead),
        limit: 9,
        ..DeliveryQuery::default()
    };
    let dead = store.deliveries(&query).await.unwrap();
    assert_eq!(dead.len(), 1);
    let backlog = store.backlog().await.unwrap();
    assert_eq!(
        (backlog[0].pending, backlog[0].dead, backlog[0].oldest),
        (1, 1, Some(NOW))
    );
    assert!(store.resend(dead[0].id, later(5)).await.unwrap());
    assert!(!store.resend(dead[0].id, later(6)).await.unwrap());
    assert!(!store.resend(Uuid::nil(), NOW).await.unwrap());
    let again = due(&*subject.reopened().await, "a", later(5)).await;
    assert_eq!(again.len(), 1, "the earlier one goes first again");
    assert_eq!((again[0].0.sequence, again[0].0.attempts), (1, 0));
    assert_eq!((again[0].0.since, again[0].0.finished_at), (later(5), None));
}

pub(crate) async fn changes_that_wait_give_way_to_later_ones(subject: &Subject) {
    let store = &*subject.store;
    let v = violation(1);
    write(store, 10, vec![opened(&v)]).await;
    for (offset, worst) in [(20, 70.0), (30, 80.0), (40, 90.0)] {
        write(store, offset, vec![worse(&v, worst)]).await;
    }
    plan(store, &["a", "b"]).await;
    assert_eq!(store.supersede("a", later(1)).await.unwrap(), 2);
    assert_eq!(store.supersede("a", later(1)).await.unwrap(), 0);
    let mut heard = Vec::new();
    loop {
        let due = due(store, "a", NOW).await;
        let Some((delivery, event)) = due.first() else {
            break;
        };
        heard.push((
            event.sequence,
            event.content.case.violation().unwrap().worst,
        ));
        let done = attempt(delivery, DeliveryState::Delivered, NOW);
        store.conclude(&[done]).await.unwrap();
    }
    assert_eq!(heard, [(1, v.worst), (4, 90.0)]);
    let of_b = DeliveryQuery {
        receiver: Some("b".into()),
        state: Some(DeliveryState::Pending),
        limit: 9,
        ..DeliveryQuery::default()
    };
    assert_eq!(store.deliveries(&of_b).await.unwrap().len(), 4);
}

pub(crate) async fn pages_of_deliveries_have_no_gaps(subject: &Subject) {
    let store = &*subject.store;
    let found = (1..=7).map(|n| opened(&violation(n))).collect();
    write(store, 10, found).await;
    plan(store, &["a", "b"]).await;
    let mut query = DeliveryQuery {
        limit: 4,
        ..DeliveryQuery::default()
    };
    let mut all = Vec::new();
    loop {
        let page = store.deliveries(&query).await.unwrap();
        let Some(last) = page.last() else { break };
        query.after = Some((last.since, last.id));
        all.extend(page);
    }
    assert_eq!(all.len(), 14);
    assert!(all.is_sorted_by(|a, b| (a.since, a.id) > (b.since, b.id)));
    query = DeliveryQuery {
        case: Some(all[0].case),
        limit: 9,
        ..DeliveryQuery::default()
    };
    assert_eq!(store.deliveries(&query).await.unwrap().len(), 2);
}

pub(crate) async fn a_callback_is_noted_once(subject: &Subject) {
    let store = &*subject.store;
    let callback = Callback {
        receiver: "a".into(),
        key: "k".into(),
        case: CaseId(Uuid::from_u128(7)),
        at: NOW,
        digest: "d".into(),
        sent: 5,
        outcome: None,
    };
    assert_eq!(store.begin_callback(&callback).await.unwrap(), Begun::New);
    let mut again = callback.clone();
    again.sent = 7;
    let known = store.begin_callback(&again).await.unwrap();
    assert_eq!(
        known,
        Begun::Known(callback.clone()),
        "what was there before"
    );
    let other = Callback {
        receiver: "b".into(),
        ..callback.clone()
    };
    assert_eq!(store.begin_callback(&other).await.unwrap(), Begun::New);
    store.finish_callback("b", "k", None).await.unwrap();
    assert_eq!(store.begin_callback(&other).await.unwrap(), Begun::New);
    store.finish_callback("a", "k", Some("done")).await.unwrap();
    let known = subject
        .reopened()
        .await
        .begin_callback(&callback)
        .await
        .unwrap();
    let done = Callback {
        outcome: Some("done".into()),
        sent: 7,
        ..callback
    };
    assert_eq!(known, Begun::Known(done));
    let old = OutboxRetention {
        callbacks_before: Some(later(1)),
        ..OutboxRetention::default()
    };
    store.retain_outbox(&old).await.unwrap();
    assert_eq!(store.tally_outbox().await.unwrap().callbacks, 0);
}

pub(crate) async fn what_is_over_goes_and_the_rest_stays(subject: &Subject) {
    let store = &*subject.store;
    let found = (1..=3).map(|n| opened(&violation(n))).collect();
    write(store, 10, found).await;
    plan(store, &["a"]).await;
    let due = due(store, "a", NOW).await;
    for (delivery, state) in [
        (&due[0].0, DeliveryState::Delivered),
        (&due[1].0, DeliveryState::Dead),
    ] {
        store
            .conclude(&[attempt(delivery, state, NOW)])
            .await
            .unwrap();
    }
    let before = |finished, dead| OutboxRetention {
        finished_before: finished,
        dead_before: dead,
        callbacks_before: None,
    };
    let count = async |retention| store.retain_outbox(&retention).await.unwrap();
    assert_eq!(count(before(Some(later(1)), Some(later(1)))).await, 0);
    assert_eq!(count(before(Some(later(2)), None)).await, 1);
    assert_eq!(count(before(Some(later(2)), None)).await, 0);
    let tally = subject.reopened().await.tally_outbox().await.unwrap();
    assert_eq!((tally.events, tally.deliveries), (2, 2));
    assert_eq!(count(before(None, Some(later(2)))).await, 1);
    let tally = store.tally_outbox().await.unwrap();
    assert_eq!((tally.cases, tally.events, tally.deliveries), (3, 1, 1));
}

pub(crate) async fn another_store_takes_it_over_and_goes_on(subject: &Subject) {
    let source = setup::embedded().await.unwrap();
    let from = &*source.store;
    let v = violation(1);
    write(from, 10, vec![opened(&v), opened(&violation(2))]).await;
    plan(from, &["a", "b"]).await;
    let first = due(from, "a", NOW).await.remove(0).0;
    let mut done = attempt(&first, DeliveryState::Delivered, NOW);
    done.number = Some("7".into());
    from.conclude(&[done]).await.unwrap();
    write(from, 20, vec![worse(&v, 80.0)]).await;
    let callback = Callback {
        receiver: "a".into(),
        key: "k".into(),
        // Of a case of which there is nothing else.
        case: CaseId(Uuid::from_u128(7)),
        at: NOW,
        digest: "d".into(),
        sent: 5,
        outcome: None,
    };
    from.begin_callback(&callback).await.unwrap();
    let mut records = Vec::new();
    while let Some(record) = {
        let after = records
            .last()
            .map(|r: &storage::outbox::OutboxRecord| r.case);
        from.outbox_records(after, 1).await.unwrap().pop()
    } {
        records.push(record);
    }
    assert_eq!(records.len(), 3);
    for _ in 0..2 {
        subject.store.import_outbox(&records).await.unwrap();
        let store = subject.reopened().await;
        assert_eq!(store.outbox_records(None, 99).await.unwrap(), records);
        let tally = store.tally_outbox().await.unwrap();
        assert_eq!(tally, from.tally_outbox().await.unwrap());
    }
    let waiting = subject.store.unplanned(9).await.unwrap();
    assert_eq!((waiting.len(), waiting[0].sequence), (1, 2));
    assert_eq!(due(&*subject.store, "a", NOW).await.len(), 1);
}
