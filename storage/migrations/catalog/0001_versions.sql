-- Versions of the catalog. A text that several versions share is kept once.
-- Times are milliseconds since 1970-01-01T00:00:00Z.
CREATE TABLE texts (
    hash BLOB PRIMARY KEY, -- SHA-256
    text TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE versions (
    number         INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at     INTEGER NOT NULL,
    author         TEXT NOT NULL,
    note           TEXT NOT NULL,
    effective_from INTEGER NOT NULL, -- it is not taken into force before
    in_force_at    INTEGER           -- when it was; NULL while it was not
) STRICT;
CREATE INDEX versions_waiting ON versions (effective_from) WHERE in_force_at IS NULL;

CREATE TABLE version_texts (
    version INTEGER NOT NULL REFERENCES versions ON DELETE CASCADE,
    kind    TEXT NOT NULL, -- unit_grids, fences, ...
    hash    BLOB NOT NULL REFERENCES texts,
    PRIMARY KEY (version, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX version_texts_by_hash ON version_texts (hash);

-- The files of the configuration as they were taken last: another content is a new version.
CREATE TABLE files (
    kind TEXT PRIMARY KEY,
    hash BLOB NOT NULL
) STRICT, WITHOUT ROWID;
