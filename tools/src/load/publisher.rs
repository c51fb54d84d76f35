//! How a terminal of a load speaks MQTT: its positions as payloads, and what it is answered.

use std::{fmt::Write as _, ops::Range};

use super::{
    connection::Reply,
    report_frame::{Fix, ReportFrame},
};
use crate::{
    mqtt::{self, Packet, PayloadKind, is_refusal},
    output::rfc3339,
    wire::{Answer, message_id},
};

/// One terminal's way of publishing.
#[derive(Debug)]
pub(super) struct Publisher {
    kind: PayloadKind,
    topic: String,
}

impl Publisher {
    pub(super) fn new(kind: PayloadKind, phone: u64) -> Self {
        let leaf = match kind {
            PayloadKind::Json => "up/json",
            PayloadKind::Jt808 => "up/jt808",
        };
        Self {
            kind,
            topic: mqtt::topic(&phone.to_string(), leaf),
        }
    }

    /// Appends the PUBLISH of some positions.
    pub(super) fn write(
        &self,
        template: &mut ReportFrame,
        (phone, id): ([u8; 6], u16),
        numbers: Range<u32>,
        fix: impl Fn(u32) -> Fix,
        out: &mut Vec<u8>,
    ) {
        let mut payload = Vec::with_capacity(160);
        match self.kind {
            PayloadKind::Jt808 => {
                template.write_all(phone, id, numbers, fix, &mut payload);
            }
            PayloadKind::Json if numbers.len() == 1 => {
                let fields = fields(fix(numbers.start));
                payload.extend(mqtt::position(&fields).bytes());
            }
            PayloadKind::Json => {
                let each: Vec<_> = numbers.map(|number| fields(fix(number))).collect();
                payload.extend(mqtt::batch(false, each.iter().map(String::as_str)).bytes());
            }
        }
        mqtt::publish(&self.topic, id, &payload, out);
    }
}

/// What a position says as JSON; all places are in the north-east.
fn fields(fix: Fix) -> String {
    let (latitude, longitude) = fix.place;
    let mut text = String::with_capacity(160);
    // Writing into a String cannot fail.
    _ = write!(
        text,
        r#""time":"{}","lat":{}.{:06},"lon":{}.{:06},"altitude_m":{},"speed_kmh":30,"heading_deg":90,"acc":true,"odometer_km":12345.6,"satellites":11"#,
        rfc3339(i64::from(fix.at)),
        latitude / 1_000_000,
        latitude % 1_000_000,
        longitude / 1_000_000,
        longitude % 1_000_000,
        fix.altitude_m,
    );
    text
}

/// The replies in the bytes, and how many bytes they take; what cannot be read ends in an error.
pub(super) fn replies(
    bytes: &[u8],
    mut on_reply: impl FnMut(Reply),
) -> Result<usize, mqtt::Malformed> {
    let mut rest = bytes;
    while let Some((packet, taken)) = mqtt::split(rest)? {
        match packet {
            Packet::Connected { reason } => on_reply(Reply::LetIn { reason }),
            // The packet id is the serial number of what was published.
            Packet::Acknowledged { id, reason } => on_reply(Reply::Answer(Answer {
                serial: id,
                id: message_id::LOCATION_REPORT,
                result: if is_refusal(reason) { reason } else { 0 },
            })),
            Packet::Disconnected { .. } => return Err(mqtt::Malformed),
            _ => {}
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    Ok(bytes.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use protocols::mqtt::Payload;

    use super::{super::course::corner, *};

    fn fix(number: u32) -> Fix {
        Fix {
            at: 1_772_360_000 + number,
            place: corner(0, number),
            altitude_m: 790,
        }
    }

    fn published(kind: PayloadKind, numbers: Range<u32>) -> (u16, Vec<u8>) {
        let mut out = Vec::new();
        let phone = [0x01, 0x39, 0, 0, 0, 0x07];
        Publisher::new(kind, 13_900_000_007).write(
            &mut ReportFrame::new(),
            (phone, 9),
            numbers,
            fix,
            &mut out,
        );
        let (packet, taken) = mqtt::split(&out).unwrap().unwrap();
        assert_eq!(taken, out.len());
        let Packet::Published { topic, id, payload } = packet else {
            panic!("{packet:?}")
        };
        assert!(topic.starts_with(b"gridtrace/terminals/13900000007/up/j"));
        (id.unwrap(), payload.to_vec())
    }

    #[test]
    fn a_position_as_json_lies_where_its_number_says() {
        let (id, payload) = published(PayloadKind::Json, 20_003..20_004);
        let Ok(Payload::Position(report)) = Payload::read(&payload) else {
            panic!("{}", String::from_utf8_lossy(&payload))
        };
        assert_eq!((id, report.lat, report.lon), (9, 37.860_003, 112.540_001));
        let (_, payload) = published(PayloadKind::Json, 0..3);
        assert!(matches!(
            Payload::read(&payload),
            Ok(Payload::Batch(batch)) if batch.positions.len() == 3
        ));
    }

    #[test]
    fn a_frame_is_the_one_that_goes_over_tcp() {
        let (id, payload) = published(PayloadKind::Jt808, 5..6);
        let mut frame = Vec::new();
        let phone = [0x01, 0x39, 0, 0, 0, 0x07];
        ReportFrame::new().write_all(phone, id, 5..6, fix, &mut frame);
        assert_eq!(payload, frame);
    }

    #[test]
    fn an_acknowledgement_is_an_answer_and_a_refusal_has_its_reason() {
        let mut results = Vec::new();
        let bytes = b"\x40\x02\x00\x05\xD0\x00\x40\x03\x00\x06\x99\x40\x02";
        let taken = replies(bytes, |reply| {
            if let Reply::Answer(answer) = reply {
                results.push((answer.serial, answer.result));
            }
        });
        assert_eq!(taken, Ok(bytes.len() - 2));
        assert_eq!(results, [(5, 0), (6, 0x99)]);
    }
}
