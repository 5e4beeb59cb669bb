SELECT s.currency,
       r.show_id IS NOT NULL AS "asked!",
       r.finished_at IS NOT NULL AS "finished!",
       coalesce(r.bookings, 0) AS "bookings!",
       l.bookings AS "bookings_left!",
       l.seats AS "seats_left!",
       l.amount AS "amount_left!",
       (SELECT count(*) FROM booking.refunds f
        WHERE f.ask_at IS NOT NULL AND f.show_id = s.show_id) AS "refunds_under_way!"
FROM booking.shows s
LEFT JOIN booking.show_refunds r USING (show_id)
CROSS JOIN LATERAL (
    SELECT count(*) AS bookings,
           coalesce(sum(cardinality(b.seat_nos) - cardinality(b.returned_nos)), 0) AS seats,
           coalesce(sum(b.amount - (
               SELECT coalesce(sum(part), 0)
               FROM booking.booking_payments p, unnest(p.parts) AS part
               WHERE p.show_id = b.show_id AND p.booking_id = b.booking_id)), 0)::bigint AS amount
    FROM booking.bookings b WHERE b.show_id = s.show_id AND b.state = 'CONFIRMED'
) AS l
WHERE s.show_id = $1
