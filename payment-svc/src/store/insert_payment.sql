INSERT INTO payment.payments
    (payment_id, booking_id, attempt, user_id, show_id, state, amount, currency, description,
     pay_until, provider, captured_amount, captured_currency, traceparent, ask_at)
VALUES ($1, $2, $3, $4, $5, $6::text, $7::bigint, $8::text, $9, $10, $11,
        CASE WHEN $6::text = 'SUCCEEDED' THEN $7::bigint END,
        CASE WHEN $6::text = 'SUCCEEDED' THEN $8::text END, $12,
        CASE WHEN $6::text = 'CREATING_SESSION' THEN now() + make_interval(secs => $13) END)
ON CONFLICT DO NOTHING
