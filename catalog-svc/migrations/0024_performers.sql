-- A performer's name is on the pages of all events that name it: whose events' shows are to be told as
-- changed, and up to which event that is done. Written by whatever renames a performer, the previous release's
-- batches too, which goes on working.
CREATE TABLE catalog.performer_news (
    performer_id   uuid PRIMARY KEY REFERENCES catalog.performers,
    after_event_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'
);

CREATE INDEX event_performers_of_performer ON catalog.event_performers (performer_id, event_id);

-- From the first event on, also where another name is being told. An event that is given the performer
-- meanwhile is told by then, with the name that there is.
CREATE FUNCTION catalog.note_performer_news() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO catalog.performer_news (performer_id) VALUES (NEW.performer_id)
    ON CONFLICT (performer_id) DO UPDATE SET after_event_id = excluded.after_event_id;
    RETURN NULL;
END $$;
CREATE TRIGGER performers_note_news AFTER UPDATE OF name ON catalog.performers
    FOR EACH ROW WHEN (NEW.name <> OLD.name)
    EXECUTE FUNCTION catalog.note_performer_news();
