-- One row for each broken promise; see audit.rs. One statement, so one snapshot.
WITH confirmed AS (
    SELECT b.booking_id, b.show_id, b.fence,
        cardinality(b.seat_nos) - cardinality(b.returned_nos) AS seats
    FROM booking.bookings b WHERE b.state = 'CONFIRMED'
),
sold AS (
    SELECT c.booking_id, c.seats,
        (SELECT count(*) FROM booking.seats s
         JOIN booking.bookings b ON b.show_id = c.show_id AND b.booking_id = c.booking_id
         WHERE s.show_id = c.show_id AND s.seat_no = ANY (b.seat_nos) AND s.state = 'SOLD'
             AND s.booking_id = c.booking_id AND s.fence = c.fence) AS sold,
        (SELECT count(*) FROM booking.tickets t
         WHERE t.show_id = c.show_id AND t.booking_id = c.booking_id AND t.state <> 'VOID') AS tickets,
        (SELECT count(*) FROM booking.booking_payments p
         WHERE p.show_id = c.show_id AND p.booking_id = c.booking_id AND p.fate = 'KEPT') AS kept
    FROM confirmed c
),
findings AS (
    SELECT 'BK-1' AS invariant, NULL::uuid AS booking_id,
        format('seat %s of show %s has %s tickets that are not void', seat_no, show_id, count(*)) AS what
    FROM booking.tickets WHERE state <> 'VOID' GROUP BY show_id, seat_no HAVING count(*) > 1
    UNION ALL
    SELECT 'BK-3', booking_id,
        format('confirmed with %s seats, of which %s are sold to it and %s have tickets', seats, sold, tickets)
    FROM sold WHERE sold <> seats OR tickets <> seats
    UNION ALL
    SELECT 'BK-2', booking_id, format('confirmed with %s kept payments', kept)
    FROM sold WHERE kept <> 1
    UNION ALL
    SELECT 'BK-2', p.booking_id, format('payment %s is %s, the booking %s', p.payment_id, p.fate, coalesce(b.state, 'unknown'))
    FROM booking.booking_payments p LEFT JOIN booking.bookings b USING (show_id, booking_id)
    WHERE (p.fate = 'KEPT' AND b.state <> 'CONFIRMED') OR (p.fate = 'PENDING' AND b.step = 'IDLE') OR b.state IS NULL
    UNION ALL
    SELECT 'BK-2', booking_id, format('payment %s is %s since %s', payment_id, fate, fate_since)
    FROM booking.booking_payments
    WHERE fate IN ('PENDING', 'REFUNDING') AND fate_since < now() - make_interval(mins => 15)
    UNION ALL
    SELECT 'BK-2', p.booking_id, format('payment %s was captured with %s, and %s go back', p.payment_id, p.amount, sum(r.amount))
    FROM booking.booking_payments p JOIN booking.refunds r USING (show_id, payment_id)
    GROUP BY p.payment_id, p.booking_id, p.amount, p.fate, p.parts
    HAVING sum(r.amount) <> CASE p.fate WHEN 'KEPT' THEN (SELECT coalesce(sum(part), 0) FROM unnest(p.parts) AS part) ELSE p.amount END
    UNION ALL
    SELECT 'BK-2', p.booking_id, format('payment %s is %s and nobody asks for its refund', p.payment_id, p.fate)
    FROM booking.booking_payments p LEFT JOIN booking.refunds r USING (show_id, refund_id)
    WHERE p.fate = 'REFUNDING' AND r.ask_at IS NULL
    UNION ALL
    SELECT 'BK-3', s.booking_id, format('seat %s of show %s is sold to a booking that is %s',
        s.seat_no, s.show_id, coalesce(b.state, 'unknown'))
    FROM booking.seats s LEFT JOIN booking.bookings b USING (show_id, booking_id)
    WHERE s.state = 'SOLD' AND b.state IS DISTINCT FROM 'CONFIRMED'
    UNION ALL
    SELECT 'BK-3', t.booking_id, format('ticket %s is %s, the booking %s', t.ticket_id, t.state, coalesce(b.state, 'unknown'))
    FROM booking.tickets t LEFT JOIN booking.bookings b USING (show_id, booking_id)
    WHERE (t.state <> 'VOID' AND b.state <> 'CONFIRMED') OR b.state IS NULL
    UNION ALL
    SELECT 'BK-2', r.booking_id, format('refund %s is of a payment that no booking has', r.refund_id)
    FROM booking.refunds r LEFT JOIN booking.booking_payments p USING (show_id, payment_id)
    WHERE p.booking_id IS DISTINCT FROM r.booking_id
    UNION ALL
    SELECT 'BK-3', b.booking_id, format('user %s has a booking that is not in the directory', b.user_id)
    FROM booking.bookings b LEFT JOIN booking.directory d USING (user_id, booking_id)
    WHERE d.show_id IS DISTINCT FROM b.show_id
    UNION ALL
    SELECT 'BK-3', d.booking_id, format('the directory has a booking of user %s that is not there', d.user_id)
    FROM booking.directory d JOIN booking.shows s USING (show_id)
    LEFT JOIN booking.bookings b USING (show_id, booking_id)
    WHERE b.booking_id IS NULL
    UNION ALL
    SELECT DISTINCT 'BK-3', t.booking_id, 'a timeline is of a booking that is not there'
    FROM booking.timeline t LEFT JOIN booking.bookings b USING (show_id, booking_id)
    WHERE b.booking_id IS NULL
)
SELECT invariant AS "invariant!", booking_id, what AS "what!" FROM findings ORDER BY 1, 2, 3 LIMIT $1
