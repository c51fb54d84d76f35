-- What evaluations count: what happened to a case on a day, with what the case was then. Days are
-- counted from 1970-01-01 and months from the year 0, at local time (GMT+8).
CREATE TABLE case_events (
    case_id     TEXT NOT NULL,
    event       TEXT NOT NULL,
    day         INTEGER NOT NULL,
    month       INTEGER NOT NULL,
    due_day     INTEGER,          -- of what is closed
    due_month   INTEGER,
    is_late     INTEGER NOT NULL,
    is_forced   INTEGER NOT NULL,
    is_deferred INTEGER NOT NULL,
    value       REAL NOT NULL,    -- minutes, worst value, how often: as the event says
    kind        TEXT,
    source      TEXT NOT NULL,
    category    TEXT NOT NULL,
    severity    TEXT NOT NULL,
    unit_grid   TEXT,
    handler     TEXT NOT NULL,
    department  TEXT,
    carrier     TEXT,             -- vehicle or inspector, else the phone number
    PRIMARY KEY (case_id, event, day)
) STRICT, WITHOUT ROWID;
WITH moves(move, event) AS (VALUES
    ('open', 'opened'), ('accept', 'accepted'), ('file', 'filed'), ('decline', 'declined'),
    ('dispatch', 'dispatched'), ('return', 'returned'), ('handle', 'handled'),
    ('verify_pass', 'passed'), ('verify_fail', 'rework'), ('close', 'closed'), ('close', 'due'),
    ('force_close', 'closed'), ('force_close', 'due'), ('withdraw', 'withdrawn'),
    ('merge', 'merged'), ('reopen', 'reopened'), ('find_again', 'reopened'),
    ('extend', 'extended'), ('defer', 'deferred'), ('overdue', 'overdue')),
moments AS (
    SELECT c.id, e.event, h.at, c.is_late FROM case_history h
    JOIN cases c ON c.id = h.case_id JOIN moves e ON e.move = h.move
    UNION ALL
    SELECT id, 'happened', happened_from, 0 FROM cases
    WHERE stage NOT IN ('declined', 'withdrawn')),
dated AS (
    SELECT id, event, is_late, (at / 1000 + 28800) / 86400 AS day,
           CAST(strftime('%Y', at / 1000 + 28800, 'unixepoch') AS INTEGER) * 12
           + CAST(strftime('%m', at / 1000 + 28800, 'unixepoch') AS INTEGER) - 1 AS month
    FROM moments)
INSERT OR IGNORE INTO case_events
SELECT d.id, d.event, d.day, d.month, CASE d.event WHEN 'closed' THEN d.day END,
       CASE d.event WHEN 'closed' THEN d.month END, d.event IN ('closed', 'due') AND d.is_late,
       0, 0, CASE d.event WHEN 'happened'
                  THEN coalesce(json_extract(c.body, '$.intervals[0].violation.worst'), 0)
                  ELSE 0 END, c.kind, c.source, c.category, c.severity, c.unit_grid, c.handler, c.department,
       coalesce(json_extract(c.body, '$.intervals[0].violation.vehicle'), c.terminal)
FROM dated d JOIN cases c ON c.id = d.id;
CREATE INDEX case_events_by_day ON case_events (day, event);
