-- The stream in partitions of five million places, so that what everybody is long past is dropped as a
-- whole: no row is deleted, no index swept.

-- Which there are; the first begins at 1.
CREATE TABLE eventlog.partitions (
    -- Places below this one, from the last one's on.
    below bigint PRIMARY KEY,
    name  text NOT NULL UNIQUE
);

ALTER TABLE eventlog.set_aside DROP CONSTRAINT set_aside_seq_fkey;
ALTER TABLE eventlog.events RENAME TO events_first;
-- A move takes a row from the outbox as it writes it here, so none comes twice.
ALTER TABLE eventlog.events_first DROP CONSTRAINT events_id_key;
ALTER TABLE eventlog.events_first RENAME CONSTRAINT events_pkey TO events_first_pkey;
ALTER INDEX eventlog.events_by_topic RENAME TO events_first_by_topic;
CREATE SEQUENCE eventlog.event_places AS bigint;
SELECT setval('eventlog.event_places', nextval(pg_get_serial_sequence('eventlog.events_first', 'seq')));
ALTER TABLE eventlog.events_first ALTER COLUMN seq DROP IDENTITY;

CREATE TABLE eventlog.events (
    -- Given under the append lock (see move_outbox), so that a smaller seq was committed earlier
    -- and a reader at seq n never misses one below it. Gaps mean rolled-back moves.
    seq         bigint PRIMARY KEY DEFAULT nextval('eventlog.event_places'),
    id          uuid        NOT NULL,
    producer    text        NOT NULL,
    topic       text        NOT NULL,
    key         text        NOT NULL,
    event_type  text        NOT NULL,
    payload     bytea       NOT NULL,
    occurred_at timestamptz NOT NULL,
    traceparent text
) PARTITION BY RANGE (seq);
CREATE INDEX events_by_topic ON eventlog.events (topic, seq);

-- What was there is the first partition, filled up to a whole five million.
DO $$
DECLARE
    below bigint := ((SELECT last_value FROM eventlog.event_places) / 5000000 + 1) * 5000000;
BEGIN
    EXECUTE format('ALTER TABLE eventlog.events ATTACH PARTITION eventlog.events_first
                    FOR VALUES FROM (MINVALUE) TO (%s)', below);
    INSERT INTO eventlog.partitions VALUES (below, 'events_first');
END
$$;
ALTER TABLE eventlog.set_aside
    ADD CONSTRAINT set_aside_seq_fkey FOREIGN KEY (seq) REFERENCES eventlog.events (seq);

-- Sees to it that four partitions are there beyond the one that is being filled; returns how many it
-- made. Each is made by itself and then attached, which holds up nobody who reads or writes the stream, and
-- for a moment who sets events aside.
CREATE FUNCTION eventlog.add_partitions() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET lock_timeout = '1s' AS $$
DECLARE
    size  constant bigint := 5000000;
    ahead constant bigint := 4;
    at    bigint;
    upper bigint;
    added integer := 0;
BEGIN
    -- One at a time; 'hfpart' in ASCII.
    PERFORM pg_advisory_xact_lock(114789181387380);
    SELECT last_value INTO at FROM eventlog.event_places;
    SELECT max(below) INTO upper FROM eventlog.partitions;
    WHILE upper <= at + ahead * size LOOP
        EXECUTE format('CREATE TABLE eventlog.events_below_%s
                        (LIKE eventlog.events INCLUDING DEFAULTS INCLUDING INDEXES)', upper + size);
        EXECUTE format('ALTER TABLE eventlog.events ATTACH PARTITION eventlog.events_below_%s
                        FOR VALUES FROM (%s) TO (%s)', upper + size, upper, upper + size);
        upper := upper + size;
        INSERT INTO eventlog.partitions VALUES (upper, format('events_below_%s', upper));
        added := added + 1;
    END LOOP;
    RETURN added;
END
$$;
REVOKE EXECUTE ON FUNCTION eventlog.add_partitions() FROM PUBLIC;
SELECT eventlog.add_partitions();

-- Drops one full partition whose events are older than `kept_days`, that every consumer has passed and of
-- which none waits behind a key; returns how many events were in it, 0 if there is none such. The release
-- before deleted rows, at most `batch`, which means nothing here.
--
-- Who reads and writes waits while it waits for its lock, so that is short: while somebody reads for long, a
-- backup, it fails and is tried again later.
--
-- Runs as its owner: a service may forget in this one way, and can't change history in any other.
CREATE OR REPLACE FUNCTION eventlog.prune(kept_days integer, batch integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET lock_timeout = '50ms' AS $$
DECLARE
    passed bigint;
    first  bigint := 0;
    old    record;
    newest timestamptz;
    events bigint;
BEGIN
    SELECT min(c.seq) INTO passed FROM eventlog.consumers c;
    FOR old IN SELECT p.below, p.name FROM eventlog.partitions p WHERE p.below <= passed + 1 ORDER BY p.below LOOP
        EXECUTE format('SELECT max(occurred_at) FROM (SELECT occurred_at FROM eventlog.%I
                        ORDER BY seq DESC LIMIT 1000) AS last', old.name) INTO newest;
        IF coalesce(newest, '-infinity') < now() - make_interval(days => greatest(kept_days, 1))
           AND NOT EXISTS (SELECT 1 FROM eventlog.set_aside s WHERE s.seq >= first AND s.seq < old.below)
        THEN
            EXECUTE format('SELECT count(*) FROM eventlog.%I', old.name) INTO events;
            EXECUTE format('ALTER TABLE eventlog.events DETACH PARTITION eventlog.%I', old.name);
            EXECUTE format('DROP TABLE eventlog.%I', old.name);
            DELETE FROM eventlog.partitions p WHERE p.below = old.below;
            RETURN events;
        END IF;
        first := old.below;
    END LOOP;
    RETURN 0;
END
$$;
REVOKE EXECUTE ON FUNCTION eventlog.prune(integer, integer) FROM PUBLIC;

-- As before, and commits without waiting for the disk. That is safe: what a crash takes back is in the
-- outbox again, because its row went in the same transaction; and whatever was written because somebody
-- had read the event comes later in the log, so it is there only if the event is.
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
    PERFORM set_config('synchronous_commit', 'off', true);
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

CREATE OR REPLACE FUNCTION eventlog.grant_service(role_name text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA eventlog TO %I', role_name);
    EXECUTE format('GRANT SELECT, INSERT ON eventlog.events TO %I', role_name);
    EXECUTE format('GRANT USAGE ON SEQUENCE eventlog.event_places TO %I', role_name);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON eventlog.consumers TO %I', role_name);
    EXECUTE format(
        'GRANT SELECT, INSERT, UPDATE, DELETE ON eventlog.troubled_keys, eventlog.set_aside TO %I',
        role_name
    );
    EXECUTE format(
        'GRANT EXECUTE ON FUNCTION eventlog.move_outbox(text, integer),
             eventlog.prune(integer, integer), eventlog.add_partitions() TO %I',
        role_name
    );
END
$$;
-- Whoever could write before still can.
DO $$
DECLARE
    service record;
BEGIN
    FOR service IN
        SELECT DISTINCT grantee FROM information_schema.role_table_grants
        WHERE table_schema = 'eventlog' AND table_name = 'events_first'
          AND privilege_type = 'INSERT' AND grantee <> current_user
    LOOP
        PERFORM eventlog.grant_service(service.grantee);
    END LOOP;
END
$$;
