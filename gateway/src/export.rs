//! `gridtrace export`: stored positions as a file, from an embedded store, a database, or a running
//! gateway. In CSV and Parquet, reports in quarantine come last, with the reason in a column of its
//! own.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use geofence::{identity::TerminalId, units::Timestamp};

use crate::{
    clock,
    tracks::{
        files::Format,
        pages::{self, Pages, Wanted},
        row::Row,
    },
};

/// Rows that are in memory at a time.
const PAGE: u32 = 10_000;
/// Between two words of how far it has come.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// What to export.
#[derive(Debug, Subcommand)]
pub enum Export {
    /// Positions in the order of their fix times, or tracks terminal after terminal.
    Positions(Positions),
}

/// From where, which, and where to.
#[derive(Debug, Args)]
pub struct Positions {
    #[command(flatten)]
    source: Source,
    /// From this moment on, RFC 3339 [default: the beginning].
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<Timestamp>,
    /// Up to this moment, RFC 3339 [default: a day from now].
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to: Option<Timestamp>,
    /// Only this terminal: its phone number, with or without padding zeros.
    #[arg(long, value_name = "PHONE", value_parser = parse_phone)]
    terminal: Option<TerminalId>,
    /// How the file is written. GPX and GeoJSON have tracks: terminal after terminal, usable fixes
    /// only, no quarantine.
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// For tracks: between fixes further apart than this no line is drawn.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    gap: Duration,
    /// The file to write; it must not exist. `-` is the standard output.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
struct Source {
    /// The data directory of an embedded store; the gateway may be running [default:
    /// gridtrace-data].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A database: `postgres://user:password@host/database`.
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// A running gateway: `127.0.0.1:8080`.
    #[arg(long, value_name = "ADDR")]
    http: Option<String>,
}

impl From<Source> for pages::Source {
    fn from(source: Source) -> Self {
        match source {
            Source {
                http: Some(address),
                ..
            } => Self::Gateway(address),
            Source {
                store: Some(url), ..
            } if url != "embedded" => Self::Database(url),
            Source { data_dir, .. } => {
                Self::DataDirectory(data_dir.unwrap_or_else(|| PathBuf::from("gridtrace-data")))
            }
        }
    }
}

pub(crate) fn parse_time(text: &str) -> Result<Timestamp, String> {
    clock::parse_rfc3339(text)
        .ok_or_else(|| "expected RFC 3339, such as 2026-11-24T08:00:00Z".into())
}

pub(crate) fn parse_phone(text: &str) -> Result<TerminalId, String> {
    text.trim_start_matches('0')
        .parse()
        .map_err(|e: geofence::identity::NotATerminalId| e.to_string())
}

/// Runs the export; tells how far it is, and gives a line for people.
///
/// What was stored when it began is in the file, each row once, unless retention removes it
/// meanwhile. Of what is stored meanwhile, late fixes may be missing.
///
/// # Errors
/// When the source cannot be read or the file cannot be written.
pub fn run(
    Export::Positions(options): Export,
    mut tell: impl FnMut(&str),
) -> anyhow::Result<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(positions(options, &mut tell))
}

async fn positions(options: Positions, tell: &mut impl FnMut(&str)) -> anyhow::Result<String> {
    let format = options.format;
    let output: Box<dyn Write + Send> = if options.out.as_os_str() == "-" {
        Box::new(std::io::stdout())
    } else {
        let file = File::create_new(&options.out)
            .with_context(|| format!("cannot write {}", options.out.display()))?;
        Box::new(BufWriter::new(file))
    };
    let wanted = Wanted {
        from: options.from,
        to: options.to,
        terminal: options.terminal,
        is_by_terminal: format.is_of_tracks(),
        page_rows: PAGE,
    };
    let mut writer = format.writer(output, options.gap)?;
    let mut pages = Pages::open(options.source.into(), wanted).await?;
    let (mut count, mut left_out): (u64, u64) = (0, 0);
    let mut told = Instant::now();
    while let Some(rows) = pages.next().await? {
        for row in &rows {
            if writer.write(row)? {
                count += 1;
            } else {
                left_out += 1;
            }
        }
        if let Some(row) = rows.last()
            && told.elapsed() >= TELL_EVERY
        {
            told = Instant::now();
            tell(&progress(count, row));
        }
    }
    writer.finish()?;
    let without_fix = match left_out {
        0 => String::new(),
        n => format!(" ({n} without a usable fix left out)"),
    };
    Ok(format!(
        "{count} positions written to {}{without_fix}",
        options.out.display()
    ))
}

/// How far it is: by time, and by terminal where a file has one after the other.
fn progress(count: u64, last: &Row) -> String {
    let at = last.fixed_at.map(clock::rfc3339).unwrap_or_default();
    format!("{count} positions, up to {} at {at}", last.phone)
}
