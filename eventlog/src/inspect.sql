SELECT t.consumer, t.key, t.state, t.tries, t.failures, t.error, t.since,
       CASE t.state WHEN 'RETRYING' THEN t.next_try_at END AS next_try_at,
       (SELECT count(*) FROM eventlog.set_aside s
        WHERE s.consumer = t.consumer AND s.key = t.key) AS "waiting!"
FROM eventlog.troubled_keys t
WHERE t.consumer = $1 AND t.key = $2
