-- A performer's name is on the pages of all events that name it: whose events' shows are to be told as
-- changed, and up to which event that is done. The previous release goes on working: it renames performers
-- in batches of others' catalogues alone, and tells nobody.
CREATE TABLE catalog.performer_news (
    performer_id   uuid PRIMARY KEY REFERENCES catalog.performers,
    after_event_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'
);

CREATE INDEX event_performers_of_performer ON catalog.event_performers (performer_id, event_id);
