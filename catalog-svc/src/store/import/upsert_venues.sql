WITH asked AS (
    SELECT *
    FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                $9::float8[], $10::float8[], $11::text[], $12::text[], $13::text[])
        AS a (venue_id, external_id, name, address, city, country,
              latitude, longitude, time_zone, postal_code, region)
)
INSERT INTO catalog.venues AS there
    (venue_id, owner_id, source, external_id, name, address, city, country,
     latitude, longitude, time_zone, postal_code, region)
SELECT a.venue_id, $1, $2, a.external_id, a.name, a.address, a.city, a.country,
       a.latitude, a.longitude, a.time_zone, a.postal_code, a.region
FROM asked a
WHERE NOT EXISTS (
    SELECT FROM catalog.venues v
    WHERE v.venue_id = a.venue_id
      AND (v.name, v.address, v.city, v.country, v.latitude, v.longitude, v.time_zone, v.postal_code, v.region)
        = (a.name, a.address, a.city, a.country, a.latitude, a.longitude, a.time_zone, a.postal_code, a.region))
ORDER BY a.venue_id
ON CONFLICT (venue_id) DO UPDATE SET
    name = excluded.name, address = excluded.address, city = excluded.city,
    country = excluded.country, latitude = excluded.latitude, longitude = excluded.longitude,
    time_zone = excluded.time_zone, postal_code = excluded.postal_code, region = excluded.region
WHERE there.owner_id = excluded.owner_id
-- A row that was there was locked by this transaction first; a new one was not.
RETURNING there.venue_id AS id, (there.xmax = 0) AS "is_new!"
