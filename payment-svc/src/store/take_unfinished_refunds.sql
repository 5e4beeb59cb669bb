UPDATE payment.refunds r
SET updated_at = now()
FROM (
    SELECT refund_id FROM payment.refunds
    WHERE state = 'REQUESTED' AND updated_at <= now() - make_interval(secs => $2)
    ORDER BY updated_at LIMIT $1
    FOR UPDATE SKIP LOCKED
) AS due, payment.payments p
WHERE r.refund_id = due.refund_id AND p.payment_id = r.payment_id
RETURNING r.refund_id, p.booking_id, p.payment_id, r.amount, r.reason,
          p.captured_currency AS "captured_currency!",
          greatest(0, extract(epoch FROM now() - r.created_at))::float8 AS "age_s!"
