//! Random packets against a plain oracle, and against the limits.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
struct Upload {
    phone: TerminalPhone,
    message_id: MessageId,
    first_serial: u16,
    bodies: Vec<Bytes>,
}

impl Upload {
    fn header(&self, number: u16) -> Header {
        let total = u16::try_from(self.bodies.len()).unwrap();
        Header {
            phone: self.phone,
            ..packet(self.message_id, self.first_serial, number, total)
        }
    }

    fn is_same_set(&self, other: &Self) -> bool {
        let key = |upload: &Self| Key::of(&upload.header(1), upload.header(1).packet.unwrap());
        key(self) == key(other)
    }
}

fn any_phone() -> impl Strategy<Value = TerminalPhone> {
    let long = TerminalPhone::Long([0, 0, 0, 0, 0x01, 0x38, 0x00, 0x13, 0x80, 0x00]);
    prop_oneof![Just(phone(0)), Just(phone(1)), Just(long)]
}

fn any_id() -> impl Strategy<Value = MessageId> {
    prop_oneof![Just(BATCH), Just(MULTIMEDIA_DATA)]
}

/// Serial numbers, many of them near the wrap.
fn any_serial() -> impl Strategy<Value = u16> {
    prop_oneof![any::<u16>(), 65_520_u16..=65_535, 0_u16..20]
}

fn any_body() -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(any::<u8>(), 0..12).prop_map(Bytes::from)
}

fn uploads() -> impl Strategy<Value = Vec<Upload>> {
    let bodies = proptest::collection::vec(any_body(), 2..9);
    let upload = (any_phone(), any_id(), any_serial(), bodies).prop_map(
        |(phone, message_id, first_serial, bodies)| Upload {
            phone,
            message_id,
            first_serial,
            bodies,
        },
    );
    proptest::collection::vec(upload, 1..6).prop_map(|mut uploads| {
        let mut distinct: Vec<Upload> = Vec::new();
        uploads.retain(|upload| {
            let is_new = !distinct.iter().any(|other| other.is_same_set(upload));
            if is_new {
                distinct.push(upload.clone());
            }
            is_new
        });
        uploads
    })
}

/// Uploads, and their packets as they come: each twice at most, in any order, some never.
fn arrivals() -> impl Strategy<Value = (Vec<Upload>, Vec<(usize, u16)>)> {
    uploads().prop_flat_map(|uploads| {
        let all: Vec<_> = (0..uploads.len())
            .flat_map(|index| {
                let numbers = 1..=u16::try_from(uploads[index].bodies.len()).unwrap();
                numbers.flat_map(move |number| [(index, number); 2])
            })
            .collect();
        let count = all.len();
        let some = proptest::sample::subsequence(all, count / 2..=count).prop_shuffle();
        (Just(uploads), some)
    })
}

proptest! {
    #[test]
    fn each_upload_is_joined_exactly_or_not_at_all((uploads, arrivals) in arrivals()) {
        let mut link = Link::default();
        let mut oracle: BTreeMap<usize, BTreeMap<u16, Bytes>> = BTreeMap::new();
        for (index, number) in arrivals {
            let upload = &uploads[index];
            let body = &upload.bodies[usize::from(number) - 1];
            let there = oracle.entry(index).or_default();
            let is_new = there.insert(number, body.clone()).is_none();
            let expected = if !is_new {
                DUPLICATE
            } else if there.len() < upload.bodies.len() {
                Outcome::Stored
            } else {
                Outcome::Complete(Joined {
                    header: upload.header(1),
                    body: upload.bodies.concat().into(),
                    first_serial: upload.first_serial,
                    total: upload.header(1).packet.unwrap().total,
                })
            };
            prop_assert_eq!(link.accept(&upload.header(number), body), expected);
        }
        let is_incomplete = |(index, there): (&usize, &BTreeMap<_, _>)| {
            there.len() < uploads[*index].bodies.len()
        };
        let incomplete = oracle.iter().filter(|entry| is_incomplete(*entry)).count();
        prop_assert_eq!(link.reassembler.close().len(), incomplete);
        prop_assert_eq!(link.pool.bytes_used(), 0);
    }

    #[test]
    fn lost_packets_that_are_sent_again_complete_the_message(
        bodies in proptest::collection::vec(any_body(), 2..300),
        message_id in any_id(),
        first_serial in any_serial(),
        is_lost in proptest::collection::vec(any::<bool>(), 300),
        is_renumbered: bool,
    ) {
        let upload = Upload { phone: phone(0), message_id, first_serial, bodies };
        let total = u16::try_from(upload.bodies.len()).unwrap();
        let mut link = Link::default();
        let mut serial = first_serial.wrapping_add(total);
        let mut message = None;
        let mut send = |link: &mut Link, header: &Header, number: u16| {
            let body = &upload.bodies[usize::from(number) - 1];
            if let Outcome::Complete(joined) = link.accept(header, body) {
                prop_assert!(message.replace(joined).is_none());
            }
            Ok(())
        };
        let mut arrived = (1..=total).filter(|n| !is_lost[usize::from(*n) - 1]);
        let first = arrived.next().unwrap_or(1);
        for number in std::iter::once(first).chain(arrived) {
            send(&mut link, &upload.header(number), number)?;
        }
        while link.reassembler.sets_pending() > 0 {
            let asked = link.asked();
            prop_assert_eq!(asked.first_serial, first_serial);
            for number in asked.numbers {
                let mut header = upload.header(number);
                if is_renumbered {
                    header.serial = serial;
                    serial = serial.wrapping_add(1);
                }
                send(&mut link, &header, number)?;
            }
        }
        prop_assert_eq!(message.unwrap().body, upload.bodies.concat());
    }

    #[test]
    fn no_sequence_of_packets_exceeds_the_limits(
        packets in proptest::collection::vec(
            (0_usize..3, any_phone(), any_id(), any::<u16>(), 0_u16..9, 0_u16..9, 0_usize..400, 0_u64..8),
            0..200,
        ),
    ) {
        let limits = ReassemblyLimits {
            packets_per_set: 7,
            bytes_per_set: 900,
            sets_per_terminal: 3,
            bytes_per_terminal: 3000,
            sets_per_connection: 4,
            bytes_per_connection: 4000,
            bytes_in_all: 6000,
            finished_sets: 2,
            ..ReassemblyLimits::default()
        };
        let pool = ReassemblyPool::new(limits.clone());
        let mut links: Vec<_> = (0..3).map(|_| Reassembler::new(Arc::clone(&pool))).collect();
        let mut now = START;
        for (link, phone, message_id, serial, number, total, bytes, seconds) in packets {
            now += Duration::from_secs(seconds);
            let header = Header {
                phone,
                serial: serial % 8,
                ..packet(message_id, 0, number, total)
            };
            let link = &mut links[link];
            let outcome = link.accept(&header, &vec![0; bytes].into(), now);
            if let Outcome::Complete(joined) = outcome {
                prop_assert!(joined.body.len() <= limits.bytes_per_set);
            }
            prop_assert!(link.bytes_used() <= limits.bytes_per_connection);
            prop_assert!(link.sets_pending() <= limits.sets_per_connection);
            let sets = link.pending.iter().flat_map(|pending| &pending.sets);
            let of_terminal = || sets.clone().filter(|set| set.key.phone == phone);
            prop_assert!(of_terminal().count() <= limits.sets_per_terminal);
            let memory = of_terminal().map(Set::memory).sum::<usize>();
            prop_assert!(memory <= limits.bytes_per_terminal);
            let finished = link.pending.as_ref().map_or(0, |pending| pending.finished.len());
            prop_assert!(finished <= limits.finished_sets);
            for link in &mut links {
                link.on_time(now);
                prop_assert!(link.next_deadline().is_none_or(|at| at > now));
            }
            let used: usize = links.iter().map(Reassembler::bytes_used).sum();
            prop_assert_eq!(used, pool.bytes_used());
            prop_assert!(used <= limits.bytes_in_all);
        }
        drop(links);
        prop_assert_eq!((pool.bytes_used(), pool.sets_pending()), (0, 0));
    }
}
