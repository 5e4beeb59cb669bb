-- The stream forgets what everybody is long past.

-- For the check that no deleted event is waited for.
CREATE INDEX set_aside_by_seq ON eventlog.set_aside (seq);

-- Deletes up to `batch` of the oldest events that are older than `kept_days`, that every consumer
-- has passed and that wait behind no key; returns how many. Looks at no more than `batch` events,
-- oldest first, so a call costs the same however long the stream is.
--
-- Runs as its owner: a service may forget in this one way, and can't change history in any other.
CREATE FUNCTION eventlog.prune(kept_days integer, batch integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    pruned integer;
BEGIN
    WITH oldest AS (
        SELECT e.seq, e.occurred_at
        FROM eventlog.events e
        WHERE e.seq <= (SELECT min(c.seq) FROM eventlog.consumers c)
          AND NOT EXISTS (SELECT 1 FROM eventlog.set_aside s WHERE s.seq = e.seq)
        ORDER BY e.seq
        LIMIT batch
    )
    DELETE FROM eventlog.events e
    USING oldest o
    WHERE e.seq = o.seq
      AND o.occurred_at < now() - make_interval(days => greatest(kept_days, 1));
    GET DIAGNOSTICS pruned = ROW_COUNT;
    RETURN pruned;
END
$$;
REVOKE EXECUTE ON FUNCTION eventlog.prune(integer, integer) FROM PUBLIC;

CREATE OR REPLACE FUNCTION eventlog.grant_service(role_name text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA eventlog TO %I', role_name);
    EXECUTE format('GRANT SELECT, INSERT ON eventlog.events TO %I', role_name);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON eventlog.consumers TO %I', role_name);
    EXECUTE format(
        'GRANT SELECT, INSERT, UPDATE, DELETE ON eventlog.troubled_keys, eventlog.set_aside TO %I',
        role_name
    );
    EXECUTE format(
        'GRANT EXECUTE ON FUNCTION eventlog.move_outbox(text, integer),
             eventlog.prune(integer, integer) TO %I',
        role_name
    );
END
$$;
