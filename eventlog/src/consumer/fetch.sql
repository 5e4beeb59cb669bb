-- One index range a topic, whatever other topics wrote in between; one row with the newest event alone
-- where there is nothing to read.
SELECT n.newest AS "newest!", e.seq AS "seq?", e.id AS "id?", e.producer AS "producer?",
       e.topic AS "topic?", e.key AS "key?", e.event_type AS "event_type?", e.payload AS "payload?",
       e.occurred_at AS "occurred_at?", e.traceparent AS "traceparent?",
       EXISTS (SELECT 1 FROM eventlog.troubled_keys k
               WHERE k.consumer = $4 AND k.key = e.key) AS "blocked!"
FROM (SELECT coalesce(max(seq), 0) AS newest FROM eventlog.events) AS n
LEFT JOIN (
    SELECT e.*
    FROM unnest($1::text[]) AS t (topic)
    CROSS JOIN LATERAL (
        SELECT * FROM eventlog.events
        WHERE topic = t.topic AND seq > $2
        ORDER BY seq LIMIT $3
    ) AS e
    ORDER BY e.seq
    LIMIT $3
) AS e ON true
ORDER BY e.seq
