WITH asked AS (
    SELECT *
    FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[])
        AS a (event_id, external_id, title, description, category, segment, genre, sub_genre)
)
INSERT INTO catalog.events AS there
    (event_id, owner_id, source, external_id, title, description, category, segment, genre, sub_genre)
SELECT a.event_id, $1, $2, a.external_id, a.title, a.description, a.category,
       a.segment, a.genre, a.sub_genre
FROM asked a
WHERE NOT EXISTS (
    SELECT FROM catalog.events e
    WHERE e.event_id = a.event_id
      AND (e.title, e.description, e.category, e.segment, e.genre, e.sub_genre)
        = (a.title, a.description, a.category, a.segment, a.genre, a.sub_genre))
ORDER BY a.event_id
ON CONFLICT (event_id) DO UPDATE SET
    title = excluded.title, description = excluded.description, category = excluded.category,
    segment = excluded.segment, genre = excluded.genre, sub_genre = excluded.sub_genre
WHERE there.owner_id = excluded.owner_id
RETURNING there.event_id AS id, (there.xmax = 0) AS "is_new!"
