-- Prices of single sections and seats, which take the place of their category's. The previous release goes
-- on working: shows without any are as they were.

CREATE TABLE catalog.show_exact_prices (
    show_id uuid    NOT NULL REFERENCES catalog.shows,
    -- Whether of one seat, by its label, or of a section.
    is_seat boolean NOT NULL,
    name    text    NOT NULL,
    -- Minor units of the show's currency; 0 is free.
    amount  bigint  NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (show_id, is_seat, name)
);

ALTER TABLE catalog.shows
    -- Of all of the show's rows there, so that lists and versions needn't read them; none without any.
    ADD COLUMN exact_sha256 bytea CHECK (octet_length(exact_sha256) = 32),
    -- What the cheapest and the dearest seat cost, where that isn't by category alone.
    ADD COLUMN seat_price_min bigint CHECK (seat_price_min >= 0),
    ADD COLUMN seat_price_max bigint CHECK (seat_price_max >= seat_price_min),
    ADD CONSTRAINT shows_exact_whole CHECK
        ((exact_sha256 IS NULL) = (seat_price_min IS NULL) AND (seat_price_min IS NULL) = (seat_price_max IS NULL));
