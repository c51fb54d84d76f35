-- Bits that a rule may give a meaning; NULL where the terminal sent none, and in older rows: item
-- 0x25, item 0x2A, the maker's item that is kept. A column a statement: TimescaleDB takes no more
-- where there is compression. Nothing is rewritten.
ALTER TABLE gridtrace.positions ADD COLUMN vehicle_signals bigint;
ALTER TABLE gridtrace.positions ADD COLUMN io int;
ALTER TABLE gridtrace.positions ADD COLUMN vendor bigint;
ALTER TABLE gridtrace.latest
    ADD COLUMN vehicle_signals bigint,
    ADD COLUMN io int,
    ADD COLUMN vendor bigint;
