-- Which trace an event belongs to (W3C traceparent); the release before leaves it out.
ALTER TABLE booking.outbox ADD COLUMN traceparent text;
