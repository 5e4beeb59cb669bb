-- A provider that keeps a fee, whose refunds take days and may fail, and that is asked what it told;
-- and money that a bank took back.

INSERT INTO payment.accounts (account, meaning) VALUES
    ('provider:stripe', 'money that Stripe holds for us'),
    ('fees:sandbox', 'what the sandbox provider kept of captured money'),
    ('fees:stripe', 'what Stripe kept of captured money'),
    ('disputes', 'what banks took back after disputes that were lost');

ALTER TABLE payment.payments
    -- What the provider kept, once it said; its currency need not be the captured one's.
    ADD COLUMN fee_amount   bigint,
    ADD COLUMN fee_currency text CHECK (fee_currency ~ '^[A-Z]{3}$'),
    -- While it isn't known: when the provider is next asked, and how often it was.
    ADD COLUMN fee_at       timestamptz,
    ADD COLUMN fee_asks     integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT payments_fee CHECK ((fee_amount IS NULL) = (fee_currency IS NULL));
CREATE INDEX payments_fee_unknown ON payment.payments (fee_at) WHERE fee_at IS NOT NULL;
-- What was captured before was without a fee.
UPDATE payment.payments SET fee_amount = 0, fee_currency = captured_currency
WHERE state = 'SUCCEEDED';

ALTER TABLE payment.refunds
    -- Counts up each time that the provider took it and couldn't pay it out.
    ADD COLUMN attempt integer NOT NULL DEFAULT 1 CHECK (attempt > 0);

ALTER TABLE payment.journal
    -- Of a refund's attempts each can be posted once.
    ADD COLUMN attempt integer NOT NULL DEFAULT 1,
    DROP CONSTRAINT journal_kind,
    DROP CONSTRAINT journal_of_refund,
    ADD CONSTRAINT journal_kind CHECK (kind IN
        ('CAPTURE', 'SALE', 'REFUND_DUE', 'REFUND', 'REFUND_FAILED', 'FEE', 'DISPUTE_LOST', 'REOPENED')),
    ADD CONSTRAINT journal_of_refund
        CHECK ((kind IN ('REFUND_DUE', 'REFUND', 'REFUND_FAILED')) = (refund_id IS NOT NULL));
DROP INDEX payment.journal_refund_once;
CREATE UNIQUE INDEX journal_refund_once ON payment.journal (refund_id, kind, attempt);
CREATE UNIQUE INDEX journal_fee_once ON payment.journal (payment_id) WHERE kind = 'FEE';
CREATE UNIQUE INDEX journal_dispute_once ON payment.journal (payment_id) WHERE kind = 'DISPUTE_LOST';
CREATE UNIQUE INDEX journal_reopened_once ON payment.journal (payment_id) WHERE kind = 'REOPENED';

-- Up to when the provider was asked for what it told.
CREATE TABLE payment.news (
    provider   text PRIMARY KEY,
    seen_until timestamptz NOT NULL,
    ask_at     timestamptz NOT NULL
);

-- Disputes that were lost before there was an account for them.
WITH lost AS (
    SELECT p.payment_id, p.provider, p.captured_currency,
           p.captured_amount - coalesce((SELECT sum(r.amount) FROM payment.refunds r
               WHERE r.payment_id = p.payment_id AND r.state = 'SUCCEEDED'), 0) AS amount
    FROM payment.payments p WHERE p.dispute = 'LOST'
), journal AS (
    INSERT INTO payment.journal (kind, payment_id)
    SELECT 'DISPUTE_LOST', payment_id FROM lost WHERE amount > 0
    RETURNING journal_id, payment_id
)
INSERT INTO payment.entries (journal_id, account, amount, currency)
SELECT j.journal_id, leg.account, leg.amount, l.captured_currency
FROM journal j JOIN lost l USING (payment_id),
    LATERAL (VALUES ('disputes', l.amount), ('provider:' || l.provider, -l.amount)) AS leg (account, amount);

-- Money that was captured before endings were in the books was taken for a confirmed booking's. What
-- didn't go back since is undecided until booking-svc has said that it is.
WITH assumed AS (
    SELECT p.payment_id, p.captured_currency,
           p.captured_amount - coalesce((SELECT sum(r.amount) FROM payment.refunds r
               WHERE r.payment_id = p.payment_id), 0) AS amount
    FROM payment.payments p
    WHERE p.state = 'SUCCEEDED' AND p.tell_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM payment.journal j JOIN payment.entries e USING (journal_id)
                      WHERE j.payment_id = p.payment_id AND e.account = 'undecided')
), journal AS (
    INSERT INTO payment.journal (kind, payment_id)
    SELECT 'REOPENED', payment_id FROM assumed WHERE amount > 0
    RETURNING journal_id, payment_id
), told AS (
    UPDATE payment.payments p SET tell_at = now() FROM journal j WHERE j.payment_id = p.payment_id
)
INSERT INTO payment.entries (journal_id, account, amount, currency)
SELECT j.journal_id, leg.account, leg.sign * a.amount, a.captured_currency
FROM journal j JOIN assumed a USING (payment_id),
    (VALUES ('bookings', 1), ('undecided', -1)) AS leg (account, sign);
