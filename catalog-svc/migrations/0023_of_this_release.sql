-- What a process of the release before doesn't know, and would leave out.
ALTER TABLE catalog.shows
    -- It would put a show on sale by its categories' prices alone: that is refused, as if the database were away.
    ADD COLUMN opens_exact boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT shows_opened_by_exact_prices CHECK (NOT opening OR exact_sha256 IS NULL OR opens_exact),
    -- booking-svc has no times of shows that it put on sale: their version there is 0, and publishing them again
    -- tells them.
    ALTER COLUMN sale_version SET DEFAULT 1;
UPDATE catalog.shows SET sale_version = 1 WHERE sale_version = 0;
