//! Bytes to messages: JT/T 808 in its revisions of 2011, 2013 and 2019.
//!
//! ```text
//! bytes ─▶ jt808::frame::Splitter ─▶ candidate ─▶ jt808::frame::Frame ─▶ jt808::message::Message
//!          cut at each 0x7E                       unescaped, checked,    fields in wire order
//!                                                 header read
//! ```
//!
//! What holds for every input:
//! - Nothing panics, and nothing reads past what it was given.
//! - What comes out does not depend on how the stream was cut into reads.
//! - The splitter keeps at most two frames of a connection, and searches no byte again for being
//!   incomplete.
//! - Packets of a long message are joined exactly or not at all, within bounds of memory and age.
//! - Structure is strict (length, check code), values are lenient: reserved bits, unknown items,
//!   unknown messages and bytes beyond the known layout are kept, and encode back unchanged.
//!
//! The crate is pure: no I/O, no clock, no thread, no logging.
//!
//! ```
//! use bytes::BytesMut;
//! use protocols::jt808::{
//!     Revision,
//!     frame::{Frame, Split, Splitter},
//!     message::Message,
//! };
//!
//! // A heartbeat, serial number 1, in the form of 2011 and 2013.
//! let mut buffer = BytesMut::from(&b"\x7E\x00\x02\x00\x00\x01\x38\x00\x13\x80\x00\x00\x01\xA9\x7E"[..]);
//! let mut splitter = Splitter::new();
//! let Some(Split::Candidate(raw)) = splitter.next(&mut buffer) else { panic!("no frame") };
//! let frame = Frame::open(raw)?;
//! assert_eq!(frame.header.serial, 1);
//! let message = Message::decode(frame.header.message_id, frame.body, Revision::V2013)?;
//! assert!(matches!(message, Message::Heartbeat(_)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[doc(hidden)]
pub mod fuzzing;
pub mod jsatl12;
pub mod jt808;
pub mod mqtt;
pub mod wire;

#[cfg(test)]
mod hex {
    use bytes::Bytes;

    /// The bytes of hex digits; spaces between them are for the reader.
    pub(crate) fn bytes(text: &str) -> Bytes {
        let digits: Vec<u8> = text
            .bytes()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }
}
