-- Snapshots come in large numbers, all of one moment. They are written ahead, in transactions of a bounded size, with
-- the number behind the one in force; the last transaction puts that number in force.
CREATE TABLE snapshot_versions (
    key    TEXT NOT NULL,
    number INTEGER NOT NULL, -- of a key, the highest one that is in force counts
    bytes  BLOB NOT NULL,
    PRIMARY KEY (key, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE snapshots_in_force (
    number   INTEGER NOT NULL, -- this one and all below it
    is_ahead INTEGER NOT NULL  -- there may be some above it
) STRICT;
INSERT INTO snapshots_in_force VALUES (0, 0);
INSERT INTO snapshot_versions SELECT key, 0, bytes FROM snapshots;
DROP TABLE snapshots;

CREATE VIEW snapshots AS
SELECT key, bytes
FROM snapshot_versions v
WHERE number = (SELECT max(number) FROM snapshot_versions
                WHERE key = v.key AND number <= (SELECT number FROM snapshots_in_force));
