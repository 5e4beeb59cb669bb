SELECT t.consumer, t.key, t.tries, t.error, t.since,
       (SELECT e.event_type
        FROM eventlog.set_aside s JOIN eventlog.events e ON e.seq = s.seq
        WHERE s.consumer = t.consumer AND s.key = t.key
        ORDER BY s.seq LIMIT 1) AS "event_type?",
       (SELECT count(*) FROM eventlog.set_aside s
        WHERE s.consumer = t.consumer AND s.key = t.key) AS "waiting!"
FROM eventlog.troubled_keys t
WHERE t.state = 'PARKED'
ORDER BY t.since, t.consumer, t.key
LIMIT $1
