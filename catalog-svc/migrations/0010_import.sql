-- Catalogues of others: external ids, performers, classification, sale dates, price ranges, halls by
-- rule; and what lists of public shows are read from. Numbers 0002 to 0009 are free. The previous
-- release goes on working: every new column has a default or is filled by a trigger.

-- Where a thing came from. Unique per owner: nobody can take the ids of a source for all others.
ALTER TABLE catalog.venues
    ADD COLUMN postal_code text NOT NULL DEFAULT '',
    ADD COLUMN region      text NOT NULL DEFAULT '',
    ADD COLUMN source      text,
    ADD COLUMN external_id text,
    ADD CONSTRAINT venues_external_whole CHECK ((source IS NULL) = (external_id IS NULL));
CREATE UNIQUE INDEX venues_external ON catalog.venues (owner_id, source, external_id)
    WHERE source IS NOT NULL;

CREATE TABLE catalog.performers (
    performer_id uuid PRIMARY KEY,
    owner_id     uuid NOT NULL,
    name         text NOT NULL,
    source       text NOT NULL,
    external_id  text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (owner_id, source, external_id)
);

ALTER TABLE catalog.events
    ADD COLUMN segment     text NOT NULL DEFAULT '',
    ADD COLUMN genre       text NOT NULL DEFAULT '',
    ADD COLUMN sub_genre   text NOT NULL DEFAULT '',
    ADD COLUMN source      text,
    ADD COLUMN external_id text,
    ADD CONSTRAINT events_external_whole CHECK ((source IS NULL) = (external_id IS NULL)),
    ADD CONSTRAINT events_classified_from_broad CHECK
        ((segment <> '' OR genre = '') AND (genre <> '' OR sub_genre = ''));
CREATE UNIQUE INDEX events_external ON catalog.events (owner_id, source, external_id)
    WHERE source IS NOT NULL;

CREATE TABLE catalog.event_performers (
    event_id     uuid NOT NULL REFERENCES catalog.events,
    -- In the order of the bill, dense from 0.
    place        integer NOT NULL CHECK (place >= 0),
    performer_id uuid NOT NULL REFERENCES catalog.performers,
    PRIMARY KEY (event_id, place),
    UNIQUE (event_id, performer_id)
);

-- A plan by rule has no rows in plan_sections, plan_rows and plan_seats: its seats follow from the
-- rule and their number, e.g. 'fan-1:1500' (catalog-svc/src/hall).
ALTER TABLE catalog.plans
    ADD COLUMN hall text CHECK (hall ~ '^[a-z]+-[0-9]+:[0-9]+$');

ALTER TABLE catalog.shows
    -- Minor units. Prices of a show without rows in show_prices follow from them: equal steps over
    -- the plan's categories.
    ADD COLUMN price_min            bigint CHECK (price_min >= 0),
    ADD COLUMN price_max            bigint CHECK (price_max >= price_min),
    ADD COLUMN sale_starts_at       timestamptz,
    ADD COLUMN sale_ends_at         timestamptz CHECK (sale_ends_at > sale_starts_at),
    ADD COLUMN time_to_be_announced boolean NOT NULL DEFAULT false,
    -- A draft that anybody may see.
    ADD COLUMN announced            boolean NOT NULL DEFAULT false,
    -- booking-svc may have opened it already: a draft that an import must not change any more.
    -- Written on its own before booking-svc is asked; never taken back.
    ADD COLUMN opening              boolean NOT NULL DEFAULT false,
    ADD COLUMN source               text,
    ADD COLUMN external_id          text,
    ADD COLUMN is_public            boolean NOT NULL
        GENERATED ALWAYS AS (announced OR state <> 'DRAFT') STORED,
    -- Copies of the event's category and the venue's city, for the indexes below: a list by city
    -- and time is one range of one index. Kept true by the triggers below.
    ADD COLUMN category             text,
    ADD COLUMN city_key             text,
    ADD CONSTRAINT shows_prices_whole CHECK ((price_min IS NULL) = (price_max IS NULL)),
    ADD CONSTRAINT shows_external_whole CHECK ((source IS NULL) = (external_id IS NULL));

UPDATE catalog.shows s
SET category = e.category, city_key = lower(v.city)
FROM catalog.events e, catalog.plans p, catalog.venues v
WHERE e.event_id = s.event_id AND p.plan_id = s.plan_id AND v.venue_id = p.venue_id;

ALTER TABLE catalog.shows
    ALTER COLUMN category SET NOT NULL,
    ALTER COLUMN city_key SET NOT NULL;

CREATE UNIQUE INDEX shows_external ON catalog.shows (owner_id, source, external_id)
    WHERE source IS NOT NULL;

DROP INDEX catalog.shows_public_by_time;
DROP INDEX catalog.shows_public_by_event;
CREATE INDEX shows_public_by_time ON catalog.shows (starts_at, show_id) WHERE is_public;
-- Of drafts too: the copies below are changed by it.
CREATE INDEX shows_by_event ON catalog.shows (event_id, starts_at);
-- With the category, so that a list by both needs no look into the table.
CREATE INDEX shows_public_by_city ON catalog.shows (city_key, starts_at, show_id)
    INCLUDE (category) WHERE is_public;
CREATE INDEX shows_public_by_category ON catalog.shows (category, starts_at, show_id)
    WHERE is_public;

-- Both are locked against change until the show is there, so that a copy can't be of what was.
CREATE FUNCTION catalog.fill_show_keys() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT category INTO NEW.category
    FROM catalog.events WHERE event_id = NEW.event_id FOR SHARE;
    SELECT lower(v.city) INTO NEW.city_key
    FROM catalog.plans p JOIN catalog.venues v USING (venue_id)
    WHERE p.plan_id = NEW.plan_id FOR SHARE OF v;
    RETURN NEW;
END $$;
CREATE TRIGGER shows_fill_keys BEFORE INSERT ON catalog.shows
    FOR EACH ROW WHEN (NEW.category IS NULL OR NEW.city_key IS NULL)
    EXECUTE FUNCTION catalog.fill_show_keys();
CREATE TRIGGER shows_refill_keys BEFORE UPDATE OF event_id, plan_id ON catalog.shows
    FOR EACH ROW WHEN (NEW.event_id <> OLD.event_id OR NEW.plan_id <> OLD.plan_id)
    EXECUTE FUNCTION catalog.fill_show_keys();

CREATE FUNCTION catalog.copy_event_category() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE catalog.shows SET category = NEW.category WHERE event_id = NEW.event_id;
    RETURN NULL;
END $$;
CREATE TRIGGER events_copy_category AFTER UPDATE OF category ON catalog.events
    FOR EACH ROW WHEN (NEW.category <> OLD.category)
    EXECUTE FUNCTION catalog.copy_event_category();

CREATE FUNCTION catalog.copy_venue_city() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE catalog.shows s SET city_key = lower(NEW.city)
    FROM catalog.plans p WHERE p.venue_id = NEW.venue_id AND s.plan_id = p.plan_id;
    RETURN NULL;
END $$;
CREATE TRIGGER venues_copy_city AFTER UPDATE OF city ON catalog.venues
    FOR EACH ROW WHEN (lower(NEW.city) <> lower(OLD.city))
    EXECUTE FUNCTION catalog.copy_venue_city();
