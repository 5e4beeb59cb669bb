UPDATE payment.payments p
SET tells = p.tells + 1,
    tell_at = now() + make_interval(secs => least($3, $2 * 2 ^ least(p.tells + 1, 20)))
FROM (
    SELECT payment_id FROM payment.payments
    WHERE tell_at <= now()
    ORDER BY tell_at LIMIT $1
    FOR UPDATE SKIP LOCKED
) AS due
WHERE p.payment_id = due.payment_id
RETURNING p.payment_id, p.booking_id, p.captured_amount AS "captured_amount!",
          p.captured_currency AS "captured_currency!",
          greatest(0, extract(epoch FROM now() - p.updated_at))::float8 AS "age_s!"
