-- What people look for cases by: the words of a case in small letters, beside the wide table.
-- An empty text is not there. `lowered` is the gateway's: `lower` knows the letters of ASCII alone.
CREATE TABLE case_texts (
    case_id TEXT PRIMARY KEY,
    text    TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO case_texts
SELECT id, lowered(trim(words, char(10))) FROM (
    SELECT c.id, coalesce(json_extract(c.body, '$.description'), '') || char(10) ||
        coalesce((SELECT group_concat(word, char(10)) FROM (
            SELECT DISTINCT word FROM (
                SELECT json_extract(i.value, '$.violation.rule.name') AS word
                FROM json_each(c.body, '$.intervals') i
                UNION ALL
                SELECT json_extract(i.value, '$.violation.vehicle')
                FROM json_each(c.body, '$.intervals') i)
            WHERE word <> '')), '') AS words
    FROM cases c)
WHERE trim(words, char(10)) <> '';
CREATE INDEX receiver_numbers_by_number ON receiver_numbers (lower(number));
