use super::*;
use crate::{fuzzing::split_attachments, hex};

const HEARTBEAT_1: &str = "7E 0002 0000 013800138000 0001 A9 7E";
const HEARTBEAT_2: &str = "7E 0002 0000 013800138000 0002 AA 7E";
const NAME: &[u8] = b"00_64_6401_0_0123456789abcdef0123456789abcdef.jpg";

fn packet(offset: u32, stated: u32, data: &[u8]) -> Vec<u8> {
    let mut packet = PACKET_MARK.to_vec();
    packet.extend(NAME);
    packet.resize(4 + FILE_NAME_BYTES, 0);
    packet.extend(offset.to_be_bytes());
    packet.extend(stated.to_be_bytes());
    packet.extend(data);
    packet
}

fn frame(text: &str) -> Vec<u8> {
    hex::bytes(text).to_vec()
}

fn candidate(text: &str) -> Piece {
    let frame = hex::bytes(text);
    Piece::Candidate(frame.slice(1..frame.len() - 1))
}

fn data(offset: u32, bytes: &[u8], is_last_part: bool) -> Piece {
    Piece::Data {
        name: FileName::new(NAME).unwrap(),
        offset,
        bytes: Bytes::copy_from_slice(bytes),
        is_last_part,
    }
}

fn dropped(reason: DropReason, bytes: usize) -> Piece {
    Piece::Dropped { reason, bytes }
}

/// What comes out, the same in all cuts of the stream in two.
fn outcome(parts: &[&[u8]], packet_bytes_max: u32) -> Vec<Piece> {
    let stream = parts.concat();
    let first = split_attachments(&stream, packet_bytes_max, |_| 1);
    for at in 1..stream.len() {
        let pieces = split_attachments(&stream, packet_bytes_max, |left| {
            if left == stream.len() { at } else { left }
        });
        assert_eq!(pieces, first, "cut at {at}");
    }
    first
}

#[test]
fn frames_and_packets_follow_each_other_as_they_like() {
    let (one, two) = (frame(HEARTBEAT_1), frame(HEARTBEAT_2));
    // Delimiters and a mark in the data are data.
    let first = packet(0, 12, b"\x7E01cd\x7E\x7E....\x7E");
    let second = packet(12, 3, b"end");
    let expected = [
        candidate(HEARTBEAT_1),
        data(0, b"\x7E01cd\x7E\x7E....\x7E", true),
        data(12, b"end", true),
        candidate(HEARTBEAT_2),
    ];
    assert_eq!(outcome(&[&one, &first, &second, &two], 100), expected);
    // The first byte of a connection may belong to a packet, as after a broken connection.
    assert_eq!(outcome(&[&second], 100), [data(12, b"end", true)]);
    // Two frames may share their delimiter.
    let expected = [candidate(HEARTBEAT_1), candidate(HEARTBEAT_2)];
    assert_eq!(outcome(&[&one, &two[1..]], 100), expected);
}

#[test]
fn a_packet_without_data_comes_out_once() {
    let expected = [data(5, b"", true), candidate(HEARTBEAT_1)];
    let stream = [&packet(5, 0, b"")[..], &frame(HEARTBEAT_1)];
    assert_eq!(outcome(&stream, 100), expected);
}

#[test]
fn data_come_out_as_they_arrive_and_nothing_of_them_is_kept() {
    let mut splitter = AttachmentSplitter::new(1000);
    let mut buffer = BytesMut::from(&packet(70, 1000, &[1; 10])[..]);
    assert_eq!(splitter.next(&mut buffer), Some(data(70, &[1; 10], false)));
    assert_eq!(splitter.next(&mut buffer), None);
    assert!(buffer.is_empty());
    buffer.extend_from_slice(&[2; 989]);
    assert_eq!(splitter.next(&mut buffer), Some(data(80, &[2; 989], false)));
    buffer.extend_from_slice(b"\x7E\x7E");
    assert_eq!(splitter.next(&mut buffer), Some(data(1069, b"\x7E", true)));
    assert_eq!(splitter.next(&mut buffer), None);
    assert_eq!(splitter.finish(&mut buffer), None);
}

#[test]
fn noise_is_dropped_up_to_a_frame_or_a_packet() {
    let (one, packet) = (frame(HEARTBEAT_1), packet(0, 1, b"x"));
    let expected = [
        dropped(DropReason::Noise, 6),
        data(0, b"x", true),
        dropped(DropReason::Noise, 3),
        candidate(HEARTBEAT_1),
        data(0, b"x", true),
        dropped(DropReason::Noise, 3),
    ];
    let stream: [&[u8]; 6] = [b"0101c0", &packet, b"01c", &one, &packet, b"\0\0\0"];
    assert_eq!(outcome(&stream, 100), expected);
}

#[test]
fn a_packet_that_is_too_long_is_none() {
    let one = frame(HEARTBEAT_1);
    let long = packet(0, 101, b"0123456789");
    let expected = [
        dropped(DropReason::PacketTooLong, long.len()),
        candidate(HEARTBEAT_1),
    ];
    assert_eq!(outcome(&[&long, &one], 100), expected);
    let beyond = packet(u32::MAX - 5, 6, b"012345");
    let expected = [
        dropped(DropReason::PacketTooLong, beyond.len()),
        candidate(HEARTBEAT_1),
    ];
    assert_eq!(outcome(&[&beyond, &one], 100), expected);
    let last = packet(u32::MAX - 6, 6, b"012345");
    assert_eq!(
        outcome(&[&last], 100),
        [data(u32::MAX - 6, b"012345", true)]
    );
}

#[test]
fn a_packet_behind_a_frame_that_was_not_closed_is_found() {
    let one = frame(HEARTBEAT_1);
    let open = &one[..one.len() - 1];
    let packet = packet(0, 1, b"x");
    // Up to a delimiter, and up to the longest frame.
    let long = [0x41; FRAME_BYTES_MAX];
    for behind in [&one[..], &long] {
        let pieces = split_attachments(&[open, &packet, behind].concat(), 100, |_| 1);
        let expected = [
            dropped(DropReason::Unclosed, open.len() - 1),
            data(0, b"x", true),
        ];
        assert_eq!(pieces[..2], expected);
        assert_eq!(pieces.len(), 3);
    }
}

#[test]
fn a_frame_may_have_the_mark_of_a_packet_in_it() {
    let text = "7E 0900 0005 013800138000 0001 F0 30316364 54 7E";
    let mut content = hex::bytes(text);
    content = content.slice(1..content.len() - 2);
    let code = content.iter().fold(0, |code, byte| code ^ byte);
    let raw = [&content[..], &[code]].concat();
    let pieces = outcome(&[b"\x7E", &raw, b"\x7E"], 100);
    assert_eq!(pieces, [Piece::Candidate(raw.into())]);
}

#[test]
fn the_longest_candidate_comes_out_and_a_longer_one_is_dropped() {
    let run = |length| {
        let mut stream = vec![0x7E];
        stream.resize(1 + length, 0x41);
        stream.extend(frame(HEARTBEAT_1));
        split_attachments(&stream, 100, |_| 97)
    };
    let pieces = run(CANDIDATE_BYTES_MAX);
    assert!(matches!(&pieces[0], Piece::Candidate(raw) if raw.len() == CANDIDATE_BYTES_MAX));
    let bytes = CANDIDATE_BYTES_MAX + 1;
    let expected = [dropped(DropReason::Oversize, bytes), candidate(HEARTBEAT_1)];
    assert_eq!(run(bytes), expected);
}

#[test]
fn a_run_without_end_is_reported_in_pieces_and_not_kept() {
    let pieces = split_attachments(&[b'0'; 2 * DROPPED_BYTES_MAX + 5], 100, |_| 2000);
    let piece = || dropped(DropReason::Noise, DROPPED_BYTES_MAX);
    assert_eq!(pieces, [piece(), piece(), dropped(DropReason::Noise, 5)]);
}

#[test]
fn what_the_end_cuts_is_counted() {
    let packet = packet(0, 9, b"");
    let one = frame(HEARTBEAT_1);
    for (stream, bytes) in [
        (&packet[..30], 30),
        (&one[..7], 6),
        (b"\x7E01", 2),
        (b"\x7E\x7E", 0),
    ] {
        let expected = Vec::from_iter((bytes > 0).then(|| dropped(DropReason::Cut, bytes)));
        assert_eq!(outcome(&[stream], 100), expected);
    }
    // What has come of a packet was given, and said that it is not all.
    assert_eq!(
        outcome(&[&packet, b"12345"], 100),
        [data(0, b"12345", false)]
    );
}

#[test]
fn reasons_are_different_words() {
    let words: std::collections::HashSet<_> = DropReason::ALL
        .iter()
        .map(|reason| reason.reason())
        .collect();
    assert_eq!(words.len(), DropReason::ALL.len());
    assert!(DropReason::ALL.iter().all(|r| !r.to_string().is_empty()));
}
