-- Which trace an event belongs to (W3C traceparent); the release before leaves it out.
ALTER TABLE payment.outbox ADD COLUMN traceparent text;

-- Of what asked for the payment: what a provider says of it, and what the reconciler finds out, goes
-- on in that trace.
ALTER TABLE payment.payments ADD COLUMN traceparent text;
