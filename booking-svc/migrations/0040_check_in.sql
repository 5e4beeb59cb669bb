-- Who came in when, and by which scan; all of a ticket that is USED.
ALTER TABLE booking.tickets
    ADD COLUMN used_at  timestamptz,
    ADD COLUMN used_by  uuid,
    -- The Idempotency-Key of the scan.
    ADD COLUMN used_key text;
