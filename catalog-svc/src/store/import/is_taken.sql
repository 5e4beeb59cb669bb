SELECT (EXISTS (SELECT FROM catalog.venues WHERE venue_id = ANY($2::uuid[]) AND owner_id <> $1)
     OR EXISTS (SELECT FROM catalog.performers WHERE performer_id = ANY($3::uuid[]) AND owner_id <> $1)
     OR EXISTS (SELECT FROM catalog.events WHERE event_id = ANY($4::uuid[]) AND owner_id <> $1)
     OR EXISTS (SELECT FROM catalog.shows WHERE show_id = ANY($5::uuid[]) AND owner_id <> $1)
     OR EXISTS (SELECT FROM catalog.plans WHERE plan_id = ANY($6::uuid[]) AND owner_id <> $1)
    ) AS "is_taken!"
