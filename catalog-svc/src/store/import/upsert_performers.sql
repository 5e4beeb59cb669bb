WITH asked AS (
    SELECT *
    FROM unnest($3::uuid[], $4::text[], $5::text[]) AS a (performer_id, external_id, name)
)
INSERT INTO catalog.performers AS there (performer_id, owner_id, source, external_id, name)
SELECT a.performer_id, $1, $2, a.external_id, a.name
FROM asked a
WHERE NOT EXISTS (
    SELECT FROM catalog.performers p WHERE p.performer_id = a.performer_id AND p.name = a.name)
ORDER BY a.performer_id
ON CONFLICT (performer_id) DO UPDATE SET name = excluded.name
WHERE there.owner_id = excluded.owner_id
RETURNING there.performer_id AS id, (there.xmax = 0) AS "is_new!"
