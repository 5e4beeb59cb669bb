-- What the provider captured, which need not be what was asked for; and ways to find what is
-- unfinished or old.

ALTER TABLE payment.payments
    ADD COLUMN captured_amount   bigint CHECK (captured_amount >= 0),
    ADD COLUMN captured_currency text CHECK (captured_currency ~ '^[A-Z]{3}$');
UPDATE payment.payments SET captured_amount = amount, captured_currency = currency
WHERE state = 'SUCCEEDED';
ALTER TABLE payment.payments ADD CONSTRAINT payments_captured
    CHECK (state <> 'SUCCEEDED' OR (captured_amount IS NOT NULL AND captured_currency IS NOT NULL));

CREATE INDEX payments_unfinished ON payment.payments (created_at)
    WHERE state IN ('CREATING_SESSION', 'SESSION_CREATED');
-- updated_at is when the provider was last asked to send it.
CREATE INDEX refunds_unfinished ON payment.refunds (updated_at) WHERE state = 'REQUESTED';
CREATE INDEX webhook_events_received ON payment.webhook_events (received_at);
