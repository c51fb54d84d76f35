-- Everything but the table of positions, whose form depends on the server: see
-- 0002_positions_hypertable.sql and 0002_positions_partitions.sql.
-- Coordinates are millionths of a degree, WGS-84; views show degrees.

-- Terminals by a small integer, which the many rows of positions carry.
CREATE TABLE gridtrace.terminals (
    id    int  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    phone text COLLATE "C" NOT NULL UNIQUE -- without leading zeros
);

CREATE TABLE gridtrace.cursors (
    log           uuid   NOT NULL,
    consumer      text   NOT NULL,
    record_offset bigint NOT NULL, -- the first record whose work is not yet here
    PRIMARY KEY (log, consumer)
);

-- The newest position of each terminal, by (fixed_at, digest). Half-filled pages leave room for
-- updates in place.
CREATE TABLE gridtrace.latest (
    terminal      int         PRIMARY KEY,
    fixed_at      timestamptz NOT NULL,
    digest        bigint      NOT NULL,
    received_at   timestamptz NOT NULL,
    log_offset    bigint      NOT NULL,
    latitude      int         NOT NULL,
    longitude     int         NOT NULL,
    altitude_m    smallint,
    speed_dkmh    int         NOT NULL,
    heading_deg   int         NOT NULL,
    alarm_flags   bigint      NOT NULL,
    status_flags  bigint      NOT NULL,
    odometer_dkm  bigint,
    satellites    smallint,
    is_positioned boolean     NOT NULL,
    is_backlog    boolean     NOT NULL,
    unit_grid     text
) WITH (fillfactor = 50);

CREATE TABLE gridtrace.quarantine (
    number      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    terminal    text        COLLATE "C" NOT NULL,
    reason      text        NOT NULL,
    digest      bigint      NOT NULL,
    received_at timestamptz NOT NULL,
    log_offset  bigint      NOT NULL,
    body        bytea       NOT NULL,
    UNIQUE (terminal, reason, digest)
);

CREATE TABLE gridtrace.cases (
    id         uuid        PRIMARY KEY,
    stage      text        NOT NULL,
    kind       text        NOT NULL,
    terminal   text        COLLATE "C" NOT NULL,
    unit_grid  text        COLLATE "C",
    opened_at  timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    log        uuid        NOT NULL, -- the findings that changed it last were made when
    judged     bigint      NOT NULL, -- the records of this log before this one had been judged
    violation  jsonb       NOT NULL  -- with the evidence
);
CREATE INDEX cases_listed ON gridtrace.cases (opened_at, id);
CREATE INDEX cases_by_terminal ON gridtrace.cases (terminal, opened_at, id);
CREATE INDEX cases_by_stage ON gridtrace.cases (stage, opened_at, id);

CREATE TABLE gridtrace.case_history (
    number     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id    uuid        NOT NULL REFERENCES gridtrace.cases,
    at         timestamptz NOT NULL,
    from_stage text,
    to_stage   text        NOT NULL,
    actor      text        NOT NULL,
    remark     text        NOT NULL
);
CREATE INDEX case_history_of ON gridtrace.case_history (case_id, number);

CREATE TABLE gridtrace.snapshots (
    key   text  COLLATE "C" PRIMARY KEY,
    bytes bytea NOT NULL
);
