//! Load: many terminals on one thread, each with some reports in flight; and terminals that only
//! hold their connection.
//!
//! The generator shares the machine with the gateway that it measures, so it has to be cheap: one
//! event loop, no task per connection, reports patched into a frame that was built once, responses
//! read only as far as their serial number and result. It calls blocking: run it on a thread of
//! its own.

mod connection;
mod course;
mod engine;
mod latency;
mod publisher;
mod report_frame;

use std::{io, io::Write, net::SocketAddr, time::Duration};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

use self::{course::Course, engine::Engine};
use crate::{
    mqtt::PayloadKind,
    output::{ACKNOWLEDGED_HEADER, acknowledged_line},
};

pub use self::{
    course::{ALTITUDE_MS, FixTimes, Place, corner},
    latency::{Histogram, Latency},
};

/// A load over MQTT: an acknowledgement is a PUBACK.
#[derive(Clone, Copy, Debug)]
pub struct MqttLoad {
    /// The gateway's MQTT port.
    pub target: SocketAddr,
    /// What is published.
    pub payload: PayloadKind,
}

/// What a load is like.
#[derive(Clone, Debug)]
pub struct LoadConfig {
    /// The gateway's JT/T 808 port; over MQTT, where terminals register and get their passwords.
    pub target: SocketAddr,
    /// Report over MQTT.
    pub mqtt: Option<MqttLoad>,
    /// Terminals, each on a connection of its own.
    pub connections: usize,
    /// Messages that a terminal has unanswered at a time, 1 to 1,000.
    pub in_flight: usize,
    /// Reports in a message, 1 to 20: one is a 0x0200, more are a 0x0704.
    pub batch: u32,
    /// Messages a second over all terminals, due at equal distances whatever comes back (open
    /// loop); those due at a time leave by as few terminals as may have them in flight, one
    /// terminal after the other. A message that waits for a terminal to be free is late, and its
    /// latency counts from when it was due. `None`: each answer lets the next one go (closed loop).
    pub rate: Option<f64>,
    /// Sent before measuring begins.
    pub warm_up: Duration,
    /// Measured.
    pub duration: Duration,
    /// How long to wait for what is unanswered at the end.
    pub drain: Duration,
    /// How long connecting, registering and authenticating may take for all terminals together.
    pub log_in_limit: Duration,
    /// Phone number of the first terminal; the others have the numbers that follow.
    pub first_phone: u64,
    /// Number of a terminal's first position. Positions are told apart by their number, so a
    /// second run against the same store should begin where the first ended.
    pub first_position: u32,
    /// Where positions lie.
    pub place: Place,
    /// When they say that they were taken.
    pub fix_times: FixTimes,
    /// Keep a list of what was acknowledged: 16 bytes a position.
    pub keeps_acknowledged: bool,
}

impl LoadConfig {
    /// 1,000 terminals with one report in flight each, for five seconds after one of warm-up.
    #[must_use]
    pub const fn new(target: SocketAddr) -> Self {
        Self {
            target,
            mqtt: None,
            connections: 1_000,
            in_flight: 1,
            batch: 1,
            rate: None,
            warm_up: Duration::from_secs(1),
            duration: Duration::from_secs(5),
            drain: Duration::from_secs(2),
            log_in_limit: Duration::from_secs(60),
            first_phone: 13_900_000_000,
            first_position: 0,
            place: corner,
            fix_times: FixTimes::Steady,
            keeps_acknowledged: false,
        }
    }
}

/// Why there was no load.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The event loop failed.
    #[error("the event loop failed: {0}")]
    Io(#[from] io::Error),
    /// Not all terminals could log in.
    #[error("{done} of {wanted} terminals logged in; the last failure: {failure}")]
    LogIn {
        /// How many could.
        done: usize,
        /// How many should.
        wanted: usize,
        /// What happened to another.
        failure: String,
    },
    /// A value is out of its range.
    #[error("{0} is out of its range")]
    Config(&'static str),
}

/// What a load did.
#[derive(Clone, Debug, Serialize)]
pub struct LoadReport {
    /// Terminals that logged in.
    pub connections: usize,
    /// How long that took, seconds.
    pub log_in_s: f64,
    /// Reports sent in all.
    pub sent: u64,
    /// Answered with result 0 in all.
    pub acknowledged: u64,
    /// Answered with another result.
    pub refused: u64,
    /// Not answered when the load ended.
    pub unanswered: u64,
    /// Open loop: due, and not sent when the load ended, since no terminal was free.
    pub unsent: u64,
    /// Connections that ended before the load did.
    pub closed: usize,
    /// How long was measured, seconds: less than asked for if all connections ended before.
    pub measured_s: f64,
    /// Acknowledged a second, in the time that was measured.
    pub acknowledged_per_s: f64,
    /// From the report (open loop: from when it was due) to its acknowledgement; for what has
    /// none, to the end of the load.
    pub latency: Latency,
    /// Open loop: from when a message was due until it was sent, a part of the latency that is the
    /// load's own, or of terminals that wait for answers.
    pub lateness: Latency,
    /// What was acknowledged, if that was asked for.
    #[serde(skip)]
    acknowledged_list: Vec<Acknowledged>,
    #[serde(skip)]
    course: Course,
    #[serde(skip)]
    first_phone: u64,
}

/// A position that was acknowledged, in little room.
#[derive(Clone, Copy, Debug)]
struct Acknowledged {
    terminal: u32,
    number: u32,
    fixed_at: u32,
    /// Since the load began.
    due_ms: u32,
}

/// A position that was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AcknowledgedPosition {
    /// The terminal's phone number, without padding zeros.
    pub phone: String,
    /// Fix time, seconds since 1970 in UTC.
    pub fixed_at: i64,
    /// Millionths of a degree, north positive.
    pub latitude: i32,
    /// Millionths of a degree, east positive.
    pub longitude: i32,
    /// When it was sent (open loop: when it was due), milliseconds since 1970 in UTC.
    pub sent_at_ms: u64,
}

impl LoadReport {
    /// What was acknowledged, in the order of the acknowledgements; nothing unless
    /// [`LoadConfig::keeps_acknowledged`]. No two are the same.
    pub fn acknowledged_positions(&self) -> impl Iterator<Item = AcknowledgedPosition> + '_ {
        self.acknowledged_list.iter().map(|entry| {
            let due_us = u64::from(entry.due_ms) * 1_000;
            let fix = self.course.fix(entry.terminal, entry.number, due_us);
            let (latitude, longitude) = fix.place;
            AcknowledgedPosition {
                phone: (self.first_phone + u64::from(entry.terminal)).to_string(),
                fixed_at: i64::from(entry.fixed_at),
                latitude,
                longitude,
                sent_at_ms: self.course.began_ms + u64::from(entry.due_ms),
            }
        })
    }

    /// Writes what was acknowledged as CSV with header `phone,event_time,lat,lon`.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write_acknowledged(&self, mut output: impl Write) -> io::Result<()> {
        writeln!(output, "{ACKNOWLEDGED_HEADER}")?;
        for p in self.acknowledged_positions() {
            let line = acknowledged_line(&p.phone, p.fixed_at, p.latitude, p.longitude);
            writeln!(output, "{line}")?;
        }
        output.flush()
    }
}

/// Runs a load to its end. A server that dies ends it early; what it acknowledged is reported.
///
/// # Errors
/// When not all terminals can log in.
pub fn run(config: &LoadConfig) -> Result<LoadReport, LoadError> {
    Fleet::connect(config)?.engine.load()
}

/// How fast and how long a load is.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// As [`LoadConfig::rate`].
    pub rate: Option<f64>,
    /// As [`LoadConfig::warm_up`].
    pub warm_up: Duration,
    /// As [`LoadConfig::duration`].
    pub duration: Duration,
}

/// Terminals that are logged in, for one load after the other.
#[derive(Debug)]
pub struct Fleet {
    engine: Engine,
}

impl Fleet {
    /// Connects the terminals of the configuration and logs them in.
    ///
    /// # Errors
    /// When a value is out of its range, or not all terminals can log in.
    pub fn connect(config: &LoadConfig) -> Result<Self, LoadError> {
        if !(1..=1_000).contains(&config.in_flight) {
            return Err(LoadError::Config("the number of messages in flight"));
        }
        if !(1..=report_frame::IN_A_BATCH_MAX).contains(&config.batch) {
            return Err(LoadError::Config("the number of reports in a message"));
        }
        check_rate(config.rate)?;
        let mut engine = Engine::new(config)?;
        engine.connect(true)?;
        Ok(Self { engine })
    }

    /// Runs a load to its end, as [`run`]. What an earlier one left unanswered is forgotten.
    ///
    /// # Errors
    /// When the rate is out of its range, or the event loop fails.
    pub fn load(&mut self, pace: &Pace) -> Result<LoadReport, LoadError> {
        check_rate(pace.rate)?;
        self.engine.set_pace(pace);
        self.engine.load()
    }
}

fn check_rate(rate: Option<f64>) -> Result<(), LoadError> {
    if rate.is_some_and(|rate| !(0.001..=1e8).contains(&rate)) {
        return Err(LoadError::Config("the rate"));
    }
    Ok(())
}

/// Connections that are held and say nothing.
#[derive(Debug)]
pub struct Idle {
    engine: Engine,
}

impl Idle {
    /// Connects the terminals of the configuration, registers and authenticates them if asked
    /// to, and holds the connections until dropped.
    ///
    /// # Errors
    /// When one of them cannot connect or log in.
    pub fn open(config: &LoadConfig, authenticates: bool) -> Result<Self, LoadError> {
        let mut engine = Engine::new(config)?;
        engine.connect(authenticates)?;
        Ok(Self { engine })
    }

    /// How many connections the server has not closed.
    ///
    /// # Errors
    /// When the event loop fails.
    pub fn alive(&mut self) -> Result<usize, LoadError> {
        self.engine.notice_closed()?;
        Ok(self.engine.alive())
    }
}

/// Raises the process's limit of open files to `wanted`, as far as the hard limit lets it; gives
/// the limit that holds then. Child processes inherit it.
///
/// # Errors
/// When the system refuses.
pub fn raise_file_limit(wanted: u64) -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let Some(current) = limit.current.filter(|current| *current < wanted) else {
        return Ok(limit.current.unwrap_or(u64::MAX));
    };
    // Raising the hard limit is for the privileged; else the hard limit has to do.
    let maximum = limit.maximum.map(|maximum| maximum.max(wanted));
    if setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(wanted),
            maximum,
        },
    )
    .is_ok()
    {
        return Ok(wanted);
    }
    let reachable = limit
        .maximum
        .map_or(wanted, |maximum| maximum.min(wanted))
        .max(current);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(reachable),
            maximum: limit.maximum,
        },
    )?;
    Ok(reachable)
}

#[cfg(test)]
mod tests;
