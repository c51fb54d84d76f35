//! `gridtrace backtest`: what a catalog would have found in the stored tracks of a period.

use std::{collections::BTreeMap, fs, io::Write, path::PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use geofence::{identity::TerminalId, units::Timestamp};
use tokio_util::sync::CancellationToken;

use crate::{
    backtest::{self, BacktestError, Found, Period, Progress},
    catalog::{Catalog, Draft, EditError, Kind},
    clock,
    config::{Config, StoreChoice},
    export::{parse_phone, parse_time},
    http::backtests::FoundView,
    tracks::pages::{open_database, open_embedded},
};

const TELL_EVERY: std::time::Duration = std::time::Duration::from_secs(2);

/// What is tried on what.
#[derive(Clone, Debug, Args)]
pub struct BacktestOptions {
    /// From this moment on, RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Timestamp,
    /// Up to this moment, RFC 3339 [default: now].
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to: Option<Timestamp>,
    /// Only this terminal; may be repeated.
    #[arg(long = "terminal", value_name = "PHONE", value_parser = parse_phone)]
    terminals: Vec<TerminalId>,
    /// Begin from this version of the catalog [default: the one in force].
    #[arg(long, value_name = "NUMBER")]
    version: Option<u64>,
    /// A file in place of a text of the catalog, such as `fences=draft.geojson`; may be repeated.
    #[arg(long = "text", value_name = "KIND=FILE", value_parser = parse_text)]
    texts: Vec<(&'static str, PathBuf)>,
    /// One JSON document instead of lines.
    #[arg(long)]
    json: bool,
}

fn parse_text(text: &str) -> Result<(&'static str, PathBuf), String> {
    let (path, file) = text.split_once('=').ok_or("expected KIND=FILE")?;
    let kind = Kind::of_path(path).ok_or_else(|| {
        let known: Vec<&str> = crate::catalog::KINDS.iter().map(|kind| kind.path).collect();
        format!("{path}: known are {}", known.join(", "))
    })?;
    Ok((kind.name, PathBuf::from(file)))
}

/// Runs it; writes what was found to `out`, and how far it is to the standard error.
///
/// # Errors
/// When the catalog has mistakes, or the store cannot be read.
pub fn run(config: Config, options: BacktestOptions, out: &mut impl Write) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let found = runtime.block_on(found(&config, &options))?;
    if options.json {
        serde_json::to_writer_pretty(&mut *out, &FoundView::from(&found))?;
        writeln!(out)?;
    } else {
        tell(&found, out)?;
    }
    Ok(0)
}

async fn found(config: &Config, options: &BacktestOptions) -> anyhow::Result<Found> {
    let catalog = Catalog::look(&config.catalog, &config.data_dir.join("catalog.sqlite"))?;
    let mut draft = Draft {
        version: options.version,
        ..Draft::default()
    };
    for (kind, file) in &options.texts {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        draft.texts.insert((*kind).to_owned(), text);
    }
    let (_, snapshot) = draft.load(&catalog).map_err(|error| match error {
        EditError::Mistakes(mistakes) => {
            let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            anyhow!("{}", lines.join("\n"))
        }
        error => error.into(),
    })?;
    let store = match &config.store {
        StoreChoice::Embedded => open_embedded(&config.data_dir)?,
        StoreChoice::Postgres(url) => open_database(url).await?,
    };
    let period = Period {
        from: options.from,
        to: options.to.unwrap_or_else(clock::now),
        terminals: options.terminals.clone(),
    };
    if period.from >= period.to {
        bail!("--from is not before --to");
    }
    let progress = Progress::default();
    let stop = CancellationToken::new();
    let max = config.backtest.violations_max as usize;
    let running = backtest::run(store, &snapshot, &period, max, &progress, &stop);
    tokio::pin!(running);
    loop {
        tokio::select! {
            found = &mut running => return found.map_err(|error: BacktestError| error.into()),
            () = tokio::time::sleep(TELL_EVERY) => {
                let percent = progress.share(&period) * 100.0;
                eprintln!("gridtrace: {percent:.1} %, {} positions", progress.positions());
            }
        }
    }
}

fn tell(found: &Found, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "{} positions judged", found.positions)?;
    for (day, kinds) in &found.by_day {
        let kinds: BTreeMap<&str, u64> = kinds.iter().map(|(k, n)| (k.as_str(), *n)).collect();
        let counts: Vec<String> = kinds
            .iter()
            .map(|(kind, n)| format!("{kind} {n}"))
            .collect();
        writeln!(out, "{}  {}", backtest::date(*day), counts.join(", "))?;
    }
    for violation in &found.violations {
        let rule = &violation.rule;
        let ended = violation
            .ended_at
            .map_or_else(|| "open".to_owned(), clock::rfc3339);
        writeln!(
            out,
            "{}  {ended}  {}  {}  {} {}",
            clock::rfc3339(violation.started_at),
            violation.kind.as_str(),
            violation.terminal,
            rule.id,
            rule.name
        )?;
    }
    if found.not_listed > 0 {
        writeln!(out, "and {} more", found.not_listed)?;
    }
    Ok(())
}
