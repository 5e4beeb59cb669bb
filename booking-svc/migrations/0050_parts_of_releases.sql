-- A table that isn't a partition while a migration adds a column has none of it: a month that is detached, and
-- the one for those before the first was. Both get what they lack when they become one.

-- Adds the columns that `of` has got since `part` was made, in their order, and its checks.
CREATE FUNCTION booking.widen(of text, part text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    new_one record;
BEGIN
    FOR new_one IN
        SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
            coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '') AS value,
            CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END AS nulls
        FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = format('booking.%I', of)::regclass AND a.attnum > 0 AND NOT a.attisdropped
            AND NOT EXISTS (SELECT FROM pg_attribute o
                WHERE o.attrelid = format('booking.%I', of || part)::regclass AND o.attname = a.attname
                    AND NOT o.attisdropped)
        ORDER BY a.attnum
    LOOP
        EXECUTE format('ALTER TABLE booking.%I ADD COLUMN %I %s%s%s', of || part, new_one.name, new_one.type,
            new_one.value, new_one.nulls);
    END LOOP;
    FOR new_one IN
        SELECT c.conname AS name, pg_get_constraintdef(c.oid) AS step FROM pg_constraint c
        WHERE c.conrelid = format('booking.%I', of)::regclass AND c.contype = 'c'
            AND NOT EXISTS (SELECT FROM pg_constraint o
                WHERE o.conrelid = format('booking.%I', of || part)::regclass AND o.conname = c.conname)
    LOOP
        EXECUTE format('ALTER TABLE booking.%I ADD CONSTRAINT %I %s', of || part, new_one.name, new_one.step);
    END LOOP;
END
$$;

-- As before, and with every column.
CREATE OR REPLACE FUNCTION booking.recut(of text, part text, low uuid, high uuid, source text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_inherits
               WHERE inhrelid = format('booking.%I', of || part)::regclass) THEN
        EXECUTE format('ALTER TABLE booking.%I DETACH PARTITION booking.%I', of, of || part);
    ELSE
        PERFORM booking.widen(of, part);
    END IF;
    IF source IS NOT NULL THEN
        EXECUTE format(
            'WITH moved AS (DELETE FROM booking.%I WHERE show_id >= %L AND show_id < %L RETURNING *)
             INSERT INTO booking.%I SELECT * FROM moved', of || source, low, high, of || part);
    END IF;
    IF low < high THEN
        EXECUTE format('ALTER TABLE booking.%I ATTACH PARTITION booking.%I FOR VALUES FROM (%L) TO (%L)',
            of, of || part, low, high);
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION booking.attach_month(month date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    newest date := (SELECT max(m.month) FROM booking.months m WHERE m.detached_at IS NOT NULL);
    first  date := (SELECT min(m.month) FROM booking.months m);
    low    uuid := booking.first_id_of(month);
    high   uuid := booking.first_id_of((attach_month.month + interval '1 month')::date);
    of     text;
BEGIN
    IF newest IS NULL OR month IS DISTINCT FROM newest THEN
        RAISE EXCEPTION 'month %: months are taken back from the newest that was detached on, and that is %', month,
            coalesce(newest::text, 'none');
    END IF;
    PERFORM booking.lock_divided();
    FOREACH of IN ARRAY booking.divided() LOOP
        EXECUTE format('ALTER TABLE booking.%I DETACH PARTITION booking.%I', of, of || '_past');
        PERFORM booking.recut(of, booking.part_of(month), low, high, '_past');
        PERFORM booking.recut(of, '_past', booking.first_id_of(first), low, NULL);
    END LOOP;
    FOREACH of IN ARRAY ARRAY['shows', 'show_refunds'] LOOP
        PERFORM booking.widen(of, booking.part_of(month));
        EXECUTE format('INSERT INTO booking.%I SELECT * FROM booking.%I', of, of || booking.part_of(month));
        EXECUTE format('DROP TABLE booking.%I', of || booking.part_of(month));
    END LOOP;
    UPDATE booking.months m SET detached_at = NULL WHERE m.month = attach_month.month;
END
$$;
