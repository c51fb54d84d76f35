//! The properties of the attachment connection.

use std::path::{Component, Path};

use bytes::{BufMut as _, BytesMut};

use crate::{
    jsatl12::{AttachmentSplitter, FileName, PACKET_HEADER_BYTES, Piece},
    jt808::frame::{FRAME_BYTES_MAX, Frame},
};

/// The most data of a packet here: small, so that streams have packets that are too long.
const PACKET_BYTES_MAX: u32 = 300;

/// The splitter gives the same whatever the reads are, loses no byte without saying so, and keeps
/// no more than a frame; no name becomes a path. The first byte chooses the reads.
///
/// # Panics
/// When that does not hold.
pub fn attachments(data: &[u8]) {
    let Some((seed, stream)) = data.split_first() else {
        return;
    };
    let whole = split_attachments(stream, PACKET_BYTES_MAX, |_| usize::MAX);
    let by_one = split_attachments(stream, PACKET_BYTES_MAX, |_| 1);
    let mut state = u32::from(*seed) | 1;
    let by_some = split_attachments(stream, PACKET_BYTES_MAX, |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 25) as usize + 1
    });
    assert_eq!(whole, by_one, "one byte a read gives something else");
    assert_eq!(whole, by_some, "other reads give something else");
    for piece in whole {
        match piece {
            Piece::Candidate(raw) => {
                assert!(!raw.is_empty(), "an empty candidate");
                drop(Frame::open(raw));
            }
            Piece::Data {
                name,
                offset,
                bytes,
                ..
            } => {
                let length = u32::try_from(bytes.len()).expect("within the limit");
                assert!(length <= PACKET_BYTES_MAX, "more than the limit");
                assert!(offset.checked_add(length).is_some(), "beyond 4 GiB");
                is_no_path(&name);
            }
            Piece::Dropped { bytes, .. } => assert!(bytes > 0, "nothing was dropped"),
        }
    }
    if let Some(name) = FileName::new(stream) {
        is_no_path(&name);
    }
}

/// What comes out of a stream in reads of these sizes. The parts of a packet are put together.
///
/// # Panics
/// When bytes are lost, or too many are kept.
#[must_use]
pub fn split_attachments(
    stream: &[u8],
    packet_bytes_max: u32,
    mut read_size: impl FnMut(usize) -> usize,
) -> Vec<Piece> {
    let mut splitter = AttachmentSplitter::new(packet_bytes_max);
    let mut buffer = BytesMut::new();
    let mut pieces = Vec::new();
    let mut bytes_given = 0;
    let mut rest = stream;
    while !rest.is_empty() {
        let (read, behind) = rest.split_at(read_size(rest.len()).clamp(1, rest.len()));
        rest = behind;
        buffer.put_slice(read);
        while let Some(piece) = splitter.next(&mut buffer) {
            bytes_given += bytes_of(&piece);
            push(&mut pieces, piece);
        }
        assert!(
            buffer.len() < FRAME_BYTES_MAX,
            "{} bytes are kept",
            buffer.len()
        );
    }
    if let Some(piece) = splitter.finish(&mut buffer) {
        bytes_given += bytes_of(&piece);
        pieces.push(piece);
    }
    // What is not given are delimiters and headers.
    let delimiters = stream.iter().filter(|byte| **byte == 0x7E).count();
    let packets = pieces
        .iter()
        .filter(|piece| matches!(piece, Piece::Data { .. }));
    // A packet that has not come to its data gives nothing; its header is behind `finish`.
    let headers = (packets.count() + 1) * PACKET_HEADER_BYTES;
    assert!(bytes_given <= stream.len(), "more came out than went in");
    assert!(
        bytes_given + delimiters + headers >= stream.len(),
        "{} bytes are lost",
        stream.len() - bytes_given
    );
    pieces
}

fn bytes_of(piece: &Piece) -> usize {
    match piece {
        Piece::Candidate(bytes) | Piece::Data { bytes, .. } => bytes.len(),
        Piece::Dropped { bytes, .. } => *bytes,
    }
}

/// Adds a piece; a part of a packet to the part before it.
fn push(pieces: &mut Vec<Piece>, piece: Piece) {
    let Piece::Data {
        name,
        offset,
        bytes,
        is_last_part,
    } = &piece
    else {
        pieces.push(piece);
        return;
    };
    match pieces.last_mut() {
        Some(Piece::Data {
            name: name_before,
            offset: start,
            bytes: before,
            is_last_part: is_complete @ false,
        }) => {
            assert_eq!(name_before, name, "a part of another file");
            assert_eq!(
                Some(before.len()),
                offset.checked_sub(*start).map(|gap| gap as usize),
                "a part from elsewhere"
            );
            *before = [&before[..], &bytes[..]].concat().into();
            *is_complete = *is_last_part;
        }
        _ => pieces.push(piece),
    }
}

/// What is written of a name in parts is one ordinary component of a path, and reads the same.
fn is_no_path(name: &FileName) {
    let Some(parts) = name.parts() else {
        return;
    };
    let written = parts.to_string();
    let mut components = Path::new(&written).components();
    assert!(matches!(components.next(), Some(Component::Normal(part)) if part == &*written));
    assert_eq!(components.next(), None);
    assert!(!written.contains(['/', '\\', '\0', ':']), "{written:?}");
    // Words for unknown extensions can make a name longer than the field.
    if let Some(again) = FileName::new(written.as_bytes()) {
        assert_eq!(again.parts(), Some(parts));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(offset: u32, stated: u32, data: &[u8]) -> Vec<u8> {
        let mut packet = b"01cd00_64_6401_0_0123456789abcdef.jpg".to_vec();
        packet.resize(4 + 50, 0);
        packet.extend(offset.to_be_bytes());
        packet.extend(stated.to_be_bytes());
        packet.extend(data);
        packet
    }

    /// Bytes in which frames, packets and their beginnings are frequent.
    fn lively() -> impl Strategy<Value = Vec<u8>> {
        let frame = || crate::hex::bytes("7E 0002 0000 013800138000 0001 A9 7E").to_vec();
        let data = proptest::collection::vec(prop_oneof![any::<u8>(), Just(0x7E)], 0..299);
        let whole = (any::<u32>(), data).prop_map(|(offset, data)| {
            packet(offset, u32::try_from(data.len()).unwrap_or(0), &data)
        });
        let part = prop_oneof![
            3 => whole,
            2 => Just(frame()),
            1 => proptest::collection::vec(any::<u8>(), 0..40),
            1 => proptest::collection::vec(
                prop_oneof![Just(0x7E_u8), Just(0x30), Just(0x31), Just(0x63), Just(0x64)], 0..20),
            1 => Just(b"01cd".to_vec()),
            1 => Just(packet(0, 301, &[0x55; 20])),
            1 => Just(packet(u32::MAX, 1, b"x")),
            1 => Just(packet(7, 300, &[0x55; 20])),
            1 => Just(vec![0x41; FRAME_BYTES_MAX - 3]),
            1 => Just(vec![0x41; FRAME_BYTES_MAX]),
        ];
        proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn an_attachment_connection_gives_the_same_whatever_the_reads_are(data in lively()) {
            attachments(&data);
        }

        #[test]
        fn no_name_becomes_a_path(
            name in "[0-9a-z/.]{0,3}_[0-9]{1,3}_[0-9A-F]{2,4}_[0-9]{1,5}_[-a-z0-9./]{1,9}\\.[a-z/.]{1,4}",
        ) {
            is_no_path(&FileName::new(name.as_bytes()).expect("short enough"));
        }
    }
}
