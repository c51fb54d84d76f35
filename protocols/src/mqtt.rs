//! What terminals that speak MQTT publish as JSON, and the names of the topics.
//!
//! ```text
//! gridtrace/terminals/{phone}/up/json      the terminal publishes: a payload as below
//! gridtrace/terminals/{phone}/up/jt808     the terminal publishes: JT/T 808 frames, delimiters included
//! gridtrace/terminals/{phone}/down/jt808   the terminal reads: JT/T 808 frames
//! gridtrace/terminals/{phone}/down/json    the terminal reads: commands as JSON
//! gridtrace/terminals/{phone}/errors       the terminal reads: what was wrong with its payloads
//! ```
//!
//! The published schema is `gateway/docs/mqtt-uplink.schema.json`. Unknown fields are mistakes: a
//! misspelt speed must not pass for none.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// What stands before the phone number in every topic of a terminal.
pub const TOPIC_ROOT: &str = "gridtrace/terminals/";

const ALTITUDES_M: std::ops::RangeInclusive<f64> = -1_000.0..=10_000.0;
const SPEED_KMH_MAX: f64 = 6_553.5;
const ODOMETER_KM_MAX: f64 = 429_496_729.5;
/// Characters of a text.
const TEXT_MAX: usize = 64;

/// A payload of `up/json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Payload {
    /// One fix.
    Position(Report),
    /// Several, usually of a time without a network.
    Batch(Batch),
    /// Something happened.
    Event(Event),
    /// What the terminal is.
    Attributes(Attributes),
    /// The answer to a command of `down/json`.
    Answer(Answer),
}

/// One fix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// When it was taken: RFC 3339 with an offset.
    pub time: String,
    /// Degrees north, WGS-84.
    pub lat: f64,
    /// Degrees east, WGS-84.
    pub lon: f64,
    /// Metres above sea level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub altitude_m: Option<f64>,
    /// Speed over ground.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed_kmh: Option<f64>,
    /// Clockwise from north; 360 is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heading_deg: Option<f64>,
    /// The receiver has a fix; true where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positioned: Option<bool>,
    /// The ignition is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acc: Option<bool>,
    /// Kilometres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub odometer_km: Option<f64>,
    /// Satellites in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub satellites: Option<u8>,
    /// Alarm flags as in JT/T 808 table 24.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm_flags: Option<u32>,
    /// Extended vehicle signals as in JT/T 808 item 0x25.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vehicle_signals: Option<u32>,
    /// Inputs and outputs as in JT/T 808 item 0x2A.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io: Option<u16>,
}

/// Several fixes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// At least one.
    #[serde(deserialize_with = "objects")]
    pub positions: Vec<Report>,
    /// They were kept back; true where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<bool>,
}

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The emergency button.
    Emergency,
    /// The driver is tired.
    Fatigue,
    /// A warning of danger.
    Danger,
    /// The receiver of positions is broken.
    GnssFault,
    /// The vehicle's power is low.
    PowerLow,
    /// The vehicle's power is cut.
    PowerLost,
    /// A collision.
    Collision,
    /// The vehicle lies on its side.
    Rollover,
    /// The terminal is there. Kept in the log alone.
    Online,
    /// The terminal is gone: what a will says. Kept in the log alone.
    Offline,
}

impl EventKind {
    /// The bit of JT/T 808 table 24 that says the same; 0 where none does.
    #[must_use]
    pub const fn alarm_flags(self) -> u32 {
        match self {
            Self::Emergency => 1,
            Self::Fatigue => 1 << 2,
            Self::Danger => 1 << 3,
            Self::GnssFault => 1 << 4,
            Self::PowerLow => 1 << 7,
            Self::PowerLost => 1 << 8,
            Self::Collision => 1 << 29,
            Self::Rollover => 1 << 30,
            Self::Online | Self::Offline => 0,
        }
    }
}

/// Something happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// What.
    pub event: EventKind,
    /// When: RFC 3339 with an offset. The time of its receipt where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Degrees north, WGS-84; with `lon` or not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lat: Option<f64>,
    /// Degrees east, WGS-84; with `lat` or not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lon: Option<f64>,
}

/// What the terminal is. Kept in the log alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attributes {
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// Which model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The maker's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal_id: Option<String>,
    /// Version of its hardware.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
    /// Version of its firmware.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// Number of its SIM card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iccid: Option<String>,
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Serial number of the command.
    pub serial: u16,
    /// Message id of the command.
    pub message_id: u16,
    /// As in 0x0001: 0 done, 1 failed, 2 wrong message, 3 not supported.
    pub result: u8,
}

/// Why a payload is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// It is no JSON.
    #[error("no JSON: {0}")]
    Json(String),
    /// It is JSON, and not of the schema.
    #[error("not of the schema: {0}")]
    Schema(String),
    /// A value is outside its range.
    #[error("{0} is out of range")]
    Range(&'static str),
}

impl PayloadError {
    /// The word of the metric.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Json(_) => "syntax",
            Self::Schema(_) => "schema",
            Self::Range(_) => "range",
        }
    }
}

impl Payload {
    /// Reads a payload and checks its values; times are text still.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, PayloadError> {
        // The reader would take a list of values for an object as well.
        let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        if first.is_some_and(|first| *first == b'[') {
            return Err(PayloadError::Schema("expected an object".to_owned()));
        }
        let payload: Self = serde_json::from_slice(bytes).map_err(|error| {
            if error.is_data() {
                PayloadError::Schema(error.to_string())
            } else {
                PayloadError::Json(error.to_string())
            }
        })?;
        match &payload {
            Self::Position(report) => report.check()?,
            Self::Batch(batch) => batch.check()?,
            Self::Event(event) => event.check()?,
            Self::Attributes(attributes) => attributes.check()?,
            Self::Answer(_) => {}
        }
        Ok(payload)
    }
}

impl Report {
    fn check(&self) -> Result<(), PayloadError> {
        check_place(self.lat, self.lon)?;
        let within = |value: Option<f64>, range: std::ops::RangeInclusive<f64>, field| {
            check(value.is_none_or(|value| range.contains(&value)), field)
        };
        within(self.altitude_m, ALTITUDES_M, "altitude_m")?;
        within(self.speed_kmh, 0.0..=SPEED_KMH_MAX, "speed_kmh")?;
        within(self.heading_deg, 0.0..=360.0, "heading_deg")?;
        within(self.odometer_km, 0.0..=ODOMETER_KM_MAX, "odometer_km")
    }
}

impl Batch {
    fn check(&self) -> Result<(), PayloadError> {
        check(!self.positions.is_empty(), "positions")?;
        self.positions.iter().try_for_each(Report::check)
    }
}

impl Event {
    fn check(&self) -> Result<(), PayloadError> {
        match (self.lat, self.lon) {
            (None, None) => Ok(()),
            (Some(lat), Some(lon)) => check_place(lat, lon),
            (None, Some(_)) => Err(PayloadError::Range("lat")),
            (Some(_), None) => Err(PayloadError::Range("lon")),
        }
    }
}

impl Attributes {
    fn check(&self) -> Result<(), PayloadError> {
        let texts = [
            ("manufacturer", &self.manufacturer),
            ("model", &self.model),
            ("terminal_id", &self.terminal_id),
            ("hardware", &self.hardware),
            ("firmware", &self.firmware),
            ("iccid", &self.iccid),
        ];
        texts.into_iter().try_for_each(|(field, text)| {
            let length = text.as_ref().map_or(0, |text| text.chars().count());
            check(length <= TEXT_MAX, field)
        })
    }
}

/// Each an object, and no list of values.
fn objects<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<Report>, D::Error> {
    let objects: Vec<serde_json::Map<String, serde_json::Value>> = Vec::deserialize(list)?;
    let report = |object| Report::deserialize(serde_json::Value::Object(object));
    let reports = objects.into_iter().map(report);
    reports.collect::<Result<_, _>>().map_err(D::Error::custom)
}

fn check_place(lat: f64, lon: f64) -> Result<(), PayloadError> {
    check((-90.0..=90.0).contains(&lat), "lat")?;
    check((-180.0..=180.0).contains(&lon), "lon")
}

const fn check(is_right: bool, field: &'static str) -> Result<(), PayloadError> {
    if is_right {
        Ok(())
    } else {
        Err(PayloadError::Range(field))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reason(text: &str) -> &'static str {
        Payload::read(text.as_bytes()).map_or_else(|error| error.reason(), |_| "ok")
    }

    #[test]
    fn what_is_not_of_the_schema_is_refused_with_its_reason() {
        let report = |more: &str| {
            format!(
                r#"{{"type":"position","time":"2026-11-28T08:00:00+08:00","lat":37.87,"lon":112.55{more}}}"#
            )
        };
        for (text, expected) in [
            (report(""), "ok"),
            (report(r#","speed_kmh":36.5,"acc":true"#), "ok"),
            (report(r#","sped_kmh":36.5"#), "schema"),
            (report(r#","speed_kmh":-1"#), "range"),
            (report(r#","speed_kmh":"36""#), "schema"),
            (report(r#","satellites":300"#), "schema"),
            (report(r#","heading_deg":361"#), "range"),
            (report(","), "syntax"),
            (report("").replace("37.87", "90.1"), "range"),
            (report("").replace("37.87", "1e999"), "syntax"),
            ("".into(), "syntax"),
            ("[]".into(), "schema"),
            ("{}".into(), "schema"),
            (r#" ["attributes"]"#.into(), "schema"),
            (
                r#"{"type":"batch","positions":[["2026-11-28T08:00:00Z",1,2]]}"#.into(),
                "schema",
            ),
            (r#"{"type":"nothing"}"#.into(), "schema"),
            (r#"{"type":"batch","positions":[]}"#.into(), "range"),
            (r#"{"type":"event","event":"emergency"}"#.into(), "ok"),
            (
                r#"{"type":"event","event":"emergency","lat":1}"#.into(),
                "range",
            ),
            (r#"{"type":"event","event":"dinner"}"#.into(), "schema"),
            (r#"{"type":"attributes","model":"X1"}"#.into(), "ok"),
            (
                r#"{"type":"answer","serial":1,"message_id":33536,"result":0}"#.into(),
                "ok",
            ),
        ] {
            assert_eq!(reason(&text), expected, "{text}");
        }
        let deep = format!(r#"{{"a":{}"#, "[".repeat(100_000));
        assert_eq!(reason(&deep), "syntax", "depth is bounded");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            drop(Payload::read(&bytes));
        }
    }
}
