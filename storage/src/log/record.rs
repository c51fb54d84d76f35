//! A record: what was appended in one call, with its kind and the time of its receipt.
//!
//! ```text
//! | offset | field       | width | little endian                                |
//! |      0 | length      |     4 | bytes of the payload                         |
//! |      4 | kind        |     1 | the caller's to define                       |
//! |      5 | received at |     8 | milliseconds since 1970-01-01T00:00:00Z      |
//! |     13 | payload     |     . |                                              |
//! ```
//!
//! A record has no check sum and no number of its own: its block has both (`block.rs`).

use bytes::{Buf as _, Bytes};

/// Bytes of a record beside its payload.
pub(super) const RECORD_HEADER_BYTES: usize = 13;

/// What a record is. The log keeps it and does not look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordKind(pub u8);

impl RecordKind {
    /// The place of a record that was lost: what [`salvage`](super::salvage()) puts there, without
    /// a payload, so that the records behind it keep their numbers. Nobody appends it.
    pub const LOST: Self = Self(0);
}

/// A durable record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number: dense from 0, and never given to another record of the same log.
    pub offset: u64,
    /// What it is.
    pub kind: RecordKind,
    /// When it came, in milliseconds since 1970-01-01T00:00:00Z.
    pub received_at: i64,
    /// What was appended. A slice of the buffer it was read into, which it keeps in memory: copy
    /// it where few records are kept for long.
    pub payload: Bytes,
}

/// The bytes before a payload of `length` bytes.
pub(super) fn header(kind: RecordKind, received_at: i64, length: u32) -> [u8; RECORD_HEADER_BYTES] {
    let mut header = [0; RECORD_HEADER_BYTES];
    header[..4].copy_from_slice(&length.to_le_bytes());
    header[4] = kind.0;
    header[5..].copy_from_slice(&received_at.to_le_bytes());
    header
}

/// Takes the next record from the content of a block; `None` when it is not one.
pub(super) fn take(content: &mut Bytes, offset: u64) -> Option<Record> {
    if content.len() < RECORD_HEADER_BYTES {
        return None;
    }
    let length = usize::try_from(content.get_u32_le()).ok()?;
    let kind = RecordKind(content.get_u8());
    let received_at = content.get_i64_le();
    (length <= content.len()).then(|| Record {
        offset,
        kind,
        received_at,
        payload: content.split_to(length),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_read(
            kind: u8,
            received_at: i64,
            payload in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let length = u32::try_from(payload.len()).unwrap();
            let mut bytes = header(RecordKind(kind), received_at, length).to_vec();
            bytes.extend(&payload);
            let mut content = Bytes::from(bytes);
            let record = take(&mut content, 7).unwrap();
            let expected =
                Record { offset: 7, kind: RecordKind(kind), received_at, payload: payload.into() };
            prop_assert_eq!(record, expected);
            prop_assert!(content.is_empty());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut content = Bytes::from(bytes);
            while take(&mut content, 0).is_some() {}
        }
    }
}
