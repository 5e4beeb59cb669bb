-- What customers asked for under an Idempotency-Key, and what they were answered. By user first: it can
-- be kept where the user's other rows are.
CREATE TABLE booking.requests (
    user_id         uuid        NOT NULL,
    idempotency_key text        NOT NULL,
    -- What the key stands for, and for nothing else: which call, with which body (SHA-256).
    route           text        NOT NULL
        CHECK (route IN ('CREATE_BOOKING', 'CANCEL_BOOKING', 'RETURN_TICKETS')),
    body_hash       bytea       NOT NULL,
    -- The booking as it was first told, in the contract's encoding. None while nobody was told: the
    -- request has had its effect, and whoever asks again goes on with it.
    answer          bytea,
    asked_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, idempotency_key)
);
CREATE INDEX requests_by_age ON booking.requests (asked_at);

-- Bookings had their keys themselves, and have them for as long as the release before may run, which reads
-- and writes them there and only there.
INSERT INTO booking.requests (user_id, idempotency_key, route, body_hash, asked_at)
SELECT user_id, idempotency_key, 'CREATE_BOOKING', body_hash, created_at
FROM booking.bookings WHERE created_at > now() - make_interval(hours => 24);
