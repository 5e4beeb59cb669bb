WITH created AS (
    UPDATE payment.payments
    SET state = 'SESSION_CREATED', session_id = $2, payment_url = $3,
        ask_at = now() + make_interval(secs => $4), updated_at = now()
    WHERE payment_id = $1 AND state = 'CREATING_SESSION'
    RETURNING payment_id
)
INSERT INTO payment.outbox (id, topic, key, event_type, payload, traceparent)
SELECT $5, $6, $7, $8, $9, $10 FROM created
