-- By its key where the show is given; else by way of the directory, where a user finds their own only.
SELECT b.xmin::text AS "version!", b.booking_id, b.user_id, b.show_id, b.seat_nos, b.returned_nos, b.amount,
    b.currency, b.state, b.reason, b.step, b.step_ending, b.hold_id, b.fence, b.hold_attempt, b.expires_at,
    b.session_payment_id, b.payment_url, b.created_at, b.pay_until,
    p.payment_id AS "payment_id?", p.amount AS "paid?", p.currency AS "paid_currency?", p.fate AS "fate?",
    p.refund_id AS "refund_id?", p.parts AS "parts?", p.parts_went AS "parts_went?"
FROM booking.bookings b
LEFT JOIN booking.booking_payments p ON p.show_id = b.show_id AND p.booking_id = b.booking_id
WHERE b.booking_id = $1 AND b.show_id = coalesce($2, CASE WHEN $3::uuid IS NULL
    THEN (SELECT d.show_id FROM booking.directory d WHERE d.booking_id = $1)
    ELSE (SELECT d.show_id FROM booking.directory d WHERE d.user_id = $3 AND d.booking_id = $1) END)
ORDER BY p.position
