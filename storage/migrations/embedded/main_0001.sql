-- main.sqlite: everything but the positions of the days.
-- Times are milliseconds since 1970-01-01T00:00:00Z, coordinates millionths of a degree (WGS-84).

CREATE TABLE cursors (
    log           TEXT NOT NULL,
    consumer      TEXT NOT NULL,
    record_offset INTEGER NOT NULL, -- the first record whose work is not yet here
    PRIMARY KEY (log, consumer)
) STRICT, WITHOUT ROWID;

-- The newest position of each terminal, by (fixed_at, digest).
CREATE TABLE latest (
    terminal      TEXT PRIMARY KEY,
    fixed_at      INTEGER NOT NULL,
    digest        INTEGER NOT NULL,
    received_at   INTEGER NOT NULL,
    log_offset    INTEGER NOT NULL,
    latitude      INTEGER NOT NULL,
    longitude     INTEGER NOT NULL,
    altitude_m    INTEGER,
    speed_dkmh    INTEGER NOT NULL,
    heading_deg   INTEGER NOT NULL,
    alarm_flags   INTEGER NOT NULL,
    status_flags  INTEGER NOT NULL,
    odometer_dkm  INTEGER,
    satellites    INTEGER,
    is_positioned INTEGER NOT NULL,
    is_backlog    INTEGER NOT NULL,
    unit_grid     TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE quarantine (
    number      INTEGER PRIMARY KEY,
    terminal    TEXT NOT NULL,
    reason      TEXT NOT NULL,
    digest      INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    log_offset  INTEGER NOT NULL,
    body        BLOB NOT NULL,
    UNIQUE (terminal, reason, digest)
) STRICT;

CREATE TABLE cases (
    id         TEXT PRIMARY KEY,
    stage      TEXT NOT NULL,
    kind       TEXT NOT NULL,
    terminal   TEXT NOT NULL,
    unit_grid  TEXT,
    opened_at  INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    log        TEXT NOT NULL,    -- the findings that changed it last were made when
    judged     INTEGER NOT NULL, -- the records of this log before this one had been judged
    violation  TEXT NOT NULL     -- JSON, with the evidence
) STRICT;
-- Lists are made from this index alone: the table is wide.
CREATE INDEX cases_listed ON cases (opened_at, id, stage, kind, terminal, unit_grid);
CREATE INDEX cases_by_terminal ON cases (terminal, opened_at, id, stage, kind, unit_grid);
CREATE INDEX cases_by_stage ON cases (stage, opened_at, id, kind, terminal, unit_grid);

CREATE TABLE case_history (
    number     INTEGER PRIMARY KEY,
    case_id    TEXT NOT NULL,
    at         INTEGER NOT NULL,
    from_stage TEXT,
    to_stage   TEXT NOT NULL,
    actor      TEXT NOT NULL,
    remark     TEXT NOT NULL
) STRICT;
CREATE INDEX case_history_of ON case_history (case_id, number);

CREATE TABLE snapshots (
    key   TEXT PRIMARY KEY,
    bytes BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE VIEW latest_in_degrees AS
SELECT terminal, strftime('%Y-%m-%dT%H:%M:%fZ', fixed_at / 1000.0, 'unixepoch') AS fixed_at,
       latitude / 1e6 AS latitude, longitude / 1e6 AS longitude, speed_dkmh / 10.0 AS speed_kmh,
       heading_deg, unit_grid
FROM latest;
