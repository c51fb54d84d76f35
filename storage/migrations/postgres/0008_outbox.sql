-- What other systems must hear about cases.

-- The sequence of a case's newest event; it stays when the events go.
CREATE TABLE gridtrace.outbox_cases (
    case_id  uuid   PRIMARY KEY,
    sequence bigint NOT NULL
);

CREATE TABLE gridtrace.outbox_events (
    number     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- the order of planning
    case_id    uuid        NOT NULL,
    sequence   bigint      NOT NULL,
    kind       text        NOT NULL,
    at         timestamptz NOT NULL,
    is_planned boolean     NOT NULL,
    content    text        NOT NULL, -- JSON: the case as it was then, and the lines of its history
    UNIQUE (case_id, sequence)
);
CREATE INDEX outbox_events_unplanned ON gridtrace.outbox_events (number) WHERE NOT is_planned;

CREATE TABLE gridtrace.deliveries (
    id          uuid        PRIMARY KEY, -- the idempotency key
    receiver    text        COLLATE "C" NOT NULL,
    case_id     uuid        NOT NULL,
    sequence    bigint      NOT NULL,
    kind        text        NOT NULL,
    state       text        NOT NULL,
    since       timestamptz NOT NULL,
    attempts    bigint      NOT NULL,
    next_at     timestamptz NOT NULL,
    finished_at timestamptz,
    status      bigint,
    said        text        NOT NULL
);
CREATE INDEX deliveries_due ON gridtrace.deliveries (receiver, next_at) WHERE state = 'pending';
CREATE INDEX deliveries_pending ON gridtrace.deliveries (receiver, case_id, sequence)
    WHERE state = 'pending';
CREATE INDEX deliveries_of ON gridtrace.deliveries (case_id, sequence);
CREATE INDEX deliveries_listed ON gridtrace.deliveries (since, id);
CREATE INDEX deliveries_by_state ON gridtrace.deliveries (state, since, id);
CREATE INDEX deliveries_finished ON gridtrace.deliveries (finished_at)
    WHERE finished_at IS NOT NULL;

-- The number that a case has with a receiver.
CREATE TABLE gridtrace.receiver_numbers (
    case_id  uuid        NOT NULL,
    receiver text        COLLATE "C" NOT NULL,
    number   text        NOT NULL,
    at       timestamptz NOT NULL,
    PRIMARY KEY (case_id, receiver)
);

-- Moves that receivers asked for, by the key that they gave.
CREATE TABLE gridtrace.callbacks (
    receiver text        COLLATE "C" NOT NULL,
    key      text        COLLATE "C" NOT NULL,
    case_id  uuid        NOT NULL,
    at       timestamptz NOT NULL,
    digest   text        NOT NULL,
    sent     bigint      NOT NULL, -- seconds since 1970 that the newest request was signed with
    outcome  text, -- NULL while nobody knows
    PRIMARY KEY (receiver, key)
);
CREATE INDEX callbacks_of ON gridtrace.callbacks (case_id, receiver, key);
CREATE INDEX callbacks_by_time ON gridtrace.callbacks (at);
