UPDATE payment.payments p
SET fee_asks = p.fee_asks + 1,
    fee_at = now() + make_interval(secs => least($3, $2 * 2 ^ least(p.fee_asks + 1, 20)))
FROM (
    SELECT payment_id FROM payment.payments
    WHERE fee_at <= now() AND provider = $4
    ORDER BY fee_at LIMIT $1
    FOR UPDATE SKIP LOCKED
) AS due
WHERE p.payment_id = due.payment_id
RETURNING p.payment_id, p.session_id
