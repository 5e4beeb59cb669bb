-- Refunds that were asked for, until payment-svc said that the money went: one that it says nothing
-- of is asked for again.
CREATE TABLE booking.refunds (
    -- Derived from what is refunded; the idempotency key.
    refund_id  uuid PRIMARY KEY,
    booking_id uuid        NOT NULL REFERENCES booking.bookings,
    payment_id uuid        NOT NULL,
    amount     bigint      NOT NULL CHECK (amount > 0),
    currency   text        NOT NULL,
    reason     text        NOT NULL,
    asked_at   timestamptz NOT NULL DEFAULT now(),
    -- While it hasn't gone: when it is next asked for again, and how often it was.
    ask_at     timestamptz DEFAULT now() + make_interval(mins => 1),
    asks       integer     NOT NULL DEFAULT 0
);
CREATE INDEX refunds_of_booking ON booking.refunds (booking_id);
CREATE INDEX refunds_unanswered ON booking.refunds (ask_at) WHERE ask_at IS NOT NULL;

-- Why was not kept before.
INSERT INTO booking.refunds
    (refund_id, booking_id, payment_id, amount, currency, reason, asked_at, ask_at)
SELECT refund_id, booking_id, payment_id, amount, currency, 'NOT_RECORDED', fate_since,
    CASE fate WHEN 'REFUNDING' THEN now() END
FROM booking.booking_payments WHERE fate IN ('REFUNDING', 'REFUNDED') AND amount > 0;
