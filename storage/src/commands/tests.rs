//! The queue in a file of its own.

mod lists;
mod random;

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

struct Queue {
    commands: Commands,
    path: PathBuf,
    _directory: TempDir,
}

impl Queue {
    fn new(limits: CommandLimits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("commands.sqlite");
        Self {
            commands: Commands::open(&path, limits).unwrap(),
            path,
            _directory: directory,
        }
    }

    /// As after a crash: what was not committed is gone, and nobody said good-bye.
    fn reopened(self, limits: CommandLimits) -> Self {
        let Self {
            commands,
            path,
            _directory,
        } = self;
        drop(commands);
        Self {
            commands: Commands::open(&path, limits).unwrap(),
            path,
            _directory,
        }
    }

    fn put(&self, new: &NewCommand) -> CommandId {
        self.commands.enqueue(new).unwrap().command.id
    }

    fn change(&self, id: CommandId, at: i64, change: Change) -> Outcome {
        let at = Timestamp(at);
        self.commands
            .apply(&[CommandChange { id, at, change }])
            .unwrap()[0]
    }

    fn get(&self, id: CommandId) -> Command {
        self.commands.get(id).unwrap().unwrap().0
    }

    fn refusal(&self, new: &NewCommand) -> &'static str {
        match self.commands.enqueue(new).unwrap_err() {
            EnqueueError::Refused(refusal) => refusal.reason(),
            EnqueueError::Store(error) => panic!("{error}"),
        }
    }
}

fn text(terminal: &str, content: &str) -> NewCommand {
    NewCommand {
        terminal: terminal.parse().unwrap(),
        message_id: 0x8300,
        content: content.into(),
        is_urgent: false,
        created_at: Timestamp(1_000),
        expires_at: Timestamp(60_000),
        idempotency_key: None,
        requested_by: Some("ops".into()),
    }
}

const SENT: Change = Change::Sent(Sending {
    first_serial: 65_535,
    packets: 2,
});

fn answered(answer: &str) -> Change {
    Change::Answered {
        result: Some(0),
        answer: Some(answer.into()),
    }
}

fn failed_with(reason: &str) -> Change {
    Change::Failed {
        reason: reason.into(),
        result: None,
        answer: None,
    }
}

#[test]
fn a_command_goes_its_way_to_the_answers_content() {
    let queue = Queue::new(CommandLimits::default());
    let id = queue.put(&text("1", r#"{"text":"回场"}"#));
    assert_eq!(queue.get(id).state, CommandState::Queued);
    assert_eq!(
        queue.change(id, 2_000, SENT),
        Outcome::Done(CommandState::Sent)
    );
    assert_eq!(
        queue.change(id, 2_100, Change::Acknowledged),
        Outcome::Done(CommandState::Sent)
    );
    assert_eq!(queue.get(id).acknowledged_at, Some(Timestamp(2_100)));
    assert_eq!(
        queue.change(id, 2_200, answered(r#"{"doors":"locked"}"#)),
        Outcome::Done(CommandState::Answered)
    );
    let (command, history) = queue.commands.get(id).unwrap().unwrap();
    let sending = Sending {
        first_serial: 65_535,
        packets: 2,
    };
    assert_eq!(
        command,
        Command {
            number: 1,
            id,
            terminal: "1".parse().unwrap(),
            message_id: 0x8300,
            content: r#"{"text":"回场"}"#.into(),
            is_urgent: false,
            created_at: Timestamp(1_000),
            expires_at: Timestamp(60_000),
            idempotency_key: None,
            requested_by: Some("ops".into()),
            state: CommandState::Answered,
            attempts: 1,
            sending: Some(sending),
            sent_at: Some(Timestamp(2_000)),
            acknowledged_at: Some(Timestamp(2_100)),
            answered_at: Some(Timestamp(2_200)),
            closed_at: Some(Timestamp(2_200)),
            result: Some(0),
            reason: None,
            answer: Some(r#"{"doors":"locked"}"#.into()),
        }
    );
    let lines: Vec<_> = history
        .iter()
        .map(|line| (line.at.0, line.state.as_str(), line.detail.as_str()))
        .collect();
    assert_eq!(
        lines,
        [
            (1_000, "queued", "ops"),
            (2_000, "sent", "serial 65535, packets 2"),
            (2_100, "sent", "acknowledged"),
            (2_200, "answered", ""),
        ]
    );
}

#[test]
fn after_a_crash_the_open_ones_are_there_in_the_order_of_delivery() {
    let queue = Queue::new(CommandLimits::default());
    let first = queue.put(&text("2", "1"));
    let second = queue.put(&text("2", "2"));
    let done = queue.put(&text("2", "3"));
    let urgent = queue.put(&NewCommand {
        is_urgent: true,
        ..text("2", "4")
    });
    let other = queue.put(&text("1", "5"));
    queue.change(first, 2_000, SENT);
    queue.change(done, 2_000, SENT);
    queue.change(done, 2_001, answered("{}"));
    let queue = queue.reopened(CommandLimits::default());
    let open = queue.commands.open_commands().unwrap();
    let ids: Vec<_> = open.iter().map(|command| command.id).collect();
    assert_eq!(ids, [other, urgent, first, second]);
    assert_eq!(open[2].state, CommandState::Sent);
    assert_eq!(open[2].attempts, 1);
    let of_two = queue
        .commands
        .open_commands_of("2".parse().unwrap())
        .unwrap();
    assert_eq!(of_two, open[1..]);
    // The caller sends it again; the acknowledgement belonged to the sending before.
    queue.change(first, 3_000, Change::Acknowledged);
    queue.change(
        first,
        3_001,
        Change::Requeued {
            reason: "disconnected".into(),
        },
    );
    queue.change(first, 3_002, SENT);
    let again = queue.get(first);
    assert_eq!((again.attempts, again.acknowledged_at), (2, None));
}

#[test]
fn the_same_key_finds_the_same_command_and_never_another() {
    let queue = Queue::new(CommandLimits {
        open_per_terminal_max: 1,
        ..CommandLimits::default()
    });
    let keyed = |terminal, content| NewCommand {
        idempotency_key: Some("k".into()),
        ..text(terminal, content)
    };
    let id = queue.put(&keyed("1", "1"));
    let queue = queue.reopened(CommandLimits {
        open_per_terminal_max: 1,
        ..CommandLimits::default()
    });
    let again = queue
        .commands
        .enqueue(&NewCommand {
            created_at: Timestamp(9_000),
            expires_at: Timestamp(99_000),
            ..keyed("1", "1")
        })
        .unwrap();
    assert_eq!((again.command.id, again.is_new), (id, false));
    assert_eq!(again.command.expires_at, Timestamp(60_000));
    assert_eq!(queue.refusal(&keyed("1", "2")), "key_taken");
    let other = NewCommand {
        message_id: 0x8500,
        ..keyed("1", "1")
    };
    assert_eq!(queue.refusal(&other), "key_taken");
    assert_ne!(queue.put(&keyed("2", "2")), id, "a key is of one terminal");
    queue.change(id, 2_000, SENT);
    queue.change(id, 2_001, answered("7"));
    let done = queue.commands.enqueue(&keyed("1", "1")).unwrap();
    assert_eq!(done.command.answer.as_deref(), Some("7"));
    let found = |terminal: &str, key| {
        let terminal = terminal.parse().unwrap();
        let found = queue.commands.find_by_key(terminal, key).unwrap();
        found.map(|command| command.id)
    };
    assert_eq!(found("1", "k"), Some(id));
    assert_eq!((found("1", "K"), found("3", "k")), (None, None));
}

#[test]
fn what_may_not_be_queued_is_refused_with_its_reason() {
    let queue = Queue::new(CommandLimits {
        content_bytes_max: 10,
        ..CommandLimits::default()
    });
    assert_eq!(
        queue.refusal(&text("1", r#""12345678901""#)),
        "content_too_large"
    );
    for wrong in ["", "{", "1 2", "\u{0}"] {
        assert_eq!(queue.refusal(&text("1", wrong)), "not_json", "{wrong:?}");
    }
    let over = NewCommand {
        expires_at: Timestamp(1_000),
        ..text("1", "1")
    };
    assert_eq!(queue.refusal(&over), "expires_at_once");
    for name in [String::new(), "x".repeat(129)] {
        let named = NewCommand {
            idempotency_key: Some(name),
            ..text("1", "1")
        };
        assert_eq!(queue.refusal(&named), "wrong_length");
    }
    assert_eq!(queue.commands.totals(), CommandTotals::default());
}

#[test]
fn the_queue_is_bounded_for_each_terminal_in_all_and_in_bytes() {
    let limits = CommandLimits {
        open_per_terminal_max: 2,
        open_max: 3,
        ..CommandLimits::default()
    };
    let queue = Queue::new(limits.clone());
    let id = queue.put(&text("1", "1"));
    queue.put(&text("1", "2"));
    assert_eq!(queue.refusal(&text("1", "3")), "terminal_full");
    queue.put(&text("2", "4"));
    assert_eq!(queue.refusal(&text("3", "5")), "queue_full");
    let queue = queue.reopened(limits);
    assert_eq!(queue.refusal(&text("3", "5")), "queue_full");
    queue.change(id, 2_000, Change::Cancelled { by: None });
    queue.put(&text("3", "5"));

    let queue = Queue::new(CommandLimits {
        open_bytes_max: 2_050,
        ..CommandLimits::default()
    });
    queue.put(&text("1", "1"));
    queue.put(&text("1", "2"));
    assert_eq!(queue.refusal(&text("1", "3")), "queue_bytes_full");
    assert_eq!(queue.commands.totals().open_bytes, 2_050);
}

#[test]
fn one_refusal_stops_no_other_command_of_the_batch() {
    let queue = Queue::new(CommandLimits::default());
    let batch = [text("1", "1"), text("1", "no"), text("2", "2")];
    let outcomes = queue.commands.enqueue_all(&batch).unwrap();
    assert_eq!(outcomes[1], Err(Refusal::NotJson));
    let contents: Vec<_> = queue.commands.open_commands().unwrap();
    assert_eq!(contents.len(), 2);
    assert_eq!(Ok(&contents[1]), outcomes[2].as_ref().map(|e| &e.command));
}

#[test]
fn a_move_that_is_not_in_the_table_changes_nothing_and_stops_no_other() {
    let queue = Queue::new(CommandLimits::default());
    let (one, two) = (queue.put(&text("1", "1")), queue.put(&text("1", "2")));
    let unknown = CommandId(Uuid::from_u128(1));
    let change = |id, change| CommandChange {
        id,
        at: Timestamp(2_000),
        change,
    };
    let outcomes = queue
        .commands
        .apply(&[
            change(one, answered("1")),
            change(one, Change::Acknowledged),
            change(unknown, SENT),
            change(
                one,
                Change::Cancelled {
                    by: Some("x".into()),
                },
            ),
            change(one, SENT),
            change(two, SENT),
        ])
        .unwrap();
    use CommandState::{Cancelled, Queued, Sent};
    assert_eq!(
        outcomes,
        [
            Outcome::NotAllowed(Queued),
            Outcome::NotAllowed(Queued),
            Outcome::Unknown,
            Outcome::Done(Cancelled),
            Outcome::NotAllowed(Cancelled),
            Outcome::Done(Sent),
        ]
    );
    assert_eq!(queue.get(one).attempts, 0);
    assert_eq!(queue.commands.get(unknown).unwrap(), None);
    let counts = queue.commands.by_state().unwrap();
    assert_eq!(counts.values().sum::<u64>(), 2);
    assert_eq!((counts[&Cancelled], counts[&Sent]), (1, 1));
    assert_eq!(counts.len(), 6);
}

#[test]
fn an_answer_that_comes_after_giving_up_is_kept() {
    let queue = Queue::new(CommandLimits::default());
    let id = queue.put(&text("1", "1"));
    queue.change(id, 2_000, SENT);
    queue.change(id, 3_000, failed_with("no_answer"));
    assert_eq!(queue.get(id).reason.as_deref(), Some("no_answer"));
    assert_eq!(queue.get(id).answered_at, None);
    queue.change(id, 4_000, answered("2"));
    let command = queue.get(id);
    assert_eq!(command.state, CommandState::Answered);
    assert_eq!(command.reason, None);
    assert_eq!(command.closed_at, Some(Timestamp(3_000)));
    assert_eq!(command.answered_at, Some(Timestamp(4_000)));
    assert_eq!(queue.commands.totals().open, 0);

    // Back in the queue because its connection ended: the answer over the next one counts.
    let id = queue.put(&text("1", "2"));
    queue.change(id, 2_000, SENT);
    queue.change(
        id,
        2_001,
        Change::Requeued {
            reason: "disconnected".into(),
        },
    );
    assert_eq!(
        queue.change(id, 2_002, answered("3")),
        Outcome::Done(CommandState::Answered)
    );
}

#[test]
fn a_refusal_of_the_terminal_is_an_answer_and_a_failure() {
    let queue = Queue::new(CommandLimits::default());
    let id = queue.put(&text("1", "1"));
    let refused = Change::Failed {
        reason: "refused".into(),
        result: Some(3),
        answer: None,
    };
    assert_eq!(
        queue.change(id, 2_000, refused.clone()),
        Outcome::NotAllowed(CommandState::Queued),
        "it was never sent"
    );
    queue.change(id, 2_000, SENT);
    queue.change(id, 2_001, refused);
    let command = queue.get(id);
    assert_eq!(command.result, Some(3));
    assert_eq!(command.reason.as_deref(), Some("refused"));
    assert_eq!(command.answered_at, Some(Timestamp(2_001)));
}

#[test]
fn what_is_over_expires_and_says_whether_it_was_sent() {
    let queue = Queue::new(CommandLimits::default());
    let batch: Vec<_> = (0..BATCH_ROWS + 2)
        .map(|n| text(&(n + 1).to_string(), "1"))
        .collect();
    let ids: Vec<_> = queue.commands.enqueue_all(&batch).unwrap();
    let sent = ids[7].as_ref().unwrap().command.id;
    queue.change(sent, 2_000, SENT);
    let later = queue.put(&NewCommand {
        expires_at: Timestamp(60_001),
        ..text("1", "1")
    });
    assert_eq!(queue.commands.expire(Timestamp(59_999)).unwrap(), []);
    let expired = queue.commands.expire(Timestamp(60_000)).unwrap();
    assert_eq!(expired.len(), batch.len(), "more than one batch");
    let were_sent: Vec<_> = expired.iter().filter(|e| e.was_sent).collect();
    assert_eq!(were_sent.len(), 1);
    assert_eq!(were_sent[0].id, sent);
    assert_eq!(queue.get(sent).reason.as_deref(), Some("expired"));
    assert_eq!(queue.commands.expire(Timestamp(60_000)).unwrap(), []);
    let open = queue.commands.open_commands().unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].id, later);
}

#[test]
fn retention_deletes_closed_ones_with_their_history_and_nothing_open() {
    let queue = Queue::new(CommandLimits::default());
    let (old, new, open) = (
        queue.put(&text("1", "1")),
        queue.put(&text("1", "2")),
        queue.put(&text("1", "3")),
    );
    queue.change(old, 2_000, failed_with("refused"));
    queue.change(new, 3_000, failed_with("refused"));
    let deleted = queue.commands.delete_closed_before(Timestamp(3_000));
    assert_eq!(deleted.unwrap(), 1);
    assert_eq!(queue.commands.get(old).unwrap(), None);
    queue.get(new);
    queue.get(open);
    let inner = queue.commands.inner.lock();
    let lines: u32 = inner
        .connection
        .query_row(
            "SELECT count(*) FROM command_history WHERE command = 1",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(lines, 0);
    assert_eq!(inner.totals, rows::totals(&inner.connection).unwrap());
}

#[test]
fn closed_ones_make_room_for_newer_ones_oldest_first() {
    let queue = Queue::new(CommandLimits {
        stored_bytes_max: 3 * 1_025,
        ..CommandLimits::default()
    });
    let ids: Vec<_> = (0..3)
        .map(|n| queue.put(&text("1", &n.to_string())))
        .collect();
    queue.change(ids[1], 2_000, failed_with("x"));
    queue.change(ids[0], 3_000, failed_with("x"));
    queue.put(&text("1", "3"));
    assert_eq!(queue.commands.get(ids[1]).unwrap(), None);
    queue.get(ids[0]);
    queue.get(ids[2]);
    assert_eq!(queue.commands.totals().displaced, 1);
    // Open ones never go, and an answer is room too.
    queue.change(ids[2], 4_000, SENT);
    queue.change(ids[2], 4_001, answered("12"));
    assert_eq!(queue.commands.get(ids[0]).unwrap(), None);
    assert_eq!(queue.get(ids[2]).answer.as_deref(), Some("12"));
    let inner = queue.commands.inner.lock();
    let counted = rows::totals(&inner.connection).unwrap();
    assert_eq!(
        (counted.open, counted.stored_bytes),
        (inner.totals.open, inner.totals.stored_bytes)
    );
}

#[test]
fn an_answer_that_is_too_large_is_told_and_not_kept() {
    let queue = Queue::new(CommandLimits {
        answer_bytes_max: 5,
        ..CommandLimits::default()
    });
    let id = queue.put(&text("1", "1"));
    queue.change(id, 2_000, SENT);
    queue.change(id, 2_001, answered("123456"));
    let (command, history) = queue.commands.get(id).unwrap().unwrap();
    assert_eq!(
        (command.state, command.answer),
        (CommandState::Answered, None)
    );
    assert_eq!(history[2].detail, "the answer was not kept, 6 bytes");
}

#[test]
fn the_history_keeps_its_first_line_and_the_newest() {
    let queue = Queue::new(CommandLimits {
        history_lines_max: 4,
        ..CommandLimits::default()
    });
    let id = queue.put(&text("1", "1"));
    for at in 0..10 {
        queue.change(id, 2_000 + at, SENT);
    }
    let long = "因".repeat(300);
    queue.change(id, 3_000, failed_with(&long));
    let (command, history) = queue.commands.get(id).unwrap().unwrap();
    assert_eq!(command.attempts, 10);
    let times: Vec<_> = history.iter().map(|line| line.at.0).collect();
    assert_eq!(times, [1_000, 2_008, 2_009, 3_000]);
    assert_eq!(history[3].detail, "因".repeat(200));
}

#[test]
fn texts_with_nul_and_quotes_come_back_as_they_are() {
    let queue = Queue::new(CommandLimits::default());
    let id = queue.put(&NewCommand {
        requested_by: Some("a\0b'; DROP TABLE commands; --".into()),
        ..text("1", r#"{"a":"\u0000"}"#)
    });
    let queue = queue.reopened(CommandLimits::default());
    let command = queue.get(id);
    assert_eq!(
        command.requested_by.as_deref(),
        Some("a\0b'; DROP TABLE commands; --")
    );
    assert_eq!(command.content, r#"{"a":"\u0000"}"#);
}

#[test]
fn a_row_that_is_not_ours_is_an_error_and_no_panic() {
    let queue = Queue::new(CommandLimits::default());
    let id = queue.put(&text("1", "1"));
    Connection::open(&queue.path)
        .unwrap()
        .execute("UPDATE commands SET state = 'lost'", [])
        .unwrap();
    let error = queue.commands.get(id).unwrap_err();
    assert_eq!(error.reason(), "unusable");
}
