//! `gridtrace evaluator`: vehicles go from the evaluator of one gateway to that of another, with all
//! that is known of them.
//!
//! ```text
//!  gateway A, stopped ── export ──▶ file ── import ──▶ gateway B, stopped
//!       │ judges the others from now on                    │ judges them too
//! ```
//!
//! Both gateways are stopped in between, and their evaluators have judged all that was reported: so
//! nothing falls between the two. What A receives of these vehicles later is stored there and not
//! judged (`positions_skipped_total`, `handed_over`); their terminals are to be pointed to B.
//!
//! B is one of two. Its evaluator stands behind the same record of the same log as A's, as that of a
//! restored backup does: then it goes on with both. Or it has not judged any fix yet, as that of a new
//! gateway: then it begins with what came, its clock included. Anything else is refused, since the clocks
//! of the rules would not fit.
//!
//! Cases stay in the store they are in, and are known by the id of their violation. Where both gateways
//! have one database the case of a violation that goes on is that case still: B brings it to its end.
//! Where each has a store of its own, B opens it under the same id, and A's stays as it was when the
//! vehicle went: it is no untruth, so nothing withdraws it, and nothing that A hears will end it. Export
//! and import name these violations, so that people can conclude A's.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use geofence::{
    identity::{TerminalId, ViolationId},
    track::{Evaluator, HandOverError},
    violation::Violation,
};
use serde::{Deserialize, Serialize};
use storage::{
    file_system::{Lock, RealFileSystem},
    log::{Depth, survey},
    store::{Cursor, FindingBatch, Store},
};
use uuid::Uuid;

use super::{finish, transfer, unfinished};
use crate::{
    clock,
    config::{Config, StoreChoice},
    export::parse_phone,
    ingest::{normalise::Window, record},
    outlets::{
        Consumer as _,
        evaluator::{CATALOG_KEY, ELDER_KEY, EvaluatorConsumer, Numbers, SHARD_KEY, Shard},
        reports,
        snapshots::{Own, named},
    },
    tracks::pages::{open_database, open_embedded},
};

const FORMAT: &str = "gridtrace evaluator";
const FORMAT_VERSION: u32 = 1;

/// Which vehicles go.
#[derive(Clone, Debug, Args)]
pub struct ExportOptions {
    /// The vehicle of this terminal; may be repeated.
    #[arg(long = "terminal", value_name = "PHONE", value_parser = parse_phone, required = true)]
    pub terminals: Vec<TerminalId>,
    /// All vehicles but those.
    #[arg(long)]
    pub others: bool,
    /// A new file for them.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// What comes.
#[derive(Clone, Debug, Args)]
pub struct ImportOptions {
    /// What `export` wrote.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Judge these vehicles and no others, whoever else reports here.
    #[arg(long)]
    pub only: bool,
}

/// The first line of the file; the bytes of the vehicles are behind it.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: String,
    version: u32,
    /// The log that was judged, and all records of it before this one.
    log: Uuid,
    cursor: u64,
    vehicles: Vec<TerminalId>,
    /// Violations of them that go on.
    #[serde(default)]
    going_on: Vec<ViolationId>,
    /// The versions of the catalog that judged, as the gateway numbers them that they come from.
    #[serde(default)]
    catalogs: Numbers,
    bytes: usize,
    crc32: u32,
}

/// Takes vehicles out, into a file.
///
/// # Errors
/// When the gateway runs, has not judged all that was reported, or knows nothing of a vehicle; when the
/// file is there, or cannot be written.
pub fn export(
    config: &Config,
    options: &ExportOptions,
    out: &mut impl Write,
) -> anyhow::Result<u8> {
    runtime()?.block_on(async {
        let file = &options.out;
        ensure!(!file.exists(), "{} is there already", file.display());
        let mut place = Place::open(config).await?;
        let vehicles = place.chosen(options)?;
        let found = vehicles.iter();
        let found = found.flat_map(|terminal| place.evaluator.violations(terminal));
        let going_on = found.filter(|found| found.ended_at.is_none()).collect();
        let going_on: Vec<Violation> = going_on;
        let bytes = place.evaluator.hand_over(&vehicles, place.cursor.offset);
        let header = Header {
            format: FORMAT.to_owned(),
            version: FORMAT_VERSION,
            log: place.cursor.log,
            cursor: place.cursor.offset,
            vehicles,
            going_on: going_on.iter().map(|found| found.id).collect(),
            catalogs: place.numbers.clone(),
            bytes: bytes.len(),
            crc32: crc32fast::hash(&bytes),
        };
        write(file, &header, &bytes)?;
        place.shard.give(&header.vehicles);
        // The file is on disk: from here on they are there, and not here.
        let snapshots = place.evaluator.take_dirty_snapshots();
        place.keep(snapshots).await?;
        writeln!(
            out,
            "{} vehicles as of record {}: {}\n\
             This gateway does not judge them any more. Import the file elsewhere, then point their \
             terminals there.",
            header.vehicles.len(),
            header.cursor,
            file.display()
        )?;
        for found in &going_on {
            let (kind, id) = (found.kind.as_str(), found.id);
            let since = clock::rfc3339(found.started_at);
            writeln!(out, "{kind} of {} goes on since {since}: case {id}", found.terminal)?;
        }
        if !going_on.is_empty() {
            writeln!(
                out,
                "Where the other gateway has another store it opens these cases there; nothing ends those in \
                 this one."
            )?;
        }
        Ok(0)
    })
}

/// Takes vehicles in.
///
/// # Errors
/// When the gateway runs or has not judged all that was reported, when the file cannot be read, one of its
/// vehicles is here already, or the evaluator stands elsewhere; then nothing changes.
pub fn import(
    config: &Config,
    options: &ImportOptions,
    out: &mut impl Write,
) -> anyhow::Result<u8> {
    runtime()?.block_on(async {
        let (header, bytes) = read(&options.file)?;
        let mut place = Place::open(config).await?;
        let here = &place.cursor;
        ensure!(
            header.log != here.log || header.cursor == here.offset,
            "the vehicles were handed over behind record {} of this log, and its evaluator stands at {}",
            header.cursor,
            here.offset
        );
        let is_new = place.evaluator.is_unheard();
        let mut gone = BTreeMap::new();
        if is_new {
            // Those it awaits were never heard here; it begins with what comes.
            let keys = place.keys.iter().map(|key| (key.clone(), Vec::new()));
            gone.extend(keys);
            place.evaluator = Evaluator::new(EvaluatorConsumer::options(&config.evaluate));
            place.numbers = Numbers::default();
        }
        place.evaluator.take_over(&bytes).map_err(|error| match error {
            HandOverError::Place => anyhow::anyhow!(
                "{error}: vehicles can be taken over by an evaluator behind the same record of the same \
                 log, or by one that has not judged any fix yet"
            ),
            error => error.into(),
        })?;
        if options.only {
            ensure!(
                is_new || place.shard.is_only(),
                "--only: this gateway judges other vehicles already"
            );
            if is_new {
                place.shard = Shard::only(&[]);
            }
        }
        place.shard.take(&header.vehicles);
        place.numbers.join(header.catalogs);
        gone.extend(place.evaluator.take_dirty_snapshots());
        place.keep(gone).await?;
        writeln!(
            out,
            "{} vehicles taken over; this gateway judges them from record {} on",
            header.vehicles.len(),
            place.cursor.offset
        )?;
        for id in &header.going_on {
            writeln!(out, "a violation goes on: case {id}")?;
        }
        Ok(0)
    })
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}

/// The evaluator of a gateway that is stopped.
struct Place {
    _lock: Box<dyn Lock>,
    store: Arc<dyn Store>,
    cursor: Cursor,
    evaluator: Evaluator,
    shard: Shard,
    numbers: Numbers,
    /// What the store has of the evaluator.
    keys: BTreeSet<String>,
    /// Keys of snapshots without the name of the log, which are replaced, and what was among them.
    elder: BTreeSet<String>,
    catalog: Option<Vec<u8>>,
}

impl Place {
    async fn open(config: &Config) -> anyhow::Result<Self> {
        let lock = transfer::lock(&config.data_dir)?;
        let window = Window::from(&config.ingest);
        let mut reported_to = 0;
        let found = survey(
            &RealFileSystem,
            &config.data_dir.join("log"),
            Depth::Newest,
            &mut |records| {
                for entry in records {
                    if record::reports(entry, &window).is_ok_and(|reports| !reports.is_empty()) {
                        reported_to = reported_to.max(entry.offset + 1);
                    }
                }
                Ok(())
            },
        )?;
        let never = "there is no log yet: start the gateway once, and stop it";
        let log = found.id.context(never)?;
        let store = match &config.store {
            StoreChoice::Embedded => open_embedded(&config.data_dir)?,
            StoreChoice::Postgres(url) => open_database(url).await?,
        };
        // Where none is stored it begins with the oldest record: a gateway may be stopped before that.
        let offset = store.cursor(log, EvaluatorConsumer::NAME).await?;
        let first = found.segments.first().map_or(0, |segment| segment.first);
        let offset = offset.unwrap_or(first);
        ensure!(
            reported_to <= offset,
            "the evaluator stands at record {offset}, and up to {reported_to} there are reports: start the \
             gateway, let it catch up, and stop it"
        );
        let all = store.snapshots().await?;
        let Own {
            mut snapshots,
            elder,
        } = Own::among(all, log, |key| key != reports::SNAPSHOT_KEY);
        let catalog = snapshots.remove(CATALOG_KEY);
        let shard = snapshots.remove(SHARD_KEY);
        let shard = shard.map_or_else(|| Ok(Shard::default()), |bytes| Shard::read(&bytes));
        let numbers = snapshots
            .remove(ELDER_KEY)
            .map_or_else(|| Ok(Numbers::default()), |bytes| Numbers::read(&bytes));
        let mut evaluator = Evaluator::new(EvaluatorConsumer::options(&config.evaluate));
        for (key, bytes) in &snapshots {
            evaluator
                .restore(bytes)
                .with_context(|| format!("the snapshot \"{key}\""))?;
        }
        evaluator.mark_dirty(&elder);
        Ok(Self {
            _lock: lock,
            store,
            cursor: Cursor {
                log,
                consumer: EvaluatorConsumer::NAME.to_owned(),
                offset,
            },
            evaluator,
            shard: shard.context("which vehicles are judged here")?,
            numbers: numbers.context("which catalogs judge")?,
            keys: snapshots.into_keys().collect(),
            catalog: catalog.filter(|_| !elder.is_empty()),
            elder,
        })
    }

    /// The vehicles that go, each of which has a state here.
    fn chosen(&self, options: &ExportOptions) -> anyhow::Result<Vec<TerminalId>> {
        let heads = self.keys.iter().filter_map(|key| key.strip_suffix("/head"));
        let known: BTreeSet<TerminalId> = heads.filter_map(|text| text.parse().ok()).collect();
        let named: BTreeSet<TerminalId> = options.terminals.iter().copied().collect();
        let unknown: Vec<String> = named.difference(&known).map(ToString::to_string).collect();
        ensure!(
            unknown.is_empty(),
            "nothing is known here of {}",
            unknown.join(", ")
        );
        let chosen: Vec<TerminalId> = if options.others {
            known.difference(&named).copied().collect()
        } else {
            named.into_iter().collect()
        };
        ensure!(!chosen.is_empty(), "there are no other vehicles");
        Ok(chosen)
    }

    /// In one transaction.
    async fn keep(&self, mut snapshots: BTreeMap<String, Vec<u8>>) -> anyhow::Result<()> {
        snapshots.insert(SHARD_KEY.to_owned(), self.shard.to_bytes());
        snapshots.insert(ELDER_KEY.to_owned(), self.numbers.to_bytes());
        let catalog = self.catalog.iter();
        snapshots.extend(catalog.map(|bytes| (CATALOG_KEY.to_owned(), bytes.clone())));
        let snapshots = named(self.cursor.log, snapshots, &self.elder);
        let batch = FindingBatch {
            judged: self.cursor.clone(),
            moves_cursor: true,
            snapshots,
            ..FindingBatch::default()
        };
        self.store.write_findings(&batch).await?;
        Ok(())
    }
}

fn write(file: &Path, header: &Header, bytes: &[u8]) -> anyhow::Result<()> {
    let part = unfinished(file);
    let mut text = serde_json::to_vec(header)?;
    text.push(b'\n');
    text.extend_from_slice(bytes);
    fs::write(&part, text).with_context(|| part.display().to_string())?;
    finish(&part, file).with_context(|| file.display().to_string())
}

fn read(file: &Path) -> anyhow::Result<(Header, Vec<u8>)> {
    let shown = file.display();
    let text = fs::read(file).with_context(|| shown.to_string())?;
    let line = text.iter().position(|byte| *byte == b'\n');
    let (line, rest) = text.split_at(line.map_or(text.len(), |at| at + 1));
    let Ok(header) = serde_json::from_slice::<Header>(line) else {
        bail!("{shown} is no export of an evaluator");
    };
    ensure!(
        header.format == FORMAT && header.version == FORMAT_VERSION,
        "{shown} is \"{}\" of version {}; this program reads \"{FORMAT}\" of version {FORMAT_VERSION}",
        header.format,
        header.version
    );
    ensure!(
        header.bytes == rest.len() && header.crc32 == crc32fast::hash(rest),
        "{shown} is cut off or altered"
    );
    Ok((header, rest.to_vec()))
}
