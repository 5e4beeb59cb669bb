-- An event's and a plan's shows are read page by page in the order of their ids, which with the
-- indexes that were here meant to walk all shows of the catalogue. These two do what the old ones
-- did, too (copies of category and city, an event's page, which sorts anyway), so a write costs no
-- more than before.
CREATE INDEX shows_of_event ON catalog.shows (event_id, show_id) INCLUDE (is_public);
CREATE INDEX shows_of_plan ON catalog.shows (plan_id, show_id) INCLUDE (is_public);
DROP INDEX catalog.shows_by_event;
DROP INDEX catalog.shows_by_plan;
