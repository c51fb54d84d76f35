//! The machine: clock, limits, and the time that a sync takes.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::Command,
    time::{Duration, Instant, SystemTime},
};

use geofence::units::Timestamp;
use storage::log::Survey;

use super::Findings;
use crate::{clock, config::Config};

const SYNCS: usize = 20;
const WRITTEN_BYTES: usize = 4_096;
/// 2025-01-01: no gateway is older.
const EARLIEST_MILLIS: i64 = 1_735_689_600_000;
/// 2100-01-01: fixes behind it cannot be stored.
const LATEST_MILLIS: i64 = 4_102_444_800_000;
/// Clocks of a machine that is busy differ by some milliseconds.
const JUMP: Duration = Duration::from_millis(50);
/// Files beside the connections: segments, databases, the store's connections, libraries.
const OTHER_FILES: u64 = 256;

/// How long a write and its sync take: the median and the longest. The file has no name.
pub(super) fn measure_syncs(directory: &Path) -> io::Result<(Duration, Duration)> {
    let path = directory.join(format!(".gridtrace-doctor-{}", std::process::id()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    fs::remove_file(&path)?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let started = Instant::now();
        file.write_all(&[0x5A; WRITTEN_BYTES])?;
        file.sync_data()?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    let at = |index: usize| times.get(index).copied().unwrap_or_default();
    Ok((at(SYNCS / 2), at(SYNCS - 1)))
}

/// Whether the clock can be believed, by itself, by the log, and by who keeps it.
pub(super) fn clock(
    (since, wall): (Instant, SystemTime),
    log: Option<&Survey>,
    findings: &mut Findings,
) {
    let now = clock::now();
    let shown = clock::rfc3339(now);
    let set = "set the clock, and let NTP keep it (timedatectl set-ntp true)";
    if !(EARLIEST_MILLIS..LATEST_MILLIS).contains(&now.millis()) {
        findings.bad("clock", format!("it says {shown}"), set);
        return;
    }
    let newest = log.and_then(|log| log.segments.last()?.times);
    if let Some((_, newest)) = newest
        && newest > now.millis().saturating_add(1_000)
    {
        let found = format!(
            "it says {shown}, and the newest record of the log came at {}",
            clock::rfc3339(Timestamp(newest))
        );
        findings.bad(
            "clock",
            found,
            "it went back: find out which of the two is right",
        );
        return;
    }
    let steady = since.elapsed();
    let jump = match SystemTime::now().duration_since(wall) {
        Ok(passed) => passed.abs_diff(steady),
        Err(error) => error.duration() + steady,
    };
    if jump > JUMP {
        let found = format!(
            "it jumped by {} ms while it was looked at",
            jump.as_millis()
        );
        findings.warn("clock", found, "let NTP slew it instead of stepping");
        return;
    }
    match is_synchronized() {
        Some(true) => findings.ok("clock", format!("it says {shown}, and NTP keeps it")),
        Some(false) => {
            let found = format!("it says {shown}, and NTP does not keep it");
            findings.warn("clock", found, "timedatectl set-ntp true, or chrony");
        }
        None => {
            let found = format!("it says {shown}; whether NTP keeps it is unknown");
            findings.warn(
                "clock",
                found,
                "see `timedatectl` or `chronyc tracking` of the host",
            );
        }
    }
}

/// What systemd knows; `None` where there is no systemd to ask, as in most containers.
fn is_synchronized() -> Option<bool> {
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        return Some(true);
    }
    if !Path::new("/run/systemd/system").exists() {
        return None;
    }
    let output = Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .output()
        .ok()?;
    match output.stdout.trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

/// Whether as many files can be open as there may be connections.
pub(super) fn open_files(config: &Config, findings: &mut Findings) {
    let connections = u64::from(config.tcp.connections_max)
        + u64::from(config.http.live_clients_max)
        + config
            .attachments
            .listen
            .map_or(0, |_| u64::from(config.attachments.connections_max));
    let needed = connections + OTHER_FILES;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    match limit {
        Some(limit) if limit < needed => {
            let found = format!("{limit} may be open, {connections} connections need {needed}");
            let advice = format!(
                "LimitNOFILE={needed} in the unit, or `ulimit -n {needed}`; or lower \
                 tcp.connections_max"
            );
            findings.bad("open files", found, advice);
        }
        Some(limit) => {
            let found = format!("{limit} may be open, enough for {connections} connections");
            findings.ok("open files", found);
        }
        None => findings.ok("open files", "without limit"),
    }
}
