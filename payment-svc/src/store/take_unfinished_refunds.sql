UPDATE payment.refunds r
SET tries = r.tries + 1, updated_at = now(),
    try_at = now() + make_interval(secs => least($3, $2 * 2 ^ least(r.tries + 1, 20)))
FROM (
    SELECT r.refund_id FROM payment.refunds r JOIN payment.payments p USING (payment_id)
    WHERE r.state = 'REQUESTED' AND r.try_at <= now() AND p.provider = $4 AND r.attempt <= $5
    ORDER BY r.try_at LIMIT $1
    FOR UPDATE OF r SKIP LOCKED
) AS due, payment.payments p
WHERE r.refund_id = due.refund_id AND p.payment_id = r.payment_id
RETURNING r.refund_id, p.booking_id, p.payment_id, r.amount, r.reason,
          p.captured_currency AS "captured_currency!",
          greatest(0, extract(epoch FROM now() - r.created_at))::float8 AS "age_s!"
