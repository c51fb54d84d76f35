-- media.sqlite: what the files of the directory are. Times are milliseconds since
-- 1970-01-01T00:00:00Z, coordinates millionths of a degree (WGS-84).
CREATE TABLE media (
    number        INTEGER PRIMARY KEY AUTOINCREMENT, -- order of arrival; none is used twice
    id            TEXT NOT NULL UNIQUE,
    terminal      TEXT NOT NULL,    -- phone number without leading zeros
    received_at   INTEGER NOT NULL,
    at            INTEGER NOT NULL, -- taken_at where it can be believed, else received_at
    taken_at      INTEGER,
    media_id      INTEGER NOT NULL, -- the terminal's
    media_type    INTEGER NOT NULL,
    format        INTEGER NOT NULL,
    event         INTEGER NOT NULL,
    channel       INTEGER NOT NULL,
    latitude      INTEGER,
    longitude     INTEGER,
    source        TEXT NOT NULL,
    alarm_number  TEXT,
    original_name TEXT,
    label         TEXT,             -- JSON
    is_complete   INTEGER NOT NULL,
    kind          TEXT NOT NULL,    -- what the content is
    bytes         INTEGER NOT NULL,
    room          INTEGER NOT NULL, -- bytes in whole blocks: what it counts for among the limits
    sha256        BLOB NOT NULL,
    file          TEXT NOT NULL     -- below the directory: YYYY-MM/DD/UUID.EXTENSION
) STRICT;
CREATE INDEX media_listed ON media (at, number);
CREATE INDEX media_by_terminal ON media (terminal, at, number);
CREATE INDEX media_by_alarm ON media (alarm_number, at, number) WHERE alarm_number IS NOT NULL;
CREATE INDEX media_by_receipt ON media (received_at, room);
-- Whether it is there already.
CREATE INDEX media_by_content ON media (terminal, sha256);
CREATE INDEX media_by_key ON media
    (terminal, media_id, taken_at, channel, source, alarm_number, original_name, is_complete);

-- What a terminal has brought on a day, also what is gone again.
CREATE TABLE usage (
    day      INTEGER NOT NULL, -- days since 1970-01-01
    terminal TEXT NOT NULL,
    room     INTEGER NOT NULL,
    PRIMARY KEY (day, terminal)
) STRICT, WITHOUT ROWID;

-- The journal: files that may be there while no row speaks of them, to be removed.
CREATE TABLE unsettled (
    file TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
