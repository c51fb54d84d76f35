//! `gridtrace export`: stored positions as CSV, from an embedded store, a database, or a running
//! gateway. Reports in quarantine come last, with the reason in a column of its own.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use geofence::{identity::TerminalId, units::Timestamp};
use serde::Deserialize;
use serde_json::Value;
use storage::{
    embedded::EmbeddedStore,
    store::{PositionQuery, Store},
    timescale::TimescaleStore,
};

use crate::{
    clock,
    http::view::{QuarantineView, TrackPoint},
    http_client,
};

const PAGE: u32 = 10_000;

/// What to export.
#[derive(Debug, Subcommand)]
pub enum Export {
    /// Positions in the order of their fix times.
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
    /// The only one so far.
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
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

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Csv,
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    clock::parse_rfc3339(text)
        .ok_or_else(|| "expected RFC 3339, such as 2026-11-24T08:00:00Z".into())
}

fn parse_phone(text: &str) -> Result<TerminalId, String> {
    text.trim_start_matches('0')
        .parse()
        .map_err(|e: geofence::identity::NotATerminalId| e.to_string())
}

/// Runs the export; gives a line for people.
///
/// # Errors
/// When the source cannot be read or the file cannot be written.
pub fn run(Export::Positions(options): Export) -> anyhow::Result<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(positions(options))
}

async fn positions(options: Positions) -> anyhow::Result<String> {
    let Format::Csv = options.format;
    let output: Box<dyn Write> = if options.out.as_os_str() == "-" {
        Box::new(std::io::stdout().lock())
    } else {
        let file = File::create_new(&options.out)
            .with_context(|| format!("cannot write {}", options.out.display()))?;
        Box::new(BufWriter::new(file))
    };
    let mut csv = csv::Writer::from_writer(output);
    csv.write_record(COLUMNS.iter().map(|(name, _)| name))?;
    let mut pages = Pages::open(&options).await?;
    let mut count: u64 = 0;
    while let Some(items) = pages.next().await? {
        for item in &items {
            csv.write_record(line(item))?;
        }
        count += items.len() as u64;
    }
    csv.flush()?;
    Ok(format!(
        "{count} positions written to {}",
        options.out.display()
    ))
}

/// Columns of the file, and the field of the API that each shows.
const COLUMNS: &[(&str, &str)] = &[
    ("phone", "phone"),
    ("event_time", "fixed_at"),
    ("lat", "lat"),
    ("lon", "lon"),
    ("speed_kmh", "speed_kmh"),
    ("heading_deg", "heading_deg"),
    ("altitude_m", "altitude_m"),
    ("positioned", "positioned"),
    ("alarm", "alarm"),
    ("status", "status"),
    ("odometer_km", "odometer_km"),
    ("satellites", "satellites"),
    ("unit_grid", "unit_grid"),
    ("backlog", "backlog"),
    ("receive_time", "received_at"),
    ("digest", "digest"),
    ("quarantine", "quarantine"),
];

/// One line, from a position or a report as the API shows it.
fn line(item: &Value) -> Vec<String> {
    let text = |field: &str| match item.get(field) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(degrees) if matches!(field, "lat" | "lon") => {
            format!("{:.6}", degrees.as_f64().unwrap_or_default())
        }
        Some(tenths) if field.ends_with("_kmh") || field.ends_with("_km") => {
            format!("{:.1}", tenths.as_f64().unwrap_or_default())
        }
        Some(other) => other.to_string(),
    };
    COLUMNS.iter().map(|(_, field)| text(field)).collect()
}

/// Which of the two lists is being read: what terminals said and was believed, and what was kept
/// apart because of its time or place. Both were acknowledged, so an export has both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Positions,
    Quarantine,
    Done,
}

/// Pages of items, from whatever holds them.
struct Pages {
    source: PageSource,
    query: PositionQuery,
    /// A range was asked for: reports without a time are then left out.
    is_bounded: bool,
    list: List,
}

enum PageSource {
    Store {
        store: Arc<dyn Store>,
        before: Option<u64>,
    },
    Http {
        address: String,
        cursor: Option<String>,
    },
}

impl Pages {
    async fn open(options: &Positions) -> anyhow::Result<Self> {
        let day = 24 * 3_600_000;
        let query = PositionQuery {
            terminal: options.terminal,
            from: options.from.unwrap_or_default(),
            to: options.to.unwrap_or_else(|| clock::now().plus_millis(day)),
            within: None,
            after: None,
            limit: PAGE,
        };
        let of_store = |store: Arc<dyn Store>| PageSource::Store {
            store,
            before: None,
        };
        let source = match &options.source {
            Source {
                http: Some(address),
                ..
            } => {
                let address = address.trim_start_matches("http://").trim_end_matches('/');
                PageSource::Http {
                    address: address.to_owned(),
                    cursor: None,
                }
            }
            Source {
                store: Some(url), ..
            } if url != "embedded" => {
                let options = storage::timescale::Options::default();
                of_store(Arc::new(TimescaleStore::connect(url, options).await?))
            }
            Source { data_dir, .. } => {
                let data_dir = data_dir
                    .clone()
                    .unwrap_or_else(|| PathBuf::from("gridtrace-data"));
                let directory = data_dir.join("store");
                if !directory.is_dir() {
                    bail!("no embedded store in {}", directory.display());
                }
                of_store(Arc::new(EmbeddedStore::open(&directory)?))
            }
        };
        let is_bounded = options.from.is_some() || options.to.is_some();
        Ok(Self {
            source,
            query,
            is_bounded,
            list: List::Positions,
        })
    }

    /// The next page; empty ones come too. `None` at the end.
    async fn next(&mut self) -> anyhow::Result<Option<Vec<Value>>> {
        let (items, is_last) = match self.list {
            List::Positions => self.positions().await?,
            List::Quarantine => {
                let (mut items, is_last) = self.quarantine().await?;
                items.retain(|item| self.is_wanted(item));
                (items, is_last)
            }
            List::Done => return Ok(None),
        };
        if is_last {
            self.list = if self.list == List::Positions {
                List::Quarantine
            } else {
                List::Done
            };
        }
        Ok(Some(items))
    }

    async fn positions(&mut self) -> anyhow::Result<(Vec<Value>, bool)> {
        match &mut self.source {
            PageSource::Store { store, .. } => {
                let rows = store.positions(&self.query).await?;
                let is_last = rows.len() < PAGE as usize;
                self.query.after = rows.last().map(|row| {
                    let p = &row.position;
                    (p.fixed_at, p.terminal, p.digest)
                });
                let items = rows
                    .into_iter()
                    .map(|row| serde_json::to_value(TrackPoint::from(row)));
                Ok((items.collect::<Result<_, _>>()?, is_last))
            }
            PageSource::Http { address, cursor } => {
                let from = clock::rfc3339(self.query.from);
                let to = clock::rfc3339(self.query.to);
                let terminal = self
                    .query
                    .terminal
                    .map_or(String::new(), |t| format!("&terminal={t}"));
                let path = format!("/api/v1/positions?limit={PAGE}&from={from}&to={to}{terminal}");
                page(address, &path, cursor).await
            }
        }
    }

    async fn quarantine(&mut self) -> anyhow::Result<(Vec<Value>, bool)> {
        match &mut self.source {
            PageSource::Store { store, before } => {
                let rows = store.quarantined(*before, PAGE).await?;
                let is_last = rows.len() < PAGE as usize;
                *before = rows.last().map(|row| row.number);
                let views = rows.iter().map(|row| QuarantineView::from(&row.report));
                let items = views.map(serde_json::to_value).collect::<Result<_, _>>()?;
                Ok((items, is_last))
            }
            PageSource::Http { address, cursor } => {
                page(address, &format!("/api/v1/quarantine?limit={PAGE}"), cursor).await
            }
        }
    }

    fn is_wanted(&self, item: &Value) -> bool {
        let is_of_terminal = self
            .query
            .terminal
            .is_none_or(|terminal| item["phone"].as_str() == Some(terminal.as_str()));
        let is_in_range = !self.is_bounded
            || item["fixed_at"]
                .as_str()
                .and_then(clock::parse_rfc3339)
                .is_some_and(|at| self.query.from <= at && at < self.query.to);
        is_of_terminal && is_in_range
    }
}

/// A list as the API gives it.
#[derive(Deserialize)]
struct Page {
    items: Vec<Value>,
    next: Option<String>,
}

/// One page of a running gateway, and whether it is the last.
async fn page(
    address: &str,
    path: &str,
    cursor: &mut Option<String>,
) -> anyhow::Result<(Vec<Value>, bool)> {
    let mut path = path.to_owned();
    if let Some(cursor) = cursor {
        path.push_str(&format!("&cursor={cursor}"));
    }
    let (status, body) = http_client::get(address, &path).await?;
    if status != 200 {
        bail!(
            "the gateway answers {status}: {}",
            String::from_utf8_lossy(&body)
        );
    }
    let page: Page = serde_json::from_slice(&body).context("the answer is no list")?;
    *cursor = page.next;
    Ok((page.items, cursor.is_none()))
}
