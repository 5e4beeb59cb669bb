-- A service's outbox. Copy this into the service's own migration with its schema put in.
--
-- Rows live for milliseconds: written in the transaction of the change they tell of, deleted in
-- the one that inserts them into eventlog.events. Vacuumed eagerly, so that the dead rows of a
-- busy minute don't slow the reader of the next.
CREATE TABLE {schema}.outbox (
    position    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          uuid        NOT NULL,
    topic       text        NOT NULL,
    key         text        NOT NULL,
    event_type  text        NOT NULL,
    payload     bytea       NOT NULL,
    occurred_at timestamptz NOT NULL DEFAULT now(),
    -- The trace that it is a part of, if any (W3C).
    traceparent text
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 10000
);
