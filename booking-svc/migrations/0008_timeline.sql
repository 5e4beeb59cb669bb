-- What happened to a booking and why, in order: written in the transactions that it happened in.
CREATE TABLE booking.timeline (
    booking_id uuid        NOT NULL,
    -- From 1, without gaps.
    position   integer     NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    -- A code; see booking-core.
    happened   text        NOT NULL,
    reason     text,
    -- The lock store's, of the answer that this follows from.
    revision   bigint,
    -- That the booking's seats had then.
    fence      bigint      NOT NULL,
    payment_id uuid,
    refund_id  uuid,
    amount     bigint,
    currency   text,
    -- Where it isn't about all of the booking's.
    seat_nos   integer[],
    PRIMARY KEY (booking_id, position)
);
