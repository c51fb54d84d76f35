-- What other systems must hear about cases. Times are milliseconds since 1970-01-01T00:00:00Z.

-- The sequence of a case's newest event; it stays when the events go.
CREATE TABLE outbox_cases (
    case_id  TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox_events (
    number     INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of planning
    case_id    TEXT NOT NULL,
    sequence   INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    at         INTEGER NOT NULL,
    is_planned INTEGER NOT NULL,
    content    TEXT NOT NULL, -- JSON: the case as it was then, and the lines of its history
    UNIQUE (case_id, sequence)
) STRICT;
CREATE INDEX outbox_events_unplanned ON outbox_events (number) WHERE is_planned = 0;

CREATE TABLE deliveries (
    id          TEXT PRIMARY KEY, -- the idempotency key
    receiver    TEXT NOT NULL,
    case_id     TEXT NOT NULL,
    sequence    INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    state       TEXT NOT NULL,
    since       INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    next_at     INTEGER NOT NULL,
    finished_at INTEGER,
    status      INTEGER,
    said        TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (receiver, next_at) WHERE state = 'pending';
CREATE INDEX deliveries_pending ON deliveries (receiver, case_id, sequence) WHERE state = 'pending';
CREATE INDEX deliveries_of ON deliveries (case_id, sequence);
CREATE INDEX deliveries_listed ON deliveries (since, id);
CREATE INDEX deliveries_by_state ON deliveries (state, since, id);
CREATE INDEX deliveries_finished ON deliveries (finished_at) WHERE finished_at IS NOT NULL;

-- The number that a case has with a receiver.
CREATE TABLE receiver_numbers (
    case_id  TEXT NOT NULL,
    receiver TEXT NOT NULL,
    number   TEXT NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (case_id, receiver)
) STRICT, WITHOUT ROWID;

-- Moves that receivers asked for, by the key that they gave.
CREATE TABLE callbacks (
    receiver TEXT NOT NULL,
    key      TEXT NOT NULL,
    case_id  TEXT NOT NULL,
    at       INTEGER NOT NULL,
    digest   TEXT NOT NULL,
    sent     INTEGER NOT NULL, -- seconds since 1970 that the newest request was signed with
    outcome  TEXT, -- NULL while nobody knows
    PRIMARY KEY (receiver, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX callbacks_of ON callbacks (case_id, receiver, key);
CREATE INDEX callbacks_by_time ON callbacks (at);
