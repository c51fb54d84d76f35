//! A receiver that fails, loses answers, answers nonsense and dawdles.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, atomic::Ordering},
    task::{Context, Poll},
};

use gateway::outlets::delivery::{
    courier::Carrier,
    letter::Letter,
    verdict::{Answer, Failure},
};
use geofence::units::Timestamp;
use serde_json::Value;

use super::World;

/// What a receiver keeps, however often it dies.
#[derive(Default)]
pub(super) struct Ledger {
    /// Sequence by idempotency key.
    pub(super) keys: BTreeMap<String, u64>,
    /// By case: sequences in the order in which they were done, and the newest letter.
    pub(super) cases: BTreeMap<String, (Vec<u64>, Value)>,
}

/// A receiver with its faults.
pub(super) struct Desk {
    pub(super) world: Arc<World>,
    pub(super) has_number: bool,
    pub(super) ledger: Mutex<Ledger>,
}

impl Desk {
    /// Does what a letter says, once.
    fn take(&self, letter: &Letter<'_>) -> Answer {
        let body: Value = serde_json::from_slice(&letter.body).unwrap();
        assert_eq!(body["id"], letter.id.to_string());
        let sequence = body["sequence"].as_u64().unwrap();
        let id = body["case"]["id"].as_str().unwrap().to_owned();
        let ledger = &mut *self.ledger.lock().unwrap();
        let number = format!("TY-{id}");
        if let Some(known) = ledger.keys.insert(letter.id.to_string(), sequence) {
            assert_eq!(known, sequence, "one key for two events");
            self.world.count(|totals| totals.repeated += 1);
        } else {
            self.world.count(|totals| totals.done += 1);
            let (done, newest) = ledger
                .cases
                .entry(id)
                .or_insert_with(|| (Vec::new(), Value::Null));
            let is_newest = done.iter().all(|earlier| *earlier < sequence);
            assert!(
                is_newest || !self.world.in_order,
                "{done:?}, then {sequence}"
            );
            done.push(sequence);
            if is_newest {
                *newest = body;
            }
        }
        let body = if self.has_number {
            format!(r#"{{"number": "{number}"}}"#)
        } else {
            String::new()
        };
        answer(200, &body)
    }
}

fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status,
        body: body.into(),
        retry_after: None,
    }
}

#[async_trait::async_trait]
impl Carrier for Desk {
    async fn carry(&self, letter: &Letter<'_>, _: Timestamp) -> Result<Answer, Failure> {
        let world = &self.world;
        Dawdle(world.below(3)).await;
        let is_faulty = world.below(1_024) < world.faults.load(Ordering::Relaxed).cast_unsigned();
        if !is_faulty {
            let answer = self.take(letter);
            Dawdle(world.below(3)).await;
            return Ok(answer);
        }
        match world.below(8) {
            0 => return Err(Failure::Connect("refused".into())),
            1 => {
                world.count(|totals| totals.refused += 1);
                return Ok(answer(503, "later"));
            }
            2 => return Ok(answer(307, "")),
            3 => return Err(Failure::Timeout),
            _ => {}
        }
        // It is done, and nobody hears of it.
        let answered = self.take(letter);
        Dawdle(world.below(3)).await;
        match world.below(4) {
            0 => {
                world.count(|totals| totals.nonsense += 1);
                if self.has_number {
                    return Ok(answer(200, "<html>ok</html>"));
                }
                Err(Failure::Nonsense("no HTTP".into()))
            }
            1 => Ok(answer(500, "it is done")),
            2 => {
                world.count(|totals| totals.lost_answers += 1);
                Err(Failure::Timeout)
            }
            _ => Ok(Answer {
                status: 429,
                retry_after: Some(std::time::Duration::from_secs(world.below(100))),
                ..answered
            }),
        }
    }
}

/// Some polls without an answer.
struct Dawdle(u64);

impl Future for Dawdle {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 == 0 {
            return Poll::Ready(());
        }
        self.0 -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
