//! `gridtrace backup` and `gridtrace restore`: a copy of the data directory that a gateway can go
//! on from, made while it runs.
//!
//! **What is derived must never be ahead of the log, nor need records that the log has no more.**
//! Numbers behind the end of a restored log are given again; a cursor that has seen them would pass
//! over the new records. And the log removes segments that all consumers are past; a copy of the
//! store from before that still needs them. Neither order by itself is right:
//!
//! * the log first, then the store: the cursors may be behind the end of the log;
//! * the store first, then the log: the records that the store needs next may be gone.
//!
//! So the log is held by both ends. It is copied first, and followed by a thread of its own all the
//! while: from then on nothing that is removed is missing. Then everything derived is copied, and
//! the log is followed to its end once more. Since it is append-only, the copy has all records from
//! before the first derived part to behind the last one; consumers find their cursors inside, go
//! on, and write again what they know already (P2, P3).
//!
//! **A database** is copied by its own tools, and the same rule holds: `--during` runs a command
//! (`pg_dump`) at the moment of the derived parts. What it writes into `$GRIDTRACE_BACKUP_EXTRA` is
//! part of the backup. A database that is *not* of the backup, say one that has lived on while the
//! data directory was lost, is ahead of the log: then `restore --new-log-id` gives the log an id
//! that no cursor knows. Consumers begin at its first record, and find rows and cases there.
//!
//! **What is in it**: log, embedded store, registry with the digests of codes and the key that they
//! are made with, commands, versions of the catalog, media. Configuration, files of the catalog,
//! certificates and the platform's RSA key lie where the operator put them, and are his to copy.

use std::{
    fs,
    io::{self, Read as _, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Component, Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use storage::{
    backup as copy, cursors,
    file_system::RealFileSystem,
    log::{CopiedLog, Depth, FORMAT_VERSION, LogCopy, LogError, salvage, survey},
};

use super::{DataDirectory, finish, unfinished};
use crate::{
    clock,
    outlets::{Consumer as _, evaluator::EvaluatorConsumer, store_writer::StoreWriter},
};

const MANIFEST: &str = "manifest.json";
/// Of the manifest.
const FORMAT: u32 = 1;
/// What a command of the operator has put there; not restored.
const EXTRA: &str = "extra";
/// A segment is not made, filled and removed in so short a time.
const FOLLOW_EVERY: Duration = Duration::from_millis(100);

/// From where to where.
#[derive(Debug, Args)]
pub struct BackupOptions {
    #[command(flatten)]
    directory: DataDirectory,
    /// The directory of the backup; it must not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Run this by `sh` while the log is held: `pg_dump … -f "$GRIDTRACE_BACKUP_EXTRA/db.dump"`,
    /// where the store is a database.
    #[arg(long, value_name = "COMMAND")]
    during: Option<String>,
}

/// From where to where.
#[derive(Debug, Args)]
pub struct RestoreOptions {
    /// The backup.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The new data directory; it must not exist.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Give the log an id of its own: for a database that is not of this backup, but newer.
    #[arg(long)]
    new_log_id: bool,
}

/// What is in a backup. It is written last: a directory without one is no backup.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    /// The version that made it.
    gridtrace: String,
    made_at: String,
    log: Option<LogEntry>,
    files: Vec<FileEntry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct LogEntry {
    id: String,
    format_version: u32,
    first: u64,
    next: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct FileEntry {
    path: String,
    bytes: u64,
    sha256: String,
}

/// Makes a backup; gives the exit code.
///
/// # Errors
/// When something cannot be copied. What was written until then is left under another name.
pub fn backup(options: &BackupOptions, out: &mut dyn Write) -> anyhow::Result<u8> {
    let data = &options.directory.data_dir;
    ensure!(data.is_dir(), "{} is no data directory", data.display());
    let target = prepare(&options.out)?;
    let files = Arc::new(RealFileSystem);
    let mut log = LogCopy::new(files, &options.directory.log(), &target.join("log"))?;
    log.catch_up()?;
    let (stop, stopped) = mpsc::channel::<()>();
    let follower = std::thread::spawn(move || -> Result<Option<CopiedLog>, LogError> {
        while matches!(
            stopped.recv_timeout(FOLLOW_EVERY),
            Err(RecvTimeoutError::Timeout)
        ) {
            log.catch_up()?;
        }
        log.finish()
    });
    let derived = derived(data, &target, options.during.as_deref());
    drop(stop);
    let log = match follower.join() {
        Ok(log) => log?,
        Err(panic) => std::panic::resume_unwind(panic),
    };
    derived?;
    if let Some(log) = &log {
        let consumers = [StoreWriter::NAME, EvaluatorConsumer::NAME];
        for cursor in cursors::embedded(&target.join("store"))? {
            let (name, at) = (cursor.consumer.as_str(), cursor.offset);
            let is_ours = cursor.log == log.id && consumers.contains(&name);
            ensure!(
                !is_ours || (log.first..=log.next).contains(&at),
                "the copy of the log has records {} to {}, and {name} goes on at {at}: try again",
                log.first,
                log.next
            );
        }
    }
    let manifest = Manifest {
        format: FORMAT,
        gridtrace: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: clock::rfc3339(clock::now()),
        log: log.map(|log| LogEntry {
            id: log.id.to_string(),
            format_version: FORMAT_VERSION,
            first: log.first,
            next: log.next,
        }),
        files: entries(&target)?,
    };
    let mut text = serde_json::to_vec_pretty(&manifest)?;
    text.push(b'\n');
    let mut file = private_file(&target.join(MANIFEST))?;
    file.write_all(&text)?;
    file.sync_all()?;
    finish(&target, &options.out).with_context(|| format!("rename {}", target.display()))?;
    writeln!(
        out,
        "{} files, {} bytes, {} written to {}",
        manifest.files.len(),
        manifest.files.iter().map(|file| file.bytes).sum::<u64>(),
        log_words(manifest.log.as_ref()),
        options.out.display()
    )?;
    Ok(0)
}

/// The directory to write into, which gets its name at the end.
fn prepare(out: &Path) -> anyhow::Result<PathBuf> {
    ensure!(!out.exists(), "{} is there already", out.display());
    let target = unfinished(out);
    ensure!(
        !target.exists(),
        "{} is left from an attempt that did not end: remove it",
        target.display()
    );
    copy::make_directory(&target)?;
    Ok(target)
}

/// Copies all that follows the log, or stands beside it.
fn derived(data: &Path, target: &Path, during: Option<&str>) -> anyhow::Result<()> {
    copy::embedded_store(&data.join("store"), &target.join("store"))?;
    if let Some(command) = during {
        let extra = target.join(EXTRA);
        copy::make_directory(&extra)?;
        let status = Command::new("sh")
            .args(["-c", command])
            .env("GRIDTRACE_BACKUP_EXTRA", fs::canonicalize(&extra)?)
            .status()
            .context("sh")?;
        ensure!(status.success(), "the command of --during failed: {status}");
    }
    // Registry, commands and the like are databases beside each other; keys are never changed.
    for entry in fs::read_dir(data)? {
        let name = entry?.file_name();
        let (from, to) = (data.join(&name), target.join(&name));
        match Path::new(&name).extension().and_then(|e| e.to_str()) {
            Some("sqlite") => copy::database(&from, &to)?,
            Some("key") => copy::plain_file(&from, &to)?,
            _ => continue,
        };
    }
    copy::media(&data.join("media"), &target.join("media"))?;
    Ok(())
}

/// Brings a backup back; gives the exit code.
///
/// # Errors
/// When it is not as it was made, or the new directory cannot be written.
pub fn restore(options: &RestoreOptions, out: &mut dyn Write) -> anyhow::Result<u8> {
    let path = options.from.join(MANIFEST);
    let text = fs::read(&path)
        .with_context(|| format!("{} is no whole backup", options.from.display()))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).with_context(|| format!("read {}", path.display()))?;
    ensure!(
        manifest.format <= FORMAT,
        "the backup was made by gridtrace {}: use one that is as new",
        manifest.gridtrace
    );
    let target = prepare(&options.data_dir)?;
    let restored = bring_back(&manifest, options, &target);
    if let Err(error) = restored {
        // It is ours, and of no use.
        fs::remove_dir_all(&target).ok();
        return Err(error);
    }
    finish(&target, &options.data_dir).with_context(|| format!("rename {}", target.display()))?;
    let data = options.data_dir.display();
    writeln!(
        out,
        "{} of {} written to {data}",
        log_words(manifest.log.as_ref()),
        manifest.made_at
    )?;
    if options.new_log_id {
        writeln!(
            out,
            "The log has a new id: consumers begin at its first record"
        )?;
    }
    if options.from.join(EXTRA).is_dir() {
        let extra = options.from.join(EXTRA);
        writeln!(out, "Left for you to bring back: {}", extra.display())?;
    }
    writeln!(out, "To go on: gridtrace serve --data-dir {data}")?;
    Ok(0)
}

fn bring_back(manifest: &Manifest, options: &RestoreOptions, target: &Path) -> anyhow::Result<()> {
    for entry in &manifest.files {
        let relative = Path::new(&entry.path);
        let is_below = relative
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        ensure!(is_below, "the manifest names {}, outside of it", entry.path);
        let from = options.from.join(relative);
        let to = (!relative.starts_with(EXTRA)).then(|| target.join(relative));
        let (bytes, sha256) = digested(&from, to.as_deref())?;
        if (bytes, &sha256) != (entry.bytes, &entry.sha256) {
            bail!("{} is not as the backup was made", from.display());
        }
    }
    let log = target.join("log");
    let Some(entry) = &manifest.log else {
        return Ok(());
    };
    let files = Arc::new(RealFileSystem);
    let found = survey(&*files, &log, Depth::Whole, &mut |_| Ok(()))?;
    let is_whole = found.faults.is_empty() && found.next() == entry.next;
    ensure!(
        is_whole && found.id.map(|id| id.to_string()).as_ref() == Some(&entry.id),
        "the log of the backup is not the one of its manifest"
    );
    if options.new_log_id {
        let new = target.join("log.new");
        salvage(files, &log, &new, &found, true)?;
        fs::remove_dir_all(&log)?;
        fs::rename(&new, &log)?;
    }
    Ok(())
}

fn log_words(log: Option<&LogEntry>) -> String {
    match log {
        None => "no log".to_owned(),
        Some(LogEntry { first, next, .. }) if first == next => "an empty log".to_owned(),
        Some(LogEntry { first, next, .. }) => format!("records {first} to {}", next - 1),
    }
}

/// Every file below a directory, by path.
fn entries(root: &Path) -> anyhow::Result<Vec<FileEntry>> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let (bytes, sha256) = digested(&path, None)?;
            let relative = path.strip_prefix(root)?.to_str();
            found.push(FileEntry {
                path: relative.context("a name that is no UTF-8")?.to_owned(),
                bytes,
                sha256,
            });
        }
        fs::File::open(&directory)?.sync_all()?;
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Size and SHA-256 of a file, which is copied on the way where a place is given.
fn digested(from: &Path, to: Option<&Path>) -> anyhow::Result<(u64, String)> {
    let shown = || from.display().to_string();
    let mut source = fs::File::open(from).with_context(shown)?;
    let mut copy = match to {
        Some(to) => {
            copy::make_directory(super::parent(to))?;
            Some(private_file(to).with_context(|| to.display().to_string())?)
        }
        None => None,
    };
    let mut digest = Sha256::new();
    let mut bytes = 0;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).with_context(shown),
        };
        let read = buffer.get(..count).unwrap_or_default();
        digest.update(read);
        if let Some(copy) = &mut copy {
            copy.write_all(read)?;
        }
        bytes += count as u64;
    }
    if let Some(copy) = copy {
        copy.sync_all()?;
    }
    let digest = digest.finalize();
    let sha256 = digest.iter().map(|byte| format!("{byte:02x}"));
    Ok((bytes, sha256.collect()))
}

fn private_file(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}
