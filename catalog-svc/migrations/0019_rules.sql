-- More rules of a show.
ALTER TABLE catalog.shows
    -- What becomes of money that comes after its hold has ended.
    ADD COLUMN late_money   text    NOT NULL DEFAULT 'REBOOK' CHECK (late_money IN ('REBOOK', 'REFUND')),
    -- Nothing is held that leaves a single seat free in a row that offers another way.
    ADD COLUMN no_lone_seat boolean NOT NULL DEFAULT false;
