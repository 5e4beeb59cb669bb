INSERT INTO booking.timeline (show_id, booking_id, position, happened, reason, revision, fence)
SELECT e.show_id, e.booking_id, last.position + e.place, e.happened, e.reason, e.revision, e.fence
FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::text[], $5::text[], $6::bigint[], $7::bigint[])
    AS e (show_id, booking_id, place, happened, reason, revision, fence)
CROSS JOIN LATERAL (
    SELECT coalesce(max(t.position), 0) AS position FROM booking.timeline t
    WHERE t.show_id = e.show_id AND t.booking_id = e.booking_id) AS last
