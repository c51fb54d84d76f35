//! `gridtrace move`: everything that an embedded store holds into PostgreSQL, with or without
//! TimescaleDB. A gateway that is started on the database afterwards, with the same data directory,
//! goes on exactly where it stood.
//!
//! Positions go first, then quarantine, latest positions and cases; then both stores are counted;
//! snapshots and cursors come last, in one transaction. So a database that lacks the cursors is not
//! finished, and one that has them is. How far the positions have come is a cursor as well, named
//! after the state of the embedded store: when that has changed since, the move begins again, and
//! what is there already is there once (P2).
//!
//! Log, registry, commands and media stay in the data directory, which the gateway goes on using.

mod outbox;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use geofence::units::Timestamp;
use storage::{
    embedded::{self, EmbeddedStore},
    file_system::{FileSystem as _, Lock, RealFileSystem},
    store::{
        Cursor, Import, PositionBatch, PositionQuery, PositionRow, PositionTally, Store, Tally,
    },
    timescale::{self, TimescaleStore},
};

use crate::config::mask_password;

const POSITIONS: u32 = 20_000;
const REPORTS: u32 = 5_000;
const TERMINALS: u32 = 5_000;
const CASES: u32 = 500;
const DAY_MILLIS: i64 = 86_400_000;
/// A day of a large fleet takes seconds to count.
const PATIENCE: Duration = Duration::from_secs(600);
/// The name of the cursor that says how far the positions have come.
const PROGRESS: &str = "move";

/// From where to where.
#[derive(Debug, Args)]
pub struct Move {
    /// The data directory with the embedded store; no gateway may be running on it.
    #[arg(long, value_name = "DIR", default_value = "gridtrace-data")]
    data_dir: PathBuf,
    /// An empty database: `postgres://user:password@host/database`.
    #[arg(long, value_name = "URL")]
    to: String,
    /// Go on with a move that was broken off.
    #[arg(long)]
    resume: bool,
}

/// Moves everything; tells how far it is, and gives a line for people.
///
/// # Errors
/// When one of the stores cannot be used, or they differ at the end.
pub fn run(options: &Move, mut tell: impl FnMut(&str)) -> anyhow::Result<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let _lock = lock(&options.data_dir)?;
        let directory = options.data_dir.join("store");
        ensure!(
            directory.join("main.sqlite").is_file(),
            "no embedded store in {}",
            directory.display()
        );
        let reading = embedded::Options {
            query_timeout: PATIENCE,
            ..embedded::Options::default()
        };
        let writing = timescale::Options {
            query_timeout: PATIENCE,
            write_timeout: PATIENCE,
            ..timescale::Options::default()
        };
        let from = EmbeddedStore::open_with(&directory, &reading)?;
        let to = TimescaleStore::connect(&options.to, writing).await?;
        let moved = move_all(&from, &to, options.resume, &mut tell).await?;
        Ok(format!(
            "{moved}\nStart the gateway with this data directory and --store {}; {} is not used \
             any more",
            mask_password(&options.to),
            directory.display()
        ))
    })
}

/// The lock of the log is that of the whole data directory: a gateway holds it while it runs.
pub(super) fn lock(data_dir: &Path) -> anyhow::Result<Box<dyn Lock>> {
    let log = data_dir.join("log");
    ensure!(
        log.is_dir(),
        "{} is not the data directory of a gateway: it has no log",
        data_dir.display()
    );
    RealFileSystem
        .lock(&log.join("lock"))
        .with_context(|| format!("a gateway is running on {}", data_dir.display()))
}

/// The same between any two stores.
async fn move_all(
    from: &dyn Store,
    to: &dyn Store,
    resume: bool,
    mut tell: impl FnMut(&str),
) -> anyhow::Result<String> {
    let cursors = from.cursors().await?;
    let latest = all_latest(from).await?;
    let end = latest
        .iter()
        .map(|row| row.position.fixed_at.plus_millis(1))
        .max()
        .unwrap_or_default();
    let mut progress = progress_of(&cursors);
    let target = Target::of(to).await?;
    tell(&format!(
        "from {} to {}",
        from.description(),
        to.description()
    ));
    let begin = match target.begins(&cursors, &mut progress, resume)? {
        Begin::Positions => progress.offset,
        Begin::Nothing => {
            let counted = compare(from, to, end, &mut tell).await?;
            return Ok(format!("it is there already: {counted}"));
        }
    };
    // From now on the database is one that a move has begun to fill.
    to.import(&Import {
        cursors: vec![progress.clone()],
        ..Import::default()
    })
    .await?;
    move_positions(from, to, &mut progress, begin, &mut tell).await?;
    move_quarantine(from, to, &progress, &mut tell).await?;
    for page in latest.chunks(TERMINALS as usize) {
        let import = Import {
            latest: page.to_vec(),
            ..Import::default()
        };
        to.import(&import).await?;
    }
    move_cases(from, to, &mut tell).await?;
    outbox::move_outbox(from, to, &mut tell).await?;
    let counted = compare(from, to, end, &mut tell).await?;
    let snapshots = from.snapshots().await?;
    let ended = target.ours(&progress).chain([progress.clone()]);
    to.import(&Import {
        snapshots: snapshots.clone(),
        cursors: cursors.clone(),
        ended: ended.map(|c| (c.log, c.consumer)).collect(),
        ..Import::default()
    })
    .await?;
    ensure!(to.snapshots().await? == snapshots, "the snapshots differ");
    ensure!(to.cursors().await? == cursors, "the cursors differ");
    Ok(format!(
        "moved: {counted}; {} snapshots and {} cursors",
        snapshots.len(),
        cursors.len()
    ))
}

/// The cursor of the move, at its beginning. Its name tells states of the embedded store apart.
fn progress_of(cursors: &[Cursor]) -> Cursor {
    let state = format!("{cursors:?}");
    Cursor {
        log: cursors.first().map(|cursor| cursor.log).unwrap_or_default(),
        consumer: format!("{PROGRESS} {:08x}", crc32fast::hash(state.as_bytes())),
        offset: 0,
    }
}

/// What the database holds before the move.
struct Target {
    cursors: Vec<Cursor>,
    tally: Tally,
    has_positions: bool,
}

enum Begin {
    /// With the positions, at the progress.
    Positions,
    /// All is there.
    Nothing,
}

impl Target {
    async fn of(to: &dyn Store) -> anyhow::Result<Self> {
        let any = PositionQuery {
            terminal: None,
            from: Timestamp(0),
            to: Timestamp(i64::MAX),
            within: None,
            after: None,
            limit: 1,
        };
        Ok(Self {
            cursors: to.cursors().await?,
            tally: to.tally().await?,
            has_positions: !to.positions(&any).await?.is_empty(),
        })
    }

    /// Cursors of moves from the embedded store of this log.
    fn ours(&self, progress: &Cursor) -> impl Iterator<Item = Cursor> {
        let log = progress.log;
        let ours = self
            .cursors
            .iter()
            .filter(move |cursor| cursor.log == log && cursor.consumer.starts_with(PROGRESS));
        ours.cloned()
    }

    /// Where to begin; sets the progress.
    fn begins(
        &self,
        cursors: &[Cursor],
        progress: &mut Cursor,
        resume: bool,
    ) -> anyhow::Result<Begin> {
        let is_empty =
            self.cursors.is_empty() && self.tally == Tally::default() && !self.has_positions;
        if is_empty {
            return Ok(Begin::Positions);
        }
        if !resume {
            bail!(
                "the database is not empty ({} cursors, {} terminals, {} cases): a move needs one \
                 that nothing has written to; --resume goes on with a move that was broken off",
                self.cursors.len(),
                self.tally.latest,
                self.tally.cases
            );
        }
        if !cursors.is_empty() && self.cursors == cursors {
            return Ok(Begin::Nothing);
        }
        let mut is_ours = false;
        for cursor in &self.cursors {
            if cursor.log != progress.log || !cursor.consumer.starts_with(PROGRESS) {
                bail!(
                    "the database has a cursor of {:?}: a gateway has written to it, or a move \
                     from elsewhere",
                    cursor.consumer
                );
            }
            is_ours = true;
            if cursor.consumer == progress.consumer {
                progress.offset = cursor.offset;
            }
        }
        ensure!(
            is_ours,
            "the database is not empty, and nothing in it is of a move from this data directory"
        );
        Ok(Begin::Positions)
    }
}

/// The next page is read while the last one is written.
async fn move_positions(
    from: &dyn Store,
    to: &dyn Store,
    progress: &mut Cursor,
    begin: u64,
    tell: &mut impl FnMut(&str),
) -> anyhow::Result<()> {
    let mut query = PositionQuery {
        terminal: None,
        from: Timestamp(begin.cast_signed()),
        to: Timestamp(i64::MAX),
        within: None,
        after: None,
        limit: POSITIONS,
    };
    let mut page = from.positions(&query).await?;
    let (mut count, mut day) = (0_u64, i64::MIN);
    while let Some(last) = page.last() {
        let last = &last.position;
        query.after = Some((last.fixed_at, last.terminal, last.digest));
        progress.offset = last.fixed_at.millis().max(0).cast_unsigned();
        let reached = last.fixed_at.millis() / DAY_MILLIS;
        let batch = PositionBatch {
            cursor: progress.clone(),
            positions: page,
            quarantined: Vec::new(),
        };
        let (written, next) = tokio::join!(to.write_positions(&batch), from.positions(&query));
        written?;
        count += batch.positions.len() as u64;
        if reached != day {
            day = reached;
            let at = crate::clock::rfc3339(Timestamp(progress.offset.cast_signed()));
            tell(&format!("{count} positions, up to {at}"));
        }
        page = next?;
    }
    Ok(())
}

/// In the order of their numbers, oldest first, so that they are listed in the same order there.
async fn move_quarantine(
    from: &dyn Store,
    to: &dyn Store,
    progress: &Cursor,
    tell: &mut impl FnMut(&str),
) -> anyhow::Result<()> {
    let newest = from.quarantined(None, 1).await?;
    let newest = newest.first().map_or(0, |row| row.number);
    let (mut begin, mut count) = (0, 0_u64);
    while begin <= newest {
        let end = begin + u64::from(REPORTS);
        let mut rows = from.quarantined(Some(end), REPORTS).await?;
        rows.retain(|row| row.number >= begin);
        rows.reverse();
        count += rows.len() as u64;
        let batch = PositionBatch {
            cursor: progress.clone(),
            positions: Vec::new(),
            quarantined: rows.into_iter().map(|row| row.report).collect(),
        };
        if !batch.quarantined.is_empty() {
            to.write_positions(&batch).await?;
        }
        begin = end;
    }
    if count > 0 {
        tell(&format!("{count} reports in quarantine"));
    }
    Ok(())
}

async fn all_latest(from: &dyn Store) -> anyhow::Result<Vec<PositionRow>> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = from.latest_positions(after, TERMINALS).await?;
        let Some(last) = page.last() else {
            return Ok(all);
        };
        after = Some(last.position.terminal);
        all.extend(page);
    }
}

async fn move_cases(
    from: &dyn Store,
    to: &dyn Store,
    tell: &mut impl FnMut(&str),
) -> anyhow::Result<()> {
    let (mut after, mut count) = (None, 0_u64);
    loop {
        let cases = from.case_records(after, CASES).await?;
        let Some(last) = cases.last() else { break };
        after = Some(last.case.id);
        count += cases.len() as u64;
        let import = Import {
            cases,
            ..Import::default()
        };
        to.import(&import).await?;
    }
    if count > 0 {
        tell(&format!("{count} cases"));
    }
    Ok(())
}

/// Counts both, day by day; an error where they differ. No position is later than the newest of
/// its terminal.
async fn compare(
    from: &dyn Store,
    to: &dyn Store,
    end: Timestamp,
    tell: &mut impl FnMut(&str),
) -> anyhow::Result<String> {
    tell("counting both");
    let (mut positions, mut days) = (0_u64, 0_u32);
    let mut differing = BTreeSet::new();
    for day in days_of(from, end).await? {
        let (begin, until) = (Timestamp(day), Timestamp(day).plus_millis(DAY_MILLIS));
        let (here, there) = tokio::join!(
            from.tally_positions(begin, until),
            to.tally_positions(begin, until)
        );
        let (here, there): (PositionTally, PositionTally) = (here?, there?);
        positions += here.rows;
        days += u32::from(here.rows > 0);
        if here != there {
            let day = crate::clock::rfc3339(begin);
            differing.insert(format!(
                "{} positions of {} here, {} there",
                here.rows,
                day.get(..10).unwrap_or_default(),
                there.rows
            ));
        }
    }
    // Snapshots come with the cursors.
    let others = |tally| Tally {
        snapshots: 0,
        ..tally
    };
    let (here, there) = (others(from.tally().await?), others(to.tally().await?));
    if here != there {
        differing.insert(format!("{here:?} here, {there:?} there"));
    }
    differing.extend(outbox::difference(from, to).await?);
    if !differing.is_empty() {
        let differing: Vec<_> = differing.into_iter().collect();
        bail!("the stores differ: {}", differing.join("; "));
    }
    Ok(format!(
        "{positions} positions of {days} days, {} latest positions, {} reports in quarantine, {} \
         cases with {} changes, counted in both",
        here.latest, here.quarantined, here.cases, here.case_changes
    ))
}

/// The first milliseconds of days from the first position on, those without one included.
async fn days_of(from: &dyn Store, end: Timestamp) -> anyhow::Result<Vec<i64>> {
    let first = PositionQuery {
        terminal: None,
        from: Timestamp(0),
        to: end,
        within: None,
        after: None,
        limit: 1,
    };
    let first = from.positions(&first).await?;
    let Some(first) = first.first() else {
        return Ok(Vec::new());
    };
    let first = first.position.fixed_at.millis().div_euclid(DAY_MILLIS);
    let last = end.millis().div_euclid(DAY_MILLIS);
    Ok((first..=last).map(|day| day * DAY_MILLIS).collect())
}
