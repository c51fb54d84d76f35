-- Not numbered: run at any start where the licence allows it and it is not set, so that a server
-- that gets the full licence later begins to compress. When is said by a policy (hypertable.rs).
ALTER TABLE gridtrace.positions SET (
    timescaledb.compress,
    timescaledb.compress_segmentby = 'terminal',
    timescaledb.compress_orderby = 'fixed_at DESC, digest'
);
