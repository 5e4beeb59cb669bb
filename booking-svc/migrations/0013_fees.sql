-- What is charged besides what seats cost: part of what a show is opened with, so of its price version. In the
-- order in which they are shown.
ALTER TABLE booking.shows
    ADD COLUMN fee_names      text[]    NOT NULL DEFAULT '{}',
    -- Minor units.
    ADD COLUMN fee_amounts    bigint[]  NOT NULL DEFAULT '{}',
    -- For each ticket; otherwise once a booking.
    ADD COLUMN fee_per_ticket boolean[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT shows_fees_whole CHECK
        (cardinality(fee_names) = cardinality(fee_amounts) AND cardinality(fee_names) = cardinality(fee_per_ticket));
