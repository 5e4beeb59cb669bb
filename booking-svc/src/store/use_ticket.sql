-- The booking is locked first, as by everybody who changes its tickets.
WITH ticket AS MATERIALIZED (
    SELECT booking_id FROM booking.tickets WHERE show_id = $1 AND seat_no = $2 AND ticket_id = $3
), locked AS MATERIALIZED (
    SELECT b.booking_id FROM ticket t, booking.bookings b
    WHERE b.show_id = $1 AND b.booking_id = t.booking_id
    FOR NO KEY UPDATE OF b
)
UPDATE booking.tickets t SET state = 'USED', used_at = now(), used_by = $4, used_key = $5
FROM locked l
WHERE t.show_id = $1 AND t.booking_id = l.booking_id AND t.seat_no = $2 AND t.ticket_id = $3
    AND t.state = 'VALID'
    AND NOT EXISTS (SELECT FROM booking.tickets o
        WHERE o.show_id = $1 AND o.used_by = $4 AND o.used_key = $5)
