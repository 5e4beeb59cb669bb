-- Seats are judged as they are once locked. Locks are taken in one order: the request's name (nobody waits for
-- it), the lineage, the account, the seats.
WITH turn AS MATERIALIZED (
    SELECT pg_try_advisory_xact_lock($1) AND booking.is_current($20) AND NOT booking.is_closing($3) AS is_ours
), locked AS MATERIALIZED (
    SELECT s.seat_no, s.fence, s.state FROM turn, booking.seats s
    WHERE turn.is_ours AND s.show_id = $8 AND s.seat_no = ANY($9)
    ORDER BY s.seat_no FOR NO KEY UPDATE OF s
), whole AS MATERIALIZED (
    SELECT 1 AS it FROM turn
    WHERE is_ours AND cardinality($9) = (
        SELECT count(*) FROM locked WHERE fence < $15 AND state IN ('AVAILABLE', 'HELD'))
), seats AS (
    UPDATE booking.seats s SET state = 'HELD', booking_id = $2, fence = $15, expires_at = $16
    FROM whole, locked l WHERE s.show_id = $8 AND s.seat_no = l.seat_no
), request AS (
    INSERT INTO booking.requests (user_id, idempotency_key, route, body_hash, answer)
    SELECT $3, $4, $5, $6, $7 FROM whole
), directory AS (
    INSERT INTO booking.directory (user_id, booking_id, show_id, idempotency_key, body_hash)
    SELECT $3, $2, $8, $4, $6 FROM whole
), timeline AS (
    INSERT INTO booking.timeline (show_id, booking_id, position, happened, revision, fence)
    SELECT $8, $2, e.position, e.happened, $19, $15
    FROM whole, (VALUES (1, 'HOLD_EXTENDED'), (2, 'CREATED')) AS e (position, happened)
), outbox AS (
    INSERT INTO booking.outbox (id, topic, key, event_type, payload, traceparent)
    SELECT $21, $22, $23, $24, $25, $26 FROM whole
)
INSERT INTO booking.bookings (booking_id, user_id, show_id, seat_nos, amount, currency, price_version,
    state, hold_id, fence, expires_at, pay_until, created_at)
SELECT $2, $3, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18 FROM whole
