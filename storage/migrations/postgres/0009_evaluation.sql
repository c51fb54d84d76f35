-- What evaluations count: what happened to a case on a day, with what the case was then. Days are
-- counted from 1970-01-01 and months from the year 0, at local time (GMT+8).
CREATE TABLE gridtrace.case_events (
    case_id     uuid    NOT NULL REFERENCES gridtrace.cases,
    event       text    NOT NULL,
    day         int     NOT NULL,
    month       int     NOT NULL,
    due_day     int,              -- of what is closed
    due_month   int,
    is_late     boolean NOT NULL,
    is_forced   boolean NOT NULL,
    is_deferred boolean NOT NULL,
    value       float8  NOT NULL, -- minutes, worst value, how often: as the event says
    kind        text,
    source      text    NOT NULL,
    category    text    NOT NULL,
    severity    text    NOT NULL,
    unit_grid   text    COLLATE "C",
    handler     text    COLLATE "C" NOT NULL,
    department  text,
    carrier     text,             -- vehicle or inspector, else the phone number
    PRIMARY KEY (case_id, event, day)
);
INSERT INTO gridtrace.case_events
SELECT DISTINCT ON (case_id, event, day) case_id, event, day,
       extract(year FROM date)::int * 12 + extract(month FROM date)::int - 1,
       CASE event WHEN 'closed' THEN day END,
       CASE event WHEN 'closed'
            THEN extract(year FROM date)::int * 12 + extract(month FROM date)::int - 1 END,
       event IN ('closed', 'due') AND is_late, false, false, value,
       kind, source, category, severity, unit_grid, handler, department, carrier
FROM (SELECT moment.*, (moment.at + interval '8 hours')::date - date '1970-01-01' AS day,
             (moment.at + interval '8 hours')::date AS date
      FROM (SELECT c.id AS case_id, e.event, h.at AT TIME ZONE 'UTC' AS at, c.is_late,
                   0::float8 AS value, c.kind,
                   c.source, c.category, c.severity, c.unit_grid, c.handler, c.department,
                   coalesce(c.body #>> '{intervals,0,violation,vehicle}', c.terminal) AS carrier
            FROM gridtrace.case_history h JOIN gridtrace.cases c ON c.id = h.case_id
            JOIN (VALUES ('open', 'opened'), ('accept', 'accepted'), ('file', 'filed'),
                         ('decline', 'declined'), ('dispatch', 'dispatched'),
                         ('return', 'returned'), ('handle', 'handled'), ('verify_pass', 'passed'),
                         ('verify_fail', 'rework'), ('close', 'closed'), ('close', 'due'),
                         ('force_close', 'closed'), ('force_close', 'due'),
                         ('withdraw', 'withdrawn'), ('merge', 'merged'), ('reopen', 'reopened'),
                         ('find_again', 'reopened'), ('extend', 'extended'),
                         ('defer', 'deferred'), ('overdue', 'overdue')) e(move, event)
                 ON e.move = h.move
            UNION ALL
            SELECT c.id, 'happened', c.happened_from AT TIME ZONE 'UTC', false,
                   coalesce((c.body #>> '{intervals,0,violation,worst}')::float8, 0),
                   c.kind, c.source,
                   c.category, c.severity, c.unit_grid, c.handler, c.department,
                   coalesce(c.body #>> '{intervals,0,violation,vehicle}', c.terminal)
            FROM gridtrace.cases c WHERE c.stage NOT IN ('declined', 'withdrawn')) moment) dated
ORDER BY case_id, event, day;
-- Lists of a jurisdiction.
CREATE INDEX cases_by_unit_grid ON gridtrace.cases (unit_grid);
CREATE INDEX cases_by_handler ON gridtrace.cases (handler);
CREATE INDEX case_events_by_day ON gridtrace.case_events (day, event);
