//! Cases in `main.sqlite`.

use std::collections::{BTreeMap, HashSet};

use geofence::{
    case::{
        Case, Stage,
        moves::{Move, Role},
        policy::Desk,
    },
    identity::{CaseId, ViolationId},
    units::Timestamp,
};
use rusqlite::{Connection, Params, Row, params, params_from_iter, types::Value};

use super::{outbox, reader::all};
use crate::{
    case_changes::{
        Change, Loaded, StoredCase, Wanted, damaged, done, from_json, moved, opening, tick,
        to_json, without_nul,
    },
    sqlite::failed,
    store::{
        CaseChange, CaseQuery, CaseSearch, CaseWritten, MoveOrder, Moved, Opening, StoreError,
        pattern, searched_text,
    },
};

/// What [`stored_case`] reads.
pub(super) const COLUMNS: &str = "c.log, c.judged, c.body";
const HISTORY: &str =
    "at, version, move, from_stage, to_stage, actor, role, remark, detail, request_key";

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

/// The cases that a batch of findings may concern.
pub(super) fn wanted(connection: &Connection, wanted: &Wanted) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded::default();
    let mut ids = HashSet::new();
    for violation in &wanted.violations {
        if let Some(case) = case_of(connection, *violation)? {
            loaded.members.insert(*violation, case);
            ids.insert(case);
        }
    }
    for group in &wanted.groups {
        let sql = "SELECT id FROM cases WHERE group_key = ? AND happened_to >= ? \
                   AND happened_from <= ?";
        let parameters = params![group, wanted.from.0, wanted.to.0];
        ids.extend(all(connection, "look for cases", sql, parameters, |row| {
            Ok(case_id(row.get_ref(0)?.as_str()?))
        })?);
    }
    for id in ids {
        if let Some(stored) = load(connection, id)? {
            loaded.cases.insert(id, stored);
        }
    }
    Ok(loaded)
}

fn case_of(connection: &Connection, violation: ViolationId) -> Result<Option<CaseId>, StoreError> {
    let sql = "SELECT case_id FROM case_violations WHERE violation = ?";
    let id = violation.to_string();
    let found = all(connection, "look for a case", sql, [id], |row| {
        Ok(case_id(row.get_ref(0)?.as_str()?))
    })?;
    Ok(found.first().copied())
}

fn case_id(text: &str) -> Result<CaseId, StoreError> {
    match text.parse() {
        Ok(id) => Ok(CaseId(id)),
        Err(error) => Err(damaged("read cases", &error)),
    }
}

/// Opens a case unless it is there; the second is whether it is new.
pub(super) fn open(
    connection: &Connection,
    opened: &Opening,
) -> Result<(CaseWritten, bool), StoreError> {
    if let Some(stored) = load(connection, opened.case.id)? {
        let written = CaseWritten {
            case: stored.case,
            lines: Vec::new(),
        };
        return Ok((written, false));
    }
    let change = opening(opened);
    write(connection, &change)?;
    Ok((change.into_written(), true))
}

/// Makes a move, or says why not.
pub(super) fn make(connection: &Connection, order: &MoveOrder) -> Result<Moved, StoreError> {
    let Some(stored) = load(connection, order.case)? else {
        return Ok(Moved::Unknown);
    };
    if let Some(key) = &order.request.key {
        let sql = "SELECT 1 FROM case_history WHERE case_id = ? AND request_key = ?";
        let parameters = params![order.case.to_string(), without_nul(key)];
        let action = "look for a request";
        if !all(connection, action, sql, parameters, |_| Ok(Ok(())))?.is_empty() {
            return Ok(Moved::Repeated(Box::new(stored.case)));
        }
    }
    let other = match order.request.into {
        Some(into) if order.request.name == Move::Merge => load(connection, into)?,
        _ => None,
    };
    let changes = match moved(order, stored, other) {
        Ok(changes) => changes,
        Err((refusal, case)) => return Ok(Moved::Refused(refusal, case)),
    };
    for change in &changes {
        write(connection, change)?;
    }
    Ok(done(changes))
}

/// Writes what clocks have to say.
pub(super) fn tick_due(
    connection: &Connection,
    at: Timestamp,
    desk: &Desk,
    limit: u32,
) -> Result<Vec<CaseWritten>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM cases c WHERE c.notice_at <= ? ORDER BY c.notice_at, c.id LIMIT ?"
    );
    let due = all(
        connection,
        "read cases",
        &sql,
        params![at.0, limit],
        stored_case,
    )?;
    let changes = due.into_iter().filter_map(|stored| tick(stored, at, desk));
    let mut written = Vec::new();
    for change in changes {
        write(connection, &change)?;
        written.push(change.into_written());
    }
    Ok(written)
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
        ("source", query.source.map(|one| one.as_str().to_owned())),
        ("category", query.category.clone()),
        ("department", query.department.clone()),
    ];
    for (column, value) in equal {
        if let Some(value) = value {
            conditions.push(format!("{column} = ?"));
            values.push(value.into());
        }
    }
    if !query.jurisdictions.is_empty() {
        let one = "substr(unit_grid, 1, length(?)) = ? OR substr(handler, 1, length(?)) = ?";
        conditions.push(format!(
            "({})",
            vec![one; query.jurisdictions.len()].join(" OR ")
        ));
        for prefix in &query.jurisdictions {
            values.extend(std::iter::repeat_n(Value::from(prefix.clone()), 4));
        }
    }
    if let Some(at) = query.overdue_at {
        conditions.push("due_at < ?".to_owned());
        values.push(at.0.into());
    }
    if let Some((from, to)) = query.happened {
        conditions.push("happened_from < ? AND happened_to >= ?".to_owned());
        values.extend([to.0.into(), from.0.into()]);
    }
    if let Some(search) = &query.search {
        found_by(connection, search, &mut conditions, &mut values)?;
    }
    let column = query.column();
    conditions.push(format!("{column} IS NOT NULL"));
    let (compared, direction) = if query.is_ascending() {
        (">", "ASC")
    } else {
        ("<", "DESC")
    };
    if let Some((at, id)) = &query.after {
        conditions.push(format!("({column}, id) {compared} (?, ?)"));
        values.extend([at.0.into(), id.to_string().into()]);
    }
    values.push(i64::from(query.limit).into());
    let sql = format!(
        "SELECT {COLUMNS} FROM (SELECT id FROM cases WHERE {} \
         ORDER BY {column} {direction}, id {direction} LIMIT ?) page \
         JOIN cases c ON c.id = page.id ORDER BY c.{column} {direction}, c.id {direction}",
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

/// What is looked for in one field may be in several places.
fn found_by(
    connection: &Connection,
    search: &CaseSearch,
    conditions: &mut Vec<String>,
    values: &mut Vec<Value>,
) -> Result<(), StoreError> {
    let list = |texts: &[String]| {
        serde_json::to_string(texts).map_err(|error| damaged("look for cases", &error))
    };
    let mut places = vec![
        "id IN (SELECT case_id FROM receiver_numbers WHERE lower(number) >= ? AND lower(number) < ?)",
        "id IN (SELECT case_id FROM case_texts WHERE text LIKE ? ESCAPE '\\')",
        "terminal IN (SELECT value FROM json_each(?))",
    ];
    let number = search.given().to_ascii_lowercase();
    values.extend([
        number.clone().into(),
        format!("{number}{}", char::MAX).into(),
        pattern("%", search.text()).into(),
        list(&search.terminals())?.into(),
    ]);
    if let Some(digits) = search.digits() {
        places.push("instr(terminal, ?) > 0");
        values.push(digits.to_owned().into());
    }
    if let Some(numbered) = search.numbered() {
        let (from, to) = numbered.opened;
        if numbered.prefix.is_none() {
            places.push("(opened_at >= ? AND opened_at < ?)");
            values.extend([from.0.into(), to.0.into()]);
        } else {
            let sql = "SELECT id, opened_at FROM cases WHERE opened_at >= ? AND opened_at < ?";
            let action = "look for cases";
            let of_the_day = all(connection, action, sql, [from.0, to.0], |row| {
                let id = case_id(row.get_ref(0)?.as_str()?);
                let at = Timestamp(row.get(1)?);
                Ok(id.map(|id| (id, at)))
            })?;
            let fitting = of_the_day
                .into_iter()
                .filter(|(id, at)| numbered.fits(*at, *id));
            let ids: Vec<String> = fitting.map(|(id, _)| id.to_string()).collect();
            places.push("id IN (SELECT value FROM json_each(?))");
            values.push(list(&ids)?.into());
        }
    }
    conditions.push(format!("({})", places.join(" OR ")));
    Ok(())
}

pub(super) fn history(connection: &Connection, id: CaseId) -> Result<Vec<CaseChange>, StoreError> {
    let action = "read the history of a case";
    let sql = format!("SELECT {HISTORY} FROM case_history WHERE case_id = ? ORDER BY number");
    all(connection, action, &sql, [id.to_string()], |row| {
        let from = row.get_ref(3)?.as_str_or_null()?;
        let known = (
            from.map(|word| Stage::from_word(word).ok_or(word))
                .transpose(),
            Stage::from_word(row.get_ref(4)?.as_str()?),
            Move::from_word(row.get_ref(2)?.as_str()?),
            Role::from_word(row.get_ref(6)?.as_str()?),
        );
        let (Ok(from), Some(to), Some(name), Some(role)) = known else {
            return Ok(Err(damaged(action, &"a word of it is not known")));
        };
        Ok(Ok(CaseChange {
            at: Timestamp(row.get(0)?),
            version: row.get(1)?,
            name,
            from,
            to,
            actor: row.get(5)?,
            role,
            remark: row.get(7)?,
            detail: row.get(8)?,
            key: row.get(9)?,
        }))
    })
}

pub(super) fn by_stage(connection: &Connection) -> Result<BTreeMap<Stage, u64>, StoreError> {
    let sql = "SELECT stage, count(*) FROM cases GROUP BY stage";
    counted(connection, sql, [])
}

fn counted(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
) -> Result<BTreeMap<Stage, u64>, StoreError> {
    let counts = all(connection, "count cases", sql, parameters, |row| {
        let word = row.get_ref(0)?.as_str()?;
        let Some(stage) = Stage::from_word(word) else {
            return Ok(Err(damaged("count cases", &word)));
        };
        Ok(Ok((stage, row.get::<_, i64>(1)?.cast_unsigned())))
    })?;
    Ok(counts.into_iter().collect())
}

/// Those that are overdue.
pub(super) fn overdue(
    connection: &Connection,
    at: Timestamp,
) -> Result<BTreeMap<Stage, u64>, StoreError> {
    let sql = "SELECT stage, count(*) FROM cases WHERE due_at < ? GROUP BY stage";
    counted(connection, sql, [at.0])
}

/// The one place where a changed case is written, with the event that tells of it.
pub(super) fn write(connection: &Connection, change: &Change) -> Result<(), StoreError> {
    write_row(connection, change)?;
    outbox::write(connection, change)
}

/// Its row, its history, its violations.
pub(super) fn write_row(connection: &Connection, change: &Change) -> Result<(), StoreError> {
    let action = "write cases";
    let StoredCase { case, log, judged } = &change.stored;
    let (from, to) = case.span();
    let sql = "INSERT OR REPLACE INTO cases VALUES \
               (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
    let body = to_json(case)?;
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| {
            statement.execute(params![
                case.id.to_string(),
                case.stage.as_str(),
                case.kind().map(|kind| kind.as_str()),
                case.terminal.map(|terminal| terminal.to_string()),
                case.unit_grid,
                case.opened_at.0,
                case.changed_at.0,
                log.to_string(),
                judged.cast_signed(),
                case.version,
                case.source.as_str(),
                case.category,
                case.severity.as_str(),
                case.handler,
                case.department,
                case.group,
                from.0,
                to.0,
                case.due_at().map(|at| at.0),
                case.notice_at().map(|at| at.0),
                case.ended_at.map(|at| at.0),
                case.rework,
                case.is_late(),
                body,
            ])
        })
        .map_err(failed(action))?;
    let sql =
        format!("INSERT INTO case_history (case_id, {HISTORY}) VALUES (?,?,?,?,?,?,?,?,?,?,?)");
    for line in &change.history {
        connection
            .prepare_cached(&sql)
            .and_then(|mut statement| {
                statement.execute(params![
                    case.id.to_string(),
                    line.at.0,
                    line.version,
                    line.name.as_str(),
                    line.from.map(Stage::as_str),
                    line.to.as_str(),
                    line.actor,
                    line.role.as_str(),
                    line.remark,
                    line.detail,
                    line.key,
                ])
            })
            .map_err(failed(action))?;
    }
    write_text(connection, case)?;
    super::evaluation::write(connection, change)?;
    for violation in change.members() {
        connection
            .prepare_cached("INSERT OR REPLACE INTO case_violations VALUES (?, ?)")
            .and_then(|mut statement| {
                statement.execute([violation.to_string(), case.id.to_string()])
            })
            .map_err(failed(action))?;
    }
    Ok(())
}

fn write_text(connection: &Connection, case: &Case) -> Result<(), StoreError> {
    let text = searched_text(case);
    let id = case.id.to_string();
    let done = if text.is_empty() {
        let mut delete = connection
            .prepare_cached("DELETE FROM case_texts WHERE case_id = ?")
            .map_err(failed("write cases"))?;
        delete.execute([id])
    } else {
        let sql = "INSERT INTO case_texts VALUES (?, ?) ON CONFLICT (case_id) DO UPDATE \
                   SET text = excluded.text WHERE text <> excluded.text";
        let mut write = connection
            .prepare_cached(sql)
            .map_err(failed("write cases"))?;
        write.execute([id, text])
    };
    done.map(drop).map_err(failed("write cases"))
}

pub(super) fn stored_case(row: &Row<'_>) -> rusqlite::Result<Result<StoredCase, StoreError>> {
    let log = match row.get_ref(0)?.as_str()?.parse() {
        Ok(log) => log,
        Err(error) => return Ok(Err(damaged("read cases", &error))),
    };
    let judged = row.get::<_, i64>(1)?.cast_unsigned();
    let case = from_json(row.get_ref(2)?.as_str()?);
    Ok(case.map(|case| StoredCase { case, log, judged }))
}
