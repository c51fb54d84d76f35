-- Cases that people move, with or without a violation. The whole case is its body; the columns
-- beside it are what lists, clocks and reports look for. Text and order of old rows are kept.
ALTER TABLE case_history ADD COLUMN version     INTEGER NOT NULL DEFAULT 1; -- that it made
ALTER TABLE case_history ADD COLUMN move        TEXT NOT NULL DEFAULT 'note';
ALTER TABLE case_history ADD COLUMN role        TEXT NOT NULL DEFAULT 'system';
ALTER TABLE case_history ADD COLUMN detail      TEXT NOT NULL DEFAULT '';
ALTER TABLE case_history ADD COLUMN request_key TEXT; -- what was done under it is not done again
UPDATE case_history AS line SET
    move = CASE WHEN from_stage IS NULL THEN 'open'
                WHEN from_stage = to_stage THEN 'amend'
                WHEN to_stage = 'withdrawn' THEN 'withdraw'
                WHEN from_stage = 'withdrawn' THEN 'find_again'
                ELSE 'note' END,
    version = (SELECT count(*) FROM case_history AS earlier
               WHERE earlier.case_id = line.case_id AND earlier.number <= line.number);
CREATE UNIQUE INDEX case_history_by_key ON case_history (case_id, request_key)
    WHERE request_key IS NOT NULL;

CREATE TABLE moved_cases (
    id            TEXT PRIMARY KEY,
    stage         TEXT NOT NULL,
    kind          TEXT,             -- of the violations; none where a person opened it
    terminal      TEXT,
    unit_grid     TEXT,
    opened_at     INTEGER NOT NULL,
    changed_at    INTEGER NOT NULL,
    log           TEXT NOT NULL,    -- the findings that changed it last were made when
    judged        INTEGER NOT NULL, -- the records of this log before this one had been judged
    version       INTEGER NOT NULL,
    source        TEXT NOT NULL,
    category      TEXT NOT NULL,
    severity      TEXT NOT NULL,
    handler       TEXT NOT NULL,    -- code prefix of the jurisdiction that handles it
    department    TEXT,
    group_key     TEXT,             -- violations that have it may join
    happened_from INTEGER NOT NULL,
    happened_to   INTEGER NOT NULL,
    due_at        INTEGER,          -- of the first clock that runs
    notice_at     INTEGER,          -- when clocks have something to say next
    ended_at      INTEGER,
    rework        INTEGER NOT NULL,
    is_late       INTEGER NOT NULL, -- a clock exceeded its limit
    body          TEXT NOT NULL     -- JSON: the whole case
) STRICT;
INSERT INTO moved_cases
SELECT id, stage, kind, terminal, unit_grid, opened_at, changed_at, log, judged,
       (SELECT max(1, count(*)) FROM case_history WHERE case_id = id),
       'telemetry', '', 'normal', '', NULL, NULL,
       json_extract(violation, '$.started_at'),
       coalesce(json_extract(violation, '$.ended_at'), json_extract(violation, '$.confirmed_at')),
       NULL, NULL, CASE stage WHEN 'withdrawn' THEN changed_at END, 0, 0,
       json_object('id', id, 'stage', stage, 'opened_at', opened_at, 'changed_at', changed_at,
           'version', (SELECT max(1, count(*)) FROM case_history WHERE case_id = id),
           'moved', (SELECT max(1, count(*)) FROM case_history WHERE case_id = id),
           'occurred_at', json_extract(violation, '$.started_at'),
           'place', json_object('latitude', json_extract(violation, '$.latitude'),
                                'longitude', json_extract(violation, '$.longitude')),
           'unit_grid', unit_grid, 'terminal', terminal,
           'ended_at', CASE stage WHEN 'withdrawn' THEN changed_at END,
           'ended_by', CASE stage WHEN 'withdrawn' THEN 'system' END,
           'intervals', json_array(json_object('violation', json(violation),
               'stands', json(CASE stage WHEN 'withdrawn' THEN 'false' ELSE 'true' END))))
FROM cases;

-- Which case a violation belongs to.
CREATE TABLE case_violations (
    violation TEXT PRIMARY KEY,
    case_id   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT OR REPLACE INTO case_violations SELECT json_extract(violation, '$.id'), id FROM cases;
CREATE INDEX case_violations_of ON case_violations (case_id);

DROP TABLE cases;
ALTER TABLE moved_cases RENAME TO cases;
-- Lists are made from these indices alone: the table is wide.
CREATE INDEX cases_listed ON cases (opened_at, id, stage, kind, terminal, unit_grid, handler,
    department, source, category, happened_from, happened_to, due_at);
CREATE INDEX cases_by_terminal ON cases (terminal, opened_at, id, stage, kind, unit_grid, handler);
CREATE INDEX cases_by_stage ON cases (stage, opened_at, id, kind, terminal, unit_grid, handler,
    department, source, category, happened_from, happened_to, due_at);
CREATE INDEX cases_by_change ON cases (changed_at, id);
CREATE INDEX cases_by_due ON cases (due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX cases_by_notice ON cases (notice_at, id) WHERE notice_at IS NOT NULL;
CREATE INDEX cases_by_group ON cases (group_key, happened_to) WHERE group_key IS NOT NULL;
