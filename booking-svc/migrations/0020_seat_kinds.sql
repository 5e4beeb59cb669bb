-- What a seat is for: anyone, who needs a place for a wheelchair, who comes along with them, or a place of a
-- standing area. The previous release knows of none, and opens shows whose seats are for anyone.
ALTER TABLE booking.seats
    ADD COLUMN kind text NOT NULL DEFAULT 'STANDARD'
        CHECK (kind IN ('STANDARD', 'ACCESSIBLE', 'COMPANION', 'STANDING'));
