SELECT b.booking_id, b.user_id, b.show_id, b.seat_nos, b.returned_nos, b.amount, b.currency, b.state,
       b.reason, b.step, b.step_ending, b.hold_id, b.fence, b.hold_attempt, b.expires_at,
       b.session_payment_id, b.payment_url, b.created_at, b.pay_until
FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS ended (show_id, hold_id, fence)
JOIN booking.bookings b USING (show_id, hold_id, fence)
-- Not as the index of what is to be swept has it: each hold is found by its key, however many wait.
WHERE b.state || '' = 'PENDING_PAYMENT' AND b.step = 'IDLE'
FOR NO KEY UPDATE OF b SKIP LOCKED
