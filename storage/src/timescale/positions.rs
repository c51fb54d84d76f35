//! Batches of positions, with latest positions, quarantine and cursor.

use std::collections::{HashMap, HashSet};

use geofence::{identity::TerminalId, position::Quarantined};
use time::Date;
use tokio_postgres::{Statement, Transaction, types::ToSql};

use super::{
    Options,
    connection::{Connection, Failure, Lease, Pool, Severity, bounded},
    copy::copy,
    known::Known,
    latest::Latest,
    rows::{Columns, Line, Moment, arrays, columns},
    schema::{Found, LOCK},
};
use crate::store::{
    Cursor, PositionBatch, PositionRow, PositionsWritten, StoreError, day_of, refused,
};

const INSERT: &str = concat!(
    "INSERT INTO gridtrace.positions (",
    columns!(),
    ") ",
    arrays!(),
    " ON CONFLICT DO NOTHING"
);
const INSERT_COPIED: &str = concat!(
    "INSERT INTO gridtrace.positions (",
    columns!(),
    ") SELECT ",
    columns!(),
    " FROM pg_temp.staging ON CONFLICT DO NOTHING"
);
const COPY_STAGED: &str = concat!(
    "COPY pg_temp.staging (",
    columns!(),
    ") FROM STDIN (FORMAT binary)"
);
/// Knows no conflicts: one row that is there already, and nothing is written.
const COPY_STRAIGHT: &str = concat!(
    "COPY gridtrace.positions (",
    columns!(),
    ") FROM STDIN (FORMAT binary)"
);
/// The number is drawn for new reports only, so that resent ones do not push others out.
const INSERT_QUARANTINED: &str = "INSERT INTO gridtrace.quarantine \
    (terminal, reason, digest, received_at, log_offset, body) \
    SELECT new.* FROM unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[], \
    $5::bigint[], $6::bytea[]) AS new(terminal, reason, digest, received_at, log_offset, body) \
    WHERE NOT EXISTS (SELECT FROM gridtrace.quarantine known WHERE known.terminal = new.terminal \
    AND known.reason = new.reason AND known.digest = new.digest) ON CONFLICT DO NOTHING";
pub(super) const MOVE_CURSOR: &str = "INSERT INTO gridtrace.cursors VALUES ($1, $2, $3) \
    ON CONFLICT (log, consumer) DO UPDATE SET record_offset = excluded.record_offset";

/// How rows that may be in the table already get there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// As arrays, into the table.
    Arrays,
    /// By COPY into a temporary table, and from there.
    Staged,
}

/// The lines of a transaction.
#[derive(Clone, Copy, Debug)]
struct Lines<'a> {
    /// All, in the order of the table.
    all: &'a [Line<'a>],
    /// Those that are copied straight into the table. One of them that is there fails all.
    new: &'a [Line<'a>],
    /// The others, and how they go.
    doubtful: &'a [Line<'a>],
    way: Way,
}

/// Terminals beyond this number are asked for again.
const KNOWN_TERMINALS_MAX: usize = 2_000_000;

/// Writes a batch, in one transaction unless the database refuses a row.
pub(super) async fn write(
    pool: &Pool,
    found: &Found,
    known: &Known,
    options: &Options,
    batch: &PositionBatch,
) -> Result<PositionsWritten, StoreError> {
    let mut lease = pool.lease("write positions").await?;
    let result = Writer {
        lease: &mut lease,
        found,
        known,
        options,
    }
    .write(batch)
    .await;
    if result.is_err() {
        known.forget();
    }
    lease.conclude(result)
}

/// Rows with the numbers of their terminals, in the order of the table; new terminals get theirs.
pub(super) async fn lines<'r>(
    lease: &mut Lease<'_>,
    found: &Found,
    known: &Known,
    options: &Options,
    rows: &[&'r PositionRow],
) -> Result<Vec<Line<'r>>, Failure> {
    let mut writer = Writer {
        lease,
        found,
        known,
        options,
    };
    writer.lines(rows).await
}

struct Writer<'a, 'p> {
    lease: &'a mut Lease<'p>,
    found: &'a Found,
    known: &'a Known,
    options: &'a Options,
}

impl Writer<'_, '_> {
    async fn write(&mut self, batch: &PositionBatch) -> Result<PositionsWritten, Failure> {
        let mut quarantined = batch.quarantined.clone();
        let mut kept = Vec::with_capacity(batch.positions.len());
        for row in &batch.positions {
            match day_of(row.position.fixed_at) {
                Some(_) => kept.push(row),
                None => quarantined.push(refused(row)),
            }
        }
        let lines = self.lines(&kept).await?;
        let cursor = Some(&batch.cursor);
        let mut written = match self.attempt(&lines, &quarantined, cursor).await {
            Err(failure) if failure.severity() == Severity::Data => {
                tracing::warn!(error = %failure, "the database refuses a batch; it is taken apart");
                self.take_apart(&kept, quarantined, &batch.cursor).await?
            }
            result => result?,
        };
        let all = (batch.positions.len() + batch.quarantined.len()) as u64;
        let new = written.inserted + written.quarantined + written.refused;
        written.duplicates = all.saturating_sub(new);
        Ok(written)
    }

    /// Halves what is refused until single rows are left. Rows are written without the cursor:
    /// should the process die here, the batch comes again, and they are duplicates then.
    async fn take_apart(
        &mut self,
        kept: &[&PositionRow],
        mut quarantined: Vec<Quarantined>,
        cursor: &Cursor,
    ) -> Result<PositionsWritten, Failure> {
        // A partition or terminal that somebody removed is not the fault of a row.
        self.known.forget();
        let lines = self.lines(kept).await?;
        let mut written = PositionsWritten::default();
        let mut parts: Vec<&[Line<'_>]> = vec![&lines];
        while let Some(part) = parts.pop() {
            match self.attempt(part, &[], None).await {
                Ok(part) => written.inserted += part.inserted,
                Err(failure) if failure.severity() == Severity::Data => match part {
                    [] => return Err(failure),
                    [line] => {
                        tracing::error!(error = %failure, offset = line.row.position.log_offset,
                            "the database refuses a position; it goes to quarantine");
                        quarantined.push(refused(line.row));
                    }
                    part => {
                        let (left, right) = part.split_at(part.len() / 2);
                        parts.extend([right, left]);
                    }
                },
                Err(failure) => return Err(failure),
            }
        }
        for report in &quarantined {
            match self.attempt(&[], std::slice::from_ref(report), None).await {
                Ok(part) => written.quarantined += part.quarantined,
                Err(failure) if failure.severity() == Severity::Data => {
                    tracing::error!(error = %failure, offset = report.log_offset,
                        "the database refuses a report even for the quarantine; it is left out");
                    written.refused += 1;
                }
                Err(failure) => return Err(failure),
            }
        }
        self.attempt(&[], &[], Some(cursor)).await?;
        Ok(written)
    }

    /// One transaction with all that is given, within the time limit.
    async fn attempt(
        &mut self,
        lines: &[Line<'_>],
        quarantined: &[Quarantined],
        cursor: Option<&Cursor>,
    ) -> Result<PositionsWritten, Failure> {
        let options = self.options;
        bounded(options.write_timeout, async {
            if self.found.functions.is_none() {
                make_partitions(self.lease, self.known, lines).await?;
            }
            let known = self.known;
            let way = |lines: &[Line<'_>]| match lines.len() {
                few if few < options.copied_rows_min => Way::Arrays,
                _ => Way::Staged,
            };
            let safe = Lines {
                all: lines,
                new: &[],
                doubtful: lines,
                way: way(lines),
            };
            let (new, doubtful) = match safe.way {
                Way::Arrays => (Vec::new(), Vec::new()),
                Way::Staged => known.divide(lines),
            };
            // For a few it is not worth a statement of their own.
            let is_straight = !new.is_empty() && new.len() >= options.copied_rows_min;
            if is_straight {
                let divided = Lines {
                    all: lines,
                    new: &new,
                    doubtful: &doubtful,
                    way: way(&doubtful),
                };
                match transaction(self.lease, known, divided, quarantined, cursor).await {
                    Err(failure) if failure.is_duplicate() || failure.is_deadlock() => {
                        known.guessed_wrong();
                        transaction(self.lease, known, safe, quarantined, cursor).await
                    }
                    Ok(written) => {
                        known.guessed_right();
                        Ok(written)
                    }
                    Err(failure) => Err(failure),
                }
            } else {
                transaction(self.lease, known, safe, quarantined, cursor).await
            }
        })
        .await
    }

    /// Rows with the numbers of their terminals, each once, in the order of the table: two
    /// writers that touch the same rows then take their locks in the same order.
    async fn lines<'r>(&mut self, rows: &[&'r PositionRow]) -> Result<Vec<Line<'r>>, Failure> {
        let missing: Vec<String> = {
            let mut known = self.known.terminals.lock();
            if known.len() > KNOWN_TERMINALS_MAX {
                known.clear();
            }
            if let Some(lines) = numbered(&known, rows) {
                return Ok(lines);
            }
            let unknown = rows.iter().map(|row| row.position.terminal);
            let unknown: HashSet<_> = unknown.filter(|id| !known.contains_key(id)).collect();
            unknown
                .into_iter()
                .map(|terminal| terminal.to_string())
                .collect()
        };
        let found = bounded(
            self.options.write_timeout,
            number_terminals(self.lease, missing),
        )
        .await?;
        let mut known = self.known.terminals.lock();
        known.extend(found);
        // Forgotten meanwhile, after a failure elsewhere: the next attempt asks again.
        numbered(&known, rows).ok_or(Failure::TimedOut)
    }
}

/// Lines in the order of the table, each once; `None` when a terminal has no number yet.
fn numbered<'r>(
    known: &HashMap<TerminalId, i32>,
    rows: &[&'r PositionRow],
) -> Option<Vec<Line<'r>>> {
    let mut lines = Vec::with_capacity(rows.len());
    for row in rows {
        let terminal = *known.get(&row.position.terminal)?;
        lines.push(Line { terminal, row });
    }
    // By a key at hand: the rows lie all over the memory.
    lines.sort_by_cached_key(Line::key);
    lines.dedup_by_key(|line| line.key());
    Some(lines)
}

/// Gives terminals numbers, committed at once: a number in a transaction that fails would be known
/// here and nowhere else.
async fn number_terminals(
    connection: &mut Connection,
    mut phones: Vec<String>,
) -> Result<Vec<(TerminalId, i32)>, Failure> {
    // Two nodes that number the same ones wait for each other in this order.
    phones.sort_unstable();
    let insert = connection
        .statement(
            "INSERT INTO gridtrace.terminals (phone) SELECT phone FROM unnest($1::text[]) phone \
             WHERE NOT EXISTS (SELECT FROM gridtrace.terminals known WHERE known.phone = phone.phone) \
             ORDER BY 1 ON CONFLICT DO NOTHING",
        )
        .await?;
    connection.client.execute(&insert, &[&phones]).await?;
    let select = connection
        .statement("SELECT phone, id FROM gridtrace.terminals WHERE phone = ANY($1::text[])")
        .await?;
    let rows = connection.client.query(&select, &[&phones]).await?;
    Ok(rows
        .iter()
        .filter_map(|row| Some((row.get::<_, &str>(0).parse().ok()?, row.get(1))))
        .collect())
}

/// The name of the partition of a day.
pub(super) fn partition(day: Date) -> String {
    format!("positions_{}", day.to_string().replace('-', "_"))
}

/// Makes the partitions of the days that have none.
async fn make_partitions(
    connection: &mut Connection,
    known: &Known,
    lines: &[Line<'_>],
) -> Result<(), Failure> {
    let mut missing: Vec<Date> = {
        let known = known.partitions.lock();
        let days = lines
            .iter()
            .filter_map(|line| day_of(line.row.position.fixed_at));
        let days: HashSet<Date> = days.filter(|day| !known.contains(day)).collect();
        days.into_iter().collect()
    };
    missing.sort_unstable();
    for day in missing {
        let Some(next) = day.next_day() else { continue };
        let name = partition(day);
        let transaction = connection.client.transaction().await?;
        transaction
            .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
            .await?;
        let is_there: bool = transaction
            .query_one(
                "SELECT to_regclass($1) IS NOT NULL",
                &[&format!("gridtrace.{name}")],
            )
            .await?
            .get(0);
        if !is_there {
            // Attaching takes a lighter lock on the parent than creating as a partition: readers
            // and writers of other days go on.
            transaction
                .batch_execute(&format!(
                    "CREATE TABLE gridtrace.{name} (LIKE gridtrace.positions INCLUDING ALL); \
                     ALTER TABLE gridtrace.positions ATTACH PARTITION gridtrace.{name} \
                     FOR VALUES FROM ('{day} 00:00:00+00') TO ('{next} 00:00:00+00')"
                ))
                .await?;
        }
        transaction.commit().await?;
        known.partitions.lock().insert(day);
    }
    Ok(())
}

/// Rows, latest positions, quarantine and cursor; gives the numbers of new rows and new reports,
/// and does not count what was there.
async fn transaction(
    connection: &mut Connection,
    known: &Known,
    lines: Lines<'_>,
    quarantined: &[Quarantined],
    cursor: Option<&Cursor>,
) -> Result<PositionsWritten, Failure> {
    let is_staged = !lines.doubtful.is_empty() && lines.way == Way::Staged;
    if is_staged && !connection.has_staging {
        let sql = "CREATE TEMPORARY TABLE staging (LIKE gridtrace.positions) \
                   ON COMMIT DELETE ROWS";
        connection.client.batch_execute(sql).await?;
        connection.has_staging = true;
    }
    let copy_straight = connection.statement(COPY_STRAIGHT).await?;
    let stage = match is_staged {
        true => Some(connection.statement(COPY_STAGED).await?),
        false => None,
    };
    let insert = connection
        .statement(if is_staged { INSERT_COPIED } else { INSERT })
        .await?;
    let latest = Latest::prepare(connection).await?;
    let insert_quarantined = connection.statement(INSERT_QUARANTINED).await?;
    let move_cursor = connection.statement(MOVE_CURSOR).await?;

    let transaction = connection.client.transaction().await?;
    let mut new = match lines.new {
        [] => None,
        new => Some(copy(&transaction, &copy_straight, new).await?),
    };
    let mut written = PositionsWritten::default();
    let staged = match stage {
        None => None,
        Some(stage) => {
            if let Some(new) = new.take() {
                written.inserted += new.finish().await?;
            }
            Some(copy(&transaction, &stage, lines.doubtful).await?)
        }
    };
    // What follows leaves while the server still works on the rows, and all answers are awaited
    // together. Only the commit waits for them.
    let copied = async {
        match new {
            Some(new) => new.finish().await,
            None => Ok(0),
        }
    };
    let merged = async {
        if let Some(staged) = staged {
            let (staged, inserted) =
                tokio::join!(biased; staged.finish(), transaction.execute(&insert, &[]));
            staged?;
            return Ok::<_, Failure>(inserted?);
        }
        if lines.doubtful.is_empty() {
            return Ok(0);
        }
        let columns = Columns::of(lines.doubtful.iter().copied());
        Ok(transaction.execute(&insert, &columns.parameters()).await?)
    };
    let set_aside = async {
        if quarantined.is_empty() {
            return Ok(0);
        }
        insert_reports(&transaction, &insert_quarantined, quarantined).await
    };
    let moved = async {
        let Some(cursor) = cursor else { return Ok(0) };
        let offset = cursor.offset.cast_signed();
        let parameters: [&(dyn ToSql + Sync); 3] = [&cursor.log, &cursor.consumer, &offset];
        Ok::<_, Failure>(transaction.execute(&move_cursor, &parameters).await?)
    };
    // Should the transaction fail, they are doubted without need, and no worse.
    let remembered = async { known.written(lines.all) };
    // In this order: two writers take their locks in the same one. All of them to their ends: what
    // comes after a failure fails for being after it, and may be heard of first.
    let (copied, merged, latest, set_aside, moved, ()) = tokio::join!(
        biased;
        copied,
        merged,
        latest.write(&transaction, lines.all, !lines.new.is_empty()),
        set_aside,
        moved,
        remembered
    );
    written.inserted += copied? + merged?;
    latest?;
    written.quarantined = set_aside?;
    moved?;
    transaction.commit().await?;
    Ok(written)
}

/// Reports into the quarantine; gives the number of new ones.
async fn insert_reports(
    transaction: &Transaction<'_>,
    statement: &Statement,
    reports: &[Quarantined],
) -> Result<u64, Failure> {
    fn column<'a, T>(reports: &'a [Quarantined], of: impl Fn(&'a Quarantined) -> T) -> Vec<T> {
        reports.iter().map(of).collect()
    }
    let parameters: [&(dyn ToSql + Sync); 6] = [
        &column(reports, |report| report.terminal.as_str()),
        &column(reports, |report| report.reason.reason()),
        &column(reports, |report| i64::from(report.digest)),
        &column(reports, |report| Moment(report.received_at)),
        &column(reports, |report| report.log_offset.cast_signed()),
        &column(reports, |report| report.body.as_slice()),
    ];
    Ok(transaction.execute(statement, &parameters).await?)
}
