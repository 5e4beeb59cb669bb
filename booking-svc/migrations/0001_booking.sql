-- Inventory, bookings, payments as far as a booking knows them, and tickets.
--
-- Who has a seat right now is the lock store's to say. Here is what must outlive it: which seats
-- there are, what was booked, what was sold, under which fence. A seat's fence is never cleared
-- and never falls, so that a late writer with an old hold changes nothing.

CREATE TABLE booking.shows (
    show_id                uuid        PRIMARY KEY,
    -- The account that may change it besides admins: who opened it, or who the admin named that did.
    owner_id               uuid,
    title                  text        NOT NULL,
    starts_at              timestamptz NOT NULL,
    currency               text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    price_version          integer     NOT NULL,
    hold_ttl_ms            bigint      NOT NULL,
    hold_total_ms_max      bigint      NOT NULL,
    seats_per_customer_max integer     NOT NULL,
    seat_count             integer     NOT NULL,
    -- SHA-256 of everything the show was opened with: the same again is no change, another is refused.
    layout_hash            bytea       NOT NULL,
    -- DRAFT until the lock store has the whole layout.
    state                  text        NOT NULL
        CHECK (state IN ('DRAFT', 'ON_SALE', 'PAUSED', 'CLOSED', 'CANCELLED')),
    created_at             timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE booking.seats (
    show_id    uuid        NOT NULL REFERENCES booking.shows,
    seat_no    integer     NOT NULL,
    label      text        NOT NULL,
    section    text        NOT NULL,
    row_no     integer     NOT NULL,
    gap_after  boolean     NOT NULL,
    category   text        NOT NULL,
    price      bigint      NOT NULL,
    state      text        NOT NULL DEFAULT 'AVAILABLE'
        CHECK (state IN ('AVAILABLE', 'HELD', 'SOLD', 'BLOCKED')),
    fence      bigint      NOT NULL DEFAULT 0,
    booking_id uuid,
    expires_at timestamptz,
    PRIMARY KEY (show_id, seat_no),
    UNIQUE (show_id, label),
    CHECK ((state IN ('HELD', 'SOLD')) = (booking_id IS NOT NULL))
) WITH (fillfactor = 80);

CREATE TABLE booking.bookings (
    -- Time-ordered (UUID version 7).
    booking_id         uuid        PRIMARY KEY,
    user_id            uuid        NOT NULL,
    idempotency_key    text        NOT NULL,
    body_hash          bytea       NOT NULL,
    show_id            uuid        NOT NULL REFERENCES booking.shows,
    seat_nos           integer[]   NOT NULL,
    amount             bigint      NOT NULL,
    currency           text        NOT NULL,
    price_version      integer     NOT NULL,
    state              text        NOT NULL
        CHECK (state IN ('PENDING_PAYMENT', 'CONFIRMED', 'EXPIRED', 'FAILED', 'CANCELLED')),
    reason             text,
    -- The question open at the lock store; see booking-core.
    step               text        NOT NULL DEFAULT 'IDLE'
        CHECK (step IN ('IDLE', 'RELEASING', 'COMMITTING', 'HOLDING', 'RETURNING')),
    step_ending        text        CHECK ((step = 'RELEASING') = (step_ending IS NOT NULL)),
    -- When somebody else may take an unfinished step over, by the database's clock.
    step_due_at        timestamptz NOT NULL DEFAULT now(),
    step_tries         integer     NOT NULL DEFAULT 0,
    hold_id            uuid        NOT NULL,
    fence              bigint      NOT NULL,
    hold_attempt       integer     NOT NULL DEFAULT 0,
    -- Cluster time, which only the lock store's answers may be compared with.
    expires_at         timestamptz NOT NULL,
    -- The same moment by the wall clock, as customer and provider were told.
    pay_until          timestamptz NOT NULL,
    session_payment_id uuid,
    payment_url        text,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT bookings_one_per_key UNIQUE (user_id, idempotency_key),
    CONSTRAINT bookings_one_per_hold UNIQUE (hold_id, fence)
);
CREATE INDEX bookings_of_user ON booking.bookings (user_id, booking_id DESC);
CREATE INDEX bookings_to_sweep ON booking.bookings (expires_at)
    WHERE state = 'PENDING_PAYMENT' AND step = 'IDLE';
CREATE INDEX bookings_unfinished ON booking.bookings (step_due_at) WHERE step <> 'IDLE';

-- Every captured payment and where its money is (BK-2).
CREATE TABLE booking.booking_payments (
    payment_id  uuid        PRIMARY KEY,
    booking_id  uuid        NOT NULL REFERENCES booking.bookings,
    position    integer     NOT NULL,
    amount      bigint      NOT NULL,
    currency    text        NOT NULL,
    fate        text        NOT NULL
        CHECK (fate IN ('PENDING', 'KEPT', 'REFUNDING', 'REFUNDED')),
    refund_id   uuid        UNIQUE,
    -- Since when the money is where it is.
    fate_since  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (booking_id, position),
    CHECK ((fate IN ('REFUNDING', 'REFUNDED')) = (refund_id IS NOT NULL))
);
CREATE UNIQUE INDEX booking_payments_one_standing ON booking.booking_payments (booking_id)
    WHERE fate IN ('PENDING', 'KEPT');
CREATE INDEX booking_payments_under_way ON booking.booking_payments (fate_since)
    WHERE fate IN ('PENDING', 'REFUNDING');

CREATE TABLE booking.tickets (
    ticket_id  uuid        PRIMARY KEY,
    booking_id uuid        NOT NULL REFERENCES booking.bookings,
    show_id    uuid        NOT NULL,
    seat_no    integer     NOT NULL,
    state      text        NOT NULL DEFAULT 'VALID' CHECK (state IN ('VALID', 'USED', 'VOID')),
    qr_payload text        NOT NULL,
    issued_at  timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (show_id, seat_no) REFERENCES booking.seats
);
-- BK-1.
CREATE UNIQUE INDEX tickets_one_per_seat ON booking.tickets (show_id, seat_no) WHERE state <> 'VOID';
CREATE INDEX tickets_of_booking ON booking.tickets (booking_id);

-- Keys that sign tickets; the newest signs, all verify.
CREATE TABLE booking.ticket_keys (
    key_id      integer     PRIMARY KEY,
    private_key bytea       NOT NULL,
    public_key  bytea       NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- Which life of the lock store's cluster counts; no row before the first.
CREATE TABLE booking.lineage (
    only_row boolean  PRIMARY KEY DEFAULT true CHECK (only_row),
    lineage  smallint NOT NULL CHECK (lineage BETWEEN 0 AND 255)
);

-- As in eventlog's sql/outbox.sql.
CREATE TABLE booking.outbox (
    position    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          uuid        NOT NULL,
    topic       text        NOT NULL,
    key         text        NOT NULL,
    event_type  text        NOT NULL,
    payload     bytea       NOT NULL,
    occurred_at timestamptz NOT NULL DEFAULT now()
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 10000
);
