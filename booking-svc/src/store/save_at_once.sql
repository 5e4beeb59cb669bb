-- Nothing is written unless the booking is as it was read, the lineage current and every seat there.
WITH turn AS MATERIALIZED (
    SELECT $4::smallint IS NULL OR booking.is_current($4) AS may
), mine AS MATERIALIZED (
    SELECT 1 AS it FROM booking.bookings b
    WHERE b.show_id = $1 AND b.booking_id = $2 AND b.xmin::text = $3 AND (SELECT may FROM turn)
    FOR NO KEY UPDATE
), locked AS MATERIALIZED (
    SELECT s.seat_no, s.booking_id, s.fence, s.state FROM mine, booking.seats s
    WHERE $5::bigint IS NOT NULL AND s.show_id = $1 AND s.seat_no = ANY($6)
    ORDER BY s.seat_no FOR NO KEY UPDATE OF s
), whole AS MATERIALIZED (
    SELECT 1 AS it FROM mine
    WHERE $5::bigint IS NULL OR cardinality($6) = (
        SELECT count(*) FROM locked WHERE booking_id = $2 AND fence = $5 AND state = 'HELD')
), seats AS (
    UPDATE booking.seats s SET state = 'SOLD', expires_at = NULL
    FROM whole, locked l WHERE s.show_id = $1 AND s.seat_no = l.seat_no
), tickets AS (
    INSERT INTO booking.tickets (ticket_id, booking_id, show_id, seat_no, qr_payload)
    SELECT t.ticket_id, $2, $1, t.seat_no, t.qr_payload
    FROM whole, unnest($7::uuid[], $8::int[], $9::text[]) AS t (ticket_id, seat_no, qr_payload)
), payment AS (
    INSERT INTO booking.booking_payments (show_id, booking_id, payment_id, position, amount, currency, fate)
    SELECT $1, $2, $10::uuid, $11, $12, $13, $14 FROM whole WHERE $10::uuid IS NOT NULL
    ON CONFLICT (show_id, payment_id) DO UPDATE SET fate = excluded.fate, fate_since = now()
), timeline AS (
    INSERT INTO booking.timeline (show_id, booking_id, position, happened, reason, revision, fence,
        payment_id, refund_id, amount, currency, seat_nos)
    SELECT $1, $2, last.position + e.place::int, e.happened, e.reason, $25, $21, e.payment_id, e.refund_id,
        e.amount, e.currency, e.seats::int[]
    FROM whole,
        (SELECT coalesce(max(position), 0) AS position FROM booking.timeline
         WHERE show_id = $1 AND booking_id = $2) AS last,
        unnest($26::text[], $27::text[], $28::uuid[], $29::uuid[], $30::bigint[], $31::text[], $32::text[])
            WITH ORDINALITY AS e (happened, reason, payment_id, refund_id, amount, currency, seats, place)
), outbox AS (
    INSERT INTO booking.outbox (id, topic, key, event_type, payload, traceparent)
    SELECT $33::uuid, $34, $35, $36, $37, $38 FROM whole WHERE $33::uuid IS NOT NULL
)
UPDATE booking.bookings b SET state = $15, reason = $16, step = $17, step_ending = $18,
    -- Left as it is while nothing is open, so that no index changes with a booking's session.
    step_due_at = CASE WHEN $17 = 'IDLE' THEN step_due_at ELSE now() + make_interval(secs => $19) END,
    step_tries = 0, hold_id = $20, fence = $21,
    hold_attempt = $22, session_payment_id = $23, payment_url = $24, returned_nos = $39, updated_at = now()
FROM whole WHERE b.show_id = $1 AND b.booking_id = $2
RETURNING b.xmin::text AS "version!"
