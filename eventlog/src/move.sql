-- A statement is a transaction, so a client that stalls can't keep the append lock ('holdfast' in ASCII).
WITH turn AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true), pg_advisory_xact_lock(7525766596398183284)::text
    WHERE EXISTS (SELECT FROM {schema}.outbox)
), taken AS (
    DELETE FROM {schema}.outbox
    WHERE position IN (SELECT o.position FROM turn, {schema}.outbox o ORDER BY o.position LIMIT $1)
    RETURNING position, id, topic, key, event_type, payload, occurred_at, traceparent
), inserted AS (
    INSERT INTO eventlog.events (id, producer, topic, key, event_type, payload, occurred_at, traceparent)
    SELECT id, $2, topic, key, event_type, payload, occurred_at, traceparent
    FROM taken ORDER BY position
    RETURNING topic
)
SELECT (SELECT count(*) FROM inserted) AS moved, count(pg_notify('eventlog_events', topic)) AS told
FROM (SELECT DISTINCT topic FROM inserted) AS topics
