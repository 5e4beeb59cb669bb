-- When a sale begins and ends is what booking-svc sells by: it is told of changes, which have numbers, so that
-- one that comes late undoes nothing.
ALTER TABLE catalog.shows ADD COLUMN sale_version integer NOT NULL DEFAULT 0 CHECK (sale_version >= 0);
