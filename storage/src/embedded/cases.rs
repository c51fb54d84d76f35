//! Cases in `main.sqlite`.

use std::collections::BTreeMap;

use geofence::{
    case::{Case, Stage},
    identity::CaseId,
    units::Timestamp,
};
use rusqlite::{Connection, Row, params, params_from_iter, types::Value};

use super::reader::all;
use crate::{
    case_changes::{Change, StoredCase, damaged, from_json, to_json},
    sqlite::failed,
    store::{CaseChange, CaseQuery, StoreError},
};

const COLUMNS: &str = "c.id, c.stage, c.opened_at, c.changed_at, c.log, c.judged, c.violation";

pub(super) fn load(connection: &Connection, id: CaseId) -> Result<Option<StoredCase>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM cases c WHERE c.id = ?");
    Ok(all(
        connection,
        "read a case",
        &sql,
        [id.to_string()],
        stored_case,
    )?
    .pop())
}

/// The page is found in an index, then its cases are fetched: the table is wide.
pub(super) fn list(connection: &Connection, query: &CaseQuery) -> Result<Vec<Case>, StoreError> {
    let mut conditions = vec!["1".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    let equal = [
        ("stage", query.stage.map(|stage| stage.as_str().to_owned())),
        ("kind", query.kind.map(|kind| kind.as_str().to_owned())),
        (
            "terminal",
            query.terminal.map(|terminal| terminal.to_string()),
        ),
    ];
    for (column, value) in equal {
        if let Some(value) = value {
            conditions.push(format!("{column} = ?"));
            values.push(value.into());
        }
    }
    if !query.jurisdictions.is_empty() {
        let one = "substr(unit_grid, 1, length(?)) = ?";
        conditions.push(format!(
            "({})",
            vec![one; query.jurisdictions.len()].join(" OR ")
        ));
        for prefix in &query.jurisdictions {
            values.extend([prefix.clone().into(), prefix.clone().into()]);
        }
    }
    if let Some((opened_at, id)) = &query.after {
        conditions.push("(opened_at, id) < (?, ?)".to_owned());
        values.extend([opened_at.0.into(), id.to_string().into()]);
    }
    values.push(i64::from(query.limit).into());
    let sql = format!(
        "SELECT {COLUMNS} FROM (SELECT id FROM cases WHERE {} \
         ORDER BY opened_at DESC, id DESC LIMIT ?) page JOIN cases c ON c.id = page.id \
         ORDER BY c.opened_at DESC, c.id DESC",
        conditions.join(" AND ")
    );
    let found = all(
        connection,
        "read cases",
        &sql,
        params_from_iter(values),
        stored_case,
    )?;
    Ok(found.into_iter().map(|stored| stored.case).collect())
}

pub(super) fn history(connection: &Connection, id: CaseId) -> Result<Vec<CaseChange>, StoreError> {
    let action = "read the history of a case";
    let sql = "SELECT at, from_stage, to_stage, actor, remark FROM case_history \
               WHERE case_id = ? ORDER BY number";
    all(connection, action, sql, [id.to_string()], |row| {
        let from = match row.get_ref(1)?.as_str_or_null()? {
            Some(word) => match Stage::from_word(word) {
                Some(stage) => Some(stage),
                None => return Ok(Err(damaged(action, &word))),
            },
            None => None,
        };
        let word = row.get_ref(2)?.as_str()?;
        let Some(to) = Stage::from_word(word) else {
            return Ok(Err(damaged(action, &word)));
        };
        let (actor, remark) = (row.get(3)?, row.get(4)?);
        Ok(Ok(CaseChange {
            at: Timestamp(row.get(0)?),
            from,
            to,
            actor,
            remark,
        }))
    })
}

pub(super) fn by_stage(connection: &Connection) -> Result<BTreeMap<Stage, u64>, StoreError> {
    let sql = "SELECT stage, count(*) FROM cases GROUP BY stage";
    let counts = all(connection, "count cases", sql, [], |row| {
        let word = row.get_ref(0)?.as_str()?;
        let Some(stage) = Stage::from_word(word) else {
            return Ok(Err(damaged("count cases", &word)));
        };
        Ok(Ok((stage, row.get::<_, i64>(1)?.cast_unsigned())))
    })?;
    Ok(counts.into_iter().collect())
}

pub(super) fn write(connection: &Connection, change: &Change) -> Result<(), StoreError> {
    let action = "write cases";
    let StoredCase { case, log, judged } = &change.stored;
    let violation = &case.violation;
    let json = to_json(violation)?;
    let sql = "INSERT INTO cases VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10) \
               ON CONFLICT (id) DO UPDATE SET stage = ?2, kind = ?3, terminal = ?4, \
               unit_grid = ?5, changed_at = ?7, log = ?8, judged = ?9, violation = ?10";
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| {
            statement.execute(params![
                case.id.to_string(),
                case.stage.as_str(),
                violation.kind.as_str(),
                violation.terminal.as_str(),
                violation.unit_grid,
                case.opened_at.0,
                case.changed_at.0,
                log.to_string(),
                judged.cast_signed(),
                json,
            ])
        })
        .map_err(failed(action))?;
    let sql = "INSERT INTO case_history (case_id, at, from_stage, to_stage, actor, remark) \
               VALUES (?,?,?,?,?,?)";
    for line in &change.history {
        connection
            .prepare_cached(sql)
            .and_then(|mut statement| {
                statement.execute(params![
                    case.id.to_string(),
                    line.at.0,
                    line.from.map(Stage::as_str),
                    line.to.as_str(),
                    line.actor,
                    line.remark,
                ])
            })
            .map_err(failed(action))?;
    }
    Ok(())
}

pub(super) fn stored_case(row: &Row<'_>) -> rusqlite::Result<Result<StoredCase, StoreError>> {
    let wrong = |what: &dyn std::fmt::Display| Ok(Err(damaged("read cases", what)));
    let id = match row.get_ref(0)?.as_str()?.parse() {
        Ok(id) => CaseId(id),
        Err(error) => return wrong(&error),
    };
    let word = row.get_ref(1)?.as_str()?;
    let Some(stage) = Stage::from_word(word) else {
        return wrong(&word);
    };
    let log = match row.get_ref(4)?.as_str()?.parse() {
        Ok(log) => log,
        Err(error) => return wrong(&error),
    };
    let violation = match from_json(row.get_ref(6)?.as_str()?) {
        Ok(violation) => violation,
        Err(error) => return Ok(Err(error)),
    };
    let case = Case {
        id,
        stage,
        opened_at: Timestamp(row.get(2)?),
        changed_at: Timestamp(row.get(3)?),
        violation,
    };
    Ok(Ok(StoredCase {
        case,
        log,
        judged: row.get::<_, i64>(5)?.cast_unsigned(),
    }))
}
