//! What became of several attempts is noted of all of them or of none, wherever it breaks off.

use storage::outbox::{Attempt, Delivery, DeliveryQuery, DeliveryState};
use uuid::Uuid;

use crate::{
    outbox::{NOW, attempt, due, opened, plan, write},
    setup::{self, Subject, violation},
};

/// Of a trigger that breaks off at the second of three.
struct Fault {
    sets: fn(Uuid) -> String,
    ends: &'static str,
}

const IN_SQLITE: Fault = Fault {
    sets: |id| {
        format!(
            "CREATE TRIGGER broken BEFORE UPDATE ON deliveries WHEN NEW.id = '{id}' \
             BEGIN SELECT RAISE(ABORT, 'broken'); END"
        )
    },
    ends: "DROP TRIGGER broken",
};

const BY_A_ROW: Fault = Fault {
    sets: |id| in_postgres(id, "RAISE EXCEPTION 'broken'"),
    ends: "DROP FUNCTION broken CASCADE",
};

const BY_THE_CONNECTION: Fault = Fault {
    sets: |id| in_postgres(id, "PERFORM pg_terminate_backend(pg_backend_pid())"),
    ends: "DROP FUNCTION broken CASCADE",
};

fn in_postgres(id: Uuid, does: &str) -> String {
    format!(
        "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS \
         $$BEGIN {does}; RETURN NEW; END$$; \
         CREATE TRIGGER broken BEFORE UPDATE ON gridtrace.deliveries FOR EACH ROW \
         WHEN (NEW.id = '{id}') EXECUTE FUNCTION broken()"
    )
}

async fn deliveries(subject: &Subject) -> Vec<Delivery> {
    let query = DeliveryQuery {
        limit: 9,
        ..DeliveryQuery::default()
    };
    let store = subject.reopened().await;
    store.deliveries(&query).await.unwrap()
}

async fn breaks_off(subject: &Subject, fault: &Fault) {
    let store = &*subject.store;
    let found = (1..=3).map(|which| opened(&violation(which)));
    write(store, 10, found.collect()).await;
    plan(store, &["a"]).await;
    let due = due(store, "a", NOW).await;
    let [first, second, third] = [0, 1, 2].map(|index: usize| &due[index].0);
    let numbered = |delivery: &Delivery, number: &str| Attempt {
        number: Some(number.to_owned()),
        ..attempt(delivery, DeliveryState::Delivered, NOW)
    };
    let attempts = [
        numbered(first, "TY-1"),
        attempt(second, DeliveryState::Dead, NOW),
        numbered(third, "TY-3"),
    ];
    let before = deliveries(subject).await;
    subject.execute(&(fault.sets)(second.id)).await;
    store.conclude(&attempts).await.unwrap_err();
    assert_eq!(deliveries(subject).await, before, "none");
    assert!(before.iter().all(|one| one.attempts == 0));
    for one in [first, third] {
        let numbers = store.receiver_numbers(one.case).await.unwrap();
        assert_eq!(numbers, []);
    }

    subject.execute(fault.ends).await;
    store.conclude(&attempts).await.unwrap();
    for (one, state) in [
        (first, DeliveryState::Delivered),
        (second, DeliveryState::Dead),
        (third, DeliveryState::Delivered),
    ] {
        let stored = store.delivery(one.id).await.unwrap().unwrap();
        assert_eq!((stored.state, stored.attempts), (state, 1), "each once");
    }
    for (one, number) in [(first, "TY-1"), (third, "TY-3")] {
        let numbers = store.receiver_numbers(one.case).await.unwrap();
        assert_eq!(numbers[0].number, number);
    }
}

#[tokio::test]
async fn conclusions_that_a_row_stops_half_way_are_none_in_files() {
    let subject = setup::embedded().await.unwrap();
    breaks_off(&subject, &IN_SQLITE).await;
}

#[tokio::test]
async fn conclusions_that_a_row_stops_half_way_are_none_in_a_database() {
    let Some(subject) = setup::postgres().await else {
        return;
    };
    breaks_off(&subject, &BY_A_ROW).await;
}

#[tokio::test]
async fn conclusions_whose_connection_dies_half_way_are_none() {
    let Some(subject) = setup::postgres().await else {
        return;
    };
    breaks_off(&subject, &BY_THE_CONNECTION).await;
}
