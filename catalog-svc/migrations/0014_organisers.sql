-- What organisers do over REST: lists of their own things, performers and pictures of events, and the
-- files that plans were imported from. The previous release goes on working: what is new has a default,
-- or may be missing.

-- With what a thing was made, so that a repeated request is told from another one although the thing
-- was changed since. Things made before have none, and are compared as they are.
CREATE TABLE catalog.asked (
    thing_id uuid  PRIMARY KEY,
    sha256   bytea NOT NULL CHECK (octet_length(sha256) = 32)
);

-- A file as it came: what a plan's parts leave out (shapes, texts, how rows are lettered) is in it
-- alone. Apart from the plans, because it is large and read only when it is asked for.
CREATE TABLE catalog.plan_files (
    plan_id uuid  PRIMARY KEY REFERENCES catalog.plans,
    file    bytea NOT NULL
);

ALTER TABLE catalog.events ADD COLUMN image_url text NOT NULL DEFAULT '';

-- Performers of no source: whoever made them named them.
ALTER TABLE catalog.performers
    ALTER COLUMN source DROP NOT NULL,
    ALTER COLUMN external_id DROP NOT NULL,
    ADD CONSTRAINT performers_external_whole CHECK ((source IS NULL) = (external_id IS NULL));

CREATE INDEX venues_of_owner ON catalog.venues (owner_id, venue_id);
CREATE INDEX performers_of_owner ON catalog.performers (owner_id, performer_id);
CREATE INDEX events_of_owner ON catalog.events (owner_id, event_id);
CREATE INDEX shows_of_owner ON catalog.shows (owner_id, show_id);
DROP INDEX catalog.plans_by_venue;
CREATE INDEX plans_of_venue ON catalog.plans (venue_id, plan_id);
