SELECT s.show_id, s.owner_id, s.plan_id, s.starts_at, s.currency, s.hold_ttl_ms,
       s.hold_total_ms_max, s.seats_per_customer_max, s.price_version, s.state,
       s.price_min, s.price_max, s.sale_starts_at, s.sale_ends_at, s.time_to_be_announced, s.announced,
       s.late_money, s.no_lone_seat,
       s.fee_names, s.fee_amounts, s.fee_per_ticket, s.sale_version, s.exact_sha256, s.seat_price_min, s.seat_price_max,
       p.seat_count,
       e.event_id, e.title, e.description, e.category, e.segment, e.genre, e.sub_genre, e.image_url,
       coalesce(c.path, ARRAY[e.category]) AS "category_path!",
       v.venue_id, v.name, v.address, v.city, v.country, v.latitude, v.longitude, v.time_zone,
       v.postal_code, v.region
FROM unnest($1::uuid[]) WITH ORDINALITY AS asked (show_id, place)
JOIN catalog.shows s ON s.show_id = asked.show_id
JOIN catalog.events e ON e.event_id = s.event_id
LEFT JOIN catalog.categories c ON c.slug = e.category
JOIN catalog.plans p ON p.plan_id = s.plan_id
JOIN catalog.venues v ON v.venue_id = p.venue_id
ORDER BY asked.place
