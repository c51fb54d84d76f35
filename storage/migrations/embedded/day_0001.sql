-- positions-YYYY-MM-DD.sqlite: the positions whose fix time lies on this day (UTC).
-- Times are milliseconds since 1970-01-01T00:00:00Z, coordinates millionths of a degree (WGS-84).
CREATE TABLE positions (
    terminal      TEXT NOT NULL, -- phone number without leading zeros
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
    unit_grid     TEXT,
    PRIMARY KEY (terminal, fixed_at, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX positions_by_time ON positions (fixed_at, terminal, digest);

CREATE VIEW positions_in_degrees AS
SELECT terminal, strftime('%Y-%m-%dT%H:%M:%fZ', fixed_at / 1000.0, 'unixepoch') AS fixed_at,
       latitude / 1e6 AS latitude, longitude / 1e6 AS longitude, speed_dkmh / 10.0 AS speed_kmh,
       heading_deg, unit_grid
FROM positions;
