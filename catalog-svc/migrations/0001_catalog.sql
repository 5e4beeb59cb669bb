-- Venues, plans, events, shows and prices. Everything here survives a restart; nothing is derived.
-- Ids are chosen by callers. `owner_id` is an account of the identity service: no foreign key,
-- because no service reads another's tables.

CREATE TABLE catalog.venues (
    venue_id   uuid PRIMARY KEY,
    owner_id   uuid NOT NULL,
    name       text NOT NULL,
    address    text NOT NULL,
    city       text NOT NULL,
    country    text NOT NULL CHECK (country ~ '^[A-Z]{2}$'),
    latitude   double precision NOT NULL CHECK (latitude BETWEEN -90 AND 90),
    longitude  double precision NOT NULL CHECK (longitude BETWEEN -180 AND 180),
    -- IANA name; what formats the times of the venue's shows.
    time_zone  text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX venues_city ON catalog.venues (lower(city));

CREATE TABLE catalog.plans (
    plan_id       uuid PRIMARY KEY,
    venue_id      uuid NOT NULL REFERENCES catalog.venues,
    owner_id      uuid NOT NULL,
    name          text NOT NULL,
    width         double precision NOT NULL CHECK (width > 0),
    height        double precision NOT NULL CHECK (height > 0),
    seat_count    integer NOT NULL CHECK (seat_count BETWEEN 1 AND 100000),
    -- Of the imported file; tells a repeated import from another one.
    source_sha256 bytea NOT NULL CHECK (octet_length(source_sha256) = 32),
    -- What the import told its caller, so that a repeated one says the same.
    warnings      text[] NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX plans_by_venue ON catalog.plans (venue_id);

CREATE TABLE catalog.plan_categories (
    plan_id     uuid NOT NULL REFERENCES catalog.plans,
    -- Dense from 0, in file order.
    category_no integer NOT NULL CHECK (category_no >= 0),
    name        text NOT NULL,
    color       text NOT NULL CHECK (color ~ '^#[0-9A-Fa-f]{3,8}$'),
    -- How many seats use it; 0 for one that no seat uses.
    seat_count  integer NOT NULL CHECK (seat_count >= 0),
    PRIMARY KEY (plan_id, category_no),
    UNIQUE (plan_id, name)
);

CREATE TABLE catalog.plan_sections (
    plan_id    uuid NOT NULL REFERENCES catalog.plans,
    section_no integer NOT NULL CHECK (section_no >= 0),
    -- First part of the labels of its seats, e.g. GROUND-3.
    name       text NOT NULL,
    -- The file's own name of the zone, e.g. Ground floor.
    zone_name  text NOT NULL,
    PRIMARY KEY (plan_id, section_no),
    UNIQUE (plan_id, name)
);

CREATE TABLE catalog.plan_rows (
    plan_id    uuid NOT NULL,
    -- Dense from 0 over the plan.
    row_no     integer NOT NULL CHECK (row_no >= 0),
    section_no integer NOT NULL,
    name       text NOT NULL,
    PRIMARY KEY (plan_id, row_no),
    UNIQUE (plan_id, section_no, name),
    FOREIGN KEY (plan_id, section_no) REFERENCES catalog.plan_sections
);

CREATE TABLE catalog.plan_seats (
    plan_id     uuid NOT NULL,
    -- Dense from 0 over the plan, in file order.
    seat_no     integer NOT NULL CHECK (seat_no >= 0),
    row_no      integer NOT NULL,
    category_no integer NOT NULL,
    label       text NOT NULL,
    number      text NOT NULL,
    -- Absolute: zone, row and seat added up.
    x           double precision NOT NULL,
    y           double precision NOT NULL,
    -- The next seat of the row is not a neighbour (an aisle).
    gap_after   boolean NOT NULL,
    -- The file's own name of the seat; unique in the plan.
    uuid        text NOT NULL,
    PRIMARY KEY (plan_id, seat_no),
    UNIQUE (plan_id, label),
    UNIQUE (plan_id, uuid),
    FOREIGN KEY (plan_id, row_no) REFERENCES catalog.plan_rows,
    FOREIGN KEY (plan_id, category_no) REFERENCES catalog.plan_categories
);

CREATE TABLE catalog.events (
    event_id    uuid PRIMARY KEY,
    owner_id    uuid NOT NULL,
    title       text NOT NULL,
    description text NOT NULL,
    category    text NOT NULL CHECK (category ~ '^[a-z][a-z0-9-]*$'),
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE catalog.shows (
    show_id                uuid PRIMARY KEY,
    owner_id               uuid NOT NULL,
    event_id               uuid NOT NULL REFERENCES catalog.events,
    plan_id                uuid NOT NULL REFERENCES catalog.plans,
    starts_at              timestamptz NOT NULL,
    currency               text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    hold_ttl_ms            bigint NOT NULL CHECK (hold_ttl_ms > 0),
    hold_total_ms_max      bigint NOT NULL CHECK (hold_total_ms_max >= hold_ttl_ms),
    seats_per_customer_max integer NOT NULL CHECK (seats_per_customer_max > 0),
    -- Raised by every change of a price.
    price_version          integer NOT NULL DEFAULT 1 CHECK (price_version > 0),
    -- What customers are told. booking-svc is asked first and this is recorded after it, so a
    -- crash between the two is repaired by asking again.
    state                  text NOT NULL DEFAULT 'DRAFT'
        CHECK (state IN ('DRAFT', 'ON_SALE', 'PAUSED', 'CLOSED', 'CANCELLED')),
    created_at             timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX shows_by_plan ON catalog.shows (plan_id);
CREATE INDEX shows_public_by_time ON catalog.shows (starts_at, show_id) WHERE state <> 'DRAFT';
CREATE INDEX shows_public_by_event ON catalog.shows (event_id, starts_at) WHERE state <> 'DRAFT';

CREATE TABLE catalog.show_prices (
    show_id  uuid NOT NULL REFERENCES catalog.shows,
    -- A category of the show's plan.
    category text NOT NULL,
    -- Minor units of the show's currency; 0 is free.
    amount   bigint NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (show_id, category)
);
