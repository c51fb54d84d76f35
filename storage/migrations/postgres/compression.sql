-- Not numbered: run at any start where the licence allows it and it is not set, so that a server
-- that gets the full licence later begins to compress. What is older than the usual backlog is
-- compressed; later rows still find their way in, at a third of the speed.
ALTER TABLE gridtrace.positions SET (
    timescaledb.compress,
    timescaledb.compress_segmentby = 'terminal',
    timescaledb.compress_orderby = 'fixed_at DESC, digest'
);
SELECT add_compression_policy('gridtrace.positions', INTERVAL '3 days', if_not_exists => true);
