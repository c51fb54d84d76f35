-- Batches are written in the order of terminals. By the moment, the reports of one terminal lay far apart in the
-- index, and a batch changed nearly all of its pages; by ten seconds, neighbours share them.
DROP INDEX positions_by_time;
CREATE INDEX positions_by_ten_seconds ON positions (fixed_at / 10000);
