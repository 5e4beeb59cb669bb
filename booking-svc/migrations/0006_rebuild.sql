-- The lock store was lost: booking-svc loads what is here into the new life of the cluster before it
-- serves.
ALTER TABLE booking.lineage ADD COLUMN rebuilding boolean NOT NULL DEFAULT false;
