-- Bits that a rule may give a meaning; NULL where the terminal sent none, and in older rows: item
-- 0x25, item 0x2A, the maker's item that is kept. Nothing is rewritten, compressed chunks neither.
ALTER TABLE gridtrace.positions
    ADD COLUMN vehicle_signals bigint,
    ADD COLUMN io int,
    ADD COLUMN vendor bigint;
ALTER TABLE gridtrace.latest
    ADD COLUMN vehicle_signals bigint,
    ADD COLUMN io int,
    ADD COLUMN vendor bigint;
