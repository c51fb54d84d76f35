-- Bits that a rule may give a meaning; NULL where the terminal sent none, and in older rows.
ALTER TABLE positions ADD COLUMN vehicle_signals INTEGER; -- item 0x25
ALTER TABLE positions ADD COLUMN io              INTEGER; -- item 0x2A
ALTER TABLE positions ADD COLUMN vendor          INTEGER; -- the maker's item that is kept
