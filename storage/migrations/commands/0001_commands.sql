-- commands.sqlite: commands to terminals. Times are milliseconds since 1970-01-01T00:00:00Z.
CREATE TABLE commands (
    number          INTEGER PRIMARY KEY AUTOINCREMENT, -- order of creation; none is used twice
    id              TEXT NOT NULL UNIQUE,
    terminal        TEXT NOT NULL,    -- phone number without leading zeros
    message_id      INTEGER NOT NULL,
    content         TEXT NOT NULL,    -- JSON
    is_urgent       INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    idempotency_key TEXT,
    requested_by    TEXT,
    state           TEXT NOT NULL,
    attempts        INTEGER NOT NULL,
    first_serial    INTEGER,          -- of the last sending, like the next three
    packets         INTEGER,
    sent_at         INTEGER,
    acknowledged_at INTEGER,          -- general answer came, the content's is awaited
    answered_at     INTEGER,
    closed_at       INTEGER,          -- NULL while queued or sent
    result          INTEGER,
    reason          TEXT,
    answer          TEXT,             -- JSON
    bytes           INTEGER NOT NULL  -- what it counts for among the limits
) STRICT;
CREATE UNIQUE INDEX commands_by_key ON commands (terminal, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
-- The order of delivery.
CREATE INDEX commands_open ON commands (terminal, is_urgent DESC, number) WHERE closed_at IS NULL;
CREATE INDEX commands_expiring ON commands (expires_at) WHERE closed_at IS NULL;
CREATE INDEX commands_closed ON commands (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX commands_by_terminal ON commands (terminal, number, state);
CREATE INDEX commands_by_state ON commands (state, number);

CREATE TABLE command_history (
    number  INTEGER PRIMARY KEY,
    command INTEGER NOT NULL, -- its number
    at      INTEGER NOT NULL,
    state   TEXT NOT NULL,    -- the state from then on
    detail  TEXT NOT NULL
) STRICT;
CREATE INDEX command_history_of ON command_history (command, number);
