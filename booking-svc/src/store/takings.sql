-- One row for each category, and one without for all; see sales.rs. One statement, so one snapshot.
WITH sale AS (
    SELECT b.booking_id, b.amount, b.seat_nos, b.returned_nos, b.state <> 'CONFIRMED' AS is_over
    FROM booking.bookings b
    WHERE b.show_id = $1
      AND EXISTS (SELECT FROM booking.tickets t WHERE t.show_id = $1 AND t.booking_id = b.booking_id)
),
ticket_fee AS (
    SELECT coalesce(sum(f.amount), 0)::bigint AS amount
    FROM booking.shows s, unnest(s.fee_amounts, s.fee_per_ticket) AS f (amount, per_ticket)
    WHERE s.show_id = $1 AND f.per_ticket
),
seat AS (
    SELECT s.category, s.price, f.amount AS fee, sale.is_over OR n.seat_no = ANY (sale.returned_nos) AS went_back
    FROM sale, ticket_fee f, unnest(sale.seat_nos) AS n (seat_no)
    JOIN booking.seats s ON s.show_id = $1 AND s.seat_no = n.seat_no
)
SELECT category AS "category?", sum(price + fee)::bigint AS "gross!", sum(fee)::bigint AS "fees!",
    coalesce(sum(price + fee) FILTER (WHERE went_back), 0)::bigint AS "refunded!"
FROM seat GROUP BY category
UNION ALL
SELECT NULL, coalesce(sum(amount), 0)::bigint,
    (coalesce(sum(amount), 0) - (SELECT coalesce(sum(price), 0) FROM seat))::bigint,
    (SELECT coalesce(sum(r.amount), 0) FROM booking.refunds r JOIN sale USING (booking_id)
     WHERE r.show_id = $1 AND (r.reason = ANY ($2) OR r.reason = $3 AND sale.is_over))::bigint
FROM sale
ORDER BY 1
