INSERT INTO catalog.plan_seats
    (plan_id, seat_no, row_no, category_no, label, number, x, y, gap_after, uuid, kind)
SELECT $1, $2 + no::int - 1, row_no, category_no, label, number, x, y, gap_after, uuid, kind
FROM unnest($3::int[], $4::int[], $5::text[], $6::text[], $7::float8[], $8::float8[], $9::bool[], $10::text[],
            $11::text[])
    WITH ORDINALITY AS s (row_no, category_no, label, number, x, y, gap_after, uuid, kind, no)
