-- More rules that a show is opened with.
ALTER TABLE booking.shows
    -- What becomes of money that comes after its hold has ended.
    ADD COLUMN late_money   text    NOT NULL DEFAULT 'REBOOK' CHECK (late_money IN ('REBOOK', 'REFUND')),
    -- The lock store's, which a rebuilt one is told again.
    ADD COLUMN no_lone_seat boolean NOT NULL DEFAULT false;
