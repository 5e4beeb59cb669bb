SELECT r.refund_id, p.booking_id, r.amount, p.captured_currency AS "currency!",
       (CASE WHEN r.attempt > $1 THEN 'NOT_PAID_OUT'
             WHEN p.dispute IN ('OPEN', 'LOST') AND r.provider_refund_id IS NULL
                 THEN 'DISPUTE_' || p.dispute
             ELSE r.unsent END) AS "why!",
       r.refusal, r.created_at AS since
FROM payment.refunds r JOIN payment.payments p USING (payment_id)
WHERE r.state = 'REQUESTED'
  AND (r.attempt > $1 OR r.unsent IS NOT NULL
       OR (p.dispute IN ('OPEN', 'LOST') AND r.provider_refund_id IS NULL))
ORDER BY r.created_at
LIMIT 1000
