mod properties;

use super::*;
use crate::jt808::message::MessageId;

const BATCH: MessageId = MessageId::LOCATION_BATCH;
const START: Duration = Duration::from_secs(1000);

fn phone(last: u8) -> TerminalPhone {
    TerminalPhone::Short([0x01, 0x38, 0x00, 0x13, 0x80, last])
}

/// The header of a packet of the set that begins with `first_serial`.
fn packet(message_id: MessageId, first_serial: u16, number: u16, total: u16) -> Header {
    Header {
        packet: Some(PacketItem { total, number }),
        ..Header::new(
            message_id,
            phone(0),
            first_serial.wrapping_add(number).wrapping_sub(1),
        )
    }
}

/// The body of a packet in these tests: three bytes.
fn body(number: u16) -> Bytes {
    let [high, low] = number.to_be_bytes();
    Bytes::copy_from_slice(&[b'#', high, low])
}

fn bodies(numbers: impl IntoIterator<Item = u16>) -> Bytes {
    numbers.into_iter().flat_map(body).collect()
}

struct Link {
    reassembler: Reassembler,
    pool: Arc<ReassemblyPool>,
    now: Duration,
}

impl Link {
    fn new(limits: ReassemblyLimits) -> Self {
        let pool = ReassemblyPool::new(limits);
        Self {
            reassembler: Reassembler::new(Arc::clone(&pool)),
            pool,
            now: START,
        }
    }

    fn accept(&mut self, header: &Header, body: &Bytes) -> Outcome {
        let outcome = self.reassembler.accept(header, body, self.now);
        assert_eq!(self.reassembler.bytes_used(), self.pool.bytes_used());
        outcome
    }

    /// A packet of 0x0704 with its usual body.
    fn batch(&mut self, first_serial: u16, number: u16, total: u16) -> Outcome {
        self.accept(&packet(BATCH, first_serial, number, total), &body(number))
    }

    fn media(&mut self, number: u16, total: u16, body: &'static [u8]) -> Outcome {
        let header = packet(MULTIMEDIA_DATA, 100, number, total);
        self.accept(&header, &Bytes::from_static(body))
    }

    /// Goes to the next deadline and does what is due.
    fn wait(&mut self) -> (Duration, Vec<Action>) {
        let deadline = self.reassembler.next_deadline().expect("something is due");
        assert!(self.reassembler.on_time(self.now).is_empty());
        let waited = deadline - self.now;
        self.now = deadline;
        (waited, self.reassembler.on_time(deadline))
    }

    fn asked(&mut self) -> MissingPackets {
        let (_, actions) = self.wait();
        match <[Action; 1]>::try_from(actions) {
            Ok([Action::Ask(asked)]) => asked,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until a set is given up, whatever is asked for before.
    fn given_up(&mut self) -> Incomplete {
        loop {
            for action in self.wait().1 {
                if let Action::GiveUp(incomplete) = action {
                    return incomplete;
                }
            }
        }
    }
}

impl Default for Link {
    fn default() -> Self {
        Self::new(ReassemblyLimits::default())
    }
}

fn joined(outcome: Outcome) -> Joined {
    match outcome {
        Outcome::Complete(joined) => joined,
        other => panic!("{other:?}"),
    }
}

const DUPLICATE: Outcome = Outcome::Duplicate { conflicts: false };

#[test]
fn packets_in_any_order_are_joined_by_their_numbers() {
    for order in [[1, 2, 3, 4], [4, 3, 2, 1], [2, 4, 1, 3], [3, 1, 4, 2]] {
        let mut link = Link::default();
        let [before @ .., last] = order;
        for number in before {
            assert_eq!(link.batch(65_534, number, 4), Outcome::Stored);
        }
        let message = joined(link.batch(65_534, last, 4));
        assert_eq!(message.body, bodies(1..=4));
        assert_eq!(message.header, packet(BATCH, 65_534, 1, 4));
        assert_eq!((message.first_serial, message.total), (65_534, 4));
        assert_eq!(link.pool.bytes_used(), 0);
    }
}

#[test]
fn a_message_of_one_packet_is_whole() {
    let mut link = Link::default();
    let plain = Header::new(BATCH, phone(0), 9);
    for header in [plain, packet(BATCH, 9, 1, 1)] {
        let message = joined(link.accept(&header, &body(1)));
        assert_eq!((message.total, message.first_serial), (1, 9));
        assert_eq!((message.header, message.body), (header, body(1)));
    }
    assert_eq!(link.reassembler.next_deadline(), None);
}

#[test]
fn a_reassembler_without_sets_is_two_words_and_becomes_that_again() {
    assert!(size_of::<Reassembler>() <= 2 * size_of::<usize>());
    let mut link = Link::default();
    link.batch(1, 1, 2);
    joined(link.batch(1, 2, 2));
    assert!(link.reassembler.pending.is_some());
    let (waited, actions) = link.wait();
    assert_eq!((waited, actions), (Duration::from_secs(60), vec![]));
    assert!(link.reassembler.pending.is_none());
    assert_eq!(link.reassembler.next_deadline(), None);
    // A packet that is refused leaves nothing behind.
    assert!(matches!(link.batch(1, 3, 2), Outcome::Refused(_)));
    assert!(link.reassembler.pending.is_none());
}

#[test]
fn a_repeated_packet_is_ignored_and_the_first_one_counts() {
    let mut link = Link::default();
    for number in [1, 3] {
        link.batch(5, number, 3);
        assert_eq!(link.batch(5, number, 3), DUPLICATE);
        let other = link.accept(&packet(BATCH, 5, number, 3), &body(9));
        assert_eq!(other, Outcome::Duplicate { conflicts: true });
    }
    assert_eq!(joined(link.batch(5, 2, 3)).body, bodies(1..=3));
    // Of a message that was joined, too, until that is forgotten.
    assert_eq!(link.batch(5, 2, 3), DUPLICATE);
    link.wait();
    assert_eq!(link.batch(5, 2, 3), Outcome::Stored);
}

#[test]
fn only_the_last_finished_sets_are_known() {
    let mut link = Link::new(ReassemblyLimits {
        finished_sets: 2,
        ..ReassemblyLimits::default()
    });
    for first in [10, 20, 30] {
        link.batch(first, 1, 2);
        joined(link.batch(first, 2, 2));
    }
    assert_eq!(link.batch(20, 1, 2), DUPLICATE);
    assert_eq!(link.batch(30, 1, 2), DUPLICATE);
    assert_eq!(link.batch(10, 1, 2), Outcome::Stored);
}

#[test]
fn packet_items_that_cannot_be_are_refused() {
    for (total, number, reason) in [
        (0, 0, "total_zero"),
        (0, 1, "total_zero"),
        (1, 0, "number_zero"),
        (3, 0, "number_zero"),
        (1, 2, "number_beyond_total"),
        (3, 4, "number_beyond_total"),
        (4097, 1, "too_many_packets"),
        (65_535, 65_535, "too_many_packets"),
    ] {
        let mut link = Link::default();
        let Outcome::Refused(refusal) = link.batch(7, number, total) else {
            panic!("{number} of {total}")
        };
        assert_eq!(refusal.reason(), reason);
        assert!(Refusal::REASONS.contains(&reason) && !refusal.to_string().is_empty());
        assert_eq!(link.reassembler.next_deadline(), None);
    }
    assert_eq!(Link::default().batch(7, 4096, 4096), Outcome::Stored);
}

#[test]
fn a_message_that_grows_too_large_is_given_up_for_good() {
    let mut link = Link::new(ReassemblyLimits {
        bytes_per_set: 10,
        ..ReassemblyLimits::default()
    });
    // Three bytes, and nine more packets of one byte at least.
    let too_large = |bytes| {
        let bytes_max = 10;
        Outcome::Refused(Refusal::SetTooLarge { bytes, bytes_max })
    };
    assert_eq!(link.batch(1, 1, 10), too_large(12));
    for number in [1, 5] {
        assert_eq!(link.batch(2, number, 5), Outcome::Stored);
    }
    for number in [2, 3, 1] {
        assert_eq!(link.batch(2, number, 5), too_large(11));
        assert_eq!(link.pool.bytes_used(), 0);
    }
}

#[test]
fn sets_are_bounded_for_a_terminal_and_for_a_connection() {
    let mut link = Link::new(ReassemblyLimits {
        sets_per_terminal: 2,
        sets_per_connection: 3,
        ..ReassemblyLimits::default()
    });
    let of = |last, first| Header {
        phone: phone(last),
        ..packet(BATCH, first, 1, 2)
    };
    let refused = |sets_max| Outcome::Refused(Refusal::TooManySets { sets_max });
    for (last, first, outcome) in [
        (1, 10, Outcome::Stored),
        (1, 20, Outcome::Stored),
        (1, 30, refused(2)),
        (2, 10, Outcome::Stored),
        (3, 10, refused(3)),
    ] {
        assert_eq!(link.accept(&of(last, first), &body(1)), outcome);
    }
    assert_eq!(link.reassembler.sets_pending(), 3);
}

#[test]
fn memory_is_bounded_for_a_terminal_a_connection_and_in_all() {
    let large = Bytes::from(vec![0; 1000]);
    for (terminal, connection, in_all, reason) in [
        (5000, 9000, 9000, "terminal_full"),
        (9000, 5000, 9000, "connection_full"),
        (9000, 9000, 5000, "budget_spent"),
    ] {
        for first in [1, 100] {
            let mut link = Link::new(ReassemblyLimits {
                bytes_per_terminal: terminal,
                bytes_per_connection: connection,
                bytes_in_all: in_all,
                ..ReassemblyLimits::default()
            });
            // In order, and so that all have to wait for the first.
            let mut stored = 0;
            let refusal = (first..first + 10).find_map(|number| {
                match link.accept(&packet(BATCH, 1, number, 200), &large) {
                    Outcome::Refused(refusal) => Some(refusal),
                    _ => {
                        stored += 1;
                        None
                    }
                }
            });
            assert_eq!(refusal.map(|refusal| refusal.reason()), Some(reason));
            assert_eq!(stored, 4, "{reason} from {first}");
            assert!((4000..=5000).contains(&link.pool.bytes_used()));
        }
    }
}

#[test]
fn a_message_is_joined_when_its_last_packet_comes_though_no_room_is_left() {
    let large = |number: u8| Bytes::from(vec![number; 1000]);
    // In the second order the packets that waited cannot be moved when the gap closes.
    for order in [[4, 3, 5, 1, 2], [2, 3, 4, 1, 5]] {
        let mut link = Link::new(ReassemblyLimits {
            bytes_in_all: 4800,
            ..ReassemblyLimits::default()
        });
        let mut accept = |number: u8| {
            let header = packet(BATCH, 1, number.into(), 5);
            link.accept(&header, &large(number))
        };
        let [before @ .., last] = order;
        for number in before {
            assert_eq!(accept(number), Outcome::Stored, "{number}");
        }
        for number in before {
            assert_eq!(accept(number), DUPLICATE, "{number}");
        }
        let expected = [1, 2, 3, 4, 5].map(large).concat();
        assert_eq!(joined(accept(last)).body, expected);
        assert_eq!((link.pool.bytes_used(), link.pool.sets_pending()), (0, 0));
    }
}

#[test]
fn a_message_may_have_just_as_many_bytes_as_are_allowed() {
    for order in [[1, 2, 3, 4], [2, 1, 3, 4], [4, 3, 2, 1]] {
        let mut link = Link::new(ReassemblyLimits {
            bytes_per_set: 12,
            ..ReassemblyLimits::default()
        });
        let outcomes = order.map(|number| link.batch(1, number, 4));
        let [.., last] = outcomes;
        assert_eq!(joined(last).body, bodies(1..=4));
    }
}

#[test]
fn packets_that_waited_take_no_more_than_others_once_their_gap_is_closed() {
    let memory = |numbers: [u16; 3]| {
        let mut link = Link::default();
        for number in numbers {
            assert_eq!(link.batch(1, number, 9), Outcome::Stored);
        }
        link.pool.bytes_used()
    };
    let in_order = memory([1, 2, 3]);
    assert_eq!(memory([2, 1, 3]), in_order);
    assert!(memory([2, 3, 4]) > in_order);
}

#[test]
fn claims_of_many_packets_cost_almost_nothing() {
    let pool = ReassemblyPool::new(ReassemblyLimits {
        packets_per_set: u16::MAX,
        ..ReassemblyLimits::default()
    });
    let mut links: Vec<_> = (0..10_000)
        .map(|_| Reassembler::new(Arc::clone(&pool)))
        .collect();
    for link in &mut links {
        let header = packet(BATCH, 1, 65_535, 65_535);
        assert_eq!(link.accept(&header, &body(1), START), Outcome::Stored);
    }
    assert_eq!(pool.sets_pending(), 10_000);
    assert!(pool.bytes_used() < 8 << 20, "{}", pool.bytes_used());
    drop(links);
    assert_eq!((pool.bytes_used(), pool.sets_pending()), (0, 0));
}

#[test]
fn missing_packets_are_asked_for_three_times_and_then_the_set_is_given_up() {
    let mut link = Link::default();
    for number in [1, 3, 6] {
        link.batch(100, number, 6);
    }
    for attempt in 1..=3 {
        let (waited, actions) = link.wait();
        assert_eq!(waited, Duration::from_secs(5));
        let asked = MissingPackets {
            header: packet(BATCH, 100, 1, 6),
            first_serial: 100,
            total: 6,
            numbers: vec![2, 4, 5],
            by: AskBy::Retransmission,
            attempt,
        };
        assert_eq!(actions, [Action::Ask(asked)]);
    }
    let (waited, actions) = link.wait();
    assert_eq!(waited, Duration::from_secs(45));
    let incomplete = Incomplete {
        header: packet(BATCH, 100, 1, 6),
        first_serial: 100,
        total: 6,
        arrived: 3,
        cause: GiveUpCause::Silent,
        prefix: None,
    };
    assert_eq!(actions, [Action::GiveUp(incomplete)]);
    assert_eq!((link.pool.bytes_used(), link.pool.sets_pending()), (0, 0));
    assert_eq!(link.reassembler.next_deadline(), None);
}

#[test]
fn a_packet_in_answer_begins_the_requests_anew() {
    let mut link = Link::default();
    link.batch(100, 1, 4);
    for numbers in [vec![2, 3, 4], vec![3, 4], vec![4]] {
        assert_eq!(link.asked().attempt, 1);
        assert_eq!(link.asked().attempt, 2);
        let asked = link.asked();
        assert_eq!((asked.attempt, &asked.numbers), (3, &numbers));
        let outcome = link.batch(100, numbers[0], 4);
        assert_eq!(outcome == Outcome::Stored, numbers.len() > 1);
    }
    assert_eq!(link.reassembler.sets_pending(), 0);
}

#[test]
fn a_request_asks_for_no_more_than_it_holds() {
    let mut link = Link::default();
    link.batch(1, 1, 1000);
    let asked = link.asked();
    assert_eq!(asked.numbers, (2..=256).collect::<Vec<_>>());

    let mut link = Link::default();
    let long = TerminalPhone::Long([9; 10]);
    let header = Header {
        version: 1,
        phone: long,
        ..packet(BATCH, 1, 1, 1000)
    };
    link.accept(&header, &body(1));
    let asked = link.asked();
    assert_eq!(asked.numbers, (2..=510).collect::<Vec<_>>());
    let body_bytes = 4 + 2 * asked.numbers.len();
    assert!(body_bytes <= 1023 && body_bytes + 2 > 1023);
    assert_eq!(asked.header.phone, long);

    let mut link = Link::default();
    link.media(1, 1000, b"\0\0\0\x07rest");
    let asked = link.asked();
    assert_eq!(asked.by, AskBy::MultimediaResponse(7));
    assert_eq!(asked.numbers, (2..=126).collect::<Vec<_>>());
}

#[test]
fn multimedia_data_is_asked_for_by_media_id_and_else_by_serial_number() {
    let mut link = Link::default();
    link.media(2, 4, b"two");
    assert_eq!(link.asked().by, AskBy::Retransmission);
    link.media(1, 4, b"\x01\x02\x03\x04one");
    let media = AskBy::MultimediaResponse(0x0102_0304);
    assert_eq!(link.asked().by, media);
    assert_eq!(link.asked().by, AskBy::Retransmission);
    // It answers: then it knows what it was asked.
    link.media(3, 4, b"three");
    assert_eq!(link.asked().by, media);
    let message = joined(link.media(4, 4, b"four"));
    assert_eq!(message.body, b"\x01\x02\x03\x04onetwothreefour"[..]);

    let mut link = Link::default();
    link.media(1, 2, b"\x01\x02\x03");
    assert_eq!(link.asked().by, AskBy::Retransmission);
}

#[test]
fn multimedia_data_is_kept_for_longer_and_its_beginning_is_handed_out() {
    let mut link = Link::default();
    for (number, body) in [(5, &b"5"[..]), (2, b"2"), (1, b"1111"), (3, b"3")] {
        link.media(number, 6, body);
    }
    let incomplete = link.given_up();
    assert_eq!(link.now - START, Duration::from_secs(300));
    assert_eq!((incomplete.arrived, incomplete.total), (4, 6));
    assert_eq!(incomplete.header.packet.unwrap().number, 1);
    let prefix = Prefix {
        packets: 3,
        body: Bytes::from_static(b"111123"),
    };
    assert_eq!(incomplete.prefix, Some(prefix));

    let mut link = Link::default();
    link.media(2, 6, b"2");
    assert_eq!(link.given_up().prefix, None);
}

#[test]
fn no_set_is_older_than_the_age_limit_however_lively_it_is() {
    let mut link = Link::default();
    link.batch(1, 1, 3);
    while link.now < START + Duration::from_secs(3600 - 30) {
        link.now += Duration::from_secs(30);
        assert_eq!(link.batch(1, 1, 3), DUPLICATE);
    }
    assert_eq!(link.given_up().cause, GiveUpCause::Old);
    assert_eq!(link.now - START, Duration::from_secs(3600));
}

#[test]
fn what_is_pending_is_given_up_when_the_connection_closes() {
    let mut link = Link::default();
    link.batch(1, 1, 3);
    link.media(1, 3, b"\0\0\0\x01");
    let incomplete = link.reassembler.close();
    assert_eq!(incomplete.len(), 2);
    assert!(incomplete.iter().all(|i| i.cause == GiveUpCause::Closed));
    assert_eq!(incomplete[1].prefix.as_ref().map(|p| p.packets), Some(1));
    assert_eq!((link.pool.bytes_used(), link.pool.sets_pending()), (0, 0));
    assert!(link.reassembler.close().is_empty());
    let words: Vec<_> = GiveUpCause::ALL.iter().map(|c| c.reason()).collect();
    assert_eq!(words, ["silent", "old", "closed"]);
}

/// A packet that is sent again under the serial number 500.
fn again(number: u16, total: u16) -> Header {
    Header {
        serial: 500,
        ..packet(BATCH, 0, number, total)
    }
}

#[test]
fn a_packet_under_a_new_serial_number_is_taken_for_one_that_was_asked_for() {
    let mut link = Link::default();
    link.batch(100, 1, 4);
    link.batch(100, 4, 4);
    link.asked();
    assert_eq!(link.accept(&again(3, 4), &body(3)), Outcome::Stored);
    // Twice: the same is a repetition, something else is a message of its own.
    assert_eq!(link.accept(&again(3, 4), &body(3)), DUPLICATE);
    assert_eq!(link.reassembler.sets_pending(), 1);
    let message = joined(link.accept(&again(2, 4), &body(2)));
    assert_eq!((message.body, message.first_serial), (bodies(1..=4), 100));
}

#[test]
fn a_packet_that_was_not_asked_for_belongs_to_another_upload() {
    let mut link = Link::default();
    link.batch(100, 1, 3);
    link.batch(100, 3, 3);
    // The second packet of the next upload of the same length, before its first.
    assert_eq!(link.batch(500, 2, 3), Outcome::Stored);
    assert_eq!(link.reassembler.sets_pending(), 2);
    assert_eq!(joined(link.batch(100, 2, 3)).first_serial, 100);
}

#[test]
fn a_packet_under_a_new_serial_number_that_two_sets_asked_for_goes_to_none() {
    let mut link = Link::default();
    link.batch(100, 1, 3);
    link.batch(200, 1, 3);
    assert_eq!(link.wait().1.len(), 2);
    assert_eq!(link.accept(&again(2, 3), &body(2)), Outcome::Stored);
    assert_eq!(link.reassembler.sets_pending(), 3);
}

#[test]
fn a_slice_of_a_read_buffer_is_not_kept() {
    let buffer = Bytes::from(vec![1; 65_536]);
    let mut link = Link::default();
    link.accept(&packet(BATCH, 1, 1, 3), &buffer.slice(10..20));
    link.accept(&packet(BATCH, 1, 3, 3), &buffer.slice(20..30));
    assert!(buffer.is_unique());
}
