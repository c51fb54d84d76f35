//! The data directory, its disk, and the log.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use storage::{
    file_system::{FileSystem as _, RealFileSystem, is_locked},
    log::{Depth, FaultKind, LogError, Survey, survey},
    store::Cursor,
};

use super::{Findings, machine};
use crate::{config::Config, operations::parent};

const SLOW_SYNC: Duration = Duration::from_millis(50);
/// No disk that keeps what it says is as quick.
const UNLIKELY_SYNC: Duration = Duration::from_micros(10);
/// Records that a consumer may lack before it is worth a word.
const LAG_MAX: u64 = 100_000;

/// Whether the data directory is there or can be made, and what its disk is like. Gives the
/// directory to ask for free space.
pub(super) fn directory(config: &Config, findings: &mut Findings) -> Option<PathBuf> {
    let path = &config.data_dir;
    let shown = path.display();
    let mut there = path.as_path();
    // A relative path may name nothing but directories that are yet to be made.
    while !there.exists() && there != parent(there) {
        there = parent(there);
    }
    let metadata = match fs::metadata(there) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => {
            let found = format!("{} is no directory", there.display());
            findings.bad("data directory", found, "set data_dir to another place");
            return None;
        }
        Err(error) => {
            let found = format!("{}: {error}", there.display());
            findings.bad("data directory", found, "set data_dir to another place");
            return None;
        }
    };
    match machine::measure_syncs(there) {
        Err(error) => {
            let found = format!("{}: cannot write: {error}", there.display());
            let advice =
                "let the user of the gateway own it (chown), on a disk that can be written";
            findings.bad("data directory", found, advice);
            return Some(there.to_owned());
        }
        Ok((median, longest)) => {
            if there != path {
                let found = format!("{shown} is not there yet, and can be made");
                findings.ok("data directory", found);
            } else if metadata.mode() & 0o077 != 0 {
                let found = format!("{shown} is open to other users");
                findings.warn("data directory", found, format!("chmod 700 {shown}"));
            } else {
                findings.ok("data directory", format!("{shown} can be written"));
            }
            syncs(config, median, longest, findings);
        }
    }
    kind(there, findings);
    Some(there.to_owned())
}

fn syncs(config: &Config, median: Duration, longest: Duration, findings: &mut Findings) {
    let millis = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1_000.0);
    // A record may just miss a sync, and waits for the next one.
    let waits = config.log.commit_interval.max(median) + median;
    let found = format!(
        "a write and its sync take {} (the longest {}): a terminal is answered within {} or so",
        millis(median),
        millis(longest),
        millis(waits)
    );
    if median > SLOW_SYNC {
        let advice = "put the log on a faster disk, or one with a cache that outlives a power cut";
        findings.warn("sync", found, advice);
    } else if median < UNLIKELY_SYNC {
        let advice = "too quick for a disk: is the write cache kept in a power cut?";
        findings.warn("sync", found, advice);
    } else {
        findings.ok("sync", found);
    }
}

/// What kind of file system it is, as far as that matters.
fn kind(directory: &Path, findings: &mut Findings) {
    let Ok(found) = rustix::fs::statfs(directory) else {
        return;
    };
    let remote = "a lock and a sync are as good there as the server makes them: use a local disk";
    // `linux/magic.h`; the type of the field differs between machines.
    match i128::from(found.f_type) & 0xFFFF_FFFF {
        0xEF53 => findings.ok("file system", "ext4"),
        0x5846_5342 => findings.ok("file system", "xfs"),
        0x9123_683E => findings.ok("file system", "btrfs"),
        0x2FC1_2FC1 => findings.ok("file system", "zfs"),
        0x0102_1994 | 0x8584_58F6 => {
            let advice = "nothing outlives a restart in memory: set data_dir to a disk";
            findings.bad("file system", "tmpfs, in memory", advice);
        }
        0x794C_7630 => {
            let advice = "it goes with the container: mount a volume";
            findings.warn("file system", "overlay, of a container", advice);
        }
        0x6969 => findings.warn("file system", "nfs", remote),
        0xFF53_4D42 | 0xFE53_4D42 => findings.warn("file system", "smb", remote),
        0x6573_5546 => findings.warn("file system", "fuse", remote),
        other => findings.ok("file system", format!("of type {other:#x}")),
    }
}

/// Whether the disk has room for what the configuration allows.
pub(super) fn space(
    config: &Config,
    directory: &Path,
    log: Option<&Survey>,
    findings: &mut Findings,
) {
    let free = match RealFileSystem.available_bytes(directory) {
        Ok(free) => free,
        Err(error) => {
            findings.warn("space", format!("unknown: {error}"), "see `df`");
            return;
        }
    };
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let log_bytes: u64 = log.map_or(0, |log| log.segments.iter().map(|s| s.bytes).sum());
    let growth = config.log.size_bytes_max.saturating_sub(log_bytes);
    let floor = config.log.free_bytes_min;
    let media = &config.media.limits;
    if free < floor {
        let found = format!(
            "{} are free, log.free_bytes_min asks for {}",
            mib(free),
            mib(floor)
        );
        findings.bad(
            "space",
            found,
            "nothing is acknowledged until there is more room",
        );
    } else if free < media.free_bytes_min {
        let found = format!(
            "{} are free, media.free_bytes_min asks for {}",
            mib(free),
            mib(media.free_bytes_min)
        );
        findings.warn(
            "space",
            found,
            "no media are taken until there is more room",
        );
    } else if free - floor < growth {
        let found = format!(
            "{} are free; the log may grow by {} while a store is away",
            mib(free),
            mib(growth)
        );
        findings.warn("space", found, "make room, or lower log.size_bytes_max");
    } else {
        let found = format!(
            "{} are free; the log may grow by {}",
            mib(free),
            mib(growth)
        );
        findings.ok("space", found);
    }
}

/// Whether the log can be opened: headers of all segments, records of the newest.
pub(super) fn log(config: &Config, findings: &mut Findings) -> Option<Survey> {
    let directory = config.data_dir.join("log");
    if !directory.is_dir() {
        findings.ok("log", "none yet, the first start makes it");
        return None;
    }
    let found = match survey(&RealFileSystem, &directory, Depth::Newest, &mut |_| Ok(())) {
        Ok(found) => found,
        Err(error) => {
            let advice = match &error {
                LogError::Version { .. } => "use a gridtrace that is as new",
                _ => "mend the disk or the rights",
            };
            findings.bad("log", error.to_string(), advice);
            return None;
        }
    };
    let is_open = match is_locked(&directory.join("lock")) {
        Ok(is_open) => is_open,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => {
            let advice = "let the user of the gateway own it";
            findings.bad("log", format!("lock: {error}"), advice);
            return None;
        }
    };
    if let Some(damage) = found.damage().next() {
        let text = format!(
            "{}: damaged at byte {}: {}",
            damage.path.display(),
            damage.offset,
            damage.what
        );
        let advice = format!(
            "gridtrace log verify --data-dir {}",
            config.data_dir.display()
        );
        findings.bad("log", text, advice);
        return None;
    }
    let torn = found
        .faults
        .iter()
        .any(|fault| fault.kind == FaultKind::TornTail);
    let tail = match (torn, is_open) {
        (true, false) => "; the next start cuts off a write that a crash cut short",
        _ => "",
    };
    let open = if is_open { ", open by a gateway" } else { "" };
    let text = format!(
        "{} segments in order{open}, {} records of the newest read and good{tail}",
        found.segments.len(),
        found.records()
    );
    findings.ok("log", text);
    Some(found)
}

/// How far consumers are, against the log.
pub(super) fn consumers(log: &Survey, cursors: &[Cursor], findings: &mut Findings) {
    let first = log.segments.first().map_or(0, |segment| segment.first);
    let next = log.segments.last().map_or(0, |segment| segment.next);
    let mut of_this_log = cursors
        .iter()
        .filter(|cursor| log.id == Some(cursor.log))
        .peekable();
    if of_this_log.peek().is_none() {
        let found = format!("none has begun; {} records wait", next - first);
        findings.ok("consumers", found);
    }
    for cursor in of_this_log {
        let (name, at) = (&cursor.consumer, cursor.offset);
        if at > next {
            let found = format!("{name} is at record {at}, the log ends at {next}");
            let advice = "the log is older than the store: give it a new id, by `gridtrace \
                          restore --new-log-id` or `gridtrace log salvage --new-id`";
            findings.bad("consumers", found, advice);
        } else if at < first {
            let found = format!("{name} is at record {at}, the log begins at {first}");
            let advice = "the store is older than the log: what lies between is in neither";
            findings.bad("consumers", found, advice);
        } else if next - at > LAG_MAX {
            let found = format!("{name} is {} records behind", next - at);
            let advice = "it catches up while the gateway runs; if not, look at the store";
            findings.warn("consumers", found, advice);
        } else {
            findings.ok(
                "consumers",
                format!("{name} is {} records behind", next - at),
            );
        }
    }
}
