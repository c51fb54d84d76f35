//! `gridtrace-tools replay`.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use humantime::Duration;
use time::UtcOffset;
use tools::{
    line::MqttTarget,
    replay::{
        Pace, ReplayConfig, ReplayError, Summary, TrackOptions, read_frames, read_gpx, read_track,
        replay_frames, replay_track,
    },
    wire::Revision,
};

use super::{PayloadName, block_on, print_json};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The frames; `-` is stdin.
    #[arg(
        value_name = "FILE",
        required_unless_present = "track",
        conflicts_with = "track"
    )]
    frames: Option<PathBuf>,
    /// Address of the gateway's JT/T 808 port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6808")]
    target: String,
    /// Send over MQTT to this port; a terminal still registers at --target, which gives it its
    /// password. Recorded frames are payloads as they are.
    #[arg(long, value_name = "ADDR")]
    mqtt: Option<String>,
    /// What a track is published as over MQTT.
    #[arg(long, value_enum, default_value_t, requires = "track")]
    mqtt_payload: PayloadName,
    /// How long a connection or a response may take.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    limit: Duration,
    /// Of JSON lines, take only those with this `origin`, such as `device`.
    #[arg(long, conflicts_with = "track")]
    origin: Option<String>,
    /// Pause between two frames.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "0s",
        conflicts_with = "track"
    )]
    interval: Duration,
    /// Send a track instead of frames; `-` is stdin. It is GPX or CSV; columns of CSV are found by name: `timestamp` or
    /// `time`, `latitude` or `lat`, `longitude` or `lon`, and, if there, `speed_kmh`, `bearing` or
    /// `heading`, `vehicle_id`.
    #[arg(long, value_name = "FILE")]
    track: Option<PathBuf>,
    /// Where the clock of a track's times without an offset stands, such as `+08:00`.
    #[arg(
        long,
        value_name = "OFFSET",
        default_value = "+00:00",
        allow_hyphen_values = true
    )]
    time_zone: Offset,
    /// Move a track's times, all by the same span, so that the last fix is sent at its fix time.
    #[arg(long, requires = "track")]
    shift_to_now: bool,
    /// How many times as fast as it was driven a track is sent; `max`: as fast as it is answered.
    #[arg(long, value_name = "N|max", default_value = "1")]
    speed: Speed,
    /// Phone number of a track's first vehicle; others get the numbers that follow.
    #[arg(long, value_name = "DIGITS", default_value = "13900140000")]
    phone: String,
    /// Revision of a track's terminals.
    #[arg(long, value_enum, default_value_t = RevisionName::V2013)]
    revision: RevisionName,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RevisionName {
    #[value(name = "2011")]
    V2011,
    #[value(name = "2013")]
    V2013,
    #[value(name = "2019")]
    V2019,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let config = ReplayConfig {
        target: arguments.target.clone(),
        mqtt: arguments.mqtt.as_ref().map(|address| MqttTarget {
            address: address.clone(),
            payload: arguments.mqtt_payload.into(),
        }),
        limit: arguments.limit.into(),
        interval: arguments.interval.into(),
    };
    let done = match (&arguments.track, &arguments.frames) {
        (Some(path), _) => arguments.track(&config, path)?,
        (None, Some(path)) => {
            let input = open(path)?;
            let frames = read_frames(input, arguments.origin.as_deref());
            block_on(replay_frames(&config, frames, tell))?
        }
        (None, None) => anyhow::bail!("nothing to send"),
    };
    let summary: Summary = match done {
        Ok(summary) => summary,
        Err(error @ ReplayError::Line(_)) => return Err(error.into()),
        Err(error) => {
            eprintln!("gridtrace-tools: {error}");
            return Ok(false);
        }
    };
    print_json(&serde_json::json!({ "summary": summary }))?;
    let results: Vec<String> = summary
        .results
        .iter()
        .map(|(result, count)| format!("{count} × {result}"))
        .collect();
    eprintln!(
        "{} sent over {} connections: {} answered (result: {}), {} not answered, {} cut off; {} \
         not as expected",
        summary.sent,
        summary.connections,
        summary.answered,
        results.join(", "),
        summary.no_answer,
        summary.closed,
        summary.unexpected
    );
    Ok(summary.unexpected == 0)
}

impl Arguments {
    fn track(
        &self,
        config: &ReplayConfig,
        path: &Path,
    ) -> anyhow::Result<Result<Summary, ReplayError>> {
        let mut input = open(path)?;
        // XML begins with a mark of the order of bytes, white space, or an element: no header of CSV does.
        let begins = input.fill_buf()?.trim_ascii_start();
        let is_gpx = begins.starts_with(b"<") || begins.starts_with("\u{feff}<".as_bytes());
        let fixes = if is_gpx {
            read_gpx(input)
        } else {
            read_track(input, self.time_zone.0)
        };
        let fixes = fixes.with_context(|| path.display().to_string())?;
        let options = TrackOptions {
            phone: self.phone.clone(),
            revision: match self.revision {
                RevisionName::V2011 => Revision::V2011,
                RevisionName::V2013 => Revision::V2013,
                RevisionName::V2019 => Revision::V2019,
            },
            pace: self.speed.0,
            shift_to_now: self.shift_to_now,
            in_flight: 16,
        };
        block_on(replay_track(config, &options, &fixes, |outcome| {
            tell(outcome)
        }))
    }
}

/// A reader that went away does not stop a replay: the summary and the exit code still tell.
fn tell(outcome: &impl serde::Serialize) {
    if let Err(error) = print_json(outcome) {
        tracing::debug!(%error, "a line was not read by anybody");
    }
}

fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = fs::File::open(path).with_context(|| path.display().to_string())?;
    Ok(Box::new(BufReader::new(file)))
}

#[derive(Clone, Copy, Debug)]
struct Speed(Pace);

impl FromStr for Speed {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "max" {
            return Ok(Self(Pace::Max));
        }
        match text.parse::<f64>() {
            Ok(times) if (0.001..=1e6).contains(&times) => Ok(Self(Pace::Times(times))),
            _ => Err("expected a number above 0, or max"),
        }
    }
}

/// `+08:00` or `-05:30`.
#[derive(Clone, Copy, Debug)]
struct Offset(UtcOffset);

impl FromStr for Offset {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected an offset such as +08:00";
        let format =
            time::macros::format_description!("[offset_hour sign:mandatory]:[offset_minute]");
        UtcOffset::parse(text, &format)
            .map(Self)
            .map_err(|_| EXPECTED)
    }
}
