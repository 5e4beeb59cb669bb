SELECT extract(epoch FROM now() - min(oldest.occurred_at))::float8 AS age_s
FROM (
    (SELECT e.occurred_at FROM eventlog.events e
     WHERE e.topic = ANY ($2::text[])
       AND e.seq > coalesce((SELECT c.seq FROM eventlog.consumers c WHERE c.name = $1), 0)
     ORDER BY e.seq LIMIT 1)
    UNION ALL
    (SELECT e.occurred_at FROM eventlog.set_aside s JOIN eventlog.events e USING (seq)
     WHERE s.consumer = $1
     ORDER BY s.seq LIMIT 1)
) AS oldest (occurred_at)
