WITH undecided AS (
    SELECT coalesce(-sum(e.amount), 0)::bigint AS amount
    FROM payment.journal j JOIN payment.entries e USING (journal_id)
    WHERE j.payment_id = $1 AND e.account = $3::text
), journal AS (
    INSERT INTO payment.journal (kind, payment_id)
    SELECT 'SALE', $1 FROM undecided WHERE amount > 0
    RETURNING journal_id
), entries AS (
    INSERT INTO payment.entries (journal_id, account, amount, currency)
    SELECT j.journal_id, e.account, e.sign * u.amount, $2
    FROM journal j, undecided u, (VALUES ($3::text, 1), ($4::text, -1)) AS e (account, sign)
)
UPDATE payment.payments SET tell_at = NULL
FROM undecided u WHERE payment_id = $1 AND u.amount > 0
