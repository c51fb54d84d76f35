-- Terminals that registered. Times are milliseconds since 1970-01-01T00:00:00Z.
CREATE TABLE terminals (
    terminal        TEXT PRIMARY KEY, -- phone number without leading zeros
    revision        INTEGER NOT NULL, -- 2011, 2013 or 2019
    manufacturer    TEXT NOT NULL,
    model           TEXT NOT NULL,
    terminal_id     TEXT NOT NULL,
    plate           TEXT NOT NULL,
    plate_color     INTEGER NOT NULL,
    registered_at   INTEGER NOT NULL,
    deregistered_at INTEGER
) STRICT, WITHOUT ROWID;
