-- What customers pay besides what seats cost, in the order in which it is shown to them.
ALTER TABLE catalog.shows
    ADD COLUMN fee_names      text[]    NOT NULL DEFAULT '{}',
    -- Minor units of the show's currency.
    ADD COLUMN fee_amounts    bigint[]  NOT NULL DEFAULT '{}',
    -- For each ticket; otherwise once a booking.
    ADD COLUMN fee_per_ticket boolean[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT shows_fees_whole CHECK
        (cardinality(fee_names) = cardinality(fee_amounts) AND cardinality(fee_names) = cardinality(fee_per_ticket));
