-- Every key of what is sold for a show begins with the show, so that the rows of a show can be kept
-- together, apart from other shows' (by a distributed Postgres), and the shows of a month, whose ids lie
-- together, can be detached as a whole. See docs/scale-out.md.

-- Which bookings a customer has, and where each is: by user, as requests are. One row a booking, which
-- never changes; it has the key and the body that the booking was made with.
CREATE TABLE booking.directory (
    user_id         uuid  NOT NULL,
    booking_id      uuid  NOT NULL,
    show_id         uuid  NOT NULL,
    idempotency_key text  NOT NULL,
    body_hash       bytea NOT NULL,
    PRIMARY KEY (user_id, booking_id),
    CONSTRAINT directory_one_per_key UNIQUE (user_id, idempotency_key)
);

-- From here on nobody else reads or writes what is changed.
LOCK TABLE booking.requests, booking.bookings, booking.booking_payments, booking.tickets, booking.refunds, booking.timeline
    IN ACCESS EXCLUSIVE MODE;

INSERT INTO booking.directory (user_id, booking_id, show_id, idempotency_key, body_hash)
SELECT user_id, booking_id, show_id, idempotency_key, body_hash FROM booking.bookings;
-- For what is told of a booking alone (payment-svc's events).
CREATE INDEX directory_of_booking ON booking.directory (booking_id);

-- Rows that belong together are written by transactions that have their booking or seat locked, and
-- `cluster audit` finds any that lacks its other half. So no statement of a purchase pays for asking
-- whether what it has just locked is there, and a month is detached table by table.
ALTER TABLE booking.booking_payments DROP CONSTRAINT booking_payments_booking_id_fkey;
ALTER TABLE booking.refunds DROP CONSTRAINT refunds_booking_id_fkey;
ALTER TABLE booking.tickets
    DROP CONSTRAINT tickets_booking_id_fkey,
    DROP CONSTRAINT tickets_show_id_seat_no_fkey;
-- Each booking of a show would lock the one row of the show.
ALTER TABLE booking.bookings DROP CONSTRAINT bookings_show_id_fkey;

ALTER TABLE booking.booking_payments ADD COLUMN show_id uuid;
ALTER TABLE booking.refunds ADD COLUMN show_id uuid;
ALTER TABLE booking.timeline ADD COLUMN show_id uuid;
UPDATE booking.booking_payments p SET show_id = b.show_id FROM booking.bookings b WHERE b.booking_id = p.booking_id;
UPDATE booking.refunds r SET show_id = b.show_id FROM booking.bookings b WHERE b.booking_id = r.booking_id;
UPDATE booking.timeline t SET show_id = b.show_id FROM booking.bookings b WHERE b.booking_id = t.booking_id;

ALTER TABLE booking.bookings
    DROP CONSTRAINT bookings_pkey,
    DROP CONSTRAINT bookings_one_per_key,
    DROP CONSTRAINT bookings_one_per_hold,
    ADD PRIMARY KEY (show_id, booking_id),
    -- The one key that only contains the show: of two that begin with it the planner takes either for questions
    -- about a booking, or a hold, of a table that it has no statistics of, and then reads all of a show's.
    ADD CONSTRAINT bookings_one_per_hold UNIQUE (hold_id, fence, show_id),
    -- In the directory; no longer written.
    ALTER COLUMN idempotency_key DROP NOT NULL,
    ALTER COLUMN body_hash DROP NOT NULL;
DROP INDEX booking.bookings_of_user;
-- The key has all of a show's bookings in the order of their ids.
DROP INDEX booking.bookings_confirmed_of_show;

ALTER TABLE booking.booking_payments
    ALTER COLUMN show_id SET NOT NULL,
    DROP CONSTRAINT booking_payments_pkey,
    DROP CONSTRAINT booking_payments_booking_id_position_key,
    DROP CONSTRAINT booking_payments_refund_id_key,
    ADD PRIMARY KEY (show_id, booking_id, position),
    ADD CONSTRAINT booking_payments_once UNIQUE (show_id, payment_id);
CREATE UNIQUE INDEX booking_payments_one_refund ON booking.booking_payments (show_id, refund_id)
    WHERE refund_id IS NOT NULL;
DROP INDEX booking.booking_payments_one_standing;
CREATE UNIQUE INDEX booking_payments_one_standing ON booking.booking_payments (show_id, booking_id)
    WHERE fate IN ('PENDING', 'KEPT');

-- A ticket's id follows from its booking and seat.
ALTER TABLE booking.tickets
    DROP CONSTRAINT tickets_pkey,
    ADD PRIMARY KEY (show_id, booking_id, seat_no);
DROP INDEX booking.tickets_of_booking;

ALTER TABLE booking.refunds
    ALTER COLUMN show_id SET NOT NULL,
    DROP CONSTRAINT refunds_pkey,
    ADD PRIMARY KEY (show_id, refund_id);
DROP INDEX booking.refunds_of_booking;
CREATE INDEX refunds_of_booking ON booking.refunds (show_id, booking_id);

ALTER TABLE booking.timeline
    DROP CONSTRAINT timeline_pkey,
    ADD PRIMARY KEY (show_id, booking_id, position);

-- A process of the release before knows nothing of all this. Whatever it decides of a booking adds to the
-- timeline, without a show: that is refused, and so all of its transaction, as if the database were away;
-- its customers are told to try again, and its events wait for a process of this release.
CREATE FUNCTION booking.refuse_release_before() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'this process of booking-svc is of a release before its database and changes no booking any more: upgrade it'
        USING ERRCODE = 'cannot_connect_now';
END
$$;
CREATE TRIGGER refuse_release_before BEFORE INSERT ON booking.timeline
    FOR EACH ROW WHEN (NEW.show_id IS NULL) EXECUTE FUNCTION booking.refuse_release_before();
-- And what it writes before that.
CREATE TRIGGER refuse_release_before BEFORE INSERT ON booking.refunds
    FOR EACH ROW WHEN (NEW.show_id IS NULL) EXECUTE FUNCTION booking.refuse_release_before();
