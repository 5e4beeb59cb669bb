-- Which trace an event belongs to (W3C traceparent), so that whoever handles it continues it.

ALTER TABLE eventlog.events ADD COLUMN traceparent text;

-- As before, and carries the column where the producer's outbox has it: a service of the release
-- before moves its rows by this function too, and one of this release by the old one's, until all
-- are upgraded.
CREATE OR REPLACE FUNCTION eventlog.move_outbox(producer text, batch integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    waiting     boolean;
    traceparent text;
    moved       integer;
    topics      text[];
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I.outbox)', producer) INTO waiting;
    IF NOT waiting THEN
        RETURN 0;
    END IF;
    SELECT CASE WHEN EXISTS (
        SELECT 1 FROM pg_attribute
        WHERE attrelid = format('%I.outbox', producer)::regclass
          AND attname = 'traceparent' AND NOT attisdropped
    ) THEN 'traceparent' ELSE 'NULL::text' END INTO traceparent;
    PERFORM pg_advisory_xact_lock(7525766596398183284);
    EXECUTE format(
        'WITH taken AS (
             DELETE FROM %1$I.outbox
             WHERE position IN (SELECT position FROM %1$I.outbox ORDER BY position LIMIT $1)
             RETURNING position, id, topic, key, event_type, payload, occurred_at,
                       %2$s AS traceparent
         ), inserted AS (
             INSERT INTO eventlog.events
                 (id, producer, topic, key, event_type, payload, occurred_at, traceparent)
             SELECT id, $2, topic, key, event_type, payload, occurred_at, traceparent
             FROM taken ORDER BY position
             RETURNING topic
         )
         SELECT count(*), array_agg(DISTINCT topic) FROM inserted',
        producer, traceparent
    ) INTO moved, topics USING batch, producer;
    PERFORM pg_notify('eventlog_events', t) FROM unnest(topics) AS t;
    RETURN moved;
END
$$;
