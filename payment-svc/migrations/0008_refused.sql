-- Refunds that the provider refuses, or whose provider isn't configured any more, so that people see them
-- and may end them; and lost disputes of which nothing was posted.

ALTER TABLE payment.refunds
    -- When a try to send it last began: no one is under way a minute later.
    ADD COLUMN tried_at timestamptz,
    -- While its last try was one: why it wasn't sent, and in whose words.
    ADD COLUMN unsent   text CHECK (unsent IN ('REFUSED', 'OTHER_PROVIDER')),
    ADD COLUMN refusal  text,
    ADD CONSTRAINT refunds_refusal CHECK ((unsent IS NULL) = (refusal IS NULL));

-- A lost dispute has a journal, also one that took nothing.
WITH lost AS (
    SELECT p.payment_id, p.provider, p.captured_currency,
           p.captured_amount - coalesce((SELECT sum(r.amount) FROM payment.refunds r
               WHERE r.payment_id = p.payment_id AND r.state = 'SUCCEEDED'), 0) AS amount
    FROM payment.payments p
    WHERE p.dispute = 'LOST' AND p.state = 'SUCCEEDED'
      AND NOT EXISTS (SELECT 1 FROM payment.journal j
                      WHERE j.payment_id = p.payment_id AND j.kind = 'DISPUTE_LOST')
), journal AS (
    INSERT INTO payment.journal (kind, payment_id)
    SELECT 'DISPUTE_LOST', payment_id FROM lost
    RETURNING journal_id, payment_id
)
INSERT INTO payment.entries (journal_id, account, amount, currency)
SELECT j.journal_id, leg.account, leg.amount, l.captured_currency
FROM journal j JOIN lost l USING (payment_id),
    LATERAL (VALUES ('disputes', l.amount), ('provider:' || l.provider, -l.amount)) AS leg (account, amount)
WHERE l.amount > 0;
