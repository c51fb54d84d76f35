//! The index: media as rows, the journal, and what terminals have used of their day.

use std::{error::Error, str::FromStr};

use geofence::units::{Latitude, Longitude, Timestamp};
use rusqlite::{
    Connection, OptionalExtension as _, Params, Row, named_params, params, params_from_iter,
    types::{Type, Value},
};

use super::{Media, MediaId, MediaKind, MediaQuery, MediaTotals, NewMedia, names::FileName};
use crate::{sqlite::failed, store::StoreError};

const COLUMNS: &str = "number, id, terminal, received_at, at, taken_at, media_id, media_type, \
    format, event, channel, latitude, longitude, source, alarm_number, original_name, label, \
    is_complete, kind, bytes, sha256, room, file";
/// Rows that one transaction removes: others wait for it.
const BATCH_ROWS: u32 = 200;

/// A medium with what only the store needs to know.
#[derive(Clone, Debug)]
pub(super) struct StoredRow {
    pub(super) media: Media,
    pub(super) room: u64,
    pub(super) file: FileName,
}

/// What is to be removed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doomed {
    pub(super) number: i64,
    pub(super) room: u64,
    pub(super) file: FileName,
}

/// What a content turned out to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content {
    pub(super) is_complete: bool,
    pub(super) kind: MediaKind,
    pub(super) bytes: u64,
    pub(super) room: u64,
    pub(super) sha256: [u8; 32],
    pub(super) file: FileName,
}

pub(super) fn list(connection: &Connection, query: &MediaQuery) -> Result<Vec<Media>, StoreError> {
    let mut conditions = vec!["1"];
    let mut values: Vec<Value> = Vec::new();
    let terminal = query.terminal.map(|terminal| terminal.to_string().into());
    let alarm_number = query.alarm_number.clone().map(Value::from);
    for (condition, value) in [
        ("terminal = ?", terminal),
        ("alarm_number = ?", alarm_number),
        ("at >= ?", query.from.map(|at| at.0.into())),
        ("at < ?", query.to.map(|at| at.0.into())),
    ] {
        if let Some(value) = value {
            conditions.push(condition);
            values.push(value);
        }
    }
    if let Some((at, number)) = query.before {
        conditions.push("(at, number) < (?, ?)");
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        values.extend([at.0.into(), number.into()]);
    }
    values.push(i64::from(query.limit).into());
    let sql = format!(
        "SELECT {COLUMNS} FROM media WHERE {} ORDER BY at DESC, number DESC LIMIT ?",
        conditions.join(" AND ")
    );
    let rows = all(
        connection,
        "list media",
        &sql,
        params_from_iter(values),
        stored,
    )?;
    Ok(rows.into_iter().map(|row| row.media).collect())
}

pub(super) fn find(connection: &Connection, id: MediaId) -> Result<Option<StoredRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM media WHERE id = ?");
    connection
        .prepare_cached(&sql)
        .and_then(|mut statement| statement.query_row([id.to_string()], stored))
        .optional()
        .map_err(failed("find a medium"))
}

/// The one with the same content under the same key, or, where the key is one that a terminal does
/// not use twice, any other with it that may be the same: incomplete ones first.
pub(super) fn same(
    connection: &Connection,
    new: &NewMedia,
    sha256: &[u8; 32],
) -> Result<Option<StoredRow>, StoreError> {
    let same = same_key(connection, new, Some(sha256))?;
    // A terminal that says no time, or no alarm, may use its ids again for something else.
    let is_key_unique = new.taken_at.is_some() || new.alarm_number.is_some();
    if same.is_some() || !is_key_unique {
        return Ok(same);
    }
    same_key(connection, new, None)
}

/// The indexes are named: left alone, SQLite takes the one of the key for both questions, and a
/// terminal that brings many contents under one key makes each one slower than the last.
fn same_key(
    connection: &Connection,
    new: &NewMedia,
    sha256: Option<&[u8; 32]>,
) -> Result<Option<StoredRow>, StoreError> {
    let (index, content) = match sha256 {
        Some(_) => ("media_by_content", "sha256 = :sha256"),
        None => ("media_by_key", ":sha256 IS NULL"),
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM media INDEXED BY {index} \
         WHERE terminal = :terminal AND media_id = :media_id AND taken_at IS :taken_at \
         AND channel = :channel AND source = :source AND alarm_number IS :alarm_number \
         AND original_name IS :original_name AND {content} \
         ORDER BY is_complete, number LIMIT 1"
    );
    connection
        .prepare_cached(&sql)
        .and_then(|mut statement| {
            let values = named_params! {
                ":terminal": new.terminal.as_str(),
                ":media_id": new.media_id,
                ":taken_at": new.taken_at.map(|at| at.0),
                ":channel": new.channel,
                ":source": new.source.as_str(),
                ":alarm_number": new.alarm_number,
                ":original_name": new.original_name,
                ":sha256": sha256,
            };
            statement.query_row(values, stored)
        })
        .optional()
        .map_err(failed("find the same medium"))
}

pub(super) fn insert(
    connection: &Connection,
    media: &Media,
    room: u64,
    file: &FileName,
) -> Result<u64, StoreError> {
    let facts = &media.facts;
    let sql = "INSERT INTO media (id, terminal, received_at, at, taken_at, media_id, media_type, \
        format, event, channel, latitude, longitude, source, alarm_number, original_name, label, \
        is_complete, kind, bytes, sha256, room, file) \
        VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
    execute(
        connection,
        sql,
        params![
            media.id.to_string(),
            facts.terminal.as_str(),
            facts.received_at.0,
            media.at.0,
            facts.taken_at.map(|at| at.0),
            facts.media_id,
            facts.media_type,
            facts.format,
            facts.event,
            facts.channel,
            facts.latitude.map(Latitude::micro_degrees),
            facts.longitude.map(Longitude::micro_degrees),
            facts.source.as_str(),
            facts.alarm_number,
            facts.original_name,
            facts.label,
            facts.is_complete,
            media.kind.as_str(),
            media.bytes.cast_signed(),
            media.sha256,
            room.cast_signed(),
            file.to_string(),
        ],
    )?;
    Ok(connection.last_insert_rowid().cast_unsigned())
}

/// Gives a medium another content; its old file goes into the journal.
pub(super) fn replace(
    connection: &Connection,
    old: &StoredRow,
    content: &Content,
) -> Result<(), StoreError> {
    let sql = "UPDATE media SET is_complete = ?, kind = ?, bytes = ?, room = ?, sha256 = ?, \
        file = ? WHERE number = ?";
    execute(
        connection,
        sql,
        params![
            content.is_complete,
            content.kind.as_str(),
            content.bytes.cast_signed(),
            content.room.cast_signed(),
            content.sha256,
            content.file.to_string(),
            old.media.number.cast_signed(),
        ],
    )?;
    note_unsettled(connection, &old.file)
}

/// Deletes rows; their files go into the journal.
pub(super) fn delete(connection: &Connection, doomed: &[Doomed]) -> Result<(), StoreError> {
    for one in doomed {
        execute(
            connection,
            "DELETE FROM media WHERE number = ?",
            [one.number],
        )?;
        note_unsettled(connection, &one.file)?;
    }
    Ok(())
}

/// Some of those that came before a moment, oldest first.
pub(super) fn received_before(
    connection: &Connection,
    before: Timestamp,
) -> Result<Vec<Doomed>, StoreError> {
    let sql = "SELECT number, room, file FROM media WHERE received_at < ? \
        ORDER BY received_at LIMIT ?";
    let action = "find old media";
    all(connection, action, sql, (before.0, BATCH_ROWS), doomed)
}

/// The first to come, until they have so many bytes; not more than a batch.
pub(super) fn oldest(connection: &Connection, bytes: u64) -> Result<Vec<Doomed>, StoreError> {
    let sql = "SELECT number, room, file FROM media ORDER BY number LIMIT ?";
    let mut found = all(connection, "find old media", sql, [BATCH_ROWS], doomed)?;
    let mut sum = 0;
    let enough = found.iter().position(|one| {
        sum += one.room;
        sum >= bytes
    });
    if let Some(last) = enough {
        found.truncate(last + 1);
    }
    Ok(found)
}

pub(super) fn note_unsettled(connection: &Connection, file: &FileName) -> Result<(), StoreError> {
    let sql = "INSERT OR IGNORE INTO unsettled VALUES (?)";
    execute(connection, sql, [file.to_string()])
}

pub(super) fn strike_unsettled(connection: &Connection, file: &FileName) -> Result<(), StoreError> {
    let sql = "DELETE FROM unsettled WHERE file = ?";
    execute(connection, sql, [file.to_string()])
}

/// Some of the journal.
pub(super) fn unsettled(connection: &Connection) -> Result<Vec<FileName>, StoreError> {
    let sql = "SELECT file FROM unsettled LIMIT ?";
    all(
        connection,
        "read the journal of media",
        sql,
        [BATCH_ROWS],
        |row| parsed(row, 0),
    )
}

/// What a terminal has brought on a day, in bytes.
pub(super) fn used(connection: &Connection, day: i64, terminal: &str) -> Result<u64, StoreError> {
    let sql = "SELECT room FROM usage WHERE day = ? AND terminal = ?";
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| {
            statement.query_row((day, terminal), |row| {
                Ok(row.get::<_, i64>(0)?.cast_unsigned())
            })
        })
        .optional()
        .map(Option::unwrap_or_default)
        .map_err(failed("read what a terminal has brought"))
}

/// Adds to what a terminal has brought, and forgets the days before yesterday.
pub(super) fn use_more(
    connection: &Connection,
    day: i64,
    terminal: &str,
    room: u64,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO usage VALUES (?1, ?2, ?3) \
        ON CONFLICT (day, terminal) DO UPDATE SET room = room + ?3";
    execute(connection, sql, (day, terminal, room.cast_signed()))?;
    execute(connection, "DELETE FROM usage WHERE day < ?", [day - 1])
}

/// Files and bytes; the rest is not of the index.
pub(super) fn totals(connection: &Connection) -> Result<MediaTotals, StoreError> {
    let sql = "SELECT count(*), coalesce(sum(room), 0) FROM media";
    connection
        .query_row(sql, [], |row| {
            Ok(MediaTotals {
                files: row.get::<_, i64>(0)?.cast_unsigned(),
                bytes: row.get::<_, i64>(1)?.cast_unsigned(),
                ..MediaTotals::default()
            })
        })
        .map_err(failed("count media"))
}

fn doomed(row: &Row<'_>) -> rusqlite::Result<Doomed> {
    Ok(Doomed {
        number: row.get(0)?,
        room: row.get::<_, i64>(1)?.cast_unsigned(),
        file: parsed(row, 2)?,
    })
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredRow> {
    let degrees = |column| row.get::<_, Option<i32>>(column);
    let facts = NewMedia {
        terminal: parsed(row, 2)?,
        received_at: Timestamp(row.get(3)?),
        taken_at: row.get::<_, Option<i64>>(5)?.map(Timestamp),
        media_id: row.get(6)?,
        media_type: row.get(7)?,
        format: row.get(8)?,
        event: row.get(9)?,
        channel: row.get(10)?,
        latitude: degrees(11)?.and_then(Latitude::from_micro_degrees),
        longitude: degrees(12)?.and_then(Longitude::from_micro_degrees),
        source: parsed(row, 13)?,
        alarm_number: row.get(14)?,
        original_name: row.get(15)?,
        label: row.get(16)?,
        is_complete: row.get(17)?,
    };
    let media = Media {
        number: row.get::<_, i64>(0)?.cast_unsigned(),
        id: parsed(row, 1)?,
        at: Timestamp(row.get(4)?),
        facts,
        kind: parsed(row, 18)?,
        bytes: row.get::<_, i64>(19)?.cast_unsigned(),
        sha256: row.get(20)?,
    };
    Ok(StoredRow {
        media,
        room: row.get::<_, i64>(21)?.cast_unsigned(),
        file: parsed(row, 22)?,
    })
}

/// A text column whose text says more than a text.
fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    row.get_ref(column)?.as_str()?.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
    })
}

fn all<T>(
    connection: &Connection,
    action: &'static str,
    sql: &str,
    parameters: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(failed(action))?;
    let rows = statement
        .query_map(parameters, read)
        .map_err(failed(action))?;
    rows.collect::<Result<_, _>>().map_err(failed(action))
}

fn execute(connection: &Connection, sql: &str, values: impl Params) -> Result<(), StoreError> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(values))
        .map(drop)
        .map_err(failed("write the index of media"))
}
