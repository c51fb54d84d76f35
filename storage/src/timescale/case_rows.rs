//! Rows of cases: read, and written in the one place where that is done.

use geofence::{
    case::{
        Stage,
        moves::{Move, Role},
    },
    units::Timestamp,
};
use tokio_postgres::{Row, Statement, Transaction, types::ToSql};
use uuid::Uuid;

use super::{
    connection::{Connection, Failure},
    evaluation, outbox as outbox_rows,
    rows::Moment,
};
use crate::{
    case_changes::{Change, StoredCase, damaged, from_json, to_json, without_nul},
    outbox,
    store::{CaseChange, StoreError, searched_text},
};

macro_rules! case_columns {
    () => {
        "log, judged, body::text"
    };
}
pub(super) use case_columns;

macro_rules! history_columns {
    () => {
        "at, version, move, from_stage, to_stage, actor, role, remark, detail, request_key"
    };
}
pub(super) use history_columns;

macro_rules! insert {
    ($on_conflict:literal) => {
        concat!(
            "INSERT INTO gridtrace.cases (id, stage, kind, terminal, unit_grid, opened_at, \
             changed_at, log, judged, version, source, category, severity, handler, department, \
             group_key, happened_from, happened_to, due_at, notice_at, ended_at, rework, is_late, \
             body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, \
             $17, $18, $19, $20, $21, $22, $23, $24::text::jsonb) ON CONFLICT ",
            $on_conflict
        )
    };
}
const INSERT: &str = insert!("DO NOTHING");
const REPLACE: &str = insert!(
    "(id) DO UPDATE SET stage = excluded.stage, kind = excluded.kind, \
    terminal = excluded.terminal, unit_grid = excluded.unit_grid, \
    opened_at = excluded.opened_at, changed_at = excluded.changed_at, log = excluded.log, \
    judged = excluded.judged, version = excluded.version, source = excluded.source, \
    category = excluded.category, severity = excluded.severity, handler = excluded.handler, \
    department = excluded.department, group_key = excluded.group_key, \
    happened_from = excluded.happened_from, happened_to = excluded.happened_to, \
    due_at = excluded.due_at, notice_at = excluded.notice_at, ended_at = excluded.ended_at, \
    rework = excluded.rework, is_late = excluded.is_late, body = excluded.body"
);
/// In the order of the arrays: the numbers are drawn in it.
const INSERT_HISTORY: &str = concat!(
    "INSERT INTO gridtrace.case_history (case_id, ",
    history_columns!(),
    ") SELECT case_id, ",
    history_columns!(),
    " FROM unnest($1::uuid[], $2::timestamptz[], $3::int[], $4::text[], $5::text[], $6::text[], \
     $7::text[], $8::text[], $9::text[], $10::text[], $11::text[]) WITH ORDINALITY \
     lines(case_id, ",
    history_columns!(),
    ", place) ORDER BY place"
);
const UPSERT_MEMBERS: &str = "INSERT INTO gridtrace.case_violations \
    SELECT DISTINCT ON (violation) violation, case_id FROM unnest($1::uuid[], $2::uuid[]) \
    WITH ORDINALITY members(violation, case_id, place) ORDER BY violation, place DESC \
    ON CONFLICT (violation) DO UPDATE SET case_id = excluded.case_id";

/// Only what is new or otherwise is written.
const WRITE_TEXTS: &str = "WITH told AS (SELECT DISTINCT ON (case_id) case_id, text \
    FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY lines(case_id, text, place) \
    ORDER BY case_id, place DESC), \
    gone AS (DELETE FROM gridtrace.case_texts t USING told \
    WHERE t.case_id = told.case_id AND told.text = '') \
    INSERT INTO gridtrace.case_texts AS t SELECT case_id, text FROM told WHERE text <> '' \
    ON CONFLICT (case_id) DO UPDATE SET text = excluded.text WHERE t.text <> excluded.text";

/// The statements of [`write`].
pub(super) struct Writing {
    insert: Statement,
    replace: Statement,
    history: Statement,
    members: Statement,
    texts: Statement,
    event: Statement,
    events: evaluation::Writing,
}

impl Writing {
    pub(super) async fn prepare(connection: &mut Connection) -> Result<Self, Failure> {
        Ok(Self {
            insert: connection.statement(INSERT).await?,
            replace: connection.statement(REPLACE).await?,
            history: connection.statement(INSERT_HISTORY).await?,
            members: connection.statement(UPSERT_MEMBERS).await?,
            texts: connection.statement(WRITE_TEXTS).await?,
            event: outbox_rows::prepare(connection).await?,
            events: evaluation::Writing::prepare(connection).await?,
        })
    }
}

/// The one place where changed cases are written: their rows, histories, violations. A new case
/// that is there already was another node's; `replaces` takes it for older.
pub(super) async fn write(
    transaction: &Transaction<'_>,
    writing: &Writing,
    changes: &[Change],
    replaces: bool,
) -> Result<(), Failure> {
    let mut history = Histories::default();
    let (mut members, mut owners): (Vec<Uuid>, Vec<Uuid>) = Default::default();
    let (mut cases, mut texts): (Vec<Uuid>, Vec<String>) = Default::default();
    for change in changes {
        let StoredCase { case, log, judged } = &change.stored;
        let (from, to) = case.span();
        let number = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
        let parameters: [&(dyn ToSql + Sync); 24] = [
            &case.id.0,
            &case.stage.as_str(),
            &case.kind().map(|kind| kind.as_str()),
            &case.terminal.map(|terminal| terminal.to_string()),
            &case.unit_grid,
            &Moment(case.opened_at),
            &Moment(case.changed_at),
            log,
            &judged.cast_signed(),
            &number(case.version),
            &case.source.as_str(),
            &case.category,
            &case.severity.as_str(),
            &case.handler,
            &case.department,
            &case.group,
            &Moment(from),
            &Moment(to),
            &case.due_at().map(Moment),
            &case.notice_at().map(Moment),
            &case.ended_at.map(Moment),
            &number(case.rework),
            &case.is_late(),
            &to_json(case)?,
        ];
        let statement = if change.is_new && !replaces {
            &writing.insert
        } else {
            &writing.replace
        };
        if transaction.execute(statement, &parameters).await? == 0 {
            // Another node was first: seen by the next attempt.
            return Err(Failure::TimedOut);
        }
        if !replaces {
            // What is taken over from another store was told there, or is in its outbox.
            outbox_rows::write(transaction, &writing.event, &outbox::draft(change)).await?;
        }
        history.add(case.id.0, &change.history);
        cases.push(case.id.0);
        texts.push(searched_text(case));
        for violation in change.members() {
            members.push(violation.0);
            owners.push(case.id.0);
        }
    }
    if !history.case_id.is_empty() {
        transaction
            .execute(&writing.history, &history.parameters())
            .await?;
    }
    if !cases.is_empty() {
        transaction
            .execute(&writing.texts, &[&cases, &texts])
            .await?;
    }
    evaluation::write(transaction, &writing.events, changes).await?;
    if !members.is_empty() {
        transaction
            .execute(&writing.members, &[&members, &owners])
            .await?;
    }
    Ok(())
}

/// Lines of histories by column.
#[derive(Default)]
struct Histories {
    case_id: Vec<Uuid>,
    at: Vec<Moment>,
    version: Vec<i32>,
    name: Vec<&'static str>,
    from_stage: Vec<Option<&'static str>>,
    to_stage: Vec<&'static str>,
    actor: Vec<String>,
    role: Vec<&'static str>,
    remark: Vec<String>,
    detail: Vec<String>,
    key: Vec<Option<String>>,
}

impl Histories {
    fn add(&mut self, case: Uuid, lines: &[CaseChange]) {
        for line in lines {
            self.case_id.push(case);
            self.at.push(Moment(line.at));
            self.version
                .push(i32::try_from(line.version).unwrap_or(i32::MAX));
            self.name.push(line.name.as_str());
            self.from_stage.push(line.from.map(Stage::as_str));
            self.to_stage.push(line.to.as_str());
            self.actor.push(without_nul(&line.actor));
            self.role.push(line.role.as_str());
            self.remark.push(without_nul(&line.remark));
            self.detail.push(without_nul(&line.detail));
            self.key.push(line.key.as_deref().map(without_nul));
        }
    }

    fn parameters(&self) -> [&(dyn ToSql + Sync); 11] {
        [
            &self.case_id,
            &self.at,
            &self.version,
            &self.name,
            &self.from_stage,
            &self.to_stage,
            &self.actor,
            &self.role,
            &self.remark,
            &self.detail,
            &self.key,
        ]
    }
}

/// Reads the columns of `history_columns`.
pub(super) fn change_line(row: &Row) -> Result<CaseChange, StoreError> {
    let unknown = |word: &str| damaged("read the history of a case", &word);
    let (name, role) = (row.get(2), row.get(6));
    Ok(CaseChange {
        at: row.get::<_, Moment>(0).0,
        version: u32::try_from(row.get::<_, i32>(1)).unwrap_or_default(),
        name: Move::from_word(name).ok_or_else(|| unknown(name))?,
        from: row.get::<_, Option<&str>>(3).map(stage).transpose()?,
        to: stage(row.get(4))?,
        actor: row.get(5),
        role: Role::from_word(role).ok_or_else(|| unknown(role))?,
        remark: row.get(7),
        detail: row.get(8),
        key: row.get(9),
    })
}

/// Reads the columns of `case_columns`.
pub(super) fn stored_case(row: &Row) -> Result<StoredCase, StoreError> {
    Ok(StoredCase {
        case: from_json(row.get(2))?,
        log: row.get(0),
        judged: row.get::<_, i64>(1).cast_unsigned(),
    })
}

pub(super) fn stage(word: &str) -> Result<Stage, StoreError> {
    Stage::from_word(word).ok_or_else(|| damaged("read cases", &word))
}

/// A moment that a query may lack.
pub(super) fn moment(at: Option<Timestamp>) -> Moment {
    Moment(at.unwrap_or_default())
}
