-- What happened to a case on several days counts once in a month. All else is counted without
-- looking at the cases.
ALTER TABLE case_events ADD COLUMN is_repeated INTEGER NOT NULL DEFAULT 0;
UPDATE case_events SET is_repeated = 1 WHERE (case_id, event) IN
    (SELECT case_id, event FROM case_events GROUP BY 1, 2 HAVING count(*) > 1);
CREATE INDEX case_events_repeated ON case_events (day) WHERE is_repeated;
