SELECT p.payment_id, p.booking_id, p.state, p.amount, p.currency, p.description, p.pay_until,
       p.provider, p.session_id, p.payment_url, p.captured_amount, p.captured_currency,
       p.traceparent, p.dispute, p.fee_amount,
       (SELECT coalesce(sum(r.amount), 0)::bigint FROM payment.refunds r
        WHERE r.payment_id = p.payment_id AND r.state = 'SUCCEEDED') AS "refunded!"
FROM payment.payments p
WHERE p.payment_id = $1
FOR UPDATE
