//! The whole of a store, read and written for a move.

use geofence::{identity::CaseId, units::Timestamp};
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::{
    cases, evaluation,
    reader::{Reader, all},
    rows,
    snapshots::Last,
    writer::{Writer, immediate, move_cursor},
};
use crate::{
    case_changes::{Change, StoredCase, damaged},
    sqlite::failed,
    store::{CaseRecord, Cursor, Import, PositionTally, StoreError, Tally},
};

pub(super) fn cursors(connection: &Connection) -> Result<Vec<Cursor>, StoreError> {
    let action = "read cursors";
    let sql = "SELECT log, consumer, record_offset FROM cursors ORDER BY log, consumer";
    all(connection, action, sql, [], |row| {
        let log: Uuid = match row.get_ref(0)?.as_str()?.parse() {
            Ok(log) => log,
            Err(error) => return Ok(Err(damaged(action, &error))),
        };
        Ok(Ok(Cursor {
            log,
            consumer: row.get(1)?,
            offset: row.get::<_, i64>(2)?.cast_unsigned(),
        }))
    })
}

pub(super) fn case_records(
    connection: &Connection,
    after: Option<CaseId>,
    limit: u32,
) -> Result<Vec<CaseRecord>, StoreError> {
    let columns = cases::COLUMNS;
    let sql = format!("SELECT {columns} FROM cases c WHERE c.id > ? ORDER BY c.id LIMIT ?");
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    let found = all(
        connection,
        "read cases",
        &sql,
        params![after, limit],
        cases::stored_case,
    )?;
    found
        .into_iter()
        .map(|StoredCase { case, log, judged }| {
            Ok(CaseRecord {
                history: cases::history(connection, case.id)?,
                events: evaluation::events_of(connection, case.id)?,
                case,
                log,
                judged,
            })
        })
        .collect()
}

/// Day after day: each query has the time limit of one.
pub(super) fn tally_positions(
    reader: &mut Reader,
    from: Timestamp,
    to: Timestamp,
) -> Result<PositionTally, StoreError> {
    let action = "count positions";
    let mut tally = PositionTally::default();
    for day in reader.days_of(from, to)? {
        let Some(connection) = reader.day(day)? else {
            continue;
        };
        let sql = "SELECT count(*), coalesce(sum(digest), 0) FROM positions \
                   WHERE fixed_at >= ? AND fixed_at < ?";
        let counted = all(connection, action, sql, params![from.0, to.0], |row| {
            Ok(Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
        })?;
        for (rows, digests) in counted {
            tally.rows += rows.cast_unsigned();
            tally.digests = tally.digests.wrapping_add(digests.cast_unsigned());
        }
    }
    Ok(tally)
}

pub(super) fn tally(connection: &Connection) -> Result<Tally, StoreError> {
    let sql = "SELECT (SELECT count(*) FROM latest), (SELECT count(*) FROM quarantine), \
               (SELECT count(*) FROM cases), (SELECT count(*) FROM case_history), \
               (SELECT count(*) FROM case_violations), (SELECT count(*) FROM snapshots)";
    let counted = all(connection, "count rows", sql, [], |row| {
        let count = |index| row.get::<_, i64>(index).map(i64::cast_unsigned);
        Ok(Ok(Tally {
            latest: count(0)?,
            quarantined: count(1)?,
            cases: count(2)?,
            case_changes: count(3)?,
            case_violations: count(4)?,
            snapshots: count(5)?,
        }))
    })?;
    Ok(counted.first().copied().unwrap_or_default())
}

pub(super) fn import(writer: &mut Writer, import: Import) -> Result<(), StoreError> {
    let action = "take over what another store had";
    let transaction = immediate(&mut writer.main, action)?;
    for row in &import.latest {
        transaction
            .prepare_cached(rows::UPSERT_LATEST)
            .and_then(|mut upsert| rows::write(&mut upsert, row))
            .map_err(failed(action))?;
    }
    for record in import.cases {
        transaction
            .prepare_cached("DELETE FROM case_history WHERE case_id = ?")
            .and_then(|mut delete| delete.execute([record.case.id.to_string()]))
            .map_err(failed(action))?;
        let CaseRecord {
            case,
            log,
            judged,
            history,
            events,
        } = record;
        let change = Change {
            stored: StoredCase { case, log, judged },
            is_new: true,
            history,
        };
        cases::write_row(&transaction, &change)?;
        evaluation::replace(&transaction, change.stored.case.id, &events)?;
    }
    Last::all(&import.snapshots).put_in_force(&transaction)?;
    for cursor in &import.cursors {
        move_cursor(&transaction, cursor)?;
    }
    for (log, consumer) in &import.ended {
        transaction
            .prepare_cached("DELETE FROM cursors WHERE log = ? AND consumer = ?")
            .and_then(|mut delete| delete.execute(params![log.to_string(), consumer]))
            .map_err(failed(action))?;
    }
    transaction.commit().map_err(failed(action))
}
