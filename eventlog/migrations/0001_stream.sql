-- The stream, its consumers, and the events that wait behind a key in trouble.

CREATE TABLE eventlog.events (
    -- Given under the append lock (see move_outbox), so that a smaller seq was committed earlier
    -- and a reader at seq n never misses one below it. Gaps mean rolled-back moves.
    seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          uuid        NOT NULL UNIQUE,
    producer    text        NOT NULL,
    topic       text        NOT NULL,
    key         text        NOT NULL,
    event_type  text        NOT NULL,
    payload     bytea       NOT NULL,
    occurred_at timestamptz NOT NULL
);
CREATE INDEX events_by_topic ON eventlog.events (topic, seq);

CREATE TABLE eventlog.consumers (
    name       text PRIMARY KEY,
    -- Every event of the consumer's topics up to here is handled or in set_aside.
    seq        bigint      NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- A key whose earliest unhandled event failed. Later events of the key wait behind it.
CREATE TABLE eventlog.troubled_keys (
    consumer    text        NOT NULL REFERENCES eventlog.consumers (name),
    key         text        NOT NULL,
    state       text        NOT NULL CHECK (state IN ('RETRYING', 'PARKED')),
    -- Tries in a row without success: decides the backoff.
    tries       integer     NOT NULL,
    -- Those of them that count towards parking (an unavailable dependency doesn't).
    failures    integer     NOT NULL,
    error       text        NOT NULL,
    since       timestamptz NOT NULL DEFAULT now(),
    next_try_at timestamptz NOT NULL,
    PRIMARY KEY (consumer, key)
);
CREATE INDEX troubled_keys_due ON eventlog.troubled_keys (consumer, next_try_at)
    WHERE state = 'RETRYING';

-- Events the cursor has passed that are not handled yet: those of troubled keys.
CREATE TABLE eventlog.set_aside (
    consumer text   NOT NULL REFERENCES eventlog.consumers (name),
    seq      bigint NOT NULL REFERENCES eventlog.events (seq),
    key      text   NOT NULL,
    PRIMARY KEY (consumer, seq)
);
CREATE INDEX set_aside_by_key ON eventlog.set_aside (consumer, key, seq);

-- Moves up to `batch` committed rows of a producer's outbox into the stream and returns how many.
--
-- One statement is one transaction, so a client that stalls can't keep the append lock. The lock
-- (an arbitrary constant: 'holdfast' in ASCII) is held until the commit is visible: whoever gets
-- it next is given larger seqs. The read that follows it takes a new snapshot, so two movers of
-- one outbox never see the same row.
CREATE FUNCTION eventlog.move_outbox(producer text, batch integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    waiting boolean;
    moved   integer;
    topics  text[];
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I.outbox)', producer) INTO waiting;
    IF NOT waiting THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(7525766596398183284);
    EXECUTE format(
        'WITH taken AS (
             DELETE FROM %1$I.outbox
             WHERE position IN (SELECT position FROM %1$I.outbox ORDER BY position LIMIT $1)
             RETURNING position, id, topic, key, event_type, payload, occurred_at
         ), inserted AS (
             INSERT INTO eventlog.events (id, producer, topic, key, event_type, payload, occurred_at)
             SELECT id, $2, topic, key, event_type, payload, occurred_at
             FROM taken ORDER BY position
             RETURNING topic
         )
         SELECT count(*), array_agg(DISTINCT topic) FROM inserted',
        producer
    ) INTO moved, topics USING batch, producer;
    PERFORM pg_notify('eventlog_events', t) FROM unnest(topics) AS t;
    RETURN moved;
END
$$;

-- What a service's role needs to produce and consume. Run by the schema's owner.
CREATE FUNCTION eventlog.grant_service(role_name text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA eventlog TO %I', role_name);
    EXECUTE format('GRANT SELECT, INSERT ON eventlog.events TO %I', role_name);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON eventlog.consumers TO %I', role_name);
    EXECUTE format(
        'GRANT SELECT, INSERT, UPDATE, DELETE ON eventlog.troubled_keys, eventlog.set_aside TO %I',
        role_name
    );
    EXECUTE format('GRANT EXECUTE ON FUNCTION eventlog.move_outbox(text, integer) TO %I', role_name);
END
$$;
REVOKE EXECUTE ON FUNCTION eventlog.grant_service(text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION eventlog.move_outbox(text, integer) FROM PUBLIC;
