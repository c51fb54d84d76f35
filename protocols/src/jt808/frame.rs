//! From a byte stream to frames.
//!
//! ```text
//! 0x7E | escaped( header | body | check code BYTE ) | 0x7E
//!
//! escapes:     0x7E -> 0x7D 0x02,  0x7D -> 0x7D 0x01
//! check code:  XOR of header and body, before they were escaped
//! ```
//!
//! Every 0x7E is a boundary, and what lies between two of them is a candidate. A reader that
//! counts "start, end, start, end" is out of step for good after one delimiter too many or too
//! few. Whether a candidate is a frame is decided by [`Frame::open`], from its bytes alone.

mod splitter;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

pub use self::splitter::{Split, Splitter};
use super::header::Header;

/// The flag byte (标识位).
pub const DELIMITER: u8 = 0x7E;
pub(super) const ESCAPE: u8 = 0x7D;
const ESCAPED_ESCAPE: u8 = 0x01;
const ESCAPED_DELIMITER: u8 = 0x02;

/// The longest frame on the wire: 21 bytes of header, 1023 of body and the check code, all of
/// them escaped, and two delimiters.
pub const FRAME_BYTES_MAX: usize = 2 * (21 + 1023 + 1) + 2;
/// The shortest content: a header of 2013, no body, the check code.
const CONTENT_BYTES_MIN: usize = 13;

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RejectReason {
    /// Before the first delimiter.
    #[error("bytes before the first delimiter")]
    Noise,
    /// Longer than any frame.
    #[error("more than {FRAME_BYTES_MAX} bytes without a delimiter")]
    Oversize,
    /// Shorter than a header and a check code.
    #[error("too short for a header and a check code")]
    Short,
    /// The check code is not that of the content.
    #[error("the check code does not fit")]
    CheckCode,
    /// The datagram ends inside it.
    #[error("cut by the end of the datagram")]
    Cut,
}

impl RejectReason {
    /// All of them, for tables of counters.
    pub const ALL: &[Self] = &[
        Self::Noise,
        Self::Oversize,
        Self::Short,
        Self::CheckCode,
        Self::Cut,
    ];

    /// The word for a metric's label.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Noise => "noise",
            Self::Oversize => "oversize",
            Self::Short => "short",
            Self::CheckCode => "check_code",
            Self::Cut => "cut",
        }
    }
}

/// A frame whose check code is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The header.
    pub header: Header,
    /// The body without escapes. It shares the memory of the candidate where nothing is escaped.
    pub body: Bytes,
    /// The header does not describe the frame: its length field is wrong, and the body is what is
    /// there; or it is a header of 2019 that is not marked as one. To be answered, and counted.
    pub deviates: bool,
}

/// The inside of a frame, checked.
struct Content {
    header: Header,
    header_len: usize,
    fits: bool,
}

impl Frame {
    /// Opens what lies between two delimiters, escapes included.
    ///
    /// An escape that is none (0x7D before another byte than 0x01 and 0x02, or at the end) stands
    /// for itself, and so does a 0x7E inside: the check code decides. Of the two readings of a
    /// candidate with escapes, that of a sender who never escapes is taken only when check code
    /// and length both fit it and not the other.
    ///
    /// # Errors
    /// When it is too short, or the check code is wrong in both readings.
    pub fn open(raw: Bytes) -> Result<Self, RejectReason> {
        let Some(unescaped) = unescape(&raw) else {
            return Ok(Self::of(inspect(&raw)?, raw));
        };
        match inspect(&unescaped) {
            Ok(content) if content.fits => Ok(Self::of(content, unescaped)),
            other => match inspect(&raw) {
                Ok(content) if content.fits => Ok(Self::of(content, raw)),
                _ => Ok(Self::of(other?, unescaped)),
            },
        }
    }

    /// The same with the body that its encrypted one stands for.
    #[must_use]
    pub fn with_clear_body(&self, body: Bytes) -> Self {
        Self {
            header: Header {
                encryption: 0,
                ..self.header
            },
            body,
            deviates: self.deviates,
        }
    }

    /// Opens what a sender wrote who is known to escape, whatever its length field says.
    ///
    /// # Errors
    /// When it is too short, or the check code is wrong.
    pub fn open_escaped(raw: Bytes) -> Result<Self, RejectReason> {
        let content = unescape(&raw).unwrap_or(raw);
        Ok(Self::of(inspect(&content)?, content))
    }

    fn of(content: Content, mut body: Bytes) -> Self {
        let Content {
            header,
            header_len,
            fits,
        } = content;
        body.truncate(body.len().saturating_sub(1));
        body.advance(header_len.min(body.len()));
        Self {
            header,
            body,
            deviates: !fits || header.lacks_version_bit(),
        }
    }
}

/// Checks unescaped bytes, and reads their header.
fn inspect(content: &[u8]) -> Result<Content, RejectReason> {
    if content.len() < CONTENT_BYTES_MIN {
        return Err(RejectReason::Short);
    }
    if check_code(content) != 0 {
        return Err(RejectReason::CheckCode);
    }
    let parsed = Header::parse(content).ok_or(RejectReason::Short)?;
    Ok(Content {
        header: parsed.header,
        header_len: parsed.header_len,
        fits: parsed.fits,
    })
}

/// XOR of all bytes; 0 over a content with its check code.
///
/// By words: where the result is compared with 0, the compiler makes of a fold over bytes a loop of
/// one byte a step.
pub(crate) fn check_code(bytes: &[u8]) -> u8 {
    let (words, rest) = bytes.as_chunks();
    let word = words
        .iter()
        .fold(0, |code, word| code ^ u64::from_ne_bytes(*word));
    let code = word.to_ne_bytes().iter().fold(0, |code, byte| code ^ byte);
    rest.iter().fold(code, |code, byte| code ^ byte)
}

/// Undoes the escapes; `None` when there are none.
fn unescape(raw: &[u8]) -> Option<Bytes> {
    let mut next = find_escape(raw, 0)?;
    let mut content = BytesMut::with_capacity(raw.len());
    let mut done = 0;
    loop {
        // The value, in place of the two bytes of the escape at `next`.
        let value = if raw.get(next + 1) == Some(&ESCAPED_ESCAPE) {
            ESCAPE
        } else {
            DELIMITER
        };
        content.put_slice(raw.get(done..next).unwrap_or_default());
        content.put_u8(value);
        done = next + 2;
        let Some(after) = find_escape(raw, done) else {
            break;
        };
        next = after;
    }
    content.put_slice(raw.get(done..).unwrap_or_default());
    Some(content.freeze())
}

/// The place of the next true escape, at `from` or behind it.
fn find_escape(raw: &[u8], from: usize) -> Option<usize> {
    let mut start = from;
    loop {
        let at = start + memchr::memchr(ESCAPE, raw.get(start..)?)?;
        if matches!(raw.get(at + 1), Some(&(ESCAPED_ESCAPE | ESCAPED_DELIMITER))) {
            return Some(at);
        }
        start = at + 1;
    }
}

/// Appends `content` with its delimiters and escapes escaped.
pub(crate) fn escape_into(frame: &mut BytesMut, content: &[u8]) {
    let mut rest = content;
    while let Some(at) = memchr::memchr2(DELIMITER, ESCAPE, rest) {
        let (plain, special) = rest.split_at(at);
        frame.put_slice(plain);
        let Some((byte, behind)) = special.split_first() else {
            break;
        };
        let code = if *byte == ESCAPE {
            ESCAPED_ESCAPE
        } else {
            ESCAPED_DELIMITER
        };
        frame.put_slice(&[ESCAPE, code]);
        rest = behind;
    }
    frame.put_slice(rest);
}

/// Whether a connection begins like HTTP: scanners of the internet try every port.
#[must_use]
pub fn looks_like_http(start: &[u8]) -> bool {
    const METHODS: &[&[u8]] = &[
        b"GET ",
        b"HEAD ",
        b"POST ",
        b"PUT ",
        b"DELETE ",
        b"CONNECT ",
        b"OPTIONS ",
        b"TRACE ",
        b"PATCH ",
        b"PRI * HTTP/2",
    ];
    METHODS.iter().any(|method| start.starts_with(method))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::jt808::{
        header::{HeaderForm, TerminalPhone},
        message::MessageId,
    };

    fn open(hex: &str) -> Result<Frame, RejectReason> {
        Frame::open(crate::hex::bytes(hex))
    }

    #[test]
    fn a_heartbeat_of_each_form_opens() {
        let frame = open("00 02 00 00 01 38 00 13 80 00 00 01 A9").unwrap();
        assert_eq!(frame.header.message_id, MessageId::HEARTBEAT);
        assert_eq!(frame.header.form(), HeaderForm::Form2013);
        assert_eq!(frame.header.serial, 1);
        assert!(frame.body.is_empty() && !frame.deviates);

        let frame = open("00 02 40 00 01 00 00 00 00 01 38 00 13 80 00 00 01 E8").unwrap();
        assert_eq!(frame.header.form(), HeaderForm::Form2019);
        assert_eq!(frame.header.version, 1);
        assert_eq!(frame.header.phone.to_string(), "00000000013800138000");
    }

    #[test]
    fn a_check_code_is_escaped_too() {
        assert_eq!(
            open("0002 0000 013800138000 00D6 7D02")
                .unwrap()
                .header
                .serial,
            0xD6
        );
        assert_eq!(
            open("0002 0000 013800138000 00D5 7D01")
                .unwrap()
                .header
                .serial,
            0xD5
        );
    }

    #[test]
    fn an_escape_byte_that_escapes_nothing_stands_for_itself() {
        // At the end: a check code that was not escaped.
        assert_eq!(
            open("0002 0000 013800138000 00D5 7D")
                .unwrap()
                .header
                .serial,
            213
        );
        // Before 0x03.
        let frame = open("0900 0003 013800138000 0003 F07D03 2D").unwrap();
        assert_eq!(frame.body, &[0xF0, 0x7D, 0x03][..]);
        // Before an escape.
        let frame = open("0900 0002 013800138000 0003 7D7D01 AD").unwrap_err();
        assert_eq!(frame, RejectReason::CheckCode);
    }

    #[test]
    fn a_sender_that_never_escapes_is_read_where_check_code_and_length_fit() {
        let frame = open("0900 0003 013800138000 0004 F07D01 28").unwrap();
        assert_eq!(frame.body, &[0xF0, 0x7D, 0x01][..]);
        assert!(!frame.deviates);
        // Two pairs change the check code twice: only the length tells.
        let frame = open("0900 0004 013800138000 0004 7D017D01 A3").unwrap();
        assert_eq!(frame.body, &[0x7D, 0x01, 0x7D, 0x01][..]);
        assert!(!frame.deviates);
        // Of one who escapes it is another one, with a length that counts escapes.
        let raw = crate::hex::bytes("0900 0004 013800138000 0004 7D017D01 A3");
        let frame = Frame::open_escaped(raw).unwrap();
        assert_eq!(frame.body, &[0x7D, 0x7D][..]);
        assert!(frame.deviates);
    }

    #[test]
    fn a_wrong_length_deviates_and_the_body_is_what_is_there() {
        let frame = open("0002 0005 013800138000 0006 AB").unwrap();
        assert_eq!((frame.header.serial, frame.header.body_len), (6, 5));
        assert!(frame.deviates && frame.body.is_empty());
    }

    #[test]
    fn the_form_is_found_when_bit_14_is_wrong() {
        let frame = open("0002 4000 013800138000 0005 ED").unwrap();
        assert_eq!(frame.header.form(), HeaderForm::Form2013);
        assert!(
            !frame.deviates,
            "the bit is reserved there, and nothing depends on it"
        );

        let frame = open("8104 0000 01 00000000012345678910 0001 1C").unwrap();
        assert_eq!(frame.header.form(), HeaderForm::Form2019);
        assert_eq!(frame.header.phone.key().unwrap().as_str(), "12345678910");
        assert!(frame.deviates, "the bit is a fixed 1 there");
    }

    #[test]
    fn what_is_no_frame_says_why() {
        assert_eq!(open(""), Err(RejectReason::Short));
        assert_eq!(
            open("0002 0000 013800138000 0001"),
            Err(RejectReason::Short)
        );
        assert_eq!(
            open("0002 0000 013800138000 0001 A8"),
            Err(RejectReason::CheckCode)
        );
        // Right check code, packet item cut off.
        assert_eq!(
            open("0002 2000 013800138000 0001 89"),
            Err(RejectReason::Short)
        );
        for reason in RejectReason::ALL {
            assert!(!reason.reason().is_empty() && !reason.to_string().is_empty());
        }
    }

    #[test]
    fn a_body_without_escapes_is_not_copied() {
        let raw = crate::hex::bytes("0900 0003 013800138000 0004 F07E01 2B");
        let body_at = raw.slice(12..15).as_ptr();
        assert_eq!(Frame::open(raw).unwrap().body.as_ptr(), body_at);
    }

    #[test]
    fn a_check_code_is_the_xor_of_all_bytes() {
        let bytes: Vec<u8> = (1..=40).map(|n: u8| n.wrapping_mul(77)).collect();
        for length in 0..=bytes.len() {
            let by_one = bytes[..length].iter().fold(0, |code, byte| code ^ byte);
            assert_eq!(check_code(&bytes[..length]), by_one, "{length}");
        }
    }

    #[test]
    fn http_is_known_by_its_first_word() {
        assert!(looks_like_http(b"GET / HTTP/1.1\r\n"));
        assert!(looks_like_http(b"PRI * HTTP/2.0\r\n"));
        assert!(!looks_like_http(b"GETTING"));
        assert!(!looks_like_http(b"\x7E\x00\x02"));
        assert!(!looks_like_http(b""));
    }

    proptest! {
        #[test]
        fn a_frame_that_was_written_is_read_back(
            id: u16, serial: u16, short: [u8; 6], long: [u8; 10], is_long: bool,
            body in proptest::collection::vec(
                prop_oneof![3 => any::<u8>(), 1 => 0x7C_u8..0x80, 1 => 0_u8..3], 0..200,
            ),
        ) {
            let phone = if is_long { TerminalPhone::Long(long) } else { TerminalPhone::Short(short) };
            let header = Header::new(MessageId(id), phone, serial);
            let wire = header.frame(&body).unwrap();
            prop_assert_eq!(wire.iter().filter(|byte| **byte == DELIMITER).count(), 2);
            let frame = Frame::open(wire.slice(1..wire.len() - 1)).unwrap();
            prop_assert_eq!(&frame.body, &body);
            prop_assert!(!frame.deviates);
            let stated = u16::try_from(body.len()).unwrap();
            prop_assert_eq!(frame.header, Header { body_len: stated, ..header });
        }
    }
}
