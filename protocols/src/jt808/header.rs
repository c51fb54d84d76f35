//! The header (消息头), in the form of 2011 and 2013 and in that of 2019.
//!
//! ```text
//! | 2011, 2013 | 2019 | field            | wire                                            |
//! |          0 |    0 | message id       | WORD                                            |
//! |          2 |    2 | body attributes  | WORD: 0-9 body length, 10-12 encryption,        |
//! |            |      |                  | 13 packet item follows, 14 form of 2019         |
//! |          - |    4 | protocol version | BYTE, from 1                                    |
//! |          4 |    5 | phone number     | BCD[6]; 2019 BCD[10]                            |
//! |         10 |   15 | serial number    | WORD                                            |
//! |         12 |   17 | packet item      | with bit 13 only: total WORD, number WORD from 1 |
//! ```
//!
//! Bit 14 is a hint: terminals set it on headers of 2013, and leave it out of those of 2019. The
//! length decides, where the body length in the header is right.

mod phone;

use bytes::{BufMut as _, Bytes, BytesMut};

pub use self::phone::{PhoneKey, TerminalPhone};
use super::{
    Revision,
    frame::{DELIMITER, escape_into},
    message::{Message, MessageId},
};
use crate::wire::EncodeError;

/// The longest body of one frame, in bytes: ten bits.
pub const BODY_BYTES_MAX: usize = 1023;

const LENGTH_MASK: u16 = 0x03FF;
const ENCRYPTION_MASK: u16 = 0x1C00;
const ENCRYPTION_SHIFT: u32 = 10;
const PACKET_BIT: u16 = 1 << 13;
const VERSION_BIT: u16 = 1 << 14;
const RESERVED_BIT: u16 = 1 << 15;
const PACKET_ITEM_BYTES: usize = 4;
const CHECK_CODE_BYTES: usize = 1;

/// The layout of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeaderForm {
    /// 2011 and 2013: phone number of 6 bytes.
    Form2013,
    /// 2019: protocol version, and phone number of 10 bytes.
    Form2019,
}

impl HeaderForm {
    /// Length without a packet item, in bytes.
    const fn bytes(self) -> usize {
        match self {
            Self::Form2013 => 12,
            Self::Form2019 => 17,
        }
    }
}

/// The packet item (消息包封装项) of a message that is sent in several packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketItem {
    /// Packets of the message.
    pub total: u16,
    /// Number of this one, from 1.
    pub number: u16,
}

/// What stands before every body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which message it is.
    pub message_id: MessageId,
    /// Body length that the header states, in bytes; 10 bits.
    pub body_len: u16,
    /// Encryption of the body: 0 none, 1 RSA, others reserved; 3 bits.
    pub encryption: u8,
    /// Protocol version, 1 for 2019; 0 in the form of 2013, which has none.
    pub version: u8,
    /// The terminal.
    pub phone: TerminalPhone,
    /// Serial number of the message.
    pub serial: u16,
    /// Set where the message is one packet of several.
    pub packet: Option<PacketItem>,
    /// Bits 14 and 15 of the attributes where they are not as the form has them.
    pub odd_attributes: u16,
}

/// What the length of a frame says about its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    form: HeaderForm,
    fits: bool,
}

impl Shape {
    /// `content_len` counts header, body and check code.
    fn of(content_len: usize, attributes: u16, version: u8) -> Self {
        let body_len = usize::from(attributes & LENGTH_MASK);
        let overhead =
            content_len.checked_sub(body_len + packet_bytes(attributes) + CHECK_CODE_BYTES);
        let is_marked = attributes & VERSION_BIT != 0;
        if overhead == Some(HeaderForm::Form2013.bytes()) {
            Self {
                form: HeaderForm::Form2013,
                fits: true,
            }
        } else if overhead == Some(HeaderForm::Form2019.bytes()) && (is_marked || version == 1) {
            Self {
                form: HeaderForm::Form2019,
                fits: true,
            }
        } else {
            Self {
                form: marked_form(attributes),
                fits: false,
            }
        }
    }
}

const fn packet_bytes(attributes: u16) -> usize {
    if attributes & PACKET_BIT != 0 {
        PACKET_ITEM_BYTES
    } else {
        0
    }
}

const fn marked_form(attributes: u16) -> HeaderForm {
    if attributes & VERSION_BIT != 0 {
        HeaderForm::Form2019
    } else {
        HeaderForm::Form2013
    }
}

/// Length that header, body and check code should have, by the header's own words; `None` before
/// the attributes.
pub(super) fn stated_content_len(content: &[u8]) -> Option<usize> {
    let [_, _, high, low, ..] = *content else {
        return None;
    };
    let attributes = u16::from_be_bytes([high, low]);
    let body_len = usize::from(attributes & LENGTH_MASK);
    let header_len = marked_form(attributes).bytes() + packet_bytes(attributes);
    Some(header_len + body_len + CHECK_CODE_BYTES)
}

/// A header that was read, and where the body begins.
pub(super) struct Parsed {
    pub(super) header: Header,
    pub(super) header_len: usize,
    pub(super) fits: bool,
}

impl Header {
    /// Reads the header of `content`: header, body and check code, without escapes. `None` when it
    /// is cut off.
    pub(super) fn parse(content: &[u8]) -> Option<Parsed> {
        let (&[id_high, id_low, attributes_high, attributes_low], rest) =
            content.split_first_chunk()?;
        let attributes = u16::from_be_bytes([attributes_high, attributes_low]);
        let shape = Shape::of(content.len(), attributes, *rest.first()?);
        let (version, phone, rest) = match shape.form {
            HeaderForm::Form2013 => {
                let (phone, rest) = rest.split_first_chunk()?;
                (0, TerminalPhone::Short(*phone), rest)
            }
            HeaderForm::Form2019 => {
                let (version, rest) = rest.split_first()?;
                let (phone, rest) = rest.split_first_chunk()?;
                (*version, TerminalPhone::Long(*phone), rest)
            }
        };
        let (serial, rest) = rest.split_first_chunk()?;
        let (packet, rest) = if attributes & PACKET_BIT != 0 {
            let (total, rest) = rest.split_first_chunk()?;
            let (number, rest) = rest.split_first_chunk()?;
            let (total, number) = (u16::from_be_bytes(*total), u16::from_be_bytes(*number));
            (Some(PacketItem { total, number }), rest)
        } else {
            (None, rest)
        };
        let header_len = content.len().checked_sub(rest.len())?;
        rest.len().checked_sub(CHECK_CODE_BYTES)?;
        let header = Self {
            message_id: MessageId(u16::from_be_bytes([id_high, id_low])),
            body_len: attributes & LENGTH_MASK,
            encryption: attributes_high >> 2 & 0b111,
            version,
            phone,
            serial: u16::from_be_bytes(*serial),
            packet,
            odd_attributes: (attributes ^ form_bit(shape.form)) & (VERSION_BIT | RESERVED_BIT),
        };
        Some(Parsed {
            header,
            header_len,
            fits: shape.fits,
        })
    }

    /// The header of a message of its own, to or from a terminal.
    #[must_use]
    pub const fn new(message_id: MessageId, phone: TerminalPhone, serial: u16) -> Self {
        let version = match phone {
            TerminalPhone::Short(_) => 0,
            TerminalPhone::Long(_) => 1,
        };
        Self {
            message_id,
            body_len: 0,
            encryption: 0,
            version,
            phone,
            serial,
            packet: None,
            odd_attributes: 0,
        }
    }

    /// The header's form.
    #[must_use]
    pub const fn form(&self) -> HeaderForm {
        self.phone.form()
    }

    /// Whether this is a header of 2019 that does not say so: bit 14 is fixed to 1 there.
    #[must_use]
    pub fn lacks_version_bit(&self) -> bool {
        self.form() == HeaderForm::Form2019 && self.odd_attributes & VERSION_BIT != 0
    }

    /// The revision that the form shows: 2013 stands for 2011 as well.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        match self.form() {
            HeaderForm::Form2013 => Revision::V2013,
            HeaderForm::Form2019 => Revision::V2019,
        }
    }

    /// The frame of this header and a body, delimiters and escapes included. The stated body
    /// length is that of `body`.
    ///
    /// # Errors
    /// When the body is longer than [`BODY_BYTES_MAX`].
    pub fn frame(&self, body: &[u8]) -> Result<Bytes, EncodeError> {
        let bytes = body.len();
        let too_long = EncodeError::too_long("body", bytes, BODY_BYTES_MAX);
        let length = u16::try_from(bytes)
            .ok()
            .filter(|length| *length <= LENGTH_MASK);
        let attributes = length.ok_or(too_long)?
            | (u16::from(self.encryption) << ENCRYPTION_SHIFT & ENCRYPTION_MASK)
            | if self.packet.is_some() { PACKET_BIT } else { 0 }
            | (form_bit(self.form()) ^ self.odd_attributes) & (VERSION_BIT | RESERVED_BIT);
        let header_len_max = HeaderForm::Form2019.bytes() + PACKET_ITEM_BYTES;
        let mut content = BytesMut::with_capacity(header_len_max + bytes + CHECK_CODE_BYTES);
        content.put_u16(self.message_id.0);
        content.put_u16(attributes);
        if self.form() == HeaderForm::Form2019 {
            content.put_u8(self.version);
        }
        content.put_slice(self.phone.as_bytes());
        content.put_u16(self.serial);
        if let Some(packet) = self.packet {
            content.put_u16(packet.total);
            content.put_u16(packet.number);
        }
        content.put_slice(body);
        let check_code = super::frame::check_code(&content);
        content.put_u8(check_code);

        let mut frame = BytesMut::with_capacity(content.len() + 8);
        frame.put_u8(DELIMITER);
        escape_into(&mut frame, &content);
        frame.put_u8(DELIMITER);
        Ok(frame.freeze())
    }

    /// The header of a message to the terminal that this one is from: in the same form, with the
    /// same version, bit 14 and bytes of the phone number, since a terminal knows its own words
    /// best.
    #[must_use]
    pub const fn reply(&self, message_id: MessageId, serial: u16) -> Self {
        Self {
            version: self.version,
            odd_attributes: self.odd_attributes & VERSION_BIT,
            ..Self::new(message_id, self.phone, serial)
        }
    }

    /// The frame of a response to this header's message, with the header that
    /// [`reply`](Self::reply) gives.
    ///
    /// # Errors
    /// When a field of the response is longer than its place, or the response than one frame.
    pub fn respond(&self, response: &Message, serial: u16) -> Result<Bytes, EncodeError> {
        let body = response.encode(self.revision())?;
        self.reply(response.id(), serial).frame(&body)
    }
}

const fn form_bit(form: HeaderForm) -> u16 {
    match form {
        HeaderForm::Form2013 => 0,
        HeaderForm::Form2019 => VERSION_BIT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jt808::{
        frame::Frame,
        message::{general_response::GeneralResponse, heartbeat::Heartbeat},
    };

    fn content(attributes: u16, version: u8, rest: usize) -> Vec<u8> {
        let mut content = vec![0x00, 0x02];
        content.extend(attributes.to_be_bytes());
        content.push(version);
        content.resize(5 + rest, 0x11);
        content
    }

    fn form_of(content: &[u8]) -> (HeaderForm, bool) {
        let parsed = Header::parse(content).unwrap();
        (parsed.header.form(), parsed.fits)
    }

    #[test]
    fn the_length_decides_the_form_and_bit_14_where_no_length_fits() {
        use HeaderForm::{Form2013, Form2019};
        for (attributes, version, length, expected) in [
            (0x0000, 0x01, 13, (Form2013, true)),
            (0x4000, 0x01, 13, (Form2013, true)), // marked as 2019, and is not
            (0x0000, 0x01, 18, (Form2019, true)), // not marked
            (0x0000, 0x00, 18, (Form2013, false)), // neither marked nor of a version
            (0x4000, 0x00, 18, (Form2019, true)),
            (0x2000, 0x01, 17, (Form2013, true)),
            (0x6000, 0x01, 22, (Form2019, true)),
            (0x2000, 0x01, 22, (Form2019, true)),
            (0x0005, 0x01, 13, (Form2013, false)), // states five bytes too many
            (0x4005, 0x01, 18, (Form2013, true)),  // five bytes of body behind 12 of header
            (0x4004, 0x01, 18, (Form2019, false)),
            (0x03FF, 0x01, 20, (Form2013, false)),
        ] {
            let content = content(attributes, version, length - 5);
            assert_eq!(
                form_of(&content),
                expected,
                "{attributes:04x} {version} {length}"
            );
        }
    }

    #[test]
    fn a_header_that_is_cut_off_is_none() {
        for (attributes, needed) in [(0x0000, 13), (0x2000, 17), (0x4001, 18), (0x6001, 22)] {
            for length in 5..needed {
                let content = content(attributes, 1, length - 5);
                let is_other_form = form_of_or_none(&content).is_some_and(|form| {
                    form == HeaderForm::Form2013 && attributes & VERSION_BIT != 0
                });
                assert!(
                    is_other_form || Header::parse(&content).is_none(),
                    "{length}"
                );
            }
            assert!(Header::parse(&content(attributes, 1, needed - 5)).is_some());
        }
        assert!(Header::parse(&[0, 2, 0, 0]).is_none());
    }

    fn form_of_or_none(content: &[u8]) -> Option<HeaderForm> {
        Header::parse(content).map(|parsed| parsed.header.form())
    }

    #[test]
    fn a_response_has_the_form_and_the_phone_bytes_of_the_request() {
        // 0x8001 to a location report of 2019 with serial number 0x007E, as the reference has it.
        let phone = TerminalPhone::Long([0, 0, 0, 0, 0x01, 0x38, 0x00, 0x13, 0x80, 0x00]);
        let request = Header::new(MessageId::LOCATION_REPORT, phone, 0x007E);
        let response = GeneralResponse::new(request.serial, request.message_id, 0);
        let frame = request
            .respond(&Message::PlatformResponse(response), 2)
            .unwrap();
        let expected = b"\x7E\x80\x01\x40\x05\x01\x00\x00\x00\x00\x01\x38\x00\x13\x80\x00\x00\x02\
                         \x00\x7D\x02\x02\x00\x00\x11\x7E";
        assert_eq!(frame, &expected[..]);
    }

    #[test]
    fn a_body_that_ten_bits_cannot_count_is_refused() {
        let header = Header::new(MessageId::HEARTBEAT, TerminalPhone::Short([1; 6]), 0);
        assert!(header.frame(&[0x7E; BODY_BYTES_MAX]).is_ok());
        let error = header.frame(&[0; BODY_BYTES_MAX + 1]).unwrap_err();
        assert_eq!(error, EncodeError::too_long("body", 1024, 1023));
    }

    #[test]
    fn attributes_and_packet_item_come_back() {
        let header = Header {
            body_len: 3,
            encryption: 0b101,
            packet: Some(PacketItem {
                total: 3,
                number: 2,
            }),
            odd_attributes: RESERVED_BIT,
            ..Header::new(
                MessageId::HEARTBEAT,
                TerminalPhone::Long([0x7D; 10]),
                0x7E7D,
            )
        };
        let frame = header.frame(b"abc").unwrap();
        let opened = Frame::open(frame.slice(1..frame.len() - 1)).unwrap();
        assert_eq!(opened.header, header);
        assert_eq!(opened.body, &b"abc"[..]);
        assert!(!opened.deviates);
        let response = Message::Heartbeat(Heartbeat::default());
        assert!(opened.header.respond(&response, 0).is_ok());
    }
}
