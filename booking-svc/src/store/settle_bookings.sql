UPDATE booking.bookings b
SET state = e.state, reason = e.reason, step_due_at = now(), step_tries = 0, session_payment_id = NULL,
    payment_url = NULL, updated_at = now()
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) AS e (show_id, booking_id, state, reason)
WHERE b.show_id = e.show_id AND b.booking_id = e.booking_id
