-- Events and venues are locked against change, so that the copies can't be of what was.
WITH asked AS (
    SELECT a.*, e.category, lower(v.city) AS city_key
    FROM unnest($3::uuid[], $4::text[], $5::uuid[], $6::uuid[], $7::timestamptz[], $8::bool[],
                $9::text[], $10::bigint[], $11::bigint[], $12::timestamptz[], $13::timestamptz[],
                $14::bigint[], $15::bigint[], $16::int[], $17::bool[], $18::text[], $19::bool[])
        AS a (show_id, external_id, event_id, plan_id, starts_at, time_to_be_announced,
              currency, price_min, price_max, sale_starts_at, sale_ends_at,
              hold_ttl_ms, hold_total_ms_max, seats_per_customer_max, announced, late_money, no_lone_seat)
    JOIN catalog.events e ON e.event_id = a.event_id
    JOIN catalog.plans p ON p.plan_id = a.plan_id
    JOIN catalog.venues v ON v.venue_id = p.venue_id
    FOR SHARE OF e, v
)
INSERT INTO catalog.shows AS there
    (show_id, owner_id, source, external_id, event_id, plan_id, starts_at, time_to_be_announced,
     currency, price_min, price_max, sale_starts_at, sale_ends_at,
     hold_ttl_ms, hold_total_ms_max, seats_per_customer_max, announced, category, city_key,
     late_money, no_lone_seat)
SELECT a.show_id, $1, $2, a.external_id, a.event_id, a.plan_id, a.starts_at, a.time_to_be_announced,
       a.currency, a.price_min, a.price_max, a.sale_starts_at, a.sale_ends_at,
       a.hold_ttl_ms, a.hold_total_ms_max, a.seats_per_customer_max, a.announced, a.category, a.city_key,
       a.late_money, a.no_lone_seat
FROM asked a
ORDER BY a.show_id
ON CONFLICT (show_id) DO UPDATE SET
    event_id = excluded.event_id, plan_id = excluded.plan_id,
    starts_at = excluded.starts_at, time_to_be_announced = excluded.time_to_be_announced,
    price_version = there.price_version
        + ((there.currency, there.price_min, there.price_max)
           IS DISTINCT FROM (excluded.currency, excluded.price_min, excluded.price_max))::int,
    currency = excluded.currency, price_min = excluded.price_min, price_max = excluded.price_max,
    sale_starts_at = excluded.sale_starts_at, sale_ends_at = excluded.sale_ends_at,
    hold_ttl_ms = excluded.hold_ttl_ms, hold_total_ms_max = excluded.hold_total_ms_max,
    seats_per_customer_max = excluded.seats_per_customer_max, announced = excluded.announced,
    late_money = excluded.late_money, no_lone_seat = excluded.no_lone_seat,
    category = excluded.category, city_key = excluded.city_key
-- What booking-svc was told of a show that is being opened must stay what is here.
WHERE there.owner_id = excluded.owner_id AND there.state = 'DRAFT' AND NOT there.opening
RETURNING there.show_id
