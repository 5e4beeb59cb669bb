SELECT show_id, booking_id, user_id, hold_id, fence
FROM booking.bookings
WHERE state = 'PENDING_PAYMENT' AND step = 'IDLE' AND expires_at <= $1
    -- Those that were met in this round and are still there.
    AND booking_id <> ALL ($3::uuid[])
ORDER BY expires_at LIMIT $2
