//! The terminal's end of JT/T 808: frames and bodies that a terminal sends, and the few responses
//! that it must understand.
//!
//! This is written apart from the gateway's decoder on purpose: a fleet that shared the codec
//! would share its mistakes, and no test between the two would show them.
//!
//! ```text
//! 7E | escaped( header | body | check code ) | 7E        7E -> 7D 02, 7D -> 7D 01
//!
//! header 2011, 2013:  id 2 | attributes 2 |           phone 6  | serial 2 [| packet item 4]
//! header 2019:        id 2 | attributes 2 | version 1 | phone 10 | serial 2 [| packet item 4]
//! ```

use encoding_rs::GBK;
use time::{OffsetDateTime, UtcOffset};

/// The longest body of one frame: ten bits.
pub const BODY_BYTES_MAX: usize = 1_023;
/// More bytes than any frame has, escaped (1,045 doubled, and two delimiters).
const FRAME_BYTES_MAX: usize = 2_092;
const DELIMITER: u8 = 0x7E;
const ESCAPE: u8 = 0x7D;
const VERSION_BIT: u16 = 0x4000;
const PACKET_BIT: u16 = 0x2000;
const LENGTH_MASK: u16 = 0x03FF;

/// Message ids, by their names in the standard.
pub mod message_id {
    /// General response of the terminal.
    pub const TERMINAL_RESPONSE: u16 = 0x0001;
    /// Heartbeat.
    pub const HEARTBEAT: u16 = 0x0002;
    /// Deregistration, sent before a planned disconnect.
    pub const LOG_OUT: u16 = 0x0003;
    /// Registration.
    pub const REGISTRATION: u16 = 0x0100;
    /// Authentication.
    pub const AUTHENTICATION: u16 = 0x0102;
    /// Location report.
    pub const LOCATION_REPORT: u16 = 0x0200;
    /// Answer to a location query.
    pub const LOCATION_QUERY_RESPONSE: u16 = 0x0201;
    /// Batch of location reports.
    pub const LOCATION_BATCH: u16 = 0x0704;
    /// General response of the platform.
    pub const PLATFORM_RESPONSE: u16 = 0x8001;
    /// Response to a registration.
    pub const REGISTRATION_RESPONSE: u16 = 0x8100;
    /// Location query.
    pub const LOCATION_QUERY: u16 = 0x8201;
}

/// A revision of JT/T 808.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Revision {
    /// 2011.
    V2011,
    /// 2013.
    V2013,
    /// 2019.
    V2019,
}

/// The sender in the header: its form and the phone number as on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Phone {
    bytes: Vec<u8>,
}

impl Phone {
    /// A number of up to 12 (2011, 2013) or 20 digits (2019), filled with zeros in front; `None`
    /// when it is empty, too long or not of digits.
    #[must_use]
    pub fn from_digits(digits: &str, revision: Revision) -> Option<Self> {
        let width = if revision == Revision::V2019 { 20 } else { 12 };
        if digits.is_empty() || digits.len() > width || !digits.bytes().all(|b| b.is_ascii_digit())
        {
            return None;
        }
        let padded = format!("{digits:0>width$}");
        let bytes = padded
            .as_bytes()
            .chunks(2)
            .map(|pair| {
                pair.iter()
                    .fold(0, |byte, digit| (byte << 4) | (digit - b'0'))
            })
            .collect();
        Some(Self { bytes })
    }

    /// The bytes of a header, whatever they are; `None` unless there are 6 or 10.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        matches!(bytes.len(), 6 | 10).then(|| Self {
            bytes: bytes.to_vec(),
        })
    }

    /// Without padding zeros; lower-case hex where it is not of decimal digits.
    #[must_use]
    pub fn digits(&self) -> String {
        let hex = hex(&self.bytes);
        let digits = hex.trim_start_matches('0');
        if digits.is_empty() {
            "0".to_owned()
        } else {
            digits.to_owned()
        }
    }

    /// All digits, as in the header.
    #[must_use]
    pub fn raw_hex(&self) -> String {
        hex(&self.bytes)
    }

    /// Whether the header is that of 2019.
    #[must_use]
    pub const fn is_2019(&self) -> bool {
        self.bytes.len() == 10
    }
}

/// Builds a frame, delimiters and escapes included; `None` when the body is longer than
/// [`BODY_BYTES_MAX`].
#[must_use]
pub fn frame(id: u16, phone: &Phone, serial: u16, body: &[u8]) -> Option<Vec<u8>> {
    packet(id, phone, serial, None, body)
}

/// Builds the frame of one packet, `(total, number)`, of a longer message; as [`frame`] without
/// them.
#[must_use]
pub fn packet(
    id: u16,
    phone: &Phone,
    serial: u16,
    item: Option<(u16, u16)>,
    body: &[u8],
) -> Option<Vec<u8>> {
    let length = u16::try_from(body.len())
        .ok()
        .filter(|length| *length <= LENGTH_MASK)?;
    let packet_bit = item.map_or(0, |_| PACKET_BIT);
    let mut content = Vec::with_capacity(body.len() + 24);
    content.extend(id.to_be_bytes());
    if phone.is_2019() {
        content.extend((length | packet_bit | VERSION_BIT).to_be_bytes());
        content.push(1);
    } else {
        content.extend((length | packet_bit).to_be_bytes());
    }
    content.extend(&phone.bytes);
    content.extend(serial.to_be_bytes());
    if let Some((total, number)) = item {
        content.extend(total.to_be_bytes());
        content.extend(number.to_be_bytes());
    }
    content.extend(body);
    content.push(check_code(&content));
    let mut frame = Vec::with_capacity(content.len() + 8);
    escape_into(&content, &mut frame);
    Some(frame)
}

/// The exclusive or of all bytes.
#[must_use]
pub fn check_code(content: &[u8]) -> u8 {
    content.iter().fold(0, |code, byte| code ^ byte)
}

/// Writes header, body and check code with delimiters and escapes.
pub fn escape_into(content: &[u8], frame: &mut Vec<u8>) {
    frame.push(DELIMITER);
    for byte in content {
        match *byte {
            DELIMITER => frame.extend([ESCAPE, 0x02]),
            ESCAPE => frame.extend([ESCAPE, 0x01]),
            byte => frame.push(byte),
        }
    }
    frame.push(DELIMITER);
}

/// Takes escapes back; `None` where 0x7D is followed by something else than 01 or 02.
#[must_use]
pub fn unescape(escaped: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.iter();
    while let Some(byte) = bytes.next() {
        content.push(match *byte {
            ESCAPE => match bytes.next()? {
                0x01 => ESCAPE,
                0x02 => DELIMITER,
                _ => return None,
            },
            byte => byte,
        });
    }
    Some(content)
}

/// Whether what lies between two delimiters ends in the check code of what is before it.
#[must_use]
pub fn has_good_check_code(escaped: &[u8]) -> bool {
    unescape(escaped).is_some_and(|content| content.len() > 1 && check_code(&content) == 0)
}

/// What a location report says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Alarm bits.
    pub alarms: u32,
    /// Status bits; the hemispheres are set from the coordinates.
    pub status: u32,
    /// Millionths of a degree of WGS-84, north positive.
    pub latitude: i32,
    /// Millionths of a degree of WGS-84, east positive.
    pub longitude: i32,
    /// Metres.
    pub altitude_m: u16,
    /// Tenths of km/h.
    pub speed_dkmh: u16,
    /// Clockwise from north, 0 to 359.
    pub heading_deg: u16,
    /// Seconds since 1970 in UTC; written at GMT+8.
    pub fixed_at: i64,
    /// Additional items: id and value of at most 255 bytes (a longer one is left out).
    pub items: Vec<(u8, Vec<u8>)>,
}

impl Report {
    /// Status bits of a vehicle with a fix by GPS and BeiDou and its engine on or off.
    #[must_use]
    pub const fn status_of(is_acc_on: bool) -> u32 {
        (is_acc_on as u32) | 0b10 | (0b11 << 18)
    }

    /// The body of a 0x0200.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let mut status = self.status & !0b1100;
        status |= u32::from(self.latitude < 0) << 2;
        status |= u32::from(self.longitude < 0) << 3;
        let mut body = Vec::with_capacity(64);
        body.extend(self.alarms.to_be_bytes());
        body.extend(status.to_be_bytes());
        body.extend(self.latitude.unsigned_abs().to_be_bytes());
        body.extend(self.longitude.unsigned_abs().to_be_bytes());
        body.extend(self.altitude_m.to_be_bytes());
        body.extend(self.speed_dkmh.to_be_bytes());
        body.extend(self.heading_deg.to_be_bytes());
        body.extend(bcd_time(self.fixed_at));
        for (id, value) in &self.items {
            if let Ok(length) = u8::try_from(value.len()) {
                body.extend([*id, length]);
                body.extend(value);
            }
        }
        body
    }
}

/// `YYMMDDhhmmss` at GMT+8; zeros for a time that no calendar has.
#[must_use]
pub fn bcd_time(unix_s: i64) -> [u8; 6] {
    let bcd = |value: u8| ((value / 10) << 4) | (value % 10);
    let local = UtcOffset::from_hms(8, 0, 0)
        .ok()
        .zip(OffsetDateTime::from_unix_timestamp(unix_s).ok())
        .and_then(|(offset, at)| at.checked_to_offset(offset));
    local.map_or([0; 6], |at| {
        [
            bcd(u8::try_from(at.year().rem_euclid(100)).unwrap_or(0)),
            bcd(u8::from(at.month())),
            bcd(at.day()),
            bcd(at.hour()),
            bcd(at.minute()),
            bcd(at.second()),
        ]
    })
}

/// The body of a 0x0704 over bodies of 0x0200; `None` when they do not fit one frame.
#[must_use]
pub fn batch_body(is_backlog: bool, reports: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut body = u16::try_from(reports.len()).ok()?.to_be_bytes().to_vec();
    body.push(u8::from(is_backlog));
    for report in reports {
        body.extend(u16::try_from(report.len()).ok()?.to_be_bytes());
        body.extend(report);
    }
    (body.len() <= BODY_BYTES_MAX).then_some(body)
}

/// The body of a 0x0100 in the layout of its revision. The plate is written in GBK; an empty one
/// is sent with plate colour 0.
#[must_use]
pub fn registration_body(revision: Revision, terminal_id: &str, plate: &str) -> Vec<u8> {
    let (manufacturer, model, id) = match revision {
        Revision::V2011 => (5, 8, 7),
        Revision::V2013 => (5, 20, 7),
        Revision::V2019 => (11, 30, 30),
    };
    let mut body = Vec::with_capacity(90);
    // Shanxi, Taiyuan: the first two and the last four digits of 140100.
    body.extend(14_u16.to_be_bytes());
    body.extend(100_u16.to_be_bytes());
    fixed(&mut body, "GTSIM", manufacturer, false);
    // 2019 fills the model in front, the others behind; 2011 with spaces, which tools that trim
    // take like zeros.
    fixed(&mut body, "SIM-1", model, revision == Revision::V2019);
    fixed(&mut body, terminal_id, id, revision == Revision::V2019);
    body.push(if plate.is_empty() { 0 } else { 2 });
    body.extend(GBK.encode(plate).0.iter());
    if revision == Revision::V2011 {
        body.push(0);
    }
    body
}

/// The body of a 0x0102 in the layout of its revision.
#[must_use]
pub fn authentication_body(revision: Revision, code: &[u8]) -> Vec<u8> {
    if revision != Revision::V2019 {
        return code.to_vec();
    }
    let mut body = vec![u8::try_from(code.len()).unwrap_or(u8::MAX)];
    body.extend(code.iter().take(usize::from(u8::MAX)));
    fixed(&mut body, "860000000000000", 15, false);
    fixed(&mut body, "1.0", 20, false);
    body
}

/// Writes text into a field of fixed width, zeros in front or behind.
fn fixed(body: &mut Vec<u8>, text: &str, width: usize, is_right_aligned: bool) {
    let text: Vec<u8> = text.bytes().take(width).collect();
    let padding = std::iter::repeat_n(0, width - text.len());
    if is_right_aligned {
        body.extend(padding);
        body.extend(text);
    } else {
        body.extend(text);
        body.extend(padding);
    }
}

/// A frame taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Message id.
    pub id: u16,
    /// Sender or addressee.
    pub phone: Phone,
    /// Serial number.
    pub serial: u16,
    /// The body as sent.
    pub body: Vec<u8>,
    /// Total and number, where it is one packet of several.
    pub packet: Option<(u16, u16)>,
}

/// What a platform says about a message of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Serial number of the message.
    pub serial: u16,
    /// Its id.
    pub id: u16,
    /// 0 success, 1 failure, 2 the message has errors, 3 not supported, 4 alarm handled.
    pub result: u8,
}

impl Incoming {
    /// Takes apart what lies between two delimiters; `None` when the check code or the length is
    /// wrong.
    #[must_use]
    pub fn parse(escaped: &[u8]) -> Option<Self> {
        let mut content = unescape(escaped)?;
        if check_code(&content) != 0 {
            return None;
        }
        content.pop()?;
        Self::from_content(&content)
    }

    /// Header and body without check code.
    fn from_content(content: &[u8]) -> Option<Self> {
        let word = |at: usize| -> Option<u16> {
            Some(u16::from_be_bytes([
                *content.get(at)?,
                *content.get(at + 1)?,
            ]))
        };
        let (id, attributes) = (word(0)?, word(2)?);
        let is_packet = attributes & PACKET_BIT != 0;
        let item = if is_packet { 4 } else { 0 };
        // The length tells the form, not bit 14: some terminals set it wrongly.
        let header = content
            .len()
            .checked_sub(usize::from(attributes & LENGTH_MASK))?;
        let phone = match header.checked_sub(item)? {
            12 => content.get(4..10)?,
            17 => content.get(5..15)?,
            _ => return None,
        };
        Some(Self {
            id,
            phone: Phone::from_bytes(phone)?,
            serial: word(header - item - 2)?,
            body: content.get(header..)?.to_vec(),
            packet: if is_packet {
                Some((word(header - 4)?, word(header - 2)?))
            } else {
                None
            },
        })
    }

    /// What a 0x8001 says.
    #[must_use]
    pub fn answer(&self) -> Option<Answer> {
        match (self.id, self.body.as_slice()) {
            (message_id::PLATFORM_RESPONSE, [s0, s1, i0, i1, result, ..]) => Some(Answer {
                serial: u16::from_be_bytes([*s0, *s1]),
                id: u16::from_be_bytes([*i0, *i1]),
                result: *result,
            }),
            _ => None,
        }
    }

    /// What a 0x8100 says: the serial number that it answers, the result and the code.
    #[must_use]
    pub fn registration_answer(&self) -> Option<(u16, u8, &[u8])> {
        match (self.id, self.body.as_slice()) {
            (message_id::REGISTRATION_RESPONSE, [s0, s1, result, code @ ..]) => {
                Some((u16::from_be_bytes([*s0, *s1]), *result, code))
            }
            _ => None,
        }
    }
}

/// Takes the next whole frame out of what was received; damaged ones are skipped.
pub fn next_frame(buffer: &mut Vec<u8>) -> Option<Incoming> {
    let mut taken = 0;
    let mut found = None;
    while let Some(start) = buffer
        .iter()
        .skip(taken)
        .position(|byte| *byte == DELIMITER)
    {
        let start = taken + start + 1;
        let Some(length) = buffer
            .iter()
            .skip(start)
            .position(|byte| *byte == DELIMITER)
        else {
            break;
        };
        // The delimiter behind may be the one before the next frame as well.
        taken = start + length;
        found = buffer.get(start..taken).and_then(Incoming::parse);
        if found.is_some() {
            taken += 1;
            break;
        }
    }
    buffer.drain(..taken);
    if found.is_none() && buffer.len() > FRAME_BYTES_MAX {
        buffer.clear();
    }
    found
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing into a String cannot fail.
            _ = write!(text, "{byte:02x}");
            text
        })
}

/// Bytes of hex digits, spaces between them allowed; `None` when it is not hex.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some((high << 4) | low),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests;
