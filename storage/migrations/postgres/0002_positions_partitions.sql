-- Positions on plain PostgreSQL: a partition a day (UTC), made by the writer when a row needs it,
-- so that retention is a drop. Inserting costs what it costs into a single table.
CREATE TABLE gridtrace.positions (
    terminal      int         NOT NULL,
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
) PARTITION BY RANGE (fixed_at);
CREATE UNIQUE INDEX positions_identity ON gridtrace.positions (terminal, fixed_at, digest);
-- Pages of all terminals are read in the order of time; BRIN would find them but not sort them.
CREATE INDEX positions_by_time ON gridtrace.positions (fixed_at);
