-- Cases that people move, with or without a violation. The whole case is its body; the columns
-- beside it are what lists, clocks and reports look for.
ALTER TABLE gridtrace.case_history
    ADD COLUMN version     int  NOT NULL DEFAULT 1, -- that it made
    ADD COLUMN move        text NOT NULL DEFAULT 'note',
    ADD COLUMN role        text NOT NULL DEFAULT 'system',
    ADD COLUMN detail      text NOT NULL DEFAULT '',
    ADD COLUMN request_key text; -- what was done under it is not done again
UPDATE gridtrace.case_history line SET
    move = CASE WHEN from_stage IS NULL THEN 'open'
                WHEN from_stage = to_stage THEN 'amend'
                WHEN to_stage = 'withdrawn' THEN 'withdraw'
                WHEN from_stage = 'withdrawn' THEN 'find_again'
                ELSE 'note' END,
    version = counted.version
FROM (SELECT number, row_number() OVER (PARTITION BY case_id ORDER BY number) AS version
      FROM gridtrace.case_history) counted
WHERE counted.number = line.number;
CREATE UNIQUE INDEX case_history_by_key ON gridtrace.case_history (case_id, request_key)
    WHERE request_key IS NOT NULL;

ALTER TABLE gridtrace.cases
    ALTER COLUMN kind DROP NOT NULL,     -- of the violations; none where a person opened it
    ALTER COLUMN terminal DROP NOT NULL,
    ADD COLUMN version       int         NOT NULL DEFAULT 1,
    ADD COLUMN source        text        NOT NULL DEFAULT 'telemetry',
    ADD COLUMN category      text        NOT NULL DEFAULT '',
    ADD COLUMN severity      text        NOT NULL DEFAULT 'normal',
    ADD COLUMN handler       text        COLLATE "C" NOT NULL DEFAULT '', -- prefix: who handles it
    ADD COLUMN department    text,
    ADD COLUMN group_key     text,       -- violations that have it may join
    ADD COLUMN happened_from timestamptz,
    ADD COLUMN happened_to   timestamptz,
    ADD COLUMN due_at        timestamptz, -- of the first clock that runs
    ADD COLUMN notice_at     timestamptz, -- when clocks have something to say next
    ADD COLUMN ended_at      timestamptz,
    ADD COLUMN rework        int         NOT NULL DEFAULT 0,
    ADD COLUMN is_late       boolean     NOT NULL DEFAULT false, -- a clock exceeded its limit
    ADD COLUMN body          jsonb;      -- the whole case
UPDATE gridtrace.cases c SET
    version = counted.lines,
    happened_from = to_timestamp((violation ->> 'started_at')::bigint / 1000.0),
    happened_to = to_timestamp(coalesce(violation ->> 'ended_at',
                                        violation ->> 'confirmed_at')::bigint / 1000.0),
    ended_at = CASE stage WHEN 'withdrawn' THEN changed_at END,
    body = jsonb_build_object('id', id, 'stage', stage,
        'opened_at', (extract(epoch FROM opened_at) * 1000)::bigint,
        'changed_at', (extract(epoch FROM changed_at) * 1000)::bigint,
        'version', counted.lines, 'moved', counted.lines,
        'occurred_at', violation -> 'started_at',
        'place', jsonb_build_object('latitude', violation -> 'latitude',
                                    'longitude', violation -> 'longitude'),
        'unit_grid', unit_grid, 'terminal', terminal,
        'ended_at', CASE stage WHEN 'withdrawn'
                    THEN (extract(epoch FROM changed_at) * 1000)::bigint END,
        'ended_by', CASE stage WHEN 'withdrawn' THEN 'system' END,
        'intervals', jsonb_build_array(jsonb_build_object('violation', violation,
            'stands', stage <> 'withdrawn')))
FROM (SELECT c2.id AS case_id, greatest(1, count(h.case_id))::int AS lines
      FROM gridtrace.cases c2 LEFT JOIN gridtrace.case_history h ON h.case_id = c2.id
      GROUP BY c2.id) counted
WHERE counted.case_id = c.id;

-- Which case a violation belongs to.
CREATE TABLE gridtrace.case_violations (
    violation uuid PRIMARY KEY,
    case_id   uuid NOT NULL REFERENCES gridtrace.cases
);
INSERT INTO gridtrace.case_violations
SELECT (violation ->> 'id')::uuid, id FROM gridtrace.cases ON CONFLICT DO NOTHING;
CREATE INDEX case_violations_of ON gridtrace.case_violations (case_id);

ALTER TABLE gridtrace.cases
    DROP COLUMN violation,
    ALTER COLUMN happened_from SET NOT NULL,
    ALTER COLUMN happened_to SET NOT NULL,
    ALTER COLUMN body SET NOT NULL;
CREATE INDEX cases_by_change ON gridtrace.cases (changed_at, id);
CREATE INDEX cases_by_due ON gridtrace.cases (due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX cases_by_notice ON gridtrace.cases (notice_at, id) WHERE notice_at IS NOT NULL;
CREATE INDEX cases_by_group ON gridtrace.cases (group_key, happened_to)
    WHERE group_key IS NOT NULL;
CREATE INDEX cases_by_department ON gridtrace.cases (department, opened_at, id)
    WHERE department IS NOT NULL;
