//! Reading and writing bodies: big-endian numbers, sub-slices, and errors that name the field.

pub mod bcd;
pub mod text;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use self::bcd::Gmt8Time;

/// A body that does not follow its layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} at byte {offset}: {kind}")]
pub struct DecodeError {
    /// Field that could not be read.
    pub field: &'static str,
    /// Where it begins, in bytes from the start of the body.
    pub offset: usize,
    /// What is wrong with it.
    pub kind: DecodeErrorKind,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeErrorKind {
    /// The body ends inside the field.
    #[error("needs {needed} bytes, {left} are left")]
    Truncated {
        /// Bytes of the field.
        needed: usize,
        /// Bytes that are there.
        left: usize,
    },
    /// The bytes fit none of the layouts that the message has.
    #[error("fits no layout")]
    NoLayout,
}

impl DecodeError {
    /// The word for a metric's label.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self.kind {
            DecodeErrorKind::Truncated { .. } => "truncated",
            DecodeErrorKind::NoLayout => "no_layout",
        }
    }
}

/// A value that cannot stand in its field on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {kind}")]
pub struct EncodeError {
    /// Field that cannot be written.
    pub field: &'static str,
    /// What is wrong with its value.
    pub kind: EncodeErrorKind,
}

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeErrorKind {
    /// It has more bytes than the field.
    #[error("has {bytes} bytes, {bytes_max} fit")]
    TooLong {
        /// Bytes it has.
        bytes: usize,
        /// Bytes that fit.
        bytes_max: usize,
    },
    /// The list has more entries than its count can say.
    #[error("has {count} entries, {count_max} fit")]
    TooMany {
        /// Entries it has.
        count: usize,
        /// Entries that fit.
        count_max: usize,
    },
    /// The revision's layout needs a value, and there is none.
    #[error("is missing in this revision")]
    Missing,
    /// The revision's layout has no place for it.
    #[error("has no place in this revision")]
    NoPlace,
}

impl EncodeError {
    /// A value of `bytes` bytes where `bytes_max` fit.
    #[must_use]
    pub const fn too_long(field: &'static str, bytes: usize, bytes_max: usize) -> Self {
        Self {
            field,
            kind: EncodeErrorKind::TooLong { bytes, bytes_max },
        }
    }

    /// The word for a metric's label.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self.kind {
            EncodeErrorKind::TooLong { .. } => "too_long",
            EncodeErrorKind::TooMany { .. } => "too_many",
            EncodeErrorKind::Missing => "missing",
            EncodeErrorKind::NoPlace => "no_place",
        }
    }
}

/// Reads a body from its start to its end. Pieces that are kept share the body's memory.
#[derive(Clone, Debug)]
pub struct Reader {
    rest: Bytes,
    body_len: usize,
}

impl Reader {
    /// At the start of `body`.
    #[must_use]
    pub const fn new(body: Bytes) -> Self {
        Self {
            body_len: body.len(),
            rest: body,
        }
    }

    /// Bytes that were read.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.body_len.saturating_sub(self.rest.len())
    }

    /// Bytes that are left.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The bytes that are left, without reading them.
    #[must_use]
    pub fn peek(&self) -> &[u8] {
        &self.rest
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let Some(value) = self.rest.first_chunk().copied() else {
            return Err(self.truncated(field, N));
        };
        self.rest.advance(N);
        Ok(value)
    }

    #[cold]
    fn truncated(&self, field: &'static str, needed: usize) -> DecodeError {
        let kind = DecodeErrorKind::Truncated {
            needed,
            left: self.rest.len(),
        };
        DecodeError {
            field,
            offset: self.offset(),
            kind,
        }
    }

    /// BYTE.
    ///
    /// # Errors
    /// When the body ends before it.
    pub fn byte(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        self.array(field).map(u8::from_be_bytes)
    }

    /// WORD: 16 bits, big-endian.
    ///
    /// # Errors
    /// When the body ends inside it.
    pub fn word(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        self.array(field).map(u16::from_be_bytes)
    }

    /// DWORD: 32 bits, big-endian.
    ///
    /// # Errors
    /// When the body ends inside it.
    pub fn dword(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.array(field).map(u32::from_be_bytes)
    }

    /// BYTE\[n\].
    ///
    /// # Errors
    /// When the body ends inside it.
    pub fn bytes(&mut self, field: &'static str, count: usize) -> Result<Bytes, DecodeError> {
        if count > self.rest.len() {
            return Err(self.truncated(field, count));
        }
        Ok(self.rest.split_to(count))
    }

    /// BCD\[6\], a time at GMT+8. Any digits are taken: a body is not refused for its clock.
    ///
    /// # Errors
    /// When the body ends inside it.
    pub fn time(&mut self, field: &'static str) -> Result<Gmt8Time, DecodeError> {
        self.array(field).map(Gmt8Time)
    }

    /// The error of bytes from here on that fit none of the layouts that a message has.
    #[must_use]
    pub const fn no_layout(&self, field: &'static str) -> DecodeError {
        DecodeError {
            field,
            offset: self.offset(),
            kind: DecodeErrorKind::NoLayout,
        }
    }

    /// All that is left.
    pub fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.rest)
    }
}

/// Writes a body.
#[derive(Debug, Default)]
pub struct Writer(BytesMut);

/// Where a field that is shorter than its width is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// 0x00 in front of the value.
    ZerosBefore,
    /// 0x00 behind it.
    ZerosAfter,
    /// 0x20 behind it.
    SpacesAfter,
}

impl Writer {
    /// An empty body.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// BYTE.
    pub fn byte(&mut self, value: u8) {
        self.0.put_u8(value);
    }

    /// WORD: 16 bits, big-endian.
    pub fn word(&mut self, value: u16) {
        self.0.put_u16(value);
    }

    /// DWORD: 32 bits, big-endian.
    pub fn dword(&mut self, value: u32) {
        self.0.put_u32(value);
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, value: &[u8]) {
        self.0.extend_from_slice(value);
    }

    /// A field of a fixed width.
    ///
    /// # Errors
    /// When the value is longer.
    pub fn padded(
        &mut self,
        field: &'static str,
        value: &[u8],
        width: usize,
        padding: Padding,
    ) -> Result<(), EncodeError> {
        let missing = width
            .checked_sub(value.len())
            .ok_or_else(|| EncodeError::too_long(field, value.len(), width))?;
        match padding {
            Padding::ZerosBefore => {
                self.0.put_bytes(0x00, missing);
                self.bytes(value);
            }
            Padding::ZerosAfter => {
                self.bytes(value);
                self.0.put_bytes(0x00, missing);
            }
            Padding::SpacesAfter => {
                self.bytes(value);
                self.0.put_bytes(0x20, missing);
            }
        }
        Ok(())
    }

    /// The number of bytes as a BYTE, then the bytes.
    ///
    /// # Errors
    /// When there are more than 255.
    pub fn counted(&mut self, field: &'static str, value: &[u8]) -> Result<(), EncodeError> {
        let bytes = value.len();
        let count = u8::try_from(bytes).map_err(|_| EncodeError::too_long(field, bytes, 0xFF))?;
        self.byte(count);
        self.bytes(value);
        Ok(())
    }

    /// What was written.
    #[must_use]
    pub fn finish(self) -> Bytes {
        self.0.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_wire_order() {
        let body = Bytes::from_static(&[1, 0, 2, 0, 0, 0, 3, 4, 5, 6]);
        let mut reader = Reader::new(body);
        assert_eq!(reader.byte("a"), Ok(1));
        assert_eq!(reader.word("b"), Ok(2));
        assert_eq!(reader.dword("c"), Ok(3));
        assert_eq!(reader.offset(), 7);
        assert_eq!(reader.bytes("d", 2), Ok(Bytes::from_static(&[4, 5])));
        assert_eq!(reader.rest(), Bytes::from_static(&[6]));
        assert_eq!(reader.remaining(), 0);
    }

    #[test]
    fn an_error_names_the_field_and_its_place_and_reads_nothing() {
        let body = Bytes::from_static(&[1, 2, 3]);
        let mut reader = Reader::new(body);
        assert_eq!(reader.byte("first"), Ok(1));
        let error = DecodeError {
            field: "second",
            offset: 1,
            kind: DecodeErrorKind::Truncated { needed: 4, left: 2 },
        };
        assert_eq!(reader.dword("second"), Err(error));
        assert_eq!(
            error.to_string(),
            "second at byte 1: needs 4 bytes, 2 are left"
        );
        assert_eq!(error.reason(), "truncated");
        assert_eq!(
            reader.bytes("third", usize::MAX).map_err(|e| e.offset),
            Err(1)
        );
        assert_eq!(reader.time("fourth").map_err(|e| e.offset), Err(1));
        assert_eq!(reader.word("fifth"), Ok(0x0203));
    }

    #[test]
    fn a_short_value_is_filled_to_the_width_of_its_field() {
        let mut writer = Writer::new();
        for padding in [
            Padding::ZerosBefore,
            Padding::ZerosAfter,
            Padding::SpacesAfter,
        ] {
            writer.padded("model", b"A6", 3, padding).unwrap();
        }
        assert_eq!(writer.finish(), &b"\0A6A6\0A6 "[..]);
    }

    #[test]
    fn a_value_that_has_no_room_is_refused() {
        let mut writer = Writer::new();
        let error = writer
            .padded("model", b"ABCD", 3, Padding::ZerosAfter)
            .unwrap_err();
        assert_eq!(error, EncodeError::too_long("model", 4, 3));
        assert!(writer.counted("code", &[0; 256]).is_err());
        assert!(writer.counted("code", &[0; 255]).is_ok());
    }
}
