-- What purchase.sql buys: as many shows and seats as a run can use, in the tables of a real system.
INSERT INTO booking.lineage (lineage) VALUES (1);
INSERT INTO booking.shows (show_id, title, starts_at, currency, price_version, hold_ttl_ms,
    hold_total_ms_max, seats_per_customer_max, seat_count, layout_hash, state)
SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(show), 12, '0'))::uuid, 'A show',
    now() + interval '30 days', 'EUR', 1, 600000, 900000, 10, 50000, '', 'ON_SALE'
FROM generate_series(0, 7) AS show;
INSERT INTO booking.seats (show_id, seat_no, label, section, row_no, gap_after, category, price)
SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(show), 12, '0'))::uuid, seat,
    'Hall-' || seat / 100 || '-' || seat % 100, 'Hall', seat / 100, false, 'Any', 1500
FROM generate_series(0, 7) AS show, generate_series(0, 49999) AS seat;
CREATE SEQUENCE public.purchases CACHE 100;
ANALYZE;
