-- What happened to a case on several days counts once in a month. All else is counted without
-- looking at the cases.
ALTER TABLE gridtrace.case_events ADD COLUMN is_repeated boolean NOT NULL DEFAULT false;
UPDATE gridtrace.case_events e SET is_repeated = true
FROM (SELECT case_id, event FROM gridtrace.case_events GROUP BY 1, 2 HAVING count(*) > 1) r
WHERE e.case_id = r.case_id AND e.event = r.event;
CREATE INDEX case_events_repeated ON gridtrace.case_events (day) WHERE is_repeated;
