//! `gridtrace log`: what is in the log, whether it is whole, and a new one out of a damaged one.
//!
//! `inspect` and `verify` change nothing and may run beside the gateway. `salvage` keeps the
//! gateway out while it reads, by the log's own lock.

use std::{io::Write, ops::Range, path::PathBuf, sync::Arc};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use geofence::units::Timestamp;
use serde_json::{Value, json};
use storage::{
    cursors,
    file_system::{self, RealFileSystem},
    log::{self as log, Depth, FORMAT_VERSION, Fault, FaultKind, Record, RecordKind, Survey},
};

use super::{DataDirectory, finish, unfinished};
use crate::{EXIT_DAMAGED, clock, ingest::record};

/// Records that are shown at once.
const SHOWN_RECORDS_MAX: u64 = 100_000;
/// Bytes of a payload that are shown.
const SHOWN_BYTES_MAX: usize = 1_024;

/// What to do with the log.
#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Say what is in the log: segments, times, kinds of records, consumers.
    Inspect(Inspect),
    /// Read every record and check sum; say where damage is, what is safe, and what to do.
    Verify(Verify),
    /// Write a new log with every record of a damaged one that can be read.
    Salvage(Salvage),
}

/// What to show.
#[derive(Debug, Args)]
pub struct Inspect {
    #[command(flatten)]
    directory: DataDirectory,
    /// One JSON document.
    #[arg(long)]
    json: bool,
    /// Print these records as well: from this number on, and up to before that one. Of each
    /// payload at most 1 KiB.
    #[arg(long, value_name = "FROM..TO", value_parser = parse_range)]
    records: Option<Range<u64>>,
}

/// What to check.
#[derive(Debug, Args)]
pub struct Verify {
    #[command(flatten)]
    directory: DataDirectory,
    /// One JSON document.
    #[arg(long)]
    json: bool,
}

/// From where to where.
#[derive(Debug, Args)]
pub struct Salvage {
    #[command(flatten)]
    directory: DataDirectory,
    /// The directory of the new log; it must not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Give the new log an id of its own, also where it could keep the old one: for a store that
    /// is further than the log.
    #[arg(long)]
    new_id: bool,
}

fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let parse = || {
        let (from, to) = text.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    };
    let range: Range<u64> = parse().ok_or("expected two numbers, such as 100..120")?;
    if range.end.saturating_sub(range.start) > SHOWN_RECORDS_MAX {
        return Err(format!("at most {SHOWN_RECORDS_MAX} records at once"));
    }
    Ok(range)
}

/// Runs the command; gives its exit code.
///
/// # Errors
/// When the log cannot be read, or the new one not be written.
pub fn run(command: LogCommand, out: &mut dyn Write) -> anyhow::Result<u8> {
    match command {
        LogCommand::Inspect(options) => inspect(&options, out),
        LogCommand::Verify(options) => verify(&options, out),
        LogCommand::Salvage(options) => salvage(&options, out),
    }
}

fn look(
    directory: &DataDirectory,
    visit: &mut dyn FnMut(&[Record]) -> Result<(), log::LogError>,
) -> anyhow::Result<Survey> {
    let path = directory.log();
    if !path.is_dir() {
        bail!("there is no log in {}", directory.data_dir.display());
    }
    Ok(log::survey(&RealFileSystem, &path, Depth::Whole, visit)?)
}

fn is_running(directory: &DataDirectory) -> bool {
    file_system::is_locked(&directory.log().join("lock")).unwrap_or_default()
}

fn inspect(options: &Inspect, out: &mut dyn Write) -> anyhow::Result<u8> {
    let wanted = options.records.clone().unwrap_or_default();
    let mut records = Vec::new();
    let mut written = Ok(());
    let survey = look(&options.directory, &mut |block| {
        for record in block
            .iter()
            .filter(|record| wanted.contains(&record.offset))
        {
            if options.json {
                records.push(record_json(record));
            } else if written.is_ok() {
                written = writeln!(out, "{}", record_line(record));
            }
        }
        Ok(())
    })?;
    written?;
    let cursors = cursors::embedded(&options.directory.data_dir.join("store"));
    if options.json {
        let mut document = survey_json(&survey, is_running(&options.directory));
        let consumers = match &cursors {
            Ok(cursors) => cursors
                .iter()
                .map(|cursor| {
                    json!({
                        "log": cursor.log,
                        "consumer": cursor.consumer,
                        "record": cursor.offset,
                        "is_of_this_log": survey.id == Some(cursor.log),
                    })
                })
                .collect(),
            Err(_) => Value::Null,
        };
        if let Some(document) = document.as_object_mut() {
            document.insert("consumers".into(), consumers);
            if options.records.is_some() {
                document.insert("records_shown".into(), Value::Array(records));
            }
        }
        writeln!(out, "{document:#}")?;
        return Ok(code_of(&survey));
    }
    match survey.id {
        Some(id) => writeln!(out, "log {id}, format version {FORMAT_VERSION}")?,
        None => writeln!(out, "no segment says which log this is")?,
    }
    let bytes: u64 = survey.segments.iter().map(|segment| segment.bytes).sum();
    writeln!(
        out,
        "{} records in {} segments, {bytes} bytes",
        survey.records(),
        survey.segments.len()
    )?;
    for segment in &survey.segments {
        let name = segment.path.file_name().unwrap_or_default();
        let kinds: Vec<_> = segment
            .kinds
            .iter()
            .map(|(kind, count)| format!("{count} {}", kind_name(RecordKind(*kind))))
            .collect();
        let (from, to) = segment.times.unwrap_or_default();
        let times = match segment.times {
            Some(_) => format!(
                "{} to {}",
                clock::rfc3339(Timestamp(from)),
                clock::rfc3339(Timestamp(to))
            ),
            None => "empty".to_owned(),
        };
        writeln!(
            out,
            "  {}: {}, {} bytes, {times}; {}",
            name.display(),
            range_words(&(segment.first..segment.next)),
            segment.bytes,
            kinds.join(", ")
        )?;
    }
    match cursors {
        Ok(cursors) => {
            for cursor in cursors
                .iter()
                .filter(|cursor| survey.id == Some(cursor.log))
            {
                let lag = survey.next().saturating_sub(cursor.offset);
                let name = &cursor.consumer;
                writeln!(
                    out,
                    "  consumer {name}: next is {}, {lag} behind",
                    cursor.offset
                )?;
            }
        }
        Err(error) => writeln!(out, "  consumers: unknown ({error})")?,
    }
    for fault in &survey.faults {
        writeln!(out, "{}", fault_line(fault, is_running(&options.directory)))?;
    }
    Ok(code_of(&survey))
}

/// Exit code for what was found.
fn code_of(survey: &Survey) -> u8 {
    if survey.damage().next().is_some() {
        EXIT_DAMAGED
    } else {
        0
    }
}

fn verify(options: &Verify, out: &mut dyn Write) -> anyhow::Result<u8> {
    let survey = look(&options.directory, &mut |_| Ok(()))?;
    let is_running = is_running(&options.directory);
    if options.json {
        writeln!(out, "{:#}", survey_json(&survey, is_running))?;
        return Ok(code_of(&survey));
    }
    for fault in &survey.faults {
        writeln!(out, "{}", fault_line(fault, is_running))?;
    }
    let (records, segments) = (survey.records(), survey.segments.len());
    if survey.damage().next().is_none() {
        writeln!(out, "{records} records in {segments} segments are good")?;
        return Ok(0);
    }
    let good: Vec<_> = survey.good.iter().map(range_words).collect();
    let good = if good.is_empty() {
        "nothing".to_owned()
    } else {
        good.join(", ")
    };
    writeln!(out, "safe: {good}; {records} in all")?;
    let data = options.directory.data_dir.display();
    writeln!(
        out,
        "This is damage that no crash explains, and a start refuses it. Check the disk. Put the \
         data back from a backup (gridtrace restore), or write a new log of all that is safe:\n  \
         gridtrace log salvage --data-dir {data} --out {data}/log.salvaged"
    )?;
    Ok(EXIT_DAMAGED)
}

fn salvage(options: &Salvage, out: &mut dyn Write) -> anyhow::Result<u8> {
    let directory = options.directory.log();
    let data = options.directory.data_dir.display();
    if options.out.exists() {
        bail!("{} is there already", options.out.display());
    }
    let lock_file = directory.join("lock");
    let lock = match file_system::lock_existing(&lock_file) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            bail!("the log is in use by a running gateway: stop it first")
        }
        lock => lock.with_context(|| format!("lock {}", lock_file.display()))?,
    };
    let survey = look(&options.directory, &mut |_| Ok(()))?;
    if survey.damage().next().is_none() && !options.new_id {
        bail!(
            "the log is good, there is nothing to salvage: {} records in {} segments",
            survey.records(),
            survey.segments.len()
        );
    }
    let temporary = unfinished(&options.out);
    if temporary.exists() {
        bail!(
            "{} is left from an attempt that did not end: remove it",
            temporary.display()
        );
    }
    let salvaged = log::salvage(
        Arc::new(RealFileSystem),
        &directory,
        &temporary,
        &survey,
        options.new_id,
    )?;
    finish(&temporary, &options.out)
        .with_context(|| format!("rename {} to its name", temporary.display()))?;
    drop(lock);
    for fault in &survey.faults {
        writeln!(out, "{}", fault_line(fault, false))?;
    }
    let lost: Vec<_> = survey
        .damage()
        .filter(|fault| fault.lost_to != Some(fault.lost_from))
        .map(lost_words)
        .collect();
    let path = options.out.display();
    writeln!(
        out,
        "{} records in {} segments written to {path}; lost: {}",
        salvaged.records,
        salvaged.segments,
        if lost.is_empty() {
            "none".to_owned()
        } else {
            lost.join(", ")
        }
    )?;
    if salvaged.has_new_id {
        writeln!(
            out,
            "It has a new id, {}: consumers begin at its first record, and find what they know \
             already",
            salvaged.id
        )?;
    } else {
        writeln!(
            out,
            "It has the same id and the same record numbers: consumers go on where they are"
        )?;
    }
    writeln!(
        out,
        "To use it:\n  mv {data}/log {data}/log.damaged && mv {path} {data}/log"
    )?;
    Ok(0)
}

fn fault_line(fault: &Fault, is_running: bool) -> String {
    let (path, offset, what) = (fault.path.display(), fault.offset, &fault.what);
    let place = format!(
        "{path} at byte {offset}, record {}: {what}",
        fault.lost_from
    );
    let bytes = fault.bytes;
    match fault.kind {
        FaultKind::Damage if fault.lost_to == Some(fault.lost_from) => {
            format!("damage: {place}; no record is lost with it")
        }
        FaultKind::Damage => format!("damage: {place}; lost: {}", lost_words(fault)),
        FaultKind::TornTail if is_running => {
            format!("being written: {place}; {bytes} bytes of a gateway that runs")
        }
        FaultKind::TornTail => format!(
            "torn tail: {place}; the next start cuts off these {bytes} bytes, of a write that was \
             acknowledged to nobody"
        ),
        FaultKind::Unused => format!("{path}: {what}; the next start removes it"),
    }
}

fn lost_words(fault: &Fault) -> String {
    match fault.lost_to {
        Some(to) => range_words(&(fault.lost_from..to)),
        None => format!("all from record {} on", fault.lost_from),
    }
}

/// `records 0 to 119`
fn range_words(range: &Range<u64>) -> String {
    match range.end - range.start {
        0 => "no records".to_owned(),
        1 => format!("record {}", range.start),
        _ => format!("records {} to {}", range.start, range.end - 1),
    }
}

fn kind_name(kind: RecordKind) -> String {
    match kind {
        RecordKind::LOST => "lost".to_owned(),
        record::FRAME => "frame".to_owned(),
        record::UNDECODED => "undecoded".to_owned(),
        record::TICK => "tick".to_owned(),
        record::JOINED => "joined".to_owned(),
        record::JSON => "json".to_owned(),
        record::UNREAD_JSON => "unread_json".to_owned(),
        RecordKind(other) => format!("kind_{other}"),
    }
}

fn hex(payload: &[u8]) -> (String, usize) {
    let shown = payload.get(..SHOWN_BYTES_MAX).unwrap_or(payload);
    let text = shown.iter().map(|byte| format!("{byte:02x}")).collect();
    (text, payload.len() - shown.len())
}

fn record_line(record: &Record) -> String {
    let (text, more) = hex(&record.payload);
    let more = if more > 0 {
        format!("… {more} bytes more")
    } else {
        String::new()
    };
    let at = clock::rfc3339(Timestamp(record.received_at));
    format!(
        "{} {at} {} {} bytes {text}{more}",
        record.offset,
        kind_name(record.kind),
        record.payload.len()
    )
}

fn record_json(record: &Record) -> Value {
    let (text, more) = hex(&record.payload);
    json!({
        "record": record.offset,
        "kind": kind_name(record.kind),
        "received_at": clock::rfc3339(Timestamp(record.received_at)),
        "bytes": record.payload.len(),
        "payload_hex": text,
        "is_cut": more > 0,
    })
}

fn survey_json(survey: &Survey, is_running: bool) -> Value {
    let time = |millis| clock::rfc3339(Timestamp(millis));
    let segments: Vec<_> = survey
        .segments
        .iter()
        .map(|segment| {
            let kinds: serde_json::Map<_, _> = segment
                .kinds
                .iter()
                .map(|(kind, count)| (kind_name(RecordKind(*kind)), json!(count)))
                .collect();
            json!({
                "file": segment.path.file_name().map(|name| name.display().to_string()),
                "first": segment.first,
                "next": segment.next,
                "records": segment.records,
                "bytes": segment.bytes,
                "first_at": segment.times.map(|(from, _)| time(from)),
                "last_at": segment.times.map(|(_, to)| time(to)),
                "kinds": kinds,
            })
        })
        .collect();
    let faults: Vec<_> = survey
        .faults
        .iter()
        .map(|fault| {
            json!({
                "kind": fault.kind.as_str(),
                "file": fault.path.file_name().map(|name| name.display().to_string()),
                "offset": fault.offset,
                "what": fault.what,
                "bytes": fault.bytes,
                "lost_from": fault.lost_from,
                "lost_to": fault.lost_to,
            })
        })
        .collect();
    let good: Vec<_> = survey
        .good
        .iter()
        .map(|good| json!([good.start, good.end]))
        .collect();
    json!({
        "log": survey.id,
        "format_version": FORMAT_VERSION,
        "is_good": survey.damage().next().is_none(),
        "is_open": is_running,
        "records": survey.records(),
        "first": survey.good.first().map(|good| good.start),
        "next": survey.next(),
        "good": good,
        "segments": segments,
        "faults": faults,
    })
}
