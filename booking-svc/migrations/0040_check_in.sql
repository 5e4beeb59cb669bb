-- Who came in when, and by which scan; all of a ticket that is USED.
ALTER TABLE booking.tickets
    ADD COLUMN used_at  timestamptz,
    ADD COLUMN used_by  uuid,
    -- The Idempotency-Key of the scan.
    ADD COLUMN used_key text;

-- A key is of one scan.
CREATE UNIQUE INDEX tickets_by_scan ON booking.tickets (show_id, used_by, used_key) WHERE used_key IS NOT NULL;
