-- What a process of the release before doesn't know, and would leave out.
ALTER TABLE catalog.shows
    -- It would put a show on sale by its categories' prices alone, without fees and newer rules: that is refused,
    -- as if the database were away.
    ADD COLUMN opens_whole boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT shows_opened_whole CHECK (NOT opening OR opens_whole OR
        (exact_sha256 IS NULL AND cardinality(fee_names) = 0 AND late_money = 'REBOOK' AND NOT no_lone_seat)),
    -- booking-svc has no times of shows that it put on sale: their version there is 0, and publishing them again
    -- tells them.
    ALTER COLUMN sale_version SET DEFAULT 1;
UPDATE catalog.shows SET sale_version = 1 WHERE sale_version = 0;
