//! Any changes in any order leave neither the table of moves nor the books.

use proptest::{prelude::*, test_runner::TestRunner};

use super::*;

fn change() -> impl Strategy<Value = Change> {
    let answer = prop::option::of("[0-9]{1,20}");
    prop_oneof![
        (any::<u16>(), 1_u16..9).prop_map(|(first_serial, packets)| Change::Sent(Sending {
            first_serial,
            packets
        })),
        Just(Change::Acknowledged),
        Just(Change::Requeued { reason: "r".into() }),
        (any::<Option<u8>>(), answer.clone())
            .prop_map(|(result, answer)| Change::Answered { result, answer }),
        (any::<Option<u8>>(), answer).prop_map(|(result, answer)| Change::Failed {
            reason: "r".into(),
            result,
            answer
        }),
        Just(Change::Cancelled { by: None }),
    ]
}

/// What the table and the sendings before allow, said once more.
fn expected(state: CommandState, is_sent: bool, change: &Change) -> Option<CommandState> {
    use CommandState::{Answered, Cancelled, Failed, Queued, Sent};
    let is_open = state.is_open();
    match change {
        Change::Sent(_) => is_open.then_some(Sent),
        Change::Acknowledged => (is_open && is_sent).then_some(Sent),
        Change::Requeued { .. } => (state == Sent).then_some(Queued),
        Change::Answered { .. } => (is_sent && state != Answered).then_some(Answered),
        Change::Failed { result, .. } => {
            (is_open && (is_sent || result.is_none())).then_some(Failed)
        }
        Change::Cancelled { .. } => is_open.then_some(Cancelled),
    }
}

#[test]
fn random_changes_follow_the_table_and_the_totals_are_those_of_the_rows() {
    let queue = Queue::new(CommandLimits {
        answer_bytes_max: 15,
        history_lines_max: 5,
        ..CommandLimits::default()
    });
    let changes = prop::collection::vec((0_usize..3, change()), 0..40);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let run = |changes: Vec<(usize, Change)>| {
        let ids = [0, 1, 2].map(|n: u8| queue.put(&text("1", &n.to_string())));
        let mut model = [(CommandState::Queued, false); 3];
        let mut expected_outcomes = Vec::new();
        for (place, change) in &changes {
            let (state, is_sent) = &mut model[*place];
            expected_outcomes.push(match expected(*state, *is_sent, change) {
                Some(next) => {
                    *is_sent |= matches!(change, Change::Sent(_));
                    *state = next;
                    Outcome::Done(next)
                }
                None => Outcome::NotAllowed(*state),
            });
        }
        let batch: Vec<_> = (2_000..)
            .zip(changes)
            .map(|(at, (place, change))| CommandChange {
                id: ids[place],
                at: Timestamp(at),
                change,
            })
            .collect();
        prop_assert_eq!(queue.commands.apply(&batch).unwrap(), expected_outcomes);
        for (id, (state, _)) in ids.into_iter().zip(model) {
            let (command, history) = queue.commands.get(id).unwrap().unwrap();
            prop_assert_eq!(command.state, state);
            prop_assert_eq!(command.closed_at.is_none(), state.is_open());
            prop_assert!(history.len() <= 5);
            prop_assert_eq!(history.last().map(|line| line.state), Some(state));
            let answer = command.answer.unwrap_or_default();
            prop_assert!(answer.len() <= 15);
        }
        let inner = queue.commands.inner.lock();
        prop_assert_eq!(inner.totals, rows::totals(&inner.connection).unwrap());
        drop(inner);
        // The next case begins with an empty queue.
        queue.commands.expire(Timestamp(i64::MAX)).unwrap();
        prop_assert_eq!(queue.commands.totals().open, 0);
        Ok(())
    };
    runner.run(&changes, run).unwrap();
}
