SELECT show_id
FROM catalog.shows
WHERE is_public
  AND city_key = lower($5::text)
  AND category = ANY ($6::text[])
  AND (starts_at, show_id) > ($1, $2::uuid)
  AND starts_at < $3
ORDER BY starts_at, show_id
LIMIT $4
