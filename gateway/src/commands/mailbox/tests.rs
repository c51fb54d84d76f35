use std::time::Duration;

use bytes::Bytes;
use protocols::jt808::header::{Header, TerminalPhone};

use super::*;

const RULES: CommandRules = CommandRules {
    in_flight_max: 2,
    answer_timeout: Duration::from_secs(10),
    content_timeout: Duration::from_secs(60),
    attempts_max: 3,
};
const START: Timestamp = Timestamp(1_000_000);
const DAY_MS: i64 = 86_400_000;

fn at(seconds: i64) -> Timestamp {
    START.plus_millis(seconds * 1_000)
}

fn id(number: u64) -> CommandId {
    format!("00000000-0000-0000-0000-{number:012}")
        .parse()
        .unwrap()
}

fn command(number: u64, message_id: MessageId) -> Command {
    Command {
        number,
        id: id(number),
        terminal: "13800138000".parse().unwrap(),
        message_id: message_id.0,
        content: "{}".to_owned(),
        is_urgent: false,
        created_at: START,
        expires_at: START.plus_millis(DAY_MS),
        idempotency_key: None,
        requested_by: None,
        state: CommandState::Queued,
        attempts: 0,
        sending: None,
        sent_at: None,
        acknowledged_at: None,
        answered_at: None,
        closed_at: None,
        result: None,
        reason: None,
        answer: None,
    }
}

fn mailbox(messages: &[MessageId]) -> Mailbox {
    let mut mailbox = Mailbox::default();
    for (number, message) in (1..).zip(messages) {
        mailbox.push(command(number, *message));
    }
    mailbox
}

fn series(message_id: u16, serial: u16, bytes: usize) -> SentSeries {
    let phone = TerminalPhone::Short([0x01, 0x38, 0x00, 0x13, 0x80, 0x00]);
    let header = Header::new(MessageId(message_id), phone, serial);
    SentSeries::split(header, Bytes::from(vec![0; bytes]), 900).unwrap()
}

/// Sends the next one with this serial number, over the link with this epoch.
fn send(mailbox: &mut Mailbox, epoch: u64, serial: u16, now: Timestamp) -> Option<CommandId> {
    let next = mailbox.next(now, &RULES)?;
    let (id, message_id) = (next.id, next.message_id);
    let sent = mailbox.sent(id, epoch, series(message_id, serial, 1), now, &RULES);
    let sending = Sending {
        first_serial: serial,
        packets: 1,
    };
    assert_eq!(sent, Some((id, Change::Sent(sending))));
    Some(id)
}

fn general(message_id: MessageId, serial: u16, result: u8) -> TerminalAnswer {
    TerminalAnswer {
        message_id: MessageId::TERMINAL_RESPONSE,
        serial: Some(serial),
        answered_id: Some(message_id),
        result: Some(result),
        content: None,
    }
}

fn content(message_id: MessageId, serial: Option<u16>) -> TerminalAnswer {
    TerminalAnswer {
        message_id,
        serial,
        answered_id: None,
        result: None,
        content: Some("{\"speed\":1}".to_owned()),
    }
}

fn failed(reason: &str, result: Option<u8>) -> Change {
    Change::Failed {
        reason: reason.to_owned(),
        result,
        answer: None,
    }
}

fn requeued(reason: &str) -> Change {
    Change::Requeued {
        reason: reason.to_owned(),
    }
}

const TEXT: MessageId = MessageId::TEXT_MESSAGE;
const PHOTO: MessageId = MessageId::CAMERA_SHOT;
const WHERE: MessageId = MessageId::LOCATION_QUERY;
const DOOR: MessageId = MessageId::VEHICLE_CONTROL;

#[test]
fn urgent_ones_go_first_then_as_they_were_queued_and_few_at_a_time() {
    let mut mailbox = mailbox(&[TEXT, TEXT]);
    let mut urgent = command(3, TEXT);
    urgent.is_urgent = true;
    mailbox.push(urgent);
    assert_eq!(send(&mut mailbox, 1, 10, START), Some(id(3)));
    assert_eq!(send(&mut mailbox, 1, 11, START), Some(id(1)));
    assert_eq!(
        send(&mut mailbox, 1, 12, START),
        None,
        "two are on their way"
    );
    let answered = mailbox.answer(&general(TEXT, 11, 0), START, &RULES);
    let done = Change::Answered {
        result: Some(0),
        answer: None,
    };
    assert_eq!(answered, Some((id(1), done)));
    assert_eq!(send(&mut mailbox, 1, 12, START), Some(id(2)));
}

#[test]
fn what_has_expired_is_not_sent() {
    let mailbox = mailbox(&[TEXT]);
    assert!(
        mailbox
            .next(START.plus_millis(DAY_MS - 1), &RULES)
            .is_some()
    );
    assert!(mailbox.next(START.plus_millis(DAY_MS), &RULES).is_none());
}

#[test]
fn an_answer_needs_the_serial_number_and_the_message_and_counts_once() {
    let mut mailbox = mailbox(&[TEXT]);
    send(&mut mailbox, 1, 10, START);
    assert_eq!(mailbox.answer(&general(TEXT, 9, 0), START, &RULES), None);
    assert_eq!(mailbox.answer(&general(DOOR, 10, 0), START, &RULES), None);
    assert!(
        mailbox
            .answer(&general(TEXT, 10, 0), START, &RULES)
            .is_some()
    );
    assert_eq!(mailbox.answer(&general(TEXT, 10, 0), START, &RULES), None);
    assert!(mailbox.is_empty());
}

#[test]
fn an_answer_may_quote_any_packet_of_a_series() {
    for quoted in [65_535, 0, 1] {
        let mut mailbox = mailbox(&[TEXT]);
        let long = series(TEXT.0, 65_535, 2_000);
        assert_eq!(long.packets(), 3);
        mailbox.sent(id(1), 1, long, START, &RULES);
        assert_eq!(mailbox.answer(&general(TEXT, 2, 0), START, &RULES), None);
        assert!(
            mailbox
                .answer(&general(TEXT, quoted, 0), START, &RULES)
                .is_some()
        );
    }
}

#[test]
fn a_terminal_that_says_no_has_refused() {
    for (code, reason) in [(1, "refused"), (2, "bad_message"), (3, "unsupported")] {
        for message in [TEXT, PHOTO, WHERE, DOOR] {
            let mut mailbox = mailbox(&[message]);
            send(&mut mailbox, 1, 10, START);
            let answer = mailbox.answer(&general(message, 10, code), START, &RULES);
            assert_eq!(
                answer,
                Some((id(1), failed(reason, Some(code)))),
                "{message}"
            );
        }
    }
}

#[test]
fn the_general_response_comes_first_and_the_content_ends_it() {
    for message in [PHOTO, DOOR, WHERE] {
        let Some(Answer::Message(answer) | Answer::GeneralThen(answer) | Answer::Either(answer)) =
            message.info().map(|info| info.answer)
        else {
            panic!("{message} has a content");
        };
        let mut mailbox = mailbox(&[message]);
        send(&mut mailbox, 1, 10, START);
        let acknowledged = mailbox.answer(&general(message, 10, 0), START, &RULES);
        assert_eq!(acknowledged, Some((id(1), Change::Acknowledged)));
        // A newer link does not take it back: the terminal has it.
        assert_eq!(mailbox.on_link(Some(2), &RULES), []);
        assert_eq!(mailbox.on_time(at(59), &RULES), []);
        assert_eq!(
            mailbox.answer(&content(answer, Some(11)), START, &RULES),
            None
        );
        let done = mailbox.answer(&content(answer, Some(10)), at(59), &RULES);
        let change = Change::Answered {
            result: None,
            answer: Some("{\"speed\":1}".to_owned()),
        };
        assert_eq!(done, Some((id(1), change)), "{message}");
    }
}

#[test]
fn the_content_alone_is_enough_also_without_a_serial_number() {
    let mut mailbox = mailbox(&[WHERE]);
    send(&mut mailbox, 1, 10, START);
    let answer = content(MessageId::LOCATION_QUERY_RESPONSE, None);
    let done = mailbox.answer(&answer, START, &RULES);
    assert!(matches!(done, Some((_, Change::Answered { .. }))));
    assert_eq!(mailbox.answer(&answer, START, &RULES), None, "nobody asked");
}

#[test]
fn two_whose_answers_could_be_mistaken_go_one_after_the_other() {
    let mut mailbox = mailbox(&[WHERE, WHERE, TEXT]);
    assert_eq!(send(&mut mailbox, 1, 10, START), Some(id(1)));
    assert_eq!(send(&mut mailbox, 1, 11, START), None);
    mailbox.answer(
        &content(MessageId::LOCATION_QUERY_RESPONSE, None),
        START,
        &RULES,
    );
    assert_eq!(send(&mut mailbox, 1, 11, START), Some(id(2)));
}

#[test]
fn content_that_does_not_come_is_missed_only_where_it_is_the_point() {
    let mut photo = mailbox(&[PHOTO]);
    send(&mut photo, 1, 10, START);
    photo.answer(&general(PHOTO, 10, 0), START, &RULES);
    let done = Change::Answered {
        result: Some(0),
        answer: None,
    };
    assert_eq!(photo.on_time(at(60), &RULES), [((id(1), done), None)]);
    let mut query = mailbox(&[WHERE]);
    send(&mut query, 1, 10, START);
    query.answer(&general(WHERE, 10, 0), START, &RULES);
    let missed = failed("no_content", None);
    assert_eq!(query.on_time(at(60), &RULES), [((id(1), missed), None)]);
}

#[test]
fn without_an_answer_the_same_bytes_go_out_again_so_often_and_no_more() {
    let mut mailbox = mailbox(&[TEXT]);
    send(&mut mailbox, 1, 10, START);
    assert_eq!(mailbox.on_time(at(9), &RULES), []);
    for attempt in 1..=2 {
        let again = mailbox.on_time(at(10 * attempt), &RULES);
        let sending = Sending {
            first_serial: 10,
            packets: 1,
        };
        let expected = ((id(1), Change::Sent(sending)), Some(series(TEXT.0, 10, 1)));
        assert_eq!(again, [expected], "attempt {attempt}");
    }
    let given_up = failed("no_answer", None);
    assert_eq!(mailbox.on_time(at(30), &RULES), [((id(1), given_up), None)]);
    assert_eq!(mailbox.on_time(at(89), &RULES), []);
    assert!(!mailbox.is_empty(), "it may answer late");
    assert_eq!(mailbox.on_time(at(90), &RULES), []);
    assert!(mailbox.is_empty());
}

/// Sent and given up, over the link with epoch 1 and with the serial number 10.
fn given_up(message: MessageId) -> Mailbox {
    let mut mailbox = mailbox(&[message]);
    send(&mut mailbox, 1, 10, START);
    for seconds in [10, 20, 30] {
        mailbox.on_time(at(seconds), &RULES);
    }
    mailbox
}

#[test]
fn a_late_answer_is_not_lost() {
    let yes = Change::Answered {
        result: Some(0),
        answer: None,
    };
    let mut late = given_up(TEXT);
    assert_eq!(
        late.answer(&general(TEXT, 10, 1), at(40), &RULES),
        None,
        "it has failed already"
    );
    assert_eq!(
        late.answer(&general(TEXT, 10, 0), at(40), &RULES),
        Some((id(1), yes))
    );
    assert!(late.is_empty());
    let mut query = given_up(WHERE);
    assert_eq!(
        query.answer(&general(WHERE, 10, 0), at(40), &RULES),
        None,
        "no place yet"
    );
    let place = content(MessageId::LOCATION_QUERY_RESPONSE, Some(10));
    let answered = query.answer(&place, at(41), &RULES);
    assert!(matches!(answered, Some((_, Change::Answered { .. }))));
}

#[test]
fn a_late_answer_is_taken_for_nothing_else() {
    // The next link has serial numbers of its own.
    let mut late = given_up(TEXT);
    assert_eq!(late.on_link(Some(2), &RULES), []);
    assert_eq!(late.answer(&general(TEXT, 10, 0), at(40), &RULES), None);
    // Without a serial number it belongs to what is under way.
    let mut query = given_up(WHERE);
    query.push(command(2, WHERE));
    assert_eq!(
        send(&mut query, 1, 11, at(40)),
        Some(id(2)),
        "nothing else is under way"
    );
    let place = content(MessageId::LOCATION_QUERY_RESPONSE, None);
    let answered = query.answer(&place, at(41), &RULES);
    assert!(matches!(answered, Some((answered, _)) if answered == id(2)));
}

#[test]
fn what_can_be_repeated_goes_over_the_next_link() {
    let mut mailbox = mailbox(&[TEXT]);
    send(&mut mailbox, 1, 10, START);
    assert_eq!(mailbox.on_link(Some(1), &RULES), []);
    assert_eq!(
        mailbox.on_link(None, &RULES),
        [(id(1), requeued("connection_ended"))]
    );
    assert_eq!(send(&mut mailbox, 2, 0, START), Some(id(1)));
    assert_eq!(
        mailbox.on_link(Some(3), &RULES),
        [(id(1), requeued("connection_ended"))]
    );
    assert_eq!(send(&mut mailbox, 3, 0, START), Some(id(1)));
    assert_eq!(
        mailbox.on_link(None, &RULES),
        [(id(1), failed("no_answer", None))]
    );
}

#[test]
fn a_door_is_not_opened_twice() {
    let mut silent = mailbox(&[DOOR]);
    send(&mut silent, 1, 10, START);
    assert_eq!(
        silent.on_time(at(10), &RULES),
        [((id(1), failed("no_answer", None)), None)]
    );
    let mut gone = mailbox(&[DOOR]);
    send(&mut gone, 1, 10, START);
    assert_eq!(
        gone.on_link(None, &RULES),
        [(id(1), failed("outcome_unknown", None))]
    );
}

#[test]
fn after_a_restart_everything_stands_where_it_stood() {
    let sent = |mut command: Command, acknowledged: bool| {
        command.state = CommandState::Sent;
        command.attempts = 1;
        command.sending = Some(Sending {
            first_serial: 10,
            packets: 1,
        });
        command.acknowledged_at = acknowledged.then_some(START);
        command
    };
    let mut mailbox = Mailbox::default();
    let mut restore = |command| mailbox.restore(command, START, &RULES);
    assert_eq!(restore(command(1, TEXT)), None);
    let again = Some((id(2), requeued("restarted")));
    assert_eq!(restore(sent(command(2, TEXT), false)), again);
    let unknown = Some((id(3), failed("outcome_unknown", None)));
    assert_eq!(restore(sent(command(3, DOOR), false)), unknown);
    assert_eq!(restore(sent(command(4, PHOTO), true)), None);
    let taken = content(MessageId::CAMERA_SHOT_ANSWER, Some(10));
    let done = mailbox.answer(&taken, START, &RULES);
    assert!(matches!(done, Some((done, Change::Answered { .. })) if done == id(4)));
    assert_eq!(send(&mut mailbox, 1, 0, START), Some(id(1)));
    assert_eq!(send(&mut mailbox, 1, 1, START), Some(id(2)));
}
