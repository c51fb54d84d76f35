-- Codes as keyed digests (32 bytes), never as text. A row of version 1 has none: its terminal's
-- code was derived from the phone number, and goes on to open.
ALTER TABLE terminals ADD COLUMN code_hash          BLOB; -- the one that was used last, or the first one
ALTER TABLE terminals ADD COLUMN issued_hash        BLOB; -- given since, not used yet
ALTER TABLE terminals ADD COLUMN issued_before_hash BLOB; -- the one before that

-- What happened to terminals. Bounded by age, and by count for each of them.
CREATE TABLE terminal_events (
    number   INTEGER PRIMARY KEY, -- in the order of writing
    terminal TEXT    NOT NULL,
    at       INTEGER NOT NULL,    -- ms since 1970
    kind     TEXT    NOT NULL,
    detail   TEXT    NOT NULL,    -- a word or two; may be empty
    address  TEXT                 -- of the peer; without the port
) STRICT;
CREATE INDEX terminal_events_by_terminal ON terminal_events (terminal, number);
CREATE INDEX terminal_events_by_age ON terminal_events (at);
