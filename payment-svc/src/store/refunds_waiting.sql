SELECT r.refund_id, p.booking_id, r.amount, p.captured_currency AS "currency!",
       (CASE WHEN r.attempt > $1 THEN 'NOT_PAID_OUT' ELSE 'DISPUTE_' || p.dispute END) AS "why!",
       r.created_at AS since
FROM payment.refunds r JOIN payment.payments p USING (payment_id)
WHERE r.state = 'REQUESTED'
  AND (r.attempt > $1 OR (p.dispute IN ('OPEN', 'LOST') AND r.provider_refund_id IS NULL))
ORDER BY r.created_at
LIMIT 1000
