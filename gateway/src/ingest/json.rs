//! JSON payloads that came over MQTT: their records, and the positions in them.
//!
//! ```text
//! record:  version BYTE (1) | length of the terminal's id BYTE | its id, ASCII | payload as it came
//!
//! body:    alarm flags u32 | status flags u32 | latitude u32 | longitude u32 | altitude u16 | speed u16
//!          | heading u16 | fix time BCD[6]: the location body of JT/T 808, for who reads reports in
//!          quarantine
//!          | and one item of it (0xF0, length BYTE) with the rest: fix time i64, milliseconds since
//!          1970, and of each value that was sent its number BYTE, and i64 in tenths or whole units
//! ```
//!
//! The body is what was reported, free of the way it was written: its digest is the position's
//! identity, so that a resend with other white space is the same position. All numbers are
//! big-endian.

use geofence::{
    identity::TerminalId,
    position::{Inputs, Position, Quarantined},
    units::{Latitude, Longitude, Timestamp},
};
use protocols::{
    mqtt::{Answer, Event, Payload, PayloadError, Report},
    wire::bcd::Gmt8Time,
};
use storage::log::Record;

use super::{
    normalise::{Normalised, POSITIONED, Window},
    record::RecordError,
};
use crate::clock;

const VERSION: u8 = 1;
/// The item of a body with what the fixed part cannot say.
const REST: u8 = 0xF0;
const ACC: u32 = 1;
const SOUTH: u32 = 1 << 2;
const WEST: u32 = 1 << 3;
/// Longest head of a record.
const HEAD_BYTES_MAX: usize = 2 + TerminalId::LENGTH_MAX;

/// What stands before the payload in a record.
#[must_use]
pub fn head(terminal: &TerminalId) -> Vec<u8> {
    let id = terminal.as_str().as_bytes();
    let mut head = Vec::with_capacity(HEAD_BYTES_MAX);
    head.push(VERSION);
    head.push(u8::try_from(id.len()).unwrap_or_default());
    head.extend_from_slice(id);
    head
}

fn split(payload: &[u8]) -> Option<(TerminalId, &[u8])> {
    let [VERSION, length, rest @ ..] = payload else {
        return None;
    };
    let (id, content) = rest.split_at_checked(usize::from(*length))?;
    let terminal = std::str::from_utf8(id).ok()?.parse().ok()?;
    Some((terminal, content))
}

/// The reports in a record.
///
/// # Errors
/// When the record was written by another version.
pub fn reports(record: &Record, window: &Window) -> Result<Vec<Normalised>, RecordError> {
    let (terminal, content) = split(&record.payload).ok_or(RecordError::Version)?;
    let received_at = Timestamp(record.received_at);
    let uplink = Uplink::read(content, received_at).map_err(|_| RecordError::Payload)?;
    Ok(uplink
        .positions(terminal, received_at, record.offset, window)
        .collect())
}

/// A payload whose every value is in our terms.
#[derive(Debug)]
pub struct Uplink {
    reports: Vec<Fix>,
    is_backlog: bool,
    /// The answer that it is.
    pub answer: Option<Answer>,
}

/// One fix.
#[derive(Debug)]
struct Fix {
    fixed_at: Timestamp,
    latitude: Latitude,
    longitude: Longitude,
    altitude_m: Option<i64>,
    speed_dkmh: Option<i64>,
    heading_deg: Option<i64>,
    odometer_dkm: Option<i64>,
    satellites: Option<u8>,
    alarm_flags: u32,
    status_flags: u32,
    vehicle_signals: Option<u32>,
    io: Option<u16>,
}

impl Uplink {
    /// Reads a payload. `received_at` is the time of an event that names none.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(bytes: &[u8], received_at: Timestamp) -> Result<Self, PayloadError> {
        let mut uplink = Self {
            reports: Vec::new(),
            is_backlog: false,
            answer: None,
        };
        match Payload::read(bytes)? {
            Payload::Position(report) => uplink.reports.push(Fix::of_report(&report)?),
            Payload::Batch(batch) => {
                let fixes = batch.positions.iter().map(Fix::of_report);
                uplink.reports = fixes.collect::<Result<_, _>>()?;
                uplink.is_backlog = batch.backlog.unwrap_or(true);
            }
            Payload::Event(event) => uplink.reports.extend(Fix::of_event(&event, received_at)?),
            Payload::Attributes(_) => {}
            Payload::Answer(answer) => uplink.answer = Some(answer),
        }
        Ok(uplink)
    }

    /// Whether the newest fix is a place, and its time; `None` where there is no live fix.
    #[must_use]
    pub fn live_fix(&self) -> Option<(bool, Timestamp)> {
        let fix = self.reports.last().filter(|_| !self.is_backlog)?;
        Some((fix.status_flags & POSITIONED != 0, fix.fixed_at))
    }

    /// The positions, in the order in which they were reported.
    pub fn positions<'a>(
        &'a self,
        terminal: TerminalId,
        received_at: Timestamp,
        log_offset: u64,
        window: &'a Window,
    ) -> impl Iterator<Item = Normalised> + 'a {
        let normalise = move |fix: &Fix| fix.normalise(terminal, received_at, log_offset, window);
        self.reports.iter().map(normalise).map(|normalised| {
            normalised.map(|position| Position {
                is_backlog: position.is_backlog || self.is_backlog,
                ..position
            })
        })
    }
}

impl Fix {
    fn of_report(report: &Report) -> Result<Self, PayloadError> {
        let (latitude, longitude) = place(report.lat, report.lon)?;
        let is_somewhere = latitude.micro_degrees() != 0 || longitude.micro_degrees() != 0;
        let mut status_flags = hemispheres(latitude, longitude);
        if report.positioned.unwrap_or(true) && is_somewhere {
            status_flags |= POSITIONED;
        }
        if report.acc.unwrap_or_default() {
            status_flags |= ACC;
        }
        Ok(Self {
            fixed_at: moment(&report.time)?,
            latitude,
            longitude,
            altitude_m: report.altitude_m.map(rounded),
            speed_dkmh: report.speed_kmh.map(|value| rounded(value * 10.0)),
            heading_deg: report.heading_deg.map(|value| rounded(value) % 360),
            odometer_dkm: report.odometer_km.map(|value| rounded(value * 10.0)),
            satellites: report.satellites,
            alarm_flags: report.alarm_flags.unwrap_or_default(),
            status_flags,
            vehicle_signals: report.vehicle_signals,
            io: report.io,
        })
    }

    /// None of an event that is no alarm.
    fn of_event(event: &Event, received_at: Timestamp) -> Result<Option<Self>, PayloadError> {
        let fixed_at = event.time.as_deref().map_or(Ok(received_at), moment)?;
        let placed = event.lat.zip(event.lon);
        let placed = placed.map(|(lat, lon)| place(lat, lon)).transpose()?;
        let alarm_flags = event.event.alarm_flags();
        if alarm_flags == 0 {
            return Ok(None);
        }
        let (latitude, longitude) = placed.unwrap_or_default();
        let status_flags = match placed {
            Some(_) => POSITIONED | hemispheres(latitude, longitude),
            None => 0,
        };
        Ok(Some(Self {
            fixed_at,
            latitude,
            longitude,
            altitude_m: None,
            speed_dkmh: None,
            heading_deg: None,
            odometer_dkm: None,
            satellites: None,
            alarm_flags,
            status_flags,
            vehicle_signals: None,
            io: None,
        }))
    }

    fn body(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(64);
        let word = |value: Option<i64>| small(value).unwrap_or_default().to_be_bytes();
        let time = Gmt8Time::from_unix_seconds(self.fixed_at.millis().div_euclid(1_000));
        body.extend(self.alarm_flags.to_be_bytes());
        body.extend(self.status_flags.to_be_bytes());
        body.extend(self.latitude.micro_degrees().unsigned_abs().to_be_bytes());
        body.extend(self.longitude.micro_degrees().unsigned_abs().to_be_bytes());
        let altitude = self.altitude_m.and_then(|value| i16::try_from(value).ok());
        body.extend(altitude.unwrap_or_default().to_be_bytes());
        body.extend(word(self.speed_dkmh));
        body.extend(word(self.heading_deg));
        body.extend(time.map_or([0; 6], |time| time.0));
        let mut rest = self.fixed_at.millis().to_be_bytes().to_vec();
        let values = [
            (1, self.altitude_m),
            (2, self.speed_dkmh),
            (3, self.heading_deg),
            (4, self.odometer_dkm),
            (5, self.satellites.map(i64::from)),
            (6, self.vehicle_signals.map(i64::from)),
            (7, self.io.map(i64::from)),
        ];
        for (number, value) in values {
            if let Some(value) = value {
                rest.push(number);
                rest.extend(value.to_be_bytes());
            }
        }
        body.push(REST);
        body.push(u8::try_from(rest.len()).unwrap_or_default());
        body.extend(rest);
        body
    }

    fn normalise(
        &self,
        terminal: TerminalId,
        received_at: Timestamp,
        log_offset: u64,
        window: &Window,
    ) -> Normalised {
        let body = self.body();
        let digest = crc32fast::hash(&body);
        let is_backlog = match window.judge(self.fixed_at, received_at) {
            Ok(is_backlog) => is_backlog,
            Err(reason) => {
                return Err(Quarantined {
                    terminal,
                    received_at,
                    log_offset,
                    digest,
                    reason,
                    body,
                });
            }
        };
        Ok(Position {
            terminal,
            fixed_at: self.fixed_at,
            received_at,
            log_offset,
            digest,
            latitude: self.latitude,
            longitude: self.longitude,
            altitude_m: self.altitude_m.and_then(|value| i16::try_from(value).ok()),
            speed_dkmh: small(self.speed_dkmh).unwrap_or_default(),
            heading_deg: small(self.heading_deg).unwrap_or_default(),
            alarm_flags: self.alarm_flags,
            status_flags: self.status_flags,
            odometer_dkm: self
                .odometer_dkm
                .and_then(|value| u32::try_from(value).ok()),
            satellites: self.satellites,
            inputs: Inputs {
                vehicle_signals: self.vehicle_signals,
                io: self.io,
                vendor: None,
            },
            is_positioned: self.status_flags & POSITIONED != 0,
            is_backlog,
        })
    }
}

fn small(value: Option<i64>) -> Option<u16> {
    value.and_then(|value| u16::try_from(value).ok())
}

fn place(lat: f64, lon: f64) -> Result<(Latitude, Longitude), PayloadError> {
    let latitude = Latitude::from_degrees(lat).ok_or(PayloadError::Range("lat"))?;
    let longitude = Longitude::from_degrees(lon).ok_or(PayloadError::Range("lon"))?;
    Ok((latitude, longitude))
}

const fn hemispheres(latitude: Latitude, longitude: Longitude) -> u32 {
    let south = if latitude.micro_degrees() < 0 {
        SOUTH
    } else {
        0
    };
    let west = if longitude.micro_degrees() < 0 {
        WEST
    } else {
        0
    };
    south | west
}

fn moment(text: &str) -> Result<Timestamp, PayloadError> {
    clock::parse_rfc3339(text).ok_or(PayloadError::Range("time"))
}

/// The nearest whole number of a value whose range was checked.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the schema bounds every value"
)]
fn rounded(value: f64) -> i64 {
    value.round() as i64
}

#[cfg(test)]
mod tests {
    use geofence::position::QuarantineReason;
    use protocols::jt808::{
        Revision,
        message::{Message, MessageId},
    };
    use storage::log::RecordKind;

    use super::*;
    use crate::{
        config::{Config, Raw},
        ingest::record,
    };

    const AT: &str = "2026-11-28T08:00:00.250+08:00";

    fn window() -> Window {
        Window::from(&Config::from_raw(Raw::default()).unwrap().ingest)
    }

    fn record(kind: RecordKind, payload: &str, received_at: Timestamp) -> Record {
        let terminal = "13800138000".parse().unwrap();
        Record {
            offset: 7,
            kind,
            received_at: received_at.millis(),
            payload: [&head(&terminal), payload.as_bytes()].concat().into(),
        }
    }

    fn read(payload: &str) -> Vec<Normalised> {
        let received_at = clock::parse_rfc3339(AT).unwrap().plus_millis(1_000);
        record::reports(&record(record::JSON, payload, received_at), &window()).unwrap()
    }

    #[test]
    fn a_position_is_what_was_sent() {
        let payload = format!(
            r#"{{"type":"position","time":"{AT}","lat":-37.87,"lon":112.55,"altitude_m":-3.4,"speed_kmh":36.04,"heading_deg":360,"acc":true,"odometer_km":1234.56,"satellites":11,"alarm_flags":2,"vehicle_signals":9,"io":1}}"#
        );
        let [Ok(position)] = &read(&payload)[..] else {
            panic!("not one position");
        };
        assert_eq!(position.terminal.as_str(), "13800138000");
        assert_eq!(position.fixed_at.millis(), 1_795_824_000_250);
        let place = (
            position.latitude.micro_degrees(),
            position.longitude.micro_degrees(),
        );
        assert_eq!(place, (-37_870_000, 112_550_000));
        assert_eq!((position.altitude_m, position.speed_dkmh), (Some(-3), 360));
        assert_eq!(
            (position.heading_deg, position.odometer_dkm),
            (0, Some(12_346))
        );
        assert_eq!((position.satellites, position.alarm_flags), (Some(11), 2));
        assert_eq!(position.status_flags, ACC | POSITIONED | SOUTH);
        assert_eq!(
            (position.inputs.vehicle_signals, position.inputs.io),
            (Some(9), Some(1))
        );
        assert!(position.is_positioned && !position.is_backlog);
    }

    #[test]
    fn a_resend_is_the_same_position_however_it_is_written() {
        let one = format!(r#"{{"type":"position","time":"{AT}","lat":37.87,"lon":112.55}}"#);
        let two = r#"{ "lon":112.5500, "lat":3.787e1, "time":"2026-11-28T00:00:00.25Z","type":"position"}"#;
        let other = one.replace("112.55", "112.56");
        let digest = |payload: &str| read(payload)[0].as_ref().unwrap().digest;
        assert_eq!(digest(&one), digest(two));
        assert_ne!(digest(&one), digest(&other));
        assert_ne!(
            digest(&one),
            digest(&one.replace("112.55", r#"112.55,"speed_kmh":0"#))
        );
    }

    #[test]
    fn a_batch_is_backlog_and_what_has_no_believable_time_is_kept_apart() {
        let payload = format!(
            r#"{{"type":"batch","positions":[{{"time":"{AT}","lat":1,"lon":2}},{{"time":"2031-01-01T00:00:00Z","lat":1,"lon":2,"alarm_flags":1}}]}}"#
        );
        let reports = read(&payload);
        assert!(reports[0].as_ref().unwrap().is_backlog);
        let quarantined = reports[1].as_ref().unwrap_err();
        assert_eq!(quarantined.reason, QuarantineReason::Future);
        let heard = crate::ingest::normalise::call_for_help(quarantined).unwrap();
        assert_eq!(heard.alarm_flags, 1);
        let body = quarantined.body.clone().into();
        let shown = Message::decode(MessageId::LOCATION_REPORT, body, Revision::V2013);
        let Ok(Message::LocationReport(shown)) = shown else {
            panic!("{shown:?}")
        };
        assert_eq!(shown.items.iter().count(), 1);
        assert_eq!(shown.latitude_micro_degrees(), Some(1_000_000));
        assert_eq!(shown.time.unix_seconds(), Some(1_924_992_000));
    }

    #[test]
    fn an_event_is_an_alarm_with_a_place_or_without_one() {
        let emergency = &read(r#"{"type":"event","event":"emergency"}"#)[0];
        let emergency = emergency.as_ref().unwrap();
        assert_eq!((emergency.alarm_flags, emergency.is_positioned), (1, false));
        assert_eq!(emergency.fixed_at, emergency.received_at);
        let placed = &read(r#"{"type":"event","event":"collision","lat":37.8,"lon":112.5}"#)[0];
        assert!(placed.as_ref().unwrap().is_positioned);
        for quiet in [
            r#"{"type":"event","event":"offline"}"#,
            r#"{"type":"attributes","model":"X"}"#,
            r#"{"type":"answer","serial":1,"message_id":2,"result":0}"#,
        ] {
            assert!(read(quiet).is_empty(), "{quiet}");
        }
    }

    #[test]
    fn records_of_another_version_and_unread_ones_are_known() {
        let mut newer = record(record::JSON, "{}", Timestamp(0));
        assert_eq!(
            record::reports(&newer, &window()),
            Err(RecordError::Payload)
        );
        newer.payload = b"\x02\x011{}"[..].into();
        assert_eq!(
            record::reports(&newer, &window()),
            Err(RecordError::Version)
        );
        newer.payload = b"\x01\xFF1"[..].into();
        assert_eq!(
            record::reports(&newer, &window()),
            Err(RecordError::Version)
        );
        let unread = record(record::UNREAD_JSON, "nonsense", Timestamp(0));
        assert_eq!(record::reports(&unread, &window()), Ok(Vec::new()));
    }

    /// Every field of a payload, by its type.
    fn full() -> Vec<serde_json::Value> {
        let report = serde_json::json!({
            "time": AT, "lat": 1, "lon": 2, "altitude_m": 3, "speed_kmh": 4, "heading_deg": 5,
            "positioned": true, "acc": true, "odometer_km": 6, "satellites": 7, "alarm_flags": 8,
            "vehicle_signals": 9, "io": 10,
        });
        let mut position = report.clone();
        position["type"] = "position".into();
        vec![
            position,
            serde_json::json!({"type": "batch", "positions": [report], "backlog": false}),
            serde_json::json!({"type": "event", "event": "danger", "time": AT, "lat": 1, "lon": 2}),
            serde_json::json!({
                "type": "attributes", "manufacturer": "a", "model": "b", "terminal_id": "c",
                "hardware": "d", "firmware": "e", "iccid": "f",
            }),
            serde_json::json!({"type": "answer", "serial": 1, "message_id": 2, "result": 3}),
        ]
    }

    #[test]
    fn the_published_schema_has_the_fields_that_are_read_and_no_others() {
        let schema = include_str!("../../docs/mqtt-uplink.schema.json");
        let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
        for payload in full() {
            let read = Payload::read(payload.to_string().as_bytes()).unwrap();
            let read = serde_json::to_value(read).unwrap();
            let names = |value: &serde_json::Value| -> Vec<String> {
                let mut names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
                names.sort();
                names
            };
            assert_eq!(names(&read), names(&payload), "a field is not read");
            let of_schema = &schema["$defs"][payload["type"].as_str().unwrap()];
            assert_eq!(names(&of_schema["properties"]), names(&payload));
            assert_eq!(of_schema["additionalProperties"], false);
            for required in of_schema["required"].as_array().unwrap() {
                let mut lacking = payload.clone();
                lacking
                    .as_object_mut()
                    .unwrap()
                    .remove(required.as_str().unwrap());
                assert!(
                    Payload::read(lacking.to_string().as_bytes()).is_err(),
                    "{required}"
                );
            }
        }
        for event in schema["$defs"]["event"]["properties"]["event"]["enum"]
            .as_array()
            .unwrap()
        {
            let event = format!(r#"{{"type":"event","event":{event}}}"#);
            assert!(Payload::read(event.as_bytes()).is_ok(), "{event}");
        }
    }

    #[test]
    fn the_examples_of_the_manual_are_payloads() {
        let manual = include_str!("../../docs/mqtt.md");
        let examples = manual.split("```json\n").skip(1);
        let examples: Vec<_> = examples
            .map(|rest| rest.split("```").next().unwrap())
            .collect();
        assert_eq!(examples.len(), 5);
        for example in examples {
            assert!(
                Uplink::read(example.as_bytes(), Timestamp(0)).is_ok(),
                "{example}"
            );
        }
    }
}
