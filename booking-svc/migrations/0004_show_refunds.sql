-- Shows that were called off and whose bookings are being refunded.
CREATE TABLE booking.show_refunds (
    show_id     uuid PRIMARY KEY REFERENCES booking.shows,
    -- Confirmed when it was first asked for.
    bookings    integer     NOT NULL,
    asked_at    timestamptz NOT NULL DEFAULT now(),
    -- Bookings up to this id were looked at in this pass.
    looked_at   uuid        NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    -- No booking could still be confirmed when this pass began, so that none can be behind it.
    is_last     boolean     NOT NULL DEFAULT false,
    -- When somebody else may take it over, by the database's clock.
    due_at      timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
CREATE INDEX show_refunds_unfinished ON booking.show_refunds (due_at) WHERE finished_at IS NULL;
CREATE INDEX bookings_confirmed_of_show ON booking.bookings (show_id, booking_id)
    WHERE state = 'CONFIRMED';
