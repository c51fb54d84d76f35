//! A track from a CSV file, and any track as location reports.

use std::{
    collections::{HashMap, VecDeque},
    io::Read,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use time::{
    OffsetDateTime, PrimitiveDateTime, UtcOffset, format_description::well_known::Rfc3339,
    macros::format_description,
};
use tokio::time::{Instant, sleep_until, timeout};

use super::{Outcome, ReplayConfig, ReplayError, Summary};
use crate::{
    line::{self, Heard, Line},
    mqtt,
    output::rfc3339,
    plane::{Plane, Point},
    stream,
    terminal::{Identity, TerminalError},
    wire::{Report, Revision, message_id},
};

/// Between fixes further apart than this, speed and heading are not derived.
const DERIVE_GAP_S: i64 = 300;
/// A terminal that has nothing to report for so long says that it is there.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(60);

/// A fix of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// As the file names it; empty when it has no such column.
    pub vehicle: String,
    /// Seconds since 1970 in UTC.
    pub fixed_at: i64,
    /// Millionths of a degree of WGS-84, north positive.
    pub latitude: i32,
    /// Millionths of a degree of WGS-84, east positive.
    pub longitude: i32,
    /// Tenths of km/h; derived from the fix before where the file does not say.
    pub speed_dkmh: u16,
    /// Clockwise from north, 0 to 359; likewise.
    pub heading_deg: u16,
}

/// What is wrong with a track.
#[derive(Debug, thiserror::Error)]
pub enum TrackError {
    /// It is no CSV.
    #[error(transparent)]
    Csv(#[from] csv::Error),
    /// It is no GPX.
    #[error("GPX: {0}")]
    Gpx(String),
    /// It is a GPX of which no track point has a time.
    #[error("no track point has a time")]
    NoTimes,
    /// A column that is needed is not there.
    #[error("there is no column named one of: {}", names.join(", "))]
    NoColumn {
        /// The names that would do.
        names: &'static [&'static str],
    },
    /// A value cannot be read.
    #[error("line {line}: {column} `{value}` is not readable")]
    Value {
        /// From 1, the header included.
        line: u64,
        /// Its column.
        column: &'static str,
        /// The text.
        value: String,
    },
}

const TIME: &[&str] = &["timestamp", "time", "event_time", "fixed_at"];
const LATITUDE: &[&str] = &["latitude", "lat"];
const LONGITUDE: &[&str] = &["longitude", "lon", "lng"];
const HEADING: &[&str] = &[
    "bearing",
    "heading",
    "course",
    "direction_deg",
    "heading_deg",
];
const SPEED: &[&str] = &["speed_kmh", "speed"];
const VEHICLE: &[&str] = &["vehicle_id", "vehicle", "phone"];

/// Reads a CSV file with a header; columns are found by name, in any order: a time (`timestamp`,
/// `time`: RFC 3339, or `YYYY-MM-DD hh:mm:ss` at `zone`), `latitude` or `lat`, `longitude` or
/// `lon` in degrees, and, if there, `speed_kmh` or `speed` (km/h), `bearing` or `heading` (degrees),
/// `vehicle_id`, `vehicle` or `phone`. Gives the fixes in the order of their times.
///
/// # Errors
/// With the place of the first mistake.
pub fn read_track(input: impl Read, zone: UtcOffset) -> Result<Vec<Fix>, TrackError> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(input);
    let header = reader.headers()?.clone();
    let find = |names: &[&str]| {
        header
            .iter()
            .position(|column| names.iter().any(|name| column.eq_ignore_ascii_case(name)))
    };
    let need = |names| find(names).ok_or(TrackError::NoColumn { names });
    let (time, latitude, longitude) = (need(TIME)?, need(LATITUDE)?, need(LONGITUDE)?);
    let (heading, speed, vehicle) = (find(HEADING), find(SPEED), find(VEHICLE));
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record?;
        let line = record.position().map_or(0, csv::Position::line);
        let text = |column: usize| record.get(column).unwrap_or("");
        let bad = |column: &'static str, value: &str| TrackError::Value {
            line,
            column,
            value: value.to_owned(),
        };
        let number = |name: &'static str, index: usize, limit: f64| {
            let value = text(index);
            match value.parse::<f64>() {
                Ok(number) if number.abs() <= limit => Ok(number),
                _ => Err(bad(name, value)),
            }
        };
        let optional = |name: &'static str, index: Option<usize>, limit: f64| match index {
            Some(index) if !text(index).is_empty() => number(name, index, limit).map(Some),
            _ => Ok(None),
        };
        let at = read_time(text(time), zone).ok_or_else(|| bad("time", text(time)))?;
        let lat = number("latitude", latitude, 90.0)?;
        let lon = number("longitude", longitude, 180.0)?;
        let heading = optional("heading", heading, 360.0)?;
        let speed = optional("speed", speed, 1_000.0)?;
        let vehicle = vehicle
            .map(|index| text(index).to_owned())
            .unwrap_or_default();
        rows.push(Row {
            vehicle,
            at,
            lat,
            lon,
            heading,
            speed,
        });
    }
    rows.sort_by_key(|row| row.at);
    Ok(fixes_of(&rows))
}

/// A fix as its file has it.
pub(super) struct Row {
    pub(super) vehicle: String,
    pub(super) at: i64,
    pub(super) lat: f64,
    pub(super) lon: f64,
    pub(super) heading: Option<f64>,
    /// km/h.
    pub(super) speed: Option<f64>,
}

fn read_time(text: &str, zone: UtcOffset) -> Option<i64> {
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
        return Some(at.unix_timestamp());
    }
    let spaced = text.replacen('T', " ", 1);
    // Fractions of a second are cut: the wire has whole seconds.
    let whole = spaced.split('.').next().unwrap_or_default();
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    let local = PrimitiveDateTime::parse(whole, &format).ok()?;
    Some(local.assume_offset(zone).unix_timestamp())
}

/// Fills in speeds and headings that the file does not have.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float to integer cast saturates, and the ranges were checked"
)]
pub(super) fn fixes_of(rows: &[Row]) -> Vec<Fix> {
    let mut last: HashMap<&str, &Row> = HashMap::new();
    let mut headings: HashMap<&str, f64> = HashMap::new();
    let mut fixes = Vec::with_capacity(rows.len());
    for row in rows {
        let moved = last.insert(&row.vehicle, row).and_then(|before| {
            let seconds = row.at - before.at;
            let plane = Plane::new(before.lat, before.lon);
            let to = plane.point(row.lat, row.lon);
            let seconds = (1..=DERIVE_GAP_S).contains(&seconds).then_some(seconds)?;
            Some((to, f64::from(u32::try_from(seconds).ok()?)))
        });
        let speed_kmh = row
            .speed
            .or_else(|| moved.map(|(to, seconds)| to.distance(Point::default()) / seconds * 3.6));
        // A vehicle that stands keeps its heading.
        let derived = moved
            .filter(|(to, _)| to.distance(Point::default()) > 5.0)
            .map(|(to, _)| Point::default().bearing_deg(to));
        let heading = headings.entry(&row.vehicle).or_default();
        *heading = row.heading.or(derived).unwrap_or(*heading);
        fixes.push(Fix {
            vehicle: row.vehicle.clone(),
            fixed_at: row.at,
            latitude: (row.lat * 1e6).round() as i32,
            longitude: (row.lon * 1e6).round() as i32,
            speed_dkmh: (speed_kmh.unwrap_or(0.0) * 10.0).round() as u16,
            heading_deg: (heading.rem_euclid(360.0).round() as u16) % 360,
        });
    }
    fixes
}

/// How fast a track is replayed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// So many times as fast as it was driven.
    Times(f64),
    /// As fast as the gateway answers.
    Max,
}

/// How a track becomes reports.
#[derive(Clone, Debug)]
pub struct TrackOptions {
    /// Phone number of the first vehicle, digits; the others get the numbers that follow.
    pub phone: String,
    /// Of the terminals.
    pub revision: Revision,
    /// How fast.
    pub pace: Pace,
    /// Move all times by the same span, so that the last fix is sent at its fix time.
    pub shift_to_now: bool,
    /// At [`Pace::Max`]: reports of a terminal that await their responses at a time, 1 at least.
    pub in_flight: usize,
}

/// What became of a fix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FixOutcome {
    /// The terminal, without padding zeros.
    pub phone: String,
    /// As sent, RFC 3339 in UTC.
    pub event_time: String,
    /// Millionths of a degree.
    pub latitude: i32,
    /// Millionths of a degree.
    pub longitude: i32,
    /// What came back.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Sends the fixes as 0x0200, and tells what became of each.
///
/// # Errors
/// When a terminal cannot log in, or its connection ends.
pub async fn replay_track(
    config: &ReplayConfig,
    options: &TrackOptions,
    fixes: &[Fix],
    mut tell: impl FnMut(&FixOutcome),
) -> Result<Summary, ReplayError> {
    let mut summary = Summary::default();
    let mut vehicles: HashMap<&str, Vehicle> = HashMap::new();
    let Some(first_at) = fixes.first().map(|fix| fix.fixed_at) else {
        return Ok(summary);
    };
    let last_at = fixes.last().map_or(first_at, |fix| fix.fixed_at);
    let started = Instant::now();
    let after = |at: i64| {
        let seconds = u32::try_from((at - first_at).max(0)).unwrap_or(u32::MAX);
        match options.pace {
            Pace::Times(times) => {
                Duration::try_from_secs_f64(f64::from(seconds) / times).unwrap_or(Duration::MAX)
            }
            Pace::Max => Duration::ZERO,
        }
    };
    let ends_at = now_unix_s().saturating_add_unsigned(after(last_at).as_secs());
    let shift_s = if options.shift_to_now {
        ends_at.saturating_sub(last_at)
    } else {
        0
    };
    // At the pace of the track each response is awaited at once.
    let in_flight = if options.pace == Pace::Max {
        options.in_flight.max(1)
    } else {
        1
    };
    for fix in fixes {
        if let Some(at) = started.checked_add(after(fix.fixed_at)) {
            wait_until(at, &mut vehicles).await?;
        }
        if !vehicles.contains_key(fix.vehicle.as_str()) {
            let phone = phone_of(options, vehicles.len()).ok_or_else(|| ReplayError::NoPhone {
                vehicle: fix.vehicle.clone(),
            })?;
            let vehicle = Vehicle::log_in(config, options, phone).await?;
            summary.connections += 1;
            vehicles.insert(&fix.vehicle, vehicle);
        }
        let Some(vehicle) = vehicles.get_mut(fix.vehicle.as_str()) else {
            continue;
        };
        vehicle.send(fix, shift_s).await?;
        while vehicle.unanswered.len() >= in_flight {
            vehicle.settle(config, &mut summary, &mut tell).await?;
        }
    }
    for vehicle in vehicles.values_mut() {
        while !vehicle.unanswered.is_empty() {
            vehicle.settle(config, &mut summary, &mut tell).await?;
        }
    }
    Ok(summary)
}

/// Waits; heartbeats keep the terminals connected meanwhile.
async fn wait_until(at: Instant, vehicles: &mut HashMap<&str, Vehicle>) -> Result<(), ReplayError> {
    loop {
        let next = Instant::now() + HEARTBEAT_INTERVAL;
        sleep_until(at.min(next)).await;
        if at <= next {
            return Ok(());
        }
        for vehicle in vehicles.values_mut() {
            let beaten = vehicle.line.heartbeat().await;
            beaten.map_err(|cause| vehicle.failed(cause))?;
        }
    }
}

fn now_unix_s() -> i64 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX)
}

/// The first phone number plus an index, at the same width.
fn phone_of(options: &TrackOptions, index: usize) -> Option<String> {
    let width = options.phone.len();
    let number = options
        .phone
        .parse::<u128>()
        .ok()?
        .checked_add(u128::try_from(index).ok()?)?;
    Some(format!("{number:0>width$}"))
}

struct Vehicle {
    phone: String,
    line: Line,
    is_json: bool,
    unanswered: VecDeque<(u16, FixOutcome)>,
}

impl Vehicle {
    async fn log_in(
        config: &ReplayConfig,
        options: &TrackOptions,
        phone: String,
    ) -> Result<Self, ReplayError> {
        let Some(identity) = Identity::new(&phone, options.revision) else {
            return Err(ReplayError::NoPhone { vehicle: phone });
        };
        let (target, limit) = (config.target.as_str(), config.limit);
        let logged_in = async {
            if let Some(mqtt) = &config.mqtt {
                let code = line::register(target, identity.clone(), limit).await?;
                return Line::over_mqtt(mqtt, identity, &code, limit).await;
            }
            let mut terminal = stream::over_tcp(target, identity, limit).await?;
            terminal.log_in().await?;
            Ok(Line::Frames(terminal))
        };
        match logged_in.await {
            Ok(line) => Ok(Self {
                phone,
                is_json: matches!(line, Line::Json(_)),
                line,
                unanswered: VecDeque::new(),
            }),
            Err(cause) => Err(ReplayError::Terminal { phone, cause }),
        }
    }

    async fn send(&mut self, fix: &Fix, shift_s: i64) -> Result<(), ReplayError> {
        let fixed_at = fix.fixed_at.saturating_add(shift_s);
        let report = Report {
            status: Report::status_of(true),
            latitude: fix.latitude,
            longitude: fix.longitude,
            speed_dkmh: fix.speed_dkmh,
            heading_deg: fix.heading_deg,
            fixed_at,
            ..Report::default()
        };
        let body = if self.is_json {
            mqtt::fields(&report).into_bytes()
        } else {
            report.body()
        };
        let sent = async {
            let (_, serial, bytes) = self.line.compose(false, &[body])?;
            self.line.send_raw(&bytes).await?;
            Ok(serial)
        };
        let serial = sent.await.map_err(|cause| self.failed(cause))?;
        let outcome = FixOutcome {
            phone: self.phone.trim_start_matches('0').to_owned(),
            event_time: rfc3339(fixed_at),
            latitude: fix.latitude,
            longitude: fix.longitude,
            outcome: Outcome::NoAnswer,
        };
        self.unanswered.push_back((serial, outcome));
        Ok(())
    }

    /// Awaits the response to the oldest report.
    async fn settle(
        &mut self,
        config: &ReplayConfig,
        summary: &mut Summary,
        tell: &mut impl FnMut(&FixOutcome),
    ) -> Result<(), ReplayError> {
        let Some((serial, mut told)) = self.unanswered.pop_front() else {
            return Ok(());
        };
        match timeout(config.limit, self.outcome_of(serial)).await {
            Ok(Ok(outcome)) => told.outcome = outcome,
            Ok(Err(cause)) => return Err(self.failed(cause)),
            Err(_) => {}
        }
        summary.count(told.outcome, told.outcome.is_success());
        tell(&told);
        Ok(())
    }

    /// Answers come in the order of the reports; what comes before is of heartbeats, or late.
    async fn outcome_of(&mut self, report: u16) -> Result<Outcome, TerminalError> {
        loop {
            match self.line.receive().await? {
                Heard::Answer {
                    serial,
                    id: Some(message_id::LOCATION_REPORT),
                    result,
                } if serial == report => {
                    return Ok(Outcome::Answered {
                        answer_id: message_id::PLATFORM_RESPONSE,
                        result,
                    });
                }
                Heard::Answer {
                    serial,
                    id: None,
                    result,
                } if serial == report => {
                    let is_taken = result == 0;
                    return Ok(Outcome::Acknowledged { is_taken });
                }
                _ => {}
            }
        }
    }

    fn failed(&self, cause: TerminalError) -> ReplayError {
        ReplayError::Terminal {
            phone: self.phone.clone(),
            cause,
        }
    }
}
