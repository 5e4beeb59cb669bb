-- Where captured money ends, so that money without an ending is found; and tries that come by
-- themselves, each after a longer wait.

UPDATE payment.accounts SET meaning = 'what customers paid for bookings that are confirmed'
WHERE account = 'bookings';
INSERT INTO payment.accounts (account, meaning) VALUES
    ('undecided', 'what customers paid that is neither a confirmed booking''s nor to go back'),
    ('refunds', 'what is to go back to customers and has not gone');

ALTER TABLE payment.journal
    DROP CONSTRAINT journal_kind_check,
    DROP CONSTRAINT journal_check,
    ADD CONSTRAINT journal_kind CHECK (kind IN ('CAPTURE', 'SALE', 'REFUND_DUE', 'REFUND')),
    ADD CONSTRAINT journal_of_refund
        CHECK ((kind IN ('REFUND_DUE', 'REFUND')) = (refund_id IS NOT NULL));
DROP INDEX payment.journal_refund_once;
CREATE UNIQUE INDEX journal_refund_once ON payment.journal (refund_id, kind);
CREATE UNIQUE INDEX journal_sale_once ON payment.journal (payment_id) WHERE kind = 'SALE';

ALTER TABLE payment.payments
    -- While its money is undecided: when booking-svc is next told of it again, and how often it was.
    ADD COLUMN tell_at timestamptz,
    ADD COLUMN tells   integer NOT NULL DEFAULT 0;
CREATE INDEX payments_undecided ON payment.payments (tell_at) WHERE tell_at IS NOT NULL;

-- A payment without a session is asked for again, too.
UPDATE payment.payments SET ask_at = now() WHERE state = 'CREATING_SESSION';
DROP INDEX payment.payments_silent;
CREATE INDEX payments_silent ON payment.payments (ask_at)
    WHERE state IN ('CREATING_SESSION', 'SESSION_CREATED');

ALTER TABLE payment.refunds
    -- While it hasn't gone: when it is next sent by itself, and how often it was.
    ADD COLUMN try_at timestamptz NOT NULL DEFAULT now() + make_interval(mins => 1),
    ADD COLUMN tries  integer NOT NULL DEFAULT 0;
DROP INDEX payment.refunds_unfinished;
CREATE INDEX refunds_unfinished ON payment.refunds (try_at) WHERE state = 'REQUESTED';

-- What was asked for before there was an account for it.
WITH due AS (
    INSERT INTO payment.journal (kind, payment_id, refund_id)
    SELECT 'REFUND_DUE', payment_id, refund_id FROM payment.refunds WHERE state = 'REQUESTED'
    RETURNING journal_id, refund_id
)
INSERT INTO payment.entries (journal_id, account, amount, currency)
SELECT d.journal_id, leg.account, leg.sign * r.amount, p.captured_currency
FROM due d
JOIN payment.refunds r USING (refund_id)
JOIN payment.payments p ON p.payment_id = r.payment_id,
    (VALUES ('bookings', 1), ('refunds', -1)) AS leg (account, sign);
