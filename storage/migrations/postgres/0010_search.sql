-- What people look for cases by: the words of a case in small letters, beside the wide table.
-- An empty text is not there. Which letters of the rows that are there become small, the locale of
-- the database says: with "C" those of ASCII.
CREATE TABLE gridtrace.case_texts (
    case_id uuid PRIMARY KEY,
    text    text NOT NULL
);
INSERT INTO gridtrace.case_texts
SELECT id, lower(words) FROM (
    SELECT c.id, concat_ws(E'\n', nullif(c.body ->> 'description', ''),
        (SELECT string_agg(DISTINCT word, E'\n')
         FROM jsonb_array_elements(c.body -> 'intervals') i,
              unnest(ARRAY[i #>> '{violation,rule,name}', i #>> '{violation,vehicle}']) word
         WHERE word <> '')) AS words
    FROM gridtrace.cases c) told
WHERE words <> '';
CREATE INDEX receiver_numbers_by_number
    ON gridtrace.receiver_numbers ((lower(number)) COLLATE "C" text_pattern_ops);
