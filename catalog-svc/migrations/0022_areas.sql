-- What a seat of a plan is for, and where its standing areas lie. An area is a section whose places are seats;
-- the previous release sells them as such.
ALTER TABLE catalog.plan_seats
    ADD COLUMN kind text NOT NULL DEFAULT 'STANDARD'
        CHECK (kind IN ('STANDARD', 'ACCESSIBLE', 'COMPANION', 'STANDING'));

CREATE TABLE catalog.plan_areas (
    plan_id    uuid NOT NULL,
    section_no integer NOT NULL,
    -- The box around its shape, as it is before it is turned: the left upper corner, absolute, and size.
    x          double precision NOT NULL,
    y          double precision NOT NULL,
    width      double precision NOT NULL CHECK (width >= 0),
    height     double precision NOT NULL CHECK (height >= 0),
    PRIMARY KEY (plan_id, section_no),
    FOREIGN KEY (plan_id, section_no) REFERENCES catalog.plan_sections
);
