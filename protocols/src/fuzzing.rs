//! The properties that must hold for any bytes: called by the fuzz targets, and by tests over the
//! corpus and over seeded bytes.

mod attachments;

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::{BufMut as _, Bytes, BytesMut};
use serde_json::Value;

pub use self::attachments::{attachments, split_attachments};
use crate::jt808::{
    Revision,
    frame::{DELIMITER, FRAME_BYTES_MAX, Frame, Split, Splitter, check_code, escape_into},
    header::{Header, PacketItem, TerminalPhone},
    message::{Message, MessageId},
    reassembly::{Action, Joined, Outcome, Reassembler, ReassemblyLimits, ReassemblyPool},
};

/// The splitter gives the same whatever the reads are, loses no byte without saying so, and keeps
/// no more than two frames. The first byte chooses the reads.
///
/// # Panics
/// When that does not hold.
pub fn stream(data: &[u8]) {
    let Some((seed, stream)) = data.split_first() else {
        return;
    };
    for is_joining in [false, true] {
        let whole = split_all(stream, is_joining, |_| usize::MAX);
        let by_one = split_all(stream, is_joining, |_| 1);
        let mut state = u32::from(*seed) | 1;
        let by_some = split_all(stream, is_joining, |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 25) as usize + 1
        });
        assert_eq!(whole, by_one, "one byte a read gives something else");
        assert_eq!(whole, by_some, "other reads give something else");
        for split in whole {
            if let Split::Candidate(raw) = split {
                assert!(!raw.is_empty(), "an empty candidate");
                drop(Frame::open(raw));
            }
        }
    }
}

/// What comes out of a stream in reads of these sizes.
///
/// # Panics
/// When bytes are lost, or too many are kept.
#[must_use]
pub fn split_all(
    stream: &[u8],
    is_joining: bool,
    mut read_size: impl FnMut(usize) -> usize,
) -> Vec<Split> {
    let mut splitter = Splitter::new().with_joining(is_joining);
    let mut buffer = BytesMut::new();
    let mut splits = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        let (read, behind) = rest.split_at(read_size(rest.len()).clamp(1, rest.len()));
        rest = behind;
        buffer.put_slice(read);
        while let Some(split) = splitter.next(&mut buffer) {
            splits.push(split);
        }
        assert!(
            buffer.len() <= 2 * FRAME_BYTES_MAX,
            "{} bytes are kept",
            buffer.len()
        );
    }
    let unfinished = splitter.finish(&mut buffer);
    let accounted: usize = splits.iter().chain(&unfinished).map(bytes_of).sum();
    // What is not given are delimiters.
    let delimiters = stream.iter().filter(|byte| **byte == DELIMITER).count();
    assert!(accounted <= stream.len(), "more came out than went in");
    assert!(
        accounted + delimiters >= stream.len(),
        "{} bytes are lost",
        stream.len() - accounted
    );
    splits
}

fn bytes_of(split: &Split) -> usize {
    match split {
        Split::Candidate(raw) => raw.len(),
        Split::Dropped { bytes, .. } => *bytes,
    }
}

/// A body of any message decodes or is refused, and one that decodes encodes back to the same
/// bytes, in each revision. The first two bytes choose the message.
///
/// # Panics
/// When that does not hold.
pub fn message(data: &[u8]) {
    let Some((&choice, body)) = data.split_first_chunk() else {
        return;
    };
    let id = chosen_id(u16::from_be_bytes(choice));
    let body = Bytes::copy_from_slice(body);
    for revision in [Revision::V2011, Revision::V2013, Revision::V2019] {
        decodes_and_encodes_back(id, &body, revision);
    }
}

/// An id with a layout is chosen by its own number, so that inputs keep their meaning when messages
/// are added. The other numbers stand for all of those in turn, and once in a turn for themselves.
fn chosen_id(number: u16) -> MessageId {
    let id = MessageId(number);
    if id.info().is_some() {
        return id;
    }
    let ids = MessageId::ALL;
    let index = usize::from(number) % (ids.len() + 1);
    ids.get(index).copied().unwrap_or(id)
}

/// A candidate that opens encodes back to a frame that says the same. The bytes are one as they
/// are, and once more with the escapes and the check code that make a frame of them.
///
/// # Panics
/// When that does not hold.
pub fn round_trip(data: &[u8]) {
    frame_comes_back(Bytes::copy_from_slice(data));
    let mut content = BytesMut::new();
    escape_into(&mut content, data);
    escape_into(&mut content, &[check_code(data)]);
    frame_comes_back(content.freeze());
}

fn frame_comes_back(content: Bytes) {
    let Ok(frame) = Frame::open(content) else {
        return;
    };
    let Ok(wire) = frame.header.frame(&frame.body) else {
        return;
    };
    let content = wire.slice(1..wire.len().saturating_sub(1));
    let again = Frame::open(content).expect("a frame that was written opens");
    assert_eq!(again.body, frame.body);
    if !frame.deviates {
        assert_eq!(again.header, frame.header);
    }
    decodes_and_encodes_back(
        frame.header.message_id,
        &frame.body,
        frame.header.revision(),
    );
}

fn decodes_and_encodes_back(id: MessageId, body: &Bytes, revision: Revision) {
    let Ok(message) = Message::decode(id, body.clone(), revision) else {
        return;
    };
    assert_eq!(message.id(), id);
    let encoded = message.encode(revision).expect("what was decoded has room");
    assert_eq!(&encoded, body, "{message:?}");
    // Reading what a message keeps raw never fails.
    let text = format!("{message:?}");
    assert!(!text.is_empty());
    let json = message.to_json();
    let Ok(again) = Message::from_json(id, json.clone()) else {
        return;
    };
    assert_eq!(again.to_json(), json, "another message through JSON");
    // What has no place in the revision is refused, and not left out. Where one layout in two had
    // to be guessed, by what lies behind it, other bytes of the same text may say the other.
    let is_guessed = ["trailing_hex", "total"]
        .iter()
        .any(|name| json.contains_key(*name));
    if let Ok(body) = again.encode(revision) {
        let decoded = Message::decode(id, body, revision).expect("what was encoded decodes");
        let (said, read) = (Value::Object(json), Value::Object(decoded.to_json()));
        assert!(
            is_guessed || is_within(&said, &read),
            "{said} became {read}"
        );
    }
}

/// Whether all of a value is in another one, which may have more fields: a body of an older layout
/// is written in the revision's own.
fn is_within(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part
            .iter()
            .all(|(name, part)| whole.get(name).is_some_and(|whole| is_within(part, whole))),
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len()
                && part
                    .iter()
                    .zip(whole)
                    .all(|(part, whole)| is_within(part, whole))
        }
        _ => part == whole,
    }
}

/// Packets of two terminals on two connections are joined as they were sent or not at all, and
/// memory stays within its limits. Five bytes are a packet, and how long it takes to come.
///
/// # Panics
/// When that does not hold.
pub fn reassembly(data: &[u8]) {
    let limits = ReassemblyLimits {
        packets_per_set: 12,
        bytes_per_set: 200,
        sets_per_terminal: 3,
        bytes_per_terminal: 2500,
        sets_per_connection: 5,
        bytes_per_connection: 4000,
        bytes_in_all: 6000,
        finished_sets: 3,
        ..ReassemblyLimits::default()
    };
    let pool = ReassemblyPool::new(limits);
    let mut links = [0, 1].map(|_| Reassembler::new(Arc::clone(&pool)));
    // Uploads of which packets may be taken for one another's: those that were asked for.
    let mut asked = HashSet::new();
    let mut now = Duration::ZERO;
    for &[choice, serial, item, seconds, length] in data.as_chunks().0 {
        now += Duration::from_secs(u64::from(seconds >> 3));
        let [first, second] = &mut links;
        let link = if choice & 1 == 0 { first } else { second };
        let header = Header {
            packet: Some(PacketItem {
                total: u16::from(item >> 4),
                number: u16::from(item & 0x0F),
            }),
            ..Header::new(
                MessageId(0x0800 + u16::from(choice >> 1 & 1)),
                TerminalPhone::Short([choice >> 2 & 1; 6]),
                u16::from(serial).wrapping_sub(128),
            )
        };
        match link.accept(&header, &packet_body(&header, length), now) {
            Outcome::Complete(joined) => {
                let may_mix = asked.contains(&(joined.header.phone, joined.total));
                is_joined_as_sent(&joined, may_mix);
            }
            Outcome::Stored | Outcome::Duplicate { .. } | Outcome::Refused(_) => {}
        }
        for action in link.on_time(now) {
            if let Action::Ask(missing) = action {
                assert!(!missing.numbers.is_empty() && missing.numbers.is_sorted());
                asked.insert((missing.header.phone, missing.total));
            }
        }
        assert!(link.next_deadline().is_none_or(|deadline| deadline > now));
        let used: usize = links.iter().map(Reassembler::bytes_used).sum();
        assert_eq!(used, pool.bytes_used());
        assert!(used <= pool.limits().bytes_in_all, "{used} bytes are kept");
    }
    let [mut first, second] = links;
    first.close();
    drop(second);
    assert_eq!((pool.bytes_used(), pool.sets_pending()), (0, 0));
}

/// A body that says which packet of which upload it is: the serial number of the upload's first
/// packet, the number, how many bytes follow, and those.
fn packet_body(header: &Header, length: u8) -> Bytes {
    let number = header.packet.map_or(1, |item| item.number);
    let first_serial = header.serial.wrapping_sub(number).wrapping_add(1);
    let mut body = BytesMut::new();
    body.put_u16(first_serial);
    body.put_u16(number);
    let padding = length % 32;
    body.put_u8(padding);
    body.put_bytes(0x55, usize::from(padding));
    body.freeze()
}

fn is_joined_as_sent(joined: &Joined, may_mix: bool) {
    let mut rest = &joined.body[..];
    for number in 1..=joined.total {
        let (&[high, low, number_high, number_low, padding], behind) =
            rest.split_first_chunk().expect("each packet has its own");
        let first_serial = u16::from_be_bytes([high, low]);
        assert_eq!(u16::from_be_bytes([number_high, number_low]), number);
        assert!(first_serial == joined.first_serial || may_mix);
        rest = behind.get(usize::from(padding)..).expect("all of it");
    }
    assert!(rest.is_empty(), "more came out than went in");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes in which delimiters, escapes and headers are frequent.
    fn lively() -> impl Strategy<Value = Vec<u8>> {
        let heartbeat = || hex("7E 0002 0000 013800138000 0001 A9 7E");
        let cut = || hex("7E 0900 0003 013800138000 0004 F07E01 2B 7E");
        let part = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            proptest::collection::vec(prop_oneof![Just(0x7E_u8), Just(0x7D), 0_u8..4], 0..20),
            Just(heartbeat()),
            Just(cut()),
            Just(vec![0; FRAME_BYTES_MAX - 3]),
            Just(vec![0x41; FRAME_BYTES_MAX]),
        ];
        proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
    }

    /// Five bytes that are a packet of one of few uploads, or now and then of none.
    fn lively_packet() -> impl Strategy<Value = [u8; 5]> {
        let seconds = prop_oneof![49 => Just(0), 1 => any::<u8>()];
        let choice = prop_oneof![4 => Just(0), 1 => 0_u8..8];
        let packet = (choice, 0_u8..3, 0_usize..3, 0_u8..10, seconds, any::<u8>());
        let of_upload = packet.prop_map(|(choice, upload, total, index, seconds, length)| {
            // Three totals, so that uploads are alike; serial numbers on both sides of the wrap.
            let total = [2, 5, 10][total];
            let index = index % total;
            let serial = 122 + 5 * upload + index;
            [choice, serial, total << 4 | (index + 1), seconds, length]
        });
        prop_oneof![19 => of_upload, 1 => any::<[u8; 5]>()]
    }

    fn hex(text: &str) -> Vec<u8> {
        crate::hex::bytes(text).to_vec()
    }

    proptest! {
        #[test]
        fn the_splitter_gives_the_same_whatever_the_reads_are(data in lively()) {
            stream(&data);
        }

        #[test]
        fn bodies_of_all_messages_encode_back(
            id: [u8; 2],
            body in proptest::collection::vec(prop_oneof![any::<u8>(), 0_u8..6], 0..160),
        ) {
            message(&[&id[..], &body].concat());
        }

        #[test]
        fn packets_are_joined_as_they_were_sent(
            packets in proptest::collection::vec(lively_packet(), 0..200),
        ) {
            reassembly(&packets.concat());
        }

        #[test]
        fn frames_come_back(data in proptest::collection::vec(any::<u8>(), 12..80)) {
            round_trip(&data);
        }
    }

    #[test]
    fn every_id_is_chosen_by_its_number_and_by_others() {
        let (own, others): (Vec<_>, Vec<_>) = (0..=u16::MAX)
            .map(|number| (MessageId(number), chosen_id(number)))
            .partition(|(id, chosen)| id == chosen);
        let others: HashSet<_> = others.into_iter().map(|(_, chosen)| chosen).collect();
        assert!(MessageId::ALL.iter().all(|id| own.contains(&(*id, *id))));
        assert!(MessageId::ALL.iter().all(|id| others.contains(id)));
        assert!(own.len() > MessageId::ALL.len(), "none without a layout");
    }
}
