UPDATE payment.payments p
SET asks = p.asks + 1,
    -- Not past the moment at which nobody should be able to pay any more, while that lies ahead.
    ask_at = least(
        now() + make_interval(secs => least($3, $2 * 2 ^ least(p.asks + 1, 20))),
        CASE WHEN p.pay_until + make_interval(secs => $5) > now()
             THEN p.pay_until + make_interval(secs => $5) END)
FROM (
    SELECT payment_id FROM payment.payments
    WHERE state IN ('CREATING_SESSION', 'SESSION_CREATED') AND ask_at <= now() AND provider = $4
    ORDER BY ask_at LIMIT $1
    FOR UPDATE SKIP LOCKED
) AS due
WHERE p.payment_id = due.payment_id
RETURNING p.payment_id, p.session_id,
          p.pay_until < now() - make_interval(secs => $5) AS "overdue!"
