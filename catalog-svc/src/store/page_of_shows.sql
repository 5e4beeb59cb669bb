SELECT s.show_id
FROM catalog.shows s
JOIN catalog.events e ON e.event_id = s.event_id
JOIN catalog.plans p ON p.plan_id = s.plan_id
JOIN catalog.venues v ON v.venue_id = p.venue_id
WHERE s.state <> 'DRAFT'
  AND ($1::text IS NULL OR e.category = $1)
  AND ($2::text IS NULL OR lower(v.city) = lower($2))
  AND s.starts_at >= $3
  AND ($4::timestamptz IS NULL OR s.starts_at < $4)
  AND ($5::timestamptz IS NULL OR (s.starts_at, s.show_id) > ($5, $6::uuid))
ORDER BY s.starts_at, s.show_id
LIMIT $7
