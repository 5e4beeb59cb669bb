-- The first of each category are the first of all: a page costs a page of one range of the index for
-- each category that belongs to the one that was asked for.
SELECT s.show_id
FROM unnest($5::text[]) AS within (category)
CROSS JOIN LATERAL (
    SELECT show_id, starts_at
    FROM catalog.shows
    WHERE is_public
      AND category = within.category
      AND (starts_at, show_id) > ($1, $2::uuid)
      AND starts_at < $3
    ORDER BY starts_at, show_id
    LIMIT $4
) AS s
ORDER BY s.starts_at, s.show_id
LIMIT $4
