-- Tickets that were given back while the booking goes on.
ALTER TABLE booking.bookings
    -- Of seat_nos, ascending.
    ADD COLUMN returned_nos integer[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT bookings_returned CHECK (returned_nos <@ seat_nos);
ALTER TABLE booking.booking_payments
    -- Minor units that went back while it was kept, in the order of asking, and whether each went.
    ADD COLUMN parts      bigint[]  NOT NULL DEFAULT '{}',
    ADD COLUMN parts_went boolean[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT booking_payments_parts CHECK (cardinality(parts) = cardinality(parts_went));
