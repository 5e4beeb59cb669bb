-- Public shows that are named, of events, and at venues: each once, by id. A page costs a page of
-- one range of an index for each thing named, however many shows there are. The bounds of a range
-- are pairs, so that only the index of that pair is in order: the ids' own would be, too, where the
-- first of the pair were fixed, and walking all shows by it looks cheap to a planner who is wrong
-- about how many there are.
SELECT show_id AS "show_id!" FROM (
    (SELECT show_id FROM catalog.shows
     WHERE show_id = ANY ($3::uuid[]) AND show_id > $1 AND is_public
     ORDER BY show_id LIMIT $2)
    UNION
    SELECT s.show_id
    FROM unnest($4::uuid[]) AS e (event_id)
    CROSS JOIN LATERAL (
        SELECT show_id FROM catalog.shows
        WHERE (event_id, show_id) > (e.event_id, $1)
          AND (event_id, show_id) <= (e.event_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
          AND is_public
        ORDER BY event_id, show_id LIMIT $2
    ) AS s
    UNION
    SELECT s.show_id
    FROM catalog.plans p
    CROSS JOIN LATERAL (
        SELECT show_id FROM catalog.shows
        WHERE (plan_id, show_id) > (p.plan_id, $1)
          AND (plan_id, show_id) <= (p.plan_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
          AND is_public
        ORDER BY plan_id, show_id LIMIT $2
    ) AS s
    WHERE p.venue_id = ANY ($5::uuid[])
) AS named
ORDER BY show_id LIMIT $2
