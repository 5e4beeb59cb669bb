SELECT kind AS "kind!", id AS "id!" FROM (
    SELECT 'UNBALANCED_JOURNAL' AS kind, journal_id::text AS id
    FROM payment.entries GROUP BY journal_id, currency HAVING sum(amount) <> 0
    UNION ALL
    SELECT 'CAPTURE_NOT_POSTED', p.payment_id::text
    FROM payment.payments p
    WHERE p.state = 'SUCCEEDED' AND p.captured_amount <> (
        SELECT coalesce(sum(e.amount), 0) FROM payment.journal j
        JOIN payment.entries e USING (journal_id)
        WHERE j.payment_id = p.payment_id AND j.kind = 'CAPTURE'
          AND e.account = 'provider:' || p.provider AND e.currency = p.captured_currency)
    UNION ALL
    SELECT 'CAPTURE_WITHOUT_PAYMENT', p.payment_id::text
    FROM payment.payments p JOIN payment.journal j USING (payment_id)
    WHERE p.state <> 'SUCCEEDED' AND j.kind = 'CAPTURE'
    UNION ALL
    SELECT 'REFUND_NOT_POSTED', r.refund_id::text
    FROM payment.refunds r JOIN payment.payments p USING (payment_id)
    WHERE (CASE r.state WHEN 'SUCCEEDED' THEN -r.amount ELSE 0 END) <> (
        SELECT coalesce(sum(e.amount), 0) FROM payment.journal j
        JOIN payment.entries e USING (journal_id)
        WHERE j.refund_id = r.refund_id
          AND e.account = 'provider:' || p.provider AND e.currency = p.captured_currency)
    UNION ALL
    SELECT 'REFUNDED_TOO_MUCH', p.payment_id::text
    FROM payment.payments p JOIN payment.refunds r USING (payment_id)
    GROUP BY p.payment_id
    HAVING sum(r.amount) > CASE p.state WHEN 'SUCCEEDED' THEN p.captured_amount ELSE 0 END
    UNION ALL
    -- What is to go back is what was asked for and hasn't gone.
    SELECT 'REFUND_DUE_WRONG', r.refund_id::text
    FROM payment.refunds r
    WHERE (CASE r.state WHEN 'REQUESTED' THEN -r.amount ELSE 0 END) <> (
        SELECT coalesce(sum(e.amount), 0) FROM payment.journal j
        JOIN payment.entries e USING (journal_id)
        WHERE j.refund_id = r.refund_id AND e.account = 'refunds')
    UNION ALL
    -- More left an account than came.
    SELECT 'ENDED_TWICE', j.payment_id::text
    FROM payment.journal j JOIN payment.entries e USING (journal_id)
    WHERE e.account IN ('undecided', 'bookings')
    GROUP BY j.payment_id, e.account HAVING sum(e.amount) > 0
    UNION ALL
    SELECT 'UNDECIDED_UNWATCHED', p.payment_id::text
    FROM payment.payments p
    JOIN payment.journal j USING (payment_id) JOIN payment.entries e USING (journal_id)
    WHERE e.account = 'undecided'
    GROUP BY p.payment_id HAVING (sum(e.amount) <> 0) <> (p.tell_at IS NOT NULL)
    UNION ALL
    SELECT 'FEE_NOT_POSTED', p.payment_id::text
    FROM payment.payments p
    WHERE coalesce(p.fee_amount, 0) <> (
        SELECT coalesce(sum(e.amount), 0) FROM payment.journal j
        JOIN payment.entries e USING (journal_id)
        WHERE j.payment_id = p.payment_id AND j.kind = 'FEE'
          AND e.account = 'fees:' || p.provider AND e.currency = coalesce(p.fee_currency, e.currency))
    UNION ALL
    -- Also one that took nothing has a journal.
    SELECT 'DISPUTE_NOT_POSTED', p.payment_id::text
    FROM payment.payments p
    WHERE (p.state = 'SUCCEEDED' AND p.dispute IS NOT DISTINCT FROM 'LOST')
        <> EXISTS (SELECT 1 FROM payment.journal j
                   WHERE j.payment_id = p.payment_id AND j.kind = 'DISPUTE_LOST')
) AS findings
ORDER BY 1, 2
LIMIT $1
