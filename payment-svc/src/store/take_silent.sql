UPDATE payment.payments p
SET asks = p.asks + 1,
    ask_at = now() + make_interval(secs => least($3, $2 * 2 ^ least(p.asks + 1, 20)))
FROM (
    SELECT payment_id FROM payment.payments
    WHERE state IN ('CREATING_SESSION', 'SESSION_CREATED') AND ask_at <= now() AND provider = $4
    ORDER BY ask_at LIMIT $1
    FOR UPDATE SKIP LOCKED
) AS due
WHERE p.payment_id = due.payment_id
RETURNING p.payment_id, p.session_id,
          p.pay_until < now() - make_interval(secs => $5) AS "overdue!"
