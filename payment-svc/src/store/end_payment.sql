WITH ended AS (
    UPDATE payment.payments
    SET state = $2, session_id = coalesce(session_id, $3), payment_url = coalesce(payment_url, $4),
        failure = $5, ask_at = NULL, captured_amount = $6::bigint, captured_currency = $7, updated_at = now(),
        tell_at = CASE WHEN $6::bigint > 0 THEN now() + make_interval(secs => $10) END,
        fee_amount = $8::bigint, fee_currency = $9,
        fee_at = CASE WHEN $6::bigint IS NOT NULL AND $8::bigint IS NULL
                      THEN now() + make_interval(secs => $11) END
    WHERE payment_id = $1
    RETURNING payment_id
), journal AS (
    INSERT INTO payment.journal (kind, payment_id)
    SELECT 'CAPTURE', payment_id FROM ended WHERE $6::bigint > 0
    RETURNING journal_id
), entries AS (
    INSERT INTO payment.entries (journal_id, account, amount, currency)
    SELECT j.journal_id, e.account, e.amount, $7
    FROM journal j, (VALUES ($18::text, $6::bigint), ($19::text, -$6::bigint)) AS e (account, amount)
)
INSERT INTO payment.outbox (id, topic, key, event_type, payload, traceparent)
SELECT $12, $13, $14, $15, $16, $17 FROM ended
