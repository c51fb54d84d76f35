//! JSON payloads of `up/json`.

use std::fmt::Write as _;

use crate::{output::rfc3339, wire::Report};

const ACC: u32 = 1;
const ODOMETER: u8 = 0x01;
const VEHICLE_SIGNALS: u8 = 0x25;
const SATELLITES: u8 = 0x31;

/// The fields of a report, as they stand in a position and in a batch, without braces.
#[must_use]
pub fn fields(report: &Report) -> String {
    let tenths = |value: u32| format!("{}.{}", value / 10, value % 10);
    let mut text = format!(
        r#""time":"{}","lat":{},"lon":{},"altitude_m":{},"speed_kmh":{},"heading_deg":{},"acc":{}"#,
        rfc3339(report.fixed_at),
        degrees(report.latitude),
        degrees(report.longitude),
        report.altitude_m,
        tenths(report.speed_dkmh.into()),
        report.heading_deg,
        report.status & ACC != 0,
    );
    // Writing into a String cannot fail.
    if report.alarms != 0 {
        _ = write!(text, r#","alarm_flags":{}"#, report.alarms);
    }
    for (id, value) in &report.items {
        let dword = <[u8; 4]>::try_from(value.as_slice()).map(u32::from_be_bytes);
        match (*id, dword, value.as_slice()) {
            (ODOMETER, Ok(dkm), _) => _ = write!(text, r#","odometer_km":{}"#, tenths(dkm)),
            (VEHICLE_SIGNALS, Ok(bits), _) => _ = write!(text, r#","vehicle_signals":{bits}"#),
            (SATELLITES, _, [count]) => _ = write!(text, r#","satellites":{count}"#),
            _ => {}
        }
    }
    text
}

/// Millionths of a degree as degrees.
fn degrees(micro: i32) -> String {
    let sign = if micro < 0 { "-" } else { "" };
    let micro = micro.unsigned_abs();
    format!("{sign}{}.{:06}", micro / 1_000_000, micro % 1_000_000)
}

/// One position, of its [`fields`].
#[must_use]
pub fn position(fields: &str) -> String {
    format!(r#"{{"type":"position",{fields}}}"#)
}

/// Several.
#[must_use]
pub fn batch<'a>(is_backlog: bool, each: impl IntoIterator<Item = &'a str>) -> String {
    let each: Vec<String> = each
        .into_iter()
        .map(|fields| format!("{{{fields}}}"))
        .collect();
    let positions = each.join(",");
    format!(r#"{{"type":"batch","positions":[{positions}],"backlog":{is_backlog}}}"#)
}

/// That a command of `down/json` was understood; `None` when it is no command.
#[must_use]
pub fn answer(command: &[u8]) -> Option<String> {
    let command: serde_json::Value = serde_json::from_slice(command).ok()?;
    let number = |name: &str| command.get(name)?.as_u64();
    let (serial, id) = (number("serial")?, number("message_id")?);
    Some(format!(
        r#"{{"type":"answer","serial":{serial},"message_id":{id},"result":0}}"#
    ))
}

#[cfg(test)]
mod tests {
    use protocols::mqtt::Payload;

    use super::*;

    fn report() -> Report {
        Report {
            alarms: 1 << 14,
            status: Report::status_of(true),
            latitude: 37_000_001,
            longitude: -112_540_000,
            altitude_m: 790,
            speed_dkmh: 305,
            heading_deg: 359,
            fixed_at: 1_772_380_799,
            items: vec![
                (ODOMETER, 123_456_u32.to_be_bytes().to_vec()),
                (0x03, vec![1, 2]),
                (VEHICLE_SIGNALS, 3_u32.to_be_bytes().to_vec()),
                (SATELLITES, vec![11]),
            ],
        }
    }

    #[test]
    fn a_position_is_of_the_schema_and_says_what_the_report_does() {
        let text = position(&fields(&report()));
        let Payload::Position(read) = Payload::read(text.as_bytes()).unwrap() else {
            panic!("{text}")
        };
        assert_eq!((read.lat, read.lon), (37.000_001, -112.54));
        assert_eq!(read.time, "2026-03-01T15:59:59Z");
        assert_eq!(
            (read.speed_kmh, read.heading_deg),
            (Some(30.5), Some(359.0))
        );
        assert_eq!(
            (read.acc, read.odometer_km, read.satellites),
            (Some(true), Some(12_345.6), Some(11))
        );
        assert_eq!(
            (read.alarm_flags, read.vehicle_signals),
            (Some(1 << 14), Some(3))
        );
    }

    #[test]
    fn a_batch_and_an_answer_are_of_the_schema() {
        let one = fields(&report());
        let text = batch(false, [one.as_str(), &one]);
        let Payload::Batch(read) = Payload::read(text.as_bytes()).unwrap() else {
            panic!("{text}")
        };
        assert_eq!((read.positions.len(), read.backlog), (2, Some(false)));
        let command = br#"{"type":"command","serial":17,"message_id":33536,"body":{}}"#;
        let text = answer(command).unwrap();
        assert!(matches!(
            Payload::read(text.as_bytes()),
            Ok(Payload::Answer(answer)) if answer.serial == 17 && answer.message_id == 33_536
        ));
        assert_eq!(answer(b"{}"), None);
    }

    #[test]
    fn the_will_is_of_the_schema() {
        let will = Payload::read(super::super::WILL.as_bytes());
        assert!(matches!(will, Ok(Payload::Event(_))), "{will:?}");
    }
}
