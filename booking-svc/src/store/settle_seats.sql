WITH locked AS (
    SELECT s.show_id, s.seat_no
    FROM unnest($1::uuid[], $2::int[], $3::uuid[], $4::bigint[]) AS e (show_id, seat_no, booking_id, fence)
    JOIN booking.seats s ON s.show_id = e.show_id AND s.seat_no = e.seat_no
        AND s.booking_id = e.booking_id AND s.fence = e.fence
    ORDER BY s.show_id, s.seat_no FOR NO KEY UPDATE OF s)
UPDATE booking.seats s SET state = 'AVAILABLE', booking_id = NULL, expires_at = NULL
FROM locked l WHERE s.show_id = l.show_id AND s.seat_no = l.seat_no
