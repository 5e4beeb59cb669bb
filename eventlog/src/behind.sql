SELECT count(*) AS "waiting!"
FROM (
    SELECT FROM eventlog.events e
    WHERE e.topic = ANY ($2::text[])
      AND e.seq > greatest(
          $3, coalesce((SELECT c.seq FROM eventlog.consumers c WHERE c.name = $1), 0))
    LIMIT $4
) AS waiting
