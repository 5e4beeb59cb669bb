SELECT s.state AS "state?",
       COALESCE((s.event_id, s.plan_id, s.starts_at, s.time_to_be_announced, s.currency,
                 s.price_min, s.price_max, s.sale_starts_at, s.sale_ends_at,
                 s.hold_ttl_ms, s.hold_total_ms_max, s.seats_per_customer_max, s.announced,
                 s.late_money, s.no_lone_seat)
         IS NOT DISTINCT FROM
                (a.event_id, a.plan_id, a.starts_at, a.time_to_be_announced, a.currency,
                 a.price_min, a.price_max, a.sale_starts_at, a.sale_ends_at,
                 a.hold_ttl_ms, a.hold_total_ms_max, a.seats_per_customer_max, a.announced,
                 a.late_money, a.no_lone_seat),
                false) AS "is_same!"
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::bool[], $6::text[],
            $7::bigint[], $8::bigint[], $9::timestamptz[], $10::timestamptz[],
            $11::bigint[], $12::bigint[], $13::int[], $14::bool[], $15::text[], $16::bool[])
    WITH ORDINALITY AS a (show_id, event_id, plan_id, starts_at, time_to_be_announced, currency,
                          price_min, price_max, sale_starts_at, sale_ends_at,
                          hold_ttl_ms, hold_total_ms_max, seats_per_customer_max, announced,
                          late_money, no_lone_seat, no)
LEFT JOIN catalog.shows s ON s.show_id = a.show_id
ORDER BY a.no
