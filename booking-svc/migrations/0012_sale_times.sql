-- When a show's sale begins and ends: outside of that nothing new is held. The one thing about a show that
-- changes after it was opened, besides its state.
ALTER TABLE booking.shows
    ADD COLUMN sale_starts_at  timestamptz,
    ADD COLUMN sale_ends_at    timestamptz,
    -- The catalogue's, of both: what is told late is known by it.
    ADD COLUMN sale_version    integer NOT NULL DEFAULT 0,
    -- When they last changed here, by which other instances find them; none while they are as the show was
    -- opened with.
    ADD COLUMN sale_changed_at timestamptz;
CREATE INDEX shows_sale_changed ON booking.shows (sale_changed_at) WHERE sale_changed_at IS NOT NULL;
