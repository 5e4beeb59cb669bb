INSERT INTO eventlog.troubled_keys
    (consumer, key, state, tries, failures, error, next_try_at)
VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))
ON CONFLICT (consumer, key) DO UPDATE
SET state = excluded.state, tries = excluded.tries, failures = excluded.failures,
    error = excluded.error, next_try_at = excluded.next_try_at
