-- Seats that are kept for the house. The lock store decides; here is what must outlive it, so that a store
-- that is rebuilt has them blocked again. A row says what the store last said of a seat, so far as it is known
-- here, and is never deleted: one that is released stays, so that what is told late of before changes nothing.
-- Kept by show, as seats are.
CREATE TABLE booking.house_seats (
    show_id    uuid        NOT NULL,
    seat_no    integer     NOT NULL,
    is_blocked boolean     NOT NULL,
    -- The store's, as of which this is so: a word of an earlier one is ignored. Where a hold has a later
    -- fence, the seat was released before that.
    revision   bigint      NOT NULL,
    -- Who blocked it; none where nobody knows, as of seats that the previous release blocked.
    blocked_by uuid,
    -- Since when that is known here; none of one that is released.
    blocked_at timestamptz,
    PRIMARY KEY (show_id, seat_no),
    CHECK (is_blocked = (blocked_at IS NOT NULL)),
    CHECK (is_blocked OR blocked_by IS NULL)
);

-- Shows whose house seats are to be compared with the store's, because somebody is changing them, or has
-- and may have died between store and database.
CREATE TABLE booking.house_checks (
    show_id   uuid        PRIMARY KEY,
    -- Since when it is due, or when it will be, by the database's clock: how late it is counts from here, however
    -- often it was tried in vain.
    late_from timestamptz NOT NULL DEFAULT now() + make_interval(mins => 1),
    -- When it is tried next.
    due_at    timestamptz NOT NULL DEFAULT now() + make_interval(mins => 1),
    -- When somebody last began to change some. It is over after a minute.
    marked_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX house_checks_due ON booking.house_checks (due_at);

-- What was blocked before is known to the store alone: it is taken over show by show, those that are to come
-- first. What the release before blocks while both run is found by following the store, and where that begins
-- (anew) by marking all that are to come again.
INSERT INTO booking.house_checks (show_id, due_at, marked_at)
SELECT show_id, CASE WHEN starts_at > now() THEN now() ELSE now() + make_interval(mins => 1) END, '-infinity'
FROM booking.shows WHERE state <> 'DRAFT';
