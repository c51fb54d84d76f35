//! What evaluations count, in `main.sqlite`, and what terminals did, in the files of days.

use std::collections::BTreeMap;

use geofence::{
    case::{Case, Severity, Source},
    catalog::local_moment,
    identity::{CaseId, TerminalId},
    violation::ViolationKind,
};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    cases::{COLUMNS, stored_case},
    reader::{Reader, all},
};
use crate::{
    case_changes::{Change, damaged},
    evaluation::{
        self, CaseEvent, EvaluationQuery, EventKind, FigureCases, FigureRow, TerminalDay, driven_m,
        hour_of,
        sql::{self, Dialect, Text},
    },
    sqlite::failed,
    store::StoreError,
};

const DIALECT: Dialect = Dialect {
    table: "case_events",
    map: "json_each(?1)",
    // There is no aggregate of bits.
    bits: |mask, bits| {
        let each = bits.iter().map(|bit| format!("max({mask} & {bit})"));
        each.collect::<Vec<_>>().join(" + ")
    },
    id: str::to_owned,
};
const INSERT: &str =
    "INSERT OR IGNORE INTO case_events VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,0)";
const REPEATED: &str = "UPDATE case_events SET is_repeated = 1 \
    WHERE case_id = ?1 AND NOT is_repeated AND event IN \
    (SELECT event FROM case_events WHERE case_id = ?1 GROUP BY event HAVING count(*) > 1)";

/// Adds what a change adds.
pub(super) fn write(connection: &Connection, change: &Change) -> Result<(), StoreError> {
    let id = change.stored.case.id;
    if !change.is_new {
        connection
            .prepare_cached("DELETE FROM case_events WHERE case_id = ? AND event = 'happened'")
            .and_then(|mut delete| delete.execute([id.to_string()]))
            .map_err(failed("write events of cases"))?;
    }
    insert(connection, &evaluation::events(change), !change.is_new)
}

/// Everything that counts of a case, in place of what is there.
pub(super) fn replace(
    connection: &Connection,
    case: CaseId,
    events: &[CaseEvent],
) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM case_events WHERE case_id = ?")
        .and_then(|mut delete| delete.execute([case.to_string()]))
        .map_err(failed("write events of cases"))?;
    insert(connection, events, false)
}

fn insert(connection: &Connection, events: &[CaseEvent], is_known: bool) -> Result<(), StoreError> {
    for event in events {
        connection
            .prepare_cached(INSERT)
            .and_then(|mut insert| {
                insert.execute(params![
                    event.case_id.to_string(),
                    event.event.as_str(),
                    event.day,
                    event.month,
                    event.due_day,
                    event.due_month,
                    event.is_late,
                    event.is_forced,
                    event.is_deferred,
                    event.value,
                    event.kind.map(ViolationKind::as_str),
                    event.source.as_str(),
                    event.category,
                    event.severity.as_str(),
                    event.unit_grid,
                    event.handler,
                    event.department,
                    event.carrier,
                ])
            })
            .map_err(failed("write events of cases"))?;
    }
    for id in evaluation::may_repeat(events, |_| is_known) {
        connection
            .prepare_cached(REPEATED)
            .and_then(|mut update| update.execute([id.to_string()]))
            .map_err(failed("write events of cases"))?;
    }
    Ok(())
}

pub(super) fn events_of(
    connection: &Connection,
    case: CaseId,
) -> Result<Vec<CaseEvent>, StoreError> {
    let sql = "SELECT * FROM case_events WHERE case_id = ? ORDER BY event, day";
    let action = "read events of cases";
    all(connection, action, sql, [case.to_string()], |row| {
        let event = event(row, case)?;
        Ok(event.ok_or_else(|| damaged(action, &"a word of it is not known")))
    })
}

fn event(row: &Row<'_>, case_id: CaseId) -> rusqlite::Result<Option<CaseEvent>> {
    let word = row.get_ref(1)?.as_str()?;
    let known = EventKind::ALL.iter().find(|(_, known, _)| *known == word);
    let kind = row.get_ref(10)?.as_str_or_null()?;
    let source = Source::from_word(row.get_ref(11)?.as_str()?);
    let severity = Severity::from_word(row.get_ref(13)?.as_str()?);
    let (Some((event, ..)), Some(source), Some(severity)) = (known, source, severity) else {
        return Ok(None);
    };
    Ok(Some(CaseEvent {
        case_id,
        event: *event,
        day: row.get(2)?,
        month: row.get(3)?,
        due_day: row.get(4)?,
        due_month: row.get(5)?,
        is_late: row.get(6)?,
        is_forced: row.get(7)?,
        is_deferred: row.get(8)?,
        value: row.get(9)?,
        kind: kind.and_then(ViolationKind::from_word),
        source,
        category: row.get(12)?,
        severity,
        unit_grid: row.get(14)?,
        handler: row.get(15)?,
        department: row.get(16)?,
        carrier: row.get(17)?,
    }))
}

pub(super) fn figures(
    connection: &Connection,
    query: &EvaluationQuery,
) -> Result<Vec<FigureRow>, StoreError> {
    let action = "evaluate cases";
    let Text { sql, map } = sql::figures(query, &DIALECT);
    let count = query.figures.len();
    let mut statement = connection.prepare(&sql).map_err(failed(action))?;
    let rows = statement.query_map(rusqlite::params_from_iter(map), |row| {
        let values = (0..count).map(|index| row.get(index + 2));
        Ok(FigureRow {
            period: row.get(0)?,
            subject: row.get(1)?,
            values: values.collect::<Result<_, _>>()?,
        })
    });
    let rows = rows.map_err(failed(action))?;
    rows.map(|row| row.map_err(failed(action))).collect()
}

pub(super) fn cases(
    connection: &Connection,
    wanted: &FigureCases,
) -> Result<Vec<Case>, StoreError> {
    let action = "read evaluated cases";
    let Text { sql, map } = sql::cases(wanted, &DIALECT);
    let sql = format!("SELECT {COLUMNS} FROM cases c WHERE c.id IN ({sql}) ORDER BY c.id");
    let mut statement = connection.prepare(&sql).map_err(failed(action))?;
    let rows = statement.query_map(rusqlite::params_from_iter(map), stored_case);
    let rows = rows.map_err(failed(action))?;
    rows.map(|row| Ok(row.map_err(failed(action))??.case))
        .collect()
}

/// Hour by hour, by looking for the first position behind a moment: the table is in the order of
/// terminals and times, so that nothing is read which is not told.
pub(super) fn terminal_days(
    reader: &mut Reader,
    from: i32,
    to: i32,
) -> Result<Vec<TerminalDay>, StoreError> {
    type Readings = (u32, Option<(i64, i64)>);
    let action = "add up days";
    let moment = |day: i32| local_moment(i64::from(day) * 1_440);
    let (first, last) = (moment(from), moment(to));
    let mut days: BTreeMap<(String, i32), Readings> = BTreeMap::new();
    for file in reader.days_of(first, last)? {
        let Some(connection) = reader.day(file)? else {
            continue;
        };
        for terminal in terminals(connection)? {
            let mut at = first.0;
            while let Some(fixed_at) = next(connection, &terminal, at, last.0)? {
                let (day, hour) = hour_of(fixed_at);
                let (hours, _) = days.entry((terminal.clone(), day)).or_default();
                *hours |= 1 << hour;
                at = fixed_at.0.div_euclid(3_600_000) * 3_600_000 + 3_600_000;
            }
            // A file is a day of UTC, which has parts of two days at local time.
            let of_file: Vec<i32> = (from..to)
                .filter(|day| days.contains_key(&(terminal.clone(), *day)))
                .collect();
            for day in of_file {
                let range = (moment(day).0, moment(day + 1).0);
                let Some(found) = readings(connection, &terminal, range)? else {
                    continue;
                };
                if let Some((_, kept)) = days.get_mut(&(terminal.clone(), day)) {
                    let first = kept.map_or(found.0, |(first, _)| first);
                    *kept = Some((first, found.1));
                }
            }
        }
    }
    let days = days.into_iter().map(|((terminal, day), (hours, read))| {
        let terminal: TerminalId = terminal
            .parse()
            .map_err(|_| damaged(action, &"no phone number"))?;
        Ok(TerminalDay {
            terminal,
            day,
            hours,
            driven_m: driven_m(read),
        })
    });
    days.collect()
}

fn terminals(connection: &Connection) -> Result<Vec<String>, StoreError> {
    // Each is looked for behind the one before: distinct values without reading the rows.
    let sql = "WITH RECURSIVE found(terminal) AS (SELECT min(terminal) FROM positions \
               UNION ALL SELECT (SELECT min(p.terminal) FROM positions p \
               WHERE p.terminal > found.terminal) FROM found WHERE found.terminal IS NOT NULL) \
               SELECT terminal FROM found WHERE terminal IS NOT NULL";
    all(connection, "look for terminals", sql, [], |row| {
        Ok(Ok(row.get(0)?))
    })
}

/// The first fix of a terminal in a range.
fn next(
    connection: &Connection,
    terminal: &str,
    from: i64,
    to: i64,
) -> Result<Option<geofence::units::Timestamp>, StoreError> {
    let sql = "SELECT fixed_at FROM positions WHERE terminal = ? AND fixed_at >= ? \
               AND fixed_at < ? ORDER BY fixed_at LIMIT 1";
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| {
            let found = statement.query_row(params![terminal, from, to], |row| row.get(0));
            found.optional()
        })
        .map(|found| found.map(geofence::units::Timestamp))
        .map_err(failed("look for positions"))
}

/// The first and the last reading of the odometer in a range.
fn readings(
    connection: &Connection,
    terminal: &str,
    (from, to): (i64, i64),
) -> Result<Option<(i64, i64)>, StoreError> {
    let read = |direction: &str| {
        let sql = format!(
            "SELECT odometer_dkm FROM positions WHERE terminal = ? AND fixed_at >= ? \
             AND fixed_at < ? AND odometer_dkm > 0 \
             ORDER BY fixed_at {direction}, digest {direction} LIMIT 1"
        );
        connection
            .prepare_cached(&sql)
            .and_then(|mut statement| {
                let found = statement.query_row(params![terminal, from, to], |row| row.get(0));
                found.optional()
            })
            .map_err(failed("look for positions"))
    };
    let (first, last): (Option<i64>, Option<i64>) = (read("ASC")?, read("DESC")?);
    Ok(first.zip(last))
}
